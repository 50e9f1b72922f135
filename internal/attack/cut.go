package attack

import (
	"cmp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/reach"
)

// Cut is one change that ends ways.
type Cut struct {
	Changes []int32 // all of them together are the change; nearly always one
	Title   finding.Text
	Fix     finding.Text
	Edges   []int32 // that it ends, of those in the paths
	Removes int     // paths that it ends of those that the cuts before it leave
	Alone   int     // paths that it ends without them
	Left    int     // paths that are left when it and all cuts before it are made
	Of      int
	Paths   []string // ids of those that it ends alone
}

// Limits of the advice.
const (
	maxCuts       = 8
	maxCandidates = 48
)

// cuts chooses greedily: each next cut ends the most of what the ones before it leave, weighed by merit. A path counts as ended when no way at
// all is left from any of its footholds to its goal, not when this one way is.
func (v *view) cuts(paths []Path) []Cut {
	if len(paths) == 0 {
		return nil
	}
	candidates := v.candidates(paths)
	alone := make([][]int, len(candidates)) // paths that each ends alone
	for i, c := range candidates {
		alone[i] = v.ended(paths, c)
	}
	var out []Cut
	var chosen [][]int32
	left := len(paths)
	used := make([]bool, len(candidates))
	for len(out) < maxCuts && left > 0 {
		best, bestEnds, bestGain := -1, 0, 0.0
		for i, c := range candidates {
			if used[i] {
				continue
			}
			ends := len(v.ended(paths, slices.Concat(append(slices.Clone(chosen), c)...))) - (len(paths) - left)
			gain := float64(ends) * v.merit(c)
			if gain > bestGain || gain == bestGain && best >= 0 && ends > 0 && len(alone[i]) > len(alone[best]) {
				best, bestEnds, bestGain = i, ends, gain
			}
		}
		if best < 0 || bestEnds <= 0 {
			break
		}
		used[best] = true
		chosen = append(chosen, candidates[best])
		left -= bestEnds
		c := v.cut(paths, candidates[best], alone[best], left)
		c.Removes = bestEnds
		out = append(out, c)
	}
	return out
}

// merit weighs a cut: several changes count as so many, and what is open on purpose is the last that people close.
func (v *view) merit(changes []int32) float64 {
	m := 1 / float64(len(changes))
	for _, c := range changes {
		if k := v.g.Changes[c].Key; strings.HasPrefix(k, "close/") && (strings.HasSuffix(k, "/"+reach.ViaIngress) || strings.HasSuffix(k, "/"+reach.ViaGateway)) {
			m *= 0.5
		}
	}
	return m
}

// candidates are the changes that touch the most paths.
func (v *view) candidates(paths []Path) [][]int32 {
	count := map[string]int{}
	byKey := map[string][]int32{}
	for i := range paths {
		seen := map[string]bool{}
		for _, e := range paths[i].Steps {
			for _, c := range v.g.Edges[e].Cuts {
				k := key(c)
				if !seen[k] {
					seen[k] = true
					count[k]++
					byKey[k] = c
				}
			}
		}
	}
	keys := sortedKeys(count)
	slices.SortStableFunc(keys, func(x, y string) int {
		return cmp.Or(cmp.Compare(count[y], count[x]), cmp.Compare(len(byKey[x]), len(byKey[y])))
	})
	var out [][]int32
	for _, k := range keys[:min(len(keys), maxCandidates)] {
		out = append(out, byKey[k])
	}
	return out
}

// removed tells which edges some changes end.
func (v *view) removed(changes []int32) func(edge int32) bool {
	if v.byChange == nil {
		v.byChange = map[int32][]int32{}
		for i := range v.g.Edges {
			for _, c := range v.g.Edges[i].Cuts {
				for _, x := range c {
					v.byChange[x] = append(v.byChange[x], int32(i))
				}
			}
		}
	}
	gone := make([]bool, len(v.g.Edges))
	for _, x := range changes {
		for _, i := range v.byChange[x] {
			gone[i] = gone[i] || slices.ContainsFunc(v.g.Edges[i].Cuts, func(c []int32) bool {
				return !slices.ContainsFunc(c, func(y int32) bool { return !slices.Contains(changes, y) })
			})
		}
	}
	return func(edge int32) bool { return gone[edge] }
}

// ended lists the paths of which nothing is left after some changes.
func (v *view) ended(paths []Path, changes []int32) []int {
	gone := v.removed(changes)
	masks := v.reachable(gone)
	open := map[int32]bool{}
	entered := func(start int32) bool {
		known, ok := open[start]
		if !ok {
			for _, i := range v.in[start] {
				if !isEntry(v.g.Edges[i].Kind) || gone(i) || v.dead[i] {
					continue
				}
				if way, _ := v.entrance(i, gone); way != nil {
					known = true
					break
				}
			}
			open[start] = known
		}
		return known
	}
	var out []int
	for i := range paths {
		if !slices.ContainsFunc(paths[i].pairs, func(p pair) bool { return entered(p.start) && masks[p.start].has(v.goalAt[p.goal]) }) {
			out = append(out, i)
		}
	}
	return out
}

func (v *view) cut(paths []Path, changes []int32, alone []int, left int) Cut {
	c := Cut{Changes: changes, Alone: len(alone), Left: left, Of: len(paths)}
	for i, id := range changes {
		x := &v.g.Changes[id]
		if i == 0 {
			c.Title, c.Fix = x.Title, x.Fix
		} else {
			c.Title = join(c.Title, say(", and ", "，并"), x.Title)
		}
	}
	gone := v.removed(changes)
	for _, i := range alone {
		c.Paths = append(c.Paths, paths[i].ID)
	}
	seen := map[int32]bool{}
	for i := range paths {
		for _, e := range paths[i].Steps {
			if gone(e) && !seen[e] {
				seen[e] = true
				c.Edges = append(c.Edges, e)
			}
		}
	}
	return c
}
