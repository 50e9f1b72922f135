package lab

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	texts "text/template"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

//go:embed nodeconf/*
var nodeConf embed.FS

// up starts everything inside: two lines of work, which meet at the kubelet.
func (n *Node) up(ctx context.Context) error {
	if err := n.write(); err != nil {
		return fmt.Errorf("write the node's settings: %w", err)
	}
	var err error
	if n.registry, err = n.openRegistry(); err != nil {
		return err
	}
	containers := make(chan struct{}) // closed when containerd answers
	if err := together(ctx,
		func(ctx context.Context) error {
			if err := n.startContainerd(ctx); err != nil {
				return err
			}
			close(containers)
			for _, archive := range []string{n.parts.pause, n.parts.coredns} {
				if err := n.importArchive(ctx, archive); err != nil {
					return err
				}
			}
			n.step("images")
			return nil
		},
		func(ctx context.Context) error {
			if err := n.startControlPlane(ctx); err != nil {
				return err
			}
			select {
			case <-containers:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			return n.startKubelet(ctx)
		}); err != nil {
		return err
	}
	return n.ready(ctx)
}

// together ends all when one fails.
func together(ctx context.Context, work ...func(ctx context.Context) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	errs := make([]error, len(work))
	for i, f := range work {
		all.Go(func() {
			if errs[i] = f(ctx); errs[i] != nil {
				stop(errors.New("another part of the node failed"))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// write makes certificates, kubeconfigs and settings.
func (n *Node) write() error {
	var err error
	if n.ca, err = writePKI(n.Dir(), NodeAddress, apiService); err != nil {
		return err
	}
	serving, err := n.ca.server("system:node:"+NodeName, NodeAddress, NodeName)
	if err != nil {
		return err
	}
	toKubelet, err := n.ca.client(identity{user: "kube-apiserver", groups: []string{"system:masters"}})
	if err != nil {
		return err
	}
	front, err := newAuthority("lab-front-proxy") // of aggregated APIs
	if err != nil {
		return err
	}
	proxying, err := front.client(identity{user: "front-proxy-client"})
	if err != nil {
		return err
	}
	pair, err := n.ca.client(admin)
	if err != nil {
		return err
	}
	if n.API, err = newAPI(n.restConfig(pair)); err != nil {
		return err
	}
	proxyConfig := ""
	for _, u := range []struct {
		file string
		who  identity
		at   *string
	}{
		{"admin", admin, &n.kubeconfig},
		{"controller-manager", identity{user: "system:kube-controller-manager"}, nil},
		{"scheduler", identity{user: "system:kube-scheduler"}, nil},
		{"kubelet", identity{user: "system:node:" + NodeName, groups: []string{"system:nodes"}}, nil},
		{"proxy", identity{user: "system:kube-proxy"}, &proxyConfig},
	} {
		pair, err := n.ca.client(u.who)
		if err != nil {
			return err
		}
		path := n.file(u.file + ".kubeconfig")
		if u.at != nil {
			*u.at = path
		}
		if err := os.WriteFile(path, kubeconfig(nodeURL, n.ca.pem, pair), 0o600); err != nil {
			return err
		}
	}
	plugins, err := pluginFolder()
	if err != nil {
		return err
	}
	values := map[string]string{"Folder": n.Dir(), "Plugins": plugins, "Pause": PauseImage, "CoreDNS": corednsImage, "Registry": RegistryHost,
		"Node": NodeName, "DNS": dnsService, "Pods": podRange, "NodePods": nodePods, "ProxyConfig": proxyConfig}
	files := map[string][]byte{
		"kubelet.crt": serving.cert, "kubelet.key": serving.key, "kubelet-client.crt": toKubelet.cert, "kubelet-client.key": toKubelet.key,
		"front-proxy-ca.crt": front.pem, "front-proxy-client.crt": proxying.cert, "front-proxy-client.key": proxying.key,
		"resolv.conf": nil,
	}
	for name, from := range map[string]string{
		"containerd.toml": "containerd.toml", "kubelet.yaml": "kubelet.yaml", "kube-proxy.yaml": "kube-proxy.yaml", "coredns.yaml": "coredns.yaml",
		"cni/bridge.conflist": "bridge.conflist", "registries/_default/hosts.toml": "hosts.toml",
	} {
		t, err := texts.New(from).Option("missingkey=error").ParseFS(nodeConf, "nodeconf/"+from)
		if err != nil {
			return err
		}
		var text strings.Builder
		if err := t.Execute(&text, values); err != nil {
			return err
		}
		files[name] = []byte(text.String())
	}
	for name, text := range files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(n.file(name)), 0o755), os.WriteFile(n.file(name), text, 0o600)); err != nil {
			return err
		}
	}
	return os.Mkdir(n.file("static-pods"), 0o755)
}

func (n *Node) file(name string) string { return filepath.Join(n.Dir(), filepath.FromSlash(name)) }

func (n *Node) startControlPlane(ctx context.Context) error {
	const etcd = "http://127.0.0.1:2379"
	p, err := n.spawn(n.parts.etcd, "--name=lab", "--data-dir="+n.file("etcd"), "--log-level=error",
		"--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380", "--initial-cluster=lab=http://127.0.0.1:2380",
		"--unsafe-no-fsync")
	if err != nil {
		return err
	}
	plain := &http.Client{Transport: &http.Transport{DialContext: n.Dial, DisableKeepAlives: true}}
	if err := until(ctx, p, func() error { return answers(ctx, plain, etcd+"/health") }); err != nil {
		return err
	}
	n.step("etcd")
	return n.StartAPIServer(ctx)
}

// StartAPIServer starts the API server, again after [Node.Kill], and what needs it
// to be there, and returns when they run.
func (n *Node) StartAPIServer(ctx context.Context) error {
	p, err := n.spawn(n.parts.apiserver, append([]string{
		"--etcd-servers=http://127.0.0.1:2379", "--secure-port=6443", "--advertise-address=" + NodeAddress,
		"--service-cluster-ip-range=" + serviceRange,
		"--client-ca-file=" + n.file("ca.crt"), "--tls-cert-file=" + n.file("apiserver.crt"), "--tls-private-key-file=" + n.file("apiserver.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + n.file("sa.pub"), "--service-account-signing-key-file=" + n.file("sa.key"),
		"--kubelet-certificate-authority=" + n.file("ca.crt"),
		"--kubelet-client-certificate=" + n.file("kubelet-client.crt"), "--kubelet-client-key=" + n.file("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + n.file("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + n.file("front-proxy-client.crt"), "--proxy-client-key-file=" + n.file("front-proxy-client.key"),
	}, n.config.Flags...)...)
	if err != nil {
		return err
	}
	raw := n.Kube.Discovery().RESTClient()
	if err := until(ctx, p, func() error {
		ctx, stop := context.WithTimeout(ctx, 5*time.Second)
		defer stop()
		return raw.Get().AbsPath("/readyz").Do(ctx).Error()
	}); err != nil {
		return err
	}
	n.step("API server")
	if !n.runs("kube-controller-manager") {
		_, err = n.spawn(n.parts.controllerManager, append(controllerFlags(n.Dir(), n.file("controller-manager.kubeconfig")), "--bind-address=127.0.0.1",
			"--allocate-node-cidrs=true", "--cluster-cidr="+podRange, "--service-cluster-ip-range="+serviceRange,
			"--node-monitor-grace-period=10m")...) // late heartbeats of a busy machine say nothing of its pods
	}
	if err == nil && !n.runs("kube-scheduler") {
		config := n.file("scheduler.kubeconfig")
		_, err = n.spawn(n.parts.scheduler, "--kubeconfig="+config, "--authentication-kubeconfig="+config, "--authorization-kubeconfig="+config,
			"--leader-elect=false", "--bind-address=127.0.0.1")
	}
	return err
}

func (n *Node) runs(program string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.processes {
		if p.name == program && !p.gone() {
			return true
		}
	}
	return false
}

func (n *Node) startContainerd(ctx context.Context) error {
	path, err := lookPath("containerd")
	if err != nil {
		return err
	}
	p, err := n.spawn(path, "-c", n.file("containerd.toml"))
	if err != nil {
		return err
	}
	err = until(ctx, p, func() error {
		_, err := n.Exec(ctx, "ctr", "version")
		return err
	})
	n.step("containerd")
	return err
}

func (n *Node) startKubelet(ctx context.Context) error {
	p, err := n.spawnKubelet()
	if err != nil {
		return err
	}
	dns, err := os.ReadFile(n.file("coredns.yaml"))
	if err != nil {
		return err
	}
	if err := n.Apply(ctx, string(dns)); err != nil {
		return err
	}
	if err := until(ctx, p, func() error {
		_, err := n.Kube.CoreV1().Nodes().Get(ctx, NodeName, metav1.GetOptions{})
		return err
	}); err != nil {
		return err
	}
	n.step("node registered")
	_, err = n.spawn(n.parts.proxy, "--config="+n.file("kube-proxy.yaml"))
	return err
}

func (n *Node) spawnKubelet(flags ...string) (*process, error) {
	return n.spawn(n.parts.kubelet, append([]string{"--kubeconfig=" + n.file("kubelet.kubeconfig"), "--config=" + n.file("kubelet.yaml"),
		"--hostname-override=" + NodeName, "--node-ip=" + NodeAddress}, flags...)...)
}

// RestartKubelet ends the kubelet and starts it with more flags. Pods go on meanwhile.
func (n *Node) RestartKubelet(tb testing.TB, flags ...string) {
	tb.Helper()
	n.Kill("kubelet")
	if _, err := n.spawnKubelet(flags...); err != nil {
		tb.Fatal(err)
	}
}

// WaitService waits until a Service's first port is answered at its address,
// which is some moments after its pods are ready.
func (n *Node) WaitService(tb testing.TB, namespace, name string) {
	tb.Helper()
	if err := n.wait(tb.Context(), namespace, "Service "+name, func() error {
		s, err := n.Kube.CoreV1().Services(namespace).Get(tb.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return n.knock(tb.Context(), net.JoinHostPort(s.Spec.ClusterIP, strconv.Itoa(int(s.Spec.Ports[0].Port))))
	}); err != nil {
		tb.Fatal(err)
	}
}

func (n *Node) knock(ctx context.Context, address string) error {
	ctx, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	conn, err := n.Dial(ctx, "tcp", address)
	if err == nil {
		conn.Close()
	}
	return err
}

// ready waits for the node, for a way to Services, and for names.
func (n *Node) ready(ctx context.Context) error {
	err := n.wait(ctx, "kube-system", "the node", func() error {
		node, err := n.Kube.CoreV1().Nodes().Get(ctx, NodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
				return errors.New(c.Message)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	n.step("node ready")
	if err := n.wait(ctx, "default", "the service account", func() error {
		_, err := n.Kube.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err
	}); err != nil {
		return err
	}
	n.step("service accounts")
	if err := n.waitDeployment(ctx, "kube-system", "coredns"); err != nil {
		return err
	}
	n.step("CoreDNS")
	err = poll(ctx, readyWithin, func() error { return n.knock(ctx, apiService+":443") })
	n.step("Services")
	return err
}
