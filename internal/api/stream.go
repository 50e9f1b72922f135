package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Upload is embedded in the input of routes that take a file: Reader gives the request's body as it comes, up to the route's
// MaxBody; what is longer fails with *http.MaxBytesError.
type Upload struct {
	Reader io.Reader `json:"-"`
}

// Resolve implements huma.Resolver.
func (u *Upload) Resolve(c huma.Context) []error {
	u.Reader = c.BodyReader()
	return nil
}

// beat is how often a silent stream shows that it lives, so that proxies keep it open.
const beat = 15 * time.Second

// Events adds a route that answers with server-sent events. start checks what is asked for, and returns the channel of messages;
// the stream ends when the channel is closed or the client leaves (ctx).
func Events[I any](a *API, r Route, start func(ctx context.Context, in *I) (<-chan Event, error)) {
	o := a.operation(r)
	o.Responses = map[string]*huma.Response{"200": {Description: "Server-sent events", Content: map[string]*huma.MediaType{
		"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString, Description: "events as id, event and data; data is JSON"}}}}}
	huma.Register(a.huma, o, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		events, err := start(ctx, in)
		if err != nil {
			return nil, problem(ctx, err)
		}
		return &huma.StreamResponse{Body: func(c huma.Context) { send(c, events) }}, nil
	})
	a.stringIDs()
}

// Event is one message of a stream.
type Event struct {
	Name string // type of the event
	ID   string // where to go on from; may be empty
	Data any    // becomes JSON
}

func send(c huma.Context, events <-chan Event) {
	c.SetHeader("Content-Type", "text/event-stream")
	c.SetHeader("Cache-Control", "no-store")
	c.SetHeader("X-Accel-Buffering", "no")
	c.SetStatus(http.StatusOK)
	w := c.BodyWriter()
	tick := time.NewTicker(beat)
	defer tick.Stop()
	var stop <-chan struct{}
	if q := RequestOf(c.Context()); q != nil {
		stop = q.Stop
	}
	text := ": open\n\n"
	for {
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case <-c.Context().Done():
			return
		case <-stop:
			return
		case <-tick.C:
			text = ": alive\n\n"
		case e, ok := <-events:
			if !ok {
				return
			}
			text = format(e)
		}
	}
}

// lines keeps a field of an event on its line.
var lines = strings.NewReplacer("\n", " ", "\r", " ")

func format(e Event) string {
	data, err := json.Marshal(e.Data)
	if err != nil {
		data, _ = json.Marshal(map[string]string{"error": "this event could not be written"})
	}
	var b strings.Builder
	if e.ID != "" {
		fmt.Fprintf(&b, "id: %s\n", lines.Replace(e.ID))
	}
	if e.Name != "" {
		fmt.Fprintf(&b, "event: %s\n", lines.Replace(e.Name))
	}
	fmt.Fprintf(&b, "data: %s\n\n", data)
	return b.String()
}
