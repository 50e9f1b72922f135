package tracker

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

func contains(t *testing.T, lines []string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !slices.Contains(lines, w) {
			t.Errorf("no row %q in\n%s", w, strings.Join(lines, "\n"))
		}
	}
}

func TestJSON(t *testing.T) {
	text := load(t, "tracker.json")
	if !Reader.Knows("debian/data.json", []byte(text[:4096])) {
		t.Error("not known")
	}
	s, err := feedtest.Read(Reader, "debian/data.json", text)
	if err != nil || len(s.Rows) != 23 || s.Records["debian-tracker"] != 8 || len(s.Bad) > 0 {
		t.Errorf("%d rows of %v, %v %v", len(s.Rows), s.Records, err, s.Bad)
	}
	contains(t, append(s.Lines(), s.Refusal()...),
		"debian 11 | 389-ds-base src | CVE-2012-0833 | not-affected  |  low",
		"debian 11 | 389-ds-base src | CVE-2016-5416 | will-not-fix  |   | reason=ignored: Minor issue",
		"debian sid | 389-ds-base src | CVE-2016-5416 | affected  |  ",
		"debian 10 | chromium src | CVE-2022-0456 | end-of-life  |   | reason=end-of-life",
		"debian 10 | prototypejs src | CVE-2008-7220 | fixed <1.6.0.2-1 |  high",
		"debian-tracker: a record of another shape: 1",
	)
}

func TestStates(t *testing.T) {
	for release, want := range map[string]string{
		`"status": "open", "urgency": "low", "nodsa": "Minor issue", "nodsa_reason": "postponed"`: "deferred  |  low | reason=postponed: Minor issue",
		`"status": "open", "urgency": "medium**", "nodsa": "Minor issue", "nodsa_reason": ""`:     "deferred  |  medium | reason=Minor issue",
		`"status": "open", "urgency": "unimportant"`:                                              "will-not-fix  |  low | reason=unimportant",
		`"status": "undetermined", "urgency": "not yet assigned"`:                                 "under-investigation  |  ",
		`"status": "open", "urgency": "high"`:                                                     "affected  |  high",
		`"status": "resolved", "fixed_version": "5.6.1+really5.4.5-1", "urgency": "high"`:         "fixed <5.6.1+really5.4.5-1 |  high",
		`"status": "resolved", "fixed_version": "0", "urgency": "unimportant"`:                    "not-affected  |  low",
	} {
		text := `{"p": {"CVE-2024-0001": {"releases": {"bookworm": {` + release + `}}}}}`
		s, err := feedtest.Read(Reader, "debian/data.json", text)
		if err != nil || len(s.Rows) != 1 {
			t.Errorf("%s: %v %v", release, s.Refusal(), err)
			continue
		}
		if got := s.Lines()[0]; got != "debian 12 | p src | CVE-2024-0001 | "+want {
			t.Errorf("%s: %s, want %s", release, got, want)
		}
	}
}

func TestLists(t *testing.T) {
	for name, rows := range map[string]int{"DSA": 8, "DLA": 5, "DTSA": 4, "CVE": 4} {
		text := load(t, name+"/list")
		if !Lists.Knows("d/"+name+"/list", []byte(text[:min(len(text), 4096)])) || Reader.Knows("x", []byte(text)) {
			t.Errorf("%s is not known", name)
		}
		s, err := feedtest.Read(Lists, "d/"+name+"/list", text)
		if err != nil || len(s.Rows) != rows || len(s.Bad) > 0 {
			t.Errorf("%s: %d rows, %v %v", name, len(s.Rows), err, s.Bad)
		}
		switch name {
		case "DSA":
			contains(t, s.Lines(), "debian 11 | sox src | DSA-5356-2 | fixed <14.4.2+git20190427-2+deb11u2 | DSA-5356-2 ",
				"debian 11 | xen src | CVE-2022-23824 CVE-2022-42331 CVE-2022-42332 CVE-2022-42333 CVE-2022-42334 | fixed <4.14.5+94-ge49571868d-1 | DSA-5378-1 ")
			if s.Rows[0].Published != "2023-03-29T00:00:00Z" {
				t.Errorf("published %s", s.Rows[0].Published)
			}
		case "DTSA":
			contains(t, s.Lines(), "debian 4 | kismet src | CVE-2005-2626 CVE-2005-2627 | fixed <2005.08.R1-0.1etch1 | DTSA-1-1 high")
			if s.Rows[0].Published != "2005-08-26T00:00:00Z" {
				t.Errorf("published %s", s.Rows[0].Published)
			}
		case "CVE":
			contains(t, append(s.Lines(), s.Refusal()...), "debian 11 | putty src | CVE-2021-36367 | deferred  |   | reason=Minor issue",
				"debian sid | putty src | CVE-2021-36367 | fixed <0.75-3 |  low", "debian-cve: no CVE id yet: 4")
		}
	}
}

func TestMarks(t *testing.T) {
	for mark, want := range map[string]string{
		"<not-affected> (introduced later)": "not-affected  | DSA-1-1  | reason=introduced later",
		"<end-of-life> (not supported)":     "end-of-life  | DSA-1-1  | reason=not supported",
		"<unfixed>":                         "affected  | DSA-1-1 ",
		"<ignored> (too hard)":              "will-not-fix  | DSA-1-1  | reason=too hard",
		"<postponed>":                       "deferred  | DSA-1-1 ",
		"<undetermined>":                    "under-investigation  | DSA-1-1 ",
		"<removed>":                         "",
		"1:2.3-4 (bug #1; low)":             "fixed <1:2.3-4 | DSA-1-1 ",
	} {
		s, err := feedtest.Read(Lists, "DSA/list", "[01 Apr 2023] DSA-1-1 p - x\n\t{CVE-2024-0001}\n\t[buster] - p "+mark+"\n")
		got := strings.TrimPrefix(strings.Join(s.Lines(), "\n"), "debian 10 | p src | CVE-2024-0001 | ")
		if err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", mark, got, err, want)
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add(load(f, "tracker.json")[:3000])
	f.Add(`{"p": {"CVE-2024-0001": {"releases": {"sid": {"status": "open"}, "buzz": {}}}}, "q": {}}`)
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = feedtest.Read(Reader, "x.json", text)
		Reader.Knows("x", []byte(text))
	})
}

func FuzzLists(f *testing.F) {
	for _, n := range []string{"DSA", "DTSA", "CVE"} {
		f.Add(load(f, n+"/list"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, _ := feedtest.Read(Lists, "x/list", text)
		for _, b := range s.Bad {
			t.Error(b)
		}
	})
}
