package repair

import (
	"fmt"
	"strings"
)

// Context lines of a difference, and the work that finding it may take.
const (
	around   = 3
	mostDiff = 4 << 20
)

// Diff is the unified difference of two texts, "" when they are the same. name stands in its head.
func Diff(before, after, name string) string {
	if before == after {
		return ""
	}
	a, b := linesOf(before), linesOf(after)
	same := pairs(a, b)
	var out strings.Builder
	name = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return '?'
		}
		return r
	}, name)
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", name, name)
	for _, h := range hunks(a, b, same) {
		h.write(&out, a, b)
	}
	return out.String()
}

func linesOf(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }

// pairs gives for each line of a the line of b that it is, -1 for those that are gone.
func pairs(a, b []string) []int {
	out := make([]int, len(a))
	for i := range out {
		out[i] = -1
	}
	from := 0
	for from < len(a) && from < len(b) && a[from] == b[from] {
		out[from] = from
		from++
	}
	endA, endB := len(a), len(b)
	for endA > from && endB > from && a[endA-1] == b[endB-1] {
		endA--
		endB--
		out[endA] = endB
	}
	x, y := a[from:endA], b[from:endB]
	if len(x)*len(y) > mostDiff || len(x) == 0 || len(y) == 0 {
		return out
	}
	// length[i][j] is how many lines x[i:] and y[j:] have in common.
	width := len(y) + 1
	length := make([]int32, (len(x)+1)*width)
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				length[i*width+j] = length[(i+1)*width+j+1] + 1
			} else {
				length[i*width+j] = max(length[(i+1)*width+j], length[i*width+j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(x) && j < len(y); {
		switch {
		case x[i] == y[j]:
			out[from+i] = from + j
			i++
			j++
		case length[(i+1)*width+j] >= length[i*width+j+1]:
			i++
		default:
			j++
		}
	}
	return out
}

// hunk is a piece of both texts that differs, with its surroundings.
type hunk struct {
	a0, a1, b0, b1 int
	same           []int
}

func hunks(a, b []string, same []int) []hunk {
	var out []hunk
	add := func(a0, a1, b0, b1 int) {
		if n := len(out); n > 0 && a0-out[n-1].a1 <= 2*around {
			out[n-1].a1, out[n-1].b1 = a1, b1
			return
		}
		out = append(out, hunk{a0, a1, b0, b1, same})
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		if i < len(a) && same[i] == j {
			i++
			j++
			continue
		}
		i0, j0 := i, j
		for i < len(a) && same[i] < 0 {
			i++
		}
		if i < len(a) {
			j = same[i]
		} else {
			j = len(b)
		}
		add(i0, i, j0, j)
	}
	for k := range out {
		h := &out[k]
		before, after := min(around, h.a0), min(around, len(a)-h.a1)
		h.a0, h.b0, h.a1, h.b1 = h.a0-before, h.b0-before, h.a1+after, h.b1+after
	}
	return out
}

func (h hunk) write(out *strings.Builder, a, b []string) {
	fmt.Fprintf(out, "@@ -%s +%s @@\n", extent(h.a0, h.a1), extent(h.b0, h.b1))
	i, j := h.a0, h.b0
	for i < h.a1 || j < h.b1 {
		switch {
		case i < h.a1 && h.same[i] == j:
			out.WriteString(" " + a[i] + "\n")
			i++
			j++
		case i < h.a1 && h.same[i] < 0:
			out.WriteString("-" + a[i] + "\n")
			i++
		default:
			out.WriteString("+" + b[j] + "\n")
			j++
		}
	}
}

// extent is "first,count" of lines, as a difference writes it.
func extent(from, to int) string {
	if to == from {
		return fmt.Sprintf("%d,0", from)
	}
	if to-from == 1 {
		return fmt.Sprint(from + 1)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}
