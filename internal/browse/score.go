package browse

import (
	"math"

	"stockade.dev/stockade/internal/ledger"
)

// Score says how a scope stands, in one number from 0 to 100, with what was taken off and why.
//
// It starts at 100. Each deduction grows with what it counts, quickly at first and never beyond its limit, so that one critical
// finding shows and the thousandth changes little: limit * (1 - 1/(1 + n/half)), where half is the n that takes off half of the
// limit. Counts of findings are per target (cluster or project), so that large and small installations compare.
type Score struct {
	Value      int         `json:"value" minimum:"0" maximum:"100"`
	Deductions []Deduction `json:"deductions"`
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

func score(o *Overview) Score {
	s := Score{Value: 100, Deductions: []Deduction{}}
	targets := float64(max(1, o.Coverage.Targets))
	take := func(reason string, count int, points float64) {
		if count == 0 {
			return
		}
		d := Deduction{Reason: reason, Count: count, Points: int(math.Ceil(points))}
		s.Value -= d.Points
		s.Deductions = append(s.Deductions, d)
	}
	curve := func(n int, limit, half float64) float64 {
		x := float64(n) / targets
		return limit * (1 - 1/(1+x/half))
	}
	gaps := 0
	for _, n := range o.Coverage.Gaps {
		gaps += n
	}
	take("known-exploited", o.KEV, curve(o.KEV, exploitedLimit, exploitedHalf))
	for _, x := range []struct {
		severity    ledger.Severity
		reason      string
		limit, half float64
	}{{4, "critical", criticalLimit, criticalHalf}, {3, "high", highLimit, highHalf}, {2, "medium", mediumLimit, mediumHalf}} {
		take(x.reason, o.Severities[x.severity], curve(o.Severities[x.severity], x.limit, x.half))
	}
	blind := o.Coverage.Never + o.Coverage.Old
	take("not-looked-at", blind, lookedLimit*float64(blind)/targets)
	take("not-scanned", gaps, curve(gaps, gapsLimit, gapsHalf))
	s.Value = max(0, s.Value)
	return s
}
