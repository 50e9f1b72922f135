package policy

import (
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// Owner is the workload or object that o belongs to, as far as o itself tells: the Deployment of a ReplicaSet's pod by its name, else
// the controller, else o. Admission knows no more: at that moment nobody is asked.
func Owner(o *inventory.Object) inventory.Ref {
	ref, _, ok := o.Controller()
	if !ok {
		return o.Ref()
	}
	if ref.GroupKind() == "ReplicaSet.apps" {
		if name, ok := strings.CutSuffix(ref.Name, "-"+o.Labels()["pod-template-hash"]); ok && name != "" && o.Labels()["pod-template-hash"] != "" {
			return inventory.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: o.Namespace, Name: name}
		}
	}
	if ref.GroupKind() == "Job.batch" {
		if name, ok := cronJob(ref.Name); ok {
			return inventory.Ref{APIVersion: "batch/v1", Kind: "CronJob", Namespace: o.Namespace, Name: name}
		}
	}
	return ref
}

// cronJob is the CronJob whose Job bears the name: its own name, and the minute as eight digits.
func cronJob(name string) (string, bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 || len(name)-i-1 != 8 || strings.Trim(name[i+1:], "0123456789") != "" || name[i+1] == '0' {
		return "", false
	}
	return name[:i], true
}
