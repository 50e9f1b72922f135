package stories

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/e2e/lab"
)

// each runs a story on the newest and on the oldest API server.
func each(t *testing.T, story func(t *testing.T, cp *lab.ControlPlane)) {
	for _, version := range lab.Versions() {
		t.Run(version, func(t *testing.T) {
			cp := lab.ForTest(t, lab.Config{Version: version})
			apply(t, cp, "testdata/shop.yaml")
			story(t, cp)
		})
	}
}

// TestScan: an engineer scans a live cluster, then a snapshot of it, and sees the same.
func TestScan(t *testing.T) {
	each(t, func(t *testing.T, cp *lab.ControlPlane) {
		live := run(t, cp.Kubeconfig(), "scan", "cluster", "-o", "json", "--framework", "all")
		d := live.document(t)
		if live.code != 0 {
			t.Errorf("exit code %d\n%s", live.code, live.stderr)
		}
		if d.Target.Version != cp.Version() {
			t.Errorf("version %q, want %s", d.Target.Version, cp.Version())
		}
		for _, want := range []struct{ rule, kind, name string }{
			{"workload/privileged-container", "Deployment", "web"}, // in its init container
			{"image/latest-tag", "Deployment", "web"},
			{"escape/runtime-socket", "Pod", "runner"},
			{"escape/host-network", "Pod", "runner"},
			{"secret/plain-secret-in-env", "Deployment", "web"},
			{"secret/secret-in-configmap", "ConfigMap", "settings"},
			{"access/read-secrets", "ClusterRole", "shop-secrets"},
		} {
			if !d.has(want.rule, want.kind, want.name) {
				t.Errorf("no finding %s on %s %s", want.rule, want.kind, want.name)
			}
		}
		for _, secret := range []string{"never-in-any-output-4711", "correct-horse-9f3b21", "8f4b6c1d2e3f40516273849506172839"} {
			if strings.Contains(live.stdout+live.stderr, secret) {
				t.Errorf("the output holds the secret %q", secret)
			}
		}
		for _, form := range []string{"snap.tar.zst", "snap"} {
			dst := filepath.Join(t.TempDir(), form)
			if out := run(t, cp.Kubeconfig(), "snapshot", "cluster", "-o", dst); out.code != 0 {
				t.Fatalf("snapshot: exit code %d\n%s", out.code, out.stderr)
			}
			again := run(t, "/nonexistent", "scan", "cluster", "--snapshot", dst, "-o", "json", "--framework", "all")
			if diff := difference(t, live.stdout, again.stdout); diff != "" {
				t.Errorf("%s: %s", form, diff)
			}
		}
	})
}

// difference compares two documents but for times, durations and order: an old API server lists in an order of its own.
func difference(t *testing.T, a, b string) string {
	t.Helper()
	var x, y map[string]any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	for _, d := range []map[string]any{x, y} {
		delete(d, "startedAt")
		delete(d, "finishedAt")
		delete(d["stats"].(map[string]any), "durationMs")
	}
	for _, part := range []string{"target", "findings", "compliance", "notScanned", "stats"} {
		if reflect.DeepEqual(x[part], y[part]) {
			continue
		}
		l, r := sorted(x[part]), sorted(y[part])
		if l != nil && reflect.DeepEqual(l, r) {
			continue
		}
		for i := range max(len(l), len(r)) {
			if i >= len(l) || i >= len(r) || !reflect.DeepEqual(l[i], r[i]) {
				return fmt.Sprintf("%s differ: %d live, %d in the snapshot; first at %d:\n%s", part, len(l), len(r), i, show(l, r, i))
			}
		}
		return fmt.Sprintf("%s differ:\n%v\n%v", part, x[part], y[part])
	}
	return ""
}

// sorted orders a list by its elements' JSON; nil for what is no list.
func sorted(v any) []any {
	list, _ := v.([]any)
	slices.SortFunc(list, func(a, b any) int {
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		return bytes.Compare(x, y)
	})
	return list
}

func show(l, r []any, i int) string {
	var out strings.Builder
	for _, list := range [][]any{l, r} {
		if i < len(list) {
			data, _ := json.Marshal(list[i])
			fmt.Fprintf(&out, "%s\n", data)
		}
	}
	return out.String()
}

// TestRoles: the role that we ship is enough; a lesser one leaves gaps, and each is told.
func TestRoles(t *testing.T) {
	each(t, func(t *testing.T, cp *lab.ControlPlane) {
		for _, file := range roleFiles(t) {
			apply(t, cp, file)
		}
		bind := creator(t, cp)
		bind(binding("auditor", "stockade-reader"))
		auditor, err := cp.KubeconfigFor("auditor")
		if err != nil {
			t.Fatal(err)
		}
		admin := run(t, cp.Kubeconfig(), "scan", "cluster", "-o", "json").document(t)
		out := run(t, auditor, "scan", "cluster", "-o", "json")
		d := out.document(t)
		if out.code != 0 || len(d.Findings) != len(admin.Findings) {
			t.Errorf("as the shipped role: exit code %d, %d findings; the administrator sees %d\n%s", out.code, len(d.Findings), len(admin.Findings), out.stderr)
		}
		bind(map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": "pods-only"},
			"rules": []any{map[string]any{"apiGroups": []any{"", "apps"}, "resources": []any{"pods", "namespaces", "deployments"}, "verbs": []any{"get", "list"}}}})
		bind(binding("guest", "pods-only"))
		guest, err := cp.KubeconfigFor("guest")
		if err != nil {
			t.Fatal(err)
		}
		out = run(t, guest, "scan", "cluster", "-o", "json")
		d = out.document(t)
		if out.code != 3 || !d.has("escape/runtime-socket", "Pod", "runner") {
			t.Errorf("as a guest: exit code %d, want 3 and the runner's socket found\n%s", out.code, out.stderr)
		}
		for _, kind := range []string{"secrets", "networkpolicies", "clusterroles", "nodes"} {
			if d.unread(kind, "forbidden") == "" {
				t.Errorf("as a guest: %s are not listed as forbidden: %v", kind, d.NotScanned)
			}
		}
		for _, f := range d.Findings {
			if f.Rule == "network/pod-without-network-policy" || f.Rule == "network/namespace-without-default-deny" {
				t.Errorf("as a guest: %s concludes from policies that could not be read", f.Rule)
			}
		}
		nobody, err := cp.KubeconfigFor("nobody")
		if err != nil {
			t.Fatal(err)
		}
		if out := run(t, nobody, "scan", "cluster", "-o", "json"); out.code != 2 || !strings.Contains(out.stderr, "forbidden") {
			t.Errorf("as nobody: exit code %d, want 2 and a word about permission\n%s", out.code, out.stderr)
		}
	})
}

func roleFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../deploy/rbac/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no role in deploy/rbac: %v", err)
	}
	return files
}

func binding(user, role string) map[string]any {
	return map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": user},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
		"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}}}
}

// TestUnreachable: a wrong certificate and a server that is gone are said, and nothing is reported as scanned.
func TestUnreachable(t *testing.T) {
	each(t, func(t *testing.T, cp *lab.ControlPlane) {
		out := run(t, cp.KubeconfigWrongCA(), "scan", "cluster")
		if out.code != 2 || out.stdout != "" || !strings.Contains(out.stderr, "certificate") {
			t.Errorf("wrong CA: exit code %d\n%s\n%s", out.code, out.stdout, out.stderr)
		}
		cp.Kill()
		out = run(t, cp.Kubeconfig(), "scan", "cluster")
		if out.code != 2 || out.stdout != "" || !strings.Contains(out.stderr, "refused") {
			t.Errorf("killed: exit code %d\n%s\n%s", out.code, out.stdout, out.stderr)
		}
	})
}

// TestHostile: the server stalls, cuts the connection or answers HTML for one kind; the others are scanned, the gap is told.
func TestHostile(t *testing.T) {
	each(t, func(t *testing.T, cp *lab.ControlPlane) {
		proxy, err := lab.NewProxy(cp)
		if err != nil {
			t.Fatal(err)
		}
		defer proxy.Close()
		for _, tt := range []struct {
			name  string
			fault lab.Fault
		}{
			{"stalls", lab.Stall()},
			{"stalls in the middle", lab.StallAfter(60)},
			{"cuts", lab.CutAfter(60)},
			{"HTML", lab.HTML()},
			{"garbage", lab.Answer(200, "application/json", `{"kind":"ConfigMapList","items":[{]}`)},
		} {
			t.Run(tt.name, func(t *testing.T) {
				proxy.Inject(tt.fault, "/api/v1/configmaps")
				defer proxy.Heal()
				out := run(t, proxy.Kubeconfig(), "scan", "cluster", "-o", "json", "--timeout", "2s")
				d := out.document(t)
				told := d.unread("configmaps", "unreachable") != "" || d.unread("configmaps", "broken") != ""
				if !told || out.code != 3 {
					t.Errorf("exit code %d, told %v, read %v\n%s\n%v\n%s", out.code, told,
						d.has("secret/secret-in-configmap", "ConfigMap", "settings"), out.stderr, d.NotScanned, strings.Join(proxy.Requests(), "\n"))
				}
				if !d.has("escape/runtime-socket", "Pod", "runner") || !d.has("access/read-secrets", "ClusterRole", "shop-secrets") {
					t.Error("findings of other kinds are lost")
				}
			})
		}
		t.Run("HTML everywhere", func(t *testing.T) {
			proxy.Inject(lab.HTML())
			defer proxy.Heal()
			out := run(t, proxy.Kubeconfig(), "scan", "cluster", "--timeout", "2s")
			if out.code != 2 || out.stdout != "" {
				t.Errorf("exit code %d, want 2\n%s\n%s", out.code, out.stdout, out.stderr)
			}
		})
	})
}

// TestLarge: objects near the limit of etcd, and two thousand pods.
func TestLarge(t *testing.T) {
	cp := lab.ForTest(t, lab.Config{Version: lab.Newest})
	apply(t, cp, "testdata/shop.yaml")
	create := creator(t, cp)
	for i := range 4 {
		create(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": fmt.Sprintf("big-%d", i), "namespace": "shop"},
			"data": map[string]any{"blob": strings.Repeat("0123456789abcdef", 65000)}})
	}
	for i := range 2000 {
		create(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": fmt.Sprintf("p-%04d", i), "namespace": "shop"},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "registry.example.com/shop/p:1.0"}}}})
	}
	out := run(t, cp.Kubeconfig(), "scan", "cluster", "-o", "json")
	d := out.document(t)
	if out.code != 0 || d.Stats.Objects < 2000 {
		t.Errorf("exit code %d, %d objects\n%s", out.code, d.Stats.Objects, out.stderr)
	}
	for _, name := range []string{"p-0000", "p-1999"} {
		if !d.has("workload/may-run-as-root", "Pod", name) {
			t.Errorf("no finding on pod %s", name)
		}
	}
}

// TestSnapshotOfAStranger: an attacker hands over a snapshot; nothing is written outside, and the terminal is safe.
func TestSnapshotOfAStranger(t *testing.T) {
	dir := t.TempDir()
	evil := "apiVersion: v1\nkind: Pod\nmetadata: {name: \"x\\u001b]0;owned\\u0007\", namespace: a}\nspec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}\n"
	if err := os.WriteFile(filepath.Join(dir, "pods.yaml"), []byte(evil), 0o600); err != nil {
		t.Fatal(err)
	}
	out := run(t, "/nonexistent", "scan", "cluster", "--snapshot", dir)
	if out.code != 0 || strings.Contains(out.stdout, "\x1b") || !strings.Contains(out.stdout, `x\x1b]0;owned`) {
		t.Errorf("exit code %d\n%q", out.code, out.stdout)
	}
}
