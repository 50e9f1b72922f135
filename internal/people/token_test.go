package people

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestToken: shown once, kept as a hash, narrower than its user, ended by all that should end it.
func TestToken(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		root := h.setUp()
		a, b := target(t, db, "alpha"), target(t, db, "beta")
		u := h.add(root, "alice", identity.Grant{Role: identity.Operator, Target: a}, identity.Grant{Role: identity.Viewer, Target: b})
		alice := &identity.Principal{UserID: u.ID, Name: u.Name, Via: "session", Session: "1",
			Grants: []identity.Grant{{Role: identity.Operator, Target: a}, {Role: identity.Viewer, Target: b}}}
		ctx := from("192.0.2.1", alice)
		tok, text, err := h.AddToken(ctx, NewToken{Name: "ci\nrun", Actions: []identity.Action{identity.Read, identity.Approve}, Places: []Place{{Target: a, Namespace: "shop"}}})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(text, "stk_"+strconv.FormatInt(tok.ID, 10)+"_") || tok.Name != "ci run" {
			t.Error(tok.Name)
		}
		if d := tok.ExpiresAt.Sub(tok.CreatedAt.Time); d != tokenDays*24*time.Hour {
			t.Errorf("it holds for %v", d)
		}
		p, w := h.send(withToken(text))
		if p == nil || w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
		for _, tc := range []struct {
			action identity.Action
			target int64
			ns     string
			want   bool
		}{
			{identity.Read, a, "shop", true}, {identity.Read, a, "other", false}, {identity.Read, a, "", false}, {identity.Read, b, "shop", false},
			{identity.Handle, a, "shop", false},  // not in the token
			{identity.Approve, a, "shop", false}, // in the token, not of the user
		} {
			if got := p.Can(tc.action, tc.target, tc.ns); got != tc.want {
				t.Errorf("%s on %d %q: %v", tc.action, tc.target, tc.ns, got)
			}
		}

		// A token cannot make tokens, nor end others.
		other, otherText, err := h.AddToken(ctx, NewToken{Name: "other"})
		if err != nil {
			t.Fatal(err)
		}
		byToken := from("192.0.2.1", p)
		if _, _, err := h.AddToken(byToken, NewToken{Name: "more"}); !errors.Is(err, ErrForbidden) {
			t.Errorf("a token made a token: %v", err)
		}
		if err := h.EndToken(byToken, other.ID); !errors.Is(err, ErrForbidden) {
			t.Errorf("a token ended another: %v", err)
		}
		// What others have is not there.
		stranger := h.add(root, "mallory", identity.Grant{Role: identity.Operator})
		m := from("192.0.2.1", &identity.Principal{UserID: stranger.ID, Name: "mallory", Via: "session", Grants: []identity.Grant{{Role: identity.Operator}}})
		if err := h.EndToken(m, tok.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a stranger ended a token: %v", err)
		}

		// Last use is written by Flush.
		if err := h.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		list, err := h.Tokens(context.Background(), u.ID)
		if err != nil || len(list) != 2 || list[1].UsedAt.IsZero() || !list[0].UsedAt.IsZero() {
			t.Errorf("%+v %v", list, err)
		}
		if diff := cmp.Diff([]Place{{Target: a, Namespace: "shop"}}, list[1].Places); diff != "" {
			t.Error(diff)
		}

		// Wrong ones.
		for _, bad := range []string{text + "x", text[:len(text)-1], "stk_" + strconv.FormatInt(other.ID, 10) + "_" + strings.SplitN(text, "_", 3)[2], "stk_", "stk_1", "stk_x_y", "Bearer", strings.Repeat("stk_1_", 1000), "x"} {
			p, w := h.send(withToken(bad))
			if p != nil || w.Code != http.StatusUnauthorized || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%.30s: %v %d", bad, p, w.Code)
			}
			if strings.Contains(w.Body.String(), bad) && len(bad) > 6 {
				t.Error("the answer repeats the token")
			}
		}
		if _, w := h.send(func(r *http.Request) { r.SetBasicAuth("root-of-all", good) }); w.Code != 401 {
			t.Errorf("basic authentication: %d", w.Code)
		}

		// Revoked, expired, of a disabled user.
		if err := h.EndToken(byToken, tok.ID); err != nil {
			t.Errorf("a token cannot end itself: %v", err)
		}
		if p, w := h.send(withToken(text)); p != nil || w.Code != 401 {
			t.Errorf("a revoked token: %d", w.Code)
		}
		yes, no := true, false
		ctxRoot := from("192.0.2.1", admin(root))
		if p, _ := h.send(withToken(otherText)); p == nil {
			t.Fatal("the other token does not work")
		}
		if _, err := h.Change(ctxRoot, u.ID, Fields{Disabled: &yes}); err != nil {
			t.Fatal(err)
		}
		if p, w := h.send(withToken(otherText)); p != nil || w.Code != 401 {
			t.Errorf("a token of a disabled user: %d", w.Code)
		}
		if _, err := h.Change(ctxRoot, u.ID, Fields{Disabled: &no}); err != nil {
			t.Fatal(err)
		}
		// A grant that is taken away is gone from tokens.
		if _, err := h.SetGrants(ctxRoot, u.ID, []identity.Grant{{Role: identity.Viewer, Target: b}}); err != nil {
			t.Fatal(err)
		}
		if p, _ := h.send(withToken(otherText)); p == nil || p.Can(identity.Read, a, "shop") {
			t.Error("a grant that was taken away still holds for a token")
		}
		h.clock.add(tokenDays*24*time.Hour + time.Second)
		if p, w := h.send(withToken(otherText)); p != nil || w.Code != 401 {
			t.Errorf("an expired token: %d", w.Code)
		}
		noSecrets(t, db, h, text, otherText, strings.SplitN(text, "_", 3)[2], strings.SplitN(otherText, "_", 3)[2])
	})
}

// TestNewToken refuses what cannot be.
func TestNewToken(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		root := h.setUp()
		a, b := target(t, db, "alpha"), target(t, db, "beta")
		u := h.add(root, "alice", identity.Grant{Role: identity.Operator, Target: a})
		ctx := from("192.0.2.1", &identity.Principal{UserID: u.ID, Name: u.Name, Via: "session", Grants: []identity.Grant{{Role: identity.Operator, Target: a}}})
		for name, n := range map[string]NewToken{
			"no name":        {Name: "\n"},
			"two years":      {Name: "x", Days: 730},
			"no such action": {Name: "x", Actions: []identity.Action{"fly"}},
			"no target":      {Name: "x", Places: []Place{{}}},
			"unseen target":  {Name: "x", Places: []Place{{Target: b}}},
			"no such target": {Name: "x", Places: []Place{{Target: b + 1}}},
		} {
			if _, _, err := h.AddToken(ctx, n); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, none, err := h.AddToken(ctx, NewToken{Name: "nothing", Actions: []identity.Action{}})
		if err != nil {
			t.Fatal(err)
		}
		if p, _ := h.send(withToken(none)); p == nil || p.May(identity.Read) || !p.May(identity.Self) {
			t.Error("a token with an empty list of actions may something")
		}
		for range maxTokens - 1 {
			if _, _, err := h.AddToken(ctx, NewToken{Name: "one of many"}); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := h.AddToken(ctx, NewToken{Name: "one too many"}); !errors.Is(err, ErrConflict) {
			t.Error(err)
		}
	})
}

// TestWithin: a token's places only ever take away.
func TestWithin(t *testing.T) {
	g := func(role identity.Role, target int64, ns string) identity.Grant {
		return identity.Grant{Role: role, Target: target, Namespace: ns}
	}
	for _, tc := range []struct {
		name   string
		grants []identity.Grant
		places []Place
		want   []identity.Grant
	}{
		{"no places", []identity.Grant{g("viewer", 0, "")}, nil, []identity.Grant{g("viewer", 0, "")}},
		{"everything to one", []identity.Grant{g("administrator", 0, "")}, []Place{{Target: 2}}, []identity.Grant{g("administrator", 2, "")}},
		{"everything to a namespace", []identity.Grant{g("operator", 0, "")}, []Place{{2, "shop"}}, []identity.Grant{g("operator", 2, "shop")}},
		{"a cluster to a namespace", []identity.Grant{g("operator", 2, "")}, []Place{{2, "shop"}, {3, ""}}, []identity.Grant{g("operator", 2, "shop")}},
		{"a namespace stays one", []identity.Grant{g("operator", 2, "shop")}, []Place{{Target: 2}}, []identity.Grant{g("operator", 2, "shop")}},
		{"another namespace", []identity.Grant{g("operator", 2, "shop")}, []Place{{2, "bank"}}, []identity.Grant{}},
		{"another cluster", []identity.Grant{g("operator", 2, "")}, []Place{{Target: 3}}, []identity.Grant{}},
		{"empty places", []identity.Grant{g("operator", 0, "")}, []Place{}, []identity.Grant{}},
	} {
		if diff := cmp.Diff(tc.want, within(tc.grants, tc.places)); diff != "" {
			t.Errorf("%s:\n%s", tc.name, diff)
		}
	}
}
