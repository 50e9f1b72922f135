package watch

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/inventory"
)

// known is what is remembered of the objects of a kind. It is the store of a reflector: it is told of every object at the start
// and after every break, and of each change between.
type known struct {
	watcher    *Watcher
	kind       *collect.Kind
	apiVersion string
	objects    map[string]entry // by "namespace/name"
	listed     bool
}

// entry is an object: what tells a change, and its controller.
type entry struct {
	mark      uint64
	owner     string // "Kind.group" of the controller; "" for none
	ownerName string
}

var seed = maphash.MakeSeed()

// noise are annotations that controllers rewrite all the time and that no rule reads.
var noise = []string{"control-plane.alpha.kubernetes.io/leader", "kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision",
	"endpoints.kubernetes.io/last-change-trigger-time", "autoscaling.alpha.kubernetes.io/conditions", "autoscaling.alpha.kubernetes.io/current-metrics"}

// mark is a number that differs when something differs that rules may read. Kinds whose generation counts changes of the spec, and
// nodes, whose status is written every few minutes, go by that and by their labels and annotations; others by every write. Of pods
// the status says which images run, so every write counts there too.
func (k *known) mark(m *metav1.PartialObjectMetadata) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	fmt.Fprint(&h, m.UID, m.DeletionTimestamp != nil)
	if kind := k.kind.GroupKind(); kind != "Node" && (m.Generation == 0 || kind == "Pod") {
		fmt.Fprint(&h, m.ResourceVersion)
		return h.Sum64()
	}
	fmt.Fprint(&h, m.Generation)
	for _, labels := range []map[string]string{m.Labels, m.Annotations} {
		names := make([]string, 0, len(labels))
		for n := range labels {
			if !slices.Contains(noise, n) {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		for _, n := range names {
			fmt.Fprintf(&h, "%q=%q", n, labels[n])
		}
	}
	return h.Sum64()
}

func (k *known) entry(m *metav1.PartialObjectMetadata) entry {
	e := entry{mark: k.mark(m)}
	if c := metav1.GetControllerOf(m); c != nil {
		ref := inventory.Ref{APIVersion: c.APIVersion, Kind: c.Kind}
		e.owner, e.ownerName = ref.GroupKind(), c.Name
	}
	return e
}

func key(m *metav1.PartialObjectMetadata) string { return m.Namespace + "/" + m.Name }

// Add implements cache.ReflectorStore.
func (k *known) Add(obj any) error { return k.put(obj) }

// Update implements cache.ReflectorStore.
func (k *known) Update(obj any) error { return k.put(obj) }

func (k *known) put(obj any) error {
	m, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return fmt.Errorf("the watch brought a %T", obj)
	}
	k.watcher.mu.Lock()
	defer k.watcher.mu.Unlock()
	old, had := k.objects[key(m)]
	e := k.entry(m)
	k.objects[key(m)] = e
	if !had || old.mark != e.mark {
		k.changed(m.Namespace, m.Name, e)
	}
	return nil
}

// Delete implements cache.ReflectorStore.
func (k *known) Delete(obj any) error {
	m, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return fmt.Errorf("the watch brought a %T", obj)
	}
	k.watcher.mu.Lock()
	defer k.watcher.mu.Unlock()
	e, had := k.objects[key(m)]
	if had {
		k.changed(m.Namespace, m.Name, e)
		delete(k.objects, key(m))
	}
	return nil
}

// Replace implements cache.ReflectorStore: the first list is where the watch begins, a later one, after a break, tells by what
// differs what changed meanwhile.
func (k *known) Replace(list []any, _ string) error {
	k.watcher.mu.Lock()
	defer k.watcher.mu.Unlock()
	now := make(map[string]entry, len(list))
	for _, obj := range list {
		m, ok := obj.(*metav1.PartialObjectMetadata)
		if !ok {
			return fmt.Errorf("the list brought a %T", obj)
		}
		e := k.entry(m)
		now[key(m)] = e
		if old, had := k.objects[key(m)]; k.listed && (!had || old.mark != e.mark) {
			defer k.changed(m.Namespace, m.Name, e) // when objects are the new ones: owners are looked up in them
		}
	}
	for name, e := range k.objects {
		if _, has := now[name]; !has {
			namespace, n := split(name)
			k.changed(namespace, n, e)
		}
	}
	k.objects, k.listed = now, true
	for _, other := range k.watcher.kinds {
		if !other.listed {
			return nil
		}
	}
	if k.watcher.state.Since.IsZero() {
		k.watcher.state.Since = time.Now()
	}
	return nil
}

// Resync implements cache.ReflectorStore; there is nothing to do.
func (k *known) Resync() error { return nil }

func split(key string) (namespace, name string) {
	namespace, name, _ = strings.Cut(key, "/")
	return namespace, name
}

// crossKinds are read by what judges the whole cluster; other kinds only matter for themselves. Workloads are not among them: that
// a label of theirs is selected by a policy is judged at the next full scan.
var crossKinds = []string{"ClusterRole.rbac.authorization.k8s.io", "Role.rbac.authorization.k8s.io", "ClusterRoleBinding.rbac.authorization.k8s.io",
	"RoleBinding.rbac.authorization.k8s.io", "ServiceAccount", "NetworkPolicy.networking.k8s.io", "Service", "Ingress.networking.k8s.io", "Namespace"}

// changed notes that an object has to be judged: itself, or the workload that it belongs to. The lock is held.
func (k *known) changed(namespace, name string, e entry) {
	w := k.watcher
	kind := k.kind.GroupKind()
	if slices.Contains(crossKinds, kind) {
		w.whole = true
	}
	ref := inventory.Ref{APIVersion: k.apiVersion, Kind: k.kind.Kind, Namespace: namespace, Name: name}
	owned := false
	for range 5 {
		if e.owner == "" || !inventory.CarriesPod(kind) {
			break
		}
		up := w.kinds[e.owner]
		if up == nil {
			break
		}
		parent, has := up.objects[namespace+"/"+e.ownerName]
		if !has {
			break
		}
		ref = inventory.Ref{APIVersion: up.apiVersion, Kind: up.kind.Kind, Namespace: namespace, Name: e.ownerName}
		e, kind, owned = parent, up.kind.GroupKind(), true
	}
	at := time.Now().Add(w.o.Quiet)
	if last, recent := w.judged[ref]; owned && recent {
		if later := last.Add(w.o.PodQuiet); later.After(at) {
			at = later
		}
	}
	if old, waits := w.dirty[ref]; !waits || !owned && at.Before(old) {
		w.dirty[ref] = at
	}
}
