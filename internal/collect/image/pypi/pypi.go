// Package pypi reads installed Python packages (METADATA of wheels, PKG-INFO of eggs) and the lock files of Poetry, Pipenv,
// uv and PDM. requirements.txt says what someone wants, not what is there, and is not read.
package pypi

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

const maxText = 400 // bytes of a name, a version or a licence

// Wants reports whether Read knows the file.
func Wants(p string) bool {
	dir, base := path.Split(p)
	switch base {
	case "METADATA":
		return strings.HasSuffix(dir, ".dist-info/")
	case "PKG-INFO":
		return strings.HasSuffix(dir, ".egg-info/") || strings.HasSuffix(dir, "EGG-INFO/")
	case "poetry.lock", "Pipfile.lock", "uv.lock", "pdm.lock":
		return true
	}
	return strings.HasSuffix(base, ".egg-info") && len(base) > len(".egg-info")
}

// Read reads one file that Wants named. Names are normalised by PEP 503. The error names the file.
func Read(p string, data []byte) ([]inventory.Package, error) {
	var out []inventory.Package
	var err error
	switch path.Base(p) {
	case "Pipfile.lock":
		out, err = readPipfile(data)
	case "poetry.lock", "uv.lock", "pdm.lock":
		out, err = readTOML(data)
	default:
		out, err = readMetadata(data)
	}
	for i := range out {
		out[i].Path = p
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", p, err)
	}
	return out, err
}

// Normalize writes a name as PEP 503 has it: lower case, runs of "-", "_" and "." are one "-".
func Normalize(name string) string {
	var b strings.Builder
	gap := false
	for i := range len(name) {
		switch c := name[i]; {
		case c == '-' || c == '_' || c == '.':
			gap = b.Len() > 0
		default:
			if gap {
				b.WriteByte('-')
				gap = false
			}
			if c-'A' <= 'Z'-'A' {
				c |= 0x20
			}
			b.WriteByte(c)
		}
	}
	return b.String()
}

func valid(name, version string) bool {
	return name != "" && version != "" && len(name) <= maxText && len(version) <= maxText && !strings.ContainsAny(name+version, " \t/\\")
}

// readMetadata reads the head of a core metadata file (packaging.python.org/specifications/core-metadata): fields as in a mail's
// head, up to an empty line.
func readMetadata(data []byte) ([]inventory.Package, error) {
	var name, version, license string
	for len(data) > 0 {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 {
			break
		}
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || line[0] == ' ' || line[0] == '\t' || len(value) > 2000 {
			continue
		}
		text := string(bytes.TrimSpace(value))
		switch strings.ToLower(string(key[:min(len(key), 20)])) {
		case "name":
			if name == "" {
				name = text
			}
		case "version":
			if version == "" {
				version = text
			}
		case "license-expression":
			license = text
		case "license":
			if license == "" && text != "UNKNOWN" {
				license = text
			}
		}
	}
	if !valid(name, version) {
		return nil, fmt.Errorf("has no name and version")
	}
	return []inventory.Package{{Type: inventory.PyPI, Name: Normalize(name), Version: version, License: license[:min(len(license), maxText)], Evidence: "manifest"}}, nil
}

func locked(name, version string) (inventory.Package, bool) {
	name = Normalize(name)
	return inventory.Package{Type: inventory.PyPI, Name: name, Version: version, Evidence: lockfile.Evidence}, valid(name, version)
}

func sorted(list []inventory.Package) []inventory.Package {
	slices.SortFunc(list, func(a, b inventory.Package) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Version, b.Version)
	})
	return slices.CompactFunc(list, func(a, b inventory.Package) bool { return a.Name == b.Name && a.Version == b.Version })
}

// readPipfile reads Pipfile.lock: "default" has what is installed, each {"version": "==1.2.3"}; "develop" is left out.
func readPipfile(data []byte) ([]inventory.Package, error) {
	var lock struct {
		Default map[string]json.RawMessage
	}
	if err := json.Unmarshal(data, &lock); err != nil {
		return nil, err
	}
	var out []inventory.Package
	for name, raw := range lock.Default {
		var e struct{ Version string }
		if json.Unmarshal(raw, &e) != nil {
			continue
		}
		if one, ok := locked(name, strings.TrimPrefix(e.Version, "==")); ok {
			out = append(out, one)
		}
	}
	return sorted(out), nil
}

// readTOML reads the [[package]] tables of poetry.lock, uv.lock and pdm.lock. Poetry before 1.5 marks development packages
// with category = "dev"; uv marks the project itself with source = { virtual = "." } or editable.
func readTOML(data []byte) ([]inventory.Package, error) {
	var lock struct {
		Package []struct {
			Name, Version, Category string
			Source                  map[string]any
		}
	}
	if err := lockfile.TOML(data, &lock); err != nil {
		return nil, err
	}
	var out []inventory.Package
	for _, p := range lock.Package {
		if p.Category == "dev" || p.Source["virtual"] != nil || p.Source["editable"] != nil || p.Source["directory"] != nil {
			continue
		}
		if one, ok := locked(p.Name, p.Version); ok {
			out = append(out, one)
		}
	}
	return sorted(out), nil
}
