package analyze

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// say makes a text in both languages from two formats with the same arguments.
func say(en, zh string, args ...any) finding.Text {
	if len(args) == 0 {
		return finding.Text{EN: en, ZH: zh}
	}
	return finding.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}
}

// join puts texts behind each other.
func join(parts ...finding.Text) finding.Text {
	var out finding.Text
	for _, p := range parts {
		out.EN += p.EN
		out.ZH += p.ZH
	}
	return out
}

// listed is how many names a message spells out.
const listed = 5

// list names things for a message: the first few, and how many more there are.
func list(names []string) finding.Text {
	n := min(len(names), listed)
	out := finding.Text{EN: strings.Join(names[:n], ", "), ZH: strings.Join(names[:n], "、")}
	if more := len(names) - n; more > 0 {
		out.EN += fmt.Sprintf(" and %d more", more)
		out.ZH += fmt.Sprintf(" 等共 %d 个", len(names))
	}
	return out
}

// atNamespace is a problem of a whole namespace.
func atNamespace(c *inventory.Cluster, name string) Problem {
	p := Problem{Ref: inventory.Ref{APIVersion: "v1", Kind: "Namespace", Name: name}}
	if ns := c.Namespaces[name]; ns != nil && ns.Object != nil {
		p.Origin = ns.Object.Origin
	}
	return p
}

// atCluster is a problem of the cluster as a whole, told at the namespace that every cluster has.
func atCluster(c *inventory.Cluster) Problem { return atNamespace(c, "kube-system") }

func atWorkload(w *inventory.Workload) Problem { return Problem{Ref: w.Ref, Origin: w.Origin} }

func atObject(o *inventory.Object) Problem { return Problem{Ref: o.Ref(), Origin: o.Origin} }

// podPath is the path of a field of a workload's pod.
func podPath(w *inventory.Workload, field string) string { return inventory.JoinPath(w.Path, field) }

// tenants returns the workloads that belong to users: those outside the namespaces of Kubernetes itself, static pods
// left out.
func tenants(c *inventory.Cluster) []*inventory.Workload {
	var out []*inventory.Workload
	for _, w := range c.Workloads {
		if !inventory.SystemNamespace(w.Ref.Namespace) && !w.Static {
			out = append(out, w)
		}
	}
	return out
}

// namespacesOf groups workloads by namespace and returns the names in order.
func namespacesOf(workloads []*inventory.Workload) (names []string, members map[string][]*inventory.Workload) {
	members = map[string][]*inventory.Workload{}
	for _, w := range workloads {
		if members[w.Ref.Namespace] == nil {
			names = append(names, w.Ref.Namespace)
		}
		members[w.Ref.Namespace] = append(members[w.Ref.Namespace], w)
	}
	sort.Strings(names)
	return names, members
}

// workloadKinds are the kinds without which the workloads of a cluster are not known.
var workloadKinds = []string{"Pod", "Deployment.apps", "StatefulSet.apps", "DaemonSet.apps"}

// shortRef names an object without its namespace.
func shortRef(r inventory.Ref) string { return r.Kind + " " + r.Name }

func refs(workloads []*inventory.Workload) []string {
	out := make([]string, len(workloads))
	for i, w := range workloads {
		out[i] = shortRef(w.Ref)
	}
	slices.Sort(out)
	return out
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// listTexts joins texts by commas.
func listTexts(texts []finding.Text) finding.Text {
	var out finding.Text
	for i, t := range texts {
		if i > 0 {
			out = join(out, say(", ", "、"))
		}
		out = join(out, t)
	}
	return out
}
