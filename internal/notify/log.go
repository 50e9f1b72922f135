package notify

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/store"
)

// Delivery is one message for one channel, as the log shows it.
type Delivery struct {
	ID        int64      `json:"id,string"`
	ChannelID int64      `json:"channelId,string"`
	Event     string     `json:"event" doc:"id that the receiver sees"`
	Topic     string     `json:"topic"`
	TargetID  int64      `json:"targetId,string,omitempty"`
	Title     string     `json:"title"`
	At        store.Time `json:"at" format:"date-time" doc:"of the change"`
	State     string     `json:"state" enum:"gathered,waiting,sent,dead,digested"`
	Attempts  int        `json:"attempts"`
	NextAt    store.Time `json:"nextAt,omitzero" format:"date-time" doc:"of the next attempt, or of the digest"`
	DoneAt    store.Time `json:"doneAt,omitzero" format:"date-time"`
	Answer    string     `json:"answer,omitempty" doc:"of the receiver, or why the last attempt failed"`
}

// DeliveryFilter selects deliveries; its zero value all.
type DeliveryFilter struct {
	Channel int64
	State   string
}

// Deliveries lists the log, newest first.
func (n *Notifier) Deliveries(ctx context.Context, f DeliveryFilter, page store.Page) (list []*Delivery, next string, err error) {
	var rows []*deliveryRow
	q := n.db.R.NewSelect().Model(&rows).ExcludeColumn("body").OrderExpr("id DESC").Limit(int64(page.Size()) + 1)
	if f.Channel != 0 {
		q = q.Where("channel_id = ?", f.Channel)
	}
	if f.State != "" {
		q = q.Where("state = ?", f.State)
	}
	if page.After != "" {
		var id int64
		if err := store.ReadCursor(page.After, &id); err != nil {
			return nil, "", err
		}
		q = q.Where("id < ?", id)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", err
	}
	if len(rows) > page.Size() {
		rows = rows[:page.Size()]
		next = store.Cursor(rows[len(rows)-1].ID)
	}
	for _, r := range rows {
		d := &Delivery{r.ID, r.ChannelID, r.Event, r.Topic, r.TargetID, r.Title, r.At, r.State, r.Attempts, r.NextAt, r.DoneAt, r.Answer}
		if d.State != Waiting && d.State != Gathered {
			d.NextAt = store.Time{}
		}
		list = append(list, d)
	}
	return list, next, nil
}

// Retry has a message sent again that was given up, or at once what waits for its next attempt.
func (n *Notifier) Retry(ctx context.Context, id int64) error {
	return n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		d := &deliveryRow{}
		if err := tx.NewSelect().Model(d).Where("id = ?", id).Scan(ctx); err != nil {
			return store.NotFound(err)
		}
		if d.State != Dead && d.State != Waiting {
			return invalid("%w: only messages that wait or were given up can be sent again", errors.New(d.State))
		}
		if _, err := tx.NewUpdate().Model(d).Set("state = 'waiting', attempts = 0, done_at = 0, next_at = ?", store.At(n.now())).WherePK().Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "delivery.retry", fmt.Sprintf("delivery %d", d.ID), 0, nil, nil)
	})
}
