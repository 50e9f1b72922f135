package secdb

import (
	"os"
	"slices"
	"strings"
	"testing"

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
		{"alpine-3.10.yaml", 3, []string{
			"alpine 3.10 | openjdk7 src | CVE-2018-11212 CVE-2019-2422 CVE-2019-2426 | fixed <7.211.2.6.17-r0 |  ", // "CVE_2019-2426" in the file
		}},
		{"alpine-3.16.json", 2, []string{"alpine 3.16 | apache2 src | CVE-2018-11763 | fixed <2.4.35-r0 |  "}},
		{"wolfi.json", 64, []string{
			"wolfi | aactl src | CVE-2023-45283 CVE-2023-45284 | not-affected  |  ",
			"wolfi | aactl src | GHSA-rq3x-83w4-p28c | not-affected  | GHSA-rq3x-83w4-p28c ",
			"wolfi | aactl src | CVE-2024-41110 | fixed <0.4.12-r16 |  ",
		}},
		{"chainguard.json", 3, []string{"chainguard | bind src | CVE-2022-3094 CVE-2022-3736 CVE-2022-3924 | fixed <9.18.11-r0 |  "}},
	} {
		text := load(t, test.file)
		if !Reader.Knows("x/"+test.file, []byte(text[:min(len(text), 4096)])) {
			t.Errorf("%s is not known", test.file)
		}
		s, err := feedtest.Read(Reader, "x/"+test.file, text)
		lines := s.Lines()
		if err != nil || len(lines) != test.rows || len(s.Bad) > 0 || len(s.Refusals) > 0 {
			t.Errorf("%s: %d rows, %v %v %v", test.file, len(lines), err, s.Bad, s.Refusal())
		}
		for _, w := range test.want {
			if !slices.Contains(lines, w) {
				t.Errorf("%s: no row %q in\n%s", test.file, w, strings.Join(lines, "\n"))
			}
		}
	}
}

func TestOddities(t *testing.T) {
	db := func(packages string) string {
		return `{"distroversion": "v3.18", "reponame": "main", "urlprefix": "https://dl-cdn.alpinelinux.org/alpine", "packages": ` + packages + `}`
	}
	for text, want := range map[string]string{
		db(`{}`): "",
		db(`[{"pkg": {"name": "xen", "secfixes": {"4.13-r1": ["CVE-2019-18423 XSA-301", "XSA-302"]}}}]`): "alpine 3.18 | xen src | CVE-2019-18423 | fixed <4.13-r1 |  \nalpine 3.18 | xen src | XSA-302 | fixed <4.13-r1 | XSA-302 ",
		db(`[{"pkg": {"name": "a", "secfixes": {"1-r1": ["CVE-2017-2616 (+ regression fix)"]}}}]`):       "alpine 3.18 | a src | CVE-2017-2616 | fixed <1-r1 |  ",
		db(`[{"pkg": {"name": "a", "secfixes": {"1-r1": ["see the ticket"]}}}]`):                         "alpine-secdb: no id that is known: 1",
		db(`[{"pkg": {"name": "a", "secfixes": {"1-r1": {"x": "y"}}}}]`):                                 "alpine-secdb: no package name, or an entry of another shape: 1",
		`{"reponame": "os", "urlprefix": "https://packages.example.com", "packages": []}`:                "error: secdb: neither the branch nor the address tells whose repository it is",
	} {
		s, err := feedtest.Read(Reader, "x/y.json", text)
		got := strings.Join(append(s.Lines(), s.Refusal()...), "\n")
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", text, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a.json", load(f, "alpine-3.16.json"))
	f.Add("a.yaml", load(f, "alpine-3.10.yaml"))
	f.Add("a.yaml", "distroversion: edge\npackages: [{pkg: {name: a, secfixes: {0: [CVE-2020-0001]}}}, 7]\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		s, _ := feedtest.Read(Reader, name, text)
		for _, b := range s.Bad {
			if !strings.HasPrefix(b, "bad package name") { // Walk refuses these
				t.Error(b)
			}
		}
		Reader.Knows(name, []byte(text))
	})
}
