// Package agent tells, on a whole cluster with kubelet and containers, what the agents of nodes do: the server runs as a process, the agent
// in a DaemonSet by the manifest that the server gives, pods are real and do what they should not.
package agent

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/e2e/images"
	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/agent/protocol"
)

const (
	agentImage = "lab.example.com/stockade-agent:1"
	shopImage  = "lab.example.com/shop/web:1"
	sshImage   = "lab.example.com/shop/till:1"
)

// program waits; with an argument it copies itself there first, and runs the copy. It writes a file when its environment says so.
const program = `package main

import (
	"encoding/base64"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if name := os.Getenv("ATTACHMENT"); name != "" {
		data, err := base64.StdEncoding.DecodeString(os.Getenv("CONTENT"))
		if err != nil {
			panic(err)
		}
		if err := os.WriteFile(name, data, 0o755); err != nil {
			panic(err)
		}
	}
	if len(os.Args) > 1 {
		from, err := os.Open("/proc/self/exe")
		if err != nil {
			panic(err)
		}
		to, err := os.OpenFile(os.Args[1], os.O_CREATE|os.O_WRONLY, 0o755)
		if err != nil {
			panic(err)
		}
		if _, err := io.Copy(to, from); err != nil {
			panic(err)
		}
		to.Close()
		panic(syscall.Exec(os.Args[1], os.Args[1:2], nil))
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
}
`

const pods = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: till, namespace: shop}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  containers:
  - {name: till, image: ` + sshImage + `, command: [/usr/sbin/sshd, -D, -e], securityContext: {runAsUser: 0}}
---
apiVersion: v1
kind: Pod
metadata: {name: stock, namespace: shop}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  containers:
  - {name: stock, image: ` + shopImage + `, command: [/web, /cellar], securityContext: {privileged: true, runAsUser: 0}}
---
apiVersion: v1
kind: Pod
metadata: {name: mask, namespace: shop}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  containers:
  - {name: mask, image: ` + shopImage + `, command: [/usr/bin/kubelet]}
---
apiVersion: v1
kind: Pod
metadata: {name: mail, namespace: shop}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  containers:
  - {name: mail, image: ` + shopImage + `, command: [/web], env: [{name: ATTACHMENT, value: /tmp/invoice.com}, {name: CONTENT, value: "%s"}]}
`

// finding is what the API says of one.
type finding struct {
	ID, Rule, Resource, State string
}

// findings lists what is open on the cluster, by rule.
func (s *site) findings() map[string][]finding {
	s.t.Helper()
	out := map[string][]finding{}
	for after := ""; ; {
		var page struct {
			Items []finding
			Next  string
		}
		s.call("GET", "/findings?status=open&limit=500"+after, nil, &page)
		for _, f := range page.Items {
			out[f.Rule] = append(out[f.Rule], f)
		}
		if page.Next == "" {
			return out
		}
		after = "&after=" + page.Next
	}
}

// install takes the server's manifest and applies it with the test's image.
func (s *site) install() (token string) {
	s.t.Helper()
	var in struct{ Manifest, Token string }
	s.call("POST", "/clusters/"+s.target+"/agents/tokens", map[string]any{"uses": 1}, &in)
	var lines []string
	for line := range strings.Lines(in.Manifest) {
		if strings.Contains(line, `image: "`) {
			line = line[:strings.Index(line, "image:")] + "image: " + agentImage + "\n"
		}
		if strings.Contains(line, "--state=") { // a busy test machine is no node under pressure, and there is no time for a fifth of a core
			line += strings.Repeat(" ", strings.Index(line, "-")) + "- --restless\n" + strings.Repeat(" ", strings.Index(line, "-")) + "- --log-level=debug\n"
		}
		if strings.TrimSpace(line) == `- "0.2"` {
			line = strings.Replace(line, "0.2", "2", 1)
		}
		if strings.TrimSpace(line) == `- "96"` {
			line = strings.Replace(line, "96", "512", 1)
		}
		lines = append(lines, strings.Replace(line, `memory: "192Mi"`, `memory: "1Gi"`, 1))
	}
	s.MustApply(s.t, strings.Join(lines, ""))
	return in.Token
}

// TestAgent is the story of an operator: agents are brought in by the server's manifest, the node, its containers and what is wrong with
// them are seen, a fix is seen too, and nobody else can speak for the node.
func TestAgent(t *testing.T) {
	if err := lab.NodePossible(); err != nil {
		t.Logf("no node can run here: %v", err)
		return
	}
	s := open(t)
	s.MustApply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
	s.MustApply(t, fmt.Sprintf(pods, base64.StdEncoding.EncodeToString(images.EICAR())))
	for _, name := range []string{"stock", "mask", "mail"} {
		s.WaitPod(t, "shop", name)
	}
	s.greeted(t, s.WaitPod(t, "shop", "till").Status.PodIP)
	s.RestartKubelet(t, "--anonymous-auth=true")
	token := s.install()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Explain("stockade-agents"))
		}
	})

	var node struct{ ID, Name, State, Kubelet, Reason string }
	lab.Eventually(t, "the node is protected and its facts are there", func() error {
		var list struct {
			Items []struct{ ID, Name, State, Kubelet, Reason string }
		}
		s.call("GET", "/nodes", nil, &list)
		for _, n := range list.Items {
			if n.Name == lab.NodeName && n.State == "protected" && n.Kubelet != "" {
				node = n
				return nil
			}
		}
		return fmt.Errorf("the nodes are %+v", list.Items)
	})
	var containers struct {
		Items []struct{ Namespace, Pod, Image string }
	}
	s.call("GET", "/nodes/"+node.ID+"/containers?limit=500", nil, &containers)
	if !slices.ContainsFunc(containers.Items, func(c struct{ Namespace, Pod, Image string }) bool { return c.Pod == "till" && c.Image == sshImage }) {
		t.Errorf("the containers are %+v", containers.Items)
	}
	lab.Eventually(t, "what is wrong is found", func() error {
		all := s.findings()
		for rule, pod := range map[string]string{"node/sshd-in-container": "till", "node/drift-executed": "stock", "node/program-imitated": "mask", "node/kubelet-anonymous-auth": ""} {
			if !slices.ContainsFunc(all[rule], func(f finding) bool { return pod == "" || strings.Contains(f.Resource, pod) }) {
				var rules []string
				for r, list := range all {
					if strings.HasPrefix(r, "node/") {
						rules = append(rules, fmt.Sprint(r, list))
					}
				}
				slices.Sort(rules)
				return fmt.Errorf("%s: %+v of %v", rule, all[rule], rules)
			}
		}
		return nil
	})

	t.Run("the console", func(t *testing.T) { s.console(t, node.ID, node.Kubelet) })
	t.Run("a token that is used up", func(t *testing.T) { s.used(t, token) })
	t.Run("a node speaks for itself only", func(t *testing.T) { s.certificates(t) })
	s.scan(t, "emergency", "images") // agents are a minute apart from what they are asked for: one task for what follows
	t.Run("emergencies", func(t *testing.T) { s.emergencies(t) })
	t.Run("a malicious file", func(t *testing.T) { s.malicious(t) })
	t.Run("a runtime that hangs", func(t *testing.T) { s.hangs(t, node.ID) })
	t.Run("what is wrong is put right", func(t *testing.T) { s.right(t) })
	t.Run("the server is away and comes back", func(t *testing.T) {
		s.stop()
		s.start()
		var n struct{ State, SeenAt string }
		for ends := time.Now().Add(4 * time.Minute); time.Now().Before(ends); time.Sleep(time.Second) { // beats are a minute apart, and contacts are written together
			s.call("GET", "/nodes/"+node.ID, nil, &n)
			if at, err := time.Parse(time.RFC3339, n.SeenAt); err == nil && n.State == "protected" && at.After(s.began) {
				return
			}
		}
		t.Errorf("the agent does not speak again: %+v", n)
	})
}

// used shows a token that was good for one node to the server again.
func (s *site) used(t *testing.T, token string) {
	dir := t.TempDir()
	cmd := exec.Command(stockade, "agent", "--server", serverAddress, "--ca-pin", strings.TrimPrefix(s.pin, "sha256:"), "--state", dir, "--node", "another")
	var said output
	cmd.Env, cmd.Stderr = append(os.Environ(), "STOCKADE_AGENT_TOKEN="+token), &said
	defer s.Start(t, cmd)()
	lab.Eventually(t, "the agent is refused", func() error {
		if strings.Contains(said.String(), "not enrolled") && strings.Contains(said.String(), "403") || strings.Contains(said.String(), "401") {
			return nil
		}
		return fmt.Errorf("it says %s", said.String())
	})
	t.Log(said.String())
}

// certificates enrols a second node and shows that its certificate moves nothing of the first one's.
func (s *site) certificates(t *testing.T) {
	var in struct{ Token string }
	s.call("POST", "/clusters/"+s.target+"/agents/tokens", map[string]any{"uses": 2}, &in)
	dir := t.TempDir()
	cmd := exec.Command(stockade, "agent", "--server", serverAddress, "--ca-pin", strings.TrimPrefix(s.pin, "sha256:"), "--state", dir, "--node", "spare", "--root", t.TempDir(), "--cpu", "0.01")
	var said output
	cmd.Env, cmd.Stderr = append(os.Environ(), "STOCKADE_AGENT_TOKEN="+in.Token), &said
	stop := s.Start(t, cmd)
	file := filepath.Join(dir, "identity.json")
	lab.Eventually(t, "the second agent enrols", func() error {
		_, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("%w: %s", err, said.String())
		}
		return nil
	})
	stop()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var id struct {
		Key    string          `json:"key"`
		Papers protocol.Papers `json:"papers"`
	}
	if err := json.Unmarshal(data, &id); err != nil {
		t.Fatal(err)
	}
	if b, _ := pem.Decode([]byte(id.Papers.Certificate)); b == nil {
		t.Fatal("no certificate")
	}
	pair, err := tls.X509KeyPair([]byte(id.Papers.Certificate), []byte(id.Key))
	if err != nil {
		t.Fatal(err)
	}
	send := func(pairs []tls.Certificate, path, body string) int {
		c := s.Client()
		c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true, Certificates: pairs, NextProtos: []string{protocol.Mark, "http/1.1"}}
		c.Transport.(*http.Transport).ForceAttemptHTTP2 = false
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+serverAddress+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := c.Do(req)
		if err != nil {
			return 0 // the handshake is refused
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	// No request names a node: what is sent with this certificate is of the node "spare", whatever it says it is.
	body := `{"apiVersion":"stockade.dev/v1","kind":"NodeFacts","name":"` + lab.NodeName + `"}`
	facts := fmt.Sprintf(`{"id":"00112233445566778899aabbccddeeff","kind":"facts","at":%q,"digest":"%x","last":true,"body":%s}`, time.Now().UTC().Format(time.RFC3339), sha256.Sum256([]byte(body)), body)
	before := len(s.findings()["node/kubelet-anonymous-auth"])
	status := send([]tls.Certificate{pair}, protocol.ReportPath, facts)
	if status != http.StatusNoContent {
		t.Errorf("the second agent's own report is answered with %d", status)
	}
	var list struct {
		Items []struct{ ID, Name, Kubelet string }
	}
	s.call("GET", "/nodes", nil, &list)
	for _, n := range list.Items {
		if n.Name == lab.NodeName && n.Kubelet == "" {
			t.Errorf("the facts of %s are those of another: %+v", lab.NodeName, list.Items)
		}
	}
	if after := len(s.findings()["node/kubelet-anonymous-auth"]); after != before {
		t.Errorf("%d findings, %d before", after, before)
	}
	if status := send(nil, protocol.BeatPath, `{}`); status == http.StatusOK {
		t.Error("a beat without a certificate is taken")
	}
	// An imitation of the enrolled node, with a token that is good: its machine is another.
	imitated := exec.Command(stockade, "agent", "--server", serverAddress, "--ca-pin", strings.TrimPrefix(s.pin, "sha256:"), "--state", t.TempDir(), "--node", lab.NodeName, "--root", t.TempDir())
	var answer output
	imitated.Env, imitated.Stderr = append(os.Environ(), "STOCKADE_AGENT_TOKEN="+in.Token), &answer
	defer s.Start(t, imitated)()
	lab.Eventually(t, "the imitation is refused", func() error {
		if strings.Contains(answer.String(), "not enrolled") {
			return nil
		}
		return fmt.Errorf("it says %s", answer.String())
	})
	t.Log(answer.String())
	for _, n := range list.Items { // it has said all that it has to say: nobody is to wait for it
		if n.Name == "spare" {
			s.call("DELETE", "/nodes/"+n.ID, nil, nil)
		}
	}
	if status := send([]tls.Certificate{pair}, protocol.ReportPath, facts); status != http.StatusForbidden {
		t.Errorf("an agent that was forgotten is answered with %d", status)
	}
}

// greeted connects to an OpenSSH server as clients do.
func (s *site) greeted(t *testing.T, pod string) {
	t.Helper()
	lab.Eventually(t, "the SSH server of the pod answers", func() error {
		c, err := s.Dial(t.Context(), "tcp", net.JoinHostPort(pod, "22"))
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		said, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && !strings.HasPrefix(said, "SSH-2.0-OpenSSH_") {
			err = fmt.Errorf("it says %q", said)
		}
		return err
	})
}

// sshServer is Debian's OpenSSH server with a key of its own, in an image without a shell.
func sshServer(t *testing.T) lab.Image {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, empty := filepath.Join(dir, "key"), filepath.Join(dir, "empty")
	if err := errors.Join(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600), os.Mkdir(empty, 0o755)); err != nil {
		t.Fatal(err)
	}
	return lab.Image{Files: map[string]string{"/": images.Unpacked(t, "sshd", images.OpenSSH...), "/etc/ssh/ssh_host_ecdsa_key": file, "/run/sshd": empty},
		Texts: map[string]string{"/etc/passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n", "/etc/group": "root:x:0:\n",
			"/etc/ssh/sshd_config": "HostKey /etc/ssh/ssh_host_ecdsa_key\nPidFile none\n"},
		Entrypoint: []string{"/usr/sbin/sshd", "-D", "-e"}, User: "0"}
}

func shopProgram(t *testing.T) string {
	return images.GoProgram(t, "web", map[string]string{"go.mod": "module example.com/web\n\ngo 1.24.0\n", "main.go": program}, ".")
}
