package browse

import (
	"context"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// GapFilter selects what was not scanned.
type GapFilter struct {
	Targets []int64
	Codes   []string
}

// Gap is something that was not scanned at the last look.
type Gap struct {
	ledger.Gap
	Target string `json:"target"`
}

// Gaps lists what was not scanned, by target. What was not scanned is told to who sees the whole target.
func (b *Browser) Gaps(ctx context.Context, v identity.Visible, f GapFilter, page store.Page) ([]Gap, string, error) {
	s, err := b.scope(ctx, v, f.Targets)
	if err != nil || !s.all && len(s.targets) == 0 {
		return nil, "", err
	}
	stmt := text("SELECT g.id, g.target_id, g.part, g.what, g.subject, g.reason, g.code, g.since, t.name FROM gaps AS g JOIN targets AS t ON t.id = g.target_id WHERE t.removed_at = 0")
	if !s.all {
		stmt.add(" AND g.target_id IN (?)", bun.List(s.targets))
	}
	if len(f.Codes) > 0 {
		stmt.add(" AND g.code IN (?)", bun.List(f.Codes))
	}
	if page.After != "" {
		var id int64
		if err := store.ReadCursor(page.After, &id); err != nil {
			return nil, "", err
		}
		stmt.add(" AND g.id > ?", id)
	}
	size := page.Size()
	stmt.add(" ORDER BY g.id LIMIT ?", size+1)
	var out []Gap
	err = b.query(ctx, stmt, func(scan func(...any) error) error {
		var g Gap
		err := scan(&g.ID, &g.TargetID, &g.Part, &g.What, &g.Subject, &g.Reason, &g.Code, &g.Since, &g.Target)
		out = append(out, g)
		return err
	})
	next := ""
	if len(out) > size {
		out = out[:size]
		next = store.Cursor(out[size-1].ID)
	}
	return out, next, err
}
