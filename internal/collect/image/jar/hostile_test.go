package jar

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// rawEntry is an entry whose headers say what they like.
type rawEntry struct {
	name         string
	packed       []byte
	method       uint16
	size         uint32
	flags        uint16
	crc          uint32
	shareDataOf  int // 1-based; 0: own data
	centralShift int
}

// rawZip makes an archive of raw entries.
func rawZip(entries ...rawEntry) []byte {
	var out, central []byte
	le := binary.LittleEndian
	offsets := make([]int, len(entries))
	for i, e := range entries {
		offsets[i] = len(out)
		if e.shareDataOf > 0 {
			offsets[i] = offsets[e.shareDataOf-1]
		} else {
			out = append(out, "PK\x03\x04"...)
			out = append(out, make([]byte, 22)...)
			out = le.AppendUint16(le.AppendUint16(out, uint16(len(e.name))), 0)
			out = append(append(out, e.name...), e.packed...)
		}
		h := append([]byte("PK\x01\x02"), make([]byte, 42)...)
		le.PutUint16(h[8:], e.flags)
		le.PutUint16(h[10:], e.method)
		le.PutUint32(h[16:], e.crc)
		le.PutUint32(h[20:], uint32(len(e.packed)))
		le.PutUint32(h[24:], e.size)
		le.PutUint16(h[28:], uint16(len(e.name)))
		le.PutUint32(h[42:], uint32(offsets[i]+e.centralShift))
		central = append(append(central, h...), e.name...)
	}
	at := len(out)
	out = append(out, central...)
	out = append(out, "PK\x05\x06\x00\x00\x00\x00"...)
	out = le.AppendUint16(le.AppendUint16(out, uint16(len(entries))), uint16(len(entries)))
	out = le.AppendUint16(le.AppendUint32(le.AppendUint32(out, uint32(len(central))), uint32(at)), 0)
	return out
}

// packed returns the deflated data as an archive/zip writer makes it.
func packed(t testing.TB, data []byte) []byte {
	t.Helper()
	archive := build(t, file{name: "x", data: data})
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := r.File[0].OpenRaw()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(raw)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestHostile holds each attack to its answer and to a time, and its neighbours to be read.
func TestHostile(t *testing.T) {
	lang := build(t, props("org.apache.commons", "commons-lang3", "3.12.0"))
	zeros := packed(t, make([]byte, 8<<20))
	deep := lang
	for range 100 {
		deep = build(t, file{"n.jar", deep, true})
	}
	truncated := packed(t, lang)
	good := rawEntry{name: "good.jar", packed: lang, size: uint32(len(lang)), crc: crc32.ChecksumIEEE(lang)}
	const fine = "x.war!/good.jar maven org.apache.commons:commons-lang3@3.12.0 (pom.properties)"
	var overlap []rawEntry
	overlap = append(overlap, rawEntry{name: "0.jar", packed: zeros, method: deflated, size: 8 << 20})
	for i := range 60_000 {
		overlap = append(overlap, rawEntry{name: fmt.Sprintf("%d.jar", i), packed: zeros, method: deflated, size: 1 << 20, shareDataOf: 1})
	}
	nested := rawZip(good, rawEntry{name: "bad.jar", packed: []byte("not an archive at all, though its name says so"), size: 46, crc: 1})
	tree := lang
	for range 7 {
		var six []file
		for i := range 6 {
			six = append(six, file{fmt.Sprintf("%d.jar", i), tree, false})
		}
		tree = build(t, six...)
	}
	for name, c := range map[string]struct {
		data []byte
		want string // a part of what is reported
		o    Options
	}{
		"100 levels":                       {deep, "gap limit x.war!/n.jar!/n.jar!/n.jar!/n.jar!/n.jar!/n.jar!/n.jar!/n.jar!/n.jar: archives nested more than 8 deep", Options{}},
		"bomb, honest sizes":               {rawZip(rawEntry{name: "b.jar", packed: zeros, method: deflated, size: 8 << 20}, good), "gap limit x.war!/b.jar: compressed more than 200:1", Options{}},
		"bomb, lying sizes":                {rawZip(rawEntry{name: "b.jar", packed: zeros, method: deflated, size: 10}, good), "gap limit x.war!/b.jar: compressed more than 200:1", Options{}},
		"pom.properties bomb":              {rawZip(rawEntry{name: "META-INF/maven/a/b/pom.properties", packed: zeros, method: deflated, size: 10}, good), "gap limit x.war!/META-INF/maven/a/b/pom.properties: more than 65536 bytes", Options{}},
		"tree of 280,000 archives in 9 kB": {tree, "more than 20000 nested archives", Options{}},
		"overlapping entries":              {rawZip(overlap...), "gap broken x.war!/1.jar: entries overlap", Options{}},
		"size smaller than told":           {rawZip(rawEntry{name: "s.jar", packed: packed(t, lang), method: deflated, size: 9999}, good), "gap broken x.war!/s.jar: holds", Options{}},
		"data cut short":                   {rawZip(rawEntry{name: "c.jar", packed: truncated[:len(truncated)/2], method: deflated, size: uint32(len(lang))}, good), "gap broken x.war!/c.jar: ", Options{}},
		"wrong checksum":                   {rawZip(rawEntry{name: "META-INF/maven/a/b/pom.properties", packed: []byte("version=1\n"), size: 10, crc: 1}, good), "gap broken x.war!/META-INF/maven/a/b/pom.properties: wrong checksum", Options{}},
		"encrypted":                        {rawZip(rawEntry{name: "e.jar", packed: []byte("x"), flags: 1}, good), "gap unsupported x.war!/e.jar: encrypted", Options{}},
		"unknown method":                   {rawZip(rawEntry{name: "e.jar", packed: []byte("x"), method: 93}, good), "gap unsupported x.war!/e.jar: compression method 93", Options{}},
		"offset beyond the end":            {rawZip(rawEntry{name: "e.jar", packed: []byte("x"), centralShift: 1 << 30}, good), "gap broken x.war!/e.jar: lies outside", Options{}},
		"offset to nowhere":                {rawZip(rawEntry{name: "e.jar", packed: []byte("x"), centralShift: 3}, good), "gap broken x.war!/e.jar: the directory points to no entry", Options{}},
		"nested is no archive":             {nested, "gap broken x.war!/bad.jar: no end-of-directory record", Options{}},
		"all bytes used up":                {rawZip(rawEntry{name: "b.jar", packed: packed(t, lang), method: deflated, size: uint32(len(lang))}, good), "gap limit x.war!/b.jar: more than 50 bytes inflated", Options{MaxBytes: 50}},
		"depth asked for":                  {build(t, file{"a.jar", nested, true}), "gap limit x.war!/a.jar!/good.jar: archives nested more than 1 deep", Options{MaxDepth: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			packages, gaps, err := Read(bytes.NewReader(c.data), int64(len(c.data)), "x.war", c.o)
			if took := time.Since(start); took > 30*time.Second { // some 0.2 s on an idle machine
				t.Errorf("took %v", took)
			}
			got := lines(packages, gaps)
			if err != nil || !strings.Contains(got, c.want) {
				t.Errorf("error %v, got\n%.2000s\nwant %s", err, got, c.want)
			}
			if bytes.Contains(c.data, []byte("good.jar")) && c.o.MaxBytes+int64(c.o.MaxDepth) == 0 && !strings.Contains(got, fine) {
				t.Errorf("the good neighbour is lost:\n%s", got)
			}
			if len(gaps) > maxGaps+1 {
				t.Errorf("%d gaps", len(gaps))
			}
		})
	}
}

func TestBrokenArchives(t *testing.T) {
	data := build(t, props("org.example", "till", "1.0"), class("a/B.class"), class("a/C.class"))
	for n := range data { // cut anywhere
		if n == 0 {
			continue
		}
		_, _, err := Read(bytes.NewReader(data[:n]), int64(n), "lib/x.jar", Options{})
		if err == nil || !strings.HasPrefix(err.Error(), "lib/x.jar: ") {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, _, err := Read(bytes.NewReader(data[10:]), int64(len(data)-10), "x.jar", Options{}); err == nil || !strings.Contains(err.Error(), "no directory") {
		t.Errorf("without its first bytes: %v", err)
	}
	damaged := slices.Clone(data)
	damaged[bytes.LastIndex(damaged, centralMark)] = 'x' // the last header
	packages, gaps, err := Read(bytes.NewReader(damaged), int64(len(damaged)), "x.jar", Options{})
	if err == nil || !strings.Contains(err.Error(), "breaks off") || lines(packages, gaps) != "x.jar maven org.example:till@1.0 (pom.properties)" {
		t.Errorf("%v\n%s", err, lines(packages, gaps))
	}
	_, _, err = Read(bytes.NewReader(data), int64(len(data))+100, "x.jar", Options{}) // a size that is not true
	if err == nil {
		t.Error("reading beyond the end went unnoticed")
	}
	broken := badDisk{bytes.NewReader(data)}
	if _, _, err := Read(broken, int64(len(data)), "x.jar", Options{}); err == nil || !strings.Contains(err.Error(), "disk") {
		t.Errorf("an input error became %v", err)
	}
}

// badDisk fails.
type badDisk struct{ r io.ReaderAt }

func (i badDisk) ReadAt(p []byte, off int64) (int, error) { return 0, fmt.Errorf("disk") }
