package browse

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/ledger"
)

// Filter selects findings: those that meet every field that is set. In a list one of its values is enough. The zero Filter is
// all that are active.
type Filter struct {
	Targets    []int64           `json:"targets,omitempty"`
	Namespaces []string          `json:"namespaces,omitempty"`
	WithImages bool              `json:"withImages,omitempty"` // of namespaces also what the images have that run there; needs Targets
	Kinds      []ledger.Kind     `json:"kinds,omitempty"`
	Severities []ledger.Severity `json:"severities,omitempty"`
	Statuses   []ledger.Status   `json:"statuses,omitempty"` // nil is the active ones
	Rule       string            `json:"rule,omitempty"`     // "workload/privileged-container", "CVE-2021-44228"
	CVE        string            `json:"cve,omitempty"`      // as Rule, in any case
	Package    string            `json:"package,omitempty"`
	Image      string            `json:"image,omitempty"`    // reference
	Digest     string            `json:"digest,omitempty"`   // of the image
	Asset      int64             `json:"asset,omitempty"`    // of a workload also what its images have
	Node       string            `json:"node,omitempty"`     // name
	Workload   string            `json:"workload,omitempty"` // name, also what its images have
	KEV        *bool             `json:"kev,omitempty"`
	Fixable    *bool             `json:"fixable,omitempty"`
	Assignee   int64             `json:"assignee,omitempty"`
	Exception  int64             `json:"exception,omitempty"`
	Framework  string            `json:"framework,omitempty"` // with Clause: findings that a clause fails by
	Clause     string            `json:"clause,omitempty"`
	FirstSince time.Time         `json:"firstSince,omitzero"` // first seen at or after
	FirstUntil time.Time         `json:"firstUntil,omitzero"` // first seen before
	Changed    time.Time         `json:"changedSince,omitzero"`
	Priority   int               `json:"priority,omitempty"` // at least
	Q          string            `json:"q,omitempty"`        // words, each the beginning of a word of rule, title, package, resource, namespace or image
	IDs        []int64           `json:"ids,omitempty"`

	Fingerprint string `json:"fingerprint,omitempty"` // hex, in Targets
}

// Limits of filters: what a person can ask for, and what a statement bears.
const (
	maxList = 1000
	maxText = 1000 // bytes of a text other than Q
	maxIDs  = 100_000
	maxRun  = 40 // targets with WithImages
)

// check refuses what cannot be asked for and brings the rest into one form.
func (f Filter) check() (Filter, error) {
	for name, n := range map[string]int{"targets": len(f.Targets), "namespaces": len(f.Namespaces)} {
		if n > maxList {
			return f, fmt.Errorf("%w: %d %s: at most %d", ErrFilter, n, name, maxList)
		}
	}
	if len(f.IDs) > maxIDs {
		return f, fmt.Errorf("%w: %d ids: at most %d", ErrFilter, len(f.IDs), maxIDs)
	}
	for name, s := range map[string]string{"rule": f.Rule, "cve": f.CVE, "package": f.Package, "image": f.Image, "digest": f.Digest,
		"node": f.Node, "workload": f.Workload, "framework": f.Framework, "clause": f.Clause, "namespace": strings.Join(f.Namespaces, "")} {
		if strings.ContainsRune(s, 0) || name != "namespace" && len(s) > maxText {
			return f, fmt.Errorf("%w: %s of %d bytes, or with a zero byte", ErrFilter, name, len(s))
		}
	}
	f.Targets, f.Namespaces, f.Kinds = set(f.Targets), set(f.Namespaces), set(f.Kinds)
	f.Severities, f.Statuses, f.IDs = set(f.Severities), set(f.Statuses), set(f.IDs)
	if len(f.Statuses) == 0 {
		f.Statuses = ledger.Active
	}
	if f.CVE != "" {
		cve := strings.ToUpper(f.CVE)
		if f.Rule != "" && f.Rule != cve {
			return f, fmt.Errorf("%w: rule and cve name two things", ErrFilter)
		}
		f.Rule, f.CVE = cve, ""
	}
	if _, err := terms(f.Q); err != nil {
		return f, err
	}
	if f.WithImages = f.WithImages && len(f.Namespaces) > 0; f.WithImages && (len(f.Targets) == 0 || len(f.Targets) > maxRun) {
		return f, fmt.Errorf("%w: namespaces with their images need between 1 and %d clusters", ErrFilter, maxRun)
	}
	if f.Fingerprint != "" {
		if _, err := hex.DecodeString(f.Fingerprint); err != nil || len(f.Fingerprint) != 32 || len(f.Targets) == 0 {
			return f, fmt.Errorf("%w: a fingerprint of 32 hexadecimal digits, and its cluster", ErrFilter)
		}
	}
	if (f.Framework == "") != (f.Clause == "") {
		return f, fmt.Errorf("%w: framework and clause go together", ErrFilter)
	}
	return f, nil
}

func set[T int64 | string | ledger.Kind | ledger.Severity | ledger.Status](list []T) []T {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// sqlText is a piece of SQL with ? for its values.
type sqlText struct {
	text string
	args []any
}

func text(s string, args ...any) sqlText { return sqlText{s, args} }

func (q *sqlText) add(s string, args ...any) {
	q.text += s
	q.args = append(q.args, args...)
}

func (q *sqlText) append(o sqlText) { q.add(o.text, o.args...) }

// pred is a condition on findings. Those that say which values a column may have can be the beginning of an index.
type pred struct {
	column string // "" when it is about more than one, or not equality
	values []any  // that the column may have
	sqlText
	rows  int    // how many findings meet it, estimated; -1 is not known
	parts bool   // it is the condition of a scope with parts of targets
	wants string // the column that must be read to check it
}

// in makes the condition that a column has one of some values.
func in[T any](column string, values []T) pred {
	p := pred{column: column, wants: column, rows: -1}
	for _, v := range values {
		p.values = append(p.values, v)
	}
	if len(values) == 1 {
		p.sqlText = text("f."+column+" = ?", values[0])
	} else {
		p.sqlText = text("f."+column+" IN (?)", bun.List(values))
	}
	return p
}

// preds are the conditions that need no look into other tables.
func (f Filter) preds() []pred {
	var out []pred
	put := func(ok bool, p pred) {
		if ok {
			out = append(out, p)
		}
	}
	other := func(wants, s string, args ...any) pred {
		return pred{wants: wants, sqlText: text(s, args...), rows: -1}
	}
	put(len(f.Namespaces) > 0, in("namespace", f.Namespaces))
	put(len(f.Kinds) > 0, in("kind", f.Kinds))
	put(len(f.Severities) > 0, in("severity", f.Severities))
	put(f.Rule != "", in("rule", []string{f.Rule}))
	put(f.Package != "", in("package", []string{f.Package}))
	put(f.Image != "", in("image", []string{f.Image}))
	if f.KEV != nil {
		put(*f.KEV, other("kev", "f.kev"))
		put(!*f.KEV, other("kev", "NOT f.kev"))
	}
	if f.Fixable != nil {
		put(*f.Fixable, other("fixable", "f.fixable"))
		put(!*f.Fixable, other("fixable", "NOT f.fixable"))
	}
	put(f.Assignee != 0, other("assignee_id", "f.assignee_id = ? AND f.assignee_id <> 0", f.Assignee))
	put(f.Exception != 0, other("exception_id", "f.exception_id = ? AND f.exception_id <> 0", f.Exception))
	put(!f.FirstSince.IsZero(), other("first_seen", "f.first_seen >= ?", f.FirstSince.UnixMilli()))
	put(!f.FirstSince.IsZero() && f.FirstSince.After(f.Changed), pred{wants: "", rows: -1, // follows from it, and bounds walks
		sqlText: text("f.changed_at >= ?", f.FirstSince.UnixMilli())})
	put(!f.FirstUntil.IsZero(), other("first_seen", "f.first_seen < ?", f.FirstUntil.UnixMilli()))
	put(!f.Changed.IsZero(), other("changed_at", "f.changed_at >= ?", f.Changed.UnixMilli()))
	put(f.Priority > 0, other("priority", "f.priority >= ?", f.Priority))
	put(len(f.IDs) > 0, in("id", f.IDs))
	return out
}
