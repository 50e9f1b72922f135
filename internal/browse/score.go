package browse

import "math"

// Score says how a scope stands, in one number from 0 to 100, with what was taken off and why.
//
// It starts at 100. Each deduction grows with what it counts, quickly at first and never beyond its limit, so that one critical
// finding shows and the thousandth changes little: limit * (1 - 1/(1 + n/half)), where half is the n that takes off half of the
// limit. Counts of findings are per target (cluster or project), so that large and small installations compare.
type Score struct {
	Value      int         `json:"value" minimum:"0" maximum:"100"`
	Deductions []Deduction `json:"deductions"`
}

// standing is what a score is computed from.
type standing struct {
	targets    int // clusters and projects
	kev        int
	severities [5]int // active findings by ledger.Severity
	blind      int    // targets that were never looked at, or not for a week
	gaps       int
}

func standingOf(o *Overview) standing {
	s := standing{targets: o.Coverage.Targets, kev: o.KEV, blind: o.Coverage.Never + o.Coverage.Old}
	for severity, n := range o.Severities {
		s.severities[min(max(severity, 0), 4)] += n
	}
	for _, n := range o.Coverage.Gaps {
		s.gaps += n
	}
	return s
}

// Deduction is what one reason took off.
type Deduction struct {
	Reason string `json:"reason" enum:"known-exploited,critical,high,medium,not-looked-at,not-scanned"`
	Count  int    `json:"count"`
	Points int    `json:"points"`
}

// The limits add up to 100.
const (
	exploitedLimit, exploitedHalf = 25, 1.0
	criticalLimit, criticalHalf   = 30, 10.0
	highLimit, highHalf           = 20, 50.0
	mediumLimit, mediumHalf       = 5, 500.0
	lookedLimit                   = 15 // share of the targets that were not looked at, or not for a week
	gapsLimit, gapsHalf           = 5, 20.0
)

// points are what each reason takes off, not rounded, in the order of reasons.
func (s standing) points() [6]float64 {
	targets := float64(max(1, s.targets))
	curve := func(n int, limit, half float64) float64 {
		x := float64(max(0, n)) / targets
		return limit * (1 - 1/(1+x/half))
	}
	return [6]float64{
		curve(s.kev, exploitedLimit, exploitedHalf),
		curve(s.severities[4], criticalLimit, criticalHalf),
		curve(s.severities[3], highLimit, highHalf),
		curve(s.severities[2], mediumLimit, mediumHalf),
		lookedLimit * float64(s.blind) / targets,
		curve(s.gaps, gapsLimit, gapsHalf),
	}
}

var reasons = [6]string{"known-exploited", "critical", "high", "medium", "not-looked-at", "not-scanned"}

func (s standing) score() Score {
	out := Score{Value: 100, Deductions: []Deduction{}}
	counts := [6]int{s.kev, s.severities[4], s.severities[3], s.severities[2], s.blind, s.gaps}
	for i, points := range s.points() {
		if counts[i] <= 0 {
			continue
		}
		d := Deduction{Reason: reasons[i], Count: counts[i], Points: int(math.Ceil(points))}
		out.Value -= d.Points
		out.Deductions = append(out.Deductions, d)
	}
	out.Value = max(0, out.Value)
	return out
}
