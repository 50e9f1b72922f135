package protect

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"stockade.dev/stockade/e2e/lab"
)

// The first administrator.
const (
	adminName     = "root"
	adminPassword = "a fence keeps the cows in"
)

// consoleFolder has the stories and what they are run with, which `make build` brings.
const consoleFolder = "../../console"

// testConsole is the operator's story once more, by the console in a browser: console/stories/protection.node.ts clicks, this side
// is the owner of the Deployments, and looks afterwards whether anything is left of the protection.
func testConsole(t *testing.T, of *shop, before map[string]string) {
	s := *of
	s.t = t
	given := s.forConsole()
	if _, err := os.Stat(consoleFolder + "/node_modules/.bin/vitest"); err != nil {
		t.Fatalf("the console's tools are not there: run make build first: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), "npx", "vitest", "run", "--config", "vite.node.ts", "protection.node.ts")
	cmd.Dir, cmd.Env = consoleFolder, append(os.Environ(), "STOCKADE_STORY="+given, "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the console's story: %v\n%s\n%s\n%s", err, out, s.Explain("stockade-protect"), s.Explain("gatekeeper-system"))
	}
	t.Logf("%s", out)
	s.becomes("unprotected")
	s.clear()
	s.untouched(before)
}

// forConsole brings the cluster to where the story begins, and says what the story has to know.
func (s *shop) forConsole() string {
	s.t.Helper()
	var kept struct{ Items []struct{ ID string } }
	s.call("GET", "/policies", nil, &kept)
	for _, p := range kept.Items {
		s.call("DELETE", "/policies/"+p.ID, nil, nil)
	}
	if err := s.web("shop", "old", vulnerable); err != nil { // before anybody checks
		s.t.Fatal(err)
	}
	s.WaitDeployment(s.t, "shop", "old")
	s.scanned()
	given, err := json.Marshal(map[string]string{"url": "https://" + s.Expose(s.t, serverAddress), "inside": "https://" + serverAddress, "name": adminName, "password": adminPassword,
		"hand": s.hand(), "cluster": "shop", "id": s.target, "provider": providerImage, "vulnerable": vulnerable, "fixed": fixed, "weakness": weakness})
	if err != nil {
		s.t.Fatal(err)
	}
	return string(given)
}

// hand does for the browser's story what a client of the cluster does.
func (s *shop) hand() string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Name, Image string }
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 10_000)).Decode(&in); err != nil || r.Method != http.MethodPost || r.URL.Path != "/apply" {
			http.Error(w, fmt.Sprintf("%s %s: %v", r.Method, r.URL.Path, err), http.StatusBadRequest)
			return
		}
		refusal := ""
		if err := s.web("shop", in.Name, in.Image); err != nil {
			refusal = err.Error()
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"refusal": refusal}) // the story fails without it
	}))
	s.t.Cleanup(server.Close)
	return server.URL
}

// scanned scans the cluster and waits for the end, so that its images are known.
func (s *shop) scanned() {
	s.t.Helper()
	s.call("POST", "/tasks", map[string]any{"name": "before the story", "clusterIds": []string{s.target}}, nil)
	lab.Eventually(s.t, "the cluster is scanned", func() error {
		var list struct {
			Items []struct{ Name, Status string }
		}
		s.call("GET", "/tasks?limit=50", nil, &list)
		for _, x := range list.Items {
			if x.Status == "ready" || x.Status == "running" {
				return fmt.Errorf("%+v", x)
			}
		}
		return nil
	})
}

// clear takes the shop's own objects away.
func (s *shop) clear() {
	s.t.Helper()
	now := int64(0)
	if err := s.Kube.AppsV1().Deployments("shop").DeleteCollection(s.t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		s.t.Fatal(err)
	}
	if err := s.Kube.CoreV1().Pods("shop").DeleteCollection(s.t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}); err != nil {
		s.t.Fatal(err)
	}
	s.WaitGone(s.t, "shop")
}

// untouched compares the cluster with what was in it before.
func (s *shop) untouched(before map[string]string) {
	s.t.Helper()
	lab.Eventually(s.t, "nothing is left behind", func() error {
		var left []string
		for name := range s.inventory() {
			if _, was := before[name]; !was {
				left = append(left, name)
			}
		}
		if len(left) > 0 {
			slices.Sort(left)
			return fmt.Errorf("left: %s", strings.Join(left, ", "))
		}
		return nil
	})
	after := s.inventory()
	for name := range before {
		if _, is := after[name]; !is {
			s.t.Errorf("gone: %s", name)
		}
	}
}
