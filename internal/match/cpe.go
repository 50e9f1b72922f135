package match

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/version"
)

// The fields of a formatted CPE 2.3 string that are read.
const (
	cpePart      = 2
	cpeVendor    = 3
	cpeProduct   = 4
	cpeVersion   = 5
	cpeSWEdition = 9
	cpeTargetSW  = 10
)

// cpeField returns a field of a CPE, in either binding, without its escapes; "*" when it is not given.
func cpeField(cpe string, field int) string {
	if rest, ok := strings.CutPrefix(cpe, "cpe:/"); ok {
		cpe = "cpe:2.3:" + rest
	}
	n, start := 0, 0
	for i := 0; i <= len(cpe); i++ {
		if i < len(cpe) && cpe[i] == '\\' {
			i++
			continue
		}
		if i < len(cpe) && cpe[i] != ':' {
			continue
		}
		if n == field {
			if i == start {
				return "*"
			}
			return strings.ReplaceAll(cpe[start:min(i, len(cpe))], `\`, "")
		}
		n, start = n+1, i+1
	}
	return "*"
}

// foreign are systems that no inventory here is of.
var foreign = []string{"windows", "windows_10", "windows_11", "windows_server", "macos", "mac_os_x", "mac_os", "android", "iphone_os", "ipados", "ios",
	"chrome_os", "solaris", "sunos", "aix", "hp-ux", "z\\/os", "z/os", "freebsd", "openbsd", "netbsd"}

// here reports whether criteria may mean a program on a Linux system in the edition that is installed.
func here(cpe string, p *inventory.Package) bool {
	if slices.Contains(foreign, cpeField(cpe, cpeTargetSW)) {
		return false
	}
	edition, have := cpeField(cpe, cpeSWEdition), p.Settings["edition"]
	return open(edition) || have == "" || strings.EqualFold(edition, have)
}

func open(field string) bool { return field == "*" || field == "-" }

// answers of a requirement.
type answerKind int

const (
	no answerKind = iota
	unknown
	yes
)

// required judges what must stand beside a vulnerable product. It returns false when something is surely not there; what
// cannot be told becomes a note.
func (v *view) required(f *Vulnerability) bool {
	for i := range f.Row.Requires {
		r := &f.Row.Requires[i]
		best := no
		for _, cpe := range r.CPE {
			best = max(best, v.present(cpe, r.Ranges))
		}
		switch best {
		case no:
			return false
		case unknown:
			names := strings.Join(shortNames(r.CPE), ", ")
			f.note(finding.Text{EN: "holds only together with " + names + "; whether it is there is not known", ZH: "仅在同时存在 " + names + " 时成立；无法判断其是否存在"})
		}
	}
	return true
}

func shortNames(cpes []string) []string {
	var out []string
	for _, c := range cpes {
		if n := cpeField(c, cpeVendor) + ":" + cpeField(c, cpeProduct); !slices.Contains(out, n) {
			out = append(out, n)
		}
		if len(out) == 4 {
			break
		}
	}
	return out
}

// present tells whether a product is there in a version of the ranges.
func (v *view) present(cpe string, ranges []advisory.Range) answerKind {
	vendor, product := cpeField(cpe, cpeVendor), cpeField(cpe, cpeProduct)
	switch cpeField(cpe, cpePart) {
	case "o":
		if slices.Contains(foreign, product) {
			return no
		}
		if v.s.OS == nil {
			return unknown
		}
		if product == "linux_kernel" {
			if len(ranges) == 0 && open(cpeField(cpe, cpeVersion)) {
				return yes
			}
			return unknown // the kernel is the node's
		}
		if v.s.OS.CPE == "" {
			return unknown
		}
		if vendor != cpeField(v.s.OS.CPE, cpeVendor) || product != cpeField(v.s.OS.CPE, cpeProduct) {
			return no
		}
		return inVersion(cpe, ranges, v.s.OS.VersionID)
	case "a":
		best := unknown // not found is not absent
		for i := range v.s.Packages {
			p := &v.s.Packages[i]
			if slices.Contains(p.CPEs, vendor+":"+product) {
				if best = inVersion(cpe, ranges, p.Version); best == yes {
					return yes
				}
			}
		}
		return best
	}
	return unknown // hardware
}

func inVersion(cpe string, ranges []advisory.Range, have string) answerKind {
	if have == "" {
		return unknown
	}
	if len(ranges) == 0 {
		want := cpeField(cpe, cpeVersion)
		if open(want) {
			return yes
		}
		ranges = []advisory.Range{{Introduced: want, LastAffected: want}}
	}
	for i := range ranges {
		in, _, err := within(advisory.Loose, &ranges[i], have)
		if err != nil {
			return unknown
		}
		if in {
			return yes
		}
	}
	return no
}

// upstreamRow is a row of a related system with upstream versions only.
func upstreamRow(row *advisory.Row) *advisory.Row {
	c := cloneRow(row)
	for i := range c.Ranges {
		r := &c.Ranges[i]
		for _, bound := range []*string{&r.Introduced, &r.Fixed, &r.LastAffected} {
			if *bound != "" {
				*bound = version.Upstream(c.Scheme, *bound)
			}
		}
	}
	return c
}
