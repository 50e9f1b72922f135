package task

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// Image is an image to be read that need not run anywhere.
type Image struct {
	Target      int64  // whose pull secrets are used; 0: it belongs to no cluster
	Reference   string // as people or pods write it
	Digest      string // that the reference stands for, where it is known
	Namespace   string // of the pull secrets
	PullSecrets []string
}

// maxImages bounds the images of one task.
const maxImages = 10_000

// createOfImages makes a task whose items are images. Those that another task is about to read are waited for, and left out when
// nobody looks at the task.
func (s *Service) createOfImages(ctx context.Context, tx bun.Tx, r Request) (*Task, error) {
	if len(r.Scope.Images) > maxImages {
		return nil, fmt.Errorf("%w: %d images: at most %d in one task", ErrInvalid, len(r.Scope.Images), maxImages)
	}
	items, err := s.itemsOfImages(ctx, tx, r.Scope.Images)
	if err != nil {
		return nil, err
	}
	targets, err := s.targetsOfItems(ctx, tx, items)
	if err != nil {
		return nil, err
	}
	if r.Name == "" {
		if r.Name = items[0].Name; len(items) > 1 {
			r.Name = fmt.Sprintf("%d images", len(items))
		}
	}
	var insert []*Item
	for _, it := range items {
		busy, err := keyTaken(ctx, tx, it.Key)
		if err != nil {
			return nil, err
		}
		if busy && r.Origin == Admission {
			continue
		}
		if busy {
			spec, err := decode[imageSpec](it.Spec)
			if err != nil {
				return nil, err
			}
			spec.Behind = it.Key
			it.Key, it.Spec = it.Key+" behind "+rand.Text()[:8], ledger.JSON(spec)
		}
		insert = append(insert, it)
	}
	if len(insert) == 0 {
		return nil, fmt.Errorf("%w: other tasks are about to read all of the images", ErrConflict)
	}
	t, err := s.insert(ctx, tx, r, []Part{SystemVulnerabilities, ApplicationVulnerabilities, Emergency, SensitiveInformation, Images}, targets)
	if err != nil {
		return nil, err
	}
	for _, it := range insert {
		it.TaskID, it.CreatedAt = t.ID, t.CreatedAt
	}
	t.Total.Items, t.Total.ImagesOf = 0, len(insert)
	// Another replica may be quicker: its item does.
	for part := range slices.Chunk(insert, 500) {
		if _, err := tx.NewInsert().Model(&part).On("CONFLICT (key) WHERE kind = 'image' AND status IN ('ready', 'running') DO NOTHING").Returning("NULL").Exec(ctx); err != nil {
			return nil, err
		}
	}
	ended, err := s.settle(ctx, tx, t.ID)
	if ended != nil {
		t.Status, t.FinishedAt = ended.Status, ended.FinishedAt
	}
	return t, err
}

// itemsOfImages makes an item for each different image.
func (s *Service) itemsOfImages(ctx context.Context, tx bun.Tx, images []Image) ([]*Item, error) {
	var outside int64
	var out []*Item
	seen := map[string]bool{}
	for _, img := range images {
		ref, err := policy.ParseReference(img.Reference)
		if err != nil {
			return nil, fmt.Errorf("%w: %.200q: %w", ErrInvalid, img.Reference, err)
		}
		spec := imageSpec{Reference: ref.String(), Digest: img.Digest, Own: true}
		if spec.Digest == "" {
			spec.Digest = ref.Digest
		}
		for _, secret := range img.PullSecrets {
			spec.PullSecrets = append(spec.PullSecrets, img.Namespace+"/"+secret)
		}
		if img.Target == 0 {
			if outside == 0 {
				if outside, err = s.outside(ctx, tx); err != nil {
					return nil, err
				}
			}
			img.Target = outside
		}
		key := spec.Digest
		if key == "" {
			key = spec.Reference
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		out = append(out, &Item{TargetID: img.Target, Kind: kindImage, Name: ref.String(), Key: key, Spec: ledger.JSON(spec), Status: Ready})
	}
	return out, nil
}

// targetsOfItems are the targets of items, which must exist.
func (s *Service) targetsOfItems(ctx context.Context, tx bun.Tx, items []*Item) ([]Target, error) {
	var ids []int64
	seen := map[int64]bool{}
	for _, it := range items {
		if !seen[it.TargetID] {
			seen[it.TargetID] = true
			ids = append(ids, it.TargetID)
		}
	}
	var out []Target
	err := tx.NewSelect().Table("targets").Column("id", "name", "kind").Where("(kind = 'cluster' AND removed_at = 0 OR kind = ?) AND id IN (?)", outsideKind, in(ids)).Order("id").Scan(ctx, &out)
	if err != nil {
		return nil, err
	}
	if len(out) < len(ids) {
		return nil, store.ErrNotFound
	}
	return out, nil
}

// Images that belong to no cluster hang on a target of their own, which no list shows: it counts as removed from the beginning.
const (
	outsideKind = "images"
	outsideName = "images of no cluster"
)

func (s *Service) outside(ctx context.Context, tx bun.Tx) (int64, error) {
	var ids []int64
	if err := tx.NewRaw("SELECT id FROM targets WHERE kind = ? ORDER BY id LIMIT 1", outsideKind).Scan(ctx, &ids); err != nil {
		return 0, err
	}
	if len(ids) > 0 {
		return ids[0], nil
	}
	var id int64
	err := tx.NewRaw("INSERT INTO targets (kind, name, created_at, removed_at) VALUES (?, ?, ?, 1) RETURNING id", outsideKind, outsideName, store.At(s.now())).Scan(ctx, &id)
	return id, err
}

func keyTaken(ctx context.Context, db bun.IDB, key string) (bool, error) {
	var n int
	err := db.NewRaw("SELECT count(*) FROM task_items WHERE kind = 'image' AND status IN ('ready', 'running') AND key = ?", key).Scan(ctx, &n)
	return n > 0, err
}

// behind is how long an item waits for another task's that reads the same image.
const behind = 2 * time.Second

func (s *Service) beingRead(ctx context.Context, key string) (bool, error) {
	return keyTaken(ctx, s.db.R, key)
}

// ofImages reports whether the item is an image of a task of images alone.
func ofImages(it *Item) bool {
	return it.Kind == kindImage && strings.Contains(it.Spec, `"own":true`) && func() bool {
		spec, err := decode[imageSpec](it.Spec)
		return err == nil && spec.Own
	}()
}

// retryImages makes the images of a task of images ready again that failed.
func retryImages(ctx context.Context, tx bun.Tx, id int64) (int64, error) {
	res, err := tx.NewRaw(`UPDATE task_items SET status = 'ready', worker = '', failures = 0, queued_at = 0, not_before = 0, finished_at = 0
		WHERE task_id = ? AND kind = 'image' AND status IN ('failed', 'canceled')
		AND NOT EXISTS (SELECT 1 FROM task_items o WHERE o.task_id = task_items.task_id AND o.kind <> 'image')
		AND NOT EXISTS (SELECT 1 FROM task_items o WHERE o.kind = 'image' AND o.status IN ('ready', 'running') AND o.key = task_items.key)`, id).Exec(ctx)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// countImages fills in the totals of tasks that have nothing but images, of which v sees a target.
func (s *Service) countImages(ctx context.Context, v identity.Visible, tasks []*Task) error {
	var ids []int64
	by := map[int64]*Task{}
	for _, t := range tasks {
		if t.Total.Items == 0 {
			ids, by[t.ID] = append(ids, t.ID), t
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var rows []struct {
		TaskID, TargetID int64
		Status           Status
		N                int
	}
	err := s.db.R.NewRaw(`SELECT task_id, target_id, status, count(*) AS n FROM task_items i WHERE task_id IN (?) AND kind = 'image'
		AND NOT EXISTS (SELECT 1 FROM task_items o WHERE o.task_id = i.task_id AND o.kind <> 'image') GROUP BY task_id, target_id, status`, in(ids)).Scan(ctx, &rows)
	for _, r := range rows {
		if !v.Whole(r.TargetID) {
			continue
		}
		t := &by[r.TaskID].Total
		t.ImagesOf += r.N
		switch r.Status {
		case Done, Canceled:
			t.Images += r.N
		case Failed:
			t.Images += r.N
			t.Unread += r.N
		}
	}
	return err
}
