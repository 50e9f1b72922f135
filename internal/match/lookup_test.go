package match

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/inventory"
)

// memory is a Lookup over maps. With volatile set it wipes every row after the call it was valid for, as a database that
// hands out its own memory may.
type memory struct {
	rows         map[string][]advisory.Row // stream + "\x00" + name
	about        map[string]*advisory.Vulnerability
	streams      map[string]StreamInfo
	repositories map[string][]string
	volatile     bool
}

func newMemory(rows ...advisory.Row) *memory {
	m := &memory{rows: map[string][]advisory.Row{}, about: map[string]*advisory.Vulnerability{}, streams: map[string]StreamInfo{}, volatile: true}
	for _, r := range rows {
		m.add(r)
	}
	return m
}

func (m *memory) add(r advisory.Row) {
	if !advisory.KnownStream(r.Stream) {
		panic("stream " + r.Stream)
	}
	key := r.Stream + "\x00" + r.Package
	m.rows[key] = append(m.rows[key], r)
	info := m.streams[r.Stream]
	info.Rows += scarce // as if it were the whole of a publisher
	m.streams[r.Stream] = info
}

func (m *memory) Rows(stream, name string, yield func(*advisory.Row) bool) error {
	rows := m.rows[stream+"\x00"+name]
	for i := range rows {
		if !m.volatile {
			if !yield(&rows[i]) {
				return nil
			}
			continue
		}
		data, err := json.Marshal(rows[i])
		if err != nil {
			return err
		}
		var r advisory.Row
		if err := json.Unmarshal(data, &r); err != nil {
			return err
		}
		held := borrow(reflect.ValueOf(&r).Elem(), nil)
		more := yield(&r)
		for _, b := range held {
			copy(b, bytes.Repeat([]byte("#"), len(b)))
		}
		if !more {
			return nil
		}
	}
	return nil
}

// borrow puts all strings below v into memory of their own and returns it.
func borrow(v reflect.Value, memory [][]byte) [][]byte {
	switch v.Kind() {
	case reflect.String:
		if b := []byte(v.String()); len(b) > 0 {
			v.SetString(unsafe.String(&b[0], len(b)))
			memory = append(memory, b)
		}
	case reflect.Slice:
		for i := range v.Len() {
			memory = borrow(v.Index(i), memory)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			memory = borrow(v.Field(i), memory)
		}
	}
	return memory
}

func (m *memory) Vulnerability(id string) (*advisory.Vulnerability, bool) {
	v, ok := m.about[id]
	return v, ok
}

func (m *memory) Stream(name string) (StreamInfo, bool) {
	s, ok := m.streams[name]
	return s, ok
}

func (m *memory) Repository(name string) ([]string, bool) {
	c, ok := m.repositories[name]
	return c, ok
}

// lines reads a compressed text file of testdata.
func lines(t testing.TB, name string) []string {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var out []string
	s := bufio.NewScanner(z)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		out = append(out, s.Text())
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return out
}

// el8 is the whole feed of one release, as its reader gives it: binary names, "?" for builds of modules.
func el8(t testing.TB) *memory {
	t.Helper()
	m := newMemory()
	m.volatile = false
	var id string
	var cves []string
	for _, line := range lines(t, "el8-advisories.txt.zst") {
		f := strings.Split(line, "\t")
		if f[0] == "A" {
			id, cves = f[1], strings.Fields(f[2])
			if len(cves) == 0 {
				cves = []string{id}
			}
			continue
		}
		module := ""
		if strings.Contains(f[1], ".module") {
			module = "?"
		}
		for name := range strings.FieldsSeq(f[2]) {
			m.add(advisory.Row{Feed: "almalinux-osv", Stream: "almalinux 8", Package: name, Binary: true, IDs: cves, Advisory: id,
				Scheme: advisory.RPM, Module: module, Ranges: []advisory.Range{{Fixed: f[1]}}})
		}
	}
	return m
}

// el8Image is an image with the 518 packages of a real rpm database.
func el8Image(t testing.TB) *inventory.Software {
	t.Helper()
	s := &inventory.Software{Kind: "image", Name: "registry.example.com/base/el8:1",
		Image: &inventory.Image{Reference: "registry.example.com/base/el8:1", Digest: "sha256:1"},
		OS:    &inventory.OS{ID: "almalinux", VersionID: "8.4", Release: "AlmaLinux 8.4", Streams: []string{"almalinux 8"}}}
	for _, line := range lines(t, "el8-packages.txt.zst") {
		f := strings.Split(line, "\t")
		p := inventory.Package{Type: inventory.RPM, Name: f[0], Version: f[1], Arch: f[2], Module: f[5], Layer: -1}
		if f[3] != f[0] {
			p.Source = f[3]
		}
		if f[4] != f[1] {
			p.SourceVersion = f[4]
		}
		s.Packages = append(s.Packages, p)
	}
	return s
}
