package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Cache keeps layer results by key. Implementations are safe for concurrent use; what they lose is read again.
type Cache interface {
	Get(key string) ([]byte, bool)
	Put(key string, value []byte) error
}

// Store reads each layer once, however many scans ask for it at the same time, and keeps what it gave.
type Store struct {
	cache Cache // nil: results are shared while they are made, not kept
	codec *codec
	mu    sync.Mutex
	calls map[string]*flight
}

type flight struct {
	done   chan struct{}
	result *result
	err    error
}

// NewStore returns a store over a cache; nil keeps nothing.
func NewStore(c Cache) (*Store, error) {
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	return &Store{cache: c, codec: codec, calls: map[string]*flight{}}, nil
}

// layer returns the kept result for a key, or the one that read gives. known says that nothing was read. read's error is told
// only to the one who called it and to those who waited; of these, those whose own context still lives try again.
func (s *Store) layer(ctx context.Context, key string, read func() (*result, error)) (r *result, known bool, err error) {
	for {
		s.mu.Lock()
		f, running := s.calls[key]
		if !running {
			f = &flight{done: make(chan struct{})}
			s.calls[key] = f
		}
		s.mu.Unlock()
		if !running {
			return s.lead(key, f, read)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
		if f.err == nil && f.result != nil {
			return f.result, true, nil
		}
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
	}
}

// lead finds or makes the result that others wait for. They are let go even when a reader panics.
func (s *Store) lead(key string, f *flight, read func() (*result, error)) (*result, bool, error) {
	defer func() {
		s.mu.Lock()
		delete(s.calls, key)
		s.mu.Unlock()
		close(f.done)
	}()
	if s.cache != nil {
		if data, ok := s.cache.Get(key); ok {
			if r, err := s.codec.unpack(data); err == nil { // else: damaged, made by another version; read again
				f.result = r
				return r, true, nil
			}
		}
	}
	r, err := read()
	f.result, f.err = r, err
	if err == nil && !r.passing && s.cache != nil {
		if data, err := s.codec.pack(r); err == nil {
			_ = s.cache.Put(key, data) // a full disk costs time, not truth
		}
	}
	return r, false, err
}

// Memory is a cache for one process.
type Memory struct {
	mu   sync.Mutex
	m    map[string][]byte
	size int64
	max  int64
}

// NewMemory returns a cache of at most max bytes; what does not fit is not kept.
func NewMemory(max int64) *Memory { return &Memory{m: map[string][]byte{}, max: max} }

// Get implements Cache.
func (m *Memory) Get(key string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.m[key]
	return v, ok
}

// Put implements Cache.
func (m *Memory) Put(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	size := m.size + int64(len(value)) - int64(len(m.m[key]))
	if size > m.max {
		return errors.New("the cache is full")
	}
	m.m[key], m.size = value, size
	return nil
}

// Directory is a cache in a directory that several processes may share. Files are written beside and moved into place; when
// they are too much together, those not used for the longest time go first.
type Directory struct {
	dir  string
	max  int64
	mu   sync.Mutex
	size int64 // as far as this process knows
}

// resultEnding ends the names of files in a Directory.
const resultEnding = ".layer"

// NewDirectory makes the directory when it is missing. max is in bytes.
func NewDirectory(dir string, max int64) (*Directory, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d := &Directory{dir: dir, max: max}
	d.evict()
	return d, nil
}

// file is where a key is kept. Keys are hashed again so that nothing of them is a path.
func (d *Directory) file(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(d.dir, hex.EncodeToString(sum[:16])+resultEnding)
}

// Get implements Cache.
func (d *Directory) Get(key string) ([]byte, bool) {
	name := d.file(key)
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, false
	}
	now := time.Now()
	_ = os.Chtimes(name, now, now) // marks it as used; another process may have taken it away
	return data, true
}

// Put implements Cache.
func (d *Directory) Put(key string, value []byte) error {
	if int64(len(value)) > d.max/4 {
		return errors.New("larger than a quarter of the cache")
	}
	f, err := os.CreateTemp(d.dir, "new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(value)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), d.file(key))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d.mu.Lock()
	d.size += int64(len(value))
	full := d.size > d.max
	d.mu.Unlock()
	if full {
		d.evict()
	}
	return nil
}

// evict counts again, as other processes write too, and removes until nine tenths are left. Forgotten temporary files go as
// well.
func (d *Directory) evict() {
	d.mu.Lock()
	defer d.mu.Unlock()
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return
	}
	var files []fs.FileInfo
	d.size = 0
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		switch {
		case strings.HasSuffix(e.Name(), resultEnding):
			files = append(files, info)
			d.size += info.Size()
		case strings.HasPrefix(e.Name(), "new-") && time.Since(info.ModTime()) > time.Hour:
			_ = os.Remove(filepath.Join(d.dir, e.Name()))
		}
	}
	if d.size <= d.max {
		return
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range files {
		if d.size <= d.max/10*9 {
			break
		}
		if os.Remove(filepath.Join(d.dir, info.Name())) == nil {
			d.size -= info.Size()
		}
	}
}
