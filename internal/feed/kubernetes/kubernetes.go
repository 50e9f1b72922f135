// Package kubernetes knows the components of Kubernetes' own CVE feed.
//
// The feed's bounds are wrong here and there (CVE-2021-25741), its pairs are not sorted, and it ends in 2024: Go's database is
// the first source for Kubernetes, this one says which component it is.
package kubernetes

import "strings"

// components are the programs for the names of staging modules that the feed uses.
var components = map[string]string{
	"k8s.io/apiserver": "kube-apiserver", "k8s.io/controller-manager": "kube-controller-manager", "k8s.io/kubelet": "kubelet",
	"k8s.io/kube-proxy": "kube-proxy", "k8s.io/kube-scheduler": "kube-scheduler", "k8s.io/kubectl": "kubectl",
	"k8s.io/kubernetes": "kubernetes", "k8s.io/client-go": "client-go",
}

// Component returns the name of the program that a package of the feed is: "kube-apiserver" for "k8s.io/apiserver",
// "csi-proxy" for "github.com/kubernetes-csi/csi-proxy".
func Component(name string) string {
	if c := components[name]; c != "" {
		return c
	}
	return name[strings.LastIndexByte(name, '/')+1:]
}
