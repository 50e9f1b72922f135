package jar

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed groups.txt
var groupsText string

// groupRow is one name of groups.txt with its conditions.
type groupRow struct {
	group, name, artifact string
	prefix                bool
	word                  string // the manifest must say it
	below, above          string // versions: < below, >= above
}

// groupTable is groups.txt for look-up.
type groupTable struct {
	exact    map[string][]groupRow
	prefixes []groupRow // longest first, those with conditions before those without
}

var groups = sync.OnceValue(func() *groupTable { return parseGroups(groupsText) })

// parseGroups reads the table. A line's conditions are in the head of groups.txt; ">1.7" is its opposite of "<1.7".
func parseGroups(text string) *groupTable {
	t := &groupTable{exact: map[string][]groupRow{}}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || strings.HasPrefix(words[0], "#") {
			continue
		}
		for _, word := range words[1:] {
			row := parseRow(words[0], word)
			if row.prefix {
				t.prefixes = append(t.prefixes, row)
			} else {
				t.exact[row.name] = append(t.exact[row.name], row)
			}
		}
	}
	for _, rows := range t.exact {
		slices.SortStableFunc(rows, func(a, b groupRow) int { return a.rank() - b.rank() })
	}
	slices.SortStableFunc(t.prefixes, func(a, b groupRow) int {
		if len(a.name) != len(b.name) {
			return len(b.name) - len(a.name)
		}
		return a.rank() - b.rank()
	})
	return t
}

// parseRow takes "name*?word<2>1=artifact" apart.
func parseRow(group, word string) groupRow {
	row := groupRow{group: group}
	word, row.artifact, _ = strings.Cut(word, "=")
	for {
		i := strings.LastIndexAny(word, "?<>")
		if i < 0 {
			break
		}
		switch word[i] {
		case '?':
			row.word = word[i+1:]
		case '<':
			row.below = word[i+1:]
		case '>':
			row.above = word[i+1:]
		}
		word = word[:i]
	}
	row.name = word
	if i := strings.IndexByte(word, '*'); i >= 0 {
		row.name, row.prefix = word[:i], true
	}
	return row
}

// rank is 0 for a row with conditions, which is tried first, and 1 for one without.
func (row *groupRow) rank() int {
	if row.word != "" || row.below != "" || row.above != "" {
		return 0
	}
	return 1
}

// holds reports whether the row's conditions hold.
func (row *groupRow) holds(version string, m manifest) bool {
	switch {
	case row.word != "" && !m.says(row.word):
		return false
	case row.below != "" && (version == "" || compareNumbers(version, row.below) >= 0):
		return false
	case row.above != "" && (version == "" || compareNumbers(version, row.above) < 0):
		return false
	}
	return true
}

// has reports whether the name is in the table as it stands.
func (t *groupTable) has(name string) bool {
	_, ok := t.exact[name]
	return ok
}

// find returns the coordinates' group and artefact for a name.
func (t *groupTable) find(name, version string, m manifest) (group, artifact string, ok bool) {
	for _, n := range []string{name, strings.ToLower(name)} {
		for i := range t.exact[n] {
			if row := &t.exact[n][i]; row.holds(version, m) {
				if row.artifact != "" {
					return row.group, row.artifact, true
				}
				return row.group, row.name, true
			}
		}
	}
	for i := range t.prefixes {
		row := &t.prefixes[i]
		if !strings.HasPrefix(name, row.name) || len(name) == len(row.name) || !row.holds(version, m) {
			continue
		}
		if stem, ok := strings.CutSuffix(row.artifact, "*"); ok {
			return row.group, stem + name[len(row.name):], true
		}
		return row.group, name, true
	}
	return "", "", false
}

// compareNumbers compares the leading dotted numbers of two versions: enough to tell generations apart.
func compareNumbers(a, b string) int {
	for a != "" || b != "" {
		var x, y int
		x, a = number(a)
		y, b = number(b)
		if x != y {
			return x - y
		}
	}
	return 0
}

// number returns the leading number and what follows its dot; nothing follows anything else.
func number(s string) (int, string) {
	end := 0
	for end < len(s) && end < 9 && isDigit(s[end]) {
		end++
	}
	n, _ := strconv.Atoi(s[:end])
	if end < len(s) && s[end] == '.' && end > 0 {
		return n, s[end+1:]
	}
	return n, ""
}
