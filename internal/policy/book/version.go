package book

import (
	"context"
	"encoding/json"
	"fmt"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// Versions lists the versions of a policy, the newest first, also of one that was deleted for who may see everything.
func (b *Book) Versions(ctx context.Context, v identity.Visible, id int64, page store.Page) (list []Version, next string, err error) {
	if err := b.visible(ctx, v, id); err != nil {
		return nil, "", err
	}
	before := int(^uint(0) >> 1)
	if page.After != "" {
		if err := store.ReadCursor(page.After, &before); err != nil {
			return nil, "", err
		}
	}
	var rows []versionRow // one more than asked for: the last is what the one before it is compared with
	if err := b.o.DB.R.NewSelect().Model(&rows).Where("policy_id = ? AND version < ?", id, before).OrderExpr("version DESC").Limit(int64(page.Size()) + 1).Scan(ctx); err != nil {
		return nil, "", err
	}
	for i := range rows {
		if i == page.Size() {
			next = store.Cursor(rows[i-1].Version)
			break
		}
		var old *versionRow
		if i+1 < len(rows) {
			old = &rows[i+1]
		}
		one, err := versionOf(&rows[i], old, v)
		if err != nil {
			return nil, "", err
		}
		list = append(list, one.Version)
	}
	return list, next, nil
}

// Version gives one version of a policy.
func (b *Book) Version(ctx context.Context, v identity.Visible, id int64, version int) (*Full, error) {
	if err := b.visible(ctx, v, id); err != nil {
		return nil, err
	}
	var rows []versionRow
	if err := b.o.DB.R.NewSelect().Model(&rows).Where("policy_id = ? AND version IN (?, ?)", id, version, version-1).OrderExpr("version DESC").Scan(ctx); err != nil {
		return nil, err
	}
	if len(rows) == 0 || rows[0].Version != version {
		return nil, store.ErrNotFound
	}
	var old *versionRow
	if len(rows) > 1 {
		old = &rows[1]
	}
	return versionOf(&rows[0], old, v)
}

// visible asks whether v shows a policy, deleted or not.
func (b *Book) visible(ctx context.Context, v identity.Visible, id int64) error {
	r := &policyRow{}
	if err := b.o.DB.R.NewSelect().Model(r).Where("id = ?", id).Scan(ctx); err != nil {
		return store.NotFound(err)
	}
	p, err := r.policy()
	if err != nil {
		return err
	}
	if !seen(v, &p) {
		return store.ErrNotFound
	}
	return nil
}

func versionOf(r, old *versionRow, v identity.Visible) (*Full, error) {
	full := &Full{Version: Version{Version: r.Version, At: r.At, By: r.By, Note: r.Note, Deleted: r.Deleted, Changes: []Change{}}}
	if err := json.Unmarshal([]byte(r.Body), &full.Policy); err != nil {
		return nil, fmt.Errorf("version %d of policy %d as it is kept: %w", r.Version, r.PolicyID, err)
	}
	full.Policy.ID, full.Policy.Version = r.PolicyID, r.Version
	shown(v, &full.Policy)
	if old != nil && !r.Deleted {
		var before policy.Policy
		if err := json.Unmarshal([]byte(old.Body), &before); err != nil {
			return nil, fmt.Errorf("version %d of policy %d as it is kept: %w", old.Version, old.PolicyID, err)
		}
		shown(v, &before)
		full.Changes = Compare(before, full.Policy)
	}
	return full, nil
}
