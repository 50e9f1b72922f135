package inventory

import "testing"

func TestPodOwner(t *testing.T) {
	known := map[string]bool{"Deployment web": true, "Deployment web-api": true, "DaemonSet agent": true, "StatefulSet db": true, "Job once": true, "CronJob nightly": true, "ReplicaSet bare": true,
		"Deployment db": true, "Job parts": true}
	exists := func(r Ref) bool { return r.Namespace == "shop" && known[r.Kind+" "+r.Name] }
	for _, tt := range []struct{ pod, want string }{
		{"web-7d4b9c5f6d-x2x7z", "Deployment web"},
		{"web-api-7d4b9c5f6d-x2x7z", "Deployment web-api"},
		{"agent-k8v2z", "DaemonSet agent"},
		{"db-0", "StatefulSet db"},
		{"db-12", "StatefulSet db"},
		{"once-bcdfg", "Job once"},
		{"parts-3-bcdfg", "Job parts"},
		{"nightly-29384750-bcdfg", "CronJob nightly"},
		{"bare-bcdfg", "ReplicaSet bare"},
		{"other-7d4b9c5f6d-x2x7z", "Pod other-7d4b9c5f6d-x2x7z"}, // no such workload
		{"web", "Pod web"},
		{"web-hello", "Pod web-hello"}, // no generated name
		{"-x2x7z", "Pod -x2x7z"},
		{"", "Pod "},
	} {
		got := PodOwner("shop", tt.pod, "n1", false, exists)
		if s := got.Kind + " " + got.Name; s != tt.want || got.Namespace != "shop" {
			t.Errorf("%s: %s, want %s", tt.pod, s, tt.want)
		}
	}
	if got := PodOwner("kube-system", "kube-apiserver-n1", "n1", true, exists); got.Kind != "Pod" || got.Name != "kube-apiserver" {
		t.Errorf("a static pod: %v", got)
	}
	if got := PodOwner("bank", "web-7d4b9c5f6d-x2x7z", "n1", false, exists); got.Kind != "Pod" {
		t.Errorf("a workload of another namespace: %v", got)
	}
}
