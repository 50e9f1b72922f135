package inventory

import (
	"strconv"
	"strings"
)

// A path names a value inside an object the way people write it: spec.containers[0].securityContext.privileged, with
// keys that are not plain words quoted: metadata.annotations['a.b/c'].

// JoinKey appends a map key to path.
func JoinKey(path, key string) string {
	if !plainKey(key) {
		return path + "['" + strings.ReplaceAll(key, "'", `\'`) + "']"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// JoinIndex appends a list index to path.
func JoinIndex(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// JoinPath appends a relative path to path; either may be empty.
func JoinPath(path, rel string) string {
	switch {
	case rel == "":
		return path
	case path == "" || rel[0] == '[':
		return path + rel
	}
	return path + "." + rel
}

func plainKey(key string) bool {
	if key == "" {
		return false
	}
	for _, c := range key {
		if c == '.' || c == '/' || c == '[' || c == ']' || c == '\'' || c == ' ' || c == '\\' {
			return false
		}
	}
	return true
}

// Step is one part of a path: a key, or an index when Key is empty and Index is 0 or more.
type Step struct {
	Key   string
	Index int // -1 for a key
}

// ParsePath splits a path into steps. Malformed text never fails: what cannot be read as an index is a key.
func ParsePath(path string) []Step {
	var steps []Step
	for i := 0; i < len(path); {
		switch {
		case path[i] == '.':
			i++
		case path[i] == '[' && i+1 < len(path) && path[i+1] == '\'':
			var key strings.Builder
			j := i + 2
			for ; j < len(path) && path[j] != '\''; j++ {
				if path[j] == '\\' && j+1 < len(path) {
					j++
				}
				key.WriteByte(path[j])
			}
			steps = append(steps, Step{key.String(), -1})
			i = min(j+2, len(path)) // past '] or the end
		case path[i] == '[':
			j := strings.IndexByte(path[i:], ']')
			if j < 0 {
				return append(steps, Step{path[i:], -1})
			}
			if n, err := strconv.Atoi(path[i+1 : i+j]); err == nil && n >= 0 {
				steps = append(steps, Step{"", n})
			} else {
				steps = append(steps, Step{path[i+1 : i+j], -1})
			}
			i += j + 1
		default:
			j := strings.IndexAny(path[i:], ".[")
			if j < 0 {
				j = len(path) - i
			}
			steps = append(steps, Step{path[i : i+j], -1})
			i += j
		}
	}
	return steps
}

// Lookup returns the value at path under root; ok is false when it is absent.
func Lookup(root any, path string) (v any, ok bool) {
	v = root
	for _, s := range ParsePath(path) {
		switch c := v.(type) {
		case map[string]any:
			if s.Index >= 0 {
				return nil, false
			}
			if v, ok = c[s.Key]; !ok {
				return nil, false
			}
		case []any:
			if s.Index < 0 || s.Index >= len(c) {
				return nil, false
			}
			v = c[s.Index]
		default:
			return nil, false
		}
	}
	return v, true
}
