package osv

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed/ghsa"
	"stockade.dev/stockade/internal/version"
)

// maxVersions bounds the enumerated versions that are kept of one entry.
const maxVersions = 10_000

// intervals returns the vulnerable ranges of an entry. gitOnly says that there are ranges, of commits only.
func intervals(scheme advisory.Scheme, list []interval, lastKnown string) (rs []advisory.Range, gitOnly bool) {
	commits := 0
	for _, i := range list {
		if strings.EqualFold(i.Type, "GIT") {
			commits++
			continue
		}
		for _, r := range pairs(scheme, i.Events) {
			rs = append(rs, ghsa.Bound(r, lastKnown))
		}
	}
	return rs, commits > 0 && commits == len(list)
}

// pairs turns events into ranges. The schema wants them sorted; publishers write pairs in any order, and sometimes all starts
// before all ends. Strict pairs are taken as they stand, anything else is sorted and then read as the schema says: vulnerable
// from a start on until the next end.
func pairs(scheme advisory.Scheme, events []event) []advisory.Range {
	if !strict(events) {
		events = slices.Clone(events)
		slices.SortStableFunc(events, func(a, b event) int { return order(scheme, position(a), position(b)) })
	}
	var rs []advisory.Range
	open := false
	for _, e := range events {
		switch {
		case e.Introduced != nil && !open:
			r := advisory.Range{Introduced: strings.TrimSpace(*e.Introduced)}
			if r.Introduced == "0" {
				r.Introduced = ""
			}
			rs, open = append(rs, r), true
		case e.Fixed != nil && open:
			rs[len(rs)-1].Fixed, open = strings.TrimSpace(*e.Fixed), false
		case e.LastAffected != nil && open:
			rs[len(rs)-1].LastAffected, open = strings.TrimSpace(*e.LastAffected), false
		}
	}
	return slices.DeleteFunc(rs, func(r advisory.Range) bool {
		return r.Fixed == "0" || r.Fixed != "" && r.Fixed == r.Introduced // nothing lies in it
	})
}

// strict reports whether starts and ends take turns.
func strict(events []event) bool {
	start := true
	for _, e := range events {
		if (e.Introduced != nil) != start {
			return false
		}
		start = !start
	}
	return true
}

// order compares versions; 0 is the beginning of all. What cannot be compared stays where it is.
func order(scheme advisory.Scheme, a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "0":
		return -1
	case b == "0":
		return 1
	}
	c, err := version.Compare(scheme, a, b)
	if err != nil {
		return 0
	}
	return c
}

func position(e event) string {
	switch {
	case e.Introduced != nil:
		return *e.Introduced
	case e.Fixed != nil:
		return *e.Fixed
	case e.LastAffected != nil:
		return *e.LastAffected
	}
	return ""
}
