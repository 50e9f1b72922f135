package compliance

import (
	"slices"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/rule"
)

// Catalog answers what frameworks, clauses and the rules that decide them say: it holds no verdicts.
type Catalog struct {
	list    []*Framework
	clauses map[finding.ClauseRef]*Entry
	rules   []string
}

// Entry is a clause with the rules that decide it.
type Entry struct {
	Clause
	Place int // in its framework, from 1
	Rules []Deciding
}

// Deciding is a rule that decides a clause.
type Deciding struct {
	Rule     string           `json:"rule"`
	ID       string           `json:"id"`
	Title    finding.Text     `json:"-"`
	Severity finding.Severity `json:"severity"`
}

// NewCatalog makes the catalog of frameworks and the rules that judge clusters.
func NewCatalog(frameworks []*Framework, lib *rule.Library) *Catalog {
	c := &Catalog{list: frameworks, clauses: map[finding.ClauseRef]*Entry{}}
	for _, f := range frameworks {
		for i := range f.Clauses {
			c.clauses[finding.ClauseRef{Framework: f.ID, Clause: f.Clauses[i].ID}] = &Entry{Clause: f.Clauses[i], Place: i + 1}
		}
	}
	if lib == nil {
		return c
	}
	for _, r := range lib.For("cluster").Rules {
		for _, ref := range r.Clauses() {
			if e := c.clauses[ref]; e != nil {
				e.Rules = append(e.Rules, Deciding{r.Name, r.ID, r.Title, r.Severity})
				c.rules = append(c.rules, r.Name)
			}
		}
	}
	slices.Sort(c.rules)
	c.rules = slices.Compact(c.rules)
	return c
}

// Frameworks lists the frameworks.
func (c *Catalog) Frameworks() []*Framework {
	if c == nil {
		return nil
	}
	return c.list
}

// Framework is one; nil when there is none of the id.
func (c *Catalog) Framework(id string) *Framework {
	i := slices.IndexFunc(c.Frameworks(), func(f *Framework) bool { return f.ID == id })
	if i < 0 {
		return nil
	}
	return c.list[i]
}

// Entry is a clause; nil when there is none.
func (c *Catalog) Entry(framework, clause string) *Entry {
	if c == nil {
		return nil
	}
	return c.clauses[finding.ClauseRef{Framework: framework, Clause: clause}]
}

// RuleNames lists the rules that decide a clause.
func (e *Entry) RuleNames() []string {
	if e == nil {
		return nil
	}
	out := make([]string, len(e.Rules))
	for i, r := range e.Rules {
		out[i] = r.Rule
	}
	return out
}

// Rules lists all rules that decide any clause, sorted.
func (c *Catalog) Rules() []string {
	if c == nil {
		return nil
	}
	return c.rules
}
