package database

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
)

const (
	maxChunk = maxRow + chunkSize
	maxID    = 16 << 20 // bytes of one id's record
	maxGroup = 8 << 20  // bytes of one group of texts
)

// Rows calls yield for every row of a package of a stream until it returns false. The row and its lists are good during the
// call only; its strings stay good. Looking for what is not there is no error.
func (db *DB) Rows(stream, name string, yield func(*advisory.Row) bool) error {
	if len(stream)+len(name) > 2*maxKey {
		return nil
	}
	var buf [128]byte
	key := append(append(append(buf[:0], stream...), 0), name...)
	var c cursor
	err := db.match.guard(func() error {
		return db.match.find(db.at[secKeyBuckets], db.at[secKeyEntries], hashKey(key), func(off uint64) (bool, error) {
			got, body, err := db.blockKey(off)
			if err != nil || string(got) != string(key) {
				return false, err
			}
			if c, err = db.cursor(body); err != nil {
				return false, err
			}
			return true, db.chunk(&c)
		})
	})
	if err != nil || c.rows == 0 {
		return err
	}
	_, err = db.each(&c, stream, name, yield)
	return err
}

// cursor is a place in a block.
type cursor struct {
	off    uint64 // of the next chunk in the section
	chunks uint64 // left
	data   string // of the current chunk
	rows   uint64 // in it
}

// blockKey reads the key of a block and where its rows begin; it is called inside guard.
func (db *DB) blockKey(off uint64) (key []byte, body uint64, err error) {
	n, off, err := db.match.varint(db.at[secBlocks], off)
	if err != nil {
		return nil, 0, err
	}
	if n > 2*maxKey {
		return nil, 0, fmt.Errorf("%s: %w", db.match.name, errBroken)
	}
	key, err = db.match.part(db.at[secBlocks], off, n)
	return key, off + n, err
}

func (db *DB) cursor(body uint64) (c cursor, err error) {
	c.chunks, c.off, err = db.match.varint(db.at[secBlocks], body)
	return c, err
}

// chunk copies the next chunk out of the file; it is called inside guard. rows is 0 after the last.
func (db *DB) chunk(c *cursor) error {
	c.data, c.rows = "", 0
	if c.chunks == 0 {
		return nil
	}
	n, off, err := db.match.varint(db.at[secBlocks], c.off)
	if err != nil {
		return err
	}
	rows, off, err := db.match.varint(db.at[secBlocks], off)
	if err != nil {
		return err
	}
	if n > maxChunk || rows == 0 || rows > n {
		return fmt.Errorf("%s: %w", db.match.name, errBroken)
	}
	b, err := db.match.part(db.at[secBlocks], off, n)
	if err != nil {
		return err
	}
	c.data, c.rows, c.off, c.chunks = string(b), rows, off+n, c.chunks-1
	return nil
}

// each decodes the rows of a block; more is false when yield ended it.
func (db *DB) each(c *cursor, stream, name string, yield func(*advisory.Row) bool) (more bool, err error) {
	d := db.decoders.Get().(*decoder)
	defer db.decoders.Put(d)
	for c.rows > 0 {
		d.s, d.i, d.err = c.data, 0, nil
		for range c.rows {
			row := d.next(stream, name)
			if row == nil {
				return false, fmt.Errorf("%s: rows of %s in %s: %w", db.match.name, name, stream, d.err)
			}
			if !yield(row) {
				return false, nil
			}
		}
		if c.chunks == 0 {
			break
		}
		if err := db.match.guard(func() error { return db.chunk(c) }); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Each calls f for every key in order, with a function that reads its rows.
func (db *DB) Each(f func(k Key, rows func(yield func(*advisory.Row) bool) error) error) error {
	for off := uint64(0); off < db.at[secBlocks].len; {
		var c cursor
		var k Key
		err := db.match.guard(func() error {
			key, body, err := db.blockKey(off)
			if err != nil {
				return err
			}
			ok := false
			if k, ok = splitKey(string(key)); !ok {
				return fmt.Errorf("%s: %w", db.match.name, errBroken)
			}
			if c, err = db.cursor(body); err != nil {
				return err
			}
			skip := c
			for skip.chunks > 0 {
				if err := db.chunk(&skip); err != nil {
					return err
				}
			}
			off = skip.off
			return db.chunk(&c)
		})
		if err != nil {
			return err
		}
		if err := f(k, func(yield func(*advisory.Row) bool) error {
			_, err := db.each(&c, k.Stream, k.Package, yield)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// entry is the record of an id.
type entry struct {
	id, alias string
	v         *advisory.Vulnerability
	keys      []uint64
	group, n  uint64
	hasText   bool
}

// idRecord copies the record at an offset out of the file; it is called inside guard.
func (db *DB) idRecord(off uint64) (rec string, end uint64, err error) {
	n, off, err := db.match.varint(db.at[secIDs], off)
	if err != nil {
		return "", 0, err
	}
	if n > maxID {
		return "", 0, fmt.Errorf("%s: %w", db.match.name, errBroken)
	}
	b, err := db.match.part(db.at[secIDs], off, n)
	return string(b), off + n, err
}

func (db *DB) parse(rec string) (e entry, err error) {
	d := decoder{s: rec, name: db.name}
	e.id = d.text()
	flags := d.octet()
	if flags&hasAlias != 0 {
		e.alias = d.text()
	}
	if e.hasText = flags&hasText != 0; e.hasText {
		e.group, e.n = d.number(), d.number()
	}
	if flags&hasVulnerability != 0 {
		e.v = d.vulnerability(e.id, false)
	}
	at := uint64(0)
	for n := d.count(); n > 0 && d.err == nil; n-- {
		at += d.number()
		e.keys = append(e.keys, at)
	}
	if d.err != nil {
		return e, fmt.Errorf("%s: record of an id: %w", db.match.name, d.err)
	}
	return e, nil
}

// entry looks an id up; nil when it is not there.
func (db *DB) entry(id string) (*entry, error) {
	var rec string
	err := db.match.guard(func() error {
		return db.match.find(db.at[secIDBuckets], db.at[secIDEntries], hashKey(id), func(off uint64) (bool, error) {
			got, _, err := db.idRecord(off)
			if err != nil {
				return false, err
			}
			d := decoder{s: got}
			if d.text() != id || d.err != nil {
				return false, nil
			}
			rec = got
			return true, nil
		})
	})
	if err != nil || rec == "" {
		return nil, err
	}
	e, err := db.parse(rec)
	if err != nil {
		return nil, err
	}
	return &e, nil
}

// resolve looks an id up under the name that its vulnerability has.
func (db *DB) resolve(id string) (own, main *entry, err error) {
	if own, err = db.entry(id); err != nil || own == nil || own.alias == "" {
		return own, own, err
	}
	main, err = db.entry(own.alias)
	return own, main, err
}

// Vulnerability returns what is known of an id, which may be an alias, with its texts when the text file is there. Damage
// is told by Err.
func (db *DB) Vulnerability(id string) (*advisory.Vulnerability, bool) {
	_, e, err := db.resolve(id)
	db.broken(err)
	if err != nil || e == nil || e.v == nil {
		return nil, false
	}
	if e.hasText && db.text != nil {
		if err := db.addText(e); err != nil {
			db.broken(err)
		}
	}
	return e.v, true
}

// textGroup is a group of texts as it was decompressed last.
type textGroup struct {
	off  uint64
	data string
}

// group returns a group of texts. The last ones stay in memory: ids that are asked for in their order share groups.
func (db *DB) group(at uint64) (string, error) {
	kept := &db.groups[at%uint64(len(db.groups))]
	if g := kept.Load(); g != nil && g.off == at {
		return g.data, nil
	}
	all := extent{0, db.text.body}
	var packed []byte
	var size uint64
	err := db.text.guard(func() error {
		raw, off, err := db.text.varint(all, at)
		if err != nil {
			return err
		}
		n, off, err := db.text.varint(all, off)
		if err != nil {
			return err
		}
		if raw > maxGroup || n > maxGroup {
			return fmt.Errorf("%s: %w", db.text.name, errBroken)
		}
		b, err := db.text.part(all, off, n)
		packed, size = slices.Clone(b), raw
		return err
	})
	if err != nil {
		return "", err
	}
	data, err := db.z.DecodeAll(packed, make([]byte, 0, min(size, 4*groupSize)))
	if err != nil || uint64(len(data)) != size {
		return "", fmt.Errorf("%s: %w", db.text.name, cmp.Or(err, errBroken))
	}
	g := &textGroup{at, string(data)}
	kept.Store(g)
	return g.data, nil
}

// addText reads the texts of an entry.
func (db *DB) addText(e *entry) error {
	group, err := db.group(e.group)
	if err != nil {
		return err
	}
	d := decoder{s: group}
	for n := e.n; n > 0 && d.err == nil; n-- {
		d.take(d.number())
	}
	own := decoder{s: strings.Clone(d.take(d.number()))} // what is kept must not keep the whole group
	own.texture(e.v)
	if d.err != nil || own.err != nil {
		return fmt.Errorf("%s: %w", db.text.name, cmp.Or(d.err, own.err))
	}
	return nil
}

// Keys returns the packages that have rows on an id or one of its aliases, sorted. "sha1:" and 40 hex digits find the packages of
// an artefact. Damage is told by Err.
func (db *DB) Keys(id string) []Key {
	own, main, err := db.resolve(id)
	db.broken(err)
	var offs []uint64
	if own != nil {
		offs = append(offs, own.keys...)
	}
	if main != nil && main != own {
		offs = append(offs, main.keys...)
	}
	if main != nil && main.v != nil {
		for _, a := range main.v.Aliases {
			other, err := db.entry(a)
			db.broken(err)
			if other != nil && other.alias == main.id {
				offs = append(offs, other.keys...)
			}
		}
	}
	slices.Sort(offs)
	offs = slices.Compact(offs) // blocks stand in the order of keys
	var keys []Key
	db.broken(db.match.guard(func() error {
		for _, off := range offs {
			b, _, err := db.blockKey(off)
			if err != nil {
				return err
			}
			k, ok := splitKey(string(b))
			if !ok {
				return errors.New("broken key")
			}
			keys = append(keys, k)
		}
		return nil
	}))
	return keys
}

// EachID calls f for every id in order with what is known of it, without texts; nil for ids that only rows name and for
// aliases.
func (db *DB) EachID(f func(id string, v *advisory.Vulnerability) error) error {
	for off := uint64(0); off < db.at[secIDs].len; {
		var rec string
		if err := db.match.guard(func() (err error) { rec, off, err = db.idRecord(off); return err }); err != nil {
			return err
		}
		e, err := db.parse(rec)
		if err != nil {
			return err
		}
		if err := f(e.id, e.v); err != nil {
			return err
		}
	}
	return nil
}
