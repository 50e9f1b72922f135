package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/notify/message"
	"stockade.dev/stockade/internal/outbox"
)

// nodes makes the event of what became of the agents of a cluster's nodes.
func (c *composer) nodes(ctx context.Context, row *outbox.Message) (*message.Event, error) {
	var body outbox.Nodes
	if err := json.Unmarshal([]byte(row.Body), &body); err != nil {
		c.n.log.Error("a message about nodes cannot be read and is left out", "outbox", row.ID, "error", err)
		return nil, nil
	}
	target, err := c.target(ctx, row.TargetID)
	if err != nil {
		return nil, err
	}
	e := &message.Event{Topic: row.Topic, At: body.At.Time, Target: target, Severity: finding.Info, Details: map[string]string{}}
	if e.At.IsZero() {
		e.At = row.At.Time
	}
	name := ""
	if target != nil {
		name = target.Name
	}
	var groups []message.NodeGroup
	for _, g := range []struct {
		state    string
		n        int
		names    []string
		severity finding.Severity
	}{{"claimed", body.Claimed, body.ClaimedNames, finding.High}, {"away", body.Away, body.AwayNames, finding.High}, {"degraded", body.Degraded, body.DegradedNames, finding.Medium}, {"back", body.Back, body.BackNames, finding.Info}} {
		if g.n <= 0 {
			continue
		}
		e.Details[g.state] = strconv.Itoa(g.n)
		if g.severity.Rank() > e.Severity.Rank() {
			e.Severity = g.severity
		}
		group := message.NodeGroup{State: g.state, N: g.n}
		for _, n := range g.names[:min(len(g.names), maxListed)] {
			group.Names = append(group.Names, message.Cut(message.Line(n), 253))
		}
		groups = append(groups, group)
	}
	if len(groups) == 0 {
		return nil, nil
	}
	e.Title, e.Text = message.Nodes(name, groups)
	state := map[string]string{"away": "&state=away", "degraded": "&state=degraded"}[groups[0].State]
	e.Link = c.n.link(fmt.Sprintf("/assets/nodes?target=%d%s", row.TargetID, state))
	return e, nil
}
