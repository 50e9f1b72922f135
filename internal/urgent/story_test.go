package urgent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/emergency/check"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/nodes"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/task"
	"stockade.dev/stockade/internal/triage"
)

// shop is a cluster of a node and Deployments with one image each.
type shop struct {
	mu     sync.Mutex
	images map[string]string // Deployment -> image
	pulls  []string
}

func (c *shop) Open(context.Context, int64) (fleet.Source, error) { return c, nil }
func (c *shop) Contact(context.Context, int64, inventory.ClusterInfo, int, error) error {
	return nil
}
func (c *shop) Info() inventory.ClusterInfo {
	return inventory.ClusterInfo{Name: "shop", Version: "v1.34.0"}
}
func (c *shop) PullSecret(context.Context, string, string) ([]byte, error) {
	return nil, store.ErrNotFound
}

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (c *shop) Stream(_ context.Context, emit func(*inventory.Object) error, _ func(finding.NotScanned)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := []map[string]any{
		{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n1"}, "status": map[string]any{"nodeInfo": map[string]any{"operatingSystem": "linux"}}},
		{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n2"}, "status": map[string]any{"nodeInfo": map[string]any{"operatingSystem": "linux"}}}}
	for _, name := range slices.Sorted(maps.Keys(c.images)) {
		list = append(list, map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": name, "namespace": "shop"}, "spec": map[string]any{"template": map[string]any{
			"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": c.images[name] + "@" + digestOf(c.images[name])}}}}}})
	}
	for _, content := range list {
		o, ok := inventory.NewObject(content)
		if !ok {
			return errors.New("no object")
		}
		if err := emit(o); err != nil {
			return err
		}
	}
	return nil
}

// Read implements task.ImageReader: the tag is the version of xz in it.
func (c *shop) Read(_ context.Context, use scan.Use, _ func(string) bool) (*inventory.Software, string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulls = append(c.pulls, use.Reference)
	name, _, _ := strings.Cut(use.Reference, "@")
	_, version, _ := strings.Cut(name, ":")
	return &inventory.Software{Schema: inventory.SoftwareSchema, Kind: "image", Name: use.Pull(), Image: &inventory.Image{Reference: use.Pull(), Digest: use.Digest},
		Packages: []inventory.Package{{Type: inventory.Deb, Name: "xz-utils", Version: version}}}, use.Digest, nil
}

// story is a server's worth of rooms.
type story struct {
	*bench
	urgent *Service
	shop   *shop
	tasks  *task.Service
	nodes  *nodes.Service
	clock  sync.Mutex
	count  int
}

func (s *story) Now() time.Time {
	s.clock.Lock()
	defer s.clock.Unlock()
	return s.time
}

func (s *story) advance(d time.Duration) {
	s.clock.Lock()
	defer s.clock.Unlock()
	s.time = s.time.Add(d)
}

func newStory(t *testing.T, db *store.DB, list ...*emergency.Emergency) *story {
	t.Helper()
	s := &story{bench: newBench(t, db), shop: &shop{images: map[string]string{}}}
	s.time = time.Now().Truncate(time.Millisecond) // the queue has its own clock
	tri := triage.New(db, nil, nil)
	tri.SetClock(s.Now)
	hub := live.New(db, nil)
	s.tasks = task.New(task.Options{DB: db, Hub: hub, Fleet: s.shop, Library: &rule.Library{}, TempDir: t.TempDir(), Now: s.Now, Scanner: "test",
		Reader: func(examine.PullSecret) task.ImageReader { return s.shop },
		Ingest: func(ctx context.Context, r triage.Run) (task.Ingest, error) {
			in, err := tri.Ingest(ctx, r)
			if err != nil {
				return nil, err
			}
			return in, nil
		}})
	s.nodes = nodes.New(nodes.Options{DB: db, Hub: hub, Judge: s.tasks, Now: s.Now,
		Emergencies: func(ctx context.Context) (string, []byte, error) { return s.urgent.ForAgents(ctx) },
		Classes:     func(ctx context.Context, id int64) ([]emergency.Class, error) { return s.urgent.Allowed(ctx, id) },
		Findings: func(ctx context.Context, n nodes.Subject, kind protocol.WorkKind, body []byte) ([]*finding.Finding, error) {
			return s.urgent.Findings(ctx, n, kind, body)
		},
		Reported: func(ctx context.Context, n nodes.Subject, r *protocol.Report) { s.urgent.Reported(ctx, n, r) }})
	s.tasks.SetNodes(s.nodes)
	s.urgent = New(Options{Hub: hub, DB: db, Tasks: s.tasks, Agents: s.nodes, BuiltIn: list, Now: s.Now})
	s.Service = s.urgent
	s.tasks.SetUrgent(s.urgent)
	s.must(s.tasks.Start(s.ctx, true))
	t.Cleanup(func() {
		if err := s.tasks.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *story) beat(id int64) *protocol.BeatAnswer {
	s.t.Helper()
	a, err := s.nodes.Beat(s.ctx, id, &protocol.Beat{At: s.Now(), State: protocol.Running}, s.Now().Add(enrol.Lifetime))
	s.must(err)
	s.must(s.nodes.Flush(s.ctx))
	return a
}

func (s *story) tell(id, work int64, results ...emergency.Result) {
	s.t.Helper()
	data, err := json.Marshal(results)
	s.must(err)
	s.count++
	sum := sha256.Sum256(data)
	s.must(s.nodes.Take(s.ctx, id, &protocol.Report{ID: fmt.Sprint("r-", s.count), Work: work, Kind: protocol.Verify, At: s.Now(), Digest: hex.EncodeToString(sum[:]), Last: true, Body: data}))
}

// done runs a task to its end. between is called while it goes on.
func (s *story) done(t *task.Task, err error, between func()) task.Status {
	s.t.Helper()
	s.must(err)
	for ends := time.Now().Add(3 * time.Minute); time.Now().Before(ends); time.Sleep(50 * time.Millisecond) {
		var status task.Status
		s.must(s.db.R.NewRaw("SELECT status FROM tasks WHERE id = ?", t.ID).Scan(s.ctx, &status))
		if status != task.Ready && status != task.Running {
			return status
		}
		between()
		s.advance(6 * time.Second)
		s.must(s.tasks.Sweep(s.ctx))
	}
	s.t.Fatal("the task does not end")
	return ""
}

// found lists findings: "rule on asset: status severity".
func (s *story) found() map[string]string {
	s.t.Helper()
	var rows []struct {
		Rule, Name string
		Kind       ledger.AssetKind
		Status     ledger.Status
	}
	s.must(s.db.R.NewRaw(`SELECT r.rule, a.name, a.kind, f.status FROM findings f JOIN assets a ON a.id = f.asset_id JOIN risks r ON r.id = f.risk_id`).Scan(s.ctx, &rows))
	out := map[string]string{}
	for _, r := range rows {
		name, _, _ := strings.Cut(r.Name, "@")
		out[fmt.Sprintf("%s on %v %s", r.Rule, r.Kind, name)] = fmt.Sprint(r.Status)
	}
	return out
}

// TestStory: images are judged in a scan of their cluster, "scan this one now" asks the agent and pulls nothing, what it sees becomes
// findings, what it cannot look at is told, and after the fix all of it flips.
func TestStory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		e, other := entry("CVE-2024-3094", 1, "image", "node"), entry("CVE-2024-0001", 1, "node")
		e.Preconditions = []emergency.Step{{Check: "cgroup-v1", Where: []string{"node"}, Says: both("cgroup v1")}}
		s := newStory(t, db, e, other)
		target := s.cluster("shop")
		s.shop.images["bad"], s.shop.images["good"] = "registry.example.com/bad:5.6.1", "registry.example.com/good:5.6.2"
		x, err := s.tasks.Create(s.ctx, task.Request{Scope: task.Scope{Targets: []int64{target}}})
		s.done(x, err, func() {})
		open, fixed, gone := fmt.Sprint(ledger.StatusOpen), fmt.Sprint(ledger.StatusFixed), fmt.Sprint(ledger.StatusGone)
		const image, node, third = "CVE-2024-3094 on image registry.example.com/bad:5.6.1", "CVE-2024-3094 on node n1", "CVE-2024-0001 on node n1"
		if got := s.found(); !maps.Equal(got, map[string]string{image: open}) {
			t.Fatalf("after the first scan: %v", got)
		}
		if c := s.counts(e.ID, Image); c.Exposed != 1 || c.Fixed != 1 || c.Looked != 2 || c.NotLooked != 0 {
			t.Errorf("counts of images %+v", c)
		}
		// An agent comes; another image runs that nobody has read.
		s.exec("UPDATE nodes SET enrolled_at = ?, seen_at = ? WHERE name = 'n1'", store.At(s.Now()), store.At(s.Now()))
		var id int64
		s.must(db.R.NewRaw("SELECT id FROM nodes WHERE name = 'n1'").Scan(s.ctx, &id))
		if a := s.beat(id); !slices.Equal(a.Classes, Default) || a.Emergencies == "" {
			t.Errorf("the agent is told %+v", a)
		}
		s.tell(id, 0, emergency.Result{Emergency: other.ID, Verdict: emergency.VersionOnly, Version: "5.6.1"}, emergency.Result{Emergency: e.ID, Verdict: emergency.NotPresent})
		s.shop.images["new"] = "registry.example.com/new:5.6.1"
		pulls := len(s.shop.pulls)
		now := func(verdict emergency.Verdict) task.Status {
			t.Helper()
			s.beat(id)
			x, err := s.Scan(s.ctx, Request{IDs: []string{e.ID}, Scope: task.Scope{Targets: []int64{target}}})
			answered := false
			status := s.done(x, err, func() {
				for _, w := range s.beat(id).Work {
					if answered {
						continue
					}
					if answered = true; w.Kind != protocol.Verify || !slices.Equal(w.Names, []string{e.ID}) {
						t.Errorf("the agent is asked for %+v", w)
					}
					s.tell(id, w.ID, emergency.Result{Emergency: e.ID, Verdict: verdict, Component: "xz", Version: "5.6.1", Path: "/usr/bin/xz",
						Checks: []emergency.Outcome{{Check: "cgroup-v1", Class: check.Reads, Says: both("cgroup v1"), Holds: check.Yes}}})
				}
			})
			var items []task.Item
			s.must(db.R.NewRaw("SELECT kind, name, status, error FROM task_items WHERE task_id = ? ORDER BY id", x.ID).Scan(s.ctx, &items))
			if len(items) != 3 || items[1].Name != "n1" || items[1].Status != task.Done || items[2].Status != task.Failed || !strings.Contains(items[2].Error, "no agent on node n2") {
				t.Errorf("items %+v", items)
			}
			return status
		}
		if status := now(emergency.Exposed); status != task.Partial { // n2 has no agent
			t.Errorf("the scan is %s", status)
		}
		if got := s.found(); !maps.Equal(got, map[string]string{image: open, node: open, third: open}) {
			t.Errorf("after the scan: %v", got)
		}
		if len(s.shop.pulls) != pulls {
			t.Errorf("%v were pulled", s.shop.pulls[pulls:])
		}
		rows, _, err := s.NotLooked(s.ctx, s.all, e.ID, "image", nil, store.Page{})
		if s.must(err); len(rows) != 1 || !strings.Contains(rows[0].Name, "new:5.6.1") {
			t.Errorf("not looked at %+v", rows)
		}
		var gaps int
		if s.must(db.R.NewRaw("SELECT count(*) FROM gaps WHERE target_id = ? AND (what LIKE '%new:5.6.1%' OR subject LIKE '%new:5.6.1%')", target).Scan(s.ctx, &gaps)); gaps == 0 {
			t.Error("what was not scanned is not told")
		}
		// The fix: the bad image is not run any more, the node is updated.
		delete(s.shop.images, "bad")
		now(emergency.Fixed)
		if got := s.found(); got[image] != gone && got[image] != fixed || got[node] != fixed || got[third] != open {
			t.Errorf("after the fix: %v", got)
		}
		if c := s.counts(e.ID, Image); c.Exposed != 0 || c.Fixed != 1 {
			t.Errorf("counts of images after the fix %+v", c)
		}
		if c := s.counts(e.ID, Node); c.Exposed != 0 || c.Fixed != 1 || c.NotLooked != 1 {
			t.Errorf("counts of nodes after the fix %+v", c)
		}
		s.recount()
	})
}
