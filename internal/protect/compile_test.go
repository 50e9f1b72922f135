package protect

import (
	"testing"

	"stockade.dev/stockade/internal/constraint"
	"stockade.dev/stockade/internal/finding"
)

// TestPlaces tells what exceptions of one finding hold for: the object and container that it names, or one element of a list.
func TestPlaces(t *testing.T) {
	id := finding.Identity{RuleID: "STK-W-0001", Cluster: "shop", Kind: "Deployment", Group: "apps", Namespace: "web", Name: "till", Container: "app"}
	f := &finding.Finding{Rule: "workload/privileged-container", RuleID: "STK-W-0001",
		Resource: finding.Resource{Cluster: "shop", APIVersion: "apps/v1", Kind: "Deployment", Namespace: "web", Name: "till", Container: "app"}}
	item := id
	item.Item = "NET_ADMIN"
	place := places(func(fingerprint string) *finding.Finding {
		if fingerprint == id.Fingerprint() || fingerprint == item.Fingerprint() {
			return f
		}
		return nil
	})
	want := constraint.Place{Rule: "workload/privileged-container", Namespace: "web", Kind: "Deployment", Name: "till", Container: "app"}
	if got, ok := place(id.Fingerprint()); !ok || got != want {
		t.Errorf("%+v %v", got, ok)
	}
	if got, ok := place(item.Fingerprint()); !ok || got.Item == "" {
		t.Errorf("of one element: %+v %v", got, ok)
	}
	if got, ok := place("0123"); ok {
		t.Errorf("of no finding: %+v", got)
	}
	if places(nil) != nil {
		t.Error("nobody can read findings, and somebody answers")
	}
}
