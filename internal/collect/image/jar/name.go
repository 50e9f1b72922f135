package jar

import (
	"path"
	"strings"
)

// fileName is what a file name says: <artifact>-<version>[-<classifier>].<ext>.
type fileName struct {
	artifact, version, classifier string
	base                          string // the name without its extension
}

// qualifiers are words that belong to a version when they follow one: "4.0-beta-3", "31.1-jre", "1.0-SNAPSHOT". A number
// may follow directly.
var qualifiers = map[string]bool{
	"alpha": true, "beta": true, "a": true, "b": true, "m": true, "rc": true, "cr": true, "sp": true, "ga": true, "final": true, "release": true,
	"snapshot": true, "milestone": true, "pre": true, "preview": true, "ea": true, "dev": true, "build": true, "incubating": true, "jre": true, "jdk": true,
	"android": true, "redhat": true, "jbossorg": true, "jboss": true, "fuse": true, "hadoop": true, "cdh": true, "hdp": true, "mapr": true, "jenkins": true,
	"atlassian": true, "p": true, "pfd": true, "draft": true, "nightly": true, "java": true, "r": true, "rev": true, "patch": true, "hotfix": true, "lts": true,
	"dfsg": true, "ds": true, "amzn": true, "emr": true, "spark": true, "kohsuke": true, "groovyless": true, "ip": true, "post": true, "security": true,
}

// maxName is the longest file name that is taken apart: no file system has longer ones, an archive may.
const maxName = 255

// parseName takes a file name apart. Its version is "" when it has none.
func parseName(p string) fileName {
	base := p
	if ext, ok := extension(p); ok {
		base = p[:len(p)-len(ext)]
	}
	base = path.Base(base)
	if len(base) > maxName {
		return fileName{artifact: base[:maxName], base: base[:maxName]}
	}
	for i := 1; i < len(base)-1; i++ {
		if base[i] != '-' || !startsVersion(base[i+1:]) {
			continue
		}
		if version, classifier, ok := splitVersion(base[i+1:]); ok {
			if classifier != "" && groups().has(base) { // "log4j-1.2-api" without a version
				break
			}
			return fileName{base[:i], version, classifier, base}
		}
	}
	// Bundles as Eclipse names them: "org.eclipse.jgit_5.8.1.202007141445-r".
	if i := strings.LastIndexByte(base, '_'); i > 0 && i+1 < len(base) && isDigit(base[i+1]) && strings.Contains(base[:i], ".") && strings.Contains(base[i:], ".") {
		return fileName{artifact: base[:i], version: base[i+1:], base: base}
	}
	return fileName{artifact: base, base: base}
}

// startsVersion reports whether a version may begin here: a digit, or "r09", "v3".
func startsVersion(s string) bool {
	if isDigit(s[0]) {
		return true
	}
	if (s[0] != 'r' && s[0] != 'v') || len(s) < 2 {
		return false
	}
	token, _, _ := strings.Cut(s[1:], "-")
	for i := range len(token) {
		if !isDigit(token[i]) && token[i] != '.' {
			return false
		}
	}
	return token != ""
}

// splitVersion divides what follows the artefact into version and classifier. It refuses when a better version comes
// later: "1.2-api-2.17.1" of log4j-1.2-api, "2.5-6.1.14" of servlet-api-2.5.
func splitVersion(s string) (version, classifier string, ok bool) {
	tokens := strings.Split(s, "-")
	cut := len(tokens)
	for i := 1; i < len(tokens); i++ {
		t := tokens[i]
		if t == "" {
			continue
		}
		if isDigit(t[0]) {
			dots := strings.Count(t, ".")
			if (cut < i && dots > 0) || (dots > 1 && len(t) < 15 && strings.Count(tokens[0], ".") < 2 && !strings.EqualFold(tokens[i-1], "snapshot")) {
				return "", "", false
			}
			continue
		}
		if cut == len(tokens) && !qualifiers[strings.ToLower(strings.TrimRight(t, ".0123456789"))] {
			cut = i
		}
	}
	if strings.HasSuffix(tokens[0], ".x") { // "3.x" names a generation
		return "", "", true
	}
	return strings.Join(tokens[:cut], "-"), strings.Join(tokens[cut:], "-"), true
}

// ofRepository returns the group that the path tells where the archive lies in a Maven repository, as
// <group>/<artifact>/<version>/<file>, or in Gradle's cache, as files-2.1/<group>/<artifact>/<version>/<hash>/<file>.
func ofRepository(p string, f fileName) (coordinates, bool) {
	if f.version == "" {
		return coordinates{}, false
	}
	parts := strings.Split(p, "/")
	n := len(parts)
	if n >= 6 && strings.HasPrefix(parts[n-6], "files-") && strings.HasPrefix(parts[n-1], parts[n-4]+"-") {
		return coordinates{parts[n-5], parts[n-4], parts[n-3]}, true
	}
	if n < 5 || !strings.HasPrefix(parts[n-1], parts[n-3]+"-"+strings.TrimSuffix(parts[n-2], "-SNAPSHOT")) {
		return coordinates{}, false
	}
	group := parts[:n-3]
	for i := len(group) - 1; i >= 0; i-- {
		switch group[i] {
		case "repository", "maven-repo", "repo", "m2", ".m2", "maven2", "local-repo":
			if i+1 < len(group) {
				return coordinates{strings.Join(group[i+1:], "."), parts[n-3], parts[n-2]}, true
			}
		}
	}
	return coordinates{}, false
}
