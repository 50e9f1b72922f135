package verdict

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
)

// row is a row of verdicts.
type row struct {
	bun.BaseModel `bun:"table:verdicts,alias:v"`

	ID        int64             `bun:"id,pk,autoincrement"`
	TargetID  int64             `bun:"target_id"`
	Reference string            `bun:"reference"`
	Digest    string            `bun:"digest"`
	Manifest  string            `bun:"manifest"`
	State     policy.ImageState `bun:"state"`
	Round     int64             `bun:"round"`
	Serial    int64             `bun:"serial"`
	AskedAt   store.Time        `bun:"asked_at"`
	Resolved  store.Time        `bun:"resolved_at"`
	DueAt     store.Time        `bun:"due_at"`
	Tries     int               `bun:"tries"`
	Spec      string            `bun:"spec"`
	Turned    string            `bun:"turned"`
	Body      string            `bun:"body"`
}

// spec is row.Spec: whose credentials read the image.
type spec struct {
	Namespace   string   `json:"namespace,omitempty"`
	PullSecrets []string `json:"pullSecrets,omitempty"`
}

// verdict is what the row says.
func (r *row) verdict() (v policy.ImageVerdict, err error) {
	err = json.Unmarshal([]byte(r.Body), &v)
	v.Serial, v.Resolved = r.Serial, r.Resolved.Time
	return v, err
}

// image is how the image was asked about.
func (r *row) image() protocol.Image {
	var s spec
	_ = json.Unmarshal([]byte(r.Spec), &s) // we wrote it
	return protocol.Image{Reference: r.Reference, Namespace: s.Namespace, PullSecrets: s.PullSecrets}
}

// clusterRow is a row of verdict_clusters.
type clusterRow struct {
	bun.BaseModel `bun:"table:verdict_clusters,alias:c"`

	TargetID   int64  `bun:"target_id,pk"`
	Generation string `bun:"generation"`
	Round      int64  `bun:"round"`
	Done       int64  `bun:"done"`
	Floor      int64  `bun:"floor"`
}

// current reports whether the verdict of a row is of the bundle that holds.
func (c *clusterRow) current(r *row) bool { return r.Round == c.Round || r.ID <= c.Done }

// all is clusterRow.Done when every row was judged.
const all = int64(1) << 62

// cluster reads or makes the row of a cluster, and begins another round when another bundle holds.
func (s *Service) cluster(ctx context.Context, l *lens) (*clusterRow, error) {
	c := &clusterRow{}
	err := store.NotFound(s.db.R.NewSelect().Model(c).Where("target_id = ?", l.bundle.Target).Scan(ctx))
	if err == nil && c.Generation == l.hash {
		return c, nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		*c = clusterRow{}
		return tx.NewRaw(`INSERT INTO verdict_clusters (target_id, generation, round, done) VALUES (?, ?, 1, ?) ON CONFLICT (target_id) DO UPDATE SET
			round = CASE WHEN verdict_clusters.generation = EXCLUDED.generation THEN verdict_clusters.round ELSE verdict_clusters.round + 1 END,
			done = CASE WHEN verdict_clusters.generation = EXCLUDED.generation THEN verdict_clusters.done ELSE 0 END,
			generation = EXCLUDED.generation RETURNING target_id, generation, round, done, floor`, l.bundle.Target, l.hash, all).Scan(ctx, c)
	})
	return c, err
}

// serial is the newest change of all verdicts.
func (s *Service) serial(ctx context.Context) (int64, error) {
	var n int64
	err := store.NotFound(s.db.R.NewRaw("SELECT serial FROM verdict_state WHERE id = 1").Scan(ctx, &n))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return n, err
}

// count takes n serials in the transaction that uses them, and returns the first. Transactions that do so follow each other, so that
// who has seen a serial has seen all before it.
func count(ctx context.Context, tx bun.Tx, n int) (int64, error) {
	var last int64
	err := tx.NewRaw("INSERT INTO verdict_state (id, serial) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET serial = verdict_state.serial + EXCLUDED.serial RETURNING serial", n).Scan(ctx, &last)
	return last - int64(n) + 1, err
}

// asked is an image in the course of being judged.
type asked struct {
	ref      policy.Reference
	image    protocol.Image
	row      *row // nil: it was never asked about
	digest   string
	resolved time.Time
	problem  error // why the reference was not looked up
	verdict  policy.ImageVerdict
	manifest string
	due      time.Time
	tries    int
	facts    bool                 // what is new comes of the image, not of the policies
	before   *policy.ImageVerdict // of row, when it was decoded
	ready    bool                 // the verdict that is kept holds
}

// errOther says that another bundle holds since the verdicts were made: kept now, they would count as verdicts by that one.
var errOther = errors.New("the policies changed while images were judged")

// meanwhile does something by the bundle that holds, once more when that was not so any more at its end.
func meanwhile(do func() error) error {
	const tries = 4
	for n := 1; ; n++ {
		if err := do(); !errors.Is(err, errOther) || n == tries {
			return err
		}
	}
}

// save keeps verdicts, and tells who listens of those that changed.
func (s *Service) save(ctx context.Context, l *lens, c *clusterRow, list []*asked) error {
	now := s.o.Now()
	var changed, same []*asked
	for _, a := range list {
		switch {
		case a.ready:
		case a.row == nil || differs(a):
			changed = append(changed, a)
		case a.moved(c):
			same = append(same, a)
		}
	}
	if len(changed)+len(same) == 0 {
		return nil
	}
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		next := int64(0)
		if len(changed) > 0 {
			var err error
			if next, err = count(ctx, tx, len(changed)); err != nil {
				return err
			}
		}
		var round int64 // which nobody can change until this is written
		err := tx.NewRaw("UPDATE verdict_clusters SET round = round WHERE target_id = ? RETURNING round", l.bundle.Target).Scan(ctx, &round)
		if err := store.NotFound(err); err != nil {
			return err
		}
		if round != c.Round {
			return errOther
		}
		rows := make([]row, 0, len(changed)+len(same))
		for i, a := range changed {
			a.verdict.Serial = next + int64(i)
			rows = append(rows, a.write(l, c, now))
		}
		for _, a := range same {
			a.verdict.Serial = a.row.Serial
			rows = append(rows, a.write(l, c, now))
		}
		for part := range slices.Chunk(rows, 200) {
			_, err := tx.NewInsert().Model(&part).On("CONFLICT (target_id, reference) DO UPDATE").Set(`digest = EXCLUDED.digest, manifest = EXCLUDED.manifest, state = EXCLUDED.state,
				round = EXCLUDED.round, serial = EXCLUDED.serial, asked_at = EXCLUDED.asked_at, resolved_at = EXCLUDED.resolved_at, due_at = EXCLUDED.due_at, tries = EXCLUDED.tries,
				spec = EXCLUDED.spec, body = EXCLUDED.body, turned = CASE WHEN EXCLUDED.turned <> '' AND v.turned = '' THEN EXCLUDED.turned ELSE v.turned END`).
				Returning("NULL").Exec(ctx)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(changed) > 0 {
		s.o.Hub.Publish(ctx, live.Event{Topic: Topic, Target: l.bundle.Target})
	}
	return err
}

// was is the verdict that is kept.
func (a *asked) was() (*policy.ImageVerdict, error) {
	if a.before == nil {
		v, err := a.row.verdict()
		if err != nil {
			return nil, err
		}
		a.before = &v
	}
	return a.before, nil
}

// differs reports whether a verdict says anything else than the one that is kept.
func differs(a *asked) bool {
	before, err := a.was()
	return err != nil || !same(before, &a.verdict)
}

// same reports whether two verdicts say the same, whenever that was found out. What is equal here is so in JSON, too; an empty list and
// none are equal only there.
func same(before, after *policy.ImageVerdict) bool {
	a, b := *before, *after
	for _, v := range []*policy.ImageVerdict{&a, &b} {
		v.Serial, v.Matched, v.Resolved = 0, time.Time{}, time.Time{}
	}
	return reflect.DeepEqual(a, b) || ledger.JSON(a) == ledger.JSON(b)
}

// moved reports whether something beside the verdict is new.
func (a *asked) moved(c *clusterRow) bool {
	r := a.row
	return !c.current(r) || !r.DueAt.Equal(store.At(a.due).Time) || r.Manifest != a.manifest || r.Tries != a.tries || a.resolved.Sub(r.Resolved.Time) > nameFresh/2
}

// write makes the row of a verdict.
func (a *asked) write(l *lens, c *clusterRow, now time.Time) row {
	out := row{TargetID: l.bundle.Target, Reference: a.ref.String(), Digest: a.digest, Manifest: a.manifest, State: a.verdict.State, Round: c.Round, Serial: a.verdict.Serial,
		AskedAt: store.At(now.Truncate(24 * time.Hour)), Resolved: store.At(a.resolved), DueAt: store.At(a.due), Tries: a.tries,
		Spec: ledger.JSON(spec{a.image.Namespace, a.image.PullSecrets}), Body: ledger.JSON(a.verdict)}
	if a.row != nil {
		out.AskedAt = a.row.AskedAt
		if a.facts && c.current(a.row) && turnedWorse(l, a, now) {
			out.Turned = a.row.Body
		}
	}
	return out
}

// turnedWorse reports whether an image that was let in would not have been by what is known now.
func turnedWorse(l *lens, a *asked, now time.Time) bool {
	before, err := a.was()
	if err != nil || a.verdict.State != policy.Known || before.Digest != a.verdict.Digest {
		return false
	}
	was, is := Action(l.bundle, before, now), Action(l.bundle, &a.verdict, now)
	if before.State != policy.Known && was != policy.Block { // let in for want of an answer
		was = policy.Off
	}
	return was != policy.Block && is.Rank() > was.Rank()
}
