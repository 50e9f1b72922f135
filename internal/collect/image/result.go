package image

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"slices"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/inventory"
)

// result is what one layer gave. It is kept, shared and never changed after it was made.
type result struct {
	Files []fileResult
	Raw   map[string][]byte // small files that tell the operating system
	Links map[string]string // symlinks that matter: high in the tree (usr merge), or on the way to files of Raw; path -> target from the root
	// What the layer does to those below it, as sorted hashes of paths: files written, directories written, paths removed,
	// directories emptied before. Hashes bound the memory that a layer of a million long names can ask for.
	Written, Dirs, Whiteouts, Opaque hashes
	Owned                            owned
	Gaps                             []inventory.Gap // of the layer as a whole; those of a file are with it
	Entries, Bytes                   int64

	passing bool // not to be kept: incomplete for a reason that may be gone next time
}

// fileResult is what one file gave.
type fileResult struct {
	Path     string
	Names    []string // hard links to it
	Database bool     // of a package manager
	Packages []inventory.Package
	Hits     []inventory.Hit
	Gaps     []inventory.Gap
}

// hashes is a sorted set of path hashes.
type hashes []uint64

// pathHash is the start of the SHA-256 of a clean path. A fast hash would do, were it not that an image could then be made in
// which a harmless path hides another one's package. It takes some 60 ns.
func pathHash(path string) uint64 {
	var buf [256]byte
	sum := sha256.Sum256(append(buf[:0], path...))
	return binary.LittleEndian.Uint64(sum[:])
}

func (h hashes) has(v uint64) bool {
	_, ok := slices.BinarySearch(h, v)
	return ok
}

// sorted makes the set of what was gathered.
func (h hashes) sorted() hashes {
	slices.Sort(h)
	return slices.Clip(slices.Compact(h))
}

// owned says which system package owns a path, by hash.
type owned struct {
	Names []string
	Hash  hashes
	Name  []uint32 // index into Names, for each hash
}

func (o *owned) find(h uint64) (string, bool) {
	i, ok := slices.BinarySearch(o.Hash, h)
	if !ok {
		return "", false
	}
	return o.Names[o.Name[i]], true
}

// owning gathers owned paths. Their number is bounded: the databases of big installations list a million files.
type owning struct {
	names []string
	pairs []ownedPair
}

// join adds what another one gathered.
func (o *owning) join(other *owning) {
	from := uint32(len(o.names))
	o.names = append(o.names, other.names...)
	for _, p := range other.pairs {
		o.pairs = append(o.pairs, ownedPair{p.hash, p.name + from})
	}
	other.names, other.pairs = nil, nil
}

type ownedPair struct {
	hash uint64
	name uint32
}

const maxOwned = 2_000_000

func (o *owning) name(n string) uint32 {
	o.names = append(o.names, n)
	return uint32(len(o.names) - 1)
}

func (o *owning) add(path string, name uint32) {
	if len(o.pairs) < maxOwned {
		o.pairs = append(o.pairs, ownedPair{pathHash(path), name})
	}
}

// sort orders the pairs by hash, then name. Hashes are spread evenly: after one pass over their upper bits little is left.
func (o *owning) sort() {
	const shift, buckets = 52, 1 << 12
	less := func(a, b ownedPair) int {
		if a.hash != b.hash {
			return cmp.Compare(a.hash, b.hash)
		}
		return cmp.Compare(a.name, b.name)
	}
	if len(o.pairs) < buckets {
		slices.SortFunc(o.pairs, less)
		return
	}
	var start [buckets + 1]int
	for _, p := range o.pairs {
		start[p.hash>>shift+1]++
	}
	for i := range buckets {
		start[i+1] += start[i]
	}
	next, out := start, make([]ownedPair, len(o.pairs))
	for _, p := range o.pairs {
		b := p.hash >> shift
		out[next[b]] = p
		next[b]++
	}
	for i := range buckets {
		slices.SortFunc(out[start[i]:start[i+1]], less)
	}
	o.pairs = out
}

func (o *owning) set() owned {
	o.sort()
	out := owned{Names: o.names, Hash: make(hashes, 0, len(o.pairs)), Name: make([]uint32, 0, len(o.pairs))}
	for i, p := range o.pairs {
		if i == 0 || p.hash != o.pairs[i-1].hash {
			out.Hash, out.Name = append(out.Hash, p.hash), append(out.Name, p.name)
		}
	}
	return out
}

// GobEncode writes hashes as plain bytes: gob would spend a call on each.
func (h hashes) GobEncode() ([]byte, error) {
	out := make([]byte, 0, 8*len(h))
	for _, v := range h {
		out = binary.LittleEndian.AppendUint64(out, v)
	}
	return out, nil
}

// GobDecode reads what GobEncode wrote.
func (h *hashes) GobDecode(data []byte) error {
	if len(data)%8 != 0 {
		return errors.New("hashes: odd length")
	}
	*h = make(hashes, len(data)/8)
	for i := range *h {
		(*h)[i] = binary.LittleEndian.Uint64(data[8*i:])
	}
	if !slices.IsSorted(*h) {
		return errors.New("hashes: not sorted")
	}
	return nil
}

// codec packs results for the cache.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// maxResult bounds an unpacked result in the cache, in bytes.
const maxResult = 512 << 20

func newCodec() (*codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxResult))
	return &codec{enc, dec}, err
}

func (c *codec) pack(r *result) ([]byte, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(r); err != nil {
		return nil, err
	}
	return c.enc.EncodeAll(b.Bytes(), nil), nil
}

func (c *codec) unpack(data []byte) (*result, error) {
	plain, err := c.dec.DecodeAll(data, nil)
	if err != nil {
		return nil, err
	}
	r := new(result)
	if err := gob.NewDecoder(bytes.NewReader(plain)).Decode(r); err != nil {
		return nil, err
	}
	if len(r.Owned.Hash) != len(r.Owned.Name) {
		return nil, errors.New("owned: hashes and names differ")
	}
	for _, n := range r.Owned.Name {
		if int(n) >= len(r.Owned.Names) {
			return nil, errors.New("owned: no such name")
		}
	}
	return r, nil
}
