// Package golang knows what Go's vulnerability database adds to OSV: vulnerable packages and symbols, and ranges in the
// versions of products whose module versions are of no use (golang.org/x/vuln, doc/format).
package golang

import (
	"encoding/json"

	"stockade.dev/stockade/internal/advisory"
)

type specific struct {
	Imports []struct {
		Path    string   `json:"path"`
		Symbols []string `json:"symbols"`
		GOOS    []string `json:"goos"`
		GOARCH  []string `json:"goarch"`
	} `json:"imports"`
	Custom json.RawMessage `json:"custom_ranges"`
}

// Specific reads the ecosystem_specific member of an affected entry. Custom holds ranges in OSV's form that are
// authoritative over the entry's own, or nil.
func Specific(raw []byte) (symbols []advisory.Symbols, custom []byte) {
	var s specific
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return nil, nil
	}
	for _, i := range s.Imports {
		if i.Path != "" {
			symbols = append(symbols, advisory.Symbols{Import: i.Path, Names: i.Symbols, GOOS: i.GOOS, GOARCH: i.GOARCH})
		}
	}
	return symbols, s.Custom
}
