package emergency

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/version"
)

// schemes are the orders of versions by the names that lists write.
var schemes = map[string]advisory.Scheme{
	"semver": advisory.SemVer, "go": advisory.GoModule, "maven": advisory.Maven, "kernel": advisory.Loose, "loose": advisory.Loose,
	"dpkg": advisory.Deb, "rpm": advisory.RPM,
}

func (r *Range) validate() error {
	if r.Component == "" || len(r.Component) > 200 {
		return errors.New("a range without a component")
	}
	if name, ok := strings.CutPrefix(r.Component, packagePrefix); ok && !strings.Contains(name, "/") {
		return fmt.Errorf("component %q: want package:TYPE/NAME", r.Component)
	}
	if _, ok := schemes[r.Scheme]; !ok {
		return fmt.Errorf("%s: scheme %q", r.Component, r.Scheme)
	}
	if len(r.Spans) == 0 || len(r.Spans) > mostSpans || len(r.Streams) > mostSpans {
		return fmt.Errorf("%s: spans are needed", r.Component)
	}
	for _, s := range r.Spans {
		if s.Introduced == "" || len(s.Introduced)+len(s.Fixed)+len(s.Last) > 300 || s.Fixed != "" && s.Last != "" {
			return fmt.Errorf("%s: a span begins with introduced, and ends with fixed, last or nothing", r.Component)
		}
		if s.Introduced != "0" {
			if end := s.Fixed + s.Last; end != "" && !version.Less(schemes[r.Scheme], s.Introduced, end) && !(s.Introduced == s.Last) {
				return fmt.Errorf("%s: the span from %s to %s is empty", r.Component, s.Introduced, end)
			}
		}
	}
	return nil
}

// packagePrefix begins components that are packages: "package:maven/org.apache.logging.log4j:log4j-core".
const packagePrefix = "package:"

// holds reports whether a version is in one of the spans, and the fix of that span.
func (r *Range) holds(v string) (in bool, fixed string, err error) {
	scheme := schemes[r.Scheme]
	v = r.plain(v)
	if v == "" {
		return false, "", version.ErrNone
	}
	v = numbered(r.Scheme, v)
	for _, s := range r.Spans {
		fix := s.Fixed
		s.Introduced, s.Fixed, s.Last = numbered(r.Scheme, s.Introduced), numbered(r.Scheme, s.Fixed), numbered(r.Scheme, s.Last)
		if s.Introduced != "0" {
			c, err := version.Compare(scheme, v, s.Introduced)
			if err != nil {
				return false, "", err
			}
			if c < 0 {
				continue
			}
		}
		switch {
		case s.Fixed != "":
			c, err := version.Compare(scheme, v, s.Fixed)
			if err != nil {
				return false, "", err
			}
			if c >= 0 {
				continue
			}
		case s.Last != "":
			c, err := version.Compare(scheme, v, s.Last)
			if err != nil {
				return false, "", err
			}
			if c > 0 {
				continue
			}
		}
		return true, fix, nil
	}
	return false, "", nil
}

// candidate is a release candidate whose number is glued to its word.
var candidate = regexp.MustCompile(`-(alpha|beta|rc)(\d+)$`)

// numbered makes the number of a release candidate a part of its own: "1.0.0-rc10" comes after "1.0.0-rc9", though letter by letter it
// does not.
func numbered(scheme, v string) string {
	if scheme != "go" && scheme != "semver" {
		return v
	}
	return candidate.ReplaceAllString(v, "-$1.$2")
}

// plain brings a version into the form that the range's scheme orders: upstream's part of what distributions write.
func (r *Range) plain(v string) string {
	switch r.Scheme {
	case "dpkg", "rpm", "maven":
		return v
	}
	if _, after, ok := strings.Cut(v, ":"); ok && !strings.Contains(v, "/") { // an epoch
		v = after
	}
	// Debian names 5.4.5 "5.6.1+really5.4.5", so that it replaces 5.6.1.
	if _, real, ok := strings.Cut(v, "really"); ok {
		v = real
	}
	if r.Scheme == "kernel" {
		return kernelVersion(v)
	}
	if r.Scheme == "loose" {
		v, _, _ = strings.Cut(v, "-")
		v, _, _ = strings.Cut(v, "+")
		v, _, _ = strings.Cut(v, "~")
		return v
	}
	v, _, _ = strings.Cut(v, "~ds")
	v, _, _ = strings.Cut(v, "~deb")
	v = strings.Replace(v, "~rc", "-rc", 1)
	v, _, _ = strings.Cut(v, "+")
	return v
}

// kernelVersion is the release of upstream in what "uname -r" says: "5.15.0" of "5.15.0-91-generic", "4.18.0" of "4.18.0-348.el8".
func kernelVersion(v string) string {
	v, _, _ = strings.Cut(v, "-")
	v, _, _ = strings.Cut(v, "+")
	return v
}

// concerns reports whether the range is for systems such as that of the subject.
func (r *Range) concerns(streams []string) bool {
	return len(r.Streams) == 0 || slices.ContainsFunc(streams, func(s string) bool {
		return slices.ContainsFunc(r.Streams, func(w string) bool { return s == w || strings.HasPrefix(s, w+" ") })
	})
}

// isPackage reports whether the range is of this package, and whether by the name of a product that it is.
func (r *Range) isPackage(p *inventory.Package) bool {
	name, ok := strings.CutPrefix(r.Component, packagePrefix)
	if !ok {
		return p.Component == r.Component || p.Type == inventory.Generic && p.Name == r.Component ||
			p.Type.System() && p.Name == r.Component && r.Component != "kernel" // Debian's Go programs do not say what they are
	}
	kind, name, _ := strings.Cut(name, "/")
	return string(p.Type) == kind && (p.Name == name || p.Type.System() && p.SourceName() == name)
}

// String writes a range as people read it: "runc >= 1.0.0-rc93, < 1.1.12".
func (r *Range) String() string {
	name := strings.TrimPrefix(r.Component, packagePrefix)
	if len(r.Streams) > 0 {
		name += " of " + strings.Join(r.Streams, ", ")
	}
	var spans []string
	for _, s := range r.Spans {
		var parts []string
		if s.Introduced != "0" {
			parts = append(parts, ">= "+s.Introduced)
		}
		if s.Fixed != "" {
			parts = append(parts, "< "+s.Fixed)
		}
		if s.Last != "" {
			parts = append(parts, "<= "+s.Last)
		}
		if len(parts) == 0 {
			parts = []string{"all versions"}
		}
		spans = append(spans, strings.Join(parts, ", "))
	}
	return name + " " + strings.Join(spans, "; ")
}

// Fixes lists the versions that fix an emergency, each component's apart: "runc 1.1.12".
func (e *Emergency) Fixes() []string {
	out := []string{}
	for _, r := range e.Affected {
		for _, s := range r.Spans {
			if s.Fixed == "" {
				continue
			}
			if one := strings.TrimPrefix(r.Component, packagePrefix) + " " + s.Fixed; !slices.Contains(out, one) {
				out = append(out, one)
			}
		}
	}
	return out
}
