package inventory

// podTemplates maps "Kind.group" to the path of the pod template inside the object. A Pod is its own template.
var podTemplates = map[string][]string{
	"Pod":                     {},
	"PodTemplate":             {"template"},
	"ReplicationController":   {"spec", "template"},
	"Deployment.apps":         {"spec", "template"},
	"ReplicaSet.apps":         {"spec", "template"},
	"StatefulSet.apps":        {"spec", "template"},
	"DaemonSet.apps":          {"spec", "template"},
	"Job.batch":               {"spec", "template"},
	"CronJob.batch":           {"spec", "jobTemplate", "spec", "template"},
	"Deployment.extensions":   {"spec", "template"},
	"DaemonSet.extensions":    {"spec", "template"},
	"ReplicaSet.extensions":   {"spec", "template"},
	"CloneSet.apps.kruise.io": {"spec", "template"}, // OpenKruise, common on Chinese clusters
	"StatefulSet.apps.kruise.io": {
		"spec", "template"},
	"DaemonSet.apps.kruise.io":           {"spec", "template"},
	"Rollout.argoproj.io":                {"spec", "template"},
	"DeploymentConfig.apps.openshift.io": {"spec", "template"},
}

// WorkloadKinds lists the built-in kinds that carry a pod, as (group, kind), in the order in which owners precede what
// they own.
var WorkloadKinds = []struct{ Group, Kind string }{
	{"apps", "Deployment"}, {"apps", "StatefulSet"}, {"apps", "DaemonSet"}, {"batch", "CronJob"}, {"batch", "Job"},
	{"apps", "ReplicaSet"}, {"", "ReplicationController"}, {"", "Pod"}, {"", "PodTemplate"},
}

// CarriesPod reports whether objects of the "Kind.group" hold a pod template.
func CarriesPod(groupKind string) bool { _, ok := podTemplates[groupKind]; return ok }

// PodTemplate returns the pod template of o (for a Pod the object itself) and its path; nil when o has none.
func (o *Object) PodTemplate() (pod map[string]any, path string) {
	keys, ok := podTemplates[o.Ref().GroupKind()]
	if !ok {
		return nil, ""
	}
	if len(keys) == 0 {
		return o.Content, ""
	}
	for _, k := range keys {
		path = JoinKey(path, k)
	}
	return Map(o.Content, keys...), path
}

// Container types.
const (
	TypeContainer = "container"
	TypeInit      = "init"
	TypeSidecar   = "sidecar" // an init container with restartPolicy Always
	TypeEphemeral = "ephemeral"
)

// ContainerRef is one container of a pod as rules see it.
type ContainerRef struct {
	Content map[string]any
	Path    string // within the object
	Name    string
	Type    string
}

var containerLists = [...]struct{ key, kind string }{
	{"containers", TypeContainer}, {"initContainers", TypeInit}, {"ephemeralContainers", TypeEphemeral},
}

// Containers returns every container of o: regular, init, sidecar and ephemeral. Entries that are not maps are left out.
func (o *Object) Containers() []ContainerRef {
	pod, path := o.PodTemplate()
	spec := Map(pod, "spec")
	if spec == nil {
		return nil
	}
	path = JoinKey(path, "spec")
	var out []ContainerRef
	for _, l := range containerLists {
		list := List(spec, l.key)
		for i, v := range list {
			c, ok := v.(map[string]any)
			if !ok {
				continue
			}
			kind := l.kind
			if kind == TypeInit && Str(c, "restartPolicy") == "Always" {
				kind = TypeSidecar
			}
			out = append(out, ContainerRef{c, JoinIndex(JoinKey(path, l.key), i), Str(c, "name"), kind})
		}
	}
	return out
}

// Controller returns the controlling owner reference of o; ok is false when there is none.
func (o *Object) Controller() (owner Ref, uid string, ok bool) {
	for _, v := range List(o.Content, "metadata", "ownerReferences") {
		r, _ := v.(map[string]any)
		if Bool(r, false, "controller") {
			return Ref{Str(r, "apiVersion"), Str(r, "kind"), o.Namespace, Str(r, "name")}, Str(r, "uid"), true
		}
	}
	return Ref{}, "", false
}
