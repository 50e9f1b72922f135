package scan

import "fmt"

// Wants are what a case file expects of its lines: parts of messages.
type Wants map[int][]string

// ParseWants reads the # want comments of a case file.
func ParseWants(data []byte) Wants { return parseWants(data) }

// Take removes the first want of a line that the message contains.
func (w Wants) Take(line int, message string) bool { return take(w, line, message) }

// Left tells what was wanted and did not come.
func (w Wants) Left() []string {
	var out []string
	for _, line := range sortedLines(w) {
		for _, want := range w[line] {
			out = append(out, fmt.Sprintf("line %d: wanted %q, got nothing that says so", line, want))
		}
	}
	return out
}
