package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
)

// Event is one message of a stream of server-sent events.
type Event struct {
	Name string // "message" when the server gives none
	ID   string
	Data json.RawMessage
}

// maxEvent bounds one event.
const maxEvent = 1 << 20

// Events reads a stream until it ends, ctx does, or the loop is left. The last pair holds the error, if there was one; a stream
// that the server ends has none.
func (c *Client) Events(ctx context.Context, path string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		res, err := c.send(ctx, request{method: http.MethodGet, path: path, accept: "text/event-stream", empty: true})
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer func() { _ = res.Body.Close() }()
		if err := readEvents(res.Body, func(e Event) bool { return yield(e, nil) }); err != nil && ctx.Err() == nil {
			yield(Event{}, err)
		}
	}
}

// readEvents reads the form of https://html.spec.whatwg.org/#event-stream-interpretation. It stops when f returns false.
func readEvents(r io.Reader, f func(Event) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxEvent)
	var e Event
	var data strings.Builder
	for lines.Scan() {
		line := strings.TrimSuffix(lines.Text(), "\r")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if data.Len() > 0 {
				e.Data = json.RawMessage(strings.TrimSuffix(data.String(), "\n"))
				if e.Name == "" {
					e.Name = "message"
				}
				if !json.Valid(e.Data) {
					return errors.New("an event of the server is no JSON")
				}
				if !f(e) {
					return nil
				}
			}
			e.Name = ""
			data.Reset()
		case field == "event":
			e.Name = value
		case field == "id" && !strings.Contains(value, "\x00"):
			e.ID = value
		case field == "data":
			if data.Len()+len(value) > maxEvent {
				return errors.New("an event of the server is too large")
			}
			data.WriteString(value)
			data.WriteByte('\n')
		}
	}
	return lines.Err()
}
