package protect

import (
	"reflect"
	"testing"
)

// TestStatusHidesNothing: the schema of the API leaves out a field of Summary that has the name of one of Status.
func TestStatusHidesNothing(t *testing.T) {
	whole := reflect.TypeFor[Status]()
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Summary]()) {
		if found, ok := whole.FieldByName(f.Name); !ok || len(found.Index) != 2 {
			t.Errorf("Status hides %s of Summary", f.Name)
		}
	}
}
