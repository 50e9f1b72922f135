package attack

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// checkGraph holds a graph to what is always true: edges have texts in both languages and proof, paths lead from outside to a
// goal, and cuts end exactly what they say.
func checkGraph(t *testing.T, g *Graph, a *Answer) {
	t.Helper()
	for i := range g.Edges {
		e := &g.Edges[i]
		if len(e.Proof) == 0 || e.Proof[0].Object == (Object{}) && e.Proof[0].CVE == "" {
			t.Errorf("edge %s %s -> %s has no proof", e.Kind, g.Nodes[e.From].Key, g.Nodes[e.To].Key)
		}
		if e.Title.EN == "" || e.Title.ZH == "" || strings.Contains(e.Title.EN+e.Title.ZH, "%!") || e.Ease <= 0 || e.Ease > 1 {
			t.Errorf("edge %+v", e)
		}
	}
	if !g.valid() {
		t.Error("a number names nothing")
	}
	for _, p := range a.Paths {
		first, last := g.Edges[p.Steps[0]], g.Edges[p.Steps[len(p.Steps)-1]]
		if k := g.Nodes[first.From].Kind; k != Internet && k != Inside {
			t.Errorf("path %s begins at %s", p.Title.EN, k)
		}
		if g.Nodes[last.To].Value == 0 || p.Score <= 0 || p.Score > 100 || len(p.Reasons) == 0 {
			t.Errorf("path %s: %d, %v", p.Title.EN, p.Score, p.Reasons)
		}
		for i := 1; i < len(p.Steps); i++ {
			if g.Edges[p.Steps[i-1]].To != g.Edges[p.Steps[i]].From {
				t.Errorf("path %s is broken at step %d", p.Title.EN, i)
			}
		}
	}
	checkCuts(t, g, a)
}

// without is a graph in which some changes have been made, for a second opinion by Rank itself.
func without(g *Graph, changes ...int32) *Graph {
	out := *g
	out.Edges = nil
	for _, e := range g.Edges {
		ended := slices.ContainsFunc(e.Cuts, func(c []int32) bool {
			return !slices.ContainsFunc(c, func(x int32) bool { return !slices.Contains(changes, x) })
		})
		if !ended {
			out.Edges = append(out.Edges, e)
		}
	}
	return &out
}

// reaches lists every foothold and goal between which a graph has a way, by plain search.
func reaches(g *Graph) map[string]bool {
	next := make([][]int32, len(g.Nodes))
	back := make([][]int32, len(g.Nodes))
	for i, e := range g.Edges {
		next[e.From] = append(next[e.From], int32(i))
		back[e.To] = append(back[e.To], int32(i))
	}
	outside := func(n int32) bool { k := g.Nodes[n].Kind; return k == Internet || k == Inside }
	out := map[string]bool{}
	for _, e := range g.Edges {
		if e.Kind != Exploit && e.Kind != Open {
			continue
		}
		entered := slices.ContainsFunc(back[e.From], func(r int32) bool {
			door := g.Edges[r].From
			return outside(door) || g.Edges[r].Kind == Route && slices.ContainsFunc(back[door], func(x int32) bool { return outside(g.Edges[x].From) })
		})
		if !entered {
			continue
		}
		seen := map[int32]bool{e.To: true}
		for work := []int32{e.To}; len(work) > 0; {
			n := work[0]
			work = work[1:]
			if g.Nodes[n].Value > 0 {
				out[g.Nodes[e.To].Key+" > "+g.Nodes[n].Key] = true
			}
			for _, i := range next[n] {
				if to := g.Edges[i].To; !seen[to] && g.Edges[i].Kind != Assumed {
					seen[to] = true
					work = append(work, to)
				}
			}
		}
	}
	return out
}

func checkCuts(t *testing.T, g *Graph, a *Answer) {
	t.Helper()
	left := func(changes ...int32) int {
		still, n := reaches(without(g, changes...)), 0
		for _, p := range a.Paths {
			if slices.ContainsFunc(p.pairs, func(x pair) bool { return still[g.Nodes[x.start].Key+" > "+g.Nodes[x.goal].Key] }) {
				n++
			}
		}
		return n
	}
	if n := left(); n != len(a.Paths) {
		t.Errorf("%d paths, of which %d are there", len(a.Paths), n)
	}
	var made []int32
	before := len(a.Paths)
	for _, c := range a.Cuts {
		if n := len(a.Paths) - left(c.Changes...); n != c.Alone || n != len(c.Paths) {
			t.Errorf("cut %q says that it ends %d alone, it ends %d", c.Title.EN, c.Alone, n)
		}
		made = append(made, c.Changes...)
		n := left(made...)
		if n != c.Left || before-n != c.Removes || c.Removes <= 0 {
			t.Errorf("cut %q says %d fewer and %d left, there are %d fewer and %d left", c.Title.EN, c.Removes, c.Left, before-n, n)
		}
		before = n
	}
}

// random is a cluster with everything that attackers use, by chance.
func random(r *rand.Rand) (string, []*finding.Finding) {
	spaces := []string{"n0", "n1", "n2"}
	text := ""
	for i, ns := range spaces {
		text += namespace(ns, []string{"privileged", "baseline", "restricted"}[(i+r.Intn(3))%3])
		for _, a := range []string{"a", "b"} {
			text += account(ns, a)
		}
	}
	pick := func() string { return spaces[r.Intn(3)] }
	rights := []string{all, readSecrets, runPods, execPods, harmless, "[{apiGroups: [''], resources: [serviceaccounts/token], verbs: [create]}]",
		"[{apiGroups: [''], resources: [secrets], verbs: [get], resourceNames: [s0]}]", "[{apiGroups: ['rbac.authorization.k8s.io'], resources: ['*'], verbs: ['*']}]"}
	for i := range r.Intn(7) {
		where := ""
		if r.Intn(3) > 0 {
			where = pick()
		}
		text += grant(pick(), []string{"a", "b"}[r.Intn(2)], where, fmt.Sprint("g", i), rights[r.Intn(len(rights))])
	}
	var found []*finding.Finding
	for i := range 2 + r.Intn(6) {
		ns, name := pick(), fmt.Sprint("w", i)
		pod, container := "", ""
		if r.Intn(2) == 0 {
			pod = token([]string{"a", "b"}[r.Intn(2)])
		}
		switch r.Intn(5) {
		case 0:
			container = ", securityContext: {privileged: true}"
		case 1:
			container = ", envFrom: [{secretRef: {name: s0}}]"
		}
		text += deployment(ns, name, pod, container)
		if r.Intn(2) == 0 {
			text += service(ns, name, []string{"LoadBalancer", "NodePort", "ClusterIP"}[r.Intn(3)])
		}
		if r.Intn(3) > 0 {
			found = append(found, vulnerable("img-"+name, fmt.Sprint("CVE-2026-", i), remoteCode, finding.Critical, ns+"/"+name))
		}
	}
	return text, found
}

// TestRandom: what holds for all graphs holds for random ones, and the order in which objects come changes nothing.
func TestRandom(t *testing.T) {
	paths, cuts := 0, 0
	for seed := range int64(200) {
		text, found := random(rand.New(rand.NewSource(seed)))
		g := build(t, text, found...)
		a := g.Rank(Question{})
		checkGraph(t, g, a)
		paths += len(a.Paths)
		cuts += len(a.Cuts)
		parts := strings.Split(strings.TrimSuffix(text, "---\n"), "---\n")
		slices.Reverse(parts)
		h := build(t, strings.Join(parts, "---\n"), found...)
		if x, y := chains(g, a), chains(h, h.Rank(Question{})); !slices.Equal(x, y) {
			t.Fatalf("seed %d: %v, and in another order %v", seed, x, y)
		}
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, text)
		}
	}
	if paths < 150 || cuts < 100 {
		t.Errorf("only %d paths and %d cuts: too few to prove anything", paths, cuts)
	}
}

// TestCutInTheCluster: the paths that the removal of a binding ends are really gone from the cluster without it, and no others.
func TestCutInTheCluster(t *testing.T) {
	tried := 0
	for seed := range int64(250) {
		text, found := random(rand.New(rand.NewSource(seed + 5000)))
		g := build(t, text, found...)
		a := g.Rank(Question{})
		v := newView(g, &Question{})
		for id, c := range g.Changes {
			if !strings.HasPrefix(c.Key, "unbind/") || len(a.Paths) == 0 {
				continue
			}
			tried++
			ref, ended := c.Ref, v.ended(a.Paths, []int32{int32(id)})
			docs := slices.DeleteFunc(strings.Split(text, "---\n"), func(d string) bool {
				return strings.Contains(d, "kind: "+ref.Kind+"\n") && strings.Contains(d, "metadata: {name: "+ref.Name+"}") ||
					strings.Contains(d, "kind: "+ref.Kind+"\n") && strings.Contains(d, "metadata: {name: "+ref.Name+", namespace: "+ref.Namespace+"}")
			})
			still := reaches(build(t, strings.Join(docs, "---\n"), found...))
			for i, p := range a.Paths {
				open := slices.ContainsFunc(p.pairs, func(x pair) bool { return still[g.Nodes[x.start].Key+" > "+g.Nodes[x.goal].Key] })
				if open == slices.Contains(ended, i) {
					t.Fatalf("seed %d: without %s the path %s is open: %v\n%s", seed, c.Key, p.Title.EN, open, text)
				}
			}
		}
	}
	if tried < 50 {
		t.Errorf("only %d cuts tried", tried)
	}
}

// TestAdminIsFound: whenever an exposed workload with a hole carries a token that leads to cluster-admin, the graph has that
// path: it is never behind what access says.
func TestAdminIsFound(t *testing.T) {
	seen := 0
	for seed := range int64(900) {
		text, found := random(rand.New(rand.NewSource(seed + 1000)))
		g := build(t, text, found...)
		ways := reaches(g)
		c := cluster(t, text)
		rights := access.Build(c)
		for _, w := range c.Workloads {
			start := "foothold/" + w.Ref.String() + "/apps"
			if _, entered := find(g, start); !entered || !mounted(w) || len(rights.PathToAdmin(access.Account(w.Ref.Namespace, w.ServiceAccount))) == 0 {
				continue
			}
			entered := false
			for k := range ways {
				entered = entered || strings.HasPrefix(k, start+" > ")
			}
			if entered {
				seen++
				if !ways[start+" > admin"] {
					t.Fatalf("seed %d: %s does not reach cluster-admin\n%s", seed, start, text)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d cases", seen)
	}
}

func find(g *Graph, key string) (int, bool) {
	i := slices.IndexFunc(g.Nodes, func(n Node) bool { return n.Key == key })
	return i, i >= 0
}

func mounted(w *inventory.Workload) bool {
	return slices.ContainsFunc(w.Volumes, func(v inventory.Volume) bool { return len(v.TokenAud) > 0 })
}
