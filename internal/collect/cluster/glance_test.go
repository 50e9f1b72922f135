package cluster

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// TestGlance: a large cluster is told of with a few requests, and refusals do not end it.
func TestGlance(t *testing.T) {
	for _, aggregated := range []bool{true, false} {
		for _, forbidden := range []bool{true, false} {
			f := small(t)
			f.aggregated = aggregated
			f.add("/api/v1/nodes", "Node", `{"metadata":{"name":"n","labels":{"eks.amazonaws.com/nodegroup":"a"}}}`)
			f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				if forbidden && (r.URL.Path == "/api" || r.URL.Path == "/apis" || r.URL.Path == "/api/v1/nodes") {
					f.status(w, 403, "Forbidden", "no")
					return true
				}
				return false
			}
			s, err := OpenREST(context.Background(), Config{Name: "shop"}, &rest.Config{Host: f.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
			if err != nil {
				t.Fatal(err)
			}
			g, err := s.Glance(context.Background())
			if err != nil || g.Info.Name != "shop" || g.Info.Version != "v1.34.4" || g.Tried != forbidden {
				t.Fatalf("%+v, %v", g, err)
			}
			wantNodes, wantDistribution := 1, "eks"
			if forbidden {
				wantNodes, wantDistribution = -1, ""
			}
			if g.Nodes != wantNodes || g.Info.Distribution != wantDistribution {
				t.Errorf("%d nodes, %s", g.Nodes, g.Info.Distribution)
			}
			found := false
			for _, k := range g.Served {
				found = found || k.Kind.Kind == "Deployment" && k.APIVersion == "apps/v1"
			}
			if !found {
				t.Errorf("no Deployments among %d kinds", len(g.Served))
			}
			for _, line := range f.log {
				if strings.Contains(line, "/pods") {
					t.Errorf("a glance lists %s", line)
				}
			}
		}
	}
}

// TestRefused tells the server's no from its silence.
func TestRefused(t *testing.T) {
	for code, want := range map[int]bool{401: true, 403: true, 404: false, 502: false} {
		f := small(t)
		s, err := Open(f.config())
		if err != nil {
			t.Fatal(err)
		}
		f.fault = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			f.status(w, code, "X", "x")
			return true
		}
		if _, err := s.getOnce(context.Background(), "/version", "", &struct{}{}, 1<<20); err == nil || Refused(s.explain(err)) != want {
			t.Errorf("%d: %v", code, err)
		}
	}
}
