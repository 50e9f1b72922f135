package admission

import (
	"context"
	"errors"
	"sync"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
)

// Engine judges objects that are there, with the engine of policies: the Judger of a server.
type Engine struct {
	Library *rule.Library
	Bundle  func(ctx context.Context, target int64) (*policy.Bundle, error)
	Images  func(target int64, b *policy.Bundle) policy.Images // nil: nobody can be asked about images
	Open    func(ctx context.Context, target int64) (Source, error)
	Now     func() time.Time

	mu    sync.Mutex
	known map[int64]*judge
}

// Source brings the objects of a cluster: a collect.Source.
type Source interface {
	Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error
}

// judge is the engine of a cluster for a while.
type judge struct {
	generation string
	at         time.Time
	judge      *policy.Judge
}

// judgeAge is how long what is known of images is taken to be the same.
const judgeAge = 30 * time.Second

func (e *Engine) judge(ctx context.Context, target int64) (*policy.Judge, error) {
	if e.Library == nil {
		return nil, errors.New("this server has no rules")
	}
	b, err := e.Bundle(ctx, target)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	k := e.known[target]
	e.mu.Unlock()
	now := e.Now()
	if k != nil && k.generation == b.Generation && now.Sub(k.at) < judgeAge && !now.Before(k.at) {
		return k.judge, nil
	}
	var images policy.Images
	if e.Images != nil {
		images = e.Images(target, b)
	}
	j, _, err := policy.NewJudge(ctx, e.Library, b, images) // what of the bundle cannot be judged, protection tells
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known == nil || len(e.known) > 100 {
		e.known = map[int64]*judge{}
	}
	e.known[target] = &judge{b.Generation, now, j}
	return j, nil
}

// forget lets go of a judge that has seen a whole cluster, with what was said of each of its images.
func (e *Engine) forget(target int64, j *policy.Judge) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if k := e.known[target]; k != nil && k.judge == j {
		delete(e.known, target)
	}
}

// Judge implements Judger.
func (e *Engine) Judge(ctx context.Context, target int64, o *inventory.Object, namespaceLabels map[string]string) (*policy.Outcome, error) {
	j, err := e.judge(ctx, target)
	if err != nil {
		return nil, err
	}
	out := j.Judge(ctx, &policy.Request{Object: o, NamespaceLabels: namespaceLabels, At: e.Now()})
	return &out, ctx.Err()
}

// Sweep implements Judger.
func (e *Engine) Sweep(ctx context.Context, target int64, each func(Violating) error) (complete bool, err error) {
	j, err := e.judge(ctx, target)
	if err != nil {
		return false, err
	}
	src, err := e.Open(ctx, target)
	if err != nil {
		return false, err
	}
	defer e.forget(target, j)
	session, at := j.Session(), e.Now()
	spaces, tops := map[string]map[string]string{}, map[inventory.Ref]inventory.Ref{}
	complete = true
	err = src.Stream(ctx, func(o *inventory.Object) error {
		if o.Kind == "Namespace" {
			spaces[o.Name] = o.Labels()
		}
		owner := topOf(o, tops)
		if over(o) {
			return ctx.Err()
		}
		out := session.Judge(ctx, &policy.Request{Object: o, NamespaceLabels: spaces[o.Namespace], At: at})
		for i := range out.Violations {
			if err := each(Violating{Object: o.Ref(), Owner: owner, Violation: out.Violations[i]}); err != nil {
				return err
			}
		}
		return ctx.Err()
	}, func(n finding.NotScanned) {
		if n.Code.Blocking() {
			complete = false
		}
	})
	return complete && err == nil, errors.Join(err, ctx.Err())
}

// topOf is the workload that an object belongs to. Owners come before what they own.
func topOf(o *inventory.Object, tops map[inventory.Ref]inventory.Ref) inventory.Ref {
	owner := policy.Owner(o)
	if direct, _, ok := o.Controller(); ok {
		if direct.Namespace = o.Namespace; tops[direct].Name != "" {
			owner = tops[direct]
		}
	}
	if kind := o.Ref().GroupKind(); kind == "ReplicaSet.apps" || kind == "Job.batch" {
		tops[o.Ref()] = owner
	}
	return owner
}

// over reports whether an object will not come again: a pod that has ended, a ReplicaSet of the past.
func over(o *inventory.Object) bool {
	switch o.Ref().GroupKind() {
	case "Pod":
		phase := inventory.Str(o.Content, "status", "phase")
		return phase == "Succeeded" || phase == "Failed"
	case "ReplicaSet.apps":
		n, ok := inventory.Int(o.Content, "spec", "replicas")
		_, _, owned := o.Controller()
		return ok && n == 0 && owned
	case "Job.batch":
		done := inventory.Str(o.Content, "status", "completionTime")
		return done != ""
	}
	return false
}
