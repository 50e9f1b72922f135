package lab_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"stockade.dev/stockade/e2e/lab"
)

// needNode ends the test with success where no node can run, and says so: the
// light form is tested for itself.
func needNode(t *testing.T) bool {
	t.Helper()
	if err := lab.NodePossible(); err != nil {
		t.Logf("only the light form runs here: %v", err)
		return false
	}
	return true
}

// machine is what a node might leave behind: what the kernel has of mounts,
// settings, cgroups and interfaces.
func machine(t *testing.T) map[string]string {
	t.Helper()
	state := map[string]string{}
	for line := range strings.Lines(readFile(t, "/proc/self/mounts")) { // other tests mount too, at places of their own
		if strings.Contains(line, "kube") || strings.Contains(line, "container") || strings.Contains(line, "stockade-lab") || strings.Contains(line, "cni") {
			state["mount "+line] = "there"
		}
	}
	for _, name := range []string{"/proc/sys/vm/overcommit_memory", "/proc/sys/vm/panic_on_oom", "/proc/sys/kernel/panic", "/proc/sys/kernel/panic_on_oops",
		"/proc/sys/kernel/keys/root_maxkeys", "/proc/sys/kernel/keys/root_maxbytes", "/proc/sys/net/ipv4/ip_forward"} {
		state[name] = readFile(t, name)
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		state["interface "+i.Name] = i.HardwareAddr.String()
	}
	for _, name := range []string{"/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers", "/usr/libexec/kubernetes", "/run/containerd", "/run/flannel", "/opt/containerd"} {
		_, err := os.Stat(name)
		state[name] = fmt.Sprint(err == nil)
	}
	return state
}

// traces are processes and cgroups of the node in this folder.
func traces(t *testing.T, folder string) error {
	t.Helper()
	name := filepath.Base(folder)
	groups, err := exec.Command("find", "/sys/fs/cgroup", "-name", name).Output()
	if err != nil || len(groups) > 0 {
		return fmt.Errorf("cgroups: %s %w", groups, err)
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range processes {
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(name)) {
			return fmt.Errorf("%s: %s", file, bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the folder: %v", err)
	}
	return nil
}

// The story of one node.
func TestNode(t *testing.T) {
	if !needNode(t) {
		return
	}
	before := machine(t)
	n := lab.NodeForTest(t, lab.NodeConfig{})
	t.Run("pod", func(t *testing.T) { testPod(t, n) })
	t.Run("registry", func(t *testing.T) { testRegistry(t, n) })
	t.Run("network", func(t *testing.T) { testNetwork(t, n) })
	t.Run("static pod", func(t *testing.T) {
		n.StaticPod(t, "static", pod("default", "static", lab.PauseImage, false))
		n.WaitPod(t, "default", "static-"+lab.NodeName)
	})
	t.Run("one at a time", func(t *testing.T) {
		if _, err := lab.StartNode(t.Context(), lab.NodeConfig{}); err == nil || !strings.Contains(err.Error(), "one at a time") {
			t.Errorf("a second node: %v", err)
		}
	})
	t.Run("Gatekeeper", func(t *testing.T) { testGatekeeper(t, n) })
	t.Run("restart", func(t *testing.T) {
		n.Kill("kube-apiserver")
		if err := n.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		n.WaitPod(t, "default", "till")
	})
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := traces(t, n.Dir()); err != nil {
		t.Errorf("left behind: %v", err)
	}
	after := machine(t)
	for name, was := range before {
		if after[name] != was {
			t.Errorf("%s was %q and is %q", name, was, after[name])
		}
	}
	for name := range after {
		if _, known := before[name]; !known {
			t.Errorf("new: %s", name)
		}
	}
}

func testPod(t *testing.T, n *lab.Node) {
	n.MustApply(t, pod("default", "till", lab.PauseImage, false))
	n.WaitPod(t, "default", "till")
	n.MustApply(t, deployment("default", "shop", lab.PauseImage))
	n.WaitDeployment(t, "default", "shop")
	// RBAC is on: a stranger may nothing.
	config, err := n.KubeconfigFor("jane")
	if err != nil {
		t.Fatal(err)
	}
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return // only a look from another program's side
	}
	var out bytes.Buffer
	cmd := exec.Command(kubectl, "--kubeconfig", config, "--cache-dir", t.TempDir(), "get", "pods")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := n.Run(cmd); err == nil || !strings.Contains(out.String(), `User "jane" cannot list`) {
		t.Errorf("jane: %v: %s", err, out.String())
	}
}

// testRegistry: an image under any name comes from the node's registry, with its
// digest.
func testRegistry(t *testing.T, n *lab.Node) {
	image, err := lab.Image{Texts: map[string]string{"/etc/shop": "apples\n"}, Files: map[string]string{"/labnode": helper(t)}, Entrypoint: []string{"/labnode", "pause"}}.Build()
	if err != nil {
		t.Fatal(err)
	}
	digest := n.Push(t, "shop/till:1.0", image)
	for name, ref := range map[string]string{"by-tag": "registry.example.com/shop/till:1.0", "by-digest": lab.RegistryHost + "/shop/till@" + digest} {
		n.MustApply(t, pod("default", name, ref, false))
		status := n.WaitPod(t, "default", name).Status.ContainerStatuses[0]
		if !strings.HasSuffix(status.ImageID, "@"+digest) {
			t.Errorf("%s: the image is %s, want digest %s", name, status.ImageID, digest)
		}
	}
}

// helper builds the node's own helper once more, for a program that waits.
func helper(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "labnode")
	build := exec.Command("go", "build", "-o", path, "./cmd/labnode")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// testNetwork: this process listens and dials inside, programs run there, and a
// browser comes in through a forwarded port.
func testNetwork(t *testing.T, n *lab.Node) {
	l, err := n.Listen(lab.NodeAddress + ":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello from inside") })}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	inside := l.Addr().String()
	for from, client := range map[string]*http.Client{"http://" + inside: n.Client(), "http://" + n.Expose(t, inside): http.DefaultClient} {
		resp, err := client.Get(from)
		if err != nil {
			t.Error(err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "hello from inside" {
			t.Errorf("%s says %q", from, body)
		}
	}
	var out bytes.Buffer
	cmd := exec.Command("ip", "-brief", "address")
	cmd.Stdout = &out
	if err := n.Run(cmd); err != nil || !strings.Contains(out.String(), lab.NodeAddress) {
		t.Errorf("a program inside sees %v: %s", err, out.String())
	}
	if _, err := n.Dial(t.Context(), "tcp", lab.NodeAddress+":1"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("dialling where nobody listens: %v", err)
	}
	if err := n.Run(exec.Command("/no/such/program")); err == nil {
		t.Error("a program that is not there runs")
	}
	if _, err := n.Exec(t.Context(), "ctr", "no-such-command"); err == nil {
		t.Error("a program that fails inside has no error")
	}
}

// testGatekeeper: in pods, with a provider in a pod that Gatekeeper finds by name
// and that asks for its certificate.
func testGatekeeper(t *testing.T, n *lab.Node) {
	n.Gatekeeper(t, lab.GatekeeperOptions{})
	secret, err := n.Kube.CoreV1().Secrets(lab.GatekeeperNamespace).Get(t.Context(), "gatekeeper-webhook-server-cert", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const host = "provider.provider.svc"
	program, folder, ca := buildProvider(t, secret.Data["ca.crt"], host)
	n.LoadImage(t, "lab.example.com/provider:1", lab.Image{Files: map[string]string{"/provider": program}, Entrypoint: []string{"/provider"}, Command: []string{":8443", "/certs"}})
	n.MustApply(t, providerObjects(t, folder))
	n.WaitDeployment(t, "provider", "provider")
	n.WaitService(t, "provider", "provider")
	testPolicies(t, n.API, "https://"+host+":8443/validate", ca)

	// Without a certificate the provider does not talk.
	client := n.Client()
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	service, err := n.Kube.CoreV1().Services("provider").Get(t.Context(), "provider", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := client.Post("https://"+service.Spec.ClusterIP+":8443/validate", "application/json", strings.NewReader("{}")); err == nil {
		resp.Body.Close()
		t.Errorf("a client without a certificate is answered: %s", resp.Status)
	}
}

func providerObjects(t *testing.T, folder string) string {
	t.Helper()
	data := ""
	for _, name := range []string{"tls.crt", "tls.key", "client-ca.crt"} {
		data += "  " + name + ": " + base64.StdEncoding.EncodeToString([]byte(readFile(t, filepath.Join(folder, name)))) + "\n"
	}
	return `
apiVersion: v1
kind: Namespace
metadata: {name: provider}
---
apiVersion: v1
kind: Secret
metadata: {name: certs, namespace: provider}
data:
` + data + `---
apiVersion: v1
kind: Service
metadata: {name: provider, namespace: provider}
spec: {selector: {app: provider}, ports: [{port: 8443}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: provider, namespace: provider}
spec:
  selector: {matchLabels: {app: provider}}
  template:
    metadata: {labels: {app: provider}}
    spec:
      containers:
      - name: provider
        image: lab.example.com/provider:1
        readinessProbe: {tcpSocket: {port: 8443}, periodSeconds: 1}
        volumeMounts: [{name: certs, mountPath: /certs, readOnly: true}]
      volumes: [{name: certs, secret: {secretName: certs}}]
`
}

// A killed test leaves nothing behind either.
func TestNodeEndsWithTheTestProcess(t *testing.T) {
	if os.Getenv("LAB_TEST_CHILD") != "" {
		n, err := lab.StartNode(context.Background(), lab.NodeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("\nchild: %s\n", n.Dir())
		select {} // until killed
	}
	if !needNode(t) {
		return
	}
	child, line := startChild(t, "TestNodeEndsWithTheTestProcess")
	folder := strings.TrimPrefix(line, "child: ")
	if traces(t, folder) == nil {
		t.Fatal("a node that runs leaves no trace: the test looks at the wrong place")
	}
	before := machine(t)
	child.Kill()
	child.Wait()
	eventually(t, "everything goes", func() error { return traces(t, folder) })
	for name, now := range machine(t) {
		if before[name] != now {
			t.Errorf("%s was %q and is %q", name, before[name], now)
		}
	}
}
