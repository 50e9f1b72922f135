package api

import (
	"context"
	"net/http"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
)

// SummaryLine sums up what is known of a cluster or project.
type SummaryLine struct {
	TargetID   int64                     `json:"targetId,string"`
	Whole      bool                      `json:"whole" doc:"false: it counts only the namespaces that may be seen"`
	Active     int                       `json:"active" doc:"active findings"`
	Kinds      map[string]map[string]int `json:"kinds" doc:"active findings by kind and severity"`
	Severities map[string]int            `json:"severities"`
	KEV        int                       `json:"kev"`
	Gaps       map[string]int            `json:"gaps" doc:"what was not scanned, by code"`
	Assets     map[string]int            `json:"assets" doc:"namespaces, workloads, images and nodes by kind; empty when only some namespaces may be seen"`
	Score      int                       `json:"score" minimum:"0" maximum:"100" doc:"of this one alone"`
}

// Summaries adds the route that sums clusters up, for the rows of their list.
func Summaries(a *API, b *browse.Browser) {
	type summaryInput struct {
		Target []int64 `query:"target" required:"true" minItems:"1" maxItems:"500" doc:"ids of clusters and projects"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/clusters/summary", ID: "list-cluster-summaries", Tag: "Clusters", Summary: "Sum up the findings of clusters", Action: identity.Read,
		Description: "Clusters that may not be seen are left out."},
		func(ctx context.Context, in *summaryInput) (*List[SummaryLine], error) {
			sums, err := b.Summaries(ctx, identity.From(ctx).Visible(identity.Read), in.Target)
			if err != nil {
				return nil, browsed(err)
			}
			var out []SummaryLine
			for _, id := range in.Target {
				if s := sums[id]; s != nil {
					out = append(out, SummaryLine{TargetID: id, Whole: s.Whole, Active: s.Active, Kinds: byKind(s.Kinds), Severities: bySeverity(s.Severities), KEV: s.KEV,
						Gaps: s.Gaps, Assets: words(s.Assets), Score: s.Score})
					delete(sums, id)
				}
			}
			return Listed(out, ""), nil
		})
}
