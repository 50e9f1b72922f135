package analyze

import (
	"slices"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/selector"
)

const admissionGroup = "admissionregistration.k8s.io"

const (
	validatingWebhooks = "ValidatingWebhookConfiguration." + admissionGroup
	mutatingWebhooks   = "MutatingWebhookConfiguration." + admissionGroup
	admissionPolicies  = "ValidatingAdmissionPolicy." + admissionGroup
	policyBindings     = "ValidatingAdmissionPolicyBinding." + admissionGroup
)

// webhook is one webhook of a configuration.
type webhook struct {
	object     *inventory.Object
	path       string // webhooks[0]
	name       string
	rules      []any
	namespaces selector.Selector
	service    inventory.Ref // zero for a URL
}

func webhooksOf(c *inventory.Cluster, kind string) []webhook {
	var out []webhook
	for _, o := range c.Objects[kind] {
		for i, v := range inventory.List(o.Content, "webhooks") {
			m, ok := v.(map[string]any)
			if !ok {
				continue
			}
			w := webhook{object: o, path: inventory.JoinIndex("webhooks", i), name: inventory.Str(m, "name"),
				rules: inventory.List(m, "rules"), namespaces: selector.Parse(inventory.Map(m, "namespaceSelector"))}
			if s := inventory.Map(m, "clientConfig", "service"); s != nil {
				w.service = inventory.Ref{APIVersion: "v1", Kind: "Service", Namespace: inventory.Str(s, "namespace"), Name: inventory.Str(s, "name")}
			}
			out = append(out, w)
		}
	}
	return out
}

// matchesRules reports whether rules of a webhook, or the resourceRules of an admission policy, cover an operation.
func matchesRules(rules []any, group, resource, operation string) bool {
	has := func(m map[string]any, key string, words ...string) bool {
		return slices.ContainsFunc(inventory.Strs(m, key), func(v string) bool { return slices.Contains(words, v) })
	}
	words := []string{resource, "*/*"}
	if sub := after(resource, '/'); sub == "" {
		words = append(words, "*")
	} else {
		words = append(words, "*/"+sub, before(resource, '/')+"/*")
	}
	return slices.ContainsFunc(rules, func(v any) bool {
		m, _ := v.(map[string]any)
		return has(m, "operations", operation, "*") && has(m, "apiGroups", group, "*") && has(m, "resources", words...)
	})
}

func after(s string, sep byte) string {
	for i := range len(s) {
		if s[i] == sep {
			return s[i+1:]
		}
	}
	return ""
}

func before(s string, sep byte) string {
	for i := range len(s) {
		if s[i] == sep {
			return s[:i]
		}
	}
	return s
}

// podCarriers are the resources that policies for pods judge.
var podCarriers = [][2]string{{"", "pods"}, {"apps", "deployments"}, {"apps", "daemonsets"}, {"apps", "statefulsets"}, {"apps", "replicasets"},
	{"batch", "jobs"}, {"batch", "cronjobs"}, {"", "replicationcontrollers"}}

// judgesPods reports whether rules cover the creation of anything that carries a pod.
func judgesPods(rules []any) bool {
	return slices.ContainsFunc(podCarriers, func(r [2]string) bool { return matchesRules(rules, r[0], r[1], "CREATE") })
}
