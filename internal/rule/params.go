package rule

import (
	"maps"

	"stockade.dev/stockade/internal/finding"
)

// With is the rule with other values of parameters. What is compiled is shared; the rule itself does not change.
func (r *Rule) With(params map[string]any) *Rule {
	if len(params) == 0 {
		return r
	}
	err := r.Compile()
	c := &Rule{Name: r.Name, ID: r.ID, Title: r.Title, Why: r.Why, Fix: r.Fix, Severity: r.Severity, Risk: r.Risk, Kind: r.Kind,
		References: r.References, Aliases: r.Aliases, Compliance: r.Compliance, Match: r.Match, Missing: r.Missing, Params: maps.Clone(r.Params),
		Validate: r.Validate, Repair: r.Repair, Analyzer: r.Analyzer, Targets: r.Targets, aliases: r.aliases, clauses: r.clauses}
	maps.Copy(c.Params, params)
	c.program.once.Do(func() { c.program.good, c.program.found, c.program.err = r.program.good, r.program.found, err })
	return c
}

// Message says in one line what a hit found where, and what is needed.
func (r *Rule) Message(h Hit) finding.Text { return r.message(h) }
