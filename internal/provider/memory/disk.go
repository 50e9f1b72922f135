package memory

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

// The file is a head and then parts, each by itself: a mark, the length and the checksum of what follows, and lines of JSON,
// compressed. A later line on a name replaces the earlier. What is damaged is found by its checksum and passed over to the next
// mark: a verdict that is lost is asked for anew, a wrong one would be believed.
const (
	fileHead = "stockade verdicts 1\n"
	partMark = "\xf5SVP"
	partHead = len(partMark) + 8
	partSize = 256 << 10 // of lines, before compression
	mostPart = 4 << 20   // of a part that is read
)

// line is what the file has of one verdict, or of the serial.
type line struct {
	Name    string               `json:"n,omitempty"`
	Verdict *policy.ImageVerdict `json:"v,omitempty"`
	Epoch   int64                `json:"e,omitempty"`
	Space   string               `json:"ns,omitempty"`
	Secrets []string             `json:"ps,omitempty"`
	Asked   uint32               `json:"t,omitempty"`
	Serial  int64                `json:"s,omitempty"`
	Drop    bool                 `json:"d,omitempty"` // Forget was called
}

// disk is the file's side of a Memory. Only Flush and load use it, one at a time; problem is read under the memory's lock.
type disk struct {
	lines   int   // in the file
	size    int64 //
	rewrite bool  // the next flush writes everything anew
	problem string
	damage  string
	noted   time.Time // when damage was
}

// noteTime is how long it is told what was dropped.
const noteTime = 10 * time.Minute

// Problems say in English what is wrong with the file; none is good.
func (m *Memory) Problems() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []string
	if m.disk.problem != "" {
		out = append(out, m.disk.problem)
	}
	if m.disk.damage != "" && m.o.Now().Sub(m.disk.noted) < noteTime {
		out = append(out, m.disk.damage)
	}
	return out
}

func (m *Memory) load() {
	if m.o.File == "" {
		return
	}
	f, err := os.Open(m.o.File)
	if errors.Is(err, os.ErrNotExist) {
		m.disk.rewrite = true
		return
	}
	if err != nil {
		m.damaged("the kept verdicts cannot be opened and begin empty: " + err.Error())
		return
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > m.o.Disk {
		m.damaged("the file of kept verdicts is none, or too large, and was dropped")
		return
	}
	m.disk.size = info.Size()
	if bad := m.read(bufio.NewReaderSize(f, 1<<20)); bad > 0 {
		m.damaged(fmt.Sprintf("%d damaged parts of the kept verdicts were dropped", bad))
	}
	clear(m.changed)
	m.wrote = m.serial
}

// damaged notes what was dropped, and has the file written anew.
func (m *Memory) damaged(what string) {
	m.disk.rewrite, m.disk.damage, m.disk.noted = true, what, m.o.Now()
	m.o.Log.Warn("verdicts on disk", "problem", what)
}

// read takes in the file and counts the places that cannot be read.
func (m *Memory) read(r *bufio.Reader) (bad int) {
	head := make([]byte, len(fileHead))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != fileHead {
		return 1
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(4*mostPart))
	if err != nil {
		return 1
	}
	defer d.Close()
	lost := false // looking for the next mark
	for {
		h, err := r.Peek(partHead)
		if err != nil {
			if len(h) > 0 && !lost { // cut off while it was written
				bad++
			}
			return bad
		}
		n := int(binary.BigEndian.Uint32(h[4:]))
		if string(h[:4]) != partMark || n > mostPart {
			if !lost {
				bad++
			}
			lost = true
			_, _ = r.Discard(1) // it was just seen
			continue
		}
		sum := binary.BigEndian.Uint32(h[8:])
		_, _ = r.Discard(partHead) // as above
		part, err := io.ReadAll(io.LimitReader(r, int64(n)))
		if err != nil || len(part) < n {
			return bad + 1
		}
		lost = false
		if crc32.ChecksumIEEE(part) != sum {
			bad++
			continue
		}
		lines, err := d.DecodeAll(part, nil)
		if err != nil {
			bad++
			continue
		}
		bad += m.take(lines)
	}
}

func (m *Memory) take(lines []byte) (bad int) {
	for text := range bytes.Lines(lines) {
		var l line
		if json.Unmarshal(text, &l) != nil {
			bad++
			continue
		}
		m.disk.lines++
		switch {
		case l.Drop:
			m.forget()
		case l.Verdict != nil && l.Name != "":
			if _, err := policy.ParseReference(l.Name); err != nil {
				bad++
				continue
			}
			m.put(l.Name, l.Verdict, &Origin{Epoch: l.Epoch, Image: protocol.Image{Namespace: l.Space, PullSecrets: l.Secrets}, Asked: moment(l.Asked)})
		default:
			m.serial = l.Serial
		}
	}
	return bad
}

// forget begins empty.
func (m *Memory) forget() {
	m.names, m.digests, m.changed = map[uint64]uint32{}, map[uint64]uint32{}, map[uint32]struct{}{}
	m.slots, m.free, m.words = make([]slot, 1), nil, newWords()
	m.packer.words = &m.words
	m.head, m.tail, m.hand, m.bytes, m.serial = 0, 0, 0, 0, 0
}

// Forget drops everything.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget()
	m.disk.rewrite = true
}

// Flush writes what changed to the file; one at a time. When that fails the memory goes on without, says so in Problems, and the next
// flush writes everything.
func (m *Memory) Flush() error {
	if m.o.File == "" {
		return nil
	}
	m.mu.Lock()
	all := m.disk.rewrite || m.disk.lines > 2*len(m.names)+1000
	var list []uint32
	if all {
		list = make([]uint32, 0, len(m.names))
		for at := m.tail; at != 0; at = m.slots[at].prev { // the oldest first, as they are read again
			list = append(list, at)
		}
	} else {
		list = make([]uint32, 0, len(m.changed))
		for at := range m.changed {
			list = append(list, at)
		}
	}
	m.changed = map[uint32]struct{}{}
	serial := m.serial
	moved := serial != m.wrote
	m.mu.Unlock()
	if !all && len(list) == 0 && !moved {
		return nil
	}
	size, err := m.write(list, serial, all)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		if m.disk.problem == "" {
			m.o.Log.Error("verdicts on disk", "err", err)
		}
		m.disk.problem = "verdicts cannot be written to disk and will not outlive a restart: " + err.Error()
		m.disk.rewrite = true
		return err
	}
	m.wrote = serial
	if all {
		m.disk = disk{lines: len(list) + 1, size: size, damage: m.disk.damage, noted: m.disk.noted}
	} else {
		m.disk.lines += len(list) + 1
		m.disk.size += size
		m.disk.problem = ""
		m.disk.rewrite = m.disk.size > m.o.Disk/2
	}
	return nil
}

// write appends what is in these places, or makes a new file of them in place of the old one. It returns the bytes that were written.
func (m *Memory) write(list []uint32, serial int64, all bool) (n int64, err error) {
	name, flags := m.o.File, os.O_WRONLY|os.O_APPEND
	if all {
		if err := os.MkdirAll(filepath.Dir(m.o.File), 0o700); err != nil {
			return 0, err
		}
		name, flags = m.o.File+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC
	}
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		switch {
		case err == nil && all:
			err = os.Rename(name, m.o.File)
		case err != nil && all:
			_ = os.Remove(name) // room for others; what matters is already said
		}
	}()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(partSize))
	if err != nil {
		return 0, err
	}
	var lines, out []byte
	if all {
		out = append(out, fileHead...)
	}
	part := func() error {
		packed := enc.EncodeAll(lines, nil)
		out = append(out, partMark...)
		out = binary.BigEndian.AppendUint32(out, uint32(len(packed))) //nolint:gosec // a part is a quarter of a megabyte
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(packed))
		out = append(out, packed...)
		w, err := f.Write(out)
		n += int64(w)
		lines, out = lines[:0], out[:0]
		return err
	}
	for i := 0; i <= len(list); i++ {
		l := line{Serial: serial}
		if i < len(list) {
			v, from, ok := m.now(list[i])
			if !ok {
				continue
			}
			name := v.Reference
			v.Reference = ""
			l = line{Name: name, Verdict: &v, Epoch: from.Epoch, Space: from.Image.Namespace, Secrets: from.Image.PullSecrets, Asked: seconds(from.Asked)}
		}
		text, err := json.Marshal(l)
		if err != nil {
			return n, err
		}
		lines = append(append(lines, text...), '\n')
		if len(lines) >= partSize || i == len(list) {
			if err := part(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// now returns what a place has now: one that was removed since has nothing, or another verdict, which will be written again.
func (m *Memory) now(at uint32) (policy.ImageVerdict, Origin, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if int(at) >= len(m.slots) || m.slots[at].record == "" {
		return policy.ImageVerdict{}, Origin{}, false
	}
	v, from := m.slots[at].record.read(&m.words, "")
	return v, from, true
}
