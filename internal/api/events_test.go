package api_test

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestEvents: each gets the events of what it may see, who sees only a namespace without what they say, and nobody those that are
// for the server itself.
func TestEvents(t *testing.T) {
	hub := live.New(storetest.Open(t, "sqlite"), slog.New(slog.DiscardHandler))
	for _, c := range []struct {
		name  string
		grant identity.Grant
		query string
		want  []string
	}{
		{"administrator", identity.Grant{Role: identity.Administrator}, "", []string{`event: task data: {"targetId":"1","id":"10","body":"of one"}`,
			`event: task data: {"targetId":"2","id":"20","body":"of two"}`, `event: server data: {"body":"of all"}`}},
		{"viewer of one", identity.Grant{Role: identity.Viewer, Target: 1}, "", []string{`event: task data: {"targetId":"1","id":"10","body":"of one"}`}},
		{"viewer of a namespace of two", identity.Grant{Role: identity.Viewer, Target: 2, Namespace: "shop"}, "", []string{`event: task data: {"targetId":"2"}`}},
		{"by topic", identity.Grant{Role: identity.Administrator}, "?topic=server", []string{`event: server data: {"body":"of all"}`}},
		{"by target", identity.Grant{Role: identity.Administrator}, "?targetId=2", []string{`event: task data: {"targetId":"2","id":"20","body":"of two"}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mux := http.NewServeMux()
			api.News(api.New(mux, "test"), hub)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mux.ServeHTTP(w, r.WithContext(identity.With(r.Context(), &identity.Principal{Name: "x", Grants: []identity.Grant{c.grant}})))
			}))
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/v1/events"+c.query, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Last-Event-ID", "17")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
				t.Fatal(res.Status, res.Header)
			}
			lines := bufio.NewScanner(res.Body)
			for lines.Scan() && lines.Text() != ": open" { // now it is subscribed
			}
			hub.Publish(ctx, live.Event{Topic: "image-item", Target: 1, ID: 5})
			hub.Publish(ctx, live.Event{Topic: "task", Target: 1, ID: 10, Body: "of one"})
			hub.Publish(ctx, live.Event{Topic: "task", Target: 2, ID: 20, Body: "of two"})
			hub.Publish(ctx, live.Event{Topic: "server", Body: "of all"})
			var got []string
			var event []string
			for len(got) < len(c.want) && lines.Scan() {
				switch text := lines.Text(); {
				case text == "" && len(event) > 0:
					got, event = append(got, strings.Join(event, " ")), nil
				case text != "":
					event = append(event, text)
				}
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}
