package cluster

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Glance is what a handful of requests tell of a cluster, however large it is.
type Glance struct {
	Info   inventory.ClusterInfo // Unread names nothing: no lists were read
	Nodes  int                   // -1 when nodes may not be listed
	Served []Served              // the kinds of collect.Kinds that the server has, in that order
	Tried  bool                  // discovery is forbidden: Served holds what every Kubernetes has
}

// Served is a kind that the server has.
type Served struct {
	Kind       *collect.Kind
	APIVersion string // "apps/v1"
}

// Glance asks for the kinds that the server has and for the first nodes, by which distributions are told.
func (s *Source) Glance(ctx context.Context) (*Glance, error) {
	g := &Glance{}
	targets, err := s.discover(ctx, func(n finding.NotScanned) { g.Tried = g.Tried || n.Code == finding.Forbidden })
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		g.Served = append(g.Served, Served{Kind: t.kind, APIVersion: t.apiVersion})
	}
	if g.Nodes, err = s.firstNodes(ctx); err != nil {
		return nil, s.explain(err)
	}
	s.info.Distribution, s.info.Managed = s.signs.Judge()
	g.Info = s.info
	g.Info.Unread = map[string]string{}
	return g, nil
}

// firstNodes takes the traces of the first nodes and returns how many there are; -1 when that is not told.
func (s *Source) firstNodes(ctx context.Context) (int, error) {
	body, _, err := s.get(ctx, "/api/v1/nodes", "limit=20", "")
	var status *statusError
	if errors.As(err, &status) && (status.code == http.StatusForbidden || status.code == http.StatusNotFound) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = body.Close() }()
	const most = 32 << 20
	data, err := io.ReadAll(io.LimitReader(body, most))
	if err != nil {
		return 0, err
	}
	content, err := decode.NewDecoder().Object(data)
	if err != nil {
		return 0, &notJSONError{path: "/api/v1/nodes", start: firstLine(string(data))}
	}
	items := inventory.List(content, "items")
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			m["apiVersion"], m["kind"] = "v1", "Node"
			if o, ok := inventory.NewObject(m); ok {
				s.signs.Node(o)
			}
		}
	}
	rest, _ := inventory.Int(content, "metadata", "remainingItemCount")
	return len(items) + int(max(rest, 0)), nil
}

// Refused reports whether err is the server's word that these credentials are not accepted, or may not read what was asked for.
func Refused(err error) bool {
	var status *statusError
	return errors.As(err, &status) && slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden}, status.code)
}
