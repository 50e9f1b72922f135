package lab

import (
	"context"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
)

// controllerFlags are what every controller-manager of the lab gets.
func controllerFlags(dir, kubeconfig string) []string {
	file := func(name string) string { return filepath.Join(dir, name) }
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--service-account-private-key-file=" + file("sa.key"), "--root-ca-file=" + file("ca.crt"),
		"--cluster-signing-cert-file=" + file("ca.crt"), "--cluster-signing-key-file=" + file("ca.key"),
		"--use-service-account-credentials=true", "--leader-elect=false",
		"--kube-api-qps=500", "--kube-api-burst=1000", // forty controllers, each with an account of its own to make: the default takes five seconds
		"--flex-volume-plugin-dir=" + file("volume-plugins"), // it is made, and the default is in /usr
	}
}

// startControllers returns when they work: the default service account is theirs.
func (p *ControlPlane) startControllers(ctx context.Context, binary string) error {
	config, err := p.KubeconfigFor("system:kube-controller-manager")
	if err != nil {
		return err
	}
	controllers, err := launch(filepath.Join(p.Dir(), "kube-controller-manager.log"), binary,
		append(controllerFlags(p.Dir(), config), "--secure-port=0", "--node-monitor-grace-period=10m")...)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.others = append(p.others, controllers)
	p.mu.Unlock()
	return until(ctx, controllers, func() error {
		return answers(ctx, p.client, p.URL()+"/api/v1/namespaces/default/serviceaccounts/default")
	})
}

// API are clients with the administrator's rights.
func (p *ControlPlane) API() (*API, error) {
	config, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig())
	if err != nil {
		return nil, err
	}
	return newAPI(config)
}
