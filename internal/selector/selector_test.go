package selector

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
)

func expr(key, op string, values ...any) map[string]any {
	e := map[string]any{"key": key, "operator": op}
	if values != nil {
		e["values"] = values
	}
	return e
}

func sel(labels map[string]any, exprs ...any) map[string]any {
	m := map[string]any{}
	if labels != nil {
		m["matchLabels"] = labels
	}
	if exprs != nil {
		m["matchExpressions"] = exprs
	}
	return m
}

func TestMatches(t *testing.T) {
	web := map[string]string{"app": "web", "tier": "front"}
	tests := []struct {
		name     string
		selector map[string]any
		labels   map[string]string
		want     bool
		text     string
	}{
		{"missing", nil, web, true, "<all>"},
		{"empty", sel(nil), nil, true, "<all>"},
		{"label", sel(map[string]any{"app": "web"}), web, true, "app=web"},
		{"other value", sel(map[string]any{"app": "db"}), web, false, "app=db"},
		{"one of two labels", sel(map[string]any{"app": "web", "x": "y"}), web, false, "app=web,x=y"},
		{"in", sel(nil, expr("app", "In", "db", "web")), web, true, "app in (db,web)"},
		{"in without the key", sel(nil, expr("zone", "In", "a")), web, false, "zone=a"},
		{"not in", sel(nil, expr("app", "NotIn", "db")), web, true, "app notin (db)"},
		{"not in without the key", sel(nil, expr("zone", "NotIn", "a")), web, true, "zone notin (a)"},
		{"not in matching", sel(nil, expr("app", "NotIn", "web")), web, false, "app notin (web)"},
		{"exists", sel(nil, expr("tier", "Exists")), web, true, "tier"},
		{"exists without the key", sel(nil, expr("tier", "Exists")), nil, false, "tier"},
		{"does not exist", sel(nil, expr("tier", "DoesNotExist")), web, false, "!tier"},
		{"both", sel(map[string]any{"app": "web"}, expr("tier", "DoesNotExist")), web, false, "app=web,!tier"},
		{"unknown operator", sel(nil, expr("app", "Like", "w")), web, false, "<invalid>"},
		{"in without values", sel(nil, expr("app", "In")), web, false, "<invalid>"},
		{"label of another type", sel(map[string]any{"app": int64(1)}), web, false, "<invalid>"},
		{"expression of another type", sel(nil, "x"), web, false, "<invalid>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Parse(tt.selector)
			if got := s.Matches(tt.labels); got != tt.want {
				t.Errorf("Matches(%v) = %v, want %v", tt.labels, got, tt.want)
			}
			if s.String() != tt.text {
				t.Errorf("String() = %q, want %q", s, tt.text)
			}
		})
	}
}

// TestIndexIsMatches compares the index with trying every member.
func TestIndexIsMatches(t *testing.T) {
	rnd := rand.New(rand.NewSource(7))
	word := func(p string, n int) string { return fmt.Sprint(p, rnd.Intn(n)) }
	for round := range 300 {
		labels := make([]map[string]string, rnd.Intn(40))
		for i := range labels {
			labels[i] = map[string]string{}
			for range rnd.Intn(4) {
				labels[i][word("k", 4)] = word("v", 3)
			}
		}
		x := NewIndex(labels)
		for range 20 {
			m := sel(nil)
			if rnd.Intn(2) == 0 {
				m["matchLabels"] = map[string]any{word("k", 5): word("v", 4)}
			}
			var exprs []any
			for range rnd.Intn(3) {
				e := expr(word("k", 5), []string{"In", "NotIn", "Exists", "DoesNotExist", "Bad"}[rnd.Intn(5)])
				if rnd.Intn(5) > 0 {
					e["values"] = []any{word("v", 4), word("v", 4)}[:1+rnd.Intn(2)]
				}
				exprs = append(exprs, e)
			}
			m["matchExpressions"] = exprs
			s := Parse(m)
			var want []int32
			for i, l := range labels {
				if s.Matches(l) {
					want = append(want, int32(i))
				}
			}
			if got := x.Select(s); !slices.Equal(got, want) {
				t.Fatalf("round %d: Select(%s) = %v, want %v over %v", round, s, got, want, labels)
			}
		}
	}
}
