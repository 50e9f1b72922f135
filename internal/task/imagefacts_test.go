package task

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/inventory"
)

// TestFacts: what lists show of an image is bounded, and its chain is that of the image below it.
func TestFacts(t *testing.T) {
	layer := func(names ...string) (out []inventory.Layer) {
		for _, n := range names {
			out = append(out, inventory.Layer{DiffID: n, Digest: "packed " + n, Size: 5})
		}
		return out
	}
	below := factsOf(&inventory.Software{Layers: layer("a", "b")}, "x")
	above := factsOf(&inventory.Software{Layers: layer("a", "b", "c"), OS: &inventory.OS{Release: "Debian 12\x00"},
		Image: &inventory.Image{Created: time.Unix(0, 0), Labels: map[string]string{inventory.LabelBaseName: strings.Repeat("é", 400), inventory.LabelBaseDigest: "\xff"}}}, "y")
	if below.Chain == 0 || above.Chain == below.Chain || !strings.Contains(string(above.Chains), string(below.Chains)) || len(above.Chains) != 24 {
		t.Errorf("chains %x and %x", below.Chains, above.Chains)
	}
	if above.Size != 15 || above.OS != "Debian 12" || !above.CreatedAt.IsZero() || len(above.BaseName) > 500 || above.BaseDigest != "\uFFFD" {
		t.Errorf("%+v", above)
	}
	other := factsOf(&inventory.Software{Layers: layer("b", "a")}, "z")
	none := factsOf(&inventory.Software{Layers: []inventory.Layer{{DiffID: "a"}, {Digest: "b"}}}, "z")
	many := factsOf(&inventory.Software{Layers: make([]inventory.Layer, 5000)}, "z")
	if other.Chain == below.Chain || none.Chain != 0 || many.Chain != 0 {
		t.Errorf("%d, %d, %d", other.Chain, none.Chain, many.Chain)
	}
}

// surveyed holds what a scan of the demo's shop keeps of its images and core components.
func surveyed(t *testing.T, r *rig, target int64) {
	t.Helper()
	if a, b := r.count("SELECT count(*) FROM image_facts"), r.count("SELECT count(*) FROM inventories"); a != b || a == 0 {
		t.Errorf("facts of %d images, of %d inventories", a, b)
	}
	var body string
	if err := r.db.R.NewRaw("SELECT body FROM cluster_components WHERE target_id = ?", target).Scan(t.Context(), &body); err != nil {
		t.Fatal(err)
	}
	var s inventory.CoreSurvey
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatal(err)
	}
	seen := map[string]inventory.CoreSighting{}
	for _, c := range s.Components {
		seen[c.Name] = c
	}
	if c := seen["kube-apiserver"]; !c.Static || c.NodeCount == 0 || c.Version == "" {
		t.Errorf("kube-apiserver: %+v", c)
	}
	if c := seen["coredns"]; c.Static || c.Workload != "Deployment kube-system/coredns" {
		t.Errorf("coredns: %+v", c)
	}
	if c := seen["calico/node"]; c.NotScanned == "" {
		t.Errorf("calico was not read, and nothing says so: %+v", c)
	}
	if len(s.Nodes) == 0 || s.Nodes[0].Kubelet == "" {
		t.Errorf("nodes: %+v", s.Nodes)
	}
}
