package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/notify/message"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
)

// composer makes the events of one batch of outbox rows. It asks for each target and each selection once.
type composer struct {
	n       *Notifier
	targets map[int64]*message.Target
	changes map[string]*message.Event
}

func (n *Notifier) composer() *composer {
	return &composer{n: n, targets: map[int64]*message.Target{}, changes: map[string]*message.Event{}}
}

// event makes the event of an outbox row for a filter; nil when the filter leaves nothing of it.
func (c *composer) event(ctx context.Context, row *outbox.Message, f *Filter) (*message.Event, error) {
	if !f.wants(row.Topic, row.TargetID) {
		return nil, nil
	}
	if row.Topic == outbox.FindingsChanged {
		key := strconv.FormatInt(row.ID, 10) + ledger.JSON(f)
		e, ok := c.changes[key]
		if !ok {
			var err error
			if e, err = c.findings(ctx, row, f); err != nil {
				return nil, err
			}
			c.changes[key] = e
		}
		return copied(e), nil
	}
	if atTheDoor(row.Topic) {
		return c.protection(ctx, row, f)
	}
	if row.Topic == outbox.NodesState {
		return c.nodes(ctx, row)
	}
	e := &message.Event{Topic: row.Topic, At: row.At.Time, Details: details(row.Body)}
	var err error
	if e.Target, err = c.target(ctx, row.TargetID); err != nil {
		return nil, err
	}
	words := maps.Clone(e.Details)
	words["target"] = words["cluster"]
	if e.Target != nil {
		words["target"] = e.Target.Name
	}
	e.Title, e.Text = message.Told(row.Topic, words)
	e.Severity = severityOf(row.Topic, e.Details)
	e.Link = c.n.topicLink(row)
	return e, nil
}

func copied(e *message.Event) *message.Event {
	if e == nil {
		return nil
	}
	out := *e
	return &out
}

func (n *Notifier) topicLink(row *outbox.Message) string {
	switch row.Topic {
	case outbox.ClusterState:
		return n.link(fmt.Sprintf("/clusters/%d", row.TargetID))
	case outbox.ProtectionState, outbox.ProtectionDrift:
		return n.link(fmt.Sprintf("/protection/clusters/%d", row.TargetID))
	case outbox.PolicyChanged:
		if id := details(row.Body)["policy"]; id != "" {
			return n.link("/protection/policies/" + strings.Map(plainID, id))
		}
	case outbox.TaskFinished:
		if id := details(row.Body)["task"]; id != "" {
			return n.link("/tasks/" + strings.Map(plainID, id))
		}
	case outbox.ExceptionAsked, outbox.ExceptionDecided, outbox.ExceptionExpiring, outbox.ExceptionEnded:
		if id := details(row.Body)["exception"]; id != "" {
			return n.link("/exceptions/" + strings.Map(plainID, id))
		}
	}
	return n.link("/")
}

func plainID(r rune) rune {
	if r >= '0' && r <= '9' {
		return r
	}
	return -1
}

// details reads the body of a message as words, cleaned for one line.
func details(body string) map[string]string {
	dec := json.NewDecoder(bytes.NewReader([]byte(body)))
	dec.UseNumber()
	var m map[string]any
	out := map[string]string{}
	if dec.Decode(&m) != nil {
		return out
	}
	for k, v := range m {
		switch v := v.(type) {
		case string:
			out[k] = message.Cut(message.Line(v), 1000)
		case json.Number, bool:
			out[k] = fmt.Sprint(v)
		}
	}
	return out
}

func (c *composer) target(ctx context.Context, id int64) (*message.Target, error) {
	if id == 0 {
		return nil, nil
	}
	if t, ok := c.targets[id]; ok {
		return t, nil
	}
	var t ledger.Target
	err := c.n.db.R.NewSelect().Model(&t).Where("id = ?", id).Scan(ctx)
	if err = store.NotFound(err); err != nil && err != store.ErrNotFound {
		return nil, err
	}
	var out *message.Target
	if err == nil {
		out = &message.Target{ID: strconv.FormatInt(t.ID, 10), Kind: t.Kind, Name: message.Line(t.Name)}
	}
	c.targets[id] = out
	return out, nil
}

// findings makes the event of changed findings: those whose status was changed at the moment of the change and is still one that the
// filter wants. What changed again since is told by a message of its own.
func (c *composer) findings(ctx context.Context, row *outbox.Message, f *Filter) (*message.Event, error) {
	var change ledger.Change
	if err := json.Unmarshal([]byte(row.Body), &change); err != nil {
		c.n.log.Error("a message about findings cannot be read and is left out", "outbox", row.ID, "error", err)
		return nil, nil
	}
	target, err := c.target(ctx, row.TargetID)
	if err != nil {
		return nil, err
	}
	e := &message.Event{Topic: row.Topic, At: change.At.Time, Target: target, Counts: message.Counts{Severity: map[string]int{}}}
	if e.At.IsZero() {
		e.At = row.At.Time
	}
	if err := c.count(ctx, row.TargetID, change.At, f, e); err != nil || e.Counts.Total == 0 {
		return nil, err
	}
	if err := c.worst(ctx, row.TargetID, change.At, f, e); err != nil {
		return nil, err
	}
	e.More = e.Counts.Total - len(e.Findings)
	name := ""
	if target != nil {
		name = target.Name
	}
	e.Title, e.Text = message.Changed(name, e.Counts)
	e.Link = c.n.link(fmt.Sprintf("/findings?targets=%d&changedSince=%s", row.TargetID, change.At.UTC().Format("2006-01-02T15:04:05.000Z")))
	return e, nil
}

// where are the conditions on findings of a change.
func where(q *bun.SelectQuery, target int64, at store.Time, f *Filter) *bun.SelectQuery {
	q = q.Where("f.changed_at = ?", at).Where("f.status IN (?)", bun.List(f.statuses()))
	if target != 0 {
		q = q.Where("f.target_id = ?", target)
	}
	if len(f.Severities) > 0 {
		q = q.Where("f.severity IN (?)", bun.List(f.Severities))
	}
	if len(f.Kinds) > 0 {
		q = q.Where("f.kind IN (?)", bun.List(f.Kinds))
	}
	if len(f.Namespaces) > 0 {
		q = q.Where("(f.namespace IN (?) OR f.digest <> '' AND EXISTS (SELECT 1 FROM asset_uses u WHERE u.image_id = f.asset_id AND u.namespace IN (?)))",
			bun.List(f.Namespaces), bun.List(f.Namespaces))
	}
	if f.New {
		q = q.Where("f.first_seen = ?", at)
	}
	if f.KEV {
		q = q.Where("f.kev")
	}
	return q
}

func (c *composer) count(ctx context.Context, target int64, at store.Time, f *Filter, e *message.Event) error {
	var rows []struct {
		Severity ledger.Severity `bun:"severity"`
		Status   ledger.Status   `bun:"status"`
		New      bool            `bun:"is_new"`
		N        int             `bun:"n"`
	}
	q := where(c.n.db.R.NewSelect().TableExpr("findings AS f"), target, at, f).
		ColumnExpr("f.severity, f.status, f.first_seen = ? AS is_new, count(*) AS n", at).GroupExpr("f.severity, f.status, f.first_seen = ?", at)
	if err := q.Scan(ctx, &rows); err != nil {
		return err
	}
	worst := ledger.Severity(0)
	for _, r := range rows {
		e.Counts.Total += r.N
		e.Counts.Severity[string(r.Severity.Word())] += r.N
		worst = max(worst, r.Severity)
		switch {
		case r.Status == ledger.StatusReopened:
			e.Counts.Reopened += r.N
		case r.New:
			e.Counts.New += r.N
		default:
			e.Counts.Changed += r.N
		}
	}
	e.Severity = worst.Word()
	return nil
}

// worst lists the worst findings of a change.
func (c *composer) worst(ctx context.Context, target int64, at store.Time, f *Filter, e *message.Event) error {
	var rows []struct {
		ID        int64           `bun:"id"`
		Severity  ledger.Severity `bun:"severity"`
		Kind      ledger.Kind     `bun:"kind"`
		Status    ledger.Status   `bun:"status"`
		FirstSeen store.Time      `bun:"first_seen"`
		Rule      string          `bun:"rule"`
		Package   string          `bun:"package"`
		Version   string          `bun:"version"`
		Namespace string          `bun:"namespace"`
		Resource  string          `bun:"resource"`
		Image     string          `bun:"image"`
		KEV       bool            `bun:"kev"`
		Fixable   bool            `bun:"fixable"`
		Priority  int             `bun:"priority"`
		Title     string          `bun:"title"`
		TitleZH   string          `bun:"title_zh"`
		Target    string          `bun:"target_name"`
	}
	q := where(c.n.db.R.NewSelect().TableExpr("findings AS f"), target, at, f).
		Join("JOIN risks r ON r.id = f.risk_id").Join("JOIN targets t ON t.id = f.target_id").
		ColumnExpr("f.id, f.severity, f.kind, f.status, f.first_seen, f.rule, f.package, f.version, f.namespace, f.resource, f.image, f.kev, f.fixable, f.priority").
		ColumnExpr("r.title, r.title_zh, t.name AS target_name").
		OrderExpr("f.severity DESC, f.priority DESC, f.id").Limit(maxListed)
	if err := q.Scan(ctx, &rows); err != nil {
		return err
	}
	for _, r := range rows {
		id := strconv.FormatInt(r.ID, 10)
		line := func(s string) string { return message.Cut(message.Line(s), 500) }
		e.Findings = append(e.Findings, message.Finding{ID: id, Severity: r.Severity.Word(), Kind: r.Kind.String(), Status: r.Status.String(),
			New: r.FirstSeen.Equal(at.Time), Rule: line(r.Rule), Title: finding.Text{EN: line(r.Title), ZH: line(r.TitleZH)}, Cluster: line(r.Target),
			Namespace: line(r.Namespace), Resource: line(r.Resource), Image: line(r.Image), Package: line(r.Package), Version: line(r.Version),
			KEV: r.KEV, Fixable: r.Fixable, Priority: r.Priority, Link: c.n.link("/findings/" + id)})
	}
	return nil
}

// digest joins events into one: counts are added up, the worst findings are listed, and every event is named.
func (n *Notifier) digest(events []*message.Event, at time.Time) *message.Event {
	const maxParts = 50
	d := &message.Event{ID: newID(), Topic: "digest", At: at, Severity: finding.Info, Counts: message.Counts{Severity: map[string]int{}}, Link: n.link("/findings")}
	d.Details = map[string]string{"events": strconv.Itoa(len(events))}
	d.Title, _ = message.Told("digest", d.Details)
	for i, e := range events {
		if i < maxParts {
			d.Parts = append(d.Parts, message.Part{At: e.At, Topic: e.Topic, Title: e.Title})
		}
		if e.Severity.Rank() > d.Severity.Rank() {
			d.Severity = e.Severity
		}
		d.Counts.Total += e.Counts.Total
		d.Counts.New += e.Counts.New
		d.Counts.Reopened += e.Counts.Reopened
		d.Counts.Changed += e.Counts.Changed
		for s, k := range e.Counts.Severity {
			d.Counts.Severity[s] += k
		}
		d.Findings = append(d.Findings, e.Findings...)
		d.More += e.More
	}
	sortFindings(d.Findings)
	if len(d.Findings) > maxListed {
		d.More += len(d.Findings) - maxListed
		d.Findings = d.Findings[:maxListed]
	}
	if d.Counts.Total > 0 {
		title, text := message.Changed("", d.Counts)
		d.Text = finding.Text{EN: title.EN + " (" + text.EN + ")", ZH: title.ZH + "(" + text.ZH + ")"}
	}
	return d
}
