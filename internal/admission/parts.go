package admission

import (
	"container/list"
	"context"
	"crypto/sha256"
	"database/sql"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/uptrace/bun"
)

// hash names bytes: the first half of their SHA-256.
type hash [16]byte

func hashOf(parts ...[]byte) hash {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return hash(h.Sum(nil)[:16])
}

// touch is how often the use of a part is written. The sweeper leaves parts alone that were used within twice that.
const touch = 10 * time.Minute

// partKey is a part of a cluster.
type partKey struct {
	target int64
	hash   hash
}

type partUse struct {
	id int64
	at time.Time // that stands in used_at
}

// parts remembers which parts are in the database.
type parts struct{ known *recent[partKey] }

func newParts() *parts { return &parts{newRecent[partKey](200_000)} }

// part is bytes to be kept once.
type part struct {
	hash hash
	body []byte // packed
}

// keep writes those parts that are not there, and gives the ids of all. What it learned is remembered when the caller says that the
// transaction was committed.
func (s *Service) keep(ctx context.Context, tx bun.Tx, target int64, want map[hash]*part, now time.Time) (ids map[hash]int64, added int64, committed func(), err error) {
	ids = make(map[hash]int64, len(want))
	b := bulk{head: "INSERT INTO admission_parts (target_id, hash, used_at, size, body) VALUES ", columns: 5,
		tail: " ON CONFLICT (target_id, hash) DO UPDATE SET used_at = CASE WHEN admission_parts.used_at < excluded.used_at THEN excluded.used_at ELSE admission_parts.used_at END RETURNING id, hash"}
	sizes := map[hash]int{}
	var asked [][]byte
	for h, p := range want {
		if u, ok := s.parts.known.get(partKey{target, h}); ok && now.Sub(u.at) < touch {
			ids[h] = u.id
			continue
		}
		asked = append(asked, h[:])
		sizes[h] = len(p.body)
	}
	if len(asked) == 0 {
		return ids, 0, func() {}, nil
	}
	sortBytes(asked)
	there := map[hash]bool{}
	for chunk := range chunks(asked, 500) {
		rows, err := tx.QueryContext(ctx, "SELECT hash FROM admission_parts WHERE target_id = ? AND hash IN (?)", target, bun.List(chunk))
		if err != nil {
			return nil, 0, nil, err
		}
		if err := each(rows, func(r *sql.Rows) error {
			var h []byte
			err := r.Scan(&h)
			there[hash(h)] = true
			return err
		}); err != nil {
			return nil, 0, nil, err
		}
	}
	for _, a := range asked {
		h := hash(a)
		b.row(target, a, now.UnixMilli(), sizes[h], want[h].body)
		if !there[h] {
			added += int64(sizes[h])
		}
	}
	fresh := map[hash]int64{}
	err = s.exec(ctx, tx, &b, func(r *sql.Rows) error {
		var id int64
		var h []byte
		err := r.Scan(&id, &h)
		ids[hash(h)], fresh[hash(h)] = id, id
		return err
	})
	return ids, added, func() {
		for h, id := range fresh {
			s.parts.known.put(partKey{target, h}, partUse{id, now})
		}
	}, err
}

// forget drops what is remembered of all parts: some were deleted.
func (p *parts) forget() { p.known.clear() }

// recent is a bounded map that forgets what was not used for longest.
type recent[K comparable] struct {
	mu    sync.Mutex
	most  int
	at    map[K]*list.Element
	order *list.List
}

type kept[K comparable] struct {
	key K
	use partUse
}

func newRecent[K comparable](most int) *recent[K] {
	return &recent[K]{most: most, at: map[K]*list.Element{}, order: list.New()}
}

func (r *recent[K]) get(k K) (partUse, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.at[k]
	if !ok {
		return partUse{}, false
	}
	r.order.MoveToFront(e)
	return e.Value.(*kept[K]).use, true
}

func (r *recent[K]) put(k K, u partUse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.at[k]; ok {
		e.Value.(*kept[K]).use = u
		r.order.MoveToFront(e)
		return
	}
	r.at[k] = r.order.PushFront(&kept[K]{k, u})
	if r.order.Len() > r.most {
		last := r.order.Back()
		delete(r.at, last.Value.(*kept[K]).key)
		r.order.Remove(last)
	}
}

func (r *recent[K]) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.at)
	r.order.Init()
}

// smallPart is the size below which packing gains nothing; mostPart bounds what is unpacked.
const (
	smallPart = 200
	mostPart  = 4 << 20
)

var packer = sync.OnceValue(func() *zstd.Encoder {
	z, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(1<<18), zstd.WithEncoderCRC(false)) // the options are right
	return z
})

var unpacker = sync.OnceValue(func() *zstd.Decoder {
	z, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(mostPart))
	return z
})

// pack makes JSON shorter where that helps.
func pack(plain []byte) []byte {
	if len(plain) < smallPart {
		return plain
	}
	return packer().EncodeAll(plain, nil)
}

// unpack reads what pack wrote; nil for damaged bytes.
func unpack(body []byte) []byte {
	if len(body) == 0 || body[0] == '{' {
		return body
	}
	plain, err := unpacker().DecodeAll(body, nil)
	if err != nil {
		return nil
	}
	return plain
}
