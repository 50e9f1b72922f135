// Package rocky knows Rocky Linux's release names and its repositories' names.
package rocky

import (
	"regexp"
	"strings"
)

var (
	release    = regexp.MustCompile(`^Rocky Linux (\d+)(?:\.\d+)?(?: [a-z0-9_]+)?$`)
	collection = regexp.MustCompile(`^rocky-linux-(\d+)-`)
)

// Stream maps "Rocky Linux 9", "Rocky Linux 9 x86_64" or a repository, "rocky-linux-9-x86-64-appstream-rpms", to its stream.
func Stream(name string) (string, bool) {
	name = strings.TrimSpace(name)
	m := release.FindStringSubmatch(name)
	if m == nil {
		m = collection.FindStringSubmatch(name)
	}
	if m == nil {
		return "", false
	}
	return "rocky " + m[1], true
}
