package browse

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
)

// Facet is a value that a field of the filter can have, with the findings that it would select beside all other fields.
type Facet struct {
	Value   string
	EN, ZH  string // how people call it, when that is not the value
	Count   int
	AtLeast bool
}

// FacetNames lists what findings can be counted by.
var FacetNames = []string{"kind", "severity", "status", "target", "namespace", "rule", "package", "fixable", "kev", "assignee"}

// facetTo bounds the values of a facet: those with the most findings.
const facetTo = 50

// facetColumns are the expressions that facets are counted by.
var facetColumns = map[string]string{"kind": "f.kind", "severity": "f.severity", "status": "f.status", "target": "f.target_id", "namespace": "f.namespace",
	"rule": "f.rule", "package": "f.package", "fixable": "CASE WHEN f.fixable THEN 1 ELSE 0 END", "kev": "CASE WHEN f.kev THEN 1 ELSE 0 END", "assignee": "f.assignee_id"}

// without is the filter without its own condition on what a facet counts.
func (f Filter) without(facet string) Filter {
	switch facet {
	case "kind":
		f.Kinds = nil
	case "severity":
		f.Severities = nil
	case "status":
		f.Statuses = ledger.Statuses
	case "target":
		f.Targets = nil
	case "namespace":
		f.Namespaces = nil
	case "rule":
		f.Rule = ""
	case "package":
		f.Package = ""
	case "fixable":
		f.Fixable = nil
	case "kev":
		f.KEV = nil
	case "assignee":
		f.Assignee = 0
	}
	return f
}

// Facets counts what a filter selects by some of FacetNames, each with all conditions of the filter but its own.
func (b *Browser) Facets(ctx context.Context, v identity.Visible, f Filter, names []string) (map[string][]Facet, error) {
	out := map[string][]Facet{}
	f, err := f.check()
	if err != nil {
		return nil, err
	}
	rest := map[string][]string{} // by the filter that is left
	var keys []string
	for _, name := range names {
		if facetColumns[name] == "" {
			return nil, fmt.Errorf("%w: facet %.20q: want one of %s", ErrFilter, name, strings.Join(FacetNames, ", "))
		}
		if _, twice := out[name]; twice {
			continue
		}
		own := f.without(name)
		list, ok, err := b.countedFacet(ctx, v, own, name)
		if err != nil {
			return nil, err
		}
		if out[name] = list; ok {
			continue
		}
		key, err := json.Marshal(own)
		if err != nil {
			return nil, err
		}
		if name == "assignee" {
			key = append(key, "assigned"...)
		}
		if rest[string(key)] == nil {
			keys = append(keys, string(key))
		}
		rest[string(key)] = append(rest[string(key)], name)
	}
	for _, key := range keys {
		list := rest[key]
		if err := b.lookedFacets(ctx, v, f.without(list[0]), list, out); err != nil {
			return nil, err
		}
	}
	for name := range out {
		if out[name], err = b.label(ctx, name, out[name]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// plainly reports whether a filter asks for nothing but targets, kinds, severities, statuses and namespaces.
func (f Filter) plainly() bool {
	f.Targets, f.Kinds, f.Severities, f.Statuses, f.Namespaces = nil, nil, nil, nil, nil
	return len(f.preds()) == 0 && f.Asset == 0 && f.Digest+f.Node+f.Workload+f.Framework+f.Fingerprint+f.Q == "" && !f.WithImages
}

// activeOnly reports whether a filter asks for all that is active and for nothing else of status.
func (f Filter) activeOnly() bool { return slices.Equal(f.Statuses, ledger.Active) }

// countedFacet counts by the counters; ok is false when they cannot tell.
func (b *Browser) countedFacet(ctx context.Context, v identity.Visible, f Filter, name string) (_ []Facet, ok bool, err error) {
	if !f.plainly() {
		return nil, false, nil
	}
	s, err := b.scope(ctx, v, f.Targets)
	if err != nil || s.nothing() {
		return nil, true, err
	}
	if !s.whole() {
		return nil, false, nil
	}
	column := map[string]string{"kind": "kind", "severity": "severity", "status": "status", "target": "target_id", "namespace": "namespace"}[name]
	switch {
	case column != "":
		list, err := b.facet(ctx, name, b.countsBy(column, s, f))
		return list, true, err
	case len(f.Namespaces)+len(f.Severities) > 0 || !f.activeOnly():
		return nil, false, nil
	case name == "rule":
		list, err := b.rulesBy(ctx, s, f)
		return list, true, err
	case name == "kev":
		list, err := b.exploitedBy(ctx, s, f)
		return list, true, err
	}
	return nil, false, nil
}

// countsBy counts in the table of counters.
func (b *Browser) countsBy(column string, s scope, f Filter) sqlText {
	stmt := text("SELECT CAST(" + column + " AS TEXT), sum(n) AS n FROM counts WHERE target_id ")
	switch {
	case s.all && len(s.removed) == 0 && column != "target_id":
		stmt.add("= 0")
	case s.all:
		stmt.add("IN (SELECT id FROM targets WHERE removed_at = 0)")
	default:
		stmt.add("IN (?)", bun.List(s.targets))
	}
	switch {
	case len(f.Namespaces) > 0:
		stmt.add(" AND namespace IN (?)", bun.List(f.Namespaces))
	case column == "namespace":
		stmt.add(" AND namespace <> '*' AND namespace <> ''")
	default:
		stmt.add(" AND namespace = '*'")
	}
	if len(f.Kinds) > 0 {
		stmt.add(" AND kind IN (?)", bun.List(f.Kinds))
	}
	if len(f.Severities) > 0 {
		stmt.add(" AND severity IN (?)", bun.List(f.Severities))
	}
	stmt.add(" AND status IN (?) GROUP BY "+column+" HAVING sum(n) > 0 ORDER BY 2 DESC, 1 LIMIT ?", bun.List(f.Statuses), facetTo)
	return stmt
}

// facet reads values and counts.
func (b *Browser) facet(ctx context.Context, name string, stmt sqlText) ([]Facet, error) {
	out := []Facet{}
	err := b.query(ctx, stmt, func(scan func(...any) error) error {
		var x Facet
		err := scan(&x.Value, &x.Count)
		out = append(out, x)
		return err
	})
	return worded(name, out), err
}

// rulesBy are the rules with the most active findings.
func (b *Browser) rulesBy(ctx context.Context, s scope, f Filter) ([]Facet, error) {
	kinds := text("")
	if len(f.Kinds) > 0 {
		kinds = text(" AND kind IN (?)", bun.List(f.Kinds))
	}
	top := text("SELECT DISTINCT rule FROM (SELECT rule, active FROM ")
	top.append(riskFrom(s))
	top.append(kinds)
	top.add(" ORDER BY active DESC LIMIT ?) AS t", facetTo)
	rules, err := column[string](ctx, b, top)
	if err != nil || len(rules) == 0 {
		return nil, err
	}
	stmt := text("SELECT rule, sum(active) FROM ") // a vulnerability may be of several kinds
	stmt.append(riskFrom(s))
	stmt.append(kinds)
	stmt.add(" AND rule IN (?) GROUP BY rule ORDER BY 2 DESC, 1", bun.List(rules))
	return b.facet(ctx, "rule", stmt)
}

// exploitedBy counts what is known to be exploited, and the rest.
func (b *Browser) exploitedBy(ctx context.Context, s scope, f Filter) ([]Facet, error) {
	stmt := text("SELECT coalesce(sum(active), 0) FROM ")
	stmt.append(riskFrom(s))
	if len(f.Kinds) > 0 {
		stmt.add(" AND kind IN (?)", bun.List(f.Kinds))
	}
	all, err := column[int](ctx, b, stmt)
	if err != nil {
		return nil, err
	}
	stmt.add(" AND risk_id IN (SELECT id FROM risks WHERE kev)")
	kev, err := column[int](ctx, b, stmt)
	if err != nil {
		return nil, err
	}
	out := []Facet{{Value: "true", Count: kev[0]}, {Value: "false", Count: all[0] - kev[0]}}
	return slices.DeleteFunc(out, func(x Facet) bool { return x.Count <= 0 }), nil
}

// lookedFacets counts several facets that leave the same filter in one bounded look.
func (b *Browser) lookedFacets(ctx context.Context, v identity.Visible, f Filter, names []string, out map[string][]Facet) error {
	q, _, err := b.ask(ctx, v, f, "", "")
	if err != nil || q == nil {
		return err
	}
	if names[0] == "assignee" {
		n, err := column[int](ctx, b, text("SELECT count(*) FROM (SELECT 1 FROM findings AS f WHERE f.assignee_id <> 0 LIMIT ?) AS n", lookTo+1))
		if err != nil {
			return err
		}
		q.preds = append(q.preds, pred{wants: "assignee_id", rows: n[0], sqlText: text("f.assignee_id <> 0")})
		q.sources = append(q.sources, source{name: "assignee_id", rows: n[0], arms: []arm{{from: q.table("findings_assignee"), where: []sqlText{text("f.assignee_id <> 0")}}}})
	}
	var columns []string
	for _, name := range names {
		columns = append(columns, facetColumns[name]+" AS by_"+name)
	}
	stmt, walk := q.looking(strings.Join(columns, ", "))
	stmt.add("SELECT '' AS facet, '' AS value, count(*) AS n FROM s")
	for _, name := range names {
		stmt.add(" UNION ALL SELECT * FROM (SELECT '"+name+"', CAST(by_"+name+" AS TEXT), count(*) AS n FROM r GROUP BY by_"+name+" ORDER BY n DESC, 2 LIMIT ?) AS c_"+name, facetTo+1)
	}
	cut := false
	err = b.told(ctx, walk, stmt, func(scan func(...any) error) error {
		var name string
		var x Facet
		if err := scan(&name, &x.Value, &x.Count); err != nil {
			return err
		}
		if name == "" {
			cut = x.Count > lookTo
		} else if x.Value != "" {
			out[name] = append(out[name], x)
		}
		return nil
	})
	for _, name := range names {
		for i := range out[name] {
			out[name][i].AtLeast = cut
		}
		out[name] = worded(name, out[name][:min(len(out[name]), facetTo)])
	}
	return err
}

// worded gives values their words and an order that people know: severities by weight, kinds and statuses as they are listed.
func worded(name string, list []Facet) []Facet {
	word := func(n int) string {
		switch name {
		case "kind":
			return ledger.Kind(n).String()
		case "severity":
			return ledger.Severity(n).String()
		case "status":
			return ledger.Status(n).String()
		}
		return []string{"false", "true"}[min(max(n, 0), 1)]
	}
	if !slices.Contains([]string{"kind", "severity", "status", "kev", "fixable"}, name) {
		return list
	}
	at := map[string]int{}
	for i := range list {
		n, err := strconv.Atoi(list[i].Value)
		if err != nil {
			return list // has its words
		}
		list[i].Value = word(n)
		if at[list[i].Value] = n; name == "severity" || name == "kev" || name == "fixable" {
			at[list[i].Value] = -n
		}
	}
	slices.SortFunc(list, func(x, y Facet) int { return cmp.Compare(at[x.Value], at[y.Value]) })
	return list
}

// label tells how people call values that are ids, and what rules are about.
func (b *Browser) label(ctx context.Context, name string, list []Facet) ([]Facet, error) {
	var stmt sqlText
	values := make([]string, len(list))
	ids := make([]int64, len(list))
	for i, x := range list {
		values[i] = x.Value
		ids[i], _ = strconv.ParseInt(x.Value, 10, 64)
	}
	switch {
	case len(list) == 0:
		return []Facet{}, nil
	case name == "target":
		stmt = text("SELECT CAST(id AS TEXT), name, '' FROM targets WHERE id IN (?)", bun.List(ids))
	case name == "assignee":
		stmt = text("SELECT CAST(id AS TEXT), name, '' FROM users WHERE id IN (?)", bun.List(ids))
	case name == "rule":
		stmt = text("SELECT rule, title, title_zh FROM risks WHERE kind IN (?) AND rule IN (?)", bun.List(ledger.Kinds), bun.List(values))
	default:
		return list, nil
	}
	err := b.query(ctx, stmt, func(scan func(...any) error) error {
		var value, en, zh string
		if err := scan(&value, &en, &zh); err != nil {
			return err
		}
		if i := slices.Index(values, value); i >= 0 {
			list[i].EN, list[i].ZH = en, zh
		}
		return nil
	})
	return list, err
}
