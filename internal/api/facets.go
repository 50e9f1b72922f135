package api

import (
	"context"
	"net/http"
	"slices"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
)

// FacetValue is a value that a field of the filter can have.
type FacetValue struct {
	Value   string `json:"value" doc:"as the filter takes it"`
	Label   string `json:"label,omitempty" doc:"how people call it, when that is not the value"`
	Count   int    `json:"count" doc:"findings that have it"`
	AtLeast bool   `json:"atLeast,omitempty" doc:"there may be more: not all were looked at"`
}

// FacetsBody are counts by field of the filter.
type FacetsBody struct {
	Kind      []FacetValue `json:"kind,omitempty"`
	Severity  []FacetValue `json:"severity,omitempty"`
	Status    []FacetValue `json:"status,omitempty"`
	Target    []FacetValue `json:"target,omitempty"`
	Namespace []FacetValue `json:"namespace,omitempty"`
	Rule      []FacetValue `json:"rule,omitempty"`
	Package   []FacetValue `json:"package,omitempty"`
	Fixable   []FacetValue `json:"fixable,omitempty"`
	KEV       []FacetValue `json:"kev,omitempty"`
	Assignee  []FacetValue `json:"assignee,omitempty"`
}

func facetsBody(m map[string][]browse.Facet, lang string) FacetsBody {
	var out FacetsBody
	for name, into := range map[string]*[]FacetValue{"kind": &out.Kind, "severity": &out.Severity, "status": &out.Status, "target": &out.Target,
		"namespace": &out.Namespace, "rule": &out.Rule, "package": &out.Package, "fixable": &out.Fixable, "kev": &out.KEV, "assignee": &out.Assignee} {
		for _, x := range m[name] {
			*into = append(*into, FacetValue{Value: x.Value, Label: finding.Text{EN: x.EN, ZH: x.ZH}.In(lang), Count: x.Count, AtLeast: x.AtLeast})
		}
	}
	return out
}

// findingGroups adds the routes that count the findings of a filter.
func findingGroups(a *API, b *browse.Browser) {
	type facetInput struct {
		FindingFilter
		Facets []string `query:"facets" maxItems:"10" enum:"kind,severity,status,target,namespace,rule,package,fixable,kev,assignee" doc:"absent: all"`
		Lang   string   `query:"lang" enum:"en,zh" doc:"absent: as Accept-Language says"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/findings/facets", ID: "count-findings", Tag: "Findings", Summary: "How many findings there are, by the fields of the filter", Action: identity.Read,
		Description: "Each field is counted with all conditions of the filter but its own: what a list would have with another value. At most 50 values of each; where there are very many findings the worst of them are counted."},
		func(ctx context.Context, in *facetInput) (*One[FacetsBody], error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			names := in.Facets
			if len(names) == 0 {
				names = browse.FacetNames
			}
			m, err := b.Facets(ctx, identity.From(ctx).Visible(identity.Read), f, slices.Compact(slices.Sorted(slices.Values(names))))
			if err != nil {
				return nil, browsed(err)
			}
			lang, _ := InLang{Lang: in.Lang}.in(ctx)
			return &One[FacetsBody]{Body: facetsBody(m, lang)}, nil
		})
	type assetInput struct {
		Paging
		FindingFilter
		By   string `query:"by" required:"true" enum:"cluster,namespace,workload,image,node,object,file"`
		Sort string `query:"sort" default:"score" enum:"score,name,namespace,cluster,-score,-name,-namespace,-cluster" doc:"score begins with the worst; - before it the other way round"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/findings/assets", ID: "list-affected-assets", Tag: "Findings", Summary: "Assets that have findings", Action: identity.Read,
		Description: "With the findings that the filter selects, by severity: of a workload also those of its images, of a namespace all that is in it and runs in it, of a cluster everything."},
		func(ctx context.Context, in *assetInput) (*Counted[browse.Asset], error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			var kinds []ledger.AssetKind
			if err := parseAll(&kinds, []string{in.By}); err != nil {
				return nil, err
			}
			list, next, total, err := b.AssetsOf(ctx, identity.From(ctx).Visible(identity.Read), kinds[0], f, in.Sort, in.Page())
			if err != nil {
				return nil, browsed(err)
			}
			return counted(list, next, total), nil
		})
}
