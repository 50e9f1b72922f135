package protect

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"stockade.dev/stockade/e2e/lab"
)

// protection is the part of a cluster's protection that the stories look at.
type protection struct {
	State, Reason, Generation, WantedGeneration string
	Steps                                       []struct{ Name, State, Reason string }
	Providers                                   []struct {
		Pod   string
		Alive bool
	}
}

func (s *shop) protection() protection {
	s.t.Helper()
	var p protection
	s.call("GET", "/protection/"+s.target, nil, &p)
	return p
}

// becomes waits for a state of the protection, up to three minutes: images are unpacked and pods started.
func (s *shop) becomes(states ...string) protection {
	s.t.Helper()
	began := time.Now()
	for {
		p := s.protection()
		if slices.Contains(states, p.State) {
			s.t.Logf("%s after %.1f s", p.State, time.Since(began).Seconds())
			return p
		}
		if time.Since(began) > 3*time.Minute {
			s.t.Fatalf("the protection is %+v, want %v\n%s\n%s", p, states, s.Explain("stockade-protect"), s.Explain("gatekeeper-system"))
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// inventory is every object but those that the shop makes itself.
func (s *shop) inventory() map[string]string {
	s.t.Helper()
	all, err := s.Inventory(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// tidy takes away what the faults and bypasses left.
func (s *shop) tidy() {
	s.t.Helper()
	ctx, now := context.Background(), int64(0)
	err := s.Dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}).Delete(ctx, "cakes.bakery.example.com", metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
	for _, namespace := range []string{"shop", lenient} {
		if err := s.Kube.AppsV1().Deployments(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			s.t.Fatal(err)
		}
		if err := s.Kube.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestProtect is the story of an operator: the cluster is protected, a Deployment with a known vulnerability is refused with
// words that help, the fixed one runs, the event is seen and handled, and when protection ends nothing of it is left.
func TestProtect(t *testing.T) {
	if !possible(t) {
		return
	}
	s := open(t)
	for _, namespace := range []string{"shop", lenient} {
		s.MustApply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+namespace+"}}")
		lab.Eventually(t, "the namespace has its account", func() error { return s.hasAccount(namespace) })
	}
	before := s.inventory()
	if err := s.webs("shop", "earlier", vulnerable, 0); err != nil {
		t.Fatal(err)
	}

	// A machine that is busy with all of this answers later than a cluster's, and is not to be passed over for it.
	s.call("PUT", "/protection/"+s.target+"/settings", map[string]any{"timeoutSeconds": 8}, nil)
	s.must("protect", "enable", "shop", "--yes", "--provider-image", providerImage, "--server-address", "https://"+serverAddress)
	s.becomes("no-policy")

	policy := map[string]any{"name": "No known weaknesses", "action": "block", "unanswered": "block", "scope": map[string]any{"excludedNamespaces": []string{lenient}},
		"checks": []any{map[string]any{"check": "vulnerability", "severity": "critical", "cves": []string{weakness}}}}
	var made struct{ ID string }
	s.call("POST", "/policies", policy, &made)
	s.policy = made.ID
	policy["name"], policy["unanswered"], policy["scope"] = "Let in what is not known", "audit", map[string]any{"namespaces": []string{lenient}}
	var second struct{ ID string }
	s.call("POST", "/policies", policy, &second)
	s.becomes("protected")

	lab.Eventually(t, "the vulnerable image is refused", func() error {
		err := s.web("shop", "web", vulnerable)
		if err == nil {
			return fmt.Errorf("it was let in")
		}
		if !strings.Contains(err.Error(), weakness) || !strings.Contains(err.Error(), "No known weaknesses") {
			return err
		}
		t.Log(err)
		return nil
	})
	lab.Eventually(t, "the fixed image is let in", func() error { return s.web("shop", "web", fixed) })
	s.WaitDeployment(t, "shop", "web")

	var events struct {
		Items []struct{ ID, State, Message string }
	}
	lab.Eventually(t, "the refusal is an event", func() error {
		s.call("GET", "/admission-events?kind=blocked&state=unhandled", nil, &events)
		if len(events.Items) == 0 {
			return fmt.Errorf("there is none")
		}
		return nil
	})
	s.call("POST", "/admission-events/handle", map[string]any{"ids": []string{events.Items[0].ID}, "action": "handled", "note": "1.1 has the fix"}, nil)
	s.call("GET", "/admission-events?kind=blocked&state=handled", nil, &events)
	if len(events.Items) == 0 {
		t.Error("the event is not handled")
	}

	t.Run("bypass", func(t *testing.T) { testBypasses(t, s) })
	t.Run("static pod", func(t *testing.T) { testStaticPod(t, s) })
	t.Run("slow provider", func(t *testing.T) { testSlow(t, s) })
	t.Run("server away", func(t *testing.T) { testServerAway(t, s) })
	t.Run("Gatekeeper restarted under load", func(t *testing.T) { testLoad(t, s) })
	t.Run("Gatekeeper and providers killed", func(t *testing.T) { testAway(t, s) })
	t.Run("unchecked admissions", func(t *testing.T) { testUnchecked(t, s) })
	s.call("DELETE", "/policies/"+second.ID, nil, nil)

	s.must("protect", "disable", "shop", "--yes")
	s.becomes("unprotected")
	if err := s.web("shop", "old", vulnerable); err != nil {
		t.Errorf("after the end of the protection: %v", err)
	}
	s.tidy()
	s.WaitGone(t, "shop")
	s.WaitGone(t, lenient)
	s.untouched(before)

	t.Run("console", func(t *testing.T) { testConsole(t, s, before) })
}
