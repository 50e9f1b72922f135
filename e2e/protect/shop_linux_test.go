// Package protect tells, on a whole cluster with kubelet and containers, what the protection of clusters does: the server and
// the command line are run as processes, Gatekeeper and the provider in pods, images come from a registry and are real programs.
package protect

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"stockade.dev/stockade/e2e/images"
	"stockade.dev/stockade/e2e/lab"
)

// stockade is the program under test, built once.
var stockade string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "stockade-protect")
	if err == nil {
		stockade = filepath.Join(dir, "stockade")
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "building stockade:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds stockade with Gatekeeper's manifests in it, which make copies into the tree: where nobody ran it, the go command
// is told that they are there.
func build(dir string) error {
	var more []string
	const plugin = "../../internal/protect/plugin/gatekeeper.yaml"
	if _, err := os.Stat(plugin); err != nil {
		at, err := filepath.Abs(plugin)
		if err != nil {
			return err
		}
		manifest, err := lab.GatekeeperManifest(context.Background())
		if err != nil {
			return err
		}
		overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{at: manifest}})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
			return err
		}
		more = []string{"-overlay", filepath.Join(dir, "overlay.json")}
	}
	return lab.Program(stockade, more...)
}

// The shop's images as pods name them. 1.0 is a program with a known vulnerability, 1.1 the same with the fix.
const (
	registryHost = "registry.example.com"
	vulnerable   = registryHost + "/shop/web:1.0"
	fixed        = registryHost + "/shop/web:1.1"
	weakness     = "CVE-2022-32149" // of golang.org/x/text before 0.3.8

	providerImage = "lab.example.com/stockade:1"
	serverAddress = lab.NodeAddress + ":8443"
)

// shop is a cluster with images in its registry and a server beside it, in the node's network.
type shop struct {
	*lab.Node
	t      testing.TB
	server *output
	args   []string // of the server's program
	stop   func()   // kills it
	http   *http.Client
	token  string
	pin    string
	target string // id of the cluster
	digest string // of the vulnerable image
	policy string // id

	expected []expected // what came in unchecked, by the faults so far
	loaded   []string   // pods that came in under load
}

// output is what a running program writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// possible is false, and the log says why, where only the light form of a cluster can be had.
func possible(t testing.TB) bool {
	t.Helper()
	if err := lab.NodePossible(); err != nil {
		t.Logf("no cluster with containers here, which these tests need: %v", err)
		return false
	}
	return true
}

// open starts a node and a server, with the cluster and the images known to it.
func open(t testing.TB) *shop {
	t.Helper()
	s := &shop{Node: lab.NodeForTest(t, lab.NodeConfig{}), t: t}
	s.LoadGatekeeperImage(t)
	s.LoadImage(t, providerImage, lab.Image{Files: map[string]string{"/stockade": stockade}, Entrypoint: []string{"/stockade"}})
	for tag, version := range map[string]string{"1.0": "v0.3.7", "1.1": "v0.3.8"} {
		image, err := lab.Image{Files: map[string]string{"/web": web(t, version)}, Entrypoint: []string{"/web"}}.Build()
		if err != nil {
			t.Fatal(err)
		}
		if digest := s.Push(t, "shop/web:"+tag, image); tag == "1.0" {
			s.digest = digest
		}
	}
	s.serve()
	return s
}

// web is a program that waits, and links golang.org/x/text in a version.
func web(t testing.TB, version string) string {
	t.Helper()
	return images.GoProgram(t, "web", map[string]string{
		"go.mod": "module example.com/web\n\ngo 1.24.0\n\nrequire golang.org/x/text " + version + "\n",
		"main.go": `package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/text/language"
)

func main() {
	if _, err := language.Parse("en"); err != nil {
		panic(err)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
}
`}, ".")
}

// serve starts the server in the node's network, makes the first administrator, and registers the cluster.
func (s *shop) serve() {
	s.t.Helper()
	db := filepath.Join(s.t.TempDir(), "db")
	build := exec.Command(stockade, "db", "build", "--feeds", "../../testdata/feeds/go.tar.zst", "-o", db)
	if out, err := build.CombinedOutput(); err != nil && build.ProcessState.ExitCode() != 3 { // 3: some documents were refused
		s.t.Fatalf("build the advisory database: %v\n%s", err, out)
	}
	s.server = &output{}
	s.args = []string{"server", "--listen", serverAddress, "--tls-name", lab.NodeAddress, "--public-url", "https://" + serverAddress, "--debug-listen", "",
		"--data", s.t.TempDir(), "--db", db, "--allow-local-clusters", "--register-kubeconfig", s.Kubeconfig(), "--register-name", "shop",
		"--registry-mirror", registryHost + "=" + lab.RegistryHost, "--insecure-registry", lab.RegistryHost, "--cache-dir", s.t.TempDir()}
	s.start()
	s.t.Cleanup(func() {
		s.stop()
		if s.t.Failed() {
			s.t.Logf("the server:\n%s", s.notes())
		}
	})
	var token string
	lab.Eventually(s.t, "the server prints its set-up link", func() error {
		if m := regexp.MustCompile(`set it up:\s+https://\S+[?#/=]([A-Za-z0-9_-]{16,})\s`).FindStringSubmatch(s.server.String()); m != nil {
			token = m[1]
			return nil
		}
		return fmt.Errorf("not in: %s", s.server)
	})
	if m := regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindString(s.server.String()); m != "" {
		s.pin = m
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.http = s.Client()
	s.http.Jar, s.http.Timeout = jar, time.Minute
	s.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	var user struct{ Name string }
	s.call("POST", "/setup", map[string]any{"token": token, "name": adminName, "password": adminPassword}, &user)
	var made struct{ Token string }
	s.call("POST", "/tokens", map[string]any{"name": "tests"}, &made)
	s.token = made.Token
	lab.Eventually(s.t, "the cluster is registered and connected", func() error {
		var list struct {
			Items []struct{ ID, Name, State string }
		}
		s.call("GET", "/clusters", nil, &list)
		for _, c := range list.Items {
			if c.Name == "shop" && c.State == "connected" {
				s.target = c.ID
				return nil
			}
		}
		return fmt.Errorf("the clusters are %+v", list.Items)
	})
}

// start runs the server's program: at first, or again with what it kept after it was killed.
func (s *shop) start() {
	s.t.Helper()
	cmd := exec.Command(stockade, s.args...)
	cmd.Env = append(os.Environ(), "HOME="+s.t.TempDir(), "LANG=C")
	cmd.Stdout, cmd.Stderr = s.server, s.server
	s.stop = s.Start(s.t, cmd)
}

// notes are the server's words without the requests that went well.
func (s *shop) notes() string {
	var lines []string
	for l := range strings.Lines(s.server.String()) {
		if !strings.Contains(l, `"status":2`) {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines[max(0, len(lines)-60):], "")
}

// call sends JSON and decodes the answer; an error's status is fatal.
func (s *shop) call(method, path string, in, out any) {
	s.t.Helper()
	if err := s.try(method, path, in, out); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) try(method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, "https://"+serverAddress+"/api/v1"+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 400 {
		return fmt.Errorf("%s %s: %s %s %w", method, path, resp.Status, data, err)
	}
	if out == nil || len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, out)
}

// run runs the command line in the node's network, signed in.
func (s *shop) run(args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.Command(stockade, args...)
	cmd.Env = append(os.Environ(), "LANG=C", "HOME="+s.t.TempDir(), "STOCKADE_URL=https://"+serverAddress, "STOCKADE_TOKEN="+s.token, "STOCKADE_CA_PIN="+s.pin)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := s.Run(cmd)
	return out.String(), err
}

// must runs a command that has to go well.
func (s *shop) must(args ...string) {
	s.t.Helper()
	out, err := s.run(args...)
	if err != nil {
		s.t.Fatalf("stockade %s: %v\n%s\n%s\n%s", strings.Join(args, " "), err, out, s.Explain("stockade-protect"), s.Explain("gatekeeper-system"))
	}
	s.t.Logf("stockade %s:\n%s", strings.Join(args, " "), out)
}

// web applies a Deployment of the shop with an image.
func (s *shop) web(namespace, name, image string) error { return s.webs(namespace, name, image, 1) }

func (s *shop) webs(namespace, name, image string, replicas int) error {
	return s.Apply(s.t.Context(), fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  replicas: %[4]d
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec: {containers: [{name: web, image: %[3]q}]}
`, namespace, name, image, replicas))
}

// hasAccount is nil when pods of a namespace can have their account.
func (s *shop) hasAccount(namespace string) error {
	_, err := s.Kube.CoreV1().ServiceAccounts(namespace).Get(s.t.Context(), "default", metav1.GetOptions{})
	return err
}

// TestSources has the results of this room hang on the program, which is built and not imported.
func TestSources(t *testing.T) { lab.Sources(t) }
