package people

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

const clientSecret = "the client secret of the provider"

// issuer is an OpenID Connect provider.
type issuer struct {
	*httptest.Server
	t     *testing.T
	clock *clock
	key   *ecdsa.PrivateKey

	mu     sync.Mutex
	codes  map[string]url.Values                               // what was asked for, by code
	claims map[string]any                                      // of whoever signs in next
	twist  func(claims map[string]any, key **ecdsa.PrivateKey) // makes the ID token wrong
	tokens int
}

func newIssuer(t *testing.T, c *clock) *issuer {
	i := &issuer{t: t, clock: c, codes: map[string]url.Values{}}
	var err error
	if i.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": i.URL, "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.tokens++
		_ = r.ParseForm()
		asked := i.codes[r.Form.Get("code")]
		delete(i.codes, r.Form.Get("code"))
		id, password, _ := r.BasicAuth()
		sum := sha256.Sum256([]byte(r.Form.Get("code_verifier")))
		if asked == nil || id != "stockade" || password != url.QueryEscape(clientSecret) || r.Form.Get("redirect_uri") != asked.Get("redirect_uri") ||
			asked.Get("code_challenge_method") != "S256" || base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") {
			w.WriteHeader(400)
			answer(w, map[string]any{"error": "invalid_grant", "error_description": "you sent " + r.Form.Encode()})
			return
		}
		claims := map[string]any{"iss": i.URL, "aud": "stockade", "nonce": asked.Get("nonce"), "iat": i.clock.now().Unix(), "exp": i.clock.now().Add(time.Minute).Unix()}
		for k, v := range i.claims {
			claims[k] = v
		}
		key := i.key
		if i.twist != nil {
			i.twist(claims, &key)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
		if err != nil {
			t.Error(err)
			return
		}
		body, _ := json.Marshal(claims)
		signed, err := signer.Sign(body)
		if err != nil {
			t.Error(err)
			return
		}
		raw, _ := signed.CompactSerialize()
		answer(w, map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": raw})
	})
	return i
}

// agree is the user signing in at the provider: it gives the code and the state that the browser is sent back with.
func (i *issuer) agree(where string, claims map[string]any) Answer {
	u, err := url.Parse(where)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	code := rand.Text()
	i.codes[code], i.claims = u.Query(), claims
	return Answer{Code: code, State: u.Query().Get("state")}
}

func (h *house) withProvider(i *issuer, by *User, mappings ...Mapping) *Provider {
	h.t.Helper()
	h.o.Client = i.Client()
	secret := clientSecret
	p, err := h.PutProvider(from("192.0.2.1", admin(by)), 0, ProviderFields{Name: "Corp", Issuer: i.URL, ClientID: "stockade", Secret: &secret, Mappings: mappings})
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// through signs in through a provider.
func (h *house) through(i *issuer, p *Provider, claims map[string]any) (next string, session *http.Cookie, err error) {
	h.t.Helper()
	where, flow, err := h.Begin(from("192.0.2.5", nil), p.ID, "/risks?x=1")
	if err != nil {
		h.t.Fatal(err)
	}
	ctx := context.WithValue(context.Background(), clientKey{}, client{remote: "192.0.2.5", flow: flow.Value})
	next, cookies, err := h.Finish(ctx, i.agree(where, claims))
	if err != nil {
		return next, nil, err
	}
	return next, cookies[len(cookies)-1], nil
}

// TestOIDC: a sign-in makes the user and gives what the groups map to, each time anew.
func TestOIDC(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		root := h.setUp()
		i := newIssuer(t, h.clock)
		a := target(t, db, "alpha")
		p := h.withProvider(i, root, Mapping{"sec-ops", identity.Grant{Role: identity.Operator, Target: a}}, Mapping{"everyone", identity.Grant{Role: identity.Viewer}})
		if p.RedirectURL != "https://stockade.example.com/api/v1/session/oidc/callback" || !p.HasSecret {
			t.Errorf("%+v", p)
		}
		person := map[string]any{"sub": "0042", "preferred_username": "Alice", "name": "Alice\nA.", "email": "alice@example.com", "groups": []string{"sec-ops", "everyone", "x"}}
		next, c, err := h.through(i, p, person)
		if err != nil || next != "/risks?x=1" {
			t.Fatal(next, err)
		}
		who, _ := h.send(withCookie(c))
		if who == nil || who.Name != "alice" || !who.Can(identity.Scan, a, "") || who.Can(identity.Scan, 0, "") || !who.Can(identity.Read, 0, "") {
			t.Fatalf("%+v", who)
		}
		u, err := h.Get(context.Background(), who.UserID)
		if err != nil || u.DisplayName != "Alice A." || u.Email != "alice@example.com" || len(u.Mapped) != 2 || len(u.Grants) != 0 || u.HasPassword {
			t.Errorf("%+v %v", u, err)
		}
		// She left the group.
		person["groups"] = "everyone"
		_, c, err = h.through(i, p, person)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := h.send(withCookie(c)); again == nil || again.UserID != who.UserID || again.Can(identity.Scan, a, "") {
			t.Errorf("%+v", again)
		}
		// Somebody with the name of a local user is somebody else, and no administrator.
		_, c, err = h.through(i, p, map[string]any{"sub": "666", "preferred_username": "root-of-all", "email": "root@example.com", "groups": []string{"everyone"}})
		if err != nil {
			t.Fatal(err)
		}
		if m, _ := h.send(withCookie(c)); m == nil || m.UserID == root.ID || m.Name != "root-of-all-corp" || m.May(identity.ManagePeople) {
			t.Errorf("%+v", m)
		}
		// Without a role, and disabled.
		if _, _, err := h.through(i, p, map[string]any{"sub": "7", "email": "bob@example.com"}); !errors.Is(err, RefusedRole) {
			t.Errorf("nobody's role: %v", err)
		}
		yes := true
		if _, err := h.Change(from("192.0.2.1", admin(root)), u.ID, Fields{Disabled: &yes}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.through(i, p, person); !errors.Is(err, RefusedUser) {
			t.Errorf("disabled: %v", err)
		}
		// They have no password here.
		if _, _, err := h.Reset(from("192.0.2.1", admin(root)), u.ID); !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
		noSecrets(t, db, h, clientSecret, c.Value)
		// The provider goes, and what it gave with it.
		if err := h.RemoveProvider(from("192.0.2.1", admin(root)), p.ID); err != nil {
			t.Fatal(err)
		}
		if m, _ := h.send(withCookie(c)); m != nil {
			t.Error("a session outlives its provider")
		}
		entries, _, err := audit.List(context.Background(), db, audit.Filter{Actor: "provider Corp", Action: "user"}, store.Page{})
		if err != nil || len(entries) != 4 { // alice, her groups, root-of-all-corp, bob
			t.Errorf("%d entries, %v", len(entries), err)
		}
	})
}

// TestOIDCRefused: whatever is wrong with an answer, nobody is signed in and the browser learns nothing of it.
func TestOIDCRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		root := h.setUp()
		i := newIssuer(t, h.clock)
		p := h.withProvider(i, root, Mapping{"everyone", identity.Grant{Role: identity.Viewer}})
		person := map[string]any{"sub": "1", "preferred_username": "alice", "groups": []string{"everyone"}}
		stranger, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		for name, twist := range map[string]func(map[string]any, **ecdsa.PrivateKey){
			"another's key":    func(_ map[string]any, k **ecdsa.PrivateKey) { *k = stranger },
			"another issuer":   func(c map[string]any, _ **ecdsa.PrivateKey) { c["iss"] = "https://evil.example.net" },
			"another audience": func(c map[string]any, _ **ecdsa.PrivateKey) { c["aud"] = "other" },
			"expired":          func(c map[string]any, _ **ecdsa.PrivateKey) { c["exp"] = h.clock.now().Add(-time.Hour).Unix() },
			"another nonce":    func(c map[string]any, _ **ecdsa.PrivateKey) { c["nonce"] = "replayed" },
			"no nonce":         func(c map[string]any, _ **ecdsa.PrivateKey) { delete(c, "nonce") },
			"nobody":           func(c map[string]any, _ **ecdsa.PrivateKey) { delete(c, "sub") },
		} {
			i.twist = twist
			if _, _, err := h.through(i, p, person); !errors.Is(err, RefusedProvider) {
				t.Errorf("%s: %v", name, err)
			}
			h.clock.add(10 * time.Second) // for the bucket
		}
		i.twist = nil
		begin := func() (string, string) {
			h.clock.add(10 * time.Second)
			where, flow, err := h.Begin(from("192.0.2.5", nil), p.ID, "/")
			if err != nil {
				t.Fatal(err)
			}
			return where, flow.Value
		}
		finish := func(flow string, a Answer) error {
			_, cookies, err := h.Finish(context.WithValue(context.Background(), clientKey{}, client{remote: "192.0.2.5", flow: flow}), a)
			if err != nil && len(cookies) != 1 {
				t.Errorf("%d cookies with %v", len(cookies), err)
			}
			return err
		}
		where, flow := begin()
		good := i.agree(where, person)
		if err := finish("", good); !errors.Is(err, RefusedFlow) { // the attacker's own answer in the victim's browser
			t.Errorf("no cookie: %v", err)
		}
		if err := finish(flow, Answer{Code: good.Code, State: "guessed"}); !errors.Is(err, RefusedFlow) {
			t.Errorf("another state: %v", err)
		}
		if err := finish(flow, Answer{Code: good.Code}); !errors.Is(err, RefusedFlow) {
			t.Errorf("no state: %v", err)
		}
		if err := finish(flow, good); err != nil {
			t.Errorf("the right one: %v", err)
		}
		if err := finish(flow, good); !errors.Is(err, RefusedFlow) {
			t.Errorf("the same answer again: %v", err)
		}
		where, flow = begin()
		late := i.agree(where, person)
		h.clock.add(flowLife)
		if err := finish(flow, late); !errors.Is(err, RefusedFlow) {
			t.Errorf("too late: %v", err)
		}
		where, flow = begin()
		_, otherFlow := begin()
		if err := finish(otherFlow, i.agree(where, person)); !errors.Is(err, RefusedFlow) {
			t.Errorf("another browser's: %v", err)
		}
		where, flow = begin()
		if err := finish(flow, Answer{Error: "access_denied\nx", State: i.agree(where, person).State}); !errors.Is(err, RefusedByUser) {
			t.Errorf("denied: %v", err)
		}
		where, flow = begin()
		if err := finish(flow, Answer{Code: "made up", State: i.agree(where, person).State}); !errors.Is(err, RefusedProvider) {
			t.Errorf("a made-up code: %v", err)
		}
		if strings.Contains(h.log.String(), "you sent") || strings.Contains(h.log.String(), "code_verifier") {
			t.Error("what the provider answered is logged")
		}
		noSecrets(t, db, h, clientSecret)
	})
}

// TestProvider refuses what cannot work, and keeps the secret for its issuer.
func TestProvider(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db, nil)
		root := h.setUp()
		i := newIssuer(t, h.clock)
		h.o.Client = i.Client()
		ctx := from("192.0.2.1", admin(root))
		base := ProviderFields{Name: "Corp", Issuer: i.URL, ClientID: "stockade"}
		for name, change := range map[string]func(*ProviderFields){
			"plain HTTP":     func(f *ProviderFields) { f.Issuer = strings.Replace(i.URL, "https", "http", 1) },
			"no issuer":      func(f *ProviderFields) { f.Issuer = "" },
			"nobody answers": func(f *ProviderFields) { f.Issuer = "https://127.0.0.1:1" },
			"another name":   func(f *ProviderFields) { f.Issuer = strings.Replace(i.URL, "127.0.0.1", "localhost", 1) },
			"a newline":      func(f *ProviderFields) { f.Name = "a\nb" },
			"a bad scope":    func(f *ProviderFields) { f.Scopes = []string{"a b"} },
			"no such role":   func(f *ProviderFields) { f.Mappings = []Mapping{{"g", identity.Grant{Role: "king"}}} },
			"no such cluster": func(f *ProviderFields) {
				f.Mappings = []Mapping{{"g", identity.Grant{Role: identity.Viewer, Target: 99}}}
			},
		} {
			f := base
			change(&f)
			if _, err := h.PutProvider(ctx, 0, f); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		p := h.withProvider(i, root)
		if _, err := h.PutProvider(ctx, 0, base); !errors.Is(err, ErrConflict) {
			t.Errorf("twice: %v", err)
		}
		evil := newIssuer(t, h.clock)
		h.o.Client = evil.Client()
		f := base
		f.Issuer = evil.URL
		if _, err := h.PutProvider(ctx, p.ID, f); !errors.Is(err, ErrInvalid) {
			t.Errorf("the secret goes to another issuer: %v", err)
		}
		h.o.Client = i.Client()
		f = base
		f.GroupsClaim = "realm_access.roles"
		changed, err := h.PutProvider(ctx, p.ID, f)
		if err != nil || !changed.HasSecret || changed.GroupsClaim != "realm_access.roles" {
			t.Errorf("%+v %v", changed, err)
		}
		if _, err := h.PutProvider(ctx, 99, base); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		narrow := admin(root)
		narrow.Only = []identity.Action{identity.ManagePeople}
		f.Mappings = []Mapping{{"mine", identity.Grant{Role: identity.Administrator}}}
		if _, err := h.PutProvider(from("192.0.2.1", narrow), p.ID, f); !errors.Is(err, ErrForbidden) {
			t.Errorf("a narrow token maps a group to administrators: %v", err)
		}
		err = h.ResealProviders(context.Background(), func(place string, sealed []byte) ([]byte, error) {
			plain, err := plainSeal{}.Open(place, sealed)
			if err != nil || string(plain) != clientSecret {
				t.Errorf("%q %v", plain, err)
			}
			return plainSeal{}.Seal(place, plain)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestLocalPath: the way on after a sign-in stays here.
func TestLocalPath(t *testing.T) {
	for in, want := range map[string]string{"/": "/", "/risks?a=b#c": "/risks?a=b#c", "": "/", "//evil.example.net": "/", "https://evil.example.net": "/", "/\\evil.example.net": "/",
		"\t//evil": "/", "/\n/evil": "/", "javascript:alert(1)": "/", "risks": "/", "/%2f/x": "/%2f/x"} {
		if got := localPath(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestGroups reads the claim in its forms.
func TestGroups(t *testing.T) {
	for claim, tc := range map[string]struct {
		claims string
		want   []string
	}{
		"groups":             {`{"groups":["a","b",3]}`, []string{"a", "b"}},
		"group":              {`{"group":"a"}`, []string{"a"}},
		"realm_access.roles": {`{"realm_access":{"roles":["x"]}}`, []string{"x"}},
		"https://x.y/groups": {`{"https://x.y/groups":["z"]}`, []string{"z"}},
		"none":               {`{"groups":["a"]}`, nil},
		"a.b":                {`{"a":"text"}`, nil},
	} {
		claims := map[string]any{}
		if err := json.Unmarshal([]byte(tc.claims), &claims); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, groupsOf(claims, claim)); diff != "" {
			t.Errorf("%s:\n%s", claim, diff)
		}
	}
}

// FuzzPlainName: whatever a provider calls people, it becomes a name or nothing.
func FuzzPlainName(f *testing.F) {
	for _, s := range []string{"Alice", "a b", "", "...", "=cmd()", "王小明", strings.Repeat("x", 200), "a@b.c", "\x00\xff", "-a-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n := plainName(s); n != "" && n != identity.System.Name {
			if err := checkName(n); err != nil {
				t.Errorf("%q becomes %q: %v", s, n, err)
			}
		}
	})
}
