package exception

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// BenchmarkBook measures the work on 20,000 findings beside 10,000 approved exceptions: a preview, an approval, and the sweep of
// every minute when nothing is due.
func BenchmarkBook(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		db := storetest.Open(b, kind)
		ctx := identity.With(context.Background(), &identity.Principal{UserID: 1, Name: "Ada", Grants: []identity.Grant{{Role: identity.Administrator}}})
		h := &house{db: db, now: noon}
		ok := func(err error) {
			if err != nil {
				b.Fatal(err)
			}
		}
		const n = 20_000
		ok(db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			if _, err := tx.NewRaw("INSERT INTO targets (id, kind, name, created_at) VALUES (1, 'cluster', 'a', 1)").Exec(ctx); err != nil {
				return err
			}
			for i := range n {
				if _, err := h.insert(ctx, tx, 1, &finding.Finding{Fingerprint: fmt.Sprintf("%032x", i), Kind: finding.Configuration, Rule: "a/b", Severity: finding.High,
					Resource: finding.Resource{Kind: "Deployment", Namespace: fmt.Sprint("ns-", i%2), Name: fmt.Sprint("d", i), Labels: []map[string]string{{"app": fmt.Sprint(i % 3)}}}}); err != nil {
					return err
				}
			}
			for _, e := range many(10_000) {
				r := &Record{Status: Approved, Reason: "r", Category: Other, Requester: "x", TargetID: e.Target, AskedAt: store.At(noon), DecidedAt: store.At(noon), ChangedAt: store.At(noon), Settled: true}
				r.put(e.Scope)
				if _, err := tx.NewInsert().Model(r).Exec(ctx); err != nil {
					return err
				}
			}
			return nil
		}))
		book, err := Open(ctx, db, h.handle, nil)
		ok(err)
		book.Now = func() time.Time { return h.now }
		for name, s := range map[string]Scope{"columns": {Rule: "a/b"}, "details": {Rule: "a/b", Labels: "app=1", Namespace: "ns-*"}} {
			b.Run(kind+"/preview "+name, func(b *testing.B) {
				for b.Loop() {
					e, err := book.Preview(ctx, Request{Draft: Draft{Scope: s}})
					if ok(err); e.Findings == 0 || !e.Complete {
						b.Fatalf("%+v", e)
					}
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "candidates/s")
			})
		}
		b.Run(kind+"/load", func(b *testing.B) {
			for b.Loop() {
				ok(book.load(ctx))
			}
		})
		b.Run(kind+"/sweep", func(b *testing.B) {
			for b.Loop() {
				ok(book.Sweep(ctx, h.now))
			}
		})
		b.Run(kind+"/list", func(b *testing.B) {
			for b.Loop() {
				_, _, err := book.List(ctx, identity.Visible{All: true}, Filter{Query: "team-17"}, "", store.Page{})
				ok(err)
			}
		})
	}
}
