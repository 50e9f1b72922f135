package server

import (
	"bytes"
	"context"
	"fmt"

	"go.yaml.in/yaml/v3"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/constraint"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/policy/book"
	"stockade.dev/stockade/internal/preview"
)

// wirePolicies makes the rooms of policies. Those who know more of protected clusters are asked when a preview is made: they come later.
func (s *Server) wirePolicies() preview.Options {
	r := &s.rooms
	r.policies = book.New(book.Options{DB: s.db, Library: s.o.Tasks.Library, Hub: r.hub, Log: s.log, Now: s.o.Now})
	return preview.Options{Book: r.policies, Images: func(target int64, b *policy.Bundle) policy.Images { return r.verdicts.For(target, b) },
		Bundle: func(ctx context.Context, target int64, list []policy.Policy) (*policy.Bundle, error) {
			return r.protect.BundleFor(ctx, target, list)
		},
		Recorded: r.admission.Recorded, Log: s.log, Now: s.o.Now,
		Open: func(ctx context.Context, target int64) (preview.Source, error) { return r.fleet.Open(ctx, target) }}
}

// policyParts are what the routes of policies stand on.
func policyParts(r rooms) api.PolicyParts {
	return api.PolicyParts{Book: r.policies, Preview: r.preview, Browse: r.browse, YAML: r.policyYAML}
}

// policyYAML writes the objects that policies become: in a cluster, or in one with the usual settings and a recent Kubernetes.
func (r rooms) policyYAML(ctx context.Context, target int64, list []policy.Policy) ([]byte, error) {
	templates, err := r.policies.TemplatesOf(ctx, list)
	if err != nil {
		return nil, err
	}
	b := &policy.Bundle{Lang: api.Lang(ctx), Policies: list, Templates: templates, System: policy.SystemNamespaces}
	if target != 0 {
		if b, err = r.protect.BundleFor(ctx, target, list, templates...); err != nil {
			return nil, err
		}
	} else {
		for i := range b.Policies {
			b.Policies[i].Scope.Clusters = nil
		}
	}
	set, err := constraint.Compile(r.policies.Library(), b, constraint.Options{Now: r.now(), Kubernetes: 34, VAP: true, ProviderURL: "https://stockade-provider.stockade-protect.svc:8443"})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, n := range set.Notes {
		fmt.Fprintf(&out, "# %s: %s\n", n.What, n.Reason)
	}
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	for _, o := range set.Objects {
		if err := enc.Encode(o.Object); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), enc.Close()
}
