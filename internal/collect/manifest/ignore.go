package manifest

import (
	"path"
	"strings"
)

// ignoreFiles are read in every folder, the later ones winning.
var ignoreFiles = [...]string{".gitignore", ".stockadeignore"}

// excluded are the folders that are passed over unless asked for: not the user's own manifests.
var excluded = map[string]bool{".git": true, ".hg": true, ".svn": true, "node_modules": true, "vendor": true}

// maxPatterns bounds an ignore file.
const maxPatterns = 10_000

// ignorePattern is one line of an ignore file, in the meaning of gitignore(5).
type ignorePattern struct {
	parts   []string // between slashes; "**" is any number of folders
	negated bool
	folder  bool // matches folders only
}

// ignoreList is the patterns of one folder.
type ignoreList struct {
	dir      string // slash path from the root of the walk; "" for the root itself
	up       string // path of the root below dir, for lists of folders above it; ends with a slash or is ""
	patterns []ignorePattern
}

// parseIgnoreFile reads the patterns of an ignore file. Lines that make no sense match nothing, as with git.
func parseIgnoreFile(text string) []ignorePattern {
	var out []ignorePattern
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line = strings.TrimRight(line, "\r\n")
		for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
			line = line[:len(line)-1]
		}
		if line == "" || line[0] == '#' || len(out) == maxPatterns {
			continue
		}
		var p ignorePattern
		if line[0] == '!' {
			p.negated, line = true, line[1:]
		}
		if strings.HasSuffix(line, "/") {
			p.folder, line = true, strings.TrimRight(line, "/")
		}
		anchored := strings.Contains(line, "/")
		line = strings.TrimPrefix(line, "/")
		if line == "" {
			continue
		}
		if !anchored {
			p.parts = append(p.parts, "**")
		}
		for part := range strings.SplitSeq(line, "/") {
			p.parts = append(p.parts, globPart(part))
		}
		out = append(out, p)
	}
	return out
}

// globPart turns a part of a pattern into the syntax of path.Match: classes are negated by ^ there, and git takes ** inside
// a name for *.
func globPart(part string) string {
	if part == "**" {
		return part
	}
	return strings.ReplaceAll(part, "[!", "[^")
}

// match reports whether the patterns have a say on name, a slash path below dir, and what they say.
func (l *ignoreList) match(name string, folder bool) (ignored, matched bool) {
	if l.dir != "" {
		name = strings.TrimPrefix(name, l.dir+"/")
	}
	parts := strings.Split(l.up+name, "/")
	for i := len(l.patterns) - 1; i >= 0; i-- {
		p := &l.patterns[i]
		if (!p.folder || folder) && p.match(parts) {
			return !p.negated, true
		}
	}
	return false, false
}

// match compares part by part. A "**" takes as few parts as it can; when a later part does not fit, the last "**" takes
// one more, so the effort is bounded by the product of the lengths.
func (p *ignorePattern) match(name []string) bool {
	i, j, star, from := 0, 0, -1, 0
	for j < len(name) {
		switch {
		case i < len(p.parts) && p.parts[i] == "**":
			if i == len(p.parts)-1 {
				return i > 0 || len(p.parts) == 1 // "a/**" is everything below a
			}
			star, from = i, j
			i++
			continue
		case i < len(p.parts):
			if ok, err := path.Match(p.parts[i], name[j]); ok && err == nil {
				i++
				j++
				continue
			}
		}
		if star < 0 {
			return false
		}
		from++
		i, j = star+1, from
	}
	return i == len(p.parts)
}

// ignored asks the lists from the innermost to the outermost; the first that has a say decides.
func ignored(lists []*ignoreList, name string, folder bool) bool {
	for i := len(lists) - 1; i >= 0; i-- {
		if ig, ok := lists[i].match(name, folder); ok {
			return ig
		}
	}
	return false
}
