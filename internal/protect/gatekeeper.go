package protect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"stockade.dev/stockade/internal/policy"
)

// Gatekeeper is the one that decides in a cluster.
type Gatekeeper struct {
	Version     string       `json:"version,omitempty" doc:"as its image's tag says"`
	Image       string       `json:"image,omitempty"`
	Namespace   string       `json:"namespace"`
	Ours        bool         `json:"ours" doc:"we installed it, or took it over; else it was there and stays as it is"`
	By          string       `json:"by,omitempty" doc:"who installed one that is not ours, as far as its labels tell"`
	Replicas    int          `json:"replicas"`
	Flags       []string     `json:"flags" doc:"of the pods that answer the API server"`
	CacheOff    bool         `json:"cacheOff" doc:"it keeps no answers of the provider: changed verdicts hold at once"`
	Templates   int          `json:"foreignTemplates" doc:"ConstraintTemplates that are not ours"`
	Webhooks    []Webhook    `json:"webhooks"`
	Differences []Difference `json:"differences,omitempty" doc:"to what we would install"`
}

// Difference is a setting of a Gatekeeper that is not as we would have it.
type Difference struct {
	Setting string `json:"setting"`
	Found   string `json:"found"`
	Wanted  string `json:"wanted"`
	Effect  string `json:"effect" doc:"what it does to protection"`
	Stops   bool   `json:"stops,omitempty" doc:"it cannot be adopted like this"`
}

// Webhook is a webhook as it is registered.
type Webhook struct {
	Configuration string   `json:"configuration"`
	Name          string   `json:"name"`
	Mutating      bool     `json:"mutating,omitempty"`
	FailurePolicy string   `json:"failurePolicy" enum:"Ignore,Fail"`
	Timeout       int      `json:"timeoutSeconds"`
	MatchPolicy   string   `json:"matchPolicy"`
	Trusted       bool     `json:"trusted" doc:"the API server has an authority to check its certificate with"`
	Operations    []string `json:"operations"`
	Resources     []string `json:"resources" doc:"group/resource, * for any"`
	Skipped       []string `json:"skippedNamespaces,omitempty" doc:"by name, in its selector"`
	SkipLabels    []string `json:"skipLabels,omitempty" doc:"labels that take a namespace out of its sight"`
	Selector      string   `json:"namespaceSelector,omitempty" doc:"as it is, when it says more than that"`
}

// oldestAdopted is the first Gatekeeper whose CEL we rely on.
const oldestAdopted = "v3.18"

// findGatekeeper looks for a Gatekeeper in the cluster; nil when there is none.
func findGatekeeper(ctx context.Context, c *client) (*Gatekeeper, error) {
	g := &Gatekeeper{}
	found := false
	_, err := c.list(ctx, "/apis/apps/v1/deployments", "gatekeeper.sh/operation=webhook", "", func(o *object) error {
		cs := containers(o)
		if found && o.GetNamespace() != gatekeeperNS || len(cs) == 0 {
			return nil
		}
		found = true
		g.Namespace = o.GetNamespace()
		g.Image, _ = cs[0]["image"].(string)
		g.Version = versionOf(g.Image)
		g.Flags = words(cs[0]["args"])
		n, ok := nested(o.Object, "spec", "replicas").(int64)
		if !ok {
			f, _ := nested(o.Object, "spec", "replicas").(float64)
			n = int64(f)
		}
		g.Replicas = int(n)
		g.Ours = o.GetLabels()[managedLabel] == managedBy
		if !g.Ours {
			g.By = installer(o)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, nil
	}
	g.CacheOff = flagOf(g.Flags, "external-data-provider-response-cache-ttl") == "0s" || flagOf(g.Flags, "external-data-provider-response-cache-ttl") == "0"
	if g.Webhooks, err = webhooks(ctx, c, g.Namespace); err != nil {
		return nil, err
	}
	_, err = c.list(ctx, templates, managedLabel+"!="+managedBy, partial, func(*object) error { g.Templates++; return nil })
	return g, err
}

// installer is who made an object, as its labels and annotations tell.
func installer(o *object) string {
	labels, notes := o.GetLabels(), o.GetAnnotations()
	switch {
	case strings.Contains(strings.ToLower(labels["kubernetes.azure.com/managedby"]+labels["addonmanager.kubernetes.io/mode"]), "aks"),
		o.GetNamespace() == gatekeeperNS && labels["kubernetes.azure.com/managedby"] != "":
		return "Azure Policy"
	case notes["meta.helm.sh/release-name"] != "":
		return oneLine("Helm release " + notes["meta.helm.sh/release-name"])
	case labels["argocd.argoproj.io/instance"] != "":
		return oneLine("Argo CD application " + labels["argocd.argoproj.io/instance"])
	case labels["kustomize.toolkit.fluxcd.io/name"] != "":
		return oneLine("Flux kustomization " + labels["kustomize.toolkit.fluxcd.io/name"])
	case labels[managedLabel] != "":
		return oneLine(labels[managedLabel])
	}
	return ""
}

// webhooks lists the webhooks that lead into a namespace.
func webhooks(ctx context.Context, c *client, namespace string) ([]Webhook, error) {
	out := []Webhook{}
	for _, kind := range []string{"validating", "mutating"} {
		_, err := c.list(ctx, "/apis/"+admissionGroup+"/v1/"+kind+"webhookconfigurations", "", "", func(o *object) error {
			list, _ := o.Object["webhooks"].([]any)
			for _, h := range list {
				hook, ok := h.(m)
				if ok && nested(hook, "clientConfig", "service", "namespace") == namespace {
					out = append(out, webhookOf(o.GetName(), kind == "mutating", hook))
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func webhookOf(configuration string, mutating bool, h m) Webhook {
	w := Webhook{Configuration: configuration, Mutating: mutating, Operations: []string{}, Resources: []string{}}
	w.Name, _ = h["name"].(string)
	w.FailurePolicy, _ = h["failurePolicy"].(string)
	w.MatchPolicy, _ = h["matchPolicy"].(string)
	w.Timeout = whole(h["timeoutSeconds"])
	bundle, _ := nested(h, "clientConfig", "caBundle").(string)
	w.Trusted = bundle != "" && bundle != "Cg=="
	rules, _ := h["rules"].([]any)
	for _, r := range rules {
		rule, ok := r.(m)
		if !ok {
			continue
		}
		w.Operations = append(w.Operations, words(rule["operations"])...)
		for _, g := range words(rule["apiGroups"]) {
			for _, res := range words(rule["resources"]) {
				w.Resources = append(w.Resources, g+"/"+res)
			}
		}
	}
	slices.Sort(w.Operations)
	slices.Sort(w.Resources)
	w.Operations, w.Resources = slices.Compact(w.Operations), slices.Compact(w.Resources)
	w.readSelector(h["namespaceSelector"])
	return w
}

// readSelector tells what a selector leaves out in words, as far as it is of a form that is known.
func (w *Webhook) readSelector(v any) {
	sel, _ := v.(m)
	expressions, _ := sel["matchExpressions"].([]any)
	more := len(labelsOf(sel["matchLabels"])) > 0
	for _, e := range expressions {
		x, _ := e.(m)
		key, _ := x["key"].(string)
		op, _ := x["operator"].(string)
		switch {
		case key == "kubernetes.io/metadata.name" && op == "NotIn":
			w.Skipped = append(w.Skipped, words(x["values"])...)
		case op == "DoesNotExist":
			w.SkipLabels = append(w.SkipLabels, key)
		default:
			more = true
		}
	}
	if more {
		w.Selector = oneLine(jsonText(v))
	}
}

func labelsOf(v any) map[string]string {
	mm, _ := v.(m)
	out := map[string]string{}
	for k, v := range mm {
		out[k], _ = v.(string)
	}
	return out
}

func whole(v any) int {
	switch n := v.(type) {
	case int64:
		return int(n)
	case float64:
		return int(n)
	case int:
		return n
	}
	return 0
}

// words are the strings of a list.
func words(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, x := range list {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// flagOf is the value of a flag among arguments; "" when it is not there.
func flagOf(args []string, name string) string {
	for _, a := range args {
		if rest, ok := strings.CutPrefix(strings.TrimLeft(a, "-"), name+"="); ok {
			return rest
		}
	}
	return ""
}

// flagsOf are the values of a flag that may stand several times.
func flagsOf(args []string, name string) []string {
	var out []string
	for _, a := range args {
		if rest, ok := strings.CutPrefix(strings.TrimLeft(a, "-"), name+"="); ok {
			out = append(out, rest)
		}
	}
	return out
}

// compareTo lists what of a Gatekeeper that is there differs from ours.
func (g *Gatekeeper) compareTo(rel *release, s *Settings) []Difference {
	var out []Difference
	add := func(setting, found, wanted, effect string, stops bool) {
		if found != wanted {
			out = append(out, Difference{setting, found, wanted, effect, stops})
		}
	}
	wanted := oldestAdopted + " or newer"
	if rel != nil {
		wanted = rel.version
	}
	switch {
	case g.Version == "":
		add("version", "not known: "+g.Image, wanted, "it is assumed to be "+oldestAdopted+" or newer", false)
	case older(g.Version, oldestAdopted):
		add("version", g.Version, wanted, "CEL templates and external data need "+oldestAdopted, true)
	case rel != nil:
		add("version", g.Version, rel.version, "none", false)
	}
	if flagOf(g.Flags, "enable-k8s-native-validation") == "false" {
		add("--enable-k8s-native-validation", "false", "true", "our rules are CEL: none would be in force", true)
	}
	if flagOf(g.Flags, "enable-external-data") == "false" {
		add("--enable-external-data", "false", "true", "images would not be checked", true)
	}
	if !g.CacheOff {
		ttl := flagOf(g.Flags, "external-data-provider-response-cache-ttl")
		if ttl == "" {
			ttl = "3m0s"
		}
		add("--external-data-provider-response-cache-ttl", ttl, "0s", "a changed verdict on an image holds after this time", false)
	}
	if g.Replicas < 2 {
		add("replicas", strconv.Itoa(g.Replicas), strconv.Itoa(s.Gatekeeper.Replicas), "while its one pod is replaced nothing is checked", false)
	}
	seen := false
	for _, w := range g.Webhooks {
		if w.Mutating || !strings.HasPrefix(w.Name, "validation.") {
			continue
		}
		seen = true
		policy := "Ignore"
		if s.FailClosed {
			policy = "Fail"
		}
		add(w.Name+" failurePolicy", w.FailurePolicy, policy, map[string]string{"Ignore": "what it does not answer in time is let in, and recorded", "Fail": "what it does not answer in time is refused"}[w.FailurePolicy], false)
		add(w.Name+" timeoutSeconds", strconv.Itoa(w.Timeout), strconv.Itoa(s.Timeout), "how long a request waits at most", false)
		if !slices.Contains(w.Resources, "*/*") && !slices.Contains(w.Resources, "/pods") {
			add(w.Name+" resources", strings.Join(w.Resources, ", "), "pods and what makes them", "what is not named is not checked", false)
		}
		if len(w.SkipLabels) > 0 {
			add(w.Name+" namespaceSelector", "not with "+strings.Join(w.SkipLabels, ", "), "", "who may label a namespace takes it out of protection", false)
		}
	}
	if !seen {
		add("webhook validation.gatekeeper.sh", "not registered", "registered", "nothing is checked", true)
	}
	return out
}

// older reports whether version a, as v3.18.2, comes before b.
func older(a, b string) bool {
	x, y := numbers(a), numbers(b)
	return slices.Compare(x, y) < 0
}

func numbers(v string) []int {
	var out []int
	for p := range strings.SplitSeq(strings.TrimPrefix(v, "v"), ".") {
		p, _, _ = strings.Cut(p, "-")
		n, err := strconv.Atoi(p)
		if err != nil {
			break
		}
		out = append(out, n)
	}
	return out
}

// ours is Gatekeeper as we install it: its definitions, and the rest but webhooks and its Secret.
func (r *release) ours(s *Settings, minor int) (namespace *object, definitions, rest []*object) {
	for _, o := range r.objects {
		c := made(copied(o).Object)
		switch c.GetKind() {
		case "Namespace":
			labels := c.GetLabels()
			labels["kubernetes.io/metadata.name"] = c.GetName() // before 1.21 nobody else sets it
			c.SetLabels(labels)
			namespace = c
		case "CustomResourceDefinition":
			unstructured.RemoveNestedField(c.Object, "status")
			definitions = append(definitions, c)
		case "Secret", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration":
		case "Deployment":
			rest = append(rest, r.deployment(c, s))
		case "PodDisruptionBudget":
			if minor > 0 && minor < 21 {
				c.SetAPIVersion("policy/v1beta1")
			}
			rest = append(rest, c)
		default:
			rest = append(rest, c)
		}
	}
	return namespace, definitions, rest
}

// deployment sets a Deployment of Gatekeeper up.
func (r *release) deployment(o *object, s *Settings) *object {
	g := &s.Gatekeeper
	// Rules in CEL are Gatekeeper's to decide: as admission policies beside it they would be decided twice.
	args := []string{"--external-data-provider-response-cache-ttl=0s", "--default-create-vap-for-templates=false", "--default-create-vap-binding-for-constraints=false"}
	if g.LogLevel != "" {
		args = append(args, "--log-level="+g.LogLevel)
	}
	spec, _ := o.Object["spec"].(m)
	if o.GetName() == webhookDeploy {
		spec["replicas"] = int64(g.Replicas)
		spec["strategy"] = m{"type": "RollingUpdate", "rollingUpdate": m{"maxSurge": int64(1), "maxUnavailable": int64(0)}}
		if g.LogDenies {
			args = append(args, "--log-denies")
		}
	} else {
		args = append(args, "--audit-interval="+strconv.Itoa(g.AuditInterval), "--audit-match-kind-only=true")
	}
	for _, c := range containers(o) {
		have, _ := c["args"].([]any)
		for _, a := range args {
			have = append(have, a)
		}
		c["args"], c["image"], c["imagePullPolicy"] = have, g.reference(r.image), "IfNotPresent"
		if probe, ok := c["readinessProbe"].(m); ok {
			probe["periodSeconds"] = int64(2)
		}
	}
	if list := secretRefs(g.PullSecrets); list != nil {
		pod, _ := nested(o.Object, "spec", "template", "spec").(m)
		pod["imagePullSecrets"] = list
	}
	return o
}

// hooks are Gatekeeper's webhooks. Namespaces that policies leave alone are not even sent to it, so that nothing that goes wrong
// here reaches them; those that a policy holds for all the same are sent by an entry of their own, which lets pass what is not
// answered. The label that takes namespaces out of Gatekeeper's sight elsewhere means nothing here.
func (r *release) hooks(s *Settings, b *policy.Bundle, rules []hookRule, mutate bool, ca []byte) []*object {
	var out []*object
	system := s.system()
	for _, o := range r.objects {
		validating := o.GetKind() == "ValidatingWebhookConfiguration"
		if !validating && (o.GetKind() != "MutatingWebhookConfiguration" || !mutate && !s.WholeScope) {
			continue
		}
		c := made(copied(o).Object)
		list, _ := c.Object["webhooks"].([]any)
		var hooks l
		for _, h := range list {
			hook, _ := h.(m)
			name, _ := hook["name"].(string)
			if hook == nil || name != "validation.gatekeeper.sh" && name != "mutation.gatekeeper.sh" {
				continue // the guard of the label, which refuses new namespaces while Gatekeeper is away
			}
			config, _ := hook["clientConfig"].(m)
			config["caBundle"] = encoded(ca)
			hook["matchPolicy"], hook["failurePolicy"] = "Equivalent", "Ignore"
			hook["namespaceSelector"] = outside(system)
			if validating {
				hook["timeoutSeconds"] = int64(s.Timeout)
				if s.FailClosed {
					hook["failurePolicy"] = "Fail"
				}
			}
			if !s.WholeScope {
				hook["rules"] = contents(rules)
				if !validating {
					hook["rules"] = contents([]hookRule{{Groups: []string{""}, Versions: []string{"v1"}, Resources: []string{"pods", "pods/ephemeralcontainers"}, Operations: []string{"CREATE", "UPDATE"}}})
				}
			}
			if validating && s.WholeScope && s.FailClosed {
				hooks = append(hooks, aside(hook, rules))
			}
			hooks = append(hooks, hook)
			if validating && slices.ContainsFunc(b.Policies, func(p policy.Policy) bool { return !p.Disabled && p.Scope.SystemNamespaces }) {
				second := copied(&object{Object: m{"x": hook}}).Object["x"].(m)
				second["name"], second["failurePolicy"] = "system.validation.gatekeeper.sh", "Ignore"
				second["namespaceSelector"] = m{"matchExpressions": l{m{"key": "kubernetes.io/metadata.name", "operator": "In", "values": strs(theirs(system))}}}
				hooks = append(hooks, second)
			}
		}
		c.Object["webhooks"] = hooks
		out = append(out, c)
	}
	return out
}

// aside splits off a webhook for what lies outside of namespaces, which lets pass what is not answered: nodes and their certificates among
// it, without which Gatekeeper itself could not come back. What the policies name stays.
func aside(hook m, rules []hookRule) m {
	scoped := func(scope string) l {
		list, _ := copied(&object{Object: m{"x": hook["rules"]}}).Object["x"].([]any)
		for _, r := range list {
			r.(m)["scope"] = scope
		}
		return list
	}
	out := copied(&object{Object: m{"x": hook}}).Object["x"].(m)
	out["name"], out["failurePolicy"], out["rules"] = "cluster.validation.gatekeeper.sh", "Ignore", scoped("Cluster")
	hook["rules"] = append(contents(rules), scoped("Namespaced")...)
	return out
}

// theirs are the system namespaces but those of the plug-ins themselves, which no webhook may ever hold up.
func theirs(system []string) []string {
	return slices.DeleteFunc(slices.Clone(system), func(n string) bool { return n == gatekeeperNS || n == Namespace })
}

// gatekeeperSecret is what Gatekeeper's Secret holds at the beginning.
func gatekeeperSecret(data map[string][]byte) *object {
	values := m{}
	for _, k := range slices.Sorted(maps.Keys(data)) {
		values[k] = encoded(data[k])
	}
	return &object{Object: m{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": values,
		"metadata": m{"name": gatekeeperCA, "namespace": gatekeeperNS, "labels": m{"gatekeeper.sh/system": "yes", managedLabel: managedBy}}}}
}

func (w *Webhook) String() string { return fmt.Sprintf("%s of %s", w.Name, w.Configuration) }
