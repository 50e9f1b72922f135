package browse

import (
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/store"
)

// field is a column of the order of a list, as the result of its statement names it.
type field struct {
	column string
	text   bool
	desc   bool
}

// ranking is an order of a list whose columns may go in both directions. The last column tells any two rows apart.
type ranking struct {
	name   string
	fields []field
}

// rank finds the order that is asked for: a name of orders, with "-" before it the other way round.
func rank(orders map[string][]field, names []string, sort, otherwise string) (ranking, error) {
	if sort == "" {
		sort = otherwise
	}
	name, back := strings.CutPrefix(sort, "-")
	fields, ok := orders[name]
	if !ok {
		return ranking{}, fmt.Errorf("%w: sort %q: want one of %s, with - before it for the other way", ErrFilter, sort, strings.Join(names, ", "))
	}
	r := ranking{name: sort, fields: slices.Clone(fields)}
	if back {
		for i := range r.fields {
			r.fields[i].desc = !r.fields[i].desc
		}
	}
	return r, nil
}

func (r ranking) by() string {
	var parts []string
	for _, f := range r.fields {
		if f.desc {
			parts = append(parts, f.column+" DESC")
		} else {
			parts = append(parts, f.column)
		}
	}
	return strings.Join(parts, ", ")
}

// behind is the condition that a row stands behind a cursor; nil on the first page.
func (r ranking) behind(after string) (*sqlText, error) {
	if after == "" {
		return nil, nil
	}
	name := ""
	into := []any{&name}
	for _, f := range r.fields {
		if f.text {
			into = append(into, new(string))
		} else {
			into = append(into, new(int64))
		}
	}
	if err := store.ReadCursor(after, into...); err != nil {
		return nil, err
	}
	if name != r.name {
		return nil, fmt.Errorf("%w: it is of the sort %.20q", store.ErrCursor, name)
	}
	values := make([]any, len(r.fields))
	for i := range values {
		switch v := into[i+1].(type) {
		case *string:
			if strings.ContainsRune(*v, 0) {
				return nil, store.ErrCursor
			}
			values[i] = *v
		case *int64:
			values[i] = *v
		}
	}
	cond := r.from(0, values)
	if sign := r.sign(0); len(values) > 1 { // lets an index begin at the place
		cond = text(r.fields[0].column+" "+sign+"= ? AND (", values[0])
		cond.append(r.from(0, values))
		cond.add(")")
	}
	return &cond, nil
}

func (r ranking) sign(i int) string {
	if r.fields[i].desc {
		return "<"
	}
	return ">"
}

func (r ranking) from(i int, values []any) sqlText {
	column := r.fields[i].column
	cond := text(column+" "+r.sign(i)+" ?", values[i])
	if i == len(values)-1 {
		return cond
	}
	cond.add(" OR "+column+" = ? AND (", values[i])
	cond.append(r.from(i+1, values))
	cond.add(")")
	return cond
}

// cursor is where a page ends.
func (r ranking) cursor(value func(column string) any) string {
	key := []any{r.name}
	for _, f := range r.fields {
		key = append(key, value(f.column))
	}
	return store.Cursor(key...)
}
