package selector

// Index finds the members of a list that a selector matches. It holds, for each label, the members that carry it.
type Index struct {
	labels []map[string]string
	keys   map[string]*posting
	all    []int32
}

type posting struct {
	members []int32
	values  map[string][]int32
}

// NewIndex indexes a list by the labels of its members. The maps are kept, not copied.
func NewIndex(labels []map[string]string) *Index {
	x := &Index{labels: labels, keys: map[string]*posting{}, all: make([]int32, len(labels))}
	for i, l := range labels {
		x.all[i] = int32(i)
		for k, v := range l {
			p := x.keys[k]
			if p == nil {
				p = &posting{values: map[string][]int32{}}
				x.keys[k] = p
			}
			p.members = append(p.members, int32(i))
			p.values[v] = append(p.values[v], int32(i))
		}
	}
	return x
}

// Select returns the positions of the members that s matches, ascending. The slice may be the index's own: it must not
// be changed.
func (x *Index) Select(s Selector) []int32 {
	if s.nothing || len(x.all) == 0 {
		return nil
	}
	if len(s.reqs) == 0 {
		return x.all
	}
	best, exact := x.all, -1
	for i, r := range s.reqs {
		var list []int32
		switch {
		case r.op == exists:
			if p := x.keys[r.key]; p != nil {
				list = p.members
			}
		case r.op == in && len(r.values) == 1:
			if p := x.keys[r.key]; p != nil {
				list = p.values[r.values[0]]
			}
		case r.op == in: // the carriers of the key bound it from above
			if p := x.keys[r.key]; p != nil {
				list = p.members
			}
			if len(list) < len(best) {
				best, exact = list, -1
			}
			continue
		default:
			continue
		}
		if len(list) < len(best) || exact < 0 && len(list) == len(best) {
			best, exact = list, i
		}
	}
	if len(best) == 0 || exact >= 0 && len(s.reqs) == 1 {
		return best
	}
	var out []int32
	for _, i := range best {
		if s.Matches(x.labels[i]) {
			out = append(out, i)
		}
	}
	return out
}
