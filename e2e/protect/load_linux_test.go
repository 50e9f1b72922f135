package protect

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"stockade.dev/stockade/e2e/lab"
)

// load creates pods with the vulnerable image until it is told to end.
type load struct {
	mu      sync.Mutex
	in      []string // those that were let in
	refused int
	dry     int // dry runs that were let in
	odd     []string
	made    int
}

// Bounds of the load: what is let in is real.
const (
	loaders  = 4
	mostMade = 150
)

// run is one of those who create. No scheduler knows its pods: they are there and run nowhere.
func (l *load) run(s *shop, end <-chan struct{}) {
	for {
		select {
		case <-end:
			return
		case <-time.After(250 * time.Millisecond):
		}
		l.mu.Lock()
		l.made++
		n := l.made
		l.mu.Unlock()
		pod := podOf(fmt.Sprint("load-", n), vulnerable)
		pod.Spec.SchedulerName = "nobody"
		dry := n%2 == 0 || n > 2*mostMade
		err := s.create("shop", pod, dry)
		l.mu.Lock()
		switch {
		case err == nil && dry:
			l.dry++
		case err == nil:
			l.in = append(l.in, pod.Name)
		case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "No known weaknesses"):
			l.refused++
		default:
			l.odd = append(l.odd, err.Error())
		}
		l.mu.Unlock()
	}
}

// testLoad: all of Gatekeeper's pods are restarted while pods are created. Every request ends, refused or let in. What was let in has to
// be on record in the end, though the recorder was there all the time and said that it is to be blocked.
func testLoad(t *testing.T, s *shop) {
	l, end := &load{}, make(chan struct{})
	var all sync.WaitGroup
	for range loaders {
		all.Go(func() { l.run(s, end) })
	}
	time.Sleep(2 * time.Second)
	replicas, err := restart(t, s)
	if err == nil {
		time.Sleep(3 * time.Second)
		s.WaitDeployment(t, lab.GatekeeperNamespace, "gatekeeper-controller-manager")
		s.refusedAgain(t)
	}
	close(end)
	all.Wait()
	if err != nil || replicas < 2 {
		t.Fatalf("%d replicas: %v", replicas, err)
	}
	t.Logf("%d replicas, %d requests: %d refused, %d let in, %d dry runs let in", replicas, l.made, l.refused, len(l.in), l.dry)
	if len(l.odd) > 0 {
		t.Errorf("other answers: %q", l.odd[:min(3, len(l.odd))])
	}
	if l.refused == 0 || len(l.in) == 0 {
		t.Fatal("Gatekeeper was not away, or never there")
	}
	s.loaded = l.in
}

// restart takes away all of Gatekeeper's pods that answer, at once and without leave: told to end they would serve on until others do.
func restart(t *testing.T, s *shop) (replicas int, err error) {
	pods, all, now := s.Kube.CoreV1().Pods(lab.GatekeeperNamespace), metav1.ListOptions{LabelSelector: "gatekeeper.sh/operation=webhook"}, int64(0)
	list, err := pods.List(t.Context(), all)
	if err != nil {
		return 0, err
	}
	return len(list.Items), pods.DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &now}, all)
}

// testLoaded: all that the load brought in is on record.
func testLoaded(t *testing.T, s *shop) {
	enforced := 0
	within(t, 3*time.Minute, "all that was let in is known and judged", func() error {
		list, err := s.unchecked("shop")
		if err != nil {
			return err
		}
		enforced = 0
		missing := slices.Clone(s.loaded)
		for _, e := range list {
			if i := slices.Index(missing, e.Name); i >= 0 && e.State == "bad" {
				missing = slices.Delete(missing, i, i+1)
				if e.Reason == "not-enforced" {
					enforced++
				}
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("%d of %d are not: %v; the list is %+v", len(missing), len(s.loaded), missing, list)
		}
		return nil
	})
	if enforced == 0 {
		t.Error("none is told as one that was to be blocked")
	}
}
