package exception_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/triage"
)

// TestWithTriage: scans and exceptions together, over a year, as the server wires them. Nothing flaps, and every count is right.
func TestWithTriage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		clock := func() time.Time { return now }
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		tri := triage.New(db, nil, nil)
		tri.SetClock(clock)
		book, err := exception.Open(ctx, db, func(ctx context.Context, tx bun.Tx, h exception.Handling) (int, error) {
			return tri.Handle(ctx, tx, triage.Handling(h))
		}, nil)
		must(err)
		book.Now = clock
		tri.SetExceptions(book)
		var target int64
		must(db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			row, err := ledger.AddTarget(ctx, tx, "cluster", "prod", now)
			if err == nil {
				target = row.ID
			}
			return err
		}))
		const image, digest = "registry.example.com/shop/till:1", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
		scan := func(labels map[string]string, fixed string) {
			t.Helper()
			now = now.Add(time.Hour)
			in, err := tri.Ingest(ctx, triage.Run{Target: target, Kind: "full", At: now})
			must(err)
			h := finding.Header{Target: finding.Target{Kind: "cluster", Name: "prod"}, StartedAt: now}
			must(in.Begin(h))
			for i := range 3 {
				must(in.Finding(&finding.Finding{Fingerprint: fmt.Sprintf("%032x", i), Kind: finding.Configuration, Rule: "workload/privileged-container", RuleID: "STK-W-0001",
					Severity: finding.High, Status: finding.Open, Resource: finding.Resource{Cluster: "prod", APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: fmt.Sprint("app-", i), Labels: []map[string]string{labels}}}))
			}
			must(in.Finding(&finding.Finding{Fingerprint: fmt.Sprintf("%032x", 9), Kind: finding.Vulnerability, Rule: "CVE-2026-1", Severity: finding.Critical, Status: finding.Open,
				Vulnerability: &finding.Vulnerable{ID: "CVE-2026-1", Package: "p", Version: "1", FixedVersion: fixed, Type: "system"},
				Resource: finding.Resource{Cluster: "prod", Image: image, Digest: digest, Workloads: []finding.WorkloadRef{{Kind: "Deployment", Namespace: "shop", Name: "app-0", Container: "c"}},
					Labels: []map[string]string{labels}}}))
			must(in.Asset(finding.Asset{Kind: "cluster", Name: "prod"}))
			for i := range 3 {
				a := finding.Asset{Kind: "workload", GroupKind: "Deployment.apps", Namespace: "shop", Name: fmt.Sprint("app-", i), Labels: labels}
				if i == 0 {
					a.Runs = []finding.ImageRef{{Reference: image, Digest: digest}}
				}
				must(in.Asset(a))
			}
			must(in.Asset(finding.Asset{Kind: "image", Name: image, Digest: digest}))
			must(in.End(now, h.Target, finding.Stats{}))
		}
		count := func(status ledger.Status) int64 {
			n, err := db.R.NewSelect().Table("findings").Where("status = ?", status).Count(ctx)
			must(err)
			return n
		}
		check := func(what string, accepted, open int64) {
			t.Helper()
			for range 2 {
				must(book.Sweep(ctx, now))
				now = now.Add(time.Minute)
			}
			if a, o := count(ledger.StatusAccepted), count(ledger.StatusOpen)+count(ledger.StatusReopened); a != accepted || o != open {
				t.Errorf("%s: %d accepted, %d open, want %d and %d", what, a, o, accepted, open)
			}
			if wrong, err := tri.Recount(ctx, false); err != nil || len(wrong) > 0 {
				t.Errorf("%s: counts: %v %v", what, wrong, err)
			}
		}
		admin := func(name string, id int64) context.Context {
			return identity.With(ctx, &identity.Principal{UserID: id, Name: name, Grants: []identity.Grant{{Role: identity.Administrator}}})
		}
		ask := func(s exception.Scope, expires string, fix bool) {
			t.Helper()
			r, err := book.Ask(admin("Cem", 1), exception.Request{Draft: exception.Draft{TargetID: target, Scope: s, UntilFix: fix}, Reason: "why", Category: exception.RiskAccepted, Expires: expires})
			must(err)
			_, err = book.Decide(admin("Ada", 2), r.ID, true, "", r.Revision)
			must(err)
		}
		shop := map[string]string{"team": "shop"}
		scan(shop, "")
		check("scanned", 0, 4)
		ask(exception.Scope{Rule: "workload/*", Labels: "team=shop"}, "2026-12-24", false)
		ask(exception.Scope{CVE: "CVE-2026-1", Namespace: "shop"}, "", true)
		check("approved", 4, 0)
		events := func() int64 {
			n, err := db.R.NewSelect().Table("history").Count(ctx)
			must(err)
			return n
		}
		before := events()
		for range 3 {
			scan(shop, "")
			check("scanned again", 4, 0)
		}
		if n := events(); n != before {
			t.Errorf("%d findings changed though nothing did", n-before)
		}
		scan(map[string]string{"team": "bank"}, "")
		check("other labels", 1, 3)
		scan(shop, "")
		check("the labels again", 4, 0)
		scan(shop, "2")
		check("a fix", 3, 1)
		now = time.Date(2026, 12, 25, 0, 0, 0, 0, time.UTC)
		check("expired", 0, 4)
		scan(shop, "2")
		check("scanned after it", 0, 4)
		var status []string
		must(db.R.NewSelect().Table("exceptions").Column("status").OrderExpr("id").Scan(ctx, &status))
		if fmt.Sprint(status) != "[expired ended-by-fix]" {
			t.Error(status)
		}
		var ended int64
		ended, err = db.R.NewSelect().Table("outbox").Where("topic = 'exception.ended'").Count(ctx)
		if must(err); ended != 2 {
			t.Errorf("%d messages of ends", ended)
		}
	})
}
