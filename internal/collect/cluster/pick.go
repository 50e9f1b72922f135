package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Pick reads the named objects instead of all, each with what it takes to judge it as a scan of everything would: its namespace
// and, for a workload, the account that it runs as, its ReplicaSets or Jobs, and its pods. What does not exist is not emitted. Refs
// must have the apiVersion that the server serves.
func (s *Source) Pick(ctx context.Context, refs []inventory.Ref, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	p := &picker{source: s, emit: emit, notScanned: notScanned, done: map[inventory.Ref]bool{}}
	refs = slices.Clone(refs)
	slices.SortStableFunc(refs, func(a, b inventory.Ref) int {
		return collect.Rank(a.GroupKind()) - collect.Rank(b.GroupKind())
	})
	for _, ref := range refs {
		if ref.Namespace != "" {
			if _, err := p.object(ctx, inventory.Ref{APIVersion: "v1", Kind: "Namespace", Name: ref.Namespace}); err != nil {
				return err
			}
		}
	}
	for _, ref := range refs {
		if err := p.pick(ctx, ref); err != nil {
			return err
		}
	}
	return nil
}

type picker struct {
	source     *Source
	emit       func(*inventory.Object) error
	notScanned func(finding.NotScanned)
	done       map[inventory.Ref]bool
}

// pick emits one object and what belongs to it.
func (p *picker) pick(ctx context.Context, ref inventory.Ref) error {
	if p.done[ref] {
		return nil
	}
	o, err := p.read(ctx, ref)
	if o == nil || err != nil {
		return err
	}
	if pod, _ := o.PodTemplate(); inventory.CarriesPod(ref.GroupKind()) && pod != nil {
		account := inventory.Str(pod, "spec", "serviceAccountName")
		if account == "" {
			account = "default"
		}
		if _, err := p.object(ctx, inventory.Ref{APIVersion: "v1", Kind: "ServiceAccount", Namespace: ref.Namespace, Name: account}); err != nil {
			return err
		}
	}
	if err := p.emit(o); err != nil {
		return err
	}
	if !inventory.CarriesPod(ref.GroupKind()) || ref.GroupKind() == "Pod" {
		return nil
	}
	return p.owned(ctx, o)
}

// object emits one object, once. It reports whether the object exists.
func (p *picker) object(ctx context.Context, ref inventory.Ref) (bool, error) {
	if p.done[ref] {
		return true, nil
	}
	o, err := p.read(ctx, ref)
	if o == nil || err != nil {
		return false, err
	}
	return true, p.emit(o)
}

// read gets one object; nil when there is none, or when it may not be read, which is told.
func (p *picker) read(ctx context.Context, ref inventory.Ref) (*inventory.Object, error) {
	p.done[ref] = true
	kind := collect.Find(ref.GroupKind())
	if kind == nil {
		return nil, fmt.Errorf("%s: a scan does not read this kind", ref)
	}
	var found *inventory.Object
	d := decode.NewDecoder()
	d.DropValues = kind.Kind == "Secret" && !p.source.cfg.SecretValues
	t := &target{kind: kind, apiVersion: ref.APIVersion}
	f := &fetch{source: p.source, target: t, queue: newQueue(1 << 30)}
	var err error
	for attempt := 1; ; attempt++ {
		if err = f.one(ctx, d, ref.Namespace, ref.Name); err == nil || attempt >= p.source.cfg.Attempts || !p.source.retry(ctx, err, attempt) {
			break
		}
	}
	var status *statusError
	switch {
	case err == nil:
		found = f.queue.objects[0]
	case errors.As(err, &status) && status.code == http.StatusNotFound:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &status) && status.code == http.StatusForbidden:
		p.source.info.Unread[kind.GroupKind()] = err.Error()
		p.notScanned(finding.NotScanned{Target: p.source.info.Name, What: ref.String(), Reason: err.Error(), Code: finding.Forbidden})
	default:
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return found, nil
}

// between are the kinds that stand between a workload and its pods.
var between = map[string]inventory.Ref{
	"Deployment.apps":                    {APIVersion: "apps/v1", Kind: "ReplicaSet"},
	"Rollout.argoproj.io":                {APIVersion: "apps/v1", Kind: "ReplicaSet"},
	"CronJob.batch":                      {APIVersion: "batch/v1", Kind: "Job"},
	"DeploymentConfig.apps.openshift.io": {APIVersion: "v1", Kind: "ReplicationController"},
}

// owned emits what a workload owns: first what stands between it and its pods, then the pods.
func (p *picker) owned(ctx context.Context, o *inventory.Object) error {
	selector := labelSelector(o)
	owners := map[string]bool{o.UID: true}
	if ref, ok := between[o.Ref().GroupKind()]; ok {
		if err := p.list(ctx, ref, o.Namespace, selector, owners, owners); err != nil {
			return err
		}
	}
	return p.list(ctx, inventory.Ref{APIVersion: "v1", Kind: "Pod"}, o.Namespace, selector, owners, nil)
}

// list emits the objects of a kind that one of owners owns, and adds their UIDs to more.
func (p *picker) list(ctx context.Context, ref inventory.Ref, namespace, selector string, owners, more map[string]bool) error {
	kind := *collect.Find(ref.GroupKind())
	kind.Selector = selector
	f := &fetch{source: p.source, target: &target{kind: &kind, apiVersion: ref.APIVersion}, queue: newQueue(p.source.cfg.MaxInFlight), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, f.queue.wake)
	defer stop()
	go func() {
		defer close(f.done)
		defer f.queue.close()
		f.err = f.list(ctx, decode.NewDecoder(), namespace)
	}()
	err := p.source.drain(ctx, f, func(o *inventory.Object) error {
		if !slices.ContainsFunc(inventory.List(o.Content, "metadata", "ownerReferences"), func(v any) bool {
			owner, _ := v.(map[string]any)
			return owners[inventory.Str(owner, "uid")]
		}) {
			return nil
		}
		if more != nil {
			more[o.UID] = true
		}
		p.done[o.Ref()] = true
		return p.emit(o)
	})
	if err != nil {
		return err
	}
	var status *statusError
	if errors.As(f.err, &status) && status.code == http.StatusForbidden {
		p.notScanned(finding.NotScanned{Target: p.source.info.Name, What: kind.GroupResource() + " of " + namespace, Reason: f.err.Error(), Code: finding.Forbidden})
		return nil
	}
	for _, n := range f.problems {
		p.notScanned(n)
	}
	return f.err
}

// labelSelector is the selector of a workload as a query, "" where it has none.
func labelSelector(o *inventory.Object) string {
	raw := inventory.Map(o.Content, "spec", "selector")
	if raw == nil {
		return ""
	}
	if _, labels := raw["matchLabels"]; !labels && raw["matchExpressions"] == nil {
		raw = map[string]any{"matchLabels": raw} // of a ReplicationController
	}
	var s v1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &s); err != nil {
		return ""
	}
	text := v1.FormatLabelSelector(&s)
	if strings.HasPrefix(text, "<") { // none, or one that cannot be read
		return ""
	}
	return text
}
