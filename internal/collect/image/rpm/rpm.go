// Package rpm reads the databases of the rpm package manager from bytes: the Berkeley DB hash "Packages" in both byte
// orders, the NDB "Packages.db", and "rpmdb.sqlite" with a write-ahead log that was not merged. It needs no library of any
// of the three. Damage costs what it hits: every page is used at most once, every number is held against the size of the
// file, and the rest of the packages is returned with an error that names the place.
//
// The list agrees with `rpm -qa`, except that gpg-pubkey entries are left out: they are keys kept as packages.
package rpm

import (
	"bytes"
	"errors"
	"fmt"

	"stockade.dev/stockade/internal/inventory"
)

// Files is one database.
type Files struct {
	Name string // "Packages", "Packages.db", "rpmdb.sqlite": for errors; the content tells the format
	Data []byte // the whole file
	WAL  []byte // "rpmdb.sqlite-wal"; empty when there is none
}

// Options says what to read beside names and versions, and how much at most.
type Options struct {
	Owned       func(path string, pkg int) // called for each file a package owns: clean path without leading slash, index into the result
	Changelog   bool                       // fill Package.Fixed from the changelogs
	MaxPackages int                        // most packages; 0 is 100,000
	MaxBytes    int64                      // most bytes of Data and WAL together, and of owned paths given out; 0 is 512 MiB
}

const (
	maxPackages = 100_000
	maxBytes    = 512 << 20
	maxFaults   = 16 // errors kept one by one; further ones are counted
)

// errFull stops the reading when MaxPackages is reached.
var errFull = errors.New("more packages than allowed")

// reader gathers the packages of one database.
type reader struct {
	o        Options
	packages []inventory.Package
	faults   []error
	unsaid   int // faults beyond maxFaults
	header   header
	paths    int64             // bytes of owned paths given out
	texts    map[string]string // architectures, vendors, licences: few values, many packages
}

// Read returns the packages of the database in its own order. A damaged database gives the packages that could be read and
// an error for each damaged place.
func Read(f Files, o Options) ([]inventory.Package, error) {
	if o.MaxPackages <= 0 {
		o.MaxPackages = maxPackages
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = maxBytes
	}
	if f.Name == "" {
		f.Name = "rpm database"
	}
	if n := int64(len(f.Data)) + int64(len(f.WAL)); n > o.MaxBytes {
		return nil, fmt.Errorf("%s: %d bytes are over the limit of %d", f.Name, n, o.MaxBytes)
	}
	r := &reader{o: o, texts: map[string]string{}}
	var err error
	switch order := bdbOrder(f.Data); {
	case len(f.Data) == 0:
		err = errors.New("the file is empty")
	case bytes.HasPrefix(f.Data, []byte(sqliteMagic)):
		err = r.sqlite(f.Data, f.WAL)
	case bytes.HasPrefix(f.Data, []byte("RpmP")):
		err = r.ndb(f.Data)
	case order != nil:
		err = r.bdb(f.Data, order)
	default:
		err = errors.New("offset 0: neither Berkeley DB, NDB nor SQLite")
	}
	if err != nil {
		r.faults = append(r.faults, err)
	}
	if r.unsaid > 0 {
		r.faults = append(r.faults, fmt.Errorf("and %d more damaged places", r.unsaid))
	}
	for i, e := range r.faults {
		r.faults[i] = fmt.Errorf("%s: %w", f.Name, e)
	}
	return r.packages, errors.Join(r.faults...)
}

// fault notes damage; reading goes on.
func (r *reader) fault(format string, args ...any) {
	if len(r.faults) >= maxFaults {
		r.unsaid++
		return
	}
	r.faults = append(r.faults, fmt.Errorf(format, args...))
}

// take reads one package from its header. The error is errFull or nil; damage is noted with the place.
func (r *reader) take(b *blob, where place) error {
	if len(r.packages) >= r.o.MaxPackages {
		return fmt.Errorf("%w: %d", errFull, r.o.MaxPackages)
	}
	p, err := r.parse(b)
	if err != nil {
		r.fault("%v: %w", where, err)
	}
	if p.Name == "" || p.Name == "gpg-pubkey" {
		return nil
	}
	r.packages = append(r.packages, p)
	if r.o.Owned != nil {
		if err := r.owned(b, len(r.packages)-1); err != nil {
			r.fault("%v: files of %s: %w", where, p.Name, err)
		}
	}
	return nil
}

// place is where something lies in the file.
type place struct {
	page   int64 // -1 where the format has none
	offset int64
}

// String names the place.
func (p place) String() string {
	if p.page < 0 {
		return fmt.Sprintf("offset %d", p.offset)
	}
	return fmt.Sprintf("page %d (offset %d)", p.page, p.offset)
}

// pageSet remembers pages that were used, so that none is used twice.
type pageSet []uint64

func newPageSet(pages int) pageSet { return make(pageSet, pages/64+1) }

// add reports whether n was new.
func (s pageSet) add(n uint32) bool {
	word, bit := n/64, uint64(1)<<(n%64)
	if int(word) >= len(s) || s[word]&bit != 0 {
		return false
	}
	s[word] |= bit
	return true
}
