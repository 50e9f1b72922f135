package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

const (
	podsPath = "/api/v1/pods"
	depsPath = "/apis/apps/v1/deployments"
)

// small fills a fake with the kinds that most tests use.
func small(t testing.TB) *fake {
	f := newFake(t)
	f.add("/api/v1/namespaces", "Namespace", `{"metadata":{"name":"a","uid":"ns-a"}}`)
	f.add(podsPath, "Pod", items("p", 25)...)
	f.add(depsPath, "Deployment", items("d", 3)...)
	f.add("/api/v1/secrets", "Secret", item("s", `,"type":"Opaque","data":{"password":"aGlkZGVu"}`),
		`{"metadata":{"name":"s2","namespace":"a","uid":"s2","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"aGlkZGVu"}},"data":{"k":"aGlkZGVu"}}`)
	f.add("/apis/unknown.example.com/v1/things", "Thing", item("t", ""))
	return f
}

func TestStream(t *testing.T) {
	for _, aggregated := range []bool{true, false} {
		t.Run(fmt.Sprintf("aggregated=%v", aggregated), func(t *testing.T) {
			f := small(t)
			f.aggregated = aggregated
			cfg := f.config()
			cfg.UserAgent = "stockade/test"
			r := stream(t, cfg)
			if r.err != nil || len(r.notScanned) != 0 {
				t.Fatal(r.err, r.notScanned)
			}
			if r.count("Pod") != 25 || r.count("Deployment") != 3 || r.count("Secret") != 2 || r.count("Thing") != 0 || len(r.objects) != 31 {
				t.Fatalf("%d objects", len(r.objects))
			}
			last := -1
			for _, o := range r.objects {
				rank := collect.Rank(o.Ref().GroupKind())
				if rank < last {
					t.Fatalf("%s comes too late", o.Kind)
				}
				last = rank
				if inventory.Map(o.Content, "metadata")["managedFields"] != nil {
					t.Fatal("managedFields were kept")
				}
			}
			if o := r.objects[len(r.objects)-1]; o.APIVersion != "v1" || o.Kind != "Pod" || o.Name != "p-024" || o.Origin.File != "" {
				t.Errorf("%+v", o)
			}
			if r.info.Name != "test" || r.info.Version != "v1.34.4" || f.agent != "stockade/test" {
				t.Errorf("%+v, user agent %q", r.info, f.agent)
			}
			for _, line := range f.log {
				if strings.HasPrefix(line, "GET "+podsPath) && !strings.Contains(line, "continue") && !strings.Contains(line, "resourceVersion=0") {
					t.Errorf("not from the watch cache: %s", line)
				}
				if !strings.HasPrefix(line, "GET ") {
					t.Errorf("not read-only: %s", line)
				}
			}
		})
	}
}

// TestOldServers: before 1.27 the watch cache lists in random order, so lists come in pages from the store.
func TestOldServers(t *testing.T) {
	f := small(t)
	f.version = "v1.19.16"
	if r := stream(t, f.config()); r.err != nil || r.count("Pod") != 25 {
		t.Fatal(r.err)
	}
	for _, line := range f.log {
		if strings.Contains(line, "resourceVersion=0") || strings.HasPrefix(line, "GET "+podsPath) && !strings.Contains(line, "limit=500") {
			t.Error(line)
		}
	}
}

func TestSecretValues(t *testing.T) {
	f := small(t)
	text := func(cfg Config) string {
		var b strings.Builder
		for _, o := range stream(t, cfg).objects {
			if o.Kind == "Secret" {
				fmt.Fprintln(&b, o.Content)
			}
		}
		return b.String()
	}
	if got := text(f.config()); strings.Contains(got, "aGlkZGVu") || !strings.Contains(got, "password:") {
		t.Errorf("values were kept, or keys lost: %s", got)
	}
	cfg := f.config()
	cfg.SecretValues = true
	if got := text(cfg); strings.Count(got, "aGlkZGVu") != 3 {
		t.Errorf("values were not kept: %s", got)
	}
}

func cutOff(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Length", "100000")
	fmt.Fprint(w, text)
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// TestMisbehaviour runs the stream against servers that fail in one kind: it is healed or told, and all else is read.
func TestMisbehaviour(t *testing.T) {
	page := `{"kind":"PodList","apiVersion":"v1","metadata":{"continue":"from-10"},"items":[` + strings.Join(items("p", 10), ",")
	large := item("large", `,"spec":{"x":"`+strings.Repeat("y", 3<<20)+`"}`)
	tests := map[string]struct {
		fault  func(f *fake, w http.ResponseWriter, r *http.Request, n int) bool // for requests to pods
		config func(*Config)
		pods   int
		told   string // about pods; "" for nothing
		code   finding.Code
	}{
		"cut once in the middle": {pods: 25, fault: func(_ *fake, w http.ResponseWriter, _ *http.Request, n int) bool {
			if n == 1 {
				cutOff(w, page[:len(page)-200])
			}
			return false
		}},
		"cut for ever": {pods: 9, told: "pods after the first 9: ", code: finding.Unreachable,
			fault: func(_ *fake, w http.ResponseWriter, _ *http.Request, n int) bool {
				cutOff(w, page[:len(page)-20])
				return true
			}},
		"429 then well": {pods: 25, fault: func(f *fake, w http.ResponseWriter, _ *http.Request, n int) bool {
			if n == 1 {
				w.Header().Set("Retry-After", "0")
				f.status(w, 429, "TooManyRequests", "please slow down")
			}
			return n == 1
		}},
		"503 for ever": {told: "the server answers 503 Service Unavailable: down", code: finding.Unreachable,
			fault: func(f *fake, w http.ResponseWriter, _ *http.Request, _ int) bool {
				f.status(w, 503, "ServiceUnavailable", "down")
				return true
			}},
		"410 in the second page": {pods: 25, fault: func(f *fake, w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 2 {
				f.status(w, 410, "Expired", "The provided continue parameter is too old")
			}
			return n == 2
		}},
		"410 for ever": {pods: 10, told: "410", code: finding.Unreachable, fault: func(f *fake, w http.ResponseWriter, r *http.Request, n int) bool {
			if r.URL.Query().Get("continue") == "" {
				return false
			}
			f.status(w, 410, "Expired", "too old")
			return true
		}},
		"forbidden": {told: `403 Forbidden: no; grant {apiGroups: [""], resources: ["pods"], verbs: ["get", "list"]}`, code: finding.Forbidden,
			fault: func(f *fake, w http.ResponseWriter, _ *http.Request, _ int) bool {
				f.status(w, 403, "Forbidden", "no")
				return true
			}},
		"credentials expire": {told: "401 Unauthorized: Unauthorized; the credentials are not accepted", code: finding.Forbidden,
			fault: func(f *fake, w http.ResponseWriter, _ *http.Request, _ int) bool {
				f.status(w, 401, "Unauthorized", "Unauthorized")
				return true
			}},
		"stall before the answer": {config: impatient, told: "the server did not answer within 3s", code: finding.Unreachable,
			fault: func(_ *fake, w http.ResponseWriter, r *http.Request, _ int) bool {
				<-r.Context().Done()
				return true
			}},
		"stall in the middle": {config: impatient, pods: 5, told: "the server stopped sending: nothing for 3s after", code: finding.Unreachable,
			fault: func(_ *fake, w http.ResponseWriter, r *http.Request, _ int) bool {
				fmt.Fprint(w, `{"kind":"PodList","items":[`+strings.Join(items("p", 5), ",")+`,`)
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return true
			}},
		"slow but alive": {config: func(c *Config) { c.Stall = 2 * time.Second }, pods: 8, fault: func(_ *fake, w http.ResponseWriter, _ *http.Request, _ int) bool {
			fmt.Fprint(w, `{"kind":"PodList","items":[`)
			for i, it := range items("p", 8) {
				if i > 0 {
					fmt.Fprint(w, ",")
				}
				fmt.Fprint(w, it)
				w.(http.Flusher).Flush()
				time.Sleep(300 * time.Millisecond)
			}
			fmt.Fprint(w, `]}`)
			return true
		}},
		"html": {told: `the answer is an HTML page: it begins "<html>`, code: finding.Broken,
			fault: func(_ *fake, w http.ResponseWriter, _ *http.Request, _ int) bool {
				fmt.Fprint(w, "<html><body>Sign in</body></html>")
				return true
			}},
		"html error": {told: "502 Bad Gateway with an HTML page", code: finding.Unreachable,
			fault: func(_ *fake, w http.ResponseWriter, _ *http.Request, _ int) bool {
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(502)
				fmt.Fprint(w, "<html>bad gateway</html>")
				return true
			}},
		"garbage": {pods: 1, told: "not valid JSON after item 1", code: finding.Broken,
			fault: func(_ *fake, w http.ResponseWriter, _ *http.Request, _ int) bool {
				fmt.Fprint(w, `{"kind":"PodList","items":[{"metadata":{"name":"x"}},!!!`)
				return true
			}},
		"other JSON": {told: "the answer is JSON but no list", code: finding.Broken,
			fault: func(_ *fake, w http.ResponseWriter, _ *http.Request, _ int) bool {
				fmt.Fprint(w, `{"error":"log in"}`)
				return true
			}},
		"one broken item": {pods: 2, told: "", fault: func(_ *fake, w http.ResponseWriter, _ *http.Request, _ int) bool {
			fmt.Fprint(w, `{"kind":"PodList","items":[`+item("a", "")+`,{"metadata":{"name":01}},`+item("b", "")+`]}`)
			return true
		}},
		"large objects": {pods: 3, config: func(c *Config) { c.MaxObject = 4 << 20 }, fault: func(_ *fake, w http.ResponseWriter, _ *http.Request, _ int) bool {
			fmt.Fprint(w, `{"kind":"PodList","items":[`+item("a", "")+`,`+large+`,`+item("b", "")+`]}`)
			return true
		}},
		"too large an object": {pods: 2, config: func(c *Config) { c.MaxObject = 2 << 20 }, fault: func(_ *fake, w http.ResponseWriter, _ *http.Request, _ int) bool {
			fmt.Fprint(w, `{"kind":"PodList","items":[`+item("a", "")+`,`+large+`,`+item("b", "")+`]}`)
			return true
		}},
		"same page for ever": {pods: 10, told: "the same page again and again", code: finding.Unreachable,
			fault: func(_ *fake, w http.ResponseWriter, _ *http.Request, _ int) bool {
				fmt.Fprint(w, page+`]}`)
				return true
			}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := small(t)
			f.fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
				return r.URL.Path == podsPath && tt.fault(f, w, r, n)
			}
			cfg := f.config()
			if tt.config != nil {
				tt.config(&cfg)
			}
			r := stream(t, cfg)
			if r.err != nil {
				t.Fatal(r.err)
			}
			if r.count("Pod") != tt.pods {
				t.Errorf("%d pods, want %d", r.count("Pod"), tt.pods)
			}
			if r.count("Deployment") != 3 || r.count("Secret") != 2 || r.count("Namespace") != 1 {
				t.Errorf("other kinds are missing: %d objects", len(r.objects))
			}
			names := map[string]bool{}
			for _, o := range r.objects {
				if names[o.Kind+o.Name] {
					t.Errorf("%s %s twice", o.Kind, o.Name)
				}
				names[o.Kind+o.Name] = true
			}
			got := r.told("pods")
			if tt.told == "" && got != "" || !strings.Contains(got, tt.told) || !strings.Contains(got, string(tt.code)+": ") && tt.code != "" {
				t.Errorf("told %q, want %s %q", got, tt.code, tt.told)
			}
			if (r.info.Unread["Pod"] != "") != (tt.told != "") {
				t.Errorf("unread: %v", r.info.Unread)
			}
			switch name {
			case "one broken item":
				if got := r.told("an object of pods"); !strings.Contains(got, "broken: item 1: not valid JSON") {
					t.Errorf("told %q", got)
				}
			case "too large an object":
				if got := r.told("an object of pods"); !strings.Contains(got, "limit: an object of more than 2 MiB") {
					t.Errorf("told %q", got)
				}
			}
		})
	}
}

func TestNothingCanBeRead(t *testing.T) {
	f := small(t)
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if f.kinds[r.URL.Path] != "" {
			f.status(w, 403, "Forbidden", "not yours")
			return true
		}
		return false
	}
	r := stream(t, f.config())
	var fe *fault.Error
	if !errors.As(r.err, &fe) || fe.Kind != fault.Input || !strings.Contains(fe.Hint, "deploy/rbac") {
		t.Errorf("%v", r.err)
	}
	if len(r.info.Unread) != 4 {
		t.Errorf("%v", r.info.Unread)
	}
}

func TestDiscoveryForbidden(t *testing.T) {
	f := small(t)
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		switch r.URL.Path {
		case "/api", "/apis", "/api/v1", "/apis/apps/v1":
			f.status(w, 403, "Forbidden", "no discovery")
			return true
		}
		return false
	}
	r := stream(t, f.config())
	if r.err != nil || r.count("Pod") != 25 || r.count("Deployment") != 3 {
		t.Errorf("%v, %d objects", r.err, len(r.objects))
	}
	if got := r.told("API discovery"); strings.Count(got, "forbidden") != 2 || len(r.notScanned) != 2 {
		t.Errorf("%v", r.notScanned)
	}
}

func TestStaleGroup(t *testing.T) {
	f := small(t)
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path != "/apis" {
			return false
		}
		fmt.Fprint(w, `{"kind":"APIGroupDiscoveryList","items":[{"metadata":{"name":"route.openshift.io"},"versions":[{"version":"v1","freshness":"Stale"}]}]}`)
		return true
	}
	r := stream(t, f.config())
	if got := r.told("routes.route.openshift.io"); !strings.Contains(got, "does not answer") || r.count("Pod") != 25 {
		t.Errorf("%v", r.notScanned)
	}
}

func TestNamespaces(t *testing.T) {
	f := newFake(t)
	f.add("/api/v1/namespaces", "Namespace", `{"metadata":{"name":"b"}}`)
	f.add(podsPath, "Pod", items("other", 3)...)
	f.add("/api/v1/nodes", "Node", item("n", ""))
	f.add("/api/v1/namespaces/a/pods", "Pod", items("p", 12)...)
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path == "/api/v1/namespaces/a" {
			fmt.Fprint(w, `{"metadata":{"name":"a"}}`)
			return true
		}
		return false
	}
	cfg := f.config()
	cfg.Namespaces = []string{"a"}
	r := stream(t, cfg)
	if r.err != nil || r.count("Pod") != 12 || r.count("Namespace") != 1 || r.count("Node") != 0 {
		t.Errorf("%v, %d objects", r.err, len(r.objects))
	}
	if got := r.told("nodes"); !strings.Contains(got, "skipped: only the namespaces a are read") || r.info.Unread["Node"] == "" {
		t.Errorf("%v", r.notScanned)
	}
}

func TestEmitEndsStream(t *testing.T) {
	f := small(t)
	s, err := Open(f.config())
	if err != nil {
		t.Fatal(err)
	}
	stop, n := errors.New("enough"), 0
	err = s.Stream(context.Background(), func(*inventory.Object) error {
		if n++; n == 3 {
			return stop
		}
		return nil
	}, func(finding.NotScanned) {})
	if !errors.Is(err, stop) || n != 3 {
		t.Errorf("%v after %d", err, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = s.Stream(ctx, func(*inventory.Object) error { cancel(); return nil }, func(finding.NotScanned) {})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestBoundedMemory reads 100 ConfigMaps of 1 MiB with a slow reader: only what the budget allows may be in memory.
func TestBoundedMemory(t *testing.T) {
	f := newFake(t)
	f.add("/api/v1/configmaps", "ConfigMap")
	value := strings.Repeat("v", 1<<20)
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path != "/api/v1/configmaps" {
			return false
		}
		fmt.Fprint(w, `{"kind":"ConfigMapList","items":[`)
		for i := range 100 {
			if i > 0 {
				fmt.Fprint(w, ",")
			}
			fmt.Fprintf(w, `{"metadata":{"name":"c%d","uid":"c%d"},"data":{"k":%q}}`, i, i, value)
		}
		fmt.Fprint(w, `]}`)
		return true
	}
	s, err := Open(f.config())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var peak uint64
	err = s.Stream(context.Background(), func(o *inventory.Object) error {
		if n++; n%20 == 0 {
			time.Sleep(50 * time.Millisecond) // let the reader run ahead as far as it may
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
		return nil
	}, func(finding.NotScanned) {})
	if err != nil || n != 100 {
		t.Fatal(err, n)
	}
	if peak > 64<<20 {
		t.Errorf("%d MiB in use", peak>>20)
	}
}
