package protection

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
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/protect"
)

// program is a server that runs as a program, with a cluster that runs pods.
type program struct {
	t        *testing.T
	n        *lab.Node
	stockade string
	home     string
	url      string
	token    string
	log      bytes.Buffer
}

// inside is where pods reach the server.
const inside = lab.NodeAddress + ":18443"

// TestNode: on a whole cluster, with the program as server, command line and provider: a cluster is protected, a bad pod is refused with
// words that explain, a good one runs, what providers say is seen, and after the end everything is as it was.
func TestNode(t *testing.T) {
	if err := lab.NodePossible(); err != nil {
		t.Logf("pods cannot run here, so that this is tested without them only: %v", err)
		return
	}
	p := &program{t: t, n: lab.NodeForTest(t, lab.NodeConfig{}), home: t.TempDir()}
	p.build()
	p.n.LoadGatekeeperImage(t)
	p.n.LoadImage(t, "docker.io/stockade/stockade:dev", lab.Image{Files: map[string]string{"stockade": p.stockade}, Entrypoint: []string{"/stockade"}})
	p.serve()
	p.addCluster()
	before := p.inventory()

	if out := p.run(0, "protect", "enable", "node", "--yes", "--timeout", "5m", "--provider-image", "stockade/stockade:dev"); !strings.Contains(out, "no-policy") {
		t.Fatalf("%s\n%s", out, p.explain())
	}
	p.eventually("both providers are heard of", func() error {
		st := p.status()
		if st.Alive != 2 || len(st.Problems) > 0 {
			return fmt.Errorf("%d: %+v", st.Alive, st.Problems)
		}
		return nil
	})
	p.call("POST", "/policies", `{"name":"No privileges","action":"block","rules":[{"rule":"workload/privileged-container"}]}`, nil)
	bad := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"bad"},"spec":{"containers":[{"name":"web","image":"` + lab.PauseImage + `","securityContext":{"privileged":true}}]}}`
	var refused string
	p.eventually("the policy is in force", func() error {
		code, text := p.create(bad, "?dryRun=All")
		if refused = text; code != http.StatusForbidden {
			return fmt.Errorf("%d %s", code, text)
		}
		return nil
	})
	t.Log(refused)
	for _, word := range []string{"STK-W-0001", "web", "No privileges"} {
		if !strings.Contains(refused, word) {
			t.Errorf("the refusal does not say %q: %s", word, refused)
		}
	}
	if code, text := p.create(strings.Replace(strings.Replace(bad, `"privileged":true`, `"privileged":false`, 1), `"bad"`, `"good"`, 1), ""); code/100 != 2 {
		t.Errorf("a good pod: %d %s", code, text)
	}
	p.n.WaitPod(t, "default", "good")
	p.send("DELETE", "/api/v1/namespaces/default/pods/good?gracePeriodSeconds=0", "", nil)
	if out := p.run(0, "protect", "test", "node"); !strings.Contains(out, "Protection works") {
		t.Error(out)
	}
	if out := p.run(0, "protect", "status", "node"); !strings.Contains(out, "2 of 2") || !strings.Contains(out, "protected") {
		t.Error(out)
	}
	if out := p.run(0, "protect", "disable", "node", "--yes", "--timeout", "5m"); !strings.Contains(out, "unprotected") {
		t.Fatalf("%s\n%s", out, p.explain())
	}
	p.eventually("nothing is left", func() error {
		after := p.inventory()
		if more, less := missing(after, before), missing(before, after); len(more)+len(less) > 0 {
			return fmt.Errorf("more: %v; less: %v", more, less)
		}
		return nil
	})
}

func (p *program) build() {
	p.t.Helper()
	if p.stockade = os.Getenv("STOCKADE_PROGRAM"); p.stockade != "" {
		return
	}
	p.stockade = filepath.Join(p.t.TempDir(), "stockade")
	if err := lab.Program(p.stockade); err != nil {
		p.t.Fatal(err)
	}
}

// serve starts the server on this machine, and lets pods reach it from inside of the node's network.
func (p *program) serve() {
	p.t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, p.stockade, "server", "--data", filepath.Join(p.home, "data"), "--listen", address, "--public-url", "https://"+inside, "--tls-name", "127.0.0.1",
		"--allow-local-clusters", "--debug-listen", "")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	read := make(chan struct{})
	p.t.Cleanup(func() {
		stop()
		<-read
		_ = cmd.Wait()
		if p.t.Failed() {
			text := p.log.String()
			p.t.Logf("the server's log:\n%s", text[max(0, len(text)-8000):])
		}
	})
	var pin, setup string
	for lines := bufio.NewScanner(out); setup == "" && lines.Scan(); { // what it has read beyond is lost to the log
		fields := strings.Fields(lines.Text())
		p.log.WriteString(lines.Text() + "\n")
		for i, f := range fields {
			if f == "--ca-pin" {
				pin = fields[i+1]
			}
			if _, token, ok := strings.Cut(f, "#token="); ok {
				setup = token
			}
		}
	}
	go func() { defer close(read); _, _ = io.Copy(&p.log, out) }()
	if setup == "" {
		p.t.Fatal("the server says no set-up link")
	}
	p.url = "https://" + address
	p.run(0, "login", p.url, "--user", "anna", "--setup-token", setup, "--ca-pin", pin)
	data, err := os.ReadFile(filepath.Join(p.home, "stockade", "servers.json"))
	if err != nil {
		p.t.Fatal(err)
	}
	var kept struct {
		Servers map[string]struct{ Token string }
	}
	if err := json.Unmarshal(data, &kept); err != nil {
		p.t.Fatal(err)
	}
	for _, s := range kept.Servers {
		p.token = s.Token
	}
	gate, err := p.n.Listen(inside)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = gate.Close() })
	go func() {
		for {
			conn, err := gate.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				to, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				defer func() { _ = to.Close() }()
				go func() { _, _ = io.Copy(to, conn); _ = to.(*net.TCPConn).CloseWrite() }()
				_, _ = io.Copy(conn, to)
			}()
		}
	}()
}

func (p *program) addCluster() {
	p.t.Helper()
	text, err := os.ReadFile(p.n.Kubeconfig())
	if err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(p.home, "node.yaml")
	config := strings.ReplaceAll(string(text), "https://127.0.0.1:6443", "https://"+p.n.Expose(p.t, "127.0.0.1:6443"))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.run(0, "cluster", "add", "node", "--kubeconfig", file)
}

// run runs the command line and wants an exit code.
func (p *program) run(code int, args ...string) string {
	p.t.Helper()
	cmd := exec.Command(p.stockade, args...)
	cmd.Env = append(os.Environ(), "HOME="+p.home, "XDG_CONFIG_HOME="+p.home, "STOCKADE_PASSWORD=correct horse battery")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the code tells
	if got := cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("stockade %s: %d, want %d\n%s%s\n%s", strings.Join(args, " "), got, code, stdout.String(), stderr.String(), p.explain())
	}
	return stdout.String()
}

// call asks the server's API.
func (p *program) call(method, path, body string, into any) {
	p.t.Helper()
	req, err := http.NewRequest(method, p.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // this process started it
	resp, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		p.t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, data, err)
	}
	if into != nil {
		if err := json.Unmarshal(data, into); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *program) status() *protect.Status {
	p.t.Helper()
	st := &protect.Status{}
	p.call("GET", "/protection/1", "", st)
	return st
}

// send asks the API server of the node.
func (p *program) send(method, path, body string, into any) (int, string) {
	p.t.Helper()
	req, err := http.NewRequest(method, "https://127.0.0.1:6443"+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	client, err := rest.HTTPClientFor(p.n.Config)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return resp.StatusCode, err.Error()
	}
	var s struct{ Message string }
	_ = json.Unmarshal(data, &s)
	return resp.StatusCode, s.Message
}

func (p *program) create(pod, query string) (int, string) {
	return p.send("POST", "/api/v1/namespaces/default/pods"+query, pod, nil)
}

// inventory lists what is in the node's cluster, but for what comes and goes by itself.
func (p *program) inventory() []string {
	p.t.Helper()
	var all map[string]string
	var err error
	for range 20 { // kinds that go may be named by discovery and not be there
		if all, err = p.n.Inventory(context.Background()); err == nil {
			break
		}
		time.Sleep(time.Second)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	var out []string
	for key := range all {
		if !strings.HasPrefix(key, "apiservices.") { // they follow the definitions in their own time
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

func (p *program) eventually(what string, f func() error) {
	p.t.Helper()
	var err error
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	p.t.Fatalf("%s: not so: %v\n%s", what, err, p.explain())
}

func (p *program) explain() string {
	return p.n.Explain("stockade-protect") + p.n.Explain("gatekeeper-system")
}

// TestSources has the results of this room hang on the program, which is built and not imported.
func TestSources(t *testing.T) { lab.Sources(t) }
