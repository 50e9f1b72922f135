package registries

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

const secret = "correct-horse-battery"

func newBook(t *testing.T, db *store.DB, local bool) *Book {
	t.Helper()
	keys, err := seal.Load(filepath.Join(t.TempDir(), "keys"), "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Options{DB: db, Keys: keys, Local: local})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ptr(s string) *string { return &s }

// TestBook keeps, changes, tells and removes.
func TestBook(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		b := newBook(t, db, false)
		made, err := b.Add(ctx, Input{Name: "main", Address: "https://Registry.Example.com:5000/", Username: "robot", Password: ptr(secret), MirrorOf: "docker.io"})
		if err != nil || made.Address != "registry.example.com:5000" || made.MirrorOf != "index.docker.io" || !made.HasPassword {
			t.Fatalf("%+v %v", made, err)
		}
		places, err := b.Places(ctx)
		if err != nil || len(places) != 1 || places[0].Password != secret || places[0].Username != "robot" {
			t.Fatalf("%+v %v", places, err)
		}
		if _, err := b.Add(ctx, Input{Name: "other", Address: "registry.example.com:5000"}); !store.Duplicate(err) {
			t.Error("an address twice:", err)
		}
		for name, in := range map[string]Input{
			"moved":     {Name: "main", Address: "evil.example.com"},
			"insecure":  {Name: "main", Address: made.Address, Insecure: true},
			"this":      {Name: "main", Address: "127.0.0.1:5000", Password: ptr("")},
			"localhost": {Name: "main", Address: "localhost:5000", Password: ptr("")},
			"metadata":  {Name: "main", Address: "169.254.169.254", Password: ptr("")},
			"path":      {Name: "main", Address: "registry.example.com/shop"},
			"user":      {Name: "main", Address: "a@registry.example.com"},
			"glob":      {Name: "main", Address: "*.example.com"},
			"itself":    {Name: "main", Address: made.Address, MirrorOf: made.Address},
			"ca":        {Name: "main", Address: made.Address, CA: "no certificate"},
			"colon":     {Name: "main", Address: made.Address, Username: "a:b"},
			"name":      {Name: "a\nb", Address: made.Address},
		} {
			if _, err := b.Change(ctx, made.ID, in); err == nil || !strings.HasPrefix(err.Error(), "invalid") {
				t.Errorf("%s: %v", name, err)
			}
		}
		changed, err := b.Change(ctx, made.ID, Input{Name: "renamed", Address: made.Address, Username: "robot"})
		if err != nil || !changed.HasPassword || changed.Name != "renamed" || changed.MirrorOf != "" {
			t.Fatalf("%+v %v", changed, err)
		}
		if places, _ = b.Places(ctx); places[0].Password != secret || places[0].MirrorOf != "" {
			t.Errorf("%+v", places)
		}
		if r, err := b.Of(ctx, "registry.example.com:5000/db/x:1"); err != nil || r == nil || r.ID != made.ID {
			t.Error(r, err)
		}
		if r, err := b.Of(ctx, "other.example.com/db"); err != nil || r != nil {
			t.Error(r, err)
		}
		text, _ := json.Marshal(changed)
		var log []string
		if err := db.R.NewRaw("SELECT action || before || after FROM audit ORDER BY id").Scan(ctx, &log); err != nil || len(log) != 2 {
			t.Fatal(log, err)
		}
		if all := string(text) + strings.Join(log, ""); strings.Contains(all, secret) {
			t.Error("the password is told:", all)
		}
		if err := b.Reseal(ctx, func(place string, sealed []byte) ([]byte, error) {
			plain, err := b.o.Keys.Open(place, sealed)
			if err != nil {
				return nil, err
			}
			return b.o.Keys.Seal(place, plain)
		}); err != nil {
			t.Error(err)
		}
		if err := b.Remove(ctx, made.ID); err != nil {
			t.Fatal(err)
		}
		if places, err = b.Places(ctx); err != nil || len(places) != 0 {
			t.Error(places, err)
		}
		if _, err := b.Get(ctx, made.ID); err != store.ErrNotFound {
			t.Error(err)
		}
	})
}

// front answers as registries do; what it was asked with is kept.
type front struct {
	*httptest.Server
	authorizations []string
}

func newFront(t *testing.T, tls bool, h func(f *front, w http.ResponseWriter, r *http.Request)) *front {
	t.Helper()
	f := &front{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.authorizations = append(f.authorizations, r.Header.Get("Authorization"))
		h(f, w, r)
	})
	if tls {
		f.Server = httptest.NewTLSServer(handler)
	} else {
		f.Server = httptest.NewServer(handler)
	}
	t.Cleanup(f.Close)
	return f
}

func (f *front) address() string {
	_, rest, _ := strings.Cut(f.URL, "://")
	return rest
}

func (f *front) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}))
}

// bearer is a registry with a place for tokens at the same address.
func bearer(f *front, w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	switch {
	case r.URL.Path == "/token" && user == "robot" && password == secret && r.URL.Query().Get("service") == "harbor-registry":
		_, _ = w.Write([]byte(`{"token":"good"}`))
	case r.URL.Path == "/token":
		http.Error(w, "no, "+password, http.StatusUnauthorized)
	case r.Header.Get("Authorization") == "Bearer good":
		_, _ = w.Write([]byte("{}"))
	default:
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+f.URL+`/token",service="harbor-registry"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// TestTry tells every kind of registry, and of what is none.
func TestTry(t *testing.T) {
	db := storetest.Open(t, "sqlite")
	b := newBook(t, db, true)
	good := newFront(t, true, bearer)
	redirecting := newFront(t, true, func(f *front, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://internal.example.com/latest/meta-data", http.StatusFound)
	})
	elsewhere := newFront(t, true, func(f *front, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://127.0.0.1:1/token",service="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	huge := newFront(t, true, func(f *front, w http.ResponseWriter, r *http.Request) {
		for range 40 {
			_, _ = w.Write(make([]byte, 64<<10))
		}
	})
	page := newFront(t, true, func(f *front, w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("<html>a page</html>")) })
	open := newFront(t, true, func(f *front, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		_, _ = w.Write([]byte("{}"))
	})
	plain := newFront(t, false, func(f *front, w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != secret {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	for name, c := range map[string]struct {
		in                          Input
		state, credentials, product string
	}{
		"good":              {Input{Address: good.address(), CA: good.pem(), Username: "robot", Password: ptr(secret)}, OK, "accepted", "Harbor"},
		"wrong password":    {Input{Address: good.address(), CA: good.pem(), Username: "robot", Password: ptr("wrong-" + secret)}, Denied, "refused", "Harbor"},
		"no password":       {Input{Address: good.address(), CA: good.pem()}, Missing, "missing", "Harbor"},
		"token":             {Input{Address: good.address(), CA: good.pem(), Password: ptr("good")}, OK, "accepted", "Harbor"},
		"unknown authority": {Input{Address: good.address(), Username: "robot", Password: ptr(secret)}, Untrusted, "unknown", ""},
		"insecure":          {Input{Address: good.address(), Insecure: true, Username: "robot", Password: ptr(secret)}, OK, "accepted", "Harbor"},
		"redirect":          {Input{Address: redirecting.address(), CA: redirecting.pem()}, NoRegistry, "unknown", ""},
		"plain realm":       {Input{Address: elsewhere.address(), CA: elsewhere.pem(), Username: "u", Password: ptr(secret)}, NoRegistry, "unknown", ""},
		"huge":              {Input{Address: huge.address(), CA: huge.pem()}, NoRegistry, "unknown", ""},
		"a page":            {Input{Address: page.address(), CA: page.pem()}, NoRegistry, "unknown", ""},
		"open":              {Input{Address: open.address(), CA: open.pem()}, OK, "not-needed", "Distribution"},
		"plain HTTP":        {Input{Address: plain.address(), Insecure: true, Username: "u", Password: ptr(secret)}, OK, "accepted", ""},
		"plain not allowed": {Input{Address: plain.address(), Username: "u", Password: ptr(secret)}, Unreachable, "unknown", ""},
		"nobody there":      {Input{Address: "127.0.0.1:1"}, Unreachable, "unknown", ""},
		"no such name":      {Input{Address: "registry.invalid"}, Unknown, "unknown", ""},
	} {
		c.in.Name = name
		got, err := b.Try(t.Context(), 0, c.in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name == "no such name" && got.State != Unknown && got.State != Unreachable && got.State != Slow { // as the resolver of the machine is
			t.Errorf("%s: %+v", name, got)
			continue
		}
		if name != "no such name" && (got.State != c.state || got.Credentials != c.credentials || got.Product != c.product) {
			t.Errorf("%s: %+v", name, got)
		}
		if strings.Contains(got.Detail, secret) || len([]rune(got.Detail)) > maxDetail+3 {
			t.Errorf("%s: the detail is %q", name, got.Detail)
		}
		if (got.State == OK) != (got.Detail == "") {
			t.Errorf("%s: %s with the detail %q", name, got.State, got.Detail)
		}
	}
	for _, a := range append(redirecting.authorizations, plain.authorizations[:1]...) {
		if a != "" {
			t.Error("credentials were shown to who did not ask for them:", a)
		}
	}
}

// TestTrySlow ends when the registry says nothing.
func TestTrySlow(t *testing.T) {
	b := newBook(t, storetest.Open(t, "sqlite"), true)
	f := newFront(t, true, func(_ *front, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	got, err := b.Try(ctx, 0, Input{Name: "slow", Address: f.address(), CA: f.pem()})
	if err != nil || got.State != Slow {
		t.Errorf("%+v %v", got, err)
	}
}

// TestTryGuarded asks nobody on this machine unless that is allowed.
func TestTryGuarded(t *testing.T) {
	b := newBook(t, storetest.Open(t, "sqlite"), false)
	f := newFront(t, true, bearer)
	got := b.try(t.Context(), &row{Address: f.address(), Insecure: true}, secret) // as if its name had led here
	if got.State != Refused || got.Reachable || len(f.authorizations) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestCheck keeps what it saw, of the row as it was tried.
func TestCheck(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBook(t, db, true)
		f := newFront(t, true, bearer)
		r, err := b.Add(t.Context(), Input{Name: "main", Address: f.address(), CA: f.pem(), Username: "robot", Password: ptr(secret)})
		if err != nil {
			t.Fatal(err)
		}
		if c, err := b.Check(t.Context(), r.ID); err != nil || c.State != OK {
			t.Fatalf("%+v %v", c, err)
		}
		got, err := b.Get(t.Context(), r.ID)
		if err != nil || got.Check == nil || got.Check.State != OK || got.CheckedAt.IsZero() {
			t.Errorf("%+v %v", got, err)
		}
		// A try of an unsaved change uses the kept password only where it was meant for.
		if c, err := b.Try(t.Context(), r.ID, Input{Name: "main", Address: f.address(), CA: f.pem(), Username: "robot"}); err != nil || c.State != OK {
			t.Errorf("%+v %v", c, err)
		}
		if _, err := b.Try(t.Context(), r.ID, Input{Name: "main", Address: "registry.example.com", Username: "robot"}); err == nil {
			t.Error("the kept password went elsewhere")
		}
	})
}

// TestPlaces are used by who reads images: credentials, certificates and mirrors.
func TestPlaces(t *testing.T) {
	f := newFront(t, true, bearer)
	_, err := registry.Open(t.Context(), f.address()+"/shop/till:1", registry.Options{NoKeychain: true, Retries: -1,
		Places: []registry.Place{{Address: f.address(), CA: []byte(f.pem()), Username: "robot", Password: secret}}})
	if err == nil || !strings.Contains(fmt.Sprint(f.authorizations), "Bearer good") {
		t.Errorf("%v %v", err, f.authorizations)
	}
	f.authorizations = nil
	_, err = registry.Open(t.Context(), "registry.invalid/shop/till:1", registry.Options{NoKeychain: true, Retries: -1,
		Places: []registry.Place{{Address: f.address(), MirrorOf: "registry.invalid", CA: []byte(f.pem()), Username: "robot", Password: secret}}})
	if err == nil || !strings.Contains(fmt.Sprint(f.authorizations), "Bearer good") {
		t.Errorf("a mirror: %v %v", err, f.authorizations)
	}
}
