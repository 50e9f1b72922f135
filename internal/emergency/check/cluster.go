package check

import (
	"context"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

var noCluster = unknown("pods and roles of the cluster are not at hand: only a scan through the server knows them", "没有集群的 Pod 与角色信息，只有经服务端的扫描才能获得")

// podWords are what a condition on workloads may say; see containerWords.
var podWords = []string{"gitRepo", "subPath", "privileged", "hostNetwork", "hostPid", "root", "hostUsers", "cap", "namespace", "image", "mount"}

// pods asks for workloads that fit, by what their objects say.
func pods(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Cluster == nil {
		return noCluster
	}
	conditions := a.maps("any")
	for _, w := range s.Cluster.Workloads {
		for _, m := range conditions {
			if fitsPod(w, m) {
				return yes("%s %s/%s %s", "%s %s/%s：%s", w.Ref.Kind, w.Ref.Namespace, w.Ref.Name, words(m))
			}
		}
	}
	if why := s.Cluster.Unread["Pod"]; why != "" {
		return unknown("pods could not be listed: %s", "无法列出 Pod：%s", why)
	}
	var said []finding.Text
	for _, m := range conditions {
		said = append(said, words(m))
	}
	return no("none of %d workloads %s", "%d 个工作负载中没有一个%s", len(s.Cluster.Workloads), joined(said, ", nor ", "，或"))
}

func fitsPod(w *inventory.Workload, m map[string]string) bool {
	anyContainer := func(f func(c *inventory.Container) bool) bool {
		for i := range w.Containers {
			if f(&w.Containers[i]) {
				return true
			}
		}
		return false
	}
	for k, v := range m {
		ok, want := false, v == "true"
		switch k {
		case "gitRepo":
			ok = slices.ContainsFunc(w.Volumes, func(x inventory.Volume) bool { return x.Kind == "gitRepo" }) == want
		case "subPath":
			ok = anyContainer(func(c *inventory.Container) bool {
				return slices.ContainsFunc(c.Mounts, func(x inventory.Mount) bool { return x.SubPath != "" })
			}) == want
		case "mount":
			ok = slices.ContainsFunc(w.Volumes, func(x inventory.Volume) bool { return x.HostPath == v })
		case "privileged":
			ok = anyContainer(func(c *inventory.Container) bool { return c.Privileged }) == want
		case "hostNetwork":
			ok = w.HostNetwork == want
		case "hostPid":
			ok = w.HostPID == want
		case "root": // nothing says that it is somebody else
			ok = anyContainer(func(c *inventory.Container) bool { return c.RunAsUser == nil || *c.RunAsUser == 0 }) == want
		case "hostUsers":
			ok = (w.HostUsers == nil || *w.HostUsers) == want
		case "cap":
			ok = anyContainer(func(c *inventory.Container) bool {
				return c.Privileged || slices.Contains(c.CapAdd, strings.TrimPrefix(v, "CAP_")) || slices.Contains(c.CapAdd, v) || slices.Contains(c.CapAdd, "ALL")
			})
		case "namespace":
			ok = w.Ref.Namespace == v
		case "image":
			ok = anyContainer(func(c *inventory.Container) bool { return strings.Contains(c.Image, v) })
		}
		if !ok {
			return false
		}
	}
	return true
}

// systemGroup reports whether a subject of a binding is the cluster's own: its controllers, nodes and administrators.
func systemGroup(x inventory.Subject) bool {
	switch x.Kind {
	case "Group":
		return x.Name == "system:masters" || x.Name == "system:nodes" || x.Name == "kubeadm:cluster-admins"
	case "ServiceAccount":
		return x.Namespace == "kube-system"
	}
	return strings.HasPrefix(x.Name, "system:")
}

// may asks whether somebody who is not of the cluster itself may do something, by its roles and bindings.
func may(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Cluster == nil {
		return noCluster
	}
	verbs, resources := a.texts("verbs"), a.texts("resources")
	groups := a.texts("groups")
	if len(groups) == 0 {
		groups = []string{""}
	}
	allows := func(rules []inventory.PolicyRule) bool {
		return slices.ContainsFunc(rules, func(r inventory.PolicyRule) bool {
			return len(r.ResourceNames) == 0 && covers(r.Verbs, verbs) && covers(r.Resources, resources) && covers(r.APIGroups, groups)
		})
	}
	granting := map[string]bool{}
	for _, r := range s.Cluster.Roles {
		if allows(r.Rules) {
			granting[r.Ref.Kind+"/"+r.Ref.Namespace+"/"+r.Ref.Name] = true
		}
	}
	for _, b := range s.Cluster.Bindings {
		namespace := ""
		if b.RoleKind == "Role" {
			namespace = b.Ref.Namespace
		}
		if !granting[b.RoleKind+"/"+namespace+"/"+b.RoleName] {
			continue
		}
		for _, x := range b.Subjects {
			if !systemGroup(x) {
				return yes("%s %s may %s %s by the binding %s", "%[1]s %[2]s 可通过绑定 %[5]s 对 %[4]s 执行 %[3]s", x.Kind, strings.TrimPrefix(x.Namespace+"/"+x.Name, "/"), strings.Join(verbs, ", "),
					strings.Join(resources, ", "), strings.TrimPrefix(b.Ref.Namespace+"/"+b.Ref.Name, "/"))
			}
		}
	}
	for _, kind := range []string{"ClusterRoleBinding.rbac.authorization.k8s.io", "RoleBinding.rbac.authorization.k8s.io", "ClusterRole.rbac.authorization.k8s.io", "Role.rbac.authorization.k8s.io"} {
		if why := s.Cluster.Unread[kind]; why != "" {
			return unknown("%s could not be listed: %s", "无法列出 %s：%s", kind, why)
		}
	}
	return no("nobody but the cluster itself may %s %s", "除集群自身外，没有主体可对 %[2]s 执行 %[1]s", strings.Join(verbs, ", "), strings.Join(resources, ", "))
}

// covers reports whether a rule's list has one of what is wanted, or all.
func covers(has, want []string) bool {
	return slices.Contains(has, "*") || slices.ContainsFunc(want, func(w string) bool { return slices.Contains(has, w) })
}

// objects asks for objects of a small kind: by name, by label, by an annotation and what it contains.
func objects(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Cluster == nil {
		return noCluster
	}
	kind := a.text("kind")
	for _, o := range s.Cluster.Objects[kind] {
		if n := a.text("name"); n != "" && !strings.Contains(o.Name, n) {
			continue
		}
		if l := a.text("label"); l != "" {
			name, value, _ := strings.Cut(l, "=")
			if o.Labels()[name] != value {
				continue
			}
		}
		at := strings.TrimPrefix(o.Namespace+"/"+o.Name, "/")
		name := a.text("annotation")
		if name == "" {
			return yes("%s %s is there", "存在 %s %s", o.Kind, at)
		}
		v, ok := inventory.StrMap(o.Content, "metadata", "annotations")[name]
		if ok && (a.text("contains") == "" || strings.Contains(v, a.text("contains"))) {
			return yes("%s %s has the annotation %s", "%s %s 带有注解 %s", o.Kind, at, name)
		}
	}
	if why := s.Cluster.Unread[kind]; why != "" {
		return unknown("%s could not be listed: %s", "无法列出 %s：%s", kind, why)
	}
	return no("no such %s", "没有符合条件的 %s", kind)
}
