package match

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/inventory"
)

// The rows of the tables; the facts are the publishers' own.
func rpmRow(stream, name, id, fixed string, change ...func(*advisory.Row)) advisory.Row {
	r := advisory.Row{Feed: "vendor-csaf", Stream: stream, Package: name, IDs: []string{id}, Scheme: advisory.RPM}
	if fixed != "" {
		r.Ranges = []advisory.Range{{Fixed: fixed}}
	} else {
		r.State = advisory.Affected
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func scheme(s advisory.Scheme) func(*advisory.Row) { return func(r *advisory.Row) { r.Scheme = s } }
func binary(r *advisory.Row)                       { r.Binary = true }
func feed(f string) func(*advisory.Row)            { return func(r *advisory.Row) { r.Feed = f } }
func state(s advisory.State) func(*advisory.Row)   { return func(r *advisory.Row) { r.State = s } }
func module(m string) func(*advisory.Row)          { return func(r *advisory.Row) { r.Module = m } }
func subscription(s string) func(*advisory.Row)    { return func(r *advisory.Row) { r.Subscription = s } }
func cpe(c string) func(*advisory.Row)             { return func(r *advisory.Row) { r.CPE = c } }
func arches(a ...string) func(*advisory.Row)       { return func(r *advisory.Row) { r.Arches = a } }
func flavor(f string) func(*advisory.Row)          { return func(r *advisory.Row) { r.Flavor = f } }
func ranges(list ...advisory.Range) func(*advisory.Row) {
	return func(r *advisory.Row) { r.Ranges, r.State = list, advisory.Fixed }
}
func requires(list ...advisory.Requirement) func(*advisory.Row) {
	return func(r *advisory.Row) { r.Requires = list }
}

func rpm(name, version string, change ...func(*inventory.Package)) inventory.Package {
	p := inventory.Package{Type: inventory.RPM, Name: name, Version: version, Arch: "x86_64", Layer: -1}
	for _, c := range change {
		c(&p)
	}
	return p
}

func kind(t inventory.PackageType) func(*inventory.Package) {
	return func(p *inventory.Package) { p.Type, p.Arch = t, "" }
}
func source(name, version string) func(*inventory.Package) {
	return func(p *inventory.Package) { p.Source, p.SourceVersion = name, version }
}
func label(m string) func(*inventory.Package) { return func(p *inventory.Package) { p.Module = m } }
func owner(o string) func(*inventory.Package) { return func(p *inventory.Package) { p.Owner = o } }
func fixedIDs(f ...string) func(*inventory.Package) {
	return func(p *inventory.Package) { p.Fixed = f }
}
func cpes(c ...string) func(*inventory.Package) { return func(p *inventory.Package) { p.CPEs = c } }
func component(c string) func(*inventory.Package) {
	return func(p *inventory.Package) { p.Component = c }
}
func setting(k, v string) func(*inventory.Package) {
	return func(p *inventory.Package) {
		if p.Settings == nil {
			p.Settings = map[string]string{}
		}
		p.Settings[k] = v
	}
}

var (
	el8OS    = &inventory.OS{ID: "rhel", VersionID: "8.4", Release: "RHEL 8.4", Streams: []string{"redhat 8"}}
	debianOS = &inventory.OS{ID: "debian", VersionID: "12", Release: "Debian 12", Streams: []string{"debian 12"}}
	ubuntuOS = &inventory.OS{ID: "ubuntu", VersionID: "18.04", Release: "Ubuntu 18.04", Streams: []string{"ubuntu 18.04"}}
)

const runcModule = "container-tools:rhel8:8020020200507003530:0d58ad57"

// rules are the rules of matching, one by one. want and undecided list "package id fixed evidence state".
var rules = []struct {
	name      string
	os        *inventory.OS
	rows      []advisory.Row
	about     []advisory.Vulnerability
	packages  []inventory.Package
	inferred  []string
	want      []string
	closed    []string
	undecided []string
	note      string // in some note of the first match
	repos     map[string][]string
}{
	{
		name: "source row, epoch from the binary", os: el8OS,
		rows:     []advisory.Row{rpmRow("redhat 8", "openssl", "CVE-2022-0778", "1:1.1.1k-6.el8_5")},
		packages: []inventory.Package{rpm("openssl-libs", "1:1.1.1g-15.el8_3", source("openssl", "1.1.1g-15.el8_3")), rpm("openssl", "1:1.1.1k-6.el8_5")},
		want:     []string{"openssl-libs CVE-2022-0778 1:1.1.1k-6.el8_5 vendor fixed"},
	},
	{
		name: "source row, sub-packages with versions of their own say nothing of the epoch", os: el8OS,
		rows: []advisory.Row{rpmRow("redhat 8", "perl", "CVE-2020-10543", "4:5.26.3-417.el8_3")},
		packages: []inventory.Package{rpm("perl-Attribute-Handlers", "0.99-423.el8", source("perl", "5.26.3-423.el8")),
			rpm("perl-Devel-SelfStubber", "1.06-416.el8", source("perl", "5.26.3-416.el8"))},
		want: []string{"perl-Devel-SelfStubber CVE-2020-10543 5.26.3-417.el8_3 vendor fixed"},
	},
	{
		name: "binary row does not match by source", os: el8OS,
		rows:     []advisory.Row{rpmRow("redhat 8", "openssl", "CVE-2022-0778", "1:1.1.1k-6.el8_5", binary)},
		packages: []inventory.Package{rpm("openssl-libs", "1:1.1.1g-15.el8_3", source("openssl", "1.1.1g-15.el8_3"))},
	},
	{
		name: "source row of another source with the binary's name", os: debianOS,
		rows:     []advisory.Row{rpmRow("debian 12", "linux", "CVE-2024-1086", "6.1.76-1", scheme(advisory.Deb))},
		packages: []inventory.Package{rpm("linux", "5", kind(inventory.Deb), source("linux-signed", "6.1.1"))},
	},
	{
		name: "deb source version", os: debianOS,
		rows: []advisory.Row{rpmRow("debian 12", "glibc", "CVE-2023-4911", "2.36-9+deb12u3", scheme(advisory.Deb))},
		packages: []inventory.Package{rpm("libc6", "2.36-9+deb12u1", kind(inventory.Deb), source("glibc", "")),
			rpm("locales", "2.36-9+deb12u3", kind(inventory.Deb), source("glibc", ""))},
		want: []string{"libc6 CVE-2023-4911 2.36-9+deb12u3 vendor fixed"},
	},
	{
		name: "only these binaries", os: el8OS,
		rows:     []advisory.Row{rpmRow("redhat 8", "glibc", "CVE-2021-35942", "2.28-164.el8", func(r *advisory.Row) { r.Binaries = []string{"nscd"} })},
		packages: []inventory.Package{rpm("glibc", "2.28-151.el8"), rpm("nscd", "2.28-151.el8", source("glibc", ""))},
		want:     []string{"nscd CVE-2021-35942 2.28-164.el8 vendor fixed"},
	},
	{
		name: "architecture", os: el8OS,
		rows: []advisory.Row{rpmRow("redhat 8", "kernel", "CVE-2022-1055", "4.18.0-372.el8", arches("aarch64")),
			rpmRow("redhat 8", "kernel", "CVE-2022-0492", "4.18.0-372.el8", arches("amd64"))},
		packages: []inventory.Package{rpm("kernel", "4.18.0-305.el8")},
		want:     []string{"kernel CVE-2022-0492 4.18.0-372.el8 vendor fixed"},
	},
	{
		name: "module stream", os: el8OS,
		rows: []advisory.Row{
			rpmRow("redhat 8", "nodejs", "CVE-2021-22930", "1:12.22.5-1.module+el8.4.0+12242+af52a4c7", module("nodejs:12")),
			rpmRow("redhat 8", "nodejs", "CVE-2021-22930", "1:14.17.5-1.module+el8.4.0+12247+e2879e58", module("nodejs:14")),
			rpmRow("redhat 8", "nodejs", "CVE-2023-30581", "1:18.16.1-1.module+el8.8.0", module("nodejs:18"))},
		packages: []inventory.Package{rpm("nodejs", "1:12.22.3-2.module+el8.4.0+11732+c668cc9f", label("nodejs:12:8040020210708131418:522a0ee4"))},
		want:     []string{"nodejs CVE-2021-22930 1:12.22.5-1.module+el8.4.0+12242+af52a4c7 vendor fixed"},
	},
	{
		name: "modular package, feed without modules", os: &inventory.OS{Release: "AlmaLinux 8.4", Streams: []string{"almalinux 8"}},
		rows: []advisory.Row{
			rpmRow("almalinux 8", "nodejs", "CVE-2023-44487", "1:16.20.2-3.module_el8.8.0+3653+c77a731f", binary, module("?")),
			rpmRow("almalinux 8", "podman", "CVE-2021-20188", "1.0.0-8.git921f98f.module_el8.3.0+2044+12421f43", binary)},
		packages: []inventory.Package{rpm("nodejs", "1:10.24.0-1.module_el8.3.0+2047+b07ac28e", label("nodejs:10:1:2")), rpm("podman", "0.9-1.module_el8", label(runcModule)),
			rpm("runc", "1.0.0-1.el8")},
		undecided: []string{"nodejs CVE-2023-44487 " + ReasonModule, "podman CVE-2021-20188 " + ReasonModule},
	},
	{
		name: "package outside modules, rows of modules", os: el8OS,
		rows:     []advisory.Row{rpmRow("redhat 8", "perl", "CVE-2020-10543", "4:5.30.1-452.module+el8", module("perl:5.30")), rpmRow("redhat 8", "perl", "CVE-2020-10878", "4:5.30.1-452.module+el8", module("?"))},
		packages: []inventory.Package{rpm("perl", "4:5.26.3-416.el8")},
	},
	{
		name: "ksplice and fips compare with their own", os: &inventory.OS{Release: "Oracle Linux 8", Streams: []string{"oracle 8"}},
		rows: []advisory.Row{
			rpmRow("oracle 8", "openssl", "CVE-2021-3450", "2:1.1.1g-15.ksplice1.el8_3", binary, flavor("ksplice")),
			rpmRow("oracle 8", "gnutls", "CVE-2021-20231", "10:3.6.16-4.0.1.el8_fips", binary),
			rpmRow("oracle 8", "glibc", "CVE-2021-35942", "2.28-164.0.1.el8", binary)},
		packages: []inventory.Package{rpm("openssl", "1:1.1.1g-11.el8"), rpm("gnutls", "3.6.14-7.el8"), rpm("glibc", "2:2.28-151.ksplice1.el8")},
	},
	{
		name: "ksplice build, its own advisory", os: &inventory.OS{Release: "Oracle Linux 8", Streams: []string{"oracle 8"}},
		rows:     []advisory.Row{rpmRow("oracle 8", "openssl", "CVE-2021-3450", "2:1.1.1g-15.ksplice1.el8_3", binary, flavor("ksplice"))},
		packages: []inventory.Package{rpm("openssl", "2:1.1.1g-12.ksplice1.el8_3")},
		want:     []string{"openssl CVE-2021-3450 2:1.1.1g-15.ksplice1.el8_3 vendor fixed"},
	},
	{
		name: "content sets choose products", repos: map[string][]string{"rhel-8-for-x86_64-baseos-rpms": {"cpe:/o:redhat:enterprise_linux:8::baseos"}},
		os: &inventory.OS{Release: "RHEL 8.4", Streams: []string{"redhat 8"}, Contents: []string{"rhel-8-for-x86_64-baseos-rpms"}},
		rows: []advisory.Row{
			rpmRow("redhat 8", "openssl", "CVE-2021-3711", "1:1.1.1k-5.el8_5", cpe("cpe:/o:redhat:enterprise_linux:8::baseos")),
			rpmRow("redhat 8", "openssl", "CVE-2021-3712", "1:1.1.1k-5.el8_5", cpe("cpe:/o:redhat:rhel_eus:8.4::baseos")),
			rpmRow("redhat 8", "openssl", "CVE-2020-1971", "", cpe("cpe:/o:redhat:enterprise_linux:8"))},
		packages: []inventory.Package{rpm("openssl", "1:1.1.1g-15.el8_3")},
		want:     []string{"openssl CVE-2020-1971 - vendor affected", "openssl CVE-2021-3711 1:1.1.1k-5.el8_5 vendor fixed"},
	},
	{
		name: "layered product only where the release is silent", os: el8OS,
		rows: []advisory.Row{
			rpmRow("redhat 8", "podman", "CVE-2024-3727", "4:4.4.1-21.rhaos4.12.el8", cpe("cpe:/a:redhat:openshift:4.12::el8")),
			rpmRow("redhat 8", "podman", "CVE-2023-0778", "4:4.3.1-1.el8", cpe("cpe:/a:redhat:enterprise_linux:8::appstream")),
			rpmRow("redhat 8", "openshift-clients", "CVE-2024-24786", "4.12.0-202404.el8", cpe("cpe:/a:redhat:openshift:4.12::el8"))},
		packages: []inventory.Package{rpm("podman", "4:4.2.0-1.el8"), rpm("openshift-clients", "4.12.0-202301.el8")},
		want:     []string{"podman CVE-2023-0778 4:4.3.1-1.el8 vendor fixed", "openshift-clients CVE-2024-24786 4.12.0-202404.el8 vendor fixed"},
	},
	{
		name: "EUS fix of the installed branch counts", os: el8OS,
		rows: []advisory.Row{
			rpmRow("redhat 8", "openssl", "CVE-2022-0778", "1:1.1.1k-6.el8_5"),
			rpmRow("redhat 8", "openssl", "CVE-2022-0778", "1:1.1.1g-16.el8_4", subscription("EUS"))},
		packages: []inventory.Package{rpm("openssl", "1:1.1.1g-16.el8_4"), rpm("openssl", "1:1.1.1g-15.el8_4")},
		want:     []string{"openssl CVE-2022-0778 1:1.1.1k-6.el8_5 vendor fixed"},
	},
	{
		name: "ESM: the fix needs a subscription", os: ubuntuOS,
		rows: []advisory.Row{
			rpmRow("ubuntu 18.04", "openssl", "CVE-2023-2650", "", scheme(advisory.Deb)),
			rpmRow("ubuntu 18.04", "openssl", "CVE-2023-2650", "1.1.1-1ubuntu2.1~18.04.23+esm1", scheme(advisory.Deb), subscription("ESM"))},
		packages: []inventory.Package{rpm("openssl", "1.1.1-1ubuntu2.1~18.04.23", kind(inventory.Deb))},
		want:     []string{"openssl CVE-2023-2650 1.1.1-1ubuntu2.1~18.04.23+esm1 vendor fixed ESM"}, note: "needs a subscription: ESM",
	},
	{
		name: "ESM: attached", os: &inventory.OS{Release: "Ubuntu 18.04", Streams: []string{"ubuntu 18.04"}, Pro: []string{"esm-infra"}},
		rows:     []advisory.Row{rpmRow("ubuntu 18.04", "openssl", "CVE-2023-2650", "1.1.1-1ubuntu2.1~18.04.23+esm1", scheme(advisory.Deb), subscription("ESM"))},
		packages: []inventory.Package{rpm("openssl", "1.1.1-1ubuntu2.1~18.04.22", kind(inventory.Deb))},
		want:     []string{"openssl CVE-2023-2650 1.1.1-1ubuntu2.1~18.04.23+esm1 vendor fixed"},
	},
	{
		name: "lowest fixed version above the installed one", os: el8OS,
		rows: []advisory.Row{rpmRow("redhat 8", "expat", "CVE-2022-25235", "2.2.5-8.el8_5.3"), rpmRow("redhat 8", "expat", "CVE-2022-25235", "2.2.5-4.el8_5.3"),
			rpmRow("redhat 8", "expat", "CVE-2022-25235", "2.2.5-3.el8")},
		packages: []inventory.Package{rpm("expat", "2.2.5-4.el8")},
		want:     []string{"expat CVE-2022-25235 2.2.5-4.el8_5.3 vendor fixed"},
	},
	{
		name: "not affected wins over another feed's range", os: debianOS,
		rows: []advisory.Row{rpmRow("debian 12", "curl", "CVE-2023-42915", "", scheme(advisory.Deb), feed("vendor-osv")),
			rpmRow("debian 12", "curl", "CVE-2023-42915", "", scheme(advisory.Deb), feed("vendor-tracker"), state(advisory.NotAffected))},
		packages: []inventory.Package{rpm("curl", "7.88.1-10", kind(inventory.Deb))},
	},
	{
		name: "the same feed contradicts itself: the fix above the installed version holds", os: el8OS,
		rows:     []advisory.Row{rpmRow("redhat 8", "zlib", "CVE-2018-25032", "1.2.11-18.el8_5"), rpmRow("redhat 8", "zlib", "CVE-2018-25032", "", state(advisory.NotAffected))},
		packages: []inventory.Package{rpm("zlib", "1.2.11-16.el8")},
		want:     []string{"zlib CVE-2018-25032 1.2.11-18.el8_5 vendor fixed"}, note: "also says that the package is not affected",
	},
	{
		name: "no fix: the row that tells most", os: el8OS,
		rows: []advisory.Row{rpmRow("redhat 8", "libtiff", "CVE-2022-1056", "", feed("vendor-oval")), rpmRow("redhat 8", "libtiff", "CVE-2022-1056", "", state(advisory.Deferred), func(r *advisory.Row) {
			r.Reason, r.Severity = "Fix deferred", "low"
		})},
		packages: []inventory.Package{rpm("libtiff", "4.0.9-20.el8")},
		want:     []string{"libtiff CVE-2022-1056 - vendor deferred"},
	},
	{
		name: "later minor release: the earlier branch's fix holds", os: el8OS, // as the feed narrows them
		rows: []advisory.Row{rpmRow("redhat 8", "curl", "CVE-2023-38545", "7.76.1-23.el9_2.4"),
			rpmRow("redhat 8", "curl", "CVE-2023-38545", "", ranges(advisory.Range{Introduced: "7.76.1-24", Fixed: "7.76.1-26.el9_3.2"}))},
		packages: []inventory.Package{rpm("curl", "7.76.1-23.el9_2.4"), rpm("curl", "7.76.1-26.el9")},
		want:     []string{"curl CVE-2023-38545 7.76.1-26.el9_3.2 vendor fixed"},
	},
	{
		name: "apk origin", os: &inventory.OS{Release: "Alpine 3.18", Streams: []string{"alpine 3.18"}},
		rows:     []advisory.Row{rpmRow("alpine 3.18", "openssl", "CVE-2023-5363", "3.1.4-r0", scheme(advisory.APK)), rpmRow("alpine 3.18", "openssl", "CVE-2023-0466", "", scheme(advisory.APK), state(advisory.NotAffected))},
		packages: []inventory.Package{rpm("libcrypto3", "3.1.3-r0", kind(inventory.APK), source("openssl", "")), rpm("libssl3", "3.1.4-r0", kind(inventory.APK), source("openssl", ""))},
		want:     []string{"libcrypto3 CVE-2023-5363 3.1.4-r0 vendor fixed"},
	},
	{
		name: "an installed fix says more than a list without versions", os: el8OS,
		rows:     []advisory.Row{rpmRow("redhat 8", "zlib", "CVE-2018-25032", "1.2.11-18.el8_5", feed("vendor-oval")), rpmRow("redhat 8", "zlib", "CVE-2018-25032", "", feed("vendor-csaf"))},
		packages: []inventory.Package{rpm("zlib", "1.2.11-19.el8_6")},
	},
	{
		name: "will not fix", os: el8OS,
		rows:     []advisory.Row{rpmRow("redhat 8", "sqlite", "CVE-2019-9936", "", state(advisory.WillNotFix)), rpmRow("redhat 8", "sqlite", "CVE-2019-9937", "", state(advisory.NotAffected))},
		packages: []inventory.Package{rpm("sqlite", "3.26.0-13.el8")},
		want:     []string{"sqlite CVE-2019-9936 - vendor will-not-fix"},
	},
	{
		name: "changelog", os: el8OS,
		rows:     []advisory.Row{rpmRow("redhat 8", "openssl", "CVE-2022-0778", "1:1.1.1k-6.el8_5")},
		packages: []inventory.Package{rpm("openssl", "1:1.1.1g-99.custom", fixedIDs("CVE-2022-0778"))},
		closed:   []string{"openssl CVE-2022-0778 1:1.1.1k-6.el8_5 changelog fixed"}, note: "changelog",
	},
	{
		name:     "no advisory data, inferred",
		os:       &inventory.OS{Release: "EulerOS 2.0 SP9", Streams: []string{"euleros 2.0-SP9"}},
		rows:     []advisory.Row{rpmRow("openeuler 20.03-LTS", "openssl", "CVE-2021-3711", "1.1.1f-7.oe1"), rpmRow("openeuler 20.03-LTS", "curl", "CVE-2021-22947", "7.79.0-1.oe1"), rpmRow("openeuler 20.03-LTS", "zlib", "CVE-2018-25032", "")},
		packages: []inventory.Package{rpm("openssl", "1.1.1f-4.eulerosv2r9"), rpm("curl", "7.71.1-5.eulerosv2r9"), rpm("zlib", "1.2.11-17.eulerosv2r9")},
		inferred: []string{"openeuler 20.03-LTS"},
		want:     []string{"curl CVE-2021-22947 7.79.0 inferred fixed"}, note: "inferred from openeuler 20.03-LTS",
	},
	{
		name: "several branches of a library, ids unified",
		rows: []advisory.Row{
			rpmRow("maven", "org.apache.logging.log4j:log4j-core", "GHSA-jfh8-c2jp-5v3q", "", scheme(advisory.Maven),
				ranges(advisory.Range{Introduced: "2.13.0", Fixed: "2.15.0"}, advisory.Range{Introduced: "0", Fixed: "2.3.1"}, advisory.Range{Introduced: "2.4", Fixed: "2.12.2"}))},
		about:    []advisory.Vulnerability{{ID: "GHSA-jfh8-c2jp-5v3q", Aliases: []string{"CVE-2021-44228"}}},
		packages: []inventory.Package{rpm("org.apache.logging.log4j:log4j-core", "2.14.1", kind(inventory.Maven)), rpm("org.apache.logging.log4j:log4j-core", "2.12.2", kind(inventory.Maven)), rpm("org.apache.logging.log4j:log4j-core", "2.3", kind(inventory.Maven))},
		want:     []string{"org.apache.logging.log4j:log4j-core CVE-2021-44228 2.15.0 upstream fixed", "org.apache.logging.log4j:log4j-core CVE-2021-44228 2.3.1 upstream fixed"},
	},
	{
		name: "a branch without a fix is not closed by the fix of another",
		rows: []advisory.Row{rpmRow("maven", "a:b", "CVE-2020-1", "1.5", scheme(advisory.Maven)),
			rpmRow("maven", "a:b", "CVE-2020-1", "", scheme(advisory.Maven), ranges(advisory.Range{Introduced: "2.0"}))},
		packages: []inventory.Package{rpm("a:b", "2.1", kind(inventory.Maven))},
		want:     []string{"a:b CVE-2020-1 - upstream affected"},
	},
	{
		name: "two publishers, one vulnerability",
		rows: []advisory.Row{rpmRow("golang", "github.com/opencontainers/runc", "CVE-2024-21626", "1.1.12", scheme(advisory.GoModule), feed("go-osv")),
			rpmRow("golang", "github.com/opencontainers/runc", "GHSA-xr7r-f8xq-vfvv", "1.1.12", scheme(advisory.GoModule), feed("ghsa-osv"))},
		about:    []advisory.Vulnerability{{ID: "GHSA-xr7r-f8xq-vfvv", Aliases: []string{"CVE-2024-21626", "GO-2024-2491"}}},
		packages: []inventory.Package{rpm("github.com/opencontainers/runc", "v1.1.5", kind(inventory.Golang))},
		want:     []string{"github.com/opencontainers/runc CVE-2024-21626 1.1.12 upstream fixed"},
	},
	{
		name:     "PyPI names",
		rows:     []advisory.Row{rpmRow("pypi", "ruamel-yaml", "CVE-2019-20478", "", scheme(advisory.PEP440))},
		packages: []inventory.Package{rpm("Ruamel.YAML", "0.16.7", kind(inventory.PyPI))},
		want:     []string{"Ruamel.YAML CVE-2019-20478 - upstream affected"},
	},
	{
		name: "owned by a system package: the vendor's word holds", os: debianOS,
		rows: []advisory.Row{
			rpmRow("maven", "org.apache.commons:commons-text", "CVE-2022-42889", "1.10.0", scheme(advisory.Maven)),
			rpmRow("maven", "org.apache.commons:commons-text", "CVE-2099-1", "1.11.0", scheme(advisory.Maven)),
			rpmRow("debian 12", "commons-text", "CVE-2022-42889", "1.9-3", scheme(advisory.Deb))},
		packages: []inventory.Package{rpm("org.apache.commons:commons-text", "1.9", kind(inventory.Maven), owner("libcommons-text-java")),
			rpm("libcommons-text-java", "1.9-4", kind(inventory.Deb), source("commons-text", ""))},
		want: []string{"org.apache.commons:commons-text CVE-2099-1 1.11.0 upstream fixed"}, note: "belongs to the system package libcommons-text-java",
	},
	{
		name: "owned: not affected by the vendor", os: debianOS,
		rows: []advisory.Row{rpmRow("pypi", "urllib3", "CVE-2023-43804", "1.26.17", scheme(advisory.PEP440)),
			rpmRow("debian 12", "python-urllib3", "CVE-2023-43804", "", scheme(advisory.Deb), state(advisory.NotAffected))},
		packages: []inventory.Package{rpm("urllib3", "1.26.12", kind(inventory.PyPI), owner("python3-urllib3")), rpm("python3-urllib3", "1.26.12-1", kind(inventory.Deb), source("python-urllib3", ""))},
	},
	{
		name: "binary: components before CPE",
		rows: []advisory.Row{
			rpmRow("bitnami", "nginx", "CVE-2021-23017", "", scheme(advisory.SemVer), ranges(advisory.Range{Introduced: "0.6.18", Fixed: "1.20.1"})),
			rpmRow("cpe", "f5:nginx", "CVE-2021-23017", "", scheme(advisory.Loose), ranges(advisory.Range{Introduced: "0.6.18", Fixed: "1.20.9"}), cpe("cpe:2.3:a:f5:nginx:*:*:*:*:*:*:*:*")),
			rpmRow("cpe", "f5:nginx", "CVE-2009-3898", "", scheme(advisory.Loose), ranges(advisory.Range{LastAffected: "1.19"}), cpe("cpe:2.3:a:f5:nginx:*:*:*:*:*:*:*:*")),
			rpmRow("cpe", "f5:nginx", "CVE-2011-4963", "", scheme(advisory.Loose), cpe("cpe:2.3:a:f5:nginx:*:*:*:*:*:windows:*:*"))},
		packages: []inventory.Package{rpm("nginx", "1.18.0", kind(inventory.Generic), cpes("f5:nginx"))},
		want:     []string{"nginx CVE-2009-3898 - inferred affected", "nginx CVE-2021-23017 1.20.1 upstream fixed"},
	},
	{
		name:     "binary under its component's name",
		rows:     []advisory.Row{rpmRow("bitnami", "apache", "CVE-2021-41773", "", scheme(advisory.SemVer), ranges(advisory.Range{Introduced: "2.4.49", Fixed: "2.4.50"}))},
		packages: []inventory.Package{rpm("httpd", "2.4.49", kind(inventory.Generic), cpes("apache:http_server"))},
		want:     []string{"httpd CVE-2021-41773 2.4.50 upstream fixed"},
	},
	{
		name: "kubernetes binary: module first, component beside",
		rows: []advisory.Row{
			rpmRow("golang", "k8s.io/kubernetes", "CVE-2021-25741", "", scheme(advisory.GoModule), ranges(advisory.Range{Fixed: "1.19.15"}, advisory.Range{Introduced: "1.22.0", Fixed: "1.22.2"})),
			rpmRow("kubernetes", "kubelet", "CVE-2021-25741", "", scheme(advisory.SemVer), ranges(advisory.Range{Introduced: "1.22.0", Fixed: "1.22.1"})),
			rpmRow("kubernetes", "kubelet", "CVE-2023-2431", "1.24.14", scheme(advisory.SemVer)),
			rpmRow("kubernetes", "kube-proxy", "CVE-2023-9999", "1.24.14", scheme(advisory.SemVer)),
			rpmRow("golang", "stdlib", "CVE-2023-39325", "1.20.10", scheme(advisory.GoModule))},
		packages: []inventory.Package{rpm("k8s.io/kubernetes", "v1.22.1", kind(inventory.Golang), component("kubelet")), rpm("stdlib", "go1.16.8", kind(inventory.Golang))},
		want: []string{"k8s.io/kubernetes CVE-2021-25741 1.22.2 upstream fixed", "k8s.io/kubernetes CVE-2023-2431 1.24.14 upstream fixed",
			"stdlib CVE-2023-39325 1.20.10 upstream fixed"},
	},
	{
		name:     "running on: a foreign system",
		rows:     []advisory.Row{rpmRow("cpe", "oracle:jdk", "CVE-2020-0001", "", scheme(advisory.Loose), requires(advisory.Requirement{CPE: []string{"cpe:2.3:o:microsoft:windows:-:*:*:*:*:*:*:*"}}))},
		packages: []inventory.Package{rpm("jdk", "8u202", kind(inventory.Generic), cpes("oracle:jdk"))},
	},
	{
		name: "running on: present, absent and unknown",
		rows: []advisory.Row{
			rpmRow("cpe", "apache:tomcat", "CVE-2020-0002", "", scheme(advisory.Loose), requires(advisory.Requirement{CPE: []string{"cpe:2.3:a:oracle:jdk:*:*:*:*:*:*:*:*"}, Ranges: []advisory.Range{{Fixed: "8u300"}}})),
			rpmRow("cpe", "apache:tomcat", "CVE-2020-0003", "", scheme(advisory.Loose), requires(advisory.Requirement{CPE: []string{"cpe:2.3:a:oracle:jdk:*:*:*:*:*:*:*:*"}, Ranges: []advisory.Range{{Fixed: "8u100"}}})),
			rpmRow("cpe", "apache:tomcat", "CVE-2020-0004", "", scheme(advisory.Loose), requires(advisory.Requirement{CPE: []string{"cpe:2.3:o:linux:linux_kernel:-:*:*:*:*:*:*:*"}}))},
		os:       debianOS,
		packages: []inventory.Package{rpm("tomcat", "9.0.1", kind(inventory.Generic), cpes("apache:tomcat")), rpm("jdk", "8u202", kind(inventory.Generic), cpes("oracle:jdk"))},
		want:     []string{"tomcat CVE-2020-0002 - inferred affected", "tomcat CVE-2020-0004 - inferred affected"},
	},
	{
		name:     "running on: not known",
		rows:     []advisory.Row{rpmRow("cpe", "apache:tomcat", "CVE-2020-0005", "", scheme(advisory.Loose), requires(advisory.Requirement{CPE: []string{"cpe:2.3:a:netapp:oncommand:*:*:*:*:*:*:*:*"}}))},
		packages: []inventory.Package{rpm("tomcat", "9.0.1", kind(inventory.Generic), cpes("apache:tomcat"))},
		want:     []string{"tomcat CVE-2020-0005 - inferred affected"}, note: "holds only together with netapp:oncommand",
	},
	{
		name:     "versions without an order",
		rows:     []advisory.Row{rpmRow("npm", "ws", "CVE-2024-37890", "8.17.1", scheme(advisory.SemVer))},
		packages: []inventory.Package{rpm("ws", "latest", kind(inventory.NPM))}, undecided: []string{"ws CVE-2024-37890 " + ReasonVersion},
	},
}

func TestRules(t *testing.T) {
	for _, c := range rules {
		t.Run(c.name, func(t *testing.T) {
			db := newMemory(c.rows...)
			db.repositories = c.repos
			for _, v := range c.about {
				db.about[v.ID] = &v
			}
			s := &inventory.Software{Kind: "image", Name: "x", OS: c.os, Packages: c.packages}
			r := Match(db, s, Options{Inferred: c.inferred, Owned: true})
			var open, closed, undecided, notes []string
			for _, v := range r.Vulnerabilities {
				fixed := v.Fixed
				if fixed == "" {
					fixed = "-"
				}
				line := strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s %s", v.Package.Name, v.ID, fixed, v.Evidence, v.State, v.Subscription))
				if v.Open {
					open = append(open, line)
				} else {
					closed = append(closed, line)
				}
				for _, n := range v.Notes {
					if n.ZH == "" {
						t.Errorf("note %q has no Chinese", n.EN)
					}
					notes = append(notes, n.EN)
				}
				if strings.Contains(fmt.Sprint(*v.Row, v.Aliases), "#") {
					t.Errorf("the result holds a row's memory: %+v", *v.Row)
				}
			}
			for _, u := range r.Undecided {
				undecided = append(undecided, u.Package.Name+" "+u.ID+" "+u.Reason)
			}
			for _, x := range []struct {
				what      string
				got, want []string
			}{{"open", open, c.want}, {"closed", closed, c.closed}, {"undecided", undecided, c.undecided}} {
				if !slices.Equal(x.got, x.want) {
					t.Errorf("%s:\n got %q\nwant %q", x.what, x.got, x.want)
				}
			}
			if len(c.undecided) > 0 && !slices.ContainsFunc(r.Gaps, func(g inventory.Gap) bool { return strings.HasPrefix(g.Reason, "not decided") }) {
				t.Errorf("undecided but no gap: %v", r.Gaps)
			}
			if !strings.Contains(strings.Join(notes, "\n"), c.note) {
				t.Errorf("no note has %q: %q", c.note, notes)
			}
		})
	}
}

// FuzzCPE: names from feeds and images never break the judgement of products.
func FuzzCPE(f *testing.F) {
	f.Add("cpe:2.3:a:f5:nginx:*:*:*:*:*:windows:*:*", "cpe:/o:redhat:enterprise_linux:8::baseos")
	f.Add(`cpe:2.3:a:a\\:b:c\\`, "cpe:/")
	f.Add("", ":::::::::::::")
	f.Fuzz(func(t *testing.T, a, b string) {
		v := view{s: &inventory.Software{OS: &inventory.OS{CPE: b, VersionID: "8"}, Packages: []inventory.Package{{Name: "x", Version: a, CPEs: []string{b}}}}}
		v.present(a, nil)
		v.present(b, []advisory.Range{{Fixed: a}})
		here(a, &inventory.Package{})
		sys := system{products: []string{b}}
		if sys.product(b) != 1 && b != "" {
			t.Errorf("%q does not cover itself", b)
		}
		sys.product(a)
		(&system{}).product(a)
	})
}
