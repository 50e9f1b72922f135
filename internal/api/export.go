package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/report"
	"stockade.dev/stockade/internal/store"
)

// exportForms are the forms of report that a list of findings can be had in, with their media types and file names.
var exportForms = map[string][2]string{
	"csv":      {"text/csv; charset=utf-8", "csv"},
	"json":     {"application/json", "json"},
	"jsonl":    {"application/jsonl", "jsonl"},
	"html":     {"text/html; charset=utf-8", "html"},
	"sarif":    {"application/sarif+json", "sarif"},
	"markdown": {"text/markdown; charset=utf-8", "md"},
	"junit":    {"application/xml", "xml"},
	"openvex":  {"application/json", "openvex.json"},
}

func findingExport(a *API, b *browse.Browser) {
	type exportInput struct {
		FindingFilter
		Form string `query:"form" enum:"csv,json,jsonl,html,sarif,markdown,junit,openvex" default:"csv"`
		Lang string `query:"lang" enum:"en,zh" doc:"absent: as Accept-Language says"`
		Sort string `query:"sort" default:"-priority" pattern:"^-?[a-zA-Z]+$" doc:"as of the list"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/findings/export", ID: "export-findings", Tag: "Findings", Action: identity.Read, Summary: "Findings as a file",
		Description: "All findings of the filter, as a report that names the filter and the time. HTML prints well, also into PDF. An answer that broke off has no end: the connection is cut."},
		func(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			v := identity.From(ctx).Visible(identity.Read)
			if _, err := b.Findings(ctx, v, f, in.Sort, store.Page{Limit: 1}); err != nil { // while errors can still be told
				return nil, browsed(err)
			}
			lang, _ := InLang{Lang: in.Lang}.in(ctx)
			return &huma.StreamResponse{Body: func(c huma.Context) {
				now := b.Now()
				form := exportForms[in.Form]
				c.SetHeader("Content-Type", form[0])
				c.SetHeader("Content-Disposition", fmt.Sprintf(`attachment; filename="findings-%s.%s"`, now.UTC().Format("20060102-150405"), form[1]))
				c.SetStatus(http.StatusOK)
				h, err := report.New(in.Form, c.BodyWriter(), report.Options{Lang: lang})
				if err == nil {
					err = export(ctx, b, v, f, in.Sort, h, now)
				}
				if err != nil {
					Blame(ctx, err)
					panic(http.ErrAbortHandler) // half a report must not look like a whole one
				}
			}}, nil
		})
}

// export writes the findings of a filter as a report.
func export(ctx context.Context, b *browse.Browser, v identity.Visible, f browse.Filter, sort string, h finding.Handler, now time.Time) error {
	target := finding.Target{Kind: "cluster", Name: describe(f, sort)}
	if err := h.Begin(finding.Header{Tool: finding.Tool{Name: "stockade"}, Target: target, StartedAt: now.UTC()}); err != nil {
		return err
	}
	stats := finding.Stats{}
	err := b.Select(ctx, v, f, sort, func(full *browse.Full) error {
		if full.Finding.Status == finding.Suppressed {
			stats.Suppressed++
		}
		return h.Finding(full.Finding)
	})
	if err != nil {
		return err
	}
	return h.End(b.Now().UTC(), target, stats)
}
