package browse_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// scopes are who looks: what else than everything people may see.
var scopes = map[string]identity.Visible{
	"nobody":       {},
	"one target":   {Targets: []int64{2}},
	"two targets":  {Targets: []int64{2, 6}},
	"a namespace":  {Namespaces: map[int64][]string{3: {"team-1"}}},
	"namespaces":   {Namespaces: map[int64][]string{1: {"team-1", "kube-system"}, 4: {"team-2"}}},
	"mixed":        {Targets: []int64{5}, Namespaces: map[int64][]string{1: {"team-3"}}},
	"odd name":     {Namespaces: map[int64][]string{1: {"' OR 1=1 --"}}},
	"absent names": {Targets: []int64{404}},
}

// TestScopes shows everybody just what is theirs, in lists, single findings, risks and assets.
func TestScopes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := seed(t, db), context.Background()
		filters := s.filters()
		for who, v := range scopes {
			for _, name := range []string{"all", "target", "namespace", "severity", "kev", "q", "workload id", "space id", "any status", "rule"} {
				for _, sort := range []string{"-priority", "cluster", "-lastSeen", "namespace"} {
					want := s.want(v, filters[name], sort)
					if got := s.walk(t, v, filters[name], sort, 60); !slices.Equal(got, want) {
						t.Errorf("%s sees %d findings of %s by %s, want %d", who, len(got), name, sort, len(want))
					}
				}
			}
			for i := 0; i < len(s.rows); i += 23 {
				r := &s.rows[i]
				_, err := s.b.Finding(ctx, v, r.ID)
				if s.visible(v, r) && err != nil || !s.visible(v, r) && !errors.Is(err, store.ErrNotFound) {
					t.Errorf("%s and finding %d in %d/%s: %v", who, r.ID, r.TargetID, r.Namespace, err)
				}
			}
			s.risks(t, who, v)
			s.listAssets(t, who, v)
			s.overview(t, who, v)
		}
		s.risks(t, "everybody", everything)
		s.listAssets(t, "everybody", everything)
		s.overview(t, "everybody", everything)
	})
}

// risks holds the list of risks to counts made simply.
func (s *small) risks(t *testing.T, who string, v identity.Visible) {
	t.Helper()
	active, targets := map[string]int{}, map[string]map[int64]bool{}
	for i := range s.rows {
		r := &s.rows[i]
		if key := fmt.Sprint(r.Kind, " ", r.Rule); r.Status.Active() && s.visible(v, r) {
			active[key]++
			if targets[key] == nil {
				targets[key] = map[int64]bool{}
			}
			targets[key][r.TargetID] = true
		}
	}
	for _, sort := range browse.RiskSorts {
		for _, sort := range []string{sort, "-" + sort} {
			var all []browse.Risk
			page := store.Page{Limit: 17}
			for {
				list, next, total, err := s.b.Risks(context.Background(), v, browse.RiskFilter{}, sort, page)
				if err != nil {
					t.Fatal(err)
				}
				if total.N != len(active) {
					t.Fatalf("%s: %d risks in all, want %d", who, total.N, len(active))
				}
				if all = append(all, list...); next == "" {
					break
				}
				page.After = next
			}
			if len(all) != len(active) {
				t.Fatalf("%s by %s: %d risks, want %d", who, sort, len(all), len(active))
			}
			for _, r := range all {
				if key := fmt.Sprint(r.Kind, " ", r.Rule); r.Active != active[key] || r.Targets != len(targets[key]) || r.TitleEN == "" {
					t.Errorf("%s: %s has %d in %d, want %d in %d", who, key, r.Active, r.Targets, active[key], len(targets[key]))
				}
			}
			if !slices.IsSortedFunc(all, func(a, b browse.Risk) int {
				name, back := strings.CutPrefix(sort, "-")
				c := map[string]int{"severity": cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Active, a.Active)), "active": cmp.Compare(b.Active, a.Active), "rule": cmp.Compare(a.Rule, b.Rule),
					"kind": cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(b.Severity, a.Severity)), "targets": cmp.Compare(b.Targets, a.Targets)}[name]
				if back {
					return -c
				}
				return c
			}) {
				t.Errorf("%s: risks by %s are not in order", who, sort)
			}
		}
	}
}

// listAssets holds the lists of assets to what may be seen.
func (s *small) listAssets(t *testing.T, who string, v identity.Visible) {
	t.Helper()
	for _, kind := range ledger.AssetKinds {
		var want []int64
		for id, a := range s.assets {
			seen := v.Whole(a.TargetID)
			for _, ns := range v.Namespaces[a.TargetID] {
				seen = seen || a.Namespace == ns || slices.Contains(s.uses[id], fmt.Sprint(a.TargetID, "/", ns))
			}
			if a.Kind == kind && seen {
				want = append(want, id)
			}
		}
		slices.Sort(want)
		for _, sort := range append(slices.Clone(browse.AssetSorts), "-score", "-cluster", "-name") {
			var got []int64
			page := store.Page{Limit: 9}
			for {
				list, next, total, err := s.b.Assets(context.Background(), v, browse.AssetFilter{Kind: kind}, sort, page)
				if err != nil {
					t.Fatalf("%s, %s by %s: %v", who, kind, sort, err)
				}
				if total.N != len(want) {
					t.Errorf("%s: %d of kind %s, want %d", who, total.N, kind, len(want))
				}
				for _, a := range list {
					got = append(got, a.ID)
				}
				if next == "" {
					break
				}
				page.After = next
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s sees %d of kind %s by %s, want %d", who, len(got), kind, sort, len(want))
			}
		}
	}
}

func (s *small) overview(t *testing.T, who string, v identity.Visible) {
	t.Helper()
	o, err := s.b.Overview(context.Background(), v, browse.OverviewFilter{Days: 30})
	if err != nil {
		t.Fatal(err)
	}
	active, kev := 0, 0
	severities := map[ledger.Severity]int{}
	for i := range s.rows {
		if r := &s.rows[i]; r.Status.Active() && s.visible(v, r) {
			active++
			severities[r.Severity]++
			if r.KEV {
				kev++
			}
		}
	}
	if o.Active != active || o.KEV != kev {
		t.Errorf("%s: %d active and %d exploited, want %d and %d", who, o.Active, o.KEV, active, kev)
	}
	for sev, n := range severities {
		if o.Severities[sev] != n {
			t.Errorf("%s: %d %s, want %d", who, o.Severities[sev], sev, n)
		}
	}
	taken := 100 - o.Score.Value
	for _, d := range o.Score.Deductions {
		taken -= d.Points
	}
	if active > 0 && (taken != 0 || o.Score.Value >= 100 || o.Score.Value < 0) {
		t.Errorf("%s: the score is %+v", who, o.Score)
	}
	if len(v.Namespaces) == 0 && active > 0 {
		last := o.Trend[len(o.Trend)-1]
		if len(o.Trend) != 30 || last.Critical+last.High+last.Medium+last.Low+last.Info != active {
			t.Errorf("%s: the trend ends with %+v, %d are active", who, last, active)
		}
	}
}

// TestChangesBetweenPages changes findings while a list is read: those that stay as they are come once, all of them.
func TestChangesBetweenPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := seed(t, db), context.Background()
		touched := map[int64]bool{}
		for _, sort := range []string{"-priority", "rule", "-changedAt", "cluster", "lastSeen"} {
			want := s.want(everything, browse.Filter{}, sort)
			var got []int64
			page := store.Page{Limit: 100}
			for turn := 0; ; turn++ {
				l, err := s.b.Findings(ctx, everything, browse.Filter{}, sort, page)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range l.Items {
					got = append(got, r.ID)
				}
				if l.Next == "" {
					break
				}
				page.After = l.Next
				id := want[(turn*311)%len(want)]
				touched[id] = true
				err = db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
					_, err := tx.NewRaw("UPDATE findings SET priority = 99 - priority, rule = 'moved/' || rule, changed_at = changed_at + 5000000 WHERE id = ?", id).Exec(ctx)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			quiet := func(list []int64) []int64 {
				return slices.DeleteFunc(slices.Clone(list), func(id int64) bool { return touched[id] })
			}
			if !slices.Equal(quiet(got), quiet(want)) {
				t.Errorf("by %s: %d findings that did not change came, want %d", sort, len(quiet(got)), len(quiet(want)))
			}
			s.load(t)
		}
		if len(touched) < 30 {
			t.Errorf("only %d findings changed: too few to tell", len(touched))
		}
	})
}

// TestHostile asks with what people should not send: nothing breaks, and nothing is shown that should not be.
func TestHostile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := seed(t, db), context.Background()
		one := identity.Visible{Targets: []int64{2}}
		for _, q := range []string{`'`, `"`, `" OR "a`, `a* NEAR b`, `%`, `_`, `\`, "a\x00b", "\x01\x02", "'; DROP TABLE findings; --", `nginx' OR '1'='1`, "?", "??", "NOT", "AND", "col:x", "^a", "(", ")",
			"-nginx", "\xff\xfe", "nginx:*", "溢%出", strings.Repeat("a", 999), strings.Repeat("x ", 10)} {
			l, err := s.b.Findings(ctx, one, browse.Filter{Q: q}, "", store.Page{})
			if err != nil {
				t.Errorf("q %q: %v", q, err)
			}
			for _, r := range l.Items {
				if r.TargetID != 2 {
					t.Errorf("q %q shows finding %d of target %d", q, r.ID, r.TargetID)
				}
			}
			if _, _, _, err := s.b.Risks(ctx, one, browse.RiskFilter{Q: q}, "", store.Page{}); err != nil {
				t.Errorf("risks, q %q: %v", q, err)
			}
			if _, _, _, err := s.b.Assets(ctx, one, browse.AssetFilter{Kind: ledger.AssetImage, Q: q}, "", store.Page{}); err != nil {
				t.Errorf("assets, q %q: %v", q, err)
			}
			for _, f := range []browse.Filter{{Rule: q}, {Package: q}, {Image: q}, {Node: q}, {Workload: q}, {Digest: q}, {Namespaces: []string{q}}, {Framework: q, Clause: q}} {
				if l, err := s.b.Findings(ctx, everything, f, "", store.Page{}); err != nil && !errors.Is(err, browse.ErrFilter) || len(l.Items) > 0 && q != "NOT" {
					t.Errorf("%+v: %d findings, %v", f, len(l.Items), err)
				}
			}
		}
		for name, f := range map[string]browse.Filter{"10 kB": {Q: strings.Repeat("nginx ", 1700)}, "many words": {Q: "a b c d e f g h i j k l m n o p q r s t"}, "half a clause": {Framework: "cis"},
			"two rules": {Rule: "a", CVE: "b"}, "many targets": {Targets: make([]int64, 2000)}} {
			if _, err := s.b.Findings(ctx, everything, f, "", store.Page{}); !errors.Is(err, browse.ErrFilter) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := s.b.Findings(ctx, everything, browse.Filter{}, "id; DROP TABLE findings", store.Page{}); !errors.Is(err, browse.ErrFilter) {
			t.Errorf("a sort of one's own: %v", err)
		}
	})
}

// TestCursors refuses cursors that were not given out for the list.
func TestCursors(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := seed(t, db), context.Background()
		l, err := s.b.Findings(ctx, everything, browse.Filter{}, "rule", store.Page{Limit: 5})
		if err != nil {
			t.Fatal(err)
		}
		for name, after := range map[string]string{
			"another sort":      l.Next,
			"no base64":         "%%%",
			"no JSON":           "bm9wZQ",
			"too few":           store.Cursor("-priority", 5),
			"a text for a rank": store.Cursor("-priority", "5 OR 1=1", 7),
			"a list":            store.Cursor("-priority", []int{1}, 7),
			"long":              strings.Repeat("A", 100_000),
		} {
			if _, err := s.b.Findings(ctx, everything, browse.Filter{}, "-priority", store.Page{After: after}); !errors.Is(err, store.ErrCursor) {
				t.Errorf("%s: %v", name, err)
			}
			if _, _, _, err := s.b.Risks(ctx, everything, browse.RiskFilter{}, "severity", store.Page{After: after}); !errors.Is(err, store.ErrCursor) {
				t.Errorf("risks, %s: %v", name, err)
			}
			if _, _, _, err := s.b.Assets(ctx, everything, browse.AssetFilter{Kind: ledger.AssetImage}, "cluster", store.Page{After: after}); !errors.Is(err, store.ErrCursor) {
				t.Errorf("assets, %s: %v", name, err)
			}
		}
		// One of the list, with another user's place in it, shows this user's rows only.
		one := identity.Visible{Targets: []int64{2}}
		more, err := s.b.Findings(ctx, one, browse.Filter{}, "rule", store.Page{After: store.Cursor("rule", "' OR 1=1 --", 0)})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range more.Items {
			if r.TargetID != 2 {
				t.Errorf("finding %d of target %d", r.ID, r.TargetID)
			}
		}
	})
}

// TestRemoved hides what is of a removed target, from lists, totals and single reads.
func TestRemoved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := seed(t, db), context.Background()
		err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("UPDATE targets SET removed_at = 5 WHERE id = 3").Exec(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s.load(t)
		filters := s.filters()
		for _, name := range []string{"all", "kind", "rule", "namespace", "kev"} {
			for _, sort := range []string{"-priority", "cluster", "lastSeen"} {
				if got, want := s.walk(t, everything, filters[name], sort, 100), s.want(everything, filters[name], sort); !slices.Equal(got, want) {
					t.Errorf("%s by %s: %d, want %d", name, sort, len(got), len(want))
				}
			}
		}
		s.risks(t, "everybody", everything)
	})
}

// TestWhole opens findings and streams them.
func TestWhole(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := seed(t, db), context.Background()
		one, err := s.b.Finding(ctx, everything, s.rows[3].ID)
		if err != nil || one.Finding == nil || one.Finding.Title.ZH == "" || one.Target == "" {
			t.Fatalf("%+v, %v", one, err)
		}
		f := browse.Filter{Severities: []ledger.Severity{4, 3}, Statuses: ledger.Statuses}
		var got []int64
		err = s.b.Select(ctx, everything, f, "cluster", func(full *browse.Full) error {
			got = append(got, full.ID)
			if full.Finding.Rule != full.Rule {
				t.Errorf("finding %d is %s", full.ID, full.Finding.Rule)
			}
			return nil
		})
		if want := s.want(everything, f, "cluster"); err != nil || !slices.Equal(got, want) || len(got) <= 500 {
			t.Errorf("%d findings, want %d: %v", len(got), len(want), err)
		}
		stop := errors.New("enough")
		if err := s.b.Select(ctx, everything, f, "", func(*browse.Full) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("an error of the reader: %v", err)
		}
	})
}
