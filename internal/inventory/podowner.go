package inventory

import "strings"

// PodOwner is the workload that a pod belongs to, for those who know pods by name only, as the runtime of a node does. Names that
// Kubernetes gives to pods tell it, where such a workload exists; the pod itself is what is left.
func PodOwner(namespace, pod, node string, static bool, exists func(Ref) bool) Ref {
	self := Ref{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: pod}
	if static {
		if name, ok := strings.CutSuffix(pod, "-"+node); ok && name != "" && node != "" {
			self.Name = name
		}
		return self
	}
	cut, tail := beforeDash(pod)
	if cut == "" {
		return self
	}
	try := func(apiVersion, kind, name string) (Ref, bool) {
		ref := Ref{APIVersion: apiVersion, Kind: kind, Namespace: namespace, Name: name}
		return ref, name != "" && exists(ref)
	}
	if digits(tail) {
		if ref, ok := try("apps/v1", "StatefulSet", cut); ok {
			return ref
		}
	}
	if !generated(tail, 5) {
		return self
	}
	upper, middle := beforeDash(cut)
	if generated(middle, 10) {
		if ref, ok := try("apps/v1", "Deployment", upper); ok {
			return ref
		}
	}
	if digits(middle) {
		if len(middle) == 8 {
			if ref, ok := try("batch/v1", "CronJob", upper); ok {
				return ref
			}
		}
		if ref, ok := try("batch/v1", "Job", upper); ok { // an indexed one
			return ref
		}
	}
	for _, k := range [...][2]string{{"apps/v1", "DaemonSet"}, {"batch/v1", "Job"}, {"apps/v1", "ReplicaSet"}, {"v1", "ReplicationController"}} {
		if ref, ok := try(k[0], k[1], cut); ok {
			return ref
		}
	}
	return self
}

func beforeDash(s string) (before, after string) {
	i := strings.LastIndexByte(s, '-')
	if i <= 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

// generated reports whether s is made of the letters and digits that Kubernetes takes for random names, at most that many.
func generated(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	return strings.Trim(s, "bcdfghjklmnpqrstvwxz0123456789") == ""
}
