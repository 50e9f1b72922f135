package api

import (
	"context"
	"net/http"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
)

// Gaps adds the route of what was not scanned.
func Gaps(a *API, b *browse.Browser) {
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
