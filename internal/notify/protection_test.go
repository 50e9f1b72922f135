package notify

import (
	"fmt"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestProtection tells of what happened at the door, of those groups that the filter leaves.
func TestProtection(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		target := l.seed("shop")
		body := outbox.Protection{At: store.At(l.now()), Requests: 45, Total: 2, Bad: 1, Groups: []outbox.ProtectionGroup{
			{ID: 4, Severity: 4, Rule: "image/vulnerability", Title: "Vulnerable\nimage", TitleZH: "镜像存在漏洞", Policy: "p", Namespace: "shop", Owner: "Deployment till", Image: "registry.example.com/till:1", Requests: 5},
			{ID: 5, Severity: 3, Rule: "workload/privileged-container", Title: "Privileged", TitleZH: "特权", Namespace: "bank", Owner: "Pod vault", Requests: 40}}}
		for name, c := range map[string]struct {
			topic string
			f     Filter
			want  string
		}{
			"all":       {outbox.ProtectionBlocked, Filter{}, "critical|shop: 45 requests blocked|Vulnerable image (shop / Deployment till) and 1 more|2"},
			"severity":  {outbox.ProtectionBlocked, Filter{Severities: []ledger.Severity{3}}, "high|shop: 40 requests blocked|Privileged (bank / Pod vault)|1"},
			"namespace": {outbox.ProtectionBlocked, Filter{Namespaces: []string{"shop"}}, "critical|shop: 5 requests blocked|Vulnerable image (shop / Deployment till)|1"},
			"none":      {outbox.ProtectionBlocked, Filter{Namespaces: []string{"none"}}, ""},
			"topic":     {outbox.ProtectionBlocked, Filter{Topics: []string{outbox.ProtectionTurned}}, ""},
			"unchecked": {outbox.ProtectionUnchecked, Filter{}, "critical|shop: 45 requests let in unchecked, 1 violate policies|Vulnerable image (shop / Deployment till) and 1 more|2"},
			"turned":    {outbox.ProtectionTurned, Filter{}, "critical|shop: 2 uses of images let in, which turned out to be bad|Vulnerable image (shop / Deployment till) and 1 more|2"},
		} {
			h := newHook(t)
			l.add(h.input(name, c.f))
			l.put(c.topic, target, body)
			l.deliver()
			got := ""
			if len(h.got) > 0 {
				d := h.got[0]
				got = fmt.Sprintf("%s|%s|%s|%d", d.Severity, d.Title, d.Text, len(d.Findings))
				if !strings.HasPrefix(d.Link, "https://stockade.example.com/protection/") || d.Details["requests"] == "" || d.Findings[0].Cluster != "shop" {
					t.Errorf("%s: %+v", name, d)
				}
			}
			if got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
			for _, ch := range must(l.Channels(t.Context())) {
				if err := l.RemoveChannel(adminContext(), ch.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		h := newHook(t) // what cannot be read is left out, and keeps nothing else waiting
		l.add(h.input("odd", Filter{}))
		l.put(outbox.ProtectionBlocked, target, "text")
		l.put(outbox.ProtectionBlocked, target, body)
		l.deliver()
		if len(h.got) != 1 {
			t.Errorf("%d messages", len(h.got))
		}
	})
}
