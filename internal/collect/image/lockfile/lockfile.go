// Package lockfile settles what lock files say against what is installed. A lock file lists what a build would install, with
// what other platforms need; where the installed packages themselves can be read, they alone count.
package lockfile

import (
	"path"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// Evidence is the Evidence of packages that come from lock files.
const Evidence = "lock file"

// Settle removes packages that were read from lock files when an installed package of the same type, name and version is
// among all, or when the tree that the lock file describes is: node_modules beside package-lock.json, vendor beside
// composer.lock. Order is kept; the slice is reused.
func Settle(all []inventory.Package) []inventory.Package {
	type key struct {
		t             inventory.PackageType
		name, version string
	}
	type tree struct {
		t   inventory.PackageType
		dir string
	}
	locks := false
	for i := range all {
		locks = locks || all[i].Evidence == Evidence
	}
	if !locks {
		return all
	}
	installed, trees := map[key]bool{}, map[tree]bool{}
	for i := range all {
		p := &all[i]
		if p.Evidence == Evidence || p.Type.System() {
			continue
		}
		installed[key{p.Type, p.Name, p.Version}] = true
		for _, mark := range marks[p.Type] {
			// A tree inside a tree belongs to the outer one's lock file as well as to its own.
			for rest := "/" + p.Path; ; {
				j := strings.LastIndex(rest, mark)
				if j < 0 {
					break
				}
				rest = rest[:j]
				trees[tree{p.Type, strings.TrimPrefix(rest, "/")}] = true
			}
		}
	}
	out := all[:0]
	for _, p := range all {
		if p.Evidence == Evidence {
			dir := path.Dir(p.Path)
			if dir == "." || dir == "/" {
				dir = ""
			}
			if installed[key{p.Type, p.Name, p.Version}] || trees[tree{p.Type, strings.TrimPrefix(dir, "/")}] {
				continue
			}
		}
		out = append(out, p)
	}
	return out
}

// marks tell where a tree stands in the path of an installed package; the lock file is in the folder before it.
var marks = map[inventory.PackageType][]string{
	inventory.NPM:      {"/node_modules/"},
	inventory.Composer: {"/vendor/composer/installed.json"},
}
