package match

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// maxNames bounds how many packages a gap names.
const maxNames = 8

// scarce is fewer rows than any publisher ships for a release: a database with less has a sample, not the release's advisories.
const scarce = 200

// gaps says what was not matched, one entry for each reason.
func (v *view) gaps(out *Result) []inventory.Gap {
	var gaps []inventory.Gap
	add := func(what, reason string, code finding.Code) {
		gaps = append(gaps, inventory.Gap{What: what, Reason: reason, Code: string(code)})
	}
	if len(v.s.Packages) == 0 {
		add("packages", "no packages were found", finding.NoAdvisoryData)
		return gaps
	}
	counts := map[inventory.PackageType]int{}
	system := 0
	for i := range v.s.Packages {
		counts[v.s.Packages[i].Type]++
		if v.s.Packages[i].Type.System() {
			system++
		}
	}
	switch {
	case system == 0:
	case v.s.OS == nil:
		add("system packages", fmt.Sprintf("no operating system was recognised: %d packages are not matched", system), finding.NoAdvisoryData)
	case len(v.sys.streams) == 0:
		add("system packages", "no advisory data for "+osName(v.s.OS), finding.NoAdvisoryData)
	case v.sys.rows < scarce:
		add("system packages", fmt.Sprintf("the database has only %d rows for %s: most vulnerabilities are not known", v.sys.rows, osName(v.s.OS)), finding.NoAdvisoryData)
	}
	if system > 0 && len(v.sys.streams) > 0 && out.EndOfLife {
		add("system packages", fmt.Sprintf("%s gets no free advisories since %s: newer vulnerabilities are not known", osName(v.s.OS), out.Lifecycle.EOL), finding.NoAdvisoryData)
	}
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		if kind.System() {
			continue
		}
		if name, ok := v.m.without(kind); ok {
			add(string(kind)+" packages", "no advisory data for "+name, finding.NoAdvisoryData)
		}
	}
	if v.silent > 0 {
		add("files of system packages", fmt.Sprintf("%d upstream advisories on them are left out, because the system's vendor says nothing on them (--owned shows them)", v.silent), finding.Skipped)
	}
	for _, kind := range slices.Sorted(maps.Keys(v.unread)) {
		add(string(kind)+" packages", "no version or no full name to match: "+list(v.unread[kind]), finding.Unsupported)
	}
	by := map[string][]string{}
	for _, u := range out.Undecided {
		by[u.Reason] = append(by[u.Reason], u.Package.Name)
	}
	for _, reason := range slices.Sorted(maps.Keys(by)) {
		add("advisories", fmt.Sprintf("%s: %d for %s", reason, len(by[reason]), list(by[reason])), finding.NoAdvisoryData)
	}
	v.m.mu.RLock()
	defer v.m.mu.RUnlock()
	for _, stream := range slices.Sorted(maps.Keys(v.m.failed)) {
		add("advisories of "+stream, v.m.failed[stream].Error(), finding.Broken)
	}
	return gaps
}

// without reports whether the database has no rows at all for a kind of package, and what to call them.
func (m *Matcher) without(kind inventory.PackageType) (string, bool) {
	streams, name := []string{ecosystems[kind]}, ecosystems[kind]
	if kind == inventory.Generic {
		streams, name = []string{advisory.StreamBitnami, advisory.StreamCPE, advisory.StreamKubernetes}, "binaries"
	}
	for _, s := range streams {
		if info, ok := m.db.Stream(s); ok && info.Rows > 0 {
			return "", false
		}
	}
	if name == "" {
		name = string(kind)
	}
	return name, true
}

func osName(os *inventory.OS) string {
	for _, name := range []string{os.Release, os.Pretty, strings.TrimSpace(os.ID + " " + os.VersionID)} {
		if name != "" {
			return name
		}
	}
	return "this operating system"
}

// list names some of many, sorted, each once.
func list(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxNames {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames], ", "), len(names)-maxNames)
	}
	return strings.Join(names, ", ")
}
