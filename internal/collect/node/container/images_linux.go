package container

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/image/source"
	"stockade.dev/stockade/internal/inventory"
)

// local is an image on the node that can be opened.
type local struct {
	name, digest, config string
	open                 func(ctx context.Context) (*source.Image, error)
}

// locals are the images of the running containers, each once, by the digest of their configuration; and those that are named,
// whether they run or not.
func locals(ctx context.Context, o *Options, names []string) (out []local, r answer) {
	r = ask(ctx, o)
	r.silence()
	seen := map[string]bool{}
	matched := map[string]bool{}
	for _, f := range r.list {
		keys := []string{f.ImageID, f.Digest, f.Image}
		wanted := len(names) == 0
		for _, n := range names {
			if n != "" && slices.Contains(keys, n) {
				wanted, matched[n] = true, true
			}
		}
		if !wanted {
			continue
		}
		key := f.ImageID + " " + f.Digest
		if f.open == nil {
			if key == " " {
				key = f.Image
			}
			if !seen[key] {
				seen[key] = true
				r.skips = append(r.skips, inventory.SkipFact{Check: inventory.LocalImagesCheck, Needs: "the image " + f.Image + " in the store of its runtime", Reason: "the runtime does not tell its layers", Code: "unreachable"})
			}
			continue
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		out = append(out, local{name: f.Image, digest: f.Digest, config: f.ImageID, open: f.open})
	}
	for _, n := range names {
		if n == "" || matched[n] {
			continue
		}
		if open := search(ctx, o, n); open != nil {
			out = append(out, local{name: n, open: open})
		} else {
			r.skips = append(r.skips, inventory.SkipFact{Check: inventory.LocalImagesCheck, Needs: "the image " + clean(n) + " on this node", Reason: "no runtime has it", Code: "unreachable"})
		}
	}
	slices.SortFunc(out, func(a, b local) int {
		return slices.Compare([]string{a.config, a.digest, a.name}, []string{b.config, b.digest, b.name})
	})
	return out, r
}

// search looks for an image that no container runs.
func search(ctx context.Context, o *Options, name string) func(ctx context.Context) (*source.Image, error) {
	list, _ := places(o)
	for _, a := range list {
		ctx, cancel := context.WithTimeout(ctx, o.Wait)
		open := searchAt(ctx, a, o, name)
		cancel()
		if open != nil {
			return open
		}
	}
	return nil
}

func searchAt(ctx context.Context, a asking, o *Options, name string) func(ctx context.Context) (*source.Image, error) {
	switch a.runtime {
	case "docker":
		d := dialDocker(a.place, o)
		defer d.client.CloseIdleConnections()
		open, _ := d.find(ctx, name)
		return open
	case "containerd":
		c, done, err := dialContainerd(a.place, o)
		if err != nil {
			return nil
		}
		defer done()
		open, _ := c.find(ctx, name) // who does not answer has been listed already
		return open
	}
	open := storageOpener(a.place, strings.TrimPrefix(name, "sha256:"), o)
	if img, err := open(ctx); err == nil {
		img.Close()
		return open
	}
	return nil
}

// Images reads what local images hold, from the stores of the runtimes: nothing is pulled. names are digests of configurations or
// manifests, or references; none means the images of all running containers. Each inventory is given to emit, whose error ends the
// work and is returned; what could not be read is listed.
func Images(ctx context.Context, o Options, names []string, emit func(*inventory.Software) error) ([]inventory.SkipFact, error) {
	o = o.withDefaults()
	list, r := locals(ctx, &o, names)
	for _, l := range list {
		s, err := analyze(ctx, l, o.Images)
		if ctx.Err() != nil {
			return r.skips, ctx.Err()
		}
		if err != nil {
			r.skips = append(r.skips, inventory.SkipFact{Check: inventory.LocalImagesCheck, Needs: "the layers of the image " + l.name, Reason: clean(err.Error()), Code: codeOf(err)})
			continue
		}
		if err := emit(s); err != nil {
			return r.skips, err
		}
	}
	return r.skips, nil
}

// longestImage bounds the reading of one image: a runtime that stops answering in the middle does not stop the others.
const longestImage = 30 * time.Minute

// analyze reads one image.
func analyze(ctx context.Context, l local, with image.Options) (s *inventory.Software, err error) {
	ctx, cancel := context.WithTimeout(ctx, longestImage)
	defer cancel()
	img, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	img.Kind, img.Name = source.KindImage, l.name
	img.Info.Reference = l.name
	if l.digest != "" {
		img.Info.Digest = l.digest
	}
	return image.Analyze(ctx, img, with)
}
