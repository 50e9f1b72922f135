package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// excepted gives errors of the room exception their status.
func excepted[T any](v T, err error) (T, error) {
	for from, to := range map[error]error{exception.ErrInvalid: ErrInvalid, exception.ErrForbidden: ErrForbidden, exception.ErrConflict: ErrConflict,
		exception.ErrTooMany: ErrInvalid} {
		if errors.Is(err, from) {
			return v, fmt.Errorf("%w: %w", to, err)
		}
	}
	return v, err
}

func oneException(r *exception.Record, err error) (*One[exception.Record], error) {
	if err != nil {
		return excepted[*One[exception.Record]](nil, err)
	}
	return &One[exception.Record]{Body: *r}, nil
}

// exceptionList is the input of the list.
type exceptionList struct {
	Paging
	Status    []string `query:"status" enum:"pending,approved,denied,canceled,expired,ended-by-fix"`
	Target    int64    `query:"target" minimum:"1" doc:"of the scope"`
	Requester int64    `query:"requester" minimum:"1" doc:"id of a user"`
	Source    string   `query:"source" enum:"vex"`
	Rule      string   `query:"rule" maxLength:"200" doc:"as in the scope"`
	CVE       string   `query:"cve" maxLength:"100" doc:"as in the scope"`
	Query     string   `query:"q" maxLength:"200" doc:"part of the reason, the scope or the requester's name"`
	Unused    bool     `query:"unused" doc:"only approved ones with nothing to accept"`
	Ending    int      `query:"ending" minimum:"1" maximum:"3650" doc:"only approved ones that end within so many days"`
	Sort      string   `query:"sort" enum:"new,end" default:"new" doc:"new: latest first; end: those with a date, by date"`
}

// Exceptions adds the routes of exceptions. db answers for the names of clusters.
func Exceptions(a *API, b *exception.Book, db *store.DB) {
	exceptionLists(a, b)
	exceptionChanges(a, b)
	exceptionFiles(a, b, db)
}

func exceptionLists(a *API, b *exception.Book) {
	Add(a, Route{Method: http.MethodGet, Path: "/exceptions", ID: "list-exceptions", Tag: "Exceptions", Summary: "Exceptions", Action: identity.Read},
		func(ctx context.Context, in *exceptionList) (*List[exception.Record], error) {
			f := exception.Filter{Target: in.Target, Requester: in.Requester, Source: in.Source, Rule: in.Rule, CVE: in.CVE, Query: in.Query, Unused: in.Unused}
			for _, s := range in.Status {
				f.Status = append(f.Status, exception.Status(s))
			}
			if in.Ending > 0 {
				f.EndBefore = b.Now().AddDate(0, 0, in.Ending)
			}
			list, next, err := b.List(ctx, identity.From(ctx).Visible(identity.Read), f, in.Sort, in.Page())
			if err != nil {
				return nil, err
			}
			return Listed(list, next), nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/exceptions/summary", ID: "count-exceptions", Tag: "Exceptions", Summary: "How many exceptions there are", Action: identity.Read},
		func(ctx context.Context, _ *struct{}) (*One[exception.Summary], error) {
			s, err := b.Summary(ctx, identity.From(ctx).Visible(identity.Read))
			if err != nil {
				return nil, err
			}
			return &One[exception.Summary]{Body: *s}, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/exceptions/{id}", ID: "get-exception", Tag: "Exceptions", Summary: "One exception with its comments", Action: identity.Read},
		func(ctx context.Context, in *ByID) (*One[exception.Record], error) {
			return oneException(b.Get(ctx, identity.From(ctx).Visible(identity.Read), in.ID))
		})
	Add(a, Route{Method: http.MethodGet, Path: "/exceptions/{id}/effect", ID: "get-exception-effect", Tag: "Exceptions", Action: identity.Read,
		Summary: "What an exception would accept now, beside what is accepted already"},
		func(ctx context.Context, in *ByID) (*One[exception.Effect], error) {
			e, err := b.EffectOf(ctx, identity.From(ctx).Visible(identity.Read), in.ID)
			if err != nil {
				return nil, err
			}
			return &One[exception.Effect]{Body: *e}, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/exceptions/settings", ID: "get-exception-settings", Tag: "Exceptions", Summary: "Settings of exceptions", Action: identity.Read},
		func(ctx context.Context, _ *struct{}) (*One[exception.Settings], error) {
			s, err := b.Settings(ctx)
			return &One[exception.Settings]{Body: s}, err
		})
	Add(a, Route{Method: http.MethodPut, Path: "/exceptions/settings", ID: "set-exception-settings", Tag: "Exceptions", Summary: "Change the settings of exceptions", Action: identity.ManageSettings},
		func(ctx context.Context, in *One[exception.Settings]) (*One[exception.Settings], error) {
			if !identity.From(ctx).Can(identity.ManageSettings, 0, "") {
				return nil, ErrForbidden
			}
			return excepted(&One[exception.Settings]{Body: in.Body}, b.SetSettings(ctx, in.Body))
		})
}

// decision is the input of routes that decide.
type decision struct {
	ByID
	Body struct {
		Revision int    `json:"revision,omitempty" minimum:"1" doc:"of what was read; a later change by somebody else is then no surprise"`
		Note     string `json:"note,omitempty" maxLength:"4000"`
	}
}

// approval is the input of an approval: nobody approves what he has not seen.
type approval struct {
	ByID
	Body struct {
		Revision int    `json:"revision" minimum:"1" doc:"of what was read"`
		Note     string `json:"note,omitempty" maxLength:"4000"`
	}
}

func exceptionChanges(a *API, b *exception.Book) {
	route := func(method, path, id, summary string, action identity.Action) Route {
		return Route{Method: method, Path: "/exceptions" + path, ID: id, Tag: "Exceptions", Summary: summary, Action: action}
	}
	ask := route(http.MethodPost, "", "ask-exception", "Ask for an exception", identity.Except)
	ask.Status = http.StatusCreated
	Add(a, ask,
		func(ctx context.Context, in *One[exception.Request]) (*One[exception.Record], error) {
			return oneException(b.Ask(ctx, in.Body))
		})
	Add(a, route(http.MethodPost, "/preview", "preview-exception", "What an exception would accept now", identity.Except),
		func(ctx context.Context, in *One[exception.Draft]) (*One[exception.Effect], error) {
			e, err := b.Preview(ctx, exception.Request{Draft: in.Body})
			if err != nil {
				return excepted[*One[exception.Effect]](nil, err)
			}
			for _, t := range policy.AtAdmission(&in.Body.Scope) {
				e.Admission = append(e.Admission, t.In(Lang(ctx)))
			}
			return &One[exception.Effect]{Body: *e}, nil
		})
	Add(a, route(http.MethodPatch, "/{id}", "edit-exception", "Change a request; of an approved exception what narrows it", identity.Except),
		func(ctx context.Context, in *struct {
			ByID
			Body struct {
				exception.Change
				Revision int `json:"revision,omitempty" minimum:"1" doc:"of what was read"`
			}
		}) (*One[exception.Record], error) {
			return oneException(b.Edit(ctx, in.ID, in.Body.Change, in.Body.Revision))
		})
	Add(a, route(http.MethodPost, "/{id}/approve", "approve-exception", "Approve an exception", identity.Approve),
		func(ctx context.Context, in *approval) (*One[exception.Record], error) {
			return oneException(b.Decide(ctx, in.ID, true, in.Body.Note, in.Body.Revision))
		})
	Add(a, route(http.MethodPost, "/{id}/deny", "deny-exception", "Deny an exception", identity.Approve),
		func(ctx context.Context, in *decision) (*One[exception.Record], error) {
			return oneException(b.Decide(ctx, in.ID, false, in.Body.Note, in.Body.Revision))
		})
	Add(a, route(http.MethodPost, "/{id}/cancel", "cancel-exception", "Take a request back, or end an exception: its findings reopen", identity.Except),
		func(ctx context.Context, in *decision) (*One[exception.Record], error) {
			return oneException(b.Cancel(ctx, in.ID, in.Body.Note, in.Body.Revision))
		})
	Add(a, route(http.MethodPost, "/{id}/comments", "comment-exception", "Comment on an exception", identity.Except),
		func(ctx context.Context, in *struct {
			ByID
			Body struct {
				Text string `json:"text" minLength:"1" maxLength:"4000"`
			}
		}) (*One[exception.Record], error) {
			return oneException(b.Comment(ctx, in.ID, in.Body.Text))
		})
}

// exceptionFile is an answer with a file.
type exceptionFile struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

// vexUpload is a VEX document and where it holds.
type vexUpload struct {
	Upload
	Target    int64  `query:"target" minimum:"1" doc:"absent: all targets"`
	Namespace string `query:"namespace" maxLength:"200" doc:"a namespace of the target, or a pattern"`
	Expires   string `query:"expires" maxLength:"40" doc:"end of all of them; absent: the longest that the settings allow"`
}

func exceptionFiles(a *API, b *exception.Book, db *store.DB) {
	Add(a, Route{Method: http.MethodGet, Path: "/exceptions/file", ID: "get-exception-file", Tag: "Exceptions", Action: identity.Read,
		Summary:     "Approved exceptions as a file for the command line",
		Description: "YAML for stockade scan --exceptions: what holds in the cluster, so that a pipeline accepts what the server does."},
		func(ctx context.Context, in *struct {
			Cluster string `query:"cluster" maxLength:"200" doc:"name or id of a cluster or project; absent: what holds everywhere"`
		}) (*exceptionFile, error) {
			v := identity.From(ctx).Visible(identity.Read)
			target, err := targetNamed(ctx, db, v, in.Cluster)
			if err != nil {
				return nil, err
			}
			var out bytes.Buffer
			if err := b.WriteFor(ctx, &out, v, target); err != nil {
				return nil, err
			}
			return &exceptionFile{"application/yaml", `attachment; filename="exceptions.yaml"`, out.Bytes()}, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/exceptions/vex", ID: "get-exception-vex", Tag: "Exceptions", Action: identity.Read,
		Summary:     "What was accepted of vulnerabilities as OpenVEX",
		Description: "Borne risks are written as affected with the reason, everything else that was accepted as not affected."},
		func(ctx context.Context, in *struct {
			Target int64  `query:"target" minimum:"1" doc:"absent: all targets"`
			Image  string `query:"image" maxLength:"500" doc:"repository or reference; pattern"`
			Author string `query:"author" maxLength:"200" default:"Stockade" doc:"who says so"`
		}) (*exceptionFile, error) {
			v := identity.From(ctx).Visible(identity.Read)
			if in.Target != 0 && !v.Sees(in.Target) {
				return nil, store.ErrNotFound
			}
			var out bytes.Buffer
			if err := b.ExportVEX(ctx, &out, v, in.Target, in.Image, in.Author); err != nil {
				return excepted[*exceptionFile](nil, err)
			}
			return &exceptionFile{"application/json", `attachment; filename="vex.openvex.json"`, out.Bytes()}, nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/exceptions/vex", ID: "import-exception-vex", Tag: "Exceptions", Action: identity.Except, MaxBody: exception.MaxVEX,
		Summary:     "Make exceptions of a VEX document",
		Description: "The body is OpenVEX, CSAF 2.0 or CycloneDX as JSON. Each statement that a product is not affected becomes an exception, pending unless the settings approve them."},
		func(ctx context.Context, in *vexUpload) (*One[exception.Imported], error) {
			limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
			defer cancel()
			data, err := io.ReadAll(in.Reader)
			if err != nil {
				return nil, err
			}
			got, err := b.ImportVEX(limited, data, in.Target, in.Namespace, in.Expires)
			if err != nil {
				return excepted[*One[exception.Imported]](nil, err)
			}
			return &One[exception.Imported]{Body: *got}, nil
		})
}

// targetNamed is the id of a target that v shows, by name or id; 0 for "".
func targetNamed(ctx context.Context, db *store.DB, v identity.Visible, name string) (int64, error) {
	if name == "" {
		return 0, nil
	}
	var list []ledger.Target
	if err := db.R.NewSelect().Model(&list).Where("name = ? AND removed_at = 0", name).OrderExpr("kind, id").Scan(ctx); err != nil {
		return 0, err
	}
	if id, err := strconv.ParseInt(name, 10, 64); err == nil && id > 0 {
		list = append(list, ledger.Target{ID: id})
	}
	for _, t := range list {
		if v.Sees(t.ID) {
			return t.ID, nil
		}
	}
	return 0, store.ErrNotFound
}
