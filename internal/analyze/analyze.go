// Package analyze holds the Go analyzers: checks that span objects, or that need more than an expression. A rule names
// one in its rule.yaml; the texts, severity and cases are the rule's.
package analyze

import (
	"sync"

	"stockade.dev/stockade/internal/access"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/reach"
)

// Analyzer is one check. Exactly one of Object and Cluster is set.
type Analyzer struct {
	Name string
	// Object is called for each object as it is read, its whole content in hand, from several goroutines at once.
	Object func(ctx *Context, o *inventory.Object, report func(Problem))
	// Kinds limits Object to these "Kind.group" names; "Workload" stands for every kind that carries a pod.
	Kinds []string
	// Cluster is called once, when everything has been read.
	Cluster func(ctx *Context, report func(Problem))
}

// Problem is what an analyzer found: where, what, and the proof. The rule adds the rest.
type Problem struct {
	Ref       inventory.Ref
	Origin    inventory.Origin
	Container string
	Image     string
	Node      string
	Item      string // what tells it from another problem of the rule on the same object; stable over re-deploys
	Evidence  []finding.Evidence
	Message   finding.Text     // "" gives the rule's title
	Severity  finding.Severity // "" gives the rule's
	Owner     *finding.Owner
}

// Context is what an analyzer works with. The graphs are built at first use and kept for every rule that works on the
// same cluster, when their contexts come from one NewContext.
type Context struct {
	Cluster *inventory.Cluster
	Params  map[string]any // of the rule
	// Undecided is told what could not be judged and why; nil when nobody listens. A rule that reports through it has
	// not passed.
	Undecided func(what, reason string)

	shared *graphs
}

// graphs are the joins over a cluster that several analyzers need.
type graphs struct {
	access    lazy[*access.Graph]
	reach     lazy[*reach.Map]
	admission lazy[*admission]
	usage     lazy[*usage]
}

type lazy[T any] struct {
	once  sync.Once
	value T
}

func (l *lazy[T]) get(build func() T) T {
	l.once.Do(func() { l.value = build() })
	return l.value
}

// NewContext returns the context of all analyzers over one cluster.
func NewContext(c *inventory.Cluster) *Context { return &Context{Cluster: c, shared: &graphs{}} }

// For returns the context of one rule: its parameters, and whom to tell what it could not judge. The graphs are shared.
func (c *Context) For(params map[string]any, undecided func(what, reason string)) *Context {
	return &Context{Cluster: c.Cluster, Params: params, Undecided: undecided, shared: c.graphs()}
}

// graphs gives a context that was made by hand its own.
func (c *Context) graphs() *graphs {
	if c.shared == nil {
		c.shared = &graphs{}
	}
	return c.shared
}

// Access returns who may do what in the cluster.
func (c *Context) Access() *access.Graph {
	return c.graphs().access.get(func() *access.Graph { return access.Build(c.Cluster) })
}

// Reach returns who may talk to whom in the cluster.
func (c *Context) Reach() *reach.Map {
	return c.graphs().reach.get(func() *reach.Map { return reach.Build(c.Cluster) })
}

// Known reports whether every one of the kinds ("Kind.group") could be listed. If one could not, nothing may be
// concluded from its absence: it says so through Undecided, once for each kind.
func (c *Context) Known(kinds ...string) bool {
	known := true
	for _, k := range kinds {
		if why, unread := c.Cluster.Unread[k]; unread {
			known = false
			if c.Undecided != nil {
				c.Undecided(k, why)
			}
		}
	}
	return known
}

// number returns a parameter of the rule that is a whole number; def when it is missing or of another type.
func (c *Context) number(name string, def int64) int64 {
	if n, ok := inventory.Int(c.Params, name); ok {
		return n
	}
	return def
}
