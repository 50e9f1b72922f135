package binary

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/json"
	"io"
	"strings"
	"sync"

	"stockade.dev/stockade/internal/inventory"
)

// maxCrates bounds the list of crates, unpacked.
const maxCrates = 8 << 20

// auditable looks for what cargo auditable puts into Rust programs: the section .dep-v0, JSON in zlib. Sections are named at
// the end of a file only, so zlib streams are tried: their header and the first bits leave few (RFC 1950 and 1951), and the
// JSON's first bytes decide.
func (s *Scanner) auditable(from, to int) {
	if len(s.crates) > 0 {
		return
	}
	b := s.buf[:min(len(s.buf), to+8)]
	for at := from; at+8 < len(b) && at < to; at++ {
		i := bytes.IndexByte(b[at:len(b)-8], 'x')
		if i < 0 {
			return
		}
		at += i
		// Method 8 with a window of 32 KiB, a header divisible by 31, no dictionary; then a block with its own codes.
		if c := b[at+1]; c != 0x01 && c != 0x5e && c != 0x9c && c != 0xda || b[at+2]&6 != 4 || b[at+2]>>3 > 29 || b[at+3]&31 > 29 {
			continue
		}
		if !beginsCrates(s.buf[at:]) {
			continue
		}
		if s.kept > 0 {
			return
		}
		s.keep(at, maxBlob/2, s.readCrates)
	}
}

const cratesStart = `{"packages":[`

var inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// beginsCrates unpacks the first bytes.
func beginsCrates(b []byte) bool {
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	var head [len(cratesStart)]byte
	if r.(flate.Resetter).Reset(bytes.NewReader(b[2:]), nil) != nil {
		return false
	}
	_, err := io.ReadFull(r, head[:])
	return err == nil && string(head[:]) == cratesStart
}

// readCrates reads the list: {"packages":[{"name","version","source","kind","root"}]}.
func (s *Scanner) readCrates(data []byte, _ bool) {
	if len(s.crates) > 0 {
		return
	}
	var list struct {
		Packages []struct {
			Name, Version, Source, Kind string
			Root                        bool
		}
	}
	z, err := zlib.NewReader(bytes.NewReader(data))
	if err == nil {
		err = json.NewDecoder(io.LimitReader(z, maxCrates)).Decode(&list)
	}
	if err != nil {
		s.gap("list of crates: "+err.Error(), "broken")
		return
	}
	for _, p := range list.Packages {
		if p.Name == "" || p.Kind == "build" {
			continue // build dependencies are not in the program
		}
		one := inventory.Package{Type: inventory.Cargo, Name: p.Name, Version: p.Version, Evidence: "build info"}
		if p.Source != "" && p.Source != "crates.io" && p.Source != "registry" {
			one.Settings = map[string]string{"source": strings.ToValidUTF8(p.Source[:min(len(p.Source), 200)], "")}
		}
		s.crates = append(s.crates, one)
	}
}
