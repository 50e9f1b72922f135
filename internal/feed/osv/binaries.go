package osv

import (
	"encoding/json"
	"maps"
	"slices"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed/notation"
)

// packages reads lists of RPM files by architecture, {"x86_64": ["dnsmasq-2.82-2.oe1.x86_64.rpm", ...], "src": [...]}. Some
// records list the builds before beside the fixed ones, so only those of the fixed version count, when there are any.
func packages(a *affected, row *advisory.Row) {
	var lists map[string]json.RawMessage
	if len(a.Ecosystem) == 0 || json.Unmarshal(a.Ecosystem, &lists) != nil {
		return
	}
	fixed := map[string]bool{}
	for _, g := range row.Ranges {
		fixed[g.Fixed] = true
	}
	var arches, names []string
	for _, arch := range sorted(lists) {
		var files []string
		if !slices.Contains(notation.Arches, arch) || arch == "src" || json.Unmarshal(lists[arch], &files) != nil {
			continue
		}
		mine := 0
		for _, f := range files {
			if name, evr, _, ok := notation.NEVRA(f); ok && fixed[evr] && !notation.Debug(name) {
				names = append(names, name)
				mine++
			}
		}
		if mine > 0 && arch != "noarch" {
			arches = append(arches, arch)
		}
		if arch == "noarch" && mine > 0 {
			arches = append(arches, "x86_64", "aarch64")
		}
	}
	slices.Sort(names)
	row.Binaries = slices.Compact(names)
	slices.Sort(arches)
	if arches = slices.Compact(arches); len(arches) == 1 {
		row.Arches = arches
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
