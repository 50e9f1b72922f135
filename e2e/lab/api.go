package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// API are clients of a cluster with the administrator's rights and without
// limits of their own, over kept connections.
type API struct {
	Config  *rest.Config
	Kube    kubernetes.Interface
	Dynamic dynamic.Interface

	discovery discovery.DiscoveryInterface
	mapper    *restmapper.DeferredDiscoveryRESTMapper
}

func newAPI(c *rest.Config) (*API, error) {
	c.QPS = -1
	client, err := rest.HTTPClientFor(c)
	if err != nil {
		return nil, err
	}
	a := &API{Config: c}
	if a.Kube, err = kubernetes.NewForConfigAndClient(c, client); err != nil {
		return nil, err
	}
	if a.Dynamic, err = dynamic.NewForConfigAndClient(c, client); err != nil {
		return nil, err
	}
	a.discovery = a.Kube.Discovery()
	a.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(a.discovery))
	return a, nil
}

// Apply creates or changes every object of a YAML stream by server-side apply
// and stops at the first error, which is the API server's own.
func (a *API) Apply(ctx context.Context, text string) error {
	objects, err := decode(text)
	if err != nil {
		return err
	}
	return a.apply(ctx, objects...)
}

// MustApply ends the test where Apply has an error.
func (a *API) MustApply(tb testing.TB, text string) {
	tb.Helper()
	if err := a.Apply(tb.Context(), text); err != nil {
		tb.Fatal(err)
	}
}

func decode(text string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for r := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096); ; {
		var o unstructured.Unstructured
		switch err := r.Decode(&o.Object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, fmt.Errorf("read the YAML: %w", err)
		case len(o.Object) > 0:
			objects = append(objects, &o)
		}
	}
}

func (a *API) apply(ctx context.Context, objects ...*unstructured.Unstructured) error {
	for _, o := range objects {
		in, err := a.of(o)
		if err == nil {
			_, err = in.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: "lab", Force: true})
		}
		if err != nil {
			return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

// of is where an object lives. A kind that was defined a moment ago is looked for
// again for some seconds.
func (a *API) of(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := o.GroupVersionKind()
	mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	for wait := 50 * time.Millisecond; meta.IsNoMatchError(err) && wait < 5*time.Second; wait *= 2 {
		time.Sleep(wait)
		a.mapper.Reset()
		mapping, err = a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return a.Dynamic.Resource(mapping.Resource), nil
	}
	namespace := o.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return a.Dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}

// Inventory lists every object of every kind: "deployments.apps shop/web" and its
// UID. Events and leases, which come and go by themselves, are left out.
func (a *API) Inventory(ctx context.Context) (map[string]string, error) {
	lists, err := a.discovery.ServerPreferredResources()
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") || r.Name == "events" || r.Name == "leases" || !slices.Contains(r.Verbs, "list") {
				continue
			}
			objects, err := a.Dynamic.Resource(version.WithResource(r.Name)).List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, fmt.Errorf("list %s: %w", r.Name, err)
			}
			for _, o := range objects.Items {
				found[schema.GroupResource{Group: version.Group, Resource: r.Name}.String()+" "+strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/")] = string(o.GetUID())
			}
		}
	}
	return found, nil
}

// WaitDeployment waits until every replica of the newest form is available.
func (a *API) WaitDeployment(tb testing.TB, namespace, name string) {
	tb.Helper()
	if err := a.waitDeployment(tb.Context(), namespace, name); err != nil {
		tb.Fatal(err)
	}
}

func (a *API) waitDeployment(ctx context.Context, namespace, name string) error {
	return a.wait(ctx, namespace, "Deployment "+name, func() error {
		d, err := a.Kube.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		want := int32(1)
		if d.Spec.Replicas != nil {
			want = *d.Spec.Replicas
		}
		s := d.Status
		if s.ObservedGeneration < d.Generation || s.UpdatedReplicas != want || s.AvailableReplicas != want || s.Replicas != want {
			return fmt.Errorf("%d of %d replicas are available, %d are up to date", s.AvailableReplicas, want, s.UpdatedReplicas)
		}
		return nil
	})
}

// WaitPod waits until a pod is ready.
func (a *API) WaitPod(tb testing.TB, namespace, name string) *corev1.Pod {
	tb.Helper()
	var pod *corev1.Pod
	err := a.wait(tb.Context(), namespace, "Pod "+name, func() (err error) {
		if pod, err = a.Kube.CoreV1().Pods(namespace).Get(tb.Context(), name, metav1.GetOptions{}); err != nil {
			return err
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("it is %s", pod.Status.Phase)
	})
	if err != nil {
		tb.Fatal(err)
	}
	return pod
}

// WaitGone waits until a namespace has no pods.
func (a *API) WaitGone(tb testing.TB, namespace string) {
	tb.Helper()
	if err := a.wait(tb.Context(), namespace, "the end of the pods", func() error {
		pods, err := a.Kube.CoreV1().Pods(namespace).List(tb.Context(), metav1.ListOptions{})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("%d pods are there", len(pods.Items))
		}
		return err
	}); err != nil {
		tb.Fatal(err)
	}
}

// Eventually asks until there is no error, for a minute.
func Eventually(tb testing.TB, what string, check func() error) {
	tb.Helper()
	if err := poll(tb.Context(), time.Minute, check); err != nil {
		tb.Fatalf("%s: %v", what, err)
	}
}

// poll ends with the last error when the time is over.
func poll(ctx context.Context, within time.Duration, check func() error) error {
	ctx, stop := context.WithTimeoutCause(ctx, within, fmt.Errorf("not so after %s", within))
	defer stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		if ended := sleep(ctx, 50*time.Millisecond); ended != nil {
			return fmt.Errorf("%w: %w", ended, err)
		}
	}
}

// wait fails with what is known of the namespace's pods.
func (a *API) wait(ctx context.Context, namespace, what string, check func() error) error {
	err := poll(ctx, readyWithin, check)
	if err != nil {
		err = fmt.Errorf("%s in %s is not ready: %w\n%s", what, namespace, err, a.Explain(namespace))
	}
	return err
}

// Explain says what a namespace's pods are about: states, warnings, ends of logs.
func (a *API) Explain(namespace string) string {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second) // after the test's own is over, too
	defer stop()
	var text strings.Builder
	pods, err := a.Kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	for _, pod := range pods.Items {
		fmt.Fprintf(&text, "pod %s: %s %s\n", pod.Name, pod.Status.Phase, pod.Status.Message)
		for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			if c.Ready {
				continue
			}
			fmt.Fprintf(&text, "  container %s, %d restarts:", c.Name, c.RestartCount)
			if w := c.State.Waiting; w != nil {
				fmt.Fprintf(&text, " waits: %s %s", w.Reason, w.Message)
			}
			if t := c.LastTerminationState.Terminated; t != nil {
				fmt.Fprintf(&text, " ended before: code %d %s", t.ExitCode, t.Message)
			}
			lines := int64(15)
			log, err := a.Kube.CoreV1().Pods(namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: c.Name, TailLines: &lines}).DoRaw(ctx)
			fmt.Fprintf(&text, "\n%s", log)
			if err != nil {
				fmt.Fprintf(&text, "  (no log: %v)\n", err)
			}
		}
	}
	events, err := a.Kube.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning"})
	if err != nil {
		return text.String() + err.Error()
	}
	for _, e := range events.Items[max(0, len(events.Items)-20):] {
		fmt.Fprintf(&text, "warning: %s %s: %s: %s\n", e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
	}
	return text.String()
}
