package urgent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/emergency/check"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/nodes"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/task"
)

var at = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func both(s string) finding.Text { return finding.Text{EN: s, ZH: s + "。"} }

func entry(id string, revision int, where ...string) *emergency.Emergency {
	return &emergency.Emergency{ID: id, Revision: revision, Name: "N " + id, Title: both("title"), What: both("what"), Fix: both("fix"), Severity: finding.Critical, Where: where,
		Affected: []emergency.Range{{Component: "package:deb/xz-utils", Scheme: "loose", Spans: []emergency.Span{{Introduced: "5.6.0", Fixed: "5.6.2"}}}},
		Sources:  []emergency.Source{{Name: "NVD", URL: "https://nvd.nist.gov/"}}}
}

// bench is the room with tasks and agents that remember what they were asked.
type bench struct {
	*Service
	t       *testing.T
	ctx     context.Context
	time    time.Time
	theirs  []byte // list of the database
	key     string
	broken  error
	created []task.Request
	asked   []protocol.Work
	busy    map[int64]bool // agents that take nothing
	all     identity.Visible
}

func (b *bench) EmergencyList(have string) ([]byte, string, error) {
	if b.broken != nil {
		return nil, b.key, b.broken
	}
	if have == b.key {
		return nil, have, nil
	}
	return b.theirs, b.key, nil
}

func (b *bench) Create(_ context.Context, r task.Request) (*task.Task, error) {
	b.created = append(b.created, r)
	return &task.Task{ID: int64(len(b.created)), Name: r.Name}, nil
}

func (b *bench) Ask(_ context.Context, ids []int64, w protocol.Work) (map[int64]int64, error) {
	b.asked = append(b.asked, w)
	out := map[int64]int64{}
	for _, id := range ids {
		if !b.busy[id] {
			out[id] = 1000 + id
		}
	}
	return out, nil
}

func (b *bench) Away() time.Duration { return 4 * time.Minute }

func newBench(t *testing.T, db *store.DB, list ...*emergency.Emergency) *bench {
	t.Helper()
	b := &bench{t: t, ctx: context.Background(), time: at, all: identity.Visible{All: true}, busy: map[int64]bool{}, key: "one"}
	b.Service = New(Options{DB: db, Tasks: b, Agents: b, BuiltIn: list, Now: func() time.Time { return b.time }})
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) exec(query string, args ...any) {
	b.t.Helper()
	b.must(b.db.Write(b.ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw(query, args...).Exec(ctx)
		return err
	}))
}

func (b *bench) id(query string, args ...any) (id int64) {
	b.t.Helper()
	b.must(b.db.Write(b.ctx, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw(query+" RETURNING id", args...).Scan(ctx, &id)
	}))
	return id
}

func (b *bench) cluster(name string) int64 {
	b.t.Helper()
	var id int64
	b.must(b.db.Write(b.ctx, func(ctx context.Context, tx bun.Tx) error {
		target, err := ledger.AddTarget(ctx, tx, "cluster", name, at)
		if err == nil {
			id = target.ID
		}
		return err
	}))
	return id
}

// node puts a node into a cluster; seen is when its agent was heard of, zero: it has none.
func (b *bench) node(target int64, name, system string, seen time.Time) int64 {
	b.t.Helper()
	enrolled := store.Time{}
	if !seen.IsZero() {
		enrolled = store.At(at)
	}
	return b.id("INSERT INTO nodes (target_id, name, listed, enrolled_at, seen_at, object_os) VALUES (?, ?, ?, ?, ?, ?)", target, name, true, enrolled, store.At(seen), system)
}

func report(t *testing.T, results ...emergency.Result) []byte {
	t.Helper()
	data, err := json.Marshal(results)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (b *bench) results(id string, f Filter) []Seen {
	b.t.Helper()
	var out []Seen
	for page := (store.Page{Limit: 7}); ; {
		rows, next, err := b.Results(b.ctx, b.all, id, f, page)
		b.must(err)
		out = append(out, rows...)
		if next == "" {
			return out
		}
		page.After = next
	}
}

func (b *bench) counts(id string, k Kind) Counts {
	b.t.Helper()
	l, err := b.Line(b.ctx, id, b.all, nil)
	b.must(err)
	return *l.Counts[k]
}

// recount holds the counters to the rows.
func (b *bench) recount() {
	b.t.Helper()
	var wrong int
	b.must(b.db.R.NewRaw(`SELECT count(*) FROM emergency_counts c WHERE c.n <> (SELECT count(*) FROM emergency_results r
		WHERE r.target_id = c.target_id AND r.kind = c.kind AND r.emergency = c.emergency AND r.verdict = c.verdict)`).Scan(b.ctx, &wrong))
	var counted, there int
	b.must(b.db.R.NewRaw("SELECT coalesce(sum(n), 0) FROM emergency_counts").Scan(b.ctx, &counted))
	b.must(b.db.R.NewRaw("SELECT count(*) FROM emergency_results").Scan(b.ctx, &there))
	if wrong != 0 || counted != there {
		b.t.Errorf("%d counters are wrong; %d are counted and %d are there", wrong, counted, there)
	}
}

func TestListHolds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, entry("CVE-2024-0001", 2, "node"), entry("CVE-2024-0002", 1, "image"))
		l, err := b.List()
		b.must(err)
		if len(l.All) != 2 || l.Digest == "" || l.Problem != "" {
			t.Fatalf("built-in: %d, %q, %q", len(l.All), l.Digest, l.Problem)
		}
		b.must(b.Tick(b.ctx))
		b.must(b.Tick(b.ctx))
		if len(b.created) != 0 {
			t.Fatal("the first list made a task")
		}
		// The database brings a newer one, an older one and a new one.
		b.theirs, err = emergency.Marshal([]*emergency.Emergency{entry("CVE-2024-0001", 1, "image"), entry("CVE-2024-0002", 5, "node"), entry("CVE-2024-0003", 1, "node")})
		b.must(err)
		b.key = "two"
		first := l.Digest
		l, err = b.List()
		b.must(err)
		if len(l.All) != 3 || l.Digest == first || l.Find("cve-2024-0001").Revision != 2 || l.Find("CVE-2024-0002").Revision != 5 {
			t.Errorf("merged: %+v", l.All)
		}
		digest, body, err := b.ForAgents(b.ctx)
		b.must(err)
		back, _, err := emergency.Unmarshal(body)
		if b.must(err); digest != l.Digest || len(back) != 3 {
			t.Errorf("agents get %s with %d", digest, len(back))
		}
		b.cluster("prod")
		b.must(b.Tick(b.ctx))
		b.must(b.Tick(b.ctx))
		if len(b.created) != 1 || !slices.Equal(b.created[0].Urgent.IDs, []string{"CVE-2024-0002", "CVE-2024-0003"}) || !b.created[0].Scope.All || b.created[0].Origin != task.NewDatabase {
			t.Errorf("news were asked for as %+v", b.created)
		}
		// A damaged list is told and not used.
		b.theirs, b.key = []byte(`[{"id":"x"}]`), "three"
		if l, err = b.List(); err != nil || len(l.All) != 2 || !strings.Contains(l.Problem, "cannot be used") {
			t.Errorf("damaged: %v %+v", err, l)
		}
		b.broken = errors.New("gone")
		if l, err = b.List(); err != nil || len(l.All) != 2 || !strings.Contains(l.Problem, "gone") {
			t.Errorf("unreadable: %v %+v", err, l)
		}
	})
}

func TestClasses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		e := entry("CVE-2024-0001", 1, "node", "image")
		e.Preconditions = []emergency.Step{{Check: "package-present", With: map[string]any{"names": []any{"xz-utils"}}, Says: both("xz is there")}}
		b := newBench(t, db, e)
		target := b.cluster("prod")
		got, err := b.Allowed(b.ctx, target)
		if b.must(err); !slices.Equal(got, Default) || slices.Contains(got, emergency.Request) || slices.Contains(got, emergency.Private) {
			t.Errorf("default %v", got)
		}
		look := func() emergency.Verdict {
			t.Helper()
			run, err := b.Begin(b.ctx, task.UrgentScan{Target: target})
			b.must(err)
			run.Image(xz("sha256:a", "5.6.1"), scan.Use{Reference: "r/xz:1", Digest: "sha256:a"}, "prod", nil)
			b.must(run.End(b.ctx))
			return b.results(e.ID, Filter{})[0].Result.Verdict
		}
		if v := look(); v != emergency.Exposed {
			t.Errorf("with reading allowed: %s", v)
		}
		b.must(b.Allow(b.ctx, target, nil))
		if got, err = b.Allowed(b.ctx, target); err != nil || got == nil || len(got) != 0 {
			t.Errorf("none: %v %v", got, err)
		}
		if v := look(); v != emergency.Unknown {
			t.Errorf("with nothing allowed: %s", v)
		}
		if r := b.results(e.ID, Filter{})[0].Result; len(r.Checks) == 0 || !strings.Contains(r.Checks[len(r.Checks)-1].Reason, "not allowed") {
			t.Errorf("the reason is %+v", r.Checks)
		}
		b.must(b.Allow(b.ctx, target, []emergency.Class{emergency.Request, emergency.Reads}))
		if got, err = b.Allowed(b.ctx, target); err != nil || !slices.Equal(got, []emergency.Class{emergency.Reads, emergency.Request}) {
			t.Errorf("some: %v %v", got, err)
		}
		if err := b.Allow(b.ctx, target, []emergency.Class{"write"}); !errors.Is(err, ErrInvalid) {
			t.Errorf("an unknown class: %v", err)
		}
		if err := b.Allow(b.ctx, target+9, nil); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an unknown cluster: %v", err)
		}
		var audits int
		if b.must(b.db.R.NewRaw("SELECT count(*) FROM audit WHERE action = 'emergency.allow'").Scan(b.ctx, &audits)); audits != 2 {
			t.Errorf("%d audit entries", audits)
		}
	})
}

func xz(digest, version string) *inventory.Software {
	return &inventory.Software{Schema: inventory.SoftwareSchema, Kind: "image", Name: "r/xz@" + digest, Image: &inventory.Image{Reference: "r/xz:1", Digest: digest},
		Packages: []inventory.Package{{Type: inventory.Deb, Name: "xz-utils", Version: version}}}
}

func TestNodesReport(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		one, two, three := entry("CVE-2024-0001", 1, "node"), entry("CVE-2024-0002", 1, "node"), entry("CVE-2024-0003", 1, "image")
		one.Preconditions = []emergency.Step{{Check: "cgroup-v1", Says: both("cgroup v1")}}
		b := newBench(t, db, one, two, three)
		target := b.cluster("prod")
		b.node(target, "n1", "linux", at)
		b.node(target, "n2", "linux", at)
		n := nodes.Subject{ID: 1, Target: target, Name: "n1", Cluster: "prod"}
		holds := emergency.Outcome{Check: "cgroup-v1", Class: check.Reads, Says: both("cgroup v1"), Holds: check.Yes, Evidence: "seen"}
		list, err := b.Findings(b.ctx, n, protocol.Verify, report(t,
			emergency.Result{Emergency: one.ID, Subject: "n1", Component: "xz", Version: "5.6.1", Path: "/usr/bin/xz", Verdict: emergency.Exposed, Checks: []emergency.Outcome{holds}},
			emergency.Result{Emergency: two.ID, Subject: "n1", Verdict: emergency.NotPresent}))
		if b.must(err); len(list) != 1 || list[0].Rule != one.ID || list[0].Resource.Node != "n1" || list[0].Severity != finding.Critical || list[0].Emergency.Verdict != "exposed" {
			t.Fatalf("findings %+v", list)
		}
		if c := b.counts(one.ID, Node); c.Exposed != 1 || c.Looked != 1 || c.NotLooked != 1 || c.NotPresent != 0 {
			t.Errorf("counts of one %+v", c)
		}
		if c := b.counts(two.ID, Node); c.NotPresent != 1 || c.Looked != 1 || c.NotLooked != 1 {
			t.Errorf("counts of two %+v", c)
		}
		if r := b.results(two.ID, Filter{Verdicts: []emergency.Verdict{emergency.NotPresent}}); len(r) != 1 || r[0].Name != "n1" || r[0].Result.Verdict != emergency.NotPresent {
			t.Errorf("not present: %+v", r)
		}
		// A report on the other one alone leaves the first as it is.
		b.Reported(b.ctx, n, &protocol.Report{Kind: protocol.Verify, Body: report(t, emergency.Result{Emergency: two.ID, Verdict: emergency.VersionOnly, Version: "5.6.1"})})
		if list, err = b.Findings(b.ctx, n, protocol.Verify, report(t, emergency.Result{Emergency: two.ID, Verdict: emergency.VersionOnly, Version: "5.6.1"})); err != nil || len(list) != 2 {
			t.Fatalf("after a part: %v, %d findings", err, len(list))
		}
		since := b.results(one.ID, Filter{})[0].Since
		// After the fix it flips, and the time of the verdict with it.
		b.time = b.time.Add(time.Hour)
		list, err = b.Findings(b.ctx, n, protocol.Verify, report(t, emergency.Result{Emergency: one.ID, Verdict: emergency.Fixed, Version: "5.6.2"}))
		if b.must(err); len(list) != 1 || list[0].Rule != two.ID {
			t.Errorf("after the fix: %d findings", len(list))
		}
		if r := b.results(one.ID, Filter{}); len(r) != 1 || r[0].Result.Verdict != emergency.Fixed || !r[0].Since.After(since.Time) {
			t.Errorf("after the fix: %+v", r)
		}
		if c := b.counts(one.ID, Node); c.Exposed != 0 || c.Fixed != 1 || c.Looked != 1 {
			t.Errorf("counts after the fix %+v", c)
		}
		b.recount()
		b.exec("UPDATE nodes SET seen_at = ?", store.At(b.time))
		rows, _, err := b.NotLooked(b.ctx, b.all, one.ID, "node", nil, store.Page{})
		if b.must(err); len(rows) != 1 || rows[0].Name != "n2" || !strings.Contains(rows[0].Reason.EN, "not reported") || !strings.Contains(rows[0].Reason.ZH, "尚未上报") {
			t.Errorf("not looked at %+v", rows)
		}
		// A node whose agent is gone is forgotten.
		b.exec("UPDATE nodes SET enrolled_at = 0 WHERE name = 'n1'")
		b.must(b.Tick(b.ctx))
		if c := b.counts(one.ID, Node); c.Fixed != 0 || c.Looked != 0 || c.NotLooked != 2 {
			t.Errorf("counts after it is gone %+v", c)
		}
		b.recount()
	})
}

// TestLanguages: what agents say is kept in both languages; of an agent from before, the English is shown in place of the Chinese.
func TestLanguages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		e := entry("CVE-2024-0001", 1, "node")
		e.Preconditions = []emergency.Step{{Check: "cgroup-v1", Says: both("cgroup v1")}}
		b := newBench(t, db, e)
		target := b.cluster("prod")
		b.node(target, "n1", "linux", at)
		n := nodes.Subject{ID: 1, Target: target, Name: "n1", Cluster: "prod"}
		for body, want := range map[string]finding.Text{
			`[{"emergency":"CVE-2024-0001","verdict":"unknown","notRead":"no facts","checks":[{"check":"cgroup-v1","holds":"unknown","reason":"no facts"}]}]`:                                        {EN: "no facts"},
			`[{"emergency":"CVE-2024-0001","verdict":"unknown","notRead":"no facts","notReadZh":"没有采集信息","checks":[{"check":"cgroup-v1","holds":"unknown","reason":"no facts","saidZh":"没有采集信息"}]}]`: {EN: "no facts", ZH: "没有采集信息"},
		} {
			list, err := b.Findings(b.ctx, n, protocol.Verify, []byte(body))
			b.must(err)
			r := b.results(e.ID, Filter{})[0].Result
			if r.Unread() != want || len(r.Checks) != 1 || r.Checks[0].Said() != want || r.Unread().In("zh") == "" {
				t.Errorf("kept %+v, want %+v", r, want)
			}
			if len(list) != 1 || list[0].Emergency.Unread() != want || list[0].Emergency.Checks[0].Said() != want {
				t.Errorf("%+v, want %+v", list, want)
			}
		}
	})
}

func TestHostileReport(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		e, other := entry("CVE-2024-0001", 1, "node"), entry("CVE-2024-0002", 1, "image")
		e.Preconditions = []emergency.Step{{Check: "cgroup-v1", Says: both("cgroup v1")}}
		b := newBench(t, db, e, other)
		target := b.cluster("prod")
		b.node(target, "n1", "linux", at)
		n := nodes.Subject{ID: 1, Target: target, Name: "n1", Cluster: "prod"}
		for _, body := range []string{`{}`, `[null]`, `"x"`, `[{"emergency":"CVE-2024-0001","verdict":"dreadful"}]`, `[{"emergency":"NO-SUCH","verdict":"exposed"}]`, `[{"emergency":"CVE-2024-0002","verdict":"exposed"}]`} {
			if list, err := b.Findings(b.ctx, n, protocol.Verify, []byte(body)); err != nil || len(list) != 0 {
				t.Errorf("%s: %v, %d findings", body, err, len(list))
			}
		}
		if c := b.counts(e.ID, Node); c.Looked != 0 {
			t.Errorf("nonsense counts as a look: %+v", c)
		}
		long := strings.Repeat("x\n\u202e", 5000)
		hostile := emergency.Result{Emergency: e.ID, Subject: "n2", Component: long, Path: long, Container: "kube-system/etcd/etcd\x00", Version: "\xff\xfe", Verdict: emergency.Exposed,
			Note: both(long), NotRead: long, NotReadZH: long}
		for range 500 {
			hostile.Checks = append(hostile.Checks, emergency.Outcome{Check: "cgroup-v1", Class: "none", Says: both("<script>"), Holds: check.Yes, Evidence: "password=hunter2hunter2hunter2", SaidZH: "password=hunter2hunter2hunter2"},
				emergency.Outcome{Check: "sysctl", Says: both("made up"), Holds: check.Yes}, emergency.Outcome{Check: "cgroup-v1", Holds: "perhaps"})
			hostile.Instances = append(hostile.Instances, emergency.Instance{Component: long, Verdict: emergency.Exposed}, emergency.Instance{Verdict: "x"})
		}
		list, err := b.Findings(b.ctx, n, protocol.Verify, report(t, hostile, emergency.Result{Emergency: e.ID, Verdict: emergency.Fixed}))
		b.must(err)
		seen := b.results(e.ID, Filter{})
		if len(list) != 1 || len(seen) != 1 || seen[0].Name != "n1" || seen[0].Result.Subject != "" && seen[0].Result.Subject != "n1" {
			t.Fatalf("%d findings, %+v", len(list), seen)
		}
		r := seen[0].Result
		text := ledger.JSON(r)
		if len(text) > 40_000 || strings.Contains(text, "hunter2") || strings.Contains(text, "script") || strings.Contains(text, "made up") || strings.ContainsAny(text, "\u202e\x00") {
			t.Errorf("kept %d bytes: %.600s", len(text), text)
		}
		if len(r.Instances) > emergency.MostInstances {
			t.Errorf("%d instances", len(r.Instances))
		}
		for _, c := range r.Checks {
			if c.Says != both("cgroup v1") || c.Class != check.Reads {
				t.Errorf("a check says %+v", c)
			}
		}
		// Exposed without its preconditions is not believed.
		list, err = b.Findings(b.ctx, n, protocol.Verify, report(t, emergency.Result{Emergency: e.ID, Verdict: emergency.Exposed}))
		if b.must(err); len(list) != 1 || list[0].Emergency.Verdict != string(emergency.Unknown) {
			t.Errorf("exposed without checks became %+v", list)
		}
		b.recount()
	})
}

func TestScanNow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		e, i := entry("CVE-2024-0001", 1, "node", "image"), entry("CVE-2024-0002", 1, "image")
		e.Aliases = []string{"CVE-2024-9999"}
		b := newBench(t, db, e, i)
		prod, lab := b.cluster("prod"), b.cluster("lab")
		alive := b.node(prod, "alive", "linux", at)
		b.node(prod, "away", "linux", at.Add(-time.Hour))
		busy := b.node(prod, "busy", "linux", at)
		b.node(prod, "never", "linux", time.Time{})
		b.node(prod, "windows", "windows", time.Time{})
		b.node(lab, "elsewhere", "linux", at)
		b.busy[busy] = true
		if _, err := b.Scan(b.ctx, Request{IDs: []string{"CVE-1999-1"}}); !errors.Is(err, ErrInvalid) {
			t.Errorf("an unknown one: %v", err)
		}
		_, err := b.Scan(b.ctx, Request{IDs: []string{"cve-2024-9999", e.ID}, Scope: task.Scope{Targets: []int64{prod}}})
		b.must(err)
		if len(b.created) != 1 || len(b.asked) != 1 || !slices.Equal(b.asked[0].Names, []string{e.ID}) || b.asked[0].Kind != protocol.Verify {
			t.Fatalf("created %+v asked %+v", b.created, b.asked)
		}
		r := b.created[0]
		if !slices.Equal(r.Parts, []task.Part{task.Emergency}) || r.Name != e.Name || len(r.Urgent.Nodes) != 5 {
			t.Fatalf("the task is %+v", r)
		}
		for name, want := range map[string]string{"alive": "", "away": "is away: it was heard of last at 2026-02-28T23:00:00Z", "busy": "too much to do", "never": "enable it", "windows": "its system is windows"} {
			at := slices.IndexFunc(r.Urgent.Nodes, func(n task.UrgentNode) bool { return n.Name == name })
			n := r.Urgent.Nodes[at]
			if want == "" && (n.Why != "" || n.Work != 1000+alive || !n.Until.Equal(b.time.Add(task.UrgentWait))) || want != "" && (!strings.Contains(n.Why, want) || n.Code == "") {
				t.Errorf("%s: %+v", name, n)
			}
		}
		// What is in images alone asks no agent.
		_, err = b.Scan(b.ctx, Request{IDs: []string{i.ID}, Scope: task.Scope{All: true}})
		if b.must(err); len(b.asked) != 1 || len(b.created[1].Urgent.Nodes) != 0 {
			t.Errorf("agents were asked for an image's: %+v", b.created[1])
		}
	})
}

func TestImages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		e := entry("CVE-2024-3094", 1, "image", "cluster")
		e.Affected[0].Component = "package:deb/xz-utils"
		b := newBench(t, db, e)
		target := b.cluster("prod")
		workload := b.id("INSERT INTO assets (target_id, kind, group_kind, namespace, name, first_seen) VALUES (?, 3, 'Deployment.apps', 'shop', 'till', 1)", target)
		for i := range 3 {
			image := b.id("INSERT INTO assets (target_id, kind, name, digest, first_seen) VALUES (?, 4, ?, ?, 1)", target, fmt.Sprint("r/xz:", i), fmt.Sprint("sha256:", i))
			b.exec("INSERT INTO asset_uses (target_id, image_id, workload_id, namespace) VALUES (?, ?, ?, 'shop')", target, image, workload)
		}
		look := func(versions ...string) (found []*finding.Finding) {
			t.Helper()
			run, err := b.Begin(b.ctx, task.UrgentScan{Target: target, Task: 7, Whole: true})
			b.must(err)
			for i, v := range versions {
				found = append(found, run.Image(xz(fmt.Sprint("sha256:", i), v), scan.Use{Reference: fmt.Sprint("r/xz:", i), Digest: fmt.Sprint("sha256:", i)}, "prod", &inventory.Cluster{Name: "prod"})...)
			}
			if list := run.Image(&inventory.Software{Kind: "node", Name: "n"}, scan.Use{Reference: "n"}, "prod", nil); list != nil {
				t.Error("a node was judged from its packages alone")
			}
			run.Cluster(&inventory.Cluster{Name: "prod"})
			b.must(run.End(b.ctx))
			return found
		}
		found := look("5.6.1", "5.6.2")
		if len(found) != 1 || found[0].Rule != e.ID || found[0].Resource.Image == "" || found[0].Kind != finding.Emergency {
			t.Fatalf("findings %+v", found)
		}
		if c := b.counts(e.ID, Image); c.Exposed != 1 || c.Fixed != 1 || c.Looked != 2 || c.NotLooked != 1 {
			t.Errorf("counts %+v", c)
		}
		if c := b.counts(e.ID, Cluster); c.Looked != 1 || c.NotLooked != 0 {
			t.Errorf("counts of clusters %+v", c)
		}
		w := b.results(e.ID, Filter{Kind: "workload", Verdicts: []emergency.Verdict{emergency.Exposed}})
		if len(w) != 1 || w[0].Workload == nil || *w[0].Workload != (finding.WorkloadRef{Kind: "Deployment", Namespace: "shop", Name: "till"}) || w[0].Image != "r/xz:0" {
			t.Errorf("workloads %+v", w)
		}
		if all := b.results(e.ID, Filter{Kind: "workload", Q: "TILL"}); len(all) != 2 {
			t.Errorf("%d workloads of all verdicts", len(all))
		}
		rows, _, err := b.NotLooked(b.ctx, b.all, e.ID, "image", nil, store.Page{})
		if b.must(err); len(rows) != 1 || rows[0].Digest != "sha256:2" || !strings.Contains(rows[0].Reason.EN, "no scan has read") || !strings.Contains(rows[0].Reason.ZH, "尚无扫描") {
			t.Errorf("not looked at %+v", rows)
		}
		if l, err := b.Line(b.ctx, e.ID, b.all, nil); err != nil || l.Last.Task != 7 {
			t.Errorf("last scan %+v %v", l, err)
		}
		// What is seen through a part of the cluster's objects is what was seen through all of them.
		run, err := b.Begin(b.ctx, task.UrgentScan{Target: target, Partial: true})
		b.must(err)
		if list := run.Image(xz("sha256:0", "5.6.2"), scan.Use{Reference: "r/xz:0", Digest: "sha256:0"}, "prod", nil); len(list) != 1 {
			t.Errorf("a part of the cluster: %d findings", len(list))
		}
		b.must(run.End(b.ctx))
		// The image is replaced by a fixed one, another one is gone.
		b.exec("UPDATE assets SET gone_at = 5 WHERE digest = 'sha256:1'")
		if found = look("5.6.2-1"); len(found) != 0 {
			t.Errorf("after the fix %+v", found)
		}
		if c := b.counts(e.ID, Image); c.Exposed != 0 || c.Fixed != 1 || c.Looked != 1 {
			t.Errorf("counts after the fix %+v", c)
		}
		b.recount()
		// Who sees another cluster only sees none of it.
		v := identity.Visible{Targets: []int64{target + 1}}
		seen, _, err := b.Results(b.ctx, v, e.ID, Filter{}, store.Page{})
		if b.must(err); len(seen) != 0 {
			t.Errorf("a stranger sees %+v", seen)
		}
		l, err := b.Line(b.ctx, e.ID, v, nil)
		if b.must(err); *l.Counts[Image] != (Counts{}) || l.Last.Task != 0 {
			t.Errorf("a stranger counts %+v", l.Counts[Image])
		}
	})
}

// TestManyResults holds the cost of a look to what changed: 100,000 results are kept, looked at again without a write, and one that
// changes writes one row.
func TestManyResults(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var list []*emergency.Emergency
		for i := range 20 {
			list = append(list, entry(fmt.Sprintf("CVE-2024-1%03d", i), 1, "image"))
		}
		b := newBench(t, db, list...)
		target := b.cluster("prod")
		const images = 5000
		looks := func() []*look {
			l, err := b.List()
			b.must(err)
			out := make([]*look, images)
			for i := range out {
				out[i] = &look{kind: Image, name: fmt.Sprintf("sha256:%06d", i), shown: fmt.Sprint("r/app:", i), ids: l.idsFor(Image)}
				for _, e := range l.All {
					v := emergency.VersionOnly
					if i%1000 == 0 {
						v = emergency.Exposed
					}
					out[i].results = append(out[i].results, emergency.Result{Emergency: e.ID, Version: "5.6.1", Verdict: v})
				}
			}
			return out
		}
		began := time.Now()
		b.must(b.save(b.ctx, target, looks()))
		t.Logf("%d results kept in %s", images*len(list), time.Since(began))
		b.recount()
		if c := b.counts(list[3].ID, Image); c.Exposed != 5 || c.VersionOnly != images-5 || c.Looked != images {
			t.Errorf("counts %+v", c)
		}
		began = time.Now()
		for _, chunk := range [][]*look{looks()[:batch], looks()[batch:]} {
			c, err := b.compare(b.ctx, db.R, target, chunk)
			if b.must(err); !c.empty() {
				t.Fatalf("%d subjects would be written though nothing changed", len(c.subjects))
			}
		}
		t.Logf("looked at again in %s", time.Since(began))
		one := looks()[1234:1235]
		one[0].results[7].Verdict = emergency.Fixed
		b.time = b.time.Add(time.Minute)
		c, err := b.compare(b.ctx, db.R, target, one)
		if b.must(err); len(c.subjects) != 1 || len(c.put[c.subjects[0]]) != 1 || len(c.drop[c.subjects[0]]) != 0 {
			t.Errorf("one change writes %+v", c)
		}
		b.must(b.save(b.ctx, target, one))
		var written int
		if b.must(db.R.NewRaw("SELECT count(*) FROM emergency_results WHERE since > ?", store.At(at)).Scan(b.ctx, &written)); written != 1 {
			t.Errorf("%d rows have a new time", written)
		}
		began = time.Now()
		_, err = b.Lines(b.ctx, b.all, nil)
		b.must(err)
		t.Logf("list of emergencies in %s", time.Since(began))
		began = time.Now()
		page, next, err := b.Results(b.ctx, b.all, list[0].ID, Filter{}, store.Page{Limit: 50})
		if b.must(err); len(page) != 50 || next == "" || page[0].Result.Verdict != emergency.Exposed || page[5].Result.Verdict != emergency.VersionOnly {
			t.Errorf("the first page has %d, begins with %s", len(page), page[0].Result.Verdict)
		}
		t.Logf("first page in %s", time.Since(began))
		if n := len(b.results(list[0].ID, Filter{Q: "app:12"})); n != 111 { // 12, 120 to 129, 1200 to 1299
			t.Errorf("the search finds %d", n)
		}
		b.recount()
	})
}
