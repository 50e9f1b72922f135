package lab_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"stockade.dev/stockade/e2e/lab"
)

func pod(namespace, name, image string, privileged bool) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s}
spec:
  containers:
  - {name: c, image: %q, securityContext: {privileged: %t}}
`, name, namespace, image, privileged)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// testPolicies: Gatekeeper refuses by Rego, by CEL, and by what a provider at url
// says, and lets the rest through.
func testPolicies(t *testing.T, api *lab.API, url string, providerCA []byte) {
	for _, namespace := range []string{"rego", "cel", "data"} {
		api.MustApply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+namespace+"}}")
	}
	api.MustApply(t, fmt.Sprintf("{apiVersion: externaldata.gatekeeper.sh/v1beta1, kind: Provider, metadata: {name: lab}, spec: {url: %q, timeout: 2, caBundle: %s}}",
		url, base64.StdEncoding.EncodeToString(providerCA)))
	api.MustApply(t, readFile(t, "testdata/policies.yaml"))
	api.MustApply(t, readFile(t, "testdata/constraints.yaml"))
	for _, kind := range []string{"LabRegoPrivileged", "LabCelPrivileged", "LabImageData"} {
		api.WaitConstraint(t, kind, "lab")
	}
	for i, c := range []struct {
		namespace, image string
		privileged       bool
		refusal          string
	}{
		{"rego", lab.PauseImage, true, "Rego refuses container c"},
		{"rego", lab.PauseImage, false, ""},
		{"cel", lab.PauseImage, true, "CEL refuses a privileged container"},
		{"cel", lab.PauseImage, false, ""},
		{"data", "registry.example.com/bad:1", false, "registry.example.com/bad:1 is known to be bad, says"},
		{"data", lab.PauseImage, false, ""},
	} {
		err := api.Apply(t.Context(), pod(c.namespace, fmt.Sprintf("probe-%d", i), c.image, c.privileged))
		switch {
		case c.refusal == "" && err != nil:
			t.Errorf("%s: a good pod is refused: %v", c.namespace, err)
		case c.refusal != "" && (err == nil || !strings.Contains(err.Error(), c.refusal)):
			t.Errorf("%s: the answer is %v, want %q", c.namespace, err, c.refusal)
		}
	}
}

// buildProvider builds testdata/provider and writes its certificates.
func buildProvider(t *testing.T, clientCA []byte, names ...string) (program, folder string, ca []byte) {
	t.Helper()
	folder = t.TempDir()
	program = filepath.Join(t.TempDir(), "provider")
	build := exec.Command("go", "build", "-o", program, "./testdata/provider")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the provider: %v\n%s", err, out)
	}
	ca, cert, key, err := lab.ServingCert(names...)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"tls.crt": cert, "tls.key": key, "client-ca.crt": clientCA} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return program, folder, ca
}

// freeAddress is one on this machine's loopback that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// The light form refuses as the real one does, and its controllers make pods.
func TestLight(t *testing.T) {
	l := lab.LightForTest(t, lab.Config{}, lab.GatekeeperOptions{})
	clientCA, err := l.GatekeeperCA()
	if err != nil {
		t.Fatal(err)
	}
	program, folder, ca := buildProvider(t, clientCA, "127.0.0.1")
	address := freeAddress(t)
	provider := exec.Command(program, address, folder)
	provider.Stderr = os.Stderr
	if err := provider.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = provider.Process.Kill()
		_ = provider.Wait()
	})
	testPolicies(t, l.API, "https://"+address+"/validate", ca)

	l.MustApply(t, deployment("default", "web", lab.PauseImage))
	lab.Eventually(t, "a Deployment makes a pod", func() error { return hasPod(t.Context(), l.API, "default", "app=web") })
	l.KillGatekeeper()
	if err := l.Apply(t.Context(), pod("rego", "unchecked", lab.PauseImage, true)); err != nil {
		t.Errorf("with Gatekeeper gone a pod is refused: %v", err)
	}
}

func hasPod(ctx context.Context, api *lab.API, namespace, selector string) error {
	pods, err := api.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err == nil && len(pods.Items) == 0 {
		err = fmt.Errorf("no pod has %s", selector)
	}
	return err
}

func deployment(namespace, name, image string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  replicas: 1
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec: {containers: [{name: c, image: %[3]q}]}
`, namespace, name, image)
}
