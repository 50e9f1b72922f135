package match

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// publishers are those whose quirks end in the feeds: a name here means that one has come through.
var publishers = regexp.MustCompile(`(?i)debian|ubuntu|alpine|wolfi|chainguard|red ?hat|rhel|centos|rocky|alma|oracle|suse|sles|euler|kylin|uniontech|\buos\b|photon|amazon|fedora|mariner|azure|anolis|tencent|ctyun|\bhce\b|\bnvd\b|ghsa|github\.com/advisories|microsoft`)

func TestNoPublisher(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.ImportsOnly); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if m := publishers.FindString(line); m != "" {
				t.Errorf("%s:%d: %q: %s", f.Name(), i+1, m, strings.TrimSpace(line))
			}
		}
	}
}

func TestGaps(t *testing.T) {
	jar := inventory.Package{Type: inventory.Maven, Name: "a:b", Version: "1"}
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name     string
		os       *inventory.OS
		packages []inventory.Package
		rows     []advisory.Row
		eol      string
		want     []string
	}{
		{"no data for the system", &inventory.OS{Release: "EulerOS 2.0 SP9", Streams: []string{"euleros 2.0-SP9"}}, []inventory.Package{rpm("a", "1-1"), rpm("b", "1-1")}, nil, "",
			[]string{"system packages: no advisory data for EulerOS 2.0 SP9 (no-advisory-data)"}},
		{"unknown release", &inventory.OS{Release: "Foo Linux 3"}, []inventory.Package{rpm("a", "1-1")}, nil, "",
			[]string{"system packages: no advisory data for Foo Linux 3 (no-advisory-data)"}},
		{"no system", nil, []inventory.Package{rpm("a", "1-1")}, nil, "",
			[]string{"system packages: no operating system was recognised: 1 packages are not matched (no-advisory-data)"}},
		{"no packages", el8OS, nil, []advisory.Row{rpmRow("redhat 8", "a", "CVE-2020-1", "1-1")}, "", []string{"packages: no packages were found (no-advisory-data)"}},
		{"no ecosystem", el8OS, []inventory.Package{rpm("a", "1-1"), jar, rpm("nginx", "1.0", kind(inventory.Generic))}, []advisory.Row{rpmRow("redhat 8", "a", "CVE-2020-1", "1-1")}, "",
			[]string{"generic packages: no advisory data for binaries (no-advisory-data)", "maven packages: no advisory data for maven (no-advisory-data)"}},
		{"nothing to match by", nil, []inventory.Package{rpm(":b", "1", kind(inventory.Maven)), rpm("a:b", "${project.version}", kind(inventory.Maven)), rpm("m", "(devel)", kind(inventory.Golang))},
			[]advisory.Row{rpmRow("maven", "a:b", "CVE-2020-1", "1", scheme(advisory.Maven)), rpmRow("golang", "m", "CVE-2020-1", "1", scheme(advisory.GoModule))}, "",
			[]string{"golang packages: no version or no full name to match: m (unsupported)", "maven packages: no version or no full name to match: :b, a:b (unsupported)"}},
		{"end of life", el8OS, []inventory.Package{rpm("a", "1-1")}, []advisory.Row{rpmRow("redhat 8", "a", "CVE-2020-1", "1-1")}, "2021-12-31",
			[]string{"system packages: RHEL 8.4 gets no free advisories since 2021-12-31: newer vulnerabilities are not known (no-advisory-data)"}},
		{"supported", el8OS, []inventory.Package{rpm("a", "1-1")}, []advisory.Row{rpmRow("redhat 8", "a", "CVE-2020-1", "1-1")}, "2029-05-31", nil},
	} {
		db := newMemory(c.rows...)
		if c.eol != "" {
			info := db.streams["redhat 8"]
			info.Lifecycle = &advisory.Lifecycle{Stream: "redhat 8", EOL: c.eol}
			db.streams["redhat 8"] = info
		}
		r := Match(db, &inventory.Software{OS: c.os, Packages: c.packages}, Options{Now: now})
		var got []string
		for _, g := range r.Gaps {
			got = append(got, fmt.Sprintf("%s: %s (%s)", g.What, g.Reason, g.Code))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
		if r.EndOfLife != (c.eol == "2021-12-31") || (r.Lifecycle != nil) != (c.eol != "") {
			t.Errorf("%s: end of life %v, %+v", c.name, r.EndOfLife, r.Lifecycle)
		}
	}
}

// TestScarce: a sample of a release's advisories is not taken for all of them, and then the vendor's silence proves nothing.
func TestScarce(t *testing.T) {
	packages := []inventory.Package{rpm("a", "1-1"), rpm("x:y", "1", kind(inventory.Maven), owner("a"))}
	rows := []advisory.Row{rpmRow("redhat 8", "b", "CVE-2020-1", "1-1"), rpmRow("maven", "x:y", "CVE-2020-2", "2", scheme(advisory.Maven))}
	for _, c := range []struct {
		name  string
		rows  int
		owned bool
		found int
		gap   string
	}{
		{"whole", 5000, false, 0, "files of system packages: 1 upstream advisories on them are left out"},
		{"whole, asked for", 5000, true, 1, ""},
		{"sample", 12, false, 1, "system packages: the database has only 12 rows for RHEL 8.4"},
	} {
		db := newMemory(rows...)
		db.streams["redhat 8"] = StreamInfo{Rows: c.rows}
		r := Match(db, &inventory.Software{OS: el8OS, Packages: packages}, Options{Owned: c.owned})
		got := ""
		for _, g := range r.Gaps {
			got += g.What + ": " + g.Reason
		}
		if len(r.Vulnerabilities) != c.found || !strings.HasPrefix(got, c.gap) || (got == "") != (c.gap == "") {
			t.Errorf("%s: %d vulnerabilities, gaps %q", c.name, len(r.Vulnerabilities), got)
		}
	}
}

type failing struct{ *memory }

func (failing) Rows(string, string, func(*advisory.Row) bool) error {
	return errors.New("page 7: bad checksum")
}

func TestDatabaseError(t *testing.T) {
	db := failing{newMemory(rpmRow("redhat 8", "a", "CVE-2020-1", "1-1"))}
	r := Match(db, &inventory.Software{OS: el8OS, Packages: []inventory.Package{rpm("a", "1-1")}}, Options{})
	if len(r.Gaps) != 1 || r.Gaps[0].Code != string(finding.Broken) || !strings.Contains(r.Gaps[0].Reason, "checksum") {
		t.Errorf("gaps %v", r.Gaps)
	}
}

func TestFindings(t *testing.T) {
	db := newMemory(
		rpmRow("redhat 8", "openssl", "CVE-2022-0778", "1:1.1.1k-6.el8_5", func(r *advisory.Row) {
			r.Advisory, r.Severity = "RHSA-2022:1065", "high"
			r.CVSS = []advisory.CVSS{{Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", Score: 7.5, Source: "vendor"}}
		}),
		rpmRow("maven", "org.apache.logging.log4j:log4j-core", "CVE-2021-44228", "2.15.0", scheme(advisory.Maven)),
		rpmRow("redhat 8", "zlib", "CVE-2018-25032", ""))
	db.about["CVE-2021-44228"] = &advisory.Vulnerability{ID: "CVE-2021-44228", Aliases: []string{"GHSA-jfh8-c2jp-5v3q"}, Title: "Remote code injection in Log4j",
		CVSS: []advisory.CVSS{{Vector: "AV:N/AC:M/Au:N/C:C/I:C/A:C", Score: 9.3}, {Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", Score: 10}},
		KEV:  &advisory.KEV{Added: "2021-12-10", Ransomware: true}, EPSS: &advisory.EPSS{Score: 0.94}, References: []string{"https://logging.apache.org/security.html"}}
	const core = "org.apache.logging.log4j:log4j-core"
	image := func(tag, digest, version, path string) *inventory.Software {
		return &inventory.Software{Kind: "image", Image: &inventory.Image{Reference: "registry.example.com:5000/shop/till:" + tag, Digest: digest}, OS: el8OS,
			Layers: []inventory.Layer{{Digest: "sha256:aa"}, {Digest: "sha256:bb"}},
			Packages: []inventory.Package{
				{Type: inventory.RPM, Name: "openssl", Version: "1:1.1.1g-" + version + ".el8_3", Arch: "x86_64"},
				{Type: inventory.Maven, Name: core, Version: "2.14." + version[:1], Path: path, Layer: 1},
				{Type: inventory.Maven, Name: core, Version: "2.14.0", Path: "opt/other/" + path, Layer: 1},
				{Type: inventory.RPM, Name: "openssl", Version: "1:1.1.1c-1.el8", Arch: "x86_64"},
				{Type: inventory.RPM, Name: "zlib", Version: "1.2.11-16.el8", Arch: "x86_64", Fixed: []string{"CVE-2018-25032"}},
			}}
	}
	s := image("1.0", "sha256:1", "15", "app/lib/log4j-core-2.14.1.jar")
	m := NewMatcher(db, Options{})
	r := m.Match(s)
	at := Place{Container: "web", Root: true, Exposed: true}
	found := m.Findings(s, &r, at)
	if len(found) != 4 {
		t.Fatalf("%d findings: %+v", len(found), found)
	}
	ssl, jar, patched := found[0], found[1], found[3]
	if ssl.Rule != "CVE-2022-0778" || ssl.Severity != finding.High || ssl.Vulnerability.Type != "system" || ssl.Vulnerability.CVSS != 7.5 || ssl.Vulnerability.EvidenceClass != "vendor" ||
		!slices.Equal(ssl.Aliases, []string{"RHSA-2022:1065"}) || len(ssl.Evidence) != 2 || ssl.Resource.Layer != "sha256:aa" || ssl.Vulnerability.PURL == "" {
		t.Errorf("openssl: %+v %+v", ssl, ssl.Vulnerability)
	}
	if ssl.Evidence[0] != (finding.Evidence{Path: "rpm database", Found: "openssl 1:1.1.1g-15.el8_3", Want: ">= 1:1.1.1k-6.el8_5"}) {
		t.Errorf("evidence %+v", ssl.Evidence[0])
	}
	if jar.Severity != finding.Critical || !jar.Vulnerability.KEV || jar.Vulnerability.CVSS != 10 || jar.Resource.File != "app/lib/log4j-core-2.14.1.jar" || jar.Resource.Layer != "sha256:bb" ||
		jar.Priority.Score < 95 || jar.Resource.Container != "web" || jar.Vulnerability.Type != "application" {
		t.Errorf("log4j: %+v %+v %+v", jar, jar.Vulnerability, jar.Priority)
	}
	for _, reason := range []string{"known to be exploited since 2021-12-10", "EPSS 94 %", "runs as root", "reachable from outside", "a fix is available", "CVSS 10.0, rated critical"} {
		if !slices.Contains(jar.Priority.Reasons, reason) {
			t.Errorf("no reason %q in %q", reason, jar.Priority.Reasons)
		}
	}
	if patched.Status != finding.Suppressed || patched.Suppression.By != "changelog" || patched.Vulnerability.EvidenceClass != finding.EvidenceChangelog || patched.Priority.Score != 0 {
		t.Errorf("zlib: %+v", patched)
	}
	for _, f := range found {
		for _, text := range []finding.Text{f.Title, f.Message, f.Remediation} {
			if text.EN == "" || text.ZH == "" || text.EN == text.ZH {
				t.Errorf("%s: text %+v", f.Rule, text)
			}
		}
	}
	// A rebuild with newer versions of the same keeps the fingerprints; another repository does not.
	s2 := image("1.1", "sha256:2", "14", "app/lib/log4j-core-2.14.0.jar")
	r2 := m.Match(s2)
	again := m.Findings(s2, &r2, Place{})
	for i := range found {
		if again[i].Fingerprint != found[i].Fingerprint {
			t.Errorf("%s in %s has another fingerprint after a rebuild", again[i].Rule, again[i].Vulnerability.Path)
		}
	}
	s2.Image.Reference = "registry.example.com:5000/shop/other:1.1"
	if f := m.Findings(s2, &r2, Place{}); f[0].Fingerprint == found[0].Fingerprint {
		t.Error("two repositories share a fingerprint")
	}
	if data, err := json.Marshal(found); err != nil || !strings.Contains(string(data), `"evidenceClass":"vendor"`) {
		t.Errorf("%v", err)
	}
}

func TestPathClass(t *testing.T) {
	for _, c := range [][2]string{
		{"app/lib/log4j-core-2.14.1.jar", "app/lib/log4j-core.jar"},
		{"app.war!/WEB-INF/lib/spring-beans-5.2.19.RELEASE.jar", "app.war!/WEB-INF/lib/spring-beans.jar"},
		{"usr/lib/python3.11/site-packages/urllib3-1.26.12.dist-info", "usr/lib/python/site-packages/urllib3.dist-info"},
		{"app/node_modules/ws/package.json", "app/node_modules/ws/package.json"},
		{"opt/jetty-9.4.57.v20241219/start.jar", "opt/jetty/start.jar"},
		{"opt/log4j2/log4j-1.2.17.jar", "opt/log4j2/log4j.jar"},
		{"usr/share/gems/3.1.0/specifications/rack-2.2.4.gemspec", "usr/share/gems/specifications/rack.gemspec"},
	} {
		if got := pathClass(c[0]); got != c[1] {
			t.Errorf("%s: %s, want %s", c[0], got, c[1])
		}
	}
}

func TestRepository(t *testing.T) {
	for _, c := range [][2]string{{"registry.example.com:5000/a/b:1@sha256:ff", "registry.example.com:5000/a/b"}, {"a/b", "a/b"}, {"registry.example.com:5000/a", "registry.example.com:5000/a"}} {
		if got := repository(c[0]); got != c[1] {
			t.Errorf("%s: %s", c[0], got)
		}
	}
}

// TestSymbols: what is not linked is flagged, not dropped.
func TestSymbols(t *testing.T) {
	const name = "github.com/opencontainers/runc"
	row := rpmRow("golang", name, "CVE-2024-21626", "1.1.12", scheme(advisory.GoModule), func(r *advisory.Row) {
		r.Symbols = []advisory.Symbols{{Import: name + "/libcontainer/utils", Names: []string{"CloseExecFrom"}, GOOS: []string{"linux"}}}
	})
	for _, c := range []struct {
		settings map[string]string
		want     string
	}{
		{nil, ""}, {map[string]string{"GOOS": "linux"}, ""}, {map[string]string{"GOOS": "windows"}, "not-linked"},
		{map[string]string{"packages": "fmt " + name + "/libcontainer/utils"}, "linked"}, {map[string]string{"packages": "fmt"}, "not-linked"},
	} {
		r := Match(newMemory(row), &inventory.Software{Packages: []inventory.Package{{Type: inventory.Golang, Name: name, Version: "v1.1.5", Settings: c.settings}}}, Options{})
		if len(r.Vulnerabilities) != 1 || r.Vulnerabilities[0].Symbols != c.want || !r.Vulnerabilities[0].Open {
			t.Errorf("%v: %+v", c.settings, r.Vulnerabilities)
		}
	}
}

// TestReal matches the 518 packages of a real system against the whole feed of its release. Two other scanners claim 2,788
// and 4,978 pairs of package and id here: 2,190 compare modular packages with the fixes of any stream of their module, and
// 346 compare packages outside modules (all of Perl) with builds of modules. What is left is 2,442.
func TestReal(t *testing.T) {
	db, s := el8(t), el8Image(t)
	r := Match(db, s, Options{})
	if len(s.Packages) != 518 || len(r.Gaps) != 1 || !strings.Contains(r.Gaps[0].Reason, ReasonModule) {
		t.Errorf("%d packages, gaps %v", len(s.Packages), r.Gaps)
	}
	modular, pairs := map[string]bool{}, map[string]bool{}
	for _, u := range r.Undecided {
		modular[u.Package.Name] = true
		if u.Package.Module == "" {
			t.Errorf("%s %s is undecided, but of no module", u.Package.Name, u.ID)
		}
	}
	for _, v := range r.Vulnerabilities {
		if v.Package.Module != "" {
			t.Errorf("%s %s is of a module", v.Package.Name, v.ID)
		}
		pairs[v.Package.Name+v.Package.Version+v.ID] = true
	}
	if len(pairs) != len(r.Vulnerabilities) || len(pairs) != 2442 || len(modular) != 21 || len(r.Undecided) != 2190 {
		t.Errorf("%d vulnerabilities, %d of them distinct; %d undecided in %d packages", len(r.Vulnerabilities), len(pairs), len(r.Undecided), len(modular))
	}
}

func TestWhere(t *testing.T) {
	db := newMemory(rpmRow("redhat 8", "openssl", "CVE-2022-0778", "1:1.1.1k-6.el8_5"), rpmRow("maven", "a:b", "GHSA-jfh8-c2jp-5v3q", "2", scheme(advisory.Maven)))
	db.about["GHSA-jfh8-c2jp-5v3q"] = &advisory.Vulnerability{Aliases: []string{"CVE-2021-44228"}}
	db.about["CVE-2021-44228"] = &advisory.Vulnerability{Aliases: []string{"GHSA-jfh8-c2jp-5v3q"}}
	all := []*inventory.Software{
		{Name: "old", OS: el8OS, Packages: []inventory.Package{rpm("openssl-libs", "1:1.1.1g-15.el8_3", source("openssl", ""))}},
		{Name: "new", OS: el8OS, Packages: []inventory.Package{rpm("openssl", "1:1.1.1k-6.el8_5")}},
		{Name: "jar", Packages: []inventory.Package{{Type: inventory.Maven, Name: "a:b", Version: "1"}}},
	}
	for _, lookup := range []Lookup{db, reversed{db}} {
		for id, want := range map[string]string{"CVE-2022-0778": "old", "CVE-2021-44228": "jar", "GHSA-jfh8-c2jp-5v3q": "jar", "CVE-1999-1": ""} {
			var got []string
			for s, found := range Where(lookup, Options{}, id, slices.Values(all)) {
				got = append(got, s.Name)
				if len(found) != 1 || found[0].Package != &s.Packages[0] {
					t.Errorf("%s: %+v", id, found)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s: %q, want %q", id, got, want)
			}
		}
	}
}

// TestHash: an archive without a full name is found by its SHA-1, and is no gap then.
func TestHash(t *testing.T) {
	const sum = "d6f6d2d3bb8b9ae2ae1b5a8a8ce4b0b0ef9de3cc"
	db := reversed{newMemory(rpmRow("maven", "com.h2database:h2", "CVE-2021-42392", "", scheme(advisory.Maven), ranges(advisory.Range{Introduced: "1.1.100", Fixed: "2.0.206"}), func(r *advisory.Row) {
		r.Hashes = []string{sum}
	}))}
	for version, fixed := range map[string]string{"1.4.200": "2.0.206", "": ""} {
		r := Match(db, &inventory.Software{Packages: []inventory.Package{{Type: inventory.Maven, Name: ":h2", Version: version, SHA1: sum}}}, Options{})
		if len(r.Vulnerabilities) != 1 || r.Vulnerabilities[0].ID != "CVE-2021-42392" || r.Vulnerabilities[0].Fixed != fixed || len(r.Gaps) != 0 {
			t.Errorf("%q: %+v, %v", version, r.Vulnerabilities, r.Gaps)
		}
	}
	r := Match(db, &inventory.Software{Packages: []inventory.Package{{Type: inventory.Maven, Name: ":h2", Version: "1.4.200", SHA1: "00"}}}, Options{})
	if len(r.Vulnerabilities) != 0 || len(r.Gaps) != 1 {
		t.Errorf("%+v", r)
	}
}

// TestAttribution: a vulnerability of the module that all components are built from is noted when it is in others.
func TestAttribution(t *testing.T) {
	db := reversed{newMemory(rpmRow("golang", kubernetes, "CVE-2020-8559", "1.18.6", scheme(advisory.GoModule)), rpmRow("kubernetes", "kube-apiserver", "CVE-2020-8559", "1.18.6", scheme(advisory.SemVer)))}
	for component, noted := range map[string]bool{"kubelet": true, "kube-apiserver": false} {
		r := Match(db, &inventory.Software{Packages: []inventory.Package{{Type: inventory.Golang, Name: kubernetes, Version: "v1.18.2", Component: component}}}, Options{})
		if len(r.Vulnerabilities) != 1 || (len(r.Vulnerabilities[0].Notes) == 1) != noted {
			t.Errorf("%s: %+v", component, r.Vulnerabilities)
		}
	}
}

// reversed offers the reverse index.
type reversed struct{ *memory }

func (r reversed) Packages(id string, yield func(stream, name string) bool) error {
	for key, rows := range r.rows {
		for _, row := range rows {
			hash, is := strings.CutPrefix(id, "sha1:")
			if stream, name, _ := strings.Cut(key, "\x00"); (slices.Contains(row.IDs, id) || is && slices.Contains(row.Hashes, hash)) && !yield(stream, name) {
				return nil
			}
		}
	}
	return nil
}

// TestConcurrent: one Matcher serves several goroutines with the same answers as a fresh one.
func TestConcurrent(t *testing.T) {
	db, s := el8(t), el8Image(t)
	want := Match(db, s, Options{})
	m := NewMatcher(db, Options{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			r := m.Match(s)
			if len(r.Vulnerabilities) != len(want.Vulnerabilities) || len(r.Undecided) != len(want.Undecided) {
				t.Errorf("%d and %d, want %d and %d", len(r.Vulnerabilities), len(r.Undecided), len(want.Vulnerabilities), len(want.Undecided))
			}
		})
	}
	wg.Wait()
}

// TestMemory: what is remembered for one inventory is right for the next.
func TestMemory(t *testing.T) {
	db := el8(t)
	m := NewMatcher(db, Options{})
	for i, s := range many(el8Image(t), 30, 5) {
		if i%3 == 0 { // the same packages on a system without data
			c := *s
			c.OS = &inventory.OS{Release: "EulerOS 2.0 SP9"}
			s = &c
		}
		got, want := m.Match(s), Match(db, s, Options{})
		if len(got.Vulnerabilities) != len(want.Vulnerabilities) || (i%3 == 0) != (len(want.Vulnerabilities) == 0) {
			t.Fatalf("inventory %d: %d, want %d", i, len(got.Vulnerabilities), len(want.Vulnerabilities))
		}
		for j := range got.Vulnerabilities {
			g, w := &got.Vulnerabilities[j], &want.Vulnerabilities[j]
			if g.ID != w.ID || g.Fixed != w.Fixed || g.Package != w.Package {
				t.Errorf("inventory %d: %s %s %s, want %s %s %s", i, g.Package.Name, g.ID, g.Fixed, w.Package.Name, w.ID, w.Fixed)
			}
		}
	}
}

func BenchmarkMatchOne(b *testing.B) {
	db, s := el8(b), el8Image(b)
	b.ReportAllocs()
	for b.Loop() {
		Match(db, s, Options{})
	}
}

func BenchmarkFindings(b *testing.B) {
	db, s := el8(b), el8Image(b)
	m := NewMatcher(db, Options{})
	r := m.Match(s)
	b.ReportAllocs()
	for b.Loop() {
		m.Findings(s, &r, Place{})
	}
}

// BenchmarkMatchMany matches 10,000 inventories of 20 bases with tails of their own; ns/op is for all.
func BenchmarkMatchMany(b *testing.B) {
	db, base := el8(b), el8Image(b)
	all := many(base, 10000, 20)
	b.ReportAllocs()
	for b.Loop() {
		m := NewMatcher(db, Options{})
		var wg sync.WaitGroup
		for w := range 2 {
			wg.Go(func() {
				for i := w; i < len(all); i += 2 {
					m.Match(all[i])
				}
			})
		}
		wg.Wait()
	}
}

// many makes inventories: a base is a part of the real one, a tail is some packages in versions that only it has.
func many(base *inventory.Software, n, bases int) []*inventory.Software {
	random := rand.New(rand.NewPCG(1, 2))
	parts := make([][]inventory.Package, bases)
	for i := range parts {
		for _, p := range base.Packages {
			if random.IntN(10) < 7 {
				p.Version += fmt.Sprintf(".%d", i)
				parts[i] = append(parts[i], p)
			}
		}
	}
	out := make([]*inventory.Software, n)
	for i := range out {
		s := *base
		s.Packages = slices.Clone(parts[i%bases])
		for range 20 {
			p := base.Packages[random.IntN(len(base.Packages))]
			p.Version += fmt.Sprintf(".t%d", random.IntN(50))
			s.Packages = append(s.Packages, p)
		}
		out[i] = &s
	}
	return out
}
