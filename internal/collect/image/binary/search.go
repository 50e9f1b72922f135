package binary

import "sync"

// matcher finds many literals in one pass. It looks at the last two bytes of a window as long as the shortest literal: a
// table says how far the window can move before any literal can end there, mostly by its whole length (Wu and Manber, "A fast
// algorithm for multi-pattern searching", 1994). The table is indexed by a hash of 13 bits so that it stays in the first
// cache.
type matcher struct {
	shortest int
	shift    [1 << 13]uint8
	bucket   map[uint16][]literal // by the hash of the two bytes where the shift is 0
}

type literal struct {
	text string
	id   uint16
}

func hash(a, b byte) uint16 { return (uint16(a) ^ uint16(b)<<5) & (1<<13 - 1) }

func newMatcher(list []literal) *matcher {
	m := &matcher{shortest: 255, bucket: map[uint16][]literal{}}
	for _, l := range list {
		m.shortest = min(m.shortest, len(l.text))
	}
	for i := range m.shift {
		m.shift[i] = uint8(m.shortest - 1)
	}
	for _, l := range list {
		for i := 1; i < m.shortest; i++ {
			h := hash(l.text[i-1], l.text[i])
			m.shift[h] = min(m.shift[h], uint8(m.shortest-1-i))
			if i == m.shortest-1 {
				m.bucket[h] = append(m.bucket[h], l)
			}
		}
	}
	return m
}

// search calls found for each literal that begins in buf[from:to] and is whole in buf, in the order of their places. Each
// step waits for a look-up, so two places are searched at once.
func (m *matcher) search(buf []byte, from, to int, found func(at int, id uint16)) {
	last := m.shortest - 1
	end := min(to+last, len(buf))
	i := from + last
	if i >= end {
		return
	}
	middle := i + (end-i)/2
	j := middle
	var first, second []int // places where the last two bytes fit
	for i < middle && j < end {
		si, sj := m.shift[hash(buf[i-1], buf[i])], m.shift[hash(buf[j-1], buf[j])]
		if si == 0 {
			first = m.check(buf, i-last, first)
			si = 1
		}
		if sj == 0 {
			second = m.check(buf, j-last, second)
			sj = 1
		}
		i += int(si)
		j += int(sj)
	}
	for ; i < middle; i++ {
		if s := m.shift[hash(buf[i-1], buf[i])]; s != 0 {
			i += int(s) - 1
		} else {
			first = m.check(buf, i-last, first)
		}
	}
	for ; j < end; j++ {
		if s := m.shift[hash(buf[j-1], buf[j])]; s != 0 {
			j += int(s) - 1
		} else {
			second = m.check(buf, j-last, second)
		}
	}
	for _, places := range [2][]int{first, second} {
		for _, at := range places {
			for _, l := range m.at(buf, at) {
				if len(buf)-at >= len(l.text) && string(buf[at:at+len(l.text)]) == l.text {
					found(at, l.id)
				}
			}
		}
	}
}

func (m *matcher) at(buf []byte, at int) []literal {
	return m.bucket[hash(buf[at+m.shortest-2], buf[at+m.shortest-1])]
}

// check adds a place to the list when some literal's first bytes stand there.
func (m *matcher) check(buf []byte, at int, places []int) []int {
	for _, l := range m.at(buf, at) {
		if string(buf[at:at+m.shortest]) == l.text[:m.shortest] {
			return append(places, at)
		}
	}
	return places
}

// programs finds the anchors that are looked for in every program: number 0 is Go's build information, n+1 products[n].
var programs = sync.OnceValue(func() *matcher {
	list := []literal{{buildInfoMagic, 0}}
	for i := range products {
		if len(products[i].files) == 0 {
			for _, a := range products[i].anchors {
				list = append(list, literal{a, uint16(i + 1)})
			}
		}
	}
	return newMatcher(list)
})

// goMatcher finds the anchors of Go programs: 0 is the build information, 1 the module list.
var goMatcher = sync.OnceValue(func() *matcher { return newMatcher([]literal{{buildInfoMagic, 0}, {moduleStart, 1}}) })
