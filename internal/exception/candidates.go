package exception

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// chunk is how many findings are looked at, and changed, at a time.
const chunk = 500

// most is how many names a way to findings may have before it is shorter to look at all of a target's.
const most = 5000

// way is how the findings that a scope may match are reached: by an index on column, for each of keys; all of them without.
type way struct {
	column string
	keys   []any
	more   []condition // what else can be asked of columns
	full   bool        // the columns of the finding do not tell whether it matches: its details are needed
	exact  bool        // whatever is on the way matches
}

type condition struct {
	text string
	args []any
}

func (w *way) and(text string, args ...any) { w.more = append(w.more, condition{text, args}) }

// way finds the shortest way to what e may match.
func (b *Book) way(ctx context.Context, e *entry) (way, error) {
	w, err := b.begin(ctx, e)
	s := &e.Scope
	w.exact = !w.full && s.Version == "" && (s.Fingerprint == "" || w.column == "f.fingerprint") &&
		(s.Rule == "" && s.CVE == "" || w.column == "f.rule" && (s.Rule == "" || s.CVE == "")) && (s.Image == "" || w.column == "f.asset_id")
	return w, err
}

func (b *Book) begin(ctx context.Context, e *entry) (w way, err error) {
	s := &e.Scope
	if e.UntilFix {
		w.and("f.fixable = ?", false)
	}
	w.full = s.PURL != "" || s.Cluster != "" || s.File != "" || s.Node != "" || s.moving()
	if e.Target != 0 {
		w.and("f.target_id = ?", e.Target)
	}
	if s.Package != "" {
		w.and("f.package = ?", s.Package)
	}
	if s.Digest != "" {
		w.and("f.digest = ?", s.Digest)
	}
	if e.namespace.exact { // findings on images have none: their workloads do
		w.and("f.namespace IN (?, '')", s.Namespace)
	}
	switch {
	case s.Fingerprint != "":
		raw, err := hex.DecodeString(s.Fingerprint)
		if err != nil || len(raw) != 16 {
			w.column, w.keys = "f.id", nil // no finding has it
			return w, nil
		}
		w.column, w.keys = "f.fingerprint", []any{raw}
		w.and("f.target_id IN (SELECT id FROM targets)") // the index is by target and fingerprint
		return w, nil
	case s.CVE != "":
		if err := b.byAlias(ctx, e, &w); err != nil || w.column != "" {
			return w, err
		}
		w.column, w.keys = "f.rule", []any{e.CVE}
		return w, nil
	case s.Rule != "":
		w.column, w.keys, err = b.rules(ctx, e)
	}
	if err == nil && w.column == "" && (s.Image != "" || s.Digest != "") {
		w.column, w.keys, err = b.images(ctx, e)
	}
	if err == nil && w.column == "" && s.Package != "" {
		w.column, w.keys = "f.package", []any{s.Package}
	}
	return w, err
}

// rules are the names that the rule of e matches, of those that were ever found; no column when there are too many.
func (b *Book) rules(ctx context.Context, e *entry) (string, []any, error) {
	var list []struct {
		Rule   string `bun:"rule"`
		RuleID string `bun:"rule_id"`
	}
	q := b.db.R.NewSelect().Table("risks").Column("rule", "rule_id")
	if e.rule.exact {
		q = q.Where("rule = ? OR rule_id = ?", e.Rule, e.Rule)
	}
	if err := q.Scan(ctx, &list); err != nil {
		return "", nil, err
	}
	var keys []any
	for _, r := range list {
		if (e.rule.matches(r.Rule) || e.rule.matches(r.RuleID)) && !slices.Contains(keys, any(r.Rule)) {
			if keys = append(keys, r.Rule); len(keys) > most/10 {
				return "", nil, nil
			}
		}
	}
	return "f.rule", keys, nil
}

// images are the assets that the image and digest of e match.
func (b *Book) images(ctx context.Context, e *entry) (string, []any, error) {
	var list []struct {
		ID   int64  `bun:"id"`
		Name string `bun:"name"`
	}
	q := b.db.R.NewSelect().Table("assets").Column("id", "name").Where("kind = ?", ledger.AssetImage)
	if e.Target != 0 {
		q = q.Where("target_id = ?", e.Target)
	}
	if e.Digest != "" {
		q = q.Where("digest = ?", e.Digest)
	}
	if err := q.Scan(ctx, &list); err != nil {
		return "", nil, err
	}
	var keys []any
	for _, a := range list {
		var v view
		v.names[byImage] = imageNames(a.Name)
		if e.Image == "" || e.onImage(&v) {
			if keys = append(keys, a.ID); len(keys) > most {
				return "", nil, nil
			}
		}
	}
	return "f.asset_id", keys, nil
}

// byAlias goes by the texts that findings share when the id is not the one that findings are named by. CVE ids are: where a
// vulnerability has one, its findings are named by it.
func (b *Book) byAlias(ctx context.Context, e *entry, w *way) error {
	if strings.HasPrefix(e.CVE, "CVE-") {
		return nil
	}
	var advice []int64
	like := `%"` + store.Like(e.CVE) + `"%`
	err := b.db.R.NewSelect().Table("advice").Column("id").Where(`body LIKE ? ESCAPE '\'`, like).Limit(most).Scan(ctx, &advice)
	if err != nil || len(advice) == 0 {
		return err
	}
	w.full = true
	w.and("f.kind <= ?", ledger.Emergency)
	w.and("(f.rule = ? OR f.id IN (SELECT finding_id FROM details WHERE advice_id IN (?)))", e.CVE, bun.List(advice))
	w.column = "all"
	return nil
}

// walk gives the rows on a way that also meet keep, in pieces. A row may be given twice.
func (b *Book) walk(ctx context.Context, w *way, keep func(*bun.SelectQuery) *bun.SelectQuery, yield func([]ledger.Row) error) error {
	piece := func(by func(*bun.SelectQuery) *bun.SelectQuery) error {
		for after := int64(0); ; {
			var rows []ledger.Row
			q := by(keep(b.db.R.NewSelect().Model(&rows))).Where("f.id > ?", after).OrderExpr("f.id").Limit(chunk)
			for _, c := range w.more {
				q = q.Where(c.text, c.args...)
			}
			if err := q.Scan(ctx); err != nil || len(rows) == 0 {
				return err
			}
			after = rows[len(rows)-1].ID
			if err := yield(rows); err != nil {
				return err
			}
			if len(rows) < chunk {
				return nil
			}
		}
	}
	if w.column == "" || w.column == "all" {
		return piece(func(q *bun.SelectQuery) *bun.SelectQuery { return q })
	}
	for _, key := range w.keys {
		if err := piece(func(q *bun.SelectQuery) *bun.SelectQuery { return q.Where("? = ?", bun.Safe(w.column), key) }); err != nil {
			return err
		}
	}
	return nil
}

// tally counts what is on an exact way and active, by target and severity.
func (b *Book) tally(ctx context.Context, w *way, yield func(target int64, severity ledger.Severity, n int)) error {
	keys := w.keys
	if w.column == "" {
		keys = []any{nil}
	}
	for some := range slices.Chunk(keys, chunk) {
		var rows []struct {
			Target   int64           `bun:"target_id"`
			Severity ledger.Severity `bun:"severity"`
			N        int             `bun:"n"`
		}
		q := active(b.db.R.NewSelect().Model((*ledger.Row)(nil))).ColumnExpr("f.target_id, f.severity, count(*) AS n").GroupExpr("f.target_id, f.severity").
			OrderExpr("f.target_id, f.severity")
		if w.column != "" {
			q = q.Where("? IN (?)", bun.Safe(w.column), bun.List(some))
		}
		for _, c := range w.more {
			q = q.Where(c.text, c.args...)
		}
		if err := q.Scan(ctx, &rows); err != nil {
			return err
		}
		for _, r := range rows {
			yield(r.Target, r.Severity, r.N)
		}
	}
	return nil
}

// active keeps the findings that count and that nobody has handled.
func active(q *bun.SelectQuery) *bun.SelectQuery {
	return q.Where("f.handling = ?", ledger.Unhandled).Where("f.status IN (?)", bun.List(ledger.Active))
}
