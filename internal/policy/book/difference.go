package book

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
)

// Change is one difference between two versions of a policy.
type Change struct {
	Path   string `json:"path" doc:"as the policy's JSON names it: rules[workload/host-pid].action"`
	Before any    `json:"before,omitempty" doc:"absent: it was not there"`
	After  any    `json:"after,omitempty" doc:"absent: it is not there any more"`
}

// maxChanges bounds a list of differences.
const maxChanges = 500

// Compare lists what differs between two policies. Rules, templates and keys are compared by name and lists of words as sets, so that
// an entry that moved is no change.
func Compare(before, after policy.Policy) []Change {
	before.ID, before.Version, after.ID, after.Version = 0, 0, 0, 0
	out := []Change{}
	differ(&out, "", plain(before), plain(after))
	if len(out) > maxChanges {
		out = append(out[:maxChanges], Change{Path: "...", After: fmt.Sprintf("and %d more", len(out)-maxChanges)})
	}
	return out
}

func plain(p policy.Policy) any {
	var v any
	data, err := json.Marshal(p)
	if err != nil || json.Unmarshal(data, &v) != nil {
		return nil
	}
	return v
}

func differ(out *[]Change, path string, before, after any) {
	if reflect.DeepEqual(before, after) {
		return
	}
	if a, b, ok := maps2(before, after, path == "scope" || path == "rollout"); ok {
		keys := map[string]any{}
		maps.Copy(keys, a)
		maps.Copy(keys, b)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			differ(out, inventory.JoinKey(path, k), a[k], b[k])
		}
		return
	}
	a, isA := before.([]any)
	b, isB := after.([]any)
	if (isA || before == nil) && (isB || after == nil) && (isA || isB) {
		differList(out, path, a, b)
		return
	}
	*out = append(*out, Change{Path: path, Before: before, After: after})
}

// maps2 gives two values as maps when both are. With open one of them may be missing: then every field of the other is a difference.
func maps2(before, after any, open bool) (a, b map[string]any, ok bool) {
	a, isA := before.(map[string]any)
	b, isB := after.(map[string]any)
	return a, b, isA && isB || open && (isA && after == nil || isB && before == nil)
}

// differList compares by name what has one. Of several entries of one name the first is the first, and so on.
func differList(out *[]Change, path string, before, after []any) {
	type slot struct{ before, after any }
	slots := map[string]*slot{}
	var order []string
	put := func(list []any, set func(*slot, any)) {
		count := map[string]int{}
		for i, v := range list {
			key := nameOf(v, i)
			if n := count[key]; n > 0 {
				count[key]++
				key = fmt.Sprintf("%s#%d", key, n+1)
			} else {
				count[key] = 1
			}
			if slots[key] == nil {
				slots[key] = &slot{}
				order = append(order, key)
			}
			set(slots[key], v)
		}
	}
	put(before, func(s *slot, v any) { s.before = v })
	put(after, func(s *slot, v any) { s.after = v })
	for _, key := range order {
		differ(out, path+"["+key+"]", slots[key].before, slots[key].after)
	}
}

// nameOf is what an entry of a list is called.
func nameOf(v any, i int) string {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range []string{"rule", "template", "check", "name", "digest", "repository"} {
			if s, ok := v[key].(string); ok && s != "" {
				return s
			}
		}
		return fmt.Sprint(i)
	}
	return fmt.Sprint(v)
}
