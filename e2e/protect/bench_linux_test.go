package protect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"stockade.dev/stockade/e2e/lab"
)

// BenchmarkNode measures on a whole cluster how soon a change holds, and what protection costs those who create pods. Its figures are
// the tables that it prints: go run ./bench -part protection writes them down.
func BenchmarkNode(b *testing.B) {
	if !possible(b) {
		return
	}
	s := open(b)
	s.MustApply(b, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
	lab.Eventually(b, "the namespace has its account", func() error { return s.hasAccount("shop") })
	s.must("protect", "enable", "shop", "--yes", "--provider-image", providerImage, "--server-address", "https://"+serverAddress)
	m := &meter{shop: s}
	m.keep(nil, weak)
	b.Run("effect", func(b *testing.B) { s.t = b; m.effect() })
	b.Run("create", func(b *testing.B) { s.t = b; m.create() })
	s.t = b
}

// meter asks the API server for pods.
type meter struct {
	*shop
	client *http.Client
}

// weak is the check that the vulnerable image fails.
var weak = map[string]any{"check": "vulnerability", "severity": "critical", "cves": []string{weakness}}

// keep makes the one policy or changes it, and returns when it is in force.
func (m *meter) keep(rules []string, checks ...any) {
	m.t.Helper()
	uses := []any{}
	for _, r := range rules {
		uses = append(uses, map[string]any{"rule": r})
	}
	p := map[string]any{"name": "measured", "action": "block", "rules": uses, "checks": checks}
	if m.policy == "" {
		var made struct{ ID string }
		m.call("POST", "/policies", p, &made)
		m.policy = made.ID
	} else {
		m.call("PUT", "/policies/"+m.policy, p, nil)
	}
	m.settles()
}

// settles waits until what the server wants is in force, and all of it has been there for a moment.
func (m *meter) settles() {
	m.t.Helper()
	began := time.Now()
	for {
		p := m.protection()
		if p.State == "protected" && p.Generation == p.WantedGeneration {
			break
		}
		if time.Since(began) > 3*time.Minute {
			m.t.Fatalf("the protection is %+v", p)
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(2 * time.Second) // for Gatekeeper's pods, each by itself
}

// asks sends one pod as a dry run.
func (m *meter) asks(pod []byte) (status int, said string, err error) {
	if m.client == nil {
		if m.client, err = rest.HTTPClientFor(rest.CopyConfig(m.Config)); err != nil {
			return 0, "", err
		}
	}
	res, err := m.client.Post(m.Config.Host+"/api/v1/namespaces/shop/pods?dryRun=All", "application/json", bytes.NewReader(pod)) //nolint:noctx // a benchmark
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// careful is a pod of two containers with nothing against it.
func careful(images ...string) []byte {
	containers := []any{}
	for i, image := range images {
		probe := map[string]any{"httpGet": map[string]any{"path": "/healthz", "port": 8080}}
		containers = append(containers, map[string]any{"name": fmt.Sprint("c", i), "image": image, "imagePullPolicy": "Always", "livenessProbe": probe, "readinessProbe": probe,
			"resources": map[string]any{"limits": map[string]any{"cpu": "1", "memory": "64Mi", "ephemeral-storage": "64Mi"}, "requests": map[string]any{"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "64Mi"}},
			"ports":     []any{map[string]any{"containerPort": 8080}}, "env": []any{map[string]any{"name": "A", "value": "b"}},
			"securityContext": map[string]any{"runAsNonRoot": true, "runAsUser": 10001, "runAsGroup": 10001, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false, "privileged": false,
				"capabilities": map[string]any{"drop": []any{"ALL"}}, "seccompProfile": map[string]any{"type": "RuntimeDefault"}}})
	}
	out, _ := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"generateName": "web-", "labels": map[string]any{"app": "web", "app.kubernetes.io/name": "web"}},
		"spec": map[string]any{"automountServiceAccountToken": false, "containers": containers, "hostUsers": true, "securityContext": map[string]any{"runAsNonRoot": true}}}) // maps of strings
	return out
}

// turns waits until a pod is let in or not, and returns how long that took since a moment.
func (m *meter) turns(pod []byte, in bool, since time.Time) time.Duration {
	m.t.Helper()
	for {
		status, said, err := m.asks(pod)
		if err != nil {
			m.t.Fatal(err)
		}
		if in && status == http.StatusCreated || !in && status == http.StatusForbidden && strings.Contains(said, weakness) {
			return time.Since(since)
		}
		if time.Since(since) > 2*time.Minute {
			m.t.Fatalf("after two minutes the answer is still %d %s", status, said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// effect measures from a request to change something until the API server decides by it.
func (m *meter) effect() {
	m.t.Helper()
	const runs = 5
	bad := careful(vulnerable)
	m.turns(bad, false, time.Now())
	fmt.Printf("\n| change | runs | fastest s | median s | slowest s |\n|---|---:|---:|---:|---:|\n")
	say := func(what string, took []time.Duration) {
		slices.Sort(took)
		fmt.Printf("| %s | %d | %.2f | %.2f | %.2f |\n", what, len(took), took[0].Seconds(), took[len(took)/2].Seconds(), took[len(took)-1].Seconds())
	}
	var out, back []time.Duration
	both := func(n int, let, hold func()) {
		m.t.Helper()
		out, back = nil, nil
		for range n {
			since := time.Now()
			let()
			out = append(out, m.turns(bad, true, since))
			since = time.Now()
			hold()
			back = append(back, m.turns(bad, false, since))
		}
	}
	change := func(checks ...any) {
		m.call("PUT", "/policies/"+m.policy, map[string]any{"name": "measured", "action": "block", "checks": checks}, nil)
	}
	both(runs, func() { change(map[string]any{"check": "vulnerability", "severity": "critical"}) }, func() { change(weak) })
	say("a policy asks for less: let in", out)
	say("a policy asks for more: refused", back)

	settings := map[string]any{}
	m.call("GET", "/exceptions/settings", nil, &settings)
	settings["selfApproval"] = true
	m.call("PUT", "/exceptions/settings", settings, nil)
	var made struct {
		ID       string
		Revision int
	}
	both(runs, func() {
		m.call("POST", "/exceptions", map[string]any{"scope": map[string]any{"cve": weakness}, "reason": "measured", "category": "risk-accepted",
			"expires": time.Now().AddDate(0, 0, 30).Format(time.DateOnly)}, &made)
		m.call("POST", "/exceptions/"+made.ID+"/approve", map[string]any{"revision": made.Revision}, nil)
	}, func() { m.call("POST", "/exceptions/"+made.ID+"/cancel", map[string]any{}, nil) })
	say("an exception is approved: let in", out)
	say("an exception ends: refused", back)

	const each = 3
	var without, with []string
	for i := range each { // each newer than the one before
		at := time.Now().Add(time.Duration(2*i+1) * time.Hour)
		without = append(without, m.database("../../testdata/feeds/photon.tar.zst", at))
		with = append(with, m.database("../../testdata/feeds/go.tar.zst", at.Add(time.Hour)))
	}
	next := func(list []string) func() {
		i := 0
		return func() { m.bring(list[i]); i++ }
	}
	both(each, next(without), next(with))
	say("an advisory database without the vulnerability comes: let in", out)
	say("an advisory database with the vulnerability comes: refused", back)
}

// database builds a database of feeds and returns the file that a server takes.
func (m *meter) database(feeds string, at time.Time) string {
	m.t.Helper()
	dir := m.t.TempDir()
	db, file := filepath.Join(dir, "db"), filepath.Join(dir, "db.tar")
	for _, args := range [][]string{{"db", "build", "--feeds", feeds, "-o", db, "--built-at", at.UTC().Format(time.RFC3339)}, {"db", "push", "oci-archive:" + file, "--db", db}} {
		cmd := exec.Command(stockade, args...)
		if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() != 3 { // 3: some documents were refused
			m.t.Fatalf("stockade %v: %v\n%s", args, err, out)
		}
	}
	return file
}

// bring gives the server a database.
func (m *meter) bring(file string) {
	m.t.Helper()
	body, err := os.Open(file)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, "https://"+serverAddress+"/api/v1/advisories/import", body)
	if err != nil {
		m.t.Fatal(err)
	}
	if info, err := body.Stat(); err == nil {
		req.ContentLength = info.Size()
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Authorization", "Bearer "+m.token)
	res, err := m.http.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if text, _ := io.ReadAll(res.Body); res.StatusCode >= 300 {
		m.t.Fatalf("the database is not taken: %s %s", res.Status, text)
	}
}

// loads are how many at a time, requests of a run, and runs.
var loads = []struct{ at, requests, runs int }{{1, 200, 5}, {8, 800, 3}}

// newTags is how many requests of a load name an image as nobody has named it before.
const newTags = 200

// figures are of one state of the cluster under one load.
type figures struct {
	p50, p90, p99 time.Duration
	rate          float64
	spent         map[string]time.Duration // processor time of a request
}

// create measures the same pods in the states of the cluster, the one without webhooks last.
func (m *meter) create() {
	m.t.Helper()
	pod := careful(fixed, fixed)
	one := func(int) []byte { return pod }
	rules := m.rules(pod)
	var rows []string
	results := map[string][]figures{}
	measure := func(state string, body func(int) []byte, most int) {
		m.t.Helper()
		for range 50 { // caches of both sides
			m.one(body(-1))
		}
		for _, l := range loads {
			n, runs := l.requests, l.runs
			if most > 0 {
				n, runs = most, 1
			}
			results[state] = append(results[state], m.load(l.at, n, runs, body))
		}
		rows = append(rows, state)
	}
	m.keep(rules, weak)
	measure("30 rules and the image check", one, 0)
	tags := m.tags(newTags * len(loads))
	next := atomic.Int64{}
	measure("30 rules and the image check, a tag that is new each time", func(i int) []byte {
		if i < 0 {
			return pod
		}
		return careful(tags[next.Add(1)-1], fixed)
	}, newTags)
	m.keep(rules)
	measure("30 rules", one, 0)
	m.must("protect", "disable", "shop", "--yes", "--keep-plugins")
	m.becomes("unprotected")
	from := m.library(30)
	measure("Gatekeeper with 30 templates in Rego", one, 0)
	for _, kind := range []string{"validating", "mutating"} {
		for _, name := range m.hooks(kind) {
			m.api(http.MethodDelete, "/apis/admissionregistration.k8s.io/v1/"+kind+"webhookconfigurations/"+name, nil, nil)
		}
	}
	measure("no webhooks", one, 0)
	m.table(rows, results, from)
}

// table prints what was measured; added is against the last row.
func (m *meter) table(rows []string, results map[string][]figures, from string) {
	base := results[rows[len(rows)-1]]
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for i, l := range loads {
		fmt.Printf("\n%d at a time:\n\n| the cluster has | p50 ms | p90 ms | p99 ms | added p50 ms | added p99 ms | requests a second | CPU ms of a request: API server | Gatekeeper | provider |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n", l.at)
		for _, row := range rows {
			f := results[row][i]
			fmt.Printf("| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.0f | %.2f | %.2f | %.2f |\n", row, ms(f.p50), ms(f.p90), ms(f.p99), ms(f.p50-base[i].p50), ms(f.p99-base[i].p99), f.rate,
				ms(f.spent["kube-apiserver"]), ms(f.spent["gatekeeper"]), ms(f.spent["provider"]))
		}
	}
	d, err := m.Kube.AppsV1().Deployments(lab.GatekeeperNamespace).Get(m.t.Context(), "gatekeeper-controller-manager", metav1.GetOptions{})
	if err != nil {
		m.t.Fatal(err)
	}
	fmt.Printf("\nGatekeeper's webhook had %d replicas in all states. %s\n", *d.Spec.Replicas, from)
}

// one sends one pod that has to be let in.
func (m *meter) one(pod []byte) {
	if status, said, err := m.asks(pod); err != nil || status != http.StatusCreated {
		m.t.Errorf("%d %s %v", status, said, err)
	}
}

// load sends pods, some at a time, in several runs; of each figure the median of the runs counts.
func (m *meter) load(at, n, runs int, body func(int) []byte) figures {
	m.t.Helper()
	var all []figures
	for range runs {
		took := make([]time.Duration, n)
		before, began := spent(), time.Now()
		var next atomic.Int64
		var group sync.WaitGroup
		for range at {
			group.Go(func() {
				for {
					i := int(next.Add(1)) - 1
					if i >= n {
						return
					}
					pod := body(i)
					since := time.Now()
					m.one(pod)
					took[i] = time.Since(since)
				}
			})
		}
		group.Wait()
		wall, after := time.Since(began), spent()
		slices.Sort(took)
		f := figures{p50: took[n/2], p90: took[n*9/10], p99: took[n*99/100], rate: float64(n) / wall.Seconds(), spent: map[string]time.Duration{}}
		for what, d := range after {
			f.spent[what] = (d - before[what]) / time.Duration(n)
		}
		all = append(all, f)
	}
	if m.t.Failed() {
		m.t.FailNow()
	}
	median := func(of func(f figures) float64) float64 {
		var list []float64
		for _, f := range all {
			list = append(list, of(f))
		}
		slices.Sort(list)
		return list[len(list)/2]
	}
	out := figures{rate: median(func(f figures) float64 { return f.rate }), spent: map[string]time.Duration{}}
	for to, of := range map[*time.Duration]func(f figures) float64{&out.p50: func(f figures) float64 { return float64(f.p50) }, &out.p90: func(f figures) float64 { return float64(f.p90) },
		&out.p99: func(f figures) float64 { return float64(f.p99) }} {
		*to = time.Duration(median(of))
	}
	for what := range all[0].spent {
		out.spent[what] = time.Duration(median(func(f figures) float64 { return float64(f.spent[what]) }))
	}
	return out
}

// tick is what the kernel counts processor time of processes in.
const tick = 10 * time.Millisecond

// spent is the processor time of the programs that take part, so far.
func spent() map[string]time.Duration {
	out := map[string]time.Duration{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		args := strings.Split(string(line), "\x00")
		if err != nil || len(args) < 2 {
			continue
		}
		what := ""
		switch name := filepath.Base(args[0]); {
		case slices.Contains(args, "--operation=webhook"):
			what = "gatekeeper"
		case name == "stockade" && args[1] == "provider":
			what = "provider"
		case name == "kube-apiserver":
			what = name
		default:
			continue
		}
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		i := bytes.LastIndexByte(stat, ')')
		if err != nil || i < 0 {
			continue
		}
		if f := strings.Fields(string(stat[i+1:])); len(f) > 13 {
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			out[what] += time.Duration(user+system) * tick
		}
	}
	return out
}

// rules are thirty of the library about pods and their containers that the pod keeps, the gravest first: those that it does not keep are
// left out one after the other.
func (m *meter) rules(pod []byte) []string {
	m.t.Helper()
	var list struct {
		Items []struct {
			Rule, ID, Severity, Type string
			Kinds                    []string
		}
	}
	m.call("GET", "/policy-rules", nil, &list)
	ids := map[string]string{}
	var names []string
	for _, severity := range []string{"critical", "high", "medium"} {
		for _, r := range list.Items {
			if r.Severity == severity && r.Type != "image" && slices.Contains(r.Kinds, "Pod") {
				names, ids[r.Rule] = append(names, r.Rule), r.ID
			}
		}
	}
	for {
		if len(names) < 30 {
			m.t.Fatal("there are not thirty rules that the pod keeps")
		}
		m.keep(names[:30], weak)
		status, said := http.StatusCreated, ""
		for range 10 { // each of Gatekeeper's pods is asked some time
			var err error
			if status, said, err = m.asks(pod); err != nil {
				m.t.Fatal(err)
			}
			if status != http.StatusCreated {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if status == http.StatusCreated {
			return names[:30]
		}
		before := len(names)
		names = slices.DeleteFunc(names, func(name string) bool { return strings.Contains(said, ids[name]) })
		if len(names) == before {
			m.t.Fatalf("%d %s", status, said)
		}
	}
}

// tags are names of an image that nobody has asked about: the server knows their digest, when the registry has told it.
func (m *meter) tags(n int) []string {
	m.t.Helper()
	image, err := lab.Image{Files: map[string]string{"/web": web(m.t, "v0.3.8")}, Entrypoint: []string{"/web"}}.Build()
	if err != nil {
		m.t.Fatal(err)
	}
	var out []string
	for i := range n {
		name := fmt.Sprintf("shop/web:n%d", i)
		m.Push(m.t, name, image)
		out = append(out, registryHost+"/"+name)
	}
	return out
}

// hooks are the names of webhook configurations of a kind.
func (m *meter) hooks(kind string) (names []string) {
	var list struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	m.api(http.MethodGet, "/apis/admissionregistration.k8s.io/v1/"+kind+"webhookconfigurations", nil, &list)
	for _, o := range list.Items {
		names = append(names, o.Metadata.Name)
	}
	return names
}

// api asks the API server for something that has to go well.
func (m *meter) api(method, path string, in []byte, out any) {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), method, m.Config.Host+path, bytes.NewReader(in))
	if err != nil {
		m.t.Fatal(err)
	}
	res, err := m.client.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = errors.New(res.Status)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		m.t.Fatalf("%s %s: %v %s", method, path, err, text)
	}
}
