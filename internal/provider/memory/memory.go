// Package memory is what the provider knows of images: verdicts by reference and by digest, bounded in number and in bytes, and kept
// in a file so that a provider that starts while the server is away still answers.
//
// A hundred thousand verdicts must fit beside the rules in 128 MiB. What repeats from image to image, and that is nearly all of the
// text, is held once (package unique lets go of it with the last verdict that has it), and maps go by hashes of names.
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
	names   map[uint64]*entry // by reference
	digests map[uint64]*entry // by repository and digest; the latest of several
	head    *entry            // the newest; prev of it is nil
	tail    *entry
	hand    *entry // of SIEVE: the next to be looked at for eviction
	bytes   int64
	changed map[*entry]struct{} // since the file was written
	serial  int64
	wrote   int64 // serial in the file

	disk disk
}

// entry is one verdict. Its fields but prev, next and used change by being replaced: record is written once.
type entry struct {
	name       string
	record     *record
	prev, next *entry
	used       atomic.Bool
	gone       bool
}

// cost is about what an entry takes beside its record: the struct, two map cells, the name.
const cost = 64 + 2*28

func (e *entry) size() int64 { return int64(cost+len(e.name)) + e.record.size() }

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
	m := &Memory{o: o, seed: maphash.MakeSeed(), names: map[uint64]*entry{}, digests: map[uint64]*entry{}, changed: map[*entry]struct{}{}}
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
	if e := m.names[m.hash(name)]; e != nil && e.name == name {
		e.used.Store(true)
		return Answer{Verdict: e.record.verdict(e.name), Origin: e.record.origin(e.name)}, true
	}
	if ref.Digest == "" {
		return Answer{}, false
	}
	e := m.digests[m.content(ref.Name(), ref.Digest)]
	if e == nil || repositoryOf(e.name) != ref.Name() || e.record.digestText() != ref.Digest {
		return Answer{}, false
	}
	e.used.Store(true)
	a := Answer{Verdict: e.record.verdict(name), Origin: e.record.origin(name), Content: true}
	a.Verdict.Failed = withoutTag(a.Verdict.Failed)
	return a, true
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
	r := pack(v, from)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.put(name, r)
}

func (m *Memory) put(name string, r *record) (changed bool) {
	key := m.hash(name)
	e := m.names[key]
	if e != nil && e.name == name {
		changed = !e.record.same(r)
		m.bytes -= e.size()
		m.unindex(e)
	} else {
		if e != nil { // another name with this hash: it makes way
			m.remove(e)
		}
		changed = true
		e = &entry{name: strings.Clone(name)}
		m.names[key] = e
		m.push(e)
	}
	e.record = r
	m.bytes += e.size()
	if d := r.digestText(); d != "" {
		m.digests[m.content(repositoryOf(name), d)] = e
	}
	if changed {
		m.changed[e] = struct{}{}
	}
	for len(m.names) > m.o.Most || m.bytes > m.o.Bytes && len(m.names) > 1 {
		m.evict()
	}
	return changed
}

func (m *Memory) push(e *entry) {
	e.next = m.head
	if m.head != nil {
		m.head.prev = e
	}
	m.head = e
	if m.tail == nil {
		m.tail = e
	}
}

// evict removes one that was not used since the hand came by last (SIEVE).
func (m *Memory) evict() {
	e := m.hand
	for {
		if e == nil {
			e = m.tail
		}
		if !e.used.Swap(false) && e != m.head {
			break
		}
		if e == m.head && m.head == m.tail {
			break
		}
		e = e.prev
	}
	m.hand = e.prev
	m.remove(e)
}

func (m *Memory) remove(e *entry) {
	if m.hand == e {
		m.hand = e.prev
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		m.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		m.tail = e.prev
	}
	e.prev, e.next, e.gone = nil, nil, true
	m.bytes -= e.size()
	m.unindex(e)
	delete(m.names, m.hash(e.name))
	delete(m.changed, e)
}

func (m *Memory) unindex(e *entry) {
	if d := e.record.digestText(); d != "" {
		if key := m.content(repositoryOf(e.name), d); m.digests[key] == e {
			delete(m.digests, key)
		}
	}
}

// Outdated lists up to n images whose verdict was asked for before an epoch, those used lately first.
func (m *Memory) Outdated(epoch int64, n int) []protocol.Image {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var used, rest []protocol.Image
	for e := m.head; e != nil && len(used) < n; e = e.next {
		if int64(e.record.epoch) >= epoch {
			continue
		}
		if e.used.Load() {
			used = append(used, e.record.image(e.name))
		} else if len(rest) < n {
			rest = append(rest, e.record.image(e.name))
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

// Bytes is about what the verdicts take, texts that several share counted for each.
func (m *Memory) Bytes() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.bytes
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
