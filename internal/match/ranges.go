package match

import (
	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/version"
)

// verdict is what a row says of a version.
type verdict struct {
	in    bool   // the version is vulnerable
	fixed string // with in: what ends it
	past  bool   // the version is at or behind a fixed version
	err   error  // nothing says in, and a bound could not be compared
}

// judge puts a version against a row's ranges and versions. A row with neither is for every version.
func judge(row *advisory.Row, v string) verdict {
	if len(row.Ranges) == 0 && len(row.Versions) == 0 {
		return verdict{in: true}
	}
	var out verdict
	for i := range row.Ranges {
		in, past, err := within(row.Scheme, &row.Ranges[i], v)
		switch {
		case err != nil:
			out.err = err
		case in:
			if f := row.Ranges[i].Fixed; !out.in || out.fixed == "" || f != "" && version.Less(row.Scheme, f, out.fixed) {
				out.fixed = f
			}
			out.in = true
		case past:
			out.past = true
		}
	}
	// Where there are ranges, the versions spell them out: comparing the text is enough then.
	for _, w := range row.Versions {
		if out.in {
			break
		}
		if w == v {
			out.in = true
		} else if len(row.Ranges) == 0 {
			c, err := version.Compare(row.Scheme, v, w)
			out.in = err == nil && c == 0
		}
	}
	if out.in {
		out.err = nil
	}
	return out
}

// within reports whether v is in a range, or at or behind its fixed version.
func within(s advisory.Scheme, r *advisory.Range, v string) (in, past bool, err error) {
	// The upper bound first: in most rows it is the only one.
	if bound := r.Fixed; bound != "" {
		c, err := version.Compare(s, v, bound)
		if err != nil {
			return false, false, err
		}
		if c >= 0 {
			return false, true, nil
		}
	} else if r.LastAffected != "" {
		c, err := version.Compare(s, v, r.LastAffected)
		if err != nil {
			return false, false, err
		}
		if c > 0 {
			return false, false, nil
		}
	}
	if r.Introduced == "" || r.Introduced == "0" {
		return true, false, nil
	}
	c, err := version.Compare(s, v, r.Introduced)
	if err != nil {
		return false, false, err
	}
	return c > 0 || c == 0 && !r.After, false, nil
}
