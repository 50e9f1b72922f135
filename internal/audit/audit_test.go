package audit_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

func record(t *testing.T, db *store.DB, actor, action, object string, target int64, before, after any) {
	t.Helper()
	ctx := identity.With(context.Background(), &identity.Principal{UserID: 7, Name: actor})
	ctx = audit.WithOrigin(ctx, audit.Origin{Remote: "192.0.2.1", Request: "r1"})
	if err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		return audit.Record(ctx, tx, action, object, target, before, after)
	}); err != nil {
		t.Fatal(err)
	}
}

// TestList: filters and pages, newest first.
func TestList(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		record(t, db, "alice", "cluster.add", "cluster 1 (shop)", 1, nil, map[string]int{"nodes": 3})
		record(t, db, "bob", "cluster.remove", "cluster 2 (100%_Bank)", 2, map[string]int{"nodes": 3}, nil)
		record(t, db, "alice", "clusterlike.add", "finding 9", 1, nil, nil)
		record(t, db, "alice", "finding.ignore", "finding 9", 1, nil, nil)
		hour := time.Now().Add(time.Hour)
		for name, tc := range map[string]struct {
			f    audit.Filter
			want string
		}{
			"all":             {audit.Filter{}, "finding.ignore clusterlike.add cluster.remove cluster.add"},
			"actor":           {audit.Filter{Actor: "bob"}, "cluster.remove"},
			"action":          {audit.Filter{Action: "cluster.add"}, "cluster.add"},
			"noun":            {audit.Filter{Action: "cluster"}, "cluster.remove cluster.add"},
			"wild noun":       {audit.Filter{Action: "c%"}, ""},
			"object":          {audit.Filter{Object: "BANK"}, "cluster.remove"},
			"no wildcards":    {audit.Filter{Object: "100%_b"}, "cluster.remove"},
			"wildcards alone": {audit.Filter{Object: "cluster_1"}, ""},
			"target":          {audit.Filter{Target: 1, Actor: "alice", Action: "cluster"}, "cluster.add"},
			"later":           {audit.Filter{From: hour}, ""},
			"earlier":         {audit.Filter{To: hour, Target: 2}, "cluster.remove"},
		} {
			var got []string
			for after := ""; ; {
				list, next, err := audit.List(ctx, db, tc.f, store.Page{Limit: 1, After: after})
				if err != nil {
					t.Fatal(name, err)
				}
				for _, e := range list {
					got = append(got, e.Action)
				}
				if after = next; next == "" {
					break
				}
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("%s: %v, want %s", name, got, tc.want)
			}
		}
		list, _, err := audit.List(ctx, db, audit.Filter{Actor: "bob"}, store.Page{})
		if err != nil || list[0].UserID != 7 || list[0].Remote != "192.0.2.1" || list[0].Request != "r1" || list[0].Before != `{"nodes":3}` || list[0].After != "" || list[0].At.IsZero() {
			t.Errorf("%+v %v", list, err)
		}
		if _, _, err := audit.List(ctx, db, audit.Filter{}, store.Page{After: "x"}); !errors.Is(err, store.ErrCursor) {
			t.Error(err)
		}
	})
}

// TestExport: an entry stays one row whatever things are called, and no cell is a formula.
func TestExport(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		evil := []string{"=cmd|' /C calc'!A0", "+1", "-2", "@SUM(A1)", " =1", "\u3000＝1", "a\nadministrator,cluster.add", "a\r\n=1", "\t=1", "\x00=1", "\"quoted\"", "\u202ecba", "\u2028x", "bad\xff", strings.Repeat("long", 1000)}
		for _, e := range evil {
			record(t, db, "eve"+e, "cluster.add", e, 0, map[string]string{"name": e}, e)
		}
		var out bytes.Buffer
		if err := audit.Export(context.Background(), db, audit.Filter{}, audit.CSV, &out); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(out.String(), "\ufeff"))).ReadAll()
		if err != nil || len(rows) != len(evil)+1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		if lines := strings.Count(out.String(), "\n"); lines != len(evil)+1 {
			t.Errorf("%d lines", lines)
		}
		for i, row := range rows {
			for j, cell := range row {
				trimmed := strings.TrimLeft(cell, " \u00a0\u3000")
				if strings.ContainsAny(cell, "\n\r\t\x00\u2028\u202e") || trimmed != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(trimmed)[0]) {
					t.Errorf("row %d, %s: %q", i, rows[0][j], cell)
				}
			}
		}
		out.Reset()
		if err := audit.Export(context.Background(), db, audit.Filter{}, audit.JSONL, &out); err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(out.String()) {
			var e audit.Entry
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Errorf("line %d: %v", n, err)
			}
			if len([]rune(e.Object)) > 600 {
				t.Errorf("an object's name of %d characters", len(e.Object))
			}
			n++
		}
		if n != len(evil) {
			t.Errorf("%d lines", n)
		}
		if err := audit.Export(context.Background(), db, audit.Filter{}, "xml", &out); err == nil {
			t.Error("a form that there is not")
		}
	})
}

// TestExportMany passes the bounds of a batch without losing or repeating an entry, and tells when its reader is gone.
func TestExportMany(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		const many = 2500
		if err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			var list []audit.Entry
			for range many { // all at the same time: the id decides
				list = append(list, audit.Entry{At: store.At(time.UnixMilli(1_700_000_000_000)), Actor: "alice", Action: "finding.ignore", Object: "finding"})
			}
			_, err := tx.NewInsert().Model(&list).Exec(ctx)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := audit.Export(ctx, db, audit.Filter{}, audit.JSONL, &out); err != nil {
			t.Fatal(err)
		}
		seen := map[int64]bool{}
		for line := range strings.Lines(out.String()) {
			var e audit.Entry
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			seen[e.ID] = true
		}
		if len(seen) != many {
			t.Errorf("%d different entries of %d", len(seen), many)
		}
		for _, form := range []string{audit.CSV, audit.JSONL} {
			if err := audit.Export(ctx, db, audit.Filter{}, form, broken{}); err == nil {
				t.Errorf("%s: nobody was told that it broke off", form)
			}
		}
	})
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

// TestLongState is left out rather than cut in the middle of its JSON.
func TestLongState(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		record(t, db, "alice", "policy.change", "policy 1", 0, strings.Repeat("x", 1<<20), "short")
		list, _, err := audit.List(context.Background(), db, audit.Filter{}, store.Page{})
		if err != nil || !json.Valid([]byte(list[0].Before)) || len(list[0].Before) > 100 || list[0].After != `"short"` {
			t.Errorf("%v %v", list, err)
		}
	})
}
