package feed

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// Keys returns the names of the top-level members of the JSON object that begins in head, as far as head goes, and of the
// first object when it is a list (list is true then). It serves Knows: a format is told by its members, not by words that
// may stand in any text. It returns nil when head begins no JSON object.
func Keys(head []byte) (keys []string, list bool) {
	s := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(s) > 0 && s[0] == '[' {
		list = true
		s = bytes.TrimLeft(s[1:], " \t\r\n")
	}
	if len(s) == 0 || s[0] != '{' {
		return nil, false
	}
	keys = []string{}
	depth, name := 0, false // name: a string at this place is a member's name
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{', '[':
			depth++
			name = depth == 1
		case '}', ']':
			if depth--; depth <= 0 {
				return keys, list
			}
		case ',':
			name = depth == 1
		case '"':
			end := i + 1
			for end < len(s) && s[end] != '"' {
				if s[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(s) {
				return keys, list
			}
			if name {
				keys = append(keys, string(s[i+1:end]))
				name = false
			}
			i = end
		}
	}
	return keys, list
}

// Has reports whether keys has all of names.
func Has(keys []string, names ...string) bool {
	for _, n := range names {
		if !slices.Contains(keys, n) {
			return false
		}
	}
	return true
}

// Ext returns the ending of a document's name in small letters, ".json".
func Ext(name string) string { return strings.ToLower(path.Ext(name)) }
