package protect

import (
	"context"
	"crypto"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/store"
)

type signer = crypto.Signer

// maxWorkers bounds the requests to one cluster at the same time.
const maxWorkers = 4

// collect reads what we made in the collections of objects, once a pass.
func (w *pass) collect(list []*object) error {
	var todo []ref
	for _, o := range list {
		r := refOf(o)
		if path := r.collection(); w.live[path] == nil {
			w.live[path] = map[string]*object{}
			todo = append(todo, r)
		}
	}
	return w.each(len(todo), func(i int) error {
		r := todo[i]
		path := r.collection()
		found := map[string]*object{}
		accept := ""
		if r.Kind == "CustomResourceDefinition" { // large, and their generation tells whether anybody changed them
			accept = partial
		}
		_, err := w.c.list(w.ctx, path, managedLabel+"="+managedBy, accept, func(o *object) error {
			o.SetAPIVersion(r.APIVersion) // which lists leave out
			o.SetKind(r.Kind)
			found[o.GetName()] = o
			return nil
		})
		if err != nil {
			return err
		}
		w.lock.Lock()
		defer w.lock.Unlock()
		w.live[path] = found
		return nil
	})
}

// each calls f for 0 to n-1, some at the same time, and returns the first error.
func (w *pass) each(n int, f func(i int) error) error {
	var all sync.WaitGroup
	var first error
	slots := make(chan struct{}, maxWorkers)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := f(i); err != nil {
				w.lock.Lock()
				defer w.lock.Unlock()
				if first == nil {
					first = err
				}
			}
		})
	}
	all.Wait()
	return first
}

// ensure makes objects as they are to be, in order: what is missing is made, what is different is put back.
func (w *pass) ensure(part string, list ...*object) error {
	if err := w.collect(list); err != nil {
		return err
	}
	for _, o := range list {
		if err := w.one(part, o); err != nil {
			return fmt.Errorf("%s: %w", refOf(o).words(), err)
		}
	}
	return nil
}

// one makes one object as it is to be.
func (w *pass) one(part string, o *object) error {
	r := refOf(o)
	key := r.String()
	w.lock.Lock()
	w.wanted[key] = true
	made := w.made[key]
	live := w.live[r.collection()][r.Name]
	w.lock.Unlock()
	hash := hashOf(o)
	same := made != nil && made.Hash == hash
	more, undo := "", map[string]any(nil)
	if live != nil && decides(r) {
		more, undo = added(o.Object, live.Object)
	}
	switch {
	case live == nil && same:
		w.drifted(r, "it was deleted, or its label was taken away", "")
	case live != nil && same:
		change := ""
		if o.GetKind() == "CustomResourceDefinition" {
			if made.Generation != live.GetGeneration() {
				change = "its specification was changed"
			}
		} else {
			change = differs(o.Object, live.Object, "")
		}
		if change == "" && more != "" {
			change = more + " was added"
		}
		if change == "" {
			return nil
		}
		w.drifted(r, change, actor(live))
	}
	if extra := extraHooks(o, live); extra != "" {
		if same {
			w.drifted(r, extra, actor(live))
		}
		if err := w.c.replace(w.ctx, o, live); err != nil {
			return err
		}
	} else if more != "" {
		if err := w.c.merge(w.ctx, o, undo); err != nil {
			return err
		}
	}
	after, err := w.c.apply(w.ctx, o)
	if err != nil {
		return err
	}
	w.lock.Lock()
	if w.live[r.collection()] != nil {
		w.live[r.collection()][r.Name] = after
	}
	w.lock.Unlock()
	return w.remember(part, r, hash, after.GetGeneration())
}

// remember writes down what was made.
func (w *pass) remember(part string, r ref, hash string, generation int64) error {
	row := &madeRow{TargetID: w.r.TargetID, Ref: r.String(), Part: part, Hash: hash, Generation: generation, AppliedAt: store.At(w.s.o.Now())}
	w.lock.Lock()
	w.made[row.Ref] = row
	w.lock.Unlock()
	err := w.s.db.Write(w.ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(row).On("CONFLICT (target_id, ref) DO UPDATE").Set("part = EXCLUDED.part").Set("hash = EXCLUDED.hash").
			Set("generation = EXCLUDED.generation").Set("applied_at = EXCLUDED.applied_at").Exec(ctx)
		return err
	})
	if err != nil {
		return stop("writing down what was made: %s", err)
	}
	return nil
}

// note says that an object whose content is not compared is there, and to be there.
func (w *pass) note(part string, r ref) error {
	w.wanted[r.String()] = true
	if w.made[r.String()] != nil {
		return nil
	}
	return w.remember(part, r, "secret", 0)
}

// lost tells of a Secret that was taken away.
func (w *pass) lost(r ref, gone bool) {
	if gone && w.made[r.String()] != nil {
		w.drifted(r, "it was deleted", "")
	}
}

// drifted notes what somebody changed; it is put back next.
func (w *pass) drifted(r ref, change, who string) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if !w.r.State.standing() && w.r.State != Failed { // an installation puts right what an earlier one left
		return
	}
	w.drift = append(w.drift, Drift{TargetID: w.r.TargetID, At: store.At(w.s.o.Now()), Object: oneLine(r.words()), Change: oneLine(change), Actor: oneLine(who), Repaired: true})
}

// keptDrift bounds how much of a cluster's drift is kept.
const keptDrift = 200

// tell writes the drift of the pass, and tells of it outside.
func (w *pass) tell(ctx context.Context, tx bun.Tx) error {
	if len(w.drift) == 0 {
		return nil
	}
	var cluster string
	if err := tx.NewSelect().Table("targets").Column("name").Where("id = ?", w.r.TargetID).Scan(ctx, &cluster); err != nil {
		return store.NotFound(err)
	}
	list := w.drift[:min(len(w.drift), keptDrift)]
	if _, err := tx.NewInsert().Model(&list).Exec(ctx); err != nil {
		return err
	}
	for _, d := range list[:min(len(list), 20)] { // a message each, but not hundreds
		if err := outbox.Put(ctx, tx, outbox.ProtectionDrift, w.r.TargetID, map[string]any{"cluster": cluster, "object": d.Object, "change": d.Change, "actor": orUnknown(d.Actor), "repaired": d.Repaired}); err != nil {
			return err
		}
	}
	_, err := tx.NewRaw(`DELETE FROM protection_drift WHERE target_id = ? AND id <= (SELECT id FROM protection_drift WHERE target_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`,
		w.r.TargetID, w.r.TargetID, keptDrift).Exec(ctx)
	return err
}

func orUnknown(who string) string {
	if who == "" {
		return "unknown"
	}
	return who
}

// actor is the field manager that changed an object last, beside us.
func actor(o *object) string {
	var last time.Time
	who := ""
	for _, f := range o.GetManagedFields() {
		if f.Time == nil || strings.HasPrefix(f.Manager, Manager) || f.Subresource == "status" || !f.Time.After(last) {
			continue
		}
		last, who = f.Time.Time, f.Manager
	}
	return who
}

// extraHooks names webhooks that somebody added to a configuration of ours; applying does not take them away.
func extraHooks(o, live *object) string {
	if live == nil || !strings.HasSuffix(o.GetKind(), "WebhookConfiguration") {
		return ""
	}
	wanted := names(o.Object["webhooks"])
	for _, n := range names(live.Object["webhooks"]) {
		if !slices.Contains(wanted, n) {
			return "webhook " + n + " was added"
		}
	}
	return ""
}

func names(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, x := range list {
		if o, ok := x.(m); ok {
			if n, ok := o["name"].(string); ok {
				out = append(out, n)
			}
		}
	}
	return out
}

// replace writes an object whole.
func (c *client) replace(ctx context.Context, o, live *object) error {
	n := copied(o)
	n.SetResourceVersion(live.GetResourceVersion())
	body, err := n.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = c.call(ctx, http.MethodPut, refOf(o).path(), url.Values{"fieldManager": {Manager}}, "", "application/json", body, nil)
	return err
}

// differs says where what is wanted is not what is there; "" when all that is wanted is there. More may be there: defaults.
func differs(want, have any, path string) string {
	switch x := want.(type) {
	case nil:
		return ""
	case map[string]any:
		y, ok := have.(map[string]any)
		if !ok {
			if len(x) == 0 && have == nil {
				return ""
			}
			return path + " is missing"
		}
		for _, k := range slices.Sorted(maps.Keys(x)) {
			if path == "" && (k == "status") || path == "metadata.annotations" && k == bundleMark {
				continue
			}
			p := k
			if path != "" {
				p = path + "." + k
			}
			if d := differs(x[k], y[k], p); d != "" {
				return d
			}
		}
		return ""
	case []any:
		y, ok := have.([]any)
		if !ok && len(x) == 0 {
			return ""
		}
		if len(x) != len(y) {
			return fmt.Sprintf("%s has %d entries instead of %d", path, len(y), len(x))
		}
		for i := range x {
			if d := differs(x[i], y[i], path+"["+strconv.Itoa(i)+"]"); d != "" {
				return d
			}
		}
		return ""
	case string:
		if have == nil && x == "" {
			return ""
		}
		if y, ok := have.(string); !ok || x != y {
			return fmt.Sprintf("%s is %.80q instead of %.80q", path, fmt.Sprint(have), x)
		}
		return ""
	case bool:
		if have == nil && !x {
			return ""
		}
	}
	a, aok := number(want)
	b, bok := number(have)
	if aok && bok && a == b || aok && a == 0 && have == nil || !aok && want == have {
		return ""
	}
	return fmt.Sprintf("%s is %.80v instead of %.80v", path, have, want)
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case int:
		return float64(n), true
	case int32:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// bundleMark is an annotation of compiled objects that changes with every bundle and says nothing about the object.
const bundleMark = "stockade.dev/bundle"

// prune takes away what we made and want no more. Versions of an API show the same objects.
func (w *pass) prune() {
	whatever := func(r ref) string {
		r.APIVersion = r.group()
		return r.String()
	}
	keep := map[string]bool{}
	for key := range w.wanted {
		if r, ok := readRef(key); ok {
			keep[whatever(r)] = true
		}
	}
	gone := func(r ref) {
		if !keep[whatever(r)] {
			if err := w.c.remove(w.ctx, r); err != nil {
				w.r.Seen.Problems = append(w.r.Seen.Problems, Problem{Object: r.words(), Reason: oneLine("it is not wanted any more and cannot be removed: " + err.Error())})
				return
			}
		}
		w.unmake(r)
	}
	for _, key := range slices.Sorted(maps.Keys(w.made)) {
		if r, ok := readRef(key); ok && !w.wanted[key] && (w.made[key].Part != "gatekeeper" || w.ours()) {
			gone(r)
		}
	}
	for path, objects := range w.live { // what was made and never written down
		for _, o := range objects {
			if r := refOf(o); r.Kind != "" && r.collection() == path && !keep[whatever(r)] && prunable(r) {
				gone(r)
			}
		}
	}
}

// prunable are the kinds of objects that only we make under our label.
func prunable(r ref) bool {
	g := r.group()
	return g == constraintGroup || g == templateGroup || g == mutationGroup || strings.HasPrefix(r.Kind, "ValidatingAdmissionPolicy")
}

// unmake forgets that something was made.
func (w *pass) unmake(r ref) {
	delete(w.made, r.String())
	err := w.s.db.Write(w.ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*madeRow)(nil)).Where("target_id = ? AND ref = ?", w.r.TargetID, r.String()).Exec(ctx)
		return err
	})
	if err != nil && w.ctx.Err() == nil { // the next pass finds that it is gone
		w.s.log.Warn("protection: forgetting an object", "error", err)
	}
}

// ready says whether the pods of a Deployment answer.
func (w *pass) ready(namespace, name string) (Deployment, bool) {
	d := Deployment{Name: name, Namespace: namespace}
	o, err := w.c.get(w.ctx, ref{"apps/v1", "Deployment", namespace, name})
	if err != nil {
		d.Reason = oneLine(err.Error())
		return d, false
	}
	if cs := containers(o); len(cs) > 0 {
		d.Image, _ = cs[0]["image"].(string)
	}
	d.Wanted, d.Ready, d.Updated = whole(nested(o.Object, "spec", "replicas")), whole(nested(o.Object, "status", "availableReplicas")), whole(nested(o.Object, "status", "updatedReplicas"))
	ok := d.Ready > 0 && d.Updated > 0 && whole(nested(o.Object, "status", "observedGeneration")) >= int(o.GetGeneration())
	if f := w.s.o.Ready; f != nil {
		if ok, d.Reason = f(w.ctx, namespace, name); ok {
			d.Ready, d.Updated = d.Wanted, d.Wanted
		}
	} else if d.Ready < d.Wanted || d.Updated < d.Wanted {
		d.Reason = w.whyNot(o)
	}
	w.r.Seen.Deployments = append(slices.DeleteFunc(w.r.Seen.Deployments, func(x Deployment) bool { return x.Name == name && x.Namespace == namespace }), d)
	return d, ok
}

// whyNot is why pods of a Deployment do not answer, as their statuses tell; "" when nothing tells.
func (w *pass) whyNot(o *object) string {
	var selector []string
	for k, v := range labelsOf(nested(o.Object, "spec", "selector", "matchLabels")) {
		selector = append(selector, k+"="+v)
	}
	slices.Sort(selector)
	reason := ""
	_, err := w.c.list(w.ctx, "/api/v1/namespaces/"+o.GetNamespace()+"/pods", join(selector), "", func(p *object) error {
		if r := troubles(p); r != "" && (reason == "" || r < reason) {
			reason = "pod " + p.GetName() + ": " + r
		}
		return nil
	})
	if err != nil {
		return oneLine(err.Error())
	}
	if reason == "" && !condition(o, "Progressing") {
		list, _ := nested(o.Object, "status", "conditions").([]any)
		for _, c := range list {
			if x, ok := c.(m); ok && x["type"] == "ReplicaFailure" {
				reason, _ = x["message"].(string)
			}
		}
	}
	return oneLine(reason)
}

// troubles is what keeps a pod from being ready; "" when its status does not say.
func troubles(p *object) string {
	for _, kind := range []string{"initContainerStatuses", "containerStatuses"} {
		list, _ := nested(p.Object, "status", kind).([]any)
		for _, c := range list {
			x, _ := c.(m)
			waits, _ := nested(x, "state", "waiting").(m)
			reason, _ := waits["reason"].(string)
			if reason == "" || reason == "ContainerCreating" || reason == "PodInitializing" {
				continue
			}
			message, _ := waits["message"].(string)
			if ended, ok := nested(x, "lastState", "terminated").(m); ok && message == "" {
				message, _ = ended["message"].(string)
			}
			image, _ := x["image"].(string)
			return strings.TrimSpace(reason + " of image " + image + ": " + message)
		}
	}
	list, _ := nested(p.Object, "status", "conditions").([]any)
	for _, c := range list {
		if x, ok := c.(m); ok && x["type"] == "PodScheduled" && x["status"] == "False" {
			message, _ := x["message"].(string)
			return "not scheduled: " + message
		}
	}
	return ""
}

// labels reads the labels of namespaces, when a policy chooses by them.
func (w *pass) labels() error {
	b, err := w.s.Bundle(w.ctx, w.r.TargetID)
	if err != nil || !wantsLabels(b.Policies) {
		return nil //nolint:nilerr // compile meets the same error
	}
	all := map[string]map[string]string{}
	_, err = w.c.list(w.ctx, "/api/v1/namespaces", "", partial, func(o *object) error {
		all[o.GetName()] = o.GetLabels()
		return nil
	})
	if err != nil {
		return err
	}
	text := ledger.JSON(all)
	if text == w.r.NamespaceText {
		return nil
	}
	err = w.s.db.Write(w.ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewUpdate().Model((*row)(nil)).Set("namespaces = ?", text).Where("target_id = ?", w.r.TargetID).Exec(ctx)
		return err
	})
	if err != nil {
		return stop("writing down labels of namespaces: %s", err)
	}
	w.r.NamespaceText = text
	w.s.policiesChanged(w.ctx, w.r.TargetID)
	return nil
}
