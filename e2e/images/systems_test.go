package images

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/match"
)

// A system is an operating system of the list: what its vendor writes into its images, a package database, and what must come
// out. Databases are real ones of that family, or made by the real rpm of the packages named. For those, want is the
// vulnerability of the first package, and the packages of fixed must not have it. Systems without want must be told as ones
// without advisory data, in one gap.
type system struct {
	label string
	files Files
	real  string // folder of go-rpmdb's test data
	rpm   []RPM
	deb   []Deb
	apk   []APK
	want  string // CVE id
	of    string // package that has it
	fixed string // version-release that has not; "" when there is no fix
	thin  bool   // there are statements, but none on these packages: it is told that they are few
}

// systems are all of the list, and those that container images are made of beside.
func systems() []system {
	var all []system
	add := func(s ...system) { all = append(all, s...) }
	for spelling, pack := range map[string]string{"SP2": "SP2", "SP3": "SP3", "SP5": "SP5", "SP8": "SP8", "SP9x86_64": "SP9", "SP10": "SP10", "SP11x86_64": "SP11", "SP12x86_64": "SP12"} {
		add(system{label: "EulerOS 2.0 " + pack, files: EulerOS(spelling), real: "cbl-mariner-2.0"})
	}
	for _, r := range []string{"7.4.1708", "7.5.1804", "7.6.1810", "7.7.1908", "7.8.2003", "7.9.2009"} {
		add(system{label: "CentOS " + r[:3], files: CentOS(r), real: "centos7-plain", want: "CVE-2024-2961", of: "glibc"})
	}
	for _, r := range []string{"8.0.1905", "8.1.1911", "8.2.2004"} {
		add(system{label: "CentOS " + r[:3], files: CentOS(r), real: "centos8-modularitylabel", want: "CVE-2024-28834", of: "gnutls"})
	}
	add(
		system{label: "Ubuntu 16.04", files: Ubuntu("16.04", "xenial"), deb: []Deb{{"python-jinja2", "2.8-1", "jinja2", ""}}, want: "CVE-2019-10906", fixed: "2.8-1ubuntu0.1"},
		system{label: "Ubuntu 18.04", files: Ubuntu("18.04", "bionic"), deb: []Deb{{"python-jinja2", "2.10-1", "jinja2", ""}}, want: "CVE-2019-10906", fixed: "2.10-1ubuntu0.18.04.1"},
		system{label: "Ubuntu 20.04", files: Ubuntu("20.04", "focal"), deb: []Deb{{"libwayland-client0", "1.18.0-1", "wayland", ""}}, want: "CVE-2021-3782", fixed: "1.18.0-1ubuntu0.1"},
		system{label: "Ubuntu 22.04", files: Ubuntu("22.04", "jammy"), deb: []Deb{{"libwayland-client0", "1.20.0-1", "wayland", ""}}, want: "CVE-2021-3782", fixed: "1.20.0-1ubuntu0.1"},
		system{label: "Ubuntu 24.04", files: Ubuntu("24.04", "noble"), deb: []Deb{{"libc6", "2.39-0ubuntu8.6", "glibc", ""}}, want: "CVE-2016-20013"},
		system{label: "Debian 9", files: DebianRelease("9", "stretch"), deb: []Deb{{"libcurl3", "7.52.1-5+deb9u10", "curl", ""}}, want: "CVE-2020-8177", fixed: "7.52.1-5+deb9u11"},
		system{label: "Debian 10", files: DebianRelease("10", "buster"), deb: []Deb{{"libssl1.1", "1.1.1d-0+deb10u2", "openssl", ""}}, want: "CVE-2020-1967", fixed: "1.1.1d-0+deb10u3"},
		system{label: "Debian 11", files: DebianRelease("11", "bullseye"), deb: []Deb{{"apache2-bin", "2.4.48-3.1", "apache2", ""}}, want: "CVE-2021-40438", fixed: "2.4.51-1~deb11u1"},
		system{label: "Debian 12", files: DebianRelease("12", "bookworm"), deb: []Deb{{"libzookeeper-java", "3.8.0-11", "zookeeper", ""}}, want: "CVE-2023-44981", fixed: "3.8.0-11+deb12u1"},
		system{label: "Kylin V10 (Azalea)", files: Kylin("Azalea", ""), real: "cbl-mariner-2.0"},
		system{label: "Kylin V10 SP1", files: Kylin("Tercel", "V10 (SP1) /(Tercel)-x86_64-Build20/20210518"), real: "cbl-mariner-2.0"},
		system{label: "Kylin V10 SP2", files: Kylin("Sword", "V10 (SP2) /(Sword)-x86_64-Build09/20210524"), real: "cbl-mariner-2.0"},
		system{label: "Kylin V10 SP3", files: Kylin("Lance", ""), real: "cbl-mariner-2.0"},
		system{label: "HCE 1.1", files: HCE("1.1"), real: "cbl-mariner-2.0"},
		system{label: "HCE 2.0", files: HCE("2.0"), real: "cbl-mariner-2.0"},
		system{label: "SLES 12 SP5", files: SLES("12-SP5", "12.5"), rpm: []RPM{{Name: "chromium", Version: "51.0.2704.84", Release: "80.1"}}, want: "CVE-2016-1704", fixed: "51.0.2704.103-85.3"},
		system{label: "SLES 15 SP1", files: SLES("15-SP1", "15.1"), rpm: []RPM{{Name: "kernel-default", Version: "4.12.14", Release: "197.45.1"}}, want: "CVE-2021-29154", fixed: "4.12.14-197.89.2"},
		system{label: "SLES 15 SP2", files: SLES("15-SP2", "15.2"), rpm: []RPM{{Name: "samba-libs", Version: "4.11.14", Release: "1", Source: "samba"}}, thin: true}, // statements of "not affected" only
		system{label: "UnionTech OS V20 server E", files: UOS("platform:uel20", "fuyu", "", ""), real: "cbl-mariner-2.0"},
		system{label: "UnionTech OS V20 server D", files: UOS("", "", "", ""), deb: []Deb{{"libc6", "2.28.7-deepin1", "glibc", ""}}},
		system{label: "UnionTech OS V20 server A", files: UOS("platform:uelc20", "kongzi", "", ""), real: "centos8-modularitylabel"},
		system{label: "UnionTech OS V20 1050u2e", files: UOS("platform:uel20", "fuyu", "e", "1050u2"), real: "cbl-mariner-2.0"},
		system{label: "UnionTech OS V20 1050e", files: UOS("platform:uel20", "fuyu", "e", "1050"), real: "cbl-mariner-2.0"},
		system{label: "UnionTech OS V20 1060e", files: UOS("platform:uel20", "fuyu", "e", "1060"), real: "cbl-mariner-2.0"},
		system{label: "UnionTech OS V20 1070e", files: UOS("platform:uel20", "fuyu", "e", "1070"), real: "cbl-mariner-2.0"},
		system{label: "CTyunOS 3-23.01", files: CTyunOS("23.01"), real: "cbl-mariner-2.0"},
		system{label: "AlmaLinux 8.4", files: RHELLike("almalinux", "AlmaLinux", "8.4"), real: "centos8-modularitylabel", want: "CVE-2024-28834", of: "gnutls"},
		system{label: "Oracle Linux 7.9", files: RHELLike("ol", "Oracle Linux Server", "7.9"), rpm: []RPM{{Name: "rsyslog", Version: "8.24.0", Release: "57.el7_9.1"}}, want: "CVE-2022-24903", fixed: "8.24.0-57.0.1.el7_9.3"},
		system{label: "Oracle Linux 8.10", files: RHELLike("ol", "Oracle Linux Server", "8.10"), rpm: []RPM{{Name: "osbuild", Version: "109", Release: "1.el8"}}, want: "CVE-2024-2307", fixed: "110-1.0.1.el8"},
		system{label: "Oracle Linux 9.4", files: RHELLike("ol", "Oracle Linux Server", "9.4"), rpm: []RPM{{Name: "osbuild", Version: "109", Release: "1.el9"}}},
		system{label: "Red Hat Enterprise Linux 7.9", files: RHELLike("rhel", "Red Hat Enterprise Linux", "7.9"), real: "centos7-plain", want: "CVE-2024-2961", of: "glibc"},
		system{label: "Red Hat Enterprise Linux 8.4", files: RHELLike("rhel", "Red Hat Enterprise Linux", "8.4"), real: "centos8-modularitylabel", want: "CVE-2024-28834", of: "gnutls"},
		system{label: "Red Hat Enterprise Linux 9.4", files: RHELLike("rhel", "Red Hat Enterprise Linux", "9.4"), rpm: []RPM{{Name: "libbrotli", Version: "1.0.9", Release: "6.el9", Source: "brotli"}}, want: "CVE-2025-6176", fixed: "1.0.9-9.el9_7"},
	)
	for _, r := range []string{"8.4", "8.5", "8.6", "8.10"} {
		add(system{label: "Rocky Linux " + r, files: RHELLike("rocky", "Rocky Linux", r, `ID_LIKE="rhel centos fedora"`), real: "centos8-modularitylabel", want: "CVE-2021-3520", of: "lz4-libs"})
	}
	for _, r := range []string{"9.0", "9.1", "9.2", "9.4", "9.5"} {
		add(system{label: "Rocky Linux " + r, files: RHELLike("rocky", "Rocky Linux", r, `ID_LIKE="rhel centos fedora"`),
			rpm: []RPM{{Name: "xz-libs", Version: "5.2.5", Release: "7.el9", Source: "xz"}}, want: "CVE-2022-1271", fixed: "5.2.5-8.el9_0"})
	}
	add(openEulers()...)
	return append(all, others()...)
}

func openEulers() []system {
	one := func(label, release, version, name, bad, want, fixed string) system {
		v, r, _ := strings.Cut(bad, "-")
		return system{label: "openEuler " + label, files: OpenEuler(release, version), rpm: []RPM{{Name: name, Version: v, Release: r, Vendor: "http://openeuler.org"}}, want: want, fixed: fixed}
	}
	return []system{
		one("20.03 LTS", "20.03", "20.03 (LTS)", "dnsmasq", "2.82-1.oe1", "CVE-2020-25681", "2.82-5.oe1"),
		one("20.03 LTS SP1", "20.03", "20.03 (LTS-SP1)", "libxml2", "2.9.10-12.oe1", "CVE-2021-3517", "2.9.10-16.oe1"),
		{label: "openEuler 20.03 LTS SP2", files: OpenEuler("20.03", "20.03 (LTS-SP2)"), rpm: []RPM{{Name: "libxml2", Version: "2.9.10", Release: "12.oe1"}}}, // no statement for SP2 in the feeds here
		one("20.03 LTS SP3", "20.03", "20.03 (LTS-SP3)", "python-XStatic-jquery-ui", "1.12.0.1-1.oe1", "CVE-2021-41183", "1.12.1.1-2.oe1"),
		one("20.03 LTS SP4", "20.03", "20.03 (LTS-SP4)", "varnish", "7.4.2-1.oe2003sp4", "CVE-2025-30346", "7.4.3-2.oe2003sp4"),
		{label: "openEuler 22.03 LTS", files: OpenEuler("22.03", "22.03 LTS"), rpm: []RPM{{Name: "varnish", Version: "7.4.2", Release: "1.oe2203"}}},
		one("22.03 LTS SP1", "22.03", "22.03 (LTS SP1)", "wireshark", "3.6.11-1.oe2203sp1", "CVE-2023-2952", "3.6.14-1.oe2203sp1"),
		one("22.03 LTS SP2", "22.03", "22.03 (LTS-SP2)", "kernel", "5.10.0-153.12.0.92.oe2203sp2", "CVE-2021-47036", "5.10.0-153.48.0.126.oe2203sp2"),
		one("22.03 LTS SP3", "22.03", "22.03 (LTS-SP3)", "varnish", "7.4.2-1.oe2203sp3", "CVE-2025-30346", "7.4.3-2.oe2203sp3"),
		one("22.03 LTS SP4", "22.03", "22.03 (LTS-SP4)", "varnish", "7.4.2-1.oe2203sp4", "CVE-2025-30346", "7.4.3-2.oe2203sp4"),
		one("24.03 LTS", "24.03", "24.03 (LTS)", "varnish", "7.4.2-1.oe2403", "CVE-2025-30346", "7.4.3-2.oe2403"),
	}
}

// others are systems beside the list that the feeds know.
func others() []system {
	return []system{
		{label: "Alpine 3.15", files: Alpine("3.15.0"), apk: []APK{{"musl", "1.2.2-r7", "musl", "lib/ld-musl-x86_64.so.1"}, {"zlib", "1.2.11-r3", "zlib", "lib/libz.so.1.2.11"}}, want: "CVE-2018-25032", of: "zlib", fixed: "1.2.12-r0"},
		{label: "CBL-Mariner 2.0", files: Files{}.Text("etc/os-release", osRelease("mariner", "Common Base Linux Mariner", "2.0.20220226", "2.0", "CBL-Mariner/Linux")), real: "cbl-mariner-2.0", want: "CVE-2023-5678", of: "openssl-libs"},
		{label: "Fedora 35", files: Files{}.Text("etc/os-release", osRelease("fedora", "Fedora Linux", "35 (Container Image)", "35", "Fedora Linux 35 (Container Image)")), real: "fedora35"},
		{label: "SLES 15 SP4", files: SLES("15-SP4", "15.4"), real: "sle15-bci", thin: true},
	}
}

// layers makes the image's layers: what the vendor writes, and the package database.
func (s *system) layers(t testing.TB, fixed bool) []v1.Layer {
	t.Helper()
	database := Files{}
	version := func(v string) string {
		if fixed {
			return s.fixed
		}
		return v
	}
	switch {
	case s.real != "":
		file, data := RealRPM(t, s.real)
		database["var/lib/rpm/"+file] = File{Data: data}
	case s.rpm != nil:
		packages := slices.Clone(s.rpm)
		packages[0].Version, packages[0].Release, _ = strings.Cut(version(packages[0].Version+"-"+packages[0].Release), "-")
		database["var/lib/rpm/rpmdb.sqlite"] = File{Data: RPMDatabase(t, packages...)}
	case s.deb != nil:
		packages := slices.Clone(s.deb)
		packages[0].Version = version(packages[0].Version)
		database.Text("var/lib/dpkg/status", Status(packages...))
	case s.apk != nil:
		packages := slices.Clone(s.apk)
		last := &packages[len(packages)-1]
		last.Version = version(last.Version)
		database.Text("lib/apk/db/installed", Installed(packages...))
	}
	return []v1.Layer{Layer(s.files, Gzip), Layer(database, Zstd)}
}

func (s *system) name() string {
	switch {
	case s.of != "":
		return s.of
	case len(s.rpm) > 0:
		return s.rpm[0].Name
	case len(s.deb) > 0:
		return s.deb[0].Name
	}
	return ""
}

// has tells whether a package of the result has a vulnerability.
func has(r *match.Result, id, name string) bool {
	return slices.ContainsFunc(r.Vulnerabilities, func(v match.Vulnerability) bool { return v.ID == id && v.Package.Name == name && v.Open })
}

// TestSystems: every system of the list is recognised with its release, its packages are read, and what its vendor says holds
// for them; or it is told that there is no data.
func TestSystems(t *testing.T) {
	m := matcher(t)
	for _, c := range systems() {
		t.Run(c.label, func(t *testing.T) {
			s := scan(t, Layout(t, c.layers(t, false)...), image.Options{})
			noGaps(t, s)
			if s.OS == nil || s.OS.Release != c.label {
				t.Fatalf("recognised as %+v", s.OS)
			}
			if len(s.Packages) == 0 || slices.ContainsFunc(s.Packages, func(p inventory.Package) bool { return p.Layer != 1 }) {
				t.Fatalf("%d packages, want some, all of layer 1", len(s.Packages))
			}
			r := m.Match(s)
			none, few := 0, 0
			for _, g := range r.Gaps {
				switch {
				case g.What != "system packages":
				case g.Code == "no-advisory-data" && g.Reason == "no advisory data for "+c.label:
					none++
				case g.Code == "no-advisory-data" && strings.HasPrefix(g.Reason, "the database has only ") && strings.Contains(g.Reason, " for "+c.label+":"):
					few++
				case !strings.Contains(g.Reason, "gets no free advisories since"):
					t.Errorf("gap %+v", g)
				}
			}
			if c.want == "" {
				if len(r.Vulnerabilities) > 0 || none == 1 == c.thin || few == 1 != c.thin {
					t.Errorf("%d vulnerabilities, gaps %+v", len(r.Vulnerabilities), r.Gaps)
				}
				return
			}
			if !has(&r, c.want, c.name()) || none > 0 {
				t.Errorf("%s is not found in %s of %d packages: %d vulnerabilities, gaps %q", c.want, c.name(), len(s.Packages), len(r.Vulnerabilities), r.Gaps)
			}
			if c.fixed == "" {
				return
			}
			s = scan(t, Layout(t, c.layers(t, true)...), image.Options{})
			if r := m.Match(s); has(&r, c.want, c.name()) || len(s.Packages) == 0 {
				t.Errorf("%s is found in the fixed version %s", c.want, c.fixed)
			}
		})
	}
}

// TestMadeDatabases: what is written for dpkg, rpm and apk here is what their own programs read.
func TestMadeDatabases(t *testing.T) {
	dir := t.TempDir()
	status := Status(Deb{"libssl1.1", "1.1.1d-0+deb10u2", "openssl", ""}, Deb{"libc-bin", "2.36-9+b1", "glibc", "2.36-9"})
	if err := os.WriteFile(filepath.Join(dir, "status"), []byte(status), 0o600); err != nil {
		t.Fatal(err)
	}
	s := scan(t, Layout(t, Layer(Files{}.Text("var/lib/dpkg/status", status), Plain)), image.Options{})
	equal(t, "dpkg", names(s, inventory.Deb, asDpkg), dpkg(t, dir))

	packages := []RPM{{Name: "npm", Version: "6.14.10", Release: "1.12.20.1.1.module+el8.3.0+9502+012d8a97", Epoch: "1", Source: "nodejs", Module: "nodejs:12:8030020210104130403:30b713e6"},
		{Name: "tzdata", Version: "2026a", Release: "1", Arch: "noarch"}, {Name: "grub2", Version: "2.06~rc1", Release: "3^git1.2"}}
	data := RPMDatabase(t, packages...)
	s = scan(t, Layout(t, Layer(Files{"var/lib/rpm/rpmdb.sqlite": {Data: data}}, Gzip)), image.Options{})
	equal(t, "rpm", names(s, inventory.RPM, asRPM), rpmQuery(t, "rpmdb.sqlite", data, nil))
}

// TestDistroless: images without dpkg have a file for each package, and the sums beside say what it owns.
func TestDistroless(t *testing.T) {
	files := DebianRelease("12", "bookworm")
	var want []string
	for _, p := range []Deb{{"base-files", "12.4+deb12u11", "", ""}, {"libc6", "2.36-9+deb12u10", "glibc", ""}, {"libssl3", "3.0.15-1~deb12u1", "openssl", ""}, {"tzdata", "2025b-0+deb12u1", "", ""},
		{"libzookeeper-java", "3.8.0-11", "zookeeper", ""}} {
		owned := []string{"usr/share/doc/" + p.Name + "/copyright"}
		if p.Source == "zookeeper" {
			owned = append(owned, "usr/share/java/zookeeper.jar")
		}
		files.Distroless(p, owned...)
		source := p.Source
		if source == "" {
			source = p.Name
		}
		want = append(want, strings.Join([]string{p.Name, p.Version, "amd64", source, p.Version}, " "))
	}
	files["usr/share/java/zookeeper.jar"] = File{Data: Jar("org.apache.zookeeper", "zookeeper", "3.8.0", nil)}
	s := scan(t, Layout(t, Layer(files, Zstd)), image.Options{})
	noGaps(t, s)
	slices.Sort(want)
	equal(t, "distroless", names(s, inventory.Deb, asDpkg), want)
	r := matcher(t).Match(s)
	if !has(&r, "CVE-2023-44981", "libzookeeper-java") || has(&r, "CVE-2023-44981", "org.apache.zookeeper:zookeeper") {
		t.Error("the vendor's word on zookeeper stands on the package, not on its jar")
	}
}

// TestAPK: what apk would list of a database of its form.
func TestAPK(t *testing.T) {
	packages := []APK{{"alpine-baselayout", "3.4.3-r1", "alpine-baselayout", "etc/hosts"}, {"alpine-keys", "2.4-r1", "alpine-keys", "etc/apk/keys/a.pub"}, {"apk-tools", "2.14.0-r2", "apk-tools", "sbin/apk"},
		{"busybox", "1.36.1-r2", "busybox", "bin/busybox"}, {"busybox-binsh", "1.36.1-r2", "busybox", "bin/sh"}, {"ca-certificates-bundle", "20230506-r0", "ca-certificates", "etc/ssl/certs/ca.crt"},
		{"libc-utils", "0.7.2-r5", "libc-dev", "usr/bin/getent"}, {"libcrypto3", "3.1.2-r0", "openssl", "lib/libcrypto.so.3"}, {"libssl3", "3.1.2-r0", "openssl", "lib/libssl.so.3"}, {"musl", "1.2.4-r1", "musl", "lib/ld-musl-x86_64.so.1"},
		{"musl-utils", "1.2.4-r1", "musl", "sbin/ldconfig"}, {"scanelf", "1.3.7-r1", "pax-utils", "usr/bin/scanelf"}, {"ssl_client", "1.36.1-r2", "busybox", "usr/bin/ssl_client"}, {"zlib", "1.2.13-r1", "zlib", "lib/libz.so.1.2.13"},
		{"openvpn", "2.6.6-r0", "openvpn", "usr/sbin/openvpn"}}
	s := scan(t, Layout(t, Layer(Alpine("3.18.3").Text("lib/apk/db/installed", Installed(packages...)), Gzip)), image.Options{})
	noGaps(t, s)
	var want []string
	for _, p := range packages {
		want = append(want, p.Name+" "+p.Version+" "+p.Origin)
	}
	slices.Sort(want)
	equal(t, "apk", names(s, inventory.APK, func(p *inventory.Package) string { return p.Name + " " + p.Version + " " + p.SourceName() }), want)
	if r := matcher(t).Match(s); !has(&r, "CVE-2023-46850", "openvpn") {
		t.Errorf("openvpn: %d vulnerabilities, %v", len(r.Vulnerabilities), r.Gaps)
	}
}

// TestList holds the table to the list of systems: none is forgotten.
func TestList(t *testing.T) {
	have := map[string]bool{}
	for _, s := range systems() {
		have[s.label] = true
	}
	if n := len(systems()); n != len(have) || n < 66 {
		t.Errorf("%d systems, %d labels: %v", n, len(have), slices.Sorted(maps.Keys(have)))
	}
}

// TestOperator: systems without a feed get their findings by the operator's own table, and what a package's changelog says is
// fixed is suppressed by that evidence.
func TestOperator(t *testing.T) {
	feeds, dir := t.TempDir(), t.TempDir()
	table := "id,os,release,src,bin,fixed,cves,severity,date\n" +
		"EulerOS-SA-2026-1001,euleros,2.0-SP9,openssl,,1:1.1.1f-7.h30.eulerosv2r9,CVE-2022-0778,high,2022-05-01\n" +
		"KYSA-202605-0001,kylin,V10-SP2,,sudo,1.8.27-7.ky10,CVE-2021-3156,critical,2021-02-01\n" +
		"UTSA-2026-000001,uos,20e-1060,sudo,,1.9.2-3.uel20,CVE-2021-3156,critical,2021-02-01\n"
	if err := os.WriteFile(filepath.Join(feeds, "own.csv"), []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := buildDatabase(dir, []string{feeds}); err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(dir, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	m := match.NewMatcher(match.Over(db), match.Options{Now: day})
	for _, c := range []struct {
		files  Files
		rpm    RPM
		id     string
		found  bool
		closed bool // by its changelog
	}{
		{EulerOS("SP9x86_64"), RPM{Name: "openssl-libs", Version: "1.1.1f", Release: "7.h13.eulerosv2r9", Epoch: "1", Source: "openssl"}, "CVE-2022-0778", true, false},
		{EulerOS("SP9x86_64"), RPM{Name: "openssl-libs", Version: "1.1.1f", Release: "7.h30.eulerosv2r9", Epoch: "1", Source: "openssl"}, "CVE-2022-0778", false, false},
		{EulerOS("SP9x86_64"), RPM{Name: "openssl-libs", Version: "1.1.1f", Release: "7.h20.eulerosv2r9", Epoch: "1", Source: "openssl", Changelog: "Type:CVE ID:CVE-2022-0778 fix"}, "CVE-2022-0778", true, true},
		{EulerOS("SP8"), RPM{Name: "openssl-libs", Version: "1.1.1f", Release: "7.h13.eulerosv2r8", Epoch: "1", Source: "openssl"}, "CVE-2022-0778", false, false},
		{Kylin("Sword", ""), RPM{Name: "sudo", Version: "1.8.27", Release: "5.ky10"}, "CVE-2021-3156", true, false},
		{Kylin("Tercel", ""), RPM{Name: "sudo", Version: "1.8.27", Release: "5.ky10"}, "CVE-2021-3156", false, false},
		{UOS("platform:uel20", "fuyu", "e", "1060"), RPM{Name: "sudo", Version: "1.9.2", Release: "2.uel20"}, "CVE-2021-3156", true, false},
		{UOS("platform:uel20", "fuyu", "e", "1070"), RPM{Name: "sudo", Version: "1.9.2", Release: "2.uel20"}, "CVE-2021-3156", false, false},
	} {
		s := scan(t, Layout(t, Layer(c.files, Gzip), Layer(Files{"var/lib/rpm/rpmdb.sqlite": {Data: RPMDatabase(t, c.rpm)}}, Gzip)), image.Options{RPMChangelog: true})
		r := m.Match(s)
		if found := len(r.Vulnerabilities) == 1 && r.Vulnerabilities[0].ID == c.id; found != c.found || found && r.Vulnerabilities[0].Open == c.closed {
			t.Errorf("%s, %s: %+v", s.OS.Release, c.rpm.NEVRA(), r.Vulnerabilities)
		}
		if findings := m.Findings(s, &r, match.Place{}); c.closed && (len(findings) != 1 || findings[0].Status != finding.Suppressed || findings[0].Suppression.By != finding.EvidenceChangelog) {
			t.Errorf("%s: %+v", c.rpm.NEVRA(), findings)
		}
	}
}

// TestEpochs: openEuler's statements never name epochs, its packages have them.
func TestEpochs(t *testing.T) {
	for release, want := range map[string]bool{"9.0-15.oe2003sp4": true, "9.0-33.oe2003sp4": false} {
		v, r, _ := strings.Cut(release, "-")
		s := scan(t, Layout(t, Layer(OpenEuler("20.03", "20.03 (LTS-SP4)"), Gzip), Layer(Files{"var/lib/rpm/rpmdb.sqlite": {Data: RPMDatabase(t, RPM{Name: "vim-minimal", Source: "vim", Epoch: "2", Version: v, Release: r})}}, Gzip)), image.Options{})
		result := matcher(t).Match(s)
		if has(&result, "CVE-2025-29768", "vim-minimal") != want {
			t.Errorf("vim 2:%s: vulnerable is %v, want %v", release, !want, want)
		}
	}
}

// TestKinds: what must hold beside the version: the module stream, the kind of build, the subscription, the processor.
func TestKinds(t *testing.T) {
	m := matcher(t)
	rocky, oracle := RHELLike("rocky", "Rocky Linux", "8.5"), RHELLike("ol", "Oracle Linux Server", "8.10")
	abrt := RPM{Name: "rubygem-abrt", Version: "0.3.0", Release: "3.module+el8.4.0+400+abc", Module: "ruby:2.6:8050020211215145054:b4937e53"}
	other, plain := abrt, abrt
	other.Module, plain.Module, plain.Release = "ruby:2.7:8050020211215145054:c5368500", "", "3.el8"
	ksplice := RPM{Name: "openssl-libs", Version: "1.1.1g", Release: "12.ksplice1.el8_3", Epoch: "2", Source: "openssl"}
	usual := RPM{Name: "openssl-libs", Version: "1.1.1g", Release: "12.el8_3", Epoch: "1", Source: "openssl"}
	rsyslog := RPM{Name: "rsyslog", Version: "8.24.0", Release: "57.0.2.el7_9.3"} // past the fix of x86_64, not that of aarch64
	arm := rsyslog
	arm.Arch = "aarch64"
	for _, c := range []struct {
		name  string
		files Files
		rpm   RPM
		id    string
		want  bool
	}{
		{"stream of the statement", rocky, abrt, "CVE-2019-8324", true},
		{"another stream", rocky, other, "CVE-2019-8324", false},
		{"no module", rocky, plain, "CVE-2019-8324", false},
		{"ksplice build", oracle, ksplice, "CVE-2021-3449", true},
		{"usual build", oracle, usual, "CVE-2021-3449", false},
		{"x86_64", RHELLike("ol", "Oracle Linux Server", "7.9"), rsyslog, "CVE-2022-24903", false},
		{"aarch64", RHELLike("ol", "Oracle Linux Server", "7.9"), arm, "CVE-2022-24903", true},
	} {
		s := scan(t, Layout(t, Layer(c.files, Gzip), Layer(Files{"var/lib/rpm/rpmdb.sqlite": {Data: RPMDatabase(t, c.rpm)}}, Gzip)), image.Options{})
		if r := m.Match(s); has(&r, c.id, c.rpm.Name) != c.want {
			t.Errorf("%s: %s of %s: want %v; gaps %+v", c.name, c.id, c.rpm.NEVRA(), c.want, r.Gaps)
		}
	}
	// A fix that only subscribers get is told as one, and is no fix for others.
	for pro, want := range map[string]string{"": "ESM", `{"attached":true,"services":[{"name":"esm-apps","status":"enabled"},{"name":"esm-infra","status":"enabled"}]}`: ""} {
		f := Ubuntu("20.04", "focal").Text("var/lib/dpkg/status", Status(Deb{"libnetty-java", "1:4.1.45-1", "netty", ""}))
		if pro != "" {
			f.Text("var/lib/ubuntu-advantage/status.json", pro)
		}
		r := m.Match(scan(t, Layout(t, Layer(f, Zstd)), image.Options{}))
		found := false
		for _, v := range r.Vulnerabilities {
			if v.ID == "CVE-2022-24823" {
				found = true
				if v.Subscription != want {
					t.Errorf("subscription %q, want %q", v.Subscription, want)
				}
			}
		}
		if !found {
			t.Errorf("Pro %q: CVE-2022-24823 is not found", pro)
		}
	}
}
