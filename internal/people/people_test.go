package people

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// cheap keeps tests quick: a password costs nothing here.
var cheap = &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 16}

const good = "a long enough secret 1"

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// house is a service with a clock and a log to look at.
type house struct {
	*Service
	t     *testing.T
	clock *clock
	log   *bytes.Buffer
}

// plainSeal seals by turning bits: enough to see that what is kept is not what was given.
type plainSeal struct{}

func (plainSeal) Seal(place string, plain []byte) ([]byte, error) {
	out := []byte(place + "|")
	for _, b := range plain {
		out = append(out, ^b)
	}
	return out, nil
}

func (plainSeal) Open(place string, sealed []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(sealed, []byte(place+"|"))
	if !ok {
		return nil, errors.New("sealed for another place")
	}
	var out []byte
	for _, b := range rest {
		out = append(out, ^b)
	}
	return out, nil
}

func newHouse(t *testing.T, db *store.DB, change func(*Options)) *house {
	t.Helper()
	h := &house{t: t, clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, log: new(bytes.Buffer)}
	o := Options{DB: db, Keys: plainSeal{}, Log: slog.New(slog.NewTextHandler(h.log, nil)), URL: "https://stockade.example.com", Secure: true, Now: h.clock.now, Hash: cheap}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	h.Service = s
	return h
}

// from is a context of a request from an address, by a principal or nobody.
func from(remote string, p *identity.Principal) context.Context {
	ctx := context.WithValue(context.Background(), clientKey{}, client{remote: remote, agent: "Browser"})
	if p != nil {
		ctx = identity.With(ctx, p)
	}
	return ctx
}

// setUp makes the first administrator, "root-of-all".
func (h *house) setUp() *User {
	h.t.Helper()
	token, err := h.SetupToken(context.Background())
	if err != nil || token == "" {
		h.t.Fatal("no set-up link: ", err)
	}
	_, u, err := h.SetUp(from("192.0.2.1", nil), token, "root-of-all", good, Fields{})
	if err != nil {
		h.t.Fatal(err)
	}
	return u
}

func admin(u *User) *identity.Principal {
	return &identity.Principal{UserID: u.ID, Name: u.Name, Via: "session", Grants: []identity.Grant{{Role: identity.Administrator}}}
}

// add makes a user with a password.
func (h *house) add(by *User, name string, grants ...identity.Grant) *User {
	h.t.Helper()
	ctx := from("192.0.2.1", admin(by))
	u, err := h.Add(ctx, name, Fields{}, grants)
	if err != nil {
		h.t.Fatal(err)
	}
	token, _, err := h.Reset(ctx, u.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.Redeem(from("192.0.2.1", nil), token, good); err != nil {
		h.t.Fatal(err)
	}
	return u
}

// target adds a cluster.
func target(t *testing.T, db *store.DB, name string) int64 {
	t.Helper()
	var id int64
	err := db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw("INSERT INTO targets (kind, name, created_at) VALUES ('cluster', ?, 1) RETURNING id", name).Scan(ctx, &id)
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// send passes a request through the middleware and tells who it was taken for and the status.
func (h *house) send(change func(*http.Request)) (*identity.Principal, *httptest.ResponseRecorder) {
	r := httptest.NewRequest("GET", "https://stockade.example.com/api/v1/session", nil)
	change(r)
	var p *identity.Principal
	w := httptest.NewRecorder()
	h.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { p = identity.From(r.Context()) })).ServeHTTP(w, r)
	return p, w
}

func withCookie(c *http.Cookie) func(*http.Request) {
	return func(r *http.Request) { r.AddCookie(c) }
}

func withToken(text string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+text) }
}

// TestSetUp: one administrator by the printed link, once, and no default password.
func TestSetUp(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		ctx := context.Background()
		if _, _, err := h.SignIn(from("192.0.2.9", nil), "admin", "admin"); !errors.Is(err, ErrCredentials) {
			t.Errorf("an empty server lets admin in: %v", err)
		}
		first, _ := h.SetupToken(ctx)
		second, _ := h.SetupToken(ctx) // the next start, or another replica
		if needs, err := h.NeedsSetup(ctx); !needs || err != nil {
			t.Error(needs, err)
		}
		for _, wrong := range []string{"", "x", first + "x"} {
			if _, _, err := h.SetUp(from("192.0.2.9", nil), wrong, "alice", good, Fields{}); !errors.Is(err, ErrLink) {
				t.Errorf("set-up with %q: %v", wrong, err)
			}
		}
		if _, _, err := h.SetUp(from("192.0.2.9", nil), first, "alice", "short", Fields{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("a short password: %v", err)
		}
		// Both links at the same time: one makes an administrator.
		var all sync.WaitGroup
		errs := make([]error, 2)
		for i, token := range []string{first, second} {
			all.Go(func() {
				_, _, errs[i] = h.SetUp(from("192.0.2.9", nil), token, []string{"alice", "bob"}[i], good, Fields{})
			})
		}
		all.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("two set-ups: %v", errs)
		}
		if n, err := administrators(ctx, db.R); n != 1 || err != nil {
			t.Errorf("%d administrators, %v", n, err)
		}
		if token, err := h.SetupToken(ctx); token != "" || err != nil {
			t.Errorf("a link though there is an administrator: %v", err)
		}
		if _, _, err := h.SetUp(from("192.0.2.9", nil), second, "carol", good, Fields{}); !errors.Is(err, ErrLink) {
			t.Errorf("the second link still works: %v", err)
		}
		noSecrets(t, db, h, good, first, second)
	})
}

// noSecrets looks for secrets everywhere that the service writes.
func noSecrets(t *testing.T, db *store.DB, h *house, secrets ...string) {
	t.Helper()
	var kept bytes.Buffer
	kept.Write(h.log.Bytes())
	if err := audit.Export(context.Background(), db, audit.Filter{}, audit.JSONL, &kept); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"users", "sessions", "tokens", "links", "providers", "attempts", "settings"} {
		var rows []map[string]any
		if err := db.R.NewSelect().Table(table).Scan(context.Background(), &rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			for _, v := range row {
				switch v := v.(type) {
				case []byte:
					kept.Write(v)
				case string:
					kept.WriteString(v)
				}
				kept.WriteByte('\n')
			}
		}
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(kept.String(), s) {
			t.Errorf("a secret is kept in the clear or logged: %.6s...", s)
		}
	}
}

// TestLastAdministrator cannot be removed, disabled or demoted, by two at once neither.
func TestLastAdministrator(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		root := h.setUp()
		ctx := from("192.0.2.1", admin(root))
		yes := true
		deeds := map[string]func(ctx context.Context, id int64) error{
			"remove": h.Remove,
			"disable": func(ctx context.Context, id int64) error {
				_, err := h.Change(ctx, id, Fields{Disabled: &yes})
				return err
			},
			"demote": func(ctx context.Context, id int64) error {
				_, err := h.SetGrants(ctx, id, []identity.Grant{{Role: identity.Auditor}})
				return err
			},
		}
		invited, err := h.Add(ctx, "invited", Fields{}, []identity.Grant{{Role: identity.Administrator}}) // has no password yet: does not count
		if err != nil {
			t.Fatal(err)
		}
		for name, deed := range deeds {
			if err := deed(ctx, root.ID); !errors.Is(err, ErrLastAdministrator) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if u, err := h.Get(ctx, root.ID); err != nil || u.Disabled || len(u.Grants) != 1 {
			t.Errorf("refused, but changed: %+v %v", u, err)
		}
		if err := h.Remove(ctx, invited.ID); err != nil {
			t.Error(err)
		}
		for name, deed := range deeds {
			other := h.add(root, "second-"+name, identity.Grant{Role: identity.Administrator})
			var all sync.WaitGroup
			errs := make([]error, 2)
			for i, id := range []int64{root.ID, other.ID} {
				all.Go(func() { errs[i] = deed(ctx, id) })
			}
			all.Wait()
			if n, err := administrators(ctx, db.R); n != 1 || err != nil {
				t.Fatalf("%s both: %d administrators are left (%v, %v)", name, n, errs, err)
			}
			left, err := byNameOf(ctx, db)
			if err != nil {
				t.Fatal(err)
			}
			root = left
			ctx = from("192.0.2.1", admin(root))
		}
	})
}

// byNameOf finds an administrator that is left.
func byNameOf(ctx context.Context, db *store.DB) (*User, error) {
	u := new(User)
	err := db.R.NewSelect().Model(u).Where("removed_at = 0 AND NOT disabled AND id IN (SELECT user_id FROM grants WHERE role = 'administrator')").Limit(1).Scan(ctx)
	return u, err
}

// TestNoEscalation: nobody gives or touches more than they have.
func TestNoEscalation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		root := h.setUp()
		a := target(t, db, "alpha")
		narrow := admin(root) // a token that only manages people
		narrow.Via, narrow.Only = "token", []identity.Action{identity.ManagePeople}
		ctx := from("192.0.2.1", narrow)
		for _, g := range []identity.Grant{{Role: identity.Administrator}, {Role: identity.Viewer}, {Role: identity.Operator, Target: a}} {
			if _, err := h.Add(ctx, "puppet", Fields{}, []identity.Grant{g}); !errors.Is(err, ErrForbidden) {
				t.Errorf("a narrow token gave %v: %v", g, err)
			}
		}
		if _, _, err := h.Reset(ctx, h.add(root, "victim", identity.Grant{Role: identity.Operator, Target: a}).ID); !errors.Is(err, ErrForbidden) {
			t.Errorf("a narrow token got the password link of somebody who may more: %v", err)
		}
		full := from("192.0.2.1", admin(root))
		for _, bad := range []identity.Grant{{Role: "king"}, {Role: identity.Viewer, Namespace: "shop"}, {Role: identity.Viewer, Target: a + 99}, {Role: identity.Viewer, Target: a, Namespace: "a\nb"}} {
			if _, err := h.Add(full, "puppet", Fields{}, []identity.Grant{bad}); !errors.Is(err, ErrInvalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		for _, name := range []string{"", "a b", "ＡＬＩＣＥ", "x\nlevel=ERROR", "-x", "system", strings.Repeat("a", 64), "a,b", "=1+1"} {
			if _, err := h.Add(full, name, Fields{}, nil); !errors.Is(err, ErrInvalid) {
				t.Errorf("a user called %q: %v", name, err)
			}
		}
		if _, err := h.Add(full, "Victim", Fields{}, nil); !errors.Is(err, ErrConflict) {
			t.Errorf("two of one name: %v", err)
		}
	})
}

// TestPasswordPolicy says what is wrong with what is weak.
func TestPasswordPolicy(t *testing.T) {
	for _, weak := range []string{"", "short", "elevenchars", "Password1234", "aaaaaaaaaaaaaaaa", "alice-is-the-best", "my ALICE is great", "qwertyuiop12", strings.Repeat("long", 100), "bytes\xff\xfe that are not"} {
		if err := CheckPassword(weak, "alice"); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q passes: %v", weak, err)
		} else if len(weak) > 8 && strings.Contains(err.Error(), weak) {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
	for _, fine := range []string{good, "十二个汉字作为密码也是可以", "correct mule battery staple"} {
		if err := CheckPassword(fine, "alice"); err != nil {
			t.Errorf("%q: %v", fine, err)
		}
	}
}

// TestUsers lists by pages and finds by part of a name.
func TestUsers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		root := h.setUp()
		ctx := from("192.0.2.1", admin(root))
		for _, name := range []string{"dora", "alice", "bob", "a_b"} {
			if _, err := h.Add(ctx, name, Fields{}, []identity.Grant{{Role: identity.Viewer}}); err != nil {
				t.Fatal(err)
			}
		}
		var names []string
		for after := ""; ; {
			list, next, err := h.List(ctx, "", store.Page{Limit: 2, After: after})
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range list {
				names = append(names, u.Name)
				if len(u.Grants) != 1 {
					t.Errorf("%s has %d grants", u.Name, len(u.Grants))
				}
			}
			if after = next; next == "" {
				break
			}
		}
		if got := strings.Join(names, " "); got != "a_b alice bob dora root-of-all" {
			t.Error(got)
		}
		if list, _, _ := h.List(ctx, "_", store.Page{}); len(list) != 1 {
			t.Errorf("_ is a wildcard: %d", len(list))
		}
		bad := "nobody"
		if _, err := h.Change(ctx, root.ID, Fields{Email: &bad}); !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
	})
}
