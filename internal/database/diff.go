package database

import (
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
)

// Change is one id of one package that two databases say different things of.
type Change struct {
	Kind byte // '+' only in the second, '-' only in the first, '~' in both with other rows
	Key
	ID string
}

// Diff calls yield for every change from a to b, by key and id; keys that only b has come last.
func Diff(a, b *DB, yield func(Change) error) error {
	err := a.Each(func(k Key, rows func(func(*advisory.Row) bool) error) error {
		was, err := statements(rows)
		if err != nil {
			return err
		}
		is, err := statements(func(f func(*advisory.Row) bool) error { return b.Rows(k.Stream, k.Package, f) })
		if err != nil {
			return err
		}
		return changes(k, was, is, yield)
	})
	if err != nil {
		return err
	}
	return b.Each(func(k Key, rows func(func(*advisory.Row) bool) error) error {
		known := false
		if err := a.Rows(k.Stream, k.Package, func(*advisory.Row) bool { known = true; return false }); known || err != nil {
			return err
		}
		is, err := statements(rows)
		if err != nil {
			return err
		}
		return changes(k, nil, is, yield)
	})
}

// statements are the rows of a key by id, in a form that is compared.
func statements(rows func(func(*advisory.Row) bool) error) (map[string][]string, error) {
	by := map[string][]string{}
	var e encoder
	err := rows(func(r *advisory.Row) bool {
		e.b = e.b[:0]
		e.row(r)
		line := string(e.b)
		for _, id := range r.IDs {
			by[id] = append(by[id], line)
		}
		return true
	})
	return by, err
}

func changes(k Key, was, is map[string][]string, yield func(Change) error) error {
	var list []Change
	for id, lines := range was {
		other, ok := is[id]
		switch {
		case !ok:
			list = append(list, Change{'-', k, id})
		case len(lines) != len(other) || !equalSets(lines, other):
			list = append(list, Change{'~', k, id})
		}
	}
	for id := range is {
		if _, ok := was[id]; !ok {
			list = append(list, Change{'+', k, id})
		}
	}
	slices.SortFunc(list, func(a, b Change) int { return strings.Compare(a.ID, b.ID) })
	for _, c := range list {
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}

func equalSets(a, b []string) bool {
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// Shrunk names the feeds that give less in next than in previous by more than a share of 0 to 1: rows, or records where a
// feed has no rows. A feed that is gone has shrunk to nothing.
func Shrunk(previous, next *Manifest, share float64) (list []string) {
	now := map[string]Feed{}
	for _, f := range next.Feeds {
		now[f.Name] = f
	}
	for _, was := range previous.Feeds {
		is := now[was.Name]
		what, before, after := "rows", was.Rows, is.Rows
		if before == 0 {
			what, before, after = "records", was.Records, is.Records
		}
		if float64(after) < float64(before)*(1-share) {
			list = append(list, fmt.Sprintf("%s: %d %s, before %d", was.Name, after, what, before))
		}
	}
	return list
}
