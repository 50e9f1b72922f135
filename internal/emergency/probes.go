package emergency

import (
	"bytes"
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/emergency/check"
	"stockade.dev/stockade/internal/inventory"
)

// Probes are the questions of a list about files of images. Images are read once, layer by layer, and their files are gone then: what
// a check would see in a file is asked while it passes by, and kept with the inventory in place of the file.
type Probes struct {
	asked    []string
	list     []probe
	exact    map[string][]int // by the file's name
	patterns []named
	archives []int
}

type probe struct {
	check string
	with  map[string]any
	key   string
	paths []string
}

// named is a pattern of a file's name.
type named struct {
	pattern string
	probe   int
}

// Bounds of what is asked of one file.
const (
	mostProbes  = 500
	mostProbed  = 32 << 20  // bytes of a file that is searched
	mostArchive = 512 << 20 // bytes of an archive that is looked into
)

// NewProbes collects the questions of a list.
func NewProbes(list []*Emergency) *Probes {
	p := &Probes{exact: map[string][]int{}}
	seen := map[string]bool{}
	for _, e := range list {
		if !slices.Contains(e.Where, "image") {
			continue
		}
		for _, s := range slices.Concat(e.Preconditions, e.Proofs) {
			if len(s.Where) > 0 && !slices.Contains(s.Where, "image") {
				continue
			}
			patterns, archives, ok := check.Filed(s.Check, s.With)
			key := check.Key(s.Check, s.With)
			if !ok || key == "" || seen[key] || len(p.list) == mostProbes {
				continue
			}
			seen[key] = true
			p.add(probe{check: s.Check, with: s.With, key: key, paths: patterns}, archives)
		}
	}
	slices.Sort(p.asked)
	return p
}

func (p *Probes) add(one probe, archives bool) {
	i := len(p.list)
	p.list, p.asked = append(p.list, one), append(p.asked, one.key)
	if archives {
		p.archives = append(p.archives, i)
	}
	for _, pattern := range one.paths {
		if base := path.Base(pattern); !strings.ContainsAny(base, `*?[\`) {
			if !slices.Contains(p.exact[base], i) {
				p.exact[base] = append(p.exact[base], i)
			}
		} else {
			p.patterns = append(p.patterns, named{base, i})
		}
	}
}

// Asked names the questions.
func (p *Probes) Asked() []string { return p.asked }

// Wants reports whether a file is asked something.
func (p *Probes) Wants(name string, size int64) bool {
	found := false
	p.each(name, size, func(*probe) { found = true })
	return found
}

// each calls f with the questions for a file, each once.
func (p *Probes) each(name string, size int64, f func(*probe)) {
	base := path.Base(name)
	if len(p.archives) > 0 && size <= mostArchive && check.IsArchive(base) {
		for _, i := range p.archives {
			f(&p.list[i])
		}
		return
	}
	if size > mostProbed {
		return
	}
	for _, i := range p.exact[base] {
		if p.list[i].fits(name) {
			f(&p.list[i])
		}
	}
	last := -1
	for _, n := range p.patterns {
		if ok, _ := path.Match(n.pattern, base); ok && n.probe != last && !slices.Contains(p.exact[base], n.probe) && p.list[n.probe].fits(name) {
			last = n.probe
			f(&p.list[n.probe])
		}
	}
}

func (o *probe) fits(name string) bool {
	return slices.ContainsFunc(o.paths, func(pattern string) bool {
		ok, _ := path.Match(pattern, "/"+strings.TrimPrefix(name, "/"))
		return ok
	})
}

// Read asks a file. Archives that are no applications say nothing.
func (p *Probes) Read(name string, data []byte) []inventory.Hit {
	var out []inventory.Hit
	archive := check.IsArchive(name)
	p.each(name, int64(len(data)), func(o *probe) {
		seen := check.Look(context.Background(), o.check, o.with, "/"+strings.TrimPrefix(name, "/"), passing{bytes.NewReader(data)})
		if archive && (seen.State == check.Nowhere || seen.State == check.Unknown && !strings.HasPrefix(string(data[:min(2, len(data))]), "PK")) {
			return
		}
		out = append(out, seen.Hit(o.key, name))
	})
	return out
}

// passing is a file whose bytes are lent.
type passing struct{ *bytes.Reader }

func (passing) Close() error      { return nil }
func (passing) Mode() fs.FileMode { return 0 }
func (f passing) Size() int64     { return f.Reader.Size() }
