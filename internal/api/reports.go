package api

import (
	"context"
	"io"
	"mime"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/notify"
)

// reportBody is a report as people give it.
type reportBody struct{ Body notify.ReportInput }

// reportChange is the input that changes a report.
type reportChange struct {
	ByID
	Body notify.ReportInput
}

// reportFile names a result of a report.
type reportFile struct {
	ByID
	Result int64 `path:"result" minimum:"1"`
}

// Reports adds the routes of scheduled reports. Whose reports a request reaches is decided in notify: one's own, and all for who
// manages schedules and reads everywhere.
func Reports(a *API, n *notify.Notifier) {
	const tag = "Reports"
	Add(a, Route{Method: http.MethodGet, Path: "/reports", ID: "list-reports", Tag: tag, Action: identity.Read, Summary: "List scheduled reports",
		Description: "Your own; with a role that manages schedules for all clusters everybody's."},
		func(ctx context.Context, _ *struct{}) (*List[*notify.Report], error) {
			list, err := n.Reports(ctx)
			return Listed(list, ""), notifyError(err)
		})
	Add(a, Route{Method: http.MethodPost, Path: "/reports", ID: "add-report", Tag: tag, Action: identity.ManageSchedules, Status: http.StatusCreated, Summary: "Schedule a report",
		Description: "It is written with what its owner, you, may see at the time."},
		func(ctx context.Context, in *reportBody) (*One[*notify.Report], error) {
			r, err := n.AddReport(ctx, in.Body)
			return &One[*notify.Report]{r}, notifyError(err)
		})
	Add(a, Route{Method: http.MethodGet, Path: "/reports/{id}", ID: "get-report", Tag: tag, Action: identity.Read, Summary: "Show a scheduled report"},
		func(ctx context.Context, in *ByID) (*One[*notify.Report], error) {
			r, err := n.Report(ctx, in.ID)
			return &One[*notify.Report]{r}, notifyError(err)
		})
	Add(a, Route{Method: http.MethodPut, Path: "/reports/{id}", ID: "change-report", Tag: tag, Action: identity.ManageSchedules, Summary: "Change a scheduled report",
		Description: "Its owner stays."},
		func(ctx context.Context, in *reportChange) (*One[*notify.Report], error) {
			r, err := n.ChangeReport(ctx, in.ID, in.Body)
			return &One[*notify.Report]{r}, notifyError(err)
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/reports/{id}", ID: "remove-report", Tag: tag, Action: identity.ManageSchedules, Summary: "Remove a scheduled report and its results"},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			return nil, notifyError(n.RemoveReport(ctx, in.ID))
		})
	Add(a, Route{Method: http.MethodPost, Path: "/reports/{id}/run", ID: "run-report", Tag: tag, Action: identity.ManageSchedules, Status: http.StatusAccepted, Summary: "Write a report now",
		Description: "It is written within some seconds and then sent as by schedule."},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			return nil, notifyError(n.AskReport(ctx, in.ID))
		})
	Add(a, Route{Method: http.MethodGet, Path: "/reports/{id}/results", ID: "list-report-results", Tag: tag, Action: identity.Read, Summary: "What is kept of a report, newest first",
		Description: "Without results that were written when their reader saw more than now."},
		func(ctx context.Context, in *ByID) (*List[*notify.Result], error) {
			list, err := n.Results(ctx, in.ID)
			return Listed(list, ""), notifyError(err)
		})
	Add(a, Route{Method: http.MethodGet, Path: "/reports/{id}/results/{result}/file", ID: "download-report", Tag: tag, Action: identity.Read, Summary: "Download a report"},
		func(ctx context.Context, in *reportFile) (*huma.StreamResponse, error) {
			f, err := n.Download(ctx, in.ID, in.Result)
			if err != nil {
				return nil, notifyError(err)
			}
			return &huma.StreamResponse{Body: func(c huma.Context) {
				defer func() { _ = f.Body.Close() }()
				c.SetHeader("Content-Type", f.Type)
				// a page of findings is never shown as one of this server's
				c.SetHeader("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
				c.SetHeader("X-Content-Type-Options", "nosniff")
				c.SetHeader("Content-Security-Policy", "sandbox")
				c.SetStatus(http.StatusOK)
				if _, err := io.Copy(c.BodyWriter(), f.Body); err != nil {
					Blame(ctx, err)
					panic(http.ErrAbortHandler) // half a report must not look like a whole one
				}
			}}, nil
		})
}
