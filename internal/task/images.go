package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/store"
)

// imageSpec is Item.Spec of an image: what a worker needs to read it.
type imageSpec struct {
	Reference   string   `json:"reference"`
	Digest      string   `json:"digest,omitempty"`
	PullSecrets []string `json:"pullSecrets,omitempty"`
	Own         bool     `json:"own,omitempty"`    // the task is of images alone
	Behind      string   `json:"behind,omitempty"` // key of an item of another task that was about to read it
}

// software is the part of one cluster's scan that looks into images: those without an inventory become items of their own, which
// any worker does, and the scan waits for them one by one.
type software struct {
	s      *Service
	r      *running
	pull   bool              // images that are not known are read; else they are told as skipped
	only   func(string) bool // references to look into; nil is all
	began  time.Time
	mu     sync.Mutex
	items  map[string]int64  // key -> item
	known  map[string]string // key -> digest of the inventory
	used   map[string]bool   // digests of inventories that were read
	unread int
}

// keyOf is what single flight goes by.
func keyOf(u scan.Use) string {
	if u.Digest != "" {
		return u.Digest
	}
	return u.Reference
}

// errNotAsked is told for images that the task left out.
var errNotAsked = errors.New("not read: the task did not ask for images, and none was read before")

// prepare finds out which images are known, and has the others read.
func (w *software) prepare(ctx context.Context, uses []scan.Use) error {
	w.r.update(func(p *Progress) {
		p.Phase, p.ImagesOf, p.Remaining = "images", len(uses), 0
		for part, state := range p.Parts {
			if slices.Contains(inImages, part) {
				state.Phase = "running"
			} else {
				state.Phase = "done"
			}
		}
	})
	w.began = time.Now()
	keys := make([]string, 0, len(uses))
	for _, u := range uses {
		if w.only == nil || w.only(u.Reference) {
			keys = append(keys, keyOf(u))
		}
	}
	for part := range slices.Chunk(keys, 500) {
		known, err := w.s.knownImages(ctx, part)
		if err != nil {
			return stored(err)
		}
		for k, d := range known {
			w.known[k] = d
		}
	}
	if !w.pull {
		return nil
	}
	var missing []scan.Use
	for _, u := range uses {
		if w.known[keyOf(u)] == "" && (w.only == nil || w.only(u.Reference)) {
			missing = append(missing, u)
		}
	}
	for part := range slices.Chunk(missing, 200) {
		if err := w.ask(ctx, part); err != nil {
			return stored(err)
		}
	}
	return stored(w.s.dispatch(ctx, w.r.item.TaskID))
}

// ask makes items for images, or joins those that somebody else has made.
func (w *software) ask(ctx context.Context, uses []scan.Use) error {
	now := store.At(w.s.now())
	rows, keys := make([]*Item, len(uses)), make([]string, len(uses))
	for i, u := range uses {
		keys[i] = keyOf(u)
		rows[i] = &Item{TaskID: w.r.item.TaskID, TargetID: w.r.item.TargetID, Kind: kindImage, Name: u.Reference, Key: keys[i], Status: Ready, CreatedAt: now,
			Spec: ledger.JSON(imageSpec{Reference: u.Reference, Digest: u.Digest, PullSecrets: u.PullSecrets})}
	}
	var found []Item
	err := w.s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		found = nil
		before, err := w.settled(ctx, tx, keys)
		if err != nil {
			return err
		}
		var insert []*Item
		for _, row := range rows {
			if !before.has(row.Key) {
				insert = append(insert, &Item{TaskID: row.TaskID, TargetID: row.TargetID, Kind: row.Kind, Name: row.Name, Key: row.Key, Status: row.Status, CreatedAt: row.CreatedAt, Spec: row.Spec})
			}
		}
		if len(insert) > 0 {
			_, err := tx.NewInsert().Model(&insert).On("CONFLICT (key) WHERE kind = 'image' AND status IN ('ready', 'running') DO NOTHING").Returning("NULL").Exec(ctx)
			if err != nil {
				return err
			}
			// One that ended between the two statements was no conflict any more: it is not done twice.
			if before, err = w.settled(ctx, tx, keys); err != nil {
				return err
			}
			late := slices.DeleteFunc(slices.Clone(insert), func(i *Item) bool { return !before.has(i.Key) })
			for _, l := range late {
				_, err := tx.NewRaw(`DELETE FROM task_items WHERE task_id = ? AND target_id = ? AND kind = 'image' AND key = ? AND status = 'ready'
					AND NOT EXISTS (SELECT 1 FROM task_item_uses u WHERE u.image_item = task_items.id)`, l.TaskID, l.TargetID, l.Key).Exec(ctx)
				if err != nil {
					return err
				}
			}
		}
		if err := tx.NewSelect().Model(&found).Column("id", "key", "task_id").Where("kind = 'image' AND status IN ('ready', 'running') AND key IN (?)", in(keys)).Scan(ctx); err != nil {
			return err
		}
		found = append(found, before...)
		for _, f := range found {
			if _, err := tx.NewRaw("INSERT INTO task_item_uses (image_item, user_item) VALUES (?, ?) ON CONFLICT DO NOTHING", f.ID, w.r.item.ID).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range found {
		w.items[f.Key] = f.ID
	}
	return nil
}

// ended are items of images that are not made again.
type ended []Item

func (e ended) has(key string) bool {
	return slices.ContainsFunc(e, func(i Item) bool { return i.Key == key })
}

// settled are the items of the task that say all of their image: what failed in it, before a restart, is not tried again in it, and
// what was read since it was asked for last is not asked for again.
func (w *software) settled(ctx context.Context, tx bun.Tx, keys []string) (ended, error) {
	var out ended
	err := tx.NewSelect().Model(&out).Column("id", "key").Where("task_id = ? AND kind = 'image' AND key IN (?)", w.r.item.TaskID, in(keys)).
		Where("(target_id = ? AND status = 'failed' OR status = 'done' AND EXISTS (SELECT 1 FROM inventories v WHERE v.digest = i.result))", w.r.item.TargetID).Scan(ctx)
	return out, err
}

// load waits for the inventory of an image.
func (w *software) load(ctx context.Context, use scan.Use) (*inventory.Software, error) {
	if w.only != nil && !w.only(use.Reference) {
		return nil, examine.Coded(errors.New("not part of this task"), finding.Skipped)
	}
	key := keyOf(use)
	w.mu.Lock()
	digest := w.known[key]
	w.mu.Unlock()
	for {
		if digest != "" {
			var sw *inventory.Software
			err := w.again(ctx, func() (err error) { sw, err = w.s.inventory(ctx, digest); return err })
			if err == nil {
				w.mu.Lock()
				w.used[digest] = true
				w.mu.Unlock()
				return named(sw, use), nil
			}
			if !errors.Is(err, store.ErrNotFound) || !w.pull {
				return nil, fmt.Errorf("reading its inventory: %w", err)
			}
			digest = "" // removed since
		}
		if !w.pull {
			return nil, examine.Coded(errNotAsked, finding.Skipped)
		}
		it, err := w.item(ctx, use, key)
		if err != nil {
			return nil, err
		}
		switch it.Status {
		case Done:
			if digest = it.Result; digest == "" {
				return nil, examine.Coded(errors.New("internal error: read without a result"), finding.Broken)
			}
			continue
		case Failed:
			// Another cluster's credentials may have been refused where ours are not.
			if it.TargetID == w.r.item.TargetID || it.Code != string(finding.Forbidden) {
				if sw := w.s.localImage(ctx, w.r.item.TargetID, use); sw != nil {
					return sw, nil
				}
				return nil, examine.Coded(errors.New(it.Error), finding.Code(it.Code))
			}
			w.forget(key, it.ID)
			continue
		case Canceled:
			w.forget(key, it.ID)
			continue
		}
		if err := w.s.wait(ctx, it.ID); err != nil {
			return nil, err
		}
	}
}

// item is the item that reads the image, made when there is none.
func (w *software) item(ctx context.Context, use scan.Use, key string) (*Item, error) {
	for {
		w.mu.Lock()
		id := w.items[key]
		w.mu.Unlock()
		if id == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := w.again(ctx, func() error { return w.ask(ctx, []scan.Use{use}) }); err != nil {
				return nil, err
			}
			if err := w.s.dispatch(ctx, w.r.item.TaskID); err != nil && ctx.Err() != nil {
				return nil, err
			}
			continue
		}
		it := new(Item)
		err := w.again(ctx, func() error { return w.s.db.R.NewSelect().Model(it).Where("id = ?", id).Scan(ctx) })
		if errors.Is(store.NotFound(err), store.ErrNotFound) {
			w.forget(key, id)
			continue
		}
		return it, err
	}
}

// again asks the database again when it was away: the scan holds more than one answer is worth.
func (w *software) again(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil || !transient(stored(err)) || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (w *software) forget(key string, id int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.items[key] == id {
		delete(w.items, key)
	}
}

// progress is scan.Software.Progress.
func (w *software) progress(done, total int) {
	w.r.update(func(p *Progress) {
		p.Images, p.ImagesOf = done, total
		p.Remaining = estimate(time.Since(w.began), done, total)
	})
}

// named returns the inventory under the name by which this scan knows the image, as if it had read it itself: the same bytes may
// have been read in another repository.
func named(sw *inventory.Software, use scan.Use) *inventory.Software {
	if sw.Image != nil {
		was, _ := inventory.SplitReference(sw.Image.Reference)
		if is, _ := inventory.SplitReference(use.Reference); was == is {
			return sw
		}
	}
	out := *sw
	out.Name = use.Pull()
	if sw.Image != nil {
		img := *sw.Image
		img.Reference = out.Name
		out.Image = &img
	}
	return &out
}

// image reads one image.
func (s *Service) image(ctx context.Context, r *running) outcome {
	spec, err := decode[imageSpec](r.item.Spec)
	if err != nil {
		return failed(finding.Broken, err)
	}
	var lookErr error
	known := func(digest string) bool {
		m, err := s.knownImages(ctx, []string{digest})
		lookErr = errors.Join(lookErr, err)
		return m[digest] != ""
	}
	if spec.Digest != "" && known(spec.Digest) { // read by somebody else meanwhile
		return outcome{status: Done, result: spec.Digest}
	}
	if spec.Behind != "" {
		if busy, err := s.beingRead(ctx, spec.Behind); err != nil {
			return failed(finding.Broken, stored(err))
		} else if busy {
			return outcome{later: behind}
		}
	}
	sw, digest, err := s.sources.of(r.item.TargetID).Read(ctx, scan.Use{Reference: spec.Reference, Digest: spec.Digest, PullSecrets: spec.PullSecrets}, known)
	if err != nil {
		return failed(codeOf(err), err)
	}
	if lookErr != nil {
		return failed(finding.Broken, stored(lookErr))
	}
	if digest == "" {
		digest = cmp.Or(spec.Behind, r.item.Key)
	}
	names := []string{digest}
	if spec.Digest != "" {
		names = append(names, spec.Digest)
	}
	if sw == nil { // the digest is known: only the name was new
		return outcome{status: Done, result: digest, save: func(ctx context.Context, tx bun.Tx) error { return s.nameInventory(ctx, tx, digest, names) }}
	}
	if sw.Image != nil && sw.Image.Index != "" {
		names = append(names, sw.Image.Index)
	}
	row, err := s.pack(sw, digest)
	if err != nil {
		return failed(finding.Broken, err)
	}
	return outcome{status: Done, result: digest, save: func(ctx context.Context, tx bun.Tx) error {
		if err := s.saveInventory(ctx, tx, row); err != nil {
			return err
		}
		return s.nameInventory(ctx, tx, digest, names)
	}}
}

// codeOf is the code of an error of a load: see scan.Software.
func codeOf(err error) finding.Code {
	var coded interface{ Code() string }
	if errors.As(err, &coded) {
		return finding.Code(coded.Code())
	}
	return finding.Unreachable
}

// sources keeps clusters open for a moment, for the pull secrets of their images.
type sources struct {
	fleet   Fleet
	reader  func(examine.PullSecret) ImageReader
	bundled ImageReader

	mu   sync.Mutex
	open map[int64]*opened
}

type opened struct {
	once   sync.Once
	at     time.Time
	reader ImageReader
}

// bundler is what a Fleet may offer beside: whether a cluster came with the program.
type bundler interface {
	IsBundled(ctx context.Context, target int64) bool
}

// fresh is how long an opened cluster, and the pull secrets read from it, are used.
const fresh = 2 * time.Minute

// of returns what reads the images of a cluster. The cluster is opened when a pull secret is asked for.
func (c *sources) of(target int64) ImageReader {
	c.mu.Lock()
	o := c.open[target]
	if o == nil || time.Since(o.at) > fresh {
		o = &opened{at: time.Now()}
		c.open[target] = o
		for id, other := range c.open {
			if time.Since(other.at) > fresh {
				delete(c.open, id)
			}
		}
	}
	c.mu.Unlock()
	o.once.Do(func() {
		if f, ok := c.fleet.(bundler); ok && c.bundled != nil && f.IsBundled(context.Background(), target) {
			o.reader = c.bundled
			return
		}
		o.reader = c.reader(func(ctx context.Context, namespace, name string) ([]byte, error) {
			src, err := c.fleet.Open(ctx, target)
			if err != nil {
				return nil, err
			}
			return src.PullSecret(ctx, namespace, name)
		})
	})
	return o.reader
}
