// Package composer reads installed PHP packages (vendor/composer/installed.json) and composer.lock.
package composer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"stockade.dev/stockade/internal/collect/image/lockfile"
	"stockade.dev/stockade/internal/inventory"
)

const maxText = 400 // bytes of a name, a version or a licence

// Wants reports whether Read knows the file.
func Wants(p string) bool {
	return path.Base(p) == "composer.lock" || strings.HasSuffix("/"+p, "/composer/installed.json")
}

type entry struct {
	Name    string
	Version string
	License json.RawMessage // a text or a list
}

// Read reads one file that Wants named. Of composer.lock it takes "packages", not "packages-dev". The error names the file.
func Read(p string, data []byte) ([]inventory.Package, error) {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	var list struct{ Packages []entry }
	var err error
	if len(data) > 0 && data[0] == '[' { // Composer 1 wrote the list alone
		err = json.Unmarshal(data, &list.Packages)
	} else {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	evidence := "manifest"
	if path.Base(p) == "composer.lock" {
		evidence = lockfile.Evidence
	}
	var out []inventory.Package
	for _, e := range list.Packages {
		version := e.Version
		if len(version) > 1 && version[0] == 'v' && version[1]-'0' <= 9 {
			version = version[1:]
		}
		if e.Name == "" || version == "" || len(e.Name) > maxText || len(version) > maxText {
			continue
		}
		out = append(out, inventory.Package{Type: inventory.Composer, Name: strings.ToLower(e.Name), Version: version, License: license(e.License), Path: p, Evidence: evidence})
	}
	return out, nil
}

func license(raw json.RawMessage) string {
	var one string
	var all []string
	if len(raw) > 4096 {
		return ""
	}
	if json.Unmarshal(raw, &one) != nil && json.Unmarshal(raw, &all) == nil {
		one = strings.Join(all, " OR ")
	}
	return one[:min(len(one), maxText)]
}
