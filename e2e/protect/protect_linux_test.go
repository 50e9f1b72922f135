package protect

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// TestProtect is the story of an operator: the cluster is protected, a Deployment with a known vulnerability is refused with
// words that help, the fixed one runs, the event is seen and handled, and when protection ends nothing of it is left.
func TestProtect(t *testing.T) {
	if !possible(t) {
		return
	}
	s := open(t)
	s.MustApply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
	lab.Eventually(t, "the namespace has its account", func() error { return s.hasAccount("shop") })
	before := s.inventory()

	s.must("protect", "enable", "shop", "--yes", "--provider-image", providerImage, "--server-address", "https://"+serverAddress)
	s.becomes("no-policy")

	policy := map[string]any{"name": "No known weaknesses", "action": "block", "unanswered": "block",
		"checks": []any{map[string]any{"check": "vulnerability", "severity": "critical", "cves": []string{weakness}}}}
	var made struct{ ID string }
	s.call("POST", "/policies", policy, &made)
	s.policy = made.ID
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
	t.Run("Gatekeeper and providers killed", func(t *testing.T) { testAway(t, s, policy) })

	s.must("protect", "disable", "shop", "--yes")
	s.becomes("unprotected")
	if err := s.web("shop", "old", vulnerable); err != nil {
		t.Errorf("after the end of the protection: %v", err)
	}
	if err := s.Kube.AppsV1().Deployments("shop").DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	now := int64(0)
	if err := s.Kube.CoreV1().Pods("shop").DeleteCollection(context.Background(), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	s.WaitGone(t, "shop")
	lab.Eventually(t, "nothing is left behind", func() error {
		var left []string
		for name := range s.inventory() {
			if _, was := before[name]; !was {
				left = append(left, name)
			}
		}
		if len(left) > 0 {
			slices.Sort(left)
			return fmt.Errorf("left: %s", strings.Join(left, ", "))
		}
		return nil
	})
	after := s.inventory()
	for name := range before {
		if _, is := after[name]; !is {
			t.Errorf("gone: %s", name)
		}
	}
}
