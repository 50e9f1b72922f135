package rules_test

import (
	"context"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/frameworks"
	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/rules"
)

func library(t *testing.T) *rule.Library {
	t.Helper()
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// TestCases runs every good and bad case of every rule.
func TestCases(t *testing.T) {
	fsys := os.DirFS(".")
	for _, r := range library(t).Rules {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			if err := r.Compile(); err != nil {
				t.Fatal(err)
			}
			results, err := scan.RunCases(context.Background(), r, analyze.All, fsys)
			if err != nil {
				t.Fatal(err)
			}
			for _, res := range results {
				for _, p := range res.Problems {
					t.Errorf("%s: %s", res.File, p)
				}
			}
		})
	}
}

var (
	idForm = regexp.MustCompile(`^STK-([A-Z])-\d{4}$`)
	han    = regexp.MustCompile(`\p{Han}`)
	family = map[string]string{"workload": "W", "escape": "E", "access": "A", "network": "N", "secret": "S", "control-plane": "C",
		"node": "O", "image": "I", "dockerfile": "D"}
)

// TestComplete holds what the loader does not: the parts that make a rule worth its place.
func TestComplete(t *testing.T) {
	lib := library(t)
	if len(lib.Rules) < 200 {
		t.Errorf("%d rules: the library has to hold 200 or more", len(lib.Rules))
	}
	for _, r := range lib.Rules {
		bad := func(format string, args ...any) { t.Errorf(r.Name+": "+format, args...) }
		letter, known := family[path.Dir(r.Name)]
		if m := idForm.FindStringSubmatch(r.ID); m == nil || !known || m[1] != letter {
			bad("id %s: want STK-%s-0000 for family %s", r.ID, letter, path.Dir(r.Name))
		}
		if len(r.References) == 0 {
			bad("no references")
		}
		for _, ref := range r.References {
			if !strings.HasPrefix(ref, "https://") {
				bad("reference %s is no https link", ref)
			}
		}
		for name, zh := range map[string]string{"title": r.Title.ZH, "why": r.Why.ZH, "fix": r.Fix.ZH} {
			if !han.MatchString(zh) {
				bad("%s: the Chinese text has no Chinese", name)
			}
		}
		if len(r.Why.EN) < 40 || len(r.Fix.EN) < 15 {
			bad("why or fix is too short to help anyone")
		}
		if r.Analyzer != "" && !slices.ContainsFunc(analyze.All, func(a analyze.Analyzer) bool { return a.Name == r.Analyzer }) {
			bad("no analyzer is named %s", r.Analyzer)
		}
	}
}

// TestAnalyzersAreUsed finds analyzers that no rule names.
func TestAnalyzersAreUsed(t *testing.T) {
	lib := library(t)
	for _, a := range analyze.All {
		if !slices.ContainsFunc(lib.Rules, func(r *rule.Rule) bool { return r.Analyzer == a.Name }) {
			t.Errorf("no rule uses analyzer %s", a.Name)
		}
		if (a.Object == nil) == (a.Cluster == nil) {
			t.Errorf("analyzer %s: exactly one of Object and Cluster is needed", a.Name)
		}
	}
}

// TestClauses holds the rules' mappings and the frameworks' clauses together, both ways.
func TestClauses(t *testing.T) {
	all, err := compliance.Load(frameworks.FS)
	if err != nil {
		t.Fatal(err)
	}
	mapped := map[string]bool{}
	for _, r := range library(t).Rules {
		for _, c := range r.Clauses() {
			mapped[c.Framework+" "+c.Clause] = true
			i := slices.IndexFunc(all, func(f *compliance.Framework) bool { return f.ID == c.Framework })
			if i < 0 {
				t.Errorf("%s: no framework is named %s", r.Name, c.Framework)
				continue
			}
			if !slices.ContainsFunc(all[i].Clauses, func(v compliance.Clause) bool { return v.ID == c.Clause }) {
				t.Errorf("%s: %s has no clause %s", r.Name, c.Framework, c.Clause)
			}
		}
	}
	for _, f := range all {
		for _, c := range f.Clauses {
			if !han.MatchString(c.Title.ZH) || c.Title.EN == "" {
				t.Errorf("%s %s: the title needs both languages", f.ID, c.ID)
			}
			if c.Manual.EN == "" && !mapped[f.ID+" "+c.ID] {
				t.Errorf("%s %s: no rule decides it, so it needs a reason to be manual", f.ID, c.ID)
			}
		}
	}
}

// TestFolders finds folders that are no rule and files that belong to none.
func TestFolders(t *testing.T) {
	err := fs.WalkDir(os.DirFS("."), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		parts := strings.Split(p, "/")
		switch {
		case !d.IsDir() && len(parts) == 1 && strings.HasSuffix(p, ".go"):
		case !d.IsDir() && len(parts) == 3 && parts[2] == "rule.yaml":
		case !d.IsDir() && len(parts) == 4 && parts[2] == "cases":
		case !d.IsDir():
			t.Errorf("%s belongs to no rule", p)
		case len(parts) == 2:
			if _, err := os.Stat(path.Join(p, "rule.yaml")); err != nil {
				t.Errorf("%s has no rule.yaml", p)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
