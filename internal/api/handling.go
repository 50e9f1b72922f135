package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/triage"
)

// Limits of what one request may handle.
const (
	maxHandled  = 100_000
	maxVerified = 1000
)

// handlingDesk handles findings for people.
type handlingDesk struct {
	db     *store.DB
	browse *browse.Browser
	triage *triage.Triage
	verify Verifier
}

// HandlingInput says what to do with findings.
type HandlingInput struct {
	Action   string `json:"action" enum:"ignore,unignore,mark-fixed,assign,comment,verify" doc:"to accept findings ask for an exception"`
	Note     string `json:"note,omitempty" maxLength:"4000" doc:"why; the text of a comment"`
	Assignee int64  `json:"assigneeId,string,omitempty" doc:"of assign: id of the user; absent: nobody"`
	DryRun   bool   `json:"dryRun,omitempty" doc:"only count what it would change"`
}

// HandlingBulk says what to do with many findings: those of the ids, or those of the filter.
type HandlingBulk struct {
	HandlingInput
	IDs    []string       `json:"ids,omitempty" maxItems:"100000" doc:"ids of findings"`
	Filter *browse.Filter `json:"filter,omitempty" doc:"instead of ids; an empty one is all active findings"`
}

// HandlingEffect is what was done.
type HandlingEffect struct {
	Selected   int   `json:"selected" doc:"findings that were meant and that you see"`
	NotAllowed int   `json:"notAllowed,omitempty" doc:"of them those that you may not handle: left alone"`
	Changed    int   `json:"changed" doc:"findings that changed; with dryRun that would change. The others are as they shall be already, or ended"`
	Task       int64 `json:"taskId,string,omitempty" doc:"of verify: the task that looks again"`

	At store.Time `json:"at" format:"date-time" doc:"when it began: what it changed has changed since then"`
}

func findingActions(a *API, d *handlingDesk) {
	type oneInput struct {
		ByID
		Body HandlingInput
	}
	Add(a, Route{Method: http.MethodPost, Path: "/findings/{id}/actions", ID: "handle-finding", Tag: "Findings", Action: identity.Handle,
		Summary: "Handle a finding: ignore, mark as fixed, assign, comment, verify"},
		func(ctx context.Context, in *oneInput) (*One[HandlingEffect], error) {
			rows, err := d.browse.Rows(ctx, identity.From(ctx).Visible(identity.Read), []int64{in.ID})
			if err == nil && len(rows) == 0 {
				err = store.ErrNotFound
			}
			if err != nil {
				return nil, err
			}
			if !mayHandle(ctx, &rows[0]) {
				return nil, fmt.Errorf("%w: your roles do not let you handle this finding", ErrForbidden)
			}
			return d.handle(ctx, rows, in.Body, nil)
		})
	type bulkInput struct {
		Body HandlingBulk
	}
	Add(a, Route{Method: http.MethodPost, Path: "/findings/actions", ID: "handle-findings", Tag: "Findings", Action: identity.Handle,
		Summary: "Handle many findings", Description: fmt.Sprintf("At most %d at once, %d for verify. With dryRun nothing changes and the answer tells what would.", maxHandled, maxVerified)},
		func(ctx context.Context, in *bulkInput) (*One[HandlingEffect], error) {
			rows, err := d.rows(ctx, in.Body)
			if err != nil {
				return nil, err
			}
			return d.handle(ctx, rows, in.Body.HandlingInput, in.Body.Filter)
		})
}

// mayHandle reports whether the caller may handle a finding. A finding on an image is of the whole cluster: other namespaces may
// run the image too.
func mayHandle(ctx context.Context, r *ledger.Row) bool {
	return identity.From(ctx).Can(identity.Handle, r.TargetID, r.Namespace)
}

// rows are the findings that are meant and that the caller sees.
func (d *handlingDesk) rows(ctx context.Context, in HandlingBulk) ([]ledger.Row, error) {
	v := identity.From(ctx).Visible(identity.Read)
	most := maxHandled
	if in.Action == string(ledger.Verify) {
		most = maxVerified
	}
	var rows []ledger.Row
	f := browse.Filter{Statuses: ledger.Statuses}
	switch {
	case (in.Filter == nil) == (len(in.IDs) == 0):
		return nil, fmt.Errorf("%w: give ids or a filter", ErrInvalid)
	case in.Filter != nil:
		f = *in.Filter
	default:
		ids, err := parseIDs(in.IDs)
		if err != nil {
			return nil, err
		}
		f.IDs = ids
	}
	err := d.browse.SelectRows(ctx, v, f, func(r *ledger.Row) error {
		if len(rows) == most {
			return fmt.Errorf("%w: more than %d findings: narrow the filter", ErrInvalid, most)
		}
		rows = append(rows, *r)
		return nil
	})
	return rows, browsed(err)
}

// parseIDs reads ids as JSON has them.
func parseIDs(list []string) ([]int64, error) {
	out := make([]int64, len(list))
	for i, s := range list {
		if _, err := fmt.Sscanf(s, "%d", &out[i]); err != nil || fmt.Sprint(out[i]) != s {
			return nil, fmt.Errorf("%w: id %.30q", ErrInvalid, s)
		}
	}
	return out, nil
}

// errDryRun ends the transaction of a dry run.
var errDryRun = errors.New("only tried")

func (d *handlingDesk) handle(ctx context.Context, rows []ledger.Row, in HandlingInput, f *browse.Filter) (*One[HandlingEffect], error) {
	out := &One[HandlingEffect]{Body: HandlingEffect{Selected: len(rows), At: store.At(d.browse.Now())}}
	rows = slices.DeleteFunc(rows, func(r ledger.Row) bool { return !mayHandle(ctx, &r) })
	out.Body.NotAllowed = out.Body.Selected - len(rows)
	if err := d.check(ctx, in); err != nil || len(rows) == 0 {
		return out, err
	}
	h := triage.Handling{Action: ledger.Action(in.Action), Note: in.Note, Assignee: in.Assignee}
	for i := range rows {
		h.IDs = append(h.IDs, rows[i].ID)
	}
	if h.Action == ledger.Verify && !in.DryRun {
		var err error
		if out.Body.Task, err = d.verify.Verify(ctx, rows); err != nil {
			return nil, browsed(err)
		}
	}
	err := d.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		n, err := d.triage.Handle(ctx, tx, h)
		if err != nil {
			return err
		}
		if out.Body.Changed = n; in.DryRun {
			return errDryRun
		}
		return record(ctx, tx, rows, in, f, out.Body)
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return nil, browsed(err)
	}
	return out, nil
}

// check refuses what triage cannot know to be wrong.
func (d *handlingDesk) check(ctx context.Context, in HandlingInput) error {
	switch ledger.Action(in.Action) {
	case ledger.Verify:
		if d.verify == nil {
			return fmt.Errorf("%w: this server scans nothing, so nothing can be verified", ErrInvalid)
		}
	case ledger.Comment:
		if in.Note == "" {
			return fmt.Errorf("%w: a comment without a text", ErrInvalid)
		}
	case ledger.Assign:
		if in.Assignee == 0 {
			return nil
		}
		n, err := d.db.R.NewSelect().Table("users").Where("id = ? AND removed_at = 0", in.Assignee).Count(ctx)
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: there is no user %d", ErrInvalid, in.Assignee)
		}
		return err
	}
	return nil
}

// record writes what was done into the audit log: one entry, however many findings.
func record(ctx context.Context, tx bun.Tx, rows []ledger.Row, in HandlingInput, f *browse.Filter, e HandlingEffect) error {
	after := map[string]any{"selected": e.Selected, "changed": e.Changed}
	if in.Note != "" {
		after["note"] = in.Note
	}
	if in.Assignee != 0 {
		after["assigneeId"] = in.Assignee
	}
	if e.Task != 0 {
		after["taskId"] = e.Task
	}
	object, target := fmt.Sprintf("%d findings", len(rows)), rows[0].TargetID
	switch {
	case f != nil:
		after["filter"] = f
	case len(rows) == 1:
		object = fmt.Sprintf("finding %d (%s)", rows[0].ID, rows[0].Rule)
	default:
		ids := make([]int64, 0, min(len(rows), 100))
		for i := range rows[:cap(ids)] {
			ids = append(ids, rows[i].ID)
		}
		after["ids"] = ids // the first of them
	}
	if slices.ContainsFunc(rows, func(r ledger.Row) bool { return r.TargetID != target }) {
		target = 0
	}
	return audit.Record(ctx, tx, "finding."+in.Action, object, target, nil, after)
}
