package notify

import (
	"fmt"
	"testing"

	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestNodes tells of the agents of a cluster's nodes: however many, in one message.
func TestNodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		target := l.seed("shop")
		for name, c := range map[string]struct {
			f    Filter
			body any
			want string
		}{
			"away":     {Filter{}, outbox.Nodes{Away: 5000, AwayNames: []string{"n1", "n\n2"}}, "high|shop: the agents of 5000 nodes are away|away: n1, n 2 and 4998 more|away"},
			"one":      {Filter{Topics: []string{outbox.NodesState}}, outbox.Nodes{Degraded: 1, DegradedNames: []string{"n1"}}, "medium|shop: the agent of 1 node cannot do all its work|degraded: n1|degraded"},
			"imitated": {Filter{}, outbox.Nodes{Claimed: 1, ClaimedNames: []string{"n3"}, Back: 2}, "high|shop: another machine wants to be 1 node; 2 nodes are well again|claimed: n3|"},
			"back":     {Filter{}, outbox.Nodes{Back: 1, BackNames: []string{"n1"}}, "info|shop: 1 node is well again|back: n1|"},
			"nothing":  {Filter{}, outbox.Nodes{}, ""},
			"odd":      {Filter{}, "text", ""},
			"topic":    {Filter{Topics: []string{outbox.ClusterState}}, outbox.Nodes{Away: 1}, ""},
		} {
			h := newHook(t)
			l.add(h.input(name, c.f))
			l.put(outbox.NodesState, target, c.body)
			l.deliver()
			got := ""
			if len(h.got) > 0 {
				d := h.got[0]
				state := ""
				if n := len("https://stockade.example.com/assets/nodes?target=" + fmt.Sprint(target) + "&state="); len(d.Link) > n {
					state = d.Link[n:]
				}
				got = fmt.Sprintf("%s|%s|%s|%s", d.Severity, d.Title, d.Text, state)
			}
			if got != c.want || len(h.got) > 1 {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
			for _, ch := range must(l.Channels(t.Context())) {
				if err := l.RemoveChannel(adminContext(), ch.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
