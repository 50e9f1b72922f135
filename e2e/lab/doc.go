// Package lab gives Go tests a real Kubernetes control plane on this machine:
// etcd and kube-apiserver as plain processes on loopback, built from Go modules
// and kept in a cache. It needs no root, no container, no network at run time.
//
//	cp := lab.ForTest(t, lab.Config{Version: lab.Oldest})
//	cmd := exec.Command("stockade", "scan", "--kubeconfig", cp.Kubeconfig())
//
// What is real: TLS with an own CA, client certificates, RBAC, admission,
// validation, storage, watches. What is not there:
//
//   - no kubelet and no scheduler: pods are stored and stay Pending;
//   - no controller-manager: nothing is created from a Deployment, deleted
//     namespaces stay Terminating, there are no default service accounts (the
//     ServiceAccount admission plugin is off, so pods do not need them), and
//     aggregated cluster roles such as view, edit and admin have no rules:
//     bind a role of your own.
//
// Tests against an API that misbehaves put a [Proxy] in front and [Proxy.Inject]
// a [Fault], or [ControlPlane.Kill] the server.
//
// Processes end with the test process, however that ends (Linux only; on other
// systems the package compiles and Start returns an error).
//
// The first use of a version builds it, which takes minutes: `make` does it ahead
// with `go run ./e2e/lab/cmd/labbuild`.
package lab
