package vitals

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

func exec(t *testing.T, db *store.DB, query string, args ...any) {
	t.Helper()
	if err := db.Write(t.Context(), func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw(query, args...).Exec(ctx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestSystem judges what is wrong, each thing by itself.
func TestSystem(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now := time.Now().UTC().Truncate(time.Second)
		leads, built, expires := true, now.Add(-time.Hour), now.AddDate(0, 2, 0)
		o := Options{DB: db, Now: func() time.Time { return now }, Name: "one", Version: "1.0", Roles: []string{"api", "worker", "scheduler"}, Data: t.TempDir(),
			Leads: func() bool { return leads }, Certificate: func() *x509.Certificate { return &x509.Certificate{NotAfter: expires} },
			Authority:  func() *x509.Certificate { return &x509.Certificate{NotAfter: now.AddDate(5, 0, 0)} },
			Advisories: func() Advisories { return Advisories{BuiltAt: built.Format(time.RFC3339)} }}
		s := New(o)
		states := func(s *Service) map[string]string {
			t.Helper()
			out := map[string]string{}
			for _, lang := range []string{"en", "zh"} {
				sys, err := s.System(t.Context(), lang)
				if err != nil {
					t.Fatal(err)
				}
				worst := OK
				for _, c := range sys.Checks {
					if c.Title == "" || c.Text == "" || strings.Contains(c.Text, "%!") || lang == "zh" && !strings.ContainsFunc(c.Text, func(r rune) bool { return r >= 0x4e00 && r < 0xa000 }) {
						t.Errorf("%s in %s: %q, %q", c.ID, lang, c.Title, c.Text)
					}
					out[c.ID] = c.State
					if c.State == Bad || c.State == Warn && worst == OK {
						worst = c.State
					}
				}
				if sys.State != worst || len(sys.Checks) != 13 {
					t.Errorf("the whole is %s, the worst %s of %d", sys.State, worst, len(sys.Checks))
				}
			}
			return out
		}
		want := func(name, id, state string) {
			t.Helper()
			if got := states(s)[id]; got != state {
				t.Errorf("%s: %s is %s, want %s", name, id, got, state)
			}
		}
		for id, state := range states(s) {
			if state != OK && id != "disk" && id != "memory" { // as the machine is
				t.Errorf("%s is %s at the beginning", id, state)
			}
		}
		leads = false
		want("nobody leads", "leader", Bad)
		leads = true
		built = now.AddDate(0, 0, -5)
		want("five days old", "advisories", Warn)
		built = now.AddDate(0, 0, -30)
		want("thirty days old", "advisories", Bad)
		expires = now.AddDate(0, 0, 10)
		want("ten days left", "certificate", Warn)
		expires = now.Add(-time.Hour)
		want("expired", "certificate", Bad)

		other := o
		other.Name, other.Version, other.Roles, other.Leads = "two", "2.0", []string{"api"}, nil
		if err := New(other).Beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("two versions", "processes", Warn)
		now = now.Add(10 * time.Minute)
		want("one is silent", "processes", Warn)
		now = now.Add(gone)
		if err := s.Beat(t.Context()); err != nil { // forgets it
			t.Fatal(err)
		}
		want("one is gone", "processes", OK)
		if err := s.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		var rows int
		if err := db.R.NewRaw("SELECT count(*) FROM replicas").Scan(t.Context(), &rows); err != nil || rows != 0 {
			t.Error(rows, err)
		}

		exec(t, db, "INSERT INTO outbox (topic, at, body) VALUES ('x', ?, '')", store.At(now.Add(-30*time.Minute)))
		want("messages wait", "outbox", Warn)
		exec(t, db, "INSERT INTO tasks (name, origin, scan, status, created_at) VALUES ('t', 'manual', '[]', 'running', 1)")
		exec(t, db, "INSERT INTO targets (kind, name, created_at) VALUES ('cluster', 'shop', 1)")
		exec(t, db, "INSERT INTO task_items (task_id, target_id, kind, status, created_at) SELECT t.id, g.id, 'cluster', 'ready', ? FROM tasks t, targets g", store.At(now.Add(-7*time.Hour)))
		want("an old item", "queue", Bad)
		exec(t, db, "INSERT INTO audit (at, actor, action, object) VALUES (?, 'a', 'b', 'c')", store.At(now.Add(time.Hour)))
		want("the clock was set back", "clock", Bad)
		none := o
		none.Advisories, none.Roles = nil, []string{"api"}
		s = New(none)
		want("no worker", "processes", Bad)
		want("no advisories", "advisories", Bad)
	})
}

// TestDiagnostics holds no secret and no name.
func TestDiagnostics(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		exec(t, db, "INSERT INTO targets (kind, name, created_at) VALUES ('cluster', 'secret-shop', 1)")
		s := New(Options{DB: db, Name: "one", Version: "1.0", Data: t.TempDir(), Settings: func() map[string]any { return map[string]any{"plainHTTP": true} },
			Metrics: func(context.Context) ([]byte, error) { return []byte("requests 1\n"), nil }})
		var out bytes.Buffer
		if err := s.Diagnostics(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		z, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			all[f.Name] = string(text)
		}
		if len(all) != 5 || !strings.Contains(all["counts.json"], `"clusters"`) || !strings.Contains(all["configuration.json"], "plainHTTP") || all["metrics.txt"] != "requests 1\n" {
			t.Errorf("%v", all)
		}
		if strings.Contains(fmt.Sprint(all), "secret-shop") {
			t.Error("it names a cluster")
		}
	})
}
