// Package tencentos knows the release names of TencentOS Server and of OpenCloudOS, which it is built from.
package tencentos

import (
	"regexp"
	"strings"
)

var (
	release = regexp.MustCompile(`(?i)(?:tencentos(?:[ -]server)?|tlinux)[ /-](\d(?:\.\d)?)\b`)
	open    = regexp.MustCompile(`(?i)opencloudos(?:[ -]stream)?[ /-](\d+)(?:\.\d+)?\b`)
)

// Stream finds the release in a name or a path: "TencentOS Server 3.1", "tlinux/2.4/...", "OpenCloudOS 9.2".
func Stream(name string) (string, bool) {
	name = strings.TrimSpace(name)
	if m := release.FindStringSubmatch(name); m != nil {
		return "tencentos " + m[1], true
	}
	if m := open.FindStringSubmatch(name); m != nil {
		return "opencloudos " + m[1], true
	}
	return "", false
}
