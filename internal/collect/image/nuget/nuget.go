// Package nuget reads what .NET programs are made of: NAME.deps.json beside each program and in each shared runtime, and
// packages.lock.json. A .nuspec lies in package caches of build images only and is not read.
package nuget

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

const maxText = 400 // bytes of a name or a version

// Wants reports whether Read knows the file.
func Wants(p string) bool {
	base := path.Base(p)
	return base == "packages.lock.json" || strings.HasSuffix(base, ".deps.json") && len(base) > len(".deps.json")
}

// Read reads one file that Wants named. The error names the file.
func Read(p string, data []byte) ([]inventory.Package, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	read := readDeps
	if path.Base(p) == "packages.lock.json" {
		read = readLock
	}
	out, err := read(data)
	for i := range out {
		out[i].Path = p
	}
	slices.SortFunc(out, func(a, b inventory.Package) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Version, b.Version)
	})
	out = slices.CompactFunc(out, func(a, b inventory.Package) bool { return a.Name == b.Name && a.Version == b.Version })
	if err != nil {
		err = fmt.Errorf("%s: %w", p, err)
	}
	return out, err
}

func valid(name, version string) bool {
	return name != "" && version != "" && version[0]-'0' <= 9 && len(name) <= maxText && len(version) <= maxText
}

// readDeps reads the "libraries" of a dependency file: {"Newtonsoft.Json/13.0.1": {"type": "package"}}. Projects are the
// program itself; a "runtimepack" is a runtime that was published with it.
func readDeps(data []byte) ([]inventory.Package, error) {
	var deps struct {
		Libraries map[string]struct{ Type string }
	}
	if err := json.Unmarshal(data, &deps); err != nil {
		return nil, err
	}
	var out []inventory.Package
	for key, l := range deps.Libraries {
		name, version, _ := strings.Cut(key, "/")
		switch strings.ToLower(l.Type) {
		case "package":
		case "runtimepack":
			name = strings.TrimPrefix(name, "runtimepack.")
		default:
			continue
		}
		if valid(name, version) {
			out = append(out, inventory.Package{Type: inventory.NuGet, Name: name, Version: version, Evidence: "manifest"})
		}
	}
	return out, nil
}

// readLock reads packages.lock.json: frameworks, then packages with what they were resolved to.
func readLock(data []byte) ([]inventory.Package, error) {
	var lock struct {
		Dependencies map[string]map[string]struct{ Type, Resolved string }
	}
	if err := json.Unmarshal(data, &lock); err != nil {
		return nil, err
	}
	var out []inventory.Package
	for _, framework := range lock.Dependencies {
		for name, p := range framework {
			if p.Type != "Project" && valid(name, p.Resolved) {
				out = append(out, inventory.Package{Type: inventory.NuGet, Name: name, Version: p.Resolved, Evidence: lockfile.Evidence})
			}
		}
	}
	return out, nil
}
