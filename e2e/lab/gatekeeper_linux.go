package lab

import (
	"testing"
	"time"
)

// Gatekeeper installs Gatekeeper [GatekeeperVersion] in pods and returns when its
// webhook answers.
func (n *Node) Gatekeeper(tb testing.TB, options GatekeeperOptions) {
	tb.Helper()
	ctx, stop := testContext(tb)
	defer stop()
	parts, err := partsOfGatekeeper(ctx) // only then: building is another matter
	began := time.Now()
	if err == nil {
		n.LoadGatekeeperImage(tb)
	}
	if err == nil {
		err = n.installGatekeeper(ctx, parts.manifest, options)
	}
	if err != nil {
		tb.Fatalf("install Gatekeeper: %v", err)
	}
	tb.Logf("Gatekeeper %s answers after %.1f s", GatekeeperVersion, time.Since(began).Seconds())
}
