package emergency

import (
	"context"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/emergency/check"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

const sample = `id: CVE-2020-15257
revision: 2
name: sample
title: {en: a title, zh: 标题}
what: {en: What it does., zh: 后果。}
fix: {en: Update it., zh: 升级。}
severity: high
published: '2020-11-30'
where: [node, image]
affected:
- component: containerd
  scheme: go
  spans: [{introduced: "0", fixed: 1.3.9}, {introduced: 1.4.0, fixed: 1.4.3}]
sources: [{name: a source, url: "https://example.com/1"}]
preconditions:
- check: containers
  with: {any: [{hostNetwork: true, root: true}]}
  says: {en: a root container in the host's network, zh: 主机网络中的 root 容器}
- check: answers-without-certificate
  with: {port: 2379}
  where: [node]
  says: {en: the port answers, zh: 端口应答}
`

func parsed(t testing.TB, change func(*Emergency)) *Emergency {
	t.Helper()
	e, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(e)
	}
	return e
}

func hostRoot() []inventory.ContainerFact {
	return []inventory.ContainerFact{{Namespace: "shop", Pod: "till", Container: "web", HostNet: true, Processes: []inventory.ContainerProcess{{UID: 0}}}}
}

func judged(t *testing.T, e *Emergency, s Subject, allowed ...Class) Result {
	t.Helper()
	results := Judge(t.Context(), []*Emergency{e}, s, allowed)
	if len(results) != 1 {
		t.Fatalf("%d results", len(results))
	}
	return results[0]
}

// TestRunning: what runs counts, not the file that lies beside it; a program that only calls itself so counts never; and a check of a
// class that is not allowed leaves the question open.
func TestRunning(t *testing.T) {
	e := parsed(t, func(e *Emergency) { e.Preconditions = e.Preconditions[:1] })
	bin := func(path, version string, running bool) inventory.BinaryFact {
		return inventory.BinaryFact{Component: "containerd", Path: path, Version: version, Running: running, Genuine: "yes"}
	}
	facts := &inventory.NodeFacts{Containers: hostRoot(), Binaries: []inventory.BinaryFact{bin("/usr/bin/containerd", "1.4.3", false), bin("/opt/containerd", "1.4.2", true)}}
	r := judged(t, e, Subject{Name: "n", Facts: facts}, Process)
	if r.Verdict != Exposed || r.Path != "/opt/containerd" || len(r.Instances) != 2 || r.Instances[0].Path != r.Path {
		t.Errorf("an old one runs: %+v", r)
	}
	facts.Binaries = []inventory.BinaryFact{bin("/usr/bin/containerd", "1.4.2", false), bin("/opt/containerd", "1.4.3", true)}
	if r := judged(t, e, Subject{Name: "n", Facts: facts}, Process); r.Verdict != Fixed || len(r.Instances) != 2 {
		t.Errorf("a new one runs: %+v", r)
	}
	facts.Binaries = []inventory.BinaryFact{{Component: "containerd", Path: "/tmp/containerd", Version: "1.4.2", Genuine: "its build information is of another program"}}
	if r := judged(t, e, Subject{Name: "n", Facts: facts}, Process); r.Verdict != NotPresent {
		t.Errorf("an imitation: %+v", r)
	}
	facts.Binaries = []inventory.BinaryFact{bin("/usr/bin/containerd", "1.4.2", true)}
	if r := judged(t, e, Subject{Name: "n", Facts: facts}, Reads); r.Verdict != Unknown || !strings.Contains(r.NotRead, "process") {
		t.Errorf("not allowed: %+v", r)
	}
	facts.Binaries[0].Version = ""
	if r := judged(t, e, Subject{Name: "n", Facts: facts}, Process); r.Verdict != Unknown || r.NotRead == "" {
		t.Errorf("no version: %+v", r)
	}
	facts.Binaries[0].Version, facts.Containers = "1.4.2", []inventory.ContainerFact{{Namespace: "shop", Pod: "till", Container: "web"}}
	if r := judged(t, e, Subject{Name: "n", Facts: facts}, Process); r.Verdict != VersionOnly || r.Checks[0].Evidence == "" {
		t.Errorf("no such container: %+v", r)
	}
}

// TestMissingOutweighs: one precondition that is missing is enough, also beside one that could not be looked at.
func TestMissingOutweighs(t *testing.T) {
	facts := &inventory.NodeFacts{Containers: []inventory.ContainerFact{{Pod: "p"}},
		Binaries: []inventory.BinaryFact{{Component: "containerd", Path: "/usr/bin/containerd", Version: "1.3.8"}}}
	if r := judged(t, parsed(t, nil), Subject{Name: "n", Facts: facts}, Process); r.Verdict != VersionOnly {
		t.Errorf("%+v", r)
	}
}

// TestVendor: the system's own advisory decides on its packages.
func TestVendor(t *testing.T) {
	e := parsed(t, func(e *Emergency) { e.Preconditions = nil })
	sw := &inventory.Software{Kind: "image", Name: "i", Packages: []inventory.Package{
		{Type: inventory.Deb, Name: "containerd", Version: "1.4.2~ds1-1+deb11u1"},
		{Type: inventory.Golang, Name: "github.com/containerd/containerd", Component: "containerd", Version: "1.4.2", Path: "usr/bin/containerd", Owner: "containerd"}}}
	says := Vendor{}
	s := Subject{Name: "i", Software: sw, Vendor: func(id string, p *inventory.Package) Vendor {
		if id != e.ID || p.Name != "containerd" {
			t.Errorf("asked for %s in %s", id, p.Name)
		}
		return says
	}}
	for _, tt := range []struct {
		says Vendor
		want Verdict
	}{
		{Vendor{}, Exposed},
		{Vendor{State: "fixed", Fixed: "1.4.2~ds1-1", Advisory: "DSA-1-1"}, Backported},
		{Vendor{State: "not-affected", Source: "debian"}, Fixed},
		{Vendor{State: "affected", Advisory: "DSA-1-1"}, Exposed},
	} {
		says = tt.says
		if r := judged(t, e, s, Reads); r.Verdict != tt.want {
			t.Errorf("%+v: %+v", tt.says, r)
		}
	}
	says = Vendor{State: "affected", Advisory: "DSA-1-1"}
	sw.Packages[1].Version = "9.9.9" // whatever it says of itself
	if r := judged(t, e, s, Reads); r.Verdict != Exposed {
		t.Errorf("%+v", r)
	}
	says = Vendor{State: "fixed", Fixed: "1.4.2~ds1-1", Advisory: "DSA-1-1"}
	sw.Packages[1].Version = "" // distributions build programs that do not say it
	if r := judged(t, e, s, Reads); r.Verdict != Backported {
		t.Errorf("%+v", r)
	}
}

// TestFindings: severities by verdict, what was seen, and the same finding after an update that is none.
func TestFindings(t *testing.T) {
	e := parsed(t, nil)
	for v, want := range map[Verdict]finding.Severity{Exposed: finding.High, Unknown: finding.Medium, VersionOnly: finding.Medium, Backported: "", Fixed: "", NotPresent: ""} {
		if got := e.SeverityOf(v); got != want {
			t.Errorf("%s: %s, want %s", v, got, want)
		}
	}
	r := Result{Emergency: e.ID, Component: "containerd", Path: "/usr/bin/containerd", Version: "1.4.1", Verdict: Exposed,
		Checks:    []Outcome{{Check: "containers", Class: Process, Holds: check.Yes, Evidence: "the container x"}},
		Instances: []Instance{{Component: "containerd", Path: "/usr/bin/containerd", Version: "1.4.1", Verdict: Exposed}}}
	a := Findings([]*Emergency{e}, []Result{r}, NodePlace("c", "n"))
	if len(a) != 1 || a[0].Kind != finding.Emergency || a[0].Rule != e.ID || a[0].Resource.Node != "n" || a[0].Vulnerability.FixedVersion != "1.4.3" || len(a[0].Emergency.Checks) != 1 {
		t.Fatalf("%+v", a)
	}
	r.Version, r.Verdict = "1.4.2", Unknown
	if b := Findings([]*Emergency{e}, []Result{r}, NodePlace("c", "n")); b[0].Fingerprint != a[0].Fingerprint || b[0].Severity != finding.Medium {
		t.Errorf("%+v", b)
	}
	if other := Findings([]*Emergency{e}, []Result{r}, NodePlace("c", "m")); other[0].Fingerprint == a[0].Fingerprint {
		t.Error("two nodes, one finding")
	}
}

// TestLists: the higher revision counts; what asks for a check that this program does not have is left out, not the rest.
func TestLists(t *testing.T) {
	old, next := parsed(t, func(e *Emergency) { e.Revision, e.Name = 1, "old" }), parsed(t, nil)
	if got := Merge([]*Emergency{old}, []*Emergency{next}); len(got) != 1 || got[0] != next {
		t.Errorf("%+v", got)
	}
	if got := Merge([]*Emergency{next}, []*Emergency{old}); got[0] != next {
		t.Errorf("%+v", got)
	}
	newer := parsed(t, func(e *Emergency) { e.ID = "CVE-2030-1"; e.Preconditions[0].Check = "asks-the-moon" })
	data, err := Marshal([]*Emergency{newer, next})
	if err != nil {
		t.Fatal(err)
	}
	list, left, err := Unmarshal(data)
	if err != nil || len(list) != 1 || len(left) != 1 || !strings.Contains(left[0], "CVE-2030-1") {
		t.Error(list, left, err)
	}
	for name, change := range map[string]func(*Emergency){
		"no Chinese":   func(e *Emergency) { e.Fix.ZH = "" },
		"no source":    func(e *Emergency) { e.Sources = nil },
		"plain http":   func(e *Emergency) { e.Sources[0].URL = "http://example.com" },
		"no revision":  func(e *Emergency) { e.Revision = 0 },
		"empty span":   func(e *Emergency) { e.Affected[0].Spans[1].Fixed = "1.3.0" },
		"no scheme":    func(e *Emergency) { e.Affected[0].Scheme = "magic" },
		"no such kind": func(e *Emergency) { e.Where = []string{"moon"} },
		"day":          func(e *Emergency) { e.Published = "yesterday" },
		"id":           func(e *Emergency) { e.ID = "../../etc" },
	} {
		if err := parsed(t, change).validate(); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for _, bad := range []string{"[null]", "{", strings.Repeat("[", 100000), `[{"id":"CVE-1"}]`} {
		if _, _, err := Unmarshal([]byte(bad)); err == nil {
			t.Errorf("%.20s was taken", bad)
		}
	}
}

// TestVersions compares what distributions write with what upstream says.
func TestVersions(t *testing.T) {
	for _, tt := range []struct {
		scheme, introduced, fixed, v string
		want                         bool
	}{
		{"go", "1.0.0-rc93", "1.1.12", "1.1.5+ds1-1+deb12u1", true},
		{"go", "0", "1.0.0-rc7", "1.0.0-rc10", false},
		{"go", "0", "1.0.0-rc95", "1.0.0~rc93+ds1", true},
		{"go", "0", "1.6.38", "1.6.20~ds1-1+deb12u3", true},
		{"go", "1.19.0", "1.19.6", "v1.19.6", false},
		{"loose", "8.5p1", "9.8p1", "9.2p1", true},
		{"loose", "8.5p1", "9.8p1", "8.4p1", false},
		{"loose", "8.5p1", "9.8p1", "9.8p1", false},
		{"loose", "1.9.0", "1.9.5p2", "1.9.5p1", true},
		{"loose", "1.9.0", "1.9.5p2", "1.9.5p2", false},
		{"loose", "1.9.14", "1.9.17p1", "1.9.17", true},
		{"loose", "5.6.0", "5.6.2", "5.6.1+really5.4.5", false},
		{"kernel", "5.8", "5.10.102", "5.10.101-generic", true},
		{"kernel", "5.8", "5.10.102", "5.10.102-1-amd64", false},
		{"kernel", "5.15", "5.15.25", "5.15.0-91-generic", true},
		{"kernel", "5.8", "5.10.102", "4.18.0-348.el8.x86_64", false},
		{"maven", "2.5.0", "2.5.10.1", "2.5.10", true},
	} {
		r := Range{Component: "x", Scheme: tt.scheme, Spans: []Span{{Introduced: tt.introduced, Fixed: tt.fixed}}}
		if got, _, err := r.holds(tt.v); got != tt.want || err != nil {
			t.Errorf("%+v: %v, %v", tt, got, err)
		}
	}
}

// TestCancelled ends at once and says nothing false.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := Judge(ctx, []*Emergency{parsed(t, nil)}, Subject{Name: "n", Facts: &inventory.NodeFacts{}}, check.Classes); len(r) != 0 {
		t.Errorf("%+v", r)
	}
}

// FuzzParse: whatever is written in an entry, it is an error or an entry that judges.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("id: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Parse(data)
		if err != nil {
			return
		}
		facts := &inventory.NodeFacts{Containers: hostRoot(), Kernel: &inventory.KernelFacts{Release: "5.10"}, Binaries: []inventory.BinaryFact{{Component: e.Affected[0].Component, Version: "1.4.2"}}}
		for _, r := range Judge(t.Context(), []*Emergency{e}, Subject{Name: "n", Facts: facts}, check.Classes) {
			if rank[r.Verdict] == 0 && r.Verdict != NotPresent || !slices.Contains([]Verdict{NotPresent, Fixed, Backported, VersionOnly, Unknown, Exposed}, r.Verdict) {
				t.Errorf("%+v", r)
			}
		}
	})
}

// TestWithoutPackages: where no packages were read, what only they can have is unknown with that reason and no finding; programs, the kernel
// and files are judged as ever.
func TestWithoutPackages(t *testing.T) {
	program := parsed(t, func(e *Emergency) { e.Preconditions = e.Preconditions[:1] })
	library := parsed(t, func(e *Emergency) {
		e.ID, e.Preconditions = "CVE-2021-44228", nil
		e.Affected = []Range{{Component: "package:deb/sudo", Scheme: "loose", Spans: []Span{{Introduced: "0", Fixed: "2"}}}, {Component: "redis", Scheme: "semver", Spans: []Span{{Introduced: "0"}}}}
	})
	facts := &inventory.NodeFacts{Containers: hostRoot(), Binaries: []inventory.BinaryFact{{Component: "containerd", Path: "/usr/bin/containerd", Version: "1.4.2", Genuine: "yes", Running: true}}}
	list := []*Emergency{library, program}
	got := Judge(t.Context(), list, Subject{Name: "n", Facts: facts}, check.Classes)
	if len(got) != 2 || got[0].Verdict != Unknown || !strings.Contains(got[0].NotRead, "packages") || got[1].Verdict != Exposed {
		t.Errorf("%+v", got)
	}
	if found := Findings(list, got, NodePlace("c", "n")); len(found) != 1 || found[0].Rule != program.ID {
		t.Errorf("%d findings", len(found))
	}
	if ids := ByPackages(list); !slices.Equal(ids, []string{library.ID}) {
		t.Errorf("%q", ids)
	}
	empty := &inventory.Software{Kind: "node", Name: "n"}
	if got := Judge(t.Context(), list, Subject{Name: "n", Facts: facts, Software: empty}, check.Classes); got[0].Verdict != NotPresent || got[0].NotRead != "" {
		t.Errorf("packages were read, there are none: %+v", got[0])
	}
}

// TestPlugin: network plug-ins are named by their files among the facts of a node.
func TestPlugin(t *testing.T) {
	e := parsed(t, func(e *Emergency) { e.Preconditions, e.Affected[0].Component = nil, "calico-cni" })
	bin := inventory.BinaryFact{Component: "cni/calico", Path: "/opt/cni/bin/calico", Version: "1.0.0", Module: "github.com/projectcalico/calico@v1.0.0"}
	if r := judged(t, e, Subject{Name: "n", Facts: &inventory.NodeFacts{Binaries: []inventory.BinaryFact{bin}}, Software: &inventory.Software{Kind: "node"}}); r.Verdict != Exposed || r.Component != "calico-cni" {
		t.Errorf("%+v", r)
	}
	bin.Module = "github.com/containernetworking/plugins@v1.0.0"
	if r := judged(t, e, Subject{Name: "n", Facts: &inventory.NodeFacts{Binaries: []inventory.BinaryFact{bin}}, Software: &inventory.Software{Kind: "node"}}); r.Verdict != NotPresent {
		t.Errorf("another plug-in of the name: %+v", r)
	}
}
