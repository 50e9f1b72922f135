package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alexedwards/argon2id"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/people"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

const password = "a long enough secret 1"

// door is the API over TLS with people in front, as the server has it.
type door struct {
	*httptest.Server
	t   *testing.T
	log *bytes.Buffer
	s   *people.Service
}

func newDoor(t *testing.T, db *store.DB) *door {
	d := &door{t: t, log: new(bytes.Buffer)}
	log := slog.New(slog.NewJSONHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	d.s, err = people.New(people.Options{DB: db, Log: log, Secure: true, Problem: api.WriteProblem,
		Hash: &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 16}})
	if err != nil {
		t.Fatal(err)
	}
	a := api.New(http.NewServeMux(), "test")
	api.Sessions(a, d.s)
	api.Tokens(a, d.s)
	api.People(a, d.s)
	api.Audit(a, db)
	d.Server = httptest.NewTLSServer(a.Handler(api.Frame{DB: db, Log: log, Authenticate: d.s.Middleware}))
	t.Cleanup(d.Close)
	return d
}

// browser is a client with cookies of its own.
func (d *door) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	c := *d.Client()
	c.Jar = jar
	return &c
}

// ask sends a request and returns status and body.
func (d *door) ask(c *http.Client, method, path, body string, header ...string) (int, string) {
	d.t.Helper()
	r, err := http.NewRequest(method, d.URL+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func field(t *testing.T, body, name string) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	s, _ := m[name].(string)
	return s
}

// TestStory: set-up, a user by invitation, a token, and what other sites and old cookies may not.
func TestStory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		d := newDoor(t, db)
		root, alice, nobody := d.browser(), d.browser(), d.browser()
		setup, err := d.s.SetupToken(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const cross, origin = "Sec-Fetch-Site", "Origin"
		must := func(want int) func(int, string) string {
			t.Helper()
			return func(got int, body string) string {
				t.Helper()
				if got != want {
					t.Fatalf("%d, want %d: %s", got, want, body)
				}
				return body
			}
		}
		must(401)(d.ask(nobody, "GET", "/session", ""))
		must(403)(d.ask(root, "POST", "/setup", `{"token":"`+setup+`","name":"root-of-all","password":"`+password+`"}`, cross, "cross-site"))
		must(201)(d.ask(root, "POST", "/setup", `{"token":"`+setup+`","name":"root-of-all","password":"`+password+`"}`))
		if body := must(200)(d.ask(root, "GET", "/session", "")); !strings.Contains(body, "manage-people") {
			t.Error(body)
		}
		id := field(t, must(201)(d.ask(root, "POST", "/users", `{"name":"alice","grants":[{"role":"viewer"}]}`)), "id")
		link := field(t, must(200)(d.ask(root, "POST", "/users/"+id+"/reset", "")), "token")
		must(422)(d.ask(alice, "POST", "/password/reset", `{"token":"`+link+`","password":"short"}`))
		must(204)(d.ask(alice, "POST", "/password/reset", `{"token":"`+link+`","password":"`+password+`"}`))
		must(403)(d.ask(alice, "POST", "/session", `{"name":"alice","password":"wrong"}`))
		must(403)(d.ask(alice, "POST", "/session", `{"name":"alice","password":"`+password+`"}`, cross, "cross-site", origin, "https://evil.example.net"))
		must(200)(d.ask(alice, "POST", "/session", `{"name":"alice","password":"`+password+`"}`, cross, "same-origin", origin, d.URL))
		must(403)(d.ask(alice, "GET", "/users", ""))
		token := field(t, must(201)(d.ask(alice, "POST", "/tokens", `{"name":"ci","actions":["read"]}`)), "token")
		must(403)(d.ask(alice, "POST", "/tokens", `{"name":"ci"}`, cross, "cross-site"))
		must(200)(d.ask(nobody, "GET", "/session", "", "Authorization", "Bearer "+token))
		must(403)(d.ask(nobody, "POST", "/tokens", `{"name":"more"}`, "Authorization", "Bearer "+token))
		must(200)(d.ask(nobody, "PATCH", "/session", `{"language":"zh"}`, "Authorization", "Bearer "+token, cross, "cross-site", origin, "https://evil.example.net"))
		if body := must(401)(d.ask(nobody, "GET", "/session", "", "Authorization", "Bearer "+token+"x")); !strings.Contains(body, `"status":401`) || strings.Contains(body, token) {
			t.Error(body)
		}
		must(200)(d.ask(root, "PATCH", "/users/"+id, `{"disabled":true}`))
		must(401)(d.ask(alice, "GET", "/session", ""))
		must(401)(d.ask(nobody, "GET", "/session", "", "Authorization", "Bearer "+token))
		must(409)(d.ask(root, "DELETE", "/users/1", ""))
		must(204)(d.ask(root, "DELETE", "/users/"+id, ""))
		must(404)(d.ask(root, "GET", "/users/"+id, ""))
		status, export := d.ask(root, "GET", "/audit/export?form=jsonl", "")
		if status != 200 || strings.Count(export, "\n") < 8 {
			t.Errorf("%d: %s", status, export)
		}
		must(204)(d.ask(root, "DELETE", "/session", ""))
		must(401)(d.ask(root, "GET", "/session", ""))
		for _, secret := range []string{password, token, link, setup} {
			if strings.Contains(export, secret) || strings.Contains(d.log.String(), secret) {
				t.Errorf("a secret is logged: %.8s...", secret)
			}
		}
	})
}

// TestManyFailures are answered 429 with the time to wait.
func TestManyFailures(t *testing.T) {
	d := newDoor(t, storetest.Open(t, "sqlite"))
	for range 5 {
		if status, body := d.ask(d.Client(), "POST", "/session", `{"name":"x","password":"y"}`); status != 403 {
			t.Fatal(status, body)
		}
	}
	r, err := d.Client().Post(d.URL+"/api/v1/session", "application/json", strings.NewReader(`{"name":"x","password":"y"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	if r.StatusCode != 429 || r.Header.Get("Retry-After") != "900" || r.Header.Get("Content-Type") != api.ContentProblem {
		t.Error(r.StatusCode, r.Header)
	}
}

// TestProviderDown sends the browser back to the sign-in page with a word for what went wrong, and no more.
func TestProviderDown(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		d := newDoor(t, db)
		if err := db.Write(t.Context(), func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO providers (name, issuer, client_id, scopes, mappings, created_at, changed_at) VALUES ('Corp', 'https://127.0.0.1:1', 'x', '[]', '[]', 1, 1)`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		c := d.browser()
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for path, want := range map[string]string{"/session/oidc/1?next=/risks": "/sign-in?error=provider", "/session/oidc/callback?code=x&state=y&anything=z": "/sign-in?error=expired"} {
			r, err := c.Get(d.URL + "/api/v1" + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = r.Body.Close()
			if r.StatusCode != 302 || r.Header.Get("Location") != want {
				t.Errorf("%s: %d %v", path, r.StatusCode, r.Header)
			}
		}
		if status, body := d.ask(c, "GET", "/session/ways", ""); status != 200 || !strings.Contains(body, "Corp") || strings.Contains(body, "127.0.0.1") {
			t.Error(status, body)
		}
	})
}
