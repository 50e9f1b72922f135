package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"stockade.dev/stockade/e2e/lab"
)

// The story of one control plane, told for each version.
func TestControlPlane(t *testing.T) {
	for _, version := range lab.Versions() {
		t.Run(version, func(t *testing.T) {
			cp := lab.ForTest(t, lab.Config{Version: version})
			apiserver, etcd := cp.PIDs()
			t.Logf("RSS: kube-apiserver %s, etcd %s", rss(t, apiserver), rss(t, etcd))

			api := caller{t, cp.Client(), cp.URL()}
			if got := api.get("/version", 200); !strings.Contains(got, `"gitVersion": "`+version+`"`) {
				t.Errorf("/version says %s", got)
			}
			api.send("POST", "/api/v1/namespaces", "application/json", namespace("shop"), 201)
			api.send("POST", "/api/v1/namespaces/shop/pods", "application/json", privilegedPod("till"), 201)
			wantPods(t, api, "till")

			t.Run("apply", func(t *testing.T) { testApply(t, api.in(t)) })
			t.Run("RBAC", func(t *testing.T) { testRBAC(t, cp, api.in(t)) })
			t.Run("wrong CA", func(t *testing.T) { testWrongCA(t, cp) })
			t.Run("kill and restart", func(t *testing.T) {
				cp.Kill()
				// By a new connection: one kept from before may only now notice its end.
				if _, err := net.Dial("tcp", strings.TrimPrefix(cp.URL(), "https://")); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("the killed API server answers: %v", err)
				}
				began := time.Now()
				if err := cp.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
				t.Logf("ready again after %s", time.Since(began).Round(10*time.Millisecond))
				wantPods(t, api.in(t), "till")
			})

			apiserver, etcd = cp.PIDs()
			if err := cp.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			wantNothingLeft(t, cp, apiserver, etcd)
			if err := cp.Close(); err != nil {
				t.Errorf("close again: %v", err)
			}
		})
	}
}

// Server-side apply and /openapi/v2 need the OpenAPI definitions that the lab
// generates for old versions.
func testApply(t *testing.T, api caller) {
	api.send("PATCH", "/api/v1/namespaces/shop/configmaps/prices?fieldManager=lab", "application/apply-patch+yaml",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: prices}\ndata: {apple: \"1\"}\n", 201)
	if got := api.get("/api/v1/namespaces/shop/configmaps/prices", 200); !strings.Contains(got, "f:apple") {
		t.Errorf("the API server keeps no managed fields: %s", got)
	}
	if got := api.get("/openapi/v2", 200); !strings.Contains(got, "hostPID") {
		t.Error("/openapi/v2 does not describe pods")
	}
}

func testRBAC(t *testing.T, cp *lab.ControlPlane, admin caller) {
	path, err := cp.KubeconfigFor("jane", "tellers", "night shift")
	if err != nil {
		t.Fatal(err)
	}
	jane := caller{t, clientOf(t, path), cp.URL()}
	const pods = "/api/v1/namespaces/shop/pods"
	if got := jane.get(pods, 403); !strings.Contains(got, `User \"jane\" cannot list`) {
		t.Errorf("the refusal says %s", got)
	}
	admin.send("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles", "application/json",
		`{"metadata":{"name":"look"},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["list"]}]}`, 201)
	admin.send("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings", "application/json",
		`{"metadata":{"name":"look"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"look"},
		"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"night shift"}]}`, 201)
	eventually(t, "the binding takes effect", func() error {
		status, _, err := jane.do("GET", pods, "", "")
		if err == nil && status != 200 {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
	jane.get("/api/v1/namespaces/shop/secrets", 403)
}

func testWrongCA(t *testing.T, cp *lab.ControlPlane) {
	_, err := clientOf(t, cp.KubeconfigWrongCA()).Get(cp.URL() + "/readyz")
	if err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a client that trusts another CA got %v", err)
	}
}

func TestStartSaysWhyItFailed(t *testing.T) {
	_, err := lab.Start(t.Context(), lab.Config{Flags: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("the error is %v", err)
	}
	if _, err := lab.Start(t.Context(), lab.Config{Version: "1.36"}); err == nil || !strings.Contains(err.Error(), lab.Newest) {
		t.Errorf("the error for a bad version is %v", err)
	}
}

func TestEndsWithTheTestProcess(t *testing.T) {
	if os.Getenv("LAB_TEST_CHILD") != "" {
		cp, err := lab.Start(context.Background(), lab.Config{})
		if err != nil {
			t.Fatal(err)
		}
		apiserver, etcd := cp.PIDs()
		fmt.Printf("\nchild: %d %d %s\n", apiserver, etcd, cp.Dir())
		select {} // until killed
	}

	child, line := startChild(t, "TestEndsWithTheTestProcess")
	var apiserver, etcd int
	var dir string
	if _, err := fmt.Sscanf(line, "child: %d %d %s", &apiserver, &etcd, &dir); err != nil {
		t.Fatalf("the child said %q: %v", line, err)
	}
	child.Kill()
	child.Wait()
	for _, pid := range []int{apiserver, etcd} {
		eventually(t, "the processes end", func() error { return runs(pid) })
	}

	// A killed process cannot remove its folder: the next control plane does.
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("the child's folder: %v", err)
	}
	lab.ForTest(t, lab.Config{})
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of the killed process is still there: %v", err)
	}
}

// caller speaks to an API server and fails the test on an unexpected status.
type caller struct {
	t      *testing.T
	client *http.Client
	url    string
}

func (c caller) in(t *testing.T) caller { c.t = t; return c }

func (c caller) get(path string, want int) string {
	c.t.Helper()
	return c.send("GET", path, "", "", want)
}

func (c caller) send(method, path, contentType, body string, want int) string {
	c.t.Helper()
	status, got, err := c.do(method, path, contentType, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if status != want {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, status, want, got)
	}
	return got
}

func (c caller) do(method, path, contentType, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, bytes.NewBufferString(body))
	if err != nil {
		return 0, "", err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(got), err
}

// clientOf reads a kubeconfig with the library that every Go client uses.
func clientOf(t *testing.T, kubeconfig string) *http.Client {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func namespace(name string) string {
	return `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"` + name + `"}}`
}

func privilegedPod(name string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"` + name + `"},"spec":{"containers":[
		{"name":"c","image":"registry.local/c:1","securityContext":{"privileged":true}}]}}`
}

func wantPods(t *testing.T, api caller, names ...string) {
	t.Helper()
	var list struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	if err := json.Unmarshal([]byte(api.get("/api/v1/pods", 200)), &list); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, item := range list.Items {
		got = append(got, item.Metadata.Name)
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		t.Errorf("the pods are %v, want %v", got, names)
	}
}

func wantNothingLeft(t *testing.T, cp *lab.ControlPlane, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if err := runs(pid); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(cp.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(cp.URL(), "https://")); err == nil {
		conn.Close()
		t.Error("somebody listens at the API server's port")
	}
}

// runs is an error while a process with this id lives.
func runs(pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || strings.Contains(string(stat), ") Z ") { // a zombie of an orphan is for init to reap
		return nil
	}
	return fmt.Errorf("process still runs: %s", stat)
}

func rss(t *testing.T, pid int) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(regexp.MustCompile(`(?m)^VmRSS:\s*(.*)$`).FindSubmatch(status)[1])
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not so after 20 s: %v", what, err)
}
