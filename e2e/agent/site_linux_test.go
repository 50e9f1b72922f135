package agent

import (
	"bytes"
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

	"stockade.dev/stockade/e2e/lab"
)

// stockade is the program under test, built once.
var stockade string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if stockade = os.Getenv("STOCKADE_PROGRAM"); stockade != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "stockade-agent")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	stockade = filepath.Join(dir, "stockade")
	build := exec.Command("go", "build", "-o", stockade, "stockade.dev/stockade/cmd/stockade")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building stockade:", err)
		return 1
	}
	return m.Run()
}

const serverAddress = lab.NodeAddress + ":8443"

// output is what a process writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// site is a cluster of one node, and a server that knows it.
type site struct {
	*lab.Node
	t      *testing.T
	data   string
	home   string
	said   *output
	stop   func()
	began  time.Time
	http   *http.Client
	pin    string
	target string
}

func open(t *testing.T) *site {
	t.Helper()
	s := &site{Node: lab.NodeForTest(t, lab.NodeConfig{}), t: t, data: t.TempDir(), home: t.TempDir()}
	s.Furnish(t)
	s.LoadImage(t, agentImage, lab.Image{Files: map[string]string{"/stockade": stockade}, Texts: map[string]string{"/tmp/.keep": ""}, Entrypoint: []string{"/stockade"}, User: "0"})
	web := shopProgram(t)
	s.LoadImage(t, shopImage, lab.Image{Files: map[string]string{"/web": web, "/usr/bin/kubelet": web}, Entrypoint: []string{"/web"}})
	s.LoadImage(t, sshImage, sshServer(t))
	s.start()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.http = s.Client()
	s.http.Jar, s.http.Timeout = jar, time.Minute
	s.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	var token string
	lab.Eventually(t, "the server prints its set-up link", func() error {
		if m := regexp.MustCompile(`set it up:\s+https://\S+[?#/=]([A-Za-z0-9_-]{16,})\s`).FindStringSubmatch(s.said.String()); m != nil {
			token = m[1]
			return nil
		}
		return fmt.Errorf("not in: %s", s.said)
	})
	s.pin = regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindString(s.said.String())
	s.call("POST", "/setup", map[string]any{"token": token, "name": "root", "password": adminPassword}, nil)
	lab.Eventually(t, "the cluster is registered and connected", func() error {
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
	return s
}

// start starts the server in the node's network, again after stop.
func (s *site) start() {
	s.t.Helper()
	s.said, s.began = &output{}, time.Now()
	cmd := exec.Command(stockade, "server", "--listen", serverAddress, "--tls-name", lab.NodeAddress, "--public-url", "https://"+serverAddress, "--debug-listen", "",
		"--data", s.data, "--allow-local-clusters", "--register-kubeconfig", s.Kubeconfig(), "--register-name", "shop", "--cache-dir", filepath.Join(s.home, "cache"))
	cmd.Env = append(os.Environ(), "HOME="+s.home, "LANG=C")
	cmd.Stdout, cmd.Stderr = s.said, s.said
	said := s.said
	s.stop = s.Start(s.t, cmd)
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("the server:\n%s", notes(said.String()))
		}
	})
	if s.http != nil {
		lab.Eventually(s.t, "the server answers", func() error { return s.try("GET", "/clusters", nil, nil) })
	}
}

// notes are the server's words without the requests that went well.
func notes(said string) string {
	var lines []string
	for l := range strings.Lines(said) {
		if !strings.Contains(l, `"status":2`) {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines[max(0, len(lines)-60):], "")
}

// call sends JSON and decodes the answer; an error's status is fatal.
func (s *site) call(method, path string, in, out any) {
	s.t.Helper()
	if err := s.try(method, path, in, out); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) try(method, path string, in, out any) error {
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
	res, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 400 {
		return fmt.Errorf("%s %s: %s %s %w", method, path, res.Status, data, err)
	}
	if out == nil || len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, out)
}
