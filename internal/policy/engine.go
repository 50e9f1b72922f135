package policy

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/rule"
)

// Judge decides what becomes of requests by the policies of a bundle, with the engine that scans use. It is safe for use by several
// goroutines. What the constraints in a cluster decide is the same: their scope is Gatekeeper's match, their rules are these.
type Judge struct {
	bundle     *Bundle
	images     Images
	policies   []*compiled
	exceptions *exception.Set
	templates  *templates // nil: no policy uses any

	// Rules are evaluated once for all policies that use them with the same parameters.
	variants []*variant
	mu       sync.Mutex
	engines  map[string]*engine // by the set of policies that look at an object
	cache    *cache             // nil: a rule looks at what differs from pod to pod
	hash     hasher
	sessions sync.Pool // for callers that bring none
	places   sync.Map  // of exceptions that verdicts name: *exception.Set by id
}

// compiled is a policy, ready.
type compiled struct {
	policy  *Policy
	scope   scope
	asks    bool // a check wants facts of images
	checks  bool // there are checks
	chained bool // see Policy.chained
}

// variant is a rule with parameters, and the policies that use it so.
type variant struct {
	rule *rule.Rule
	uses []use
}

// use is a rule in a policy.
type use struct {
	policy int // in Judge.policies
	action Action
}

// engine evaluates the rules of some policies.
type engine struct {
	of       map[*rule.Rule]*variant
	sessions sync.Pool
	empty    bool
}

// maxEngines bounds the combinations of policies that have an engine of their own; the rest use that of all.
const maxEngines = 256

// NewJudge makes a Judge of b. What in b cannot be judged is told and left out: a rule that this library does not have, a template
// that does not compile, an exception that cannot be read. images nil: nobody can be asked about images. The bundle must not change
// afterwards.
func NewJudge(ctx context.Context, lib *rule.Library, b *Bundle, images Images) (*Judge, []Undecided, error) {
	j := &Judge{bundle: b, images: images, engines: map[string]*engine{}, hash: hasher{maphash.MakeSeed()}}
	j.sessions.New = func() any { return j.Session() }
	var notes []Undecided
	byKey := map[string]*variant{}
	for i := range b.Policies {
		p := &b.Policies[i]
		if p.Disabled || b.Target != 0 && len(p.Scope.Clusters) > 0 && !slices.Contains(p.Scope.Clusters, b.Target) {
			continue
		}
		s, err := compileScope(p.Scope, b)
		if err != nil {
			return nil, nil, fmt.Errorf("policy %q: scope: %w", p.Name, err)
		}
		c := &compiled{policy: p, scope: s, checks: len(p.Checks) > 0, chained: p.chained()}
		for k := range p.Checks {
			c.asks = c.asks || !p.Checks[k].Check.Of()
		}
		index := len(j.policies)
		j.policies = append(j.policies, c)
		for k := range p.Rules {
			u := &p.Rules[k]
			r := lib.Find(u.Rule)
			if r == nil || !r.SingleObject() {
				notes = append(notes, Undecided{Policy: p.ID, Rule: u.Rule, Action: Audit, Reason: "this program has no such rule, or it cannot judge one object alone"})
				continue
			}
			params := settled(r, u.Params)
			key := variantKey(r, params)
			v := byKey[key]
			if v == nil {
				v = &variant{rule: r.With(params)}
				byKey[key] = v
				j.variants = append(j.variants, v)
			}
			v.uses = append(v.uses, use{index, p.actionOf(u.Action)})
		}
	}
	j.cache = newCache(j.variants)
	if err := j.except(&notes); err != nil {
		return nil, nil, err
	}
	var err error
	if j.templates, err = newTemplates(ctx, b, j.policies, &notes); err != nil {
		return nil, nil, err
	}
	return j, notes, nil
}

// actionOf is the action of a rule or check, its own or the policy's.
func (p *Policy) actionOf(own Action) Action {
	switch {
	case own.Rank() > 0:
		return own
	case p.Action.Rank() > 0:
		return p.Action
	}
	return Audit
}

// unanswered is what happens to an image without a verdict.
func (p *Policy) unanswered() Action {
	if p.Unanswered.Rank() == 0 {
		return Audit
	}
	return p.Unanswered
}

// Session is a Judge for one goroutine. It is faster than the Judge itself where many requests are judged one after another.
type Session struct {
	judge    *Judge
	sessions map[*engine]*rule.Session
	mask     []byte
}

// Session returns a new session.
func (j *Judge) Session() *Session {
	return &Session{judge: j, sessions: map[*engine]*rule.Session{}, mask: make([]byte, len(j.policies))}
}

// Judge decides on a request.
func (j *Judge) Judge(ctx context.Context, r *Request) Outcome {
	s := j.sessions.Get().(*Session)
	defer j.sessions.Put(s)
	return s.Judge(ctx, r)
}

// Judge decides on a request.
func (s *Session) Judge(ctx context.Context, r *Request) Outcome {
	j := s.judge
	var out Outcome
	if r.Object == nil || r.Object.Content == nil {
		return out
	}
	a := j.about(r)
	some := false
	for i, c := range j.policies {
		s.mask[i] = '0'
		if c.scope.holds(r, &a) {
			s.mask[i], some = '1', true
		}
	}
	if !some {
		return out
	}
	w := &work{session: s, request: r, about: &a, out: &out}
	w.rules()
	w.templates(ctx)
	w.images(ctx)
	w.except()
	return out
}

// applies reports whether a policy looks at the request at hand.
func (s *Session) applies(policy int) bool { return s.mask[policy] == '1' }

// engineOf is the engine for the policies of the mask.
func (j *Judge) engineOf(mask []byte) *engine {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e := j.engines[string(mask)]; e != nil {
		return e
	}
	all := len(j.engines) >= maxEngines
	key := string(mask)
	if all {
		key = "all"
		if e := j.engines[key]; e != nil {
			return e
		}
	}
	e := &engine{of: map[*rule.Rule]*variant{}}
	lib := &rule.Library{}
	for _, v := range j.variants {
		if all || slices.ContainsFunc(v.uses, func(u use) bool { return mask[u.policy] == '1' }) {
			lib.Rules = append(lib.Rules, v.rule)
			e.of[v.rule] = v
		}
	}
	e.empty = len(lib.Rules) == 0
	re := rule.NewEngine(lib)
	e.sessions.New = func() any { return re.Session() }
	j.engines[key] = e
	return e
}

// work is one request on its way.
type work struct {
	session *Session
	request *Request
	about   *about
	out     *Outcome
	stands  [2]bool // an update leaves alone what rules over objects look at, and what those over pods and containers do
	base    []basis // of out.Violations, where exceptions are asked
}

// basis is a violation as exceptions look at it.
type basis struct {
	finding *finding.Finding
	chained bool
}

// hit is what a rule has against an object, as it is kept for others that are the same.
type hit struct {
	variant *variant
	rule.Hit
	message finding.Text
}

// verdict is what the rules of some policies say of an object.
type verdict struct {
	hits      []hit
	undecided []doubt
}

type doubt struct {
	variant *variant
	reason  string
}

func (w *work) rules() {
	s := w.session
	e := s.judge.engineOf(s.mask)
	if e.empty {
		return
	}
	o := w.request.Object
	if w.request.Operation == "UPDATE" && w.request.Old != nil {
		w.stands[0], w.stands[1] = Standing(o, w.request.Old, false), Standing(o, w.request.Old, true)
		if w.stands[0] && w.stands[1] {
			return
		}
	}
	var key uint64
	cached := s.judge.cache != nil && carriesPod(w.about.ref)
	if cached {
		key = s.judge.hash.object(o, s.mask, s.judge.cache.labels)
		if v := s.judge.cache.get(key); v != nil {
			w.settle(v)
			return
		}
	}
	rs := s.sessions[e]
	if rs == nil {
		rs = e.sessions.Get().(*rule.Session)
		s.sessions[e] = rs
	}
	v := &verdict{}
	rs.Object(o, nil, rule.Sink{
		Hit: func(r *rule.Rule, h rule.Hit) {
			v.hits = append(v.hits, hit{e.of[r], h, r.Message(h)})
		},
		Undecided: func(r *rule.Rule, err error) {
			v.undecided = append(v.undecided, doubt{e.of[r], err.Error()})
		},
	})
	if cached {
		s.judge.cache.put(key, v)
	}
	w.settle(v)
}

// settle makes violations of what the rules said, for each policy that looks at the object.
func (w *work) settle(v *verdict) {
	s, at := w.session, w.at()
	var judged map[int]map[string]bool // by policy: which containers are judged, by path
	for i := range v.hits {
		h := &v.hits[i]
		if w.standing(h.variant.rule) {
			continue
		}
		for _, u := range h.variant.uses {
			if !s.applies(u.policy) || !w.judged(&judged, u.policy, h.variant.rule, h.Path) {
				continue
			}
			p := s.judge.policies[u.policy].policy
			r := h.variant.rule
			w.add(Violation{Policy: p.ID, Version: p.Version, Name: p.Name, Rule: r.Name, RuleID: r.ID, Action: p.Rollout.At(u.action, at), Severity: r.Severity,
				Title: r.Title, Message: h.message, Fix: r.Fix, Container: h.Container, Path: h.Path, Found: h.Found, Want: r.Validate.Want, item: h.Item}, s.judge.policies[u.policy], r, &h.Hit)
		}
	}
	for _, d := range v.undecided {
		if w.standing(d.variant.rule) {
			continue
		}
		for _, u := range d.variant.uses {
			if s.applies(u.policy) {
				p := s.judge.policies[u.policy].policy
				w.undecided(Undecided{Policy: p.ID, Rule: d.variant.rule.Name, Action: Audit, Reason: d.reason})
			}
		}
	}
}

// standing reports whether an update cannot have made anything worse in the eyes of a rule.
func (w *work) standing(r *rule.Rule) bool {
	if r.Validate.Over == "object" {
		return w.stands[0]
	}
	return w.stands[1]
}

// judged reports whether a policy that looks at certain images looks at what a rule hit: at containers of such images, and at a pod or
// object when one of its containers is.
func (w *work) judged(known *map[int]map[string]bool, policy int, r *rule.Rule, at string) bool {
	sc := &w.session.judge.policies[policy].scope
	if len(sc.images) == 0 && len(sc.excluded) == 0 {
		return true
	}
	if *known == nil {
		*known = map[int]map[string]bool{}
	}
	list, ok := (*known)[policy]
	if !ok {
		list = map[string]bool{}
		for _, u := range ImagesOf(w.request.Object) {
			if sc.judges(u.Image) {
				list[strings.TrimSuffix(u.Path, ".image")] = true
			}
		}
		(*known)[policy] = list
	}
	if r.Validate.Over != "container" {
		return len(list) > 0 || len(sc.images) == 0 && !carriesPod(w.about.ref)
	}
	for path := range list {
		if at == path || strings.HasPrefix(at, path+".") || strings.HasPrefix(at, path+"[") {
			return true
		}
	}
	return false
}

// at is the time of the request; roll-outs go by it.
func (w *work) at() time.Time { return w.request.At }

func (w *work) undecided(u Undecided) {
	if !slices.Contains(w.out.Undecided, u) {
		w.out.Undecided = append(w.out.Undecided, u)
	}
}

// add adds a violation. r and h are of rules of the library, for exceptions.
func (w *work) add(v Violation, c *compiled, r *rule.Rule, h *rule.Hit) {
	w.out.Violations = append(w.out.Violations, v)
	if w.session.judge.exceptions == nil {
		return
	}
	var f *finding.Finding
	if r != nil {
		f = r.Finding(rule.Subject{Cluster: w.session.judge.bundle.Cluster, Ref: w.about.ref}, *h)
	} else {
		f = &finding.Finding{Kind: finding.Configuration, Rule: v.Rule, Severity: v.Severity, Title: v.Title,
			Resource: finding.Resource{Cluster: w.session.judge.bundle.Cluster, APIVersion: w.about.ref.APIVersion, Kind: w.about.ref.Kind,
				Namespace: w.about.ref.Namespace, Name: w.about.ref.Name, Container: v.Container, Image: v.Image, Digest: v.Digest}}
	}
	w.base = append(w.base, basis{f, c.chained})
}
