package api

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/vitals"
)

// diagnosticsFile is an answer with a zip.
type diagnosticsFile struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

// System adds the routes about the server itself.
func System(a *API, v *vitals.Service, now func() time.Time) {
	Add(a, Route{Method: http.MethodGet, Path: "/system", ID: "get-system", Tag: "System", Action: identity.ManageSettings, Summary: "How the server is",
		Description: "Each check has a verdict and a sentence in the language that is asked for."},
		func(ctx context.Context, _ *struct{}) (*One[*vitals.System], error) {
			s, err := v.System(ctx, Lang(ctx))
			return &One[*vitals.System]{s}, err
		})
	Add(a, Route{Method: http.MethodGet, Path: "/system/diagnostics", ID: "get-diagnostics", Tag: "System", Action: identity.ManageSettings, Summary: "A zip for whoever helps",
		Description: "What GET /system says, versions, how the server was started and counters: no secrets, and no names of clusters, people or findings."},
		func(ctx context.Context, _ *struct{}) (*diagnosticsFile, error) {
			var out bytes.Buffer
			if err := v.Diagnostics(ctx, &out); err != nil {
				return nil, err
			}
			return &diagnosticsFile{"application/zip", `attachment; filename="` + diagnosticsName(now()) + `"`, out.Bytes()}, nil
		})
}
