package api

import (
	"context"
	"net/http"
	"time"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/nodes"
	"stockade.dev/stockade/internal/task"
)

// eventFilter is the input of the stream of events.
type eventFilter struct {
	Topics []string `query:"topic" doc:"only these: task, finding, cluster, ...; default all"`
	Target int64    `query:"targetId" minimum:"1" doc:"only of this cluster or project"`
	Last   string   `header:"Last-Event-ID" doc:"is taken and not used: read again what is shown after connecting"`
}

// change is the data of an event.
type change struct {
	Target int64 `json:"targetId,string,omitempty"`
	ID     int64 `json:"id,string,omitempty"`
	Body   any   `json:"body,omitempty"`
}

// longest is how long one stream of events lives: the next one asks again who it is for.
const longest = 10 * time.Minute

// News adds the stream of events.
func News(a *API, h *live.Hub) {
	Events(a, Route{Method: http.MethodGet, Path: "/events", ID: "events", Tag: "Events", Summary: "Follow changes as server-sent events", Action: identity.Read,
		Description: "An event's name is its topic. \"lost\" says that events were lost, or that the connection is new to the change: read again what is shown. " +
			"Who sees only namespaces of a cluster learns that something changed there and not what. Streams end after ten minutes; connect again."},
		func(ctx context.Context, in *eventFilter) (<-chan Event, error) {
			v := identity.From(ctx).Visible(identity.Read)
			wanted := map[string]bool{}
			for _, t := range in.Topics {
				wanted[t] = true
			}
			ctx, cancel := context.WithTimeout(ctx, longest)
			events := h.Subscribe(ctx, func(e live.Event) bool {
				switch {
				case task.Internal(e.Topic), nodes.Internal(e.Topic), len(wanted) > 0 && !wanted[e.Topic], in.Target != 0 && e.Target != in.Target:
					return false
				case e.Target == 0:
					return v.All
				}
				return v.Sees(e.Target)
			})
			out := make(chan Event)
			go func() {
				defer close(out)
				defer cancel()
				for e := range events {
					c := change{Target: e.Target}
					if v.All || v.Whole(e.Target) {
						c.ID, c.Body = e.ID, e.Body
					}
					select {
					case out <- Event{Name: e.Topic, Data: c}:
					case <-ctx.Done():
						return
					}
				}
			}()
			return out, nil
		})
}
