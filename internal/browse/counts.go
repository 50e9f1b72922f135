package browse

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
)

// cell is how many findings have a kind, a severity and a status.
type cell struct {
	kind     ledger.Kind
	severity ledger.Severity
	status   ledger.Status
	n        int
}

// matrix is the counters of some part of the findings.
type matrix []cell

// matrix reads the counters of whole targets, nil for all, or of namespaces in them.
func (b *Browser) matrix(ctx context.Context, s scope, namespaces []string) (matrix, error) {
	q := text("SELECT kind, severity, status, sum(n) FROM counts WHERE target_id ")
	if s.all {
		q.add("= 0")
	} else {
		q.add("IN (?)", bun.List(s.targets))
	}
	if namespaces == nil {
		q.add(" AND namespace = '*'")
	} else {
		q.add(" AND namespace IN (?)", bun.List(namespaces))
	}
	q.add(" GROUP BY kind, severity, status")
	m, err := b.cells(ctx, q)
	if err != nil || !s.all || len(s.removed) == 0 || namespaces != nil {
		return m, err
	}
	gone, err := b.cells(ctx, text("SELECT kind, severity, status, sum(n) FROM counts WHERE target_id IN (?) AND namespace = '*' GROUP BY kind, severity, status",
		bun.List(s.removed)))
	for _, g := range gone {
		for i, c := range m {
			if c.kind == g.kind && c.severity == g.severity && c.status == g.status {
				m[i].n -= g.n
			}
		}
	}
	return m, err
}

func (b *Browser) cells(ctx context.Context, q sqlText) (matrix, error) {
	var m matrix
	err := b.query(ctx, q, func(scan func(...any) error) error {
		var c cell
		if err := scan(&c.kind, &c.severity, &c.status, &c.n); err != nil {
			return err
		}
		m = append(m, c)
		return nil
	})
	return m, err
}

// matching keeps the cells that a filter lets through and that are not empty.
func (m matrix) matching(f Filter) matrix {
	var out matrix
	for _, c := range m {
		if c.n > 0 && has(f.Kinds, c.kind) && has(f.Severities, c.severity) && has(f.Statuses, c.status) {
			out = append(out, c)
		}
	}
	return out
}

func has[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

func (m matrix) sum() int {
	n := 0
	for _, c := range m {
		n += c.n
	}
	return n
}
