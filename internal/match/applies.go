package match

import (
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/inventory"
)

// sameArch reports whether a row for these architectures holds for a package of one. Packages without one run on all.
func sameArch(arches []string, arch string) bool {
	if len(arches) == 0 || arch == "" || arch == "noarch" || arch == "all" {
		return true
	}
	arch = archName(arch)
	for _, a := range arches {
		if a == "noarch" || a == "all" || archName(a) == arch {
			return true
		}
	}
	return false
}

// archName brings the names of one processor together: package managers do not agree.
func archName(a string) string {
	switch a {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	case "i386", "i486", "i586", "x86":
		return "i686"
	case "ppc64el":
		return "ppc64le"
	}
	return a
}

// flavors are kinds of builds whose versions carry the kind's name and compare only with each other.
var flavors = [...]string{"ksplice", "fips"}

// flavorOf returns the kind of build that a version names, or "".
func flavorOf(version string) string {
	for _, f := range flavors {
		if strings.Contains(version, f) {
			return f
		}
	}
	return ""
}

// rowFlavor is the kind of build a row is for: as it says, or as its fixed versions do.
func rowFlavor(row *advisory.Row) string {
	if row.Flavor != "" {
		return row.Flavor
	}
	for i := range row.Ranges {
		if f := flavorOf(row.Ranges[i].Fixed); f != "" {
			return f
		}
	}
	return ""
}

// branch returns the minor release in an rpm's release: "el8_4" of "1.1.1g-16.el8_4.2"; "" when it names none.
func branch(version string) string {
	i := strings.LastIndex(version, ".el")
	if i < 0 {
		return ""
	}
	tag, _, _ := strings.Cut(version[i+1:], ".")
	if !strings.Contains(tag, "_") {
		return ""
	}
	return tag
}

// sourceVersion is the version that rows for the source package compare with. The name of a source rpm has no epoch: where
// the binary has the source's version, it has its epoch too; a binary with a version of its own does not tell, and known is
// false.
func sourceVersion(p *inventory.Package) (v string, known bool) {
	v = p.SourceEVR()
	if p.Type != inventory.RPM || p.SourceVersion == "" || strings.Contains(v, ":") {
		return v, true
	}
	_, rest, has := strings.Cut(p.Version, ":")
	if !has {
		rest = p.Version
	}
	if rest != v {
		return v, false
	}
	return p.Version, true
}

// withoutEpoch is a version without its epoch.
func withoutEpoch(v string) string {
	if epoch, rest, ok := strings.Cut(v, ":"); ok && strings.Trim(epoch, "0123456789") == "" {
		return rest
	}
	return v
}

// withoutEpochs is a row whose bounds have none.
func withoutEpochs(row *advisory.Row) *advisory.Row {
	bare := withoutEpoch
	out := cloneRow(row)
	for i := range out.Ranges {
		r := &out.Ranges[i]
		r.Introduced, r.Fixed, r.LastAffected = bare(r.Introduced), bare(r.Fixed), bare(r.LastAffected)
	}
	for i, v := range out.Versions {
		out.Versions[i] = bare(v)
	}
	return out
}

// entitled reports whether the system has the subscription that a fix needs.
func entitled(pro []string, subscription string) bool {
	for _, p := range pro {
		if strings.EqualFold(p, subscription) || len(p) > len(subscription) && p[len(subscription)] == '-' && strings.EqualFold(p[:len(subscription)], subscription) {
			return true
		}
	}
	return false
}

// product decides whether a row that names a product by CPE holds for the system: 1 it does, 0 it does not, and -1 for a
// product that is layered on the release, when nothing tells which repositories the packages came from. Products layered on a
// release name it in the edition: "cpe:/a:vendor:platform:4.12::el8".
func (sys *system) product(cpe string) int {
	if cpe == "" {
		return 1
	}
	if len(sys.products) > 0 {
		for _, p := range sys.products {
			if covers(cpe, p) {
				return 1
			}
		}
		return 0
	}
	if i := strings.LastIndexByte(cpe, ':'); i > 0 && len(cpe) > i+3 && cpe[i+1:i+3] == "el" && cpe[i+3] >= '0' && cpe[i+3] <= '9' {
		return -1
	}
	return 1
}

// covers reports whether a CPE (URI binding) is the same product as another or one that leaves parts of it open.
func covers(general, special string) bool {
	for general != "" {
		var g, s string
		g, general, _ = strings.Cut(general, ":")
		s, special, _ = strings.Cut(special, ":")
		if g != "" && g != s {
			return false
		}
	}
	return true
}
