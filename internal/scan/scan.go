// Package scan is the spine: what a source brings is recorded in the cluster, judged by rules and analyzers, and leaves as
// a stream of findings. Run reads in the order of that way.
package scan

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// Source brings objects. emit may keep the object; it is called from one goroutine at a time.
type Source interface {
	Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error
}

// Judge evaluates rules that are not in the library's own form, such as users' ConstraintTemplates. It is called from
// several goroutines.
type Judge interface {
	Object(ctx context.Context, o *inventory.Object, s rule.Subject, report func(*finding.Finding), undecided func(name string, err error))
	Names() []string
}

// Config says how to scan.
type Config struct {
	Library    *rule.Library
	Analyzers  []analyze.Analyzer
	Frameworks []*compliance.Framework      // judged and reported; none by default
	Judge      Judge                        // may be nil
	Software   *Software                    // how to look into images; nil: they are left out
	Header     finding.Header               // tool, target and start time
	Info       func() inventory.ClusterInfo // of a live cluster or snapshot, asked when the stream has ended; may be nil
	Filter     Filter                       // what becomes of each finding
	Facts      Source                       // what agents know of nodes, read after everything else, one by one: see run.facts; may be nil
	Partial    bool                         // the source brings some objects only: what needs all of them is left out
	NodesOnly  bool                         // the source brings node facts only: other rules have nothing to say
	Workers    int                          // 0 is one per CPU
	Progress   func(objects int)            // called now and then; may be nil
	Now        func() time.Time             // the clock
	// Workload tells which workloads there are beside those that the source brings, with the labels of their pods; may be nil.
	Workload func(inventory.Ref) (labels map[string]string, ok bool)
	// Cluster is given the whole cluster when everything has been judged and told, just before the handler's End: for what joins
	// it with the findings. It is not called for a part of a cluster, nor when the source broke off. May be nil.
	Cluster func(*inventory.Cluster)
}

var errNothing = errors.New("there is nothing to scan")

// batch bounds how many objects travel together and, times the workers, how many are in flight.
const batch = 32

// Run scans source and streams what it finds to h. It returns a fault.Input error when nothing could be read.
func Run(ctx context.Context, cfg Config, source Source, h finding.Handler) (*Summary, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Workers <= 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	r := newRun(cfg, h)
	if err := h.Begin(cfg.Header); err != nil {
		return nil, fault.Wrap(fault.Internal, "writing the report", err)
	}
	streamErr := r.stream(ctx, source)
	if streamErr == nil && cfg.Facts != nil && r.failed == nil {
		streamErr = r.facts(ctx, cfg.Facts)
	}
	if r.failed != nil {
		return nil, fault.Wrap(fault.Internal, "writing the report", r.failed)
	}
	broken := ""
	if streamErr != nil {
		broken = streamErr.Error()
		if r.stats.Objects == 0 || errors.Is(streamErr, context.Canceled) {
			return nil, fault.Wrap(fault.Input, "reading "+cfg.Header.Target.Name, streamErr)
		}
		r.told = append(r.told, finding.NotScanned{Target: cfg.Header.Target.Name, What: "the rest of the objects", Reason: broken, Code: finding.Broken})
	}
	r.describe()
	r.components()
	if !cfg.Partial {
		r.analyze()
	}
	err := r.software(ctx)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil { // half of the images would look like all of them
		return nil, fault.Wrap(fault.Input, "reading "+cfg.Header.Target.Name, err)
	}
	if s := cfg.Software; s != nil && cfg.Header.Target.Kind != "cluster" && len(s.Asked) > 0 && r.unread == len(s.Asked) {
		return nil, fault.Wrap(fault.Input, "reading "+cfg.Header.Target.Name, r.lastErr)
	}
	if !cfg.Partial {
		r.clauses()
	}
	r.report(broken)
	r.untold()
	if cfg.Cluster != nil && !cfg.Partial && broken == "" && r.failed == nil {
		cfg.Cluster(r.cluster)
	}
	r.score()
	r.stats.Rules = len(r.cfg.Library.Rules)
	if cfg.Judge != nil {
		r.stats.Rules += len(cfg.Judge.Names())
	}
	r.stats.Checks = r.engine.Checks()
	r.stats.DurationMs = cfg.Now().Sub(cfg.Header.StartedAt).Milliseconds()
	if r.failed == nil {
		r.failed = h.End(cfg.Now(), r.cfg.Header.Target, r.stats)
	}
	if r.failed != nil {
		return nil, fault.Wrap(fault.Internal, "writing the report", r.failed)
	}
	return &r.summary, nil
}

// Summary is what decides the exit code.
type Summary struct {
	Worst   map[finding.Severity]int // open findings by severity
	Partial int                      // not-scanned entries that count as a failure to scan
	Total   int
}

type run struct {
	cfg     Config
	handler finding.Handler
	engine  *rule.Engine
	cluster *inventory.Cluster
	context *analyze.Context
	objects []*analyzerRule // rules whose analyzer looks at single objects

	seen      map[string]bool
	byRule    map[string][]string        // rule id -> fingerprints of open findings
	undecided map[string]*undecided      // by "rule\x00error": told once
	unjudged  map[string]bool            // names of rules that said they could not decide
	partly    map[string]map[string]bool // names of rules that could not be decided on some nodes, and these
	shrunk    map[string]bool            // nodes that were judged as they came
	told      []finding.NotScanned
	ordinals  map[ordinalKey]int
	images    map[string]bool
	assets    assets
	unread    int // images that could not be read
	lastErr   error
	counts    map[string]int    // objects by Kind
	kinds     map[string]bool   // "Kind.group" of what was read
	denied    map[string]string // see task
	stats     finding.Stats
	summary   Summary
	failed    error
}

type ordinalKey struct {
	ref  inventory.Ref
	file string
}

type analyzerRule struct {
	rule     *rule.Rule
	analyzer analyze.Analyzer
	context  *analyze.Context
}

func newRun(cfg Config, h finding.Handler) *run {
	cfg.Library = cfg.Library.For(cfg.Header.Target.Kind)
	r := &run{cfg: cfg, handler: h, engine: rule.NewEngine(cfg.Library), seen: map[string]bool{}, byRule: map[string][]string{},
		undecided: map[string]*undecided{}, unjudged: map[string]bool{}, partly: map[string]map[string]bool{}, shrunk: map[string]bool{}, ordinals: map[ordinalKey]int{}, images: map[string]bool{}, counts: map[string]int{}, kinds: map[string]bool{},
		summary: Summary{Worst: map[finding.Severity]int{}}}
	r.assets.handler, _ = h.(finding.AssetHandler)
	name := ""
	if cfg.Header.Target.Kind == "cluster" {
		name = cfg.Header.Target.Name
	}
	r.cluster = inventory.NewCluster(name)
	r.context = analyze.NewContext(r.cluster)
	for _, ru := range cfg.Library.Rules {
		if a := r.analyzer(ru); a != nil && a.Object != nil {
			r.objects = append(r.objects, &analyzerRule{ru, *a, r.contextOf(ru)})
		}
	}
	return r
}

// contextOf returns the context of a rule's analyzer. Object analyzers must not use its Cluster, which is still growing.
func (r *run) contextOf(ru *rule.Rule) *analyze.Context {
	return r.context.For(ru.Params, func(what, reason string) {
		r.unjudged[ru.Name] = true
		r.told = append(r.told, finding.NotScanned{Target: r.cfg.Header.Target.Name, What: "rule " + ru.Name,
			Reason: "not decided: " + what + ": " + reason, Code: finding.Skipped})
	})
}

func (r *run) analyzer(ru *rule.Rule) *analyze.Analyzer {
	if ru.Analyzer == "" {
		return nil
	}
	for i := range r.cfg.Analyzers {
		if r.cfg.Analyzers[i].Name == ru.Analyzer {
			return &r.cfg.Analyzers[i]
		}
	}
	return nil
}

// job is some objects on their way through the rules, and where their findings will be.
type job struct {
	work []task
	done chan []outcome
}

type task struct {
	object  *inventory.Object
	subject rule.Subject
	only    []string // containers to judge; nil is all
	// What stands against it already is read while recording, since workers must not read the growing cluster.
	level  string              // of Pod Security admission in its namespace
	denied map[string]string   // rule id -> the admission policy that refuses what breaks it
	labels []map[string]string // of the workload's pods, for exceptions; none for other objects
}

type outcome struct {
	finding   *finding.Finding
	undecided string // rule and error
	where     string // the object that was not judged
}

// stream reads the source in this goroutine, records each object, and lets the workers judge. Findings leave in the order
// of the objects, so that the same cluster gives the same report however many workers there are.
func (r *run) stream(ctx context.Context, source Source) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	jobs, order := make(chan *job), make(chan *job, 2*r.cfg.Workers)
	var workers sync.WaitGroup
	for range r.cfg.Workers {
		workers.Go(func() {
			session := r.engine.Session()
			for j := range jobs {
				j.done <- r.judge(ctx, session, j.work)
			}
		})
	}
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		for j := range order {
			for _, o := range <-j.done {
				r.take(o)
			}
			if r.failed != nil {
				cancel()
			}
		}
	}()
	cur := &job{done: make(chan []outcome, 1)}
	send := func() {
		if len(cur.work) > 0 {
			order <- cur
			jobs <- cur
			cur = &job{done: make(chan []outcome, 1)}
		}
	}
	err := source.Stream(ctx, func(o *inventory.Object) error {
		if t, ok := r.record(o); ok {
			cur.work = append(cur.work, t)
		}
		if r.stats.Objects == 1 || len(cur.work) >= batch { // the first finding should not wait for a full batch
			send()
		}
		return ctx.Err()
	}, func(n finding.NotScanned) { r.told = append(r.told, n) })
	send()
	close(jobs)
	close(order)
	workers.Wait()
	<-collected
	return err
}

// record keeps what the analyzers need of o, and says what of it the rules must judge.
func (r *run) record(o *inventory.Object) (task, bool) {
	r.stats.Objects++
	if r.cfg.Progress != nil && r.stats.Objects%256 == 0 {
		r.cfg.Progress(r.stats.Objects)
	}
	if o.Origin.File != "" && o.Ref().Group() != "stockade.dev" {
		r.settle(o)
	}
	added := r.cluster.Add(o)
	if o.Ref().GroupKind() == "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io" {
		r.denied = r.deniedRules() // a new map each time: workers hold the old one
	}
	r.counts[o.Kind]++
	r.kinds[rule.GroupKind(o)] = true
	r.assets.object(o)
	for _, c := range o.Containers() {
		if image := inventory.Str(c.Content, "image"); image != "" {
			r.images[image] = true
		}
	}
	subject := rule.Subject{Cluster: r.cluster.Name, Ref: o.Ref(), Origin: o.Origin}
	var labels []map[string]string
	if added.Workload != nil {
		subject.Ref = added.Workload.Ref
		labels = []map[string]string{added.Workload.Labels}
	}
	level := ""
	if ns := r.cluster.Namespaces[o.Namespace]; ns != nil {
		level = ns.Labels["pod-security.kubernetes.io/enforce"]
	}
	if added.Folded && !added.Workload.Static { // static pods of one name differ from node to node: each is judged
		return task{o, subject, added.Extra, level, r.denied, labels}, len(added.Extra) > 0
	}
	if o.Origin.File != "" {
		key := ordinalKey{subject.Ref, o.Origin.File}
		subject.Ordinal = r.ordinals[key]
		r.ordinals[key]++
	}
	return task{o, subject, nil, level, r.denied, labels}, true
}

// settle gives an object from a file the shape that the API server would: "env: null" is no env, metadata is there. A workload
// without a pod, such as a patch of a kustomization, is told: there is nothing to judge.
func (r *run) settle(o *inventory.Object) {
	inventory.DropNulls(o.Content)
	if inventory.Map(o.Content, "metadata") == nil {
		o.Content["metadata"] = map[string]any{}
	}
	if pod, _ := o.PodTemplate(); inventory.CarriesPod(o.Ref().GroupKind()) && inventory.Map(pod, "spec") == nil {
		r.told = append(r.told, finding.NotScanned{Target: fmt.Sprintf("%s:%d", o.Origin.File, o.Origin.Line), What: o.Ref().String(),
			Reason: "it has no pod spec (a patch?), so it was not judged", Code: finding.Skipped})
	}
}

// judge runs the rules over some objects. It is called by the workers.
func (r *run) judge(ctx context.Context, session *rule.Session, work []task) []outcome {
	var out []outcome
	for _, t := range work {
		first := len(out)
		report := func(f *finding.Finding) {
			f.Resource.Labels = t.labels
			mitigate(f, t.object.Namespace, t.level)
			refused(f, t.denied[f.RuleID])
			out = append(out, outcome{finding: r.dress(f, t.object)})
		}
		undecided := func(name string, err error) {
			out = append(out, outcome{undecided: fmt.Sprintf("%s\x00%v", name, err), where: place(t.subject)})
		}
		session.Object(t.object, t.only, rule.Sink{
			Hit:       func(ru *rule.Rule, h rule.Hit) { report(ru.Finding(t.subject, h)) },
			Undecided: func(ru *rule.Rule, err error) { undecided(ru.Name, err) },
		})
		for _, a := range r.objects {
			if a.applies(t.object) {
				a.analyzer.Object(a.context, t.object, func(p analyze.Problem) {
					if t.only != nil && !slices.Contains(t.only, p.Container) {
						return
					}
					p.Ref, p.Origin = t.subject.Ref, t.object.Origin
					report(a.rule.Problem(t.subject, p))
				})
			}
		}
		if r.cfg.Judge != nil && t.only == nil {
			r.cfg.Judge.Object(ctx, t.object, t.subject, report, undecided)
		}
		hideSecrets(out[first:])
	}
	return out
}

// undecided is the objects on which a rule failed in the same way.
type undecided struct {
	count int
	first string
}

// place names an object for messages: file and line, or kind and name.
func place(s rule.Subject) string {
	if s.Origin.File != "" {
		return fmt.Sprintf("%s:%d", s.Origin.File, s.Origin.Line)
	}
	return s.Ref.String()
}

func (a *analyzerRule) applies(o *inventory.Object) bool {
	kind := o.Ref().GroupKind()
	return slices.Contains(a.analyzer.Kinds, kind) ||
		inventory.CarriesPod(kind) && slices.Contains(a.analyzer.Kinds, "Workload")
}

// components judges control-plane settings and node facts, which are complete only when everything has been read.
func (r *run) components() {
	session := r.engine.Session()
	for _, c := range r.cluster.Components {
		if c.Source.Kind != "Process" || !r.shrunk[c.Node] {
			r.component(session, c)
		}
	}
	for _, name := range sortedKeys(r.cluster.Nodes) {
		if !r.shrunk[name] {
			r.node(session, name)
		}
	}
}

func (r *run) component(session *rule.Session, c *inventory.Component) {
	session.Component(c, r.sink(rule.Subject{Cluster: r.cluster.Name, Ref: c.Source, Node: c.Node, Origin: c.Origin}))
}

func (r *run) sink(subject rule.Subject) rule.Sink {
	return rule.Sink{
		Hit: func(ru *rule.Rule, h rule.Hit) {
			r.take(outcome{finding: r.dress(ru.Finding(subject, h), &inventory.Object{Origin: subject.Origin})})
		},
		Undecided: func(ru *rule.Rule, err error) {
			if subject.Node != "" {
				r.undecidedOn(ru, subject.Node, err)
				return
			}
			r.take(outcome{undecided: ru.Name + "\x00" + err.Error(), where: place(subject)})
		},
	}
}

// analyze runs the analyzers that need the whole cluster.
func (r *run) analyze() {
	r.cluster.Sort()
	for _, ru := range r.cfg.Library.Rules {
		a := r.analyzer(ru)
		if a == nil || a.Cluster == nil {
			continue
		}
		var found []*finding.Finding
		a.Cluster(r.contextOf(ru), func(p analyze.Problem) {
			found = append(found, ru.Problem(rule.Subject{Cluster: r.cluster.Name}, p))
		})
		for _, f := range found {
			if w := r.cluster.Workload(inventory.Ref{APIVersion: f.Resource.APIVersion, Kind: f.Resource.Kind, Namespace: f.Resource.Namespace, Name: f.Resource.Name}); w != nil {
				f.Resource.Labels = []map[string]string{w.Labels}
			}
			r.take(outcome{finding: r.dress(f, nil)})
		}
	}
}
