package api

import (
	"context"
	"net/http"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
)

// OverviewBody is what a person should know first.
type OverviewBody struct {
	Active     int                       `json:"active" doc:"active findings"`
	Kinds      map[string]map[string]int `json:"kinds" doc:"active findings by kind and severity"`
	Severities map[string]int            `json:"severities" doc:"active findings by severity"`
	Statuses   map[string]int            `json:"statuses" doc:"all findings by status"`
	KEV        int                       `json:"kev" doc:"active findings of vulnerabilities that are known to be exploited"`
	Coverage   browse.Coverage           `json:"coverage"`
	Risks      []RiskLine                `json:"risks" doc:"the worst"`
	Clusters   []browse.Asset            `json:"clusters" doc:"the worst"`
	Workloads  []browse.Asset            `json:"workloads" doc:"the worst"`
	Images     []browse.Asset            `json:"images" doc:"the worst"`
	Trend      []browse.Day              `json:"trend" doc:"by day; empty for who sees single namespaces"`
	Exceptions browse.Exceptions         `json:"exceptions"`
	Score      browse.Score              `json:"score" doc:"100 is nothing wrong; each deduction grows with its count up to a limit"`
}

// Overview adds the route of the overview.
func Overview(a *API, b *browse.Browser) {
	type overviewInput struct {
		InLang
		Target    []int64  `query:"target" maxItems:"1000" doc:"ids of clusters and projects; absent: all"`
		Namespace []string `query:"namespace" maxItems:"100" doc:"of these targets"`
		Days      int      `query:"days" default:"30" minimum:"1" maximum:"366" doc:"of the trend"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/overview", ID: "get-overview", Tag: "Overview", Summary: "How things stand", Action: identity.Read},
		func(ctx context.Context, in *overviewInput) (*One[OverviewBody], error) {
			o, err := b.Overview(ctx, identity.From(ctx).Visible(identity.Read), browse.OverviewFilter{Targets: in.Target, Namespaces: in.Namespace, Days: in.Days})
			if err != nil {
				return nil, browsed(err)
			}
			lang, both := in.in(ctx)
			return &One[OverviewBody]{Body: OverviewBody{Active: o.Active, Kinds: byKind(o.Kinds), Severities: bySeverity(o.Severities), Statuses: words(o.Statuses), KEV: o.KEV,
				Coverage: o.Coverage, Risks: riskLines(o.Risks, lang, both), Clusters: some(o.Assets), Workloads: some(o.Workloads), Images: some(o.Images),
				Trend: some(o.Trend), Exceptions: o.Exceptions, Score: o.Score}}, nil
		})
}

// some is a list that is never null in an answer.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func bySeverity(m map[ledger.Severity]int) map[string]int { return words(m) }

func byKind(m map[ledger.Kind]map[ledger.Severity]int) map[string]map[string]int {
	out := map[string]map[string]int{}
	for k, v := range m {
		out[k.String()] = bySeverity(v)
	}
	return out
}

// words names the keys of counts.
func words[K interface {
	comparable
	String() string
}](m map[K]int) map[string]int {
	out := map[string]int{}
	for k, n := range m {
		out[k.String()] = n
	}
	return out
}
