package inventory

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func object(t testing.TB, text string) *Object {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o, ok := NewObject(decodeJSON(data))
	if !ok {
		t.Fatalf("no object: %s", text)
	}
	return o
}

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: web}, annotations: {kubectl.kubernetes.io/last-applied-configuration: x, a: b}}
    spec:
      serviceAccountName: web
      hostNetwork: true
      securityContext: {runAsUser: 1000}
      imagePullSecrets: [{name: pull}]
      containers:
      - name: web
        image: nginx:1.27
        ports: [{containerPort: 80, hostPort: 8080}]
        env: [{name: A, value: b}, {name: P, valueFrom: {secretKeyRef: {name: db, key: password}}}]
        envFrom: [{secretRef: {name: all}}]
        volumeMounts: [{name: run, mountPath: /run, readOnly: true}]
        securityContext: {privileged: true, capabilities: {add: [NET_ADMIN]}}
      initContainers: [{name: side, image: b, restartPolicy: Always, securityContext: {runAsUser: 0}}]
      volumes:
      - {name: run, hostPath: {path: /run, type: Directory}}
      - {name: tok, projected: {sources: [{serviceAccountToken: {audience: vault}}, {secret: {name: s1}}, {configMap: {name: c1}}]}}
      - {name: d, persistentVolumeClaim: {claimName: d}}
      - {name: model, image: {reference: quay.io/m:1}}
`

const replicaSet = `
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  {name: web-5d4f, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, controller: true}]}
spec: {replicas: 3, template: {spec: {containers: [{name: web, image: "nginx:1.27"}]}}}
`

const pod = `
apiVersion: v1
kind: Pod
metadata:
  name: web-5d4f-x1
  namespace: shop
  labels: {pod-template-hash: 5d4f}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-5d4f, controller: true}]
spec:
  nodeName: n2
  containers: [{name: web, image: "nginx:1.27"}, {name: istio-proxy, image: envoy}]
  initContainers: [{name: side, image: b, restartPolicy: Always}]
  ephemeralContainers: [{name: debugger, image: busybox}]
status:
  phase: Running
  containerStatuses:
  - {name: web, imageID: "docker-pullable://nginx@sha256:aaaa"}
  - {name: istio-proxy, imageID: "sha256:cccc"}
`

func TestAddWorkload(t *testing.T) {
	c := NewCluster("x")
	a := c.Add(object(t, deployment))
	if a.Folded || a.Workload == nil {
		t.Fatalf("%+v", a)
	}
	uid, root := int64(1000), int64(0)
	want := &Workload{Ref: Ref{"apps/v1", "Deployment", "shop", "web"}, Labels: map[string]string{"app": "web"},
		Annotations: map[string]string{"a": "b"}, ServiceAccount: "web", HostNetwork: true, PullSecrets: []string{"pull"},
		Replicas: 3, Path: "spec.template",
		Containers: []Container{
			{Name: "web", Type: "container", Path: "spec.template.spec.containers[0]", Image: "nginx:1.27", Privileged: true,
				RunAsUser: &uid, CapAdd: []string{"NET_ADMIN"}, Ports: []Port{{Protocol: "TCP", Container: 80, Host: 8080}},
				Mounts: []Mount{{Volume: "run", Path: "/run", ReadOnly: true}},
				EnvSecrets: []SecretUse{
					{"db", "password", "spec.template.spec.containers[0].env[1].valueFrom.secretKeyRef"},
					{"all", "", "spec.template.spec.containers[0].envFrom[0].secretRef"}}},
			{Name: "side", Type: "sidecar", Path: "spec.template.spec.initContainers[0]", Image: "b", RunAsUser: &root}},
		Volumes: []Volume{
			{Name: "run", Path: "spec.template.spec.volumes[0]", Kind: "hostPath", HostPath: "/run", HostType: "Directory"},
			{Name: "tok", Path: "spec.template.spec.volumes[1]", Kind: "projected", TokenAud: []string{"vault"},
				Secrets: []string{"s1"}, ConfigMaps: []string{"c1"}},
			{Name: "d", Path: "spec.template.spec.volumes[2]", Kind: "persistentVolumeClaim", Claim: "d"},
			{Name: "model", Path: "spec.template.spec.volumes[3]", Kind: "image", Image: "quay.io/m:1"}}}
	if !reflect.DeepEqual(a.Workload, want) {
		t.Errorf("got  %+v\nwant %+v", a.Workload, want)
	}
	if a := c.Add(object(t, replicaSet)); !a.Folded || a.Workload.Ref.Kind != "Deployment" || a.Extra != nil {
		t.Errorf("ReplicaSet: %+v", a)
	}
	a = c.Add(object(t, pod))
	if !a.Folded || !slices.Equal(a.Extra, []string{"istio-proxy", "debugger"}) {
		t.Errorf("Pod: %+v", a)
	}
	second := object(t, strings.ReplaceAll(strings.ReplaceAll(pod, "nodeName: n2", "nodeName: n1"), "aaaa", "9999"))
	second.Name = "web-5d4f-x2"
	if a = c.Add(second); !a.Folded || a.Extra != nil {
		t.Errorf("a sidecar known from the first pod is judged again: %+v", a)
	}
	w := c.Workloads[0]
	if len(c.Workloads) != 1 || w.Pods != 2 || !slices.Equal(w.Nodes, []string{"n1", "n2"}) || w.Replicas != 3 {
		t.Errorf("%d workloads, %+v", len(c.Workloads), w)
	}
	if d := w.container("web").Digests; !slices.Equal(d, []string{"sha256:9999", "sha256:aaaa"}) {
		t.Errorf("digests %q", d)
	}
	if d := w.container("istio-proxy").Digests; d != nil {
		t.Errorf("a configuration digest was taken for a manifest digest: %q", d)
	}
	if c.Workload(Ref{"apps/v1", "ReplicaSet", "shop", "web-5d4f"}) != w {
		t.Error("ReplicaSet does not lead to its Deployment")
	}
}

// TestAddOrder adds a Deployment, its ReplicaSet and its Pod in every order: one workload each time, the same containers,
// and every container judged exactly once.
func TestAddOrder(t *testing.T) {
	texts := []string{deployment, replicaSet, pod}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		c := NewCluster("x")
		judged := map[string]int{}
		for _, i := range order {
			a := c.Add(object(t, texts[i]))
			if a.Workload == nil || a.Workload.Ref != (Ref{"apps/v1", "Deployment", "shop", "web"}) {
				t.Fatalf("%v: %+v", order, a)
			}
			if a.Folded {
				for _, n := range a.Extra {
					judged[n]++
				}
			} else {
				for _, ctr := range a.Workload.Containers {
					judged[ctr.Name]++
				}
			}
		}
		if want := (map[string]int{"web": 1, "side": 1, "istio-proxy": 1, "debugger": 1}); !reflect.DeepEqual(judged, want) {
			t.Errorf("%v: judged %v", order, judged)
		}
		w := c.Workloads[0]
		if len(c.Workloads) != 1 || w.Path != "spec.template" || w.Replicas != 3 || w.Pods != 1 || w.ServiceAccount != "web" ||
			!slices.Equal(w.container("web").Digests, []string{"sha256:aaaa"}) || len(w.Volumes) != 4 {
			t.Errorf("%v: %d workloads, %+v", order, len(c.Workloads), w)
		}
	}
}

func TestIdentity(t *testing.T) {
	owned := func(kind, name, owner string) string {
		return "apiVersion: " + map[string]string{"Pod": "v1", "Job": "batch/v1", "ReplicaSet": "apps/v1"}[kind] + "\nkind: " + kind +
			"\nmetadata: {name: " + name + ", namespace: a, ownerReferences: [{" + owner + ", controller: true}]}\nspec: {}"
	}
	cron := "apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: {name: c, namespace: a}\nspec: {}"
	tests := map[string]struct {
		objects []string
		want    Ref // of the last one
	}{
		"pod of a custom controller": {[]string{owned("Pod", "k-0", "apiVersion: x.io/v1, kind: PodSet, name: k")},
			Ref{"x.io/v1", "PodSet", "a", "k"}},
		"job of a custom controller": {[]string{owned("Job", "j", "apiVersion: x.io/v1, kind: Flow, name: k")},
			Ref{"batch/v1", "Job", "a", "j"}},
		"pod of a ReplicaSet without hash": {[]string{owned("Pod", "r-1", "apiVersion: apps/v1, kind: ReplicaSet, name: r-1f")},
			Ref{"apps/v1", "ReplicaSet", "a", "r-1f"}},
		"job of a CronJob not read": {[]string{owned("Job", "c-28391234", "apiVersion: batch/v1, kind: CronJob, name: c")},
			Ref{"batch/v1", "CronJob", "a", "c"}},
		"pod of a Job not read, CronJob known": {[]string{cron, owned("Pod", "c-28391234-x", "apiVersion: batch/v1, kind: Job, name: c-28391234")},
			Ref{"batch/v1beta1", "CronJob", "a", "c"}},
		"pod of a Job that only looks like a CronJob's": {[]string{owned("Pod", "c-28391234-x", "apiVersion: batch/v1, kind: Job, name: c-28391234")},
			Ref{"batch/v1", "Job", "a", "c-28391234"}},
		"pod of a Rollout's ReplicaSet": {[]string{
			owned("ReplicaSet", "ro-7", "apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: ro"),
			owned("Pod", "ro-7-x", "apiVersion: apps/v1, kind: ReplicaSet, name: ro-7")}, Ref{"argoproj.io/v1alpha1", "Rollout", "a", "ro"}},
		"old group": {[]string{owned("Pod", "p", "apiVersion: extensions/v1beta1, kind: DaemonSet, name: d")},
			Ref{"apps/v1", "DaemonSet", "a", "d"}},
		"owner without controller": {[]string{"apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: a, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: c}]}"},
			Ref{"v1", "Pod", "a", "p"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := NewCluster("x")
			var a Added
			for _, text := range tt.objects {
				a = c.Add(object(t, text))
			}
			if a.Workload.Ref != tt.want {
				t.Errorf("got %v, want %v", a.Workload.Ref, tt.want)
			}
		})
	}
}

func TestAddOthers(t *testing.T) {
	c := NewCluster("x")
	for _, text := range []string{
		"{apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {l: v}}}",
		"{apiVersion: v1, kind: ServiceAccount, metadata: {name: s, namespace: a}, automountServiceAccountToken: false, secrets: [{name: t}], imagePullSecrets: [{name: p}]}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: r, labels: {l: v}}, rules: [{apiGroups: [''], resources: [pods], verbs: [get, 7]}], aggregationRule: {clusterRoleSelectors: [{matchLabels: {a: b}}]}}",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: b, namespace: a}, roleRef: {kind: ClusterRole, name: r}, subjects: [{kind: ServiceAccount, name: s, namespace: a}]}",
		"{apiVersion: v1, kind: Secret, metadata: {name: s, namespace: a, annotations: {kubectl.kubernetes.io/last-applied-configuration: hidden}}, data: {b: aGlkZGVu}, stringData: {a: hidden}}",
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: a}, data: {k: hidden}, binaryData: {j: hidden}}",
		"{apiVersion: v1, kind: Service, metadata: {name: svc, namespace: a}}",
		"{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: x}, spec: {versions: [{name: v1, schema: {openAPIV3Schema: {}}}]}}",
	} {
		o := object(t, text)
		before, _ := json.Marshal(o.Content)
		if a := c.Add(o); a.Workload != nil {
			t.Errorf("%s: %+v", text, a)
		}
		if after, _ := json.Marshal(o.Content); string(before) != string(after) {
			t.Errorf("Add changed the object: %s", after)
		}
	}
	if sa := c.ServiceAccounts["a/s"]; sa == nil || sa.Automount == nil || *sa.Automount || sa.Secrets[0] != "t" || sa.PullSecrets[0] != "p" {
		t.Errorf("%+v", sa)
	}
	if r := c.Roles[0]; r.Ref.Kind != "ClusterRole" || len(r.Aggregation) != 1 || !slices.Equal(r.Rules[0].Verbs, []string{"get"}) || r.Labels["l"] != "v" {
		t.Errorf("%+v", r)
	}
	if b := c.Bindings[0]; b.RoleName != "r" || b.Subjects[0] != (Subject{"ServiceAccount", "a", "s"}) {
		t.Errorf("%+v", b)
	}
	if s := c.Secrets[0]; !slices.Equal(s.Keys, []string{"a", "b"}) || s.Type != "Opaque" || s.Annotations[lastApplied] != "" {
		t.Errorf("%+v", s)
	}
	if m := c.ConfigMaps[0]; !slices.Equal(m.Keys, []string{"j", "k"}) {
		t.Errorf("%+v", m)
	}
	if c.Namespaces["a"].Labels["l"] != "v" || len(c.Objects["Service"]) != 1 {
		t.Errorf("%+v", c)
	}
	crd := c.Objects["CustomResourceDefinition.apiextensions.k8s.io"][0]
	if v := List(crd.Content, "spec", "versions")[0].(map[string]any); v["schema"] != nil || v["name"] != "v1" {
		t.Errorf("%v", crd.Content)
	}
}

// FuzzAdd adds whatever JSON gives, twice and with a pod after it: no input may make it panic.
func FuzzAdd(f *testing.F) {
	for _, text := range []string{deployment, replicaSet, pod, staticPod, kubeletMap, nodeFacts} {
		data, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"apiVersion":"v1","kind":"Pod","metadata":[],"spec":{"containers":{"a":1},"volumes":[1,{"secret":2}]},"status":""}`))
	f.Add([]byte(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","rules":[{"verbs":{}},3],"aggregationRule":{"clusterRoleSelectors":[1]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, _ := NewObject(decodeJSON(data))
		if o.Content == nil {
			return
		}
		c := NewCluster("f")
		first := c.Add(o)
		second := c.Add(o)
		if (first.Workload == nil) != (second.Workload == nil) {
			t.Errorf("%+v then %+v", first, second)
		}
		c.Sort()
		c.CoreComponents()
		for _, comp := range c.Components {
			comp.Value()
		}
	})
}
