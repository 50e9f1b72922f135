package browse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// AssetFilter selects assets of one kind that are there.
type AssetFilter struct {
	Kind       ledger.AssetKind
	Targets    []int64
	Namespaces []string
	Name       string // whole
	Digest     string
	Digests    []string          // of images: any of them
	Severities []ledger.Severity // with an active finding of one of these
	Fixable    *bool             // with an active finding that has a fixed version, or without one
	Read       *bool             // of images: looked into or not
	Risky      bool              // only those with active findings
	Image      int64             // workloads that run this image
	Workload   int64             // images that this workload runs
	Q          string
}

// Asset is something that findings are about, with its active findings by severity. Those of a workload are also what its images
// have, those of a namespace all that is in it and what runs in it, those of a cluster everything.
type Asset struct {
	ID        int64            `json:"id,string"`
	TargetID  int64            `json:"targetId,string"`
	Target    string           `json:"target"`
	Kind      ledger.AssetKind `json:"kind"`
	GroupKind string           `json:"groupKind,omitempty"`
	Namespace string           `json:"namespace,omitempty"`
	Name      string           `json:"name"`
	Digest    string           `json:"digest,omitempty"`
	FirstSeen store.Time       `json:"firstSeen" format:"date-time"`
	LookedAt  store.Time       `json:"lookedAt" format:"date-time" doc:"when its cluster or project was last looked at as a whole"`
	Critical  int              `json:"critical"`
	High      int              `json:"high"`
	Medium    int              `json:"medium"`
	Low       int              `json:"low"`
	Info      int              `json:"info"`
	AtLeast   bool             `json:"atLeast,omitempty" doc:"there may be more: not all were looked at"`
	Score     int64            `json:"-"`
}

// AssetSorts lists the orders of assets, each also with "-" before it for the other way round. The score begins with the worst.
var AssetSorts = []string{"score", "name", "namespace", "cluster"}

const assetColumns = "id, target_id, kind, group_kind, namespace, name, digest, first_seen, critical, high, medium, low, info, score"

var assetOrders = map[string][]field{
	"score":     {{column: "score", desc: true}, {column: "id"}},
	"name":      {{column: "name", text: true}, {column: "id"}},
	"namespace": {{column: "namespace", text: true}, {column: "id"}},
	"cluster":   {{column: "cluster", text: true}, {column: "target_id"}, {column: "score", desc: true}, {column: "id"}},
}

// Assets lists assets of one kind.
func (b *Browser) Assets(ctx context.Context, v identity.Visible, f AssetFilter, sort string, page store.Page) ([]Asset, string, Total, error) {
	r, err := rank(assetOrders, AssetSorts, sort, "score")
	if err != nil {
		return nil, "", Total{}, err
	}
	if !slices.Contains(ledger.AssetKinds, f.Kind) {
		return nil, "", Total{}, fmt.Errorf("%w: a kind of asset must be named", ErrFilter)
	}
	after, err := r.behind(page.After)
	if err != nil {
		return nil, "", Total{}, err
	}
	s, err := b.scope(ctx, v, f.Targets)
	if err != nil || s.nothing() {
		return nil, "", Total{}, err
	}
	from, found, err := b.assetFrom(s, f)
	if err != nil || !found {
		return nil, "", Total{}, err
	}
	if r.fields[0].column != "cluster" || f.Q != "" {
		s = scope{} // the words are looked up once for all targets
	}
	return b.rankedAssets(ctx, s, r, after, from, page)
}

// rankedAssets is a page of a table of assets. In a scope it goes from target to target, in none it joins their names.
func (b *Browser) rankedAssets(ctx context.Context, s scope, r ranking, after *sqlText, from sqlText, page store.Page) (out []Asset, next string, total Total, err error) {
	size := page.Size()
	if !s.nothing() {
		out, err = b.assetsByTarget(ctx, s, from, r, page.After, size+1)
	} else {
		stmt := text("SELECT " + assetColumns + " FROM ")
		if stmt.append(from); r.fields[0].column == "cluster" {
			stmt = text("SELECT " + assetColumns + " FROM (SELECT a.*, t.name AS cluster FROM (")
			stmt.add("SELECT "+assetColumns+" FROM "+from.text, from.args...)
			stmt.add(") AS a JOIN targets AS t ON t.id = a.target_id WHERE t.removed_at = 0) AS l WHERE id > 0")
		}
		if after != nil {
			stmt.add(" AND ")
			stmt.append(*after)
		}
		stmt.add(" ORDER BY "+r.by()+" LIMIT ?", size+1)
		out, err = b.assets(ctx, stmt)
	}
	if err != nil {
		return nil, "", Total{}, err
	}
	total = Total{N: len(out)}
	if page.After != "" || len(out) > size { // the list is longer than the page
		if total, err = b.countAssets(ctx, from); err != nil {
			return nil, "", total, err
		}
	}
	more := len(out) > size
	out = out[:min(len(out), size)]
	targets, err := b.targetsOf(ctx, targetsIn(out))
	if err != nil {
		return nil, "", total, err
	}
	for i := range out {
		t := targets[out[i].TargetID]
		out[i].Target, out[i].LookedAt = t.Name, t.LookedAt
	}
	if more {
		next = r.cursor(out[size-1].value)
	}
	return out, next, total, nil
}

// assetsTo bounds how many assets are counted.
const assetsTo = 10_000

func (b *Browser) countAssets(ctx context.Context, from sqlText) (Total, error) {
	stmt := text("SELECT count(*) FROM (SELECT 1 FROM ")
	stmt.append(from)
	stmt.add(" LIMIT ?) AS n", assetsTo+1)
	n, err := column[int](ctx, b, stmt)
	if err != nil {
		return Total{}, err
	}
	return Total{N: min(n[0], assetsTo), AtLeast: n[0] > assetsTo}, nil
}

func targetsIn(list []Asset) []int64 {
	ids := map[int64]bool{}
	for _, a := range list {
		ids[a.TargetID] = true
	}
	return keysOf(ids)
}

func (a Asset) value(column string) any {
	switch column {
	case "name":
		return a.Name
	case "namespace":
		return a.Namespace
	case "cluster":
		return a.Target
	case "target_id":
		return a.TargetID
	case "score":
		return a.Score
	}
	return a.ID
}

func (b *Browser) assets(ctx context.Context, stmt sqlText) ([]Asset, error) {
	var out []Asset
	err := b.query(ctx, stmt, func(scan func(...any) error) error {
		var a Asset
		err := scan(&a.ID, &a.TargetID, &a.Kind, &a.GroupKind, &a.Namespace, &a.Name, &a.Digest, &a.FirstSeen,
			&a.Critical, &a.High, &a.Medium, &a.Low, &a.Info, &a.Score)
		out = append(out, a)
		return err
	})
	return out, err
}

// severityColumns are the counters of assets by ledger.Severity.
var severityColumns = [...]string{"info", "low", "medium", "high", "critical"}

// assetFrom is the table of assets with the conditions of a filter, without the order.
func (b *Browser) assetFrom(s scope, f AssetFilter) (from sqlText, found bool, err error) {
	from = text("assets")
	if !s.all && len(s.ids()) <= 20 && !b.db.Postgres() && f.Digest == "" && len(f.Digests) == 0 {
		from.add(" INDEXED BY assets_target") // all of the targets, sorted, rather than a walk through those of all
	}
	where, found, err := b.assetWhere(s, f)
	from.add(" WHERE ")
	from.append(where)
	return from, found, err
}

// assetWhere are the conditions of a filter on assets.
func (b *Browser) assetWhere(s scope, f AssetFilter) (from sqlText, found bool, err error) {
	from = text("kind = ? AND gone_at = 0", int(f.Kind))
	and := func(ok bool, cond string, args ...any) {
		if ok {
			from.add(" AND "+cond, args...)
		}
	}
	and(s.all && len(s.removed) > 0, "target_id NOT IN (?)", bun.List(s.removed))
	and(!s.all && s.whole(), "target_id IN (?)", bun.List(s.targets))
	if !s.whole() {
		and(true, "target_id IN (?)", bun.List(s.ids()))
		from.add(" AND (")
		if len(s.targets) > 0 {
			from.add("target_id IN (?) OR ", bun.List(s.targets))
		}
		for i, p := range s.parts {
			if i > 0 {
				from.add(" OR ")
			}
			if f.Kind == ledger.AssetImage {
				from.add("target_id = ? AND id IN (?)", p.target, bun.List(p.images))
			} else {
				from.add("target_id = ? AND namespace IN (?)", p.target, bun.List(p.namespaces))
			}
		}
		from.add(")")
	}
	images := f.Kind == ledger.AssetImage
	and(len(f.Namespaces) > 0 && !images, "namespace IN (?)", bun.List(f.Namespaces))
	and(len(f.Namespaces) > 0 && images, "id IN (SELECT image_id FROM asset_uses WHERE namespace IN (?))", bun.List(f.Namespaces))
	and(f.Name != "", "name = ?", f.Name)
	and(f.Digest != "", "digest = ? AND digest <> ''", f.Digest)
	and(len(f.Digests) > 0, "digest IN (?) AND digest <> ''", bun.List(f.Digests))
	and(f.Risky, "(score > 0 OR info > 0)")
	if len(f.Severities) > 0 {
		cols := make([]string, len(f.Severities))
		for i, sev := range f.Severities {
			cols[i] = severityColumns[min(max(sev, 0), 4)] + " > 0"
		}
		and(true, "("+strings.Join(cols, " OR ")+")")
	}
	if f.Fixable != nil {
		and(*f.Fixable, "EXISTS (SELECT 1 FROM findings AS f WHERE f.asset_id = assets.id AND f.fixable AND f.status <= 3)")
		and(!*f.Fixable, "NOT EXISTS (SELECT 1 FROM findings AS f WHERE f.asset_id = assets.id AND f.fixable AND f.status <= 3)")
	}
	if f.Read != nil {
		const known = "EXISTS (SELECT 1 FROM inventory_names AS n WHERE n.name = CASE WHEN assets.digest <> '' THEN assets.digest ELSE assets.name END)"
		and(*f.Read, known)
		and(!*f.Read, "NOT "+known)
	}
	and(f.Image != 0, "id IN (SELECT workload_id FROM asset_uses WHERE image_id = ?)", f.Image)
	and(f.Workload != 0, "id IN (SELECT image_id FROM asset_uses WHERE workload_id = ?)", f.Workload)
	list, err := terms(f.Q)
	if err != nil || f.Q != "" && len(list) == 0 {
		return from, false, err
	}
	for _, term := range list {
		if term[0][0] >= 0x80 {
			from.add(" AND name LIKE ?", "%"+term[0]+"%")
			continue
		}
		from.add(" AND ")
		from.append(b.match("asset_words", term))
	}
	return from, true, nil
}

// assetsByTarget goes from target to target in the order of their names.
func (b *Browser) assetsByTarget(ctx context.Context, s scope, from sqlText, r ranking, after string, limit int) ([]Asset, error) {
	targets, err := b.targetsOf(ctx, s.ids())
	if err != nil {
		return nil, err
	}
	o := order{keys: []string{"cluster", "target_id"}, desc: r.fields[0].desc}
	name, place, score, id := "", int64(0), int64(0), int64(0)
	if after != "" {
		var sort string
		if err := store.ReadCursor(after, &sort, &name, &place, &score, &id); err != nil {
			return nil, err
		}
	}
	q := question{order: o}
	inner := ranking{fields: r.fields[2:]}
	var out []Asset
	for _, t := range q.arrange(targets) {
		stmt := text("SELECT " + assetColumns + " FROM ")
		stmt.append(from)
		stmt.add(" AND target_id = ?", t.ID)
		if after != "" {
			c := o.compare([]any{t.Name, t.ID}, []any{name, place})
			if c < 0 {
				continue
			}
			if c == 0 {
				stmt.add(" AND (")
				stmt.append(inner.from(0, []any{score, id}))
				stmt.add(")")
			}
		}
		stmt.add(" ORDER BY "+inner.by()+" LIMIT ?", limit-len(out))
		list, err := b.assets(ctx, stmt)
		if err != nil {
			return nil, err
		}
		if out = append(out, list...); len(out) >= limit {
			break
		}
	}
	return out, nil
}

// Asset reads one asset that v sees.
func (b *Browser) Asset(ctx context.Context, v identity.Visible, id int64) (*Asset, error) {
	s, err := b.scope(ctx, v, nil)
	if err != nil {
		return nil, err
	}
	if s.nothing() {
		return nil, store.ErrNotFound
	}
	list, err := b.assets(ctx, text("SELECT "+assetColumns+" FROM assets WHERE id = ?", id))
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || !s.holds(list[0]) {
		return nil, store.ErrNotFound
	}
	targets, err := b.targetsOf(ctx, targetsIn(list))
	list[0].Target, list[0].LookedAt = targets[list[0].TargetID].Name, targets[list[0].TargetID].LookedAt
	return &list[0], err
}

// holds reports whether an asset is in the scope.
func (s scope) holds(a Asset) bool {
	if s.all {
		return !slices.Contains(s.removed, a.TargetID)
	}
	return slices.Contains(s.targets, a.TargetID) || slices.ContainsFunc(s.parts, func(p part) bool {
		return p.target == a.TargetID && (slices.Contains(p.namespaces, a.Namespace) || slices.Contains(p.images, a.ID))
	})
}
