package analyze

import (
	"slices"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/selector"
)

// workloadAnalyzers are checks of namespaces and controllers.
var workloadAnalyzers = []Analyzer{
	{Name: "namespace-without-quota", Cluster: func(ctx *Context, report func(Problem)) {
		namespaceWithout(ctx, "ResourceQuota", report)
	}},
	{Name: "namespace-without-limit-range", Cluster: func(ctx *Context, report func(Problem)) {
		namespaceWithout(ctx, "LimitRange", report)
	}},
	{Name: "missing-disruption-budget", Cluster: missingDisruptionBudget},
	{Name: "disruption-budget-blocks", Cluster: disruptionBudgetBlocks},
	{Name: "single-replica", Cluster: singleReplica},
	{Name: "autoscaler-without-target", Cluster: autoscalerWithoutTarget},
	{Name: "controller-owner-mismatch", Cluster: controllerOwnerMismatch},
}

// namespaceWithout finds namespaces with workloads and no object of a kind.
func namespaceWithout(ctx *Context, kind string, report func(Problem)) {
	if !ctx.Known(kind) {
		return
	}
	have := map[string]bool{}
	for _, o := range ctx.Cluster.Objects[kind] {
		have[o.Namespace] = true
	}
	names, members := namespacesOf(tenants(ctx.Cluster))
	for _, ns := range names {
		if have[ns] {
			continue
		}
		p := atNamespace(ctx.Cluster, ns)
		p.Evidence = []finding.Evidence{{Path: "metadata.name", Found: nil, Want: "a " + kind}}
		p.Message = say("namespace %s has %d workloads and no %s", "命名空间 %s 有 %d 个工作负载，但没有 %s", ns, len(members[ns]), kind)
		report(p)
	}
}

const budgets = "PodDisruptionBudget.policy"

// scaled are the kinds whose pods are interchangeable, so that losing one need not be noticed.
var scaled = []string{"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController", "CloneSet", "Rollout", "DeploymentConfig"}

func missingDisruptionBudget(ctx *Context, report func(Problem)) {
	if !ctx.Known(budgets) {
		return
	}
	byNamespace := map[string][]selector.Selector{}
	for _, o := range ctx.Cluster.Objects[budgets] {
		s := selector.Parse(inventory.Map(o.Content, "spec", "selector"))
		byNamespace[o.Namespace] = append(byNamespace[o.Namespace], s)
	}
	for _, w := range tenants(ctx.Cluster) {
		if w.Replicas < 2 || !slices.Contains(scaled, w.Ref.Kind) ||
			slices.ContainsFunc(byNamespace[w.Ref.Namespace], func(s selector.Selector) bool { return s.Matches(w.Labels) }) {
			continue
		}
		p := atWorkload(w)
		p.Evidence = []finding.Evidence{{Path: "spec.replicas", Found: w.Replicas, Want: "a PodDisruptionBudget that selects the pods"}}
		p.Message = say("%s has %d replicas and no PodDisruptionBudget", "%s 有 %d 个副本，但没有 PodDisruptionBudget", w.Ref, w.Replicas)
		report(p)
	}
}

// disruptionBudgetBlocks finds budgets that let no pod go, so that nodes cannot be drained for an update.
func disruptionBudgetBlocks(ctx *Context, report func(Problem)) {
	_, members := namespacesOf(ctx.Cluster.Workloads)
	for _, o := range ctx.Cluster.Objects[budgets] {
		s := selector.Parse(inventory.Map(o.Content, "spec", "selector"))
		replicas := int64(0)
		for _, w := range members[o.Namespace] {
			if slices.Contains(scaled, w.Ref.Kind) && s.Matches(w.Labels) {
				replicas += w.Replicas
			}
		}
		path, found, blocks := budgetBlocks(inventory.Map(o.Content, "spec"), replicas)
		if !blocks {
			continue
		}
		p := atObject(o)
		p.Evidence = []finding.Evidence{{Path: path, Found: found, Want: "room for one pod at least"}}
		p.Message = say("%s lets none of %d pods be evicted, so its nodes cannot be drained for updates", "%s 不允许驱逐任何 Pod（共 %d 个），节点将无法腾空以便更新", o.Ref(), replicas)
		report(p)
	}
}

func budgetBlocks(spec map[string]any, replicas int64) (path string, found any, blocks bool) {
	if v := inventory.Get(spec, "maxUnavailable"); v != nil {
		n, number := inventory.Int(spec, "maxUnavailable")
		return "spec.maxUnavailable", v, number && n == 0 || v == "0%" || v == "0"
	}
	v := inventory.Get(spec, "minAvailable")
	n, number := inventory.Int(spec, "minAvailable")
	return "spec.minAvailable", v, v == "100%" || number && replicas > 0 && n >= replicas
}

func singleReplica(ctx *Context, report func(Problem)) {
	autoscaled := map[string]bool{}
	for _, o := range ctx.Cluster.Objects["HorizontalPodAutoscaler.autoscaling"] {
		autoscaled[target(o)] = true
	}
	for _, w := range tenants(ctx.Cluster) {
		// A StatefulSet of one is often a database that cannot be two.
		if w.Replicas != 1 || w.Ref.Kind != "Deployment" || autoscaled[w.Ref.Namespace+"/"+w.Ref.Kind+"/"+w.Ref.Name] {
			continue
		}
		exposed := ctx.Reach().Exposures(w)
		if len(exposed) == 0 {
			continue
		}
		p := atWorkload(w)
		p.Evidence = []finding.Evidence{{Path: "spec.replicas", Found: w.Replicas, Want: "2 or more"}}
		p.Message = say("%s serves the outside with a single pod", "%s 对外提供服务，却只有一个 Pod", w.Ref)
		report(p)
	}
}

func target(o *inventory.Object) string {
	ref := inventory.Map(o.Content, "spec", "scaleTargetRef")
	return o.Namespace + "/" + inventory.Str(ref, "kind") + "/" + inventory.Str(ref, "name")
}

func autoscalerWithoutTarget(ctx *Context, report func(Problem)) {
	if !ctx.Known("Deployment.apps", "StatefulSet.apps", "ReplicaSet.apps") {
		return
	}
	have := map[string]bool{}
	for _, w := range ctx.Cluster.Workloads {
		have[w.Ref.Namespace+"/"+w.Ref.Kind+"/"+w.Ref.Name] = true
	}
	for _, o := range ctx.Cluster.Objects["HorizontalPodAutoscaler.autoscaling"] {
		ref := inventory.Map(o.Content, "spec", "scaleTargetRef")
		kind, name := inventory.Str(ref, "kind"), inventory.Str(ref, "name")
		known := kind == "Deployment" || kind == "StatefulSet"
		if !known || have[target(o)] {
			continue // other kinds need not be listed
		}
		p := atObject(o)
		p.Evidence = []finding.Evidence{{Path: "spec.scaleTargetRef.name", Found: name, Want: "a workload that exists"}}
		p.Message = say("%s scales %s %s, which does not exist", "%s 的伸缩目标 %s %s 不存在", o.Ref(), kind, name)
		report(p)
	}
}

// controllerOwnerMismatch finds pods that name a controller which is not there. Lists of owners leave such pods out, which
// is why an intruder gives his one.
func controllerOwnerMismatch(ctx *Context, report func(Problem)) {
	for _, w := range ctx.Cluster.Workloads {
		gk := w.Ref.GroupKind()
		if w.Static || w.Path != "" || w.Ref.Kind == "Pod" || !inventory.CarriesPod(gk) || !builtInKind(gk) {
			continue // read from its own object, or owned by a kind that is not listed
		}
		if !ctx.Known(gk) || gk == "Deployment.apps" && !ctx.Known("ReplicaSet.apps") {
			continue
		}
		p := atWorkload(w)
		p.Evidence = []finding.Evidence{{Path: "metadata.ownerReferences", Found: w.Ref.String(), Want: "an owner that exists"}}
		p.Message = say("pods name %s as their controller, which does not exist", "Pod 声明由 %s 管理，但该控制器不存在", w.Ref)
		report(p)
	}
}

func builtInKind(groupKind string) bool {
	for _, k := range inventory.WorkloadKinds {
		if (inventory.Ref{APIVersion: k.Group + "/v1", Kind: k.Kind}).GroupKind() == groupKind || k.Group == "" && k.Kind == groupKind {
			return true
		}
	}
	return false
}
