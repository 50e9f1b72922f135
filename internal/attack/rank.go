package attack

import (
	"cmp"
	"container/heap"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/bits"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Question is what is asked of a graph.
type Question struct {
	Target    string                        // tells ids of graphs apart
	Handled   func(fingerprint string) bool // findings that do not count any more; may be nil
	Sees      func(namespace string) bool   // nil: everything
	Namespace []string                      // only ways that touch one of them; empty: all
	Assume    bool                          // count holes that nobody knows yet
}

// Path is a way from outside to a goal; others like it are counted with it.
type Path struct {
	ID       string
	Score    int
	Severity finding.Severity
	Title    finding.Text
	Reasons  []finding.Text
	Steps    []int32 // edges
	Alike    int     // workloads that the same way leads through
	pairs    []pair
}

// pair is a foothold and a goal.
type pair struct{ start, goal int32 }

// Answer is the ways of a graph.
type Answer struct {
	Paths   []Path // the worst first
	Cuts    []Cut
	Handled int // edges that do not count because their findings are handled
	Hidden  int // ways that leave what may be seen
	Dropped int // ways that limits left out
}

// view is a graph with the edges that count.
type view struct {
	g       *Graph
	q       *Question
	dead    []bool
	out, in [][]int32
	goals   []int32 // nodes
	goalAt  map[int32]int
	starts  []int32
	entry   map[int32][]int32 // the easiest way into a start: edges
	ease    map[int32]float64
	handled int
	dropped int

	byChange map[int32][]int32 // edges that a change has a part in
}

type mask [maxGoals / 64]uint64

func (m *mask) set(i int)      { m[i/64] |= 1 << (i % 64) }
func (m *mask) has(i int) bool { return m[i/64]&(1<<(i%64)) != 0 }

// join adds o and reports whether that changed anything.
func (m *mask) join(o *mask) bool {
	old := *m
	for i := range m {
		m[i] |= o[i]
	}
	return *m != old
}

func (m *mask) each(do func(i int)) {
	for w := range m {
		for x := m[w]; x != 0; x &= x - 1 {
			do(w*64 + bits.TrailingZeros64(x))
		}
	}
}

// Rank finds the ways, and what to cut first.
func (g *Graph) Rank(q Question) *Answer {
	v := newView(g, &q)
	a := &Answer{Handled: v.handled}
	all := v.paths(a)
	a.Paths = v.group(all)
	a.Dropped = v.dropped
	a.Cuts = v.cuts(a.Paths)
	return a
}

func newView(g *Graph, q *Question) *view {
	v := &view{g: g, q: q, dead: make([]bool, len(g.Edges)), goalAt: map[int32]int{}, entry: map[int32][]int32{}, ease: map[int32]float64{},
		out: make([][]int32, len(g.Nodes)), in: make([][]int32, len(g.Nodes))}
	for i := range g.Edges {
		e := &g.Edges[i]
		v.out[e.From] = append(v.out[e.From], int32(i))
		v.in[e.To] = append(v.in[e.To], int32(i))
		if e.Kind == Assumed && !q.Assume {
			v.dead[i] = true
		}
		if q.Handled != nil && len(e.Findings) > 0 && !e.Partial && !slices.ContainsFunc(e.Findings, func(f string) bool { return !q.Handled(f) }) {
			v.dead[i] = true
			v.handled++
		}
	}
	for i := range g.Nodes {
		if g.Nodes[i].Value > 0 {
			v.goals = append(v.goals, int32(i))
		}
	}
	slices.SortStableFunc(v.goals, func(x, y int32) int { return cmp.Compare(g.Nodes[y].Value, g.Nodes[x].Value) })
	if len(v.goals) > maxGoals {
		v.dropped += len(v.goals) - maxGoals
		v.goals = v.goals[:maxGoals]
	}
	for i, n := range v.goals {
		v.goalAt[n] = i
	}
	v.findStarts()
	return v
}

func isEntry(kind string) bool { return kind == Exploit || kind == Open || kind == Assumed }

// findStarts finds the states that holes in exposed things lead to.
func (v *view) findStarts() {
	for i := range v.g.Edges {
		e := &v.g.Edges[i]
		if v.dead[i] || !isEntry(e.Kind) {
			continue
		}
		if way, ease := v.entrance(int32(i), nil); way != nil {
			if _, known := v.ease[e.To]; !known {
				v.starts = append(v.starts, e.To)
			}
			if ease > v.ease[e.To] {
				v.ease[e.To], v.entry[e.To] = ease, way
			}
		}
	}
	slices.SortStableFunc(v.starts, func(x, y int32) int {
		return cmp.Or(cmp.Compare(v.ease[y], v.ease[x]), strings.Compare(v.g.Nodes[x].Key, v.g.Nodes[y].Key))
	})
	if len(v.starts) > maxStarts {
		v.dropped += len(v.starts) - maxStarts
		v.starts = v.starts[:maxStarts]
	}
}

// entrance is the easiest way from outside through a hole; nil when it is not exposed. removed tells edges that are cut.
func (v *view) entrance(hole int32, removed func(edge int32) bool) ([]int32, float64) {
	gone := func(i int32) bool { return v.dead[i] || removed != nil && removed(i) }
	e := &v.g.Edges[hole]
	var best []int32
	ease := 0.0
	if gone(hole) {
		return nil, 0
	}
	outside := func(n int32) bool { k := v.g.Nodes[n].Kind; return k == Internet || k == Inside }
	try := func(way []int32) {
		x := 1.0
		for _, i := range way {
			x *= v.g.Edges[i].Ease
		}
		if x > ease {
			best, ease = way, x
		}
	}
	for _, r := range v.in[e.From] {
		if gone(r) {
			continue
		}
		door := v.g.Edges[r].From
		if outside(door) {
			try([]int32{r, hole})
			continue
		}
		if v.g.Edges[r].Kind != Route {
			continue
		}
		for _, x := range v.in[door] {
			if !gone(x) && outside(v.g.Edges[x].From) {
				try([]int32{x, r, hole})
			}
		}
	}
	return best, ease
}

// reachable tells of every state which goals can be reached from it, once removed edges are gone. States wait in a line, each
// once, so that goals travel together.
func (v *view) reachable(removed func(edge int32) bool) []mask {
	m := make([]mask, len(v.g.Nodes))
	waits := make([]bool, len(v.g.Nodes))
	line := make([]int32, 0, len(v.goals))
	for i, n := range v.goals {
		m[n].set(i)
		waits[n] = true
		line = append(line, n)
	}
	for len(line) > 0 {
		n := line[0]
		line = line[1:]
		waits[n] = false
		for _, i := range v.in[n] {
			if v.dead[i] || removed != nil && removed(i) {
				continue
			}
			from := v.g.Edges[i].From
			if m[from].join(&m[n]) && !waits[from] {
				waits[from] = true
				line = append(line, from)
			}
		}
	}
	return m
}

// queue is of states by what it costs to come from them to a goal.
type queue []item

type item struct {
	node int32
	cost float64
}

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].cost < q[j].cost || q[i].cost == q[j].cost && q[i].node < q[j].node
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(item)) }
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// effort is what an edge costs: hard ones much, and every one a little.
func effort(e *Edge) float64 { return 0.05 - math.Log(max(e.Ease, 0.01)) }

// next finds, for one goal, the easiest next edge from every state; -1 where there is none.
func (v *view) next(goal int32) []int32 {
	next := make([]int32, len(v.g.Nodes))
	cost := make([]float64, len(v.g.Nodes))
	for i := range next {
		next[i], cost[i] = -1, math.Inf(1)
	}
	cost[goal] = 0
	q := &queue{{goal, 0}}
	for q.Len() > 0 {
		x := heap.Pop(q).(item)
		if x.cost > cost[x.node] {
			continue
		}
		for _, i := range v.in[x.node] {
			if v.dead[i] {
				continue
			}
			e := &v.g.Edges[i]
			if c := x.cost + effort(e); c < cost[e.From] {
				cost[e.From], next[e.From] = c, i
				heap.Push(q, item{e.From, c})
			}
		}
	}
	return next
}

// way is one foothold's easiest way to one goal.
type way struct {
	pair
	steps []int32 // from outside
	ease  float64
}

// paths finds the easiest way of every foothold to every goal that it reaches.
func (v *view) paths(a *Answer) []way {
	masks := v.reachable(nil)
	wanted := make([]mask, 1)
	for _, s := range v.starts {
		wanted[0].join(&masks[s])
	}
	var out []way
	byStart := map[int32][]way{}
	wanted[0].each(func(at int) {
		goal := v.goals[at]
		next := v.next(goal)
		for _, s := range v.starts {
			if !masks[s].has(at) || s == goal {
				continue
			}
			w := way{pair: pair{s, goal}, steps: slices.Clone(v.entry[s]), ease: v.ease[s]}
			for n := s; n != goal && len(w.steps) <= maxPathSteps; {
				i := next[n]
				w.steps = append(w.steps, i)
				w.ease *= v.g.Edges[i].Ease
				n = v.g.Edges[i].To
			}
			if v.g.Edges[w.steps[len(w.steps)-1]].To != goal {
				v.dropped++
				continue
			}
			if !v.visible(&w) {
				a.Hidden++
				continue
			}
			if v.touches(&w) {
				byStart[s] = append(byStart[s], w)
			}
		}
	})
	for _, s := range v.starts {
		out = append(out, v.ends(byStart[s])...)
	}
	return out
}

// ends drops the ways that say nothing new: of a foothold, those to goals that are worth less than another that is no farther
// and no harder, beginnings of worse ones, and all but the easiest to nodes.
func (v *view) ends(list []way) []way {
	value := func(w *way) int { return v.g.Nodes[w.goal].Value }
	kept := slices.Clone(list)
	return slices.DeleteFunc(kept, func(w way) bool {
		for i := range list {
			o := &list[i]
			if o.goal == w.goal || value(o) < value(&w) {
				continue
			}
			nodes := v.g.Nodes[o.goal].Kind == NodeGroup && v.g.Nodes[w.goal].Kind == NodeGroup
			better := value(o) > value(&w) || o.ease > w.ease || o.ease == w.ease && o.goal < w.goal
			switch {
			case len(o.steps) > len(w.steps) && slices.Equal(o.steps[:len(w.steps)], w.steps),
				better && nodes && o.ease >= w.ease,
				better && len(o.steps) <= len(w.steps) && v.score(o) >= v.score(&w):
				return true
			}
		}
		return false
	})
}

// visible reports whether a way lies wholly in what may be seen: its states, and what proves its steps.
func (v *view) visible(w *way) bool {
	if v.q.Sees == nil {
		return true
	}
	for _, i := range w.steps {
		e := &v.g.Edges[i]
		for _, n := range [2]*Node{&v.g.Nodes[e.From], &v.g.Nodes[e.To]} {
			if n.Kind != Internet && n.Kind != Inside && (n.Namespace == "" || !v.q.Sees(n.Namespace)) {
				return false
			}
		}
		for _, p := range e.Proof {
			if p.Kind != "" && p.Kind != "Image" && (p.Namespace == "" || !v.q.Sees(p.Namespace)) {
				return false
			}
		}
	}
	return true
}

func (v *view) touches(w *way) bool {
	if len(v.q.Namespace) == 0 {
		return true
	}
	for _, i := range w.steps {
		e := &v.g.Edges[i]
		if slices.Contains(v.q.Namespace, v.g.Nodes[e.From].Namespace) || slices.Contains(v.q.Namespace, v.g.Nodes[e.To].Namespace) {
			return true
		}
	}
	return false
}

// group makes paths of ways: those that go alike through workloads of the same image to the same goal are one.
func (v *view) group(all []way) []Path {
	at := map[string]int{}
	var out []Path
	for i := range all {
		w := &all[i]
		k := v.alike(w)
		j, known := at[k]
		score := v.score(w)
		if !known {
			at[k] = len(out)
			out = append(out, v.path(w, score))
			continue
		}
		p := &out[j]
		p.pairs = append(p.pairs, w.pair)
		if score > p.Score {
			better := v.path(w, score)
			better.pairs = p.pairs
			*p = better
		}
	}
	for i := range out {
		seen := map[int32]bool{}
		for _, x := range out[i].pairs {
			seen[x.start] = true
		}
		out[i].Alike = len(seen) - 1
	}
	slices.SortStableFunc(out, func(x, y Path) int {
		return cmp.Or(cmp.Compare(y.Score, x.Score), cmp.Compare(len(x.Steps), len(y.Steps)), strings.Compare(x.ID, y.ID))
	})
	return out
}

// alike is the same for ways that differ in names alone.
func (v *view) alike(w *way) string {
	var b strings.Builder
	for _, i := range w.steps {
		e := &v.g.Edges[i]
		b.WriteString(e.Kind)
		if isEntry(e.Kind) && len(e.Proof) > 0 {
			b.WriteString(e.Proof[0].Image + e.Proof[0].Rule + v.g.Nodes[e.To].Namespace)
			if e.Kind == Assumed || e.Proof[0].Image == "" {
				b.WriteString(v.g.Nodes[e.To].Key)
			}
		}
		b.WriteByte('/')
	}
	goal := &v.g.Nodes[w.goal]
	if goal.Kind == Credentials {
		return b.String() + goal.Kind
	}
	return b.String() + goal.Key
}

// score rates a way: what it ends in, and how easy it is.
func (v *view) score(w *way) int {
	value := float64(v.g.Nodes[w.goal].Value)
	if goal := &v.g.Nodes[w.goal]; goal.Kind == Secrets && goal.Namespace != "" && goal.Namespace == v.g.Nodes[w.start].Namespace {
		value *= 0.8 // its own
	}
	return int(math.Round(value * (0.45 + 0.55*math.Sqrt(w.ease))))
}

func severity(score int) finding.Severity {
	switch {
	case score >= 75:
		return finding.Critical
	case score >= 50:
		return finding.High
	case score >= 30:
		return finding.Medium
	}
	return finding.Low
}

func (v *view) path(w *way, score int) Path {
	start, goal := &v.g.Nodes[w.start], &v.g.Nodes[w.goal]
	p := Path{Score: score, Severity: severity(score), Steps: w.steps, pairs: []pair{w.pair}}
	name := start.Ref
	if start.Kind == Identity {
		p.Title = finding.Text{EN: "API server → " + goal.Label.EN, ZH: "API Server → " + goal.Label.ZH}
	} else {
		p.Title = finding.Text{EN: inventory.Ref{Kind: name.Kind, Namespace: name.Namespace, Name: name.Name}.String() + " → " + goal.Label.EN, ZH: name.String() + " → " + goal.Label.ZH}
	}
	for _, i := range w.steps {
		e := &v.g.Edges[i]
		list := e.Reasons
		if e.Kind == Right {
			list = []finding.Text{e.Title}
		}
		for _, r := range list {
			if len(p.Reasons) < 5 && !slices.Contains(p.Reasons, r) {
				p.Reasons = append(p.Reasons, r)
			}
		}
	}
	p.Reasons = append(p.Reasons, join(say("ends in ", "可到达："), goal.Label), say("%d steps", "共 %d 步", len(w.steps)))
	sum := sha256.New()
	sum.Write([]byte(v.q.Target))
	sum.Write([]byte{0})
	sum.Write([]byte(v.alike(w)))
	sum.Write([]byte(v.g.Nodes[w.goal].Kind))
	p.ID = hex.EncodeToString(sum.Sum(nil)[:8])
	return p
}
