package protect

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"stockade.dev/stockade/e2e/lab"
)

// testBypasses: every other way to bring the vulnerable image in is refused like the straight one. The Deployment web runs the
// fixed image.
func testBypasses(t *testing.T, s *shop) {
	ctx := t.Context()
	pods, deployments := s.Kube.CoreV1().Pods("shop"), s.Kube.AppsV1().Deployments("shop")
	good := s.podOf("app=web")
	digest := s.digest
	create := metav1.CreateOptions{}
	for name, attempt := range map[string]func() error{
		"ownerless pod":  func() error { return dropped(pods.Create(ctx, podOf("loner", vulnerable), create)) },
		"init container": func() error { return dropped(pods.Create(ctx, withInit(podOf("early", fixed)), create)) },
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
		"patch of a good Deployment": func() error {
			return dropped(deployments.Patch(ctx, "web", types.JSONPatchType, []byte(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"`+vulnerable+`"}]`), metav1.PatchOptions{}))
		},
		"patch of a good pod": func() error {
			return dropped(pods.Patch(ctx, good.Name, types.StrategicMergePatchType, []byte(`{"spec":{"containers":[{"name":"web","image":"`+vulnerable+`"}]}}`), metav1.PatchOptions{}))
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
	} {
		t.Run(name, func(t *testing.T) {
			// A digest that was never asked for is looked up first, and refused meanwhile in other words.
			lab.Eventually(t, "the attempt is refused for the weakness", func() error {
				err := attempt()
				if err == nil {
					t.Fatal("it was let in")
				}
				if !strings.Contains(err.Error(), "No known weaknesses") {
					t.Fatalf("refused by somebody else: %v", err)
				}
				if !strings.Contains(err.Error(), "image/vulnerability") {
					return err
				}
				return nil
			})
		})
	}
	t.Run("label that exempts a namespace", func(t *testing.T) {
		label := func(value string) error {
			return dropped(s.Kube.CoreV1().Namespaces().Patch(ctx, "shop", types.MergePatchType, []byte(`{"metadata":{"labels":{"admission.gatekeeper.sh/ignore":`+value+`}}}`), metav1.PatchOptions{}))
		}
		if err := label(`"yes"`); err != nil {
			return // nobody may
		}
		defer func() { _ = label("null") }()
		if err := s.web("shop", "labelled", vulnerable); err == nil {
			t.Error("a namespace exempts itself")
		}
	})
}

// testAway: while Gatekeeper and the providers are killed the cluster creates pods, for the policy lets in what is not answered;
// what came in is on record as unchecked after their return, and judged.
func testAway(t *testing.T, s *shop, policy map[string]any) {
	ctx := t.Context()
	policy["unanswered"] = "audit"
	s.call("PUT", "/policies/"+s.policy, policy, nil)
	lab.Eventually(t, "the changed policy is in force", func() error {
		if p := s.protection(); p.Generation != p.WantedGeneration || p.State != "protected" {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
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
	lab.Eventually(t, "a pod is created with nobody there", func() error {
		return dropped(s.Kube.CoreV1().Pods("shop").Create(ctx, podOf("sneaked", vulnerable), metav1.CreateOptions{}))
	})
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
	lab.Eventually(t, "it is refused again", func() error {
		if err := s.web("shop", "again", vulnerable); err == nil || !strings.Contains(err.Error(), weakness) {
			return fmt.Errorf("the answer is %v", err)
		}
		return nil
	})
	within(t, 6*time.Minute, "what came in meanwhile is known and judged", func() error {
		var list struct {
			Items []struct{ Name, Reason, State string }
		}
		s.call("GET", "/unchecked-admissions?namespace=shop", nil, &list)
		for _, e := range list.Items {
			if e.Name == "sneaked" && e.State == "bad" {
				t.Logf("%+v", e)
				return nil
			}
		}
		return fmt.Errorf("the list is %+v", list.Items)
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
