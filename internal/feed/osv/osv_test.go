package osv

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed/feedtest"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/rows.txt anew")

// TestRows holds the rows of real records of every publisher against testdata/rows.txt.
func TestRows(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d records, %v", len(files), err)
	}
	var out strings.Builder
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !Reader.Knows(name, data[:min(len(data), 4096)]) {
			t.Errorf("%s is not known", name)
		}
		s, err := feedtest.Read(Reader, "folder/"+filepath.Base(name), string(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, b := range s.Bad {
			t.Errorf("%s: %s", name, b)
		}
		out.WriteString("# " + strings.TrimSuffix(filepath.Base(name), ".json") + "\n")
		for _, l := range s.Lines() {
			out.WriteString(l + "\n")
		}
		for _, l := range s.Refusal() {
			out.WriteString("refused " + l + "\n")
		}
	}
	if *rewrite {
		if err := os.WriteFile("testdata/rows.txt", []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/rows.txt")
	if err != nil {
		t.Fatal(err)
	}
	got, expected := strings.Split(out.String(), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(expected)) {
		if i >= len(got) || i >= len(expected) || got[i] != expected[i] {
			t.Fatalf("line %d: %q, want %q", i+1, at(got, i), at(expected, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// one wraps an affected entry into a record.
func one(entry string) string {
	return `{"id": "X-1", "aliases": ["CVE-2024-0001"], "modified": "2024-01-01T00:00:00Z", "affected": [` + entry + `]}`
}

// TestQuirks has a line for each way in which records depart from the schema.
func TestQuirks(t *testing.T) {
	events := func(e string) string {
		return one(`{"package": {"ecosystem": "npm", "name": "p"}, "ranges": [{"type": "SEMVER", "events": [` + e + `]}]}`)
	}
	for _, test := range []struct{ name, record, want string }{
		{"pairs out of order", events(`{"introduced":"1.19.0"},{"fixed":"1.19.3"},{"introduced":"1.18.0"},{"fixed":"1.18.10"}`), "fixed >=1.19.0 <1.19.3 || >=1.18.0 <1.18.10"},
		{"starts before ends", events(`{"introduced":"0"},{"introduced":"2.0"},{"fixed":"1.4"},{"fixed":"2.10"}`), "fixed <1.4 || >=2.0 <2.10"},
		{"a branch within", events(`{"introduced":"0"},{"introduced":"4.0.1"},{"fixed":"4.0.5"},{"fixed":"3.0.21"}`), "fixed <3.0.21 || >=4.0.1 <4.0.5"},
		{"a fix twice", events(`{"introduced":"0"},{"fixed":"1.9"},{"fixed":"1.10"}`), "fixed <1.9"},
		{"end unknown", events(`{"introduced":"3"}`), "affected >=3"},
		{"last affected", events(`{"introduced":"0"},{"last_affected":"2.1"}`), "affected <=2.1"},
		{"empty fix", events(`{"introduced":"0"},{"fixed":""}`), "affected any"},
		{"nothing in it", events(`{"introduced":"0"},{"fixed":"0"}`), "nothing lies in its ranges"},
		{"ranges are an object", one(`{"package": {"ecosystem": "npm", "name": "p"}, "ranges": {"type": "SEMVER", "events": [{"introduced":"0"},{"fixed":"1"}]}}`), "fixed <1"},
		{"versions alone", one(`{"package": {"ecosystem": "npm", "name": "p"}, "versions": ["1.0", "1.1"]}`), "affected =1.0 || =1.1"},
		{"versions beside ranges", one(`{"package": {"ecosystem": "npm", "name": "p"}, "ranges": [{"type": "SEMVER", "events": [{"introduced":"2"}]}], "versions": ["1.0"]}`), "affected >=2 || =1.0"},
		{"a string where an object should be", one(`{"package": {"ecosystem": "npm", "name": "p"}, "versions": ["1"], "database_specific": "x", "ecosystem_specific": []}`), "affected =1"},
		{"nothing", one(`{"package": {"ecosystem": "npm", "name": "p"}}`), noVersions},
		{"commits", one(`{"package": {"ecosystem": "npm", "name": "p"}, "ranges": [{"type": "GIT", "events": [{"introduced":"0"}]}]}`), "ranges of commits only"},
		{"no name", one(`{"package": {"ecosystem": "npm", "name": ""}, "versions": ["1"]}`), "bad package name"},
		{"not matched", one(`{"package": {"ecosystem": "GitHub Actions", "name": "a/b"}, "versions": ["1"]}`), "nothing is matched for the ecosystem GitHub Actions"},
		{"not known", one(`{"package": {"ecosystem": "Nonesuch:1", "name": "p"}, "versions": ["1"]}`), "ecosystem is not known"},
		{"no release", one(`{"package": {"ecosystem": "Debian", "name": "p"}, "versions": ["1"]}`), "release or product without a stream"},
		{"too many ids", `{"id": "X-1", "modified": "2024-01-01T00:00:00Z", "summary": "x", "aliases": [` + strings.Repeat(`"CVE-2024-0001",`, 10_000) + `""]}`, "more than 10,000 ids and references"},
		{"list", "[" + events(`{"introduced":"3"}`) + "]", "affected >=3"},
		{"byte order mark", "\xef\xbb\xbf \n" + events(`{"introduced":"3"}`), "affected >=3"},
	} {
		s, err := feedtest.Read(Reader, "x/y.json", test.record)
		got := strings.Join(append(append(s.Lines(), s.Refusal()...), s.Bad...), "\n")
		if err != nil || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
		if head := []byte(test.record); !Reader.Knows("x/y.json", head[:min(4096, len(head))]) {
			t.Errorf("%s: not known", test.name)
		}
	}
}

// TestPlaces holds the spellings of ecosystems against streams.
func TestPlaces(t *testing.T) {
	for name, want := range map[string]string{
		"AlmaLinux:8": "almalinux 8", "Rocky Linux:9": "rocky 9", "openEuler:20.03-LTS-SP1": "openeuler 20.03-LTS-SP1",
		"openEuler:24.03-LTS": "openeuler 24.03-LTS", "Ubuntu:22.04:LTS": "ubuntu 22.04", "Ubuntu:24.10": "ubuntu 24.10",
		"Ubuntu:Pro:18.04:LTS": "ubuntu 18.04 ESM", "Ubuntu:Pro:FIPS-updates:20.04:LTS": "ubuntu 20.04 Pro fips",
		"Ubuntu:Pro:22.04:LTS:Realtime:Kernel": "ubuntu 22.04 Pro", "Ubuntu:22.04:LTS:for:NVIDIA:BlueField": "ubuntu 22.04",
		"SUSE:Linux Enterprise Server 15 SP2":                      "sles 15.2",
		"SUSE:Linux Enterprise Server 15 SP1-LTSS":                 "sles 15.1 LTSS",
		"SUSE:Linux Enterprise Module for Basesystem 15 SP4":       "sles 15.4",
		"SUSE:Linux Enterprise Server for SAP Applications 15 SP4": "sles 15.4 SAP",
		"openSUSE:Leap 15.6":                                       "opensuse 15.6",
		"openSUSE:Tumbleweed":                                      "opensuse tumbleweed",
		"Red Hat:enterprise_linux:8::baseos":                       "redhat 8 cpe:/o:redhat:enterprise_linux:8::baseos",
		"Red Hat:enterprise_linux:9::appstream":                    "redhat 9 cpe:/a:redhat:enterprise_linux:9::appstream",
		"Red Hat:rhel_eus:8.8::baseos":                             "redhat 8 EUS cpe:/o:redhat:rhel_eus:8.8::baseos",
		"Debian:12":                                                "debian 12", "Debian:6.0": "debian 6", "Alpine:v3.18": "alpine 3.18", "Alpine:edge": "alpine edge",
		"Wolfi": "wolfi", "Chainguard": "chainguard", "Azure Linux:3": "azurelinux 3.0", "Azure Linux:2": "mariner 2.0",
		"Photon OS:5.0": "photon 5.0", "Bitnami": "bitnami", "Kubernetes": "kubernetes", "kubernetes": "kubernetes", "Maven": "maven",
		"Maven:https://repo.example.com/maven": "maven", "npm": "npm", "PyPI": "pypi", "Go": "golang", "RubyGems": "gem",
		"crates.io": "cargo", "NuGet": "nuget", "Packagist": "composer",
		"Mageia:9": "", "Ubuntu:Pro": "", "Debian:": "", "Alpine": "", "AlmaLinux": "", "SUSE:Linux Enterprise Desktop 12": "",
		"Red Hat:openshift": "", "": "",
	} {
		_, p, reason := locate(name)
		got := strings.Join(strings.Fields(strings.Join(p.streams, ",")+" "+p.subscription+" "+p.flavor+" "+p.cpe), " ")
		if reason != "" {
			got = ""
		}
		if got != want {
			t.Errorf("%q: %q, want %q (%s)", name, got, want, reason)
		}
		for _, s := range p.streams {
			if reason == "" && !advisory.KnownStream(s) {
				t.Errorf("%q: stream %q", name, s)
			}
		}
	}
}

// TestTexts holds what is said of a vulnerability beside its rows.
func TestTexts(t *testing.T) {
	text := func(file string) advisory.Vulnerability {
		t.Helper()
		data, err := os.ReadFile("testdata/" + file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		s, err := feedtest.Read(Reader, "x/"+file+".json", string(data))
		if err != nil || len(s.Vulnerabilities) != 1 {
			t.Fatalf("%s: %v, %d texts", file, err, len(s.Vulnerabilities))
		}
		return s.Vulnerabilities[0]
	}
	if v := text("ghsa-log4shell"); v.ID != "CVE-2021-44228" || !slices.Equal(v.Aliases, []string{"GHSA-jfh8-c2jp-5v3q"}) ||
		v.Severity != "critical" || len(v.CVSS) == 0 || v.CVSS[0].Score != 10 || v.CVSS[0].Source != "ghsa" || v.Feed != "ghsa-osv" {
		t.Errorf("log4shell: %+v", v)
	}
	if v := text("almalinux-module"); !strings.HasPrefix(v.ID, "ALSA-") || v.Aliases != nil {
		t.Errorf("an advisory of many CVEs stands under its own id: %+v", v)
	}
	if v := text("ubuntu-cve"); v.ID != "CVE-2021-3782" || len(v.Aliases) != 0 || v.Severity != "medium" {
		t.Errorf("ubuntu: %+v", v)
	}
	if v := text("ubuntu-usn"); v.ID != "USN-5614-1" || v.Aliases != nil {
		t.Errorf("an advisory is not the CVE that it fixes: %+v", v)
	}
	if v := text("go-withdrawn"); v.Withdrawn == "" {
		t.Errorf("withdrawn: %+v", v)
	}
	data, _ := os.ReadFile("testdata/go-symbols.json")
	s, _ := feedtest.Read(Reader, "x/y.json", string(data))
	if len(s.Rows) == 0 || len(s.Rows[0].Symbols) == 0 || len(s.Rows[0].Symbols[0].Names) == 0 || s.Rows[0].Symbols[0].Import == "" {
		t.Errorf("symbols: %+v", s.Rows)
	}
}

// TestKnows tells records from what lies beside them.
func TestKnows(t *testing.T) {
	for _, other := range []string{
		`[{"id":"OESA-2021-1001","modified":"2021-01-21T11:02:32Z"}]`, `{}`, `[]`, ``, `{"id":1}`, `{"cve":{"id":"CVE-1"}}`,
		`{"id":"CVE-2020-1","sourceIdentifier":"x","published":"2020","lastModified":"2020"}`, `{"schema":"x","identifier":"y","item":{}}`,
		`{"schema_version":"1.2.0","generated_at":"2025","result":[]}`,
	} {
		if Reader.Knows("a.json", []byte(other)) {
			t.Errorf("%s is taken for a record", other)
		}
	}
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, name := range files {
		if data, err := os.ReadFile(name); err == nil && len(data) < 6000 {
			f.Add(string(data))
		}
	}
	f.Add(one(`{"package": {"ecosystem": "npm", "name": "p"}, "ranges": {"events": [{"fixed":"1"},{"introduced":"0"},{}]}}`))
	f.Fuzz(func(t *testing.T, text string) {
		s, _ := feedtest.Read(Reader, "x/y.json", text)
		for i := range s.Rows {
			if r := &s.Rows[i]; !advisory.KnownStream(r.Stream) || len(r.IDs) == 0 || len(r.Ranges)+len(r.Versions) == 0 {
				t.Errorf("%s", feedtest.Line(r))
			}
		}
		Reader.Knows("x/y.json", []byte(text))
	})
}
