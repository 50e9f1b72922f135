package repair

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// scopes are where the variables of a rule lie in an object.
type scopes map[string]string // "container" -> "spec.template.spec.containers[0]"

// workshop edits a copy of an object.
type workshop struct {
	content map[string]any
	pod     string // path of the pod; "" with carries is the object itself
	carries bool
	scopes  scopes
	gone    []string // paths of list elements to take out when all edits are made, so that indexes stay good
}

// apply makes the edits of a rule.
func (w *workshop) apply(edits []rule.Edit) {
	for _, e := range edits {
		if !w.holds(e.When) {
			continue
		}
		for _, to := range sorted(e.Copy) {
			if v, ok := w.lookup(e.Copy[to]); ok {
				w.set(to, v)
			}
		}
		for _, p := range sorted(e.Set) {
			w.set(p, e.Set[p])
		}
		for _, p := range sorted(e.Add) {
			w.add(p, e.Add[p])
		}
		for _, p := range sorted(e.Drop) {
			w.drop(p, e.Drop[p])
		}
		for _, p := range e.Remove {
			for _, at := range w.places(p) {
				w.remove(at)
			}
		}
	}
	w.sweep()
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (w *workshop) holds(when map[string]any) bool {
	for p, want := range when {
		if v, ok := w.lookup(p); !ok || !reflect.DeepEqual(v, want) {
			return false
		}
	}
	return true
}

// steps is a path of a rule's as steps from the object.
func (w *workshop) steps(path string) []inventory.Step {
	steps := inventory.ParsePath(path)
	base, ok := w.scopes[steps[0].Key]
	if !ok {
		return nil
	}
	return append(inventory.ParsePath(base), steps[1:]...)
}

func (w *workshop) lookup(path string) (any, bool) {
	steps := w.steps(path)
	if steps == nil {
		return nil, false
	}
	return inventory.Lookup(w.content, join(steps))
}

func join(steps []inventory.Step) string {
	path := ""
	for _, s := range steps {
		if s.Index >= 0 {
			path = inventory.JoinIndex(path, s.Index)
		} else {
			path = inventory.JoinKey(path, s.Key)
		}
	}
	return path
}

// places are the paths that a path with "[]" stands for.
func (w *workshop) places(path string) []string {
	out := []string{""}
	for _, s := range w.steps(path) {
		var next []string
		for _, p := range out {
			switch {
			case s.Index >= 0:
				next = append(next, inventory.JoinIndex(p, s.Index))
			case s.Key != "":
				next = append(next, inventory.JoinKey(p, s.Key))
			default:
				v, _ := inventory.Lookup(w.content, p)
				list, _ := v.([]any)
				for i := range list {
					next = append(next, inventory.JoinIndex(p, i))
				}
			}
		}
		out = next
	}
	return out
}

// set puts a value at a path; maps on the way are made.
func (w *workshop) set(path string, v any) {
	steps := w.steps(path)
	if len(steps) == 0 {
		return
	}
	var at any = w.content
	for i, s := range steps {
		last := i == len(steps)-1
		switch c := at.(type) {
		case map[string]any:
			if s.Index >= 0 {
				return
			}
			if last {
				c[s.Key] = clone(v)
				return
			}
			if c[s.Key] == nil {
				c[s.Key] = map[string]any{}
			}
			at = c[s.Key]
		case []any:
			if s.Index < 0 || s.Index >= len(c) {
				return
			}
			if last {
				c[s.Index] = clone(v)
				return
			}
			at = c[s.Index]
		default:
			return
		}
	}
}

func (w *workshop) add(path string, v any) {
	old, _ := w.lookup(path)
	list, _ := old.([]any)
	if !slices.ContainsFunc(list, func(e any) bool { return reflect.DeepEqual(e, v) }) {
		w.set(path, append(slices.Clone(list), v))
	}
}

func (w *workshop) drop(path string, v any) {
	old, _ := w.lookup(path)
	list, ok := old.([]any)
	if !ok {
		return
	}
	left := slices.DeleteFunc(slices.Clone(list), func(e any) bool { return reflect.DeepEqual(e, v) })
	switch {
	case len(left) == len(list):
	case len(left) == 0:
		for _, p := range w.places(path) {
			w.remove(p)
		}
	default:
		w.set(path, left)
	}
}

// remove takes away a key at once, and notes elements of lists for sweep.
func (w *workshop) remove(path string) {
	steps := inventory.ParsePath(path)
	if len(steps) == 0 {
		return
	}
	last := steps[len(steps)-1]
	if last.Index >= 0 {
		w.gone = append(w.gone, path)
		return
	}
	parent, _ := inventory.Lookup(w.content, join(steps[:len(steps)-1]))
	m, ok := parent.(map[string]any)
	if !ok || m[last.Key] == nil && !has(m, last.Key) {
		return
	}
	delete(m, last.Key)
	if len(m) == 0 && len(steps) > 1 && collapses(steps[:len(steps)-1]) {
		w.remove(join(steps[:len(steps)-1]))
	}
}

func has(m map[string]any, key string) bool {
	_, ok := m[key]
	return ok
}

// collapses reports whether a map that has become empty says the same as none: not for emptyDir and the like, where {} is a choice.
func collapses(steps []inventory.Step) bool {
	last := steps[len(steps)-1]
	return last.Index < 0 && slices.Contains([]string{"securityContext", "capabilities", "annotations", "labels", "windowsOptions"}, last.Key)
}

// sweep takes the noted elements out of their lists, the last first. Volumes take their mounts along; a list that has become empty
// goes too.
func (w *workshop) sweep() {
	for len(w.gone) > 0 {
		list := w.gone
		w.gone = nil
		lists := map[string][]int{}
		for _, p := range list {
			steps := inventory.ParsePath(p)
			at := join(steps[:len(steps)-1])
			lists[at] = append(lists[at], steps[len(steps)-1].Index)
		}
		for _, at := range sorted(lists) {
			w.cut(at, lists[at])
		}
	}
}

func (w *workshop) cut(at string, indexes []int) {
	v, _ := inventory.Lookup(w.content, at)
	list, ok := v.([]any)
	if !ok {
		return
	}
	var left []any
	for i, e := range list {
		if !slices.Contains(indexes, i) {
			left = append(left, e)
			continue
		}
		if m, ok := e.(map[string]any); ok && w.carries && at == inventory.JoinPath(w.pod, "spec.volumes") {
			w.unmount(inventory.Str(m, "name"))
		}
	}
	if len(left) == 0 {
		w.remove(at)
		return
	}
	parent, key := split(at)
	if m, ok := lookupMap(w.content, parent); ok {
		m[key] = left
	}
}

func split(path string) (parent, key string) {
	steps := inventory.ParsePath(path)
	return join(steps[:len(steps)-1]), steps[len(steps)-1].Key
}

func lookupMap(content map[string]any, path string) (map[string]any, bool) {
	v, ok := inventory.Lookup(content, path)
	m, isMap := v.(map[string]any)
	return m, ok && isMap
}

// unmount notes the mounts of a volume in all containers.
func (w *workshop) unmount(volume string) {
	spec, _ := lookupMap(w.content, inventory.JoinPath(w.pod, "spec"))
	for _, group := range []string{"containers", "initContainers", "ephemeralContainers"} {
		for i, c := range inventory.List(spec, group) {
			m, _ := c.(map[string]any)
			for _, field := range []string{"volumeMounts", "volumeDevices"} {
				for j, mount := range inventory.List(m, field) {
					if mm, ok := mount.(map[string]any); ok && inventory.Str(mm, "name") == volume {
						at := inventory.JoinIndex(inventory.JoinPath(w.pod, "spec."+group), i)
						w.gone = append(w.gone, inventory.JoinIndex(inventory.JoinKey(at, field), j))
					}
				}
			}
		}
	}
}

// clone copies JSON values deeply.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}

// size is about how many bytes a value has as JSON, and how deep it is.
func size(v any, depth int) (bytes, deep int) {
	switch v := v.(type) {
	case map[string]any:
		bytes, deep = 2, depth
		if depth > maxDepth {
			return bytes, deep
		}
		for k, e := range v {
			b, d := size(e, depth+1)
			bytes, deep = bytes+b+len(k)+4, max(deep, d)
		}
		return bytes, deep
	case []any:
		bytes, deep = 2, depth
		if depth > maxDepth {
			return bytes, deep
		}
		for _, e := range v {
			b, d := size(e, depth+1)
			bytes, deep = bytes+b+1, max(deep, d)
		}
		return bytes, deep
	case string:
		return len(v) + 2, depth
	case nil:
		return 4, depth
	}
	text, _ := json.Marshal(v) // of a number or a truth value
	return len(text), depth
}

// short is a text of one line that is not too long.
func short(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if !plainRune(r) {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// Size is about how many bytes a value has as JSON. What is nested too deep counts as too large.
func Size(v any) int {
	n, deep := size(v, 0)
	if deep > MostDeep {
		return MostObject + 1
	}
	return n
}

// Clone copies the content of an object.
func Clone(content map[string]any) map[string]any { return clone(content).(map[string]any) }

// Short is a text of one line, cut to some characters.
func Short(s string, most int) string { return short(s, most) }
