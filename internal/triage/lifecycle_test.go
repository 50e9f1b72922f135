package triage

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

const (
	web    = "registry.example.com/web"
	digest = "sha256:11"
)

var webImage = finding.ImageRef{Reference: web + ":1", Digest: digest}

// shop is a look at a small cluster: a misconfigured workload whose image has a vulnerability.
func shop() look {
	return look{
		found: []*finding.Finding{misconfigured("shop", "till", "r1", finding.High), vulnerable(web, "1", digest, "openssl", "CVE-2026-1", finding.Critical)},
		assets: []finding.Asset{{Kind: "cluster", Name: "shop"}, {Kind: "namespace", Name: "shop"}, deployment("shop", "till", webImage),
			imageAsset(webImage.Reference, webImage.Digest)},
	}
}

func (l look) without(i int) look {
	l.found = append(append([]*finding.Finding{}, l.found[:i]...), l.found[i+1:]...)
	return l
}

func (l look) with(f func(*look)) look { f(&l); return l }

var till = inventory.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "till"}

// transition is what one look makes of a finding that a full scan has found.
type transition struct {
	name   string
	before func(x *fixture) // after the first full scan
	look   look
	of     string
	state  ledger.State
	status ledger.Status
	cause  ledger.Cause
	events int
}

// TestLifecycle goes through every transition that a scan makes, with its cause.
func TestLifecycle(t *testing.T) {
	config, vuln := shop().found[0].Fingerprint, shop().found[1].Fingerprint
	newDigest := finding.ImageRef{Reference: web + ":2", Digest: "sha256:22"}
	cases := []transition{
		{"unchanged", nil, shop(), config, ledger.Open, ledger.StatusOpen, ledger.FirstSeen, 0},
		{"fixed in the object", nil, shop().without(0), config, ledger.Fixed, ledger.StatusFixed, ledger.ObjectChanged, 1},
		{"gone with the object", nil, shop().without(0).with(func(l *look) { l.assets = append(l.assets[:2:2], l.assets[3:]...) }), config, ledger.Gone, ledger.StatusGone, ledger.ObjectGone, 1},
		{"rule changed", nil, shop().without(0).with(func(l *look) { l.run.Rules = func(string) int64 { return 2 } }), config, ledger.Fixed, ledger.StatusFixed, ledger.RuleChanged, 1},
		{"rule taken away", nil, shop().without(0).with(func(l *look) { l.run.Rules = func(string) int64 { return 0 } }), config, ledger.Fixed, ledger.StatusFixed, ledger.RuleChanged, 1},
		{"object could not be read", nil, shop().without(0).with(func(l *look) { l.assets[2].Unread = "forbidden" }), config, ledger.Unseen, ledger.StatusUnseen, ledger.NotLooked, 1},
		{"kind could not be read", nil, shop().without(0).with(func(l *look) {
			l.assets = []finding.Asset{l.assets[0], l.assets[1], l.assets[3], {Kind: "object", GroupKind: "Deployment.apps", Unread: "forbidden"}}
		}), config, ledger.Unseen, ledger.StatusUnseen, ledger.NotLooked, 1},
		{"source broke off", nil, shop().without(0).with(func(l *look) {
			l.assets = []finding.Asset{{Kind: "cluster", Name: "shop", Unread: "cut"}}
		}), config, ledger.Unseen, ledger.StatusUnseen, ledger.NotLooked, 1},
		{"rule undecided", nil, shop().without(0).with(func(l *look) {
			l.assets = append(l.assets[:4:4], finding.Asset{Kind: "rule", Name: "workload/r1", Unread: "error"})
		}), config, ledger.Unseen, ledger.StatusUnseen, ledger.NotLooked, 1},
		{"not asked for", nil, shop().without(0).with(func(l *look) { l.run.Kinds = []ledger.Kind{ledger.SystemVulnerability} }), config, ledger.Open, ledger.StatusOpen, ledger.FirstSeen, 0},
		{"image rebuilt without it", nil, shop().without(1).with(func(l *look) {
			l.assets = []finding.Asset{l.assets[0], l.assets[1], deployment("shop", "till", newDigest), imageAsset(newDigest.Reference, newDigest.Digest)}
		}), vuln, ledger.Fixed, ledger.StatusFixed, ledger.ImageChanged, 1},
		{"image not in use any more", nil, shop().without(1).with(func(l *look) {
			l.assets = []finding.Asset{l.assets[0], l.assets[1], deployment("shop", "till")}
		}), vuln, ledger.Gone, ledger.StatusGone, ledger.ImageChanged, 1},
		{"database changed", func(x *fixture) { x.db1 = "sha256:two" }, shop().without(1), vuln, ledger.Fixed, ledger.StatusFixed, ledger.DatabaseChanged, 1},
		{"no database", nil, shop().without(1).with(func(l *look) { l.nodb = true }), vuln, ledger.Unseen, ledger.StatusUnseen, ledger.NotLooked, 1},
		{"image could not be read", nil, shop().without(1).with(func(l *look) { l.assets[3].Unread = "unauthorized" }), vuln, ledger.Unseen, ledger.StatusUnseen, ledger.NotLooked, 1},
		{"image without advisories", nil, shop().without(1).with(func(l *look) {
			l.gaps = []finding.NotScanned{{Target: web + ":1", What: "packages", Reason: "no advisories", Code: finding.NoAdvisoryData}}
		}), vuln, ledger.Unseen, ledger.StatusUnseen, ledger.NotLooked, 1},
		{"same vulnerability in a new image", nil, shop().without(1).with(func(l *look) {
			l.found = append(l.found, vulnerable(web, "2", "sha256:22", "openssl", "CVE-2026-1", finding.Critical))
			l.assets = []finding.Asset{l.assets[0], l.assets[1], deployment("shop", "till", newDigest), imageAsset(newDigest.Reference, newDigest.Digest)}
		}), vuln, ledger.Open, ledger.StatusOpen, ledger.FirstSeen, 0},
		{"seen again after a look that could not", func(x *fixture) { x.scan(shop().without(1).with(func(l *look) { l.nodb = true })) }, shop(), vuln, ledger.Open, ledger.StatusOpen, ledger.NoCause, 2},
		{"reopened", func(x *fixture) { x.scan(shop().without(0)) }, shop(), config, ledger.Reopened, ledger.StatusReopened, ledger.ObjectChanged, 2},
		{"reopened by a rule", func(x *fixture) { x.scan(shop().without(0)) }, shop().with(func(l *look) { l.run.Rules = func(string) int64 { return 3 } }), config, ledger.Reopened, ledger.StatusReopened, ledger.RuleChanged, 2},
		{"reopened by the database", func(x *fixture) { x.scan(shop().without(1)); x.db1 = "sha256:two" }, shop(), vuln, ledger.Reopened, ledger.StatusReopened, ledger.DatabaseChanged, 2},
		{"reopened by an image", func(x *fixture) { x.scan(shop().without(1)) }, shop().without(1).with(func(l *look) {
			l.found = append(l.found, vulnerable(web, "2", "sha256:22", "openssl", "CVE-2026-1", finding.Critical))
			l.assets = []finding.Asset{l.assets[0], l.assets[1], deployment("shop", "till", newDigest), imageAsset(newDigest.Reference, newDigest.Digest)}
		}), vuln, ledger.Reopened, ledger.StatusReopened, ledger.ImageChanged, 2},
		{"suppressed in place", nil, shop().without(0).with(func(l *look) {
			f := misconfigured("shop", "till", "r1", finding.High)
			f.Status, f.Suppression = finding.Suppressed, &finding.Suppression{By: "inline", Reason: "a driver"}
			l.found = append(l.found, f)
		}), config, ledger.Open, ledger.StatusAccepted, ledger.ByException, 1},
		{"accepted by an exception", func(x *fixture) {
			x.ex = func(f *finding.Finding) (int64, bool) { return 9, f.Rule == "workload/r1" }
		}, shop(), config, ledger.Open, ledger.StatusAccepted, ledger.ByException, 1},
		{"exception over", func(x *fixture) {
			x.ex = func(f *finding.Finding) (int64, bool) { return 9, f.Rule == "workload/r1" }
			x.scan(shop())
			x.ex = nil
		}, shop(), config, ledger.Open, ledger.StatusOpen, ledger.ExceptionEnded, 2},
		{"ignored stays", func(x *fixture) {
			x.handle(Handling{IDs: []int64{x.row(config).ID}, Action: ledger.Ignore})
		}, shop(), config, ledger.Open, ledger.StatusIgnored, ledger.ByHand, 1},
		{"marked as fixed and is not", func(x *fixture) {
			x.handle(Handling{IDs: []int64{x.row(config).ID}, Action: ledger.MarkFixed})
		}, shop(), config, ledger.Reopened, ledger.StatusReopened, ledger.ObjectChanged, 2},
		{"marked as fixed and is", func(x *fixture) {
			x.handle(Handling{IDs: []int64{x.row(config).ID}, Action: ledger.MarkFixed})
		}, shop().without(0), config, ledger.Fixed, ledger.StatusFixed, ledger.ObjectChanged, 2},
		{"another severity", nil, shop().without(0).with(func(l *look) {
			l.found = append(l.found, misconfigured("shop", "till", "r1", finding.Low))
		}), config, ledger.Open, ledger.StatusOpen, ledger.FirstSeen, 1},
		{"verified: fixed", nil, look{run: Run{Kind: Verify, Refs: []inventory.Ref{till}}, assets: shop().assets[2:3]}, config, ledger.Fixed, ledger.StatusFixed, ledger.ObjectChanged, 1},
		{"verified: deleted", nil, look{run: Run{Kind: Verify, Refs: []inventory.Ref{till}}, assets: shop().assets[:1]}, config, ledger.Gone, ledger.StatusGone, ledger.ObjectGone, 1},
		{"verified: nothing of others", nil, look{run: Run{Kind: Verify, Refs: []inventory.Ref{till}}, assets: shop().assets[2:3]}, vuln, ledger.Open, ledger.StatusOpen, ledger.FirstSeen, 0},
		{"verified image", nil, look{run: Run{Kind: Verify, Refs: []inventory.Ref{ImageRef(web + ":1")}}, assets: shop().assets[3:]}, vuln, ledger.Fixed, ledger.StatusFixed, ledger.ObjectChanged, 1},
		{"watched: the last user of an image went", nil, look{run: Run{Kind: Watch, Refs: []inventory.Ref{till}}, assets: shop().assets[:1]}, vuln, ledger.Gone, ledger.StatusGone, ledger.ImageChanged, 1},
		{"watched: the image was replaced", nil, look{run: Run{Kind: Watch, Refs: []inventory.Ref{till}}, assets: []finding.Asset{deployment("shop", "till", newDigest),
			imageAsset(newDigest.Reference, newDigest.Digest)}}, vuln, ledger.Fixed, ledger.StatusFixed, ledger.ImageChanged, 1},
		{"watched: the new image has it too", nil, look{run: Run{Kind: Watch, Refs: []inventory.Ref{till}}, assets: []finding.Asset{deployment("shop", "till", newDigest),
			imageAsset(newDigest.Reference, newDigest.Digest)}, found: []*finding.Finding{vulnerable(web, "2", "sha256:22", "openssl", "CVE-2026-1", finding.Critical)}},
			vuln, ledger.Open, ledger.StatusOpen, ledger.FirstSeen, 0},
		{"watched: another workload runs the image still", func(x *fixture) {
			x.scan(shop().with(func(l *look) { l.assets = append(l.assets, deployment("shop", "stock", webImage)) }))
		}, look{run: Run{Kind: Watch, Refs: []inventory.Ref{till}}, assets: []finding.Asset{deployment("shop", "till")}}, vuln, ledger.Open, ledger.StatusOpen, ledger.FirstSeen, 0},
		{"a part without refs speaks for nothing", nil, look{run: Run{Kind: Part}, assets: shop().assets}, config, ledger.Open, ledger.StatusOpen, ledger.FirstSeen, 0},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, tt := range cases {
			t.Run(tt.name, func(t *testing.T) { tt.run(t, db) })
		}
	})
}

func (tt transition) run(t *testing.T, db *store.DB) {
	x := setUp(t, db)
	first := shop()
	first.run.Rules = func(string) int64 { return 1 }
	x.scan(first)
	seen := x.now
	if tt.before != nil {
		tt.before(x)
	}
	if tt.look.run.Rules == nil {
		tt.look.run.Rules = first.run.Rules
	}
	run := x.scan(tt.look)
	r := x.row(tt.of)
	if r.State != tt.state || r.Status != tt.status || r.Cause != tt.cause {
		t.Errorf("state %s, status %s, cause %q; want %s, %s, %q", r.State, r.Status, r.Cause, tt.state, tt.status, tt.cause)
	}
	if n := len(x.events(r.ID)); n != tt.events {
		t.Errorf("%d events, want %d", n, tt.events)
	}
	if ended := r.State == ledger.Unseen || r.State == ledger.Fixed || r.State == ledger.Gone; ended && !r.LastSeen.Equal(seen) || !ended && !r.LastSeen.IsZero() {
		t.Errorf("last seen %v, the first look was %v", r.LastSeen, seen)
	}
	if r.Status != ledger.StatusOpen && r.ChangedAt.Before(seen.Add(time.Second)) {
		t.Errorf("changed at %v", r.ChangedAt)
	}
	if run.FinishedAt.IsZero() {
		t.Error("the run did not end")
	}
}

// TestCounts: what counts where, and the message of a run.
func TestCounts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		l := shop()
		l.assets = append(l.assets, deployment("bank", "vault", webImage), finding.Asset{Kind: "namespace", Name: "bank"}, deployment("shop", "stock", webImage))
		run := x.scan(l)
		if run.Added != 2 || run.Unchanged != 0 {
			t.Errorf("%+v", run)
		}
		check := func(want map[string]string) {
			t.Helper()
			got := map[string]string{"cluster": x.asset(ledger.AssetCluster, "shop0"), "shop": x.asset(ledger.AssetNamespace, "shop"), "bank": x.asset(ledger.AssetNamespace, "bank"),
				"till": x.asset(ledger.AssetWorkload, "till"), "vault": x.asset(ledger.AssetWorkload, "vault"), "stock": x.asset(ledger.AssetWorkload, "stock"), "image": x.asset(ledger.AssetImage, web+":1")}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		}
		check(map[string]string{"cluster": "1 1 0 0 0", "shop": "1 1 0 0 0", "bank": "1 0 0 0 0", "till": "1 1 0 0 0", "vault": "1 0 0 0 0", "stock": "1 0 0 0 0", "image": "1 0 0 0 0"})
		l.assets = append(l.assets[:4:4], deployment("shop", "stock", webImage)) // vault and its namespace go
		x.scan(l)
		check(map[string]string{"cluster": "1 1 0 0 0", "shop": "1 1 0 0 0", "bank": "0 0 0 0 0 gone", "till": "1 1 0 0 0", "vault": "0 0 0 0 0 gone", "stock": "1 0 0 0 0", "image": "1 0 0 0 0"})
		x.scan(l.without(1))
		var bodies []string
		if err := db.R.NewRaw("SELECT body FROM outbox WHERE topic = 'findings.changed' AND target_id = ? ORDER BY id", x.target).Scan(context.Background(), &bodies); err != nil {
			t.Fatal(err)
		}
		if len(bodies) != 2 {
			t.Fatalf("%d messages, want one for the first and one for the last run: %v", len(bodies), bodies)
		}
		var c ledger.Change
		if err := json.Unmarshal([]byte(bodies[0]), &c); err != nil || c.RunID != run.ID || c.Opened[4] != 1 || c.Opened[3] != 1 || c.Closed != 0 {
			t.Errorf("%s %v", bodies[0], err)
		}
		if n := x.number("SELECT count(*) FROM findings WHERE first_seen = ?", c.At); n != 2 {
			t.Errorf("%d findings have the time of the message", n)
		}
		var last ledger.Change
		if err := json.Unmarshal([]byte(bodies[1]), &last); err != nil || last.Closed != 1 {
			t.Errorf("%s %v", bodies[1], err)
		}
	})
}

// TestGapsAndClauses: gaps are replaced, the time of their first stays; clauses likewise.
func TestGapsAndClauses(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		gap := func(what string) finding.NotScanned {
			return finding.NotScanned{Target: "shop", What: what, Reason: "no permission", Code: finding.Forbidden}
		}
		clause := func(id string, s finding.ClauseStatus) finding.Clause {
			return finding.Clause{Framework: "cis", Clause: id, Status: s, Findings: []string{"f"}, Title: finding.Text{EN: "t", ZH: "题"}}
		}
		l := shop()
		l.gaps, l.clauses = []finding.NotScanned{gap("a"), gap("b"), gap("b")}, []finding.Clause{clause("1", finding.Pass), clause("2", finding.Fail)}
		x.scan(l)
		since := x.now.UnixMilli()
		l.gaps, l.clauses = []finding.NotScanned{gap("b"), gap("c")}, []finding.Clause{clause("2", finding.Pass)}
		x.scan(l)
		if n := x.number("SELECT count(*) FROM gaps"); n != 2 {
			t.Errorf("%d gaps", n)
		}
		if n := x.number("SELECT count(*) FROM gaps WHERE what = 'b' AND since = ?", since); n != 1 {
			t.Error("the gap that stayed lost its time")
		}
		if n := x.number("SELECT count(*) FROM clauses"); n != 1 {
			t.Errorf("%d clauses", n)
		}
		verify := look{run: Run{Kind: Verify, Refs: []inventory.Ref{till}}, found: shop().found[:1], assets: shop().assets[2:3], gaps: []finding.NotScanned{gap("d")}}
		x.scan(verify)
		if n := x.number("SELECT count(*) FROM gaps"); n != 3 || x.number("SELECT count(*) FROM clauses") != 1 {
			t.Errorf("%d gaps after a look at one object", n)
		}
		l.gaps = nil
		x.scan(l)
		if n := x.number("SELECT count(*) FROM gaps"); n != 0 {
			t.Errorf("%d gaps after a full look without any", n)
		}
	})
}

// TestJudged: verdicts keep their place and the time of their change; the last look and the days of change are noted.
func TestJudged(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		clause := func(framework, id string, s finding.ClauseStatus, n int) finding.Clause {
			return finding.Clause{Framework: framework, Clause: id, Status: s, Findings: make([]string, n), Title: finding.Text{EN: "t", ZH: "题"}}
		}
		l := shop()
		l.clauses = []finding.Clause{clause("cis", "10", finding.Fail, 2), clause("cis", "2", finding.Pass, 0), clause("nsa", "a", finding.Manual, 0), clause("nsa", "b", finding.NotApplicable, 0)}
		x.scan(l)
		first, day := x.now.UnixMilli(), x.now.Unix()/86400
		if n := x.number("SELECT count(*) FROM clauses WHERE framework = 'cis' AND (clause = '10' AND ordinal = 1 OR clause = '2' AND ordinal = 2)"); n != 2 {
			t.Errorf("%d clauses are in their place", n)
		}
		if n := x.number("SELECT count(*) FROM judged WHERE framework = 'nsa' AND pass = 0 AND fail = 0 AND manual = 1 AND not_applicable = 1 AND at = ?", first); n != 1 {
			t.Error("the look is not noted")
		}
		x.now = x.now.Add(24 * time.Hour)
		l.clauses[0] = clause("cis", "10", finding.Fail, 3) // the same verdict by more findings
		x.scan(l)
		if n := x.number("SELECT count(*) FROM clauses WHERE findings = 3 AND updated_at = ?", first); n != 1 {
			t.Error("the verdict is told as new, or its findings are not counted")
		}
		if n := x.number("SELECT count(*) FROM judged_days"); n != 2 {
			t.Errorf("%d days after one without a change", n)
		}
		if n := x.number("SELECT count(*) FROM judged WHERE at = ?", x.now.UnixMilli()); n != 2 {
			t.Errorf("%d frameworks were judged at the last look", n)
		}
		x.now = x.now.Add(24 * time.Hour)
		l.clauses = []finding.Clause{clause("cis", "10", finding.Pass, 0), clause("cis", "2", finding.Pass, 0)}
		x.scan(l)
		if n := x.number("SELECT count(*) FROM judged_days WHERE framework = 'cis' AND day = ? AND pass = 2 AND fail = 0", day+2); n != 1 {
			t.Error("the change is not noted")
		}
		if n := x.number("SELECT count(*) FROM judged_days WHERE framework = 'nsa' AND day = ? AND manual = 0", day+2); n != 1 {
			t.Error("what is not judged any more has no end")
		}
		if n := x.number("SELECT count(*) FROM judged"); n != 1 || x.number("SELECT count(*) FROM clauses") != 2 {
			t.Errorf("%d frameworks are judged", n)
		}
		if n := x.number("SELECT count(*) FROM clauses WHERE clause = '10' AND updated_at = ?", x.now.UnixMilli()); n != 1 {
			t.Error("the new verdict has the time of the old one")
		}
	})
}
