package match

import (
	"fmt"
	"math"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/finding"
)

// The weights of a priority. Severity gives up to half of it; that somebody exploits it counts more than how bad it could be.
const (
	perCVSS        = 5.0 // points a CVSS point
	exploited      = 30  // in the catalogue of known exploited vulnerabilities
	exploitedFloor = 75  // and never below this
	ransomware     = 5
	likely         = 15.0 // EPSS at 1
	fixAvailable   = 5
	runsAsRoot     = 5
	isExposed      = 10
	notLinked      = -25
	notSure        = -10 // inferred, or still under investigation
)

// bySeverity replaces the score where nobody gave one.
var bySeverity = map[finding.Severity]float64{finding.Critical: 9.5, finding.High: 8, finding.Medium: 5.5, finding.Low: 2.5, finding.Info: 0.5}

// priority weighs one finding: 0 to 100, with the reasons in words.
func priority(p *spot, v *Vulnerability, d *finding.Vulnerable, about *advisory.Vulnerability, severity finding.Severity) *finding.Priority {
	out := &finding.Priority{}
	sum := 0.0
	add := func(points float64, reason string) {
		sum += points
		out.Reasons = append(out.Reasons, reason)
	}
	if d.CVSS > 0 {
		// The publisher's rating moves the score: it knows how the package is built.
		add(perCVSS*(d.CVSS+bySeverity[severity])/2, fmt.Sprintf("CVSS %.1f, rated %s", d.CVSS, severity))
	} else {
		add(perCVSS*bySeverity[severity], fmt.Sprintf("rated %s", severity))
	}
	if about.KEV != nil {
		add(exploited, "known to be exploited since "+about.KEV.Added)
		if about.KEV.Ransomware {
			add(ransomware, "used by ransomware")
		}
	}
	if about.EPSS != nil && about.EPSS.Score >= 0.01 {
		// The square root spreads the low end, where nearly all scores are.
		add(likely*math.Sqrt(about.EPSS.Score), fmt.Sprintf("EPSS %.0f %%", 100*about.EPSS.Score))
	}
	if v.Fixed != "" && v.Subscription == "" {
		add(fixAvailable, "a fix is available")
	}
	if p.Root {
		add(runsAsRoot, "runs as root")
	}
	if p.Exposed {
		add(isExposed, "reachable from outside")
	}
	if v.Symbols == "not-linked" {
		add(notLinked, "the vulnerable code is not linked")
	}
	if v.Evidence == finding.EvidenceInferred || v.State == advisory.Investigating {
		add(notSure, "not confirmed by the vendor")
	}
	if about.KEV != nil && sum < exploitedFloor && v.Symbols != "not-linked" && v.Evidence != finding.EvidenceInferred {
		sum = exploitedFloor
	}
	if !v.Open {
		sum = 0
		out.Reasons = []string{"fixed by what the changelog says"}
	}
	out.Score = int(min(100, max(0, sum)) + 0.5)
	return out
}
