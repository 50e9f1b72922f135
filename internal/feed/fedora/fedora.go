// Package fedora knows Fedora's release names.
package fedora

import (
	"regexp"
	"strings"
)

var release = regexp.MustCompile(`^(?:Fedora (?:Linux )?|F)(\d+)(?: Modular| Updates| Flatpaks|M)?$`)

// Stream maps "Fedora 38", "Fedora 38 Modular" or "F38" to its stream. Packages of EPEL have no stream: they are for other
// systems.
func Stream(name string) (string, bool) {
	m := release.FindStringSubmatch(strings.TrimSpace(name))
	if m == nil || strings.HasSuffix(name, "Flatpaks") {
		return "", false
	}
	return "fedora " + m[1], true
}
