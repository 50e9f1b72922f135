package policy

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"stockade.dev/stockade/internal/inventory"
)

// MatchNamespace reports whether a pattern of a namespace matches as Gatekeeper's do: * at the beginning, at the end or at both, and
// nowhere else.
func MatchNamespace(pattern, name string) bool {
	front, back := strings.HasPrefix(pattern, "*"), strings.HasSuffix(pattern, "*")
	switch {
	case front && back:
		return strings.Contains(name, strings.TrimSuffix(strings.TrimPrefix(pattern, "*"), "*"))
	case front:
		return strings.HasSuffix(name, pattern[1:])
	case back:
		return strings.HasPrefix(name, pattern[:len(pattern)-1])
	}
	return pattern == name
}

// MatchKind reports whether an entry of Scope.Kinds names the kind: "Kind" of any group, or "Kind.group".
func MatchKind(entry string, ref inventory.Ref) bool {
	kind, group, ok := strings.Cut(entry, ".")
	return kind == ref.Kind && (!ok || group == ref.Group())
}

// scope is a Scope compiled.
type scope struct {
	Scope
	system     []string
	users      []string // let in, by the policy or by the cluster
	groups     []string
	namespaced labels.Selector // of namespaces; nil: any
	labelled   labels.Selector // of objects; nil: any
	images     []glob
	excluded   []glob
}

func compileScope(s Scope, b *Bundle) (scope, error) {
	out := scope{Scope: s, images: compileGlobs(s.Images), excluded: compileGlobs(s.ExcludedImages),
		users: slices.Concat(s.Users, b.Users), groups: slices.Concat(s.Groups, b.Groups)}
	if !s.SystemNamespaces {
		out.system = b.System
		if out.system == nil {
			out.system = SystemNamespaces
		}
	}
	var err error
	if s.NamespaceSelector != "" {
		if out.namespaced, err = labels.Parse(s.NamespaceSelector); err != nil {
			return out, err
		}
	}
	if s.ObjectSelector != "" {
		if out.labelled, err = labels.Parse(s.ObjectSelector); err != nil {
			return out, err
		}
	}
	return out, nil
}

// about is what scopes look at of a request, read once for all policies.
type about struct {
	ref       inventory.Ref
	isSpace   bool   // the object is a Namespace
	namespace string // of the object, or its own name when it is one; "" for what lies outside of namespaces
	space     map[string]string
	labels    map[string]string
	read      bool // labels were read
}

func (j *Judge) about(r *Request) about {
	a := about{ref: r.Object.Ref(), space: r.NamespaceLabels, namespace: r.Object.Namespace}
	if a.ref.GroupKind() == "Namespace" {
		a.isSpace, a.namespace, a.space = true, r.Object.Name, r.Object.Labels()
	} else if a.space == nil && a.namespace != "" {
		if a.space = j.bundle.Namespaces[a.namespace]; a.space == nil {
			a.space = map[string]string{"kubernetes.io/metadata.name": a.namespace}
		}
	}
	return a
}

// holds reports whether the policy looks at a request at all. What lies outside of namespaces is not kept out by patterns of them.
func (s *scope) holds(r *Request, a *about) bool {
	if r.Operation != "" {
		if len(s.Operations) > 0 && !slices.Contains(s.Operations, r.Operation) || slices.Contains(s.users, r.User) {
			return false
		}
		for _, g := range s.groups {
			if slices.Contains(r.Groups, g) {
				return false
			}
		}
	}
	if len(s.Kinds) > 0 && !slices.ContainsFunc(s.Kinds, func(k string) bool { return MatchKind(k, a.ref) }) {
		return false
	}
	if a.namespace != "" && !s.inNamespace(a.namespace) {
		return false
	}
	if s.namespaced != nil && (a.isSpace || a.namespace != "") && !s.namespaced.Matches(labels.Set(a.space)) {
		return false
	}
	if s.labelled != nil {
		if !a.read {
			a.labels, a.read = r.Object.Labels(), true
		}
		return s.labelled.Matches(labels.Set(a.labels))
	}
	return true
}

func (s *scope) inNamespace(name string) bool {
	match := func(p string) bool { return MatchNamespace(p, name) }
	return !slices.ContainsFunc(s.system, match) && !slices.ContainsFunc(s.ExcludedNamespaces, match) &&
		(len(s.Namespaces) == 0 || slices.ContainsFunc(s.Namespaces, match))
}

// judges reports whether containers of an image are judged. A name that is none of an image is never excluded.
func (s *scope) judges(image string) bool {
	if len(s.images) == 0 && len(s.excluded) == 0 {
		return true
	}
	r, err := ParseReference(image)
	if err != nil {
		return true
	}
	names := r.Names()
	return (len(s.images) == 0 || anyMatch(s.images, names)) && !anyMatch(s.excluded, names)
}
