package intake

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	fake "github.com/google/go-containerregistry/pkg/registry"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/database/artifact"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

const (
	first  = "2026-08-21T00:00:00Z"
	second = "2026-08-22T00:00:00Z"
	token  = "correct-horse-battery"
)

// packed is a database as the file that stockade db push writes.
func packed(t *testing.T, builtAt string, key ed25519.PrivateKey) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "db.tar")
	if _, err := artifact.Push(t.Context(), built(t, builtAt, key), "oci-archive:"+file, artifact.Options{}); err != nil {
		t.Fatal(err)
	}
	return file
}

func built(t *testing.T, builtAt string, key ed25519.PrivateKey) string {
	t.Helper()
	dir := t.TempDir()
	b, err := database.NewBuilder(database.BuildOptions{Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	err = errors.Join(b.Row(advisory.Row{Feed: "f", Stream: "maven", Package: "p", IDs: []string{"CVE-2021-1000"}, Advisory: builtAt}),
		b.Vulnerability(advisory.Vulnerability{ID: "CVE-2021-1000", Feed: "nvd-json", Title: builtAt}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Finish(database.Output{Dir: dir, BuiltAt: builtAt, Key: key}); err != nil {
		t.Fatal(err)
	}
	return dir
}

type bench struct {
	*Service
	folder string
	now    atomic.Int64
	places []registry.Place
}

func newBench(t *testing.T, db *store.DB, change func(*Options)) *bench {
	t.Helper()
	b := &bench{folder: filepath.Join(t.TempDir(), "db")}
	b.now.Store(time.Date(2026, 8, 23, 0, 0, 0, 0, time.UTC).Unix())
	o := Options{DB: db, Folder: b.folder, Replica: "one", Allow: []string{"127.0.0.0/8"}, Stall: 2 * time.Second,
		Now:    func() time.Time { return time.Unix(b.now.Load(), 0).UTC() },
		Places: func(context.Context) ([]registry.Place, error) { return b.places, nil }}
	if change != nil {
		change(&o)
	}
	var err error
	if b.Service, err = New(o); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) in(t *testing.T) string {
	t.Helper()
	db, err := database.Open(b.folder, database.Options{})
	if err != nil {
		return ""
	}
	defer db.Close()
	return db.Info().BuiltAt
}

func (b *bench) importFile(t *testing.T, file string) (*Update, error) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return b.Import(t.Context(), f, -1)
}

// TestImport takes good files, and leaves what is there in place otherwise.
func TestImport(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	_, other, _ := ed25519.GenerateKey(nil)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, func(o *Options) { o.TrustedKeys = []ed25519.PublicKey{key.Public().(ed25519.PublicKey)} })
		u, err := b.importFile(t, packed(t, second, key))
		if err != nil || u.Result != "new" || u.BuiltAt != second || b.in(t) != second {
			t.Fatalf("%+v %v, now %q", u, err, b.in(t))
		}
		open, err := database.Open(b.folder, database.Options{}) // a scan that runs
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		bomb := filepath.Join(t.TempDir(), "bomb.tar")
		writeTar(t, bomb, "index.json", make([]byte, maxDocument+1))
		many := filepath.Join(t.TempDir(), "many.tar")
		writeTar(t, many, "", nil)
		short := filepath.Join(t.TempDir(), "short")
		if err := os.WriteFile(short, []byte("no database"), 0o600); err != nil {
			t.Fatal(err)
		}
		damaged := packed(t, "2026-08-25T00:00:00Z", key)
		text, _ := os.ReadFile(damaged)
		for i := range 64 { // inside the blobs
			text[len(text)/2+i] ^= 0xff
		}
		if err := os.WriteFile(damaged, text, 0o600); err != nil {
			t.Fatal(err)
		}
		for name, file := range map[string]string{"older": packed(t, first, key), "unsigned": packed(t, "2026-08-24T00:00:00Z", nil),
			"another key": packed(t, "2026-08-24T00:00:00Z", other), "large index": bomb, "many entries": many, "no database": short, "damaged": damaged} {
			u, err := b.importFile(t, file)
			if !errors.Is(err, ErrInvalid) || u != nil || b.in(t) != second {
				t.Errorf("%s: %+v %v, now %q", name, u, err, b.in(t))
			}
			if err != nil && strings.Contains(err.Error(), b.folder) {
				t.Errorf("%s tells a path: %v", name, err)
			}
		}
		if _, err := b.Import(t.Context(), strings.NewReader(""), 0); !errors.Is(err, ErrInvalid) {
			t.Error("an empty file:", err)
		}
		newest := "2026-08-26T00:00:00Z"
		if u, err = b.importFile(t, packed(t, newest, key)); err != nil || b.in(t) != newest {
			t.Fatalf("%+v %v", u, err)
		}
		if open.Info().BuiltAt != second || open.Verify(nil) != nil {
			t.Error("the database that a scan uses changed under it")
		}
		list, err := b.Updates(t.Context(), 100)
		if err != nil || len(list) != 9 || list[0].Result != "new" || list[1].Result != "failed" || list[1].Error == "" {
			t.Errorf("%+v %v", list, err)
		}
		left, _ := filepath.Glob(filepath.Join(b.folder, "*"))
		if len(left) > 3 { // match.db, the text files of the old and the new
			t.Error("left behind:", left)
		}
	})
}

func writeTar(t *testing.T, path, name string, data []byte) {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	put := func(name string, data []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o600, Format: tar.FormatPAX}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if name != "" {
		put(name, data)
	} else {
		for range maxEntries + 1 {
			put("blobs/x", nil)
		}
	}
	if err := errors.Join(w.Close(), os.WriteFile(path, out.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestImportRefused says why nothing can be brought.
func TestImportRefused(t *testing.T) {
	db := storetest.Open(t, "sqlite")
	none := newBench(t, db, func(o *Options) { o.Folder = "" })
	if f := none.Folder(); f.Writable || f.Reason != "none" {
		t.Errorf("%+v", f)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	closed := newBench(t, db, func(o *Options) { o.Folder, o.Given = filepath.Join(file, "db"), true })
	if f := closed.Folder(); f.Writable || f.Reason != "read-only" || !f.Given || strings.Contains(f.Detail, file) {
		t.Errorf("%+v", f)
	}
	for _, b := range []*bench{none, closed} {
		if _, err := b.Import(t.Context(), strings.NewReader("x"), 1); !errors.Is(err, ErrConflict) {
			t.Error(err)
		}
		if err := b.Pull(t.Context(), "registry.example.com/db:1"); !errors.Is(err, ErrConflict) {
			t.Error(err)
		}
	}
	b := newBench(t, db, nil)
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { _, err := b.Import(t.Context(), r, 100); done <- err }()
	if _, err := w.Write([]byte("begin")); err != nil {
		t.Fatal(err)
	}
	if busy := b.Busy(); busy == nil || busy.How != "import" || busy.Total != 100 {
		t.Errorf("%+v", busy)
	}
	if _, err := b.Import(t.Context(), strings.NewReader("x"), 1); !errors.Is(err, ErrConflict) {
		t.Error("two at once:", err)
	}
	_ = w.CloseWithError(errors.New("the client left"))
	if err := <-done; err == nil || b.Busy() != nil || b.in(t) != "" {
		t.Error(err, b.Busy())
	}
}

// shop is a registry that wants a token, behind a handler that tests change.
type shop struct {
	*httptest.Server
	before atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
	leaked atomic.Bool
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{}
	inner := fake.New(fake.Logger(log.New(io.Discard, "", 0)))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before := s.before.Load(); before != nil && (*before)(w, r) {
			return
		}
		if _, password, _ := r.BasicAuth(); password != token && r.Method == http.MethodGet {
			w.Header().Set("WWW-Authenticate", `Basic realm="shop"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *shop) host() string { return strings.TrimPrefix(s.URL, "http://") }

func (s *shop) push(t *testing.T, builtAt string) string {
	t.Helper()
	s.before.Store(nil)
	ref := s.host() + "/security/db:latest"
	_, err := artifact.Push(t.Context(), built(t, builtAt, nil), ref, artifact.Options{PlainHTTP: true,
		Credential: func(string) (string, string) { return "robot", token }})
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// await waits until nothing is on its way, and gives what became of the last.
func (b *bench) await(t *testing.T) Update {
	t.Helper()
	for b.Busy() != nil {
		time.Sleep(5 * time.Millisecond)
	}
	list, err := b.Updates(t.Context(), 1)
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	return list[0]
}

// TestPull uses what is kept of registries, and keeps the database when a registry is hostile.
func TestPull(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b, s := newBench(t, db, nil), newShop(t)
		ref := s.push(t, first)
		for _, bad := range []string{"oci:/etc", "oci-archive:/etc/passwd", "/etc/passwd", "db", "db:latest", "registry.example.com", "https://registry.example.com/db", "docker.io:0/x y", ""} {
			if err := b.Pull(t.Context(), bad); !errors.Is(err, ErrInvalid) {
				t.Errorf("%q: %v", bad, err)
			}
		}
		if err := b.Pull(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		if u := b.await(t); u.Result != "failed" || b.in(t) != "" { // plain HTTP is not allowed for it
			t.Errorf("%+v", u)
		}
		b.places = []registry.Place{{Address: s.host(), Insecure: true, Username: "robot", Password: token}}
		if err := b.Pull(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		if u := b.await(t); u.Result != "new" || u.Source != ref || u.Replica != "one" || b.in(t) != first {
			t.Fatalf("%+v", u)
		}
		if err := b.Pull(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		if u := b.await(t); u.Result != "same" {
			t.Errorf("%+v", u)
		}
		s.push(t, second)
		hostile := map[string]func(w http.ResponseWriter, r *http.Request) bool{
			"redirect to a refused address": func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusTemporaryRedirect)
				return true
			},
			"a manifest that does not end": func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/manifests/") {
					return false
				}
				for range 2000 {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						return true
					}
				}
				return true
			},
			"silence": func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "/blobs/") {
					w.Header().Set("Content-Length", "1000000")
					_, _ = w.Write([]byte("x"))
					if f, ok := w.(http.Flusher); ok {
						f.Flush()
					}
					<-r.Context().Done()
					return true
				}
				return false
			},
			"something else": func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write([]byte("<html>")); return true },
		}
		for name, h := range hostile {
			s.before.Store(&h)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if err := b.pull(ctx, "pull", ref); err != nil {
				t.Fatal(name, err)
			}
			cancel()
			if u := b.await(t); u.Result != "failed" || b.in(t) != first || strings.Contains(u.Error, token) || len([]rune(u.Error)) > 1003 {
				t.Errorf("%s: %+v, now %q", name, u, b.in(t))
			}
		}
	})
}

// TestMirror asks a mirror first.
func TestMirror(t *testing.T) {
	b, s := newBench(t, storetest.Open(t, "sqlite"), nil), newShop(t)
	s.push(t, first)
	b.places = []registry.Place{{Address: s.host(), MirrorOf: "registry.invalid", Insecure: true, Username: "robot", Password: token}}
	if err := b.Pull(t.Context(), "registry.invalid/security/db:latest"); err != nil {
		t.Fatal(err)
	}
	if u := b.await(t); u.Result != "new" || b.in(t) != first {
		t.Errorf("%+v", u)
	}
}

// TestSchedule pulls when it is time, and sooner again after a failure.
func TestSchedule(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b, s := newBench(t, db, nil), newShop(t)
		ref := s.push(t, first)
		b.places = []registry.Place{{Address: s.host(), Insecure: true, Username: "robot", Password: token}}
		if err := b.Tick(t.Context()); err != nil || b.in(t) != "" {
			t.Fatal("without a schedule:", err)
		}
		for _, bad := range []Source{{Every: 1}, {Reference: "oci:/etc", Every: 1}} {
			if err := b.SetSource(t.Context(), bad); !errors.Is(err, ErrInvalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		if err := b.SetSource(t.Context(), Source{Reference: ref, Every: 6}); err != nil {
			t.Fatal(err)
		}
		step := func(after time.Duration, want int) {
			t.Helper()
			b.now.Add(int64(after.Seconds()))
			if err := b.Tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			list, err := b.Updates(t.Context(), 100)
			if err != nil || len(list) != want {
				t.Fatalf("%d pulls, want %d: %v", len(list), want, err)
			}
		}
		step(0, 1)
		if b.in(t) != first {
			t.Error("nothing was pulled")
		}
		step(5*time.Hour, 1)
		step(time.Hour, 2) // the same again
		down := func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusNotFound); return true }
		s.before.Store(&down)
		step(6*time.Hour, 3)
		step(10*time.Minute, 3)
		step(5*time.Minute, 4)
		var said int
		if err := db.R.NewRaw("SELECT count(*) FROM audit WHERE action = 'advisories.pull'").Scan(t.Context(), &said); err != nil || said != 3 {
			t.Errorf("%d entries of the audit log, want 3 without that of the same: %v", said, err)
		}
	})
}
