package task

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"stockade.dev/stockade/frameworks"
	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/snapshot"
	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/triage"
	"stockade.dev/stockade/rules"
)

// demoFleet is the demo's shop as a cluster.
type demoFleet struct{}

type demoSource struct{ *snapshot.Source }

func (demoSource) PullSecret(context.Context, string, string) ([]byte, error) {
	return nil, store.ErrNotFound
}

func (demoFleet) Open(context.Context, int64) (fleet.Source, error) {
	src, err := snapshot.Open("../../demo/shop")
	return demoSource{src}, err
}

func (demoFleet) Contact(context.Context, int64, inventory.ClusterInfo, int, error) error { return nil }

// demoReader reads the demo's saved inventories.
func demoReader(t *testing.T) *examine.Reader {
	t.Helper()
	r := examine.NewReader(image.Options{})
	r.Offline, r.Saved = true, map[string]*inventory.Software{}
	files, _ := filepath.Glob("../../demo/inventories/*.json")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sw := new(inventory.Software)
		if err := json.Unmarshal(data, sw); err != nil {
			t.Fatal(err)
		}
		r.Saved[sw.Image.Reference] = sw
		if sw.Image.Digest != "" {
			r.Saved[sw.Image.Digest] = sw
		}
	}
	return r
}

// words are what of a result must be the same.
func words(found []*finding.Finding, clauses []finding.Clause, gaps []finding.NotScanned) []string {
	var out []string
	for _, f := range found {
		out = append(out, "finding "+f.Fingerprint+" "+f.Rule+" "+f.Resource.Name+f.Resource.Image+" "+string(f.Status)+" "+f.Message.EN)
	}
	for _, c := range clauses {
		out = append(out, "clause "+c.Framework+" "+c.Clause+" "+string(c.Status))
	}
	for _, g := range gaps {
		out = append(out, "gap "+g.Target+" "+g.What+" "+g.Reason+" "+string(g.Code))
	}
	slices.Sort(out)
	return out
}

// TestDemo: the server's verdicts on the demo's shop are those of the command line, when its images are read for the first time and
// when they are known.
func TestDemo(t *testing.T) {
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	all, err := compliance.Load(frameworks.FS)
	if err != nil {
		t.Fatal(err)
	}
	reader := demoReader(t)
	src, err := snapshot.Open("../../demo/shop")
	if err != nil {
		t.Fatal(err)
	}
	var want heard
	_, err = scan.Run(t.Context(), scan.Config{Library: lib, Analyzers: analyze.All, Frameworks: all, Info: src.Info,
		Software: &scan.Software{Load: reader.Load, NoDatabase: noDatabase},
		Header:   finding.Header{Target: finding.Target{Kind: "cluster", Name: "shop"}}}, src, &fakeIngest{&want})
	if err != nil {
		t.Fatal(err)
	}
	plain := words(want.found, want.clauses, want.gaps)
	if len(plain) < 500 {
		t.Fatalf("only %d words", len(plain))
	}
	reader = demoReader(t)
	reader.Remote = true // without it the image "docker:24" would be one of this machine's Docker
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 0, func(o *Options) {
			o.Library, o.Frameworks, o.Fleet = lib, all, demoFleet{}
			o.Reader = func(examine.PullSecret) ImageReader { return reader }
		})
		id := r.cluster("shop")
		for _, when := range []string{"first", "known"} {
			r.heard.found, r.heard.clauses, r.heard.gaps, r.heard.runs = nil, nil, nil, nil
			r.await(r.create(Request{Scope: Scope{Targets: []int64{id}}}).ID)
			got := words(r.heard.found, r.heard.clauses, r.heard.gaps)
			if !slices.Equal(got, plain) {
				t.Errorf("%s: %d words, want %d", when, len(got), len(plain))
				for _, w := range got {
					if !slices.Contains(plain, w) {
						t.Errorf("too much: %s", w)
					}
				}
				for _, w := range plain {
					if !slices.Contains(got, w) {
						t.Errorf("missing: %s", w)
					}
				}
			}
		}
		surveyed(t, r, id)
		// A task for some parts gives the same findings of these, and verdicts when compliance is asked for.
		r.heard.found, r.heard.clauses, r.heard.gaps = nil, nil, nil
		r.await(r.create(Request{Scope: Scope{Targets: []int64{id}}, Parts: []Part{Permissions, Compliance}}).ID)
		n := 0
		for _, f := range want.found {
			if f.Kind == finding.Permission {
				n++
			}
		}
		if len(r.heard.found) != n || len(r.heard.clauses) != len(want.clauses) {
			t.Errorf("%d findings, want %d; %d clauses, want %d", len(r.heard.found), n, len(r.heard.clauses), len(want.clauses))
		}
		for _, c := range r.heard.clauses {
			if !slices.ContainsFunc(want.clauses, func(w finding.Clause) bool {
				return w.Framework == c.Framework && w.Clause == c.Clause && w.Status == c.Status
			}) {
				t.Errorf("another verdict: %+v", c)
			}
		}
		verifyOne(t, r, id, want.found)
	})
}

// verifyOne looks at one workload and one image again, and takes findings of nothing else.
func verifyOne(t *testing.T, r *rig, target int64, all []*finding.Finding) {
	t.Helper()
	var workload, image *finding.Finding
	for _, f := range all {
		if f.Resource.Kind == "Deployment" {
			workload = f
		}
		if f.Resource.Image != "" && f.Resource.Kind == "" {
			image = f
		}
	}
	ref := inventory.Ref{APIVersion: workload.Resource.APIVersion, Kind: "Deployment", Namespace: workload.Resource.Namespace, Name: workload.Resource.Name}
	want := map[string]bool{}
	for _, f := range all {
		if f.Resource.Kind == "Deployment" && f.Resource.Namespace == ref.Namespace && f.Resource.Name == ref.Name || f.Resource.Image == image.Resource.Image && f.Resource.Kind == "" {
			want[f.Fingerprint] = true
		}
	}
	r.heard.found, r.heard.clauses, r.heard.runs = nil, nil, nil
	task, err := r.s.Verify(t.Context(), target, []inventory.Ref{ref, triage.ImageRef(image.Resource.Image)})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.await(task.ID); got.Status != Finished || r.heard.runs[0].Kind != triage.Verify || len(r.heard.clauses) != 0 {
		t.Errorf("%+v %+v", got, r.heard.runs)
	}
	got := map[string]bool{}
	for _, f := range r.heard.found {
		got[f.Fingerprint] = true
		if !want[f.Fingerprint] {
			t.Errorf("too much: %+v", f)
		}
	}
	if len(got) != len(want) || len(want) < 2 {
		t.Errorf("%d findings, want %d", len(got), len(want))
	}
}
