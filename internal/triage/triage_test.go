package triage

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// clusters keeps the times of fixtures that share a database apart.
var clusters atomic.Int64

var start = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// fixture is a Triage on a database with one cluster, and a clock that goes by the minute.
type fixture struct {
	t      testing.TB
	db     *store.DB
	tr     *Triage
	now    time.Time
	target int64
	db1    string // digest of the advisory database
	ex     func(f *finding.Finding) (int64, bool)
}

func (x *fixture) Match(f *finding.Finding, _ int64, _ time.Time) (int64, bool) {
	if x.ex == nil {
		return 0, false
	}
	return x.ex(f)
}

func setUp(t testing.TB, db *store.DB) *fixture {
	t.Helper()
	x := &fixture{t: t, db: db, now: start.Add(time.Duration(clusters.Add(1)) * 24 * time.Hour), db1: "sha256:one"}
	x.tr = New(db, x, nil)
	x.tr.SetClock(func() time.Time { return x.now })
	x.target = x.cluster(fmt.Sprint("shop", x.number("SELECT count(*) FROM targets")))
	return x
}

func (x *fixture) cluster(name string) int64 {
	x.t.Helper()
	row, err := ledger.AddTarget(context.Background(), x.db.R, "cluster", name, x.now)
	if err != nil {
		x.t.Fatal(err)
	}
	return row.ID
}

// print makes a fingerprint of a name.
func print(name string) string {
	sum := md5.Sum([]byte(name))
	return hex.EncodeToString(sum[:])
}

// misconfigured is a finding on a workload.
func misconfigured(namespace, name, rule string, s finding.Severity) *finding.Finding {
	return &finding.Finding{Fingerprint: print(namespace + "/" + name + "/" + rule), Kind: finding.Configuration, Rule: "workload/" + rule, RuleID: "STK-W-" + rule,
		Severity: s, Risk: "workload", Title: finding.Text{EN: "Title " + rule, ZH: "标题 " + rule}, Message: finding.Text{EN: "Message " + rule, ZH: "消息"},
		Remediation: finding.Text{EN: "Fix", ZH: "修复"}, References: []string{"https://example.com/a", "https://example.com/b"}, Status: finding.Open,
		Resource: finding.Resource{Cluster: "shop", APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: name, Container: "web"},
		Evidence: []finding.Evidence{{Path: "spec.privileged", Found: true, Want: false}}}
}

// vulnerable is a finding on an image.
func vulnerable(repository, tag, digest, pkg, cve string, s finding.Severity) *finding.Finding {
	return &finding.Finding{Fingerprint: print(repository + pkg + cve), Kind: finding.Vulnerability, Rule: cve, Severity: s, Risk: "image",
		Title: finding.Text{EN: cve}, Message: finding.Text{EN: cve + " in " + pkg}, Remediation: finding.Text{EN: "Upgrade " + pkg}, Status: finding.Open,
		Resource: finding.Resource{Cluster: "shop", Image: repository + ":" + tag, Digest: digest},
		Vulnerability: &finding.Vulnerable{ID: cve, Package: pkg, Version: "1.0", FixedVersion: "1.1", Type: "system", Source: "debian", State: "fixed",
			EvidenceClass: finding.EvidenceVendor, CVSS: 7.5, EPSS: 0.1},
		Priority: &finding.Priority{Score: 50, Reasons: []string{"CVSS 7.5"}}}
}

func deployment(namespace, name string, images ...finding.ImageRef) finding.Asset {
	return finding.Asset{Kind: "workload", GroupKind: "Deployment.apps", Namespace: namespace, Name: name, Runs: images}
}

func imageAsset(ref, digest string) finding.Asset {
	return finding.Asset{Kind: "image", Name: ref, Digest: digest}
}

// look is one run.
type look struct {
	run      Run
	found    []*finding.Finding
	assets   []finding.Asset
	gaps     []finding.NotScanned
	clauses  []finding.Clause
	nodb     bool
	breakoff bool
}

// play takes a look in and returns its run.
func (x *fixture) play(l look) (ledger.Run, error) {
	if l.run.Target == 0 {
		l.run.Target = x.target
	}
	if l.run.Kind == "" {
		l.run.Kind = Full
	}
	in, err := x.tr.Ingest(context.Background(), l.run)
	if err != nil {
		return ledger.Run{}, err
	}
	defer in.Abort("broke off")
	h := finding.Header{Tool: finding.Tool{Name: "stockade", Rules: "r1", Database: &finding.Database{Digest: x.db1}}}
	if l.nodb {
		h.Tool.Database = nil
	}
	if err := in.Begin(h); err != nil {
		return ledger.Run{}, err
	}
	for _, f := range l.found {
		if err := in.Finding(f); err != nil {
			return in.Run(), err
		}
	}
	if l.breakoff {
		if err := in.flush(); err != nil {
			return in.Run(), err
		}
		return in.Run(), nil
	}
	for _, c := range l.clauses {
		if err := in.Clause(c); err != nil {
			return in.Run(), err
		}
	}
	for _, a := range l.assets {
		if err := in.Asset(a); err != nil {
			return in.Run(), err
		}
	}
	for _, g := range l.gaps {
		if err := in.NotScanned(g); err != nil {
			return in.Run(), err
		}
	}
	err = in.End(x.now, finding.Target{}, finding.Stats{})
	return in.Run(), err
}

// scan takes a look in that must work, a minute after the last.
func (x *fixture) scan(l look) ledger.Run {
	x.t.Helper()
	x.now = x.now.Add(time.Minute)
	run, err := x.play(l)
	if err != nil {
		x.t.Fatal(err)
	}
	x.right()
	return run
}

// right holds the counters to the rows.
func (x *fixture) right() {
	x.t.Helper()
	wrong, err := x.tr.Recount(context.Background(), false)
	if err != nil {
		x.t.Fatal(err)
	}
	if len(wrong) > 0 {
		x.t.Fatalf("counters are wrong (kept, counted): %d\n%v", len(wrong), wrong[:min(len(wrong), 10)])
	}
}

// days holds the newest day of each target, and of all, to the counters.
func (x *fixture) days() {
	x.t.Helper()
	if n := x.number(`SELECT count(*) FROM days d WHERE (target_id = 0 OR EXISTS (SELECT 1 FROM targets t WHERE t.id = d.target_id AND t.removed_at = 0))
		AND NOT EXISTS (SELECT 1 FROM days e WHERE e.target_id = d.target_id AND e.kind = d.kind AND e.severity = d.severity AND e.day > d.day)
		AND active <> coalesce((SELECT sum(n) FROM counts c WHERE c.target_id = d.target_id AND c.namespace = '*' AND c.kind = d.kind AND c.severity = d.severity AND c.status <= 3), 0)`); n != 0 {
		x.t.Fatalf("%d days do not say what is active", n)
	}
}

func (x *fixture) row(fingerprint string) ledger.Row {
	x.t.Helper()
	var r ledger.Row
	raw, err := hex.DecodeString(fingerprint)
	if err != nil {
		x.t.Fatal(err)
	}
	if err := x.db.R.NewSelect().Model(&r).Where("target_id = ? AND fingerprint = ?", x.target, raw).Scan(context.Background()); err != nil {
		x.t.Fatal(err)
	}
	return r
}

func (x *fixture) events(id int64) []ledger.Event {
	x.t.Helper()
	var list []ledger.Event
	if err := x.db.R.NewSelect().Model(&list).Where("finding_id = ?", id).OrderExpr("id").Scan(context.Background()); err != nil {
		x.t.Fatal(err)
	}
	return list
}

func (x *fixture) handle(h Handling) int {
	x.t.Helper()
	x.now = x.now.Add(time.Minute)
	n := 0
	err := x.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) (err error) {
		n, err = x.tr.Handle(ctx, tx, h)
		return err
	})
	if err != nil {
		x.t.Fatal(err)
	}
	x.right()
	return n
}

func (x *fixture) number(text string, args ...any) int {
	x.t.Helper()
	n := 0
	if err := x.db.R.NewRaw(text, args...).Scan(context.Background(), &n); err != nil {
		x.t.Fatal(err)
	}
	return n
}

func (x *fixture) asset(kind ledger.AssetKind, name string) string {
	x.t.Helper()
	var c [5]int
	var gone int64
	if err := x.db.R.NewRaw("SELECT critical, high, medium, low, info, gone_at FROM assets WHERE target_id = ? AND kind = ? AND name = ?", x.target, int(kind), name).
		Scan(context.Background(), &c[0], &c[1], &c[2], &c[3], &c[4], &gone); err != nil {
		x.t.Fatalf("%s %s: %v", kind, name, err)
	}
	s := fmt.Sprint(c[0], c[1], c[2], c[3], c[4])
	if gone != 0 {
		s += " gone"
	}
	return s
}
