package scan

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/collect/dockerfile"
	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/collect/snapshot"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// ledger is a handler that keeps the assets as lines.
type ledger struct{ lines []string }

func (*ledger) Begin(finding.Header) error                         { return nil }
func (*ledger) Finding(*finding.Finding) error                     { return nil }
func (*ledger) Clause(finding.Clause) error                        { return nil }
func (*ledger) NotScanned(finding.NotScanned) error                { return nil }
func (*ledger) End(time.Time, finding.Target, finding.Stats) error { return nil }
func (l *ledger) Asset(a finding.Asset) error {
	line := strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s", a.Kind, a.GroupKind, a.Namespace, a.Name)), " ")
	for _, r := range a.Runs {
		line += " runs " + r.Reference + "@" + r.Digest
	}
	if a.Digest != "" {
		line += " digest " + a.Digest
	}
	if a.Unread != "" {
		line += " unread: " + a.Unread
	}
	l.lines = append(l.lines, line)
	return nil
}

func assetsOf(t *testing.T, kind string, source Source, software *Software) []string {
	t.Helper()
	l := &ledger{}
	_, err := Run(context.Background(), Config{Library: library(t), Analyzers: analyze.All, Software: software,
		Header: finding.Header{Target: finding.Target{Kind: kind, Name: "shop"}, StartedAt: time.Now()}}, source, l)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(l.lines)
	return l.lines
}

// TestAssets holds what is told of the things that were looked at: workloads once with the images they run, by the references and
// digests of the images' own entries; what could not be read with its reason.
func TestAssets(t *testing.T) {
	const running = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: till, namespace: shop, uid: d}
spec: {template: {spec: {containers: [{name: a, image: "registry.example.com/till:1"}, {name: b, image: "registry.example.com/gone:1"}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: shop}
spec: {containers: [{name: a, image: "registry.example.com/till:stable"}]}
status: {containerStatuses: [{name: a, image: "x", imageID: "registry.example.com/till@sha256:1111111111111111111111111111111111111111111111111111111111111111"}]}
---
apiVersion: v1
kind: Service
metadata: {name: till, namespace: shop}
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(running), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func() Source {
		s, err := snapshot.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	prepared := 0
	software := &Software{
		Prepare: func(_ context.Context, uses []Use) error { prepared = len(uses); return nil },
		Load: func(_ context.Context, u Use) (*inventory.Software, error) {
			if strings.Contains(u.Reference, "gone") {
				return nil, fmt.Errorf("no such image")
			}
			return &inventory.Software{Kind: "image", Name: u.Reference, Image: &inventory.Image{Digest: "sha256:platform"}}, nil
		}}
	got := assetsOf(t, "cluster", open(), software)
	want := []string{
		"cluster shop",
		"image registry.example.com/gone:1 unread: no such image",
		"image registry.example.com/till:1 digest sha256:platform",
		"image registry.example.com/till:stable digest sha256:platform",
		"namespace Namespace shop",
		"object Service shop till",
		"workload Deployment.apps shop till runs registry.example.com/till:1@sha256:platform runs registry.example.com/gone:1@",
		"workload Pod shop alone runs registry.example.com/till:stable@sha256:platform",
	}
	got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "rule ") || strings.HasPrefix(s, "object Node") })
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if prepared != 3 {
		t.Errorf("Prepare was called with %d images", prepared)
	}
	left := assetsOf(t, "cluster", open(), nil)
	if !slices.Contains(left, "image registry.example.com/till:1 unread: images were left out of this scan") {
		t.Errorf("images that were left out: %s", strings.Join(left, "\n"))
	}

	if err := os.WriteFile(filepath.Join(dir, "broken.yaml"), []byte("kind: Pod\napiVersion: v1\n\tx: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	files := assetsOf(t, "iac", &Files{Paths: []string{dir}, Options: manifest.WalkOptions{IsDockerfile: dockerfile.IsDockerfile}}, nil)
	all := strings.Join(files, "\n")
	if !strings.Contains(all, "file "+filepath.Join(dir, "all.yaml")) || !strings.Contains(all, "file "+filepath.Join(dir, "broken.yaml")+" unread: ") {
		t.Errorf("files:\n%s", all)
	}
}
