package admission

import (
	"context"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
)

// nothing is a cluster without objects.
type nothing struct{}

func (nothing) Stream(context.Context, func(*inventory.Object) error, func(finding.NotScanned)) error {
	return nil
}

// TestSweepIsForgotten: what a sweep came to know of all images of a cluster is not held until the next one, hours later.
func TestSweepIsForgotten(t *testing.T) {
	e := &Engine{Library: &rule.Library{}, Now: time.Now, Bundle: func(_ context.Context, target int64) (*policy.Bundle, error) {
		return &policy.Bundle{Target: target, Generation: "1"}, nil
	}, Open: func(context.Context, int64) (Source, error) { return nothing{}, nil }}
	if complete, err := e.Sweep(t.Context(), 1, nil); !complete || err != nil {
		t.Fatal(complete, err)
	}
	if len(e.known) > 0 {
		t.Error("it is still held")
	}
}
