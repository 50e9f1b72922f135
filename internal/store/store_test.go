package store_test

import (
	"context"
	"errors"
	"testing"

	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestOpen brings the schema up on both databases, twice.
func TestOpen(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var n int
		if err := db.R.NewSelect().Table("findings").ColumnExpr("count(*)").Scan(context.Background(), &n); err != nil || n != 0 {
			t.Fatal(n, err)
		}
	})
}

// TestTwoServers refuses a second server on one folder, in words that say what to do.
func TestTwoServers(t *testing.T) {
	dir := t.TempDir()
	db, err := store.Open(context.Background(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(context.Background(), store.Options{Dir: dir}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("the second server got %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, err = store.Open(context.Background(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
}
