package lab_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/e2e/lab"
)

func TestProxy(t *testing.T) {
	cp := lab.ForTest(t, lab.Config{})
	proxy, err := lab.NewProxy(cp)
	if err != nil {
		t.Fatal(err)
	}
	api := caller{t, clientOf(t, proxy.Kubeconfig()), proxy.URL()}
	const pods = "/api/v1/pods"

	t.Run("honest", func(t *testing.T) {
		api := api.in(t)
		api.send("POST", "/api/v1/namespaces/default/pods", "application/json", privilegedPod("one"), 201)
		wantPods(t, api, "one")
		if !slices.Contains(proxy.Requests(), "GET "+pods) {
			t.Errorf("the requests are %v", proxy.Requests())
		}
	})
	t.Run("RBAC", func(t *testing.T) {
		path, err := proxy.KubeconfigFor("jane")
		if err != nil {
			t.Fatal(err)
		}
		jane := caller{t, clientOf(t, path), proxy.URL()}
		if got := jane.get(pods, 403); !strings.Contains(got, `User \"jane\" cannot list`) {
			t.Errorf("the refusal says %s", got)
		}
		req, _ := http.NewRequest("GET", proxy.URL()+pods, nil)
		req.Header.Set("Impersonate-User", "lab-admin")
		req.Header.Set("Impersonate-Group", "system:masters")
		resp, err := jane.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != 403 {
			t.Errorf("jane impersonates the administrator: %s", resp.Status)
		}
	})
	t.Run("cut", func(t *testing.T) {
		proxy.Inject(lab.CutAfter(100), pods)
		defer proxy.Heal()
		_, got, err := api.in(t).do("GET", pods, "", "")
		if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) != 100 {
			t.Errorf("got %d bytes and %v", len(got), err)
		}
		api.in(t).get("/readyz", 200) // another path
	})
	t.Run("stall", func(t *testing.T) {
		for name, fault := range map[string]lab.Fault{"at once": lab.Stall(), "in the body": lab.StallAfter(100)} {
			t.Run(name, func(t *testing.T) { testStall(t, proxy, fault, api.in(t)) })
		}
	})
	t.Run("HTML", func(t *testing.T) {
		proxy.Inject(lab.HTML())
		defer proxy.Heal()
		if got := api.in(t).get(pods, 200); !strings.HasPrefix(got, "<!doctype html>") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("API server down", func(t *testing.T) {
		cp.Kill()
		if status, _, err := api.in(t).do("GET", pods, "", ""); err == nil {
			t.Errorf("the proxy answers %d for a dead API server", status)
		}
		if err := cp.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantPods(t, api.in(t), "one")
	})
	t.Run("closed with the control plane", func(t *testing.T) {
		if err := cp.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := api.in(t).do("GET", pods, "", ""); err == nil {
			t.Error("the proxy still answers")
		}
		if _, err := lab.NewProxy(cp); err == nil {
			t.Error("a closed control plane got a proxy")
		}
	})
}

// A stalled request ends with the client's patience, or goes on when healed.
func testStall(t *testing.T, proxy *lab.Proxy, fault lab.Fault, api caller) {
	proxy.Inject(fault, "/api/v1/pods")
	defer proxy.Heal()
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, "GET", proxy.URL()+"/api/v1/pods", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := api.client.Do(req)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stalled request ended with %v", err)
	}

	seen := len(proxy.Requests())
	answered := make(chan error, 1)
	go func() {
		status, _, err := api.do("GET", "/api/v1/pods", "", "")
		if err == nil && status != 200 {
			err = errors.New(http.StatusText(status))
		}
		answered <- err
	}()
	eventually(t, "the request arrives", func() error {
		if len(proxy.Requests()) == seen {
			return errors.New("not yet")
		}
		return nil
	})
	proxy.Heal()
	if err := <-answered; err != nil {
		t.Errorf("a healed request ended with %v", err)
	}
}
