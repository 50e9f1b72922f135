package exception

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// stored are the samples as rows: with a kind, a severity and a fingerprint each.
func stored(h *house) map[string]int64 {
	ids := map[string]int64{}
	all := samples()
	for i, name := range slices.Sorted(maps.Keys(all)) {
		f := all[name]
		f.Kind, f.Severity = finding.Configuration, finding.High
		if f.Vulnerability != nil {
			f.Kind = finding.Vulnerability
		}
		if f.Fingerprint == "" {
			f.Fingerprint = fmt.Sprintf("%032x", i+1)
		}
		if f.Resource.Node != "" {
			f.Resource.Labels = nil
		}
		ids[name] = h.add(h.eu, f)
	}
	return ids
}

// TestApplied: an approved exception accepts the same rows as a scan would suppress findings, by every way to them.
func TestApplied(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		ids := stored(h)
		all := samples()
		for i, s := range []Scope{
			{Fingerprint: all["deployment"].Fingerprint}, {Fingerprint: "00"}, {Rule: "workload/privileged-container"}, {Rule: "STK-W-0001"}, {Rule: "*/*"}, {Rule: "*"},
			{Rule: "STK-*"}, {CVE: "CVE-2021-44228"}, {CVE: "GHSA-jfh8-c2jp-5v3q"}, {CVE: "CVE-2099-1"}, {Package: "log4j-core"}, {Package: "log4j-core", Version: "2.1[45].*"},
			{PURL: "pkg:maven/org.apache.logging.log4j/log4j-core"}, {PURL: "pkg:maven/org.apache.logging.log4j/other"}, {Image: "*/till"}, {Image: "nginx"}, {Image: "docker.io/*"},
			{Digest: digestA}, {Rule: "*", Namespace: "shop"}, {Rule: "*", Namespace: "sh?p"}, {Rule: "*", Namespace: "bank"}, {Rule: "*", Kind: "Deployment"},
			{Rule: "*", Name: "till"}, {Rule: "*", Container: "web"}, {Rule: "*", File: "deploy/*"}, {Rule: "*", Node: "node-7"}, {Rule: "*", Labels: "team=shop"},
			{Rule: "*", Labels: "team=shop,tier=web"}, {CVE: "CVE-2021-44228", Image: "*/till", Namespace: "shop", Labels: "team"},
		} {
			draft := Draft{TargetID: []int64{0, h.eu}[i%2], Scope: s}
			effect, err := h.book.Preview(h.admin(), Request{Draft: draft})
			h.must(err)
			r := h.ask(Request{Draft: draft})
			if got, err := h.book.Get(context.Background(), identity.Visible{All: true}, r.ID); err != nil || got.Findings != effect.Findings {
				t.Errorf("%+v: the preview says %d, then it was %d, %v", s, effect.Findings, got.Findings, err)
			}
			set, err := New([]Exception{{Scope: s}})
			h.must(err)
			for name, id := range ids {
				want := int64(0)
				if _, ok := set.Match(all[name], h.eu, noon); ok || s.Fingerprint != "" && s.Fingerprint == all[name].Fingerprint {
					want = r.ID
				}
				if s.Labels != "" && name == "file" {
					continue // labels of this one were not kept
				}
				if got := h.by(id); got != want {
					t.Errorf("%+v: %s is accepted by %d, want %d", s, name, got, want)
				}
			}
			_, err = h.book.Cancel(h.admin(), r.ID, "", 0)
			h.must(err)
			for name, id := range ids {
				if h.by(id) != 0 {
					t.Errorf("%+v: %s did not reopen", s, name)
				}
			}
		}
		other := h.ask(Request{Draft: Draft{TargetID: h.us, Scope: Scope{Rule: "*"}}})
		for name, id := range ids {
			if h.by(id) != 0 {
				t.Errorf("exception %d of another cluster accepts %s", other.ID, name)
			}
		}
	})
}

// TestExpiry: an end by date, with a clock that jumps.
func TestExpiry(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		ids := stored(h)
		f := samples()["image"]
		r := h.ask(Request{Draft: Draft{Scope: Scope{CVE: f.Rule}}, Expires: "2026-11-22"})
		if h.by(ids["image"]) != r.ID {
			t.Fatal("not accepted at once")
		}
		if id, ok := h.book.Match(f, h.eu, h.now); !ok || id != r.ID {
			t.Fatal("a scan does not see it")
		}
		h.now = time.Date(2026, 11, 22, 23, 59, 59, 0, time.UTC)
		h.sweep()
		if h.by(ids["image"]) != r.ID || h.status(r.ID) != Approved {
			t.Error("ended before its last day was over")
		}
		h.now = h.now.Add(time.Second)
		if _, ok := h.book.Match(f, h.eu, h.now); ok {
			t.Error("matches after its end, before a sweep")
		}
		for range 3 { // again and again changes nothing more
			h.sweep()
			h.now = h.now.Add(time.Minute)
		}
		if h.by(ids["image"]) != 0 || h.status(r.ID) != Expired || h.row(ids["image"]).Cause != ledger.ExceptionEnded {
			t.Errorf("%+v", h.row(ids["image"]))
		}
		if m := h.messages("exception.ended"); len(m) != 1 || !strings.Contains(m[0], `"reopened":1`) || !strings.Contains(m[0], "expired") {
			t.Errorf("messages: %v", m)
		}
		for _, jump := range []time.Duration{-365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
			h.now = noon.Add(jump)
			h.sweep()
			h.open()
			if _, ok := h.book.Match(f, h.eu, noon); ok || h.by(ids["image"]) != 0 || h.status(r.ID) != Expired {
				t.Errorf("the clock went %v, and it came back", jump)
			}
		}
		n, err := db.R.NewSelect().Table("exceptions").Where("settled = ?", false).Count(context.Background())
		if err != nil || n != 0 {
			t.Errorf("%d are never settled, %v", n, err)
		}
	})
}

// TestHandOver: what another exception matches too is its own when one ends, and is not reopened in between.
func TestHandOver(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		ids := stored(h)
		short := h.ask(Request{Draft: Draft{Scope: Scope{Rule: "*/*"}}, Expires: "2026-11-22"})
		long := h.ask(Request{Draft: Draft{Scope: Scope{Rule: "workload/*"}}})
		if h.by(ids["deployment"]) != short.ID {
			t.Fatal("the first takes it")
		}
		h.now = h.now.AddDate(0, 0, 2)
		h.sweep()
		if h.by(ids["deployment"]) != long.ID || h.by(ids["node"]) != 0 {
			t.Errorf("deployment %d, node %d", h.by(ids["deployment"]), h.by(ids["node"]))
		}
		for _, x := range h.handled {
			if x.Action == ledger.Unaccept && slices.Contains(x.IDs, ids["deployment"]) {
				t.Error("it was reopened in between")
			}
		}
	})
}

// TestUntilFix: findings reopen one by one as fixes come; the exception ends with the last.
func TestUntilFix(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		var ids []int64
		for i, image := range []string{"registry.example.com/a:1", "registry.example.com/b:1"} {
			ids = append(ids, h.add(h.eu, &finding.Finding{Fingerprint: fmt.Sprintf("%032x", i), Kind: finding.Vulnerability, Rule: "CVE-2026-1", Severity: finding.High,
				Vulnerability: &finding.Vulnerable{ID: "CVE-2026-1", Package: "p", Type: "system"}, Resource: finding.Resource{Image: image}}))
		}
		r := h.ask(Request{Draft: Draft{Scope: Scope{CVE: "CVE-2026-1"}, UntilFix: true}})
		fixed := func(id int64) {
			h.must(db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.NewRaw("UPDATE findings SET fixable = ? WHERE id = ?", true, id).Exec(ctx)
				return err
			}))
			h.now = h.now.Add(time.Minute)
			h.sweep()
		}
		if h.by(ids[0]) != r.ID || h.by(ids[1]) != r.ID {
			t.Fatal("not accepted")
		}
		fixed(ids[0])
		if h.by(ids[0]) != 0 || h.by(ids[1]) != r.ID || h.status(r.ID) != Approved {
			t.Errorf("after the first fix: %d %d %s", h.by(ids[0]), h.by(ids[1]), h.status(r.ID))
		}
		fixed(ids[1])
		h.sweep()
		if h.by(ids[1]) != 0 || h.status(r.ID) != EndedByFix {
			t.Errorf("after the last fix: %d %s", h.by(ids[1]), h.status(r.ID))
		}
		if m := h.messages("exception.ended"); len(m) != 1 || !strings.Contains(m[0], `"reopened":2`) {
			t.Errorf("messages: %v", m)
		}
	})
}

// TestKilled: a sweep that is killed in the middle is gone on with, and nothing is done or told twice.
func TestKilled(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		const n = 3*chunk + 7
		h.must(db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
			for i := range n {
				if _, err := h.insert(ctx, tx, h.eu, &finding.Finding{Fingerprint: fmt.Sprintf("%032x", i), Kind: finding.Configuration, Rule: "a/b",
					Resource: finding.Resource{Kind: "Deployment", Namespace: "shop", Name: fmt.Sprint("d", i)}}); err != nil {
					return err
				}
			}
			return nil
		}))
		count := func() int64 {
			n, err := db.R.NewSelect().Table("findings").Where("status = ?", ledger.StatusAccepted).Count(context.Background())
			h.must(err)
			return n
		}
		killed := errors.New("killed")
		h.fail, h.left = killed, 2
		r := h.ask(Request{Draft: Draft{Scope: Scope{Rule: "a/b", Namespace: "shop"}}, Expires: "2026-11-22"})
		if count() != 2*chunk {
			t.Errorf("%d accepted before it was killed", count())
		}
		h.fail = nil
		h.open()
		h.sweep()
		if count() != n {
			t.Errorf("%d accepted, want %d", count(), n)
		}
		h.now = h.now.AddDate(0, 0, 2)
		h.fail, h.left = killed, 1
		if err := h.book.Sweep(context.Background(), h.now); !errors.Is(err, killed) {
			t.Errorf("a sweep that failed says %v", err)
		}
		if count() != n-chunk || h.status(r.ID) != Expired || len(h.messages("exception.ended")) != 0 {
			t.Errorf("%d accepted, %s, %v", count(), h.status(r.ID), h.messages("exception.ended"))
		}
		h.fail = nil
		for range 3 {
			h.open()
			h.sweep()
			h.now = h.now.Add(time.Minute)
		}
		if m := h.messages("exception.ended"); count() != 0 || len(m) != 1 || !strings.Contains(m[0], fmt.Sprintf(`"reopened":%d`, n)) {
			t.Errorf("%d accepted, %v", count(), m)
		}
		seen := map[int64]int{}
		for _, x := range h.handled {
			for _, id := range x.IDs {
				seen[id]++
			}
		}
		for id, times := range seen {
			if times != 2 {
				t.Fatalf("finding %d was changed %d times", id, times)
			}
		}
	})
}

// TestByHand: what people ignored stays ignored, and what was fixed meanwhile does not come back as accepted.
func TestByHand(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		ids := stored(h)
		set := func(id int64, state ledger.State, handling ledger.Handling) {
			h.must(db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.NewRaw("UPDATE findings SET state = ?, handling = ?, status = ? WHERE id = ?", state, handling, ledger.StatusOf(state, handling), id).Exec(ctx)
				return err
			}))
		}
		set(ids["file"], ledger.Open, ledger.Ignored)
		r := h.ask(Request{Draft: Draft{Scope: Scope{Rule: "workload/*"}}})
		if h.row(ids["file"]).Status != ledger.StatusIgnored || h.by(ids["deployment"]) != r.ID {
			t.Errorf("%+v", h.row(ids["file"]))
		}
		set(ids["deployment"], ledger.Fixed, ledger.Accepted)
		_, err := h.book.Cancel(h.approver(), r.ID, "no more", 0)
		h.must(err)
		if got := h.row(ids["deployment"]); got.Handling != ledger.Unhandled || got.Status != ledger.StatusFixed {
			t.Errorf("%+v", got)
		}
		if h.row(ids["file"]).Status != ledger.StatusIgnored {
			t.Error("what was ignored by hand was reopened")
		}
	})
}

// TestMoved: an image that another workload begins to run is not accepted any more when the scope names workloads.
func TestMoved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		ids := stored(h)
		r := h.ask(Request{Draft: Draft{TargetID: h.eu, Scope: Scope{CVE: "CVE-2021-44228", Labels: "team=shop"}}})
		if h.by(ids["image"]) != r.ID {
			t.Fatal("not accepted")
		}
		look := func(labels string) {
			h.now = h.now.Add(time.Hour)
			h.must(db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
				if _, err := tx.NewRaw("UPDATE assets SET labels = ? WHERE name = 'nightly'", labels).Exec(ctx); err != nil {
					return err
				}
				_, err := tx.NewRaw("UPDATE targets SET looked_at = ? WHERE id = ?", store.At(h.now), h.eu).Exec(ctx)
				return err
			}))
			h.sweep()
			h.sweep()
		}
		look(`{"team":"bank"}`)
		if h.by(ids["image"]) != 0 || h.status(r.ID) != Approved {
			t.Error("still accepted for a workload of another team")
		}
		look(`{"team":"shop"}`)
		if h.by(ids["image"]) != r.ID {
			t.Error("not accepted again")
		}
	})
}

// TestReports: what is unused and what ends soon is told, once.
func TestReports(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		stored(h)
		used := h.ask(Request{Draft: Draft{Scope: Scope{Rule: "workload/*"}}, Expires: "2027-03-31"})
		idle := h.ask(Request{Draft: Draft{TargetID: h.eu, Scope: Scope{Rule: "workload/other"}}, Expires: "2027-03-31"})
		list := func() (ids []int64) {
			l, _, err := h.book.List(context.Background(), identity.Visible{All: true}, Filter{Unused: true}, "", store.Page{})
			h.must(err)
			for _, r := range l {
				ids = append(ids, r.ID)
			}
			return ids
		}
		h.now = h.now.Add(time.Hour)
		h.sweep()
		if len(list()) != 0 {
			t.Errorf("unused before anybody looked: %v", list())
		}
		h.must(db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("UPDATE targets SET looked_at = ? WHERE id = ?", store.At(h.now), h.eu).Exec(ctx)
			return err
		}))
		h.sweep()
		if got := list(); !slices.Equal(got, []int64{idle.ID}) {
			t.Errorf("unused: %v", got)
		}
		h.now = time.Date(2027, 3, 25, 0, 0, 0, 0, time.UTC)
		h.sweep()
		h.sweep()
		if m := h.messages("exception.expiring"); len(m) != 2 || !strings.Contains(m[0], "2027-03-31") {
			t.Errorf("reminders: %v", m)
		}
		s, err := h.book.Summary(context.Background(), identity.Visible{All: true})
		h.must(err)
		if s.Status[Approved] != 2 || s.Unused != 1 || s.Soon != 2 {
			t.Errorf("%+v", s)
		}
		r, err := h.book.Get(context.Background(), identity.Visible{All: true}, used.ID)
		h.must(err)
		if r.Findings != 2 || r.UsedAt.IsZero() || r.Unused {
			t.Errorf("%+v", r)
		}
	})
}

// TestReplica: another server sees what was approved within the time of a poll.
func TestReplica(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		other, err := Open(context.Background(), db, nil, nil)
		h.must(err)
		f := samples()["deployment"]
		r := h.ask(Request{Draft: Draft{Scope: Scope{Rule: f.Rule}}})
		other.polled.Store(-int64(time.Hour)) // the last poll is long ago
		if id, ok := other.Match(f, h.us, h.now); !ok || id != r.ID {
			t.Errorf("%d %v", id, ok)
		}
		_, err = h.book.Cancel(h.admin(), r.ID, "", 0)
		h.must(err)
		other.polled.Store(-int64(time.Hour))
		if _, ok := other.Match(f, h.us, h.now); ok {
			t.Error("still matches")
		}
	})
}

// TestPart: a scan of some objects does not accept for all workloads that run an image.
func TestPart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		stored(h)
		h.ask(Request{Draft: Draft{TargetID: h.eu, Scope: Scope{CVE: "CVE-2021-44228", Labels: "tier=web"}}})
		part := samples()["image"]
		part.Resource.Workloads, part.Resource.Labels = part.Resource.Workloads[:1], part.Resource.Labels[:1]
		if id, ok := h.book.Match(part, h.eu, h.now); ok {
			t.Errorf("%d accepts it, though the CronJob is of another tier", id)
		}
		part.Resource.Image = "registry.example.com/shop/new:1"
		if _, ok := h.book.Match(part, h.eu, h.now); !ok {
			t.Error("an image that nothing else runs")
		}
		other := h.ask(Request{Draft: Draft{TargetID: h.eu, Scope: Scope{CVE: "CVE-2021-44228", Namespace: "shop"}}})
		part = samples()["image"]
		part.Resource.Workloads, part.Resource.Labels = part.Resource.Workloads[:1], part.Resource.Labels[:1]
		if id, ok := h.book.Match(part, h.eu, h.now); !ok || id != other.ID {
			t.Errorf("%d %v: another exception holds for both", id, ok)
		}
	})
}
