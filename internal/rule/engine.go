package rule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/cel-go/cel"

	"stockade.dev/stockade/internal/inventory"
)

// Engine evaluates the CEL rules of a library. It is safe for use by many goroutines through one Session each.
type Engine struct {
	lib    *Library
	plans  sync.Map // "Kind.group" -> *plan
	byComp map[string][]*Rule
	byNode []*Rule
	checks atomic.Int64
}

// plan is the rules that apply to one kind, by scope.
type plan struct {
	container, pod, object, instruction []*Rule
}

// NewEngine makes an engine for the rules of lib.
func NewEngine(lib *Library) *Engine {
	e := &Engine{lib: lib, byComp: map[string][]*Rule{}}
	for _, r := range lib.Rules {
		switch {
		case r.Validate == nil:
		case r.Validate.Over == "component":
			for _, c := range r.Match.Components {
				e.byComp[c] = append(e.byComp[c], r)
			}
		case r.Validate.Over == "node":
			e.byNode = append(e.byNode, r)
		}
	}
	return e
}

// Checks returns how many checks (a rule on an object, container, component or node) were made.
func (e *Engine) Checks() int64 { return e.checks.Load() }

func (e *Engine) plan(groupKind string) *plan {
	if p, ok := e.plans.Load(groupKind); ok {
		return p.(*plan)
	}
	p := &plan{}
	for _, r := range e.lib.Rules {
		if r.Validate == nil || !r.Matches(groupKind) {
			continue
		}
		switch r.Validate.Over {
		case "container":
			p.container = append(p.container, r)
		case "pod":
			p.pod = append(p.pod, r)
		case "object":
			p.object = append(p.object, r)
		case "instruction":
			p.instruction = append(p.instruction, r)
		}
	}
	e.plans.Store(groupKind, p)
	return p
}

// GroupKind is the name by which rules match o: "Kind.group", and plain Dockerfile for our model of one.
func GroupKind(o *inventory.Object) string {
	if o.Kind == "Dockerfile" {
		return o.Kind
	}
	return o.Ref().GroupKind()
}

// Matches reports whether the rule looks at objects of a "Kind.group".
func (r *Rule) Matches(groupKind string) bool {
	for _, k := range r.Match.Kinds {
		if k == groupKind || k == "Workload" && inventory.CarriesPod(groupKind) {
			return true
		}
	}
	return false
}

// Hit is one violation of a rule.
type Hit struct {
	Container string
	Path      string // within the object
	Found     any    // nil when missing
	Item      string // stable name of the element at fault; "" when the scope itself is
	Setting   string // over component: "flags.anonymous-auth"
}

// Sink receives what evaluation finds. Undecided means that the expression failed on the object: neither pass nor fail.
type Sink struct {
	Hit       func(*Rule, Hit)
	Undecided func(*Rule, error)
}

// Session evaluates for one goroutine.
type Session struct {
	engine *Engine
	scope  scope
	index  []int
	within string // stable name of the instruction at hand, "" elsewhere
}

// Session returns a new session.
func (e *Engine) Session() *Session { return &Session{engine: e} }

// Object runs every rule that applies to o. With only set, just the containers named in it are judged and nothing else of
// the object: it is for pods that carry more than their owner's template.
func (s *Session) Object(o *inventory.Object, only []string, sink Sink) {
	kind := GroupKind(o)
	p := s.engine.plan(kind)
	n := 0
	s.scope = scope{object: o.Content, namespace: map[string]any{}}
	if inventory.CarriesPod(kind) {
		pod, path := o.PodTemplate()
		if inventory.Map(pod, "spec") == nil {
			return // a part of an object; the scan says that it was not judged
		}
		s.scope.pod = pod
		n += s.containers(o, p.container, only, sink)
		if only == nil {
			for _, r := range p.pod {
				s.judge(r, pod, path, "", sink)
			}
			n += len(p.pod)
		}
	}
	if only == nil {
		for _, r := range p.object {
			s.judge(r, o.Content, "", "", sink)
		}
		n += len(p.object)
		if len(p.instruction) > 0 {
			n += s.instructions(o, p.instruction, sink)
		}
	}
	s.engine.checks.Add(int64(n))
}

func (s *Session) containers(o *inventory.Object, rules []*Rule, only []string, sink Sink) int {
	n := 0
	for _, c := range o.Containers() {
		if only != nil && !slices.Contains(only, c.Name) {
			continue
		}
		s.scope.container = c.Content
		for _, r := range rules {
			if t := r.Validate.Types; t != nil && !slices.Contains(t, c.Type) {
				continue
			}
			s.judge(r, c.Content, c.Path, c.Name, sink)
			n++
		}
	}
	s.scope.container = nil
	return n
}

func (s *Session) instructions(o *inventory.Object, rules []*Rule, sink Sink) int {
	n := 0
	for i, st := range inventory.List(o.Content, "stages") {
		stage, _ := st.(map[string]any)
		s.scope.stage = stage
		for j, in := range inventory.List(stage, "instructions") {
			s.scope.instruction = in
			s.within = itemName(stage) + "/" + itemName(in) + " "
			path := inventory.JoinIndex(inventory.JoinKey(inventory.JoinIndex("stages", i), "instructions"), j)
			for _, r := range rules {
				s.judge(r, in, path, "", sink)
				n++
			}
		}
	}
	s.within = ""
	return n
}

// Component runs the rules of a component over its settings.
func (s *Session) Component(c *inventory.Component, sink Sink) {
	rules := s.engine.byComp[c.Name]
	if len(rules) == 0 {
		return
	}
	value := c.Value()
	s.scope = scope{component: value}
	for _, r := range rules {
		s.judge(r, value, "", "", Sink{Undecided: sink.Undecided, Hit: func(r *Rule, h Hit) {
			h.Setting = h.Path
			h.Path = c.SettingPath(h.Path)
			sink.Hit(r, h)
		}})
	}
	s.engine.checks.Add(int64(len(rules)))
}

// Node runs the rules over node facts, given as JSON values.
func (s *Session) Node(facts map[string]any, sink Sink) {
	s.scope = scope{node: facts}
	for _, r := range s.engine.byNode {
		s.judge(r, facts, "", "", sink)
	}
	s.engine.checks.Add(int64(len(s.engine.byNode)))
}

// judge runs one rule on one scope: once, or for each element of its list.
func (s *Session) judge(r *Rule, root any, path, container string, sink Sink) {
	if r.Compile() != nil {
		sink.Undecided(r, r.program.err)
		return
	}
	s.scope.params = r.Params
	v := r.Validate
	if v.each == nil {
		s.verdict(r, root, path, container, "", sink)
		return
	}
	s.index = s.index[:0]
	s.walk(r, root, root, v.each, path, container, sink)
	s.scope.item = nil
}

// walk descends the lists of `each`. Paths are built for elements at fault only.
func (s *Session) walk(r *Rule, at, root any, rest []segment, path, container string, sink Sink) {
	for _, k := range rest[0] {
		m, ok := at.(map[string]any)
		if !ok {
			return
		}
		at = m[k]
	}
	list, ok := at.([]any)
	if !ok {
		return
	}
	depth := len(s.index)
	for i, item := range list {
		s.index = append(s.index[:depth], i)
		if len(rest) > 1 {
			outer := s.within
			if r.Validate.Over == "node" { // the same process may run in several containers
				s.within += itemName(item) + "/"
			}
			s.walk(r, item, root, rest[1:], path, container, sink)
			s.within = outer
			continue
		}
		s.scope.item = item
		good, err := holds(r.program.good, &s.scope)
		switch {
		case err != nil:
			sink.Undecided(r, err)
		case !good:
			s.hit(r, item, s.itemPath(r, path), container, itemName(item), sink)
		}
	}
	s.index = s.index[:depth]
}

func (s *Session) itemPath(r *Rule, path string) string {
	for i, seg := range r.Validate.each {
		for _, k := range seg {
			path = inventory.JoinKey(path, k)
		}
		path = inventory.JoinIndex(path, s.index[i])
	}
	return path
}

func (s *Session) verdict(r *Rule, root any, path, container, item string, sink Sink) {
	good, err := holds(r.program.good, &s.scope)
	switch {
	case err != nil:
		sink.Undecided(r, err)
	case !good:
		s.hit(r, root, path, container, item, sink)
	}
}

func (s *Session) hit(r *Rule, root any, path, container, item string, sink Sink) {
	v := r.Validate
	h := Hit{Container: container, Path: inventory.JoinPath(path, v.Path), Item: s.within + item}
	if r.program.found != nil {
		h.Found = evaluate(r.program.found, &s.scope)
	} else {
		h.Found, _ = inventory.Lookup(root, v.Path)
	}
	sink.Hit(r, h)
}

// evaluate returns the JSON form of an expression's value, nil when it fails: evidence never makes a finding fail.
func evaluate(p cel.Program, s *scope) any {
	v, _, err := p.Eval(s)
	if err != nil {
		return nil
	}
	return jsonValue(v)
}

// itemName is what stays the same when a list is reordered: what the element is called, its value, or a digest of it.
func itemName(item any) string {
	switch v := item.(type) {
	case string:
		return v
	case map[string]any:
		if key, ok := v["key"].(string); ok && v["original"] != nil { // an instruction: its key stays when lines move
			return key
		}
		var parts []string
		for _, key := range []string{"kind", "namespace", "name", "key", "mountPath", "path", "role", "container"} {
			if s, ok := v[key].(string); ok && s != "" {
				parts = append(parts, key+"="+s)
			}
		}
		if n, ok := v["index"].(int64); ok && len(parts) == 0 { // a stage without a name
			return fmt.Sprint("stage ", n)
		}
		if len(parts) > 0 {
			return strings.Join(parts, ",")
		}
		if data, err := json.Marshal(v); err == nil {
			return digest(data)
		}
	}
	return strings.TrimSpace(fmt.Sprint(item))
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
