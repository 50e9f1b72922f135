package triage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// many is n findings on n workloads.
func many(n int, salt string) look {
	l := look{assets: []finding.Asset{{Kind: "cluster", Name: "shop"}}}
	for i := range n {
		name := fmt.Sprintf("w%s%d", salt, i)
		l.found = append(l.found, misconfigured("shop", name, fmt.Sprint("r", i%7), finding.Severities[i%5]))
		l.assets = append(l.assets, deployment("shop", name, webImage))
	}
	l.found = append(l.found, vulnerable(web, "1", digest, "openssl", "CVE-2026-1", finding.Critical))
	l.assets = append(l.assets, imageAsset(webImage.Reference, webImage.Digest))
	return l
}

// TestCrash kills a run between two batches: what it wrote is true and stays, nothing is settled or counted twice, its news are
// told once, and the next run goes on as if it had never been.
func TestCrash(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		x.scan(shop())
		x.now = x.now.Add(time.Minute)
		in, err := x.tr.Ingest(context.Background(), Run{Target: x.target, Kind: Full})
		if err != nil {
			t.Fatal(err)
		}
		l := many(700, "")
		if err := in.Begin(finding.Header{Tool: finding.Tool{Database: &finding.Database{Digest: x.db1}}}); err != nil {
			t.Fatal(err)
		}
		for _, f := range l.found {
			if err := in.Finding(f); err != nil {
				t.Fatal(err)
			}
		}
		in.release() // what the end of the process does
		x.right()
		if n := x.number("SELECT count(*) FROM findings WHERE target_id = ?", x.target); n != 502 {
			t.Errorf("%d findings, want the two from before and one batch", n)
		}
		if n := x.number("SELECT count(*) FROM findings WHERE status > 3"); n != 0 {
			t.Errorf("%d were settled by a run that broke off", n)
		}
		if n := x.number("SELECT count(*) FROM targets WHERE id = ? AND looked_at = ?", x.target, in.target.LookedAt); n != 1 {
			t.Error("a run that broke off counts as a look")
		}
		after := New(db, x, nil)
		after.SetClock(func() time.Time { return x.now })
		x.tr = after
		run := x.scan(l)
		// The finding on the image was there from the first look.
		if run.Added != 200 || run.Unchanged != 501 || run.Gone != 1 {
			t.Errorf("%+v", run)
		}
		if n := x.number("SELECT count(*) FROM outbox WHERE topic = 'findings.changed' AND target_id = ?", x.target); n != 3 {
			t.Errorf("%d messages, want one for each run", n)
		}
		x.scan(l)
		if n := x.number("SELECT count(*) FROM outbox WHERE topic = 'findings.changed' AND target_id = ?", x.target); n != 3 {
			t.Errorf("%d messages after a run without news", n)
		}
	})
}

// TestTogether takes in different targets at the same time, with people handling findings of all of them: nothing is lost and no
// transaction gives up.
func TestTogether(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		var group sync.WaitGroup
		errs := make(chan error, 100)
		var targets []int64
		for i := range 5 {
			targets = append(targets, x.cluster(fmt.Sprint("c", i)))
		}
		for i, target := range targets {
			group.Go(func() {
				for _, l := range []look{many(300, ""), many(250, ""), many(300, fmt.Sprint(i))} {
					l.run = Run{Target: target}
					if _, err := x.play(l); err != nil {
						errs <- err
					}
				}
			})
		}
		group.Go(func() {
			for i := range 20 {
				var ids []int64
				err := db.R.NewRaw("SELECT id FROM findings ORDER BY id LIMIT 400 OFFSET ?", i*40).Scan(context.Background(), &ids)
				if err == nil {
					err = db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
						_, err := x.tr.Handle(ctx, tx, Handling{IDs: ids, Action: []ledger.Action{ledger.Ignore, ledger.Unignore}[i%2]})
						return err
					})
				}
				if err != nil {
					errs <- err
				}
			}
		})
		group.Wait()
		close(errs)
		for err := range errs {
			t.Error(err)
		}
		x.right()
		x.days()
	})
}

// TestLease: a second run of a target waits for the first, in the process and, on PostgreSQL, across replicas.
func TestLease(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		replica := New(db, nil, nil)
		in, err := x.tr.Ingest(context.Background(), Run{Target: x.target, Kind: Full})
		if err != nil {
			t.Fatal(err)
		}
		others := []*Triage{x.tr}
		if db.Postgres() {
			others = append(others, replica)
		}
		for _, o := range others {
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			if _, err := o.Ingest(ctx, Run{Target: x.target, Kind: Full}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a second run of the target got %v", err)
			}
			cancel()
		}
		other, err := x.tr.Ingest(context.Background(), Run{Target: x.cluster("other"), Kind: Full})
		if err != nil {
			t.Fatal(err)
		}
		other.Abort("")
		in.Abort("enough")
		in, err = replica.Ingest(context.Background(), Run{Target: x.target, Kind: Full})
		if err != nil {
			t.Fatal(err)
		}
		in.Abort("")
	})
}

// TestDiskFull: SQLite without room for more gives an error that says so, and nothing is half done; with room again it works.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(context.Background(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	x := setUp(t, db)
	x.scan(shop())
	limit := func(extra int) {
		t.Helper()
		err := db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
			pages := 0
			if err := tx.NewRaw("PRAGMA page_count").Scan(ctx, &pages); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages+extra))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit(20)
	_, err = x.play(many(2000, ""))
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Fatalf("a full disk gave %v", err)
	}
	x.right()
	if n := x.number("SELECT count(*) FROM findings WHERE NOT EXISTS (SELECT 1 FROM details WHERE finding_id = findings.id)"); n != 0 {
		t.Errorf("%d findings have no details", n)
	}
	if n := x.number("SELECT count(*) FROM findings WHERE status > 3"); n != 0 {
		t.Errorf("%d were settled", n)
	}
	limit(1 << 20)
	if run := x.scan(many(2000, "")); run.Added+run.Unchanged != 2001 {
		t.Errorf("%+v", run)
	}
}

// TestLocked: another program holds SQLite's file for a while: the run waits, and goes on.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(context.Background(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	x := setUp(t, db)
	other, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "stockade.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	other.SetMaxOpenConns(1)
	if _, err := other.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := x.play(shop()); done <- err }()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	if _, err := other.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	x.right()
}

// TestClock: a clock that jumps back, or was far ahead for a while, gives no row that was seen last before it was seen first,
// and no day that swallows all later ones.
func TestClock(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		right := x.now
		x.scan(shop())
		for _, jump := range []time.Duration{-48 * time.Hour, 20 * 365 * 24 * time.Hour, 0, -time.Hour} {
			x.now = right.Add(jump)
			x.scan(shop().without(0))
			x.scan(shop())
			x.scan(shop().without(1))
			x.scan(shop())
		}
		if n := x.number("SELECT count(*) FROM findings WHERE last_seen <> 0 AND last_seen < first_seen"); n != 0 {
			t.Errorf("%d were seen last before they were seen first", n)
		}
		day := right.UnixMilli() / (24 * time.Hour).Milliseconds()
		if n := x.number("SELECT sum(opened) FROM days WHERE target_id = ? AND day = ?", x.target, day); n < 4 {
			t.Errorf("%d opened today", n)
		}
		if n := x.number("SELECT sum(active) FROM days WHERE target_id = 0 AND day = ?", day); n != 2 {
			t.Errorf("%d active today", n)
		}
	})
}

// TestForeign: what comes in a file from elsewhere cannot break the database.
func TestForeign(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		bad := misconfigured("shop", "a\x00b\xff", strings.Repeat("r", 5000), finding.High)
		bad.Resource.Namespace = strings.Repeat("长", 3000)
		bad.Title.ZH = "\xff\x00"
		bad.Message.EN = "a\x00b"
		bad.Evidence[0].Found = map[string]any{"b\x00": []any{nil, 1.5, "\xff"}}
		star := misconfigured("*", "a", "r1", finding.Low)
		if run := x.scan(look{run: Run{Kind: Upload}, found: []*finding.Finding{bad, star, star}}); run.Added != 2 {
			t.Errorf("%+v", run)
		}
		if run := x.scan(look{run: Run{Kind: Upload}, found: []*finding.Finding{bad, star}}); run.Unchanged != 2 {
			t.Errorf("%+v", run)
		}
		for _, print := range []string{"", "zz", strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("x", 32)} {
			f := misconfigured("shop", "a", "r", finding.Low)
			f.Fingerprint = print
			if _, err := x.play(look{found: []*finding.Finding{f}}); err == nil {
				t.Errorf("fingerprint %q was taken", print)
			}
		}
		if run := x.scan(look{run: Run{Kind: Upload}, found: []*finding.Finding{bad}}); run.Fixed != 1 {
			t.Errorf("a result that does not say what it looked at: %+v", run)
		}
	})
}
