package memory

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

// Bounds of what is kept of one verdict: the server keeps to less, and a wrong answer of it must not fill the memory.
const (
	mostFailures = 200
	mostItems    = 10
	mostText     = 600
	mostPardons  = 400 // exceptions that a failure names; one that names more is not let pass by any
)

// record is a verdict under its name, in bytes: what is asked again does not change (when it was asked for and the tag was resolved:
// four bytes each), the name, and then what a verdict says. Texts stand in it as numbers of words; records that say the same are equal
// but for the eight bytes.
type record string

const changing = 8 // bytes of times at the beginning

var states = [...]policy.ImageState{policy.Known, policy.Scanning, policy.Unread, policy.Unknown}

// What a record has beside what all have.
const (
	hasSum = 1 << iota // a digest of sha256
	hasMore
)

func seconds(t time.Time) uint32 {
	if n := t.Unix(); n > 0 && n <= math.MaxUint32 {
		return uint32(n)
	}
	return 0
}

func moment(n uint32) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(int64(n), 0).UTC()
}

// packer writes records.
type packer struct {
	words *words
	out   []byte
}

func (p *packer) uint(n uint64) { p.out = binary.AppendUvarint(p.out, n) }
func (p *packer) int(n int64)   { p.out = binary.AppendVarint(p.out, n) }
func (p *packer) time(n uint32) { p.out = binary.LittleEndian.AppendUint32(p.out, n) }
func (p *packer) word(s string) { p.uint(uint64(p.words.hold(s))) }

func (p *packer) list(texts []string, most int) {
	texts = texts[:min(len(texts), most)]
	p.uint(uint64(len(texts)))
	for _, s := range texts {
		p.word(s)
	}
}

// pack holds the words of the record that it returns.
func (p *packer) pack(name string, v *policy.ImageVerdict, from *Origin) record {
	p.out = p.out[:0]
	p.time(seconds(from.Asked))
	p.time(seconds(v.Resolved))
	p.uint(uint64(len(name)))
	p.out = append(p.out, name...)
	p.int(from.Epoch)
	sum, state := sumOf(v.Digest), slices.Index(states[:], v.State)
	has := byte(0)
	if sum != nil {
		has |= hasSum
	}
	more := sum == nil && v.Digest != "" || state < 0 || v.Reason != "" || len(v.Open) > 0 || len(v.Allowed) > 0
	if more {
		has |= hasMore
	}
	p.out = append(p.out, has, byte(state)) //nolint:gosec // one of four, or 255 for one that stands in more
	p.out = append(p.out, sum...)
	p.int(v.Serial)
	p.time(seconds(v.Scanned))
	p.time(seconds(v.Matched))
	p.word(from.Image.Namespace)
	p.list(from.Image.PullSecrets, mostFailures)
	if more {
		p.more(v, sum == nil, state < 0)
	}
	failed := v.Failed[:min(len(v.Failed), mostFailures)]
	p.uint(uint64(len(failed)))
	for i := range failed {
		p.failure(&failed[i])
	}
	return record(p.out)
}

// sumOf is the digest in bytes; nil for those that are not of sha256.
func sumOf(digest string) []byte {
	hexed, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(hexed) != 64 || strings.ToLower(hexed) != hexed {
		return nil
	}
	sum, err := hex.DecodeString(hexed)
	if err != nil {
		return nil
	}
	return sum
}

// more is what few verdicts have.
func (p *packer) more(v *policy.ImageVerdict, digest, state bool) {
	if !digest {
		p.word("")
	} else {
		p.word(v.Digest)
	}
	if !state {
		p.word("")
	} else {
		p.word(string(v.State))
	}
	p.word(v.Reason)
	open := v.Open[:min(len(v.Open), mostFailures)]
	p.uint(uint64(len(open)))
	for _, o := range open {
		p.int(o.Policy)
		p.int(int64(o.Check))
		p.word(o.Reason)
	}
	allowed := v.Allowed[:min(len(v.Allowed), mostFailures)]
	p.uint(uint64(len(allowed)))
	for _, id := range allowed {
		p.int(id)
	}
}

func (p *packer) failure(f *policy.Failure) {
	p.int(f.Policy)
	p.int(int64(f.Check))
	p.int(int64(f.Count))
	for _, s := range [...]string{string(f.Kind), f.Worst, f.Message.EN, f.Message.ZH, f.Fix.EN, f.Fix.ZH} {
		p.word(s)
	}
	p.list(f.Items, mostItems)
	p.list(f.ItemsZH, mostItems)
	n := 0
	for _, set := range f.Pardons {
		n += len(set)
	}
	if n == 0 || n > mostPardons || len(f.Pardons) > mostPardons {
		p.uint(0)
		return
	}
	p.uint(uint64(len(f.Pardons)))
	for _, set := range f.Pardons {
		p.uint(uint64(len(set)))
		for _, id := range set {
			p.int(id)
		}
	}
}

// reader reads a record from front to back. Records are of this process's own making: there is nothing that could be wrong with them.
type reader struct {
	words *words
	rest  record
}

func (r *reader) uint() uint64 {
	n, shift := uint64(0), 0
	for i := 0; ; i++ {
		b := r.rest[i]
		n |= uint64(b&0x7f) << shift
		if shift += 7; b < 0x80 {
			r.rest = r.rest[i+1:]
			return n
		}
	}
}

func (r *reader) int() int64 {
	n := r.uint()
	return int64(n>>1) ^ -int64(n&1) //nolint:gosec // as binary.AppendVarint writes it
}

func (r *reader) count() int { return int(r.uint()) } //nolint:gosec // of a list that was in memory

func (r *reader) time() uint32 {
	t := r.rest[:4]
	r.rest = r.rest[4:]
	return uint32(t[0]) | uint32(t[1])<<8 | uint32(t[2])<<16 | uint32(t[3])<<24
}

func (r *reader) text(n int) string {
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *reader) word() string { return r.words.list[r.uint()].text }

func (r *reader) list() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = r.word()
	}
	return out
}

func (r record) asked() uint32 { return (&reader{rest: r}).time() }

// name is without a copy, as long as the record is.
func (r record) name() string {
	in := reader{rest: r[changing:]}
	return in.text(in.count())
}

// same reports whether two records of a name say the same, whenever they were asked for and the tag was resolved.
func (r record) same(o record) bool { return r[changing:] == o[changing:] }

// body is the reader after the name, and the epoch.
func (r record) body(w *words) (in reader, epoch int64) {
	in = reader{words: w, rest: r[changing:]}
	in.text(in.count())
	return in, in.int()
}

// epoch is that of its Origin.
func (r record) epoch() int64 {
	_, epoch := r.body(nil)
	return epoch
}

// digest is as references have it.
func (r record) digest(w *words) string {
	in, _ := r.body(w)
	has, _, digest := in.identity()
	if digest == "" && has&hasMore != 0 {
		in.rest = in.afterImage()
		digest = in.word()
	}
	return digest
}

func (r *reader) identity() (has, state byte, digest string) {
	has, state = r.rest[0], r.rest[1]
	r.rest = r.rest[2:]
	if has&hasSum != 0 {
		var b [71]byte
		copy(b[:], "sha256:")
		const digits = "0123456789abcdef"
		for i := range 32 {
			b[7+2*i], b[8+2*i] = digits[r.rest[i]>>4], digits[r.rest[i]&15]
		}
		r.rest = r.rest[32:]
		digest = string(b[:])
	}
	return has, state, digest
}

// afterImage is what follows how the image was asked for.
func (r *reader) afterImage() record {
	in := *r
	in.int()
	in.time()
	in.time()
	in.word()
	for range in.count() {
		in.uint()
	}
	return in.rest
}

// read unpacks; the name is that of the record unless another is given.
func (r record) read(w *words, as string) (policy.ImageVerdict, Origin) {
	head := reader{rest: r}
	from := Origin{Asked: moment(head.time())}
	resolved := head.time()
	from.Image.Reference = as
	if as == "" {
		from.Image.Reference = r.name()
	}
	in, epoch := r.body(w)
	from.Epoch = epoch
	has, state, digest := in.identity()
	v := policy.ImageVerdict{Reference: from.Image.Reference, Resolved: moment(resolved), Digest: digest, Serial: in.int(), Scanned: moment(in.time()), Matched: moment(in.time())}
	if int(state) < len(states) {
		v.State = states[state]
	}
	from.Image.Namespace, from.Image.PullSecrets = in.word(), in.list()
	if has&hasMore != 0 {
		in.more(&v)
	}
	if n := in.count(); n > 0 {
		v.Failed = make([]policy.Failure, n)
	}
	for i := range v.Failed {
		in.failure(&v.Failed[i])
	}
	return v, from
}

func (r *reader) more(v *policy.ImageVerdict) {
	if digest := r.word(); digest != "" {
		v.Digest = digest
	}
	if state := r.word(); state != "" {
		v.State = policy.ImageState(state)
	}
	v.Reason = r.word()
	for range r.count() {
		v.Open = append(v.Open, policy.OpenCheck{Policy: r.int(), Check: int(r.int()), Reason: r.word()})
	}
	for range r.count() {
		v.Allowed = append(v.Allowed, r.int())
	}
}

func (r *reader) failure(f *policy.Failure) {
	f.Policy, f.Check, f.Count = r.int(), int(r.int()), int(r.int())
	f.Kind, f.Worst = policy.Check(r.word()), r.word()
	f.Message, f.Fix = finding.Text{EN: r.word(), ZH: r.word()}, finding.Text{EN: r.word(), ZH: r.word()}
	f.Items, f.ItemsZH = r.list(), r.list()
	if n := r.count(); n > 0 {
		f.Pardons = make([][]int64, n)
	}
	for i := range f.Pardons {
		f.Pardons[i] = make([]int64, r.count())
		for k := range f.Pardons[i] {
			f.Pardons[i][k] = r.int()
		}
	}
}

// image is how the image was asked for.
func (r record) image(w *words) protocol.Image {
	in, _ := r.body(w)
	in.identity()
	in.int()
	in.time()
	in.time()
	return protocol.Image{Reference: strings.Clone(r.name()), Namespace: in.word(), PullSecrets: in.list()}
}

// release drops the words of a record.
func (r record) release(w *words) {
	in, _ := r.body(w)
	has, _, _ := in.identity()
	drop := func(n int) {
		for range n {
			w.drop(uint32(in.uint())) //nolint:gosec // as hold gave it
		}
	}
	skip := func(n int) {
		for range n {
			in.uint()
		}
	}
	skip(1)
	in.time()
	in.time()
	drop(1)
	drop(in.count())
	if has&hasMore != 0 {
		drop(3)
		for range in.count() {
			skip(2)
			drop(1)
		}
		skip(in.count())
	}
	for range in.count() {
		skip(3)
		drop(6)
		drop(in.count())
		drop(in.count())
		for range in.count() {
			skip(in.count())
		}
	}
}
