package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/assess"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/notify/message"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/report"
	"stockade.dev/stockade/internal/store"
)

// Bounds of results, in bytes: of a report, of how it is kept, and of what a mail carries.
const (
	maxReport     = 256 << 20
	maxKept       = 48 << 20
	maxAttachment = 10 << 20
	reportTime    = 30 * time.Minute
)

// Result is one report as it was written.
type Result struct {
	ID         int64      `json:"id,string"`
	ReportID   int64      `json:"reportId,string"`
	Form       string     `json:"form"`
	StartedAt  store.Time `json:"startedAt" format:"date-time"`
	FinishedAt store.Time `json:"finishedAt" format:"date-time"`
	Findings   int        `json:"findings"`
	Bytes      int64      `json:"bytes"`
	Error      string     `json:"error,omitempty" doc:"why it could not be written"`
}

// resultRow is a row of the table report_results.
type resultRow struct {
	bun.BaseModel `bun:"table:report_results,alias:s"`

	ID         int64      `bun:"id,pk,autoincrement"`
	ReportID   int64      `bun:"report_id"`
	Form       string     `bun:"form"`
	StartedAt  store.Time `bun:"started_at"`
	FinishedAt store.Time `bun:"finished_at"`
	Findings   int        `bun:"findings"`
	Bytes      int64      `bun:"bytes"`
	Error      string     `bun:"error"`
	Visible    string     `bun:"visible"`
	Body       []byte     `bun:"body"`
}

func (r *resultRow) result() *Result {
	return &Result{r.ID, r.ReportID, r.Form, r.StartedAt, r.FinishedAt, r.Findings, r.Bytes, r.Error}
}

// Results lists what is kept of a report, newest first.
func (n *Notifier) Results(ctx context.Context, id int64) ([]*Result, error) {
	if _, err := n.reportByID(ctx, n.db.R, id); err != nil {
		return nil, err
	}
	var rows []*resultRow
	if err := n.db.R.NewSelect().Model(&rows).ExcludeColumn("body").Where("report_id = ?", id).OrderExpr("id DESC").Scan(ctx); err != nil {
		return nil, err
	}
	out := make([]*Result, 0, len(rows))
	for _, r := range rows {
		if ok, err := n.seesResult(ctx, r); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		out = append(out, r.result())
	}
	return out, nil
}

// File is a report to download.
type File struct {
	Name, Type string
	Bytes      int64
	Body       io.ReadCloser
}

// Download opens a result of a report.
func (n *Notifier) Download(ctx context.Context, report, result int64) (*File, error) {
	r, err := n.reportByID(ctx, n.db.R, report)
	if err != nil {
		return nil, err
	}
	row := &resultRow{}
	if err := n.db.R.NewSelect().Model(row).ExcludeColumn("body").Where("id = ? AND report_id = ?", result, r.ID).Scan(ctx); err != nil {
		return nil, store.NotFound(err)
	}
	if ok, err := n.seesResult(ctx, row); err != nil || !ok {
		return nil, errors.Join(err, store.ErrNotFound)
	}
	return n.file(ctx, r, result)
}

// seesResult reports whether the principal of ctx still sees all that could be in a result. Who saw more when it was written does not
// read it any more.
func (n *Notifier) seesResult(ctx context.Context, r *resultRow) (bool, error) {
	p := identity.From(ctx)
	if seesAll(p) {
		return true, nil
	}
	var then identity.Visible
	if err := json.Unmarshal([]byte(r.Visible), &then); err != nil {
		return false, fmt.Errorf("result %d: %w", r.ID, err)
	}
	return covers(p.Visible(identity.Read), then), nil
}

// covers reports whether all of b is in a.
func covers(a, b identity.Visible) bool {
	if a.All || b.All {
		return a.All
	}
	for _, t := range b.Targets {
		if !a.Whole(t) {
			return false
		}
	}
	for t, list := range b.Namespaces {
		for _, name := range list {
			if !a.Whole(t) && !slices.Contains(a.Namespaces[t], name) {
				return false
			}
		}
	}
	return true
}

func (n *Notifier) file(ctx context.Context, r *reportRow, result int64) (*File, error) {
	var row resultRow
	err := n.db.R.NewSelect().Model(&row).Where("id = ? AND report_id = ? AND error = ''", result, r.ID).Scan(ctx)
	if err != nil {
		return nil, store.NotFound(err)
	}
	dec, err := zstd.NewReader(bytes.NewReader(row.Body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxReport))
	if err != nil {
		return nil, err
	}
	return &File{Name: fileName(r.Name, row.FinishedAt, row.Form), Type: mediaTypes[row.Form], Bytes: row.Bytes, Body: dec.IOReadCloser()}, nil
}

var mediaTypes = map[string]string{"html": "text/html; charset=utf-8", "csv": "text/csv; charset=utf-8", "json": "application/json", "sarif": "application/sarif+json"}

// fileName makes a file's name of a report's, of letters, digits and hyphens.
func fileName(name string, at store.Time, form string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name)
	name = strings.Trim(name, "-")
	if name == "" {
		name = "report"
	}
	return name + "-" + at.UTC().Format("20060102-1504") + "." + form
}

// attachment is the report that goes with a mail; nil when it is too large or not kept any more: the link is there.
func (n *Notifier) attachment(ctx context.Context, m *message.Report) (*message.Attachment, error) {
	report, _ := strconv.ParseInt(m.ID, 10, 64)
	result, _ := strconv.ParseInt(m.Result, 10, 64)
	r := &reportRow{}
	if err := n.db.R.NewSelect().Model(r).Where("r.id = ?", report).Scan(ctx); err != nil {
		if errors.Is(store.NotFound(err), store.ErrNotFound) {
			return nil, nil
		}
		return nil, err
	}
	f, err := n.file(ctx, r, result)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Body.Close() }()
	if f.Bytes > maxAttachment {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(f.Body, maxAttachment))
	return &message.Attachment{Name: f.Name, Type: f.Type, Data: data}, err
}

// reportEvent makes the event of a report that is ready, and says which channels it goes to: those that its owner may use now.
func (n *Notifier) reportEvent(ctx context.Context, row *outbox.Message) (*message.Event, []int64, error) {
	var body struct {
		Report int64 `json:"report"`
		Result int64 `json:"result"`
	}
	if err := json.Unmarshal([]byte(row.Body), &body); err != nil {
		n.log.Error("a message about a report cannot be read and is left out", "outbox", row.ID, "error", err)
		return nil, nil, nil
	}
	r, res := &reportRow{}, &resultRow{}
	err := n.db.R.NewSelect().Model(r).Where("r.id = ?", body.Report).Scan(ctx)
	if err == nil {
		err = n.db.R.NewSelect().Model(res).ExcludeColumn("body").Where("id = ? AND report_id = ?", body.Result, body.Report).Scan(ctx)
	}
	if errors.Is(store.NotFound(err), store.ErrNotFound) {
		return nil, nil, nil // removed since
	}
	if err != nil {
		return nil, nil, err
	}
	owner, err := n.o.Owners.Principal(ctx, r.OwnerID)
	if err != nil {
		n.log.Warn("a report is not sent: its owner may not use the server any more", "report", r.ID)
		return nil, nil, nil
	}
	usable, err := n.usable(ctx, n.db.R, r.channels(), owner)
	if err != nil {
		return nil, nil, err
	}
	to, err := ids(usable)
	if err != nil {
		return nil, nil, err
	}
	e := &message.Event{Topic: row.Topic, At: res.FinishedAt.Time, Severity: finding.Info, Counts: message.Counts{Total: res.Findings}, Link: n.link(fmt.Sprintf("/reports/%d", r.ID)),
		Details: map[string]string{"name": r.Name, "findings": strconv.Itoa(res.Findings)}}
	e.Title, e.Text = message.Told(row.Topic, e.Details)
	e.Report = &message.Report{ID: strconv.FormatInt(r.ID, 10), Result: strconv.FormatInt(res.ID, 10), Name: r.Name, Form: res.Form, Findings: res.Findings, Bytes: res.Bytes,
		Link: n.link(fmt.Sprintf("/api/v1/reports/%d/results/%d/file", r.ID, res.ID))}
	return e, to, nil
}

// RunReports writes the reports that are due, one after the other. The leader calls it every few seconds, as a duty of its own: it
// takes as long as the reports take.
func (n *Notifier) RunReports(ctx context.Context) error {
	var errs []error
	for range maxReports {
		r, err := n.takeReport(ctx)
		if err != nil || r == nil {
			return errors.Join(append(errs, err)...)
		}
		if err := n.runReport(ctx, r); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// takeReport takes a due report for this process and plans the next time; nil when none is due. One that was begun and never ended is
// due again when its time is up.
func (n *Notifier) takeReport(ctx context.Context) (*reportRow, error) {
	now := n.now()
	abandoned := store.At(now.Add(-reportTime - 5*time.Minute))
	due := "(started_at = 0 AND (asked_at <> 0 OR enabled AND next_at <> 0 AND next_at <= ?)) OR (started_at <> 0 AND (started_at < ? OR started_at > ?))"
	args := []any{store.At(now), abandoned, store.At(now.Add(time.Minute))}
	var rows []*reportRow
	if err := n.db.R.NewSelect().Model(&rows).Where(due, args...).OrderExpr("next_at, id").Limit(20).Scan(ctx); err != nil {
		return nil, err
	}
	for _, r := range rows {
		next := store.Time{}
		if r.Cron != "" && r.Enabled {
			at, err := Next(r.Cron, r.Zone, now)
			if err != nil {
				n.log.Error("a report's schedule cannot be read: it is written when asked", "report", r.ID, "error", err)
			} else {
				next = store.At(at)
			}
		}
		taken := false
		err := n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
			taken, err = affected(tx.NewUpdate().Model(r).Set("started_at = ?, asked_at = 0, next_at = ?", store.At(now), next).
				Where("id = ? AND started_at = ?", r.ID, r.StartedAt).Where(due, args...).Exec(ctx))
			return err
		})
		if err != nil {
			return nil, err
		}
		if taken {
			r.StartedAt = store.At(now)
			return r, nil
		}
	}
	return nil, nil
}

// runReport writes one report, keeps it and has it sent.
func (n *Notifier) runReport(ctx context.Context, r *reportRow) error {
	res := &resultRow{ReportID: r.ID, Form: r.Form, StartedAt: r.StartedAt}
	writing, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	if err := n.write(writing, r, res); err != nil {
		if ctx.Err() != nil { // the server stops: it is due again
			return n.giveBack(ctx, r)
		}
		n.log.Warn("a report could not be written", "report", r.ID, "error", err)
		res.Error, res.Body, res.Bytes, res.Findings = message.Answer(err.Error()), []byte{}, 0, 0
	}
	res.FinishedAt = store.At(n.now())
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), time.Minute) // what is written is kept even when the server stops
	defer done()
	return n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		still, err := affected(tx.NewUpdate().Model(r).Set("started_at = 0").Where("id = ?", r.ID).Exec(ctx))
		if err != nil || !still { // removed meanwhile
			return err
		}
		res.ID = 0
		if _, err := tx.NewInsert().Model(res).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewDelete().Model((*resultRow)(nil)).Where("report_id = ?", r.ID).
			Where("id NOT IN (SELECT id FROM report_results WHERE report_id = ? ORDER BY id DESC LIMIT ?)", r.ID, r.Keep).Exec(ctx)
		if err != nil || res.Error != "" || len(r.channels()) == 0 {
			return err
		}
		return outbox.Put(ctx, tx, outbox.ReportDue, 0, map[string]int64{"report": r.ID, "result": res.ID})
	})
}

// giveBack makes a report due that was begun by a server that stops.
func (n *Notifier) giveBack(ctx context.Context, r *reportRow) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model(r).Set("started_at = 0, asked_at = ?", r.StartedAt).Where("id = ?", r.ID).Exec(ctx)
		return err
	})
}

// write writes a report with what its owner may see now.
func (n *Notifier) write(ctx context.Context, r *reportRow, res *resultRow) error {
	res.Visible = ledger.JSON(identity.Visible{})
	owner, err := n.o.Owners.Principal(ctx, r.OwnerID)
	if err != nil {
		return errors.New("its owner may not use the server any more")
	}
	visible := owner.Visible(identity.Read)
	res.Visible = ledger.JSON(visible)
	kept := &bounded{left: maxKept, what: "the report is larger than the server keeps: narrow its filter"}
	pack, err := zstd.NewWriter(kept, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	defer func() { _ = pack.Close() }()
	out := &bounded{next: pack, left: maxReport, what: kept.what}
	var filter browse.Filter
	if err := json.Unmarshal([]byte(r.Filter), &filter); err != nil {
		return fmt.Errorf("its filter cannot be read: %w", err)
	}
	if r.Framework != "" {
		done, err := n.o.Assess.Write(ctx, visible, assess.Request{Framework: r.Framework, Targets: filter.Targets, Form: r.Form, Lang: r.Language, By: owner.Name, Version: n.o.Version}, out)
		if err != nil {
			return err
		}
		res.Findings = done.Findings
	} else if err := n.list(ctx, r, res, visible, filter, out); err != nil {
		return err
	}
	if err := pack.Close(); err != nil {
		return err
	}
	res.Body, res.Bytes = kept.buf.Bytes(), out.n
	return nil
}

// list writes the findings of a filter.
func (n *Notifier) list(ctx context.Context, r *reportRow, res *resultRow, visible identity.Visible, filter browse.Filter, out io.Writer) error {
	h, err := report.New(r.Form, out, report.Options{Lang: r.Language})
	if err != nil {
		return err
	}
	target := finding.Target{Kind: "selection", Name: r.Name}
	if err := h.Begin(finding.Header{Tool: finding.Tool{Name: "stockade", Version: n.o.Version}, Target: target, StartedAt: r.StartedAt.Time}); err != nil {
		return err
	}
	err = n.findings.Select(ctx, visible, filter, "", func(f *browse.Full) error {
		res.Findings++
		return h.Finding(f.Finding)
	})
	if err != nil {
		return err
	}
	now := n.now()
	return h.End(now, target, finding.Stats{DurationMs: now.Sub(r.StartedAt.Time).Milliseconds()})
}

// bounded counts what is written and passes it on, or keeps it, until it is too much.
type bounded struct {
	next    io.Writer // nil keeps
	buf     bytes.Buffer
	n, left int64
	what    string
}

func (b *bounded) Write(p []byte) (int, error) {
	if int64(len(p)) > b.left {
		return 0, errors.New(b.what)
	}
	b.left -= int64(len(p))
	b.n += int64(len(p))
	if b.next == nil {
		return b.buf.Write(p)
	}
	return b.next.Write(p)
}
