// Package apk reads the database of Alpine's package manager from bytes: lib/apk/db/installed, which Wolfi and newer
// Alpine keep in usr/lib/apk/db/installed.
package apk

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

const (
	maxName     = 1024 // bytes of a name or version
	maxText     = 4096 // bytes of a licence or maintainer; more is cut
	maxPath     = 4096 // PATH_MAX of Linux
	maxFaults   = 16   // errors kept one by one; further ones are counted
	maxPackages = 200_000
)

// reader gathers the packages.
type reader struct {
	owned    func(path string, pkg int)
	packages []inventory.Package
	texts    map[string]string // architectures, licences, maintainers: few values, many packages
	faults   []error
	unsaid   int

	p      inventory.Package // of the stanza at hand
	line   int               // where it begins, from 1; 0 between stanzas
	folder string
	files  []string // names wait until the stanza has proved to be a package
	left   int      // bytes of paths that may still be made: folders repeat, but not without end
}

// Read returns the packages. Stanzas are lines of a letter, a colon and a value, parted by blank lines: P is the name, V the
// version, A the architecture, o the origin (the source package), L the licence, m the maintainer; R is a file in the
// folder that the last F named. owned, which may be nil, is called for each file with a clean path without leading slash
// and the index into the result. Damaged stanzas are errors that name the line.
func Read(data []byte, owned func(path string, pkg int)) ([]inventory.Package, error) {
	r := &reader{owned: owned, texts: map[string]string{}, left: 64<<10 + 32*len(data)}
	number := 0
	for len(data) > 0 {
		var line []byte
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			line, data = data[:i], data[i+1:]
		} else {
			line, data = data, nil
		}
		number++
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			r.end()
			if len(r.packages) >= maxPackages {
				r.fault("line %d: more than %d packages", number, maxPackages)
				break
			}
			continue
		}
		if r.line == 0 {
			r.line = number
		}
		if len(line) >= 2 && line[1] == ':' {
			r.field(line[0], line[2:], number)
		}
	}
	r.end()
	if r.unsaid > 0 {
		r.faults = append(r.faults, fmt.Errorf("and %d more damaged lines", r.unsaid))
	}
	return r.packages, errors.Join(r.faults...)
}

func (r *reader) fault(format string, args ...any) {
	if len(r.faults) >= maxFaults {
		r.unsaid++
		return
	}
	r.faults = append(r.faults, fmt.Errorf(format, args...))
}

// field takes one line. The database has one letter a field, and the letter's case tells them apart.
func (r *reader) field(letter byte, value []byte, number int) {
	word := func() string {
		if len(value) == 0 || len(value) > maxName {
			r.fault("line %d: field %c has %d bytes", number, letter, len(value))
			return ""
		}
		for _, c := range value {
			if c <= ' ' || c >= 0x7f {
				r.fault("line %d: field %c holds byte %#02x", number, letter, c)
				return ""
			}
		}
		return string(value)
	}
	switch letter {
	case 'P':
		r.p.Name = word()
	case 'V':
		r.p.Version = word()
	case 'A':
		r.p.Arch = r.text(value)
	case 'o':
		if len(value) > 0 {
			r.p.Source = word()
		}
	case 'L':
		r.p.License = r.text(value)
	case 'm':
		r.p.Vendor = r.text(value)
	case 'F':
		if r.owned != nil {
			r.folder = string(value[:min(len(value), maxPath)])
		}
	case 'R':
		if r.owned == nil {
			return
		}
		if len(r.folder)+1+len(value) > maxPath || len(value) == 0 {
			r.fault("line %d: a path of %d bytes", number, len(r.folder)+1+len(value))
			return
		}
		if r.left -= len(r.folder) + len(value); r.left < 0 {
			r.fault("line %d: paths take more than 32 times the file", number)
			return
		}
		r.files = append(r.files, clean(r.folder, string(value)))
	}
}

// clean joins folder and name without a leading slash.
func clean(folder, name string) string {
	p := name
	if folder != "" {
		p = folder + "/" + name
	}
	if strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") || strings.Contains(p, "//") || strings.Contains("/"+p+"/", "/./") || strings.Contains("/"+p+"/", "/../") {
		p = strings.TrimPrefix(path.Clean("/"+p), "/")
	}
	return p
}

// text makes a string of a text for people.
func (r *reader) text(b []byte) string {
	b = b[:min(len(b), maxText)]
	if s, ok := r.texts[string(b)]; ok {
		return s
	}
	s := strings.ToValidUTF8(string(b), "\uFFFD")
	r.texts[string(b)] = s
	return s
}

// end makes a package of the stanza.
func (r *reader) end() {
	if r.line == 0 {
		return
	}
	p := r.p
	switch {
	case p.Name == "":
		r.fault("line %d: a stanza without a package's name", r.line)
	case p.Version == "":
		r.fault("line %d: package %s has no version", r.line, p.Name)
	default:
		p.Type, p.Evidence = inventory.APK, "database"
		if p.Source == p.Name {
			p.Source = ""
		}
		r.packages = append(r.packages, p)
		for _, f := range r.files {
			if f != "" {
				r.owned(f, len(r.packages)-1)
			}
		}
	}
	r.p, r.line, r.folder, r.files = inventory.Package{}, 0, "", r.files[:0]
}
