package scan

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

func TestAsks(t *testing.T) {
	files := &rule.Rule{Validate: &rule.Validate{Over: "node", Each: "files", Expression: "item.role != 'kubelet-config' || item.mode == '0600'"}}
	drift := &rule.Rule{Validate: &rule.Validate{Over: "node", Each: "containers[].drift", Expression: "!item.running"}}
	lsm := &rule.Rule{Validate: &rule.Validate{Over: "node", Expression: "!has(node.kernel) || node.kernel.lsm.size() > 0"}}
	other := &rule.Rule{Validate: &rule.Validate{Over: "container", Expression: "files containers kernel lsm"}}
	for _, c := range []struct {
		rule  *rule.Rule
		check string
		want  bool
	}{
		{files, "files/kubelet-config", true}, {files, "files/admin-conf", false}, {files, "files", true}, {files, "containers", false},
		{drift, "containers", true}, {drift, "container", false}, {lsm, "kernel/lsm", true}, {lsm, "kernel/config", false}, {lsm, "kernel", true},
		{other, "containers", false}, {&rule.Rule{}, "files", false},
	} {
		if got := asks(c.rule, c.check); got != c.want {
			t.Errorf("%+v asks for %s: %v, want %v", c.rule.Validate, c.check, got, c.want)
		}
	}
}

// TestNotRead scans facts of a node that could be read in part: what was not is told once, and rules that ask for it are not passed.
func TestNotRead(t *testing.T) {
	lib := &rule.Library{Rules: []*rule.Rule{
		{Name: "node/drift", ID: "STK-O-9001", Severity: finding.High, Risk: "workload", Missing: "pass",
			Validate: &rule.Validate{Over: "node", Expression: "node.?containers.orValue([]).size() == 0", Path: "containers"}},
		{Name: "node/mode", ID: "STK-O-9002", Severity: finding.High, Risk: "workload", Missing: "pass",
			Validate: &rule.Validate{Over: "node", Expression: "node.?files.orValue([]).all(f, f.mode == '0600')", Path: "files"}},
	}}
	lib, err := lib.Merge(&rule.Library{})
	if err != nil {
		t.Fatal(err)
	}
	facts := &inventory.NodeFacts{APIVersion: "stockade.dev/v1", Kind: "NodeFacts", Name: "n1", Files: []inventory.FileFact{{Role: "admin-conf", Path: "/a", Mode: "0644"}},
		Skipped: []inventory.SkipFact{{Check: "containers", Needs: "the socket", Reason: "nobody answers", Code: "unreachable"}}}
	var got collected
	cfg := Config{Library: lib, Workers: 1, Now: time.Now, Header: finding.Header{Target: finding.Target{Kind: "node", Name: "n1"}}}
	objects := Objects{{APIVersion: facts.APIVersion, Kind: facts.Kind, Name: facts.Name, Content: facts.Value()}}
	summary, err := Run(t.Context(), cfg, objects, &got)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.findings) != 1 || got.findings[0].Rule != "node/mode" || got.findings[0].Resource.Node != "n1" {
		t.Errorf("%+v", got.findings)
	}
	told := 0
	for _, n := range got.notScanned {
		if n.What == "containers" && n.Target == "n1" && n.Code == finding.Unreachable && n.Reason == "nobody answers (needs the socket)" {
			told++
		}
	}
	if told != 1 || summary.Partial != 1 {
		t.Errorf("told %d times, partial %d: %+v", told, summary.Partial, got.notScanned)
	}
}

func TestContainerOf(t *testing.T) {
	n := &inventory.NodeFacts{
		Containers: []inventory.ContainerFact{{Namespace: "shop", Pod: "till-0", Container: "web"}, {Container: "lonely"}},
		Processes:  []inventory.ProcessFact{{Name: "kubelet"}, {Name: "sshd", Container: "shop/till-0/web"}, {Name: "sshd", Container: "shop/other/web"}},
		Binaries:   []inventory.BinaryFact{{Component: "kubelet", Container: "shop/till-0/web"}},
	}
	for path, want := range map[string]string{"containers[0].drift[1].path": "till-0", "containers[1].image": "", "processes[1].name": "till-0", "processes[0].name": "",
		"processes[2].name": "", "binaries[0].genuine": "till-0", "containers[7]": "", "files[0].mode": "", "containers[x]": "", "processes[-1]": ""} {
		pod := ""
		if c := containerOf(n, path); c != nil {
			pod = c.Pod
		}
		if pod != want {
			t.Errorf("%s is about %q, want %q", path, pod, want)
		}
	}
}

// stream is a source of objects.
type stream []*inventory.Object

func (s stream) Stream(ctx context.Context, emit func(*inventory.Object) error, told func(finding.NotScanned)) error {
	return Objects(s).Stream(ctx, emit, told)
}

func factsObject(n *inventory.NodeFacts) *inventory.Object {
	n.APIVersion, n.Kind = "stockade.dev/v1", "NodeFacts"
	return &inventory.Object{APIVersion: n.APIVersion, Kind: n.Kind, Name: n.Name, Content: n.Value()}
}

// told collects assets too.
type told struct {
	collected
	assets []finding.Asset
}

func (t *told) Asset(a finding.Asset) error {
	t.assets = append(t.assets, a)
	return nil
}

func partlyLibrary(t *testing.T) *rule.Library {
	t.Helper()
	lib := &rule.Library{Rules: []*rule.Rule{
		{Name: "node/drift", ID: "STK-O-9001", Severity: finding.High, Risk: "workload", Missing: "pass",
			Validate: &rule.Validate{Over: "node", Expression: "node.?containers.orValue([]).all(c, c.?drift.orValue([]).size() == 0)", Path: "containers"}},
		{Name: "node/mode", ID: "STK-O-9002", Severity: finding.High, Risk: "workload", Missing: "pass",
			Validate: &rule.Validate{Over: "node", Expression: "int(node.files[0].mode) == 600", Path: "files"}},
		{Name: "component/anonymous", ID: "STK-C-9004", Severity: finding.High, Risk: "workload", Missing: "pass", Match: rule.Match{Components: []string{inventory.Kubelet}},
			Validate: &rule.Validate{Over: "component", Expression: "component.flags['anonymous-auth'] == 'false'", Path: "flags.anonymous-auth"}},
	}}
	listed, err := rule.Load(fstest.MapFS{"node/malware/rule.yaml": {Data: []byte(malwareRule)}})
	if err != nil {
		t.Fatal(err)
	}
	if lib, err = lib.Merge(listed); err != nil {
		t.Fatal(err)
	}
	return lib
}

const malwareRule = `id: STK-O-9003
kind: malware
title: {en: Malicious file, zh: 恶意文件}
why: {en: It runs., zh: 可能运行。}
fix: {en: Remove it., zh: 删除。}
severity: critical
risk: workload
references: [https://attack.mitre.org/techniques/T1105/]
missing: pass
validate:
  over: node
  each: malware
  expression: "item.?signature.orValue('') == ''"
  path: path
`

// TestFacts: facts that come one by one lead to the same as those of a snapshot, in little memory; a rule that cannot be decided on one
// node is decided on the others.
func TestFacts(t *testing.T) {
	web := &inventory.Object{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", Content: map[string]any{"metadata": map[string]any{"namespace": "shop", "name": "web"},
		"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": "web"}}, "spec": map[string]any{"containers": []any{map[string]any{"name": "web"}}}}}}}
	files := func(mode string) []inventory.FileFact {
		return []inventory.FileFact{{Role: "admin-conf", Path: "/a", Mode: mode}}
	}
	kubelet := &inventory.Settings{Flags: map[string]string{"anonymous-auth": "true"}, Config: map[string]any{"x": "y"}}
	drifted := []inventory.ContainerFact{{Namespace: "shop", Pod: "web-7d4b9c5f6d-x2x7z", Container: "web", Image: "r/web:1", Drift: []inventory.DriftFact{{Path: "/x", Why: "added"}},
		Mounts: []inventory.ContainerMount{{Source: "/", Path: "/host"}}, Processes: []inventory.ContainerProcess{{Name: "web", UID: 7}}}}
	nodes := []*inventory.NodeFacts{
		{Name: "n1", Files: files("0644"), Kubelet: kubelet, Containers: drifted, Malware: []inventory.MalwareFact{{Container: "shop/web-7d4b9c5f6d-x2x7z/web", Path: "tmp/x", Signature: "S", By: "hash"},
			{Image: "r/web:1", Digest: "sha256:1", Path: "usr/bin/y", Signature: "T"}}},
		{Name: "n2", Files: files("odd"), Kubelet: kubelet},
		{Name: "n3", Files: files("0644"), Skipped: []inventory.SkipFact{{Check: "containers", Needs: "the socket", Reason: "nobody answers", Code: "unreachable"},
			{Check: inventory.MalwareCheck, Needs: "less", Reason: "much", Code: "limit"}}},
	}
	var objects []*inventory.Object
	for _, n := range nodes {
		objects = append(objects, factsObject(n))
	}
	run := func(source, facts Source) (*told, *inventory.Cluster) {
		got := &told{}
		var whole *inventory.Cluster
		cfg := Config{Library: partlyLibrary(t), Workers: 1, Now: time.Now, Facts: facts, Cluster: func(c *inventory.Cluster) { whole = c }, Header: finding.Header{Target: finding.Target{Kind: "cluster", Name: "shop"}}}
		if _, err := Run(t.Context(), cfg, source, got); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got.findings, func(a, b *finding.Finding) int { return strings.Compare(a.Fingerprint, b.Fingerprint) })
		return got, whole
	}
	kept, _ := run(stream(append([]*inventory.Object{web}, objects...)), nil)
	got, whole := run(stream{web}, stream(objects))
	if len(got.findings) != 7 || !reflect.DeepEqual(got.findings, kept.findings) {
		t.Errorf("%d findings and %d of a snapshot", len(got.findings), len(kept.findings))
		for _, f := range got.findings {
			t.Logf("%s on %+v", f.Rule, f.Resource)
		}
	}
	for _, f := range got.findings {
		r := f.Resource
		switch {
		case f.Rule != "node/malware":
		case f.Kind != finding.Malware:
			t.Errorf("%+v", f)
		case r.Kind == "Deployment" && (r.Name != "web" || r.Container != "web" || r.File != "tmp/x" || r.Node != "n1" || r.Image != "r/web:1" || f.Evidence[0].Path != "tmp/x"):
			t.Errorf("%+v", f)
		case r.Kind == "" && (r.Image != "r/web:1" || r.Digest != "sha256:1" || r.File != "usr/bin/y" || r.Node != ""):
			t.Errorf("%+v", f)
		}
	}
	var undecided []string
	for _, a := range got.assets {
		if a.Kind == "rule" {
			undecided = append(undecided, a.Name+" on "+a.Node)
		}
	}
	if text := strings.Join(undecided, ", "); text != "node/drift on n3, node/malware on n3, node/mode on n2" {
		t.Errorf("undecided: %s", text)
	}
	if !slices.ContainsFunc(got.notScanned, func(n finding.NotScanned) bool {
		return n.Target == "n2" && n.What == "rule node/mode" && n.Code == finding.Broken
	}) {
		t.Errorf("%+v", got.notScanned)
	}
	if n := whole.Nodes["n1"]; n.Kubelet != nil || len(n.Files) != 0 || len(n.Containers) != 1 || len(n.Containers[0].Drift) != 0 || len(n.Containers[0].Mounts) != 1 {
		t.Errorf("what is kept: %+v", n)
	}
	if len(whole.Components) != 1 || whole.Components[0].Name != inventory.Kubelet || whole.Components[0].Config != nil {
		t.Errorf("%+v", whole.Components)
	}
}

// BenchmarkFacts measures what the facts of 500 nodes cost a scan of their cluster: those of a snapshot are kept, those of agents come
// one by one.
func BenchmarkFacts(b *testing.B) {
	const nodes = 500
	make500 := func(emit func(*inventory.Object) error) error {
		for i := range nodes {
			n := &inventory.NodeFacts{Name: fmt.Sprintf("node-%04d", i), Kubelet: &inventory.Settings{Flags: map[string]string{"anonymous-auth": "false"}, Config: map[string]any{}}}
			for j := range 150 {
				n.Files = append(n.Files, inventory.FileFact{Role: "pki-cert", Path: fmt.Sprintf("/etc/kubernetes/pki/%d.crt", j), Mode: "0600", Owner: "root", Group: "root"})
				n.Processes = append(n.Processes, inventory.ProcessFact{Name: "app", Args: []string{"/usr/bin/app", "--number", fmt.Sprint(j), "--config=/etc/app/config.yaml"}})
			}
			for j := range 30 {
				c := inventory.ContainerFact{ID: fmt.Sprint(i, "-", j), Namespace: "shop", Pod: fmt.Sprintf("web-%d-%d", i, j), Container: "web", Image: "registry.example.com/web:1", Runtime: "containerd"}
				for k := range 5 {
					c.Processes = append(c.Processes, inventory.ContainerProcess{Name: "web", Exe: "/usr/bin/web", Args: []string{"web", fmt.Sprint(k)}, UID: 1000, Seccomp: "filter"})
					c.Mounts = append(c.Mounts, inventory.ContainerMount{Source: "/var/lib/kubelet/pods/x/volumes/y", Path: fmt.Sprintf("/data/%d", k)})
				}
				n.Containers = append(n.Containers, c)
			}
			if err := emit(factsObject(n)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, kept := range []bool{true, false} {
		b.Run(map[bool]string{true: "kept", false: "streamed"}[kept], func(b *testing.B) {
			b.ReportAllocs()
			var live float64
			for b.Loop() {
				cfg := Config{Library: &rule.Library{}, Workers: 1, Now: time.Now, Header: finding.Header{Target: finding.Target{Kind: "cluster", Name: "shop"}}}
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				cfg.Cluster = func(*inventory.Cluster) {
					runtime.GC()
					runtime.ReadMemStats(&after)
				}
				source, facts := Source(made(make500)), Source(nil)
				if !kept {
					source, facts = stream{}, source
				}
				cfg.Facts = facts
				if _, err := Run(b.Context(), cfg, source, &collected{}); err != nil {
					b.Fatal(err)
				}
				live = float64(after.HeapAlloc) - float64(before.HeapAlloc)
			}
			b.ReportMetric(live/(1<<20), "live-MiB")
		})
	}
}

// made is a source that makes its objects.
type made func(emit func(*inventory.Object) error) error

func (m made) Stream(_ context.Context, emit func(*inventory.Object) error, _ func(finding.NotScanned)) error {
	return m(emit)
}
