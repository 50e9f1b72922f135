// Package memory is what the provider knows of images: verdicts by reference and by digest, bounded in number and in bytes, and kept
// in a file so that a provider that starts while the server is away still answers.
//
// A hundred thousand verdicts must fit beside the rules in 128 MiB, and the garbage collector must not be busy with them while Gatekeeper
// waits. What repeats from image to image, and that is nearly all of the text, is held once; each verdict is one string of bytes, and
// what finds it goes by numbers and hashes.
package memory

import (
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

// Options are where and how much.
type Options struct {
	Most  int   // verdicts; default 100,000
	Bytes int64 // what they may take, about; default 64 MiB
	// File keeps them; "" keeps nothing.
	File string
	// Disk bounds the file, of which there may be two for a moment; default 128 MiB.
	Disk int64
	Now  func() time.Time
	Log  *slog.Logger
}

// Origin says in the light of what a verdict was given.
type Origin struct {
	// Epoch counts the changes of policies that were known here when the verdict was asked for.
	Epoch int64
	// Image is as it was asked for: what one namespace with its pull secrets may not read another may be able to.
	Image protocol.Image
	Asked time.Time
}

// Answer is a verdict with where it is from.
type Answer struct {
	Verdict policy.ImageVerdict
	Origin
	// Content: the verdict is that of the same digest under another tag of the repository.
	Content bool
}

// Memory is safe for use by many at once.
type Memory struct {
	o    Options
	seed maphash.Seed

	mu      sync.RWMutex
	names   map[uint64]uint32 // places by reference
	digests map[uint64]uint32 // by repository and digest; the latest of several
	slots   []slot            // by place; place 0 is nothing
	free    []uint32
	head    uint32 // the newest; prev of it is 0
	tail    uint32
	hand    uint32 // of SIEVE: the next to be looked at for eviction
	words   words
	packer  packer
	bytes   int64               // of records
	changed map[uint32]struct{} // places, since the file was written
	serial  int64
	wrote   int64 // serial in the file

	disk disk
}

// slot is a place for one verdict.
type slot struct {
	record     record // "" in a free one
	prev, next uint32
	used       uint32 // atomic: whoever reads holds the lock for readers only
}

// cost is about what a verdict takes beside its record: the slot, two map cells.
const cost = 32 + 2*16

// New returns a memory with what its file holds. A file that cannot be read, or parts of it, are dropped: what was in it is asked for
// anew. Problems tells.
func New(o Options) *Memory {
	if o.Most <= 0 {
		o.Most = 100_000
	}
	if o.Bytes <= 0 {
		o.Bytes = 64 << 20
	}
	if o.Disk <= 0 {
		o.Disk = 128 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Memory{o: o, seed: maphash.MakeSeed()}
	m.forget()
	m.load()
	return m
}

func (m *Memory) hash(s string) uint64 { return maphash.String(m.seed, s) }

// content is the key of a repository's digest.
func (m *Memory) content(repository, digest string) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	_, _ = h.WriteString(repository) // never fails
	_ = h.WriteByte('@')             // never fails
	_, _ = h.WriteString(digest)     // never fails
	return h.Sum64()
}

// repositoryOf is the part of a normalized reference before tag and digest.
func repositoryOf(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return name
}

// Get returns what is known of an image: under its own name, or else under the same digest of the same repository.
func (m *Memory) Get(ref policy.Reference) (Answer, bool) {
	name := ref.String()
	m.mu.RLock()
	defer m.mu.RUnlock()
	if at := m.names[m.hash(name)]; at != 0 && m.slots[at].record.name() == name {
		return m.answer(at, name), true
	}
	if ref.Digest == "" {
		return Answer{}, false
	}
	at := m.digests[m.content(ref.Name(), ref.Digest)]
	if at == 0 || repositoryOf(m.slots[at].record.name()) != ref.Name() || m.slots[at].record.digest(&m.words) != ref.Digest {
		return Answer{}, false
	}
	a := m.answer(at, name)
	a.Content = true
	a.Verdict.Failed = withoutTag(a.Verdict.Failed)
	return a, true
}

func (m *Memory) answer(at uint32, name string) (a Answer) {
	s := &m.slots[at]
	if atomic.LoadUint32(&s.used) == 0 {
		atomic.StoreUint32(&s.used, 1)
	}
	a.Verdict, a.Origin = s.record.read(&m.words, name)
	return a
}

// withoutTag leaves out what is said of a name with a tag: this one has a digest.
func withoutTag(failed []policy.Failure) []policy.Failure {
	out := failed[:0]
	for _, f := range failed {
		if f.Kind != policy.Tag {
			out = append(out, f)
		}
	}
	return out
}

// Put keeps a verdict on the image of a normalized reference. It reports whether the verdict says something else than the one before.
func (m *Memory) Put(name string, v *policy.ImageVerdict, from Origin) (changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.put(name, v, &from)
}

func (m *Memory) put(name string, v *policy.ImageVerdict, from *Origin) (changed bool) {
	r := m.packer.pack(name, v, from)
	key := m.hash(name)
	at := m.names[key]
	if at != 0 && m.slots[at].record.name() == name {
		changed = !m.slots[at].record.same(r)
		m.unindex(at)
		m.let(m.slots[at].record)
	} else {
		if at != 0 { // another name with this hash: it makes way
			m.remove(at)
		}
		changed = true
		at = m.place()
		m.names[key] = at
		m.push(at)
	}
	m.slots[at].record = r
	m.bytes += int64(cost + len(r))
	if d := r.digest(&m.words); d != "" {
		m.digests[m.content(repositoryOf(name), d)] = at
	}
	if changed {
		m.changed[at] = struct{}{}
	}
	for len(m.names) > m.o.Most || m.bytes+m.words.bytes > m.o.Bytes && len(m.names) > 1 {
		m.evict()
	}
	return changed
}

// place is a free slot.
func (m *Memory) place() uint32 {
	if last := len(m.free) - 1; last >= 0 {
		at := m.free[last]
		m.free = m.free[:last]
		return at
	}
	m.slots = append(m.slots, slot{})
	return uint32(len(m.slots) - 1) //nolint:gosec // Options.Most bounds them
}

// let takes a record out of the count.
func (m *Memory) let(r record) {
	m.bytes -= int64(cost + len(r))
	r.release(&m.words)
}

func (m *Memory) push(at uint32) {
	m.slots[at].next = m.head
	if m.head != 0 {
		m.slots[m.head].prev = at
	}
	m.head = at
	if m.tail == 0 {
		m.tail = at
	}
}

// evict removes one that was not used since the hand came by last (SIEVE).
func (m *Memory) evict() {
	at := m.hand
	for {
		if at == 0 {
			at = m.tail
		}
		if atomic.SwapUint32(&m.slots[at].used, 0) == 0 && at != m.head {
			break
		}
		if at == m.head && m.head == m.tail {
			break
		}
		at = m.slots[at].prev
	}
	m.hand = m.slots[at].prev
	m.remove(at)
}

func (m *Memory) remove(at uint32) {
	s := &m.slots[at]
	if m.hand == at {
		m.hand = s.prev
	}
	if s.prev != 0 {
		m.slots[s.prev].next = s.next
	} else {
		m.head = s.next
	}
	if s.next != 0 {
		m.slots[s.next].prev = s.prev
	} else {
		m.tail = s.prev
	}
	m.unindex(at)
	delete(m.names, m.hash(s.record.name()))
	delete(m.changed, at)
	m.let(s.record)
	*s = slot{}
	m.free = append(m.free, at)
}

func (m *Memory) unindex(at uint32) {
	r := m.slots[at].record
	if d := r.digest(&m.words); d != "" {
		if key := m.content(repositoryOf(r.name()), d); m.digests[key] == at {
			delete(m.digests, key)
		}
	}
}

// Outdated lists up to n images whose verdict was asked for before an epoch, those used lately first.
func (m *Memory) Outdated(epoch int64, n int) []protocol.Image {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var used, rest []protocol.Image
	for at := m.head; at != 0 && len(used) < n; at = m.slots[at].next {
		s := &m.slots[at]
		if s.record.epoch() >= epoch {
			continue
		}
		if atomic.LoadUint32(&s.used) != 0 {
			used = append(used, s.record.image(&m.words))
		} else if len(rest) < n {
			rest = append(rest, s.record.image(&m.words))
		}
	}
	return append(used, rest[:min(len(rest), n-len(used))]...)
}

// Len is how many verdicts are kept, Bytes what they take, about.
func (m *Memory) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.names)
}

// Bytes is about what the verdicts take, with the texts that they share.
func (m *Memory) Bytes() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.bytes + m.words.bytes
}

// Serial is the change of the server's verdicts up to which this memory knows them.
func (m *Memory) Serial() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.serial
}

// SetSerial moves it.
func (m *Memory) SetSerial(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serial = n
}
