package database

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/advisory"
)

const (
	matchName  = "match.db"
	tempPrefix = ".stockade-db-"
	// chunkSize is where the rows of a key are cut: a look-up copies one chunk at a time.
	chunkSize = 16 << 10
	// groupSize is how much text is compressed together.
	groupSize = 32 << 10
)

// output is a database being written.
type output struct {
	b       *Builder
	w       *sectionWriter
	m       *Manifest
	digests map[string]hash.Hash // by feed
	names   []string
	places  map[string]uint64
	enc     encoder
	text    *textWriter
}

// write writes match.db and the text file into dir.
func (b *Builder) write(dir string, o Output) (*Manifest, error) {
	f, err := os.Create(filepath.Join(dir, matchName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := &output{b: b, w: newSectionWriter(newPageWriter(f)), digests: map[string]hash.Hash{},
		m: &Manifest{Schema: Schema, BuiltAt: o.BuiltAt, Generation: o.Generation}}
	for name := range b.feeds {
		out.digests[name] = sha256.New()
	}
	if !b.o.NoText {
		if out.text, err = newTextWriter(dir); err != nil {
			return nil, err
		}
		defer out.text.f.Close()
	}
	out.shareNames()
	for _, step := range []func() error{out.blocks, b.settle, out.ids, out.writeNames, out.repositories, out.w.finish} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	root, err := out.w.close()
	if err != nil {
		return nil, err
	}
	out.m.Match = File{int64(out.w.size), hex.EncodeToString(root[:])}
	if out.text != nil {
		if out.m.Text, err = out.text.finish(dir); err != nil {
			return nil, err
		}
	}
	if o.Emergencies != nil {
		if out.m.Emergencies, err = writeEmergencies(dir, o.Emergencies); err != nil {
			return nil, err
		}
	}
	out.tell()
	manifest, err := json.Marshal(out.m)
	if err != nil {
		return nil, err
	}
	var signature []byte
	if o.Key != nil {
		if signature, err = Sign(manifest, o.Key); err != nil {
			return nil, err
		}
	}
	return out.m, errors.Join(out.w.seal(manifest, signature), f.Sync(), f.Close())
}

// shareNames makes the string table of what occurs more than once, most used first.
func (out *output) shareNames() {
	for s, n := range out.b.names {
		if n > 1 {
			out.names = append(out.names, s)
		}
	}
	n := out.b.names
	slices.SortFunc(out.names, func(a, b string) int { return cmp.Or(cmp.Compare(n[b], n[a]), strings.Compare(a, b)) })
	out.b.names = nil
	out.places = make(map[string]uint64, len(out.names))
	for i, s := range out.names {
		out.places[s] = uint64(i)
	}
	out.enc.table = func(s string) (uint64, bool) { n, ok := out.places[s]; return n, ok }
}

// blocks writes the rows and their index.
func (out *output) blocks() error {
	var index hashIndex
	var key []byte
	var chunks []chunk
	dec := decoder{}
	flush := func() error {
		if len(chunks) == 0 {
			return nil
		}
		off := out.w.offset()
		index.add(key, off)
		out.m.Keys++
		head := binary.AppendUvarint(nil, uint64(len(key)))
		head = binary.AppendUvarint(append(head, key...), uint64(len(chunks)))
		out.w.Write(head)
		for _, c := range chunks {
			head = binary.AppendUvarint(binary.AppendUvarint(head[:0], uint64(len(c.data))), uint64(c.rows))
			out.w.Write(head)
			out.w.Write(c.data)
			for _, id := range c.ids {
				if err := out.b.posting(id, off); err != nil {
					return err
				}
			}
		}
		chunks = chunks[:0]
		return out.w.err
	}
	out.w.begin(secBlocks)
	err := out.b.rows.each(func(rec []byte) error {
		end := bytes.IndexByte(rec, 0)
		end += 1 + bytes.IndexByte(rec[end+1:], 0)
		if !bytes.Equal(key, rec[:end]) {
			if err := flush(); err != nil {
				return err
			}
			key = append(key[:0], rec[:end]...)
		}
		dec.s, dec.i = string(rec[end+1:]), 0
		stream, name, _ := strings.Cut(string(key), "\x00")
		row := dec.next(stream, name)
		if row == nil {
			return fmt.Errorf("%s %s: %w", stream, name, dec.err)
		}
		out.add(row, rec)
		out.enc.b = out.enc.b[:0]
		out.enc.row(row)
		if n := len(chunks); n == 0 || len(chunks[n-1].data)+len(out.enc.b) > chunkSize {
			chunks = append(chunks, chunk{})
		}
		c := &chunks[len(chunks)-1]
		c.data = append(c.data, out.enc.b...)
		c.rows++
		c.ids = append(c.ids, row.IDs...)
		for _, h := range row.Hashes {
			c.ids = append(c.ids, hashID(h))
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	return index.write(out.w, secKeyBuckets, secKeyEntries)
}

// chunk is a part of a key's rows.
type chunk struct {
	data []byte
	rows int
	ids  []string
}

// hashID is the id under which artefacts are looked up by their SHA-1.
func hashID(sha1 string) string { return "sha1:" + sha1 }

// add counts a row.
func (out *output) add(r *advisory.Row, rec []byte) {
	out.m.Rows++
	out.b.feeds[r.Feed].Rows++
	out.digests[r.Feed].Write(rec)
	s := out.b.streams[r.Stream]
	if s == nil {
		s = &stream{feeds: map[string]bool{}}
		out.b.streams[r.Stream] = s
	}
	s.rows++
	s.feeds[r.Feed] = true
	if d := day(r.Published); d > s.date {
		s.date = d
	}
}

// day is the date of a time as publishers write it, or "".
func day(s string) string {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return ""
	}
	return s[:10]
}

// ids writes the records of ids and their index.
func (out *output) ids() error {
	var index hashIndex
	var id []byte
	var e idRecord
	flush := func() error {
		if id == nil {
			return nil
		}
		index.add(id, out.w.offset())
		return out.record(string(id), &e)
	}
	out.w.begin(secIDs)
	err := out.b.ids.each(func(rec []byte) error {
		end := bytes.IndexByte(rec, 0)
		if id == nil || !bytes.Equal(id, rec[:end]) {
			if err := flush(); err != nil {
				return err
			}
			id, e = append(id[:0], rec[:end]...), idRecord{keys: e.keys[:0], parts: e.parts[:0]}
		}
		switch data := rec[end+2:]; rec[end+1] {
		case kindAlias:
			e.alias = string(data)
		case kindKey:
			e.keys = append(e.keys, binary.BigEndian.Uint64(data))
		case kindVulnerability:
			return out.part(&e, rec, data[1:])
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	return index.write(out.w, secIDBuckets, secIDEntries)
}

// idRecord is all that is known of an id.
type idRecord struct {
	alias string
	keys  []uint64
	parts []*advisory.Vulnerability // by rank
}

// part decodes what one feed knows.
func (out *output) part(e *idRecord, rec, data []byte) error {
	feed, rest, _ := bytes.Cut(data, []byte{0})
	id, body, _ := bytes.Cut(rest, []byte{0})
	dec := decoder{s: string(body)}
	v := dec.vulnerability(string(id), out.text != nil)
	if dec.err != nil {
		return fmt.Errorf("%s: %w", id, dec.err)
	}
	out.digests[string(feed)].Write(rec)
	e.parts = append(e.parts, v)
	return nil
}

// The parts of an id's record.
const (
	hasVulnerability = 1 << iota
	hasAlias
	hasText
)

func (out *output) record(id string, e *idRecord) error {
	enc := encoder{}
	enc.text(id)
	var flags byte
	at := len(enc.b)
	enc.b = append(enc.b, 0)
	if e.alias != "" {
		flags |= hasAlias
		enc.text(e.alias)
	}
	if len(e.parts) > 0 {
		out.m.Vulnerabilities++
		flags |= hasVulnerability
		v := mergeParts(id, e.parts)
		if out.text != nil && (v.Title != "" || v.Description != "" || len(v.References) > 0) {
			flags |= hasText
			group, n, err := out.text.add(v)
			if err != nil {
				return err
			}
			enc.number(group)
			enc.number(uint64(n))
		}
		enc.table = out.enc.table
		enc.vulnerability(v, false)
	}
	enc.b[at] = flags
	enc.number(uint64(len(e.keys)))
	last := uint64(0)
	for _, k := range e.keys {
		enc.number(k - last)
		last = k
	}
	out.w.Write(binary.AppendUvarint(nil, uint64(len(enc.b))))
	out.w.Write(enc.b)
	return out.w.err
}

// writeNames writes the string table.
func (out *output) writeNames() error {
	var b [4]byte
	off := uint32(0)
	out.w.begin(secNameOffsets)
	for _, s := range out.names {
		binary.LittleEndian.PutUint32(b[:], off)
		out.w.Write(b[:])
		if uint64(off)+uint64(len(s)) > 1<<32-1 {
			return errors.New("the string table is larger than 4 GiB")
		}
		off += uint32(len(s))
	}
	binary.LittleEndian.PutUint32(b[:], off)
	out.w.Write(b[:])
	out.w.begin(secNames)
	for _, s := range out.names {
		out.w.Write([]byte(s))
	}
	return out.w.err
}

func (out *output) repositories() error {
	out.w.begin(secRepositories)
	enc := encoder{}
	enc.number(uint64(len(out.b.repos)))
	for _, name := range slices.Sorted(maps.Keys(out.b.repos)) {
		enc.text(name)
		enc.texts(slices.Sorted(slices.Values(out.b.repos[name])))
	}
	out.w.Write(enc.b)
	return out.w.err
}

// tell fills the lists of the manifest.
func (out *output) tell() {
	b := out.b
	out.m.Feeds, out.m.Streams = []Feed{}, []Stream{}
	for _, name := range slices.Sorted(maps.Keys(b.feeds)) {
		f := *b.feeds[name]
		f.SHA256 = hex.EncodeToString(out.digests[name].Sum(nil))
		out.m.Feeds = append(out.m.Feeds, f)
	}
	for name := range b.lifecycle {
		if b.streams[name] == nil {
			b.streams[name] = &stream{}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.streams)) {
		s := b.streams[name]
		t := Stream{Rows: s.rows, Date: s.date, Feeds: slices.Sorted(maps.Keys(s.feeds))}
		t.OS, t.Release, _ = strings.Cut(name, " ")
		if t.Date == "" {
			for _, f := range t.Feeds {
				t.Date = max(t.Date, day(b.feeds[f].Date))
			}
		}
		if list := b.lifecycle[name]; len(list) > 0 {
			t.Lifecycle = mergeLifecycles(list)
		}
		out.m.Streams = append(out.m.Streams, t)
	}
}

// mergeLifecycles takes each date from the first feed, by name, that has it.
func mergeLifecycles(list []advisory.Lifecycle) *advisory.Lifecycle {
	slices.SortFunc(list, func(a, b advisory.Lifecycle) int {
		return cmp.Or(strings.Compare(a.Feed, b.Feed), strings.Compare(a.EOL, b.EOL), strings.Compare(a.Latest, b.Latest))
	})
	l := list[0]
	for _, o := range list[1:] {
		l.EOL, l.Extended = cmp.Or(l.EOL, o.EOL), cmp.Or(l.Extended, o.Extended)
		l.Released, l.Latest = cmp.Or(l.Released, o.Released), cmp.Or(l.Latest, o.Latest)
	}
	return &l
}

// mergeParts makes one vulnerability of what feeds know; the first part that has something wins, lists are joined.
func mergeParts(id string, parts []*advisory.Vulnerability) *advisory.Vulnerability {
	v := advisory.Vulnerability{ID: id, Feed: parts[0].Feed}
	if parts[0].ID == id {
		v.Withdrawn = parts[0].Withdrawn
	}
	for _, p := range parts {
		v.Title = cmp.Or(v.Title, p.Title)
		v.Description = cmp.Or(v.Description, p.Description)
		v.Severity = cmp.Or(v.Severity, p.Severity)
		v.Published = cmp.Or(v.Published, p.Published)
		v.Modified = max(v.Modified, p.Modified)
		v.Aliases = join(v.Aliases, append(p.Aliases, p.ID)...)
		v.CWEs = join(v.CWEs, p.CWEs...)
		v.References = join(v.References, p.References...)
		for _, c := range p.CVSS {
			if !slices.Contains(v.CVSS, c) {
				v.CVSS = append(v.CVSS, c)
			}
		}
		if v.KEV == nil {
			v.KEV = p.KEV
		}
		if p.EPSS != nil && (v.EPSS == nil || p.EPSS.Date > v.EPSS.Date) {
			v.EPSS = p.EPSS
		}
	}
	v.Aliases = slices.DeleteFunc(v.Aliases, func(a string) bool { return a == id })
	slices.Sort(v.Aliases)
	v.References = v.References[:min(len(v.References), maxReferences)]
	return &v
}

func join(list []string, more ...string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// textWriter writes the text file: groups of texts, each compressed, and nothing else.
type textWriter struct {
	f     *os.File
	w     *pageWriter
	z     *zstd.Encoder
	group encoder
	n     int
}

func newTextWriter(dir string) (*textWriter, error) {
	f, err := os.Create(filepath.Join(dir, "text"))
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	t := &textWriter{f: f, w: newPageWriter(f), z: z}
	t.w.Write(footerMagic[:])
	return t, nil
}

// add writes the texts of v and says in which group and at which place.
func (t *textWriter) add(v *advisory.Vulnerability) (group uint64, n int, err error) {
	if len(t.group.b) >= groupSize {
		if err := t.flush(); err != nil {
			return 0, 0, err
		}
	}
	enc := encoder{}
	enc.texture(v)
	t.group.number(uint64(len(enc.b)))
	t.group.b = append(t.group.b, enc.b...)
	t.n++
	return t.w.size, t.n - 1, nil
}

func (t *textWriter) flush() error {
	packed := t.z.EncodeAll(t.group.b, nil)
	head := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(t.group.b))), uint64(len(packed)))
	t.w.Write(head)
	t.w.Write(packed)
	t.group.b, t.n = t.group.b[:0], 0
	return t.w.err
}

// finish ends the file and gives it the name that its content has.
func (t *textWriter) finish(dir string) (*File, error) {
	if t.n > 0 {
		if err := t.flush(); err != nil {
			return nil, err
		}
	}
	root, err := t.w.close()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(t.w.seal(nil, nil), t.f.Sync(), t.f.Close()); err != nil {
		return nil, err
	}
	f := &File{int64(t.w.size), hex.EncodeToString(root[:])}
	return f, os.Rename(filepath.Join(dir, "text"), filepath.Join(dir, textName(f)))
}

// textName is the name of a text file in its folder. It holds the root, so that the files of two builds can lie side by side
// and a database never opens another's texts.
func textName(f *File) string { return "text-" + f.SHA256[:min(16, len(f.SHA256))] + ".db" }
