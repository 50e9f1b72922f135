package analyze_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
)

// library reads the rules that an analyzer stands behind.
func library(t *testing.T) []*rule.Rule {
	t.Helper()
	lib, err := rule.Load(os.DirFS("../../rules"))
	if lib == nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(lib.Rules, func(r *rule.Rule) bool { return r.Analyzer == "" })
}

// TestEveryAnalyzerHasARule also finds rules that name an analyzer which is not there.
func TestEveryAnalyzerHasARule(t *testing.T) {
	named := map[string]int{}
	for _, r := range library(t) {
		named[r.Analyzer]++
	}
	for _, a := range analyze.All {
		if named[a.Name] == 0 {
			t.Errorf("no rule names the analyzer %s", a.Name)
		}
		if (a.Object == nil) == (a.Cluster == nil) || (a.Object != nil) != (len(a.Kinds) > 0) {
			t.Errorf("analyzer %s: want Object with Kinds, or Cluster", a.Name)
		}
		delete(named, a.Name)
	}
	for name := range named {
		t.Errorf("there is no analyzer %s", name)
	}
}

// TestCases runs the cases of the rules that stand on analyzers.
func TestCases(t *testing.T) {
	for _, r := range library(t) {
		t.Run(r.Name, func(t *testing.T) {
			results, err := scan.RunCases(t.Context(), r, analyze.All, os.DirFS("../../rules"))
			if err != nil {
				t.Fatal(err)
			}
			for _, res := range results {
				if len(res.Problems) > 0 {
					t.Errorf("%s:\n  %s", res.File, strings.Join(res.Problems, "\n  "))
				}
			}
		})
	}
}
