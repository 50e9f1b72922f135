package protect

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"stockade.dev/stockade/e2e/lab"
)

// testBypasses: every other way to bring the vulnerable image in is refused like the straight one. The Deployment web runs the
// fixed image.
func testBypasses(t *testing.T, s *shop) {
	attempts := byPods(t.Context(), s)
	maps.Copy(attempts, byWorkloads(t.Context(), s))
	for name, attempt := range attempts {
		t.Run(name, func(t *testing.T) {
			// A digest that was never asked for is looked up first, and refused meanwhile in other words.
			lab.Eventually(t, "the attempt is refused for the weakness", func() error {
				err := attempt()
				if err == nil {
					t.Fatal("it was let in")
				}
				if !strings.Contains(err.Error(), "No known weaknesses") {
					if name == "pod of a custom resource" && !apierrors.IsForbidden(err) {
						return err // its kind is not served yet
					}
					t.Fatalf("refused by somebody else: %v", err)
				}
				if !strings.Contains(err.Error(), "image/vulnerability") {
					return err
				}
				return nil
			})
		})
	}
	t.Run("labels that exempt a namespace", func(t *testing.T) { testLabels(t, s) })
	t.Run("Deployment of before, scaled up", func(t *testing.T) { testScale(t, s) })
}

// byPods are the ways through pods.
func byPods(ctx context.Context, s *shop) map[string]func() error {
	pods, create := s.Kube.CoreV1().Pods("shop"), metav1.CreateOptions{}
	good, digest := s.podOf("app=web"), s.digest
	return map[string]func() error{
		"ownerless pod": func() error { return dropped(pods.Create(ctx, podOf("loner", vulnerable), create)) },
		"sidecar": func() error {
			pod, always := withInit(podOf("beside", fixed)), corev1.ContainerRestartPolicyAlways
			pod.Spec.InitContainers[0].RestartPolicy = &always
			return dropped(pods.Create(ctx, pod, create))
		},
		"pod that names itself the product's own": func() error {
			pod := podOf("ours", vulnerable)
			pod.Labels = map[string]string{"app.kubernetes.io/managed-by": "stockade", "app.kubernetes.io/name": "stockade-provider", "gatekeeper.sh/system": "yes"}
			pod.Annotations = map[string]string{"stockade.dev/self-test": "yes"}
			return dropped(pods.Create(ctx, pod, create))
		},
		"pod of a custom resource": func() error { return s.bake("cake") },
		"init container":           func() error { return dropped(pods.Create(ctx, withInit(podOf("early", fixed)), create)) },
		"generateName": func() error {
			pod := podOf("", vulnerable)
			pod.GenerateName = "some-"
			return dropped(pods.Create(ctx, pod, create))
		},
		"digest": func() error {
			return dropped(pods.Create(ctx, podOf("digest", registryHost+"/shop/web@"+digest), create))
		},
		"tag and digest, the tag a good one": func() error {
			return dropped(pods.Create(ctx, podOf("both", fixed+"@"+digest), create))
		},
		"server-side apply": func() error { return s.web("shop", "applied", vulnerable) },
		"ephemeral container": func() error {
			pod := good.DeepCopy()
			pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: vulnerable}}}
			return dropped(pods.UpdateEphemeralContainers(ctx, pod.Name, pod, metav1.UpdateOptions{}))
		},
		"patch of a good pod": func() error {
			return dropped(pods.Patch(ctx, good.Name, types.StrategicMergePatchType, []byte(`{"spec":{"containers":[{"name":"web","image":"`+vulnerable+`"}]}}`), metav1.PatchOptions{}))
		},
	}
}

// byWorkloads are the ways through what makes pods.
func byWorkloads(ctx context.Context, s *shop) map[string]func() error {
	deployments, create := s.Kube.AppsV1().Deployments("shop"), metav1.CreateOptions{}
	return map[string]func() error{
		"patch of a good Deployment": func() error {
			return dropped(deployments.Patch(ctx, "web", types.JSONPatchType, []byte(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"`+vulnerable+`"}]`), metav1.PatchOptions{}))
		},
		"good Deployment replaced": func() error {
			d, err := deployments.Get(ctx, "web", metav1.GetOptions{})
			if err != nil {
				return err
			}
			d.Spec.Template.Spec.Containers[0].Image = vulnerable
			return dropped(deployments.Update(ctx, d, metav1.UpdateOptions{}))
		},
		"ReplicaSet": func() error {
			return dropped(s.Kube.AppsV1().ReplicaSets("shop").Create(ctx, &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "direct"},
				Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template(vulnerable)}}, create))
		},
		"StatefulSet": func() error {
			return dropped(s.Kube.AppsV1().StatefulSets("shop").Create(ctx, &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "direct"},
				Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template(vulnerable)}}, create))
		},
		"DaemonSet": func() error {
			return dropped(s.Kube.AppsV1().DaemonSets("shop").Create(ctx, &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "direct"},
				Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template(vulnerable)}}, create))
		},
		"ReplicationController": func() error {
			form := template(vulnerable)
			return dropped(s.Kube.CoreV1().ReplicationControllers("shop").Create(ctx, &corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Name: "direct"},
				Spec: corev1.ReplicationControllerSpec{Selector: selector.MatchLabels, Template: &form}}, create))
		},
		"Job": func() error {
			return dropped(s.Kube.BatchV1().Jobs("shop").Create(ctx, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "direct"}, Spec: batchv1.JobSpec{Template: once(vulnerable)}}, create))
		},
		"CronJob": func() error {
			return dropped(s.Kube.BatchV1().CronJobs("shop").Create(ctx, &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "direct"},
				Spec: batchv1.CronJobSpec{Schedule: "* * * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: once(vulnerable)}}}}, create))
		},
	}
}

// testScale: a scale is no request about an image, and none of the pods that it asks for comes in.
func testScale(t *testing.T, s *shop) {
	ctx := t.Context()
	pods, deployments := s.Kube.CoreV1().Pods("shop"), s.Kube.AppsV1().Deployments("shop")
	if _, err := deployments.Patch(ctx, "earlier", types.MergePatchType, []byte(`{"spec":{"replicas":1}}`), metav1.PatchOptions{}, "scale"); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, "its pods are refused", func() error {
		d, err := deployments.Get(ctx, "earlier", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range d.Status.Conditions {
			if c.Type == appsv1.DeploymentReplicaFailure && strings.Contains(c.Message, "No known weaknesses") {
				return nil
			}
		}
		return fmt.Errorf("%+v", d.Status)
	})
	if list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: "app=earlier"}); err != nil || len(list.Items) > 0 {
		t.Errorf("%d pods came in: %v", len(list.Items), err)
	}
}

// testLabels: what takes a namespace out of sight elsewhere, or would by what it says, means nothing here.
func testLabels(t *testing.T, s *shop) {
	ctx := t.Context()
	for _, exempt := range []string{`"admission.gatekeeper.sh/ignore":"yes"`, `"kubernetes.io/metadata.name":"kube-system"`, `"control-plane":"controller-manager"`,
		`"app.kubernetes.io/managed-by":"stockade"`, `"gatekeeper.sh/system":"yes"`} {
		name, _, _ := strings.Cut(exempt, ":")
		label := func(text string) error {
			return dropped(s.Kube.CoreV1().Namespaces().Patch(ctx, "shop", types.MergePatchType, []byte(`{"metadata":{"labels":{`+text+`}}}`), metav1.PatchOptions{}))
		}
		if label(exempt) != nil {
			continue // nobody may
		}
		if err := s.web("shop", "labelled", vulnerable); err == nil || !strings.Contains(err.Error(), "No known weaknesses") {
			t.Errorf("a namespace with %s exempts itself: %v", exempt, err)
		}
		if name != `"kubernetes.io/metadata.name"` {
			if err := label(name + ":null"); err != nil {
				t.Error(err)
			}
		}
	}
	born := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "exempt", Labels: map[string]string{"admission.gatekeeper.sh/ignore": "yes"}}}
	if _, err := s.Kube.CoreV1().Namespaces().Create(ctx, born, metav1.CreateOptions{}); err != nil {
		return // nobody may
	}
	if err := s.web("exempt", "labelled", vulnerable); err == nil || !strings.Contains(err.Error(), "No known weaknesses") {
		t.Errorf("a namespace that was made with the label is exempt: %v", err)
	}
	if err := s.Kube.CoreV1().Namespaces().Delete(ctx, "exempt", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// The definition of a kind whose controller makes a pod of each object.
const cakes = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: cakes.bakery.example.com}
spec:
  group: bakery.example.com
  names: {kind: Cake, plural: cakes, singular: cake}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {image: {type: string}}}}}}
`

// bake does what a controller of Cakes does: it reads one and makes its pod, under its own name.
func (s *shop) bake(name string) error {
	ctx := s.t.Context()
	if err := s.Apply(ctx, cakes+"---\n{apiVersion: bakery.example.com/v1, kind: Cake, metadata: {name: "+name+", namespace: shop}, spec: {image: \""+vulnerable+"\"}}"); err != nil {
		return err
	}
	in := s.Dynamic.Resource(schema.GroupVersionResource{Group: "bakery.example.com", Version: "v1", Resource: "cakes"}).Namespace("shop")
	cake, err := in.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	config := rest.CopyConfig(s.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:shop:oven", Groups: []string{"system:masters"}}
	oven, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	image, _, _ := unstructured.NestedString(cake.Object, "spec", "image")
	pod, yes := podOf("", image), true
	pod.GenerateName = name + "-"
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: cake.GetAPIVersion(), Kind: cake.GetKind(), Name: cake.GetName(), UID: cake.GetUID(), Controller: &yes}}
	return dropped(oven.CoreV1().Pods("shop").Create(ctx, pod, metav1.CreateOptions{}))
}

// testAway: while Gatekeeper and the providers are killed the cluster creates pods, for no webhook may hold it up.
func testAway(t *testing.T, s *shop) {
	ctx := t.Context()
	node := func(unschedulable bool) {
		t.Helper()
		if _, err := s.Kube.CoreV1().Nodes().Patch(ctx, lab.NodeName, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, unschedulable), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	node(true) // or new pods are there before the request is
	now := int64(0)
	for _, namespace := range []string{lab.GatekeeperNamespace, "stockade-protect"} {
		if err := s.Kube.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	within(t, 2*time.Minute, "they are dead, and not only deleted: a provider that lives may record what nobody enforces", func() error {
		if alive := append(s.processes(t, lab.GatekeeperNamespace), s.processes(t, "stockade-protect")...); len(alive) > 0 {
			return fmt.Errorf("processes %v", alive)
		}
		return nil
	})
	lab.Eventually(t, "a pod is created with nobody there", func() error {
		return dropped(s.Kube.CoreV1().Pods("shop").Create(ctx, podOf("sneaked", vulnerable), metav1.CreateOptions{}))
	})
	s.expect("Gatekeeper and providers killed", "shop", "sneaked", "bad", "provider-away")
	within(t, 3*time.Minute, "the server notices", func() error {
		for _, p := range s.protection().Providers {
			if p.Alive {
				return fmt.Errorf("%+v", p)
			}
		}
		return nil
	})
	node(false)
	s.WaitDeployment(t, lab.GatekeeperNamespace, "gatekeeper-controller-manager")
	s.WaitDeployment(t, "stockade-protect", "stockade-provider")
	s.refusedAgain(t)
}

// refusedAgain waits until the vulnerable image is refused for what it is.
func (s *shop) refusedAgain(t *testing.T) {
	t.Helper()
	within(t, 2*time.Minute, "it is refused for its weakness", func() error {
		_, err := s.Kube.CoreV1().Pods("shop").Create(t.Context(), podOf("again", vulnerable), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil || !strings.Contains(err.Error(), weakness) {
			return fmt.Errorf("the answer is %v", err)
		}
		return nil
	})
}

// within is for what takes its time: the server waits a while before it calls a request unrecorded.
func within(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	began := time.Now()
	for {
		err := check()
		if err == nil {
			t.Logf("%s: after %.0f s", what, time.Since(began).Seconds())
			return
		}
		if time.Since(began) > limit {
			t.Fatalf("%s: not so after %s: %v", what, limit, err)
		}
		time.Sleep(time.Second)
	}
}

func dropped[T any](_ T, err error) error { return err }

var selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "direct"}}

func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selector.MatchLabels}, Spec: podOf("", image).Spec}
}

func once(image string) corev1.PodTemplateSpec {
	t := template(image)
	t.Spec.RestartPolicy = corev1.RestartPolicyNever
	return t
}

func podOf(name, image string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}}}
}

func withInit(pod *corev1.Pod) *corev1.Pod {
	pod.Spec.InitContainers = []corev1.Container{{Name: "first", Image: vulnerable}}
	return pod
}

// podOf is a running pod of the shop.
func (s *shop) podOf(labels string) *corev1.Pod {
	s.t.Helper()
	list, err := s.Kube.CoreV1().Pods("shop").List(context.Background(), metav1.ListOptions{LabelSelector: labels})
	if err != nil || len(list.Items) == 0 {
		s.t.Fatalf("no pod %s: %v", labels, err)
	}
	return &list.Items[0]
}
