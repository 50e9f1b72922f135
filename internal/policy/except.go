package policy

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

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
	var podLabels []map[string]string
	images := map[string]string{}
	if pod, _ := o.PodTemplate(); pod != nil {
		podLabels = []map[string]string{inventory.StrMap(pod, "metadata", "labels")}
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
		f.Resource.Labels = podLabels
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
		} else if len(v.Unless) > 0 {
			v.Exception = w.pardon(v.Unless, f)
		}
	}
}

// pardonRule stands for the finding in exceptions of which only the place is asked.
const pardonRule = "image/pardon"

// pardon asks for an exception of every set that holds for whom the object belongs to, and returns the first; 0 is that one is missing.
func (w *work) pardon(sets [][]int64, f *finding.Finding) int64 {
	at := finding.Finding{Kind: finding.Configuration, Rule: pardonRule, Resource: f.Resource}
	at.Resource.Image, at.Resource.Digest = "", ""
	j, first := w.session.judge, int64(0)
	for _, set := range sets {
		i := slices.IndexFunc(set, func(id int64) bool {
			_, ok := j.place(id).Match(&at, j.bundle.Target, w.at())
			return ok
		})
		if i < 0 {
			return 0
		}
		if first == 0 {
			first = set[i]
		}
	}
	return first
}

// AtAdmission says what of an exception does not hold at admission, and why: for those who ask for it.
func AtAdmission(s *exception.Scope) []finding.Text {
	var out []finding.Text
	plain := func(p string) bool { return p != "" && !strings.ContainsAny(p, `*?[\`) }
	if k := s.Kind; plain(k) && k != "Image" && len(export.Known(k)) == 0 {
		out = append(out, finding.Text{
			EN: "Pods that an operator makes for a " + k + " are not let in by it at admission: whose pod it is is believed to Kubernetes' own controllers only, since anybody can write an owner into a pod. Name the namespace, the container or labels of the pods instead.",
			ZH: "准入时，该例外不会放行由 Operator 为 " + k + " 创建的 Pod：任何人都可以在 Pod 中写入所有者，因此只采信 Kubernetes 自身控制器声明的归属。请改用命名空间、容器或 Pod 标签来限定范围。"})
	}
	if reqs, err := labels.ParseToRequirements(s.Labels); err == nil && slices.ContainsFunc(reqs, func(r labels.Requirement) bool {
		return r.Operator() == selection.GreaterThan || r.Operator() == selection.LessThan
	}) {
		out = append(out, finding.Text{EN: "Selectors that compare numbers are not decided at admission: it lets nothing in there.", ZH: "准入时不支持比较数值的标签选择器：该例外不会放行任何请求。"})
	}
	if s.Node != "" {
		out = append(out, finding.Text{EN: "Nodes are not known at admission: it lets nothing in there.", ZH: "准入时节点尚未确定：该例外不会放行任何请求。"})
	}
	return out
}

// place is where an exception holds; nil is nowhere.
func (j *Judge) place(id int64) *exception.Set {
	if known, ok := j.places.Load(id); ok {
		return known.(*exception.Set)
	}
	var set *exception.Set
	if i := slices.IndexFunc(j.bundle.Exceptions, func(e exception.Exception) bool { return e.ID == id }); i >= 0 && id != 0 {
		if s, err := exception.New([]exception.Exception{j.bundle.Exceptions[i].Where(pardonRule)}); err == nil {
			set = s
		}
		j.places.Store(id, set)
	}
	return set
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
