package parity

import (
	"strings"
	"testing"

	"stockade.dev/stockade/internal/constraint"
	"stockade.dev/stockade/internal/policy"
)

// TestSilence: a refusal for want of an answer says why there is none, and not only whom Gatekeeper asked in vain.
func TestSilence(t *testing.T) {
	g := newGate(t, library(t), bundleOf(imagePolicy(policy.Policy{Unanswered: policy.Block})), constraint.Options{}, nil)
	said := g.review(t, &ask{operation: "CREATE", object: pod("shop", "web", container("b", "registry.example.com/unknown:1"))})
	if len(said) != 1 || !strings.Contains(said[0], "refused") || strings.Contains(said[0], "failed to send") || strings.Contains(said[0], "Post ") {
		t.Errorf("%q", said)
	}
}
