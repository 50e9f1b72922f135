package triage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// world is a cluster that changes at random.
type world struct {
	r         *rand.Rand
	target    int64
	workloads map[string]finding.ImageRef // "ns/name" -> image
	rules     map[string]finding.Severity // "ns/name/rule"
	bugs      map[string]finding.Severity // "repo/pkg"
}

func newWorld(r *rand.Rand, target int64) *world {
	w := &world{r: r, target: target, workloads: map[string]finding.ImageRef{}, rules: map[string]finding.Severity{}, bugs: map[string]finding.Severity{}}
	for range 12 {
		w.mutate()
	}
	return w
}

func (w *world) mutate() {
	name := fmt.Sprintf("ns%d/w%d", w.r.IntN(3), w.r.IntN(4))
	severity := finding.Severities[w.r.IntN(5)]
	repo := fmt.Sprintf("registry.example.com/app%d", w.r.IntN(3))
	switch w.r.IntN(6) {
	case 0, 1:
		v := w.r.IntN(2)
		w.workloads[name] = finding.ImageRef{Reference: fmt.Sprintf("%s:v%d", repo, v), Digest: fmt.Sprintf("sha256:%s%d", repo[len(repo)-1:], v)}
	case 2:
		delete(w.workloads, name)
	case 3:
		w.rules[fmt.Sprintf("%s/r%d", name, w.r.IntN(3))] = severity
	case 4:
		w.bugs[fmt.Sprintf("%s/p%d", repo, w.r.IntN(4))] = severity
	case 5:
		for k := range w.rules {
			delete(w.rules, k)
			break
		}
	}
}

// look reports the world, all of it or one workload.
func (w *world) look(only string) look {
	l := look{run: Run{Target: w.target}, assets: []finding.Asset{{Kind: "cluster", Name: "c"}}}
	images := map[finding.ImageRef]bool{}
	for name, image := range w.workloads {
		if only != "" && only != name {
			continue
		}
		var ns, n string
		_, _ = fmt.Sscanf(name, "%3s/%s", &ns, &n)
		l.assets = append(l.assets, deployment(ns, n, image))
		images[image] = true
		for i := range 3 {
			if s, ok := w.rules[fmt.Sprintf("%s/r%d", name, i)]; ok {
				l.found = append(l.found, misconfigured(ns, n, fmt.Sprint("r", i), s))
			}
		}
	}
	for i := range 3 {
		l.assets = append(l.assets, finding.Asset{Kind: "namespace", Name: fmt.Sprint("ns", i)})
	}
	for image := range images {
		l.assets = append(l.assets, imageAsset(image.Reference, image.Digest))
		repo, tag := inventory.SplitReference(image.Reference)
		for i := range 4 {
			if s, ok := w.bugs[fmt.Sprintf("%s/p%d", repo, i)]; ok {
				l.found = append(l.found, vulnerable(repo, tag, image.Digest, fmt.Sprint("p", i), fmt.Sprint("CVE-2026-", i), s))
			}
		}
	}
	w.r.Shuffle(len(l.found), func(i, j int) { l.found[i], l.found[j] = l.found[j], l.found[i] })
	if only != "" {
		var ref inventory.Ref
		_, _ = fmt.Sscanf(only, "%3s/%s", &ref.Namespace, &ref.Name)
		ref.APIVersion, ref.Kind = "apps/v1", "Deployment"
		l.run.Kind, l.run.Refs = Watch, []inventory.Ref{ref}
	}
	return l
}

// TestCounters: after any sequence of runs, breaks, handlings and removals all counters are what the rows say, and the sums of a
// whole look are what it reported.
func TestCounters(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) { counters(t, setUpMore(t, db, seed), rand.New(rand.NewPCG(seed, 2))) })
		}
	})
}

func setUpMore(t testing.TB, db *store.DB, seed uint64) *fixture {
	x := &fixture{t: t, db: db, now: start.Add(time.Duration(seed) * 1000 * time.Hour), db1: "sha256:one"}
	x.tr = New(db, x, nil)
	x.tr.SetClock(func() time.Time { return x.now })
	return x
}

func counters(t *testing.T, x *fixture, r *rand.Rand) {
	var worlds []*world
	for range 2 {
		worlds = append(worlds, newWorld(r, x.cluster(fmt.Sprint("c", r.Uint64()))))
	}
	accepting := ""
	x.ex = func(f *finding.Finding) (int64, bool) { return 7, accepting != "" && f.Rule == accepting }
	for step := range 40 {
		x.now = x.now.Add(time.Duration(r.IntN(10)) * time.Hour)
		w := worlds[r.IntN(len(worlds))]
		x.target = w.target
		for range r.IntN(4) {
			w.mutate()
		}
		switch r.IntN(10) {
		case 0:
			l := w.look("")
			l.breakoff = true
			x.scan(l)
		case 1, 2:
			x.scan(w.look(fmt.Sprintf("ns%d/w%d", r.IntN(3), r.IntN(4))))
		case 3, 4:
			actions := []ledger.Action{ledger.Ignore, ledger.Unignore, ledger.MarkFixed, ledger.Accept, ledger.Unaccept, ledger.Assign, ledger.Comment}
			h := Handling{Action: actions[r.IntN(len(actions))], Exception: 7}
			var ids []int64
			if err := x.db.R.NewRaw("SELECT id FROM findings").Scan(context.Background(), &ids); err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if r.IntN(3) == 0 {
					h.IDs = append(h.IDs, id)
				}
			}
			x.handle(h)
		case 5:
			accepting = []string{"", "workload/r1", "CVE-2026-1"}[r.IntN(3)]
		case 6:
			l := w.look("")
			l.nodb = true
			for i := range l.assets {
				if r.IntN(4) == 0 && l.assets[i].Kind != "namespace" {
					l.assets[i].Unread = "forbidden"
				}
			}
			x.scan(l)
		case 7:
			if step > 30 && len(worlds) > 1 {
				err := x.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error { return x.tr.Remove(ctx, tx, w.target, x.now) })
				if err != nil {
					t.Fatal(err)
				}
				x.right()
				worlds = slices.DeleteFunc(worlds, func(o *world) bool { return o == w })
			}
		default:
			l := w.look("")
			x.scan(l)
			once := map[string]bool{}
			for _, f := range l.found {
				once[f.Fingerprint] = true
			}
			if n := x.number("SELECT count(*) FROM findings WHERE target_id = ? AND state <= 3", w.target); n != len(once) {
				t.Fatalf("step %d: %d findings are there, the run reported %d", step, n, len(once))
			}
		}
	}
	x.days()
	before := x.number("SELECT count(*) FROM counts WHERE n <> 0")
	if _, err := x.db.R.ExecContext(context.Background(), "UPDATE counts SET n = n + 1"); err != nil {
		t.Fatal(err)
	}
	if wrong, err := x.tr.Recount(context.Background(), true); err != nil || len(wrong) == 0 {
		t.Fatalf("a wrong counter was not found: %v %v", wrong, err)
	}
	x.right()
	if after := x.number("SELECT count(*) FROM counts WHERE n <> 0"); after != before {
		t.Errorf("repaired %d counts, there were %d", after, before)
	}
}
