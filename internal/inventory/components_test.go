package inventory

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

const staticPod = `
apiVersion: v1
kind: Pod
metadata:
  name: kube-apiserver-cp1
  namespace: kube-system
  annotations: {kubernetes.io/config.mirror: x}
  labels: {component: kube-apiserver, tier: control-plane}
  ownerReferences: [{apiVersion: v1, kind: Node, name: cp1, controller: true}]
spec:
  nodeName: cp1
  containers:
  - name: kube-apiserver
    image: registry.k8s.io/kube-apiserver:v1.34.4
    command:
    - kube-apiserver
    - --anonymous-auth=false
    - --authorization-mode
    - Node,RBAC
    - -v=2
    - --profiling
    - --allow_privileged=true
    - --feature-gates=A=true
    - --feature-gates=B=false
`

const kubeletMap = `
apiVersion: v1
kind: ConfigMap
metadata: {name: kubelet-config, namespace: kube-system}
data:
  kubelet: |
    apiVersion: kubelet.config.k8s.io/v1beta1
    authentication: {anonymous: {enabled: false}}
    maxPods: 110
`

const nodeFacts = `
apiVersion: stockade.dev/v1
kind: NodeFacts
name: n1
kubelet: {flags: {anonymous-auth: "false", config: /var/lib/kubelet/config.yaml}, config: {maxPods: 110}}
processes:
- {name: kube-apiserver, args: [/usr/bin/kube-apiserver, --anonymous-auth=true]}
- {name: etcd, args: [etcd], container: abc}
- {name: kubelet, args: [--x=y]}
`

func TestStaticPodComponent(t *testing.T) {
	c := NewCluster("x")
	a := c.Add(object(t, staticPod))
	if !a.Workload.Static || a.Workload.Ref.Name != "kube-apiserver" || a.Folded {
		t.Fatalf("%+v", a.Workload)
	}
	b := c.Add(object(t, strings.ReplaceAll(strings.ReplaceAll(staticPod, "cp1", "cp2"), "anonymous-auth=false", "anonymous-auth=true")))
	if b.Workload != a.Workload || !b.Folded || !slices.Equal(a.Workload.Nodes, []string{"cp1", "cp2"}) {
		t.Errorf("%+v", b)
	}
	if len(c.Components) != 2 || c.Components[1].Node != "cp2" || c.Components[1].Flags["anonymous-auth"] != "true" {
		t.Fatalf("the API servers of two nodes are two components: %+v", c.Components)
	}
	comp := c.Components[0]
	want := map[string]string{"anonymous-auth": "false", "authorization-mode": "Node,RBAC", "v": "2", "profiling": "true",
		"allow-privileged": "true", "feature-gates": "A=true,B=false"}
	if !reflect.DeepEqual(comp.Flags, want) {
		t.Errorf("flags %v", comp.Flags)
	}
	if comp.FlagPaths["anonymous-auth"] != "spec.containers[0].command[1]" || comp.FlagPaths["authorization-mode"] != "spec.containers[0].command[2]" ||
		comp.FlagPaths["profiling"] != "spec.containers[0].command[5]" || comp.Path != "spec.containers[0].command" {
		t.Errorf("paths %v, %s", comp.FlagPaths, comp.Path)
	}
	if comp.Version != "v1.34.4" || !comp.Complete || comp.Node != "cp1" || comp.Source.Name != "kube-apiserver-cp1" {
		t.Errorf("%+v", comp)
	}
	v := comp.Value()
	if v["name"] != "kube-apiserver" || v["flags"].(map[string]any)["profiling"] != "true" || v["config"] == nil || v["complete"] != true {
		t.Errorf("%v", v)
	}
}

func TestCommandForms(t *testing.T) {
	tests := map[string]struct {
		container string
		name      string
		flags     map[string]string
		path      string // of the first flag in flags
	}{
		"shell": {`{name: a, image: x, command: [/bin/sh, -c, "mkdir -p /l && exec kube-apiserver --a=b \\\n --c='d e' --f \"g\" 2>>/var/log/x.log; echo --h=i"]}`,
			"kube-apiserver", map[string]string{"a": "b", "c": "d e", "f": "g"}, "spec.containers[0].command[2]"},
		"shell with options": {`{name: a, image: x, command: [/bin/bash, -ec, "if true; then\nkube-scheduler --a=b\nfi"]}`,
			"kube-scheduler", map[string]string{"a": "b"}, "spec.containers[0].command[2]"},
		"shell in args": {`{name: a, image: x, command: [sh, -c], args: ["/usr/local/bin/kube-controller-manager --a=b 1>>/var/log/k.log 2>&1"]}`,
			"kube-controller-manager", map[string]string{"a": "b"}, "spec.containers[0].args[0]"},
		"hyperkube":       {`{name: a, image: hyperkube, command: [/hyperkube, apiserver, --a=b]}`, "kube-apiserver", map[string]string{"a": "b"}, "spec.containers[0].command[2]"},
		"go-runner":       {`{name: a, image: x, command: [/go-runner, --log-file=/l, /usr/local/bin/kube-scheduler, --a=b]}`, "kube-scheduler", map[string]string{"a": "b"}, "spec.containers[0].command[3]"},
		"image only":      {`{name: a, image: "r/kube-apiserver@sha256:00", args: [--a=b]}`, "kube-apiserver", map[string]string{"a": "b"}, "spec.containers[0].args[0]"},
		"image, name":     {`{name: a, image: "r:5000/kube-proxy-amd64:v1", args: [kube-proxy, --a=b]}`, "kube-proxy", map[string]string{"a": "b"}, "spec.containers[0].args[1]"},
		"command, args":   {`{name: a, image: x, command: [kube-apiserver], args: [--a=b]}`, "kube-apiserver", map[string]string{"a": "b"}, "spec.containers[0].args[0]"},
		"single dash":     {`{name: a, image: x, command: [kube-apiserver, -a=b]}`, "kube-apiserver", map[string]string{"a": "b"}, "spec.containers[0].command[1]"},
		"other program":   {`{name: a, image: x, command: [cp, kube-apiserver, /tmp]}`, "", nil, ""},
		"other image":     {`{name: a, image: nginx, args: [--a=b]}`, "", nil, ""},
		"etcd of another": {`{name: a, image: etcd, command: [etcd, --a=b]}`, "", nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := NewCluster("x")
			c.Add(object(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: calico-etcd, namespace: kube-system}\nspec: {containers: ["+tt.container+"]}"))
			if tt.name == "" {
				if len(c.Components) != 0 {
					t.Fatalf("%+v", c.Components[0])
				}
				return
			}
			if len(c.Components) != 1 {
				t.Fatalf("%d components", len(c.Components))
			}
			got := c.Components[0]
			if got.Name != tt.name || !reflect.DeepEqual(got.Flags, tt.flags) || got.FlagPaths["a"] != tt.path {
				t.Errorf("%+v", got)
			}
		})
	}
	c := NewCluster("x")
	c.Add(object(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: vc, namespace: team}\nspec: {containers: [{name: a, image: kube-apiserver, args: [--a=b]}]}"))
	if len(c.Components) != 0 {
		t.Error("the API server of a virtual cluster was taken for the cluster's own")
	}
}

func TestEtcdEnvironment(t *testing.T) {
	c := NewCluster("x")
	c.Add(object(t, `{apiVersion: v1, kind: Pod, metadata: {name: etcd-a, namespace: kube-system, labels: {component: etcd}},
  spec: {containers: [{name: e, image: etcd:3, command: [etcd, --data-dir=/d], env: [{name: ETCD_CLIENT_CERT_AUTH, value: "true"}, {name: ETCD_DATA_DIR, value: /x}]}]}}`))
	f := c.Components[0]
	if f.Flags["client-cert-auth"] != "true" || f.Flags["data-dir"] != "/d" || f.FlagPaths["client-cert-auth"] != "spec.containers[0].env[0]" {
		t.Errorf("%+v", f)
	}
}

func TestConfigMapAndNodeComponents(t *testing.T) {
	c := NewCluster("x")
	c.Add(object(t, kubeletMap))
	if len(c.Components) != 1 {
		t.Fatal(len(c.Components))
	}
	k := c.Components[0]
	if k.Name != "kubelet" || !k.Complete || Bool(k.Config, true, "authentication", "anonymous", "enabled") || k.Path != "data.kubelet" {
		t.Errorf("%+v", k)
	}
	if n, ok := Int(k.Config, "maxPods"); !ok || n != 110 {
		t.Errorf("%v", k.Config["maxPods"])
	}
	c.Add(object(t, nodeFacts))
	if c.Nodes["n1"] == nil || len(c.Components) != 3 {
		t.Fatalf("%+v", c.Components)
	}
	kubelet, api := c.Components[1], c.Components[2]
	if kubelet.Node != "n1" || kubelet.Flags["anonymous-auth"] != "false" || kubelet.FlagPaths["anonymous-auth"] != "kubelet.flags.anonymous-auth" ||
		!kubelet.Complete || kubelet.Config["maxPods"] != int64(110) {
		t.Errorf("%+v", kubelet)
	}
	if api.Name != "kube-apiserver" || api.Source.Kind != "Process" || api.Flags["anonymous-auth"] != "true" || api.FlagPaths["anonymous-auth"] != "processes[0].args[1]" {
		t.Errorf("%+v", api)
	}
	c.Add(object(t, "{apiVersion: stockade.dev/v1, kind: NodeFacts, metadata: {name: bad}, files: 3}"))
	if c.Unread["NodeFacts.stockade.dev"] == "" {
		t.Error("broken node facts are passed over in silence")
	}
}

func TestProxyJoin(t *testing.T) {
	ds := `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: kube-proxy, namespace: kube-system}, spec: {template: {spec: {containers: [
  {name: kube-proxy, image: "registry.k8s.io/kube-proxy:v1.34.4", command: [/usr/local/bin/kube-proxy, --config=/var/lib/kube-proxy/config.conf]}]}}}}`
	cm := `{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-proxy, namespace: kube-system}, data: {config.conf: "mode: nftables"}}`
	for _, order := range [][]string{{ds, cm}, {cm, ds}} {
		c := NewCluster("x")
		for _, text := range order {
			c.Add(object(t, text))
		}
		if len(c.Components) != 1 {
			t.Fatalf("%+v", c.Components)
		}
		p := c.Components[0]
		if p.Config["mode"] != "nftables" || p.Flags["config"] == "" || p.Version != "v1.34.4" || !p.Complete || p.Source.Kind != "ConfigMap" {
			t.Errorf("%+v", p)
		}
	}
	c := NewCluster("x")
	c.Add(object(t, ds))
	if c.Components[0].Complete {
		t.Error("a component with an unseen configuration file is not complete")
	}
}

func TestCoreComponents(t *testing.T) {
	c := NewCluster("x")
	workload := func(ns, name, labels, image string) {
		c.Add(object(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: "+name+", namespace: "+ns+"}\nspec: {template: {metadata: {labels: {"+
			labels+"}}, spec: {containers: [{name: c, image: \""+image+"\"}]}}}"))
	}
	c.Add(object(t, staticPod))
	workload("kube-system", "coredns", "k8s-app: kube-dns", "registry.cn-hangzhou.aliyuncs.com/acs/coredns:v1.9.3")
	workload("kube-system", "calico-node", "", "docker.io/calico/node:v3.28.0")
	workload("shop", "coredns", "", "coredns/coredns:1.11")
	workload("harbor", "harbor-core", "app: harbor, component: core", "goharbor/harbor-core:v2.11.0")
	workload("harbor", "harbor-database", "app: harbor, component: database", "mirror/postgresql:15")
	workload("harbor", "harbor-registry", "", "goharbor/registry-photon:v2.11.0")
	workload("jf", "artifactory", "", "releases-docker.jfrog.io/jfrog/artifactory-pro:7.90.1")
	workload("jf", "nginx", "", "docker.bintray.io/bitnami/nginx:1.18")
	workload("shop", "nginx", "", "bitnami/nginx:1.18")
	var got []string
	for _, cc := range c.CoreComponents() {
		got = append(got, strings.Join([]string{cc.Group, cc.Name, cc.Workload, cc.Version, cc.NotScanned}, "|"))
	}
	want := []string{
		"kube-system|calico/node|Deployment kube-system/calico-node|v3.28.0|",
		"kube-system|coredns|Deployment kube-system/coredns|v1.9.3|",
		"kube-system|etcd|||" + CoreNotContainer,
		"kube-system|kube-apiserver|Pod kube-system/kube-apiserver|v1.34.4|",
		"kube-system|kube-controller-manager|||" + CoreNotContainer,
		"kube-system|kube-scheduler|||" + CoreNotContainer,
		"goharbor|PostgreSQL|Deployment harbor/harbor-database|15|",
		"goharbor|harbor-core|Deployment harbor/harbor-core|v2.11.0|",
		"goharbor|harbor-registry|Deployment harbor/harbor-registry|v2.11.0|",
		"docker.bintray.io|bitnami/nginx|Deployment jf/nginx|1.18|",
		"releases.jfrog.io|artifactory-pro|Deployment jf/artifactory|7.90.1|",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	c.Managed = true
	for _, cc := range c.CoreComponents() {
		if cc.Name == Etcd && cc.NotScanned != CoreByProvider {
			t.Errorf("%+v", cc)
		}
	}
}
