package nodes

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/task"
)

// judge remembers what it was given.
type judge struct {
	mu     sync.Mutex
	stamp  string
	asked  []string
	states map[string]task.NodeState
	prints []string
	broken error
}

func (j *judge) Stamp() (string, error) { return j.stamp, nil }

func (j *judge) JudgeNodes(_ context.Context, _, _ int64, list []task.NodeState, _ []task.Part) ([]task.NodeJudged, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []task.NodeJudged
	for _, n := range list {
		j.asked = append(j.asked, n.Name)
		j.states[n.Name] = n
		out = append(out, task.NodeJudged{ID: n.ID, Prints: j.prints, Findings: 3, Err: j.broken})
	}
	return out, nil
}

type bench struct {
	*Service
	t     *testing.T
	auth  *enrol.Authority
	judge *judge
	mu    sync.Mutex // of time: see advance
	time  time.Time
	count int
	key   *ecdsa.PrivateKey
	all   identity.Visible
}

func newBench(t *testing.T, db *store.DB) *bench {
	t.Helper()
	keys, err := seal.Load(filepath.Join(t.TempDir(), "keys"), "")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, time: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), judge: &judge{stamp: "one", states: map[string]task.NodeState{}}, all: identity.Visible{All: true}}
	if b.auth, err = enrol.Open(context.Background(), db, keys, b.clock); err != nil {
		t.Fatal(err)
	}
	b.Service = New(Options{DB: db, Authority: b.auth, Hub: live.New(db, nil), Judge: b.judge, Now: b.clock})
	if b.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	return b
}

// clock is the time for other goroutines; advance moves it while they run.
func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.time
}

func (b *bench) advance(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.time = b.time.Add(d)
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) cluster(name string) int64 {
	b.t.Helper()
	var id int64
	b.must(b.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		target, err := ledger.AddTarget(ctx, tx, "cluster", name, b.time)
		if err != nil {
			return err
		}
		id = target.ID
		_, err = tx.NewRaw("INSERT INTO clusters (target_id, kind) VALUES (?, 'connector')", id).Exec(ctx)
		return err
	}))
	return id
}

func (b *bench) token(target int64, uses int) (string, *enrol.AgentToken) {
	b.t.Helper()
	var token string
	var about *enrol.AgentToken
	b.must(b.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) (err error) {
		token, about, err = b.auth.NewAgentToken(ctx, tx, enrol.AgentToken{TargetID: target, Uses: uses}, time.Hour)
		return err
	}))
	return token, about
}

func (b *bench) request() []byte {
	b.t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, b.key)
	b.must(err)
	return der
}

// enrol enrols a node, with a token of its own.
func (b *bench) enrol(target int64, node, machine string) (*protocol.Papers, error) {
	b.t.Helper()
	token, _ := b.token(target, 1)
	return b.Enrol(context.Background(), protocol.Application{Token: token, Request: b.request(), Node: node, MachineID: machine, Version: "1.0"}, "192.0.2.1")
}

func (b *bench) node(target int64, node string) int64 {
	b.t.Helper()
	p, err := b.enrol(target, node, "machine-of-"+node)
	b.must(err)
	return p.Node
}

func parse(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("no PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (b *bench) audits(action string) int {
	b.t.Helper()
	n, err := b.db.R.NewSelect().Model((*audit.Entry)(nil)).Where("action = ?", action).Count(context.Background())
	b.must(err)
	return int(n)
}

// report brings a body.
func (b *bench) report(kind protocol.WorkKind, body any) *protocol.Report {
	b.t.Helper()
	data, err := json.Marshal(body)
	b.must(err)
	sum := sha256.Sum256(data)
	b.count++
	return &protocol.Report{ID: fmt.Sprint("report-", b.count), Kind: kind, At: b.time, Digest: hex.EncodeToString(sum[:]), Last: true, Body: data}
}

func (b *bench) row(id int64) *Row {
	b.t.Helper()
	r := new(Row)
	b.must(b.db.R.NewSelect().Model(r).Where("id = ?", id).Scan(context.Background()))
	return r
}

func (b *bench) beat(id int64) *protocol.BeatAnswer {
	b.t.Helper()
	r := b.row(id)
	a, err := b.Beat(context.Background(), id, &protocol.Beat{At: b.time, State: protocol.Running, Version: "1.0", Facts: r.FactsDigest, Software: r.SoftwareDigest}, b.time.Add(enrol.Lifetime))
	b.must(err)
	return a
}

func TestEnrol(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		shop, bank := b.cluster("shop"), b.cluster("bank")
		token, about := b.token(shop, 2)
		apply := func(token, node, machine string) (*protocol.Papers, error) {
			return b.Enrol(ctx, protocol.Application{Token: token, Request: b.request(), Node: node, MachineID: machine}, "192.0.2.1")
		}
		p, err := apply(token, "n1", "m1")
		if err != nil || p.Target != shop || p.Cluster != "shop" {
			t.Fatal(p, err)
		}
		cert := parse(t, p.Certificate)
		if h, err := enrol.HolderOf(cert); err != nil || h.Node() != p.Node || h.Target() != 0 || cert.IsCA || !cert.NotAfter.Equal(b.time.Add(enrol.Lifetime)) {
			t.Errorf("%+v %v %v", h, err, cert.NotAfter)
		}
		// What cannot be taken uses nothing up.
		for name, a := range map[string]protocol.Application{
			"name":    {Token: token, Request: b.request(), Node: "No Node", MachineID: "m"},
			"path":    {Token: token, Request: b.request(), Node: "../n", MachineID: "m"},
			"request": {Token: token, Request: []byte("nothing"), Node: "n2", MachineID: "m"},
			"machine": {Token: token, Request: b.request(), Node: "n2", MachineID: "m\n"},
		} {
			if _, err := b.Enrol(ctx, a, ""); !errors.Is(err, ErrInvalid) && !errors.Is(err, enrol.ErrRequest) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := apply("sae_guessed", "n2", "m2"); !errors.Is(err, enrol.ErrAgentToken) {
			t.Error(err)
		}
		if _, err := apply(token, "n2", "m2"); err != nil {
			t.Error(err)
		}
		if _, err := apply(token, "n3", "m3"); !errors.Is(err, enrol.ErrAgentUsedUp) {
			t.Errorf("a token that was used as often as it is good: %v", err)
		}
		// A token of another cluster makes a node of that cluster, whatever it is called.
		other, _ := b.token(bank, 1)
		if q, err := apply(other, "n1", "m1"); err != nil || q.Target != bank || q.Node == p.Node {
			t.Error(q, err)
		}
		late, _ := b.token(shop, 5)
		gone, row := b.token(shop, 5)
		b.must(db.Write(ctx, func(ctx context.Context, tx bun.Tx) error { return b.auth.RevokeAgentToken(ctx, tx, shop, row.ID) }))
		if _, err := apply(gone, "n4", "m4"); !errors.Is(err, enrol.ErrAgentExpired) {
			t.Errorf("a token that was revoked: %v", err)
		}
		if err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error { return b.auth.RevokeAgentToken(ctx, tx, bank, about.ID) }); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a token of another cluster: %v", err)
		}
		b.time = b.time.Add(time.Hour)
		if _, err := apply(late, "n4", "m4"); !errors.Is(err, enrol.ErrAgentExpired) {
			t.Errorf("a token that has expired: %v", err)
		}
		var stored []string
		if err := db.R.NewSelect().Table("agent_tokens").Column("hash").Scan(ctx, &stored); err != nil || strings.Contains(strings.Join(stored, " "), token) {
			t.Error("the token is in the database", err)
		}
		if n := b.audits("agent.enrol"); n != 3 {
			t.Errorf("%d enrolments in the audit log", n)
		}
	})
}

// TestTokenRace: of many who come with one token at once, as many get through as it is good for.
func TestTokenRace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		shop := b.cluster("shop")
		token, _ := b.token(shop, 3)
		csr := b.request()
		var wait sync.WaitGroup
		results := make([]error, 12)
		for i := range results {
			wait.Go(func() {
				_, results[i] = b.Enrol(context.Background(), protocol.Application{Token: token, Request: csr, Node: fmt.Sprint("n", i), MachineID: fmt.Sprint("m", i)}, "")
			})
		}
		wait.Wait()
		good := 0
		for _, err := range results {
			switch {
			case err == nil:
				good++
			case !errors.Is(err, enrol.ErrAgentUsedUp):
				t.Error(err)
			}
		}
		if good != 3 {
			t.Errorf("%d got through", good)
		}
	})
}

// TestImitation: a token shows that somebody belongs to the cluster, not which node it is.
func TestImitation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		shop := b.cluster("shop")
		first, err := b.enrol(shop, "n1", "m1")
		b.must(err)
		held := parse(t, first.Certificate)
		if _, err := b.enrol(shop, "n1", "m2"); !errors.Is(err, ErrImitated) || !strings.Contains(err.Error(), "still holds") {
			t.Fatalf("another machine: %v", err)
		}
		if _, err := b.enrol(shop, "n1", ""); !errors.Is(err, ErrImitated) {
			t.Errorf("no machine id: %v", err)
		}
		if b.auth.Check(ctx, held) != nil {
			t.Error("an imitation ended the node's own certificate")
		}
		if n := b.audits("agent.refused"); n != 2 {
			t.Errorf("%d refusals in the audit log", n)
		}
		if _, err := b.enrol(shop, "n1", ""); !errors.Is(err, ErrImitated) || b.audits("agent.refused") != 2 {
			t.Error("every try of an imitation fills the audit log")
		}
		// A refused machine leaves the token as good as it was.
		token, _ := b.token(shop, 1)
		if _, err := b.Enrol(ctx, protocol.Application{Token: token, Request: b.request(), Node: "n1", MachineID: "m2"}, ""); !errors.Is(err, ErrImitated) {
			t.Error(err)
		}
		if _, err := b.Enrol(ctx, protocol.Application{Token: token, Request: b.request(), Node: "n9", MachineID: "m9"}, ""); err != nil {
			t.Error(err)
		}
		d, err := b.Get(ctx, b.all, first.Node)
		if err != nil || d.Claim == nil || d.Claim.Machine != "m2" || d.Claim.Confirmed {
			t.Fatalf("%+v %v", d, err)
		}
		// The same machine enrols again: its folder was lost.
		second, err := b.enrol(shop, "n1", "m1")
		if err != nil || second.Node != first.Node || !errors.Is(b.auth.Check(ctx, held), enrol.ErrRevoked) {
			t.Error(err)
		}
		// A user confirms the new machine.
		if err := b.Confirm(ctx, first.Node); !errors.Is(err, ErrConflict) {
			t.Errorf("nothing to confirm: %v", err)
		}
		if _, err := b.enrol(shop, "n1", "m2"); !errors.Is(err, ErrImitated) {
			t.Error(err)
		}
		b.must(b.Confirm(ctx, first.Node))
		if _, err := b.enrol(shop, "n1", "m3"); !errors.Is(err, ErrImitated) {
			t.Errorf("a third machine takes what was confirmed for the second: %v", err)
		}
		if _, err := b.enrol(shop, "n1", "m2"); err != nil {
			t.Error(err)
		}
		if !errors.Is(b.auth.Check(ctx, parse(t, second.Certificate)), enrol.ErrRevoked) {
			t.Error("the machine before still speaks for the node")
		}
		// The cluster says which machine the node is.
		b.must(b.Listed(ctx, shop, []task.NodeObject{{Name: "n1", Machine: "m4", OS: "linux"}, {Name: "n5", Machine: "m5", OS: "linux"}}))
		if _, err := b.enrol(shop, "n1", "m2"); !errors.Is(err, ErrImitated) {
			t.Errorf("the cluster says another machine: %v", err)
		}
		if _, err := b.enrol(shop, "n1", "m4"); err != nil {
			t.Errorf("the cluster says this machine: %v", err)
		}
		if _, err := b.enrol(shop, "n5", "m6"); !errors.Is(err, ErrImitated) {
			t.Errorf("a first agent on a machine that is not the node: %v", err)
		}
		// Certificates that have expired hold no name.
		p, err := b.enrol(shop, "n7", "m7")
		b.must(err)
		b.time = b.time.Add(enrol.Lifetime + time.Minute)
		if q, err := b.enrol(shop, "n7", "m8"); err != nil || q.Node != p.Node {
			t.Error(err)
		}
	})
}

func TestRenewAndForget(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		shop := b.cluster("shop")
		p, err := b.enrol(shop, "n1", "m1")
		b.must(err)
		q, err := b.enrol(shop, "n2", "m2")
		b.must(err)
		cert := parse(t, p.Certificate)
		b.time = b.time.Add(enrol.Lifetime/2 + time.Hour)
		if a, err := b.Beat(ctx, p.Node, &protocol.Beat{At: b.time, State: protocol.Running}, cert.NotAfter); err != nil || !a.Renew {
			t.Error(a, err)
		}
		next, err := b.Renew(ctx, cert, b.request())
		b.must(err)
		renewed := parse(t, next.Certificate)
		if h, _ := enrol.HolderOf(renewed); h.Node() != p.Node || b.auth.Check(ctx, renewed) != nil {
			t.Errorf("renewed for %+v", h)
		}
		b.must(b.Forget(ctx, p.Node))
		b.heed(ctx, live.Event{Topic: Topic, ID: p.Node})
		for _, c := range []*x509.Certificate{cert, renewed} {
			if err := b.auth.Check(ctx, c); !errors.Is(err, enrol.ErrRevoked) {
				t.Error(err)
			}
		}
		if _, err := b.Renew(ctx, renewed, b.request()); !errors.Is(err, ErrGone) && !errors.Is(err, enrol.ErrRevoked) {
			t.Error(err)
		}
		if _, err := b.Beat(ctx, p.Node, &protocol.Beat{At: b.time, State: protocol.Running}, renewed.NotAfter); !errors.Is(err, ErrGone) {
			t.Error(err)
		}
		if err := b.Take(ctx, p.Node, b.report(protocol.ReadFacts, inventory.NodeFacts{})); !errors.Is(err, ErrGone) {
			t.Error(err)
		}
		if b.auth.Check(ctx, parse(t, q.Certificate)) != nil {
			t.Error("another node's certificate was revoked")
		}
		if err := b.Forget(ctx, p.Node); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestBeats(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		shop := b.cluster("shop")
		id := b.node(shop, "n1")
		b.must(b.Listed(ctx, shop, []task.NodeObject{{Name: "n1", OS: "linux"}, {Name: "n2", OS: "linux"}, {Name: "win", OS: "windows"}}))
		state := func() State {
			d, err := b.Get(ctx, b.all, id)
			b.must(err)
			return d.State
		}
		if state() != Protected {
			t.Error(state())
		}
		b.time = b.time.Add(b.Away() + time.Second)
		if state() != Away {
			t.Error(state())
		}
		a := b.beat(id)
		if a.Interval != protocol.Interval || strings.Join(a.Want, " ") != "facts software" || len(a.Classes) != len(AllClasses) || a.Renew {
			t.Errorf("%+v", a)
		}
		if state() != Away {
			t.Error("a beat was written at once")
		}
		b.must(b.Flush(ctx))
		if state() != Protected {
			t.Error(state())
		}
		_, err := b.Beat(ctx, id, &protocol.Beat{At: b.time.Add(3 * time.Hour), State: protocol.Degraded, Reason: "no socket\x00\n of the runtime", Version: strings.Repeat("v", 200),
			Needs: []inventory.SkipFact{{Check: "containers", Needs: "the socket"}}, Classes: []emergency.Class{"read", "made up"}, Memory: 24 << 20, CPU: 15_000}, b.time.Add(enrol.Lifetime))
		b.must(err)
		b.must(b.Flush(ctx))
		d, err := b.Get(ctx, b.all, id)
		b.must(err)
		if d.Memory != 24<<20 || d.CPU != 15_000 {
			t.Errorf("%d bytes, %d ms", d.Memory, d.CPU)
		}
		if d.State != Degraded || strings.ContainsAny(d.Reason, "\x00\n") || len(d.Needs) != 1 || len(d.Version) != maxVersion || strings.Join(d.Classes, " ") != "read" || d.Skew != (3*time.Hour).Milliseconds() {
			t.Errorf("%+v", d)
		}
		for _, bad := range []protocol.Beat{{At: b.time}, {At: b.time, State: "well"}} {
			if _, err := b.Beat(ctx, id, &bad, b.time); !errors.Is(err, ErrInvalid) {
				t.Error(err)
			}
		}
		b.must(b.Count(ctx))
		var protected int
		b.must(db.R.NewRaw("SELECT protected_nodes FROM clusters WHERE target_id = ?", shop).Scan(ctx, &protected))
		if protected != 1 {
			t.Errorf("%d protected nodes", protected)
		}
		n, err := b.Counts(ctx, b.all, nil)
		if err != nil || n[Degraded] != 1 || n[Never] != 1 || n[Unsupported] != 1 || n[Protected] != 0 {
			t.Error(n, err)
		}
		list, next, err := b.List(ctx, b.all, Filter{}, store.Page{Limit: 2})
		if err != nil || len(list) != 2 || list[0].Name != "n1" || next == "" {
			t.Error(list, next, err)
		}
		list, next, err = b.List(ctx, b.all, Filter{}, store.Page{Limit: 2, After: next})
		if err != nil || len(list) != 1 || list[0].State != Unsupported || next != "" {
			t.Error(list, next, err)
		}
		for st, want := range map[State]string{Never: "n2", Unsupported: "win", Degraded: "n1"} {
			if list, _, err := b.List(ctx, b.all, Filter{States: []State{st}, Targets: []int64{shop}}, store.Page{}); err != nil || len(list) != 1 || list[0].Name != want || list[0].State != st {
				t.Error(st, list, err)
			}
		}
		if list, _, err := b.List(ctx, b.all, Filter{Q: "WI"}, store.Page{}); err != nil || len(list) != 1 {
			t.Error(list, err)
		}
		if list, _, err := b.List(ctx, identity.Visible{Targets: []int64{shop + 1}}, Filter{}, store.Page{}); err != nil || len(list) != 0 {
			t.Error(list, err)
		}
		// Nodes that left the cluster: one without an agent is not there, one with an agent is.
		b.must(b.Listed(ctx, shop, nil))
		if list, _, err := b.List(ctx, b.all, Filter{}, store.Page{}); err != nil || len(list) != 1 || list[0].Listed {
			t.Error(list, err)
		}
	})
}

func TestWork(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		shop := b.cluster("shop")
		id, other := b.node(shop, "n1"), b.node(shop, "n2")
		asked, err := b.Ask(ctx, []int64{id, 999}, protocol.Work{Kind: protocol.ReadFacts})
		if err != nil || len(asked) != 1 {
			t.Fatal(asked, err)
		}
		if again, err := b.Ask(ctx, []int64{id}, protocol.Work{Kind: protocol.ReadFacts}); err != nil || again[id] != asked[id] {
			t.Error("the same was asked for twice", again, err)
		}
		if a := b.beat(id); len(a.Work) != 1 || a.Work[0].ID != asked[id] || a.Work[0].Kind != protocol.ReadFacts {
			t.Errorf("%+v", a.Work)
		}
		if a := b.beat(other); len(a.Work) != 0 {
			t.Errorf("another node's work: %+v", a.Work)
		}
		// Another node cannot end it.
		r := b.report(protocol.ReadFacts, inventory.NodeFacts{})
		r.Work = asked[id]
		b.must(b.Take(ctx, other, r))
		if done, _, err := b.Answered(ctx, []int64{asked[id]}); err != nil || done {
			t.Error("a report of another node ended the work", err)
		}
		r = b.report(protocol.ReadFacts, inventory.NodeFacts{})
		r.Work = asked[id]
		b.must(b.Take(ctx, id, r))
		if done, failures, err := b.Answered(ctx, []int64{asked[id]}); err != nil || !done || len(failures) != 0 {
			t.Error(done, failures, err)
		}
		if a := b.beat(id); len(a.Work) != 0 {
			t.Errorf("work that was done: %+v", a.Work)
		}
		ids, why, err := b.AskNode(ctx, shop, "n1", []task.Part{task.SystemVulnerabilities}, b.time.Add(time.Minute))
		if err != nil || why != "" || len(ids) != 2 {
			t.Error(ids, why, err)
		}
		b.must(b.Take(ctx, id, &protocol.Report{ID: "failed-1", Work: ids[0], Kind: protocol.ReadPackages, At: b.time, Error: "cannot\nread", Last: true}))
		b.time = b.time.Add(2 * time.Minute)
		b.must(b.sweepWork(ctx))
		done, failures, err := b.Answered(ctx, ids)
		if err != nil || !done || len(failures) != 2 || failures[0] != "software: cannot read" || !strings.Contains(failures[1], "in time") {
			t.Error(done, failures, err)
		}
		for _, name := range []string{"nobody", "n1"} {
			b.time = b.time.Add(time.Hour)
			if _, why, err := b.AskNode(ctx, shop, name, task.Parts, b.time.Add(time.Minute)); err != nil || why == "" {
				t.Error(name, why, err)
			}
		}
		b.time = b.time.Add(2 * keepWork)
		b.must(b.sweepWork(ctx))
		if n, err := db.R.NewSelect().Table("node_work").Count(ctx); err != nil || n != 0 {
			t.Error(n, err)
		}
	})
}

func skipAll(list *[]finding.NotScanned) func(finding.NotScanned) {
	return func(n finding.NotScanned) { *list = append(*list, n) }
}
