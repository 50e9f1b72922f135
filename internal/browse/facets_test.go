package browse_test

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// facetOf is the value of a row in a facet, "" when it is not counted, and the filter without that facet's own condition.
func facetOf(name string, f browse.Filter, r *ledger.Row) (string, browse.Filter) {
	switch name {
	case "kind":
		f.Kinds = nil
		return r.Kind.String(), f
	case "severity":
		f.Severities = nil
		return r.Severity.String(), f
	case "status":
		f.Statuses = ledger.Statuses
		return r.Status.String(), f
	case "target":
		f.Targets = nil
		return fmt.Sprint(r.TargetID), f
	case "namespace":
		f.Namespaces = nil
		return r.Namespace, f
	case "rule":
		f.Rule, f.CVE = "", ""
		return r.Rule, f
	case "package":
		f.Package = ""
		return r.Package, f
	case "fixable":
		f.Fixable = nil
		return fmt.Sprint(r.Fixable), f
	case "kev":
		f.KEV = nil
		return fmt.Sprint(r.KEV), f
	}
	f.Assignee = 0
	if r.AssigneeID == 0 {
		return "", f
	}
	return fmt.Sprint(r.AssigneeID), f
}

// TestFacets holds the counts of every facet to counts made simply: for each filter and for everybody.
func TestFacets(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, some := seed(t, db), 0
		people := map[string]identity.Visible{"everybody": everything}
		for _, who := range []string{"nobody", "two targets", "namespaces", "mixed"} {
			people[who] = scopes[who]
		}
		for name, f := range s.filters() {
			for who, v := range people {
				got, err := s.b.Facets(context.Background(), v, f, browse.FacetNames)
				if err != nil {
					t.Fatalf("%s of %s: %v", name, who, err)
				}
				for _, facet := range browse.FacetNames {
					some += s.facet(t, who+", "+name, facet, v, f, got[facet])
				}
			}
		}
		if some < 2000 {
			t.Errorf("%d values in all: too few to tell", some)
		}
	})
}

func (s *small) facet(t *testing.T, what, facet string, v identity.Visible, f browse.Filter, got []browse.Facet) int {
	t.Helper()
	want := map[string]int{}
	for i := range s.rows {
		if value, own := facetOf(facet, f, &s.rows[i]); value != "" && s.visible(v, &s.rows[i]) && s.matches(own, &s.rows[i]) {
			want[value]++
		}
	}
	if len(got) != min(len(want), 50) {
		t.Errorf("%s: %d values of %s, want %d", what, len(got), facet, len(want))
	}
	for _, x := range got {
		if x.Count != want[x.Value] || x.AtLeast {
			t.Errorf("%s: %s %s has %d (at least: %t), want %d", what, facet, x.Value, x.Count, x.AtLeast, want[x.Value])
		}
		if (facet == "target" || facet == "rule") && x.EN == "" {
			t.Errorf("%s: %s %s has no name", what, facet, x.Value)
		}
	}
	return len(want)
}

func TestFacetsInOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := seed(t, db)
		got, err := s.b.Facets(context.Background(), everything, browse.Filter{FirstSince: s.rows[0].FirstSeen.Add(-1e15)}, []string{"severity", "kind", "rule"})
		if err != nil {
			t.Fatal(err)
		}
		if first := got["severity"][0].Value; first != "critical" {
			t.Errorf("severities begin with %s", first)
		}
		if first := got["kind"][0].Value; first != "system-vulnerability" {
			t.Errorf("kinds begin with %s", first)
		}
		if !slices.IsSortedFunc(got["rule"], func(a, b browse.Facet) int { return cmp.Compare(b.Count, a.Count) }) {
			t.Error("rules do not begin with the most frequent")
		}
		if _, err := s.b.Facets(context.Background(), everything, browse.Filter{}, []string{"color"}); !errors.Is(err, browse.ErrFilter) {
			t.Errorf("a facet that there is not: %v", err)
		}
	})
}

// TestGrouped holds lists of risks and assets under any filter to groups made simply.
func TestGrouped(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, some := seed(t, db), 0
		people := map[string]identity.Visible{"everybody": everything, "mixed": scopes["mixed"]}
		for name, f := range s.filters() {
			for who, v := range people {
				some += s.groupedRisks(t, who+", "+name, v, f)
				for _, kind := range ledger.AssetKinds {
					some += s.groupedAssets(t, fmt.Sprint(who, ", ", name, ", ", kind), v, f, kind)
				}
			}
		}
		if some < 2000 {
			t.Errorf("%d groups in all: too few to tell", some)
		}
	})
}

func (s *small) groupedRisks(t *testing.T, what string, v identity.Visible, f browse.Filter) int {
	t.Helper()
	want := map[string]int{}
	for i := range s.rows {
		if r := &s.rows[i]; s.visible(v, r) && s.matches(f, r) {
			want[fmt.Sprint(r.Kind, r.Rule)]++
		}
	}
	for _, sort := range []string{"severity", "-rule"} {
		found, page := 0, store.Page{Limit: 40}
		for {
			list, next, total, err := s.b.RisksOf(context.Background(), v, f, sort, page)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if total.N != len(want) || total.AtLeast {
				t.Fatalf("%s: %+v risks, want %d", what, total, len(want))
			}
			for _, r := range list {
				if n := want[fmt.Sprint(r.Kind, r.Rule)]; r.Active != n {
					t.Errorf("%s: %s has %d, want %d", what, r.Rule, r.Active, n)
				}
			}
			if found += len(list); next == "" {
				break
			}
			page.After = next
		}
		if found != len(want) {
			t.Errorf("%s by %s: %d risks, want %d", what, sort, found, len(want))
		}
	}
	return len(want)
}

func (s *small) groupedAssets(t *testing.T, what string, v identity.Visible, f browse.Filter, kind ledger.AssetKind) int {
	t.Helper()
	want := map[int64]int{}
	for i := range s.rows {
		r := &s.rows[i]
		if !s.visible(v, r) || !s.matches(f, r) {
			continue
		}
		for id, a := range s.assets {
			if a.Kind != kind || a.TargetID != r.TargetID {
				continue
			}
			of := r.AssetID == id || kind == ledger.AssetCluster || slices.Contains(s.runs[id], r.AssetID) ||
				kind == ledger.AssetNamespace && (r.Namespace == a.Name || slices.Contains(s.uses[r.AssetID], fmt.Sprint(a.TargetID, "/", a.Name)))
			if of && s.seesAsset(v, id, a) {
				want[id]++
			}
		}
	}
	for _, sort := range []string{"score", "-cluster"} {
		found, page := map[int64]bool{}, store.Page{Limit: 40}
		for {
			list, next, total, err := s.b.AssetsOf(context.Background(), v, kind, f, sort, page)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if total.N != len(want) || total.AtLeast {
				t.Fatalf("%s: %+v assets, want %d", what, total, len(want))
			}
			for _, a := range list {
				if n := a.Critical + a.High + a.Medium + a.Low + a.Info; n != want[a.ID] || found[a.ID] {
					t.Errorf("%s: %s has %d, want %d; seen before: %t", what, a.Name, n, want[a.ID], found[a.ID])
				}
				found[a.ID] = true
			}
			if next == "" {
				break
			}
			page.After = next
		}
		if len(found) != len(want) {
			t.Errorf("%s by %s: %d assets, want %d", what, sort, len(found), len(want))
		}
	}
	return len(want)
}

func (s *small) seesAsset(v identity.Visible, id int64, a browse.Asset) bool {
	return v.Whole(a.TargetID) || slices.ContainsFunc(v.Namespaces[a.TargetID], func(ns string) bool {
		return a.Namespace == ns || slices.Contains(s.uses[id], fmt.Sprint(a.TargetID, "/", ns))
	})
}

// TestFingerprint finds one finding.
func TestFingerprint(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := seed(t, db), context.Background()
		r := s.rows[20]
		f := browse.Filter{Targets: []int64{r.TargetID}, Fingerprint: hex.EncodeToString(r.Fingerprint), Statuses: ledger.Statuses}
		for _, sort := range browse.Sorts {
			if got := s.walkOne(t, f, sort); got != r.ID {
				t.Errorf("by %s: finding %d, want %d", sort, got, r.ID)
			}
		}
		list, _, total, err := s.b.AssetsOf(ctx, everything, ledger.AssetCluster, f, "", store.Page{})
		if err != nil || total.N != 1 || list[0].TargetID != r.TargetID {
			t.Errorf("%d clusters: %v", total.N, err)
		}
		for _, bad := range []browse.Filter{{Fingerprint: f.Fingerprint}, {Fingerprint: "xyz", Targets: f.Targets}} {
			if _, err := s.b.Findings(ctx, everything, bad, "", store.Page{}); !errors.Is(err, browse.ErrFilter) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

func (s *small) walkOne(t *testing.T, f browse.Filter, sort string) int64 {
	t.Helper()
	l, err := s.b.Findings(context.Background(), everything, f, sort, store.Page{})
	if err != nil || len(l.Items) != 1 || l.Total.N != 1 {
		t.Errorf("by %s: %d findings of %d: %v", sort, len(l.Items), l.Total.N, err)
		return 0
	}
	return l.Items[0].ID
}

// TestWithImages selects what is in namespaces and what runs in them.
func TestWithImages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := seed(t, db), context.Background()
		f := browse.Filter{Targets: []int64{1, 3}, Namespaces: []string{"team-1", "team-2"}, WithImages: true}
		l, err := s.b.Findings(ctx, everything, f, "", store.Page{Limit: 200})
		if err != nil {
			t.Fatal(err)
		}
		want, plain := s.want(identity.Visible{Namespaces: map[int64][]string{1: f.Namespaces, 3: f.Namespaces}}, browse.Filter{}, "-priority"), f
		if l.Total.N != len(want) {
			t.Errorf("%d findings, want %d", l.Total.N, len(want))
		}
		plain.WithImages = false
		if fewer := s.want(everything, plain, "-priority"); len(fewer) >= len(want) {
			t.Errorf("%d without images, %d with", len(fewer), len(want))
		}
		f.Targets = nil
		if _, err := s.b.Findings(ctx, everything, f, "", store.Page{}); !errors.Is(err, browse.ErrFilter) {
			t.Errorf("no cluster: %v", err)
		}
	})
}
