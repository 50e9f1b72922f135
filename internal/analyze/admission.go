package analyze

import (
	"path"
	"slices"
	"sort"
	"strings"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/selector"
)

// admissionAnalyzers are the checks of what is enforced at the door of the cluster.
var admissionAnalyzers = []Analyzer{
	{Name: "pod-security-not-enforced", Cluster: podSecurityNotEnforced},
	{Name: "policy-engine-absent", Cluster: policyEngineAbsent},
	{Name: "webhook-does-not-cover", Cluster: webhookDoesNotCover},
	{Name: "webhook-service-missing", Cluster: webhookServiceMissing},
	{Name: "namespace-exempt-from-webhooks", Cluster: namespaceExempt},
	{Name: "policy-audit-only", Cluster: policyAuditOnly},
	{Name: "image-verification-absent", Cluster: imageVerificationAbsent},
}

const enforceLabel = "pod-security.kubernetes.io/enforce"

// labelsThatEnforce returns the labels of namespaces that switch something on or off: Pod Security levels and the
// selectors of webhooks and admission policies.
func labelsThatEnforce(c *inventory.Cluster) []string {
	keys := map[string]bool{}
	for _, ns := range c.Namespaces {
		if level := ns.Labels[enforceLabel]; level == "baseline" || level == "restricted" {
			keys[enforceLabel] = true
		}
	}
	add := func(s selector.Selector) {
		for _, k := range s.Keys() {
			if k != "kubernetes.io/metadata.name" { // always the name
				keys[k] = true
			}
		}
	}
	for _, w := range webhooksOf(c, validatingWebhooks) {
		if judgesPods(w.rules) {
			add(w.namespaces)
		}
	}
	for _, o := range c.Objects[policyBindings] {
		add(selector.Parse(inventory.Map(o.Content, "spec", "matchResources", "namespaceSelector")))
	}
	return sortedKeys(keys)
}

// admission is the policies that judge pods, in whatever engine.
type admission struct {
	policies []podPolicy
	engines  []string // names, sorted
}

// podPolicy is one policy that judges pods.
type podPolicy struct {
	object   *inventory.Object
	enforced bool
	security bool // it is about how pods are confined
	path     string
	found    string
	selector selector.Selector
	included []string // namespace globs; none means all
	excluded []string
}

func (p *podPolicy) covers(ns *inventory.Namespace) bool {
	glob := func(pattern string) bool { ok, err := path.Match(pattern, ns.Name); return ok && err == nil }
	return (len(p.included) == 0 || slices.ContainsFunc(p.included, glob)) && !slices.ContainsFunc(p.excluded, glob) &&
		p.selector.Matches(withName(ns))
}

// withName returns the labels of a namespace with the one that the API server adds.
func withName(ns *inventory.Namespace) map[string]string {
	out := map[string]string{"kubernetes.io/metadata.name": ns.Name}
	for k, v := range ns.Labels {
		out[k] = v
	}
	return out
}

func (c *Context) admission() *admission {
	return c.graphs().admission.get(func() *admission {
		a := &admission{}
		engines := map[string]bool{}
		for _, kind := range sortedKeys(c.Cluster.Objects) {
			for _, o := range c.Cluster.Objects[kind] {
				policy, engine := readPolicy(c.Cluster, o)
				if engine != "" {
					engines[engine] = true
				}
				if policy != nil {
					a.policies = append(a.policies, *policy)
				}
			}
		}
		a.engines = sortedKeys(engines)
		return a
	})
}

// readPolicy knows the policies of Gatekeeper, Kyverno and the API server itself.
func readPolicy(c *inventory.Cluster, o *inventory.Object) (policy *podPolicy, engine string) {
	spec := inventory.Map(o.Content, "spec")
	switch group := o.Ref().Group(); {
	case group == "constraints.gatekeeper.sh":
		return readConstraint(o, spec), "Gatekeeper"
	case group == "kyverno.io" && (o.Kind == "ClusterPolicy" || o.Kind == "Policy"):
		return readKyverno(o, spec), "Kyverno"
	case group == "policies.kyverno.io" && (o.Kind == "ValidatingPolicy" || o.Kind == "NamespacedValidatingPolicy"):
		actions := inventory.Strs(spec, "validationActions")
		rules := inventory.List(spec, "matchConstraints", "resourceRules")
		if !judgesPods(rules) {
			return nil, "Kyverno"
		}
		return &podPolicy{object: o, enforced: slices.Contains(actions, "Deny"), security: aboutSecurity(spec), path: "spec.validationActions",
			found: strings.Join(actions, ", "), included: ownNamespace(o),
			selector: selector.Parse(inventory.Map(spec, "matchConstraints", "namespaceSelector"))}, "Kyverno"
	case o.Ref().GroupKind() == policyBindings:
		return readBinding(c, o, spec), "ValidatingAdmissionPolicy"
	}
	return nil, ""
}

func ownNamespace(o *inventory.Object) []string {
	if o.Namespace == "" {
		return nil
	}
	return []string{o.Namespace}
}

func readConstraint(o *inventory.Object, spec map[string]any) *podPolicy {
	kinds := inventory.List(spec, "match", "kinds")
	pods := len(kinds) == 0
	for _, v := range kinds {
		m, _ := v.(map[string]any)
		list := inventory.Strs(m, "kinds")
		pods = pods || slices.Contains(list, "Pod") || slices.Contains(list, "*")
	}
	if !pods {
		return nil
	}
	action := or(inventory.Str(spec, "enforcementAction"), "deny")
	security := slices.ContainsFunc([]string{"PSP", "Privileged", "PodSecurity", "Stockade", "HostPath", "Capabilities"},
		func(s string) bool { return strings.Contains(o.Kind, s) })
	return &podPolicy{object: o, enforced: action == "deny" || action == "scoped", security: security, path: "spec.enforcementAction", found: action,
		included: inventory.Strs(spec, "match", "namespaces"), excluded: inventory.Strs(spec, "match", "excludedNamespaces"),
		selector: selector.Parse(inventory.Map(spec, "match", "namespaceSelector"))}
}

func readKyverno(o *inventory.Object, spec map[string]any) *podPolicy {
	action := or(inventory.Str(spec, "validationFailureAction"), "Audit") // Kyverno's default
	p := &podPolicy{object: o, path: "spec.validationFailureAction", security: aboutSecurity(spec), included: ownNamespace(o)}
	pods := false
	for _, v := range inventory.List(spec, "rules") {
		rule, _ := v.(map[string]any)
		validate := inventory.Map(rule, "validate")
		if validate == nil || !mentions(inventory.Map(rule, "match"), func(s string) bool { return s == "Pod" || s == "*" || strings.HasSuffix(s, "/Pod") }) {
			continue
		}
		pods = true
		if a := inventory.Str(validate, "failureAction"); a != "" {
			action = a
		}
	}
	if !pods {
		return nil
	}
	p.found, p.enforced = action, strings.EqualFold(action, "Enforce")
	return p
}

func readBinding(c *inventory.Cluster, o *inventory.Object, spec map[string]any) *podPolicy {
	name := inventory.Str(spec, "policyName")
	for _, policy := range c.Objects[admissionPolicies] {
		if policy.Name != name {
			continue
		}
		ps := inventory.Map(policy.Content, "spec")
		if !judgesPods(inventory.List(ps, "matchConstraints", "resourceRules")) {
			return nil
		}
		actions := inventory.Strs(spec, "validationActions")
		return &podPolicy{object: o, enforced: slices.Contains(actions, "Deny"), security: aboutSecurity(ps), path: "spec.validationActions",
			found: strings.Join(actions, ", "), selector: selector.Parse(inventory.Map(spec, "matchResources", "namespaceSelector"))}
	}
	return nil
}

// aboutSecurity reports whether a policy's text speaks of how pods are confined.
func aboutSecurity(spec map[string]any) bool {
	return mentions(spec, func(s string) bool {
		return strings.Contains(s, "privileged") || strings.Contains(s, "securityContext") || strings.Contains(s, "podSecurity") ||
			strings.Contains(s, "hostPath") || strings.Contains(s, "hostNetwork")
	})
}

// mentions walks keys and strings of a value.
func mentions(v any, yes func(string) bool) bool {
	switch v := v.(type) {
	case string:
		return yes(v)
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return mentions(e, yes) })
	case map[string]any:
		for k, e := range v {
			if yes(k) || mentions(e, yes) {
				return true
			}
		}
	}
	return false
}

// podSecurityNotEnforced finds namespaces that take any pod: neither a Pod Security level nor a policy stands at the door.
func podSecurityNotEnforced(ctx *Context, report func(Problem)) {
	c := ctx.Cluster
	if !ctx.Known("Namespace") {
		return
	}
	for _, comp := range c.Components {
		if file := comp.Flags["admission-control-config-file"]; comp.Name == "kube-apiserver" && file != "" {
			if ctx.Undecided != nil {
				ctx.Undecided("Pod Security defaults", "kube-apiserver reads them from "+file)
			}
			return
		}
	}
	if engine := unreadEngine(ctx); engine != "" {
		if ctx.Undecided != nil {
			ctx.Undecided("policies of "+engine, "its webhook judges pods, and its policies were not read")
		}
		return
	}
	names, members := namespacesOf(tenants(c))
	for _, name := range names {
		ns := c.Namespaces[name]
		if ns == nil {
			ns = &inventory.Namespace{Name: name}
		}
		level := ns.Labels[enforceLabel]
		if level == "baseline" || level == "restricted" {
			continue
		}
		if slices.ContainsFunc(ctx.admission().policies, func(p podPolicy) bool { return p.enforced && p.security && p.covers(ns) }) {
			continue
		}
		p := atNamespace(c, name)
		p.Evidence = []finding.Evidence{{Path: inventory.JoinKey("metadata.labels", enforceLabel), Found: nil, Want: "baseline or restricted"}}
		p.Message = say("namespace %s takes any pod: no Pod Security level is enforced (%d workloads)", "命名空间 %s 未强制任何 Pod Security 级别，可创建任意 Pod（%d 个工作负载）", name, len(members[name]))
		if level != "" {
			p.Evidence[0].Found = level
			p.Message = say("namespace %s enforces Pod Security level %s, which allows everything", "命名空间 %s 强制的 Pod Security 级别为 %s，等于不设限", name, level)
		}
		report(p)
	}
}

// unreadEngine names a policy engine that stands at the door with policies that are not among the objects; "" for none.
func unreadEngine(ctx *Context) string {
	for _, w := range webhooksOf(ctx.Cluster, validatingWebhooks) {
		if !judgesPods(w.rules) {
			continue
		}
		for _, engine := range []string{"Gatekeeper", "Kyverno"} {
			if strings.Contains(w.name+" "+w.service.Namespace+" "+w.service.Name, strings.ToLower(engine)) && !slices.Contains(ctx.admission().engines, engine) {
				return engine
			}
		}
	}
	return ""
}

// policyEngineAbsent: nothing in the cluster looks at pods before they are created.
func policyEngineAbsent(ctx *Context, report func(Problem)) {
	c := ctx.Cluster
	if !ctx.Known("Namespace", validatingWebhooks) || len(ctx.admission().engines) > 0 || len(tenants(c)) == 0 {
		return
	}
	for _, ns := range c.Namespaces {
		if level := ns.Labels[enforceLabel]; level == "baseline" || level == "restricted" {
			return
		}
	}
	for _, w := range webhooksOf(c, validatingWebhooks) {
		if judgesPods(w.rules) {
			return
		}
	}
	p := atCluster(c)
	p.Evidence = []finding.Evidence{{Path: "metadata.name", Found: nil, Want: "Pod Security levels, admission policies, Gatekeeper or Kyverno"}}
	p.Message = say("nothing judges pods at admission: no Pod Security level, admission policy or policy engine in the whole cluster", "整个集群在准入阶段不检查 Pod：没有 Pod Security 级别、准入策略或策略引擎")
	report(p)
}

// webhookDoesNotCover finds policies for pods that leave a way around: controllers judged but not bare pods, or pods but
// not the ephemeral containers added to them.
func webhookDoesNotCover(ctx *Context, report func(Problem)) {
	ctx.Known(validatingWebhooks)
	check := func(p Problem, path, name string, rules []any) {
		if !judgesPods(rules) {
			return
		}
		p.Item = name
		switch {
		case !matchesRules(rules, "", "pods", "CREATE"):
			p.Evidence = []finding.Evidence{{Path: path, Found: "controllers only", Want: "pods"}}
			p.Message = say("%s judges controllers but not pods, so a bare pod passes", "%s 只检查控制器而不检查 Pod，直接创建的 Pod 可绕过", name)
		case !matchesRules(rules, "", "pods/ephemeralcontainers", "UPDATE"):
			p.Evidence = []finding.Evidence{{Path: path, Found: "pods", Want: "pods/ephemeralcontainers on UPDATE"}}
			p.Message = say("%s does not judge ephemeral containers, which can be added to any running pod", "%s 不检查临时容器，而临时容器可以加入任意运行中的 Pod", name)
			p.Severity = finding.Low
		default:
			return
		}
		report(p)
	}
	for _, w := range webhooksOf(ctx.Cluster, validatingWebhooks) {
		check(atObject(w.object), w.path+".rules", w.name, w.rules)
	}
	for _, o := range ctx.Cluster.Objects[admissionPolicies] {
		if rules := inventory.List(o.Content, "spec", "matchConstraints", "resourceRules"); aboutSecurity(inventory.Map(o.Content, "spec")) {
			check(atObject(o), "spec.matchConstraints.resourceRules", o.Name, rules)
		}
	}
}

// webhookServiceMissing: the API server sends requests, Secrets among them, to whoever answers under the Service's name.
func webhookServiceMissing(ctx *Context, report func(Problem)) {
	if !ctx.Known("Service") {
		return
	}
	workloads := ctx.Known(workloadKinds...)
	var runners []access.Grant
	for _, kind := range []string{mutatingWebhooks, validatingWebhooks} {
		for _, w := range webhooksOf(ctx.Cluster, kind) {
			if w.service.Name == "" {
				continue
			}
			p := atObject(w.object)
			p.Item = w.name
			name := w.service.Namespace + "/" + w.service.Name
			s := ctx.Reach().Service(w.service.Namespace, w.service.Name)
			p.Evidence = []finding.Evidence{{Path: w.path + ".clientConfig.service.name", Found: name, Want: "a Service with pods behind it"}}
			switch {
			case s == nil:
				p.Message = say("webhook %s asks Service %s, which does not exist", "webhook %s 调用的 Service %s 不存在", w.name, name)
			case workloads && len(s.Selector) > 0 && len(s.Targets) == 0:
				p.Message = say("webhook %s asks Service %s, which no pod answers", "webhook %s 调用的 Service %s 背后没有 Pod", w.name, name)
			default:
				if runners == nil {
					runners = ctx.Access().Holders(access.RunPods, false)
				}
				who := tenantOf(runners, w.service.Namespace)
				if who == "" {
					continue
				}
				p.Severity = finding.Medium
				p.Message = say("webhook %s asks Service %s in a namespace where %s can run pods", "webhook %s 调用的 Service %s 所在命名空间允许 %s 运行 Pod", w.name, name, who)
			}
			report(p)
		}
	}
}

// tenantOf names a person or group that can run pods in a namespace by a right in it alone.
func tenantOf(runners []access.Grant, namespace string) string {
	for _, g := range runners {
		if g.Namespace == namespace && g.Subject.Kind != "ServiceAccount" && !builtin(g) {
			return access.SubjectString(g.Subject)
		}
	}
	return ""
}

// namespaceExempt lists, for each namespace with workloads, the webhooks that judge pods elsewhere but not there.
func namespaceExempt(ctx *Context, report func(Problem)) {
	if !ctx.Known(validatingWebhooks, "Namespace") {
		return
	}
	c := ctx.Cluster
	names, members := namespacesOf(tenants(c))
	webhooks := webhooksOf(c, validatingWebhooks)
	for _, name := range names {
		ns := c.Namespaces[name]
		if ns == nil {
			continue
		}
		var skipped []string
		for _, w := range webhooks {
			if judgesPods(w.rules) && !w.namespaces.Matches(withName(ns)) {
				skipped = append(skipped, w.name)
			}
		}
		if len(skipped) == 0 {
			continue
		}
		sort.Strings(skipped)
		p := atNamespace(c, name)
		p.Evidence = []finding.Evidence{{Path: "metadata.labels", Found: ns.Labels, Want: "labels that the webhooks' namespaceSelector matches"}}
		p.Message = join(say("namespace %s with %d workloads is exempt from ", "命名空间 %s（%d 个工作负载）不受以下 webhook 检查：", name, len(members[name])), list(skipped))
		report(p)
	}
}

// policyAuditOnly judges the policies of engines. Bindings of admission policies have a rule that needs one object only.
func policyAuditOnly(ctx *Context, report func(Problem)) {
	for _, p := range ctx.admission().policies {
		if p.enforced || p.object.Ref().GroupKind() == policyBindings {
			continue
		}
		problem := atObject(p.object)
		problem.Evidence = []finding.Evidence{{Path: p.path, Found: p.found, Want: "an action that denies"}}
		problem.Message = say("%s only records what it should refuse (%s)", "%s 只记录而不拒绝违规请求（%s）", p.object.Ref(), p.found)
		report(problem)
	}
}

// imageVerifiers are parts of the names of webhooks that check where images come from.
var imageVerifiers = []string{"sigstore", "cosign", "connaisseur", "ratify", "portieris", "kritis", "binaryauthorization", "image-policy", "imagepolicy", "notation"}

func imageVerificationAbsent(ctx *Context, report func(Problem)) {
	c := ctx.Cluster
	if !ctx.Known(validatingWebhooks, mutatingWebhooks) || len(tenants(c)) == 0 {
		return
	}
	if c.Distribution == "gke" && ctx.Undecided != nil {
		ctx.Undecided("Binary Authorization", "it is a setting of the provider and no object of the cluster")
		return
	}
	for _, comp := range c.Components {
		if comp.Name == "kube-apiserver" && strings.Contains(comp.Flags["enable-admission-plugins"], "ImagePolicyWebhook") {
			return
		}
	}
	for _, kind := range []string{validatingWebhooks, mutatingWebhooks} {
		for _, w := range webhooksOf(c, kind) {
			if slices.ContainsFunc(imageVerifiers, func(v string) bool { return strings.Contains(w.name+w.service.Name, v) }) {
				return
			}
		}
	}
	for kind, list := range c.Objects {
		if len(list) > 0 && (strings.HasPrefix(kind, "ClusterImagePolicy.") || strings.HasPrefix(kind, "ImageValidatingPolicy.") || strings.HasSuffix(kind, ".externaldata.gatekeeper.sh")) {
			return
		}
		for _, o := range list {
			if o.Kind == "ClusterPolicy" && mentions(o.Content["spec"], func(s string) bool { return s == "verifyImages" }) {
				return
			}
		}
	}
	p := atCluster(c)
	p.Evidence = []finding.Evidence{{Path: "metadata.name", Found: nil, Want: "an admission check of image signatures or origin"}}
	p.Message = say("no admission check verifies where images come from", "没有任何准入检查验证镜像来源")
	report(p)
}
