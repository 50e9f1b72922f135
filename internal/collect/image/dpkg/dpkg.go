// Package dpkg reads the database of dpkg from bytes: var/lib/dpkg/status, the files of var/lib/dpkg/status.d that
// distroless images have in its place, opkg's status, and the lists of files that packages own.
package dpkg

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"stockade.dev/stockade/internal/inventory"
)

const (
	maxName     = 1024 // bytes of a package's name or version
	maxText     = 4096 // bytes of a maintainer; more is cut
	maxPath     = 4096 // PATH_MAX of Linux
	maxFaults   = 16   // errors kept one by one; further ones are counted
	maxPackages = 200_000
)

// stanza is the fields of one package that matter.
type stanza struct {
	line                                        int // where it begins, from 1
	name, status, version, arch, source, vendor []byte
}

// reader gathers the packages.
type reader struct {
	packages []inventory.Package
	known    map[key]int // index into packages; -1: named, but not installed
	vendors  map[string]string
	arch     string // the last: nearly all have the same
	faults   []error
	unsaid   int
}

type key struct{ name, arch string }

// Read returns the packages of a status file, or the package of a file of status.d, whose stanza has no Status.
//
// A package counts when its files are unpacked: installed, and on the way there (unpacked, half-configured, waiting for
// triggers). What is left of removed packages (config-files) and what never got there (half-installed) does not. Of two
// stanzas for the same package and architecture the later holds, as in dpkg. Damaged stanzas are errors that name the line.
func Read(data []byte) ([]inventory.Package, error) {
	guess := min(len(data)/800+1, 4096) // a stanza has about so many bytes; a wrong guess costs little
	r := &reader{packages: make([]inventory.Package, 0, guess), known: make(map[key]int, guess), vendors: map[string]string{}}
	var s stanza
	number := 0
	for len(data) > 0 {
		var line []byte
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			line, data = data[:i], data[i+1:]
		} else {
			line, data = data, nil
		}
		number++
		if len(line) == 0 || len(line) == 1 && line[0] == '\r' {
			r.take(&s)
			s = stanza{}
			if len(r.packages) >= maxPackages {
				r.fault("line %d: more than %d packages", number, maxPackages)
				break
			}
			continue
		}
		if s.line == 0 {
			s.line = number
		}
		// The first letter rules out continuation lines and nearly all other fields.
		switch line[0] {
		case 'P', 'p', 'S', 's', 'V', 'v', 'A', 'a', 'M', 'm':
			s.field(line)
		}
	}
	r.take(&s)
	if r.unsaid > 0 {
		r.faults = append(r.faults, fmt.Errorf("and %d more damaged stanzas", r.unsaid))
	}
	return r.installed(), errors.Join(r.faults...)
}

// field keeps the value of a line when it is one of those that matter. Names of fields have no case.
func (s *stanza) field(line []byte) {
	i := bytes.IndexByte(line[:min(len(line), len("Architecture")+1)], ':')
	var to *[]byte
	switch i {
	case 6:
		if is(line, "status") {
			to = &s.status
		} else if is(line, "source") {
			to = &s.source
		}
	case 7:
		if is(line, "package") {
			to = &s.name
		} else if is(line, "version") {
			to = &s.version
		}
	case 10:
		if is(line, "maintainer") {
			to = &s.vendor
		}
	case 12:
		if is(line, "architecture") {
			to = &s.arch
		}
	}
	if to != nil {
		*to = bytes.TrimSpace(line[i+1:])
	}
}

// is compares the beginning of line with a lower-case name.
func is(line []byte, name string) bool {
	for i := range len(name) {
		if line[i]|0x20 != name[i] {
			return false
		}
	}
	return true
}

// unpacked reports whether a status like "install ok installed" says that the package's files are there.
func unpacked(status []byte) bool {
	if i := bytes.LastIndexAny(status, " \t"); i >= 0 {
		status = status[i+1:]
	}
	switch string(status) {
	case "installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending":
		return true
	}
	return false
}

func (r *reader) fault(format string, args ...any) {
	if len(r.faults) >= maxFaults {
		r.unsaid++
		return
	}
	r.faults = append(r.faults, fmt.Errorf(format, args...))
}

// take makes a package of a stanza.
func (r *reader) take(s *stanza) {
	if s.line == 0 {
		return
	}
	if !word(s.name) {
		r.fault("line %d: a stanza without a package's name", s.line)
		return
	}
	here := s.status == nil || unpacked(s.status)
	if here && !word(s.version) {
		r.fault("line %d: package %s has no version", s.line, s.name)
		return
	}
	if len(s.arch) > 0 && !word(s.arch) {
		r.fault("line %d: package %s has a damaged architecture", s.line, s.name)
		s.arch = nil
	}
	if string(s.arch) != r.arch {
		r.arch = string(s.arch)
	}
	source, sourceVersion := r.source(s)
	// One string holds all four: a database is some thousand of them.
	all := string(s.name) + string(s.version) + string(source) + string(sourceVersion)
	name, all := all[:len(s.name)], all[len(s.name):]
	k := key{name, r.arch}
	at, again := r.known[k]
	if !here {
		if again && at >= 0 {
			r.packages[at].Name = "" // taken out in the end
		}
		r.known[k] = -1
		return
	}
	if !again || at < 0 {
		at = len(r.packages)
		r.known[k] = at
		r.packages = append(r.packages, inventory.Package{})
	}
	p := &r.packages[at]
	p.Type, p.Evidence, p.Name, p.Arch, p.Vendor = inventory.Deb, "database", name, r.arch, r.vendor(s.vendor)
	p.Version, all = all[:len(s.version)], all[len(s.version):]
	p.Source, p.SourceVersion = all[:len(source)], all[len(source):]
}

// source takes "foo (1.2)" apart and leaves out what is the package's own.
func (r *reader) source(s *stanza) (name, version []byte) {
	if len(s.source) == 0 {
		return nil, nil
	}
	name = s.source
	if i := bytes.IndexByte(name, '('); i >= 0 {
		version = bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(name[i+1:]), []byte(")")))
		name = bytes.TrimSpace(name[:i])
	}
	if !word(name) || len(version) > 0 && !word(version) {
		r.fault("line %d: package %s has a damaged source", s.line, s.name)
		return nil, nil
	}
	if bytes.Equal(name, s.name) {
		name = nil
	}
	if bytes.Equal(version, s.version) {
		version = nil
	}
	return name, version
}

// word reports whether b is a name or version: short, printable, without blanks.
func word(b []byte) bool {
	if len(b) == 0 || len(b) > maxName {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// vendor makes a string of a maintainer; many packages share few.
func (r *reader) vendor(b []byte) string {
	b = b[:min(len(b), maxText)]
	if s, ok := r.vendors[string(b)]; ok {
		return s
	}
	s := string(b)
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	r.vendors[string(b)] = s
	return s
}

// installed returns the packages that no later stanza took back.
func (r *reader) installed() []inventory.Package {
	if len(r.packages) == 0 {
		return nil
	}
	out := r.packages[:0]
	for _, p := range r.packages {
		if p.Name != "" {
			out = append(out, p)
		}
	}
	return out
}

// Paths yields the files that a package owns, from its info/<package>.list (an absolute path a line) or from
// info/*.md5sums or status.d/*.md5sums (check sum, two blanks, relative path). Paths are clean and have no leading slash;
// lines of another form and paths over 4,096 bytes are left out.
func Paths(data []byte, yield func(path string)) {
	text := string(data)
	for len(text) > 0 {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		line = strings.TrimSuffix(line, "\r")
		if len(line) == 0 || len(line) > maxPath {
			continue
		}
		if line[0] != '/' {
			if len(line) < 35 || line[32] != ' ' || line[33] != ' ' && line[33] != '*' || !hex(line[:32]) {
				continue
			}
			line = line[34:]
		}
		if p := clean(line); p != "" {
			yield(p)
		}
	}
}

func hex(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// clean makes "/./usr//bin/x" to "usr/bin/x"; "" is the root, or outside of it.
func clean(p string) string {
	p = strings.TrimLeft(p, "/")
	if strings.Contains(p, "//") || strings.Contains("/"+p+"/", "/./") || strings.Contains("/"+p+"/", "/../") || strings.HasSuffix(p, "/") {
		p = strings.TrimPrefix(path.Clean("/"+p), "/")
	}
	return p
}
