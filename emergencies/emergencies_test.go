package emergencies_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/emergencies"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/emergency/check"
	"stockade.dev/stockade/internal/emergency/emergencytest"
	"stockade.dev/stockade/internal/finding"
)

func list(t testing.TB) []*emergency.Emergency {
	t.Helper()
	list, err := emergency.Load(emergencies.FS)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// verdicts runs the cases of an emergency and returns what they show: that it is exposed, that it is affected by version only or fixed by a
// backport, and that it is not there. Of a danger of configuration no version decides: its middle is a component that is there without
// the danger.
func verdicts(t *testing.T, e *emergency.Emergency) (shown map[string]bool) {
	t.Helper()
	shown = map[string]bool{}
	files, err := fs.Glob(os.DirFS("."), e.ID+"/cases/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		c, err := emergencytest.Parse(data)
		if err != nil {
			t.Fatal(f, err)
		}
		results := emergency.Judge(t.Context(), []*emergency.Emergency{e}, c.Subject(), check.Classes)
		if len(results) != 1 {
			t.Errorf("%s: %d results", f, len(results))
			continue
		}
		r := results[0]
		if r.Verdict != c.Want {
			t.Errorf("%s: %s, want %s: %+v", f, r.Verdict, c.Want, r)
			continue
		}
		for _, text := range told(&r) {
			if !han.MatchString(text.ZH) || han.MatchString(text.EN) {
				t.Errorf("%s: said in one language: %+v", f, text)
			}
		}
		switch {
		case r.Verdict == emergency.Exposed:
			shown["exposed"] = true
		case r.Verdict == emergency.VersionOnly, r.Verdict == emergency.Backported, e.Configuration && r.Verdict == emergency.NotPresent && r.Component != "":
			shown["version only or fixed by backport"] = true
		case r.Verdict == emergency.NotPresent && r.Component == "":
			shown["not present"] = true
		}
		for _, found := range emergency.Findings([]*emergency.Emergency{e}, results, emergency.NodePlace("c", "n")) {
			if found.Message.ZH == "" || found.Emergency == nil || found.Fingerprint == "" {
				t.Errorf("%s: %+v", f, found)
			}
		}
		// What is kept of an image's files says the same as the files.
		if s, ok := c.Passed([]*emergency.Emergency{e}); ok {
			if got := emergency.Judge(t.Context(), []*emergency.Emergency{e}, s, check.Classes)[0]; got.Verdict != c.Want {
				t.Errorf("%s: by what is kept of its files: %s, want %s: %+v", f, got.Verdict, c.Want, got)
			}
		}
	}
	return shown
}

// told is everything that a result says.
func told(r *emergency.Result) []finding.Text {
	var out []finding.Text
	for i := range r.Checks {
		out = append(out, r.Checks[i].Said())
	}
	for _, text := range []finding.Text{r.Note, r.Unread()} {
		if text != (finding.Text{}) {
			out = append(out, text)
		}
	}
	return out
}

// needed are the verdicts that every emergency has a case of.
var needed = []string{"exposed", "version only or fixed by backport", "not present"}

func lacking(shown map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(needed), func(v string) bool { return shown[v] })
}

// TestCases runs every case of every emergency, and fails for one that lacks a case of the verdicts needed.
func TestCases(t *testing.T) {
	all := list(t)
	if len(all) < 60 {
		t.Errorf("only %d emergencies", len(all))
	}
	for _, e := range all {
		t.Run(e.ID, func(t *testing.T) {
			if less := lacking(verdicts(t, e)); len(less) > 0 {
				t.Errorf("%s has no case that is: %s", e.ID, strings.Join(less, ", "))
			}
		})
	}
}

// TestCasesCanFail: an emergency without one of its cases is noticed.
func TestCasesCanFail(t *testing.T) {
	for _, v := range needed {
		shown := map[string]bool{}
		for _, other := range needed {
			shown[other] = other != v
		}
		if less := lacking(shown); len(less) != 1 || less[0] != v {
			t.Errorf("without %s: %v", v, less)
		}
	}
	if less := lacking(map[string]bool{}); len(less) != len(needed) {
		t.Errorf("without cases: %v", less)
	}
}

var han = regexp.MustCompile(`\p{Han}`)

// TestTexts holds the texts to both languages.
func TestTexts(t *testing.T) {
	for _, e := range list(t) {
		texts := map[string]finding.Text{"title": e.Title, "what": e.What, "fix": e.Fix}
		if e.Traps.EN != "" {
			texts["traps"] = e.Traps
		}
		for _, s := range slices.Concat(e.Preconditions, e.Proofs) {
			texts[s.Check] = s.Says
		}
		for name, text := range texts {
			if !han.MatchString(text.ZH) || han.MatchString(text.EN) {
				t.Errorf("%s: %s: %q, %q", e.ID, name, text.EN, text.ZH)
			}
		}
		if strings.HasSuffix(e.Title.EN, ".") || !strings.HasSuffix(e.What.EN, ".") {
			t.Errorf("%s: titles end without a stop, sentences with one", e.ID)
		}
	}
}

// TestFolders: nothing lies beside the list that is not part of it.
func TestFolders(t *testing.T) {
	known := map[string]bool{}
	for _, e := range list(t) {
		known[e.ID] = true
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !known[path.Base(e.Name())] {
			t.Errorf("%s is not in the list", e.Name())
		}
	}
	for _, left := range []string{"CVE-2021-25742", "CVE-2020-14386", "CVE-2023-2640", "CVE-2019-16097", "CVE-2024-22278"} {
		if known[left] || !strings.Contains(string(readme), left) {
			t.Errorf("%s: what was left out stands in README.md with its reason", left)
		}
	}
}
