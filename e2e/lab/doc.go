// Package lab gives Go tests real Kubernetes on this machine, built from Go
// modules and kept in a cache, in three forms.
//
// # A control plane
//
// etcd and kube-apiserver as plain processes on loopback. It needs no root, no
// container, no network at run time.
//
//	cp := lab.ForTest(t, lab.Config{Version: lab.Oldest})
//	cmd := exec.Command("stockade", "scan", "--kubeconfig", cp.Kubeconfig())
//
// What is real: TLS with an own CA, client certificates, RBAC, admission,
// validation, storage, watches. What is not there:
//
//   - no kubelet and no scheduler: pods are stored and stay Pending;
//   - no controller-manager unless [Config].Controllers asks for it: nothing is
//     created from a Deployment, deleted namespaces stay Terminating, there are no
//     default service accounts (the ServiceAccount admission plugin is off, so pods
//     do not need them), and aggregated cluster roles such as view, edit and admin
//     have no rules: bind a role of your own.
//
// Tests against an API that misbehaves put a [Proxy] in front and [Proxy.Inject]
// a [Fault], or [ControlPlane.Kill] the server.
//
// # A node
//
// Everything: kubelet, containerd, runc, the CNI bridge, kube-proxy with nftables,
// CoreDNS in a pod, scheduler and controllers, every authorizer and the default
// admission plugins, in mount, network, process and cgroup namespaces of its own.
// It needs root and what `make deps` installs; [NodePossible] says whether it can
// be had. One at a time: a second test process waits for the first one's end.
//
//	n := lab.NodeForTest(t, lab.NodeConfig{})
//	n.Gatekeeper(t, lab.GatekeeperOptions{Replicas: 3})
//	n.LoadImage(t, "lab.example.com/shop:1", lab.Image{Files: map[string]string{"/shop": program}, Entrypoint: []string{"/shop"}})
//	n.MustApply(t, manifest)
//	n.WaitDeployment(t, "default", "shop")
//
// The test stays outside. Its clients ([Node.Kube], [Node.Dynamic], [Node.Client])
// dial through the node's first process, which makes the socket inside and passes
// it out ([Node.Dial], [Node.Listen]); programs that pods talk to, such as the
// server under test, run in the node's network by [Node.Run] and [Node.Start],
// listen at [NodeAddress] and use [Node.Kubeconfig]. A browser comes in by
// [Node.Expose]. Images are imported ([Node.LoadImage]), or pushed to the registry
// at [RegistryHost] ([Node.Push]), which containerd asks for whatever it does not
// have; only those have digests in the status of pods. The network leads nowhere
// else. What reads the node's file system as a whole is shown one that looks like a
// node's by [Node.Furnish], and [Node.Pause] has a program of the node hang.
//
// # The light form
//
// [LightForTest] is a control plane with controllers and with Gatekeeper as a
// process: policies hold as on a node, but nothing runs. For machines without root
// or namespaces, and for tests that need no pod.
//
// Processes end with the test process, however that ends, and leave nothing behind:
// no process, mount, cgroup, setting of the kernel or file (Linux only; on other
// systems the package compiles and Start returns an error).
//
// The first use of a version builds it, which takes minutes: `make` does it ahead
// with `go run ./e2e/lab/cmd/labbuild`.
package lab
