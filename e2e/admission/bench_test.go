package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/admission"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// The sizes of what is looked at; with -short a tenth of it.
const (
	livePods      = 10_000
	liveWorkloads = 500
	recorded      = 100_000
)

func sized(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// BenchmarkPreview asks a server, which runs as a program, for previews of a real API server's objects and for replays. Its figures are
// the table that it prints: go run ./bench -part protection writes them down.
func BenchmarkPreview(b *testing.B) {
	cp := lab.ForTest(b, lab.Config{Version: lab.Newest})
	s := &asked{b: b, program: program(b), kubeconfig: cp.Kubeconfig()}
	fmt.Printf("\n| database | question | objects or admissions | violating | runs | fastest s | median s | slowest s | server's CPU s |\n|---|---|---:|---:|---:|---:|---:|---:|---:|\n")
	filled := false
	for _, kind := range []string{"sqlite", "postgres"} {
		s.data, s.database = b.TempDir(), ""
		if kind == "postgres" {
			s.database = storetest.Postgres(b)
		}
		s.start()
		s.signUp()
		s.stop()
		if !filled { // after the cluster was added: scanning it is measured elsewhere
			s.fill(sized(livePods), liveWorkloads)
			filled = true
		}
		s.record(sized(recorded), 2000)
		s.start()
		s.quiet()
		policy := s.thirty()
		say := func(what string, runs int, body map[string]any, count func(a *answer) (n, bad int)) {
			var took []time.Duration
			var a answer
			before := s.spent()
			for range runs {
				a = answer{}
				began := time.Now()
				s.call("POST", "/policies/preview", body, &a)
				took = append(took, time.Since(began))
			}
			spent := (s.spent() - before) / time.Duration(runs)
			n, bad := count(&a)
			if n == 0 || bad == 0 {
				b.Errorf("%s: %d of %d: %+v", what, bad, n, a)
			}
			slices.Sort(took)
			fmt.Printf("| %s | %s | %d | %d | %d | %.2f | **%.2f** | %.2f | %.1f |\n", kind, what, n, bad, runs, took[0].Seconds(), took[runs/2].Seconds(), took[runs-1].Seconds(), spent.Seconds())
		}
		live := func(a *answer) (int, int) { return a.Live.Objects, a.Live.Violating }
		replay := func(a *answer) (int, int) { return a.Replay.Admissions, a.Replay.Blocked }
		body := func(p map[string]any, live bool, days int) map[string]any {
			return map[string]any{"policy": p, "targets": []int64{s.target}, "live": live, "replayDays": days}
		}
		say("preview", 5, body(policy, true, 0), live)
		say("replay", 3, body(policy, false, 7), replay)
		s.stop()
	}
}

// answer is what a preview says, as far as it is looked at.
type answer struct {
	Live struct {
		Objects, Violating int
		Clusters           []struct {
			Millis  int64
			Partial []string
			Error   string
		}
	}
	Replay struct {
		Admissions, Blocked, Unread int
		Partial                     []string
	}
}

// asked is a server that runs as a program.
type asked struct {
	b                                   *testing.B
	program, kubeconfig, data, database string
	address, token                      string
	log                                 *lines
	target                              int64
	cmd                                 *exec.Cmd
	end                                 context.CancelFunc
	client                              http.Client
}

func program(b *testing.B) string {
	b.Helper()
	if p := os.Getenv("STOCKADE_PROGRAM"); p != "" {
		return p
	}
	p := filepath.Join(b.TempDir(), "stockade")
	if out, err := exec.Command("go", "build", "-o", p, "stockade.dev/stockade/cmd/stockade").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return p
}

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs the server until it answers.
func (s *asked) start() {
	s.b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.b.Fatal(err)
	}
	s.address = l.Addr().String()
	_ = l.Close()
	ctx, end := context.WithCancel(context.Background())
	args := []string{"server", "--data", s.data, "--listen", s.address, "--debug-listen", "", "--allow-local-clusters", "--register-kubeconfig", s.kubeconfig, "--register-name", "measured",
		"--cache-dir", filepath.Join(s.data, "cache")}
	if s.database != "" {
		args = append(args, "--database", s.database)
	}
	s.log = &lines{}
	s.cmd, s.end = exec.CommandContext(ctx, s.program, args...), end
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(os.Interrupt) }
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.Env = append(os.Environ(), "LANG=C", "HOME="+s.data)
	if err := s.cmd.Start(); err != nil {
		s.b.Fatal(err)
	}
	s.b.Cleanup(s.stop)
	s.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // this process started it
	lab.Eventually(s.b, "the server answers", func() error {
		res, err := s.client.Get("https://" + s.address + "/readyz") //nolint:noctx // a benchmark
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s\n%s", res.Status, s.log)
		}
		return nil
	})
}

func (s *asked) stop() {
	if s.cmd != nil {
		s.end()
		_ = s.cmd.Wait() // it was asked to end
		s.cmd = nil
	}
}

// signUp makes the administrator and a token, and waits until the cluster is there and was scanned while it is empty.
func (s *asked) signUp() {
	s.b.Helper()
	s.token = ""
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.b.Fatal(err)
	}
	s.client.Jar = jar
	var link []string
	lab.Eventually(s.b, "the server prints its set-up link", func() error {
		if link = regexp.MustCompile(`set it up:\s+https://\S+[?#/=]([A-Za-z0-9_-]{16,})\s`).FindStringSubmatch(s.log.String()); link == nil {
			return fmt.Errorf("not in: %s", s.log)
		}
		return nil
	})
	s.call("POST", "/setup", m{"token": link[1], "name": "root", "password": "a fence keeps the cows in"}, &struct{}{})
	var made struct{ Token string }
	s.call("POST", "/tokens", m{"name": "measured"}, &made)
	s.client.Jar = nil
	s.token = made.Token
	lab.Eventually(s.b, "the cluster is added", func() error {
		var list struct{ Items []struct{ ID, State string } }
		s.call("GET", "/clusters", nil, &list)
		if len(list.Items) != 1 || list.Items[0].State != "connected" {
			return fmt.Errorf("%+v", list)
		}
		s.target, _ = strconv.ParseInt(list.Items[0].ID, 10, 64)
		return nil
	})
	s.quiet()
}

// quiet waits until the server has nothing to do.
func (s *asked) quiet() {
	s.b.Helper()
	for end := time.Now().Add(3 * time.Minute); ; {
		before := s.spent()
		time.Sleep(3 * time.Second)
		if spent := s.spent() - before; spent < 300*time.Millisecond {
			return
		} else if time.Now().After(end) {
			s.b.Logf("the server is busy all the time: %s of CPU in three seconds", spent)
			return
		}
	}
}

// spent is the processor time of the server so far.
func (s *asked) spent() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if err != nil || len(f) < 14 {
		s.b.Fatal(err, string(stat))
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// call asks the server for something that has to go well.
func (s *asked) call(method, path string, in, out any) {
	s.b.Helper()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			s.b.Fatal(err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(s.b.Context(), method, "https://"+s.address+"/api/v1"+path, body)
	if err != nil {
		s.b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.b.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		s.b.Fatalf("%s %s: %s %s %v", method, path, res.Status, text, err)
	}
	if err := json.Unmarshal(text, out); err != nil {
		s.b.Fatal(err)
	}
}

// thirty is a policy of the thirty gravest rules about pods, and a check of images.
func (s *asked) thirty() map[string]any {
	s.b.Helper()
	var list struct {
		Items []struct {
			Rule, Severity, Type string
			Kinds                []string
		}
	}
	s.call("GET", "/policy-rules", nil, &list)
	var uses []any
	for _, severity := range []string{"critical", "high", "medium"} {
		for _, r := range list.Items {
			if r.Severity == severity && r.Type != "image" && slices.Contains(r.Kinds, "Pod") && len(uses) < 30 {
				uses = append(uses, m{"rule": r.Rule})
			}
		}
	}
	return m{"name": "measured", "action": "block", "rules": uses, "checks": []any{m{"check": "vulnerability", "severity": "critical"}}}
}

// podSpec is what the pods of a workload are; one workload in ten does something that it should not.
func podSpec(w int) m {
	env := []any{}
	for i := range 20 {
		env = append(env, m{"name": fmt.Sprint("SETTING_", i), "value": fmt.Sprint("value of the setting ", i, " of workload ", w)})
	}
	secure := m{"allowPrivilegeEscalation": false, "capabilities": m{"drop": []any{"ALL"}}, "runAsNonRoot": true, "privileged": w%10 == 0}
	if w%10 == 0 {
		secure["allowPrivilegeEscalation"] = true
	}
	container := m{"name": "web", "image": fmt.Sprintf("registry.example.com/team%d/app%d:1.%d", w%50, w, w%7), "env": env, "ports": []any{m{"containerPort": 8080}}, "securityContext": secure,
		"resources": m{"limits": m{"cpu": "500m", "memory": "256Mi"}, "requests": m{"cpu": "100m", "memory": "128Mi"}}, "livenessProbe": m{"httpGet": m{"path": "/", "port": 8080}}}
	proxy := m{"name": "proxy", "image": "registry.example.com/mesh/proxy:1", "securityContext": m{"runAsNonRoot": true, "allowPrivilegeEscalation": false}}
	return m{"containers": []any{container, proxy}, "automountServiceAccountToken": w%2 == 0, "volumes": []any{m{"name": "data", "emptyDir": m{}}}}
}

func owned(kind, name, uid string) []any {
	return []any{m{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true}}
}

// fill makes the pods of Deployments, without anybody who would make them.
func (s *asked) fill(pods, workloads int) {
	s.b.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig)
	if err != nil {
		s.b.Fatal(err)
	}
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		s.b.Fatal(err)
	}
	all := func(n int, apiVersion, resource string, of func(i int) m) {
		s.b.Helper()
		gv, err := schema.ParseGroupVersion(apiVersion)
		if err != nil {
			s.b.Fatal(err)
		}
		var next atomic.Int64
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for {
					i := int(next.Add(1)) - 1
					if i >= n {
						return
					}
					text, err := json.Marshal(of(i))
					u := &unstructured.Unstructured{}
					if err == nil {
						err = u.UnmarshalJSON(text)
					}
					if err == nil {
						_, err = client.Resource(gv.WithResource(resource)).Namespace(u.GetNamespace()).Create(context.Background(), u, metav1.CreateOptions{})
					}
					if err != nil {
						s.b.Errorf("%s: %v", text, err)
						return
					}
				}
			})
		}
		group.Wait()
		if s.b.Failed() {
			s.b.FailNow()
		}
	}
	space := func(w int) string { return fmt.Sprint("team", w%50) }
	labels := func(w int) m { return m{"app": fmt.Sprint("app", w)} }
	template := func(w int) m { return m{"metadata": m{"labels": labels(w)}, "spec": podSpec(w)} }
	all(50, "v1", "namespaces", func(i int) m { return m{"apiVersion": "v1", "kind": "Namespace", "metadata": m{"name": space(i)}} })
	all(workloads, "apps/v1", "deployments", func(w int) m {
		return m{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": m{"name": fmt.Sprint("app", w), "namespace": space(w)},
			"spec": m{"replicas": pods / workloads, "selector": m{"matchLabels": labels(w)}, "template": template(w)}}
	})
	all(workloads, "apps/v1", "replicasets", func(w int) m {
		return m{"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": m{"name": fmt.Sprintf("app%d-6d4f5b7c9", w), "namespace": space(w), "ownerReferences": owned("Deployment", fmt.Sprint("app", w), fmt.Sprint("d", w))},
			"spec": m{"replicas": pods / workloads, "selector": m{"matchLabels": labels(w)}, "template": template(w)}}
	})
	all(pods, "v1", "pods", func(i int) m {
		w := i % workloads
		return m{"apiVersion": "v1", "kind": "Pod", "metadata": m{"name": fmt.Sprintf("app%d-6d4f5b7c9-%05d", w, i), "namespace": space(w), "labels": labels(w),
			"ownerReferences": owned("ReplicaSet", fmt.Sprintf("app%d-6d4f5b7c9", w), fmt.Sprint("rs", w))}, "spec": podSpec(w)}
	})
}

// record puts admissions into the server's database while it is stopped, as if providers had sent them over the last days.
func (s *asked) record(n, workloads int) {
	s.b.Helper()
	o := store.Options{Dir: s.data, URL: s.database}
	db, err := store.Open(context.Background(), o)
	if err != nil {
		s.b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rooms := admission.New(admission.Options{DB: db})
	began := time.Now().Add(-6 * 24 * time.Hour)
	texts := map[int]json.RawMessage{}
	for i := 0; i < n; i += 500 {
		batch := protocol.Batch{ID: fmt.Sprint("recorded ", i), Replica: "a"}
		for j := i; j < i+500; j++ {
			w := j * 7 % workloads
			if texts[w] == nil {
				texts[w], err = json.Marshal(m{"apiVersion": "v1", "kind": "Pod", "metadata": m{"generateName": fmt.Sprintf("app%d-6d4f5b7c9-", w), "namespace": fmt.Sprint("team", w%50),
					"labels": m{"app": fmt.Sprint("app", w), "pod-template-hash": "6d4f5b7c9"}, "ownerReferences": owned("ReplicaSet", fmt.Sprintf("app%d-6d4f5b7c9", w), fmt.Sprint("rs", w))}, "spec": podSpec(w)})
				if err != nil {
					s.b.Fatal(err)
				}
			}
			batch.Admissions = append(batch.Admissions, protocol.Admission{At: began.Add(time.Duration(j) * 5 * time.Second), UID: fmt.Sprintf("%08d-0000-4000-8000-%012d", w, j), APIVersion: "v1", Kind: "Pod",
				Namespace: fmt.Sprint("team", w%50), Name: fmt.Sprintf("app%d-6d4f5b7c9-%05d", w, j), OwnerKind: "Deployment", OwnerName: fmt.Sprint("app", w), Operation: "CREATE",
				User: "system:serviceaccount:kube-system:replicaset-controller", Outcome: "allowed", Object: texts[w]})
		}
		if err := rooms.Take(context.Background(), s.target, batch); err != nil {
			s.b.Fatal(err)
		}
	}
}
