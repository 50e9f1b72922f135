package stories

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"stockade.dev/stockade/e2e/lab"
)

// harbor is a registry in this process: repositories below private/ want a user and a password; blobs that were pulled are
// counted.
type harbor struct {
	*httptest.Server
	mu    sync.Mutex
	blobs map[string]int
}

const user, password = "puller", "pull-secret-4711"

func newHarbor(t *testing.T) *harbor {
	h := &harbor{blobs: map[string]int{}}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		known := u == user && p == password
		if !known && (strings.HasPrefix(r.URL.Path, "/v2/private/") || r.URL.Path == "/v2/" && r.Header.Get("Authorization") != "") {
			w.Header().Set("WWW-Authenticate", `Basic realm="harbor"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:") {
			h.mu.Lock()
			h.blobs[r.URL.Path[strings.LastIndex(r.URL.Path, "sha256:"):]]++
			h.mu.Unlock()
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *harbor) host() string { return strings.TrimPrefix(h.URL, "http://") }

// push pushes an image and returns its digest.
func (h *harbor) push(t *testing.T, repository string, img v1.Image) string {
	t.Helper()
	ref, err := name.ParseReference(h.host()+"/"+repository, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: user, Password: password})); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// layer makes a layer of files.
func layer(t *testing.T, files map[string]string) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range sortedNames(files) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func sortedNames(files map[string]string) []string {
	var names []string
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func image(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.Config(img, v1.Config{User: "65532", Cmd: []string{"/app/run"}})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// log4j is an archive that says what it is.
func log4j(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties")
	if err == nil {
		_, err = io.WriteString(w, "groupId=org.apache.logging.log4j\nartifactId=log4j-core\nversion=2.14.1\n")
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const osRelease = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n"

func dpkg(name, version, source string) string {
	s := "Package: " + name + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + version + "\n"
	if source != "" {
		s += "Source: " + source + "\n"
	}
	return s + "\n"
}

// buildDatabase makes an advisory database of two records.
func buildDatabase(t *testing.T) string {
	t.Helper()
	feeds, db := t.TempDir(), filepath.Join(t.TempDir(), "db")
	for file, text := range map[string]string{
		"debian/openssl.json": `{"schema_version":"1.4.0","id":"DSA-5764-1","modified":"2024-09-03T00:00:00Z","published":"2024-09-03T00:00:00Z","upstream":["CVE-2024-6119"],
			"affected":[{"package":{"ecosystem":"Debian:12","name":"openssl"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"3.0.14-1~deb12u2"}]}]}]}`,
		"ghsa/log4j.json": `{"schema_version":"1.4.0","id":"GHSA-jfh8-c2jp-5v3q","modified":"2024-06-25T00:00:00Z","aliases":["CVE-2021-44228"],"summary":"Remote code injection in Log4j",
			"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}],
			"affected":[{"package":{"ecosystem":"Maven","name":"org.apache.logging.log4j:log4j-core"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"2.13.0"},{"fixed":"2.15.0"}]}]}]}`,
	} {
		path := filepath.Join(feeds, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out := run(t, "/nonexistent", "db", "build", "--feeds", feeds, "-o", db); out.code != 0 {
		t.Fatalf("db build: code %d\n%s\n%s", out.code, out.stdout, out.stderr)
	}
	return db
}

// imageFindings is the part of the document that is about images.
type imageFindings struct {
	Findings []struct {
		Kind     string `json:"kind"`
		Rule     string `json:"rule"`
		Resource struct {
			Image, Digest, File string
			Workloads           []struct{ Kind, Namespace, Name, Container string }
		} `json:"resource"`
		Vulnerability *struct{ Package, Version, FixedVersion, Type string } `json:"vulnerability"`
	} `json:"findings"`
	NotScanned []struct{ Target, What, Reason, Code string } `json:"notScanned"`
	Stats      struct{ Images int }                          `json:"stats"`
}

// TestImages: a cluster runs images of a registry: findings reach their workloads, what fifty pods run is pulled once, the
// private image comes with its pull secret, and the one without is told.
func TestImages(t *testing.T) {
	h := newHarbor(t)
	base := layer(t, map[string]string{"etc/os-release": osRelease, "var/lib/dpkg/status": dpkg("libssl3", "3.0.13-1~deb12u1", "openssl") + dpkg("base-files", "12.4", "")})
	web := h.push(t, "shop/web:1.0", image(t, base, layer(t, map[string]string{"app/lib/log4j-core-2.14.1.jar": log4j(t)})))
	till := h.push(t, "private/till:2.0", image(t, base, layer(t, map[string]string{"app/.env": "DB_PASSWORD=correct-horse-9f3b21\n"})))
	h.push(t, "private/ledger:1.0", image(t, base, layer(t, map[string]string{"app/run": "#!/bin/sh\n"})))
	db := buildDatabase(t)

	cp := lab.ForTest(t, lab.Config{Version: lab.Newest})
	create := creator(t, cp)
	create(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "shop"}})
	auth, err := json.Marshal(map[string]any{"auths": map[string]any{h.host(): map[string]any{"username": user, "password": password}}})
	if err != nil {
		t.Fatal(err)
	}
	create(map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "metadata": map[string]any{"name": "harbor", "namespace": "shop"},
		"data": map[string]any{".dockerconfigjson": base64.StdEncoding.EncodeToString(auth)}})
	pod := func(name, image string, extra map[string]any) map[string]any {
		spec := map[string]any{"containers": []any{map[string]any{"name": "main", "image": image}}}
		for k, v := range extra {
			spec[k] = v
		}
		return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "namespace": "shop"}, "spec": spec}
	}
	for i := range 50 {
		create(pod(fmt.Sprintf("web-%02d", i), h.host()+"/shop/web:1.0", nil))
	}
	create(pod("till", h.host()+"/private/till:2.0", map[string]any{"imagePullSecrets": []any{map[string]any{"name": "harbor"}}}))
	create(pod("ledger", h.host()+"/private/ledger:1.0", nil))
	create(pod("gone", h.host()+"/shop/gone:1.0", nil))

	out := run(t, cp.Kubeconfig(), "scan", "cluster", "--db", db, "--cache-dir", t.TempDir(), "-o", "json")
	if out.code != 3 {
		t.Errorf("exit code %d, want 3: two images cannot be read\n%s", out.code, out.stderr)
	}
	if strings.Contains(out.stdout+out.stderr, password) || strings.Contains(out.stdout, "correct-horse-9f3b21") {
		t.Error("a secret is in the output")
	}
	var d imageFindings
	if err := json.Unmarshal([]byte(out.stdout), &d); err != nil {
		t.Fatalf("%v\n%s", err, out.stderr)
	}
	users := func(rule, digest string) int {
		for _, f := range d.Findings {
			if f.Rule == rule && f.Resource.Digest == digest && f.Kind != "emergency" {
				return len(f.Resource.Workloads)
			}
		}
		return -1
	}
	for _, tt := range []struct {
		rule, digest string
		workloads    int
	}{
		{"CVE-2021-44228", web, 50}, {"CVE-2024-6119", web, 50}, {"CVE-2024-6119", till, 1}, {"CVE-2021-44228", till, -1}, {"image/secret-in-file", till, 1},
	} {
		if n := users(tt.rule, tt.digest); n != tt.workloads {
			t.Errorf("%s in %s: %d workloads, want %d", tt.rule, tt.digest, n, tt.workloads)
		}
	}
	verified := 0
	for _, f := range d.Findings {
		if v := f.Vulnerability; v != nil && (f.Rule == "CVE-2021-44228") != (v.Type == "application" && v.FixedVersion == "2.15.0") {
			t.Errorf("%s: %+v", f.Rule, *v)
		}
		if f.Kind == "emergency" && f.Rule == "CVE-2021-44228" && f.Resource.Digest == web {
			verified++
		}
	}
	if verified != 1 {
		t.Errorf("Log4Shell was verified %d times", verified)
	}
	reasons := map[string]string{}
	for _, n := range d.NotScanned {
		if n.What == "image" {
			reasons[strings.TrimPrefix(n.Target, h.host()+"/")] = n.Code
		}
	}
	if len(reasons) != 2 || reasons["private/ledger:1.0"] != "forbidden" || reasons["shop/gone:1.0"] == "" {
		t.Errorf("not scanned: %v", reasons)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for digest, n := range h.blobs {
		if n > 1 {
			t.Errorf("blob %s was pulled %d times", digest, n)
		}
	}
	if d.Stats.Images != 2 {
		t.Errorf("%d images", d.Stats.Images)
	}
	if out := run(t, cp.Kubeconfig(), "scan", "cluster", "--db", db, "--no-images", "-o", "json"); strings.Contains(out.stdout, "CVE-2021-44228") || !strings.Contains(out.stdout, "left out by --no-images") {
		t.Errorf("--no-images: code %d", out.code)
	}
}
