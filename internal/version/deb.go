package version

import (
	"fmt"
	"strings"
)

// compareDeb compares epoch, upstream version and revision. Source: deb-version(7).
func compareDeb(a, b string) (int, error) {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	ea, a, ok := debEpoch(a)
	if !ok {
		return 0, fmt.Errorf("epoch %q is no number", ea)
	}
	eb, b, ok := debEpoch(b)
	if !ok {
		return 0, fmt.Errorf("epoch %q is no number", eb)
	}
	if c := compareNumbers(ea, eb); c != 0 {
		return c, nil
	}
	ua, ra := splitRevision(a)
	ub, rb := splitRevision(b)
	if c := verrevcmp(ua, ub); c != 0 {
		return c, nil
	}
	return verrevcmp(ra, rb), nil
}

func debEpoch(v string) (epoch, rest string, ok bool) {
	i := strings.IndexByte(v, ':')
	if i < 0 {
		return "", v, true
	}
	return v[:i], v[i+1:], i > 0 && digits(v) == i
}

func splitRevision(v string) (upstream, revision string) {
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return v[:i], v[i+1:]
	}
	return v, ""
}

// weight is a character's place outside of numbers: "~" before the end, the end and digits alike, letters, then the rest.
func weight(v string) int {
	switch {
	case v == "" || digit(v[0]):
		return 0
	case v[0] == '~':
		return -1
	case letter(v[0]):
		return int(v[0])
	}
	return int(v[0]) + 256
}

func verrevcmp(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !digit(a[0]) || b != "" && !digit(b[0]) {
			if c := weight(a) - weight(b); c != 0 {
				return sign(c)
			}
			a, b = a[1:], b[1:] // equal weights, and one is no digit: neither is empty
		}
		i, j := digits(a), digits(b)
		if c := compareNumbers(a[:i], b[:j]); c != 0 {
			return c
		}
		a, b = a[i:], b[j:]
	}
	return 0
}
