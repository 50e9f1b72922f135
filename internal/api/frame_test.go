package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// bench is an API with a few routes, and who calls it.
type bench struct {
	t       *testing.T
	handler http.Handler
	api     *api.API
	calls   atomic.Int64
	title   atomic.Value
	slow    chan struct{} // closed: POST /slow goes on
	now     func() time.Time
}

type thing struct {
	Title string `json:"title" maxLength:"100000"`
	Lang  string `json:"lang,omitempty"`
}

func newBench(t *testing.T, db *store.DB, rates api.Rates) *bench {
	b := &bench{t: t, slow: make(chan struct{}), now: time.Now}
	b.title.Store("first")
	mux := http.NewServeMux()
	a := api.New(mux, "test")
	b.api = a
	thingRoute := func(method, path, id string, action identity.Action) api.Route {
		return api.Route{Method: method, Path: path, ID: id, Tag: "Things", Summary: "Things", Action: action}
	}
	api.Add(a, thingRoute("GET", "/thing", "get-thing", identity.Read), func(ctx context.Context, _ *struct{}) (*api.One[thing], error) {
		return &api.One[thing]{Body: thing{Title: b.title.Load().(string), Lang: api.Lang(ctx)}}, nil
	})
	api.Add(a, thingRoute("PUT", "/thing", "put-thing", identity.Handle), func(_ context.Context, in *struct{ Body thing }) (*api.One[thing], error) {
		b.title.Store(in.Body.Title)
		return &api.One[thing]{Body: in.Body}, nil
	})
	api.Add(a, thingRoute("POST", "/things", "post-thing", identity.Handle), func(_ context.Context, in *struct{ Body thing }) (*api.One[thing], error) {
		n := b.calls.Add(1)
		if in.Body.Title == "bad" {
			return nil, fmt.Errorf("%w: this title", api.ErrInvalid)
		}
		return &api.One[thing]{Body: thing{Title: fmt.Sprint(in.Body.Title, " ", n)}}, nil
	})
	api.Add(a, thingRoute("POST", "/slow", "post-slow", identity.Handle), func(_ context.Context, in *struct{ Body thing }) (*api.One[thing], error) {
		<-b.slow
		return &api.One[thing]{Body: thing{Title: fmt.Sprint(in.Body.Title, " ", b.calls.Add(1))}}, nil
	})
	api.Add(a, thingRoute("GET", "/panic", "panic", identity.Anyone), func(context.Context, *struct{}) (*struct{}, error) { panic("on purpose") })
	api.Add(a, thingRoute("GET", "/fail/{what}", "fail", identity.Anyone), func(_ context.Context, in *struct {
		What string `path:"what"`
	}) (*struct{}, error) {
		return nil, map[string]error{"missing": store.ErrNotFound, "inner": errors.New("password=hunter22"), "cursor": store.ErrCursor,
			"gone": context.DeadlineExceeded, "conflict": api.ErrConflict, "forbidden": api.ErrForbidden}[in.What]
	})
	upload := thingRoute("POST", "/upload", "upload", identity.Scan)
	upload.MaxBody = 64 << 10
	api.Add(a, upload, func(_ context.Context, in *struct{ api.Upload }) (*api.One[thing], error) {
		data, err := io.ReadAll(in.Reader)
		return &api.One[thing]{Body: thing{Title: fmt.Sprint(len(data))}}, err
	})
	api.Events(a, thingRoute("GET", "/events", "events", identity.Read), func(ctx context.Context, _ *struct{}) (<-chan api.Event, error) {
		out := make(chan api.Event, 3)
		out <- api.Event{Name: "one", ID: "1", Data: map[string]string{"text": "a\nb"}}
		out <- api.Event{Name: "two\nevil: x", Data: 2}
		close(out)
		return out, nil
	})
	keys, err := seal.Load(filepath.Join(t.TempDir(), "keys"), "")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	b.handler = api.Recover(log, a.Handler(api.Frame{DB: db, Log: log, Keys: keys, Rates: rates, Now: func() time.Time { return b.now() },
		Authenticate: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if name := r.Header.Get("X-User"); name != "" {
					r = r.WithContext(identity.With(r.Context(), &identity.Principal{UserID: int64(len(name)), Name: name, Grants: []identity.Grant{{Role: identity.Operator}}}))
				}
				next.ServeHTTP(w, r)
			})
		}}))
	return b
}

func (b *bench) do(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-User", "anna")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// TestProblems holds every error to problem+json, whoever makes it.
func TestProblems(t *testing.T) {
	b := newBench(t, storetest.Open(t, "sqlite"), api.Rates{Address: 1e6, Person: 1e6})
	large := strings.Repeat("x", api.DefaultBody)
	for _, c := range []struct {
		method, path, body string
		status             int
		header             []string
	}{
		{"GET", "/api/v1/nothing", "", 404, nil},
		{"GET", "/api/elsewhere", "", 404, nil},
		{"DELETE", "/api/v1/thing", "", 405, nil},
		{"GET", "/api/v1/thing?colour=red", "", 422, nil},
		{"GET", "/api/v1/panic", "", 500, nil},
		{"GET", "/api/v1/fail/missing", "", 404, nil},
		{"GET", "/api/v1/fail/inner", "", 500, nil},
		{"GET", "/api/v1/fail/cursor", "", 400, nil},
		{"GET", "/api/v1/fail/gone", "", 503, nil},
		{"GET", "/api/v1/fail/conflict", "", 409, nil},
		{"GET", "/api/v1/fail/forbidden", "", 403, nil},
		{"GET", "/api/v1/thing", "", 401, []string{"X-User", ""}},
		{"POST", "/api/v1/things", `{"title":"bad"}`, 422, nil},
		{"POST", "/api/v1/things", `{"title":7}`, 422, nil},
		{"POST", "/api/v1/things", `{`, 400, nil},
		{"POST", "/api/v1/things", `{"title":"` + large + `"}`, 413, nil},
		{"POST", "/api/v1/upload", large[:64<<10+1], 413, nil},
	} {
		w := b.do(c.method, c.path, c.body, c.header...)
		var p huma.ErrorModel
		err := json.Unmarshal(w.Body.Bytes(), &p)
		if w.Code != c.status || err != nil || p.Status != c.status || p.Title == "" || p.Detail == "" || w.Header().Get("Content-Type") != api.ContentProblem {
			t.Errorf("%s %s: %d %s, want %d as a problem: %v", c.method, c.path, w.Code, w.Body, c.status, err)
		}
		if strings.Contains(w.Body.String(), "hunter22") || len(w.Body.String()) > 2000 {
			t.Errorf("%s %s tells too much: %s", c.method, c.path, w.Body)
		}
	}
	if got := b.do("DELETE", "/api/v1/thing", "").Header().Get("Allow"); got != "GET, HEAD, PUT" {
		t.Errorf("Allow: %q", got)
	}
	if w := b.do("POST", "/api/v1/upload", strings.Repeat("x", 64<<10)); w.Code != 200 || !strings.Contains(w.Body.String(), `"65536"`) {
		t.Errorf("an upload at its limit: %d %s", w.Code, w.Body)
	}
	r := httptest.NewRequest("POST", "/api/v1/upload", io.MultiReader(strings.NewReader(large))) // length not known
	r.Header.Set("X-User", "anna")
	w := httptest.NewRecorder()
	if b.handler.ServeHTTP(w, r); w.Code != 413 {
		t.Errorf("a chunked upload over the limit: %d %s", w.Code, w.Body)
	}
}

// TestConditional: ETags, languages, compression.
func TestConditional(t *testing.T) {
	b := newBench(t, storetest.Open(t, "sqlite"), api.Rates{})
	w := b.do("GET", "/api/v1/thing", "")
	tag := w.Header().Get("ETag")
	if tag == "" || w.Header().Get("Content-Language") != "en" {
		t.Fatalf("no ETag or language: %v", w.Header())
	}
	if w := b.do("GET", "/api/v1/thing", "", "If-None-Match", `"other", `+tag); w.Code != 304 || w.Body.Len() > 0 {
		t.Errorf("with the tag: %d %s", w.Code, w.Body)
	}
	if w := b.do("GET", "/api/v1/thing", "", "Accept-Language", "fr, zh-CN;q=0.8, en;q=0.5"); !strings.Contains(w.Body.String(), `"zh"`) || w.Header().Get("ETag") == tag {
		t.Errorf("in Chinese: %s", w.Body)
	}
	if w := b.do("PUT", "/api/v1/thing", `{"title":"second"}`, "If-Match", tag); w.Code != 200 {
		t.Errorf("a change of what was seen: %d %s", w.Code, w.Body)
	}
	if w := b.do("PUT", "/api/v1/thing", `{"title":"third"}`, "If-Match", tag); w.Code != 412 || b.title.Load() != "second" {
		t.Errorf("a change of what was changed: %d %s", w.Code, w.Body)
	}
	b.title.Store(strings.Repeat("long ", 2000))
	plain := b.do("GET", "/api/v1/thing", "")
	packed := b.do("GET", "/api/v1/thing", "", "Accept-Encoding", "br, gzip")
	z, err := gzip.NewReader(packed.Body)
	if err != nil || packed.Header().Get("Content-Encoding") != "gzip" || packed.Header().Get("ETag") != plain.Header().Get("ETag") {
		t.Fatalf("compressed: %v %v", packed.Header(), err)
	}
	if body, err := io.ReadAll(z); err != nil || !bytes.Equal(body, plain.Body.Bytes()) {
		t.Errorf("it unpacks to something else: %v", err)
	}
	if w := b.do("GET", "/api/v1/thing", "", "Accept-Encoding", "gzip;q=0"); w.Header().Get("Content-Encoding") != "" {
		t.Error("compressed for who does not want it")
	}
	events := b.do("GET", "/api/v1/events", "", "Accept-Encoding", "gzip")
	want := ": open\n\nid: 1\nevent: one\ndata: {\"text\":\"a\\nb\"}\n\nevent: two evil: x\ndata: 2\n\n"
	if events.Body.String() != want || !events.Flushed {
		t.Errorf("events:\n%s", events.Body)
	}
}

func TestLanguage(t *testing.T) {
	for header, want := range map[string]string{"": "en", "zh": "zh", "zh-Hans-CN": "zh", "de": "en", "en;q=0.2,zh;q=0.9": "zh", "en,zh": "en",
		"zh;q=x": "en", "zh;q=0": "en", "*": "en", strings.Repeat("de,", 5000) + "zh": "en", "ZH-TW": "zh"} {
		if got := api.Language(header); got != want {
			t.Errorf("%.40q: %s, want %s", header, got, want)
		}
	}
}

// TestRates: whoever asks too often waits, others do not.
func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, api.Rates{Address: 100, Person: 1})
		var last *httptest.ResponseRecorder
		for range 10 {
			last = b.do("GET", "/api/v1/thing", "")
		}
		if last.Code != 429 || last.Header().Get("Retry-After") != "1" || last.Header().Get("Content-Type") != api.ContentProblem {
			t.Errorf("the tenth at once: %d %v", last.Code, last.Header())
		}
		if w := b.do("GET", "/api/v1/thing", "", "X-User", "bob"); w.Code != 200 {
			t.Errorf("another user: %d", w.Code)
		}
		time.Sleep(time.Second)
		if w := b.do("GET", "/api/v1/thing", ""); w.Code != 200 {
			t.Errorf("a second later: %d", w.Code)
		}
	})
}

// TestIdempotency does a request once however often it is sent, on both databases.
func TestIdempotency(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, api.Rates{Address: 1e6, Person: 1e6})
		post := func(key, body string, more ...string) *httptest.ResponseRecorder {
			return b.do("POST", "/api/v1/things", body, append([]string{"Idempotency-Key", key}, more...)...)
		}
		first, again := post("k1", `{"title":"a"}`), post("k1", `{"title":"a"}`)
		if first.Code != 200 || again.Code != 200 || first.Body.String() != again.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" || b.calls.Load() != 1 {
			t.Fatalf("twice: %d %s, %d %s", first.Code, first.Body, again.Code, again.Body)
		}
		if w := post("k1", `{"title":"b"}`); w.Code != 422 {
			t.Errorf("another body: %d %s", w.Code, w.Body)
		}
		if w := post("k1", `{"title":"a"}`, "X-User", "bob"); w.Code != 200 || b.calls.Load() != 2 {
			t.Errorf("another user's key of the same name: %d, %d calls", w.Code, b.calls.Load())
		}
		for range 2 {
			if w := post("k2", `{"title":"bad"}`); w.Code != 422 || !strings.Contains(w.Body.String(), "this title") {
				t.Errorf("what failed may be tried again: %d %s", w.Code, w.Body)
			}
		}
		b.now = func() time.Time { return time.Now().Add(25 * time.Hour) }
		if w := post("k1", `{"title":"b"}`); w.Code != 200 {
			t.Errorf("a day later the key is free: %d %s", w.Code, w.Body)
		}
		if err := api.Forget(context.Background(), db, b.now().Add(25*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if n, err := db.R.NewSelect().Table("idempotency").Count(context.Background()); err != nil || n != 0 {
			t.Errorf("%d rows are left: %v", n, err)
		}
	})
}

// TestIdempotencyRace sends one request many times at once.
func TestIdempotencyRace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, api.Rates{Address: 1e6, Person: 1e6})
		var all sync.WaitGroup
		answers := make([]*httptest.ResponseRecorder, 12)
		for i := range answers {
			all.Go(func() { answers[i] = b.do("POST", "/api/v1/slow", `{"title":"x"}`, "Idempotency-Key", "race") })
		}
		for { // one has the key
			if n, err := db.R.NewSelect().Table("idempotency").Count(context.Background()); err != nil || n == 1 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		close(b.slow)
		all.Wait()
		for _, w := range answers {
			if w.Code != 200 || w.Body.String() != answers[0].Body.String() {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		if b.calls.Load() != 1 {
			t.Errorf("it was done %d times", b.calls.Load())
		}
	})
}

// TestIdempotencyCrash: when the server stopped in the middle, nobody knows, and the key says so.
func TestIdempotencyCrash(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, api.Rates{})
		long := store.At(time.Now().Add(-time.Hour))
		if _, err := db.R.ExecContext(context.Background(), "INSERT INTO idempotency (owner, key, route, created_at, alive_at) VALUES (?, ?, ?, ?, ?)",
			"user 4", "lost", "POST /api/v1/things", long, long); err != nil {
			t.Fatal(err)
		}
		w := b.do("POST", "/api/v1/things", `{"title":"x"}`, "Idempotency-Key", "lost")
		if w.Code != 409 || !strings.Contains(w.Body.String(), "stopped") || b.calls.Load() != 0 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// TestOperations holds each operation to its form.
func TestOperations(t *testing.T) {
	b := newBench(t, nil, api.Rates{})
	w := b.do("GET", "/api/v1/openapi.json", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"openapi":"3.1.0"`) {
		t.Fatalf("the document: %d %.200s", w.Code, w.Body)
	}
}
