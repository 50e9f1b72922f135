package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"stockade.dev/stockade/e2e/lab"
)

// livePods is the size of the cluster that is measured live.
const livePods = 10000

// live fills a real API server with a generated cluster and measures a scan against a plain list of the same objects.
func (b *bench) live() error {
	b.progress("filling a real API server with %d pods", livePods)
	cp, err := lab.Start(b.ctx, lab.Config{Version: lab.Newest})
	if err != nil {
		return err
	}
	defer cp.Close()
	config, err := clientcmd.BuildConfigFromFlags("", cp.Kubeconfig())
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 10000, 10000
	n, err := fill(b.ctx, config)
	if err != nil {
		return err
	}
	var lists []time.Duration
	for range 3 {
		began := time.Now()
		if err := listAll(b.ctx, config); err != nil {
			return err
		}
		lists = append(lists, time.Since(began))
	}
	best := min(lists[0], lists[1], lists[2])
	env := []string{"KUBECONFIG=" + cp.Kubeconfig()}
	scan, err := b.measure(3, env, b.stockade, "scan", "cluster", "-o", "json", "-q", "--qps", "1000")
	if err != nil {
		return err
	}
	b.say("## Live: real kube-apiserver %s, %d objects\n", cp.Version(), n)
	b.say("| process | CPU s | wall s | peak MiB |\n|---|---|---|---|")
	b.say("| plain client-go list of the same kinds (protobuf, from the watch cache, typed) | | %.2f | |", best.Seconds())
	b.say("| stockade scan cluster, all rules, -o json | %s |\n", scan)
	b.say("Wall ratio scan / list: **%.2f** (goal: under 3).\n", scan.Wall.Seconds()/best.Seconds())
	return nil
}

// fill creates the generated objects, eight at a time; it returns how many.
func fill(ctx context.Context, config *rest.Config) (int, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return 0, err
	}
	type item struct {
		resource string
		o        object
	}
	work := make(chan item)
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	for range 8 {
		wg.Go(func() {
			for it := range work {
				if err := create(ctx, client, it.resource, it.o); err != nil && failed.Load() == nil {
					failed.Store(&err)
				}
			}
		})
	}
	n, last := 0, ""
	err = generated(sizeOf(livePods), func(resource string, o object) error {
		if p := failed.Load(); p != nil {
			return *p
		}
		if resource != last { // namespaces must be there before what is in them
			time.Sleep(200 * time.Millisecond)
			last = resource
		}
		n++
		work <- item{resource, o}
		return nil
	})
	close(work)
	wg.Wait()
	if p := failed.Load(); p != nil {
		err = *p
	}
	return n, err
}

func create(ctx context.Context, client dynamic.Interface, resource string, o object) error {
	data, err := json.Marshal(o) // generated objects hold ints; the API machinery wants int64
	if err != nil {
		return err
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(data); err != nil {
		return err
	}
	unstructured.RemoveNestedField(u.Object, "metadata", "uid")
	unstructured.RemoveNestedField(u.Object, "metadata", "resourceVersion")
	delete(u.Object, "status")
	parts := strings.SplitN(resource, "_", 3)
	gvr := schema.GroupVersionResource{Group: parts[0], Version: parts[1], Resource: parts[2]}
	var res dynamic.ResourceInterface = client.Resource(gvr)
	if ns := u.GetNamespace(); ns != "" {
		res = client.Resource(gvr).Namespace(ns)
	}
	if _, err := res.Create(ctx, u, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("%s %s: %w", resource, u.GetName(), err)
	}
	return nil
}

// listAll is what any client has to pay for the objects: every list once, typed, from the watch cache.
func listAll(ctx context.Context, config *rest.Config) error {
	fast := rest.CopyConfig(config)
	fast.ContentType = "application/vnd.kubernetes.protobuf"
	c, err := kubernetes.NewForConfig(fast)
	if err != nil {
		return err
	}
	o := metav1.ListOptions{ResourceVersion: "0"}
	n := 0
	count := func(items int, e error) {
		n += items
		if err == nil {
			err = e
		}
	}
	pods, e := c.CoreV1().Pods("").List(ctx, o)
	count(len(pods.Items), e)
	deployments, e := c.AppsV1().Deployments("").List(ctx, o)
	count(len(deployments.Items), e)
	sets, e := c.AppsV1().ReplicaSets("").List(ctx, o)
	count(len(sets.Items), e)
	services, e := c.CoreV1().Services("").List(ctx, o)
	count(len(services.Items), e)
	accounts, e := c.CoreV1().ServiceAccounts("").List(ctx, o)
	count(len(accounts.Items), e)
	maps, e := c.CoreV1().ConfigMaps("").List(ctx, o)
	count(len(maps.Items), e)
	namespaces, e := c.CoreV1().Namespaces().List(ctx, o)
	count(len(namespaces.Items), e)
	roles, e := c.RbacV1().Roles("").List(ctx, o)
	count(len(roles.Items), e)
	clusterRoles, e := c.RbacV1().ClusterRoles().List(ctx, o)
	count(len(clusterRoles.Items), e)
	bindings, e := c.RbacV1().RoleBindings("").List(ctx, o)
	count(len(bindings.Items), e)
	clusterBindings, e := c.RbacV1().ClusterRoleBindings().List(ctx, o)
	count(len(clusterBindings.Items), e)
	policies, e := c.NetworkingV1().NetworkPolicies("").List(ctx, o)
	count(len(policies.Items), e)
	fmt.Fprintf(os.Stderr, "bench: plain list of %d objects\n", n)
	return err
}
