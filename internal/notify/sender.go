package notify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/notify/mail"
	"stockade.dev/stockade/internal/notify/message"
	"stockade.dev/stockade/internal/notify/syslog"
	"stockade.dev/stockade/internal/notify/webhook"
)

// send sends an event through a channel; file goes with it where the channel carries files.
type send func(ctx context.Context, e *message.Event, lang string, file *message.Attachment) (answer string, err error)

// sender makes what sends through a channel, or says what of its settings is at fault.
func (n *Notifier) sender(kind string, s Settings, secret sealed) (send, error) {
	var problem error
	if !slices.Contains(Kinds, kind) {
		return nil, fmt.Errorf("kind %q: want one of %s", kind, strings.Join(Kinds, ", "))
	}
	given := 0
	for _, set := range []bool{s.Webhook != nil, s.Mail != nil, s.Syslog != nil} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		problem = fmt.Errorf("want the settings of %s and of nothing else", kind)
	case s.Webhook != nil && kind != Webhook && kind != Slack && kind != Template, s.Mail != nil && kind != Mail, s.Syslog != nil && kind != Syslog && kind != CEF:
		problem = fmt.Errorf("these are no settings of %s", kind)
	case secret.Password != "" && kind != Mail, secret.URL != "" && kind != Slack, secret.SigningKey != "" && kind != Webhook && kind != Template,
		secret.Authorization != "" && s.Webhook == nil:
		problem = fmt.Errorf("this secret is not one of %s", kind)
	case s.Webhook != nil && kind != Template && (s.Webhook.Template != "" || s.Webhook.Method != "" || s.Webhook.ContentType != ""):
		problem = errors.New("template, method and contentType are of the kind template")
	}
	if problem != nil {
		return nil, problem
	}
	switch kind {
	case Mail:
		m, err := mail.New(n.guard, *s.Mail, secret.Password, n.now)
		if err != nil {
			return nil, err
		}
		return m.Send, nil
	case Syslog, CEF:
		l, err := syslog.New(n.guard, *s.Syslog, kind == CEF, n.o.Version)
		if err != nil {
			return nil, err
		}
		return plainSend(l.Send), nil
	}
	form, err := form(kind, s)
	if err != nil {
		return nil, err
	}
	w, err := webhook.New(n.guard, *s.Webhook, webhook.Secret{Key: secret.SigningKey, Authorization: secret.Authorization, URL: secret.URL}, form, n.now)
	if err != nil {
		return nil, err
	}
	return plainSend(w.Send), nil
}

// plainSend leaves out the file.
func plainSend(f func(context.Context, *message.Event, string) (string, error)) send {
	return func(ctx context.Context, e *message.Event, lang string, _ *message.Attachment) (string, error) {
		return f(ctx, e, lang)
	}
}

func form(kind string, s Settings) (webhook.Form, error) {
	switch kind {
	case Slack:
		return webhook.Slack, nil
	case Template:
		t, err := webhook.Parse(s.Webhook.Template, s.Webhook.ContentType)
		if err != nil {
			return nil, err
		}
		return t.Form, nil
	}
	return webhook.JSON, nil
}

// destination names where messages go, and how well they are guarded on the way: with another one, secrets are asked for anew.
func destination(s Settings, secret sealed) string {
	switch {
	case s.Mail != nil:
		return fmt.Sprintf("%s:%d %s %s %s", s.Mail.Host, s.Mail.Port, s.Mail.Security, s.Mail.CA, s.Mail.User)
	case s.Syslog != nil:
		return ""
	case s.Webhook == nil:
		return ""
	}
	address := s.Webhook.URL
	if secret.URL != "" {
		address = secret.URL
	}
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Scheme + "://" + u.Host + " " + s.Webhook.CA
}

// Tested is the outcome of a test message.
type Tested struct {
	OK     bool   `json:"ok"`
	Answer string `json:"answer" doc:"of the receiver, or why it failed; secrets are taken out"`
}

// Test sends a message that is marked as a test through a channel, whether it is enabled or not.
func (n *Notifier) Test(ctx context.Context, id int64) (*Tested, error) {
	r, err := channelByID(ctx, n.db.R, id)
	if err != nil {
		return nil, err
	}
	out := &Tested{}
	c, secret, err := n.open(r)
	if err == nil {
		var s send
		if s, err = n.sender(c.Kind, *c.Settings, secret); err == nil {
			sending, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			out.Answer, err = s(sending, message.Sample(newID(), n.now(), n.link("/")), c.Language, nil)
		}
	}
	out.OK = err == nil
	if err != nil {
		out.Answer = message.Answer(err.Error())
	}
	return out, n.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		return audit.Record(ctx, tx, "channel.test", r.object(), 0, nil, out)
	})
}

// Preview is what a channel would send.
type Preview struct {
	ContentType string `json:"contentType"`
	Body        string `json:"body"`
}

// Preview renders an example for settings that need not be saved. Nothing is sent.
func (n *Notifier) Preview(in ChannelInput) (*Preview, error) {
	e := message.Sample("0123456789abcdef0123456789abcdef", n.now(), n.link("/"))
	if in.Language != "zh" {
		in.Language = "en"
	}
	switch in.Kind {
	case Webhook, Slack, Template:
		if in.Settings.Webhook == nil {
			return nil, invalid("want the settings of %s", in.Kind)
		}
		f, err := form(in.Kind, in.Settings)
		if err != nil {
			return nil, invalid("%w", err)
		}
		body, contentType, err := f(e, in.Language)
		if err != nil {
			return nil, invalid("%w", err)
		}
		return &Preview{contentType, string(body)}, nil
	case Syslog, CEF:
		if in.Settings.Syslog == nil {
			return nil, invalid("want the settings of %s", in.Kind)
		}
		l, err := syslog.New(n.guard, *in.Settings.Syslog, in.Kind == CEF, n.o.Version)
		if err != nil {
			return nil, invalid("%w", err)
		}
		return &Preview{"text/plain", strings.Join(l.Records(e, in.Language), "\n")}, nil
	case Mail:
		return &Preview{"text/html", mail.HTML(e, in.Language)}, nil
	}
	return nil, invalid("kind %q: want one of %s", in.Kind, strings.Join(Kinds, ", "))
}
