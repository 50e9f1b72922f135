package analyze

import (
	"slices"
	"sort"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/reach"
	"stockade.dev/stockade/internal/selector"
)

// claim is one host and path that an Ingress asks for.
type claim struct {
	object *inventory.Object
	host   string
	url    string // host and path
	path   string // within the object
}

// ingressHostClaimedTwice: the controller decides which of two gets the traffic, or both by turns.
func ingressHostClaimedTwice(ctx *Context, report func(Problem)) {
	if !ctx.Known("Ingress.networking.k8s.io") {
		return
	}
	byURL := map[string][]claim{}
	for _, kind := range []string{"Ingress.networking.k8s.io", "Ingress.extensions"} {
		for _, o := range ctx.Cluster.Objects[kind] {
			for _, c := range claims(o) {
				byURL[ingressClass(o)+" "+c.url] = append(byURL[ingressClass(o)+" "+c.url], c)
			}
		}
	}
	for _, url := range sortedKeys(byURL) {
		list := byURL[url]
		for i, c := range list {
			j := slices.IndexFunc(list[:i], func(first claim) bool { return first.object.Ref() != c.object.Ref() })
			if j < 0 {
				continue
			}
			first := list[j].object
			p := atObject(c.object)
			p.Item = c.url
			p.Evidence = []finding.Evidence{{Path: c.path, Found: c.url, Want: "a host and path that no other Ingress has"}}
			p.Message = say("%s claims %s, which %s has already", "%s 声明的 %s 已被 %s 占用", c.object.Ref(), c.url, first.Ref())
			if first.Namespace != c.object.Namespace {
				p.Severity = finding.High // one tenant can take the traffic of another
			}
			report(p)
		}
	}
}

// ingressClass tells the controllers apart: the same host behind two of them is no conflict.
func ingressClass(o *inventory.Object) string {
	return or(inventory.Str(o.Content, "spec", "ingressClassName"), o.Annotations()["kubernetes.io/ingress.class"])
}

// claims lists the host and path pairs of an Ingress. Canaries share theirs on purpose.
func claims(o *inventory.Object) []claim {
	if o.Annotations()["nginx.ingress.kubernetes.io/canary"] == "true" {
		return nil
	}
	var out []claim
	for i, v := range inventory.List(o.Content, "spec", "rules") {
		r, _ := v.(map[string]any)
		host, at := inventory.Str(r, "host"), inventory.JoinIndex("spec.rules", i)
		for _, v := range inventory.List(r, "http", "paths") {
			m, _ := v.(map[string]any)
			c := claim{o, host, host + or(inventory.Str(m, "path"), "/"), at + ".host"}
			if !slices.ContainsFunc(out, func(d claim) bool { return d.url == c.url }) {
				out = append(out, c)
			}
		}
	}
	return slices.DeleteFunc(out, func(c claim) bool { return c.host == "" })
}

// serviceSelectorClaimedTwice leaves alone a headless Service beside a plain one, as StatefulSets have.
func serviceSelectorClaimedTwice(ctx *Context, report func(Problem)) {
	type key struct{ namespace, selector string }
	first := map[key]*reach.Service{}
	for _, s := range ctx.Reach().Services() {
		o := s.Object
		if len(s.Selector) == 0 || s.Type == "ExternalName" || inventory.Str(o.Content, "spec", "clusterIP") == "None" || inventory.SystemNamespace(o.Namespace) {
			continue
		}
		k := key{o.Namespace, selector.FromMap(s.Selector).String()}
		if first[k] == nil {
			first[k] = s
			continue
		}
		p := atObject(o)
		p.Evidence = []finding.Evidence{{Path: "spec.selector", Found: k.selector, Want: "a selector of its own"}}
		p.Message = say("%s selects the same pods as %s (%s)", "%s 与 %s 选中相同的 Pod（%s）", o.Ref(), first[k].Object.Ref(), k.selector)
		report(p)
	}
}

// serviceWithoutWorkload: whoever may create a pod with the labels gets the traffic.
func serviceWithoutWorkload(ctx *Context, report func(Problem)) {
	if !ctx.Known(workloadKinds...) {
		return
	}
	for _, s := range ctx.Reach().Services() {
		o := s.Object
		if len(s.Selector) == 0 || len(s.Targets) > 0 || s.Type == "ExternalName" || inventory.SystemNamespace(o.Namespace) {
			continue
		}
		p := atObject(o)
		text := selector.FromMap(s.Selector).String()
		p.Evidence = []finding.Evidence{{Path: "spec.selector", Found: text, Want: "labels that pods of the namespace carry"}}
		p.Message = say("%s selects no pod (%s)", "%s 未选中任何 Pod（%s）", o.Ref(), text)
		if s.Type == "LoadBalancer" || s.Type == "NodePort" {
			p.Severity = finding.Medium // it is open to the outside already
		}
		report(p)
	}
}

// routeWithoutService: whoever may create a Service of the name gets the host's traffic.
func routeWithoutService(ctx *Context, report func(Problem)) {
	if !ctx.Known("Service") {
		return
	}
	m := ctx.Reach()
	for _, kind := range reach.RouteKinds {
		for _, o := range ctx.Cluster.Objects[kind] {
			seen := map[string]bool{}
			for _, b := range reach.Backends(o) {
				name := b.Namespace + "/" + b.Name
				if m.Service(b.Namespace, b.Name) != nil || seen[name] {
					continue
				}
				seen[name] = true
				p := atObject(o)
				p.Item = name
				p.Evidence = []finding.Evidence{{Path: b.Path, Found: b.Name, Want: "a Service that exists"}}
				p.Message = say("%s leads to Service %s, which does not exist", "%s 指向不存在的 Service %s", o.Ref(), name)
				report(p)
			}
		}
	}
}

const peerAuthentication = "PeerAuthentication.security.istio.io"

// meshNotStrict judges namespaces whose pods Istio adds its proxy to: without STRICT they take plain text too.
func meshNotStrict(ctx *Context, report func(Problem)) {
	c := ctx.Cluster
	if !ctx.Known(peerAuthentication) {
		return
	}
	mesh := modeOf(c, "istio-system")
	var names []string
	for name, ns := range c.Namespaces {
		if inMesh(ns.Labels) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		mode := or(modeOf(c, name), or(mesh, "PERMISSIVE"))
		if mode == "STRICT" {
			continue
		}
		p := atNamespace(c, name)
		p.Evidence = []finding.Evidence{{Path: "metadata.labels", Found: mode, Want: "STRICT"}}
		p.Message = say("namespace %s is in the mesh, but mutual TLS is %s there", "命名空间 %s 已加入服务网格，但双向 TLS 模式为 %s", name, mode)
		report(p)
	}
	for _, o := range c.Objects[peerAuthentication] {
		mode := inventory.Str(o.Content, "spec", "mtls", "mode")
		if inventory.Map(o.Content, "spec", "selector") != nil && (mode == "PERMISSIVE" || mode == "DISABLE") {
			p := atObject(o)
			p.Evidence = []finding.Evidence{{Path: "spec.mtls.mode", Found: mode, Want: "STRICT"}}
			p.Message = say("%s sets mutual TLS of some workloads to %s", "%s 将部分工作负载的双向 TLS 模式设为 %s", o.Ref(), mode)
			report(p)
		}
	}
}

func inMesh(labels map[string]string) bool {
	return labels["istio-injection"] == "enabled" || labels["istio.io/rev"] != "" && labels["istio-injection"] != "disabled" ||
		labels["istio.io/dataplane-mode"] == "ambient"
}

// modeOf returns the mode that a namespace's own PeerAuthentication without a selector sets; "" when none does.
func modeOf(c *inventory.Cluster, namespace string) string {
	mode := ""
	for _, o := range c.Objects[peerAuthentication] {
		if o.Namespace == namespace && inventory.Map(o.Content, "spec", "selector") == nil {
			if m := inventory.Str(o.Content, "spec", "mtls", "mode"); m != "" && !strings.EqualFold(m, "UNSET") {
				mode = m
			}
		}
	}
	return mode
}
