package image

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestOwningSet holds the sort of owned paths to a plain one, with paths that two packages own: the first to be named has them.
func TestOwningSet(t *testing.T) {
	for _, n := range []int{0, 1, 100, 4095, 4096, 50_000} {
		r := rand.New(rand.NewPCG(uint64(n), 1))
		var o owning
		for i := range n {
			h := r.Uint64()
			if i%7 == 0 && i > 0 {
				h = o.pairs[i-1].hash
			}
			o.pairs = append(o.pairs, ownedPair{h, uint32(r.IntN(500))})
		}
		want := slices.Clone(o.pairs)
		slices.SortFunc(want, func(a, b ownedPair) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.name, b.name)) })
		want = slices.CompactFunc(want, func(a, b ownedPair) bool { return a.hash == b.hash })
		got := o.set()
		if len(got.Hash) != len(want) || len(got.Name) != len(want) {
			t.Fatalf("%d paths: got %d, want %d", n, len(got.Hash), len(want))
		}
		for i, w := range want {
			if got.Hash[i] != w.hash || got.Name[i] != w.name {
				t.Fatalf("%d paths, at %d: got %x of %d, want %x of %d", n, i, got.Hash[i], got.Name[i], w.hash, w.name)
			}
		}
	}
}

// TestLarge lends memory again, and not what a reader keeps.
func TestLarge(t *testing.T) {
	l := new(large)
	w := &walker{big: l}
	first := l.lend(reuseSize + 10)
	if again := l.lend(reuseSize + 5); &again[0] != &first[0] {
		t.Error("memory was not used again")
	}
	if kept := w.own(first); &kept[0] != &first[0] {
		t.Error("lent memory was copied to be kept")
	}
	if next := l.lend(reuseSize + 5); &next[0] == &first[0] {
		t.Error("memory that a reader keeps was lent again")
	}
	small := make([]byte, 10)
	if kept := w.own(small); &kept[0] == &small[0] {
		t.Error("a small buffer, used for the next file, was not copied")
	}
	huge := l.lend(keepSize + 1)
	if next := l.lend(keepSize + 1); &huge[0] == &next[0] {
		t.Error("the largest buffers should not be kept")
	}
}
