// Package version orders versions the way each package manager does: one comparator for each advisory.Scheme. Those of the
// system package managers, semantic versions and the loose order for binaries are written here and allocate nothing; the
// rest is osv-scalibr's.
package version

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/osv-scalibr/semantic"

	"stockade.dev/stockade/internal/advisory"
)

// ErrNone is the error for an empty version.
var ErrNone = errors.New("no version")

// maxLength bounds what is given to the library's regular expressions and big numbers. Real versions stay below 100 bytes.
const maxLength = 512

// Compare orders a and b: negative when a is older, 0 when they are the same version, positive when a is newer. The error
// says that the two have no order: one of them is empty, or not a version of the scheme.
func Compare(s advisory.Scheme, a, b string) (int, error) {
	if a == "" || b == "" {
		return 0, ErrNone
	}
	if a == b {
		return 0, nil
	}
	switch s {
	case advisory.RPM:
		return compareRPM(a, b), nil
	case advisory.Deb:
		return compareDeb(a, b)
	case advisory.APK:
		return compareAPK(a, b), nil
	case advisory.SemVer:
		return compareSemVer(a, b)
	case advisory.GoModule:
		return compareGo(a, b)
	case advisory.Loose:
		return compareLoose(a, b), nil
	case advisory.Maven, advisory.PEP440, advisory.Gem, advisory.NuGet, advisory.Composer:
		return byLibrary(s, a, b)
	}
	return 0, fmt.Errorf("version scheme %d is not known", s)
}

// Less reports whether a is older than b. Versions without an order are not.
func Less(s advisory.Scheme, a, b string) bool {
	c, err := Compare(s, a, b)
	return err == nil && c < 0
}

// Upstream returns the part of a package's version that its upstream gave: without epoch and without release or revision.
// Versions of other schemes are returned as they are.
func Upstream(s advisory.Scheme, v string) string {
	switch s {
	case advisory.RPM:
		_, upstream, _ := evr(v)
		return upstream
	case advisory.Deb:
		_, rest, ok := strings.Cut(v, ":")
		if !ok {
			rest = v
		}
		upstream, _ := splitRevision(rest)
		return upstream
	case advisory.APK:
		if i := strings.LastIndex(v, "-r"); i > 0 {
			return v[:i]
		}
	}
	return v
}

// byLibrary asks the library in both directions: its orders are not antisymmetric for everything that can be written, and
// an answer that depends on who asks is none.
func byLibrary(s advisory.Scheme, a, b string) (c int, err error) {
	if len(a) > maxLength || len(b) > maxLength {
		return 0, fmt.Errorf("version of %d bytes: at most %d are compared", max(len(a), len(b)), maxLength)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("versions %q and %q have no order: %v", a, b, p)
		}
	}()
	va, err := parse(s, a)
	if err != nil {
		return 0, fmt.Errorf("version %q: %w", a, err)
	}
	vb, err := parse(s, b)
	if err != nil {
		return 0, fmt.Errorf("version %q: %w", b, err)
	}
	c, err = va.Compare(vb)
	if err != nil {
		return 0, err
	}
	d, err := vb.Compare(va)
	if err != nil {
		return 0, err
	}
	if sign(c) != -sign(d) {
		return 0, fmt.Errorf("versions %q and %q have no order", a, b)
	}
	return sign(c), nil
}

func parse(s advisory.Scheme, v string) (semantic.Version, error) {
	v = strings.TrimSpace(v)
	switch s {
	case advisory.Maven:
		return semantic.ParseMavenVersion(v), nil
	case advisory.PEP440:
		return semantic.ParsePyPIVersion(v)
	case advisory.Gem:
		return semantic.ParseRubyGemsVersion(v), nil
	case advisory.NuGet:
		return semantic.ParseNuGetVersion(v), nil
	}
	return semantic.ParsePackagistVersion(v), nil
}

func sign(c int) int {
	switch {
	case c < 0:
		return -1
	case c > 0:
		return 1
	}
	return 0
}

func digit(c byte) bool  { return c >= '0' && c <= '9' }
func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// digits returns how many digits v starts with.
func digits(v string) int {
	i := 0
	for i < len(v) && digit(v[i]) {
		i++
	}
	return i
}

// compareNumbers orders two runs of digits of any length; an empty one is 0.
func compareNumbers(a, b string) int {
	for len(a) > 0 && a[0] == '0' {
		a = a[1:]
	}
	for len(b) > 0 && b[0] == '0' {
		b = b[1:]
	}
	if len(a) != len(b) {
		return sign(len(a) - len(b))
	}
	return strings.Compare(a, b)
}
