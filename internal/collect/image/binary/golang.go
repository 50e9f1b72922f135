package binary

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path"
	"runtime/debug"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// Marks in Go programs. The first begins the build information (debug/buildinfo in Go's source tells its form: a header of
// 32 bytes, since Go 1.18 followed by two strings with their lengths; before that it has the addresses of two strings). The
// other two frame the module list (infoStart and infoEnd of cmd/go/internal/modload).
const (
	buildInfoMagic = "\xff Go buildinf:"
	moduleStart    = "\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6"
	moduleEnd      = "\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2"
)

const (
	headerSize = 32
	maxVersion = 512  // bytes of the toolchain's version
	maxMarks   = 4096 // places remembered of a kind
)

// golang is what was seen of a Go program.
type golang struct {
	found   bool // build information was found: nothing more is looked for
	version string
	modules string // framed

	// For the form before Go 1.18, whose strings stand in the constants, before the header that says which they are.
	versions map[int64]string // places of "go1." and what follows
	lists    map[int64]string // places of framed module lists
	pending  []pointer        // string headers to be read when they come
	pointed  bool

	linked []string // constants that look like versions: values of -ldflags -X
}

// pointer is the place of a Go string's header.
type pointer struct {
	off    int64
	module bool
}

// goMarks looks for everything of use in a part of a Go program.
func (s *Scanner) goMarks(from, to int, writable bool) {
	g := &s.golang
	goMatcher().search(s.buf, from, to, func(at int, id uint16) {
		if id == 0 {
			if writable && !g.found {
				s.buildInfo(at)
			}
		} else if !writable && len(g.lists) < 4 {
			s.moduleList(at)
		}
	})
	s.pointers(from, to)
	if writable {
		return
	}
	for at := from; at < to && len(g.versions) < maxMarks; {
		i := bytes.Index(s.buf[at:min(to+3, len(s.buf))], []byte("go1."))
		if i < 0 {
			break
		}
		at += i
		if g.versions == nil {
			g.versions = map[int64]string{}
		}
		g.versions[s.start+int64(at)] = string(s.buf[at:min(at+32, len(s.buf))])
		at += 4
	}
	s.linkedVersions(from, to)
}

// linkedVersions remembers constants that -ldflags -X may have set. The linker writes them as strings that end with a zero,
// at multiples of four at least.
func (s *Scanner) linkedVersions(from, to int) {
	g := &s.golang
	at := from + int(-(s.start+int64(from)))&3
	for b := s.buf; at+6 < len(b) && at < to; at += 4 {
		c := b[at]
		if c == 'v' {
			c = b[at+1]
		}
		if c-'0' > 9 || b[at+1] != '.' && b[at+2] != '.' && b[at+3] != '.' {
			continue
		}
		end := bytes.IndexByte(b[at:min(at+64, len(b))], 0)
		if end < 5 || len(g.linked) >= maxMarks {
			continue
		}
		if isVersion(b[at : at+end]) {
			g.linked = append(g.linked, string(b[at:at+end]))
		}
	}
}

// moduleList keeps a framed module list that stands among the constants.
func (s *Scanner) moduleList(at int) {
	off := s.start + int64(at)
	s.keep(at, maxBlob/4, func(data []byte, _ bool) {
		i := bytes.Index(data, []byte(moduleEnd))
		if i < 0 {
			return
		}
		if s.golang.lists == nil {
			s.golang.lists = map[int64]string{}
		}
		s.golang.lists[off] = string(data[:i+len(moduleEnd)])
	})
}

// buildInfo reads the header at buf[at:].
func (s *Scanner) buildInfo(at int) {
	b := s.buf[at:]
	if len(b) < headerSize || (s.start+int64(at))%16 != 0 {
		return
	}
	if b[15]&2 == 0 {
		s.pointerForm(b[:headerSize])
		return
	}
	version, used, ok := prefixed(b[headerSize:])
	if !ok || !isToolchain(version) {
		return
	}
	at2 := headerSize + used
	length, n := binary.Uvarint(b[at2:min(len(b), at2+binary.MaxVarintLen64)])
	if n <= 0 {
		return
	}
	if length > maxBlob {
		s.golang = golang{found: true, version: version}
		s.gap(fmt.Sprintf("Go's module list has %d bytes, more than is read", length), "limit")
		return
	}
	s.golang.found = true
	s.keep(at, at2+n+int(length), func(data []byte, whole bool) {
		if !whole {
			s.golang.found = false
			return
		}
		s.golang.version, s.golang.modules = version, string(data[at2+n:])
	})
}

// prefixed reads a string with its length before it; used is what both take.
func prefixed(b []byte) (text string, used int, ok bool) {
	length, n := binary.Uvarint(b[:min(len(b), binary.MaxVarintLen64)])
	if n <= 0 || length == 0 || length > maxVersion || int(length) > len(b)-n {
		return "", 0, false
	}
	return string(b[n : n+int(length)]), n + int(length), true
}

func isToolchain(v string) bool {
	return strings.HasPrefix(v, "go") || strings.HasPrefix(v, "devel ")
}

// pointerForm notes where the two strings' headers will come.
func (s *Scanner) pointerForm(header []byte) {
	size := int(header[14])
	if s.elf == nil || size != 4 && size != 8 || s.golang.pointed || !s.spans[s.span].writable {
		return
	}
	var pending []pointer
	for i := range 2 {
		off, ok := s.elf.offset(s.elf.word(header[16+i*size:], size))
		if !ok {
			return
		}
		pending = append(pending, pointer{off, i == 1})
	}
	s.golang.pointed, s.golang.pending = true, pending
	s.pointers(0, len(s.buf))
}

// word reads a number of 4 or 8 bytes.
func (l *layout) word(b []byte, size int) uint64 {
	if size == 4 {
		return uint64(l.order.Uint32(b))
	}
	return l.order.Uint64(b)
}

// pointers reads the string headers that are in the buffer now, and finds what they point to among what was remembered.
func (s *Scanner) pointers(_, _ int) {
	g := &s.golang
	if len(g.pending) == 0 {
		return
	}
	size := 4
	if s.elf.wide {
		size = 8
	}
	rest := g.pending[:0]
	for _, p := range g.pending {
		at := p.off - s.start
		if at < 0 {
			continue
		}
		if at+int64(2*size) > int64(len(s.buf)) {
			rest = append(rest, p)
			continue
		}
		off, ok := s.elf.offset(s.elf.word(s.buf[at:], size))
		length := s.elf.word(s.buf[int(at)+size:], size)
		if !ok {
			continue
		}
		if p.module {
			if text := g.lists[off]; length <= uint64(len(text)) {
				g.modules = text[:length]
			}
		} else if text := g.versions[off]; length <= uint64(len(text)) {
			g.version = text[:length]
		}
	}
	g.pending = rest
}

// goPackages makes packages of the build information, if there is one.
func (s *Scanner) goPackages() []inventory.Package {
	g := &s.golang
	if g.version == "" {
		switch {
		case g.pointed:
			s.gap("build information of Go before 1.18 that points outside the file's constants", "unsupported")
		case s.goFile:
			s.gap("a Go program without readable build information", "unsupported")
		}
		return nil
	}
	// As debug/buildinfo does: a list without its frame is none.
	text := ""
	if m := g.modules; len(m) >= 33 && m[len(m)-17] == '\n' {
		text = m[16 : len(m)-16]
	}
	info, err := debug.ParseBuildInfo(text)
	if err != nil {
		s.gap("Go build information: "+err.Error(), "broken")
		info = &debug.BuildInfo{}
	}
	platform, settings := buildSettings(info, g.version)
	std := inventory.Package{Type: inventory.Golang, Name: "stdlib", Version: toolchain(g.version), Evidence: "build info", Settings: platform}
	out := []inventory.Package{std}
	release := ""
	if info.Main.Path != "" {
		main := mainModule(info, g.linked, path.Base(s.path))
		main.Settings = settings
		if main.Component != "" && main.Version == "" {
			s.gap(main.Component+" does not say its version", "unsupported")
		}
		if main.Name == "k8s.io/kubernetes" {
			release = main.Version
		}
		out = append(out, main)
	}
	for _, d := range info.Deps {
		one := inventory.Package{Type: inventory.Golang, Name: d.Path, Version: d.Version, Evidence: "build info", Settings: platform}
		if d.Replace != nil && d.Replace.Version != "" && d.Replace.Version != "(devel)" && !isLocal(d.Replace.Path) {
			one.Name, one.Version = d.Replace.Path, d.Replace.Version
		} else if minor, ok := strings.CutPrefix(release, "v1."); ok && strings.HasPrefix(d.Path, "k8s.io/") && (d.Version == "v0.0.0" || d.Version == "(devel)") {
			one.Version = "v0." + minor // what Kubernetes builds of its own tree is released under this number
		}
		if v := one.Version; v == "(devel)" || d.Replace != nil && (v == "v0.0.0" || strings.HasPrefix(v, "v0.0.0-00010101000000-")) {
			one.Version = "" // a folder beside the program, which has no version
		}
		out = append(out, one)
	}
	return out
}

// isLocal reports whether a replacement is a folder.
func isLocal(p string) bool {
	return strings.HasPrefix(p, "./") || strings.HasPrefix(p, "../") || strings.HasPrefix(p, "/")
}

// toolchain is the version part of "go1.22.1 X:boringcrypto" and of "devel go1.23-5e8c Mon Jan 1".
func toolchain(v string) string {
	for word := range strings.FieldsSeq(v) {
		if strings.HasPrefix(word, "go1") {
			if strings.HasPrefix(v, "devel ") {
				word, _, _ = strings.Cut(word, "-")
			}
			return word
		}
	}
	return v
}

// kept are the build settings that matter to a reader of the inventory. -ldflags is not among them: people put passwords there.
var kept = []string{"GOOS", "GOARCH", "CGO_ENABLED", "GOFIPS140", "GOEXPERIMENT", "-tags", "-buildmode", "vcs.revision", "vcs.time", "vcs.modified"}

func buildSettings(info *debug.BuildInfo, version string) (platform, all map[string]string) {
	all = map[string]string{}
	for _, b := range info.Settings {
		for _, key := range kept {
			if b.Key == key && b.Value != "" {
				all[key] = b.Value
			}
		}
		if (b.Key == "GOOS" || b.Key == "GOARCH") && b.Value != "" {
			if platform == nil {
				platform = map[string]string{}
			}
			platform[b.Key] = b.Value
		}
	}
	if info.Path != "" {
		all["path"] = info.Path
	}
	if version != toolchain(version) {
		all["toolchain"] = version
	}
	if len(all) == 0 {
		all = nil
	}
	return platform, all
}
