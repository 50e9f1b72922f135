// Package cpe reads CPE names (NIST IR 7695) of both bindings, "cpe:2.3:a:apache:http_server:2.4.7:*:*:*:*:*:*:*" and
// "cpe:/a:apache:http_server:2.4.7", and makes the rows of the stream of CPEs from them.
package cpe

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"stockade.dev/stockade/internal/advisory"
)

// Name is a CPE name. "*" is any, "-" is not applicable; other values have their escapes removed.
type Name struct {
	Part, Vendor, Product, Version, Update, Edition, Language, SWEdition, TargetSW, TargetHW, Other string
}

// Parse reads either binding.
func Parse(s string) (Name, bool) {
	s = strings.TrimSpace(s)
	if len(s) > 1000 || strings.ContainsFunc(s, unwritable) {
		return Name{}, false
	}
	var f []string
	if rest, ok := strings.CutPrefix(s, "cpe:2.3:"); ok {
		f = split(rest)
	} else if rest, ok := strings.CutPrefix(s, "cpe:/"); ok {
		for p := range strings.SplitSeq(rest, ":") {
			if u, err := url.PathUnescape(p); err == nil {
				p = u
			}
			f = append(f, strings.ToLower(p))
		}
	} else {
		return Name{}, false
	}
	for len(f) < 11 {
		f = append(f, "*")
	}
	for i := range f {
		if strings.ContainsFunc(f[i], unwritable) { // came out of an escape
			return Name{}, false
		}
		if f[i] == "" {
			f[i] = "*"
		}
	}
	n := Name{f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10]}
	if len(n.Part) != 1 || !strings.Contains("aoh", n.Part) || n.Vendor == "*" || n.Product == "*" || n.Vendor == "-" || n.Product == "-" {
		return Name{}, false
	}
	return n, true
}

// unwritable reports whether a character cannot stand in a name. Bytes that are no UTF-8 are read as the replacement character.
func unwritable(c rune) bool {
	return unicode.IsSpace(c) || unicode.IsControl(c) || c == unicode.ReplacementChar
}

// split cuts at colons that are not escaped and removes the escapes.
func split(s string) []string {
	var f []string
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == ':':
			f = append(f, b.String())
			b.Reset()
		default:
			b.WriteByte(s[i])
		}
	}
	f = append(f, b.String())
	for i := range f {
		f[i] = strings.ToLower(f[i])
	}
	return f
}

var escaped = regexp.MustCompile(`[^a-z0-9_.*-]`)

// String writes the formatted string binding.
func (n Name) String() string {
	f := []string{n.Part, n.Vendor, n.Product, n.Version, n.Update, n.Edition, n.Language, n.SWEdition, n.TargetSW, n.TargetHW, n.Other}
	for i := range f {
		f[i] = escaped.ReplaceAllStringFunc(f[i], func(c string) string { return `\` + c })
	}
	return "cpe:2.3:" + strings.Join(f, ":")
}

// Package returns the name that rows of the stream of CPEs have: "vendor:product".
func (n Name) Package() string { return n.Vendor + ":" + n.Product }

// Any returns the name for every version.
func (n Name) Any() Name {
	n.Version, n.Update = "*", "*"
	return n
}

var (
	java  = regexp.MustCompile(`^update_?(\d+)(?:_b\d+)?$`)
	joint = regexp.MustCompile(`^(?:p\d+|[a-z])$`)
)

// Exact returns the version that the name is about in the spelling that programs have, or "" when it is about any or none.
// The update part joins the version: OpenSSH "7.2" and "p2" is 7.2p2, Java "1.8.0" and "update_201" is 1.8.0_201 and
// "8" and "update201" is 8u201, others become "1.0-rc1".
func (n Name) Exact() string {
	if n.Version == "*" || n.Version == "-" {
		return ""
	}
	switch {
	case n.Update == "*" || n.Update == "-":
		return n.Version
	case java.MatchString(n.Update) && strings.HasPrefix(n.Version, "1."):
		return n.Version + "_" + java.FindStringSubmatch(n.Update)[1]
	case java.MatchString(n.Update) && len(n.Version) <= 2:
		return n.Version + "u" + java.FindStringSubmatch(n.Update)[1]
	case joint.MatchString(n.Update):
		return n.Version + n.Update
	}
	return n.Version + "-" + n.Update
}

// foreign are systems that no Linux image or node runs.
var foreign = map[string]bool{
	"windows": true, "macos": true, "mac_os_x": true, "mac_os": true, "android": true, "iphone_os": true, "ipados": true, "ios": true,
	"windows_10": true, "windows_server": true, "chrome_os": true, "watchos": true, "tvos": true, "aix": true, "solaris": true, "hp-ux": true, "z/os": true,
}

// plugins are programs whose extensions have names of their own, which nothing in an image is known by.
var plugins = map[string]bool{"wordpress": true, "joomla!": true, "drupal": true, "chrome": true, "firefox": true, "prestashop": true, "typo3": true, "magento": true}

// Outside tells why a product cannot be in what is scanned; "" when it can.
func (n Name) Outside() string {
	switch {
	case n.Part == "h":
		return "hardware"
	case n.Part == "o":
		return "operating system"
	case foreign[n.TargetSW]:
		return "for another operating system"
	case plugins[n.TargetSW]:
		return "extension of " + n.TargetSW
	}
	return ""
}

// ForeignSystem reports whether the name is an operating system other than Linux.
func (n Name) ForeignSystem() bool {
	return n.Part == "o" && (foreign[n.Product] || n.Vendor == "microsoft" || n.Vendor == "apple" || strings.HasPrefix(n.Product, "windows"))
}

// Rows collects ranges and versions by product and turns them into rows.
type Rows struct {
	byKey map[string]*advisory.Row
	order []string
}

// Add adds a statement on one product. Exact versions and ranges of one product with the same requirements become one row.
func (r *Rows) Add(n Name, ranges []advisory.Range, version string, requires []advisory.Requirement) {
	if r.byKey == nil {
		r.byKey = map[string]*advisory.Row{}
	}
	criteria := n.Any().String()
	var key strings.Builder
	key.WriteString(criteria)
	for _, q := range requires {
		key.WriteString("\x00" + strings.Join(q.CPE, "\x01"))
		for _, g := range q.Ranges {
			key.WriteString("\x02" + g.Introduced + "\x02" + g.Fixed + "\x02" + g.LastAffected)
		}
	}
	row := r.byKey[key.String()]
	if row == nil {
		row = &advisory.Row{Stream: advisory.StreamCPE, Package: n.Package(), State: advisory.Affected, Scheme: advisory.Loose, CPE: criteria, Requires: requires}
		r.byKey[key.String()] = row
		r.order = append(r.order, key.String())
	}
	if version != "" && len(row.Versions) < 100000 {
		row.Versions = append(row.Versions, version)
	}
	for _, g := range ranges {
		if g.Fixed != "" {
			row.State = advisory.Fixed
		}
		row.Ranges = append(row.Ranges, g)
	}
}

// All calls yield for each row with distinct ranges and versions.
func (r *Rows) All(yield func(advisory.Row) error) error {
	for _, key := range r.order {
		row := *r.byKey[key]
		row.Versions = distinct(row.Versions)
		row.Ranges = distinct(row.Ranges)
		// An interval without ends says all; what else there is adds nothing.
		for _, g := range row.Ranges {
			if g == (advisory.Range{}) {
				row.Ranges, row.Versions, row.State = nil, nil, advisory.Affected
				break
			}
		}
		if err := yield(row); err != nil {
			return err
		}
	}
	return nil
}

func distinct[T comparable](list []T) []T {
	seen := make(map[T]bool, len(list))
	var out []T
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}
