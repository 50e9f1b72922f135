package version

import "strings"

// evr splits "epoch:version-release". The epoch is "" when there is none or when it is written "(none)"; the release is ""
// when there is none. Source: rpm, lib/rpmver.c, parseEVR.
func evr(v string) (epoch, version, release string) {
	if rest, ok := strings.CutPrefix(v, "(none):"); ok {
		v = rest
	} else if n := digits(v); n < len(v) && v[n] == ':' {
		epoch, v = v[:n], v[n+1:]
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return epoch, v[:i], v[i+1:]
	}
	return epoch, v, ""
}

// compareRPM compares epochs (a missing one is 0), then versions, then releases when both have one.
func compareRPM(a, b string) int {
	ea, va, ra := evr(a)
	eb, vb, rb := evr(b)
	if c := compareNumbers(ea, eb); c != 0 {
		return c
	}
	if c := rpmvercmp(va, vb); c != 0 || ra == "" || rb == "" {
		return c
	}
	return rpmvercmp(ra, rb)
}

// rpmvercmp orders two labels: runs of digits and letters, where digits beat letters, "~" comes before the end and "^" after
// the end but before anything else. Source: the behaviour that rpm's own tests/rpmvercmp.at fixes.
func rpmvercmp(a, b string) int {
	if a == b {
		return 0
	}
	for a != "" || b != "" {
		a, b = skipSeparators(a), skipSeparators(b)
		ta, tb := starts(a, '~'), starts(b, '~')
		if ta || tb {
			if !ta {
				return 1
			}
			if !tb {
				return -1
			}
			a, b = a[1:], b[1:]
			continue
		}
		ca, cb := starts(a, '^'), starts(b, '^')
		if ca || cb {
			switch {
			case a == "":
				return -1
			case b == "":
				return 1
			case !ca:
				return 1
			case !cb:
				return -1
			}
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			break
		}
		if digit(a[0]) != digit(b[0]) {
			if digit(a[0]) {
				return 1
			}
			return -1
		}
		var c int
		if digit(a[0]) {
			i, j := digits(a), digits(b)
			c = compareNumbers(a[:i], b[:j])
			a, b = a[i:], b[j:]
		} else {
			i, j := letters(a), letters(b)
			c = strings.Compare(a[:i], b[:j])
			a, b = a[i:], b[j:]
		}
		if c != 0 {
			return c
		}
	}
	switch {
	case a == "" && b == "":
		return 0
	case a == "":
		return -1
	}
	return 1
}

func starts(v string, c byte) bool { return v != "" && v[0] == c }

func skipSeparators(v string) string {
	i := 0
	for i < len(v) && !digit(v[i]) && !letter(v[i]) && v[i] != '~' && v[i] != '^' {
		i++
	}
	return v[i:]
}

// letters returns how many ASCII letters v starts with.
func letters(v string) int {
	i := 0
	for i < len(v) && letter(v[i]) {
		i++
	}
	return i
}
