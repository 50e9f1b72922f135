package anatomy

import (
	"context"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// ImageRow is an image in use in one cluster, as lists show it.
type ImageRow struct {
	browse.Asset
	Read      bool        `json:"read"`
	Reason    string      `json:"reason,omitempty" doc:"why it was not read, as the scanner says"`
	Code      string      `json:"code,omitempty" enum:"no-advisory-data,forbidden,unreachable,limit,unsupported,broken,managed,skipped" doc:"of the reason"`
	Limited   bool        `json:"limited,omitempty" doc:"it was read, and something of it could not be judged: its page says what"`
	ReadAt    *store.Time `json:"readAt,omitempty" format:"date-time"`
	Created   *store.Time `json:"created,omitempty" format:"date-time"`
	Size      int64       `json:"size,omitempty"`
	OS        string      `json:"os,omitempty"`
	Layers    int         `json:"layers,omitempty"`
	Packages  int         `json:"packages,omitempty"`
	Base      string      `json:"base,omitempty" doc:"name of the base image; the operating system where it is not known"`
	BaseHow   string      `json:"baseHow,omitempty" enum:"label,image,os-layer"`
	Workloads int         `json:"workloads" doc:"that run it and may be seen"`
}

// fact is what image_facts and inventories tell of an image.
type fact struct {
	Name       string
	ReadAt     store.Time
	Packages   int
	CreatedAt  store.Time
	Size       int64
	OS         string `bun:"os"`
	Layers     int
	BaseName   string
	BaseDigest string
	Chains     []byte
}

// List lists the images in use.
func (s *Service) List(ctx context.Context, v identity.Visible, f browse.AssetFilter, sort string, page store.Page) ([]ImageRow, string, browse.Total, error) {
	f.Kind = ledger.AssetImage
	list, next, total, err := s.browse.Assets(ctx, v, f, sort, page)
	if err != nil || len(list) == 0 {
		return nil, next, total, err
	}
	out, ids, names := make([]ImageRow, len(list)), make([]int64, len(list)), make([]string, len(list))
	for i, a := range list {
		out[i].Asset, ids[i], names[i] = a, a.ID, nameOf(&a)
	}
	facts, err := s.facts(ctx, names)
	if err != nil {
		return nil, "", total, err
	}
	runners, err := s.runners(ctx, v, ids)
	if err != nil {
		return nil, "", total, err
	}
	gaps, err := s.gapsOf(ctx, list)
	if err != nil {
		return nil, "", total, err
	}
	lowers, err := s.belowAll(ctx, v, facts)
	if err != nil {
		return nil, "", total, err
	}
	for i := range out {
		r := &out[i]
		r.Workloads = runners[r.ID]
		g, f := gaps[[2]any{r.TargetID, r.Name}], facts[names[i]]
		if f == nil {
			r.Reason, r.Code = g.unread, g.code
			continue
		}
		r.Read, r.Limited, r.ReadAt, r.Packages = true, g.limited, &f.ReadAt, f.Packages
		r.Size, r.OS, r.Layers = f.Size, f.OS, f.Layers
		if !f.CreatedAt.IsZero() {
			r.Created = &f.CreatedAt
		}
		switch lower := lowers[names[i]]; {
		case lower != "":
			r.Base, r.BaseHow = lower, "image"
		case f.BaseName != "":
			r.Base, r.BaseHow = f.BaseName, "label"
		case f.OS != "":
			r.Base, r.BaseHow = f.OS, "os-layer"
		}
	}
	return out, next, total, nil
}

// nameOf is by which an image's inventory is found.
func nameOf(a *browse.Asset) string {
	if a.Digest != "" {
		return a.Digest
	}
	return a.Name
}

func (s *Service) facts(ctx context.Context, names []string) (map[string]*fact, error) {
	var rows []fact
	err := s.db.R.NewRaw(`SELECT n.name, v.read_at, v.packages, coalesce(f.created_at, 0) AS created_at, coalesce(f.size, 0) AS size, coalesce(f.os, '') AS os,
		coalesce(f.layers, 0) AS layers, coalesce(f.base_name, '') AS base_name, coalesce(f.base_digest, '') AS base_digest, f.chains
		FROM inventory_names n JOIN inventories v ON v.digest = n.digest LEFT JOIN image_facts f ON f.digest = n.digest WHERE n.name IN (?)`, bun.List(names)).Scan(ctx, &rows)
	out := make(map[string]*fact, len(rows))
	for i := range rows {
		out[rows[i].Name] = &rows[i]
	}
	return out, err
}

// belowAll names the images that others are built on, where v sees them.
func (s *Service) belowAll(ctx context.Context, v identity.Visible, facts map[string]*fact) (map[string]string, error) {
	var all []int64
	chains := make(map[string][]int64, len(facts))
	for name, f := range facts {
		c := chainsOf(f.Chains)
		chains[name] = c
		all = append(all, c[:max(0, len(c)-1)]...)
	}
	known, err := s.lowers(ctx, all)
	if err != nil {
		return nil, err
	}
	out, see, asked := map[string]string{}, s.sees(v), map[string]bool{}
	for name, c := range chains {
		l, ok := below(c, known)
		if !ok {
			continue
		}
		may, again := asked[l.Digest]
		if !again {
			if may, err = see(ctx, l.Digest); err != nil {
				return nil, err
			}
			asked[l.Digest] = may
		}
		if may {
			out[name] = l.Reference
		}
	}
	return out, nil
}

// told is what gaps tell of an image.
type told struct {
	unread, code string
	limited      bool
}

// gapsOf reads what could not be looked at of images, by target and reference.
func (s *Service) gapsOf(ctx context.Context, list []browse.Asset) (map[[2]any]told, error) {
	targets, subjects := []int64{}, []string{}
	for _, a := range list {
		targets, subjects = append(targets, a.TargetID), append(subjects, a.Name)
	}
	var rows []ledger.Gap
	if err := s.db.R.NewSelect().Model(&rows).Where("target_id IN (?)", bun.List(targets)).Where("subject IN (?)", bun.List(subjects)).OrderExpr("id").Limit(10_000).Scan(ctx); err != nil {
		return nil, err
	}
	out := map[[2]any]told{}
	for _, g := range rows {
		key := [2]any{g.TargetID, g.Subject}
		t := out[key]
		if g.What == "image" {
			t.unread, t.code = g.Reason, g.Code
		} else {
			t.limited = true
		}
		out[key] = t
	}
	return out, nil
}
