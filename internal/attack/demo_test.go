package attack

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/snapshot"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/rules"
)

// shop scans the demo's cluster, with its saved images, and builds its graph.
func shop(t *testing.T, matching examine.Matching) *Graph {
	t.Helper()
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	src, err := snapshot.Open("../../demo/shop")
	if err != nil {
		t.Fatal(err)
	}
	reader := examine.NewReader(image.Options{})
	reader.Offline, reader.Saved = true, map[string]*inventory.Software{}
	files, err := filepath.Glob("../../demo/inventories/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sw := new(inventory.Software)
		if err := json.Unmarshal(data, sw); err != nil {
			t.Fatal(err)
		}
		reader.Saved[sw.Image.Reference] = sw
		if sw.Image.Digest != "" {
			reader.Saved[sw.Image.Digest] = sw
		}
	}
	ev := Listen(nobody{})
	cfg := scan.Config{Library: lib, Analyzers: analyze.All, Info: src.Info, Cluster: ev.Cluster,
		Software: &scan.Software{Load: reader.Load, Match: matching},
		Header:   finding.Header{StartedAt: time.Now(), Target: finding.Target{Kind: "cluster", Name: "shop"}}}
	if _, err := scan.Run(context.Background(), cfg, src, ev); err != nil {
		t.Fatal(err)
	}
	if ev.Graph() == nil {
		t.Fatal("the scan gave no cluster")
	}
	return ev.Graph()
}

// log4shell finds one vulnerability, in every image with the library.
func log4shell(sw *inventory.Software, use scan.Use, cluster string) ([]*finding.Finding, []inventory.Gap, string) {
	for _, p := range sw.Packages {
		if strings.HasSuffix(p.Name, "log4j-core") {
			f := vulnerable(use.Reference, "CVE-2021-44228", remoteCode, finding.Critical)
			f.Resource.Cluster, f.Resource.Workloads, f.Vulnerability.KEV, f.Vulnerability.Package = cluster, use.Workloads, true, p.Name
			return []*finding.Finding{f}, nil, ""
		}
	}
	return nil, nil, ""
}

// TestDemo: the demo's shop has the paths that it is there to show, and its careful teams have none.
func TestDemo(t *testing.T) {
	g := shop(t, log4shell)
	a := g.Rank(Question{})
	checkGraph(t, g, a)
	for _, want := range []string{"StatefulSet shop/search → cluster-admin", "Deployment shop/checkout → cluster-admin", "Deployment shop/recommendation → Every Secret of the cluster",
		"Deployment legacy/kubernetes-dashboard → cluster-admin"} {
		if !slices.ContainsFunc(a.Paths, func(p Path) bool { return p.Title.EN == want && p.Severity == finding.Critical }) {
			t.Errorf("no critical path %s", want)
		}
	}
	for _, p := range a.Paths {
		if strings.Contains(p.Title.EN, "team-alpha/") || strings.Contains(p.Title.EN, "payments/") {
			t.Errorf("a careful team has the path %s", p.Title.EN)
		}
	}
	first := a.Cuts[0]
	if g.Changes[first.Changes[0]].Key != "unbind/ClusterRoleBinding everyone-reads" || first.Removes < 3 {
		t.Errorf("the first cut is %q and ends %d of %d", first.Title.EN, first.Removes, first.Of)
	}
	linked := 0
	for _, e := range g.Edges {
		for _, p := range e.Proof {
			if p.Fingerprint != "" {
				linked++
			}
			for _, secret := range []string{"Pa55", "not-a-real-password", "hunter22", "fake-", "AKIAFAKE", "Harbor12345"} {
				if strings.Contains(p.Value+p.Path, secret) {
					t.Errorf("a proof shows a credential: %+v", p)
				}
			}
		}
	}
	if linked < 10 {
		t.Errorf("only %d proofs have a finding", linked)
	}
	codes := map[string]bool{}
	for _, gap := range g.Gaps {
		codes[gap.Code] = true
	}
	if !codes["images"] || codes["vulnerabilities"] || codes["network"] {
		t.Errorf("gaps %v", g.Gaps)
	}
}

// TestSameTwice: a graph does not hang on the order of maps.
func TestSameTwice(t *testing.T) {
	first, second := shop(t, log4shell), shop(t, log4shell)
	x, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(second)
	if err != nil {
		t.Fatal(err)
	}
	if string(x) != string(y) {
		t.Error("two scans of the same cluster give two graphs")
	}
}
