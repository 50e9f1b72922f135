package triage

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestHandle: what each action does, that doing it twice changes nothing, and what it leaves alone.
func TestHandle(t *testing.T) {
	do := func(a ledger.Action) Handling { return Handling{Action: a, Exception: 5, Assignee: 3} }
	type state struct {
		status    ledger.Status
		exception int64
		cause     ledger.Cause
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		for i, tt := range []struct {
			before []Handling
			do     Handling
			count  int
			want   state
		}{
			{nil, do(ledger.Ignore), 1, state{ledger.StatusIgnored, 0, ledger.ByHand}},
			{[]Handling{do(ledger.Ignore)}, do(ledger.Ignore), 0, state{ledger.StatusIgnored, 0, ledger.ByHand}},
			{[]Handling{do(ledger.Ignore)}, do(ledger.Unignore), 1, state{ledger.StatusOpen, 0, ledger.ByHand}},
			{nil, do(ledger.Unignore), 0, state{ledger.StatusOpen, 0, ledger.FirstSeen}},
			{nil, do(ledger.MarkFixed), 1, state{ledger.StatusMarkedFixed, 0, ledger.ByHand}},
			{[]Handling{do(ledger.MarkFixed)}, do(ledger.MarkFixed), 0, state{ledger.StatusMarkedFixed, 0, ledger.ByHand}},
			{nil, do(ledger.Accept), 1, state{ledger.StatusAccepted, 5, ledger.ByException}},
			{[]Handling{do(ledger.Accept)}, do(ledger.Accept), 0, state{ledger.StatusAccepted, 5, ledger.ByException}},
			{[]Handling{do(ledger.Accept)}, Handling{Action: ledger.Accept, Exception: 6}, 1, state{ledger.StatusAccepted, 6, ledger.ByException}},
			{[]Handling{do(ledger.Ignore)}, do(ledger.Accept), 0, state{ledger.StatusIgnored, 0, ledger.ByHand}},
			{[]Handling{do(ledger.Accept)}, Handling{Action: ledger.Unaccept, Exception: 6}, 0, state{ledger.StatusAccepted, 5, ledger.ByException}},
			{[]Handling{do(ledger.Accept)}, Handling{Action: ledger.Unaccept, Exception: 5, Cause: ledger.ExceptionEnded}, 1, state{ledger.StatusOpen, 0, ledger.ExceptionEnded}},
			{[]Handling{do(ledger.Accept)}, do(ledger.Ignore), 1, state{ledger.StatusIgnored, 0, ledger.ByHand}},
			{nil, do(ledger.Assign), 1, state{ledger.StatusOpen, 0, ledger.FirstSeen}},
			{[]Handling{do(ledger.Assign)}, do(ledger.Assign), 0, state{ledger.StatusOpen, 0, ledger.FirstSeen}},
			{nil, do(ledger.Comment), 1, state{ledger.StatusOpen, 0, ledger.FirstSeen}},
			{nil, do(ledger.Verify), 1, state{ledger.StatusOpen, 0, ledger.FirstSeen}},
		} {
			f := misconfigured("shop", "till", fmt.Sprint("case", i), finding.High)
			x.scan(look{run: Run{Kind: Part}, found: []*finding.Finding{f}})
			id := x.row(f.Fingerprint).ID
			for _, h := range tt.before {
				h.IDs = []int64{id}
				x.handle(h)
			}
			events := len(x.events(id))
			tt.do.IDs = []int64{id, id, 999_999}
			if n := x.handle(tt.do); n != tt.count {
				t.Errorf("%d: %v then %s changed %d, want %d", i, tt.before, tt.do.Action, n, tt.count)
			}
			r := x.row(f.Fingerprint)
			if got := (state{r.Status, r.ExceptionID, r.Cause}); got != tt.want {
				t.Errorf("%d: %v then %s: %+v, want %+v", i, tt.before, tt.do.Action, got, tt.want)
			}
			if n := len(x.events(id)) - events; n != tt.count {
				t.Errorf("%d: %d events", i, n)
			}
			if tt.do.Action == ledger.Assign && r.AssigneeID != 3 {
				t.Errorf("assigned to %d", r.AssigneeID)
			}
		}
		err := db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
			_, err := x.tr.Handle(ctx, tx, Handling{IDs: []int64{1}, Action: "explode"})
			return err
		})
		if !errors.Is(err, ErrHandling) {
			t.Error(err)
		}
	})
}

// TestHandleMany: ids of two targets and thousands of findings, with the person who did it and one message a target.
func TestHandleMany(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		first := x.target
		var l look
		for i := range 2500 {
			l.found = append(l.found, misconfigured("shop", fmt.Sprint("w", i), "r1", finding.High))
		}
		x.scan(l)
		x.target = x.cluster("other")
		x.scan(shop())
		var ids []int64
		if err := db.R.NewRaw("SELECT id FROM findings").Scan(context.Background(), &ids); err != nil {
			t.Fatal(err)
		}
		messages := x.number("SELECT count(*) FROM outbox")
		ctx := identity.With(context.Background(), &identity.Principal{UserID: 42})
		n := 0
		err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
			n, err = x.tr.Handle(ctx, tx, Handling{IDs: ids, Action: ledger.Ignore, Note: "not ours"})
			return err
		})
		if err != nil || n != 2502 {
			t.Fatal(n, err)
		}
		x.right()
		if n := x.number("SELECT count(*) FROM outbox") - messages; n != 2 {
			t.Errorf("%d messages", n)
		}
		if n := x.number("SELECT count(*) FROM history WHERE user_id = 42 AND note = 'not ours' AND before = 1 AND after = 4"); n != 2502 {
			t.Errorf("%d events", n)
		}
		if n := x.number("SELECT sum(closed) FROM days WHERE target_id = 0"); n != 2502 {
			t.Errorf("%d closed today", n)
		}
		err = db.Write(ctx, func(ctx context.Context, tx bun.Tx) error { return x.tr.Remove(ctx, tx, first, x.now) })
		if err != nil {
			t.Fatal(err)
		}
		x.right()
		if n := x.number("SELECT sum(n) FROM counts WHERE target_id = 0 AND namespace = '*'"); n != 2 {
			t.Errorf("%d findings count after the other cluster was removed", n)
		}
		if n := x.handle(Handling{IDs: ids, Action: ledger.Unignore}); n != 2 {
			t.Errorf("%d handled, of which only 2 are not of a removed cluster", n)
		}
		if _, err := x.tr.Ingest(ctx, Run{Target: first, Kind: Full}); !errors.Is(err, ErrRemoved) {
			t.Error(err)
		}
	})
}

// TestVisibleRows: nothing is deleted by a rescan, and what was there stays valid while a new run goes on.
func TestVisibleRows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := setUp(t, db)
		x.scan(shop())
		in, err := x.tr.Ingest(context.Background(), Run{Target: x.target, Kind: Full})
		if err != nil {
			t.Fatal(err)
		}
		defer in.Abort("")
		if err := in.Begin(finding.Header{}); err != nil {
			t.Fatal(err)
		}
		if err := in.Finding(misconfigured("shop", "till", "r9", finding.Low)); err != nil {
			t.Fatal(err)
		}
		if err := in.flush(); err != nil {
			t.Fatal(err)
		}
		if n := x.number("SELECT count(*) FROM findings WHERE status = 1"); n != 3 {
			t.Errorf("%d open while the run goes on, want the two that were there and the new one", n)
		}
		if err := in.End(x.now, finding.Target{}, finding.Stats{}); err != nil {
			t.Fatal(err)
		}
		if n := x.number("SELECT count(*) FROM findings"); n != 3 {
			t.Errorf("%d rows", n)
		}
		if err := in.Finding(misconfigured("shop", "till", "r9", finding.Low)); !errors.Is(err, ErrAborted) {
			t.Error(err)
		}
	})
}
