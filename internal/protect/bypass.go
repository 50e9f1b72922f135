package protect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// Bypasses are the ways around a protection.
type Bypasses struct {
	At    store.Time `json:"at" format:"date-time"`
	Items []Bypass   `json:"items"`
	Gaps  []string   `json:"gaps" doc:"what could not be looked up, so that the list may lack something"`
}

// Bypass is one way around.
type Bypass struct {
	Kind    string       `json:"kind" enum:"system-namespace,excluded-namespace,label,user,group,image,exception,kind,operation,failure-policy,static-pod,api-version,mode"`
	What    string       `json:"what" doc:"name of the namespace, user, kind, ..."`
	Source  string       `json:"source" doc:"which setting lets it: of the cluster, a policy, Gatekeeper's flags or Config, a webhook"`
	Policy  int64        `json:"policyId,string,omitempty"`
	Objects int          `json:"objects" doc:"pods that are there by this way now; -1: not counted"`
	Text    finding.Text `json:"text"`
}

// counted are the pods of a cluster by namespace, as they were a moment ago.
type counted struct {
	at         time.Time
	namespaces map[string]map[string]string // labels
	pods       map[string]int
	static     map[string]int // by node
	cut        bool
}

// countedFor is how long a count is good.
const countedFor = time.Minute

// count counts pods, by their metadata alone.
func (s *Service) count(ctx context.Context, target int64, c *client) (*counted, error) {
	s.mu.Lock()
	kept := s.counted[target]
	s.mu.Unlock()
	if now := s.o.Now(); kept != nil && now.Sub(kept.at) < countedFor && !now.Before(kept.at) {
		return kept, nil
	}
	n := &counted{at: s.o.Now(), namespaces: map[string]map[string]string{}, pods: map[string]int{}, static: map[string]int{}}
	_, err := c.list(ctx, "/api/v1/namespaces", "", partial, func(o *object) error { n.namespaces[o.GetName()] = o.GetLabels(); return nil })
	if err != nil {
		return nil, err
	}
	n.cut, err = c.list(ctx, "/api/v1/pods", "", partial, func(o *object) error {
		n.pods[o.GetNamespace()]++
		if o.GetAnnotations()["kubernetes.io/config.mirror"] != "" {
			node := "a node"
			for _, owner := range o.GetOwnerReferences() {
				if owner.Kind == "Node" {
					node = owner.Name
				}
			}
			n.static[node]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted[target] = n
	return n, nil
}

func (n *counted) of(namespace string) int {
	if n == nil {
		return -1
	}
	return n.pods[namespace]
}

// like counts the pods of namespaces that a pattern names.
func (n *counted) like(pattern string) int {
	if n == nil {
		return -1
	}
	sum := 0
	for ns, pods := range n.pods {
		if matches(pattern, ns) {
			sum += pods
		}
	}
	return sum
}

// matches reads * at the beginning and end of a pattern.
func matches(pattern, name string) bool {
	head, tail := strings.HasSuffix(pattern, "*"), strings.HasPrefix(pattern, "*")
	plain := strings.Trim(pattern, "*")
	switch {
	case head && tail:
		return strings.Contains(name, plain)
	case head:
		return strings.HasPrefix(name, plain)
	case tail:
		return strings.HasSuffix(name, plain)
	}
	return pattern == name
}

// bypassing gathers.
type bypassing struct {
	out  *Bypasses
	row  *row
	set  Settings
	b    *policy.Bundle
	pods *counted
}

func (x *bypassing) add(kind, what, source string, of int64, objects int, en, zh string) {
	if len(x.out.Items) < 2000 {
		x.out.Items = append(x.out.Items, Bypass{Kind: kind, What: what, Source: source, Policy: of, Objects: objects, Text: finding.Text{EN: en, ZH: zh}})
	}
}

// Bypasses lists everything that gets around the protection of a cluster.
func (s *Service) Bypasses(ctx context.Context, target int64) (*Bypasses, error) {
	x := &bypassing{out: &Bypasses{At: store.At(s.o.Now()), Items: []Bypass{}, Gaps: []string{}}}
	r, err := s.row(ctx, target)
	if errors.Is(err, store.ErrNotFound) {
		r, err = &row{TargetID: target, State: Unprotected}, s.there(ctx, target)
	}
	if err != nil {
		return nil, err
	}
	x.row, x.set = r, r.Settings.filled(&s.o)
	if !r.State.On() {
		x.add("mode", "the whole cluster", "protection is off", 0, -1, "The cluster is not protected: nothing is refused.", "集群未开启防护，任何请求都不会被拦截。")
		return x.out, nil
	}
	if x.b, err = s.Bundle(ctx, target); err != nil {
		return nil, err
	}
	c, err := s.client(ctx, target)
	if err == nil {
		work, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		x.pods, err = s.count(work, target, c)
	}
	if err != nil {
		x.out.Gaps = append(x.out.Gaps, "pods could not be counted: "+oneLine(err.Error()))
	} else if x.pods.cut {
		x.out.Gaps = append(x.out.Gaps, fmt.Sprintf("more than %d pods: not all were counted", maxListed))
	}
	x.settings()
	for i := range x.b.Policies {
		x.policy(&x.b.Policies[i])
	}
	for _, e := range x.b.Exceptions {
		if len(x.out.Items) < 1000 {
			x.add("exception", fmt.Sprintf("exception %d", e.ID), "exceptions", 0, -1, "What this exception accepts is let in: "+oneLine(e.Reason), "此例外接受的内容将被放行："+oneLine(e.Reason))
		}
	}
	x.gatekeeper(ctx, c)
	x.webhooks()
	x.static()
	return x.out, nil
}

// settings are the ways that the cluster's own settings leave.
func (x *bypassing) settings() {
	for _, ns := range x.b.System {
		except := slices.ContainsFunc(x.b.Policies, func(p policy.Policy) bool { return p.Scope.SystemNamespaces })
		en, zh := "Policies leave this system namespace alone, so that none can lock the cluster out.", "策略不约束此系统命名空间，以避免集群被锁死。"
		if except {
			en, zh = "Only policies that say so hold in this system namespace.", "仅明确包含系统命名空间的策略在此生效。"
		}
		if x.pods == nil || x.pods.namespaces[ns] != nil || x.pods.pods[ns] > 0 {
			x.add("system-namespace", ns, "cluster settings", 0, x.pods.of(ns), en, zh)
		}
	}
	for _, u := range x.b.Users {
		x.add("user", u, "cluster settings", 0, -1, "Every policy lets this user's requests in.", "所有策略都放行此用户的请求。")
	}
	for _, g := range x.b.Groups {
		x.add("group", g, "cluster settings", 0, -1, "Every policy lets requests of this group in.", "所有策略都放行此用户组的请求。")
	}
}

// policy are the ways that a policy leaves.
func (x *bypassing) policy(p *policy.Policy) {
	source := "policy " + p.Name
	for _, ns := range p.Scope.ExcludedNamespaces {
		x.add("excluded-namespace", ns, source, p.ID, x.pods.like(ns), "The policy does not hold in namespaces of this name.", "策略不约束此名称的命名空间。")
	}
	if len(p.Scope.Namespaces) > 0 && x.pods != nil {
		left, pods := 0, 0
		for ns, n := range x.pods.pods {
			if !slices.ContainsFunc(p.Scope.Namespaces, func(pattern string) bool { return matches(pattern, ns) }) && !slices.Contains(x.b.System, ns) {
				left++
				pods += n
			}
		}
		if left > 0 {
			x.add("excluded-namespace", fmt.Sprintf("%d namespaces", left), source, p.ID, pods, "The policy holds in the namespaces that it names, and not in these others.", "策略只约束其指定的命名空间，不包含其余命名空间。")
		}
	}
	if p.Scope.NamespaceSelector != "" {
		x.add("label", p.Scope.NamespaceSelector, source, p.ID, -1, "Who may label a namespace decides whether the policy holds in it.", "能修改命名空间标签的用户可决定策略是否生效。")
	}
	if p.Scope.ObjectSelector != "" {
		x.add("label", p.Scope.ObjectSelector, source, p.ID, -1, "Who writes an object decides by its labels whether the policy holds for it.", "对象的编写者可通过标签决定策略是否生效。")
	}
	for _, u := range p.Scope.Users {
		x.add("user", u, source, p.ID, -1, "The policy lets this user's requests in.", "策略放行此用户的请求。")
	}
	for _, g := range p.Scope.Groups {
		x.add("group", g, source, p.ID, -1, "The policy lets requests of this group in.", "策略放行此用户组的请求。")
	}
	for _, i := range p.Scope.ExcludedImages {
		x.add("image", i, source, p.ID, -1, "Containers of images of this name are not judged.", "不检查此名称镜像的容器。")
	}
	for _, i := range p.Allowed {
		what := i.Digest
		if what == "" {
			what = strings.TrimSuffix(i.Repository+":"+i.Tag, ":")
		}
		x.add("image", what, source, p.ID, -1, "No check on images of the policy holds for this image.", "策略的镜像检查不适用于此镜像。")
	}
	if len(p.Scope.Operations) == 1 {
		missing := map[string]string{"CREATE": "UPDATE", "UPDATE": "CREATE"}[p.Scope.Operations[0]]
		x.add("operation", missing, source, p.ID, -1, "The policy does not look at requests of this operation.", "策略不检查此类操作的请求。")
	}
}

// gatekeeper are the ways that Gatekeeper's own settings leave.
func (x *bypassing) gatekeeper(ctx context.Context, c *client) {
	g := x.row.Gatekeeper
	if g == nil || c == nil {
		return
	}
	labelled := slices.ContainsFunc(x.row.Seen.Webhooks, func(w Webhook) bool { return slices.Contains(w.SkipLabels, "admission.gatekeeper.sh/ignore") })
	for name, form := range map[string]string{"exempt-namespace": "%s", "exempt-namespace-prefix": "%s*", "exempt-namespace-suffix": "*%s"} {
		for _, ns := range flagsOf(g.Flags, name) {
			if pattern := fmt.Sprintf(form, ns); labelled && !slices.Contains(x.b.System, ns) {
				x.add("excluded-namespace", pattern, "Gatekeeper's flag --"+name, 0, x.pods.like(pattern), "Namespaces of this name may carry the label that takes them out of Gatekeeper's sight.", "此名称的命名空间可带上使其脱离 Gatekeeper 检查的标签。")
			}
		}
	}
	if labelled && x.pods != nil {
		for ns, labels := range x.pods.namespaces {
			if _, has := labels["admission.gatekeeper.sh/ignore"]; has && ns != g.Namespace {
				x.add("label", ns, "label admission.gatekeeper.sh/ignore", 0, x.pods.of(ns), "The label takes this namespace out of Gatekeeper's sight.", "该标签使此命名空间脱离 Gatekeeper 检查。")
			}
		}
	}
	_, err := c.list(ctx, "/apis/config.gatekeeper.sh/v1alpha1/configs", "", "", func(o *object) error {
		list, _ := nested(o.Object, "spec", "match").([]any)
		for _, v := range list {
			mm, _ := v.(m)
			processes := words(mm["processes"])
			if !slices.Contains(processes, "*") && !slices.Contains(processes, "webhook") {
				continue
			}
			for _, ns := range words(mm["excludedNamespaces"]) {
				x.add("excluded-namespace", ns, "Gatekeeper's Config "+o.GetName(), 0, x.pods.like(ns), "Gatekeeper's webhook lets everything into namespaces of this name.", "Gatekeeper 的 Webhook 放行此名称的命名空间中的所有请求。")
			}
		}
		return nil
	})
	if err != nil {
		x.out.Gaps = append(x.out.Gaps, "Gatekeeper's Config could not be read: "+oneLine(err.Error()))
	}
}

// webhooks are the ways that the registered webhooks leave.
func (x *bypassing) webhooks() {
	seen := false
	for _, w := range x.row.Seen.Webhooks {
		if w.Mutating || !strings.HasPrefix(w.Name, "validation.") {
			continue
		}
		seen = true
		source := "webhook " + w.Name
		if w.FailurePolicy != "Fail" {
			x.add("failure-policy", "Ignore", source, 0, -1, fmt.Sprintf("What Gatekeeper does not answer within %d s is let in; it is recorded and judged afterwards.", w.Timeout),
				fmt.Sprintf("Gatekeeper 在 %d 秒内未响应的请求将被放行，并被记录、事后检查。", w.Timeout))
		}
		if w.MatchPolicy == "Exact" {
			x.add("api-version", "other API versions", source, 0, -1, "Requests in other versions of an API than those named are not seen.", "未列出的 API 版本的请求不会被检查。")
		}
		for _, ns := range w.Skipped {
			if !slices.Contains(x.b.System, ns) {
				x.add("excluded-namespace", ns, source, 0, x.pods.of(ns), "The webhook's selector leaves this namespace out.", "Webhook 的选择器排除了此命名空间。")
			}
		}
		if w.Selector != "" {
			x.add("label", w.Selector, source, 0, -1, "The webhook's selector leaves out namespaces by their labels.", "Webhook 的选择器按标签排除命名空间。")
		}
		for _, op := range []string{"CREATE", "UPDATE"} {
			if !slices.Contains(w.Operations, op) && !slices.Contains(w.Operations, "*") {
				x.add("operation", op, source, 0, -1, "The webhook does not see requests of this operation.", "Webhook 不检查此类操作的请求。")
			}
		}
		for _, res := range []string{"/pods", "/pods/ephemeralcontainers", "apps/deployments", "apps/daemonsets", "apps/statefulsets", "apps/replicasets", "batch/jobs", "batch/cronjobs", "/replicationcontrollers"} {
			if !covers(w.Resources, res) {
				x.add("kind", strings.TrimPrefix(res, "/"), source, 0, -1, "The webhook does not see objects of this kind; pods that come of them are seen.", "Webhook 不检查此类对象；由其产生的 Pod 会被检查。")
			}
		}
	}
	if !seen {
		x.add("mode", "every request", "webhook", 0, -1, "Gatekeeper's webhook is not registered: nothing is refused.", "Gatekeeper 的 Webhook 未注册，任何请求都不会被拦截。")
	}
}

// covers reports whether the resources of a webhook, as group/resource, hold one.
func covers(list []string, res string) bool {
	group, name, _ := strings.Cut(res, "/")
	sub := strings.Contains(name, "/")
	for _, x := range list {
		g, n, _ := strings.Cut(x, "/")
		if (g == "*" || g == group) && (n == name || n == "*/*" || n == "*" && !sub) {
			return true
		}
	}
	return false
}

// static pods are started by a node's kubelet without asking anybody.
func (x *bypassing) static() {
	total := -1
	if x.pods != nil {
		total = 0
		for node, n := range x.pods.static {
			total += n
			x.add("static-pod", node, "the node's files", 0, n, "These pods are started from files of the node, and nothing can refuse them.", "这些 Pod 由节点文件启动，无法拦截。")
		}
	}
	if total <= 0 {
		x.add("static-pod", "every node", "the nodes' files", 0, total, "Who may write files on a node can start pods that nothing can refuse.", "能在节点写文件的用户可启动无法被拦截的 Pod。")
	}
}
