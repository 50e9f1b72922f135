package redhat

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/version"
)

// Branches narrows the fixes of one package that were made in several minor releases: curl is fixed in 7.76.1-23.el9_2.4 and
// in 7.76.1-26.el9_3.2, and a host with the first is not vulnerable although it is older than the second. The later fix is
// for versions after the branch of the earlier. Rows are those of one document; it sets where their ranges begin.
func Branches(rows []*advisory.Row) {
	groups := map[string][]*advisory.Row{}
	for _, row := range rows {
		if row.State != advisory.Fixed || len(row.Ranges) != 1 || row.Ranges[0].Fixed == "" {
			continue
		}
		key := strings.Join([]string{row.Stream, strings.Join(Products([]string{row.CPE}), ""), row.Package, row.Module, fmt.Sprint(row.Binary, row.IDs)}, "\x00")
		groups[key] = append(groups[key], row)
	}
	for _, same := range groups {
		slices.SortStableFunc(same, func(a, b *advisory.Row) int {
			n, err := version.Compare(advisory.RPM, a.Ranges[0].Fixed, b.Ranges[0].Fixed)
			if err != nil {
				return 0
			}
			return n
		})
		earlier := ""
		for i, row := range same {
			fixed := row.Ranges[0].Fixed
			if i > 0 && same[i-1].Ranges[0].Fixed != fixed {
				earlier = same[i-1].Ranges[0].Fixed
			}
			if earlier == "" {
				continue
			}
			if after, ok := After(earlier, fixed); ok {
				row.Ranges[0].Introduced = after
			}
		}
	}
}

var minor = regexp.MustCompile(`el\d+(?:[_.]\d+)?`)

// After returns the first version that is not of the branch of an earlier fix, when a later fix is of another minor release:
// after 7.76.1-23.el9_2.4 comes 7.76.1-24, for whoever is fixed in 7.76.1-26.el9_3.2. Versions are epoch:version-release.
// Minor releases start from a higher release number; what is added in a branch stands behind it.
func After(earlier, later string) (string, bool) {
	i, j := strings.LastIndexByte(earlier, '-'), strings.LastIndexByte(later, '-')
	if i < 0 || j < 0 {
		return "", false
	}
	release := earlier[i+1:]
	a, b := minor.FindString(release), minor.FindString(later[j+1:])
	if a == "" || b == "" || a == b {
		return "", false
	}
	digits := 0
	for digits < len(release) && release[digits] >= '0' && release[digits] <= '9' {
		digits++
	}
	n, err := strconv.Atoi(release[:digits])
	if err != nil || digits > 9 {
		return "", false
	}
	after := earlier[:i+1] + strconv.Itoa(n+1)
	if later[:j] == earlier[:i] {
		// Rebuilt with the same number in both: the branches cannot be told apart.
		if m, err := strconv.Atoi(leading(later[j+1:])); err != nil || m <= n {
			return "", false
		}
	}
	return after, true
}

func leading(s string) string {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i]
}
