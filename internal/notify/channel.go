package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/notify/mail"
	"stockade.dev/stockade/internal/notify/message"
	"stockade.dev/stockade/internal/notify/syslog"
	"stockade.dev/stockade/internal/notify/webhook"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
)

// The kinds of channels.
const (
	Webhook  = "webhook"
	Slack    = "slack"
	Template = "template"
	Mail     = "mail"
	Syslog   = "syslog"
	CEF      = "cef"
)

// Kinds lists the kinds of channels.
var Kinds = []string{Webhook, Slack, Template, Mail, Syslog, CEF}

// Topics lists what channels can be told of, in the words of the outbox.
var Topics = []string{outbox.FindingsChanged, outbox.ClusterState, outbox.TaskFinished, outbox.ExceptionAsked, outbox.ExceptionDecided, outbox.ExceptionExpiring, outbox.ExceptionEnded, outbox.ProtectionState, outbox.ProtectionDrift,
	outbox.ProtectionBlocked, outbox.ProtectionUnchecked, outbox.ProtectionTurned, outbox.PolicyChanged, outbox.NodesState}

// Channel is a place that messages go to.
type Channel struct {
	ID        int64      `json:"id,string"`
	Name      string     `json:"name"`
	Kind      string     `json:"kind" enum:"webhook,slack,template,mail,syslog,cef"`
	Settings  *Settings  `json:"settings,omitempty" doc:"absent for who may only use the channel"`
	Secrets   []string   `json:"secrets,omitempty" doc:"names of the secrets that are set; their values are never given back"`
	Language  string     `json:"language" enum:"en,zh"`
	Enabled   bool       `json:"enabled"`
	Shared    bool       `json:"shared" doc:"reports of people who may not manage channels can use it"`
	Filter    *Filter    `json:"filter,omitempty"`
	Digest    string     `json:"digest" enum:",hourly,daily"`
	CreatedAt store.Time `json:"createdAt" format:"date-time"`
	UpdatedAt store.Time `json:"updatedAt" format:"date-time"`
	SentAt    store.Time `json:"sentAt,omitzero" format:"date-time" doc:"last message that was taken"`
	FailedAt  store.Time `json:"failedAt,omitzero" format:"date-time" doc:"last attempt that failed"`
	Failure   string     `json:"failure,omitempty" doc:"why the last attempt failed; absent when it did not"`
}

// Settings of a channel: the part of its kind.
type Settings struct {
	Webhook *webhook.Settings `json:"webhook,omitempty" doc:"of webhook, slack and template"`
	Mail    *mail.Settings    `json:"mail,omitempty"`
	Syslog  *syslog.Settings  `json:"syslog,omitempty" doc:"of syslog and cef"`
}

// ChannelInput is what people give of a channel.
type ChannelInput struct {
	Name     string   `json:"name" minLength:"1" maxLength:"100"`
	Kind     string   `json:"kind" enum:"webhook,slack,template,mail,syslog,cef"`
	Settings Settings `json:"settings"`
	Secrets  *Secrets `json:"secrets,omitempty"`
	Language string   `json:"language,omitempty" enum:"en,zh"`
	Enabled  *bool    `json:"enabled,omitempty" doc:"default true"`
	Shared   bool     `json:"shared,omitempty"`
	Filter   Filter   `json:"filter,omitempty"`
	Digest   string   `json:"digest,omitempty" enum:",hourly,daily" doc:"default: every message at once"`
}

// Secrets are write-only. What is absent stays as it is; "" takes it away.
type Secrets struct {
	SigningKey    *string `json:"signingKey,omitempty" maxLength:"1000" doc:"of webhook and template: signs every request with HMAC-SHA256"`
	Authorization *string `json:"authorization,omitempty" maxLength:"4000" doc:"of webhook, slack and template: value of the header, such as Bearer ..."`
	URL           *string `json:"url,omitempty" maxLength:"2048" doc:"of slack: the address, which is a secret there"`
	Password      *string `json:"password,omitempty" maxLength:"1000" doc:"of mail"`
}

// sealed is what is encrypted of a channel.
type sealed struct {
	SigningKey    string `json:"signingKey,omitempty"`
	Authorization string `json:"authorization,omitempty"`
	URL           string `json:"url,omitempty"`
	Password      string `json:"password,omitempty"`
}

// with gives the secrets after a change.
func (s sealed) with(c *Secrets) sealed {
	if c == nil {
		return s
	}
	for _, f := range []struct {
		to   *string
		from *string
	}{{&s.SigningKey, c.SigningKey}, {&s.Authorization, c.Authorization}, {&s.URL, c.URL}, {&s.Password, c.Password}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	return s
}

// names lists which secrets are set.
func (s sealed) names() []string {
	var out []string
	for _, f := range []struct{ name, value string }{{"signingKey", s.SigningKey}, {"authorization", s.Authorization}, {"url", s.URL}, {"password", s.Password}} {
		if f.value != "" {
			out = append(out, f.name)
		}
	}
	return out
}

// channelRow is a row of the table channels.
type channelRow struct {
	bun.BaseModel `bun:"table:channels,alias:c"`

	ID          int64      `bun:"id,pk,autoincrement"`
	Name        string     `bun:"name"`
	Kind        string     `bun:"kind"`
	Settings    string     `bun:"settings"`
	Secret      []byte     `bun:"secret"`
	Language    string     `bun:"language"`
	Enabled     bool       `bun:"enabled"`
	Shared      bool       `bun:"shared"`
	Filter      string     `bun:"filter"`
	Digest      string     `bun:"digest"`
	CreatedAt   store.Time `bun:"created_at"`
	UpdatedAt   store.Time `bun:"updated_at"`
	LeasedUntil store.Time `bun:"leased_until"`
	SentAt      store.Time `bun:"sent_at"`
	FailedAt    store.Time `bun:"failed_at"`
	Failure     string     `bun:"failure"`
}

func (r *channelRow) object() string { return fmt.Sprintf("channel %d (%s)", r.ID, r.Name) }

func place(id int64) string { return fmt.Sprintf("channels/%d/secret", id) }

// open gives a row as people see it, and its secrets.
func (n *Notifier) open(r *channelRow) (*Channel, sealed, error) {
	c := &Channel{ID: r.ID, Name: r.Name, Kind: r.Kind, Settings: &Settings{}, Language: r.Language, Enabled: r.Enabled, Shared: r.Shared, Filter: &Filter{}, Digest: r.Digest,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, SentAt: r.SentAt, FailedAt: r.FailedAt, Failure: r.Failure}
	if err := json.Unmarshal([]byte(r.Settings), c.Settings); err != nil {
		return nil, sealed{}, fmt.Errorf("%s: settings: %w", r.object(), err)
	}
	if err := json.Unmarshal([]byte(r.Filter), c.Filter); err != nil {
		return nil, sealed{}, fmt.Errorf("%s: filter: %w", r.object(), err)
	}
	var s sealed
	if len(r.Secret) > 0 {
		plain, err := n.o.Keys.Open(place(r.ID), r.Secret)
		if err != nil {
			return c, s, fmt.Errorf("the secrets of %s cannot be read: %w", r.object(), err)
		}
		if err := json.Unmarshal(plain, &s); err != nil {
			return c, s, fmt.Errorf("the secrets of %s are damaged", r.object())
		}
	}
	c.Secrets = s.names()
	return c, s, nil
}

// audited is a channel as the audit log shows it: with the names of its secrets, and without texts that may hold some.
func audited(c *Channel) any {
	out := *c
	s := *c.Settings
	if s.Webhook != nil {
		w := *s.Webhook
		w.URL, _, _ = strings.Cut(w.URL, "?")
		s.Webhook = &w
	}
	out.Settings = &s
	return out
}

// Channels lists all channels by name.
func (n *Notifier) Channels(ctx context.Context) ([]*Channel, error) {
	var rows []*channelRow
	if err := n.db.R.NewSelect().Model(&rows).OrderExpr("name, id").Scan(ctx); err != nil {
		return nil, err
	}
	out := make([]*Channel, 0, len(rows))
	for _, r := range rows {
		c, _, err := n.open(r)
		if c == nil {
			return nil, err
		}
		if err != nil {
			c.Failure = err.Error()
		}
		out = append(out, c)
	}
	return out, nil
}

// Channel gives one.
func (n *Notifier) Channel(ctx context.Context, id int64) (*Channel, error) {
	r, err := channelByID(ctx, n.db.R, id)
	if err != nil {
		return nil, err
	}
	c, _, err := n.open(r)
	if c != nil && err != nil {
		c.Failure = err.Error()
		err = nil
	}
	return c, err
}

func channelByID(ctx context.Context, db bun.IDB, id int64) (*channelRow, error) {
	r := &channelRow{}
	err := db.NewSelect().Model(r).Where("id = ?", id).Scan(ctx)
	return r, store.NotFound(err)
}

// fill checks what people gave and puts it into a row.
func (n *Notifier) fill(r *channelRow, in *ChannelInput, s sealed) error {
	in.Name = strings.TrimSpace(in.Name)
	if in.Name == "" || len(in.Name) > 100 || message.Line(in.Name) != in.Name {
		return invalid("a name of 1 to 100 characters on one line is wanted")
	}
	if in.Language == "" {
		in.Language = "en"
	}
	switch {
	case in.Language != "en" && in.Language != "zh":
		return invalid("language %q: want en or zh", in.Language)
	case !slices.Contains([]string{"", "hourly", "daily"}, in.Digest):
		return invalid("digest %q: want hourly, daily or nothing", in.Digest)
	}
	if err := in.Filter.check(); err != nil {
		return invalid("filter: %w", err)
	}
	if _, err := n.sender(in.Kind, in.Settings, s); err != nil {
		return invalid("%w", err)
	}
	r.Name, r.Kind, r.Language, r.Shared, r.Digest, r.UpdatedAt = in.Name, in.Kind, in.Language, in.Shared, in.Digest, store.At(n.now())
	r.Settings, r.Filter, r.Enabled = ledger.JSON(in.Settings), ledger.JSON(in.Filter), in.Enabled == nil || *in.Enabled
	return nil
}

func (n *Notifier) seal(r *channelRow, s sealed) error {
	r.Secret = []byte{}
	if s == (sealed{}) {
		return nil
	}
	var err error
	r.Secret, err = n.o.Keys.Seal(place(r.ID), []byte(ledger.JSON(s)))
	return err
}

// AddChannel makes a channel.
func (n *Notifier) AddChannel(ctx context.Context, in ChannelInput) (*Channel, error) {
	r := &channelRow{CreatedAt: store.At(n.now()), Secret: []byte{}}
	secrets := sealed{}.with(in.Secrets)
	if err := n.fill(r, &in, secrets); err != nil {
		return nil, err
	}
	var c *Channel
	err := n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		count, err := tx.NewSelect().Model((*channelRow)(nil)).Count(ctx)
		if err != nil {
			return err
		}
		if count >= maxChannels {
			return invalid("there are %d channels already", count)
		}
		r.ID, r.Secret = 0, []byte{}
		if _, err := tx.NewInsert().Model(r).Exec(ctx); err != nil {
			return err
		}
		if err := n.seal(r, secrets); err != nil { // bound to the id, which there is only now
			return err
		}
		if _, err := tx.NewUpdate().Model(r).Column("secret").WherePK().Exec(ctx); err != nil {
			return err
		}
		if c, _, err = n.open(r); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "channel.add", r.object(), 0, nil, audited(c))
	})
	return c, err
}

// ChangeChannel changes a channel to what in says. Secrets that in leaves out stay, unless messages would go to another place now: who
// may change an address does not learn a secret by that.
func (n *Notifier) ChangeChannel(ctx context.Context, id int64, in ChannelInput) (*Channel, error) {
	var c *Channel
	err := n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		r, err := channelByID(ctx, tx, id)
		if err != nil {
			return err
		}
		before, old, err := n.open(r)
		if before == nil {
			return err
		}
		if err != nil && (in.Secrets == nil || before.Kind != in.Kind) {
			return invalid("%w: give them again", err)
		}
		if in.Kind != r.Kind {
			return invalid("the kind of a channel cannot be changed: make a new one")
		}
		secrets := old.with(in.Secrets)
		if destination(*before.Settings, old) != destination(in.Settings, secrets) && kept(old, in.Secrets) {
			return invalid("messages would go to another place: give the secrets again, or empty")
		}
		if err := n.fill(r, &in, secrets); err != nil {
			return err
		}
		if err := n.seal(r, secrets); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model(r).ExcludeColumn("leased_until", "sent_at", "failed_at", "failure").WherePK().Exec(ctx); err != nil {
			return err
		}
		if c, _, err = n.open(r); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "channel.change", r.object(), 0, audited(before), audited(c))
	})
	return c, err
}

// kept reports whether any secret would stay that was set before.
func kept(old sealed, c *Secrets) bool {
	if c == nil {
		c = &Secrets{}
	}
	return old.SigningKey != "" && c.SigningKey == nil || old.Authorization != "" && c.Authorization == nil || old.Password != "" && c.Password == nil ||
		old.URL != "" && c.URL == nil
}

// RemoveChannel removes a channel with its log.
func (n *Notifier) RemoveChannel(ctx context.Context, id int64) error {
	return n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		r, err := channelByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Table("deliveries").Where("channel_id = ?", id).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(r).WherePK().Exec(ctx); err != nil {
			return err
		}
		c, _, _ := n.open(r)
		return audit.Record(ctx, tx, "channel.remove", r.object(), 0, audited(c), nil)
	})
}

// Reseal gives every channel's sealed secrets to reseal and keeps what it returns, for the rotation of keys.
func (n *Notifier) Reseal(ctx context.Context, reseal func(place string, sealed []byte) ([]byte, error)) error {
	return n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var rows []*channelRow
		if err := tx.NewSelect().Model(&rows).Column("id", "secret").Scan(ctx); err != nil {
			return err
		}
		for _, r := range rows {
			if len(r.Secret) == 0 {
				continue
			}
			secret, err := reseal(place(r.ID), r.Secret)
			if err != nil {
				return fmt.Errorf("channel %d: %w", r.ID, err)
			}
			if _, err := tx.NewUpdate().Model(r).Set("secret = ?", secret).WherePK().Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}
