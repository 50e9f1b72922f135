package match

import (
	"testing"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/inventory"
)

// TestSays asks the vendor about one vulnerability: affected, fixed in this version, denied, silent.
func TestSays(t *testing.T) {
	db := newMemory(
		advisory.Row{Feed: "debian-dsa", Stream: "debian 12", Package: "runc", IDs: []string{"CVE-2024-21626"}, Advisory: "DSA-5615-1", Scheme: advisory.Deb,
			Ranges: []advisory.Range{{Fixed: "1.1.5+ds1-1+deb12u1"}}},
		advisory.Row{Feed: "debian-tracker", Stream: "debian 12", Package: "runc", IDs: []string{"CVE-2030-1"}, State: advisory.NotAffected, Scheme: advisory.Deb})
	m := NewMatcher(db, Options{})
	sw := &inventory.Software{OS: &inventory.OS{ID: "debian", Streams: []string{"debian 12"}}}
	for _, tt := range []struct{ version, id, state, fixed string }{
		{"1.1.5+ds1-1", "CVE-2024-21626", "affected", "1.1.5+ds1-1+deb12u1"},
		{"1.1.5+ds1-1+deb12u1", "CVE-2024-21626", "fixed", "1.1.5+ds1-1+deb12u1"},
		{"1.1.5+ds1-1", "CVE-2030-1", "not-affected", ""},
		{"1.1.5+ds1-1", "CVE-2030-2", "", ""},
	} {
		got := m.Says(sw, &inventory.Package{Type: inventory.Deb, Name: "runc", Version: tt.version}, tt.id)
		if got.State != tt.state || got.Fixed != tt.fixed {
			t.Errorf("%+v: %+v", tt, got)
		}
	}
	if got := m.Says(sw, &inventory.Package{Type: inventory.Golang, Name: "runc", Version: "1"}, "CVE-2024-21626"); got.State != "" {
		t.Errorf("a library: %+v", got)
	}
}
