package database

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"time"

	"stockade.dev/stockade/internal/advisory"
)

// errBroken is what every decoder says of bytes that cannot be; callers add the place.
var errBroken = errors.New("broken record")

// decoder reads records out of a string, so that what it returns shares its bytes and needs no copies. The first error
// stays; afterwards all reads give zero values. No count is believed beyond the bytes that are left.
type decoder struct {
	s    string
	i    int
	err  error
	name func(uint64) (string, error) // the string table

	row   advisory.Row // reused from row to row
	arena []byte       // texts of the row that are not stored as text: ids, dates, hashes
	spans []span
}

// span is a text in the arena and where it belongs.
type span struct {
	to         *string
	start, end int
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
		d.i = len(d.s)
	}
}

func (d *decoder) number() uint64 {
	var n uint64
	for shift := 0; shift < 64 && d.i < len(d.s); shift += 7 {
		c := d.s[d.i]
		d.i++
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	d.fail(errBroken)
	return 0
}

func (d *decoder) octet() byte {
	if d.i >= len(d.s) {
		d.fail(errBroken)
		return 0
	}
	d.i++
	return d.s[d.i-1]
}

func (d *decoder) flag() bool { return d.octet() != 0 }

// take returns the next n bytes.
func (d *decoder) take(n uint64) string {
	if n > uint64(len(d.s)-d.i) {
		d.fail(errBroken)
		return ""
	}
	d.i += int(n)
	return d.s[d.i-int(n) : d.i]
}

func (d *decoder) text() string {
	n := d.number()
	if n&1 == 0 {
		return d.take(n >> 1)
	}
	if d.err != nil || d.name == nil {
		d.fail(errBroken)
		return ""
	}
	s, err := d.name(n >> 1)
	if err != nil {
		d.fail(err)
	}
	return s
}

// count reads the length of a list whose elements take at least one byte.
func (d *decoder) count() int {
	n := d.number()
	if n > uint64(len(d.s)-d.i) {
		d.fail(errBroken)
		return 0
	}
	return int(n)
}

func (d *decoder) texts(into []string) []string {
	into = into[:0]
	for n := d.count(); n > 0 && d.err == nil; n-- {
		into = append(into, d.text())
	}
	return into
}

func (d *decoder) float() float64 {
	n := d.number()
	if n&1 == 0 {
		return float64(n>>1) / 10
	}
	return d.bits()
}

func (d *decoder) bits() float64 {
	b := d.take(8)
	if len(b) < 8 {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64([]byte(b)))
}

func appendCVE(b []byte, year, number uint64) []byte {
	b = append(b, 'C', 'V', 'E', '-')
	b = strconv.AppendUint(b, year, 10)
	b = append(b, '-')
	for limit := uint64(1000); limit > 1 && number < limit; limit /= 10 {
		b = append(b, '0')
	}
	return strconv.AppendUint(b, number, 10)
}

// id reads an identifier into *to, which gets its text when the arena is settled.
func (d *decoder) id(to *string) {
	n := d.number()
	if n&1 == 1 {
		*to = d.take(n >> 1)
		return
	}
	start := len(d.arena)
	d.arena = appendCVE(d.arena, cveYear+n>>1&0x7f, n>>8)
	d.spans = append(d.spans, span{to, start, len(d.arena)})
}

func (d *decoder) date(to *string) {
	start := len(d.arena)
	switch d.octet() {
	case dateText:
		*to = d.text()
		return
	case dateDay:
		d.arena = appendDay(d.arena, d.number())
	case dateSecond:
		n := d.number()
		d.arena = appendDay(d.arena, n/86400)
		n %= 86400
		d.arena = append(d.arena, 'T', byte('0'+n/36000), byte('0'+n/3600%10), ':', byte('0'+n/600%6), byte('0'+n/60%10), ':',
			byte('0'+n%60/10), byte('0'+n%10), 'Z')
	default:
		d.fail(errBroken)
	}
	d.spans = append(d.spans, span{to, start, len(d.arena)})
}

// lastDay is the last day of the year 9999 since 1970.
const lastDay = 2932896

func appendDay(b []byte, days uint64) []byte {
	return time.Unix(int64(min(days, lastDay))*86400, 0).UTC().AppendFormat(b, time.DateOnly)
}

func (d *decoder) hash(to *string) {
	if d.octet() == 0 {
		*to = d.text()
		return
	}
	start := len(d.arena)
	d.arena = hex.AppendEncode(d.arena, []byte(d.take(20)))
	d.spans = append(d.spans, span{to, start, len(d.arena)})
}

// settle makes the texts of the arena: one copy for all of them.
func (d *decoder) settle() {
	if len(d.spans) > 0 {
		s := string(d.arena)
		for _, p := range d.spans {
			*p.to = s[p.start:p.end]
		}
	}
	d.arena, d.spans = d.arena[:0], d.spans[:0]
}

func (d *decoder) cvss(into []advisory.CVSS) []advisory.CVSS {
	into = into[:0]
	for n := d.count(); n > 0 && d.err == nil; n-- {
		into = append(into, advisory.CVSS{Vector: d.text(), Source: d.text(), Score: d.float()})
	}
	return into
}

func (d *decoder) ranges(into []advisory.Range) []advisory.Range {
	into = into[:0]
	for n := d.count(); n > 0 && d.err == nil; n-- {
		f := d.octet()
		r := advisory.Range{After: f&rangeAfter != 0}
		if f&rangeIntroduced != 0 {
			r.Introduced = d.text()
		}
		if f&rangeFixed != 0 {
			r.Fixed = d.text()
		}
		if f&rangeLast != 0 {
			r.LastAffected = d.text()
		}
		into = append(into, r)
	}
	return into
}

// sized gives a slice of length n with the capacity of s.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// next reads the next row into d.row. Strings are good for ever, slices until the next row.
func (d *decoder) next(stream, name string) *advisory.Row {
	r := &d.row
	*r = advisory.Row{Stream: stream, Package: name, IDs: r.IDs, Binaries: r.Binaries[:0], CVSS: r.CVSS[:0], Ranges: r.Ranges[:0],
		Versions: r.Versions[:0], Arches: r.Arches[:0], Hashes: r.Hashes[:0]}
	r.Feed = d.text()
	f := d.number()
	r.State, r.Scheme = advisory.State(d.octet()), advisory.Scheme(d.octet())
	r.Binary, r.NoEpochs = f&rowBinary != 0, f&rowNoEpochs != 0
	if r.State > advisory.EndOfLife || r.Scheme > advisory.Loose {
		d.fail(errBroken)
	}
	r.IDs = sized(r.IDs, d.count())
	for i := range r.IDs {
		d.id(&r.IDs[i])
	}
	if f&rowAdvisory != 0 {
		r.Advisory = d.text()
	}
	if f&rowPublished != 0 {
		d.date(&r.Published)
	}
	if f&rowCVSS != 0 {
		r.CVSS = d.cvss(r.CVSS)
	}
	for i, to := range []*string{&r.Severity, &r.Subscription, &r.Reason, &r.Module, &r.Flavor, &r.CPE} {
		if f&[]uint64{rowSeverity, rowSubscription, rowReason, rowModule, rowFlavor, rowCPE}[i] != 0 {
			*to = d.text()
		}
	}
	if f&rowBinaries != 0 {
		r.Binaries = d.texts(r.Binaries)
	}
	if f&rowArches != 0 {
		r.Arches = d.texts(r.Arches)
	}
	if f&rowRanges != 0 {
		r.Ranges = d.ranges(r.Ranges)
	}
	if f&rowVersions != 0 {
		r.Versions = d.texts(r.Versions)
	}
	d.rest(r, f)
	if d.err != nil {
		d.arena, d.spans = d.arena[:0], d.spans[:0]
		return nil
	}
	d.settle()
	return r
}

func (d *decoder) rest(r *advisory.Row, f uint64) {
	if f&rowRequires != 0 {
		for n := d.count(); n > 0 && d.err == nil; n-- {
			r.Requires = append(r.Requires, advisory.Requirement{CPE: d.texts(nil), Ranges: d.ranges(nil)})
		}
	}
	if f&rowSymbols != 0 {
		for n := d.count(); n > 0 && d.err == nil; n-- {
			r.Symbols = append(r.Symbols, advisory.Symbols{Import: d.text(), Names: d.texts(nil), GOOS: d.texts(nil), GOARCH: d.texts(nil)})
		}
	}
	if f&rowHashes != 0 {
		r.Hashes = sized(r.Hashes, d.count())
		for i := range r.Hashes {
			d.hash(&r.Hashes[i])
		}
	}
}

// vulnerability reads what encoder.vulnerability wrote.
func (d *decoder) vulnerability(id string, texts bool) *advisory.Vulnerability {
	v := &advisory.Vulnerability{ID: id}
	v.Feed = d.text()
	v.Aliases = d.texts(nil)
	v.Severity = d.text()
	v.CVSS = d.cvss(nil)
	v.CWEs = d.texts(nil)
	d.date(&v.Published)
	d.date(&v.Modified)
	d.date(&v.Withdrawn)
	if d.flag() {
		k := &advisory.KEV{}
		d.date(&k.Added)
		d.date(&k.Due)
		k.Ransomware = d.flag()
		k.Action = d.text()
		v.KEV = k
	}
	if d.flag() {
		p := &advisory.EPSS{Score: d.bits(), Percentile: d.bits()}
		d.date(&p.Date)
		v.EPSS = p
	}
	if texts {
		d.texture(v)
	}
	d.settle()
	return v
}

func (d *decoder) texture(v *advisory.Vulnerability) {
	v.Title = d.text()
	v.Description = d.text()
	v.References = d.texts(nil)
}
