package demo

// These tests hold the bundled cluster to what it promises: it is large enough, valid, shows what it is meant to show, and its
// careful teams stay clean.

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/collect/dockerfile"
	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/collect/manifest/helm"
	"stockade.dev/stockade/internal/collect/manifest/kustomize"
	"stockade.dev/stockade/internal/collect/snapshot"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/rules"
)

// files returns the YAML and JSON files of the shop.
func files(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"shop/*.yaml", "shop/running/*.yaml", "shop/nodes/*.json"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", pattern, names, err)
		}
		out = append(out, names...)
	}
	return out
}

func objects(t *testing.T) []*inventory.Object {
	t.Helper()
	var out []*inventory.Object
	for _, name := range files(t) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		objs, problems := manifest.Parse(name, data, manifest.Limits{})
		for _, p := range problems {
			t.Errorf("%s: %s", name, p)
		}
		if len(objs) == 0 {
			t.Errorf("%s: no objects", name)
		}
		if n := strings.Count(string(data), "\n"); n > 600 {
			t.Errorf("%s: %d lines; people should be able to read it", name, n)
		}
		out = append(out, objs...)
	}
	return out
}

// TestObjects checks that the cluster is as large as promised and that Kubernetes itself would know every field of it.
func TestObjects(t *testing.T) {
	objs := objects(t)
	if len(objs) < 150 {
		t.Errorf("%d objects, want at least 150", len(objs))
	}
	codec := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	seen := map[inventory.Ref]string{}
	namespaces := map[string]bool{}
	for _, o := range objs {
		if o.Kind == "Namespace" {
			namespaces[o.Name] = true
		}
	}
	for _, o := range objs {
		place := o.Origin.File + ": " + o.Ref().String()
		if old := seen[o.Ref()]; old != "" && o.Kind != "NodeFacts" {
			t.Errorf("%s stands twice, also in %s", place, old)
		}
		seen[o.Ref()] = o.Origin.File
		if o.Namespace != "" && !namespaces[o.Namespace] {
			t.Errorf("%s: its namespace does not exist", place)
		}
		if o.Kind == "Secret" {
			for _, field := range []string{"data", "stringData"} {
				for k, v := range inventory.Map(o.Content, field) {
					if v != "" {
						t.Errorf("%s: key %s has a value; a snapshot has none", place, k)
					}
				}
			}
		}
		group := o.Ref().Group()
		if strings.HasSuffix(group, "example.com") || group == "stockade.dev" || group == "gateway.networking.k8s.io" ||
			group == "apiextensions.k8s.io" || group == "apiregistration.k8s.io" {
			continue // types that the client library does not have
		}
		data, err := json.Marshal(o.Content)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := codec.Decode(data, nil, nil); err != nil {
			t.Errorf("%s: %v", place, err)
		}
	}
}

// collector keeps the findings of a scan.
type collector struct {
	findings   []*finding.Finding
	notScanned []finding.NotScanned
	target     finding.Target
}

func (c *collector) Begin(finding.Header) error       { return nil }
func (c *collector) Finding(f *finding.Finding) error { c.findings = append(c.findings, f); return nil }
func (c *collector) Clause(finding.Clause) error      { return nil }
func (c *collector) NotScanned(n finding.NotScanned) error {
	c.notScanned = append(c.notScanned, n)
	return nil
}
func (c *collector) End(_ time.Time, t finding.Target, _ finding.Stats) error {
	c.target = t
	return nil
}

func run(t *testing.T, kind string, source scan.Source, info func() inventory.ClusterInfo) *collector {
	t.Helper()
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	cfg := scan.Config{Library: lib, Analyzers: analyze.All, Info: info,
		Header: finding.Header{StartedAt: time.Now(), Target: finding.Target{Kind: kind, Name: "shop"}}}
	c := &collector{}
	if _, err := scan.Run(context.Background(), cfg, source, c); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.notScanned {
		if n.Code.Blocking() {
			t.Errorf("not scanned: %+v", n)
		}
	}
	return c
}

// wanted is a finding that the demo must show: of one of the rules, on one object.
type wanted struct {
	what      string
	rules     string // separated by spaces
	kind      string
	namespace string
	name      string
}

var promises = []wanted{
	{"Docker socket in the image builder", "escape/runtime-socket", "Deployment", "shop", "image-builder"},
	{"privileged log agent", "workload/privileged-container", "DaemonSet", "shop", "log-agent"},
	{"root of the node in the log agent", "escape/host-root", "DaemonSet", "shop", "log-agent"},
	{"privileged init container", "workload/privileged-container", "StatefulSet", "shop", "search"},
	{"latest tag", "image/latest-tag", "Deployment", "shop", "web"},
	{"password in a variable", "secret/plain-secret-in-env", "Deployment", "shop", "checkout"},
	{"password in an argument", "secret/secret-in-arguments", "CronJob", "data", "backup"},
	{"token in a ConfigMap", "secret/secret-in-configmap", "ConfigMap", "payments", "gateway"},
	{"debug container", "workload/ephemeral-container", "Deployment", "shop", "cart"},
	{"injected sidecar", "image/latest-tag", "Deployment", "shop", "checkout"},
	{"runner with cluster-admin", "access/cluster-admin-bound", "ServiceAccount", "ci", "runner"},
	{"role for everyone", "access/binding-authenticated", "ClusterRoleBinding", "", "everyone-reads"},
	{"everyone reads Secrets", "access/rights-for-everyone", "Group", "", "system:authenticated"},
	{"way to cluster-admin over nodes/proxy", "access/path-to-cluster-admin", "ServiceAccount", "monitoring", "prometheus"},
	{"aggregation that reaches view", "access/aggregated-role-growth", "ClusterRole", "", "shop-extras"},
	{"binding to an account that is gone", "access/stale-subject", "RoleBinding", "data", "backup-operator"},
	{"default account with edit", "access/binding-default-service-account", "RoleBinding", "legacy", "everything-works"},
	{"anonymous API server", "control-plane/apiserver-anonymous-auth", "Pod", "kube-system", "kube-apiserver-cp-1"},
	{"no audit log", "control-plane/apiserver-audit-log", "Pod", "kube-system", "kube-apiserver-cp-1"},
	{"profiling", "control-plane/apiserver-profiling", "Pod", "kube-system", "kube-apiserver-cp-2"},
	{"Secrets unencrypted", "secret/encryption-not-configured", "Pod", "kube-system", "kube-apiserver-cp-1"},
	{"etcd that asks peers for nothing", "control-plane/etcd-peer-client-auth", "Pod", "kube-system", "etcd-cp-2"},
	{"read-only port of the kubelet", "node/kubelet-read-only-port", "ConfigMap", "kube-system", "kubelet-config"},
	{"readable admin.conf", "secret/admin-kubeconfig-mode", "Node", "", "cp-1"},
	{"anonymous kubelet", "node/kubelet-anonymous-auth", "", "", "kubelet"},
	{"webhook that fails open", "access/webhook-fail-open", "ValidatingWebhookConfiguration", "", "image-policy"},
	{"webhook without a service", "control-plane/webhook-service-missing", "ValidatingWebhookConfiguration", "", "legacy-scanner"},
	{"snippets at the ingress controller", "network/ingress-nginx-snippets-allowed", "ConfigMap", "ingress-nginx", "ingress-nginx-controller"},
	{"raw configuration in an Ingress", "network/ingress-snippet", "Ingress", "shop", "web"},
	{"host claimed twice", "network/ingress-host-claimed-twice", "Ingress", "shop", "web"},
	{"database on a node port", "network/service-admin-port", "Service", "data", "postgres-external"},
	{"notebook open to the world", "network/sensitive-interface-exposed", "Deployment", "shop", "recommendation"},
	{"namespace without default deny", "network/namespace-without-default-deny", "Namespace", "", "shop"},
	{"open egress in payments", "network/policy-metadata-egress network/policy-open-egress", "NetworkPolicy", "payments", "gateway"},
	{"Tiller", "workload/helm-tiller", "Deployment", "legacy", "tiller-deploy"},
	{"dashboard", "workload/kubernetes-dashboard access/dashboard-workload", "Deployment", "legacy", "kubernetes-dashboard"},
	{"pod without a controller", "workload/naked-pod", "Pod", "legacy", "mysql"},
	{"volume handed on", "secret/volume-reused-across-namespaces", "PersistentVolume", "", "old-uploads"},
}

func TestFindings(t *testing.T) {
	source, err := snapshot.Open("shop")
	if err != nil {
		t.Fatal(err)
	}
	c := run(t, "cluster", source, source.Info)
	if info := source.Info(); info.Version != "v1.32.4" || info.Distribution != "kubeadm" || info.Managed {
		t.Errorf("%+v", info)
	}
	for _, w := range promises {
		if !slices.ContainsFunc(c.findings, func(f *finding.Finding) bool {
			r := f.Resource
			return slices.Contains(strings.Fields(w.rules), f.Rule) && (w.kind == "" || r.Kind == w.kind) && r.Namespace == w.namespace && r.Name == w.name
		}) {
			t.Errorf("%s: no finding of %s on %s %s/%s", w.what, w.rules, w.kind, w.namespace, w.name)
		}
	}
	bare := []string{"mysql", "toolbox"}
	for _, f := range c.findings {
		r := f.Resource
		if r.Namespace == "team-alpha" && f.Severity.Rank() >= finding.High.Rank() {
			t.Errorf("team-alpha did everything right, yet: %s on %s %s: %s", f.Rule, r.Kind, r.Name, f.Message.EN)
		}
		if r.Kind == "ReplicaSet" || r.Kind == "Pod" && r.Namespace != "kube-system" && !slices.Contains(bare, r.Name) {
			t.Errorf("%s on %s %s/%s, which belongs to a workload that is judged already", f.Rule, r.Kind, r.Namespace, r.Name)
		}
	}
	hidden(t, c)
	names := map[string]bool{}
	for _, comp := range c.target.Components {
		names[comp.Name] = true
	}
	for _, name := range []string{"kube-apiserver", "etcd", "coredns", "calico/node", "harbor-core", "trivy-adapter"} {
		if !names[name] {
			t.Errorf("core component %s is not among %v", name, names)
		}
	}
}

// hidden checks that no planted credential is written out.
func hidden(t *testing.T, c *collector) {
	t.Helper()
	for _, f := range c.findings {
		data, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data) + f.Message.EN + f.Message.ZH
		for _, secret := range []string{"Pa55", "not-a-real-password", "hunter22", "fake-0a1b", "fake-rt-4f8a", "fake-whs-71b0", "AKIAFAKE", "this0is1a2fake", "Harbor12345", "3f9c1e7ab2d84650"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s on %s %s shows a credential: %s", f.Rule, f.Resource.Kind, f.Resource.Name, text)
			}
		}
	}
}

func TestIaC(t *testing.T) {
	source := &scan.Files{Paths: []string{"iac"}, Options: manifest.WalkOptions{
		IsDockerfile: dockerfile.IsDockerfile, BuildKustomization: kustomize.Build,
		RenderChart: func(ctx context.Context, path string, archive []byte, lim manifest.Limits) ([]*inventory.Object, []manifest.Problem) {
			return helm.Render(ctx, path, archive, nil, lim)
		}}}
	c := run(t, "iac", source, nil)
	suppressed := 0
	found := map[string]bool{}
	for _, f := range c.findings {
		file := filepath.ToSlash(f.Resource.File)
		found[f.Rule+" "+file] = true
		if file == "iac/payment/Dockerfile" {
			t.Errorf("the good Dockerfile has a finding: %s, line %d", f.Rule, f.Resource.Line)
		}
		if f.Resource.Line == 0 {
			t.Errorf("%s in %s has no line", f.Rule, file)
		}
		if f.Status == finding.Suppressed {
			suppressed++
		}
	}
	for _, want := range []string{"dockerfile/secret-in-env iac/web/Dockerfile", "dockerfile/last-user-root iac/web/Dockerfile",
		"dockerfile/download-piped-to-shell iac/web/Dockerfile", "escape/runtime-socket iac/chart/templates/checkout.yaml",
		"workload/privileged-container iac/chart/templates/checkout.yaml", "network/service-node-port iac/chart/templates/network.yaml",
		"workload/privileged-container iac/kustomize/base/search.yaml", "secret/secret-in-configmap iac/kustomize/production/kustomization.yaml"} {
		if !found[want] {
			t.Errorf("no finding %s", want)
		}
	}
	if suppressed != 1 {
		t.Errorf("%d findings are suppressed in place, want 1", suppressed)
	}
	hidden(t, c)
}

// TestRun runs run.sh with a program that only answers: how it starts the server, and that the language follows the locale.
func TestRun(t *testing.T) {
	script, err := filepath.Abs("run.sh")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "stockade")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$*\" >>\"$CALLS\"\nexit $CODE\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, code, kubeconfig, lang string
		exit                         int
		output, calls                string
	}{
		{"demo", "0", "", "C", 0, "The demo shop", "server --data stockade-data --listen 127.0.0.1:8443 --register-snapshot"},
		{"cluster", "0", "/k", "C", 0, "KUBECONFIG (/k)", "--register-kubeconfig /k --allow-local-clusters"},
		{"chinese", "0", "", "zh_CN.UTF-8", 0, "演示商城", "--register-snapshot"},
		{"refused", "2", "", "C", 2, "The demo shop", "--register-snapshot"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			calls := filepath.Join(dir, "calls")
			cmd := exec.Command("sh", script)
			cmd.Dir = dir
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "STOCKADE=" + program, "CALLS=" + calls, "CODE=" + tt.code, "KUBECONFIG=" + tt.kubeconfig, "LANG=" + tt.lang}
			out, err := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != tt.exit {
				t.Errorf("exit code %d, want %d: %v\n%s", got, tt.exit, err, out)
			}
			if !strings.Contains(string(out), tt.output) {
				t.Errorf("output lacks %q:\n%s", tt.output, out)
			}
			said, err := os.ReadFile(calls)
			if err != nil || !strings.Contains(string(said), tt.calls) {
				t.Errorf("calls lack %q: %s, %v", tt.calls, said, err)
			}
		})
	}
}
