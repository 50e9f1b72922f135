package lab

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What Gatekeeper's manifest names.
const (
	GatekeeperNamespace = "gatekeeper-system"

	gatekeeperService     = "gatekeeper-webhook-service"
	gatekeeperHost        = gatekeeperService + "." + GatekeeperNamespace + ".svc"
	gatekeeperControllers = "gatekeeper-controller-manager"
	gatekeeperAudit       = "gatekeeper-audit"
)

// GatekeeperOptions are what tests change in the release's manifest.
type GatekeeperOptions struct {
	Replicas int      // of the webhook; 1
	Args     []string // more flags of every manager, such as --audit-interval=10
}

// gatekeeperCerts are a CA and a certificate for the webhook, which is also what
// Gatekeeper shows to external-data providers.
//
// Gatekeeper makes its own if it finds none, and then waits for the kubelet to
// bring them to its pods, which takes half a minute. It reads the CA's key as
// PKCS#1 RSA only, and wants the CA's name among its DNS names.
func gatekeeperCerts() (ca *authority, caKey []byte, leaf keyPair, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, keyPair{}, err
	}
	if ca, err = authorityOf("gatekeeper-ca", key); err != nil {
		return nil, nil, keyPair{}, err
	}
	if caKey, err = ca.keyPEM(); err != nil {
		return nil, nil, keyPair{}, err
	}
	leaf, err = ca.server(gatekeeperHost, gatekeeperHost)
	return ca, caKey, leaf, err
}

// gatekeeperObjects is the release's manifest with an edit for each object; one
// that returns false is left out.
func gatekeeperObjects(manifest string, edit func(o *unstructured.Unstructured) (bool, error)) ([]*unstructured.Unstructured, error) {
	text, err := os.ReadFile(manifest)
	if err != nil {
		return nil, err
	}
	objects, err := decode(string(text))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		keep, failed := edit(o)
		if failed != nil && err == nil {
			err = fmt.Errorf("%s %s: %w", o.GetKind(), o.GetName(), failed)
		}
		return !keep
	}), err
}

// podForm changes what a test needs otherwise than a cluster with a registry and
// patience.
func (g GatekeeperOptions) podForm(o *unstructured.Unstructured) error {
	if o.GetName() == gatekeeperControllers {
		if err := unstructured.SetNestedField(o.Object, int64(max(g.Replicas, 1)), "spec", "replicas"); err != nil {
			return err
		}
	}
	path := []string{"spec", "template", "spec", "containers"}
	containers, _, err := unstructured.NestedSlice(o.Object, path...)
	if err != nil {
		return err
	}
	for _, c := range containers {
		c := c.(map[string]any)
		c["imagePullPolicy"] = "IfNotPresent"
		if probe, ok := c["readinessProbe"].(map[string]any); ok {
			probe["periodSeconds"] = int64(1)
		}
		args, _ := c["args"].([]any)
		for _, arg := range g.Args {
			args = append(args, arg)
		}
		c["args"] = args
	}
	return unstructured.SetNestedSlice(o.Object, containers, path...)
}

// trust puts a CA into every webhook, and a URL instead of the Service if base is
// one.
func trust(o *unstructured.Unstructured, ca []byte, base string) error {
	webhooks, _, err := unstructured.NestedSlice(o.Object, "webhooks")
	if err != nil {
		return err
	}
	for _, w := range webhooks {
		config, _, err := unstructured.NestedMap(w.(map[string]any), "clientConfig")
		if err != nil {
			return err
		}
		config["caBundle"] = base64.StdEncoding.EncodeToString(ca)
		if base != "" {
			path, _, _ := unstructured.NestedString(config, "service", "path")
			delete(config, "service")
			config["url"] = base + path
		}
		w.(map[string]any)["clientConfig"] = config
	}
	return unstructured.SetNestedSlice(o.Object, webhooks, "webhooks")
}

// installGatekeeper applies the release and waits until its webhook answers.
func (a *API) installGatekeeper(ctx context.Context, manifest string, options GatekeeperOptions) error {
	ca, caKey, leaf, err := gatekeeperCerts()
	if err != nil {
		return err
	}
	objects, err := gatekeeperObjects(manifest, func(o *unstructured.Unstructured) (bool, error) {
		switch o.GetKind() {
		case "Deployment":
			return true, options.podForm(o)
		case "Secret":
			data := map[string]any{}
			for name, value := range map[string][]byte{"ca.crt": ca.pem, "ca.key": caKey, "tls.crt": leaf.cert, "tls.key": leaf.key} {
				data[name] = base64.StdEncoding.EncodeToString(value)
			}
			o.Object["data"] = data
		case "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration":
			return true, trust(o, ca.pem, "")
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	if err := a.apply(ctx, objects...); err != nil {
		return err
	}
	for _, name := range []string{gatekeeperControllers, gatekeeperAudit} {
		if err := a.waitDeployment(ctx, GatekeeperNamespace, name); err != nil {
			return err
		}
	}
	return a.waitGatekeeper(ctx)
}

// waitGatekeeper waits for an answer of the one webhook whose silence is a
// refusal.
func (a *API) waitGatekeeper(ctx context.Context) error {
	return a.wait(ctx, GatekeeperNamespace, "Gatekeeper's webhook", func() error {
		_, err := a.Kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "lab-probe-"}},
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
}

// WaitConstraint waits until every one of Gatekeeper's pods enforces a
// constraint, named by its kind and name.
func (a *API) WaitConstraint(tb testing.TB, kind, name string) {
	tb.Helper()
	constraint := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": kind}}
	err := a.wait(tb.Context(), GatekeeperNamespace, kind+" "+name, func() error {
		in, err := a.of(constraint)
		if err != nil {
			return err
		}
		o, err := in.Get(tb.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		pods, _, err := unstructured.NestedSlice(o.Object, "status", "byPod")
		if err != nil {
			return err
		}
		running, err := a.Kube.CoreV1().Pods(GatekeeperNamespace).List(tb.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(pods) < len(running.Items) {
			return fmt.Errorf("%d of %d pods have seen it", len(pods), len(running.Items))
		}
		for _, p := range pods {
			if enforced, _, _ := unstructured.NestedBool(p.(map[string]any), "enforced"); !enforced {
				return fmt.Errorf("not enforced everywhere: %v", pods)
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}
