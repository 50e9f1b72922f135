package browse

import (
	"context"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
)

// batch is how many findings are held at a time while all of a filter are read.
const batch = 500

// Select calls yield with every finding that the filter selects and v sees, whole, in the order of the sort. What changes
// meanwhile may or may not be seen. It holds some hundred findings in memory, however many there are.
func (b *Browser) Select(ctx context.Context, v identity.Visible, f Filter, sort string, yield func(*Full) error) error {
	return b.pages(ctx, v, f, sort, func(ids []int64) error {
		list, err := b.full(ctx, ids)
		if err != nil {
			return err
		}
		for _, full := range list {
			if err := yield(full); err != nil {
				return err
			}
		}
		return nil
	})
}

// SelectRows calls yield with the row of every finding that the filter selects and v sees, in the order of their ids.
func (b *Browser) SelectRows(ctx context.Context, v identity.Visible, f Filter, yield func(*ledger.Row) error) error {
	return b.pages(ctx, v, f, "firstSeen", func(ids []int64) error {
		lines, err := b.lines(ctx, ids)
		if err != nil {
			return err
		}
		for i := range lines {
			if err := yield(&lines[i].Row); err != nil {
				return err
			}
		}
		return nil
	})
}

// pages goes through a list page by page. The way through it is chosen once.
func (b *Browser) pages(ctx context.Context, v identity.Visible, f Filter, sort string, yield func(ids []int64) error) error {
	q, _, err := b.ask(ctx, v, f, sort, "")
	if err != nil || q == nil {
		return err
	}
	q.limit = batch
	for {
		hits, _, err := b.page(ctx, q)
		if err != nil || len(hits) == 0 {
			return err
		}
		ids := make([]int64, len(hits))
		for i, h := range hits {
			ids[i] = h.id
		}
		if err := yield(ids); err != nil {
			return err
		}
		if len(hits) < batch {
			return nil
		}
		q.after = hits[len(hits)-1].key
	}
}
