package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// AuditFilter is the part of the inputs that says which entries are meant.
type AuditFilter struct {
	Actor  string    `query:"actor" maxLength:"128" doc:"name of who did it"`
	Action string    `query:"action" maxLength:"64" doc:"cluster.add, or cluster for all of that noun"`
	Object string    `query:"object" maxLength:"256" doc:"part of the object's name"`
	Target int64     `query:"target" minimum:"0" doc:"id of a cluster or project"`
	From   time.Time `query:"from" doc:"at this time and later"`
	To     time.Time `query:"to" doc:"before this time"`
}

func (f AuditFilter) filter() audit.Filter {
	return audit.Filter{Actor: f.Actor, Action: f.Action, Object: f.Object, Target: f.Target, From: f.From, To: f.To}
}

// Audit adds the routes of the audit log.
func Audit(a *API, db *store.DB) {
	type listInput struct {
		Paging
		AuditFilter
	}
	Add(a, Route{Method: http.MethodGet, Path: "/audit", ID: "list-audit", Tag: "Audit", Action: identity.ReadAudit, Summary: "Who changed what, newest first"},
		func(ctx context.Context, in *listInput) (*List[audit.Entry], error) {
			list, next, err := audit.List(ctx, db, in.filter(), in.Page())
			if err != nil {
				return nil, err
			}
			return Listed(list, next), nil
		})
	type exportInput struct {
		AuditFilter
		Form string `query:"form" enum:"csv,jsonl" default:"csv"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/audit/export", ID: "export-audit", Tag: "Audit", Action: identity.ReadAudit, Summary: "The audit log as a file",
		Description: "All entries of the filter as CSV, or as JSON with an entry a line. An answer that broke off has no end: the connection is cut."},
		func(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
			return &huma.StreamResponse{Body: func(c huma.Context) {
				kind := map[string]string{audit.CSV: "text/csv; charset=utf-8", audit.JSONL: "application/jsonl"}[in.Form]
				c.SetHeader("Content-Type", kind)
				c.SetHeader("Content-Disposition", fmt.Sprintf(`attachment; filename="audit.%s"`, in.Form))
				c.SetStatus(http.StatusOK)
				if err := audit.Export(ctx, db, in.filter(), in.Form, c.BodyWriter()); err != nil {
					Blame(ctx, err)
					panic(http.ErrAbortHandler) // half a log must not look like a whole one
				}
			}}, nil
		})
}
