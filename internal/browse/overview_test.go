package browse_test

import (
	"context"
	"math"
	"testing"
	"time"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// valueOf is the formula of the score, written again: active findings by severity, exploited ones, blind targets, gaps.
func valueOf(severities [5]int, kev, blind, gaps, targets int) int {
	per := float64(max(1, targets))
	value := 100
	for _, x := range []struct {
		n           int
		limit, half float64
	}{{kev, 25, 1}, {severities[4], 30, 10}, {severities[3], 20, 50}, {severities[2], 5, 500}, {gaps, 5, 20}} {
		value -= int(math.Ceil(x.limit * (1 - 1/(1+float64(x.n)/per/x.half))))
	}
	return max(0, value-int(math.Ceil(15*float64(blind)/per)))
}

// TestSteps takes away what each step says, finding by finding, and computes the score again.
func TestSteps(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := seed(t, db)
		all := scopes
		all["everybody"] = everything
		kinds := map[string]int{}
		for who, v := range all {
			o, err := s.b.Overview(context.Background(), v, browse.OverviewFilter{Days: 30})
			if err != nil {
				t.Fatal(err)
			}
			gaps := 0
			for _, n := range o.Coverage.Gaps {
				gaps += n
			}
			blind := o.Coverage.Never + o.Coverage.Old
			last := math.MaxInt
			for _, step := range o.Steps {
				var severities [5]int
				kev, fixed, left, open := 0, 0, blind, gaps
				for i := range s.rows {
					r := &s.rows[i]
					if !r.Status.Active() || !s.visible(v, r) {
						continue
					}
					if step.Kind == "risk" && r.Rule == step.Filter["rule"] && r.Kind.String() == step.Filter["kind"] || step.Kind == "known-exploited" && r.KEV || step.Kind == "severity" && r.Severity.String() == step.Filter["severity"] {
						fixed++
						continue
					}
					if severities[r.Severity]++; r.KEV {
						kev++
					}
				}
				switch step.Kind {
				case "scan":
					left -= step.Count
				case "gaps":
					open -= step.Count
				default:
					if fixed != step.Count {
						t.Errorf("%s: %s %v counts %d findings, want %d", who, step.Kind, step.Filter, step.Count, fixed)
					}
				}
				kinds[step.Kind]++
				if want := valueOf(severities, kev, left, open, o.Coverage.Targets) - o.Score.Value; step.Gain != want || want <= 0 {
					t.Errorf("%s: %s %v raises the score by %d, want %d", who, step.Kind, step.Filter, step.Gain, want)
				}
				if step.Gain > last {
					t.Errorf("%s: the steps are not in order", who)
				}
				last = step.Gain
				if step.Title.EN == "" || step.Title.ZH == "" {
					t.Errorf("%s: a step without a title: %+v", who, step)
				}
			}
		}
		if kinds["risk"] == 0 || kinds["known-exploited"] == 0 {
			t.Errorf("steps of these kinds were seen: %v", kinds)
		}
	})
}

// TestRecent counts what is new and what is fixed, and holds summaries of clusters to their overviews.
func TestRecent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := seed(t, db), context.Background()
		since := s.b.Now().Add(-24 * time.Hour)
		for who, v := range scopes {
			o, err := s.b.Overview(ctx, v, browse.OverviewFilter{})
			if err != nil {
				t.Fatal(err)
			}
			fresh, fixed := map[string]int{}, 0
			for i := range s.rows {
				r := &s.rows[i]
				switch {
				case !s.visible(v, r):
				case r.Status.Active() && !r.FirstSeen.Before(since):
					fresh[r.Severity.String()]++
				case (r.Status == ledger.StatusFixed || r.Status == ledger.StatusGone) && !r.ChangedAt.Before(since):
					fixed++
				}
			}
			for severity, n := range fresh {
				if o.Recent.New[severity] != n {
					t.Errorf("%s: %d new %s, want %d", who, o.Recent.New[severity], severity, n)
				}
			}
			if o.Recent.Fixed != fixed || len(o.Recent.New) != len(fresh) {
				t.Errorf("%s: %d fixed and new %v, want %d and %v", who, o.Recent.Fixed, o.Recent.New, fixed, fresh)
			}
		}
		for who, v := range map[string]identity.Visible{"everybody": everything, "two targets": scopes["two targets"], "namespaces": scopes["namespaces"]} {
			sums, err := s.b.Summaries(ctx, v, []int64{1, 2, 3, 4, 5, 6})
			if err != nil {
				t.Fatal(err)
			}
			for id := int64(1); id <= 6; id++ {
				o, err := s.b.Overview(ctx, v, browse.OverviewFilter{Targets: []int64{id}})
				if err != nil {
					t.Fatal(err)
				}
				x := sums[id]
				if x == nil {
					if v.Sees(id) {
						t.Errorf("%s: nothing of %d", who, id)
					}
					continue
				}
				if x.Active != o.Active || x.KEV != o.KEV || x.Score != o.Score.Value || x.Whole != v.Whole(id) {
					t.Errorf("%s: %d sums up to %+v, its overview has %d active, %d exploited, score %d", who, id, x, o.Active, o.KEV, o.Score.Value)
				}
			}
		}
	})
}
