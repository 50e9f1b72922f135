package policy

import (
	"reflect"

	"stockade.dev/stockade/internal/inventory"
)

// Standing reports whether an update leaves alone what rules look at, so that it cannot make anything worse: finalizers, labels of
// running pods, numbers of replicas. Controllers must be able to do that to objects that were there before a policy, or workloads get
// stuck: a Job's pods could not even end. template is for rules over pods and containers: they look at the pod (of a Pod its spec, of
// workloads the template); other rules look at everything but what the API server keeps itself. The constraints in clusters decide the
// same way.
func Standing(o, old *inventory.Object, template bool) bool {
	if o == nil || old == nil || o.Ref().GroupKind() != old.Ref().GroupKind() {
		return false
	}
	carries := inventory.CarriesPod(o.Ref().GroupKind())
	if template && carries {
		pod, _ := o.PodTemplate()
		before, _ := old.PodTemplate()
		return o.Kind != "Pod" && same(pod, before) || o.Kind == "Pod" && same(pod["spec"], before["spec"])
	}
	if carries && o.Kind != "PodTemplate" {
		return same(o.Content["spec"], old.Content["spec"])
	}
	if !same(meta(o, "labels"), meta(old, "labels")) || !same(meta(o, "annotations"), meta(old, "annotations")) {
		return false
	}
	for _, pair := range [2][2]map[string]any{{o.Content, old.Content}, {old.Content, o.Content}} {
		for k, v := range pair[0] {
			if k != "metadata" && k != "status" && !same(v, pair[1][k]) {
				return false
			}
		}
	}
	return true
}

func meta(o *inventory.Object, key string) any {
	if m := inventory.Map(o.Content, "metadata", key); len(m) > 0 {
		return m
	}
	return nil
}

func same(a, b any) bool { return reflect.DeepEqual(a, b) }
