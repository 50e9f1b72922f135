package stories

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/store/storetest"
)

// program is a running stockade process.
type program struct {
	cmd *exec.Cmd
	mu  sync.Mutex
	out bytes.Buffer
	end chan struct{}
}

// launch starts stockade; it is stopped with the test. Its output is shown when the test fails.
func launch(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(stockade, args...), end: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), "LANG=C", "HOME="+t.TempDir(), "STOCKADE_DB=/nonexistent"), env...)
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			p.mu.Lock()
			p.out.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
		}
	}()
	go func() { _ = p.cmd.Wait(); _ = w.Close(); close(p.end) }()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			var lines []string // its troubles: all of it would hide what the test says
			for l := range strings.Lines(p.text()) {
				if !strings.Contains(l, `"level":"INFO"`) && !strings.Contains(l, "reflector.go") {
					lines = append(lines, l)
				}
			}
			t.Logf("stockade %s:\n%s", args[0], strings.Join(lines[max(0, len(lines)-30):], ""))
		}
	})
	return p
}

func (p *program) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// stop asks the process to end, and waits for it.
func (p *program) stop(t *testing.T) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.end:
	case <-time.After(60 * time.Second):
		t.Errorf("stockade did not stop when it was asked to")
		_ = p.cmd.Process.Kill()
		<-p.end
	}
}

// find waits for a text of the output and returns the group of the pattern.
func (p *program) find(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	got := ""
	until(t, "the output has "+pattern, func() bool {
		m := re.FindStringSubmatch(p.text())
		if m != nil {
			got = m[len(m)-1]
		}
		select {
		case <-p.end:
			if m == nil {
				t.Fatalf("stockade ended: %s", p.text())
			}
		default:
		}
		return m != nil
	})
	return got
}

// console is what a browser does.
type console struct {
	t    *testing.T
	http *http.Client
	base string
}

// call sends JSON and decodes the answer into out; it returns the status.
func (c *console) call(method, path string, in, out any) int {
	c.t.Helper()
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			c.t.Fatal(err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, c.base+"/api/v1"+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode >= 400 && out != nil {
		c.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, data)
	}
	if out != nil && len(data) > 0 {
		if err := json.Unmarshal(data, out); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, data)
		}
	}
	return resp.StatusCode
}

// colleague adds a user with a role, who sets a password with the link that the administrator hands over, and signs in.
func (c *console) colleague(name, role string) *console {
	c.t.Helper()
	var user struct{ ID string }
	c.call("POST", "/users", map[string]any{"name": name, "grants": []any{map[string]any{"role": role}}}, &user)
	var link struct{ Token string }
	c.call("POST", "/users/"+user.ID+"/reset", nil, &link)
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	out := &console{t: c.t, base: c.base, http: &http.Client{Jar: jar, Timeout: time.Minute, Transport: c.http.Transport}}
	if s := out.call("POST", "/password/reset", map[string]any{"token": link.Token, "password": "sheep may safely graze"}, nil); s >= 300 {
		c.t.Fatalf("setting a password: %d", s)
	}
	out.call("POST", "/session", map[string]any{"name": name, "password": "sheep may safely graze"}, &user)
	return out
}

type line struct {
	ID, Status, Rule, Resource, Cause, ExceptionID string
	LastSeen                                       time.Time
}

// findings lists what a filter selects.
func (c *console) findings(query url.Values) []line {
	c.t.Helper()
	var list struct{ Items []line }
	c.call("GET", "/findings?limit=500&"+query.Encode(), nil, &list)
	return list.Items
}

// one waits until exactly the finding of a rule on a resource has a status, and returns it.
func (c *console) one(what, rule, resource, status string) line {
	c.t.Helper()
	var found line
	until(c.t, what, func() bool {
		for _, f := range c.findings(url.Values{"rule": {rule}, "status": {"open,reopened,unseen,ignored,accepted,marked-fixed,fixed,gone"}}) {
			if f.Resource == resource {
				found = f
			}
		}
		return found.Status == status
	})
	return found
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts a server and makes the first administrator with the link that it prints.
func start(t *testing.T, args ...string) (*program, *console) {
	t.Helper()
	address := freeAddress(t)
	p := launch(t, nil, append([]string{"server", "--listen", address, "--debug-listen", ""}, args...)...)
	token := p.find(t, `set it up:\s+https://\S+[?#/=]([A-Za-z0-9_-]{16,})\s`)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &console{t: t, base: "https://" + address, http: &http.Client{Jar: jar, Timeout: time.Minute,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
	var user struct{ Name string }
	c.call("POST", "/setup", map[string]any{"token": token, "name": "root", "password": "a fence keeps the cows in"}, &user)
	if user.Name != "root" {
		t.Fatalf("set up as %q", user.Name)
	}
	if status := c.call("POST", "/setup", map[string]any{"token": token, "name": "mallory", "password": "a fence keeps the cows in"}, nil); status < 400 {
		t.Errorf("the set-up link works twice: %d", status)
	}
	return p, c
}

// TestServer is the story of a team: a cluster comes in through its connector, is scanned, an object is mended and only that is
// looked at again, a finding is ignored, another accepted for a while, and opens again when the time is over.
func TestServer(t *testing.T) {
	for name, args := range map[string]func(t *testing.T) []string{
		"sqlite": func(t *testing.T) []string { return []string{"--data", t.TempDir()} },
		"postgres": func(t *testing.T) []string {
			return []string{"--data", t.TempDir(), "--database", storetest.Postgres(t)}
		},
	} {
		t.Run(name, func(t *testing.T) { life(t, args(t)) })
	}
}

func life(t *testing.T, args []string) {
	cp := lab.ForTest(t, lab.Config{Version: lab.Newest})
	apply(t, cp, "testdata/shop.yaml")
	server, c := start(t, append(args, "--allow-local-clusters")...)

	// The connector: nothing of the cluster is reachable before, and its token is good once.
	var cluster struct{ ID, State string }
	c.call("POST", "/clusters", map[string]any{"name": "shop", "kind": "connector"}, &cluster)
	var install struct {
		Token, CAPin string
		Objects      []struct{ Kind, Name string }
	}
	c.call("POST", "/clusters/"+cluster.ID+"/connector", map[string]any{}, &install)
	if install.Token == "" || len(install.Objects) == 0 {
		t.Fatalf("the installation names no token or no objects: %+v", install)
	}
	address := strings.TrimPrefix(c.base, "https://")
	launch(t, []string{"STOCKADE_CONNECTOR_TOKEN=" + install.Token}, "connector", "--server", address, "--ca-pin", install.CAPin, "--state", t.TempDir(), "--kubeconfig", cp.Kubeconfig())
	until(t, "the connector is there", func() bool {
		c.call("GET", "/clusters/"+cluster.ID, nil, &cluster)
		return cluster.State == "connected"
	})
	thief := launch(t, []string{"STOCKADE_CONNECTOR_TOKEN=" + install.Token}, "connector", "--server", address, "--ca-pin", install.CAPin, "--state", t.TempDir(), "--kubeconfig", cp.Kubeconfig())
	thief.find(t, `"no tunnel".*token`)
	thief.stop(t)

	// A scan.
	var task struct {
		ID, Status string
		Name       string
	}
	c.call("POST", "/tasks", map[string]any{"clusterIds": []string{cluster.ID}}, &task)
	until(t, "the scan ends", func() bool {
		c.call("GET", "/tasks/"+task.ID, nil, &task)
		return task.Status != "ready" && task.Status != "running"
	})
	if task.Status != "finished" && task.Status != "partial" {
		t.Fatalf("the task is %s", task.Status)
	}
	privileged := c.one("the privileged container is found", "workload/privileged-container", "web", "open")
	c.one("the socket is found", "escape/runtime-socket", "runner", "open")

	// The watch: web is mended, and just web is looked at again.
	var watch struct {
		Watching bool
		Judged   int
	}
	until(t, "the cluster is watched", func() bool {
		c.call("GET", "/clusters/"+cluster.ID+"/watch", nil, &watch)
		return watch.Watching
	})
	mend(t, cp)
	fixed := c.one("the mended container is fixed", "workload/privileged-container", "web", "fixed")
	if fixed.ID != privileged.ID || fixed.Cause != "object-changed" {
		t.Errorf("the finding was %s, and is %s with cause %q", privileged.ID, fixed.ID, fixed.Cause)
	}
	type look struct{ ID, Name, Status string }
	var looks struct{ Items []look }
	until(t, "the looks end", func() bool {
		c.call("GET", "/tasks?trigger=watch", nil, &looks)
		return !slices.ContainsFunc(looks.Items, func(l look) bool { return l.Status == "ready" || l.Status == "running" })
	})
	for _, l := range looks.Items {
		if l.Name != "changed: Deployment shop/web" {
			t.Errorf("more than the changed object was looked at: %q", l.Name)
		}
		var items struct {
			Items []struct{ Progress struct{ Objects int } }
		}
		c.call("GET", "/tasks/"+l.ID+"/items", nil, &items)
		if n := items.Items[0].Progress.Objects; n == 0 || n > 4 {
			t.Errorf("%d objects were read for one that changed", n)
		}
	}
	if len(looks.Items) == 0 {
		t.Error("no look by the watch")
	}
	if closed := c.findings(url.Values{"status": {"fixed,gone,unseen"}}); len(closed) != 1 {
		t.Errorf("more than the mended finding was closed: %+v", closed)
	}

	// Handling: ignored, and not again by a rescan.
	socket := c.one("the socket is open", "escape/runtime-socket", "runner", "open")
	if s := c.call("POST", "/findings/"+socket.ID+"/actions", map[string]any{"action": "ignore", "note": "the runner builds images"}, nil); s >= 300 {
		t.Fatalf("ignoring: %d", s)
	}
	c.one("the socket is ignored", "escape/runtime-socket", "runner", "ignored")

	// An exception for a while.
	host := c.one("the host network is found", "escape/host-network", "runner", "open")
	expires := time.Now().Add(20 * time.Second).UTC().Truncate(time.Second) // as it is sent
	var exception struct {
		ID, Status string
		Revision   int
	}
	c.call("POST", "/exceptions", map[string]any{"findingId": host.ID, "reason": "until the runner moves", "category": "risk-accepted", "expires": expires.Format(time.RFC3339)}, &exception)
	if s := c.call("POST", "/exceptions/"+exception.ID+"/approve", map[string]any{"revision": exception.Revision}, nil); s != http.StatusForbidden {
		t.Errorf("who asked for an exception may approve it: %d", s)
	}
	approver := c.colleague("chen", "approver")
	approver.call("POST", "/exceptions/"+exception.ID+"/approve", map[string]any{"revision": exception.Revision}, &exception)
	accepted := c.one("the exception accepts it", "escape/host-network", "runner", "accepted")
	if accepted.ExceptionID != exception.ID {
		t.Errorf("accepted by %q, want %s", accepted.ExceptionID, exception.ID)
	}
	c.call("POST", "/tasks", map[string]any{"clusterIds": []string{cluster.ID}}, &task)
	until(t, "the second scan ends", func() bool {
		c.call("GET", "/tasks/"+task.ID, nil, &task)
		return task.Status == "finished" || task.Status == "partial"
	})
	c.one("a rescan leaves the ignored one ignored", "escape/runtime-socket", "runner", "ignored")
	again := c.one("the exception ends and it opens again", "escape/host-network", "runner", "open")
	if again.ID != host.ID || again.Cause != "exception-ended" {
		t.Errorf("opened again as %s with cause %q", again.ID, again.Cause)
	}
	if time.Now().Before(expires) {
		t.Error("the exception ended before its time")
	}
	var full struct {
		History []struct{ Action, Before, After, Cause string }
	}
	c.call("GET", "/findings/"+host.ID, nil, &full)
	story := ""
	for _, h := range full.History {
		story += fmt.Sprintf("%s:%s>%s ", h.Action, h.Before, h.After)
	}
	if !strings.Contains(story, "accept:open>accepted") || !strings.Contains(story, "unaccept:accepted>open") {
		t.Errorf("history: %s", story)
	}

	// Who did what is on record.
	var log struct {
		Items []struct{ Actor, Action string }
	}
	c.call("GET", "/audit?limit=500", nil, &log)
	seen := map[string]bool{}
	for _, e := range log.Items {
		seen[e.Actor+" "+e.Action] = true
	}
	for _, want := range []string{"root cluster.add", "root task.create", "root finding.ignore"} {
		if !seen[want] {
			t.Errorf("the audit log lacks %q: %v", want, seen)
		}
	}
	if text := server.text(); strings.Contains(text, install.Token) || strings.Contains(text, "cows") {
		t.Error("the log holds a secret")
	}
}

// mend takes the privileges away from the containers of web.
func mend(t *testing.T, cp *lab.ControlPlane) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", cp.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	web := client.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}).Namespace("shop")
	o, err := web.Get(context.Background(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	spec := o.Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	var patch []map[string]any
	for _, list := range []string{"initContainers", "containers"} {
		containers, _ := spec[list].([]any)
		for i := range containers {
			if c := containers[i].(map[string]any)["securityContext"]; c != nil {
				patch = append(patch, map[string]any{"op": "remove", "path": fmt.Sprintf("/spec/template/spec/%s/%d/securityContext/privileged", list, i)})
			}
		}
	}
	data, err := json.Marshal(patch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := web.Patch(context.Background(), "web", types.JSONPatchType, data, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestRegister: KUBECONFIG=... make run starts the server with that cluster in it, and scans it.
func TestRegister(t *testing.T) {
	cp := lab.ForTest(t, lab.Config{Version: lab.Newest})
	apply(t, cp, "testdata/shop.yaml")
	_, c := start(t, "--data", t.TempDir(), "--register-kubeconfig", cp.Kubeconfig(), "--allow-local-clusters")
	c.one("its findings are there", "workload/privileged-container", "web", "open")
	var clusters struct {
		Items []struct{ Name, State, Kind string }
	}
	c.call("GET", "/clusters", nil, &clusters)
	if len(clusters.Items) != 1 || clusters.Items[0].State != "connected" || clusters.Items[0].Kind != "kubeconfig" {
		t.Errorf("clusters: %+v", clusters.Items)
	}
}
