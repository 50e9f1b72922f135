package scan

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// How much of an asset is kept to be shown.
const (
	mostFacts = 20  // entries of a list
	mostBytes = 253 // of a text
)

func cut(s string) string {
	if len(s) > mostBytes {
		s = strings.ToValidUTF8(s[:mostBytes], "")
	}
	return s
}

func some[T any](list []T) []T { return list[:min(len(list), mostFacts)] }

// workloadFacts is what is shown of a workload.
func (r *run) workloadFacts(w *inventory.Workload) *finding.Facts {
	f := &finding.Facts{ServiceAccount: cut(w.ServiceAccount), Replicas: w.Replicas, Pods: w.Pods, Nodes: slices.Clone(some(w.Nodes)), Token: true}
	if sa := r.cluster.ServiceAccounts[w.Ref.Namespace+"/"+w.ServiceAccount]; sa != nil && sa.Automount != nil {
		f.Token = *sa.Automount
	}
	if w.Automount != nil {
		f.Token = *w.Automount
	}
	for name, shared := range map[string]bool{"network": w.HostNetwork, "pid": w.HostPID, "ipc": w.HostIPC} {
		if shared {
			f.Host = append(f.Host, name)
		}
	}
	slices.Sort(f.Host)
	for _, v := range w.Volumes {
		if v.HostPath != "" && len(f.HostPaths) < mostFacts {
			f.HostPaths = append(f.HostPaths, cut(v.HostPath))
		}
	}
	for i := range w.Containers[:min(len(w.Containers), mostFacts)] {
		c := &w.Containers[i]
		out := finding.Container{Name: cut(c.Name), Type: c.Type, Image: cut(c.Image), Privileged: c.Privileged, Root: c.RunAsUser != nil && *c.RunAsUser == 0}
		for _, p := range some(c.Ports) {
			out.Ports = append(out.Ports, p.Container)
		}
		for _, name := range some(c.CapAdd) {
			out.Capabilities = append(out.Capabilities, cut(name))
		}
		f.Containers = append(f.Containers, out)
	}
	for _, e := range some(r.context.Reach().Exposures(w)) {
		out := finding.Exposure{Kind: e.Kind, Ports: slices.Clone(some(e.Ports)), Private: e.Private}
		if e.Object != nil {
			out.Object = cut(e.Object.Kind + " " + e.Object.Namespace + "/" + e.Object.Name)
		}
		f.Exposures = append(f.Exposures, out)
	}
	return f
}

// nodeFacts is what is shown of a node; nil for what an agent says beside.
func nodeFacts(o *inventory.Object) *finding.Facts {
	if o.Kind != "Node" {
		return nil
	}
	info := inventory.Map(inventory.Map(o.Content, "status"), "nodeInfo")
	text := func(name string) string { return cut(inventory.Str(info, name)) }
	f := &finding.Facts{Kubelet: text("kubeletVersion"), OS: text("osImage"), Kernel: text("kernelVersion"), Runtime: text("containerRuntimeVersion"),
		Architecture: text("architecture"), Cordoned: inventory.Bool(o.Content, false, "spec", "unschedulable")}
	for label := range o.Labels() {
		if role, ok := strings.CutPrefix(label, "node-role.kubernetes.io/"); ok && role != "" && len(f.Roles) < mostFacts {
			f.Roles = append(f.Roles, cut(role))
		}
	}
	slices.Sort(f.Roles)
	return f
}
