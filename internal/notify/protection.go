package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/notify/message"
	"stockade.dev/stockade/internal/outbox"
)

// atTheDoor reports whether a topic's messages are about groups of requests.
func atTheDoor(topic string) bool {
	return topic == outbox.ProtectionBlocked || topic == outbox.ProtectionUnchecked || topic == outbox.ProtectionTurned
}

// protection makes the event of what happened at the door of a cluster, of the groups that the filter leaves; nil when it leaves none.
func (c *composer) protection(ctx context.Context, row *outbox.Message, f *Filter) (*message.Event, error) {
	var body outbox.Protection
	if err := json.Unmarshal([]byte(row.Body), &body); err != nil {
		c.n.log.Error("a message about admissions cannot be read and is left out", "outbox", row.ID, "error", err)
		return nil, nil
	}
	target, err := c.target(ctx, row.TargetID)
	if err != nil {
		return nil, err
	}
	all := len(f.Severities) == 0 && len(f.Namespaces) == 0
	d := message.Door{Digest: body.Digest, Groups: body.Total, Requests: body.Requests, Bad: body.Bad}
	groups := body.Groups
	if !all { // what is not listed is left out: nobody knows where it is
		groups = slices.DeleteFunc(slices.Clone(groups), func(g outbox.ProtectionGroup) bool {
			return len(f.Severities) > 0 && !slices.Contains(f.Severities, g.Severity) || len(f.Namespaces) > 0 && !slices.Contains(f.Namespaces, g.Namespace)
		})
		d.Groups, d.Requests, d.Bad = len(groups), 0, min(d.Bad, len(groups))
		for _, g := range groups {
			d.Requests += g.Requests
		}
	}
	if len(groups) == 0 {
		return nil, nil
	}
	e := &message.Event{Topic: row.Topic, At: body.At.Time, Target: target, Severity: finding.Info, More: max(0, d.Groups-min(len(groups), maxListed)),
		Details: map[string]string{"groups": strconv.Itoa(d.Groups), "requests": strconv.FormatInt(d.Requests, 10), "digest": strconv.FormatBool(d.Digest)}}
	if e.At.IsZero() {
		e.At = row.At.Time
	}
	if target != nil {
		d.Cluster = target.Name
	}
	worst := ledger.Severity(-1)
	for i, g := range groups {
		x := c.n.group(row.Topic, &g, d.Cluster)
		if g.Severity > worst {
			worst = g.Severity
			e.Severity, d.First, d.Where = g.Severity.Word(), x.Title, message.Finding{Namespace: x.Namespace, Resource: x.Resource}.Where()
		}
		if i < maxListed {
			e.Findings = append(e.Findings, x)
		}
	}
	e.Title, e.Text = message.Protection(row.Topic, d)
	page := "/protection/events?kind=blocked&target=%d"
	switch row.Topic {
	case outbox.ProtectionTurned:
		page = "/protection/events?kind=turned&target=%d"
	case outbox.ProtectionUnchecked:
		page = "/protection/unchecked?target=%d"
	}
	e.Link = c.n.link(fmt.Sprintf(page, row.TargetID))
	return e, nil
}

// group is a group as messages list it.
func (n *Notifier) group(topic string, g *outbox.ProtectionGroup, cluster string) message.Finding {
	line := func(s string) string { return message.Cut(message.Line(s), 500) }
	id := strconv.FormatInt(g.ID, 10)
	f := message.Finding{ID: id, Severity: g.Severity.Word(), Kind: "admission", Status: "blocked", Rule: line(g.Rule), Title: finding.Text{EN: line(g.Title), ZH: line(g.TitleZH)},
		Cluster: line(cluster), Namespace: line(g.Namespace), Resource: line(g.Owner), Image: line(g.Image), Link: n.link("/protection/events/" + id)}
	switch topic {
	case outbox.ProtectionTurned:
		f.Status = "turned"
	case outbox.ProtectionUnchecked:
		f.Status, f.Link = "unchecked", n.link("/protection/unchecked")
	}
	return f
}
