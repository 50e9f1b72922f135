// Package attack joins what a scan saw into ways that an attacker can go: from the outside over an exposed workload with a
// hole in it, by its rights, its node or its network, to Secrets, nodes and cluster-admin. Every edge has the objects that
// prove it; Rank finds the ways and the single changes that end the most of them.
//
// The graph is built forward from what is exposed, so that its cost grows with what an attacker can reach.
package attack

import (
	"fmt"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Kinds of nodes.
const (
	Internet    = "internet"    // where attackers begin
	Inside      = "network"     // addresses that are private or limited to source ranges
	Door        = "exposure"    // a Service, Ingress, route or host port
	Workload    = "workload"    // that packets of the attacker reach
	APIServer   = "apiserver"   // as somebody without credentials sees it
	Foothold    = "foothold"    // a workload in which the attacker's commands run
	Identity    = "identity"    // a service account, user or group that the attacker can act as
	NodeGroup   = "node"        // the nodes of a workload: a goal, and a way on
	Credentials = "credentials" // what a workload holds: a goal
	Secrets     = "secrets"     // of a namespace, or all: a goal
	Cloud       = "cloud"       // an identity at the cloud provider: a goal
	Admin       = "admin"       // cluster-admin: the goal
)

// Kinds of edges.
const (
	Expose  = "expose"  // is open to the outside
	Route   = "route"   // leads to a workload
	Exploit = "exploit" // a known vulnerability
	Open    = "open"    // a door without a lock: an empty or default password, a console
	Assumed = "assumed" // a hole that nobody knows yet: counts only when asked for
	Token   = "token"   // a service account's token in the workload
	Leave   = "escape"  // from the container to its node
	Hold    = "hold"    // credentials in the workload
	Meta    = "metadata"
	Right   = "right"   // of Kubernetes' own access control
	Pivot   = "pivot"   // from a node to what runs on it
	Lateral = "lateral" // over the pod network
)

// Node is a state of the attack.
type Node struct {
	Key       string       `json:"key"` // names it within the graph
	Kind      string       `json:"kind"`
	Ref       Object       `json:"ref"`
	Label     finding.Text `json:"label"`
	Value     int          `json:"value,omitempty"` // of goals: what reaching it is worth, up to 100
	Namespace string       `json:"ns,omitempty"`    // in which it is; "" for what belongs to the cluster
}

// Object names an object.
type Object struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
}

// Proof is one fact behind an edge.
type Proof struct {
	Object
	Path        string `json:"path,omitempty"`
	Value       string `json:"value,omitempty"`
	Rule        string `json:"rule,omitempty"`
	CVE         string `json:"cve,omitempty"`
	Image       string `json:"image,omitempty"`
	Fingerprint string `json:"fp,omitempty"` // of a finding
}

// Edge is a step that an attacker can take.
type Edge struct {
	From  int32        `json:"f"`
	To    int32        `json:"t"`
	Kind  string       `json:"k"`
	Ease  float64      `json:"e"` // 0 to 1
	Title finding.Text `json:"title"`
	Proof []Proof      `json:"proof,omitempty"`
	More  int          `json:"more,omitempty"` // proofs that are not listed
	// Cuts are the ways to end the edge: any of them, each a set of changes that must all be made.
	Cuts [][]int32 `json:"cuts,omitempty"`
	// Findings of an exploit or open door: with all of them handled the edge does not count. Partial: there are more.
	Findings []string       `json:"findings,omitempty"`
	Partial  bool           `json:"partial,omitempty"`
	Reasons  []finding.Text `json:"reasons,omitempty"`
	Verified bool           `json:"verified,omitempty"` // a node's agent sees that it is so
}

// Change is something that can be done to the cluster to end edges.
type Change struct {
	Key   string       `json:"key"`
	Title finding.Text `json:"title"`
	Fix   finding.Text `json:"fix"`
	Ref   Object       `json:"ref"`
}

// Gap is something that was not looked at, or was left out.
type Gap struct {
	Code   string       `json:"code"`
	Title  finding.Text `json:"title"`
	Detail finding.Text `json:"detail"`
	Count  int          `json:"count,omitempty"`
}

// Graph is what an attacker can do in one cluster.
type Graph struct {
	Version int      `json:"version"`
	Nodes   []Node   `json:"nodes"`
	Edges   []Edge   `json:"edges"`
	Changes []Change `json:"changes"`
	Gaps    []Gap    `json:"gaps"`
	Exposed int      `json:"exposed"` // workloads that can be reached from outside
	Holes   int      `json:"holes"`   // of them, with a known way in
}

// FormatVersion of saved graphs: others are not read.
const FormatVersion = 1

// Limits of a graph. What they cut off is told as a gap.
const (
	maxNodes     = 20_000
	maxEdges     = 60_000
	maxProofs    = 6
	maxFindings  = 64 // fingerprints of an edge
	maxMembers   = 20 // identities that a right over many opens
	maxScopes    = 100
	maxNamed     = 20      // Secrets that an identity may read by their names
	maxTalks     = 200_000 // questions about the network
	maxSources   = 8       // of a lateral move to one workload
	maxLateral   = 256     // workloads that lateral moves lead to
	maxGoals     = 256
	maxStarts    = 400
	maxPathSteps = 16
)

func say(en, zh string, args ...any) finding.Text {
	if len(args) == 0 {
		return finding.Text{EN: en, ZH: zh}
	}
	return finding.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}
}

// names lists some names in both languages.
func names(list []string) finding.Text {
	const listed = 3
	n := min(len(list), listed)
	out := finding.Text{EN: strings.Join(list[:n], ", "), ZH: strings.Join(list[:n], "、")}
	if more := len(list) - n; more > 0 {
		out.EN += fmt.Sprintf(" and %d more", more)
		out.ZH += fmt.Sprintf(" 等共 %d 个", len(list))
	}
	return out
}

func join(parts ...finding.Text) finding.Text {
	var out finding.Text
	for _, p := range parts {
		out.EN += p.EN
		out.ZH += p.ZH
	}
	return out
}

func objectOf(r inventory.Ref) Object { return Object{r.APIVersion, r.Kind, r.Namespace, r.Name} }

func (o Object) String() string {
	return inventory.Ref{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}.String()
}
