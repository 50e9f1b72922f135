package cluster

import (
	"context"
	"errors"
	"net/http"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// ErrForbidden is returned by Get for objects that the credentials may not read.
var ErrForbidden = errors.New("the credentials may not read it")

// ErrKind is returned by Get for kinds that a scan does not read.
var ErrKind = errors.New("a scan does not read this kind")

// Get reads one object as it is now; nil when there is none. ref must have the apiVersion that the server serves.
func (s *Source) Get(ctx context.Context, ref inventory.Ref) (*inventory.Object, error) {
	if collect.Find(ref.GroupKind()) == nil {
		return nil, ErrKind
	}
	forbidden := false
	p := &picker{source: s, done: map[inventory.Ref]bool{}, notScanned: func(finding.NotScanned) { forbidden = true }}
	o, err := p.read(ctx, ref)
	if forbidden {
		return nil, ErrForbidden
	}
	var status *statusError
	if errors.As(err, &status) && status.code == http.StatusUnauthorized {
		return nil, ErrForbidden
	}
	return o, err
}
