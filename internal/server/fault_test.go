package server

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/people"
)

// TestDiskFull: a full disk answers 507 and changes nothing, and when there is room again all goes on.
func TestDiskFull(t *testing.T) {
	ctx := context.Background()
	s, err := Open(ctx, Options{Data: t.TempDir(), Listen: "127.0.0.1:0", PlainHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	token, err := s.rooms.people.SetupToken(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cookie, _, err := s.rooms.people.SetUp(ctx, token, "root-of-all", "correct horse battery", people.Fields{})
	if err != nil {
		t.Fatal(err)
	}
	h := s.front(s.root())
	send := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.AddCookie(cookie)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	add := func(n int) *httptest.ResponseRecorder {
		return send(http.MethodPost, "/api/v1/users", fmt.Sprintf(`{"name":"user%d","displayName":%q}`, n, strings.Repeat("x", 120)))
	}
	limit := func(pages int) { // of the one connection that writes
		err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // SQLite takes the number of pages that there are
	full := -1
	for n := range 300 {
		w := add(n)
		if w.Code == http.StatusCreated {
			continue
		}
		if w.Code != http.StatusInsufficientStorage || !strings.Contains(w.Body.String(), "disk") {
			t.Fatalf("a full disk answers %d %s", w.Code, w.Body)
		}
		full = n
		break
	}
	if full < 0 {
		t.Fatal("the disk is never full")
	}
	if w := send(http.MethodGet, "/api/v1/users", ""); w.Code != 200 || strings.Contains(w.Body.String(), fmt.Sprintf(`"user%d"`, full)) {
		t.Errorf("reading on a full disk: %d", w.Code)
	}
	if w := send(http.MethodGet, "/readyz", ""); w.Code != 200 {
		t.Errorf("a full disk can still be read: %d", w.Code)
	}
	limit(1 << 30)
	if w := add(full); w.Code != http.StatusCreated {
		t.Errorf("with room again: %d %s", w.Code, w.Body)
	}
}
