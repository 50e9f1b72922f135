package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"stockade.dev/stockade/internal/attack"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// AttackGraph is a cluster whose ways were looked for.
type AttackGraph struct {
	TargetID int64      `json:"targetId,string"`
	Target   string     `json:"target" doc:"name of the cluster"`
	BuiltAt  store.Time `json:"builtAt" format:"date-time" doc:"by the last full scan"`
	Stale    bool       `json:"stale" doc:"older than a week"`
	Exposed  int        `json:"exposed" doc:"workloads that can be reached from outside"`
	Entries  int        `json:"entries" doc:"of them, with a known way in"`
}

// AttackNode is a state of an attack: something reached, taken over or held.
type AttackNode struct {
	ID        string `json:"id"`
	Kind      string `json:"kind" enum:"internet,network,exposure,workload,apiserver,foothold,identity,node,credentials,secrets,cloud,admin"`
	Object    string `json:"object,omitempty" doc:"its kind: Deployment, Service, ServiceAccount"`
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	TargetID  int64  `json:"targetId,string"`
	Target    string `json:"target"`
	Label     string `json:"label"`
	Goal      bool   `json:"goal,omitempty" doc:"what attackers want"`
	AssetID   int64  `json:"assetId,string,omitempty" doc:"of workloads and nodes"`
}

// AttackProof is a fact behind an edge.
type AttackProof struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
	Path       string `json:"path,omitempty" doc:"of the field"`
	Value      string `json:"value,omitempty"`
	Rule       string `json:"rule,omitempty"`
	CVE        string `json:"cve,omitempty"`
	Image      string `json:"image,omitempty" doc:"reference"`
	Digest     string `json:"digest,omitempty" doc:"of the image, where it is known"`
	FindingID  int64  `json:"findingId,string,omitempty"`
	AssetID    int64  `json:"assetId,string,omitempty" doc:"of a workload"`
}

// AttackEdge is a step.
type AttackEdge struct {
	ID    string        `json:"id"`
	From  string        `json:"from" doc:"id of a node"`
	To    string        `json:"to" doc:"id of a node"`
	Kind  string        `json:"kind" enum:"expose,route,exploit,open,assumed,token,escape,hold,metadata,right,pivot,lateral"`
	Title string        `json:"title"`
	Proof []AttackProof `json:"proof"`
	More  int           `json:"more,omitempty" doc:"proofs that are not listed"`
}

// AttackPath is a way from outside to a goal.
type AttackPath struct {
	ID       string   `json:"id"`
	TargetID int64    `json:"targetId,string"`
	Score    int      `json:"score" doc:"0 to 100: what it ends in, and how easy it is"`
	Severity string   `json:"severity" enum:"critical,high,medium,low"`
	Title    string   `json:"title"`
	Reasons  []string `json:"reasons"`
	Steps    []string `json:"steps" doc:"ids of edges"`
	Alike    int      `json:"alike,omitempty" doc:"further workloads that the same way leads through"`
}

// AttackCut is a change that ends ways.
type AttackCut struct {
	ID        string   `json:"id"`
	TargetID  int64    `json:"targetId,string"`
	Title     string   `json:"title"`
	Fix       string   `json:"fix"`
	Kind      string   `json:"kind,omitempty" doc:"of the object to change"`
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name,omitempty"`
	Edges     []string `json:"edges" doc:"steps that it ends, of those in the answer"`
	Paths     []string `json:"paths" doc:"ids of the paths that it ends alone"`
	Removes   int      `json:"removes" doc:"paths that it ends of those that the cuts before it leave; of its cluster"`
	Alone     int      `json:"alone" doc:"paths that it ends without the cuts before it"`
	Left      int      `json:"left" doc:"paths that are left with it and the cuts before it"`
	Of        int      `json:"of" doc:"paths of the cluster"`
}

// AttackGap is something that was not looked at.
type AttackGap struct {
	Code     string `json:"code" enum:"no-graph,network,vulnerabilities,images,unread,control-plane,blocked,limits,handled,hidden,more-clusters"`
	TargetID int64  `json:"targetId,string,omitempty"`
	Target   string `json:"target,omitempty"`
	Title    string `json:"title"`
	Detail   string `json:"detail"`
	Count    int    `json:"count,omitempty"`
}

// AttackBody is the ways of attackers through clusters.
type AttackBody struct {
	Graphs    []AttackGraph `json:"graphs"`
	Nodes     []AttackNode  `json:"nodes"`
	Edges     []AttackEdge  `json:"edges"`
	Paths     []AttackPath  `json:"paths" doc:"the worst first"`
	Total     int           `json:"total" doc:"paths that there are"`
	Cuts      []AttackCut   `json:"cuts" doc:"what to change first: each ends the most of what those before it leave"`
	Truncated bool          `json:"truncated" doc:"there are more paths or clusters than the answer holds"`
	Gaps      []AttackGap   `json:"gaps" doc:"what was not looked at, and what does not count"`
}

// Attack adds the routes of attack paths.
func Attack(a *API, s *attack.Store) {
	type pathsInput struct {
		Target    []int64  `query:"target" maxItems:"100" doc:"ids of clusters; absent: all, those with the worst paths first"`
		Namespace []string `query:"namespace" maxItems:"100" doc:"only paths that touch one of them"`
		Limit     int      `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"paths"`
		Assume    bool     `query:"assume" doc:"count exposed workloads without a known way in too, as if they had one that nobody knows yet"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/attack-paths", ID: "list-attack-paths", Tag: "Attack paths", Action: identity.Read, Summary: "Ways of attackers from outside to Secrets, nodes and cluster-admin",
		Description: "Computed by every full scan; findings that are accepted, ignored or fixed since do not count. Who sees only namespaces gets the paths that lie wholly in them."},
		func(ctx context.Context, in *pathsInput) (*One[AttackBody], error) {
			body, err := attackPaths(ctx, s, attackAsk{targets: in.Target, namespaces: in.Namespace, limit: in.Limit, assume: in.Assume})
			if err != nil {
				return nil, err
			}
			return &One[AttackBody]{Body: *body}, nil
		})
	type pathInput struct {
		ID     string `path:"id" pattern:"^[0-9a-f]{16}$"`
		Target int64  `query:"target" minimum:"1" doc:"id of its cluster, where that is known"`
		Assume bool   `query:"assume" doc:"see list-attack-paths"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/attack-paths/{id}", ID: "get-attack-path", Tag: "Attack paths", Action: identity.Read, Summary: "One path with its steps and their proof"},
		func(ctx context.Context, in *pathInput) (*One[AttackBody], error) {
			ask := attackAsk{only: in.ID, limit: 1, assume: in.Assume}
			if in.Target != 0 {
				ask.targets = []int64{in.Target}
			}
			body, err := attackPaths(ctx, s, ask)
			if err != nil {
				return nil, err
			}
			if len(body.Paths) == 0 {
				return nil, store.ErrNotFound
			}
			return &One[AttackBody]{Body: *body}, nil
		})
}

// attackAsk is what is asked for.
type attackAsk struct {
	targets    []int64
	namespaces []string
	limit      int
	only       string // id of a path
	assume     bool
}

// ranked is a path of one of the graphs.
type ranked struct {
	saved  *attack.Saved
	answer *attack.Answer
	path   *attack.Path
}

func attackPaths(ctx context.Context, s *attack.Store, in attackAsk) (*AttackBody, error) {
	visible, lang := identity.From(ctx).Visible(identity.Read), Lang(ctx)
	graphs, missing, more, err := s.Load(ctx, attack.Asked{Visible: visible, Targets: in.targets})
	if err != nil {
		return nil, err
	}
	w := &attackWriter{lang: lang, nodes: map[string]bool{}, edges: map[string]bool{},
		body: &AttackBody{Graphs: []AttackGraph{}, Nodes: []AttackNode{}, Edges: []AttackEdge{}, Paths: []AttackPath{}, Cuts: []AttackCut{}, Gaps: []AttackGap{}}}
	var all []ranked
	for i := range graphs {
		g := &graphs[i]
		q := attack.Question{Namespace: in.namespaces, Assume: in.assume}
		if !visible.Whole(g.TargetID) {
			own := visible.Namespaces[g.TargetID]
			q.Sees = func(ns string) bool { return slices.Contains(own, ns) }
		}
		answer := s.Rank(g, q)
		w.graph(g, answer, q.Sees == nil)
		for j := range answer.Paths {
			if in.only == "" || answer.Paths[j].ID == in.only {
				all = append(all, ranked{g, answer, &answer.Paths[j]})
			}
		}
		if in.only == "" {
			w.cuts(g, answer)
		}
	}
	w.missing(missing, more)
	slices.SortStableFunc(all, func(x, y ranked) int { return y.path.Score - x.path.Score })
	slices.SortStableFunc(w.body.Cuts, func(x, y AttackCut) int { return y.Removes - x.Removes })
	w.body.Total = len(all)
	w.body.Truncated = more > 0 || len(all) > in.limit
	all = all[:min(len(all), in.limit)]
	for _, r := range all {
		w.path(r)
	}
	return w.body, w.join(ctx, s, graphs)
}

// attackWriter fills an answer.
type attackWriter struct {
	lang         string
	body         *AttackBody
	nodes, edges map[string]bool
	refs         []nodeRef
	prints       []printRef
}

// nodeRef and printRef are what is looked up when everything has been written.
type nodeRef struct {
	target    int64
	groupKind string
	node      int
}

type printRef struct {
	target      int64
	edge, proof int
	fingerprint string
}

func (w *attackWriter) text(t finding.Text) string { return t.In(w.lang) }

func (w *attackWriter) graph(g *attack.Saved, answer *attack.Answer, whole bool) {
	out := AttackGraph{TargetID: g.TargetID, Target: g.Target, BuiltAt: g.BuiltAt, Stale: g.Stale}
	if whole {
		out.Exposed, out.Entries = g.Graph.Exposed, g.Graph.Holes
	}
	w.body.Graphs = append(w.body.Graphs, out)
	gap := func(code string, count int, title, detail finding.Text) {
		w.body.Gaps = append(w.body.Gaps, AttackGap{Code: code, TargetID: g.TargetID, Target: g.Target, Count: count, Title: w.text(title), Detail: w.text(detail)})
	}
	for _, x := range g.Graph.Gaps {
		if whole {
			gap(x.Code, x.Count, x.Title, x.Detail)
		}
	}
	if !whole {
		gap("hidden", 0, finding.Text{EN: "Only paths within your namespaces are shown", ZH: "仅显示完全位于您可见命名空间内的路径"},
			finding.Text{EN: "Paths that lead through other namespaces, nodes or rights of the whole cluster are left out.", ZH: "经过其他命名空间、节点或集群级权限的路径不会显示。"})
	}
	if n := answer.Handled; n > 0 && whole {
		gap("handled", n, finding.Text{EN: "Ways in that do not count: " + strconv.Itoa(n), ZH: "不计入的入口：" + strconv.Itoa(n) + " 个"},
			finding.Text{EN: "All findings behind them are accepted, ignored or fixed since the scan.", ZH: "其对应的风险项均已忽略、加白或在扫描后修复。"})
	}
	if n := answer.Dropped; n > 0 && whole {
		gap("limits", n, finding.Text{EN: "Starting points and goals that were left out: " + strconv.Itoa(n), ZH: "未纳入的起点和目标：" + strconv.Itoa(n) + " 个"},
			finding.Text{EN: "There are more than are ranked; those that are harder to reach or worth less are left out.", ZH: "超出排序上限，已省略较难到达或价值较低的部分。"})
	}
}

func (w *attackWriter) missing(list []attack.Target, more int) {
	for _, t := range list {
		title := finding.Text{EN: t.Name + " was not looked at yet", ZH: t.Name + " 尚未分析"}
		detail := finding.Text{EN: "Attack paths are computed by a full scan of the cluster.", ZH: "攻击路径由集群完整扫描计算得出。"}
		w.body.Gaps = append(w.body.Gaps, AttackGap{Code: "no-graph", TargetID: t.ID, Target: t.Name, Title: w.text(title), Detail: w.text(detail)})
	}
	if more > 0 {
		title := finding.Text{EN: "Clusters that are not in this answer: " + strconv.Itoa(more), ZH: "未包含的集群：" + strconv.Itoa(more) + " 个"}
		detail := finding.Text{EN: "Those with the worst paths are shown. Choose clusters to see others.", ZH: "仅显示路径最严重的集群，可选择集群查看其他集群。"}
		w.body.Gaps = append(w.body.Gaps, AttackGap{Code: "more-clusters", Count: more, Title: w.text(title), Detail: w.text(detail)})
	}
}

func attackID(target int64, n int32) string {
	return strconv.FormatInt(target, 10) + "." + strconv.FormatInt(int64(n), 10)
}

func (w *attackWriter) path(r ranked) {
	p := AttackPath{ID: r.path.ID, TargetID: r.saved.TargetID, Score: r.path.Score, Severity: string(r.path.Severity), Title: w.text(r.path.Title), Alike: r.path.Alike,
		Reasons: []string{}, Steps: []string{}}
	for _, t := range r.path.Reasons {
		p.Reasons = append(p.Reasons, w.text(t))
	}
	for _, e := range r.path.Steps {
		p.Steps = append(p.Steps, attackID(r.saved.TargetID, e))
		w.edge(r.saved, e)
	}
	w.body.Paths = append(w.body.Paths, p)
}

func (w *attackWriter) edge(g *attack.Saved, at int32) {
	id := attackID(g.TargetID, at)
	if w.edges[id] {
		return
	}
	w.edges[id] = true
	e := &g.Graph.Edges[at]
	out := AttackEdge{ID: id, From: attackID(g.TargetID, e.From), To: attackID(g.TargetID, e.To), Kind: e.Kind, Title: w.text(e.Title), Proof: []AttackProof{}, More: e.More}
	for _, p := range e.Proof {
		if p.Fingerprint != "" {
			w.prints = append(w.prints, printRef{g.TargetID, len(w.body.Edges), len(out.Proof), p.Fingerprint})
		}
		out.Proof = append(out.Proof, AttackProof{APIVersion: p.APIVersion, Kind: p.Kind, Namespace: p.Namespace, Name: p.Name, Path: p.Path, Value: p.Value, Rule: p.Rule, CVE: p.CVE, Image: p.Image})
	}
	w.body.Edges = append(w.body.Edges, out)
	w.node(g, e.From)
	w.node(g, e.To)
}

func (w *attackWriter) node(g *attack.Saved, at int32) {
	id := attackID(g.TargetID, at)
	if w.nodes[id] {
		return
	}
	w.nodes[id] = true
	n := &g.Graph.Nodes[at]
	if n.Kind == attack.Workload || n.Kind == attack.Foothold || n.Kind == attack.NodeGroup {
		w.refs = append(w.refs, nodeRef{g.TargetID, groupKind(n.Ref.APIVersion, n.Ref.Kind), len(w.body.Nodes)})
	}
	w.body.Nodes = append(w.body.Nodes, AttackNode{ID: id, Kind: n.Kind, Object: n.Ref.Kind, Name: n.Ref.Name, Namespace: n.Namespace, TargetID: g.TargetID, Target: g.Target, Label: w.text(n.Label), Goal: n.Value > 0})
}

func (w *attackWriter) cuts(g *attack.Saved, answer *attack.Answer) {
	for _, c := range answer.Cuts {
		out := AttackCut{TargetID: g.TargetID, Title: w.text(c.Title), Fix: w.text(c.Fix), Edges: []string{}, Paths: some(c.Paths), Removes: c.Removes, Alone: c.Alone, Left: c.Left, Of: c.Of}
		for _, id := range c.Changes {
			x := &g.Graph.Changes[id]
			out.ID += attackID(g.TargetID, id) + "c"
			out.Kind, out.Namespace, out.Name = x.Ref.Kind, x.Ref.Namespace, x.Ref.Name
		}
		for _, e := range c.Edges {
			out.Edges = append(out.Edges, attackID(g.TargetID, e))
		}
		w.body.Cuts = append(w.body.Cuts, out)
	}
}

// join adds the ids of findings and assets.
func (w *attackWriter) join(ctx context.Context, s *attack.Store, graphs []attack.Saved) error {
	for i := range graphs {
		target := graphs[i].TargetID
		var prints []string
		for _, p := range w.prints {
			if p.target == target {
				prints = append(prints, p.fingerprint)
			}
		}
		found, err := s.Findings(ctx, target, prints)
		if err != nil {
			return err
		}
		for _, p := range w.prints {
			if p.target == target {
				w.body.Edges[p.edge].Proof[p.proof].FindingID = found[p.fingerprint].ID
			}
		}
		if err := w.joinAssets(ctx, s, target); err != nil {
			return err
		}
	}
	return nil
}

func (w *attackWriter) joinAssets(ctx context.Context, s *attack.Store, target int64) error {
	names := map[ledger.AssetKind][]string{}
	for _, r := range w.refs {
		if n := &w.body.Nodes[r.node]; r.target == target && n.Name != "" {
			names[assetKind(n.Kind)] = append(names[assetKind(n.Kind)], n.Name)
		}
	}
	for i := range w.body.Edges {
		for _, p := range w.body.Edges[i].Proof {
			if p.Image != "" {
				names[ledger.AssetImage] = append(names[ledger.AssetImage], p.Image)
			}
		}
	}
	known := map[string]attack.Asset{}
	for kind, list := range names {
		found, err := s.Assets(ctx, target, kind, list)
		if err != nil {
			return err
		}
		for k, v := range found {
			known[k] = v
		}
	}
	for _, r := range w.refs {
		if n := &w.body.Nodes[r.node]; r.target == target {
			n.AssetID = known[attack.AssetKey(assetKind(n.Kind), r.groupKind, assetNamespace(n), n.Name)].ID
		}
	}
	prefix := strconv.FormatInt(target, 10) + "."
	for i := range w.body.Edges {
		if len(w.body.Edges[i].ID) < len(prefix) || w.body.Edges[i].ID[:len(prefix)] != prefix {
			continue
		}
		for j := range w.body.Edges[i].Proof {
			p := &w.body.Edges[i].Proof[j]
			if p.Image != "" {
				p.Digest = known[attack.AssetKey(ledger.AssetImage, "", "", p.Image)].Digest
			}
			p.AssetID = known[attack.AssetKey(ledger.AssetWorkload, groupKind(p.APIVersion, p.Kind), p.Namespace, p.Name)].ID
		}
	}
	return nil
}

func assetKind(node string) ledger.AssetKind {
	if node == attack.NodeGroup {
		return ledger.AssetNode
	}
	return ledger.AssetWorkload
}

func assetNamespace(n *AttackNode) string {
	if n.Kind == attack.NodeGroup {
		return ""
	}
	return n.Namespace
}

func groupKind(apiVersion, kind string) string {
	for i := range apiVersion {
		if apiVersion[i] == '/' {
			return kind + "." + apiVersion[:i]
		}
	}
	return kind
}
