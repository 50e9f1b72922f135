package analyze

import (
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// escapeAnalyzers are the ways to and from a node that take more than one object to see.
var escapeAnalyzers = []Analyzer{
	{Name: "subpath-symlink", Cluster: subPathSymlink},
	{Name: "node-label-spoofing", Cluster: nodeLabelSpoofing},
	{Name: "tenants-co-located", Cluster: tenantsCoLocated},
	{Name: "node-blast-radius", Cluster: nodeBlastRadius},
	{Name: "claimed-host-path-volume", Cluster: claimedHostPathVolume},
}

// version is major.minor.patch of Kubernetes.
type version [3]int

// parseVersion reads "v1.21.4" and "v1.21.4-eks-0389ca3".
func parseVersion(s string) (v version, ok bool) {
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "v"), "-")
	s, _, _ = strings.Cut(s, "+")
	parts := strings.Split(s, ".")
	if len(parts) < 3 {
		return v, false
	}
	for i := range v {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

// subPathFixed maps minor releases to the first patch without CVE-2021-25741; newer ones never had it, older ones got no
// fix.
var subPathFixed = map[int]int{19: 15, 20: 11, 21: 5, 22: 2}

func (v version) followsSubPath() bool {
	if v[0] != 1 || v[1] > 22 {
		return false
	}
	patch, fixed := subPathFixed[v[1]]
	return !fixed || v[2] < patch
}

// subPathSymlink finds subPath mounts on nodes whose kubelet follows a symlink out of the volume (CVE-2021-25741).
func subPathSymlink(ctx *Context, report func(Problem)) {
	c := ctx.Cluster
	kubelets := map[string]string{}
	for _, n := range c.Objects["Node"] {
		kubelets[n.Name] = inventory.Str(n.Content, "status", "nodeInfo", "kubeletVersion")
	}
	for _, w := range tenants(c) {
		bad := ""
		for _, node := range w.Nodes {
			if v, ok := parseVersion(kubelets[node]); ok && v.followsSubPath() {
				bad = kubelets[node]
			}
		}
		if len(w.Nodes) == 0 {
			if v, ok := parseVersion(c.Version); ok && v.followsSubPath() {
				bad = c.Version
			}
			for _, k := range kubelets {
				if v, ok := parseVersion(k); ok && v.followsSubPath() {
					bad = k
				}
			}
		}
		if bad == "" {
			continue
		}
		for i := range w.Containers {
			ct := &w.Containers[i]
			j := slices.IndexFunc(ct.Mounts, func(m inventory.Mount) bool { return m.SubPath != "" })
			if j < 0 {
				continue
			}
			p := atWorkload(w)
			p.Container = ct.Name
			p.Evidence = []finding.Evidence{{Path: inventory.JoinIndex(inventory.JoinPath(ct.Path, "volumeMounts"), j) + ".subPath", Found: ct.Mounts[j].SubPath,
				Want: "no subPath, or a kubelet from 1.19.15, 1.20.11, 1.21.5 or 1.22.2 on"}}
			p.Message = say("container %s mounts a subPath on a kubelet %s that follows symlinks out of the volume", "容器 %s 使用 subPath 挂载，而 kubelet %s 会跟随符号链接跳出卷", ct.Name, bad)
			report(p)
		}
	}
}

// kubeletLabels are the labels that describe a node rather than vouch for it; a selector by them says nothing of trust.
var kubeletLabels = []string{"kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch", "kubernetes.io/hostname",
	"node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type", "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
	"failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region", "node.kubernetes.io/windows-build"}

// spoofable reports whether a kubelet may set a label on its own node although people rely on it. The NodeRestriction
// plugin keeps kubelets from labels of kubernetes.io and k8s.io other than a few, node-restriction.kubernetes.io above all.
func spoofable(key string) bool {
	if slices.Contains(kubeletLabels, key) {
		return false
	}
	domain, _, _ := strings.Cut(key, "/")
	if !strings.Contains(key, "/") {
		return true
	}
	within := func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) }
	return within("kubelet.kubernetes.io") || within("node.kubernetes.io") || !within("kubernetes.io") && !within("k8s.io")
}

// nodeLabelSpoofing looks at workloads that hold Secrets or strong tokens and pick their nodes by such a label.
func nodeLabelSpoofing(ctx *Context, report func(Problem)) {
	g := ctx.Access()
	for _, w := range tenants(ctx.Cluster) {
		var keys []string
		for _, k := range sortedKeys(w.NodeSelector) {
			if spoofable(k) {
				keys = append(keys, k)
			}
		}
		if len(keys) == 0 || len(keys) < len(trusted(w)) {
			continue
		}
		holds := len(secretsOf(w)) > 0
		if !holds && tokenMounted(ctx.Cluster, w) {
			holds = len(dangersOf(g, access.Account(w.Ref.Namespace, w.ServiceAccount), nil)) > 0
		}
		if !holds {
			continue
		}
		p := atWorkload(w)
		p.Evidence = []finding.Evidence{{Path: podPath(w, inventory.JoinKey("spec.nodeSelector", keys[0])), Found: keys[0] + "=" + w.NodeSelector[keys[0]],
			Want: "a label below node-restriction.kubernetes.io/"}}
		p.Message = say("%s holds credentials and picks its nodes by label %s, which any kubelet may give itself", "%s 持有凭据，却按标签 %s 选择节点，而任何 kubelet 都能给自己打上该标签", w.Ref, keys[0])
		report(p)
	}
}

// trusted returns the labels of a node selector that kubelets cannot set.
func trusted(w *inventory.Workload) []string {
	var out []string
	for k := range w.NodeSelector {
		if !spoofable(k) && !slices.Contains(kubeletLabels, k) {
			out = append(out, k)
		}
	}
	return out
}

// secretsOf returns the names of the Secrets that a workload's containers get.
func secretsOf(w *inventory.Workload) []string {
	var out []string
	for _, v := range w.Volumes {
		out = append(out, v.Secrets...)
	}
	for i := range w.Containers {
		for _, s := range w.Containers[i].EnvSecrets {
			out = append(out, s.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// tenantsCoLocated: a pod that can take its node takes the pods of every tenant there.
func tenantsCoLocated(ctx *Context, report func(Problem)) {
	on := map[string]map[string]bool{} // namespaces by node
	all := tenants(ctx.Cluster)
	for _, w := range all {
		for _, n := range w.Nodes {
			if on[n] == nil {
				on[n] = map[string]bool{}
			}
			on[n][w.Ref.Namespace] = true
		}
	}
	for _, w := range all {
		why := escapes(w)
		if len(why) == 0 {
			continue
		}
		others := map[string]bool{}
		for _, n := range w.Nodes {
			for ns := range on[n] {
				if ns != w.Ref.Namespace {
					others[ns] = true
				}
			}
		}
		if len(others) == 0 {
			continue
		}
		p := atWorkload(w)
		p.Evidence = []finding.Evidence{{Path: podPath(w, "spec.containers"), Found: sortedKeys(others), Want: "nodes of its own"}}
		p.Message = join(say("%s can take over nodes that run pods of other namespaces (", "%s 可接管节点，而这些节点上还运行着其他命名空间的 Pod（", w.Ref),
			list(sortedKeys(others)), say("): ", "）："), listTexts(why))
		report(p)
	}
}

// nodeBlastRadius tells, for every node, the way from the tokens of its pods to cluster-admin.
func nodeBlastRadius(ctx *Context, report func(Problem)) {
	ctx.Known(rbacKinds...)
	c, g := ctx.Cluster, ctx.Access()
	type worst struct {
		w     *inventory.Workload
		steps []access.Step
	}
	by := map[string]*worst{}
	for _, w := range c.Workloads {
		if len(w.Nodes) == 0 || !tokenMounted(c, w) {
			continue
		}
		s := access.Account(w.Ref.Namespace, w.ServiceAccount)
		steps := g.PathToAdmin(s)
		if len(steps) == 0 || !slices.ContainsFunc(steps[0].Grants, func(x access.Grant) bool { return !builtin(x) }) && steps[0].Kind != access.MemberOf {
			continue
		}
		for _, n := range w.Nodes {
			if b := by[n]; b == nil || len(steps) < len(b.steps) {
				by[n] = &worst{w, steps}
			}
		}
	}
	// A node that runs the control plane holds the keys of the cluster anyway.
	for _, o := range c.Objects["Node"] {
		labels := o.Labels()
		_, master := labels["node-role.kubernetes.io/master"]
		if _, cp := labels["node-role.kubernetes.io/control-plane"]; cp || master || by[o.Name] == nil {
			continue
		}
		b := by[o.Name]
		p := atObject(o)
		p.Evidence = []finding.Evidence{{Path: "metadata.name", Found: b.w.Ref.String() + ", ServiceAccount " + b.w.ServiceAccount, Want: "no token on the node that leads to cluster-admin"}}
		p.Message = say("whoever takes over node %s becomes cluster-admin by the token of %s", "攻陷节点 %s 即可借助 %s 的 token 成为 cluster-admin", o.Name, b.w.Ref)
		if b.steps[0].Kind != access.IsAdmin {
			p.Message = join(p.Message, say(": ", "："), wayText(b.steps))
		}
		report(p)
	}
}

// claimedHostPathVolume follows claims to PersistentVolumes on a path of the node that hands it over.
func claimedHostPathVolume(ctx *Context, report func(Problem)) {
	c := ctx.Cluster
	if !ctx.Known("PersistentVolume", "PersistentVolumeClaim") {
		return
	}
	paths := map[string]string{} // of claims, by namespace/name
	for _, o := range c.Objects["PersistentVolume"] {
		path := inventory.Str(o.Content, "spec", "hostPath", "path")
		if path == "" || !slices.Contains(runtimePaths, or(strings.TrimRight(path, "/"), "/")) {
			continue
		}
		if name := inventory.Str(o.Content, "spec", "claimRef", "name"); name != "" {
			paths[inventory.Str(o.Content, "spec", "claimRef", "namespace")+"/"+name] = path
		}
		for _, claim := range c.Objects["PersistentVolumeClaim"] {
			if inventory.Str(claim.Content, "spec", "volumeName") == o.Name {
				paths[claim.Namespace+"/"+claim.Name] = path
			}
		}
	}
	if len(paths) == 0 {
		return
	}
	for _, w := range tenants(c) {
		for _, v := range w.Volumes {
			path, ok := paths[w.Ref.Namespace+"/"+v.Claim]
			if v.Claim == "" || !ok {
				continue
			}
			p := atWorkload(w)
			p.Item = v.Name
			p.Evidence = []finding.Evidence{{Path: v.Path + ".persistentVolumeClaim.claimName", Found: path, Want: "a volume that is not a path of the node"}}
			p.Message = say("%s mounts %s of the node by claim %s", "%s 通过 PVC %[3]s 挂载了节点目录 %[2]s", w.Ref, path, v.Claim)
			report(p)
		}
	}
}
