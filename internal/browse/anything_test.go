package browse_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/browse/browsetest"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// sees reports whether an asset is visible, simply.
func (s *small) sees(v identity.Visible, a browse.Asset) bool {
	if !s.targets[a.TargetID].RemovedAt.IsZero() {
		return false
	}
	if v.Whole(a.TargetID) {
		return true
	}
	return slices.ContainsFunc(v.Namespaces[a.TargetID], func(ns string) bool {
		return a.Namespace == ns || slices.Contains(s.uses[a.ID], fmt.Sprint(a.TargetID, "/", ns))
	})
}

// TestSearchForAnything shows everybody what is theirs, and all of it.
func TestSearchForAnything(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := seed(t, db), context.Background()
		who := map[string]identity.Visible{"everybody": everything}
		for name, v := range scopes {
			who[name] = v
		}
		for name, v := range who {
			for _, a := range s.assets {
				if a.ID%7 != 0 || !slices.Contains([]ledger.AssetKind{ledger.AssetWorkload, ledger.AssetImage, ledger.AssetNode, ledger.AssetNamespace}, a.Kind) {
					continue
				}
				found, err := s.b.Search(ctx, v, a.Name, 50)
				if err != nil {
					t.Fatal(err)
				}
				has := false
				for kind, list := range found.Assets {
					for _, x := range list {
						has = has || x.ID == a.ID
						if x.Kind != kind || !s.sees(v, s.assets[x.ID]) || x.Target != s.targets[x.TargetID].Name {
							t.Errorf("%s searches %q and gets %+v", name, a.Name, x)
						}
					}
				}
				if has != s.sees(v, a) {
					t.Errorf("%s searches %q: found %v, visible %v", name, a.Name, has, s.sees(v, a))
				}
			}
			s.searchRisks(t, name, v)
			s.searchTargets(t, name, v)
		}
		for _, q := range []string{"", " ", "-", "'", "\"", "%", "_", "* OR 1", "\x00", strings.Repeat("a ", 15), "日本", "CVE-", "CVE-%"} {
			if _, err := s.b.Search(ctx, everything, q, 5); err != nil {
				t.Errorf("%q: %v", q, err)
			}
		}
		if _, err := s.b.Search(ctx, everything, strings.Repeat("x", 5000), 5); err == nil {
			t.Error("a search of 5000 bytes is taken")
		}
	})
}

// searchRisks holds the vulnerabilities that are found, and their counts, to counts made simply.
func (s *small) searchRisks(t *testing.T, who string, v identity.Visible) {
	t.Helper()
	active, seen := map[string]int{}, map[string]bool{}
	var rules []string
	for i := range s.rows {
		r := &s.rows[i]
		if !slices.Contains(rules, r.Rule) {
			rules = append(rules, r.Rule)
		}
		if s.visible(v, r) {
			seen[r.Rule] = true
			if r.Status.Active() {
				active[r.Rule]++
			}
		}
	}
	got, err := s.b.ActiveOf(context.Background(), v, rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if got[r] != active[r] {
			t.Errorf("%s: %d active findings of %s, want %d", who, got[r], r, active[r])
		}
		if _, ok := got[r]; ok && !seen[r] {
			t.Errorf("%s learns of %s, of which nothing is visible", who, r)
		}
	}
	for _, q := range []string{"CVE-2019", "cve-2019-1", "CVE-2020-1002", "overflow", "溢出", "libnginx"} {
		found, err := s.b.Search(context.Background(), v, q, 50)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range found.Vulnerabilities {
			if !seen[x.Rule] || x.Active != active[x.Rule] || strings.HasPrefix(strings.ToUpper(q), "CVE") && !strings.HasPrefix(x.Rule, strings.ToUpper(q)) {
				t.Errorf("%s searches %q and gets %s with %d, want %d", who, q, x.Rule, x.Active, active[x.Rule])
			}
		}
		if strings.HasPrefix(q, "CVE-2020") {
			if has := len(found.Vulnerabilities) > 0; active[q] > 0 && !has {
				t.Errorf("%s does not find %s", who, q)
			}
		}
	}
}

func (s *small) searchTargets(t *testing.T, who string, v identity.Visible) {
	t.Helper()
	for _, x := range s.targets {
		found, err := s.b.Search(context.Background(), v, x.Name, 50)
		if err != nil {
			t.Fatal(err)
		}
		has := slices.ContainsFunc(append(found.Clusters, found.Projects...), func(y ledger.Target) bool { return y.ID == x.ID })
		if want := x.RemovedAt.IsZero() && (v.Whole(x.ID) || len(v.Namespaces[x.ID]) > 0); has != want {
			t.Errorf("%s searches %s: found %v, visible %v", who, x.Name, has, want)
		}
	}
}

func TestIsAdvisoryID(t *testing.T) {
	for id, want := range map[string]bool{"CVE-2021-44228": true, "CVE-2021-1": false, "CVE-2021": false, "GHSA-JFH8-C2JP-5V3Q": true, "NGINX-1": false, "": false, "CVE-2021-44228 X": false, "CVE-2021-" + strings.Repeat("1", 200): false} {
		if browse.IsAdvisoryID(id) != want {
			t.Errorf("%q: %v", id, !want)
		}
	}
}

// BenchmarkSearchForAnything measures the one search box on a million findings, as an administrator and as one who sees two
// namespaces.
func BenchmarkSearchForAnything(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			ctx := context.Background()
			db := storetest.Open(b, kind)
			if err := browsetest.Seed(ctx, db, browsetest.Large); err != nil {
				b.Fatal(err)
			}
			br := browse.New(db)
			br.SetClock(func() time.Time { return browsetest.Now })
			for who, v := range map[string]identity.Visible{"all": everything, "two namespaces": {Namespaces: map[int64][]string{3: {"team-1", "team-2"}}}} {
				for _, q := range []string{"nginx", "nginx-17", "redis app", "registry.example.com", "team", "node-4", "CVE-2021", "CVE-2021-1003", "overflow", "溢出", "cluster-0", "none-such"} {
					var worst, sum time.Duration
					for i := range 6 {
						begun := time.Now()
						if _, err := br.Search(ctx, v, q, 6); err != nil {
							b.Fatal(err)
						}
						if d := time.Since(begun); i > 0 { // the first one warms
							sum += d
							worst = max(worst, d)
						}
					}
					b.Logf("%-8s %-14s %-22s %6.1f ms, at worst %6.1f", kind, who, q, float64(sum.Microseconds())/5000, float64(worst.Microseconds())/1000)
				}
			}
		})
	}
}
