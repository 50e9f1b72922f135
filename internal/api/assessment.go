package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"stockade.dev/stockade/internal/assess"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

func assessmentRoute(a *API, b *browse.Browser, version string) {
	type exportInput struct {
		Framework string  `path:"framework" maxLength:"200"`
		Target    []int64 `query:"target" maxItems:"1000" doc:"ids of clusters"`
		Form      string  `query:"form" enum:"html,csv,json" default:"html"`
		Lang      string  `query:"lang" enum:"en,zh" doc:"absent: as Accept-Language says"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/compliance/{framework}/export", ID: "export-compliance", Tag: complianceTag, Action: identity.Read, Summary: "A framework as a file for an auditor",
		Description: "Date, scope, rule library, every verdict with up to 50 findings as evidence, what people attested, and what was not looked at. HTML needs nothing else and prints well. An answer that broke off has no end: the connection is cut."},
		func(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
			if b.Catalog().Framework(in.Framework) == nil {
				return nil, fmt.Errorf("%w: no framework is named %q", store.ErrNotFound, in.Framework)
			}
			p := identity.From(ctx)
			lang, _ := InLang{Lang: in.Lang}.in(ctx)
			r := assess.Request{Framework: in.Framework, Targets: in.Target, Form: in.Form, Lang: lang, By: p.Name, Version: version}
			return &huma.StreamResponse{Body: func(c huma.Context) {
				c.SetHeader("Content-Type", exportForms[in.Form][0])
				c.SetHeader("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%s.%s"`, in.Framework, b.Now().UTC().Format("20060102-150405"), in.Form))
				c.SetHeader("X-Content-Type-Options", "nosniff")
				c.SetHeader("Content-Security-Policy", "sandbox")
				c.SetStatus(http.StatusOK)
				if _, err := assess.New(b).Write(ctx, p.Visible(identity.Read), r, c.BodyWriter()); err != nil {
					Blame(ctx, err)
					panic(http.ErrAbortHandler) // half a report must not look like a whole one
				}
			}}, nil
		})
}
