package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"stockade.dev/stockade/internal/collect/image/lockfile"
	"stockade.dev/stockade/internal/collect/image/secret"
	"stockade.dev/stockade/internal/collect/image/source"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/release"
)

// releaseFiles is release.Files as a set.
var releaseFiles = func() map[string]bool {
	m := map[string]bool{}
	for _, f := range release.Files {
		m[f] = true
	}
	return m
}()

func isRelease(path string) bool { return len(path) <= 64 && releaseFiles[path] }

// Analyze reads what an image holds. The error is the context's, or that of a root file system that cannot be opened; all
// else that goes wrong is a Gap of the result. The image's environment is given out with credentials redacted.
func Analyze(ctx context.Context, img *Image, o Options) (*inventory.Software, error) {
	o = o.withDefaults()
	s := &inventory.Software{Schema: inventory.SoftwareSchema, Engine: Engine, Kind: img.Kind, Name: img.Name, Gaps: slices.Clone(img.Gaps)}
	var results []*result
	if img.Kind == source.KindRootFS {
		r, err := walkRoot(ctx, img.Root, o)
		if err != nil {
			return nil, err
		}
		results = []*result{r}
	} else {
		info := img.Info
		s.Image = &info
		var err error
		if results, err = layers(ctx, img, &o, s); err != nil {
			return nil, err
		}
	}
	m := &merge{o: &o, s: s, layers: results, layered: s.Image != nil}
	m.run()
	s.Packages = lockfile.Settle(s.Packages)
	if o.Probes != nil && !o.Scanners.NoPackages {
		s.Asked = o.Probes.Asked()
	}
	if s.Image != nil {
		if !o.Scanners.NoSecrets {
			s.Hits = append(s.Hits, secret.Config(s.Image)...)
		}
		redact(s.Image)
	}
	for _, r := range results {
		s.Stats.Files += r.Entries
		s.Stats.Bytes += r.Bytes
	}
	return s, nil
}

// layers reads the layers of an image, some at a time, each at most once in all images that share a Store.
func layers(ctx context.Context, img *Image, o *Options, s *inventory.Software) ([]*result, error) {
	results := make([]*result, len(img.Layers))
	known := make([]bool, len(img.Layers))
	failed := make([]error, len(img.Layers))
	spent, big := new(budget), new(large)
	slots := make(chan struct{}, o.Parallel)
	var wg sync.WaitGroup
	announced := int64(0)
	for i := range img.Layers {
		l := &img.Layers[i]
		s.Layers = append(s.Layers, l.Layer)
		if announced += max(l.Size, 0); announced > o.Limits.Compressed {
			results[i] = &result{Gaps: []inventory.Gap{{What: layerName(l), Code: "limit", Reason: fmt.Sprintf("the layers up to this one have more than %d packed bytes", o.Limits.Compressed)}}}
			continue
		}
		if l.Unread != "" || l.Open == nil && l.Dir == "" {
			results[i] = &result{Gaps: []inventory.Gap{{What: layerName(l), Code: l.Code, Reason: l.Unread}}}
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i], known[i], failed[i] = one(ctx, l, o, spent, big)
		})
	}
	wg.Wait()
	for i, r := range results {
		if failed[i] != nil {
			return nil, failed[i]
		}
		if known[i] {
			s.Stats.Cached++
			spent.files.Add(r.Entries)
			spent.unpacked.Add(r.Bytes)
		}
	}
	return results, nil
}

func layerName(l *source.Layer) string {
	switch {
	case l.Digest != "":
		return "layer " + l.Digest
	case l.DiffID != "":
		return "layer " + l.DiffID
	}
	return "layer"
}

// one returns the result of one layer, kept or new. The error is the context's.
func one(ctx context.Context, l *source.Layer, o *Options, spent *budget, big *large) (*result, bool, error) {
	id := l.Digest
	if id == "" {
		id = l.DiffID
	}
	make := func() (*result, error) { return readLayer(ctx, l, o, spent, big) }
	if o.Store == nil || id == "" || l.Dir != "" { // an unpacked directory does not prove its digest
		r, err := make()
		return r, false, err
	}
	return o.Store.layer(ctx, o.key(id), make)
}

// key names a layer's result: the layer, the readers, and whatever changes their answer.
func (o *Options) key(id string) string {
	l := o.Limits
	text := fmt.Sprintf("%s|%s|%v|%v|%v|%v|%v|%v|%s|%+v", Engine, id, o.Scanners, o.RPMChangelog, o.KnownJar != nil, o.Malware != nil, o.Clamd != nil, l.Depth, o.DataVersion,
		[]int64{l.FileBytes, l.Whole, l.Ratio, l.Files, l.Unpacked, int64(l.Packages), int64(l.Hits)})
	if o.Probes != nil {
		text += "|" + strings.Join(o.Probes.Asked(), ",")
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// tries is how often a layer is fetched that a connection broke.
const tries = 3

// readLayer reads a layer from its beginning, again when the network broke it.
func readLayer(ctx context.Context, l *source.Layer, o *Options, spent *budget, big *large) (*result, error) {
	for try := 1; ; try++ {
		w := newWalker(ctx, o, spent, big)
		if l.Dir != "" {
			return walkDiff(ctx, l, o, spent, big)
		}
		files, unpacked := spent.files.Load(), spent.unpacked.Load()
		b := read(ctx, l, spent, o.Limits, w.tar)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if b == nil && len(w.again) > 0 {
			b = w.secondPass(ctx, l)
		}
		if b == nil {
			return w.finish(), nil
		}
		if l.Remote && !b.limit() && try < tries && b.passing {
			spent.files.Store(files) // near enough: what this try took is given back
			spent.unpacked.Store(unpacked)
			continue
		}
		code := "broken"
		switch {
		case b.limit():
			code = "limit"
		case b.unreachable:
			code = "unreachable"
		}
		r := w.finish()
		if b.refused {
			r = &result{Entries: r.Entries, Bytes: r.Bytes}
		}
		// What is not proved by its digest must not be found under it again.
		r.passing = r.passing || !b.verified
		r.Gaps = append(r.Gaps, inventory.Gap{What: layerName(l), Code: code, Reason: b.err.Error()})
		return r, nil
	}
}

// limit reports whether a limit of ours ended the reading.
func (b *broken) limit() bool { return errors.Is(b.err, errLimit) }

// secondPass reads the files that later hard links gave a name of interest.
func (w *walker) secondPass(ctx context.Context, l *source.Layer) *broken {
	w.second = true
	entries, bytes := w.res.Entries, w.res.Bytes
	b := read(ctx, l, new(budget), w.o.Limits, w.tar)
	w.res.Entries, w.res.Bytes = entries, bytes
	return b
}

// finish makes the result of what was gathered.
func (w *walker) finish() *result {
	w.finishRPM()
	if w.scratch != nil {
		scratches.Put(w.scratch)
		w.scratch = nil
	}
	r := w.res
	r.Written, r.Dirs, r.Whiteouts, r.Opaque = r.Written.sorted(), r.Dirs.sorted(), r.Whiteouts.sorted(), r.Opaque.sorted()
	r.Owned = w.owning.set()
	r.Files = slices.DeleteFunc(r.Files, func(f fileResult) bool { return f.Path == "" })
	slices.SortFunc(r.Files, func(a, b fileResult) int { return strings.Compare(a.Path, b.Path) })
	return r
}

// redact takes credentials out of what is given on: environment, labels and build steps.
func redact(img *inventory.Image) {
	img.Env = secret.Redact(img.Env)
	if len(img.Labels) > 0 {
		labels := make(map[string]string, len(img.Labels))
		for k, v := range img.Labels {
			labels[k] = strings.TrimPrefix(secret.Redact([]string{k + "=" + v})[0], k+"=")
		}
		img.Labels = labels
	}
	img.History = slices.Clone(img.History)
	for i := range img.History {
		words := strings.Fields(img.History[i].CreatedBy)
		changed := false
		for j, word := range words {
			if clean := secret.Redact([]string{word})[0]; clean != word {
				words[j], changed = clean, true
			}
		}
		if changed {
			img.History[i].CreatedBy = strings.Join(words, " ")
		}
	}
}
