package protect

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// filledIn are values that an API server fills in where an object leaves them out; nil stands for any.
var filledIn = map[string]any{"legacySchema": nil, "x-kubernetes-preserve-unknown-fields": nil, "reinvocationPolicy": "Never", "scope": "*", "port": float64(443)}

// decides reports whether an object says what is let in: what others add to one of these can take everything out of its sight.
func decides(r ref) bool {
	switch r.group() {
	case constraintGroup, templateGroup, mutationGroup, providerGroup, admissionGroup:
		return true
	}
	return false
}

// added looks for what is there beside what is wanted, which applying leaves alone since it is somebody else's field: at is where the
// first of it is, "" when there is none, and undo a merge patch that takes all of it away.
func added(want, have map[string]any) (at string, undo map[string]any) {
	undo = map[string]any{}
	for _, part := range []string{"spec", "webhooks"} {
		path, patch := surplus(part, want[part], have[part])
		if path != "" {
			undo[part] = patch
			if at == "" {
				at = path
			}
		}
	}
	return at, undo
}

func surplus(path string, want, have any) (at string, undo any) {
	switch w := want.(type) {
	case map[string]any:
		h, _ := have.(map[string]any)
		patch := map[string]any{}
		for _, k := range slices.Sorted(maps.Keys(h)) {
			inner, below := path+"."+k, any(nil)
			if _, asked := w[k]; asked {
				inner, below = surplus(inner, w[k], h[k])
			} else if saysNothing(k, h[k]) {
				continue
			}
			if inner == "" {
				continue
			}
			if patch[k] = below; at == "" {
				at = inner
			}
		}
		return at, patch
	case []any: // a merge patch has lists whole
		h, _ := have.([]any)
		if len(h) > len(w) {
			return path + "[" + strconv.Itoa(len(w)) + "]", want
		}
		for i := range h {
			if at, _ := surplus(path+"["+strconv.Itoa(i)+"]", w[i], h[i]); at != "" {
				return at, want
			}
		}
	}
	return "", nil
}

// saysNothing reports whether a field that nobody asked for means what its absence means.
func saysNothing(key string, v any) bool {
	if value, ok := filledIn[key]; ok {
		n, number := number(v)
		return value == nil || value == v || number && value == n
	}
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// merge changes fields of an object; null takes one away.
func (c *client) merge(ctx context.Context, o *object, patch map[string]any) error {
	_, err := c.call(ctx, http.MethodPatch, refOf(o).path(), url.Values{"fieldManager": {Manager}}, "", "application/merge-patch+json", []byte(jsonText(patch)), nil)
	return err
}
