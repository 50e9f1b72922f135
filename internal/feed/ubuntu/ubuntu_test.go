package ubuntu

import (
	"os"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed/feedtest"
)

func load(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRead(t *testing.T) {
	for _, test := range []struct {
		file string
		rows int
		want []string
	}{
		{"cves.json", 11, []string{
			"ubuntu 22.04 | python-django src | CVE-2025-27556 | not-affected  |  medium | reason=windows specific",
			"ubuntu 24.10 | zabbix src | CVE-2024-45700 | under-investigation  |  medium",
		}},
		{"notices.json", 0, []string{"ubuntu-usn: no source package: 1"}},
		{"database-all.json", 14, []string{
			"ubuntu 18.04 | jinja2 src | CVE-2016-10745 CVE-2019-10906 | fixed <2.10-1ubuntu0.18.04.1 | USN-4011-1 ",
			"ubuntu 18.04 | linux-kvm src | CVE-2023-20593 CVE-2023-2269 CVE-2023-2985 CVE-2023-31084 CVE-2023-3611 CVE-2023-3776 | fixed <4.15.0-1144.149 | USN-6342-1  | for=ESM",
		}},
	} {
		text := load(t, test.file)
		if !Reader.Knows("u/"+test.file, []byte(text[:min(len(text), 4096)])) {
			t.Errorf("%s is not known", test.file)
		}
		s, err := feedtest.Read(Reader, "u/"+test.file, text)
		lines := append(s.Lines(), s.Refusal()...)
		if err != nil || len(s.Rows) != test.rows || len(s.Bad) > 0 {
			t.Errorf("%s: %d rows, %v %v", test.file, len(s.Rows), err, s.Bad)
		}
		for _, w := range test.want {
			if !slices.Contains(lines, w) {
				t.Errorf("%s: no %q in\n%s", test.file, w, strings.Join(lines, "\n"))
			}
		}
	}
}

func TestStatuses(t *testing.T) {
	for status, want := range map[string]string{
		`"status": "released", "description": "1.2-3ubuntu1", "pocket": "security"`:      "fixed <1.2-3ubuntu1 |  ",
		`"status": "released", "description": "1.2-3ubuntu1+esm2", "pocket": "security"`: "fixed <1.2-3ubuntu1+esm2 |   | for=ESM",
		`"status": "released", "description": "1.2-3", "pocket": "esm-infra"`:            "fixed <1.2-3 |   | for=ESM",
		`"status": "released", "description": "1.2-3+fips", "pocket": "fips-updates"`:    "fixed <1.2-3+fips |   | flavor=fips | for=Pro",
		`"status": "released", "description": ""`:                                        "affected  |  ",
		`"status": "needed"`:                                          "affected  |  ",
		`"status": "pending", "description": "2.0"`:                   "affected  |   | reason=2.0",
		`"status": "needs-triage"`:                                    "under-investigation  |  ",
		`"status": "deferred", "description": "2024-01-01"`:           "deferred  |   | reason=2024-01-01",
		`"status": "ignored", "description": "too intrusive"`:         "will-not-fix  |   | reason=too intrusive",
		`"status": "ignored", "description": "end of life"`:           "end-of-life  |   | reason=end of life",
		`"status": "not-affected", "description": "code not present"`: "not-affected  |   | reason=code not present",
		`"status": "DNE"`:                                             "",
	} {
		s, err := feedtest.Read(Reader, "u/x.json", `{"cves": [{"id": "CVE-2024-0001", "notices_ids": [], "packages": [{"name": "p", "statuses": [{"release_codename": "jammy", `+status+`}]}]}]}`)
		got := strings.TrimPrefix(strings.Join(s.Lines(), "\n"), "ubuntu 22.04 | p src | CVE-2024-0001 | ")
		if err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", status, got, err, want)
		}
	}
}

func TestNotice(t *testing.T) {
	s, err := feedtest.Read(Reader, "u/x.json", `{"notices": [{"id": "USN-9-1", "cves_ids": ["CVE-2024-0001"], "published": "2024-01-01T00:00:00", "release_packages": {
		"jammy": [{"is_source": true, "name": "p", "version": "1.0-1"}, {"is_source": false, "name": "libp1", "version": "1.0-1"}], "xenial": [{"is_source": true, "name": "p", "version": "0.9-1+esm1"}]}}]}`)
	want := "ubuntu 16.04 | p src | CVE-2024-0001 | fixed <0.9-1+esm1 | USN-9-1  | for=ESM\nubuntu 22.04 | p src | CVE-2024-0001 | fixed <1.0-1 | USN-9-1 "
	if got := strings.Join(s.Lines(), "\n"); err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

func TestCodenames(t *testing.T) {
	for code := range codenames {
		if stream, ok := Codename(code); ok && !advisory.KnownStream(stream) {
			t.Errorf("%s: stream %q", code, stream)
		}
	}
	if s, ok := Codename("jammy"); !ok || s != "ubuntu 22.04" {
		t.Errorf("jammy: %q", s)
	}
	if _, ok := Codename("warty"); ok {
		t.Error("4.10 has a stream")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(load(f, "cves.json"))
	f.Add(load(f, "notices.json"))
	f.Add(load(f, "database-all.json"))
	f.Fuzz(func(t *testing.T, text string) {
		s, _ := feedtest.Read(Reader, "u/x.json", text)
		for _, r := range s.Rows {
			if !advisory.KnownStream(r.Stream) || len(r.IDs) == 0 {
				t.Error(feedtest.Line(&r))
			}
		}
		Reader.Knows("x", []byte(text))
	})
}
