package scan

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/vex"
)

// Filter decides what becomes of each finding before it is reported.
type Filter struct {
	Severity   finding.Severity // lowest that is reported; "" is all
	Kinds      []finding.Kind   // only these; empty is all
	Baseline   map[string]bool  // fingerprints that were there before: kept, but suppressed
	Exceptions *exception.Set   // may be nil
	VEX        *vex.Set         // producers' statements; may be nil
}

// ReadBaseline reads the fingerprints of a saved findings document.
func ReadBaseline(file string) (map[string]bool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	var doc struct {
		Schema   string `json:"schema"`
		Findings []struct {
			Fingerprint string `json:"fingerprint"`
		} `json:"findings"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("baseline: %s: %w (want the output of -o json)", file, err)
	}
	if doc.Schema != finding.Schema {
		return nil, fmt.Errorf("baseline: %s: schema is %q, want %q", file, doc.Schema, finding.Schema)
	}
	out := make(map[string]bool, len(doc.Findings))
	for _, f := range doc.Findings {
		out[f.Fingerprint] = true
	}
	return out, nil
}

// Apply marks f as suppressed where an exception or the baseline says so, and reports whether it is kept at all.
func (f Filter) Apply(v *finding.Finding, now time.Time) bool {
	if f.Severity != "" && v.Severity.Rank() < f.Severity.Rank() {
		return false
	}
	if len(f.Kinds) > 0 {
		keep := false
		for _, k := range f.Kinds {
			keep = keep || k == v.Kind
		}
		if !keep {
			return false
		}
	}
	if v.Status == finding.Suppressed {
		return true
	}
	if s := f.VEX.Suppress(v); s != nil {
		v.Status, v.Suppression = finding.Suppressed, s
		return true
	}
	if e, ok := f.Exceptions.Match(v, 0, now); ok {
		v.Status = finding.Suppressed
		v.Suppression = &finding.Suppression{By: "exception", Reason: e.Reason, Expires: exception.WriteUntil(e.Expires)}
		return true
	}
	if f.Baseline[v.Fingerprint] {
		v.Status = finding.Suppressed
		v.Suppression = &finding.Suppression{By: "baseline", Reason: "present in the baseline"}
	}
	return true
}
