package verdict

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/finding"
)

// Facts are kept small and read fast: a hundred thousand images are judged anew when a policy changes. Texts stand once in a table
// at the beginning; everything else is numbers.
const packed = 1 // version of the form

// maxPacked bounds packed facts, unpacked from zstd.
const maxPacked = 64 << 20

var errPacked = errors.New("facts of an image cannot be read")

var (
	zipper   = sync.OnceValue(func() *zstd.Encoder { return must(zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2))) })
	unzipper = sync.OnceValue(func() *zstd.Decoder {
		return must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(4), zstd.WithDecoderMaxMemory(maxPacked)))
	})
)

func must[T any](v T, err error) T {
	if err != nil { // the options are good
		panic(err)
	}
	return v
}

// pack writes facts. The times at which they were made are left out: they stand beside them.
func (f *Facts) pack() []byte {
	p := &packer{at: map[string]uint64{}}
	p.text(f.Digest)
	p.text(f.Index)
	p.text(f.Reference)
	p.text(f.NoAdvisories)
	p.texts(f.Gaps)
	p.number(uint64(len(f.Vulnerabilities)))
	for i := range f.Vulnerabilities {
		v := &f.Vulnerabilities[i]
		for _, s := range []string{v.ID, v.Package, v.Version, v.Fixed, v.PURL, v.File, v.Item} {
			p.text(s)
		}
		p.texts(v.Aliases)
		p.severity(v.Severity)
		p.number(uint64(math.Round(min(max(v.EPSS, 0), 1) * 1e6)))
		p.flag(v.KEV)
		day := uint64(0)
		if !v.Published.IsZero() && v.Published.Unix() > 0 {
			day = uint64(v.Published.Unix()/86400) + 1 //nolint:gosec // is positive
		}
		p.number(day)
	}
	p.number(uint64(len(f.Hits)))
	for i := range f.Hits {
		h := &f.Hits[i]
		for _, s := range []string{string(h.Kind), h.Rule, h.RuleID, h.Title.EN, h.Title.ZH, h.File, h.Found, h.Item} {
			p.text(s)
		}
		p.severity(h.Severity)
		p.number(uint64(max(h.Line, 0))) //nolint:gosec // is positive
	}
	head := binary.AppendUvarint([]byte{packed}, uint64(len(p.table)))
	for _, s := range p.table {
		head = append(binary.AppendUvarint(head, uint64(len(s))), s...)
	}
	return zipper().EncodeAll(append(head, p.body...), nil)
}

type packer struct {
	table []string
	at    map[string]uint64
	body  []byte
}

func (p *packer) number(n uint64) { p.body = binary.AppendUvarint(p.body, n) }

func (p *packer) text(s string) {
	i, ok := p.at[s]
	if !ok {
		i = uint64(len(p.table))
		p.at[s] = i
		p.table = append(p.table, s)
	}
	p.number(i)
}

func (p *packer) texts(list []string) {
	p.number(uint64(len(list)))
	for _, s := range list {
		p.text(s)
	}
}

func (p *packer) severity(s finding.Severity) { p.body = append(p.body, byte(s.Rank()+1)) }

func (p *packer) flag(b bool) { p.body = append(p.body, byte(first(b))) }

// unpack reads what pack wrote.
func unpack(data []byte) (*Facts, error) {
	plain, err := unzipper().DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPacked, err)
	}
	u := &unpacker{s: string(plain)}
	if u.octet() != packed {
		return nil, errPacked
	}
	u.table = make([]string, u.count())
	for i := range u.table {
		u.table[i] = u.take(u.number())
	}
	f := &Facts{Digest: u.text(), Index: u.text(), Reference: u.text(), NoAdvisories: u.text(), Gaps: u.texts()}
	f.Vulnerabilities = make([]Vulnerability, u.count())
	for i := range f.Vulnerabilities {
		v := &f.Vulnerabilities[i]
		for _, s := range []*string{&v.ID, &v.Package, &v.Version, &v.Fixed, &v.PURL, &v.File, &v.Item} {
			*s = u.text()
		}
		v.Aliases, v.Severity, v.EPSS, v.KEV = u.texts(), u.severity(), float64(u.number())/1e6, u.octet() == 1
		if day := u.number(); day > 0 && day < 1<<20 {
			v.Published = time.Unix(int64(day-1)*86400, 0).UTC()
		}
	}
	f.Hits = make([]Hit, u.count())
	for i := range f.Hits {
		h := &f.Hits[i]
		kind := ""
		for _, s := range []*string{&kind, &h.Rule, &h.RuleID, &h.Title.EN, &h.Title.ZH, &h.File, &h.Found, &h.Item} {
			*s = u.text()
		}
		h.Kind, h.Severity, h.Line = finding.Kind(kind), u.severity(), int(min(u.number(), math.MaxInt32)) //nolint:gosec // is bounded
	}
	if u.bad || u.i != len(u.s) {
		return nil, errPacked
	}
	return f, nil
}

// unpacker reads bounded: a broken number makes everything after it zero.
type unpacker struct {
	s     string
	i     int
	table []string
	bad   bool
}

func (u *unpacker) octet() byte {
	if u.i >= len(u.s) {
		u.bad = true
		return 0
	}
	u.i++
	return u.s[u.i-1]
}

func (u *unpacker) number() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		c := u.octet()
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	u.bad = true
	return 0
}

// count reads the length of a list, of which each entry takes a byte at least.
func (u *unpacker) count() int {
	n := u.number()
	if n > uint64(len(u.s)-u.i) { //nolint:gosec // is positive
		u.bad = true
		return 0
	}
	return int(n) //nolint:gosec // is bounded
}

func (u *unpacker) take(n uint64) string {
	if n > uint64(len(u.s)-u.i) { //nolint:gosec // is positive
		u.bad = true
		return ""
	}
	u.i += int(n) //nolint:gosec // is bounded
	return u.s[u.i-int(n) : u.i]
}

func (u *unpacker) text() string {
	n := u.number()
	if n >= uint64(len(u.table)) {
		u.bad = true
		return ""
	}
	return u.table[n]
}

func (u *unpacker) texts() []string {
	n := u.count()
	if n == 0 {
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = u.text()
	}
	return out
}

func (u *unpacker) severity() finding.Severity {
	n := int(u.octet()) - 1
	for _, s := range finding.Severities {
		if s.Rank() == n {
			return s
		}
	}
	return ""
}
