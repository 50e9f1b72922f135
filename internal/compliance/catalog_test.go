package compliance

import (
	"slices"
	"testing"

	"stockade.dev/stockade/frameworks"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/rules"
)

// TestCatalog: every clause is found with the rules that name it, and what is not there is nil everywhere.
func TestCatalog(t *testing.T) {
	all, err := Load(frameworks.FS)
	if err != nil {
		t.Fatal(err)
	}
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	c := NewCatalog(all, lib)
	decided := 0
	for _, f := range c.Frameworks() {
		for i, clause := range f.Clauses {
			e := c.Entry(f.ID, clause.ID)
			if e == nil || e.Place != i+1 || e.Title != clause.Title {
				t.Fatalf("%s %s: %+v", f.ID, clause.ID, e)
			}
			for _, name := range e.RuleNames() {
				r := lib.Find(name)
				if r == nil || !slices.Contains(r.Compliance[f.ID], clause.ID) || !slices.Contains(c.Rules(), name) {
					t.Errorf("%s %s is said to be decided by %s", f.ID, clause.ID, name)
				}
				decided++
			}
		}
	}
	want := 0
	for _, r := range lib.For("cluster").Rules {
		want += len(r.Clauses())
	}
	if decided != want || decided < 300 {
		t.Errorf("%d pairs of clause and rule, want %d", decided, want)
	}
	if !slices.IsSorted(c.Rules()) || c.Framework("none") != nil || c.Entry("cis-1.12", "none") != nil || c.Entry("none", "1.1.1").RuleNames() != nil {
		t.Error("rules are not in order, or there is what is not there")
	}
	var none *Catalog
	if none.Framework("nsa") != nil || none.Entry("nsa", "etcd") != nil || none.Rules() != nil || none.Frameworks() != nil {
		t.Error("no catalog has something")
	}
}
