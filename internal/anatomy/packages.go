package anatomy

import (
	"cmp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/version"
)

// ImagePackage is a package of an image.
type ImagePackage struct {
	Type         inventory.PackageType `json:"type"`
	Name         string                `json:"name"`
	Version      string                `json:"version,omitempty"`
	Arch         string                `json:"arch,omitempty"`
	Path         string                `json:"path,omitempty"`
	Layer        int                   `json:"layer" doc:"index; -1: not known"`
	Base         bool                  `json:"base"`
	License      string                `json:"license,omitempty"`
	Source       string                `json:"source,omitempty" doc:"source package, where it has another name"`
	Owner        string                `json:"owner,omitempty" doc:"system package that brought the file"`
	Evidence     string                `json:"evidence,omitempty" doc:"how it was named: database, manifest, build info, ..."`
	Findings     int                   `json:"findings"`
	Worst        string                `json:"worst,omitempty" enum:"critical,high,medium,low,info"`
	FixedVersion string                `json:"fixedVersion,omitempty" doc:"the least version without the findings that are fixed anywhere"`

	at    int64 // index
	worst ledger.Severity
}

// PackageFilter narrows the packages of an image; zero fields do not.
type PackageFilter struct {
	Q          string
	Types      []string
	Layer      *int
	Origin     string // base or own
	Vulnerable *bool
}

// packages lists what an image holds with its findings.
func packages(b *body, f *findings, filter PackageFilter) []ImagePackage {
	type sum struct {
		n     int
		worst ledger.Severity
		fixed string
	}
	found := map[int]*sum{}
	for i := range f.list {
		x := &f.list[i]
		if x.pkg < 0 {
			continue
		}
		s := found[x.pkg]
		if s == nil {
			s = &sum{}
			found[x.pkg] = s
		}
		s.n++
		s.worst = max(s.worst, x.Severity)
		if x.FixedVersion != "" && (s.fixed == "" || version.Less(schemeOf(x.PackageType), s.fixed, x.FixedVersion)) {
			s.fixed = x.FixedVersion
		}
	}
	var out []ImagePackage
	for i := range b.packages {
		p := &b.packages[i]
		at, s := b.layer(p.Layer), found[i]
		base := at >= 0 && at < f.base
		switch {
		case len(filter.Types) > 0 && !slices.Contains(filter.Types, string(p.Type)),
			filter.Layer != nil && *filter.Layer != at,
			filter.Origin == "base" && !base,
			filter.Origin == "own" && (base || at < 0),
			filter.Vulnerable != nil && *filter.Vulnerable != (s != nil),
			filter.Q != "" && !holds(filter.Q, p.Name, p.Version, p.Path, p.License):
			continue
		}
		row := ImagePackage{Type: p.Type, Name: shortened(p.Name), Version: shortened(p.Version), Arch: shortened(p.Arch), Path: shortened(p.Path), Layer: at, Base: base,
			License: shortened(p.License), Source: shortened(p.Source), Owner: shortened(p.Owner), Evidence: shortened(p.Evidence), at: int64(i), worst: -1}
		if s != nil {
			row.Findings, row.worst, row.Worst, row.FixedVersion = s.n, s.worst, s.worst.String(), s.fixed
		}
		out = append(out, row)
	}
	return out
}

// packageOrders are the sorts of packages; each also with "-" before it.
var packageOrders = map[string]func(x, y *ImagePackage) int{
	"name":     func(x, y *ImagePackage) int { return strings.Compare(x.Name, y.Name) },
	"type":     func(x, y *ImagePackage) int { return strings.Compare(string(x.Type), string(y.Type)) },
	"layer":    func(x, y *ImagePackage) int { return x.Layer - y.Layer },
	"findings": func(x, y *ImagePackage) int { return x.Findings - y.Findings },
	"worst":    func(x, y *ImagePackage) int { return cmp.Or(int(x.worst-y.worst), x.Findings-y.Findings) },
}

// page sorts packages and cuts out a page.
func packagePage(list []ImagePackage, sort string, page store.Page) ([]ImagePackage, string, error) {
	err := arrange(list, packageOrders, sort, func(x, y *ImagePackage) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), int(x.at-y.at))
	})
	if err != nil {
		return nil, "", err
	}
	return slice(list, page, sort, func(p *ImagePackage) int64 { return p.at })
}
