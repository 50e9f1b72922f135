package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"io"
	"sync"
	"time"
)

// known is what the files of a root file system gave when they were read before. A file that is the same by its path, device, inode,
// size, mode, and the times of its last change, of which no program can set the second, is not read again.
type known struct {
	store  *Store
	key    string
	before map[mark16]*fileResult // nil: it gave nothing
	until  int64                  // files that changed later may change again without their times telling

	mu  sync.Mutex
	now []memory
}

// mark16 stands for a file as it is.
type mark16 [16]byte

// memory is what a file gave.
type memory struct {
	mark mark16
	out  *fileResult // nil: nothing
}

// mostKnown bounds the files of one root that are remembered.
const mostKnown = 500_000

// settled is how long a file must not have changed: more than the steps of file systems' clocks.
const settled = 2 * time.Second

// packedFiles is a known as it is written.
type packedFiles struct {
	Nothing []byte // marks of files that gave nothing
	Marks   []byte // of Files
	Files   []fileResult
}

// files returns what is known under a key; nil where nothing can be kept.
func (s *Store) files(key string, now time.Time) *known {
	if s.cache == nil {
		return nil
	}
	k := &known{store: s, key: key, before: map[mark16]*fileResult{}, until: now.Add(-settled).UnixNano()}
	data, ok := s.cache.Get(key)
	if !ok {
		return k
	}
	plain, err := s.codec.dec.DecodeAll(data, nil)
	var p packedFiles
	if err != nil || gob.NewDecoder(bytes.NewReader(plain)).Decode(&p) != nil || len(p.Marks) != len(p.Files)*len(mark16{}) {
		return k // damaged, or made by another version: all is read again
	}
	for i := 0; i+len(mark16{}) <= len(p.Nothing); i += len(mark16{}) {
		k.before[mark16(p.Nothing[i:])] = nil
	}
	for i := range p.Files {
		k.before[mark16(p.Marks[i*len(mark16{}):])] = &p.Files[i]
	}
	return k
}

// add takes what a worker learnt.
func (k *known) add(list []memory) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = append(k.now, list[:min(len(list), mostKnown-len(k.now))]...)
}

// save keeps what was met this time; what is gone is forgotten.
func (k *known) save() {
	same := len(k.now) == len(k.before)
	var p packedFiles
	for _, m := range k.now {
		if same {
			_, same = k.before[m.mark]
		}
		if m.out == nil {
			p.Nothing = append(p.Nothing, m.mark[:]...)
			continue
		}
		p.Marks, p.Files = append(p.Marks, m.mark[:]...), append(p.Files, *m.out)
	}
	if same {
		return
	}
	var b bytes.Buffer
	if gob.NewEncoder(&b).Encode(p) == nil {
		_ = k.store.cache.Put(k.key, k.store.codec.enc.EncodeAll(b.Bytes(), nil)) // a full disk costs time, not truth
	}
}

// markOf returns a file's mark; false for one that cannot be known again.
func (w *walker) markOf(f *file, wanted []*reader) (mark16, bool) {
	if w.known == nil || f.device == 0 || f.inode == 0 || f.change > w.known.until || f.modified > w.known.until {
		return mark16{}, false
	}
	for _, rd := range wanted {
		if rd.keeps {
			return mark16{}, false
		}
	}
	b := make([]byte, 0, 512)
	for _, n := range [...]uint64{f.device, f.inode, uint64(f.size), uint64(f.mode), uint64(f.modified), uint64(f.change)} { //nolint:gosec // bits
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	sum := sha256.Sum256(append(b, f.path...))
	return mark16(sum[:]), true
}

// recall takes what a file gave before; false when it has to be read.
func (w *walker) recall(f *file, wanted []*reader) bool {
	mark, ok := w.markOf(f, wanted)
	if !ok {
		return false
	}
	out, ok := w.known.before[mark]
	if !ok {
		return false
	}
	w.learnt = append(w.learnt, memory{mark, out})
	if out != nil {
		again := *out
		w.keep(&again)
	}
	return true
}

// learn keeps what a file gave, for now and, when its reading was whole, for later.
func (w *walker) learn(f *file, r io.Reader, wanted []*reader, out *fileResult) {
	if mark, ok := w.markOf(f, wanted); ok && w.ctx.Err() == nil {
		if l, ok := r.(*lazy); ok && l.err == nil && !l.lost {
			m := memory{mark: mark}
			if len(out.Packages)+len(out.Hits)+len(out.Gaps) > 0 || out.Database {
				one := *out
				m.out = &one
			}
			w.learnt = append(w.learnt, m)
		}
	}
}
