package artifact

import (
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
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/database"
)

const (
	first  = "2026-08-21T00:00:00Z"
	second = "2026-08-22T00:00:00Z"
)

// made builds a database in a new folder.
func made(t *testing.T, builtAt string, key ed25519.PrivateKey) string {
	t.Helper()
	dir := t.TempDir()
	b, err := database.NewBuilder(database.BuildOptions{Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for i := range 3000 {
		id := "CVE-2021-" + string(rune('1'+i%9)) + strings.Repeat("0", 3) + string(rune('0'+i/9%10))
		name := "p" + strings.Repeat("x", i%50) + builtAt
		if err := b.Row(advisory.Row{Feed: "f", Stream: "maven", Package: name, IDs: []string{id}, Advisory: id + builtAt}); err != nil {
			t.Fatal(err)
		}
		if err := b.Vulnerability(advisory.Vulnerability{ID: id, Feed: "nvd-json", Title: "title of " + id + builtAt}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Finish(database.Output{Dir: dir, BuiltAt: builtAt, Key: key, Emergencies: []byte(`[{"id":"ETCD-ANON","builtAt":"` + builtAt + `"}]`)}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// server is a registry behind a handler that tests change.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	before func(w http.ResponseWriter, r *http.Request, next http.Handler) // nil: passed on
	ranges []string                                                        // Range headers of requests for blobs
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	reg := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		before := s.before
		if strings.Contains(r.URL.Path, "/blobs/") && r.Method == http.MethodGet {
			s.ranges = append(s.ranges, r.Header.Get("Range"))
		}
		s.mu.Unlock()
		if strings.Contains(r.URL.Path, "/blobs/") {
			w.Header().Set("Accept-Ranges", "bytes")
		}
		if before != nil {
			before(w, r, reg)
			return
		}
		reg.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) set(f func(http.ResponseWriter, *http.Request, http.Handler)) {
	s.mu.Lock()
	s.before, s.ranges = f, nil
	s.mu.Unlock()
}

func (s *server) ref() string { return strings.TrimPrefix(s.URL, "http://") + "/stockade/db:daily" }

var plain = Options{PlainHTTP: true}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "docker-config-")
	if err != nil {
		panic(err)
	}
	os.Setenv("DOCKER_CONFIG", dir) // nobody's credentials
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// builtAtOf opens a database wholly and says which one it is.
func builtAtOf(t *testing.T, dir string) string {
	t.Helper()
	db, err := database.Open(dir, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Verify(nil); err != nil {
		t.Fatal(err)
	}
	m := db.Info()
	if v, ok := db.Vulnerability("CVE-2021-10000"); !ok || v.Title != "title of CVE-2021-10000"+m.BuiltAt {
		t.Fatalf("%+v", v)
	}
	return m.BuiltAt
}

func TestPushPull(t *testing.T) {
	ctx := t.Context()
	_, key, _ := ed25519.GenerateKey(nil)
	src := made(t, first, key)
	s := newServer(t)
	tmp := t.TempDir()
	refs := map[string]string{"registry": s.ref(), "folder": "oci:" + filepath.Join(tmp, "layout") + ":v1", "tar": "oci-archive:" + filepath.Join(tmp, "db.tar")}
	digests := map[string]bool{}
	for name, ref := range refs {
		d, err := Push(ctx, src, ref, plain)
		if err != nil {
			t.Fatal(name, err)
		}
		digests[d] = true
		if again, err := Push(ctx, filepath.Join(src, "match.db"), ref, plain); err != nil || again != d {
			t.Errorf("%s: a second push gives %s, %v", name, again, err)
		}
		dir := t.TempDir()
		trusted := Options{PlainHTTP: true, TrustedKeys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}}
		res, err := Pull(ctx, ref, dir, trusted)
		if err != nil || res.Digest != d || res.Same {
			t.Fatalf("%s: %+v %v", name, res, err)
		}
		if builtAtOf(t, dir) != first {
			t.Errorf("%s: another database", name)
		}
		if res, err = Pull(ctx, ref, dir, trusted); err != nil || !res.Same {
			t.Errorf("%s: a second pull: %+v %v", name, res, err)
		}
	}
	if len(digests) != 1 {
		t.Errorf("one database, several digests: %v", digests)
	}
	for _, path := range []string{filepath.Join(tmp, "layout"), filepath.Join(tmp, "db.tar"), src, filepath.Join(src, "match.db")} {
		dir := t.TempDir()
		if _, err := Import(ctx, path, dir, Options{}); err != nil || builtAtOf(t, dir) != first {
			t.Errorf("import %s: %v", path, err)
		}
	}
	dir := t.TempDir()
	mirror := Options{PlainHTTP: true, Mirrors: []string{"registry.example.com/=" + strings.TrimPrefix(s.URL, "http://") + "/", "other=nowhere.example.com"}}
	if _, err := Pull(ctx, "registry.example.com/stockade/db:daily", dir, mirror); err != nil {
		t.Error("through a mirror:", err)
	}
}

// TestRefusals brings what must not replace the database in place.
func TestRefusals(t *testing.T) {
	ctx := t.Context()
	pub, key, _ := ed25519.GenerateKey(nil)
	_, foreign, _ := ed25519.GenerateKey(nil)
	s := newServer(t)
	dir := made(t, second, key)
	trusted := Options{PlainHTTP: true, TrustedKeys: []ed25519.PublicKey{pub}}
	refuse := func(what string, src string, want error, o Options) {
		t.Helper()
		if _, err := Push(ctx, src, s.ref(), plain); err != nil {
			t.Fatal(err)
		}
		for _, f := range []func() error{
			func() error { _, err := Pull(ctx, s.ref(), dir, o); return err },
			func() error { _, err := Import(ctx, src, dir, o); return err },
		} {
			if err := f(); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		if builtAtOf(t, dir) != second {
			t.Errorf("%s: the database was replaced", what)
		}
	}
	refuse("unsigned", made(t, second, nil), database.ErrUnsigned, trusted)
	refuse("another's", made(t, second, foreign), database.ErrUntrusted, trusted)
	refuse("older", made(t, first, key), database.ErrOlder, trusted)
	trusted.Force = true
	if _, err := Pull(ctx, s.ref(), dir, trusted); err != nil || builtAtOf(t, dir) != first {
		t.Error("forced:", err)
	}
	for _, junk := range []string{"", "x", strings.Repeat("junk ", 1000)} {
		path := filepath.Join(t.TempDir(), "junk")
		if err := os.WriteFile(path, []byte(junk), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Import(ctx, path, dir, Options{}); err == nil {
			t.Errorf("import of %.10q", junk)
		}
	}
}

// TestTampered changes what the registry gives: layers, and whole artifacts whose digests agree again.
func TestTampered(t *testing.T) {
	ctx := t.Context()
	pub, key, _ := ed25519.GenerateKey(nil)
	s := newServer(t)
	src, dir := made(t, second, key), made(t, first, key)
	if _, err := Push(ctx, src, s.ref(), plain); err != nil {
		t.Fatal(err)
	}
	trusted := Options{PlainHTTP: true, TrustedKeys: []ed25519.PublicKey{pub}}
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		if strings.Contains(r.URL.Path, "/blobs/") && len(body) > 0 {
			body = bytes.Clone(body)
			body[len(body)/2] ^= 1
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		w.Write(body)
	})
	if _, err := Pull(ctx, s.ref(), dir, trusted); err == nil {
		t.Error("changed layers were taken")
	}
	s.set(nil)

	// Somebody builds an artifact of the signed manifest and other content.
	evil := made(t, "2026-08-22T00:00:01Z", nil)
	to, err := openTarget(ctx, s.ref(), plain)
	if err != nil {
		t.Fatal(err)
	}
	good, err := database.Open(src, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	raw, sig := good.Raw()
	put := func(mediaType string, data []byte) ocispec.Descriptor {
		d := content.NewDescriptorFromBytes(mediaType, data)
		if there, _ := to.Exists(ctx, d); !there {
			if err := to.Push(ctx, d, bytes.NewReader(data)); err != nil {
				t.Fatal(err)
			}
		}
		return d
	}
	m := good.Info()
	for foreign, of := range m.FileNames() { // each of the files in turn is not the one that was signed
		layers := []ocispec.Descriptor{put(TypeManifest, raw), put(TypeSignature, sig)}
		other, err := database.Open(evil, database.Options{})
		if err != nil {
			t.Fatal(err)
		}
		theirs := other.Info()
		other.Close()
		for i, name := range m.FileNames() {
			path := filepath.Join(src, name)
			if i == foreign {
				path = filepath.Join(evil, theirs.FileNames()[i])
			}
			packed, d, err := pack(path, typeOf(&m, name))
			if err != nil {
				t.Fatal(err)
			}
			data, _ := os.ReadFile(packed)
			os.Remove(packed)
			layers = append(layers, put(d.MediaType, data))
		}
		desc, err := oras.PackManifest(ctx, to, oras.PackManifestVersion1_1, TypeArtifact, oras.PackManifestOptions{Layers: layers})
		if err != nil {
			t.Fatal(err)
		}
		if err := to.Tag(ctx, desc, "daily"); err != nil {
			t.Fatal(err)
		}
		for _, o := range []Options{trusted, plain} {
			_, err := Pull(ctx, s.ref(), dir, o)
			if err == nil && foreign == 0 {
				t.Error("other content under a signed manifest was taken")
			}
			if err == nil {
				db, err := database.Open(dir, database.Options{})
				if err != nil || db.Verify(nil) == nil {
					t.Errorf("%s of somebody else was taken: %v", of, err)
				}
				db.Close()
			}
		}
	}
	if builtAtOf(t, dir) != first {
		t.Error("the database was replaced")
	}
	if entries, _ := filepath.Glob(filepath.Join(dir, ".stockade-db-*")); len(entries) > 0 {
		t.Errorf("left over: %v", entries)
	}
}

// TestInterrupted cuts every connection after a few bytes: the old database works, and each further attempt goes on where the
// last one ended.
func TestInterrupted(t *testing.T) {
	s := newServer(t)
	src, dir := made(t, second, nil), made(t, first, nil)
	if _, err := Push(t.Context(), src, s.ref(), plain); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cuts := 0
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		cut := strings.Contains(r.URL.Path, "/blobs/") && r.Method == http.MethodGet && rec.Body.Len() > 4000
		if cut {
			if cuts++; cuts == 2 { // before anything is sent: the rest could be asked for, and come whole, in the meantime
				cancel()
			}
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		if cut {
			w.Write(rec.Body.Bytes()[:2000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Write(rec.Body.Bytes())
	})
	if _, err := Pull(ctx, s.ref(), dir, plain); err == nil {
		t.Fatal("the pull was cut")
	}
	if builtAtOf(t, dir) != first {
		t.Error("the old database is gone")
	}
	s.set(nil)
	if _, err := Pull(t.Context(), s.ref(), dir, plain); err != nil {
		t.Fatal(err)
	}
	if builtAtOf(t, dir) != second {
		t.Error("the new database is not in place")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	resumed := false
	for _, r := range s.ranges {
		resumed = resumed || strings.HasPrefix(r, "bytes=")
	}
	if !resumed {
		t.Errorf("everything was asked for again: %q", s.ranges)
	}
	if exists, _ := filepath.Glob(filepath.Join(dir, partsFolder)); len(exists) > 0 {
		t.Error("parts are left over")
	}
}

// TestTamperedTar changes bytes all over a tar file: it is refused, or what changed was padding and the database is right.
func TestTamperedTar(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.tar")
	if _, err := Push(t.Context(), made(t, second, nil), "oci-archive:"+path, Options{}); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := made(t, first, nil)
	refused := 0
	for i := 0; i < len(good); i += len(good)/100 + 1 {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Import(t.Context(), path, dir, Options{Force: true}); err != nil {
			refused++
		}
		builtAtOf(t, dir) // reads and checks all of it
	}
	if refused < 30 {
		t.Errorf("only %d of 100 changes were refused", refused)
	}
	for _, n := range []int{0, 1, 511, 513, len(good) / 2, len(good) - 2000} {
		if err := os.WriteFile(path, good[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Import(t.Context(), path, t.TempDir(), Options{}); err == nil && n < len(good)/2+1 {
			t.Errorf("cut at %d: no error", n)
		}
	}
}

// TestTwoAtOnce lets one of two pulls into a folder wait for another time.
func TestTwoAtOnce(t *testing.T) {
	layout := "oci:" + filepath.Join(t.TempDir(), "l")
	if _, err := Push(t.Context(), made(t, second, nil), layout, Options{}); err != nil {
		t.Fatal(err)
	}
	dir := made(t, first, nil)
	unlock, err := lock(filepath.Join(dir, partsFolder))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Pull(t.Context(), layout, dir, Options{}); err == nil || !strings.Contains(err.Error(), "another pull") {
		t.Error(err)
	}
	unlock()
	if _, err := Pull(t.Context(), layout, dir, Options{}); err != nil || builtAtOf(t, dir) != second {
		t.Error(err)
	}
}

// TestStall gives up on a registry that says nothing any more.
func TestStall(t *testing.T) {
	s := newServer(t)
	dir := made(t, first, nil)
	if _, err := Push(t.Context(), made(t, second, nil), s.ref(), plain); err != nil {
		t.Fatal(err)
	}
	s.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		if strings.Contains(r.URL.Path, "/blobs/") && rec.Body.Len() > 1500 {
			w.Write(rec.Body.Bytes()[:100])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		w.Write(rec.Body.Bytes())
	})
	o := plain
	o.Stall = 50 * time.Millisecond
	if _, err := Pull(t.Context(), s.ref(), dir, o); err == nil || !strings.Contains(err.Error(), "said nothing for 50ms") {
		t.Errorf("%v", err)
	}
	if builtAtOf(t, dir) != first {
		t.Error("the old database is gone")
	}
}

// TestUnreachable names the reference and leaves the old database.
func TestUnreachable(t *testing.T) {
	s := newServer(t)
	dir := made(t, first, nil)
	if _, err := Pull(t.Context(), s.ref(), dir, plain); err == nil || !strings.Contains(err.Error(), s.ref()) {
		t.Error(err)
	}
	if _, err := Pull(t.Context(), "not a reference", dir, plain); err == nil {
		t.Error("no error")
	}
	if _, err := Pull(t.Context(), "oci:"+dir, dir, plain); err == nil {
		t.Error("no layout there")
	}
	if builtAtOf(t, dir) != first {
		t.Error("the old database is gone")
	}
}

// FuzzManifest reads artifacts' manifests.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"artifactType":"application/vnd.stockade.db.v1","layers":[{"mediaType":"application/vnd.stockade.db.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		layers, err := parseArtifact(data)
		for _, l := range layers {
			if err == nil && strings.ContainsAny(l.Digest.Encoded(), `/\.`) {
				t.Errorf("a digest that leads elsewhere: %q", l.Digest)
			}
		}
	})
}
