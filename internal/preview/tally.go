package preview

import (
	"cmp"
	"slices"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
)

// place is an owner in a cluster.
type place struct {
	target  int64
	cluster string
	ref     inventory.Ref
}

// groupKey tells groups apart.
type groupKey struct {
	rule   string
	action policy.Action
}

// ownerKey tells the owners of a group apart.
type ownerKey struct {
	group groupKey
	place place
}

// tally counts what policies say of many objects. It is for one goroutine; tallies are merged.
type tally struct {
	bundle    *policy.Bundle
	objects   int
	violating int
	excepted  int
	byAction  map[policy.Action]int
	groups    map[groupKey]*groupCount
	owners    map[ownerKey]*Owner
	doubts    map[policy.Undecided]*Undecided
	users     map[string]int
	cut       bool
}

type groupCount struct {
	sample   policy.Violation
	count    int
	excepted int
	spaces   map[Space]int // Count is 0 in keys
}

func newTally(b *policy.Bundle) *tally {
	return &tally{bundle: b, byAction: map[policy.Action]int{}, groups: map[groupKey]*groupCount{}, owners: map[ownerKey]*Owner{}, doubts: map[policy.Undecided]*Undecided{}, users: map[string]int{}}
}

// subject is an object that was judged.
type subject struct {
	place place // of its owner
	ref   inventory.Ref
	file  string
	line  func(path string) int // may be nil
	user  string
}

// take counts the outcome of one object.
func (t *tally) take(s *subject, o *policy.Outcome) {
	t.objects++
	seen := map[groupKey]bool{}
	violating, excepted := false, false
	for i := range o.Violations {
		v := &o.Violations[i]
		key := groupKey{v.Rule, v.Action}
		g := t.groups[key]
		if g == nil {
			g = &groupCount{sample: *v, spaces: map[Space]int{}}
			t.groups[key] = g
		}
		if v.Exception != 0 {
			excepted = true
			if !seen[groupKey{v.Rule, "excepted"}] {
				seen[groupKey{v.Rule, "excepted"}] = true
				g.excepted++
			}
			continue
		}
		violating = true
		if seen[key] {
			continue
		}
		seen[key] = true
		g.count++
		g.spaces[Space{Cluster: s.place.cluster, Namespace: s.place.ref.Namespace}]++
		t.owner(key, s, v)
	}
	t.undecided(s, o)
	switch {
	case violating:
		t.violating++
	case excepted:
		t.excepted++
	}
	if a := o.Action(); violating || a.Rank() > policy.Audit.Rank() {
		t.byAction[a]++
		if a == policy.Block && s.user != "" && (t.users[s.user] > 0 || len(t.users) < maxKept) {
			t.users[s.user]++
		}
	}
}

func (t *tally) owner(group groupKey, s *subject, v *policy.Violation) {
	key := ownerKey{group, s.place}
	o := t.owners[key]
	if o == nil {
		if len(t.owners) >= maxKept {
			t.cut = true
			return
		}
		o = &Owner{Target: s.place.target, Cluster: s.place.cluster, Namespace: s.place.ref.Namespace, Kind: s.place.ref.Kind, Name: s.place.ref.Name,
			Message: v.Message, Refusal: t.bundle.Refusal(v), Container: v.Container, Image: v.Image, Path: v.Path, Found: v.Found, Want: v.Want, File: s.file}
		if s.line != nil {
			o.Line = s.line(v.Path)
		}
		t.owners[key] = o
	}
	o.Count++
}

func (t *tally) undecided(s *subject, o *policy.Outcome) {
	for _, u := range o.Undecided {
		u.Policy = 0
		d := t.doubts[u]
		if d == nil {
			if len(t.doubts) >= maxUndecided {
				u.Image, u.Reason = "", "more of the same kind"
				if d = t.doubts[u]; d == nil {
					d = &Undecided{Rule: u.Rule, Action: u.Action, Reason: u.Reason, Text: finding.Text{EN: u.Reason, ZH: policy.ReasonIn("zh", u.Reason)}, First: s.ref.String()}
					t.doubts[u] = d
				}
				d.Count++
				continue
			}
			d = &Undecided{Rule: u.Rule, Image: u.Image, Action: u.Action, Reason: u.Reason, Text: finding.Text{EN: u.Reason, ZH: policy.ReasonIn("zh", u.Reason)}, First: s.ref.String()}
			t.doubts[u] = d
		}
		d.Count++
	}
}

// merge adds what another goroutine counted.
func (t *tally) merge(x *tally) {
	t.objects += x.objects
	t.violating += x.violating
	t.excepted += x.excepted
	t.cut = t.cut || x.cut
	for a, n := range x.byAction {
		t.byAction[a] += n
	}
	for u, n := range x.users {
		t.users[u] += n
	}
	for k, g := range x.groups {
		old := t.groups[k]
		if old == nil {
			t.groups[k] = g
			continue
		}
		old.count += g.count
		old.excepted += g.excepted
		for s, n := range g.spaces {
			old.spaces[s] += n
		}
	}
	for k, o := range x.owners {
		if old := t.owners[k]; old != nil {
			old.Count += o.Count
		} else if len(t.owners) >= maxKept {
			t.cut = true
		} else {
			t.owners[k] = o
		}
	}
	for u, d := range x.doubts {
		if old := t.doubts[u]; old != nil {
			old.Count += d.Count
		} else {
			t.doubts[u] = d
		}
	}
}

// list are the groups, what would be refused first, each with its largest owners.
func (t *tally) list(most int) []Group {
	owners := map[groupKey][]Owner{}
	for k, o := range t.owners {
		owners[k.group] = append(owners[k.group], *o)
	}
	out := []Group{}
	for k, g := range t.groups {
		v := &g.sample
		group := Group{Rule: k.rule, RuleID: v.RuleID, Title: v.Title, Fix: v.Fix, Severity: v.Severity, Action: k.action, Count: g.count, Excepted: g.excepted,
			Owners: owners[k], Spaces: []Space{}}
		slices.SortFunc(group.Owners, func(a, b Owner) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name),
				cmp.Compare(a.File, b.File))
		})
		if len(group.Owners) > most {
			group.More = len(group.Owners) - most
			group.Owners = slices.Clone(group.Owners[:most])
		}
		if group.Owners == nil {
			group.Owners = []Owner{}
		}
		for s, n := range g.spaces {
			s.Count = n
			group.Spaces = append(group.Spaces, s)
		}
		slices.SortFunc(group.Spaces, func(a, b Space) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Namespace, b.Namespace))
		})
		group.Spaces = group.Spaces[:min(len(group.Spaces), maxSpaces)]
		out = append(out, group)
	}
	slices.SortFunc(out, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Action.Rank(), a.Action.Rank()), cmp.Compare(b.Severity.Rank(), a.Severity.Rank()), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Rule, b.Rule))
	})
	return out
}

func (t *tally) doubtful() []Undecided {
	out := []Undecided{}
	for _, d := range t.doubts {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Undecided) int {
		return cmp.Or(cmp.Compare(b.Action.Rank(), a.Action.Rank()), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Image, b.Image), cmp.Compare(a.Reason, b.Reason))
	})
	return out[:min(len(out), maxUndecided)]
}

func (t *tally) actions() map[string]int {
	out := map[string]int{"audit": 0, "warn": 0, "block": 0}
	for a, n := range t.byAction {
		if a != policy.Off {
			out[string(a)] += n
		}
	}
	return out
}

// compare is what one policy hits that the other does not, owner by owner. Where an owner is hit by both with other actions it stands
// among those that became sharper or milder.
func compare(after, before *tally) *Diff {
	type key struct {
		rule  string
		place place
	}
	type pair struct {
		was, is policy.Action
		owner   *Owner
		group   groupKey
	}
	all := map[key]*pair{}
	put := func(t *tally, now bool) {
		for k, o := range t.owners {
			p := all[key{k.group.rule, k.place}]
			if p == nil {
				p = &pair{}
				all[key{k.group.rule, k.place}] = p
			}
			if now && k.group.action.Rank() > p.is.Rank() {
				p.is, p.owner, p.group = k.group.action, o, k.group
			}
			if !now && k.group.action.Rank() > p.was.Rank() {
				p.was = k.group.action
				if p.owner == nil {
					p.owner, p.group = o, k.group
				}
			}
		}
	}
	put(after, true)
	put(before, false)
	d := &Diff{Added: []Change{}, Removed: []Change{}}
	for k, p := range all {
		if p.is == p.was {
			continue
		}
		from := after
		if p.is == policy.Off {
			from = before
		}
		c := Change{Rule: k.rule, Action: p.is, Was: p.was, Owner: *p.owner, Title: finding.Text{EN: k.rule, ZH: k.rule}}
		if g := from.groups[p.group]; g != nil {
			c.RuleID, c.Title = g.sample.RuleID, g.sample.Title
		}
		if p.is.Rank() > p.was.Rank() {
			d.Added = append(d.Added, c)
		} else {
			d.Removed = append(d.Removed, c)
		}
	}
	for _, list := range []*[]Change{&d.Added, &d.Removed} {
		slices.SortFunc(*list, func(a, b Change) int {
			return cmp.Or(cmp.Compare(max(b.Action.Rank(), b.Was.Rank()), max(a.Action.Rank(), a.Was.Rank())), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Rule, b.Rule),
				cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
		})
		if len(*list) > maxChanges {
			*list, d.Cut = (*list)[:maxChanges], true
		}
	}
	d.Cut = d.Cut || after.cut || before.cut
	return d
}
