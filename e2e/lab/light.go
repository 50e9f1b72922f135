package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Light is the light form of a cluster with Gatekeeper: a control plane with
// controllers, and Gatekeeper's manager as a process that the API server calls by
// URL. It needs no root. Nothing runs in pods, names do not resolve, and
// Gatekeeper has the administrator's rights.
type Light struct {
	*ControlPlane
	*API

	gatekeeper *process
}

// LightForTest starts the light form and ends it with the test.
func LightForTest(tb testing.TB, c Config, options GatekeeperOptions) *Light {
	tb.Helper()
	ctx, stop := testContext(tb)
	defer stop()
	c.Controllers = true
	parts, err := partsOfGatekeeper(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	began := time.Now()
	l := &Light{ControlPlane: ForTest(tb, c)}
	if l.API, err = l.ControlPlane.API(); err == nil {
		err = l.startGatekeeper(ctx, parts, options)
	}
	if err != nil {
		tb.Fatalf("start Gatekeeper as a process: %v", err)
	}
	tb.Logf("light form with Gatekeeper %s ready after %.1f s", GatekeeperVersion, time.Since(began).Seconds())
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("end of Gatekeeper's log:\n%s", tail(l.gatekeeper.log))
		}
	})
	return l
}

// GatekeeperCA is the CA of the client certificate that Gatekeeper shows to
// providers of external data.
func (l *Light) GatekeeperCA() ([]byte, error) {
	return os.ReadFile(filepath.Join(l.Dir(), "gatekeeper", "ca.crt"))
}

// KillGatekeeper ends the manager; the webhooks stay and lead nowhere.
func (l *Light) KillGatekeeper() { l.gatekeeper.kill() }

// gatekeeperPod owns Gatekeeper's status objects. It is never scheduled, but it
// has to exist: the controllers take away what an absent pod owns, for ever.
const gatekeeperPod = `
apiVersion: v1
kind: Pod
metadata: {name: gatekeeper, namespace: gatekeeper-system}
spec:
  schedulerName: none
  serviceAccountName: gatekeeper-admin
  containers:
  - name: manager
    image: gatekeeper
    securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}
`

func (l *Light) startGatekeeper(ctx context.Context, parts gatekeeperParts, options GatekeeperOptions) error {
	certs := filepath.Join(l.Dir(), "gatekeeper")
	if err := os.Mkdir(certs, 0o700); err != nil {
		return err
	}
	ca, caKey, leaf, err := gatekeeperCerts()
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{"ca.crt": ca.pem, "ca.key": caKey, "tls.crt": leaf.cert, "tls.key": leaf.key} {
		if err := os.WriteFile(filepath.Join(certs, name), data, 0o600); err != nil {
			return err
		}
	}
	return onFreePorts(3, func(ports []int) error {
		// Of a try whose ports somebody else took: they lead nowhere, and one of them refuses then.
		if err := l.unhook(ctx); err != nil {
			return err
		}
		if err := l.applyLight(ctx, parts.manifest, ca.pem, "https://127.0.0.1:"+strconv.Itoa(ports[0])); err != nil {
			return err
		}
		manager, err := launchWith([]string{"POD_NAMESPACE=" + GatekeeperNamespace, "NAMESPACE=" + GatekeeperNamespace, "POD_NAME=gatekeeper", "CONTAINER_NAME=manager"},
			filepath.Join(l.Dir(), "gatekeeper.log"), parts.manager,
			append([]string{"--kubeconfig=" + l.Kubeconfig(), "--cert-dir=" + certs, "--disable-cert-rotation", "--logtostderr",
				"--host=127.0.0.1", "--port=" + strconv.Itoa(ports[0]), "--health-addr=127.0.0.1:" + strconv.Itoa(ports[1]),
				"--prometheus-port=" + strconv.Itoa(ports[2]), "--exempt-namespace=" + GatekeeperNamespace, "--disable-opa-builtin={http.send}"}, options.Args...)...)
		if err != nil {
			return err
		}
		l.gatekeeper = manager
		l.mu.Lock()
		l.others = append(l.others, manager)
		l.mu.Unlock()
		answered := make(chan error, 1)
		go func() { answered <- l.waitGatekeeper(ctx) }()
		select {
		case err := <-answered:
			return err
		case <-manager.done:
			return manager.died()
		}
	})
}

// unhook takes all webhooks away.
func (l *Light) unhook(ctx context.Context) error {
	hooks := l.Kube.AdmissionregistrationV1()
	return errors.Join(hooks.ValidatingWebhookConfigurations().DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}),
		hooks.MutatingWebhookConfigurations().DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
}

// applyLight applies the manifest without what needs pods.
func (l *Light) applyLight(ctx context.Context, manifest string, ca []byte, url string) error {
	objects, err := gatekeeperObjects(manifest, func(o *unstructured.Unstructured) (bool, error) {
		switch o.GetKind() {
		case "Deployment", "PodDisruptionBudget", "ResourceQuota", "Secret", "Service":
			return false, nil
		case "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration":
			return true, trust(o, ca, url)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	// The pod before the webhooks, which answer nothing yet.
	pod, err := decode(gatekeeperPod)
	if err != nil {
		return err
	}
	var hooks, rest []*unstructured.Unstructured
	for _, o := range objects {
		if o.GetAPIVersion() == "admissionregistration.k8s.io/v1" {
			hooks = append(hooks, o)
		} else {
			rest = append(rest, o)
		}
	}
	for _, part := range [][]*unstructured.Unstructured{rest, pod, hooks} {
		if err := l.apply(ctx, part...); err != nil {
			return fmt.Errorf("Gatekeeper's manifest: %w", err)
		}
	}
	if len(hooks) == 0 {
		return errors.New("Gatekeeper's manifest has no webhooks")
	}
	return nil
}
