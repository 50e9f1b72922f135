// Package access computes who may do what in a cluster: the effective permissions that all bindings, roles, groups and
// aggregated roles give together, and the ways from one identity to cluster-admin.
//
// It evaluates rules as the API server's RBAC authorizer does, with the same limits: "*" in resources covers every
// subresource, "*/scale" covers one subresource of all, and "pods/*" is not a wildcard and grants nothing. A rule with
// resourceNames grants nothing for requests that carry no name, which is every create of a top-level object.
package access

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// AnyNamespace in Right.Namespace asks for a grant in at least one namespace.
const AnyNamespace = "*"

// Right is one thing that can be asked for: a verb on a resource, or on a URL that is no resource.
type Right struct {
	Verb     string
	Group    string // API group, "" for the core group
	Resource string // "pods", or "pods/exec" for a subresource
	// Namespace of the request. "" asks for the right in all namespaces, or on a resource that has none;
	// AnyNamespace for it in at least one namespace.
	Namespace string
	Name      string // of the object; "" asks for a right that is not limited by resourceNames
	URL       string // non-resource URL such as /metrics; Group, Resource, Namespace and Name are then not looked at
}

// allows reports whether a rule gives a right, wherever it is bound.
func allows(p *inventory.PolicyRule, r Right) bool {
	if !holds(p.Verbs, r.Verb) {
		return false
	}
	if r.URL != "" {
		return slices.ContainsFunc(p.NonResourceURLs, func(pattern string) bool { return urlMatches(pattern, r.URL) })
	}
	if !holds(p.APIGroups, r.Group) || !resourceMatches(p.Resources, r.Resource) {
		return false
	}
	return len(p.ResourceNames) == 0 || r.Name != "" && slices.Contains(p.ResourceNames, r.Name)
}

// holds reports whether a list has a word or the star.
func holds(list []string, word string) bool {
	for _, v := range list {
		if v == "*" || v == word {
			return true
		}
	}
	return false
}

// urlMatches: a star stands at the end of a pattern only.
func urlMatches(pattern, url string) bool {
	if pattern == "*" || pattern == url {
		return true
	}
	prefix, ok := strings.CutSuffix(pattern, "*")
	return ok && strings.HasPrefix(url, strings.TrimRight(prefix, "*"))
}

func resourceMatches(list []string, resource string) bool {
	_, sub, nested := strings.Cut(resource, "/")
	for _, v := range list {
		if v == "*" || v == resource || nested && v == "*/"+sub {
			return true
		}
	}
	return false
}
