// Package cargo reads Cargo.lock. What a Rust program was really built from is in the program when cargo auditable built it:
// see package binary.
package cargo

import (
	"fmt"
	"path"

	"stockade.dev/stockade/internal/collect/image/lockfile"
	"stockade.dev/stockade/internal/inventory"
)

const maxText = 400 // bytes of a name or a version

// Wants reports whether Read knows the file.
func Wants(p string) bool { return path.Base(p) == "Cargo.lock" }

// Read reads a Cargo.lock of any version. Packages without a source are the project's own. The error names the file.
func Read(p string, data []byte) ([]inventory.Package, error) {
	var lock struct {
		Package []struct{ Name, Version, Source string }
	}
	if err := lockfile.TOML(data, &lock); err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	var out []inventory.Package
	for _, e := range lock.Package {
		if e.Source == "" || e.Name == "" || e.Version == "" || len(e.Name) > maxText || len(e.Version) > maxText {
			continue
		}
		out = append(out, inventory.Package{Type: inventory.Cargo, Name: e.Name, Version: e.Version, Path: p, Evidence: lockfile.Evidence})
	}
	return out, nil
}
