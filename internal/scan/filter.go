package scan

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"time"

	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/vex"
)

// Filter decides what becomes of each finding before it is reported.
type Filter struct {
	Severity   finding.Severity // lowest that is reported; "" is all
	Kinds      []finding.Kind   // only these; empty is all
	Baseline   map[string]bool  // fingerprints that were there before: kept, but suppressed
	Exceptions []Exception
	VEX        *vex.Set // producers' statements; may be nil
}

// Exception accepts findings until a date. Every field that is set must match; patterns are those of path.Match.
type Exception struct {
	Rule        string `json:"rule"`        // name or id; pattern
	Fingerprint string `json:"fingerprint"` // of one finding
	Cluster     string `json:"cluster"`
	Namespace   string `json:"namespace"`
	Kind        string `json:"kind"`
	Name        string `json:"name"`
	Container   string `json:"container"`
	File        string `json:"file"`
	Reason      string `json:"reason"`  // needed
	Expires     string `json:"expires"` // 2006-01-02, inclusive; "" is never
	By          string `json:"by"`      // who accepted it

	expires time.Time
}

// ReadExceptions reads a YAML or JSON file {exceptions: [...]}.
func ReadExceptions(file string) ([]Exception, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("exceptions: %w", err)
	}
	var doc struct {
		Exceptions []Exception `json:"exceptions"`
	}
	if err := yaml.UnmarshalStrict(data, &doc); err != nil {
		return nil, fmt.Errorf("exceptions: %s: %w", file, err)
	}
	for i := range doc.Exceptions {
		e := &doc.Exceptions[i]
		switch {
		case e.Reason == "":
			return nil, fmt.Errorf("exceptions: %s: entry %d has no reason", file, i+1)
		case e.Rule == "" && e.Fingerprint == "":
			return nil, fmt.Errorf("exceptions: %s: entry %d names neither a rule nor a fingerprint", file, i+1)
		}
		for _, p := range []string{e.Rule, e.Namespace, e.Kind, e.Name, e.Container, e.File, e.Cluster} {
			if _, err := path.Match(p, ""); err != nil {
				return nil, fmt.Errorf("exceptions: %s: entry %d: pattern %q: %w", file, i+1, p, err)
			}
		}
		if e.Expires != "" {
			t, err := time.Parse(time.DateOnly, e.Expires)
			if err != nil {
				return nil, fmt.Errorf("exceptions: %s: entry %d: expires %q: want a date such as 2027-03-31", file, i+1, e.Expires)
			}
			e.expires = t.AddDate(0, 0, 1)
		}
	}
	return doc.Exceptions, nil
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
	for i := range f.Exceptions {
		if e := &f.Exceptions[i]; e.matches(v) && (e.expires.IsZero() || now.Before(e.expires)) {
			v.Status = finding.Suppressed
			v.Suppression = &finding.Suppression{By: "exception", Reason: e.Reason, Expires: e.Expires}
			return true
		}
	}
	if f.Baseline[v.Fingerprint] {
		v.Status = finding.Suppressed
		v.Suppression = &finding.Suppression{By: "baseline", Reason: "present in the baseline"}
	}
	return true
}

func (e *Exception) matches(v *finding.Finding) bool {
	like := func(pattern, s string) bool {
		ok, _ := path.Match(pattern, s)
		return pattern == "" || ok
	}
	r := v.Resource
	return (e.Fingerprint == "" || e.Fingerprint == v.Fingerprint) && (like(e.Rule, v.Rule) || like(e.Rule, v.RuleID)) &&
		like(e.Cluster, r.Cluster) && like(e.Namespace, r.Namespace) && like(e.Kind, r.Kind) && like(e.Name, r.Name) &&
		like(e.Container, r.Container) && like(e.File, r.File)
}
