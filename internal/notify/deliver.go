package notify

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/notify/message"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
)

// The states of deliveries.
const (
	Gathered = "gathered" // for a digest
	Waiting  = "waiting"
	Sent     = "sent"
	Dead     = "dead"     // given up: its answer says why
	Digested = "digested" // sent as part of a digest
)

// deliveryRow is a row of the table deliveries.
type deliveryRow struct {
	bun.BaseModel `bun:"table:deliveries,alias:d"`

	ID        int64      `bun:"id,pk,autoincrement"`
	ChannelID int64      `bun:"channel_id"`
	OutboxID  int64      `bun:"outbox_id"`
	Event     string     `bun:"event"`
	Topic     string     `bun:"topic"`
	TargetID  int64      `bun:"target_id"`
	Title     string     `bun:"title"`
	At        store.Time `bun:"at"`
	State     string     `bun:"state"`
	Attempts  int        `bun:"attempts"`
	NextAt    store.Time `bun:"next_at"`
	DoneAt    store.Time `bun:"done_at"`
	Answer    string     `bun:"answer"`
	Body      string     `bun:"body"`
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func sortFindings(list []message.Finding) {
	slices.SortStableFunc(list, func(a, b message.Finding) int {
		return cmp.Or(cmp.Compare(b.Severity.Rank(), a.Severity.Rank()), cmp.Compare(b.Priority, a.Priority))
	})
}

// Deliver turns new rows of the outbox into deliveries and sends what is due. It waits for slow receivers only a little: they go on
// in the background, one message at a time, until ctx ends. The leader calls it every few seconds; calls from several processes do
// no harm.
func (n *Notifier) Deliver(ctx context.Context) error {
	var errs []error
	for range 50 { // rounds: a flood is worked off, but not for ever
		more, err := n.expand(ctx)
		if err != nil {
			errs = append(errs, err)
		}
		if !more || err != nil {
			break
		}
	}
	channels, err := n.channelRows(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	var started []chan struct{}
	for _, c := range channels {
		if err := n.gather(ctx, c); err != nil {
			errs = append(errs, err)
			continue
		}
		due, err := n.due(ctx, c.ID)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if c.Enabled && due && n.take(c.ID) {
			started = append(started, n.start(ctx, c))
		}
	}
	patience := time.NewTimer(n.o.Patience)
	defer patience.Stop()
	for _, done := range started {
		select {
		case <-done:
		case <-patience.C:
			return errors.Join(errs...)
		case <-ctx.Done():
			return errors.Join(errs...)
		}
	}
	return errors.Join(errs...)
}

func (n *Notifier) channelRows(ctx context.Context) ([]*channelRow, error) {
	var rows []*channelRow
	err := n.db.R.NewSelect().Model(&rows).OrderExpr("id").Scan(ctx)
	return rows, err
}

// expand makes deliveries of the oldest rows of the outbox. The rows leave it in the same transaction: each is expanded once, by one
// process.
func (n *Notifier) expand(ctx context.Context) (more bool, err error) {
	const batch = 100
	var rows []*outbox.Message
	if err := n.db.R.NewSelect().Model(&rows).OrderExpr("id").Limit(batch).Scan(ctx); err != nil || len(rows) == 0 {
		return false, err
	}
	channels, err := n.channelRows(ctx)
	if err != nil {
		return false, err
	}
	compose := n.composer()
	made := map[int64][]*deliveryRow{}
	for _, row := range rows {
		list, err := n.deliveries(ctx, compose, row, channels)
		if err != nil {
			return false, err
		}
		made[row.ID] = list
	}
	err = n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		for _, row := range rows {
			taken, err := affected(tx.NewDelete().Model(row).WherePK().Exec(ctx))
			if err != nil {
				return err
			}
			if !taken || len(made[row.ID]) == 0 { // another process was quicker, or nobody wants it
				continue
			}
			for _, d := range made[row.ID] {
				d.ID = 0
			}
			list := made[row.ID]
			if _, err := tx.NewInsert().Model(&list).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	return len(rows) == batch, err
}

// deliveries makes the deliveries of an outbox row.
func (n *Notifier) deliveries(ctx context.Context, compose *composer, row *outbox.Message, channels []*channelRow) ([]*deliveryRow, error) {
	var out []*deliveryRow
	if row.Topic == outbox.ReportDue {
		e, to, err := n.reportEvent(ctx, row)
		if err != nil || e == nil {
			return nil, err
		}
		for _, c := range channels {
			if slices.Contains(to, c.ID) && c.Enabled {
				out = append(out, n.delivery(c, row, e))
			}
		}
		return out, nil
	}
	for _, c := range channels {
		if !c.Enabled {
			continue
		}
		var f Filter
		if err := json.Unmarshal([]byte(c.Filter), &f); err != nil {
			n.log.Error("the filter of a channel cannot be read: it gets nothing", "channel", c.ID, "error", err)
			continue
		}
		e, err := compose.event(ctx, row, &f)
		if err != nil {
			return nil, err
		}
		if e != nil {
			out = append(out, n.delivery(c, row, e))
		}
	}
	return out, nil
}

func (n *Notifier) delivery(c *channelRow, row *outbox.Message, e *message.Event) *deliveryRow {
	mine := *e
	mine.ID = newID()
	d := &deliveryRow{ChannelID: c.ID, OutboxID: row.ID, Event: mine.ID, Topic: row.Topic, TargetID: row.TargetID, Title: mine.Title.In(c.Language), At: row.At,
		State: Waiting, NextAt: store.At(n.now()), Body: ledger.JSON(&mine)}
	if c.Digest != "" && row.Topic != outbox.ReportDue {
		d.State, d.NextAt = Gathered, store.At(boundary(c.Digest, n.now()))
	}
	return d
}

// boundary is when the digest of now leaves: at the next full hour, or at 8 in the morning, UTC.
func boundary(digest string, now time.Time) time.Time {
	now = now.UTC()
	if digest == "hourly" {
		return now.Truncate(time.Hour).Add(time.Hour)
	}
	at := time.Date(now.Year(), now.Month(), now.Day(), 8, 0, 0, 0, time.UTC)
	if !at.After(now) {
		at = at.AddDate(0, 0, 1)
	}
	return at
}

// gather makes the digest of a channel when it is due.
func (n *Notifier) gather(ctx context.Context, c *channelRow) error {
	const most = 1000
	now := n.now()
	var first deliveryRow
	err := n.db.R.NewSelect().Model(&first).Column("next_at").Where("channel_id = ? AND state = 'gathered'", c.ID).OrderExpr("id").Limit(1).Scan(ctx)
	if err = store.NotFound(err); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return err
	}
	if late := first.NextAt.After(now.Add(25 * time.Hour)); first.NextAt.After(now) && !late && c.Digest != "" { // late: the clock was put back
		return nil
	}
	return n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var rows []*deliveryRow
		q := tx.NewSelect().Model(&rows).Where("channel_id = ? AND state = 'gathered'", c.ID).OrderExpr("id").Limit(most)
		if n.db.Postgres() {
			q = q.For("UPDATE")
		}
		if err := q.Scan(ctx); err != nil || len(rows) == 0 {
			return err
		}
		var events []*message.Event
		var done []int64
		for _, r := range rows {
			e := &message.Event{}
			if err := json.Unmarshal([]byte(r.Body), e); err == nil {
				events = append(events, e)
			}
			done = append(done, r.ID)
		}
		e := n.digest(events, now)
		d := &deliveryRow{ChannelID: c.ID, OutboxID: -rows[0].ID, Event: e.ID, Topic: e.Topic, Title: e.Title.In(c.Language), At: store.At(now), State: Waiting,
			NextAt: store.At(now), Body: ledger.JSON(e)}
		if _, err := tx.NewInsert().Model(d).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewUpdate().Model((*deliveryRow)(nil)).Set("state = ?, done_at = ?, body = ''", Digested, store.At(now)).Where("id IN (?)", bun.List(done)).Exec(ctx)
		return err
	})
}

// The waits between attempts: they double from the first to an hour; the 32nd attempt is a day after the first.
const (
	firstWait   = 10 * time.Second
	longestWait = time.Hour
	maxAttempts = 32
	inOrder     = 6 // attempts during which later messages of the channel wait for one that fails
)

// wait is how long to wait after so many attempts: doubled each time, a fifth more or less by chance.
func wait(attempts int, asked time.Duration) time.Duration {
	w := longestWait
	if attempts < 10 {
		w = min(longestWait, firstWait<<(attempts-1))
	}
	w += time.Duration((mathrand.Float64() - 0.5) * 0.4 * float64(w))
	return max(w, asked)
}

// mislaid is a next attempt that is so late that the clock must have been put back since.
func mislaid(now time.Time) store.Time { return store.At(now.Add(2*longestWait + time.Minute)) }

// due reports whether a channel has something to send.
func (n *Notifier) due(ctx context.Context, channel int64) (bool, error) {
	now := n.now()
	return n.db.R.NewSelect().TableExpr("deliveries").Where("channel_id = ? AND state = 'waiting'", channel).
		Where("(next_at <= ? OR next_at > ?)", store.At(now), mislaid(now)).Exists(ctx)
}

// take marks a channel as being sent to by this process.
func (n *Notifier) take(channel int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy[channel] {
		return false
	}
	n.busy[channel] = true
	return true
}

// start sends what is due of a channel in the background.
func (n *Notifier) start(ctx context.Context, c *channelRow) chan struct{} {
	done := make(chan struct{})
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		defer close(done)
		defer func() {
			n.mu.Lock()
			delete(n.busy, c.ID)
			n.mu.Unlock()
		}()
		select {
		case n.slots <- struct{}{}:
			defer func() { <-n.slots }()
		case <-ctx.Done():
			return
		}
		if err := n.round(ctx, c); err != nil && ctx.Err() == nil {
			n.log.Error("delivering messages", "channel", c.ID, "error", err)
		}
	}()
	return done
}

// round sends what is due of a channel, oldest first, until one fails.
func (n *Notifier) round(ctx context.Context, c *channelRow) error {
	leased, err := n.lease(ctx, c.ID)
	if err != nil || !leased {
		return err
	}
	defer func() {
		free, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = n.db.Write(free, func(ctx context.Context, tx bun.Tx) error { // else it ends by itself
			_, err := tx.NewUpdate().Model((*channelRow)(nil)).Set("leased_until = 0").Where("id = ?", c.ID).Exec(ctx)
			return err
		})
	}()
	now := n.now()
	var rows []*deliveryRow
	// what still holds the order comes too, so that what is behind it can wait
	err = n.db.R.NewSelect().Model(&rows).Where("channel_id = ? AND state = 'waiting'", c.ID).
		Where("(next_at <= ? OR next_at > ? OR attempts BETWEEN 1 AND ?)", store.At(now), mislaid(now), inOrder).OrderExpr("id").Limit(roundMessages).Scan(ctx)
	if err != nil {
		return err
	}
	s, broken := n.channelSender(c)
	begun := time.Now()
	for _, d := range rows {
		if ctx.Err() != nil {
			return nil
		}
		if d.NextAt.After(now) && !d.NextAt.After(mislaid(now).Time) {
			return nil
		}
		if time.Since(begun) > lease-sendTimeout-20*time.Second { // the lease may end during the next one: go on in another round
			return nil
		}
		if again, err := n.attempt(ctx, c, d, s, broken); err != nil || again {
			return err
		}
	}
	return nil
}

// lease takes a channel for this process.
func (n *Notifier) lease(ctx context.Context, channel int64) (taken bool, err error) {
	now := n.now()
	err = n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		taken, err = affected(tx.NewUpdate().Model((*channelRow)(nil)).Set("leased_until = ?", store.At(now.Add(lease))).
			Where("id = ? AND (leased_until <= ? OR leased_until > ?)", channel, store.At(now), store.At(now.Add(lease+time.Minute))).Exec(ctx))
		return err
	})
	return taken, err
}

func (n *Notifier) channelSender(r *channelRow) (send, error) {
	c, secret, err := n.open(r)
	if err != nil {
		return nil, err
	}
	return n.sender(c.Kind, *c.Settings, secret)
}

// attempt sends one message once and writes down what came of it. again says that the receiver did not take it but may later.
func (n *Notifier) attempt(ctx context.Context, c *channelRow, d *deliveryRow, s send, broken error) (again bool, err error) {
	answer, failure := "", broken
	if failure == nil {
		// an attempt that began is finished and written down even when the server stops
		sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
		defer cancel()
		answer, failure = n.sendOne(sending, c, d, s)
	}
	now := store.At(n.now())
	d.Attempts++
	d.Answer = message.Answer(answer)
	channel := n.db.R.NewUpdate().Model((*channelRow)(nil)).Where("id = ?", c.ID)
	switch {
	case failure == nil:
		d.State, d.DoneAt, d.Body = Sent, now, ""
		channel = channel.Set("sent_at = ?, failure = ''", now)
	default:
		d.Answer = message.Answer(failure.Error())
		channel = channel.Set("failed_at = ?, failure = ?", now, d.Answer)
		if message.Permanent(failure) || d.Attempts >= maxAttempts {
			d.State, d.DoneAt = Dead, now
			n.log.Warn("a message is given up", "channel", c.ID, "delivery", d.ID, "topic", d.Topic, "attempts", d.Attempts, "reason", d.Answer)
		} else {
			again = true
			d.NextAt = store.At(now.Add(wait(d.Attempts, message.Wait(failure))))
		}
	}
	marking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return again, n.db.Write(marking, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewUpdate().Model(d).Column("state", "attempts", "next_at", "done_at", "answer", "body").WherePK().Exec(ctx); err != nil {
			return err
		}
		_, err := channel.Conn(tx).Exec(ctx)
		return err
	})
}

func (n *Notifier) sendOne(ctx context.Context, c *channelRow, d *deliveryRow, s send) (string, error) {
	e := &message.Event{}
	if err := json.Unmarshal([]byte(d.Body), e); err != nil {
		return "", &message.Failure{Permanent: true, Err: errors.New("the message is damaged")}
	}
	var file *message.Attachment
	if e.Report != nil && c.Kind == Mail {
		var err error
		if file, err = n.attachment(ctx, e.Report); err != nil {
			return "", err
		}
	}
	return s(ctx, e, c.Language, file)
}

// affected reports whether a statement changed a row.
func affected(res interface{ RowsAffected() (int64, error) }, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	k, err := res.RowsAffected()
	return k > 0, err
}

// Sweep forgets what is done for longer than it is kept. The leader calls it now and then.
func (n *Notifier) Sweep(ctx context.Context) error {
	before := store.At(n.now().Add(-n.o.Keep))
	return n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*deliveryRow)(nil)).
			Where("id IN (SELECT id FROM deliveries WHERE done_at <> 0 AND done_at < ? ORDER BY done_at LIMIT 5000)", before).Exec(ctx)
		return err
	})
}
