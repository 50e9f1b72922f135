package api

import (
	"context"
	"net/http"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
)

// RiskLine is a rule or vulnerability with its active findings.
type RiskLine struct {
	browse.Risk
	Title       string       `json:"title"`
	Translation *Translation `json:"translation,omitempty"`
}

func riskLines(list []browse.Risk, lang string, both bool) []RiskLine {
	out := make([]RiskLine, len(list))
	for i, r := range list {
		title := finding.Text{EN: r.TitleEN, ZH: r.TitleZH}
		out[i] = RiskLine{Risk: r, Title: title.In(lang)}
		if both {
			out[i].Translation = &Translation{Lang: otherLang(lang), Title: title.In(otherLang(lang))}
		}
	}
	return out
}

// AssetPage is one asset with what is known of it.
type AssetPage struct {
	browse.Asset
	Facts     *finding.Facts            `json:"facts,omitempty" doc:"as the last full scan saw it; absent when nothing is known"`
	Labels    map[string]string         `json:"labels" doc:"of the pods of a workload"`
	Kinds     map[string]map[string]int `json:"kinds" doc:"active findings by kind and severity, with those that it counts beside its own"`
	MoreKinds bool                      `json:"moreKinds,omitempty" doc:"there are more than were counted by kind"`
	Gaps      []browse.Gap              `json:"gaps" doc:"what could not be scanned of it; told to who sees the whole cluster"`
}

// Assets adds the routes of risks and assets: the same findings seen from what is wrong, and from where.
func Assets(a *API, b *browse.Browser) {
	type riskInput struct {
		Paging
		InLang
		FindingFilter
		Sort string `query:"sort" default:"severity" enum:"severity,active,rule,kind,targets,-severity,-active,-rule,-kind,-targets" doc:"numbers begin with the largest; - before it the other way round"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/risks", ID: "list-risks", Tag: "Risks", Action: identity.Read, Summary: "Rules and vulnerabilities that have findings",
		Description: "Of the findings that the filter selects. What a rule or vulnerability affects are the findings with the filter rule."},
		func(ctx context.Context, in *riskInput) (*Counted[RiskLine], error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			list, next, total, err := b.RisksOf(ctx, identity.From(ctx).Visible(identity.Read), f, in.Sort, in.Page())
			if err != nil {
				return nil, browsed(err)
			}
			lang, both := in.in(ctx)
			return counted(riskLines(list, lang, both), next, total), nil
		})
	type assetInput struct {
		Paging
		Kind      string   `query:"kind" required:"true" enum:"cluster,namespace,workload,image,node,object,file"`
		Target    []int64  `query:"target" maxItems:"1000" doc:"ids of clusters and projects"`
		Namespace []string `query:"namespace" maxItems:"1000"`
		Name      string   `query:"name" maxLength:"1000" doc:"whole name; of an image the reference"`
		Digest    string   `query:"digest" maxLength:"200" doc:"of an image"`
		Risky     bool     `query:"risky" doc:"only those with active findings"`
		Image     int64    `query:"image" minimum:"1" doc:"id of an image: the workloads that run it"`
		Workload  int64    `query:"workload" minimum:"1" doc:"id of a workload: the images that it runs"`
		Q         string   `query:"q" maxLength:"1000" doc:"words, each the beginning of a word of the name"`
		Sort      string   `query:"sort" default:"score" enum:"score,name,namespace,cluster,-score,-name,-namespace,-cluster" doc:"score begins with the worst; - before it the other way round"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/assets", ID: "list-assets", Tag: "Assets", Action: identity.Read, Summary: "Clusters, namespaces, workloads, images, nodes and files",
		Description: "With their active findings: of a workload also those of its images, of a namespace all that is in it and runs in it, of a cluster everything."},
		func(ctx context.Context, in *assetInput) (*Counted[browse.Asset], error) {
			f := browse.AssetFilter{Targets: in.Target, Namespaces: in.Namespace, Name: in.Name, Digest: in.Digest, Risky: in.Risky, Image: in.Image, Workload: in.Workload, Q: in.Q}
			var kinds []ledger.AssetKind
			if err := parseAll(&kinds, []string{in.Kind}); err != nil {
				return nil, err
			}
			f.Kind = kinds[0]
			list, next, total, err := b.Assets(ctx, identity.From(ctx).Visible(identity.Read), f, in.Sort, in.Page())
			if err != nil {
				return nil, browsed(err)
			}
			return counted(list, next, total), nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/assets/{id}", ID: "get-asset", Tag: "Assets", Summary: "One asset", Action: identity.Read},
		func(ctx context.Context, in *ByID) (*One[AssetPage], error) {
			x, err := b.Detail(ctx, identity.From(ctx).Visible(identity.Read), in.ID)
			if err != nil {
				return nil, err
			}
			out := AssetPage{Asset: x.Asset, Facts: x.Facts, Labels: x.Labels, Kinds: byKind(x.Kinds), MoreKinds: x.More, Gaps: some(x.Gaps)}
			if out.Labels == nil {
				out.Labels = map[string]string{}
			}
			return &One[AssetPage]{Body: out}, nil
		})
}
