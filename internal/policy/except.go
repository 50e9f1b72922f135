package policy

import (
	"fmt"
	"slices"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// except indexes the exceptions, and leaves out what cannot be read.
func (j *Judge) except(notes *[]Undecided) error {
	if len(j.bundle.Exceptions) == 0 {
		return nil
	}
	set, err := exception.New(j.bundle.Exceptions)
	if err != nil {
		var good []exception.Exception
		for _, e := range j.bundle.Exceptions {
			if _, one := exception.New([]exception.Exception{e}); one != nil {
				*notes = append(*notes, Undecided{Rule: "exceptions", Action: Audit, Reason: fmt.Sprintf("exception %d: %v", e.ID, one)})
				continue
			}
			good = append(good, e)
		}
		if set, err = exception.New(good); err != nil {
			return err
		}
	}
	j.exceptions = set
	return nil
}

// except asks for each violation whether an exception lets it pass: as a finding on the workload that the object belongs to.
func (w *work) except() {
	set := w.session.judge.exceptions
	if set == nil || len(w.base) == 0 {
		return
	}
	o := w.request.Object
	var labels []map[string]string
	images := map[string]string{}
	if pod, _ := o.PodTemplate(); pod != nil {
		labels = []map[string]string{inventory.StrMap(pod, "metadata", "labels")}
		for _, u := range ImagesOf(o) {
			if u.Container != "" {
				images[u.Container] = u.Image
			}
		}
	}
	for i := range w.base {
		b, v := &w.base[i], &w.out.Violations[i]
		f := b.finding
		owner := w.accountable(b.chained)
		f.Resource.Labels = labels
		if f.Resource.Image == "" {
			f.Resource.Image = images[f.Resource.Container]
		}
		f.Resource.APIVersion, f.Resource.Kind, f.Resource.Namespace, f.Resource.Name = owner.APIVersion, owner.Kind, owner.Namespace, owner.Name
		f.Fingerprint = ""
		if v.item == "" { // admission decides about whole rules, not about elements of lists
			f.Fingerprint = finding.Identity{RuleID: f.RuleID, Cluster: f.Resource.Cluster, Kind: owner.Kind, Group: owner.Group(), Namespace: owner.Namespace,
				Name: owner.Name, Container: f.Resource.Container}.Fingerprint()
		}
		if e, ok := set.Match(f, w.session.judge.bundle.Target, w.at()); ok {
			v.Exception = exceptionID(e)
		}
	}
}

// accountable is whom the object belongs to in the eyes of exceptions. Whose pod it is is believed to controllers only, since anybody can
// write an owner into a pod; and the names of ReplicaSets and Jobs tell only where the policy judges these, too.
func (w *work) accountable(chained bool) inventory.Ref {
	r := w.request
	switch w.about.ref.GroupKind() {
	case "Pod", "ReplicaSet.apps", "Job.batch", "ReplicationController":
	default:
		return w.about.ref
	}
	if r.Operation != "" && !slices.Contains(export.Controllers, r.User) {
		return w.about.ref
	}
	direct, _, ok := r.Object.Controller()
	switch {
	case !ok:
		return w.about.ref
	case chained && w.about.ref.Kind == "Pod":
		return Owner(r.Object)
	}
	return direct
}

// chained reports whether the policy judges everything that controllers make pods of: only then can nobody have made a ReplicaSet or Job
// of somebody else's name past it.
func (p *Policy) chained() bool {
	s := &p.Scope
	for _, ref := range []inventory.Ref{{APIVersion: "apps/v1", Kind: "ReplicaSet"}, {APIVersion: "batch/v1", Kind: "Job"}} {
		if len(s.Kinds) > 0 && !slices.ContainsFunc(s.Kinds, func(k string) bool { return MatchKind(k, ref) }) {
			return false
		}
	}
	return s.ObjectSelector == "" && (len(s.Operations) == 0 || slices.Contains(s.Operations, "CREATE") && slices.Contains(s.Operations, "UPDATE"))
}

// FromFile stands in Violation.Exception for an exception that has no id: it comes from a file.
const FromFile = -1

func exceptionID(e *exception.Exception) int64 {
	if e.ID == 0 {
		return FromFile
	}
	return e.ID
}
