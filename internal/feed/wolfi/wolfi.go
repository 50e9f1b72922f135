// Package wolfi knows the repositories of Wolfi and Chainguard, and reads the advisories that their feeds are made from:
// YAML, one file a package (github.com/wolfi-dev/advisories, schema version 2).
package wolfi

import "strings"

// Stream returns the stream of a repository by the address in its security.json.
func Stream(address string) (string, bool) {
	host := strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://")
	host, _, _ = strings.Cut(host, "/")
	switch {
	case host == "packages.wolfi.dev":
		return "wolfi", true
	case strings.HasSuffix(host, ".cgr.dev"):
		return "chainguard", true
	case strings.HasSuffix(host, ".mini.dev"), strings.Contains(host, "minimos"):
		return "minimos", true
	}
	return "", false
}
