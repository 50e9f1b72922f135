package database

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"time"

	"stockade.dev/stockade/internal/advisory"
)

// encoder writes records. All numbers are unsigned varints. A string is its length doubled and its bytes, or, when table
// knows it, its place in the string table doubled plus one. Without a table the bytes are canonical: equal records are equal
// bytes, whatever else is in the database.
type encoder struct {
	b     []byte
	table func(string) (uint64, bool)
}

func (e *encoder) number(n uint64) { e.b = binary.AppendUvarint(e.b, n) }

// text writes a string in place.
func (e *encoder) text(s string) {
	e.number(uint64(len(s)) << 1)
	e.b = append(e.b, s...)
}

// name writes a string that others may share.
func (e *encoder) name(s string) {
	if e.table != nil {
		if n, ok := e.table(s); ok {
			e.number(n<<1 | 1)
			return
		}
	}
	e.text(s)
}

func (e *encoder) texts(list []string) {
	e.number(uint64(len(list)))
	for _, s := range list {
		e.text(s)
	}
}

func (e *encoder) names(list []string) {
	e.number(uint64(len(list)))
	for _, s := range list {
		e.name(s)
	}
}

func (e *encoder) flag(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

// cveYear is the first year of CVE ids in the packed form; 128 years follow.
const cveYear = 1990

// parseCVE splits "CVE-2021-44228". Only the spelling that formatCVE gives back is taken.
func parseCVE(id string) (year, number uint64, ok bool) {
	if len(id) < len("CVE-2021-0001") || len(id) > len("CVE-2021-0000000000") || id[:4] != "CVE-" || id[8] != '-' {
		return 0, 0, false
	}
	for i := 4; i < len(id); i++ {
		c := id[i]
		switch {
		case i == 8:
		case c < '0' || c > '9':
			return 0, 0, false
		case i < 8:
			year = year*10 + uint64(c-'0')
		default:
			number = number*10 + uint64(c-'0')
		}
	}
	if year < cveYear || year >= cveYear+128 || len(id) > 13 && id[9] == '0' {
		return 0, 0, false
	}
	return year, number, true
}

// id writes an identifier; CVE ids take four bytes.
func (e *encoder) id(id string) {
	if year, n, ok := parseCVE(id); ok {
		e.number((n<<7 | (year - cveYear)) << 1)
		return
	}
	e.number(uint64(len(id))<<1 | 1)
	e.b = append(e.b, id...)
}

// The forms of a date.
const (
	dateText   = iota // anything else, as it stands
	dateDay           // 2006-01-02, as days since 1970
	dateSecond        // 2006-01-02T15:04:05Z, as seconds since 1970
)

func (e *encoder) date(s string) {
	if len(s) == len(time.DateOnly) {
		if t, err := time.Parse(time.DateOnly, s); err == nil && t.Unix() >= 0 && t.Format(time.DateOnly) == s {
			e.b = append(e.b, dateDay)
			e.number(uint64(t.Unix() / 86400))
			return
		}
	}
	if len(s) == len("2006-01-02T15:04:05Z") {
		if t, err := time.Parse(time.RFC3339, s); err == nil && t.Unix() >= 0 && t.UTC().Format(time.RFC3339) == s {
			e.b = append(e.b, dateSecond)
			e.number(uint64(t.Unix()))
			return
		}
	}
	e.b = append(e.b, dateText)
	e.text(s)
}

// float writes a number; those with one decimal, as CVSS scores are, take a byte or two.
func (e *encoder) float(f float64) {
	if n := math.Round(f * 10); n >= 0 && n < 1<<20 && n/10 == f && !math.Signbit(f) {
		e.number(uint64(n) << 1)
		return
	}
	e.number(1)
	e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(f))
}

// hash writes a SHA-1 as 20 bytes, or any other text.
func (e *encoder) hash(s string) {
	if raw, err := hex.DecodeString(s); err == nil && len(raw) == 20 && hex.EncodeToString(raw) == s {
		e.b = append(e.b, 1)
		e.b = append(e.b, raw...)
		return
	}
	e.b = append(e.b, 0)
	e.text(s)
}

func (e *encoder) cvss(list []advisory.CVSS) {
	e.number(uint64(len(list)))
	for _, c := range list {
		e.name(c.Vector)
		e.name(c.Source)
		e.float(c.Score)
	}
}

func (e *encoder) ranges(list []advisory.Range) {
	e.number(uint64(len(list)))
	for _, r := range list {
		var f byte
		set := func(bit byte, v bool) {
			if v {
				f |= bit
			}
		}
		set(rangeIntroduced, r.Introduced != "")
		set(rangeAfter, r.After)
		set(rangeFixed, r.Fixed != "")
		set(rangeLast, r.LastAffected != "")
		e.b = append(e.b, f)
		for _, s := range []string{r.Introduced, r.Fixed, r.LastAffected} {
			if s != "" {
				e.text(s)
			}
		}
	}
}

// The parts of a range that are there.
const (
	rangeIntroduced = 1 << iota
	rangeAfter
	rangeFixed
	rangeLast
)

// The parts of a row that are there.
const (
	rowBinary = 1 << iota
	rowBinaries
	rowAdvisory
	rowPublished
	rowSeverity
	rowCVSS
	rowSubscription
	rowReason
	rowRanges
	rowVersions
	rowArches
	rowModule
	rowFlavor
	rowCPE
	rowRequires
	rowSymbols
	rowHashes
	rowNoEpochs
)

// row writes all of a row but its key, the stream and the package.
func (e *encoder) row(r *advisory.Row) {
	var f uint64
	set := func(bit uint64, v bool) {
		if v {
			f |= bit
		}
	}
	set(rowBinary, r.Binary)
	set(rowBinaries, len(r.Binaries) > 0)
	set(rowAdvisory, r.Advisory != "")
	set(rowPublished, r.Published != "")
	set(rowSeverity, r.Severity != "")
	set(rowCVSS, len(r.CVSS) > 0)
	set(rowSubscription, r.Subscription != "")
	set(rowReason, r.Reason != "")
	set(rowRanges, len(r.Ranges) > 0)
	set(rowVersions, len(r.Versions) > 0)
	set(rowArches, len(r.Arches) > 0)
	set(rowModule, r.Module != "")
	set(rowFlavor, r.Flavor != "")
	set(rowCPE, r.CPE != "")
	set(rowRequires, len(r.Requires) > 0)
	set(rowSymbols, len(r.Symbols) > 0)
	set(rowHashes, len(r.Hashes) > 0)
	set(rowNoEpochs, r.NoEpochs)

	e.name(r.Feed)
	e.number(f)
	e.b = append(e.b, byte(r.State), byte(r.Scheme))
	e.number(uint64(len(r.IDs)))
	for _, id := range r.IDs {
		e.id(id)
	}
	if f&rowAdvisory != 0 {
		e.text(r.Advisory)
	}
	if f&rowPublished != 0 {
		e.date(r.Published)
	}
	if f&rowCVSS != 0 {
		e.cvss(r.CVSS)
	}
	for _, s := range []string{r.Severity, r.Subscription, r.Reason, r.Module, r.Flavor, r.CPE} {
		if s != "" {
			e.name(s)
		}
	}
	if f&rowBinaries != 0 {
		e.names(r.Binaries)
	}
	if f&rowArches != 0 {
		e.names(r.Arches)
	}
	if f&rowRanges != 0 {
		e.ranges(r.Ranges)
	}
	if f&rowVersions != 0 {
		e.texts(r.Versions)
	}
	e.rest(r, f)
}

// rest writes what few rows have.
func (e *encoder) rest(r *advisory.Row, f uint64) {
	if f&rowRequires != 0 {
		e.number(uint64(len(r.Requires)))
		for _, q := range r.Requires {
			e.names(q.CPE)
			e.ranges(q.Ranges)
		}
	}
	if f&rowSymbols != 0 {
		e.number(uint64(len(r.Symbols)))
		for _, s := range r.Symbols {
			e.text(s.Import)
			e.texts(s.Names)
			e.names(s.GOOS)
			e.names(s.GOARCH)
		}
	}
	if f&rowHashes != 0 {
		e.number(uint64(len(r.Hashes)))
		for _, h := range r.Hashes {
			e.hash(h)
		}
	}
}

// vulnerability writes all of v but its id; the texts only when asked for.
func (e *encoder) vulnerability(v *advisory.Vulnerability, texts bool) {
	e.name(v.Feed)
	e.texts(v.Aliases)
	e.name(v.Severity)
	e.cvss(v.CVSS)
	e.names(v.CWEs)
	e.date(v.Published)
	e.date(v.Modified)
	e.date(v.Withdrawn)
	e.flag(v.KEV != nil)
	if k := v.KEV; k != nil {
		e.date(k.Added)
		e.date(k.Due)
		e.flag(k.Ransomware)
		e.name(k.Action)
	}
	e.flag(v.EPSS != nil)
	if p := v.EPSS; p != nil {
		e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(p.Score))
		e.b = binary.LittleEndian.AppendUint64(e.b, math.Float64bits(p.Percentile))
		e.date(p.Date)
	}
	if texts {
		e.texture(v)
	}
}

// texture writes what people read: text.db holds it.
func (e *encoder) texture(v *advisory.Vulnerability) {
	e.text(v.Title)
	e.text(v.Description)
	e.texts(v.References)
}
