package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// maxRestarts bounds how often one list is begun anew because its pages had expired.
const maxRestarts = 3

// fetch reads the objects of one kind into a queue.
type fetch struct {
	source *Source
	target *target
	queue  *queue
	done   chan struct{} // closed when the fields below are final

	read     int
	err      error
	problems []finding.NotScanned // single objects that were passed over
}

func (s *Source) start(ctx context.Context, t *target, budget int64) *fetch {
	f := &fetch{source: s, target: t, queue: newQueue(budget), done: make(chan struct{})}
	stop := context.AfterFunc(ctx, f.queue.wake)
	go func() {
		defer stop()
		defer close(f.done)
		defer f.queue.close()
		f.err = f.run(ctx)
	}()
	return f
}

func (f *fetch) run(ctx context.Context) error {
	s, k := f.source, f.target.kind
	d := decode.NewDecoder()
	d.DropValues = k.Kind == "Secret" && k.Group == "" && !s.cfg.SecretValues
	if len(s.cfg.Namespaces) == 0 {
		return f.list(ctx, d, "")
	}
	for _, ns := range s.cfg.Namespaces {
		var err error
		if k.Namespace {
			err = f.list(ctx, d, ns)
		} else {
			err = f.one(ctx, d, "", ns)
		}
		if err != nil {
			return fmt.Errorf("namespace %s: %w", ns, err)
		}
	}
	return nil
}

// one reads a single object by its name: the Namespaces, when only some are wanted, and what is picked.
func (f *fetch) one(ctx context.Context, d *decode.Decoder, namespace, name string) error {
	body, _, err := f.source.get(ctx, f.target.path(namespace)+"/"+name, "", "")
	if err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(body, int64(f.source.cfg.MaxObject)))
	_ = body.Close()
	if err != nil {
		return err
	}
	content, err := d.Object(data)
	if err != nil {
		return err
	}
	return f.push(ctx, content, len(data), map[string]bool{})
}

// list reads all pages of a list. A page that breaks off is asked for again and what was read before is passed over; a
// list whose pages have expired is begun again, from a consistent read.
func (f *fetch) list(ctx context.Context, d *decode.Decoder, namespace string) error {
	s := f.source
	seen := map[string]bool{}
	token, fresh := "", s.shuffled
	attempts, restarts := 0, 0
	for {
		before := f.read
		next, err := f.page(ctx, d, namespace, token, fresh, seen)
		if f.read > before {
			attempts = 0
		}
		var status *statusError
		switch {
		case err == nil && next == "":
			return nil
		case err == nil && next == token:
			return fmt.Errorf("the server gives the same page again and again")
		case err == nil:
			token, attempts = next, 0
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &status) && status.code == http.StatusNotFound && f.target.guessed:
			return nil // it was only a guess that this kind exists
		case errors.As(err, &status) && (status.code == http.StatusGone || status.reason == "Expired"):
			if restarts++; restarts > maxRestarts {
				return err
			}
			token, fresh = "", true
		default:
			attempts++
			if attempts >= s.cfg.Attempts || !s.retry(ctx, err, attempts) {
				return err
			}
		}
	}
}

const protobuf = "application/vnd.kubernetes.protobuf"

// reader gives the items of a list one by one, in the errors of decode.List.
type reader interface {
	Object(d *decode.Decoder) (m map[string]any, size int, err error)
	Continue() string
}

// page reads one answer and returns the token of the next.
func (f *fetch) page(ctx context.Context, d *decode.Decoder, namespace, token string, fresh bool, seen map[string]bool) (next string, err error) {
	s, k := f.source, f.target.kind
	sch := schema(f.target.apiVersion, k.Kind)
	accept := ""
	if sch != nil {
		accept = protobuf + ",application/json"
	}
	body, contentType, err := s.get(ctx, f.target.path(namespace), listQuery(k.Selector, token, s.cfg.PageSize, fresh), accept)
	if err != nil {
		return "", err
	}
	defer func() { _ = body.Close() }()
	var l reader = decode.NewList(body, s.cfg.MaxObject)
	if sch != nil && strings.HasPrefix(contentType, protobuf) {
		l = decode.NewProtoList(body, sch, s.cfg.MaxObject)
	}
	for {
		content, size, err := l.Object(d)
		var (
			large  *decode.TooLargeError
			broken *decode.BrokenError
			status *decode.StatusError
		)
		switch {
		case err == nil:
			if err := f.push(ctx, content, size, seen); err != nil {
				return "", err
			}
		case errors.Is(err, io.EOF):
			return l.Continue(), nil
		case errors.As(err, &large):
			f.problem(finding.Limit, fmt.Sprintf("an object of more than %d MiB", large.Limit>>20))
		case errors.As(err, &broken):
			f.problem(finding.Broken, err.Error())
		case errors.As(err, &status):
			return "", &statusError{code: status.Code, reason: status.Reason, message: status.Message}
		default:
			return "", err
		}
	}
}

func (f *fetch) problem(code finding.Code, reason string) {
	f.problems = append(f.problems, finding.NotScanned{Target: f.source.info.Name, What: "an object of " + f.target.kind.GroupResource(),
		Reason: reason, Code: code})
}

// push hands an object on, unless it was read before.
func (f *fetch) push(ctx context.Context, content map[string]any, size int, seen map[string]bool) error {
	k := f.target.kind
	content["apiVersion"], content["kind"] = f.target.apiVersion, k.Kind // items of built-in lists leave them out
	o, _ := inventory.NewObject(content)
	key := o.UID
	if key == "" {
		key = o.Namespace + "/" + o.Name
	}
	if seen[key] {
		return nil
	}
	seen[key] = true
	f.read++
	if !f.source.cfg.SecretValues {
		collect.Redact(o)
	}
	return f.queue.push(ctx, o, size)
}
