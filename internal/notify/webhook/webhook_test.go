package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/notify/guard"
	"stockade.dev/stockade/internal/notify/message"
)

func local(t *testing.T) *guard.Guard {
	t.Helper()
	g, err := guard.New([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func fixed() time.Time { return time.Unix(1_700_000_000, 0) }

func TestSend(t *testing.T) {
	var got *http.Request
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "thanks, s3cret-token\nand more")
	}))
	defer s.Close()
	sender, err := New(local(t), Settings{URL: s.URL + "/hook", PlainHTTP: true, Headers: map[string]string{"X-Team": "shop"}},
		Secret{Key: "signing-key", Authorization: "Bearer s3cret-token"}, JSON, fixed)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := sender.Send(context.Background(), message.Sample("id1", fixed(), ""), "en")
	if err != nil || answer != "status 200 thanks, REDACTED and more" {
		t.Fatal(answer, err)
	}
	h := got.Header
	if h.Get("X-Stockade-Event") != "id1" || h.Get("Idempotency-Key") != "id1" || h.Get("X-Stockade-Topic") != "test" || h.Get("X-Team") != "shop" || h.Get("Authorization") != "Bearer s3cret-token" {
		t.Error(h)
	}
	// as a receiver would check it
	at, sum, _ := strings.Cut(strings.TrimPrefix(h.Get("X-Stockade-Signature"), "t="), ",v1=")
	m := hmac.New(sha256.New, []byte("signing-key"))
	_, _ = io.WriteString(m, at+"."+string(body))
	if at != "1700000000" || sum != hex.EncodeToString(m.Sum(nil)) {
		t.Error(h.Get("X-Stockade-Signature"))
	}
	var d message.Document
	if err := json.Unmarshal(body, &d); err != nil || d.Schema != message.Schema || d.ID != "id1" || !d.Test {
		t.Error(err, d)
	}
}

// TestAnswers says which answers end the attempts.
func TestAnswers(t *testing.T) {
	status, after := 0, ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://169.254.169.254/")
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		w.WriteHeader(status)
	}))
	defer s.Close()
	sender, err := New(local(t), Settings{URL: s.URL, PlainHTTP: true}, Secret{}, JSON, fixed)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		status    int
		after     string
		permanent bool
		wait      time.Duration
	}{{500, "", false, 0}, {503, "30", false, 30 * time.Second}, {429, "999999", false, time.Hour}, {401, "", false, 0}, {404, "", false, 0}, {408, "", false, 0},
		{400, "", true, 0}, {410, "", true, 0}, {422, "soon", true, 0}, {302, "", true, 0}, {307, "", true, 0}} {
		status, after = c.status, c.after
		_, err := sender.Send(context.Background(), message.Sample("x", fixed(), ""), "en")
		if err == nil || message.Permanent(err) != c.permanent || message.Wait(err) != c.wait {
			t.Errorf("%+v: %v, permanent %v, wait %s", c, err, message.Permanent(err), message.Wait(err))
		}
	}
}

// TestSettings refuses addresses and headers that could be used for something else.
func TestSettings(t *testing.T) {
	g, _ := guard.New(nil)
	for _, s := range []Settings{
		{URL: "http://hooks.example.com/"}, {URL: "https://127.0.0.1/"}, {URL: "https://[::ffff:169.254.169.254]/latest"}, {URL: "https://u:p@hooks.example.com/"}, {},
		{URL: "https://hooks.example.com/", Method: "GET"}, {URL: "https://hooks.example.com/", CA: "no"},
		{URL: "https://hooks.example.com/", Headers: map[string]string{"Host": "a"}},
		{URL: "https://hooks.example.com/", Headers: map[string]string{"x-stockade-signature": "a"}},
		{URL: "https://hooks.example.com/", Headers: map[string]string{"authorization": "a"}},
		{URL: "https://hooks.example.com/", Headers: map[string]string{"X-A": "a\r\nX-B: b"}},
		{URL: "https://hooks.example.com/", Headers: map[string]string{"X A": "a"}},
	} {
		if _, err := New(g, s, Secret{}, JSON, fixed); err == nil {
			t.Errorf("%+v was taken", s)
		}
	}
	if _, err := New(g, Settings{URL: "https://hooks.example.com/"}, Secret{Authorization: "a\r\nb"}, JSON, fixed); err == nil {
		t.Error("a line break in the authorization was taken")
	}
}

// TestErrorHidesAddress keeps a secret address out of errors.
func TestErrorHidesAddress(t *testing.T) {
	sender, err := New(local(t), Settings{PlainHTTP: true}, Secret{URL: "http://127.0.0.1:1/services/T00/B00/XXXXSECRET"}, Slack, fixed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = sender.Send(context.Background(), message.Sample("x", fixed(), ""), "en"); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Error(err)
	}
	if _, err := New(local(t), Settings{}, Secret{URL: "://SECRET\x7f"}, Slack, fixed); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Error(err)
	}
}

// hostile is an event whose foreign names try everything.
func hostile() *message.Event {
	e := message.Sample("x", fixed(), "https://stockade.example.com/f|x>")
	bad := "a`*~</b>&<!channel> @here [x](https://evil.example.com) \"q\"\\ \r\nX-Injected: 1 | = ]"
	e.Title = finding.Text{EN: bad}
	e.Findings[0].Title, e.Findings[0].Resource, e.Findings[0].Image, e.Findings[0].Cluster = finding.Text{EN: bad}, bad, bad, bad
	return e
}

func TestSlack(t *testing.T) {
	body, _, err := Slack(hostile(), "en")
	if err != nil {
		t.Fatal(err)
	}
	var m slackMessage
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	all := m.Text + m.Attachments[0].Text
	for _, bad := range []string{"<!channel>", "</b>", " @here ", "](https", "\r"} {
		outside := all
		for { // code spans are not read for marks
			before, rest, ok := strings.Cut(outside, "`")
			_, after, end := strings.Cut(rest, "`")
			if !ok || !end {
				break
			}
			outside = before + after
		}
		if strings.Contains(outside, bad) {
			t.Errorf("%q in %s", bad, outside)
		}
	}
	if strings.Count(all, "`") != 2 || strings.Contains(all, "<!channel>") {
		t.Error(all)
	}
	if !strings.Contains(all, "<https://stockade.example.com/f%7Cx%3E|Open in Stockade>") {
		t.Error(all)
	}
	zh, _, _ := Slack(message.Sample("x", fixed(), ""), "zh")
	if !strings.Contains(string(zh), "高危") {
		t.Errorf("%s", zh)
	}
}
