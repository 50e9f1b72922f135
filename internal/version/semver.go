package version

import (
	"fmt"
	"strings"
)

// compareSemVer orders semantic versions as they are found: with or without "v", with fewer or more than three numbers
// (missing ones are 0; a fourth is a number, not a pre-release, as four-part versions of bundled software need it), and
// with a pre-release glued on ("1.21rc2"). Build metadata does not count. Source: semver.org 2.0.0, item 11.
func compareSemVer(a, b string) (int, error) {
	na, pa, ok := semver(a)
	if !ok {
		return 0, fmt.Errorf("%q is no semantic version", a)
	}
	nb, pb, ok := semver(b)
	if !ok {
		return 0, fmt.Errorf("%q is no semantic version", b)
	}
	for na != "" || nb != "" {
		var x, y string
		x, na, _ = strings.Cut(na, ".")
		y, nb, _ = strings.Cut(nb, ".")
		if c := compareNumbers(x, y); c != 0 {
			return c, nil
		}
	}
	switch {
	case pa == pb:
		return 0, nil
	case pa == "":
		return 1, nil
	case pb == "":
		return -1, nil
	}
	return comparePre(pa, pb), nil
}

// semver splits a version into its dotted numbers and its pre-release.
func semver(v string) (numbers, pre string, ok bool) {
	v = strings.TrimSpace(v)
	v = strings.TrimPrefix(v, "=")
	if v != "" && v[0]|0x20 == 'v' {
		v = v[1:]
	}
	if i := strings.IndexByte(v, '+'); i >= 0 {
		v = v[:i]
	}
	i := 0
	for i < len(v) && (digit(v[i]) || v[i] == '.') {
		i++
	}
	if i == 0 || v[0] == '.' {
		return "", "", false
	}
	numbers, pre = strings.TrimRight(v[:i], "."), strings.TrimPrefix(v[i:], "-")
	return numbers, pre, numbers != ""
}

func comparePre(a, b string) int {
	for {
		x, ra, moreA := strings.Cut(a, ".")
		y, rb, moreB := strings.Cut(b, ".")
		nx, ny := x != "" && digits(x) == len(x), y != "" && digits(y) == len(y)
		c := 0
		switch {
		case nx && ny:
			c = compareNumbers(x, y)
		case nx:
			c = -1
		case ny:
			c = 1
		default:
			c = strings.Compare(x, y)
		}
		switch {
		case c != 0:
			return c
		case !moreA && !moreB:
			return 0
		case !moreA:
			return -1
		case !moreB:
			return 1
		}
		a, b = ra, rb
	}
}

// compareGo orders versions of Go modules and of Go itself: "v1.2.3", "1.2.3", "v2.0.0+incompatible", pseudo-versions,
// "go1.21rc2", "go1.22.1 X:boringcrypto".
func compareGo(a, b string) (int, error) { return compareSemVer(goVersion(a), goVersion(b)) }

func goVersion(v string) string {
	v = strings.TrimPrefix(v, "go")
	if i := strings.IndexByte(v, ' '); i > 0 {
		v = v[:i]
	}
	return v
}
