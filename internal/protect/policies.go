package protect

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/store"
)

// LabelPolicy is the label of compiled objects that names their policy.
const labelPolicy = "stockade.dev/policy"

// policies puts the compiled policies in force. An object that the cluster does not take is a problem of its policy; the others go on.
func (w *pass) policies() error {
	if err := w.collect(w.compiled.Templates); err != nil {
		return err
	}
	for _, t := range w.compiled.Templates {
		if err := w.attempt(t); err != nil {
			return err
		}
	}
	ready, pending, err := w.served()
	if err != nil {
		return err
	}
	if err := w.collect(ready); err != nil {
		return err
	}
	err = w.each(len(ready), func(i int) error { return w.attempt(ready[i]) })
	if err != nil {
		return err
	}
	if err := w.leftovers(); err != nil {
		return err
	}
	w.r.Seen.Templates, w.r.Seen.Constraints = len(w.compiled.Templates), 0
	for _, o := range w.compiled.Rest {
		if refOf(o).group() == constraintGroup {
			w.r.Seen.Constraints++
		}
	}
	w.statuses()
	if len(pending) > 0 {
		if !w.r.State.standing() || len(w.r.Seen.Problems) == 0 {
			return wait("Gatekeeper has not taken up %s yet", strings.Join(pending[:min(len(pending), 3)], ", "))
		}
	}
	if w.bundleGen != w.r.Generation || !w.compiled.Next.Equal(w.r.RecompileAt.Time) {
		w.r.Generation, w.r.RecompileAt = w.bundleGen, store.At(w.compiled.Next)
	}
	return nil
}

// attempt makes an object of a policy. What the cluster refuses is noted; only what stops everything is returned.
func (w *pass) attempt(o *object) error {
	err := w.one("policy", o)
	var r *refusal
	if err == nil || !errors.As(err, &r) || away(err) {
		return err
	}
	w.problem(o, err.Error())
	return nil
}

func (w *pass) problem(o *object, reason string) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if len(w.r.Seen.Problems) >= 100 {
		return
	}
	id, _ := strconv.ParseInt(o.GetLabels()[labelPolicy], 10, 64) // none: 0
	w.r.Seen.Problems = append(w.r.Seen.Problems, Problem{Object: oneLine(refOf(o).words()), Policy: id, Reason: oneLine(refOf(o).words() + ": " + reason)})
}

// served splits what comes after the templates: what can be made, and the kinds that Gatekeeper has not made a definition for yet.
func (w *pass) served() (ready []*object, pending []string, err error) {
	there := map[string]bool{}
	if slices.ContainsFunc(w.compiled.Rest, func(o *object) bool { return refOf(o).group() == constraintGroup }) {
		_, err := w.c.list(w.ctx, crdCollection, "", partial, func(o *object) error {
			if kind, ok := strings.CutSuffix(o.GetName(), "."+constraintGroup); ok {
				there[kind] = true
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	for _, o := range w.compiled.Rest {
		r := refOf(o)
		if r.group() == constraintGroup && !there[r.resource()] {
			if !slices.Contains(pending, r.Kind) {
				pending = append(pending, r.Kind)
			}
			w.lock.Lock()
			w.wanted[r.String()] = true
			w.lock.Unlock()
			continue
		}
		ready = append(ready, o)
	}
	return ready, pending, nil
}

// leftovers reads what we made of kinds that no policy needs any more, for prune.
func (w *pass) leftovers() error {
	var extra []*object
	_, err := w.c.list(w.ctx, templates, managedLabel+"="+managedBy, "", func(t *object) error {
		kind, _ := nested(t.Object, "spec", "crd", "spec", "names", "kind").(string)
		if kind != "" {
			extra = append(extra, &object{Object: m{"apiVersion": constraintGroup + "/v1beta1", "kind": kind, "metadata": m{"name": "x"}}})
		}
		if w.live[templates] == nil {
			w.live[templates] = map[string]*object{}
		}
		if w.live[templates][t.GetName()] == nil {
			w.live[templates][t.GetName()] = t
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, kind := range []string{"Assign", "AssignMetadata", "ModifySet", "AssignImage"} {
		version := "v1"
		if kind == "AssignImage" {
			version = "v1alpha1"
		}
		extra = append(extra, &object{Object: m{"apiVersion": mutationGroup + "/" + version, "kind": kind, "metadata": m{"name": "x"}}})
	}
	if w.minor == 0 || w.minor >= 30 {
		for _, kind := range []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} {
			extra = append(extra, &object{Object: m{"apiVersion": admissionGroup + "/v1", "kind": kind, "metadata": m{"name": "x"}}})
		}
	}
	return w.collect(extra)
}

// statuses reads what Gatekeeper says of templates and constraints.
func (w *pass) statuses() {
	for _, objects := range w.live {
		for _, o := range objects {
			g := refOf(o).group()
			if g != constraintGroup && g != templateGroup || !w.wanted[refOf(o).String()] {
				continue
			}
			if text := trouble(o); text != "" {
				w.problem(o, text)
			}
		}
	}
	slices.SortStableFunc(w.r.Seen.Problems, func(a, b Problem) int { return strings.Compare(a.Object, b.Object) })
}

// trouble is the first error that a replica of Gatekeeper has with an object.
func trouble(o *object) string {
	list, _ := nested(o.Object, "status", "byPod").([]any)
	for _, p := range list {
		pod, _ := p.(m)
		errs, _ := pod["errors"].([]any)
		for _, e := range errs {
			x, _ := e.(m)
			text, _ := x["message"].(string)
			where, _ := x["location"].(string)
			if text == "" {
				text, _ = x["code"].(string)
			}
			if text != "" {
				return strings.TrimSpace("Gatekeeper says: " + text + " " + where)
			}
		}
	}
	return ""
}
