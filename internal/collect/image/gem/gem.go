// Package gem reads installed Ruby gems (the files in a specifications folder, Ruby's own default gems among them) and
// Gemfile.lock.
package gem

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"stockade.dev/stockade/internal/collect/image/lockfile"
	"stockade.dev/stockade/internal/inventory"
)

// installed is the folder of an installed gem: "gems/rbs-2.1.0/".
var installed = regexp.MustCompile(`(?:^|/)gems/[^/]+-\d[^/]*/`)

const (
	maxText     = 200 // bytes of a name, a version or a licence
	maxPackages = 100_000
)

// Wants reports whether Read knows the file: specifications/*.gemspec, specifications/default/*.gemspec and Gemfile.lock. The
// gemspec that some gems carry in their own folder is another copy, and a lock file there is what the gem's authors worked
// with: nothing of it is installed.
func Wants(p string) bool {
	dir, base := path.Split(p)
	if base == "Gemfile.lock" || base == "gems.locked" {
		return !installed.MatchString(dir)
	}
	return strings.HasSuffix(base, ".gemspec") && (strings.HasSuffix(dir, "/specifications/") || strings.HasSuffix(dir, "/specifications/default/") || dir == "specifications/")
}

// Read reads one file that Wants named. The error names the file.
func Read(p string, data []byte) ([]inventory.Package, error) {
	if !strings.HasSuffix(p, ".gemspec") {
		out := readLock(string(data))
		for i := range out {
			out[i].Path = p
		}
		return out, nil
	}
	one, err := readSpecification(p, string(data))
	if err != nil {
		return nil, err
	}
	one.Path = p
	return []inventory.Package{one}, nil
}

// readSpecification reads a gemspec as RubyGems writes it when it installs: "# stub: name version platform folder", then
// Ruby code with s.name = "x".freeze. The file's name, "x-1.2.3.gemspec", is the last resort.
func readSpecification(p, data string) (inventory.Package, error) {
	one := inventory.Package{Type: inventory.Gem, Evidence: "manifest"}
	stub := false
	for line := range strings.Lines(data) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "# stub: "); ok && !stub {
			stub = true // a second line names extensions
			if f := strings.Fields(rest); len(f) >= 3 {
				one.Name, one.Version, one.Arch = f[0], f[1], f[2]
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		_, key, ok = strings.Cut(strings.TrimSpace(key), ".")
		if !ok {
			continue
		}
		switch key {
		case "name":
			set(&one.Name, quoted(value))
		case "version":
			set(&one.Version, quoted(value))
		case "platform":
			set(&one.Arch, quoted(value))
		case "license":
			set(&one.License, quoted(value))
		case "licenses":
			var all []string
			for part := range strings.SplitSeq(value, ",") {
				if l := quoted(part); l != "" && len(all) < 10 {
					all = append(all, l)
				}
			}
			set(&one.License, strings.Join(all, " OR "))
		}
	}
	if one.Arch == "ruby" {
		one.Arch = ""
	}
	if one.Name == "" || one.Version == "" {
		base := strings.TrimSuffix(path.Base(p), ".gemspec")
		for i := len(base) - 2; i > 0; i-- {
			if base[i] == '-' && base[i+1]-'0' <= 9 {
				one.Name, one.Version, one.Evidence = base[:i], base[i+1:], "file name"
				break
			}
		}
	}
	if one.Name == "" || one.Version == "" || one.Version[0]-'0' > 9 {
		return one, fmt.Errorf("%s: has no name and version", p)
	}
	return one, nil
}

// set gives a field its first value.
func set(field *string, value string) {
	if *field == "" && len(value) <= maxText {
		*field = value
	}
}

// quoted is the text between the first quotation marks: "x".freeze, Gem::Version.new('1.2').
func quoted(s string) string {
	i := strings.IndexAny(s, `"'`)
	if i < 0 {
		return ""
	}
	text, _, ok := strings.Cut(s[i+1:], s[i:i+1])
	if !ok || strings.Contains(text, "#{") {
		return ""
	}
	return text
}

// readLock reads Gemfile.lock: in the sections GEM and GIT, below "specs:", lines of four spaces name what is installed,
// lines of six what it needs. PATH is the project's own.
func readLock(data string) []inventory.Package {
	var out []inventory.Package
	seen := map[[2]string]bool{}
	section := ""
	for line := range strings.Lines(data) {
		line = strings.TrimRight(line, "\r\n ")
		if line != "" && line[0] != ' ' {
			section = line
			continue
		}
		if section != "GEM" && section != "GIT" || !strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "     ") {
			continue
		}
		name, version, ok := strings.Cut(strings.TrimSpace(line), " (")
		version, closed := strings.CutSuffix(version, ")")
		if !ok || !closed || name == "" || version == "" || version[0]-'0' > 9 || len(name)+len(version) > maxText {
			continue
		}
		version, platform, _ := strings.Cut(version, "-") // "1.13.9-x86_64-linux"
		if seen[[2]string{name, version}] || len(out) >= maxPackages {
			continue
		}
		seen[[2]string{name, version}] = true
		out = append(out, inventory.Package{Type: inventory.Gem, Name: name, Version: version, Arch: platform, Evidence: lockfile.Evidence})
	}
	return out
}
