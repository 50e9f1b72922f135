package inventory

import (
	"slices"
	"strings"
)

// Added says what became of an object.
type Added struct {
	// Workload is the workload that the object is, or whose part it is; nil for kinds that carry no pod. Its Ref is the
	// identity under which the object is judged.
	Workload *Workload
	// Folded is true when the workload had been recorded before: its ReplicaSets, Jobs and Pods add nothing new but the
	// containers in Extra.
	Folded bool
	// Extra names the containers of a folded object that its workload lacked so far, such as injected sidecars and
	// ephemeral debug containers. Just these are still to be judged. They are recorded with their path inside the
	// folded object.
	Extra []string
}

// lastApplied is the annotation in which kubectl apply keeps the whole object, Secret values included.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Add records one object in the compact form. Owners are best added before what they own (WorkloadKinds order); in any
// other order the result names the same workloads. It is to be called from one goroutine and keeps no reference to the
// content of Pods, controllers, RBAC, Secrets and ConfigMaps. Values of wrong types count as missing.
func (c *Cluster) Add(o *Object) Added {
	if o == nil || o.Content == nil {
		return Added{}
	}
	gk := o.Ref().GroupKind()
	if CarriesPod(gk) {
		return c.addCarrier(o)
	}
	switch gk {
	case "Namespace":
		c.Namespaces[o.Name] = &Namespace{Name: o.Name, Labels: o.Labels(), Annotations: o.Annotations(), Object: o}
	case "ServiceAccount":
		c.addServiceAccount(o)
	case "Role.rbac.authorization.k8s.io", "ClusterRole.rbac.authorization.k8s.io":
		c.Roles = append(c.Roles, newRole(o))
	case "RoleBinding.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io":
		c.Bindings = append(c.Bindings, newBinding(o))
	case "Secret":
		c.Secrets = append(c.Secrets, newSecret(o))
	case "ConfigMap":
		c.ConfigMaps = append(c.ConfigMaps, &ConfigMapMeta{Ref: o.Ref(), Keys: dataKeys(o, "data", "binaryData"), Origin: o.Origin})
		c.addConfigMapComponents(o)
	case "NodeFacts.stockade.dev":
		c.addNodeFacts(o)
	case "CustomResourceDefinition.apiextensions.k8s.io":
		c.Objects[gk] = append(c.Objects[gk], withoutSchemas(o))
	default:
		c.Objects[gk] = append(c.Objects[gk], o)
	}
	return Added{}
}

func (c *Cluster) addServiceAccount(o *Object) {
	sa := &ServiceAccount{Namespace: o.Namespace, Name: o.Name, Annotations: o.Annotations(), Origin: o.Origin,
		Automount: boolAt(o.Content, "automountServiceAccountToken")}
	delete(sa.Annotations, lastApplied)
	sa.Secrets = names(o.Content, "secrets")
	sa.PullSecrets = names(o.Content, "imagePullSecrets")
	c.ServiceAccounts[o.Namespace+"/"+o.Name] = sa
}

func newRole(o *Object) *Role {
	r := &Role{Ref: o.Ref(), Labels: o.Labels(), Origin: o.Origin}
	for _, v := range List(o.Content, "rules") {
		m, ok := v.(map[string]any)
		if !ok {
			continue
		}
		r.Rules = append(r.Rules, PolicyRule{APIGroups: Strs(m, "apiGroups"), Resources: Strs(m, "resources"),
			ResourceNames: Strs(m, "resourceNames"), Verbs: Strs(m, "verbs"), NonResourceURLs: Strs(m, "nonResourceURLs")})
	}
	for _, v := range List(o.Content, "aggregationRule", "clusterRoleSelectors") {
		if m, ok := v.(map[string]any); ok {
			r.Aggregation = append(r.Aggregation, m)
		}
	}
	return r
}

func newBinding(o *Object) *Binding {
	b := &Binding{Ref: o.Ref(), Origin: o.Origin, RoleKind: Str(o.Content, "roleRef", "kind"),
		RoleName: Str(o.Content, "roleRef", "name")}
	for _, v := range List(o.Content, "subjects") {
		if m, ok := v.(map[string]any); ok {
			b.Subjects = append(b.Subjects, Subject{Str(m, "kind"), Str(m, "namespace"), Str(m, "name")})
		}
	}
	return b
}

func newSecret(o *Object) *SecretMeta {
	s := &SecretMeta{Ref: o.Ref(), Type: Str(o.Content, "type"), Labels: o.Labels(), Annotations: o.Annotations(),
		Keys: dataKeys(o, "data", "stringData"), Origin: o.Origin}
	if s.Type == "" {
		s.Type = "Opaque" // the API server's default
	}
	if _, ok := s.Annotations[lastApplied]; ok {
		s.Annotations[lastApplied] = "" // it holds the values
	}
	return s
}

// dataKeys returns the keys of the maps at fields, sorted and without doubles.
func dataKeys(o *Object, fields ...string) []string {
	var keys []string
	for _, f := range fields {
		for k := range Map(o.Content, f) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// withoutSchemas returns a copy of a CustomResourceDefinition without its OpenAPI schemas, which no rule reads and which
// outweigh everything else in many clusters.
func withoutSchemas(o *Object) *Object {
	spec := Map(o.Content, "spec")
	if spec == nil {
		return o
	}
	spec = shallow(spec)
	delete(spec, "validation")
	versions := slices.Clone(List(spec, "versions"))
	for i, v := range versions {
		if m, ok := v.(map[string]any); ok {
			m = shallow(m)
			delete(m, "schema")
			versions[i] = m
		}
	}
	if versions != nil {
		spec["versions"] = versions
	}
	light := *o
	light.Content = shallow(o.Content)
	light.Content["spec"] = spec
	if meta := Map(o.Content, "metadata"); meta != nil && Map(meta, "annotations")[lastApplied] != nil {
		meta = shallow(meta)
		ann := shallow(Map(meta, "annotations"))
		delete(ann, lastApplied) // a second copy of the schemas
		meta["annotations"] = ann
		light.Content["metadata"] = meta
	}
	return &light
}

func shallow(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// names returns the name fields of the list of objects at keys.
func names(m map[string]any, keys ...string) []string {
	var out []string
	for _, v := range List(m, keys...) {
		if r, ok := v.(map[string]any); ok {
			if n := Str(r, "name"); n != "" {
				out = append(out, n)
			}
		}
	}
	return out
}

// boolAt returns the bool at keys; nil when it is missing or of another type.
func boolAt(m map[string]any, keys ...string) *bool {
	if v, ok := Get(m, keys...).(bool); ok {
		return &v
	}
	return nil
}

// addCarrier records an object that carries a pod, under the workload it belongs to.
func (c *Cluster) addCarrier(o *Object) Added {
	id, static := c.identity(o)
	w := c.workloads[workloadKey(id)]
	if w != nil && id == o.Ref() && o.Origin.File != "" && !w.provisional {
		w = nil // two files may each hold a variant of one object
	}
	if w == nil || static { // static pods differ from node to node, each with its own flags
		c.addPodComponents(o, static)
	}
	if w == nil {
		w = newWorkload(o, id, static)
		c.AddWorkload(w)
		c.alias(o, w)
		return Added{Workload: w}
	}
	c.alias(o, w)
	if w.provisional && id == o.Ref() {
		return Added{Workload: w, Folded: true, Extra: w.settle(newWorkload(o, id, static))}
	}
	return Added{Workload: w, Folded: true, Extra: w.fold(o)}
}

// alias lets c.Workload find w by the name of a ReplicaSet, Job or StatefulSet folded into it, which is how Pods name
// their owner. Pods own nothing.
func (c *Cluster) alias(o *Object, w *Workload) {
	if o.Kind != "Pod" {
		if key := workloadKey(o.Ref()); c.workloads[key] == nil {
			c.workloads[key] = w
		}
	}
}

// identity returns the reference of the workload that o belongs to: o itself, or its topmost owner as far as that is
// known or certain.
func (c *Cluster) identity(o *Object) (id Ref, static bool) {
	id = o.Ref()
	if o.Kind == "Pod" && id.Group() == "" {
		if name, ok := staticName(o); ok {
			id.Name = name
			return id, true
		}
	}
	switch id.GroupKind() {
	case "Pod", "ReplicaSet.apps", "ReplicaSet.extensions", "Job.batch", "ReplicationController":
	default:
		return id, false
	}
	owner, _, ok := o.Controller()
	if !ok || owner.Kind == "" || owner.Name == "" {
		return id, false
	}
	if owner.Group() == "extensions" { // renamed group of the same objects
		owner.APIVersion = "apps/v1"
	}
	if w := c.workloads[workloadKey(owner)]; w != nil {
		return w.Ref, false
	}
	if o.Kind != "Pod" {
		if CarriesPod(owner.GroupKind()) {
			return owner, false
		}
		return id, false // the controller of an operator may own several different ones
	}
	return c.podOwner(o, owner), false
}

// podOwner returns what stands above the direct owner of a Pod when the name says so for certain, else the owner.
func (c *Cluster) podOwner(o *Object, owner Ref) Ref {
	switch owner.GroupKind() {
	case "ReplicaSet.apps":
		// Only the Deployment controller sets this label, and it names the ReplicaSet after it.
		hash := Str(Map(o.Content, "metadata", "labels"), "pod-template-hash")
		if name, ok := strings.CutSuffix(owner.Name, "-"+hash); ok && hash != "" && name != "" {
			return Ref{"apps/v1", "Deployment", o.Namespace, name}
		}
	case "Job.batch":
		// The CronJob controller appends the scheduled time in minutes since 1970: eight digits from 1989 to 2160.
		if i := strings.LastIndexByte(owner.Name, '-'); i > 0 && len(owner.Name)-i-1 == 8 && digits(owner.Name[i+1:]) {
			cron := Ref{"batch/v1", "CronJob", o.Namespace, owner.Name[:i]}
			if w := c.workloads[workloadKey(cron)]; w != nil {
				return w.Ref
			}
		}
	}
	return owner
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// staticName returns the name of a static pod as its manifest has it: that of the mirror pod without the node's name.
func staticName(o *Object) (string, bool) {
	_, mirror := Map(o.Content, "metadata", "annotations")["kubernetes.io/config.mirror"]
	owner, _, owned := o.Controller()
	if !mirror && !(owned && owner.Kind == "Node") {
		return "", false
	}
	node := Str(o.Content, "spec", "nodeName")
	if node == "" && owned && owner.Kind == "Node" {
		node = owner.Name
	}
	name, cut := strings.CutSuffix(o.Name, "-"+node)
	if !cut || node == "" || name == "" {
		return o.Name, true
	}
	return name, true
}
