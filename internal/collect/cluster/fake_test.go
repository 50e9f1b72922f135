package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// fake is an API server over TLS that serves a few kinds, page by page, and misbehaves where a test says so.
type fake struct {
	*httptest.Server
	t          testing.TB
	aggregated bool
	version    string
	objects    map[string][]string // path of the list -> items as JSON
	kinds      map[string]string   // path of the list -> kind
	fault      func(w http.ResponseWriter, r *http.Request, n int) bool

	mu       sync.Mutex
	requests map[string]int // by path
	log      []string       // method, path and query of every request
	agent    string
}

func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{t: t, version: "v1.34.4", aggregated: true, requests: map[string]int{}, objects: map[string][]string{}, kinds: map[string]string{}}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	f.Server.Config.ErrorLog = log.New(discard{}, "", 0)
	f.Server.EnableHTTP2 = true
	f.StartTLS()
	t.Cleanup(f.Close)
	return f
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// add serves objects under a list path such as /apis/apps/v1/deployments.
func (f *fake) add(path, kind string, items ...string) {
	f.objects[path] = append(f.objects[path], items...)
	f.kinds[path] = kind
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests[r.URL.Path]++
	n := f.requests[r.URL.Path]
	f.log = append(f.log, r.Method+" "+r.URL.RequestURI())
	f.agent = r.UserAgent()
	f.mu.Unlock()
	if f.fault != nil && f.fault(w, r, n) {
		return
	}
	switch path := r.URL.Path; {
	case path == "/version":
		f.json(w, map[string]any{"gitVersion": f.version, "major": "1", "minor": strings.Split(f.version, ".")[1] + "+"})
	case path == "/api" || path == "/apis":
		f.discovery(w, path == "/api")
	case f.kinds[path] != "":
		f.page(w, r)
	default:
		if list := f.resources(strings.Trim(path, "/")); len(list) > 0 {
			f.json(w, map[string]any{"kind": "APIResourceList", "resources": list})
			return
		}
		f.status(w, 404, "NotFound", "the server could not find the requested resource")
	}
}

func (f *fake) json(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		f.t.Logf("fake: %v", err)
	}
}

func (f *fake) status(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	f.json(w, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message})
}

// groupVersions maps "api/v1" and "apis/apps/v1" to the resources there.
func (f *fake) groupVersions() map[string][]string {
	out := map[string][]string{}
	for path := range f.kinds {
		i := strings.LastIndexByte(path, '/')
		out[strings.Trim(path[:i], "/")] = append(out[strings.Trim(path[:i], "/")], path[i+1:])
	}
	return out
}

func (f *fake) resources(gv string) (list []any) {
	for _, r := range f.groupVersions()[gv] {
		list = append(list, map[string]any{"name": r, "verbs": []string{"get", "list", "watch"}})
	}
	return list
}

func (f *fake) discovery(w http.ResponseWriter, core bool) {
	byGroup := map[string]map[string][]string{}
	for gv, resources := range f.groupVersions() {
		parts := strings.Split(gv, "/")
		group := ""
		if parts[0] == "apis" {
			group = parts[1]
		}
		if (group == "") != core {
			continue
		}
		if byGroup[group] == nil {
			byGroup[group] = map[string][]string{}
		}
		byGroup[group][parts[len(parts)-1]] = resources
	}
	if !f.aggregated {
		if core {
			f.json(w, map[string]any{"kind": "APIVersions", "versions": []string{"v1"}})
			return
		}
		var list []any
		for g, versions := range byGroup {
			var vs []any
			for v := range versions {
				vs = append(vs, map[string]any{"groupVersion": g + "/" + v, "version": v})
			}
			list = append(list, map[string]any{"name": g, "versions": vs})
		}
		f.json(w, map[string]any{"kind": "APIGroupList", "groups": list})
		return
	}
	var items []any
	for g, versions := range byGroup {
		var vs []any
		for v, resources := range versions {
			var rs []any
			for _, r := range resources {
				rs = append(rs, map[string]any{"resource": r, "scope": "Namespaced", "verbs": []string{"list"}})
			}
			vs = append(vs, map[string]any{"version": v, "freshness": "Current", "resources": rs})
		}
		items = append(items, map[string]any{"metadata": map[string]any{"name": g}, "versions": vs})
	}
	f.json(w, map[string]any{"kind": "APIGroupDiscoveryList", "items": items})
}

// page serves a list in pages of at most 10, whatever the client asks for.
func (f *fake) page(w http.ResponseWriter, r *http.Request) {
	items := f.objects[r.URL.Path]
	from := 0
	if token := r.URL.Query().Get("continue"); token != "" {
		if _, err := fmt.Sscanf(token, "from-%d", &from); err != nil {
			f.status(w, 400, "BadRequest", "continue token")
			return
		}
	}
	to, next := min(from+10, len(items)), ""
	if to < len(items) {
		next = fmt.Sprintf("from-%d", to)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"kind":"%sList","apiVersion":"v1","metadata":{"resourceVersion":"1","continue":%q},"items":[%s]}`,
		f.kinds[r.URL.Path], next, strings.Join(items[from:to], ","))
}

func (f *fake) seen(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[path]
}

// kubeconfig writes a kubeconfig for the server and returns its path.
func (f *fake) kubeconfig() string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	return writeKubeconfig(f.t, f.URL, string(ca))
}

func writeKubeconfig(t testing.TB, server, ca string) string {
	t.Helper()
	dir := t.TempDir()
	caFile := ""
	if ca != "" {
		if err := os.WriteFile(filepath.Join(dir, "ca.crt"), []byte(ca), 0o600); err != nil {
			t.Fatal(err)
		}
		caFile = "certificate-authority: ca.crt"
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: test
clusters: [{name: c, cluster: {server: %q, %s}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: test, context: {cluster: c, user: u}}, {name: other, context: {cluster: c, user: u}}]
`, server, caFile)
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// config is one that does not wait long.
func (f *fake) config() Config {
	return Config{Kubeconfig: f.kubeconfig(), QPS: 1000, Burst: 1000, Attempts: 3}
}

// impatient is for servers that say nothing. What does answer may have a busy machine.
func impatient(c *Config) { c.Stall = 3 * time.Second }

func item(name string, more string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q,"namespace":"a","uid":"uid-%s","managedFields":[{"manager":"x"}]}%s}`, name, name, more)
}

func items(prefix string, n int) (out []string) {
	for i := range n {
		out = append(out, item(fmt.Sprintf("%s-%03d", prefix, i), ""))
	}
	return out
}

// result is what a stream gave.
type result struct {
	objects    []*inventory.Object
	notScanned []finding.NotScanned
	err        error
	info       inventory.ClusterInfo
}

func (r *result) count(kind string) (n int) {
	for _, o := range r.objects {
		if o.Kind == kind {
			n++
		}
	}
	return n
}

// told returns the entries about what, as "code: reason" lines.
func (r *result) told(what string) string {
	var out []string
	for _, n := range r.notScanned {
		if strings.HasPrefix(n.What, what) {
			out = append(out, n.What+": "+string(n.Code)+": "+n.Reason)
		}
	}
	return strings.Join(out, "\n")
}

func stream(t testing.TB, cfg Config) *result {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r := &result{}
	r.err = s.Stream(ctx, func(o *inventory.Object) error {
		r.objects = append(r.objects, o)
		return nil
	}, func(n finding.NotScanned) { r.notScanned = append(r.notScanned, n) })
	r.info = s.Info()
	return r
}

func mustDecode(t testing.TB, text string) map[string]any {
	t.Helper()
	m, err := decode.NewDecoder().Object([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// anotherCertificate is that of an authority which has signed nothing here.
var anotherCertificate = func() []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another"}, IsCA: true,
		BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return der
}()
