package people

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestPreferences: they are of one user, replaced, forgotten, and bounded.
func TestPreferences(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		e := newHouse(t, db, nil)
		root := from("192.0.2.1", &identity.Principal{UserID: e.setUp().ID, Grants: []identity.Grant{{Role: identity.Administrator}}})
		user := func(name string) context.Context {
			u, err := e.Add(root, name, Fields{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return from("192.0.2.1", &identity.Principal{UserID: u.ID})
		}
		ann, bob := user("ann"), user("bob")
		for _, value := range []string{`["rule","severity"]`, `{"a":1}`} {
			if err := e.Prefer(ann, "columns.findings", json.RawMessage(value)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := e.Preferences(ann)
		if want := map[string]json.RawMessage{"columns.findings": json.RawMessage(`{"a":1}`)}; err != nil || !cmp.Equal(got, want) {
			t.Errorf("ann's: %v, %v, want %v", got, err, want)
		}
		if got, err := e.Preferences(bob); err != nil || len(got) != 0 {
			t.Errorf("bob's: %v, %v, want none", got, err)
		}
		if err := e.Forget(ann, "columns.findings"); err != nil {
			t.Error(err)
		}
		if got, _ := e.Preferences(ann); len(got) != 0 {
			t.Errorf("forgotten, and still there: %v", got)
		}
		for name, value := range map[string]string{"Columns": "1", "a b": "1", "": "1", "broken": "{", "large": `"` + strings.Repeat("x", maxPreference) + `"`} {
			if err := e.Prefer(ann, name, json.RawMessage(value)); !errors.Is(err, ErrPreference) {
				t.Errorf("%q = %.20s: %v, want a refusal", name, value, err)
			}
		}
		for i := range maxPreferences {
			if err := e.Prefer(ann, fmt.Sprint("p", i), json.RawMessage("1")); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Prefer(ann, "one-more", json.RawMessage("1")); !errors.Is(err, ErrPreference) {
			t.Errorf("more than %d: %v, want a refusal", maxPreferences, err)
		}
		if err := e.Prefer(ann, "p0", json.RawMessage("2")); err != nil {
			t.Errorf("replacing one of %d: %v", maxPreferences, err)
		}
	})
}
