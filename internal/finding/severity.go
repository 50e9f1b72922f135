package finding

import "fmt"

// Severity of a finding, in the words of the findings document.
type Severity string

// The severities, worst first.
const (
	Critical Severity = "critical"
	High     Severity = "high"
	Medium   Severity = "medium"
	Low      Severity = "low"
	Info     Severity = "info"
)

// Severities lists all, worst first.
var Severities = []Severity{Critical, High, Medium, Low, Info}

// Rank is 4 for critical down to 0 for info, and -1 for an unknown word.
func (s Severity) Rank() int {
	for i, v := range Severities {
		if s == v {
			return len(Severities) - 1 - i
		}
	}
	return -1
}

// ParseSeverity reads a severity as the command line has it.
func ParseSeverity(s string) (Severity, error) {
	if sev := Severity(s); sev.Rank() >= 0 {
		return sev, nil
	}
	return "", fmt.Errorf("severity %q: want critical, high, medium, low or info", s)
}
