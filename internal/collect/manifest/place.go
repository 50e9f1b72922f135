package manifest

import (
	"stockade.dev/stockade/internal/inventory"
)

// place is where a value stands: the tree of positions of one document, built only when somebody asks.
type place struct {
	key       string // of a map field
	list      bool   // kids are elements, not fields
	line, col int    // of the key of a field, of the content of an element
	last      int    // line on which the value ends
	kids      []place
}

// add appends a kid and returns it; nil when positions are not recorded.
func (p *place) add(key string, line, col int) *place {
	if p == nil {
		return nil
	}
	if p.kids == nil {
		p.kids = make([]place, 0, 4) // most maps and lists are small
	}
	p.kids = append(p.kids, place{key: key, line: line, col: col, last: line})
	return &p.kids[len(p.kids)-1]
}

// find follows steps as far as it can.
func (p *place) find(steps []inventory.Step) *place {
	for _, s := range steps {
		kid := p.kid(s)
		if kid == nil {
			break
		}
		p = kid
	}
	return p
}

func (p *place) kid(s inventory.Step) *place {
	if s.Index >= 0 {
		if p.list && s.Index < len(p.kids) {
			return &p.kids[s.Index]
		}
		return nil
	}
	if p.list {
		return nil
	}
	for i := len(p.kids) - 1; i >= 0; i-- { // the last of doubled keys is the one that counts
		if p.kids[i].key == s.Key {
			return &p.kids[i]
		}
	}
	return nil
}
