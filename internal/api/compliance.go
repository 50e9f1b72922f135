package api

import (
	"context"
	"net/http"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
)

// ClauseLine is the verdict on one clause in one target.
type ClauseLine struct {
	browse.Clause
	Title  string `json:"title,omitempty"`
	Reason string `json:"reason,omitempty" doc:"why it is manual or not applicable"`
}

// Compliance adds the routes of frameworks, and of what was not scanned.
func Compliance(a *API, b *browse.Browser) {
	type frameworkInput struct {
		Target []int64 `query:"target" maxItems:"1000" doc:"ids of clusters and projects"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/compliance", ID: "list-frameworks", Tag: "Compliance", Action: identity.Read,
		Summary: "Compliance frameworks by cluster: how many clauses have which verdict", Description: "Verdicts are of whole clusters: who sees single namespaces does not see them."},
		func(ctx context.Context, in *frameworkInput) (*List[browse.Framework], error) {
			list, err := b.Frameworks(ctx, identity.From(ctx).Visible(identity.Read), in.Target)
			if err != nil {
				return nil, browsed(err)
			}
			return Listed(list, ""), nil
		})
	type clauseInput struct {
		Paging
		InLang
		Framework string  `path:"framework" maxLength:"200"`
		Target    []int64 `query:"target" maxItems:"1000" doc:"ids of clusters and projects"`
		Status    string  `query:"status" enum:"pass,fail,manual,not-applicable"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/compliance/{framework}", ID: "list-clauses", Tag: "Compliance", Action: identity.Read, Summary: "Clauses of a framework with their verdicts",
		Description: "What a clause fails by are the findings with the filters framework and clause."},
		func(ctx context.Context, in *clauseInput) (*List[ClauseLine], error) {
			list, next, err := b.Clauses(ctx, identity.From(ctx).Visible(identity.Read), in.Target, in.Framework, in.Status, in.Page())
			if err != nil {
				return nil, browsed(err)
			}
			lang, _ := in.in(ctx)
			lines := make([]ClauseLine, len(list))
			for i, c := range list {
				lines[i] = ClauseLine{Clause: c, Title: c.Title.In(lang), Reason: c.Reason.In(lang)}
			}
			return Listed(lines, next), nil
		})
	type gapInput struct {
		Paging
		Target []int64  `query:"target" maxItems:"1000" doc:"ids of clusters and projects"`
		Code   []string `query:"code" enum:"no-advisory-data,forbidden,unreachable,limit,unsupported,broken,managed,skipped"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/gaps", ID: "list-gaps", Tag: "Coverage", Action: identity.Read, Summary: "What was not scanned at the last look, and why",
		Description: "Told to who sees the whole cluster."},
		func(ctx context.Context, in *gapInput) (*List[browse.Gap], error) {
			list, next, err := b.Gaps(ctx, identity.From(ctx).Visible(identity.Read), browse.GapFilter{Targets: in.Target, Codes: in.Code}, in.Page())
			if err != nil {
				return nil, browsed(err)
			}
			return Listed(list, next), nil
		})
}
