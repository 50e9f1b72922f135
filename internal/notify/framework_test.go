package notify

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/frameworks"
	"stockade.dev/stockade/internal/assess"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestFrameworkReports writes compliance frameworks by schedule, of what the owner sees, and refuses what has no meaning.
func TestFrameworkReports(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		admin, ann := l.people()
		all, err := compliance.Load(frameworks.FS)
		if err != nil {
			t.Fatal(err)
		}
		b := browse.New(db)
		b.SetCatalog(compliance.NewCatalog(all, nil))
		l.o.Assess = assess.New(b)
		err = db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
			for _, text := range []string{
				"INSERT INTO targets (id, kind, name, created_at) VALUES (1, 'cluster', 'shop', 1), (2, 'cluster', 'bank', 1)",
				"INSERT INTO judged (target_id, framework, at, run_id, pass, fail, manual, not_applicable) VALUES (1, 'nsa', 1000, 0, 1, 0, 0, 0), (2, 'nsa', 1000, 0, 0, 0, 1, 0)",
				"INSERT INTO clauses (target_id, framework, clause, ordinal, status, findings, body, updated_at) VALUES (1, 'nsa', 'etcd', 11, 'pass', 0, '', 1000), (2, 'nsa', 'etcd', 11, 'manual', 0, '', 1000)",
				"INSERT INTO users (id, name, created_at) VALUES (2, 'ann', 1)",
			} {
				if _, err := tx.NewRaw(text).Exec(ctx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, in := range map[string]ReportInput{
			"framework": {Name: "x", Form: "html", Framework: "none"},
			"one of":    {Name: "x", Form: "sarif", Framework: "nsa"},
			"targets":   {Name: "x", Form: "csv", Framework: "nsa", Filter: browse.Filter{Q: "x"}},
		} {
			if _, err := l.AddReport(admin, in); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), name) {
				t.Errorf("%+v: %v", in, err)
			}
		}
		whole, err := l.AddReport(admin, ReportInput{Name: "all", Form: "html", Framework: "nsa", Language: "zh"})
		if err != nil {
			t.Fatal(err)
		}
		hers, err := l.AddReport(ann, ReportInput{Name: "hers", Form: "csv", Framework: "nsa"})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []int64{whole.ID, hers.ID} {
			if err := l.AskReport(admin, id); err != nil {
				t.Fatal(err)
			}
		}
		l.runReports()
		if text := l.file(admin, whole.ID); !strings.Contains(text, "合规评估报告") || !strings.Contains(text, "shop") || !strings.Contains(text, "bank") {
			t.Error(text)
		}
		if text := l.file(ann, hers.ID); strings.Contains(text, "shop") || !strings.Contains(text, "bank") {
			t.Error(text)
		}
		list := must(l.Reports(admin))
		if len(list) != 2 || list[1].Framework != "nsa" || list[1].Owner != "ann" || list[1].Last == nil || list[1].Last.Bytes == 0 {
			t.Errorf("%+v", list)
		}
	})
}
