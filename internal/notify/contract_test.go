package notify

import (
	"context"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/triage"
)

// TestScans tells of what real runs of triage changed, and writes a report with what browse gives.
func TestScans(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		ctx := context.Background()
		target := l.seed("shop")
		tr := triage.New(db, nil, nil)
		tr.SetClock(l.now)
		scan := func(names ...string) {
			t.Helper()
			l.pass(time.Hour)
			in, err := tr.Ingest(ctx, triage.Run{Target: target, Kind: triage.Full, At: l.now()})
			if err != nil {
				t.Fatal(err)
			}
			header := finding.Header{Target: finding.Target{Kind: "cluster", Name: "shop"}, StartedAt: l.now()}
			if err := in.Begin(header); err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				id := finding.Identity{Name: name}
				f := &finding.Finding{Fingerprint: id.Fingerprint(), Kind: finding.Configuration, Rule: "workload/" + name, Severity: finding.High, Status: finding.Open,
					Title: finding.Text{EN: "Title", ZH: "标题"}, Message: finding.Text{EN: "Message"}, Resource: finding.Resource{Cluster: "shop", Kind: "Deployment", APIVersion: "apps/v1", Namespace: "a", Name: name}}
				if err := in.Finding(f); err != nil {
					t.Fatal(err)
				}
			}
			if err := in.End(l.now(), header.Target, finding.Stats{}); err != nil {
				t.Fatal(err)
			}
			l.deliver()
		}
		h := newHook(t)
		l.add(h.input("a", Filter{}))
		for i, c := range []struct {
			found           []string
			messages        int
			total, reopened int
		}{{[]string{"x", "y"}, 1, 2, 0}, {[]string{"x", "y"}, 1, 2, 0}, {[]string{"x"}, 1, 2, 0}, {[]string{"x", "y", "z"}, 2, 2, 1}} {
			scan(c.found...)
			if len(h.got) != c.messages {
				t.Fatalf("after run %d: %d messages", i, len(h.got))
			}
			if last := h.got[len(h.got)-1].Counts; last.Total != c.total || last.Reopened != c.reopened || last.New != c.total-c.reopened {
				t.Errorf("after run %d: %+v", i, last)
			}
		}
		// a person takes something back that was ignored
		for _, action := range []ledger.Action{ledger.Ignore, ledger.Unignore} {
			l.pass(time.Minute)
			if err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
				_, err := tr.Handle(ctx, tx, triage.Handling{IDs: []int64{1}, Action: action, Note: "x"})
				return err
			}); err != nil {
				t.Fatal(err)
			}
			l.deliver()
		}
		if len(h.got) != 3 || h.got[2].Counts.Changed != 1 {
			t.Errorf("%d messages, the last %+v", len(h.got), h.got[len(h.got)-1].Counts)
		}

		l.Notifier.findings = browse.New(db)
		admin, _ := l.people()
		_, err := l.AddReport(admin, ReportInput{Name: "bad", Form: "csv", Filter: browse.Filter{Framework: "cis-1.10"}})
		wantErr(t, err, "framework")
		made := map[string]int64{}
		for _, form := range Forms {
			r := must(l.AddReport(admin, ReportInput{Name: form, Form: form, Filter: browse.Filter{Severities: []ledger.Severity{3}}}))
			made[form] = r.ID
			if err := l.AskReport(admin, r.ID); err != nil {
				t.Fatal(err)
			}
		}
		l.runReports()
		for form, id := range made {
			if list := must(l.Results(admin, id)); len(list) != 1 || list[0].Findings != 3 || list[0].Error != "" {
				t.Errorf("%s: %+v", form, list)
			}
		}
	})
}

// BenchmarkChange composes the message of a first scan: a hundred thousand new findings, for a channel with a filter.
func BenchmarkChange(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			db := storetest.Open(b, kind)
			ctx := context.Background()
			at := store.At(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
			err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
				for _, q := range []string{"INSERT INTO targets (kind, name, created_at) VALUES ('cluster', 'shop', 0)",
					"INSERT INTO risks (kind, rule, severity, title, first_seen) VALUES (4, 'r', 3, 't', 0)", "INSERT INTO assets (target_id, kind, name, first_seen) VALUES (1, 3, 'till', 0)"} {
					if _, err := tx.NewRaw(q).Exec(ctx); err != nil {
						return err
					}
				}
				for from := 0; from < 100_000; from += 1000 {
					var rows []*ledger.Row
					for i := from; i < from+1000; i++ {
						id := finding.Identity{Ordinal: i}
						rows = append(rows, &ledger.Row{TargetID: 1, Fingerprint: []byte(id.Fingerprint()[:16]), RiskID: 1, AssetID: 1, Kind: ledger.Configuration, Severity: ledger.Severity(i % 5), State: ledger.Open,
							Status: ledger.StatusOpen, Rule: "r", Namespace: "a", FirstSeen: at, ChangedAt: at, Priority: i % 100})
					}
					if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			n, err := New(db, nil, Options{})
			if err != nil {
				b.Fatal(err)
			}
			row := rowOf(ledger.Change{At: at})
			for b.Loop() {
				e, err := n.composer().event(ctx, row, &Filter{Severities: []ledger.Severity{4, 3}})
				if err != nil || e.Counts.Total != 40_000 {
					b.Fatal(e, err)
				}
			}
		})
	}
}

func rowOf(c ledger.Change) *outbox.Message {
	return &outbox.Message{Topic: outbox.FindingsChanged, TargetID: 1, At: c.At, Body: ledger.JSON(c)}
}
