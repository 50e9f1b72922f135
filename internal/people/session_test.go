package people

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

func (h *house) signIn(name string) *http.Cookie {
	h.t.Helper()
	c, _, err := h.SignIn(from("192.0.2.1", nil), name, good)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// TestSession: the cookie's attributes, who it stands for, and both ends of its life.
func TestSession(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		root := h.setUp()
		c := h.signIn("Root-of-All ")
		if c.Name != "__Host-stockade_session" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("the cookie is %s", c)
		}
		p, _ := h.send(withCookie(c))
		if p == nil || p.UserID != root.ID || p.Via != "session" || !p.Can(identity.ManagePeople, 0, "") {
			t.Fatalf("the session is taken for %+v", p)
		}
		if p, _ := h.send(func(*http.Request) {}); p != nil {
			t.Error("no cookie, but somebody")
		}
		wrong := *c
		wrong.Value = strings.Repeat("A", len(c.Value))
		if p, w := h.send(withCookie(&wrong)); p != nil || w.Code != 200 {
			t.Errorf("an unknown cookie: %v, %d", p, w.Code)
		}

		// In use it lives on, written down by Flush; unused for the idle time it ends.
		for range 4 {
			h.clock.add(7 * time.Hour)
			if p, _ := h.send(withCookie(c)); p == nil {
				t.Fatal("a session in use ended")
			}
			if err := errors.Join(h.Flush(context.Background()), h.Sweep(context.Background())); err != nil {
				t.Fatal(err)
			}
		}
		h.clock.add(9 * time.Hour)
		if p, _ := h.send(withCookie(c)); p != nil {
			t.Error("an idle session lives on")
		}
		// However much it is used, it ends.
		c = h.signIn("root-of-all")
		for alive := 0; ; alive++ {
			h.clock.add(6 * time.Hour)
			p, _ := h.send(withCookie(c))
			if err := h.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			if p == nil {
				if alive != 27 { // 28 steps of 6 hours are 7 days
					t.Errorf("it lived for %d steps", alive)
				}
				break
			}
			if alive > 40 {
				t.Fatal("a session lives for ever")
			}
		}
		if err := h.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n, err := db.R.NewSelect().Table("sessions").Count(context.Background()); n != 0 || err != nil {
			t.Errorf("%d sessions are left, %v", n, err)
		}
	})
}

// TestSessionFixation: a cookie that was there before the sign-in is worth nothing after it, whoever made it.
func TestSessionFixation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		root := h.setUp()
		h.add(root, "mallory", identity.Grant{Role: identity.Viewer})
		planted := h.signIn("mallory") // the attacker's own, living session
		invented := *planted
		invented.Value = "an-attacker-chose-this-value-himself-000000"
		for name, c := range map[string]*http.Cookie{"living": planted, "invented": &invented} {
			ctx := context.WithValue(context.Background(), clientKey{}, client{remote: "192.0.2.1", cookie: c.Value})
			fresh, _, err := h.SignIn(ctx, "root-of-all", good)
			if err != nil {
				t.Fatal(err)
			}
			if fresh.Value == c.Value {
				t.Errorf("%s: the sign-in took over the planted cookie", name)
			}
			if p, _ := h.send(withCookie(c)); p != nil {
				t.Errorf("%s: the planted cookie stands for %s", name, p.Name)
			}
			if p, _ := h.send(withCookie(fresh)); p == nil || p.UserID != root.ID {
				t.Errorf("%s: the fresh cookie stands for %v", name, p)
			}
		}
		// The cookie of a sign-in under way is no session.
		flow, err := h.sessions.Load(context.WithValue(context.Background(), openingKey{}, opening{}), "")
		if err != nil {
			t.Fatal(err)
		}
		h.sessions.Put(flow, "state", "x")
		token, _, err := h.sessions.Commit(flow)
		if err != nil {
			t.Fatal(err)
		}
		if p, _ := h.send(withCookie(h.bake(sessionCookie, token, time.Hour))); p != nil {
			t.Error("an anonymous session stands for somebody")
		}
	})
}

// TestRevocation: what ends sessions ends them at once here, and within seconds in another replica.
func TestRevocation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		root := h.setUp()
		ctx := from("192.0.2.1", admin(root))
		yes, no := true, false
		for name, deed := range map[string]func(id int64, p *identity.Principal) error{
			"sign out": func(_ int64, p *identity.Principal) error { _, err := h.SignOut(from("192.0.2.1", p)); return err },
			"end by its user": func(id int64, p *identity.Principal) error {
				list, err := h.Sessions(from("192.0.2.1", p), id)
				if err != nil || len(list) != 1 || !list[0].Current || list[0].Agent != "Browser" {
					t.Errorf("sessions: %+v %v", list, err)
				}
				return h.EndSession(from("192.0.2.1", p), list[0].ID)
			},
			"end by an administrator": func(id int64, _ *identity.Principal) error { return h.EndSessions(ctx, id) },
			"disable": func(id int64, _ *identity.Principal) error {
				_, err := h.Change(ctx, id, Fields{Disabled: &yes})
				return err
			},
			"remove": func(id int64, _ *identity.Principal) error { return h.Remove(ctx, id) },
			"reset":  func(id int64, _ *identity.Principal) error { _, _, err := h.Reset(ctx, id); return err },
			"new password": func(_ int64, p *identity.Principal) error {
				_, err := h.ChangePassword(from("192.0.2.1", p), good, good+"2")
				return err
			},
		} {
			other := newHouse(t, db, func(o *Options) { o.Now = h.clock.now }) // another replica
			u := h.add(root, "u-"+strings.ReplaceAll(name, " ", "-"), identity.Grant{Role: identity.Viewer})
			c := h.signIn(u.Name)
			p, _ := h.send(withCookie(c))
			if there, _ := other.send(withCookie(c)); p == nil || there == nil {
				t.Fatal("not signed in")
			}
			if err := deed(u.ID, p); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if p, _ := h.send(withCookie(c)); p != nil {
				t.Errorf("%s: the session lives on", name)
			}
			h.clock.add(5 * time.Second)
			if p, _ := other.send(withCookie(c)); p != nil {
				t.Errorf("%s: the session lives on in another replica", name)
			}
		}
		// A role that is taken away is gone from open sessions.
		u := h.add(root, "helper", identity.Grant{Role: identity.Administrator})
		c := h.signIn("helper")
		if p, _ := h.send(withCookie(c)); !p.Can(identity.ManagePeople, 0, "") {
			t.Fatal("no administrator")
		}
		if _, err := h.SetGrants(ctx, u.ID, []identity.Grant{{Role: identity.Viewer}}); err != nil {
			t.Fatal(err)
		}
		if p, _ := h.send(withCookie(c)); p == nil || p.Can(identity.ManagePeople, 0, "") {
			t.Error("a role that was taken away still holds")
		}
		if _, err := h.Change(ctx, u.ID, Fields{Disabled: &no}); err != nil {
			t.Error(err)
		}
		// Somebody else's session is not there for others.
		list, err := h.Sessions(ctx, u.ID)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		stranger := h.add(root, "stranger", identity.Grant{Role: identity.Operator})
		for _, id := range []int64{list[0].ID, 99999} {
			err := h.EndSession(from("192.0.2.1", &identity.Principal{UserID: stranger.ID, Name: "stranger", Via: "session", Grants: []identity.Grant{{Role: identity.Operator}}}), id)
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("session %d for a stranger: %v", id, err)
			}
		}
	})
}

// TestPasswordChange: the old one is needed and worth nothing afterwards; links work once and for a day.
func TestPasswordChange(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		root := h.setUp()
		ctx := from("192.0.2.1", admin(root))
		const fresh = "quite another secret 2"
		if _, err := h.ChangePassword(ctx, "not the old one", fresh); !errors.Is(err, ErrCredentials) {
			t.Error(err)
		}
		token := admin(root)
		token.Via = "token"
		if _, err := h.ChangePassword(from("192.0.2.1", token), good, fresh); !errors.Is(err, ErrForbidden) {
			t.Errorf("with a token: %v", err)
		}
		c, err := h.ChangePassword(ctx, good, fresh)
		if err != nil {
			t.Fatal(err)
		}
		if p, _ := h.send(withCookie(c)); p == nil {
			t.Error("the one who changed it is out")
		}
		if _, _, err := h.SignIn(from("192.0.2.1", nil), root.Name, good); !errors.Is(err, ErrCredentials) {
			t.Errorf("the old password: %v", err)
		}
		first, _, err := h.ResetNamed(context.Background(), "root-of-all")
		if err != nil {
			t.Fatal(err)
		}
		second, _, err := h.Reset(ctx, root.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Redeem(from("192.0.2.1", nil), first, good); !errors.Is(err, ErrLink) {
			t.Errorf("a replaced link: %v", err)
		}
		h.clock.add(25 * time.Hour)
		if err := h.Redeem(from("192.0.2.1", nil), second, good); !errors.Is(err, ErrLink) {
			t.Errorf("a link of yesterday: %v", err)
		}
		third, _, _ := h.Reset(ctx, root.ID)
		if err := h.Redeem(from("192.0.2.1", nil), third, good+" 3"); err != nil {
			t.Error(err)
		}
		if err := h.Redeem(from("192.0.2.1", nil), third, good+" 4"); !errors.Is(err, ErrLink) {
			t.Errorf("a link twice: %v", err)
		}
		noSecrets(t, db, h, good, fresh, first, second, third, c.Value)
	})
}

// TestRehash: a password kept at another cost is kept at today's after a sign-in.
func TestRehash(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		newHouse(t, db, nil).setUp()
		dear := *cheap
		dear.Iterations = 2
		h := newHouse(t, db, func(o *Options) { o.Hash = &dear })
		h.signIn("root-of-all")
		u, err := byName(context.Background(), db.R, "root-of-all")
		if err != nil {
			t.Fatal(err)
		}
		if p, _, _, err := argon2id.DecodeHash(u.Password); err != nil || p.Iterations != 2 {
			t.Errorf("%+v %v", p, err)
		}
		h.signIn("root-of-all")
	})
}

// TestThrottle: failures lock out for a while, across replicas and restarts, and nobody learns whether a user exists.
func TestThrottle(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		root := h.setUp()
		yes := true
		off := h.add(root, "switched-off", identity.Grant{Role: identity.Viewer})
		if _, err := h.Change(from("192.0.2.1", admin(root)), off.ID, Fields{Disabled: &yes}); err != nil {
			t.Fatal(err)
		}
		count := 0
		answers := map[string]string{}
		for i, name := range []string{"root-of-all", "nobody-here", "switched-off"} {
			remote := []string{"198.51.100.1", "198.51.100.2", "198.51.100.3"}[i]
			for try := range 8 {
				count = 0
				replica := newHouse(t, db, func(o *Options) { o.Now = h.clock.now }) // each time a server that has just started
				replica.hashes = func() { count++ }
				password := "wrong password"
				if try > 5 { // locked out even with the right one
					password = good
				}
				_, _, err := replica.SignIn(from(remote, nil), name, password)
				answers[name] += err.Error() + ";" + string(rune('0'+count)) + "\n"
			}
		}
		if answers["root-of-all"] != answers["nobody-here"] || answers["root-of-all"] != answers["switched-off"] {
			t.Errorf("who there is can be told:\n%v", answers)
		}
		if !strings.Contains(answers["nobody-here"], "too many failed") || strings.Count(answers["nobody-here"], "wrong name") != maxPair {
			t.Error(answers["nobody-here"])
		}
		// Somebody who fails on purpose keeps himself out, not the person.
		h.signIn("root-of-all")
		h.clock.add(blocked + time.Second)
		if _, _, err := h.SignIn(from("198.51.100.1", nil), "root-of-all", good); err != nil {
			t.Errorf("the lock does not end: %v", err)
		}
		// A success takes back what was counted: five more wrong ones are five again.
		for try := range maxPair + 1 {
			_, _, err := h.SignIn(from("198.51.100.1", nil), "root-of-all", "wrong password")
			if want := try == maxPair; want != errors.As(err, new(*Throttled)) {
				t.Errorf("try %d: %v", try, err)
			}
			h.clock.add(time.Second)
		}
		// A clock that was set back does not lock out for ever.
		h.clock.add(-48 * time.Hour)
		var wait *Throttled
		if _, _, err := h.SignIn(from("198.51.100.1", nil), "root-of-all", good); errors.As(err, &wait) && wait.Wait > blocked {
			t.Errorf("wait for %v", wait.Wait)
		}
		entries, _, err := audit.List(context.Background(), db, audit.Filter{Action: "session.block"}, store.Page{})
		if err != nil || len(entries) != 4 {
			t.Errorf("%d lock-outs are in the log, %v", len(entries), err)
		}
		for _, e := range entries {
			if strings.Contains(e.Object, "nobody-here") {
				t.Errorf("a name that nobody has is in the log: %s", e.Object)
			}
		}
		if strings.Contains(h.log.String(), "nobody-here") {
			t.Error("a name that nobody has is logged: it may be a password")
		}
		// An address that floods is turned away before the database is asked.
		var flood int
		for i := range bucketSize * 2 {
			if _, _, err := h.SignIn(from("203.0.113.7", nil), strings.Repeat("y", i+1), "z"); errors.As(err, new(*Throttled)) {
				flood++
			}
		}
		if flood != bucketSize {
			t.Errorf("%d of %d were turned away", flood, bucketSize*2)
		}
	})
}

// TestNetwork: what counts as one address.
func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "": "invalid Prefix", "@": "invalid Prefix"} {
		if got := network(in).String(); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// TestCrossSite: a page of another site cannot make changes with a user's cookie; tokens and programs are not concerned.
func TestCrossSite(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, func(o *Options) { o.Origins = []string{"https://console.example.com"} })
		root := h.setUp()
		c := h.signIn("root-of-all")
		_, text, err := h.AddToken(from("192.0.2.1", admin(root)), NewToken{Name: "ci"})
		if err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			name, method string
			header       map[string]string
			token        bool
			want         int
		}{
			{"another site", "POST", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.net"}, false, 403},
			{"another site, old browser", "POST", map[string]string{"Origin": "https://evil.example.net"}, false, 403},
			{"a sandboxed frame", "POST", map[string]string{"Origin": "null"}, false, 403},
			{"a sister site", "DELETE", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://blog.example.com"}, false, 403},
			{"the same origin", "POST", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "https://stockade.example.com"}, false, 200},
			{"the same origin, old browser", "POST", map[string]string{"Origin": "https://stockade.example.com"}, false, 200},
			{"an origin that is trusted", "POST", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://console.example.com"}, false, 200},
			{"a read", "GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.net"}, false, 200},
			{"a program", "POST", nil, false, 200},
			{"a token", "POST", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.net"}, true, 200},
		} {
			_, w := h.send(func(r *http.Request) {
				r.Method = tc.method
				for k, v := range tc.header {
					r.Header.Set(k, v)
				}
				if tc.token {
					r.Header.Set("Authorization", "Bearer "+text)
				} else {
					r.AddCookie(c)
				}
			})
			if w.Code != tc.want {
				t.Errorf("%s: %d, want %d", tc.name, w.Code, tc.want)
			}
			if tc.want == 403 && w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %v", tc.name, w.Header())
			}
		}
	})
}

// TestPlainHTTP: without TLS the cookie has another name, so that it is never taken for one that TLS protected.
func TestPlainHTTP(t *testing.T) {
	h := newHouse(t, storetest.Open(t, "sqlite"), func(o *Options) { o.Secure = false })
	h.setUp()
	c := h.signIn("root-of-all")
	if c.Name != "stockade_session" || c.Secure {
		t.Error(c)
	}
	if p, _ := h.send(withCookie(c)); p == nil {
		t.Error("not signed in")
	}
}

// TestLogInjection: what a client sends stands on one line of the log and of the audit log.
func TestLogInjection(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		h.setUp()
		evil := "eve\nlevel=INFO msg=\"sign-in\" user=root\r\n\x00\u2028\u202e=cmd()"
		_, _, _ = h.SignIn(from("192.0.2.66", nil), evil, "x")
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("User-Agent", evil)
		r.Header.Set("Authorization", "Bearer stk_1_"+evil)
		h.Middleware(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		ctx := context.WithValue(context.Background(), clientKey{}, client{remote: "192.0.2.1", agent: clean(evil, 200)})
		if _, _, err := h.SignIn(ctx, "root-of-all", good); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(h.log.String()) {
			if !strings.HasPrefix(line, "time=") || strings.Contains(line, "user=root\n") {
				t.Errorf("a line of the client's own: %q", line)
			}
		}
		var agent string
		if err := db.R.NewSelect().Table("sessions").Column("agent").OrderExpr("id DESC").Limit(1).Scan(context.Background(), &agent); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(agent, "\n\r\x00\u2028\u202e") {
			t.Errorf("%q", agent)
		}
	})
}
