// Package npm reads what npm, yarn and pnpm install: the package.json of each module in a node_modules tree, and lock files.
// Of lock files it takes what is not for development only; package lockfile drops them again where the tree itself is there.
package npm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/collect/image/lockfile"
	"stockade.dev/stockade/internal/inventory"
)

const (
	maxPackages = 200_000 // of one lock file
	maxDepth    = 64      // of nested dependencies in a lock file of version 1
	maxText     = 400     // bytes of a name, a version or a licence
)

// Wants reports whether Read knows the file: node_modules/NAME/package.json, and lock files that are not in a module.
func Wants(p string) bool {
	base := p[strings.LastIndexByte(p, '/')+1:]
	switch base {
	case "package.json":
		return module(p)
	case "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml":
		return !strings.Contains("/"+p, "/node_modules/")
	}
	return false
}

// module reports whether p is the manifest of a module: node_modules/NAME/package.json or node_modules/@SCOPE/NAME/package.json.
func module(p string) bool {
	i := strings.LastIndex("/"+p, "/node_modules/")
	if i < 0 {
		return false
	}
	rest := p[i+len("node_modules/"):]
	want := 1
	if strings.HasPrefix(rest, "@") {
		want = 2
	}
	return strings.Count(rest, "/") == want
}

// Read reads one file that Wants named. The error names the file; what was understood comes with it.
func Read(p string, data []byte) ([]inventory.Package, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var out []inventory.Package
	var err error
	switch path.Base(p) {
	case "package.json":
		out, err = readManifest(data)
	case "yarn.lock":
		out = readYarn(data)
	case "pnpm-lock.yaml":
		out, err = readPnpm(data)
	default:
		out, err = readLock(data)
	}
	for i := range out {
		out[i].Path = p
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", p, err)
	}
	return out, err
}

// valid reports whether a package may be called so and have such a version: not "file:../x", "link:", "git+ssh://...".
func valid(name, version string) bool {
	return name != "" && len(name) <= maxText && len(version) <= maxText && version != "" && version[0]-'0' <= 9 && !strings.ContainsAny(name, " \n\t\\")
}

func readManifest(data []byte) ([]inventory.Package, error) {
	var m struct {
		Name, Version string
		License       json.RawMessage
		Licenses      json.RawMessage
	}
	if err := json.Unmarshal(data, &m); err != nil && m.Name == "" {
		return nil, err
	}
	version := strings.TrimPrefix(m.Version, "v")
	if !valid(m.Name, version) {
		return nil, nil // a module's own helper file without a version: {"type": "module"}
	}
	one := inventory.Package{Type: inventory.NPM, Name: m.Name, Version: version, Evidence: "manifest", License: license(m.License)}
	if one.License == "" {
		one.License = license(m.Licenses)
	}
	return []inventory.Package{one}, nil
}

// license reads "MIT", {"type": "MIT"} and lists of them.
func license(raw json.RawMessage) string {
	var text string
	if len(raw) == 0 || len(raw) > 4096 {
		return ""
	}
	if json.Unmarshal(raw, &text) != nil {
		var object struct{ Type string }
		var list []struct{ Type string }
		if json.Unmarshal(raw, &object) == nil {
			text = object.Type
		} else if json.Unmarshal(raw, &list) == nil {
			var names []string
			for _, l := range list {
				names = append(names, l.Type)
			}
			text = strings.Join(names, " OR ")
		}
	}
	return text[:min(len(text), maxText)]
}

// entry is a package in package-lock.json (docs.npmjs.com/cli/configuring-npm/package-lock-json).
type entry struct {
	Name         string
	Version      string
	Dev          bool
	Link         bool
	License      json.RawMessage
	Dependencies json.RawMessage // version 1: map of entries; later: map of ranges
}

// readLock reads package-lock.json: "packages" by folder since version 2, "dependencies" as a tree before.
func readLock(data []byte) ([]inventory.Package, error) {
	var lock struct {
		Packages     map[string]entry
		Dependencies map[string]json.RawMessage
	}
	if err := json.Unmarshal(data, &lock); err != nil {
		return nil, err
	}
	var l list
	if len(lock.Packages) > 0 {
		for folder, e := range lock.Packages {
			i := strings.LastIndex("/"+folder, "/node_modules/")
			if i < 0 || e.Link || e.Dev {
				continue
			}
			name := e.Name // given where the folder is an alias
			if name == "" {
				name = folder[i+len("node_modules/"):]
			}
			l.add(name, e.Version, license(e.License))
		}
		return l.sorted(), l.err()
	}
	l.tree(lock.Dependencies, 0)
	return l.sorted(), l.err()
}

// list gathers the packages of a lock file, each once.
type list struct {
	seen map[[2]string]bool
	out  []inventory.Package
	full bool
}

func (l *list) add(name, version, license string) {
	if real, ok := strings.CutPrefix(version, "npm:"); ok { // an alias: "npm:real@1.2.3"
		if i := strings.LastIndexByte(real, '@'); i > 0 {
			name, version = real[:i], real[i+1:]
		}
	}
	if !valid(name, version) || l.seen[[2]string{name, version}] {
		return
	}
	if len(l.out) >= maxPackages {
		l.full = true
		return
	}
	if l.seen == nil {
		l.seen = map[[2]string]bool{}
	}
	l.seen[[2]string{name, version}] = true
	l.out = append(l.out, inventory.Package{Type: inventory.NPM, Name: name, Version: version, License: license, Evidence: lockfile.Evidence})
}

func (l *list) tree(dependencies map[string]json.RawMessage, depth int) {
	if depth > maxDepth {
		l.full = true
		return
	}
	for name, raw := range dependencies {
		var e entry
		if json.Unmarshal(raw, &e) != nil || e.Dev {
			continue
		}
		l.add(name, e.Version, "")
		if len(e.Dependencies) > 2 {
			var below map[string]json.RawMessage
			if json.Unmarshal(e.Dependencies, &below) == nil {
				l.tree(below, depth+1)
			}
		}
	}
}

func (l *list) sorted() []inventory.Package {
	slices.SortFunc(l.out, func(a, b inventory.Package) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Version, b.Version)
	})
	return l.out
}

func (l *list) err() error {
	if l.full {
		return fmt.Errorf("more than %d packages, or nested deeper than %d", maxPackages, maxDepth)
	}
	return nil
}

// readYarn reads yarn.lock. Version 1 is no YAML; later versions are, in the same shape, so one reading of lines serves both:
//
//	"@scope/name@^1.0.0", "@scope/name@~1.2":
//	  version "1.2.3"
//	  resolution: "@scope/name@npm:1.2.3"
func readYarn(data []byte) []inventory.Package {
	var l list
	name, version := "", ""
	flush := func() {
		l.add(name, version, "")
		name, version = "", ""
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "" || line[0] == '#':
		case line[0] != ' ':
			flush()
			first, _, _ := strings.Cut(strings.TrimSuffix(line, ":"), ",")
			name = yarnName(strings.Trim(first, `" `))
		case strings.HasPrefix(line, "  version"):
			version = strings.Trim(strings.TrimLeft(strings.TrimPrefix(line, "  version"), ": "), `"`)
		case strings.HasPrefix(line, "  resolution:"):
			// "name@npm:1.2.3"; workspaces and patches name no published package: "name@workspace:.".
			text := strings.Trim(strings.TrimPrefix(line, "  resolution:"), `" `)
			name = ""
			if i := strings.LastIndex(text, "@npm:"); i > 0 {
				name = strings.TrimSuffix(text[:i], "@patch:")
				if at := strings.Index(name, "@patch:"); at > 0 {
					name = name[:at]
				}
			}
		}
	}
	flush()
	return l.sorted()
}

// yarnName is the package of a descriptor: "name@^1.0", "alias@npm:name@^1.0".
func yarnName(d string) string {
	if i := strings.Index(d, "@npm:"); i > 0 {
		if rest := d[i+len("@npm:"):]; strings.LastIndexByte(rest, '@') > 0 {
			return rest[:strings.LastIndexByte(rest, '@')]
		}
		return d[:i]
	}
	if i := strings.IndexByte(d[min(1, len(d)):], '@'); i >= 0 {
		if version := d[i+2:]; strings.Contains(version, ":") {
			return "" // "name@file:../x", "name@workspace:packages/x"
		}
		return d[:i+1]
	}
	return ""
}

// readPnpm reads pnpm-lock.yaml. Its packages are keyed "/name/1.2.3_peer" (versions up to 5), "/name@1.2.3(peer)" (6) and
// "name@1.2.3" (9).
func readPnpm(data []byte) ([]inventory.Package, error) {
	var lock struct {
		Packages map[string]struct {
			Dev bool `yaml:"dev"`
		} `yaml:"packages"`
	}
	err := lockfile.YAML(data, &lock)
	var l list
	for key, p := range lock.Packages {
		if p.Dev {
			continue
		}
		key, _, _ = strings.Cut(strings.TrimPrefix(key, "/"), "(")
		scope := 0
		if strings.HasPrefix(key, "@") {
			scope = strings.IndexByte(key, '/') + 1
		}
		i := strings.IndexAny(key[scope:], "/@")
		if i <= 0 {
			continue
		}
		i += scope
		version, _, _ := strings.Cut(key[i+1:], "_")
		l.add(key[:i], version, "")
	}
	if err == nil {
		err = l.err()
	}
	return l.sorted(), err
}
