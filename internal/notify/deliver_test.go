package notify

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/notify/syslog"
	"stockade.dev/stockade/internal/notify/webhook"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestFindings holds what each filter lets through of one change.
func TestFindings(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		at := l.now()
		old := at.Add(-time.Hour)
		list := []seeded{
			{4, ledger.SystemVulnerability, ledger.StatusOpen, "", at, at, true, true, "till"},
			{3, ledger.Configuration, ledger.StatusOpen, "shop", at, at, false, false, "a"},
			{2, ledger.Configuration, ledger.StatusReopened, "shop", old, at, false, false, "b"},
			{1, ledger.Secret, ledger.StatusOpen, "bank", old, at, false, false, "c"}, // its exception ended
			{4, ledger.Configuration, ledger.StatusFixed, "shop", old, at, false, false, "d"},
			{4, ledger.Configuration, ledger.StatusAccepted, "shop", at, at, false, false, "e"},
			{4, ledger.Configuration, ledger.StatusOpen, "shop", old, old, false, false, "f"}, // another change
		}
		target := l.seed("shop <script>", list...)
		other := l.seed("bank", seeded{4, ledger.Configuration, ledger.StatusOpen, "x", at, at, false, false, "z"})
		for name, c := range map[string]struct {
			f    Filter
			want string
		}{
			"all":       {Filter{}, "4 2 1 1 till a b c"},
			"severity":  {Filter{Severities: []ledger.Severity{4, 3}}, "2 2 0 0 till a"},
			"kind":      {Filter{Kinds: []ledger.Kind{ledger.Secret}}, "1 0 0 1 c"},
			"target":    {Filter{Targets: []string{strconv.FormatInt(target, 10)}}, "4 2 1 1 till a b c"},
			"other":     {Filter{Targets: []string{strconv.FormatInt(other, 10)}}, ""},
			"namespace": {Filter{Namespaces: []string{"shop"}}, "3 2 1 0 till a b"},
			"bank":      {Filter{Namespaces: []string{"bank"}}, "1 0 0 1 c"},
			"new":       {Filter{New: true}, "2 2 0 0 till a"},
			"kev":       {Filter{KEV: true}, "1 1 0 0 till"},
			"fixed":     {Filter{Statuses: []ledger.Status{ledger.StatusFixed}}, "1 0 0 1 d"},
			"topic":     {Filter{Topics: []string{outbox.FindingsChanged}}, "4 2 1 1 till a b c"},
			"no-topic":  {Filter{Topics: []string{outbox.ClusterState}}, ""},
			"nothing":   {Filter{Namespaces: []string{"none"}}, ""},
		} {
			h := newHook(t)
			l.add(h.input(name, c.f))
			l.put(outbox.FindingsChanged, target, ledger.Change{RunID: 1, At: store.At(at)})
			l.deliver()
			got := ""
			if len(h.got) > 1 {
				t.Errorf("%s: %d messages", name, len(h.got))
			}
			if len(h.got) > 0 {
				d := h.got[0]
				got = fmt.Sprintf("%d %d %d %d", d.Counts.Total, d.Counts.New, d.Counts.Reopened, d.Counts.Changed)
				for _, f := range d.Findings {
					got += " " + f.Resource
				}
				if d.Target.Name != "shop <script>" || d.Findings[0].Title != "A <b>title</b>" || !strings.HasPrefix(d.Link, "https://stockade.example.com/findings?targets=") {
					t.Errorf("%+v", d)
				}
			}
			if got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
			for _, ch := range must(l.Channels(context.Background())) {
				if err := l.RemoveChannel(adminContext(), ch.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n, err := db.R.NewSelect().Table("outbox").Count(context.Background()); err != nil || n != 0 {
			t.Errorf("%d rows stay in the outbox: %v", n, err)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestWorst lists twenty of many, worst first, and counts the rest.
func TestWorst(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		var list []seeded
		for i := range 75 {
			list = append(list, seeded{ledger.Severity(i % 5), ledger.Configuration, ledger.StatusOpen, "a", l.now(), l.now(), false, false, strconv.Itoa(i)})
		}
		target := l.seed("shop", list...)
		h := newHook(t)
		l.add(h.input("a", Filter{}))
		l.put(outbox.FindingsChanged, target, ledger.Change{At: store.At(l.now())})
		l.deliver()
		d := h.got[0]
		if len(d.Findings) != 20 || d.More != 55 || d.Severity != "critical" || d.Findings[0].Resource != "74" || d.Findings[15].Severity != "high" || d.Counts.Severity["low"] != 15 {
			t.Errorf("%d %d %s %+v", len(d.Findings), d.More, d.Severity, d.Counts)
		}
		if d.Title != "shop: 75 new findings" {
			t.Error(d.Title)
		}
	})
}

// TestTopics tells of the other topics in words.
func TestTopics(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		target := l.seed("shop")
		h := newHook(t)
		l.add(h.input("a", Filter{}))
		for _, c := range []struct {
			topic string
			body  any
			want  string
		}{
			{outbox.ClusterState, map[string]any{"cluster": "shop", "state": "unreachable", "reason": "dial\ntimeout"}, "high Cluster shop is unreachable|dial timeout"},
			{outbox.TaskFinished, map[string]any{"task": 3, "name": "nightly", "status": "partial", "failed": 2}, "medium Scan task nightly: partial|"},
			{outbox.ExceptionAsked, map[string]any{"exception": 4, "requester": "ann", "reason": "later"}, "low An exception waits for approval (asked for by ann)|later"},
			{outbox.ExceptionDecided, map[string]any{"exception": 4, "status": "approved", "approver": "bob"}, "info Exception 4: approved by bob|"},
			{outbox.ExceptionEnded, map[string]any{"exception": 4, "why": "expired", "reopened": 7}, "low Exception 4 ended (expired), findings reopened: 7|"},
			{"no.such.topic", "text", "info no.such.topic|"},
		} {
			h.got = nil
			l.put(c.topic, target, c.body)
			l.deliver()
			if len(h.got) != 1 {
				t.Fatalf("%s: %d messages", c.topic, len(h.got))
			}
			if got := string(h.got[0].Severity) + " " + h.got[0].Title + "|" + h.got[0].Text; got != c.want {
				t.Errorf("%s: %q, want %q", c.topic, got, c.want)
			}
		}
	})
}

// TestRetry sends the same event until it is taken: later ones wait, backoff grows, and nothing is sent after it was taken.
func TestRetry(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		h := newHook(t, 500, 503, 200)
		l.add(h.input("a", Filter{}))
		l.put(outbox.ClusterState, 0, map[string]any{"cluster": "first"})
		l.put(outbox.ClusterState, 0, map[string]any{"cluster": "second"})
		l.deliver()
		l.deliver() // not due yet
		if len(h.got) != 1 {
			t.Fatalf("%d messages", len(h.got))
		}
		waits := l.log(DeliveryFilter{State: Waiting})
		if len(waits) != 2 || waits[1].Attempts != 1 || waits[1].Answer != "status 500" || waits[0].Attempts != 0 {
			t.Errorf("%+v %+v", waits[0], waits[1])
		}
		if c := must(l.Channels(context.Background()))[0]; c.Failure != "status 500" || c.FailedAt.IsZero() {
			t.Errorf("%+v", c)
		}
		l.pass(12 * time.Second)
		l.deliver()
		if len(h.got) != 2 {
			t.Fatalf("%d messages", len(h.got))
		}
		l.pass(24 * time.Second)
		l.deliver()
		l.pass(24 * time.Hour)
		l.deliver()
		if len(h.ids) != 4 || h.ids[0] != h.ids[1] || h.ids[1] != h.ids[2] || h.ids[3] == h.ids[0] || !strings.Contains(h.got[3].Title, "second") {
			t.Errorf("%v", h.ids)
		}
		if c := must(l.Channels(context.Background()))[0]; c.Failure != "" || c.SentAt.IsZero() {
			t.Errorf("%+v", c)
		}
		if list := l.log(DeliveryFilter{State: Sent}); len(list) != 2 || list[1].Attempts != 3 || list[1].Event != h.ids[0] {
			t.Errorf("%+v", list)
		}
		var bodies []string
		if err := db.R.NewSelect().Table("deliveries").Column("body").Where("body <> ''").Scan(context.Background(), &bodies); err != nil || len(bodies) != 0 {
			t.Errorf("%d bodies stay: %v", len(bodies), err)
		}
	})
}

// TestDead gives a message up for good, with the reason, and lets the next one through.
func TestDead(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		h := newHook(t, 302, 400)
		l.add(h.input("a", Filter{}))
		for _, name := range []string{"first", "second", "third"} {
			l.put(outbox.ClusterState, 0, map[string]any{"cluster": name})
		}
		l.deliver()
		dead := l.log(DeliveryFilter{State: Dead})
		if len(h.got) != 3 || len(dead) != 2 || !strings.Contains(dead[1].Answer, "redirects are not followed") || dead[0].Answer != "status 400" {
			t.Fatalf("%d messages, %+v", len(h.got), dead)
		}
		// an administrator has it sent again
		if err := l.Retry(adminContext(), dead[1].ID); err != nil {
			t.Fatal(err)
		}
		l.deliver()
		if len(h.got) != 4 || h.ids[3] != h.ids[0] {
			t.Error(h.ids)
		}
		wantErr(t, l.Retry(adminContext(), dead[1].ID), "sent")
	})
}

// TestDay gives up about a day after the first attempt; while it fails for long, later messages go their own way.
func TestDay(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		gone := httptest.NewServer(http.NotFoundHandler())
		in := ChannelInput{Name: "gone", Kind: Webhook, Settings: Settings{Webhook: &webhook.Settings{URL: gone.URL, PlainHTTP: true}}}
		gone.Close()
		l.add(in)
		begun := l.now()
		l.put(outbox.ClusterState, 0, map[string]any{"cluster": "first"})
		l.deliver()
		l.put(outbox.ClusterState, 0, map[string]any{"cluster": "second"})
		overtaken := false
		for i := range 400 {
			l.pass(time.Minute)
			if i > 30 {
				l.pass(9 * time.Minute)
			}
			l.deliver()
			list := l.log(DeliveryFilter{})
			overtaken = overtaken || list[0].Attempts > 0 && list[1].Attempts > inOrder
			if list[0].Attempts > 0 && list[1].Attempts <= inOrder-1 {
				t.Fatalf("the second was tried after %d attempts of the first", list[1].Attempts)
			}
			if list[1].State == Dead {
				break
			}
		}
		list := l.log(DeliveryFilter{State: Dead})
		took := l.now().Sub(begun)
		if len(list) == 0 || list[len(list)-1].Attempts != maxAttempts || !strings.Contains(list[len(list)-1].Answer, "refused") || took < 19*time.Hour || took > 29*time.Hour || !overtaken {
			t.Errorf("after %s: %+v, overtaken %v", took, list, overtaken)
		}
	})
}

func TestWait(t *testing.T) {
	sum := time.Duration(0)
	for i := 1; i < maxAttempts; i++ {
		w := wait(i, 0)
		if w < 8*time.Second || w > 72*time.Minute {
			t.Errorf("attempt %d: %s", i, w)
		}
		sum += w
	}
	if sum < 20*time.Hour || sum > 28*time.Hour {
		t.Error(sum)
	}
	if wait(1, time.Hour) != time.Hour {
		t.Error("the receiver's wish is not heard")
	}
}

// TestSlow lets a receiver hang: others get theirs, and Deliver comes back.
func TestSlow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		l.o.Patience = time.Millisecond
		asked, release := make(chan struct{}, 10), make(chan struct{})
		slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-release }))
		defer slow.Close()
		h := newHook(t)
		l.add(ChannelInput{Name: "slow", Kind: Webhook, Settings: Settings{Webhook: &webhook.Settings{URL: slow.URL, PlainHTTP: true}}})
		l.add(h.input("quick", Filter{}))
		for i := range 3 {
			l.put(outbox.ClusterState, 0, map[string]any{"cluster": strconv.Itoa(i)})
			if err := l.Deliver(context.Background()); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				<-asked
			}
			// what comes while a round is under way is sent by the next one
			for len(h.arrived) <= i {
				if err := l.Deliver(context.Background()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond)
			}
		}
		if len(asked) != 0 {
			t.Error("the slow receiver is asked twice at a time")
		}
		close(release)
		l.wg.Wait()
		l.deliver()
		if got := l.log(DeliveryFilter{State: Sent}); len(got) != 6 {
			t.Errorf("%d sent", len(got))
		}
	})
}

// TestCrash lets the server die between sending and writing it down: the message comes once more, with the same event id, and only
// after the lease of the dead one is over.
func TestCrash(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		ctx := context.Background()
		h := newHook(t)
		l.add(h.input("a", Filter{}))
		l.put(outbox.ClusterState, 0, map[string]any{"cluster": "first"})
		if _, err := l.expand(ctx); err != nil {
			t.Fatal(err)
		}
		// what the dead process did: took the lease, sent, and no more
		row := must(l.channelRows(ctx))[0]
		if ok, err := l.lease(ctx, row.ID); err != nil || !ok {
			t.Fatal(ok, err)
		}
		d := &deliveryRow{}
		if err := db.R.NewSelect().Model(d).Scan(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := l.sendOne(ctx, row, d, must(l.channelSender(row))); err != nil {
			t.Fatal(err)
		}
		next := l.sibling()
		next.deliver()
		if len(h.ids) != 1 {
			t.Fatalf("%d messages while the lease holds", len(h.ids))
		}
		l.pass(lease + time.Second)
		next.deliver()
		next.deliver()
		if len(h.ids) != 2 || h.ids[0] != h.ids[1] {
			t.Errorf("%v", h.ids)
		}
	})
}

// TestReplicas lets several processes deliver at once: every message comes once, and in order.
func TestReplicas(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		hooks := []*hook{newHook(t), newHook(t)}
		for i, h := range hooks {
			l.add(h.input(strconv.Itoa(i), Filter{}))
		}
		const messages = 150
		for i := range messages {
			l.put(outbox.ClusterState, 0, map[string]any{"cluster": fmt.Sprintf("%03d", i)})
		}
		var wg sync.WaitGroup
		for range 3 {
			n := l.sibling()
			wg.Go(func() {
				for range 4 {
					if err := n.Deliver(context.Background()); err != nil {
						t.Error(err)
					}
				}
				n.wg.Wait()
			})
		}
		wg.Wait()
		for range 4 {
			l.deliver()
		}
		for _, h := range hooks {
			if len(h.got) != messages {
				t.Errorf("%d messages", len(h.got))
			}
			for i, d := range h.got {
				if want := fmt.Sprintf("%03d", i); d.Details["cluster"] != want {
					t.Fatalf("message %d is %s: sent twice, lost or out of order", i, d.Details["cluster"])
				}
			}
		}
		for _, d := range l.log(DeliveryFilter{}) {
			if d.Attempts != 1 || d.State != Sent {
				t.Errorf("%+v", d)
			}
		}
	})
}

// TestRolledBack tells nothing of a change that was taken back.
func TestRolledBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		h := newHook(t)
		l.add(h.input("a", Filter{}))
		_ = db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
			if err := outbox.Put(ctx, tx, outbox.ClusterState, 0, map[string]any{"cluster": "x"}); err != nil {
				t.Error(err)
			}
			return fmt.Errorf("taken back")
		})
		l.deliver()
		if len(h.got) != 0 {
			t.Error("a message of what never was")
		}
	})
}

// TestDigest gathers messages until the hour is full, then sends one.
func TestDigest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db) // at 10:20
		h := newHook(t)
		in := h.input("hourly", Filter{})
		in.Digest, in.Language = "hourly", "zh"
		l.add(in)
		daily := newHook(t)
		in = daily.input("daily", Filter{})
		in.Digest = "daily"
		l.add(in)
		var list []seeded
		for i := range 15 {
			list = append(list, seeded{3, ledger.Configuration, ledger.StatusOpen, "a", l.now(), l.now(), false, false, strconv.Itoa(i)})
		}
		for _, name := range []string{"shop", "bank"} {
			l.put(outbox.FindingsChanged, l.seed(name, list...), ledger.Change{At: store.At(l.now())})
		}
		l.put(outbox.ClusterState, 0, map[string]any{"cluster": "shop", "state": "unreachable"})
		l.deliver()
		l.pass(39 * time.Minute)
		l.deliver()
		if len(h.got) != 0 {
			t.Fatal("the digest came early")
		}
		l.pass(time.Minute)
		l.deliver()
		l.pass(time.Hour)
		l.deliver()
		if len(h.got) != 1 || h.got[0].Counts.New != 30 || len(h.got[0].Findings) != 20 || h.got[0].More != 10 || len(h.got[0].Parts) != 3 || h.got[0].Title != "Stockade:3 条事件的汇总" || h.got[0].Topic != "digest" {
			t.Fatalf("%d %+v", len(h.got), h.got)
		}
		if len(daily.got) != 0 {
			t.Error("the daily digest came early")
		}
		l.pass(21 * time.Hour)
		l.deliver()
		l.deliver()
		if len(daily.got) != 1 || len(h.got) != 1 {
			t.Errorf("%d and %d messages", len(daily.got), len(h.got))
		}
		if n := len(l.log(DeliveryFilter{State: Digested})); n != 6 {
			t.Error(n)
		}
	})
}

// TestClock puts the clock back by a day: what waits is sent all the same.
func TestClock(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		h := newHook(t, 500)
		l.add(h.input("a", Filter{}))
		l.put(outbox.ClusterState, 0, map[string]any{"cluster": "first"})
		l.deliver()
		l.pass(-24 * time.Hour)
		l.deliver()
		if len(h.got) != 2 {
			t.Errorf("%d messages", len(h.got))
		}
	})
}

// TestDisabled sends nothing through a channel that is shut.
func TestDisabled(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		h := newHook(t)
		in := h.input("a", Filter{})
		in.Enabled = new(bool)
		l.add(in)
		l.put(outbox.ClusterState, 0, map[string]any{"cluster": "first"})
		l.deliver()
		if len(h.got) != 0 || len(l.log(DeliveryFilter{})) != 0 {
			t.Error("a shut channel was used")
		}
	})
}

// TestBroken says so at the channel when its secrets cannot be read, and takes new ones.
func TestBroken(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		ctx := adminContext()
		h := newHook(t)
		in := h.input("a", Filter{})
		in.Secrets = &Secrets{SigningKey: text("signing")}
		c := l.add(in)
		if err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("UPDATE channels SET secret = ?", []byte("damaged")).Exec(ctx)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		l.put(outbox.ClusterState, 0, map[string]any{"cluster": "first"})
		l.deliver()
		if got := must(l.Channel(ctx, c.ID)); len(h.got) != 0 || !strings.Contains(got.Failure, "cannot be read") {
			t.Errorf("%+v", got)
		}
		in.Secrets = nil
		_, err := l.ChangeChannel(ctx, c.ID, in)
		wantErr(t, err, "give them again")
		in.Secrets = &Secrets{SigningKey: text("signing")}
		if _, err := l.ChangeChannel(ctx, c.ID, in); err != nil {
			t.Fatal(err)
		}
		l.pass(time.Minute)
		l.deliver()
		if len(h.got) != 1 {
			t.Error("nothing came")
		}
	})
}

func TestSweep(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		h := newHook(t, 200, 500)
		l.add(h.input("a", Filter{}))
		l.put(outbox.ClusterState, 0, map[string]any{"cluster": "sent"})
		l.put(outbox.ClusterState, 0, map[string]any{"cluster": "waits"})
		l.deliver()
		l.pass(31 * 24 * time.Hour)
		if err := l.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		if list := l.log(DeliveryFilter{}); len(list) != 1 || list[0].State != Waiting {
			t.Errorf("%+v", list)
		}
	})
}

// TestPages walks the log by pages.
func TestPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		h := newHook(t)
		l.add(ChannelInput{Name: "s", Kind: Syslog, Settings: Settings{Syslog: &syslog.Settings{Address: "127.0.0.1:9", Protocol: "udp"}}})
		l.add(h.input("a", Filter{}))
		for i := range 7 {
			l.put(outbox.ClusterState, 0, map[string]any{"cluster": strconv.Itoa(i)})
		}
		if _, err := l.expand(context.Background()); err != nil {
			t.Fatal(err)
		}
		var seen []int64
		page := store.Page{Limit: 3}
		for {
			list, next, err := l.Deliveries(context.Background(), DeliveryFilter{Channel: 2, State: Waiting}, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				seen = append(seen, d.ID)
			}
			if page.After = next; next == "" {
				break
			}
		}
		if len(seen) != 7 || !slices.IsSortedFunc(seen, func(a, b int64) int { return int(b - a) }) {
			t.Error(seen)
		}
		if _, _, err := l.Deliveries(context.Background(), DeliveryFilter{}, store.Page{After: "!"}); err == nil {
			t.Error("a bad cursor was taken")
		}
	})
}
