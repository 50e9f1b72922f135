// Package database is the advisory database: one immutable file that is opened in a moment and looked up by package, a
// second one for texts, a signed manifest, and the Builder that writes them from feeds. See file.go for the layout.
package database

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/advisory"
)

// Options say how a database is opened.
type Options struct {
	// TrustedKeys makes Open refuse a database that none of them signed. Without keys a signature is not checked.
	TrustedKeys []ed25519.PublicKey
	NoText      bool // do not open the text file
}

// DB is an open database. It is safe for concurrent use and never changes; a new one is another DB.
type DB struct {
	match     *pages
	text      *pages // nil without texts
	at        [sections]extent
	manifest  Manifest
	raw       []byte // the manifest's bytes
	rawSig    []byte
	signature *Signature
	trusted   bool
	textErr   error
	urgent    []byte // list of emergencies, checked; nil without one
	urgentErr error
	names     []atomic.Pointer[string]
	streams   map[string]*Stream
	repos     func() (map[string][]string, error)
	decoders  sync.Pool
	z         *zstd.Decoder
	groups    [16]atomic.Pointer[textGroup]
	err       atomic.Pointer[error]
}

// Open opens the database in a folder, or a match.db. The manifest's signature and the hashes of the pages are checked now, the
// pages themselves when they are first read.
func Open(path string, o Options) (*DB, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, matchName)
	}
	var db *DB
	var err error
	for range 3 { // a swap between the two files is a reason to look again
		if db, err = open(path, o); err != nil || !errors.Is(db.textErr, fs.ErrNotExist) && !errors.Is(db.urgentErr, fs.ErrNotExist) {
			break
		}
		if now, _, _, _, err := openPages(path); err != nil || string(now.hashes) == string(db.match.hashes) {
			if now != nil {
				now.Close()
			}
			break
		} else {
			now.Close()
		}
		db.Close()
	}
	return db, err
}

func open(path string, o Options) (*DB, error) {
	p, root, manifest, signature, err := openPages(path)
	if err != nil {
		return nil, err
	}
	db := &DB{match: p, raw: manifest, rawSig: signature}
	fail := func(err error) (*DB, error) {
		db.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if db.signature, err = Verify(manifest, signature, o.TrustedKeys); err != nil {
		return fail(err)
	}
	db.trusted = db.signature != nil && len(o.TrustedKeys) > 0
	m, err := parseManifest(manifest)
	if err != nil {
		return fail(err)
	}
	db.manifest = *m
	if m.Match.SHA256 != hex.EncodeToString(root[:]) || uint64(m.Match.Size) != p.body {
		return fail(errors.New("the file is not the one that its manifest names"))
	}
	if db.at, err = p.readSections(); err != nil {
		return fail(err)
	}
	if n := db.at[secNameOffsets].len; n >= 4 {
		db.names = make([]atomic.Pointer[string], n/4-1)
	}
	db.streams = make(map[string]*Stream, len(m.Streams))
	for i := range m.Streams {
		db.streams[m.Streams[i].Name()] = &db.manifest.Streams[i]
	}
	db.repos = sync.OnceValues(db.readRepositories)
	db.decoders.New = func() any { return &decoder{name: db.name} }
	if m.Text != nil && !o.NoText {
		db.openText(filepath.Join(filepath.Dir(path), textName(m.Text)))
	}
	if m.Emergencies != nil {
		db.urgent, db.urgentErr = readEmergencies(filepath.Join(filepath.Dir(path), emergenciesName(m.Emergencies)), m.Emergencies)
	}
	return db, nil
}

// openText opens the texts. Matching does without them: what is wrong is told by TextError.
func (db *DB) openText(path string) {
	t, root, _, _, err := openPages(path)
	if err == nil && (hex.EncodeToString(root[:]) != db.manifest.Text.SHA256 || t.body != uint64(db.manifest.Text.Size)) {
		t.Close()
		err = fmt.Errorf("%s: not the text file that the manifest names", path)
	}
	if err == nil {
		if db.z, err = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxGroup), zstd.WithDecoderConcurrency(0)); err != nil {
			t.Close()
		}
	}
	if err != nil {
		db.textErr = err
		return
	}
	db.text = t
}

// TextError says why there are no texts although the database has some; nil when they are open or were not asked for.
func (db *DB) TextError() error { return db.textErr }

// Err returns the first damage that a look-up without an error of its own met, or nil.
func (db *DB) Err() error {
	if e := db.err.Load(); e != nil {
		return *e
	}
	return nil
}

func (db *DB) broken(err error) {
	if err != nil {
		db.err.CompareAndSwap(nil, &err)
	}
}

// Info returns the manifest.
func (db *DB) Info() Manifest { return db.manifest }

// Digest is the SHA-256 of the manifest in hex; it names the database.
func (db *DB) Digest() string { return digest(db.raw) }

// Signature returns the signature, nil for an unsigned database, and whether it was checked against trusted keys.
func (db *DB) Signature() (s *Signature, checked bool) { return db.signature, db.trusted }

// Raw returns the bytes of the manifest and of the signature document, which is empty when unsigned.
func (db *DB) Raw() (manifest, signature []byte) { return db.raw, db.rawSig }

// Close ends the database. Rows and vulnerabilities that were returned stay good.
func (db *DB) Close() error {
	err := db.match.Close()
	if db.text != nil {
		err = errors.Join(err, db.text.Close())
	}
	if db.z != nil {
		db.z.Close()
	}
	return err
}

// Verify reads everything and checks it: hashes of all pages, then every record.
func (db *DB) Verify(progress func(done, total uint64)) error {
	if err := db.match.verify(progress); err != nil {
		return err
	}
	rows := 0
	if err := db.Each(func(_ Key, rowsOf func(func(*advisory.Row) bool) error) error {
		return rowsOf(func(*advisory.Row) bool { rows++; return true })
	}); err != nil {
		return err
	}
	if rows != db.manifest.Rows {
		return fmt.Errorf("%s: %d rows, the manifest says %d", db.match.name, rows, db.manifest.Rows)
	}
	if err := db.EachID(func(string, *advisory.Vulnerability) error { return nil }); err != nil {
		return err
	}
	if err := errors.Join(db.textErr, db.urgentErr); err != nil {
		return err
	}
	if db.text != nil {
		return db.text.verify(progress)
	}
	return nil
}

// name returns a string of the table.
func (db *DB) name(n uint64) (string, error) {
	if n >= uint64(len(db.names)) {
		return "", fmt.Errorf("%s: %w", db.match.name, errBroken)
	}
	if s := db.names[n].Load(); s != nil {
		return *s, nil
	}
	var s string
	err := db.match.guard(func() error {
		b, err := db.match.part(db.at[secNameOffsets], 4*n, 8)
		if err != nil {
			return err
		}
		from, to := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		if from > to || to-from > maxRow {
			return fmt.Errorf("%s: %w", db.match.name, errBroken)
		}
		if b, err = db.match.part(db.at[secNames], uint64(from), uint64(to-from)); err != nil {
			return err
		}
		s = string(b)
		return nil
	})
	if err == nil {
		db.names[n].Store(&s)
	}
	return s, err
}

// Stream tells what there is for a stream; false when nothing is known of it. A stream with no rows is known by its
// lifecycle only: there is no advisory data for it.
func (db *DB) Stream(name string) (StreamInfo, bool) {
	s := db.streams[name]
	if s == nil {
		return StreamInfo{}, false
	}
	info := StreamInfo{Rows: s.Rows, Date: s.Date, Feeds: s.Feeds}
	if s.Lifecycle != nil {
		info.Lifecycle = *s.Lifecycle
	}
	return info, true
}

// StreamInfo is what there is for a stream.
type StreamInfo struct {
	Rows      int
	Date      string // day of the newest row
	Lifecycle advisory.Lifecycle
	Feeds     []string
}

// Streams returns the names of all streams, sorted.
func (db *DB) Streams() []string {
	var names []string
	for n := range db.streams {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Repository returns the products of a Red Hat content set; nil when it is not known.
func (db *DB) Repository(name string) []string {
	repos, err := db.repos()
	db.broken(err)
	return repos[name]
}

func (db *DB) readRepositories() (map[string][]string, error) {
	d := decoder{}
	err := db.match.guard(func() error {
		b, err := db.match.part(db.at[secRepositories], 0, db.at[secRepositories].len)
		d.s = string(b)
		return err
	})
	if err != nil {
		return nil, err
	}
	repos := map[string][]string{}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		name := d.text()
		repos[name] = d.texts(nil)
	}
	return repos, d.err
}

// Key is a package of a stream.
type Key struct{ Stream, Package string }

func splitKey(s string) (Key, bool) {
	stream, name, ok := strings.Cut(s, "\x00")
	return Key{stream, name}, ok
}
