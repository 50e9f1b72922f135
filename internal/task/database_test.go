package task

import (
	"testing"
	"time"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// advisoryDatabase writes a small database into a folder.
func advisoryDatabase(t *testing.T, dir, id string, built time.Time) {
	t.Helper()
	b, err := database.NewBuilder(database.BuildOptions{Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Vulnerability(advisory.Vulnerability{ID: id, Feed: "test", Title: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Finish(database.Output{Dir: dir, BuiltAt: built.Format(time.RFC3339), Force: true}); err != nil {
		t.Fatal(err)
	}
}

// TestNewDatabase: a newer advisory database has all clusters matched again once, and reads no image; an older one does not.
func TestNewDatabase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		dir := t.TempDir()
		r := newRig(t, db, 5, func(o *Options) { o.Database = dir })
		check := func(tasks int) {
			t.Helper()
			for range 2 {
				if err := r.s.CheckDatabase(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if n := r.count("SELECT count(*) FROM tasks WHERE origin = 'database'"); n != tasks {
				t.Errorf("%d tasks, want %d", n, tasks)
			}
			var ids []int64
			if err := db.R.NewRaw("SELECT id FROM tasks").Scan(t.Context(), &ids); err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				r.await(id)
			}
		}
		check(0) // there is none
		id := r.cluster("a")
		day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		advisoryDatabase(t, dir, "CVE-2026-0001", day)
		check(0) // the first: nothing was matched before
		r.await(r.create(Request{Scope: Scope{Targets: []int64{id}}}).ID)
		reads := r.count("SELECT count(*) FROM reads")
		advisoryDatabase(t, dir, "CVE-2026-0002", day.AddDate(0, 0, 1))
		check(1)
		advisoryDatabase(t, dir, "CVE-2026-0001", day) // a replica has the old one
		check(1)
		if n := r.count("SELECT count(*) FROM reads"); n != reads || reads != 5 {
			t.Errorf("%d readings, %d before", n, reads)
		}
	})
}
