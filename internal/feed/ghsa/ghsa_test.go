package ghsa

import (
	"testing"

	"stockade.dev/stockade/internal/advisory"
)

func TestBound(t *testing.T) {
	for _, test := range []struct {
		given advisory.Range
		last  string
		want  advisory.Range
	}{
		{advisory.Range{}, "<= 1.2.17", advisory.Range{LastAffected: "1.2.17"}},
		{advisory.Range{Introduced: "1"}, "< 2.0", advisory.Range{Introduced: "1", Fixed: "2.0"}},
		{advisory.Range{Fixed: "2"}, "<= 1.9", advisory.Range{Fixed: "2"}},
		{advisory.Range{LastAffected: "2"}, "<= 1.9", advisory.Range{LastAffected: "2"}},
		{advisory.Range{}, "", advisory.Range{}},
		{advisory.Range{}, "= 1.0", advisory.Range{}},
	} {
		if got := Bound(test.given, test.last); got != test.want {
			t.Errorf("%+v %q: %+v", test.given, test.last, got)
		}
	}
}
