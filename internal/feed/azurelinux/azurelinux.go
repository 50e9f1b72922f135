// Package azurelinux knows the release names of Azure Linux and of CBL-Mariner, as it was called before.
package azurelinux

import (
	"path"
	"regexp"
	"strings"
)

var (
	release = regexp.MustCompile(`(?i)^(azure ?linux|cbl[- ]?mariner) (\d)\.0$`)
	file    = regexp.MustCompile(`^(azurelinux|cbl-mariner)-(\d)\.0(?:-|\.)`)
	cut     = regexp.MustCompile(`(azurelinux|azure-linux|cbl-mariner|mariner)[a-z-]*-(\d)\.0`)
)

// Stream maps "Azure Linux 3.0" or "CBL Mariner 2.0" to its stream.
func Stream(name string) (string, bool) {
	m := release.FindStringSubmatch(strings.TrimSpace(name))
	if m == nil {
		return "", false
	}
	return stream(m[1], m[2]), true
}

// File finds the stream in the name of an OVAL file, "azurelinux-3.0-oval.xml", "cbl-mariner-2.0-preview-oval.xml": the
// definitions say "Azure Linux" only.
func File(name string) (string, bool) {
	name = strings.ToLower(path.Base(name))
	m := file.FindStringSubmatch(name)
	if m == nil {
		if m = cut.FindStringSubmatch(name); m == nil {
			return "", false
		}
	}
	return stream(m[1], m[2]), true
}

func stream(system, major string) string {
	if strings.HasPrefix(strings.ToLower(system), "azure") {
		return "azurelinux " + major + ".0"
	}
	return "mariner " + major + ".0"
}
