package server

import (
	"fmt"
	"time"

	"stockade.dev/stockade/internal/attack"
	"stockade.dev/stockade/internal/finding"
)

// ways saves a graph for alpha with a way within the namespace shop, and one that the names of bank are on.
func (w *world) ways() {
	w.t.Helper()
	say := func(s string) finding.Text { return finding.Text{EN: s, ZH: s} }
	node := func(key, kind, ns string, value int) attack.Node {
		return attack.Node{Key: key, Kind: kind, Namespace: ns, Ref: attack.Object{Kind: "Deployment", Namespace: ns, Name: key}, Label: say(key), Value: value}
	}
	edge := func(from, to int32, kind, ns string) attack.Edge {
		return attack.Edge{From: from, To: to, Kind: kind, Ease: 1, Title: say(kind), Proof: []attack.Proof{{Object: attack.Object{Kind: "Deployment", Namespace: ns, Name: "x"}}}, Cuts: [][]int32{{0}}}
	}
	g := &attack.Graph{Version: attack.FormatVersion, Changes: []attack.Change{{Key: "x", Title: say("close it"), Fix: say("so")}},
		Nodes: []attack.Node{node("internet", attack.Internet, "", 0),
			node("door", attack.Door, "shop", 0), node("till-"+markAlpha, attack.Workload, "shop", 0), node("in-till", attack.Foothold, "shop", 0), node("purse", attack.Credentials, "shop", 40),
			node("door-"+markBank, attack.Door, "bank", 0), node(markBank, attack.Workload, "bank", 0), node("in-"+markBank, attack.Foothold, "bank", 0), node("vault", attack.Credentials, "bank", 40)},
		Edges: []attack.Edge{edge(0, 1, attack.Expose, "shop"), edge(1, 2, attack.Route, "shop"), edge(2, 3, attack.Exploit, "shop"), edge(3, 4, attack.Hold, "shop"),
			edge(0, 5, attack.Expose, "bank"), edge(5, 6, attack.Route, "bank"), edge(6, 7, attack.Exploit, "bank"), edge(7, 8, attack.Hold, "bank")}}
	if err := attack.Save(w.asSystem(), w.db, w.alpha, time.UnixMilli(w.now.Load()), g); err != nil {
		w.t.Fatal(err)
	}
}

// wayID is a path of alpha: within shop, or within bank.
func wayID(namespace string) func(w *world) string {
	return func(w *world) string {
		graphs, _, _, err := w.rooms.attack.Load(w.asRoot(), attack.Asked{Visible: w.principals["administrator"].Visible("read"), Targets: []int64{w.alpha}})
		if err != nil || len(graphs) != 1 {
			w.t.Fatal(len(graphs), err)
		}
		a := graphs[0].Graph.Rank(attack.Question{Target: fmt.Sprint(w.alpha), Namespace: []string{namespace}})
		if len(a.Paths) != 1 {
			w.t.Fatalf("%d paths in %s", len(a.Paths), namespace)
		}
		return "id=" + a.Paths[0].ID
	}
}

var attackNoun = noun{fill: (*world).ways, rows: map[string]row{
	"list-attack-paths":    {want: forSignedIn, shows: markAlpha},
	"get-attack-path":      {want: "401 200 200 404 200 200 200 404 200", shows: markAlpha, path: wayID("shop")},
	"get-attack-path/bank": {want: readAlpha, path: wayID("bank")},
}}
