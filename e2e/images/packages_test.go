package images

import (
	"cmp"
	"database/sql"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/inventory"
)

// lines runs a program and returns what it says, sorted.
func lines(t testing.TB, name string, args ...string) []string {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	var list []string
	for l := range strings.Lines(string(out)) {
		if l = strings.TrimSpace(l); l != "" {
			list = append(list, l)
		}
	}
	slices.Sort(list)
	return list
}

// names writes packages of a type one a line, sorted.
func names(s *inventory.Software, kind inventory.PackageType, f func(p *inventory.Package) string) []string {
	var out []string
	for i := range s.Packages {
		if s.Packages[i].Type == kind {
			out = append(out, f(&s.Packages[i]))
		}
	}
	slices.Sort(out)
	return out
}

// equal compares two lists and shows what one of them lacks.
func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if len(want) == 0 {
		t.Errorf("%s: nothing to compare with", what)
	}
	if slices.Equal(got, want) {
		return
	}
	var more, less []string
	for _, g := range got {
		if !slices.Contains(want, g) {
			more = append(more, g)
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			less = append(less, w)
		}
	}
	t.Errorf("%s: %d instead of %d; too many: %.1000s; missing: %.1000s", what, len(got), len(want), fmt.Sprint(more), fmt.Sprint(less))
}

// asDpkg is a line of dpkg-query as TestDebian asks for it.
func asDpkg(p *inventory.Package) string {
	return strings.Join([]string{p.Name, p.Version, p.Arch, p.SourceName(), p.SourceEVR()}, " ")
}

func dpkg(t testing.TB, admindir string) []string {
	t.Helper()
	list := lines(t, "dpkg-query", "--admindir="+admindir, "-W", "-f", "${db:Status-Abbrev}|${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n")
	var out []string
	for _, l := range list {
		if rest, ok := strings.CutPrefix(l, "ii |"); ok {
			out = append(out, rest)
		}
	}
	slices.Sort(out)
	return out
}

func noGaps(t *testing.T, s *inventory.Software) {
	t.Helper()
	for _, g := range s.Gaps {
		t.Errorf("gap: %+v", g)
	}
}

// TestDebian: a real minimal image, packed both ways and unpacked, has exactly what dpkg says.
func TestDebian(t *testing.T) {
	tree := Debian(t)
	want := dpkg(t, filepath.Join(tree, "var/lib/dpkg"))
	if len(want) < 80 {
		t.Fatalf("dpkg lists %d packages", len(want))
	}
	for _, ref := range []string{DebianImage(t, Gzip), DebianImage(t, Zstd), "rootfs:" + tree} {
		s := scan(t, ref, image.Options{})
		noGaps(t, s)
		equal(t, ref, names(s, inventory.Deb, asDpkg), want)
		if s.OS == nil || s.OS.Release != "Debian 12" || !slices.Equal(s.OS.Streams, []string{"debian 12"}) {
			t.Errorf("%s: system %+v", ref, s.OS)
		}
		if n := len(want); len(s.Packages) > n+25 { // what Debian owns: perl, libraries recognised by their bytes
			t.Errorf("%s: %d packages beside dpkg's", ref, len(s.Packages)-n)
		}
		for _, p := range s.Packages {
			if !p.Type.System() && p.Owner == "" {
				t.Errorf("%s: %s %s in %s belongs to nobody", ref, p.Name, p.Version, p.Path)
			}
		}
	}
}

// TestMiddleware: an image of four layers with the middleware of the list. What a later layer deletes is gone, but its secret
// is found.
func TestMiddleware(t *testing.T) {
	tree := DebianMiddleware(t)
	s := scan(t, DebianMiddlewareImage(t, Gzip), image.Options{})
	noGaps(t, s)
	equal(t, "dpkg", names(s, inventory.Deb, asDpkg), dpkg(t, filepath.Join(tree, "var/lib/dpkg")))
	base := scan(t, DebianImage(t, Gzip), image.Options{})
	inBase := map[string]bool{}
	for _, p := range base.Packages {
		inBase[asDpkg(&p)] = p.Type == inventory.Deb
	}
	for _, p := range s.Packages {
		if want := 1; p.Type == inventory.Deb {
			if inBase[asDpkg(&p)] {
				want = 0
			}
			if p.Layer != want {
				t.Fatalf("%s is of layer %d, not %d", p.Name, p.Layer, want)
			}
		}
	}
	// Jars by what Debian's own poms say of them, of those that a link does not point to.
	have := map[string]*inventory.Package{}
	for i := range s.Packages {
		p := &s.Packages[i]
		have[p.Name+" "+p.Path] = p
	}
	for _, w := range []struct{ name, path, owner string }{
		{"org.apache.logging.log4j:log4j-core", "usr/share/java/log4j-core.jar", "liblog4j2-java"},
		{"org.apache.commons:commons-text", "usr/share/java/commons-text.jar", "libcommons-text-java"},
		{"org.apache.commons:commons-text", KeptJar, ""},
		{"com.thoughtworks.xstream:xstream", "usr/share/java/xstream.jar", "libxstream-java"},
		{"org.springframework:spring-core", "usr/share/java/spring3-core-", "libspring-core-java"},
		{"org.apache.shiro:shiro-core", "usr/share/java/shiro-core.jar", "libshiro-java"},
		{"org.eclipse.jetty:jetty-server", "usr/share/java/jetty9-server.jar", "libjetty9-java"},
		{"org.apache.zookeeper:zookeeper", "usr/share/java/zookeeper.jar", "libzookeeper-java"},
		{"org.postgresql:postgresql", "usr/share/java/postgresql.jar", "libpostgresql-jdbc-java"},
		{"commons-fileupload:commons-fileupload", "usr/share/java/commons-fileupload.jar", "libcommons-fileupload-java"},
		{"nginx", "usr/sbin/nginx", "nginx"},
		{"memcached", "usr/bin/memcached", "memcached"},
		{"apache", "usr/sbin/apache2", "apache2-bin"},
		{"redis", "usr/bin/redis-check-rdb", "redis-tools"},
		{"haproxy", "usr/sbin/haproxy", "haproxy"},
		{"mariadb", "usr/sbin/mariadbd", "mariadb-server-core"},
		{"postgresql", "usr/lib/postgresql/15/bin/postgres", "postgresql-15"},
		{"php", "usr/bin/php8.2", "php8.2-cli"},
	} {
		found := false
		for key, p := range have {
			if strings.HasPrefix(key, w.name+" "+w.path) {
				found = true
				if p.Owner != w.owner {
					t.Errorf("%s belongs to %q, not %q", key, p.Owner, w.owner)
				}
				if p.Version == "" {
					t.Errorf("%s has no version", key)
				}
			}
		}
		if !found {
			t.Errorf("no %s in %s*", w.name, w.path)
		}
	}
	for key := range have {
		if strings.HasSuffix(key, " "+DeletedJar) {
			t.Errorf("%s was deleted", key)
		}
	}
	secrets := 0
	for _, h := range s.Hits {
		if h.Path == DeletedSecret {
			secrets++
			if h.Layer != 2 || !h.Deleted || strings.Contains(fmt.Sprint(h), AccessKey()) {
				t.Errorf("secret %+v", h)
			}
		}
	}
	if secrets != 1 {
		t.Errorf("%d secrets in %s: %+v", secrets, DeletedSecret, s.Hits)
	}
}

// TestRPM: real databases of all kinds list exactly what rpm lists. Debian's rpm cannot read NDB: its database is compared
// with what another reader found in it (35 packages, see package rpm's own tests).
func TestRPM(t *testing.T) {
	dir, err := testdata()
	if err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, e := range all {
		if !e.IsDir() {
			continue
		}
		t.Run(e.Name(), func(t *testing.T) {
			file, data := RealRPM(t, e.Name())
			kinds[file]++
			s := scan(t, Layout(t, Layer(Files{}.Text("etc/os-release", "ID=rhel\nVERSION_ID=8.4\n"), Gzip), Layer(Files{"var/lib/rpm/" + file: {Data: data}}, Zstd)), image.Options{})
			noGaps(t, s)
			got := names(s, inventory.RPM, asRPM)
			if file == "Packages.db" {
				if len(got) != 35 || !slices.Contains(got, "libreadline7 7.0-19.6.1 x86_64 bash 4.4-19.6.1 -") || !slices.Contains(got, "glibc 2.31-9.3.2 x86_64 glibc 2.31-9.3.2 -") {
					t.Errorf("%d packages of the NDB database: %.3000s", len(got), got)
				}
				return
			}
			equal(t, e.Name(), got, rpmQuery(t, file, data, nil))
		})
	}
	if kinds["Packages"] < 5 || kinds["rpmdb.sqlite"] < 3 || kinds["Packages.db"] < 1 {
		t.Errorf("databases: %v", kinds)
	}
}

func asRPM(p *inventory.Package) string {
	return strings.Join([]string{p.Name, p.Version, p.Arch, p.SourceName(), strings.TrimPrefix(p.SourceEVR(), epoch(p.SourceEVR())), cmp.Or(p.Module, "-")}, " ")
}

func epoch(v string) string {
	if i := strings.IndexByte(v, ':'); i > 0 {
		return v[:i+1]
	}
	return ""
}

// rpmQuery asks rpm.
func rpmQuery(t testing.TB, file string, data, wal []byte) []string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if wal != nil {
		if err := os.WriteFile(filepath.Join(dir, file+"-wal"), wal, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	backend := map[string]string{"Packages": "bdb_ro", "rpmdb.sqlite": "sqlite"}[file]
	var out []string
	for _, l := range lines(t, "rpm", "--dbpath", dir, "--define", "_db_backend "+backend, "-qa", "--qf", "%{NAME}|%{EPOCH}|%{VERSION}-%{RELEASE}|%{ARCH}|%{SOURCERPM}|%{MODULARITYLABEL}\n") {
		f := strings.Split(l, "|")
		if f[0] == "gpg-pubkey" {
			continue
		}
		if f[1] != "(none)" && f[1] != "0" {
			f[2] = f[1] + ":" + f[2]
		}
		source := strings.TrimSuffix(strings.TrimSuffix(f[4], ".src.rpm"), ".nosrc.rpm")
		parts := strings.Split(source, "-")
		if n := len(parts); n > 2 {
			source = strings.Join(parts[:n-2], "-") + " " + parts[n-2] + "-" + parts[n-1]
		}
		out = append(out, strings.Join([]string{f[0], f[2], f[3], source, strings.ReplaceAll(f[5], "(none)", "-")}, " "))
	}
	slices.Sort(out)
	return out
}

// TestGo: what a Go program was built from, as the go tool reads it out of the file.
func TestGo(t *testing.T) {
	files := []string{
		GoServer(t, map[string]string{"golang.org/x/text": "v0.3.5", "gopkg.in/yaml.v3": "v3.0.0"}),
		PluginProgram(t, "loopback", "v0.8.5"), EtcdProgram(t, "v3.6.13"),
	}
	lab, _ := filepath.Glob(filepath.Join(labCache(t), "*", "kube-apiserver"))
	etcd, _ := filepath.Glob(filepath.Join(labCache(t), "*", "etcd"))
	for _, file := range slices.Concat(files, lab, etcd) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s := scan(t, Layout(t, Layer(Files{"usr/local/bin/" + filepath.Base(file): {Data: data, Mode: 0o755}}, Zstd)), image.Options{})
		noGaps(t, s)
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"stdlib " + strings.TrimPrefix(info.GoVersion, "go")}
		for _, l := range lines(t, "go", "version", "-m", file) {
			f := strings.Fields(l)
			if len(f) > 2 && (f[0] == "dep" || f[0] == "=>") {
				want = append(want, f[1]+" "+f[2])
			}
		}
		replaced := map[string]bool{}
		for _, d := range info.Deps {
			if d.Replace != nil {
				replaced[d.Path+" "+d.Version] = d.Replace.Path != d.Path || d.Replace.Version != d.Version
			}
		}
		want = slices.DeleteFunc(want, func(l string) bool { return replaced[l] })
		slices.Sort(want)
		want = slices.Compact(want)
		got := names(s, inventory.Golang, func(p *inventory.Package) string { return p.Name + " " + strings.TrimPrefix(p.Version, "go") })
		got = slices.DeleteFunc(got, func(l string) bool { return strings.HasPrefix(l, info.Main.Path+" ") })
		equal(t, file, got, want)
	}
}

// labCache is where e2e/lab keeps what it builds.
func labCache(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("STOCKADE_LAB_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "stockade-lab")
}

// TestLanguages: Python's and Ruby's own package managers list the same in the tree as the scanner in its image.
func TestLanguages(t *testing.T) {
	tree := DebianMiddleware(t)
	s := scan(t, DebianMiddlewareImage(t, Gzip), image.Options{Scanners: image.Scanners{NoSecrets: true, NoMalware: true}})
	simple := func(p *inventory.Package) string { return p.Name + " " + p.Version }
	var pip, gems []string
	for _, l := range lines(t, "chroot", tree, "python3", "-m", "pip", "list", "--format=freeze") {
		pip = append(pip, strings.Replace(l, "==", " ", 1))
	}
	equal(t, "pip list", names(s, inventory.PyPI, simple), pip)
	for _, l := range lines(t, "chroot", tree, "gem", "list", "--local") {
		if name, version, ok := strings.Cut(l, " ("); ok {
			gems = append(gems, name+" "+strings.TrimSuffix(strings.TrimPrefix(version, "default: "), ")"))
		}
	}
	slices.Sort(gems)
	equal(t, "gem list", slices.Compact(names(s, inventory.Gem, simple)), gems) // rake is there twice
	for _, p := range s.Packages {
		if (p.Type == inventory.PyPI || p.Type == inventory.Gem) && p.Owner == "" {
			t.Errorf("%s belongs to nobody", p.Path)
		}
	}
}

// TestNode: a tree of modules as npm installs it, scopes and modules in modules included.
func TestNode(t *testing.T) {
	module := func(f Files, path, name, version string) {
		f.Text("app/"+path+"/package.json", `{"name":"`+name+`","version":"`+version+`","license":"MIT"}`)
	}
	f := Files{}.Text("app/package.json", `{"name":"shop","version":"1.0.0","dependencies":{"bootstrap":"3.4.0"}}`)
	module(f, "node_modules/bootstrap", "bootstrap", "3.4.0")
	module(f, "node_modules/@babel/traverse", "@babel/traverse", "7.23.0")
	module(f, "node_modules/@babel/traverse/node_modules/ms", "ms", "0.7.0")
	module(f, "node_modules/ms", "ms", "2.1.3")
	f.Text("app/node_modules/ms/test/package.json", `{"name":"no-module","version":"9.9.9"}`)
	s := scan(t, Layout(t, Layer(f, Gzip)), image.Options{})
	noGaps(t, s)
	equal(t, "modules", names(s, inventory.NPM, func(p *inventory.Package) string { return p.Name + " " + p.Version }),
		[]string{"@babel/traverse 7.23.0", "bootstrap 3.4.0", "ms 0.7.0", "ms 2.1.3"})
	r := matcher(t).Match(s)
	for id, of := range map[string]string{"CVE-2019-8331": "bootstrap", "CVE-2023-45133": "@babel/traverse", "CVE-2015-8315": "ms"} {
		if !has(&r, id, of) {
			t.Errorf("%s does not have %s", of, id)
		}
	}
	if n := len(r.Vulnerabilities); n != 3 {
		t.Errorf("%d vulnerabilities: %+v", n, r.Vulnerabilities)
	}
}

// TestStaging: the modules of Kubernetes' own tree have the release that the program has.
func TestStaging(t *testing.T) {
	for _, trimmed := range []bool{false, true} {
		s := scan(t, Layout(t, Layer(program(t, "usr/local/bin/kubelet", KubernetesProgram(t, "kubelet", "v1.28.3", trimmed)), Gzip)), image.Options{})
		for _, p := range s.Packages {
			if p.Name == "k8s.io/kubernetes" && (p.Version != "v1.28.3" || p.Component != "kubelet") {
				t.Errorf("trimmed %v: %+v", trimmed, p)
			}
			if p.Name == "k8s.io/component-base" && p.Version != "v0.28.3" {
				t.Errorf("trimmed %v: %+v", trimmed, p)
			}
		}
		if len(s.Packages) != 3 {
			t.Errorf("trimmed %v: %d packages", trimmed, len(s.Packages))
		}
	}
}

// TestWAL: packages that are in the write-ahead log only, which SQLite itself wrote, count; the other way round those that it
// removes do not.
func TestWAL(t *testing.T) {
	whole := RPMDatabase(t, RPM{Name: "first", Version: "1.0", Release: "1"}, RPM{Name: "second", Version: "2.0", Release: "1.el9"}, RPM{Name: "third", Version: "3.0", Release: "1"})
	dir := t.TempDir()
	file := filepath.Join(dir, "rpmdb.sqlite")
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	run := func(query string) {
		t.Helper()
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE TABLE kept AS SELECT hnum, blob FROM Packages WHERE hnum = 2; DELETE FROM Packages WHERE hnum = 2")
	run("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0")
	run("PRAGMA wal_checkpoint(TRUNCATE)")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	run("INSERT INTO Packages (hnum, blob) SELECT hnum, blob FROM kept; DELETE FROM Packages WHERE hnum = 3; DROP TABLE kept")
	log, err := os.ReadFile(file + "-wal")
	if err != nil || len(log) == 0 {
		t.Fatalf("%d bytes of log: %v", len(log), err)
	}
	now, err := os.ReadFile(file)
	if err != nil || !slices.Equal(now, before) {
		t.Fatal("the log was merged")
	}
	var lists [2][]string
	for i, log := range [][]byte{nil, log} {
		f := Files{"usr/lib/sysimage/rpm/rpmdb.sqlite": {Data: before}}
		if log != nil {
			f["usr/lib/sysimage/rpm/rpmdb.sqlite-wal"] = File{Data: log}
		}
		s := scan(t, Layout(t, Layer(f, Zstd)), image.Options{})
		noGaps(t, s)
		lists[i] = names(s, inventory.RPM, asRPM)
		equal(t, "rpm", lists[i], rpmQuery(t, "rpmdb.sqlite", before, log))
	}
	if len(lists[0]) != 2 || len(lists[1]) != 2 || slices.Equal(lists[0], lists[1]) {
		t.Errorf("without the log %q, with it %q", lists[0], lists[1])
	}
}
