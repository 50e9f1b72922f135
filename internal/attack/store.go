package attack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Limits of what is kept and read.
const (
	maxBody    = 64 << 20 // of a graph as JSON
	maxGraphs  = 12       // read for one question: those with the worst paths
	maxMissing = 50
	maxKnown   = 20_000 // findings whose handling is looked up for a graph
	kept       = 12     // graphs in memory
	chunk      = 500

	keptAnswers = 4 // for each graph in memory
)

// Save replaces the graph of a target.
func Save(ctx context.Context, db *store.DB, target int64, at time.Time, g *Graph) error {
	a := g.Rank(Question{})
	worst := 0
	if len(a.Paths) > 0 {
		worst = a.Paths[0].Score
	}
	data, err := json.Marshal(g)
	if err != nil {
		return err
	}
	if len(data) > maxBody {
		return fmt.Errorf("the attack graph is larger than %d MiB", maxBody>>20)
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	body := z.EncodeAll(data, nil)
	return db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO attack_graphs (target_id, built_at, worst, paths, body) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (target_id) DO UPDATE SET built_at = EXCLUDED.built_at, worst = EXCLUDED.worst, paths = EXCLUDED.paths, body = EXCLUDED.body`,
			target, store.At(at), worst, len(a.Paths), body).Exec(ctx)
		return err
	})
}

// Store reads graphs and joins them with what is known now.
type Store struct {
	db  *store.DB
	now func() time.Time

	mu    sync.Mutex
	cache map[int64]cached
	used  []int64 // the longest unused first
}

type cached struct {
	at      store.Time
	g       *Graph
	answers map[string]*Answer // to questions about the whole of it
}

// NewStore makes a Store.
func NewStore(db *store.DB, now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	return &Store{db: db, now: now, cache: map[int64]cached{}}
}

// Stale is how old a graph may be before it is said to be.
const Stale = 7 * 24 * time.Hour

// Saved is a target with its graph.
type Saved struct {
	TargetID int64
	Target   string
	BuiltAt  store.Time
	Stale    bool
	Graph    *Graph
	Handled  map[string]bool // fingerprints of findings that do not count any more
}

// Target names a cluster.
type Target struct {
	ID   int64
	Name string
}

// Asked is what of the graphs is asked for.
type Asked struct {
	Visible identity.Visible
	Targets []int64 // none: all
}

// Load reads the graphs of what is visible, those with the worst paths first. missing are clusters without a graph, more the
// number of graphs that were left out.
func (s *Store) Load(ctx context.Context, q Asked) (graphs []Saved, missing []Target, more int, err error) {
	where, args := q.where("t.id")
	var rows []struct {
		TargetID int64
		Name     string
		BuiltAt  store.Time
	}
	query := "FROM targets t JOIN attack_graphs g ON g.target_id = t.id WHERE t.kind = 'cluster' AND t.removed_at = 0" + where
	if err = s.db.R.NewRaw("SELECT t.id AS target_id, t.name, g.built_at "+query+" ORDER BY g.worst DESC, t.id LIMIT ?", append(slices.Clone(args), maxGraphs)...).Scan(ctx, &rows); err != nil {
		return nil, nil, 0, err
	}
	if err = s.db.R.NewRaw("SELECT count(*) "+query, args...).Scan(ctx, &more); err != nil {
		return nil, nil, 0, err
	}
	more -= len(rows)
	err = s.db.R.NewRaw(`SELECT t.id, t.name FROM targets t LEFT JOIN attack_graphs g ON g.target_id = t.id
		WHERE t.kind = 'cluster' AND t.removed_at = 0 AND g.target_id IS NULL`+where+" ORDER BY t.id LIMIT ?", append(slices.Clone(args), maxMissing)...).Scan(ctx, &missing)
	if err != nil {
		return nil, nil, 0, err
	}
	for _, r := range rows {
		g, err := s.graph(ctx, r.TargetID, r.BuiltAt)
		switch {
		case errors.Is(err, errFormat):
			missing = append(missing, Target{r.TargetID, r.Name})
			continue
		case err != nil:
			return nil, nil, 0, fmt.Errorf("attack graph of %s: %w", r.Name, err)
		}
		saved := Saved{TargetID: r.TargetID, Target: r.Name, BuiltAt: r.BuiltAt, Graph: g, Stale: s.now().Sub(r.BuiltAt.Time) > Stale}
		if saved.Handled, err = s.handled(ctx, r.TargetID, g); err != nil {
			return nil, nil, 0, err
		}
		graphs = append(graphs, saved)
	}
	return graphs, missing, more, nil
}

// where limits a column to the targets that are asked for and visible.
func (q *Asked) where(column string) (string, []any) {
	ids := q.Targets
	if !q.Visible.All {
		seen := slices.Clone(q.Visible.Targets)
		for t := range q.Visible.Namespaces {
			seen = append(seen, t)
		}
		if len(q.Targets) == 0 {
			ids = seen
		} else {
			ids = slices.DeleteFunc(slices.Clone(q.Targets), func(t int64) bool { return !slices.Contains(seen, t) })
		}
	} else if len(ids) == 0 {
		return "", nil
	}
	if len(ids) == 0 {
		return " AND 1 = 0", nil
	}
	return " AND " + column + " IN (?)", []any{bun.In(ids)}
}

// errFormat is of a graph that another version of the program has saved.
var errFormat = errors.New("of another format")

func (s *Store) graph(ctx context.Context, target int64, at store.Time) (*Graph, error) {
	s.mu.Lock()
	c, ok := s.cache[target]
	s.mu.Unlock()
	if ok && c.at == at {
		return c.g, nil
	}
	var row struct {
		BuiltAt store.Time
		Body    []byte
	}
	if err := s.db.R.NewRaw("SELECT built_at, body FROM attack_graphs WHERE target_id = ?", target).Scan(ctx, &row); err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(bytes.NewReader(row.Body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBody))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	g := new(Graph)
	if err := json.NewDecoder(io.LimitReader(z, maxBody)).Decode(g); err != nil {
		return nil, err
	}
	if g.Version != FormatVersion || !g.valid() {
		return nil, errFormat
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = append(slices.DeleteFunc(s.used, func(t int64) bool { return t == target }), target)
	s.cache[target] = cached{row.BuiltAt, g, map[string]*Answer{}}
	if len(s.used) > kept {
		delete(s.cache, s.used[0])
		s.used = s.used[1:]
	}
	return g, nil
}

// Rank is Graph.Rank of a saved graph with the findings that are handled now. Answers about the whole graph are kept as long as
// nothing has changed; they must not be written to.
func (s *Store) Rank(g *Saved, q Question) *Answer {
	q.Target = strconv.FormatInt(g.TargetID, 10)
	q.Handled = func(f string) bool { return g.Handled[f] }
	if q.Sees != nil || len(q.Namespace) > 0 {
		return g.Graph.Rank(q)
	}
	sum := sha256.New()
	for _, f := range sortedKeys(g.Handled) {
		sum.Write([]byte(f))
	}
	key := fmt.Sprint(q.Assume, hex.EncodeToString(sum.Sum(nil)))
	s.mu.Lock()
	c, known := s.cache[g.TargetID]
	if a := c.answers[key]; a != nil && c.at == g.BuiltAt {
		s.mu.Unlock()
		return a
	}
	s.mu.Unlock()
	a := g.Graph.Rank(q)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known && c.at == g.BuiltAt {
		if len(c.answers) >= keptAnswers {
			clear(c.answers)
		}
		c.answers[key] = a
	}
	return a
}

// valid reports whether every number in a graph names something.
func (g *Graph) valid() bool {
	n, c := int32(len(g.Nodes)), int32(len(g.Changes))
	return !slices.ContainsFunc(g.Edges, func(e Edge) bool {
		return e.From < 0 || e.From >= n || e.To < 0 || e.To >= n || slices.ContainsFunc(e.Cuts, func(cut []int32) bool {
			return len(cut) == 0 || slices.ContainsFunc(cut, func(x int32) bool { return x < 0 || x >= c })
		})
	})
}

// handled looks up which findings of a graph do not count any more: people or exceptions have handled them, or they are gone.
func (s *Store) handled(ctx context.Context, target int64, g *Graph) (map[string]bool, error) {
	var prints []string
	seen := map[string]bool{}
	for i := range g.Edges {
		for _, f := range g.Edges[i].Findings {
			if !seen[f] && len(prints) < maxKnown {
				seen[f] = true
				prints = append(prints, f)
			}
		}
	}
	known, err := s.Findings(ctx, target, prints)
	out := map[string]bool{}
	for f, k := range known {
		if !k.Active {
			out[f] = true
		}
	}
	return out, err
}

// Finding is what is known of a finding.
type Finding struct {
	ID     int64
	Active bool
}

// Findings looks findings up by their fingerprints; those that are not kept are left out.
func (s *Store) Findings(ctx context.Context, target int64, prints []string) (map[string]Finding, error) {
	out := map[string]Finding{}
	for part := range slices.Chunk(prints, chunk) {
		var raw [][]byte
		for _, p := range part {
			if b, err := hex.DecodeString(p); err == nil && len(b) == 16 {
				raw = append(raw, b)
			}
		}
		if len(raw) == 0 {
			continue
		}
		var rows []struct {
			ID          int64
			Fingerprint []byte
			Status      ledger.Status
		}
		if err := s.db.R.NewRaw("SELECT id, fingerprint, status FROM findings WHERE target_id = ? AND fingerprint IN (?)", target, bun.In(raw)).Scan(ctx, &rows); err != nil {
			return nil, err
		}
		for _, r := range rows {
			out[hex.EncodeToString(r.Fingerprint)] = Finding{r.ID, r.Status.Active()}
		}
	}
	return out, nil
}

// Asset is the row of an asset.
type Asset struct {
	ID     int64
	Digest string
}

// AssetKey names an asset of a target: of images only the name counts.
func AssetKey(kind ledger.AssetKind, groupKind, namespace, name string) string {
	return strings.Join([]string{kind.String(), groupKind, namespace, name}, "\x00")
}

// Assets looks up workloads, nodes and images by their names.
func (s *Store) Assets(ctx context.Context, target int64, kind ledger.AssetKind, names []string) (map[string]Asset, error) {
	out := map[string]Asset{}
	slices.Sort(names)
	for part := range slices.Chunk(slices.Compact(names), chunk) {
		var rows []struct {
			ID                                 int64
			GroupKind, Namespace, Name, Digest string
		}
		err := s.db.R.NewRaw("SELECT id, group_kind, namespace, name, digest FROM assets WHERE target_id = ? AND kind = ? AND gone_at = 0 AND name IN (?) ORDER BY id", target, kind, bun.In(part)).Scan(ctx, &rows)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			out[AssetKey(kind, r.GroupKind, r.Namespace, r.Name)] = Asset{r.ID, r.Digest}
		}
	}
	return out, nil
}
