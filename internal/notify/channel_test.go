package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/notify/mail"
	"stockade.dev/stockade/internal/notify/syslog"
	"stockade.dev/stockade/internal/notify/webhook"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestSecrets keeps secrets out of the database, the answers and the audit log, and does not send them to another place.
func TestSecrets(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		ctx := adminContext()
		in := ChannelInput{Name: "ops", Kind: Webhook, Settings: Settings{Webhook: &webhook.Settings{URL: "https://hooks.example.com/a?token=in-query"}},
			Secrets: &Secrets{SigningKey: text("signing-s3cret"), Authorization: text("Bearer auth-s3cret")}}
		c, err := l.AddChannel(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(c.Secrets, " ") != "signingKey authorization" || c.Language != "en" || !c.Enabled {
			t.Errorf("%+v", c)
		}
		var row channelRow
		if err := db.R.NewSelect().Model(&row).Scan(ctx); err != nil || bytes.Contains(row.Secret, []byte("s3cret")) || len(row.Secret) == 0 {
			t.Error(err, string(row.Secret))
		}
		check := func(v any) {
			t.Helper()
			data, _ := json.Marshal(v)
			if bytes.Contains(data, []byte("s3cret")) {
				t.Errorf("a secret in %s", data)
			}
		}
		list, err := l.Channels(ctx)
		if err != nil || len(list) != 1 {
			t.Fatal(err)
		}
		check(list)

		// another path, another template: the secrets stay
		in.Secrets, in.Settings.Webhook.URL = nil, "https://hooks.example.com/b"
		if c, err = l.ChangeChannel(ctx, c.ID, in); err != nil || len(c.Secrets) != 2 {
			t.Fatal(c, err)
		}
		// another host, or another authority: they are asked for again
		for _, s := range []webhook.Settings{{URL: "https://evil.example.com/b"}, {URL: "https://hooks.example.com:8443/b"}, {URL: "http://hooks.example.com/b", PlainHTTP: true},
			{URL: "https://hooks.example.com/b", CA: certificate()}} {
			in.Settings.Webhook = &s
			_, err = l.ChangeChannel(ctx, c.ID, in)
			wantErr(t, err, "another place")
			in.Secrets = &Secrets{SigningKey: text("new")}
			_, err = l.ChangeChannel(ctx, c.ID, in)
			wantErr(t, err, "another place")
			in.Secrets = nil
		}
		in.Settings.Webhook = &webhook.Settings{URL: "https://other.example.com/b"}
		in.Secrets = &Secrets{SigningKey: text(""), Authorization: text("Bearer other")}
		if c, err = l.ChangeChannel(ctx, c.ID, in); err != nil || strings.Join(c.Secrets, " ") != "authorization" {
			t.Fatal(c, err)
		}
		in.Kind = Slack
		_, err = l.ChangeChannel(ctx, c.ID, in)
		wantErr(t, err, "kind")

		if err := l.Reseal(ctx, func(place string, sealed []byte) ([]byte, error) {
			if place != "channels/1/secret" {
				t.Error(place)
			}
			plain, err := l.o.Keys.Open(place, sealed)
			if err != nil {
				return nil, err
			}
			return l.o.Keys.Seal(place, plain)
		}); err != nil {
			t.Fatal(err)
		}
		if err := l.RemoveChannel(ctx, c.ID); err != nil {
			t.Fatal(err)
		}
		if err := l.RemoveChannel(ctx, c.ID); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		var entries []struct{ Action, Before, After string }
		if err := db.R.NewSelect().Table("audit").Column("action", "before", "after").OrderExpr("id").Scan(ctx, &entries); err != nil || len(entries) != 4 {
			t.Fatal(err, entries)
		}
		for _, e := range entries {
			if strings.Contains(e.Before+e.After, "s3cret") || strings.Contains(e.Before+e.After, "in-query") || !strings.Contains(e.Before+e.After, "hooks.example.com") && !strings.Contains(e.Before+e.After, "other.example.com") {
				t.Errorf("%+v", e)
			}
		}
	})
}

// TestRefusedChannels says at once what a channel cannot be.
func TestRefusedChannels(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		hooks := &webhook.Settings{URL: "https://hooks.example.com/"}
		post := &mail.Settings{Host: "mail.example.com", From: "a@example.com", To: []string{"b@example.com"}}
		for want, in := range map[string]ChannelInput{
			"name":                   {Kind: Webhook, Settings: Settings{Webhook: hooks}},
			"on one line":            {Name: "a\nb", Kind: Webhook, Settings: Settings{Webhook: hooks}},
			`kind "pigeon"`:          {Name: "a", Kind: "pigeon", Settings: Settings{Webhook: hooks}},
			"settings of webhook":    {Name: "a", Kind: Webhook},
			"of nothing else":        {Name: "a", Kind: Webhook, Settings: Settings{Webhook: hooks, Mail: post}},
			"no settings of mail":    {Name: "a", Kind: Mail, Settings: Settings{Webhook: hooks}},
			"no settings of webhook": {Name: "a", Kind: Webhook, Settings: Settings{Syslog: &syslog.Settings{Address: "a:1"}}},
			"not one of mail":        {Name: "a", Kind: Mail, Settings: Settings{Mail: post}, Secrets: &Secrets{SigningKey: text("x")}},
			"not one of webhook":     {Name: "a", Kind: Webhook, Settings: Settings{Webhook: hooks}, Secrets: &Secrets{URL: text("https://127.0.0.1/")}},
			"metadata":               {Name: "a", Kind: Webhook, Settings: Settings{Webhook: &webhook.Settings{URL: "https://169.254.169.254/latest/meta-data"}}},
			"private":                {Name: "a", Kind: Slack, Settings: Settings{Webhook: &webhook.Settings{}}, Secrets: &Secrets{URL: text("https://10.0.0.1/services/x")}},
			"loopback":               {Name: "a", Kind: Mail, Settings: Settings{Mail: &mail.Settings{Host: "::1", From: "a@example.com", To: []string{"b@example.com"}}}},
			"link-local":             {Name: "a", Kind: CEF, Settings: Settings{Syslog: &syslog.Settings{Address: "[fe80::1]:514"}}},
			"template is empty":      {Name: "a", Kind: Template, Settings: Settings{Webhook: hooks}},
			"titel":                  {Name: "a", Kind: Template, Settings: Settings{Webhook: &webhook.Settings{URL: hooks.URL, Template: `{"a": "{{.titel}}"}`}}},
			"of the kind template":   {Name: "a", Kind: Webhook, Settings: Settings{Webhook: &webhook.Settings{URL: hooks.URL, Template: "x"}}},
			"language":               {Name: "a", Kind: Webhook, Settings: Settings{Webhook: hooks}, Language: "fr"},
			"digest":                 {Name: "a", Kind: Webhook, Settings: Settings{Webhook: hooks}, Digest: "weekly"},
			`topic "x"`:              {Name: "a", Kind: Webhook, Settings: Settings{Webhook: hooks}, Filter: Filter{Topics: []string{"x"}}},
			`"x" is no id`:           {Name: "a", Kind: Webhook, Settings: Settings{Webhook: hooks}, Filter: Filter{Targets: []string{"x"}}},
			"namespace":              {Name: "a", Kind: Webhook, Settings: Settings{Webhook: hooks}, Filter: Filter{Namespaces: []string{""}}},
		} {
			_, err := l.AddChannel(adminContext(), in)
			wantErr(t, err, want)
		}
		l.add(ChannelInput{Name: "a", Kind: Webhook, Settings: Settings{Webhook: hooks}})
		if _, err := l.AddChannel(adminContext(), ChannelInput{Name: "a", Kind: Webhook, Settings: Settings{Webhook: hooks}}); !store.Duplicate(err) {
			t.Error(err)
		}
	})
}

// TestTest sends a marked message and gives the answer back without secrets.
func TestTest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := newLab(t, db)
		h := newHook(t, 200, 500)
		in := h.input("ops", Filter{})
		in.Enabled = new(bool)
		c := l.add(in)
		got, err := l.Test(adminContext(), c.ID)
		if err != nil || !got.OK || got.Answer != "status 200" || !h.got[0].Test {
			t.Error(got, err)
		}
		got, err = l.Test(adminContext(), c.ID)
		if err != nil || got.OK || got.Answer != "status 500" || h.ids[0] == h.ids[1] {
			t.Error(got, err)
		}
		if _, err := l.Test(adminContext(), 99); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestPreview(t *testing.T) {
	l := newLab(t, storetest.Open(t, "sqlite"))
	for kind, s := range map[string]Settings{
		Webhook: {Webhook: &webhook.Settings{}}, Slack: {Webhook: &webhook.Settings{}}, Template: {Webhook: &webhook.Settings{Template: `{"a": "{{.title}}"}`}},
		Mail: {}, Syslog: {Syslog: &syslog.Settings{Address: "a:514"}}, CEF: {Syslog: &syslog.Settings{Address: "a:514"}},
	} {
		p, err := l.Preview(ChannelInput{Kind: kind, Settings: s, Language: "zh"})
		if err != nil || !strings.Contains(p.Body, "测试消息") {
			t.Errorf("%s: %v %v", kind, p, err)
		}
	}
	for _, in := range []ChannelInput{{}, {Kind: Webhook}, {Kind: CEF}, {Kind: Template, Settings: Settings{Webhook: &webhook.Settings{Template: "{{"}}}} {
		_, err := l.Preview(in)
		wantErr(t, err, "")
	}
	if _, err := l.Channel(context.Background(), 1); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}

// certificate is any certificate at all.
func certificate() string {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}
