package anatomy

import (
	"cmp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// Bounds of what is told of an image, which its maker decides.
const (
	maxPackages = 200_000
	maxSteps    = 1000
	maxText     = 4000 // bytes of a text
	maxList     = 500  // of environment, ports, labels
)

// body is an inventory with what questions need at hand.
type body struct {
	sw       *inventory.Software
	packages []inventory.Package // of sw, the first maxPackages
	chains   []int64
	layers   map[string]int    // digest or diff id -> index
	places   map[place]int     // -> index into packages
	names    map[[2]string]int // name and version -> index into packages
	edge     int               // how many layers are the base by what the image itself shows; see dissect
	how      string
}

// place is where a package is.
type place struct{ name, version, path string }

// dissect never trusts indexes: inventories come from files that anybody could have made.
func dissect(sw *inventory.Software) *body {
	b := &body{sw: sw, packages: sw.Packages[:min(len(sw.Packages), maxPackages)], chains: sw.Chains(), layers: map[string]int{}}
	if len(sw.Layers) > inventory.MaxLayers {
		sw.Layers = sw.Layers[:inventory.MaxLayers]
	}
	for i, l := range sw.Layers {
		for _, id := range []string{l.Digest, l.DiffID} {
			if _, ok := b.layers[id]; id != "" && !ok {
				b.layers[id] = i
			}
		}
	}
	b.places, b.names = make(map[place]int, len(b.packages)), make(map[[2]string]int, len(b.packages))
	for i := range b.packages {
		p := &b.packages[i]
		b.places[place{p.Name, p.Version, p.Path}] = i
		b.names[[2]string{p.Name, p.Version}] = i
	}
	b.edge, b.how = b.boundary()
	return b
}

// layer is an index of a layer that there is, or -1.
func (b *body) layer(i int) int {
	if i < 0 || i >= len(b.sw.Layers) {
		return -1
	}
	return i
}

// boundary guesses how many of the layers came with the base. Images end with the command that they run: layers after an earlier
// one were put on top. Where the history tells nothing, the operating system's layer is the base.
func (b *body) boundary() (layers int, how string) {
	if img := b.sw.Image; img != nil {
		last := -1 // layers before the latest command that layers follow
		made := 0
		pending := -1
		for _, h := range img.History[:min(len(img.History), maxSteps)] {
			switch {
			case h.Empty && command(h.CreatedBy):
				pending = made
			case !h.Empty:
				if pending > 0 {
					last, pending = pending, -1
				}
				made++
			}
		}
		if last > 0 && last < len(b.sw.Layers) && made == len(b.sw.Layers) {
			return last, "history"
		}
	}
	least := -1
	for i := range b.packages {
		if at := b.layer(b.packages[i].Layer); b.packages[i].Type.System() && at >= 0 && (least < 0 || at < least) {
			least = at
		}
	}
	if b.sw.OS != nil && least >= 0 {
		return least + 1, "os-layer"
	}
	return 0, "unknown"
}

// command reports whether a build step sets what the image runs.
func command(step string) bool {
	_, after, found := strings.Cut(step, "#(nop)")
	if found {
		step = after
	}
	step = strings.TrimSpace(step)
	return strings.HasPrefix(step, "CMD ") || strings.HasPrefix(step, "ENTRYPOINT ")
}

// where finds the package that a finding is about: its index, and that of the layer; -1 for unknown.
func (b *body) where(name, version, path, layer string) (pkg, at int) {
	pkg, at = -1, -1
	if name != "" {
		i, ok := b.places[place{name, version, path}]
		if !ok {
			i, ok = b.names[[2]string{name, version}]
		}
		if ok {
			pkg, at = i, b.layer(b.packages[i].Layer)
		}
	}
	if i, ok := b.layers[layer]; ok && layer != "" {
		at = i
	}
	return pkg, at
}

// BuildStep is a build step, with the layer that it made.
type BuildStep struct {
	Index           int            `json:"index" doc:"of the layer, 0 for the first; -1: the step made none"`
	Digest          string         `json:"digest,omitempty"`
	Size            int64          `json:"size,omitempty" doc:"compressed bytes"`
	CreatedBy       string         `json:"createdBy,omitempty" doc:"the instruction; absent when the image does not tell it"`
	Empty           bool           `json:"empty,omitempty"`
	Base            bool           `json:"base" doc:"it came with the base image"`
	Packages        int            `json:"packages" doc:"that came in with it"`
	Vulnerabilities map[string]int `json:"vulnerabilities" doc:"active, by severity"`
	Secrets         int            `json:"secrets"`
	Malware         int            `json:"malware"`
}

// steps lists the build steps in order, and layers that the history does not explain where they are.
func (b *body) steps(base int) []BuildStep {
	var out []BuildStep
	next := 0
	layer := func(i int, by string) {
		l := b.sw.Layers[i]
		out = append(out, BuildStep{Index: i, Digest: cmp.Or(l.Digest, l.DiffID), Size: max(0, l.Size), CreatedBy: by, Base: i < base, Vulnerabilities: map[string]int{}})
	}
	if img := b.sw.Image; img != nil {
		for _, h := range img.History[:min(len(img.History), maxSteps)] {
			by := instruction(h.CreatedBy)
			if h.Empty {
				out = append(out, BuildStep{Index: -1, CreatedBy: by, Empty: true, Base: next < base || next == base && base > 0 && command(h.CreatedBy) && b.how == "history", Vulnerabilities: map[string]int{}})
				continue
			}
			if next < len(b.sw.Layers) {
				layer(next, by)
				next++
			}
		}
	}
	for ; next < len(b.sw.Layers); next++ {
		layer(next, "")
	}
	at := make(map[int]int, len(b.sw.Layers))
	for i := range out {
		if out[i].Index >= 0 {
			at[out[i].Index] = i
		}
	}
	for i := range b.packages {
		if j, ok := at[b.packages[i].Layer]; ok {
			out[j].Packages++
		}
	}
	return out
}

// instruction is a build step as its author wrote it: without the shell that builders put before it.
func instruction(by string) string {
	if _, after, ok := strings.Cut(by, "#(nop)"); ok {
		by = after
	}
	by = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(by), "# buildkit"))
	for _, shell := range []string{"/bin/sh -c ", "RUN /bin/sh -c "} {
		if rest, ok := strings.CutPrefix(by, shell); ok {
			by = "RUN " + rest
			break
		}
	}
	return shortened(by)
}

func shortened(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}

func shortenedAll(list []string) []string {
	out := make([]string, 0, min(len(list), maxList))
	for _, s := range list[:min(len(list), maxList)] {
		out = append(out, shortened(s))
	}
	return out
}

// inOrder are words of a map, for answers that do not change from one request to the next.
func inOrder(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
