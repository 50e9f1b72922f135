package anatomy

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/store"
)

// BaseImage is what an image was built on.
type BaseImage struct {
	Name   string `json:"name,omitempty"`
	Digest string `json:"digest,omitempty"`
	How    string `json:"how" enum:"label,image,history,os-layer,unknown" doc:"label: the image says so; image: all layers of that image are its first; history: an earlier image ended there; os-layer: taken for it because the operating system came with it"`
	Reason string `json:"reason" doc:"how it is known, or why not, in the language asked for"`
	Layers int    `json:"layers" doc:"how many of the first layers are the base's"`
	Known  bool   `json:"known,omitempty" doc:"that image was read itself: digest leads to it"`
}

// baseReasons are the texts of Base.How.
var baseReasons = map[string][2]string{
	"label":    {"The image names its base in its labels.", "镜像标签中注明了其基础镜像。"},
	"image":    {"All layers of that image are the first layers of this one.", "该镜像的全部层正是本镜像的前若干层。"},
	"history":  {"The build history shows where an earlier image ended; it does not name it.", "构建历史表明此前的镜像在此处结束，但未注明其名称。"},
	"os-layer": {"The image does not name its base; the layers up to the operating system are taken for it.", "镜像未注明基础镜像，此处将操作系统及其之前的层视为基础层。"},
	"unknown":  {"The image does not name its base, and none of its layers holds an operating system's packages.", "镜像未注明基础镜像，且没有任何一层包含操作系统软件包。"},
}

func reasonFor(texts map[string][2]string, key, lang string) string {
	if lang == "zh" {
		return texts[key][1]
	}
	return texts[key][0]
}

// known is what image_facts tell of an image that another may be built on.
type lower struct {
	Digest, Reference string
	Layers            int
	Chain             int64
}

// lowest are the images that end in one of the chains, by chain; with several of the same layers the one that was read first.
func (s *Service) lowers(ctx context.Context, chains []int64) (map[int64]lower, error) {
	out := map[int64]lower{}
	chains = slices.Compact(slices.Sorted(slices.Values(chains)))
	for part := range slices.Chunk(chains, 1000) {
		var rows []lower
		err := s.db.R.NewRaw(`SELECT f.digest, f.layers, f.chain, v.reference FROM image_facts f JOIN inventories v ON v.digest = f.digest
			WHERE f.chain <> 0 AND f.chain IN (?) ORDER BY v.read_at, f.digest`, bun.List(part)).Scan(ctx, &rows)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if _, ok := out[r.Chain]; !ok {
				out[r.Chain] = r
			}
		}
	}
	return out, nil
}

// below is the image with the most layers that all are the first of those of an image with these chains.
func below(chains []int64, known map[int64]lower) (lower, bool) {
	for i := len(chains) - 2; i >= 0; i-- {
		if l, ok := known[chains[i]]; ok && l.Layers == i+1 {
			return l, true
		}
	}
	return lower{}, false
}

// base finds out what an image was built on. see says whether the asker may know the image that it was built on.
func (s *Service) base(ctx context.Context, b *body, lang string, see func(context.Context, string) (bool, error)) (BaseImage, error) {
	out := BaseImage{How: b.how, Layers: b.edge}
	known, err := s.lowers(ctx, b.chains[:max(0, len(b.chains)-1)])
	if err != nil {
		return out, err
	}
	l, found := below(b.chains, known)
	if found {
		out.Layers, out.How = l.Layers, "image"
		ok, err := see(ctx, l.Digest)
		if err != nil {
			return out, err
		}
		if ok {
			out.Name, out.Digest, out.Known = l.Reference, l.Digest, true
		}
	}
	if img := b.sw.Image; img != nil && out.Name == "" && (img.Labels[inventory.LabelBaseName] != "" || img.Labels[inventory.LabelBaseDigest] != "") {
		out.Name, out.Digest, out.How = shortened(img.Labels[inventory.LabelBaseName]), shortened(img.Labels[inventory.LabelBaseDigest]), "label"
	}
	if out.Name == "" && out.How == "os-layer" && b.sw.OS != nil {
		out.Name = b.sw.OS.Release
	}
	out.Reason = reasonFor(baseReasons, out.How, lang)
	return out, nil
}

// read is an inventory that there is.
type read struct {
	Digest    string     `bun:"digest"`
	Reference string     `bun:"reference"`
	Packages  int        `bun:"packages"`
	ReadAt    store.Time `bun:"read_at"`
}

// readAs finds the inventory that has one of some names.
func (s *Service) readAs(ctx context.Context, names []string) (*read, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var rows []read
	err := s.db.R.NewRaw(`SELECT v.digest, v.reference, v.packages, v.read_at FROM inventory_names n JOIN inventories v ON v.digest = n.digest
		WHERE n.name IN (?) ORDER BY v.read_at DESC LIMIT 1`, bun.List(names)).Scan(ctx, &rows)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// chainsOf reads what task wrote.
func chainsOf(packed []byte) []int64 {
	var out []int64
	for len(packed) >= 8 && len(out) < inventory.MaxLayers {
		out = append(out, int64(binary.BigEndian.Uint64(packed))) //nolint:gosec // any 64 bits do
		packed = packed[8:]
	}
	return out
}
