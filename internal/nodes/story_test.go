package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/task"
	"stockade.dev/stockade/internal/triage"
	"stockade.dev/stockade/rules"
)

// driftRule is a rule on containers, whose findings are on their workload.
const driftRule = `id: STK-X-0001
title: {en: Executable that the image does not have, zh: 容器中存在镜像之外的可执行文件}
why: {en: Somebody wrote it after the start., zh: 启动之后写入。}
fix: {en: Start the container anew., zh: 重新创建容器。}
severity: high
risk: workload
references: [https://kubernetes.io/docs/concepts/security/]
missing: pass
validate:
  over: node
  each: containers
  expression: item.?drift.orValue([]).size() == 0
  path: drift
`

func storyLibrary(t *testing.T) *rule.Library {
	t.Helper()
	anonymous, err := fs.ReadFile(rules.FS, "node/kubelet-anonymous-auth/rule.yaml")
	if err != nil {
		t.Fatal(err)
	}
	malicious, err := fs.ReadFile(rules.FS, "node/malicious-file/rule.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lib, err := rule.Load(fstest.MapFS{"node/kubelet-anonymous-auth/rule.yaml": {Data: anonymous}, "container/drift/rule.yaml": {Data: []byte(driftRule)},
		"node/malicious-file/rule.yaml": {Data: malicious}})
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// storyFleet has one cluster with two nodes and a Deployment.
type storyFleet struct{}

func (storyFleet) Open(context.Context, int64) (fleet.Source, error) { return storyCluster{}, nil }
func (storyFleet) Contact(context.Context, int64, inventory.ClusterInfo, int, error) error {
	return nil
}

type storyCluster struct{}

func (storyCluster) Info() inventory.ClusterInfo {
	return inventory.ClusterInfo{Name: "shop", Version: "v1.34.0"}
}
func (storyCluster) PullSecret(context.Context, string, string) ([]byte, error) {
	return nil, store.ErrNotFound
}
func (storyCluster) Stream(_ context.Context, emit func(*inventory.Object) error, _ func(finding.NotScanned)) error {
	for _, content := range []map[string]any{
		{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n1"}, "status": map[string]any{"nodeInfo": map[string]any{"machineID": "machine-of-n1", "operatingSystem": "linux"}}},
		{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n2"}, "status": map[string]any{"nodeInfo": map[string]any{"operatingSystem": "linux"}}},
		{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web", "namespace": "shop"}, "spec": map[string]any{"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": "web"}}, "spec": map[string]any{"containers": []any{map[string]any{"name": "web"}}}}}},
	} {
		o, ok := inventory.NewObject(content)
		if !ok {
			return fmt.Errorf("no object: %v", content)
		}
		if err := emit(o); err != nil {
			return err
		}
	}
	return nil
}

type noReader struct{ task.ImageReader }

// story is a server's worth of rooms.
type story struct {
	*bench
	tasks *task.Service
}

func newStory(t *testing.T, db *store.DB) *story {
	t.Helper()
	b := newBench(t, db)
	b.time = time.Now().Truncate(time.Millisecond) // the queue has its own clock
	tri := triage.New(db, nil, nil)
	tri.SetClock(b.clock)
	hub := live.New(db, nil)
	s := &story{bench: b}
	s.tasks = task.New(task.Options{DB: db, Hub: hub, Fleet: storyFleet{}, Library: storyLibrary(t), TempDir: t.TempDir(), Now: b.clock,
		Reader: func(examine.PullSecret) task.ImageReader { return noReader{} },
		Ingest: func(ctx context.Context, r triage.Run) (task.Ingest, error) {
			in, err := tri.Ingest(ctx, r)
			if err != nil {
				return nil, err
			}
			return in, nil
		}})
	b.Service = New(Options{DB: db, Authority: b.auth, Hub: hub, Judge: s.tasks, Now: b.clock,
		Findings: func(_ context.Context, n Subject, kind protocol.WorkKind, body []byte) ([]*finding.Finding, error) {
			var results []emergency.Result
			if kind != protocol.Verify {
				return nil, nil
			}
			if err := json.Unmarshal(body, &results); err != nil {
				return nil, err
			}
			var out []*finding.Finding
			for _, r := range results {
				if r.Verdict == emergency.Exposed {
					id := finding.Identity{RuleID: r.Emergency, Cluster: n.Cluster, Kind: "Node", Node: n.Name}
					out = append(out, &finding.Finding{Fingerprint: id.Fingerprint(), Kind: finding.Emergency, Rule: r.Emergency, Severity: finding.Critical, Status: finding.Open,
						Title:    finding.Text{EN: "x", ZH: "x"},
						Resource: finding.Resource{Cluster: n.Cluster, Kind: "Node", APIVersion: "v1", Name: n.Name, Node: n.Name, File: "/usr/sbin/runc"}})
				}
			}
			return out, nil
		}})
	s.tasks.SetNodes(b.Service)
	ctx := context.Background()
	if err := s.tasks.Start(ctx, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.tasks.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// found lists what is open: "rule on asset: state".
func (s *story) found() map[string]string {
	s.t.Helper()
	var rows []struct {
		Rule, Name, Node string
		Kind             ledger.AssetKind
		Status           ledger.Status
		Cause            ledger.Cause
	}
	err := s.db.R.NewRaw(`SELECT r.rule, a.name, a.kind, f.status, f.cause FROM findings f JOIN assets a ON a.id = f.asset_id JOIN risks r ON r.id = f.risk_id`).Scan(context.Background(), &rows)
	s.must(err)
	out := map[string]string{}
	for _, r := range rows {
		out[fmt.Sprintf("%s on %v %s", r.Rule, r.Kind, r.Name)] = fmt.Sprint(r.Status)
	}
	return out
}

func (s *story) want(step string, want map[string]string) {
	s.t.Helper()
	got := s.found()
	if len(got) != len(want) {
		s.t.Errorf("%s: %v, want %v", step, got, want)
		return
	}
	for k, v := range want {
		if got[k] != v {
			s.t.Errorf("%s: %v, want %v", step, got, want)
			return
		}
	}
}

// done runs a task to its end. between is called while it goes on.
func (s *story) done(t *task.Task, err error, between func()) task.Status {
	s.t.Helper()
	s.must(err)
	ctx := context.Background()
	for ends := time.Now().Add(3 * time.Minute); time.Now().Before(ends); time.Sleep(50 * time.Millisecond) {
		var status task.Status
		s.must(s.db.R.NewRaw("SELECT status FROM tasks WHERE id = ?", t.ID).Scan(ctx, &status))
		if status != task.Ready && status != task.Running {
			return status
		}
		between()
		s.advance(6 * time.Second)
		s.must(s.tasks.Sweep(ctx))
	}
	s.t.Fatal("the task does not end")
	return ""
}

// TestStory: a node's agent reports, findings appear on node and workload, a full scan keeps what only the agent tells, a task asks the
// agent again, and after the fix all of it is gone.
func TestStory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		s := newStory(t, db)
		shop := s.cluster("shop")
		full := func() task.Status {
			x, err := s.tasks.Create(ctx, task.Request{Scope: task.Scope{Targets: []int64{shop}}, Parts: []task.Part{task.Configuration, task.Permissions, task.Emergency}})
			return s.done(x, err, func() {})
		}
		full()
		s.want("without agents", map[string]string{})
		if list, _, err := s.List(ctx, s.all, Filter{States: []State{Never}}, store.Page{}); err != nil || len(list) != 2 {
			t.Fatalf("%+v %v", list, err)
		}
		id := s.node(shop, "n1") // the cluster knows its machine
		bad := sampleFacts()
		bad.Containers[0].Pod = "web-7d4b9c5f6d-x2x7z"
		s.must(s.Take(ctx, id, s.report(protocol.ReadFacts, bad)))
		s.must(s.Take(ctx, id, s.report(protocol.Verify, []emergency.Result{{Emergency: "CVE-2024-21626", Verdict: emergency.Exposed}})))
		s.advance(time.Minute)
		s.must(s.Keep(ctx))
		open := fmt.Sprint(ledger.StatusOpen)
		const kubelet, drift, leaky = "node/kubelet-anonymous-auth on node n1", "container/drift on workload web", "CVE-2024-21626 on node n1"
		s.want("reported", map[string]string{kubelet: open, drift: open, leaky: open})
		s.beat(id)
		s.must(s.Flush(ctx))
		full()
		s.want("a full scan sees the same", map[string]string{kubelet: open, drift: open, leaky: open})
		// The drift ends, the kubelet stays as it is: only that finding is settled.
		better := bad
		better.Containers = []inventory.ContainerFact{bad.Containers[0]}
		better.Containers[0].Drift = nil
		s.must(s.Take(ctx, id, s.report(protocol.ReadFacts, better)))
		s.advance(time.Minute)
		s.must(s.Keep(ctx))
		fixed := fmt.Sprint(ledger.StatusFixed)
		s.want("the container was replaced", map[string]string{kubelet: open, drift: fixed, leaky: open})
		// A task asks the agent, which reads the fixed node.
		good := better
		good.Kubelet = &inventory.Settings{Flags: map[string]string{"anonymous-auth": "false"}}
		x, err := s.tasks.Create(ctx, task.Request{Scope: task.Scope{Nodes: []task.Node{{Target: shop, Name: "n1"}, {Target: shop, Name: "n2"}}}, Parts: []task.Part{task.Configuration, task.Emergency}})
		n, answered := 0, map[int64]bool{}
		alive := func() []protocol.Work { // however long the machine takes: the clock of the test goes on with every look at the task
			work := s.beat(id).Work
			s.must(s.Flush(ctx))
			return work
		}
		alive()
		status := s.done(x, err, func() {
			for _, w := range alive() {
				if answered[w.ID] { // what ends this moment may be told once more
					continue
				}
				answered[w.ID] = true
				r := s.report(w.Kind, nil)
				switch w.Kind {
				case protocol.ReadFacts:
					r = s.report(w.Kind, good)
				case protocol.ReadPackages:
					r = s.report(w.Kind, inventory.Software{Packages: []inventory.Package{}})
				case protocol.Verify:
					r = s.report(w.Kind, []emergency.Result{{Emergency: "CVE-2024-21626", Verdict: emergency.Fixed}})
				}
				n++
				r.Work, r.ID = w.ID, fmt.Sprint("answer-", n)
				s.must(s.Take(ctx, id, r))
			}
		})
		if status != task.Partial || n != 3 { // n2 has no agent
			t.Errorf("the task is %s after %d reports", status, n)
		}
		var failed string
		s.must(db.R.NewRaw("SELECT code FROM task_items WHERE task_id = ? AND name = 'n2'", x.ID).Scan(ctx, &failed))
		if failed != string(finding.Unreachable) {
			t.Errorf("the node without agent: %q", failed)
		}
		s.want("after the fix", map[string]string{kubelet: fixed, drift: fixed, leaky: fixed})
		// Broken again, and then nobody speaks for the node any more.
		s.must(s.Take(ctx, id, s.report(protocol.ReadFacts, bad)))
		again := s.report(protocol.Verify, []emergency.Result{{Emergency: "CVE-2024-21626", Verdict: emergency.Exposed}})
		again.ID = "again"
		s.must(s.Take(ctx, id, again))
		s.advance(time.Minute)
		s.must(s.Keep(ctx))
		reopened := fmt.Sprint(ledger.StatusReopened)
		s.want("broken again", map[string]string{kubelet: reopened, drift: reopened, leaky: reopened})
		s.must(s.Forget(ctx, id))
		s.advance(time.Minute)
		full()
		for k, v := range s.found() {
			if v == reopened {
				t.Errorf("%s is open, and nobody has looked", k)
			}
		}
	})
}
