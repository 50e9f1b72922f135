package protect

import (
	"context"

	"stockade.dev/stockade/internal/constraint"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
)

// Constraints compiles bundles with the rules of a library.
func Constraints(lib *rule.Library) Compiler {
	return func(_ context.Context, b *policy.Bundle, o CompileOptions) (*Compiled, error) {
		set, err := constraint.Compile(lib, b, constraint.Options{Now: o.Now, Kubernetes: o.Minor, VAP: o.Minor >= 30, CABundle: o.CA,
			ProviderURL: "https://" + providerName + "." + Namespace + ".svc:8443", Adopted: !o.CacheOff, Gatekeeper: o.Gatekeeper, Fingerprint: places(o.Finding)})
		if err != nil {
			return nil, err
		}
		out := &Compiled{Next: set.Next}
		for _, made := range set.Objects {
			data, err := made.MarshalJSON()
			if err != nil {
				return nil, err
			}
			x := &object{} // with the types that JSON has, which can be compared with what the API server says
			if err := x.UnmarshalJSON(data); err != nil {
				return nil, err
			}
			switch g := refOf(x).group(); g {
			case templateGroup:
				out.Templates = append(out.Templates, x)
				continue
			case mutationGroup:
				out.Mutates = true
			}
			out.Rest = append(out.Rest, x)
		}
		for _, r := range set.Recorder {
			scope, _ := r["scope"].(string)
			out.Rules = append(out.Rules, hookRule{Groups: texts(r["apiGroups"]), Versions: texts(r["apiVersions"]), Resources: texts(r["resources"]), Operations: texts(r["operations"]), Scope: scope})
		}
		for _, n := range set.Notes {
			out.Notes = append(out.Notes, Problem{Object: n.What, Policy: n.Policy, Exception: n.Exception, Reason: oneLine(n.What + ": " + n.Reason)})
		}
		return out, nil
	}
}

// places says what the findings of fingerprints are about. A fingerprint that is not made of the names alone is of one element of a
// list.
func places(read func(string) *finding.Finding) func(string) (constraint.Place, bool) {
	if read == nil {
		return nil
	}
	return func(fingerprint string) (constraint.Place, bool) {
		f := read(fingerprint)
		if f == nil {
			return constraint.Place{}, false
		}
		r := &f.Resource
		p := constraint.Place{Rule: f.Rule, Namespace: r.Namespace, Kind: r.Kind, Name: r.Name, Container: r.Container}
		group := inventory.Ref{APIVersion: r.APIVersion}.Group()
		whole := finding.Identity{RuleID: f.RuleID, Cluster: r.Cluster, Kind: r.Kind, Group: group, Namespace: r.Namespace, Name: r.Name, Container: r.Container, Node: r.Node, File: r.File}
		if whole.Fingerprint() != fingerprint {
			p.Item = "as the finding names it"
		}
		return p, true
	}
}

// texts are the strings of a list, however it is typed.
func texts(v any) []string {
	if list, ok := v.([]string); ok {
		return list
	}
	return words(v)
}
