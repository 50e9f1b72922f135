package memory

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
	"unique"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

// word is a text that verdicts share.
type word = unique.Handle[string]

// Bounds of what is kept of one verdict: the server keeps to less, and a wrong answer of it must not fill the memory.
const (
	mostFailures = 200
	mostItems    = 10
	mostText     = 600
)

// record is a verdict in little room. It is never changed.
type record struct {
	digest   [32]byte // of sha256; others stand in more
	serial   int64
	resolved uint32 // seconds of Unix time; 0 is not said
	scanned  uint32
	matched  uint32
	asked    uint32
	epoch    int32
	state    uint8 // place in states; beyond them it stands in more
	hasSum   bool
	space    word // namespace that asked, and its pull secrets
	secrets  word
	failed   []failure
	more     *more // what few verdicts have
}

var states = [...]policy.ImageState{policy.Known, policy.Scanning, policy.Unread, policy.Unknown}

// more is what few verdicts have.
type more struct {
	digest  string // that is not of sha256
	state   string
	reason  word
	open    []open
	allowed []int64
}

type open struct {
	policy int64
	check  int32
	reason word
}

type failure struct {
	policy int64
	check  int32
	count  int32
	says   unique.Handle[says]
	items  []word
	zh     []word // the same in Chinese, of those that have it
	pardon *[][]int64
}

// says is the part of a failure that is alike for many images.
type says struct {
	kind         policy.Check
	worst        string
	message, fix finding.Text
}

func (s *says) clip() {
	s.kind, s.worst = policy.Check(clip(string(s.kind), mostText)), clip(s.worst, mostText)
	s.message = finding.Text{EN: clip(s.message.EN, mostText), ZH: clip(s.message.ZH, mostText)}
	s.fix = finding.Text{EN: clip(s.fix.EN, mostText), ZH: clip(s.fix.ZH, mostText)}
}

// size is about what the record takes. Texts are shared by many.
func (r *record) size() int64 {
	n := int64(128)
	for i := range r.failed {
		f := &r.failed[i]
		n += 96 + 8*int64(len(f.items)+len(f.zh))
		if f.pardon != nil {
			for _, set := range *f.pardon {
				n += 24 + 8*int64(len(set))
			}
		}
		for _, list := range [][]word{f.items, f.zh} {
			for _, w := range list {
				n += int64(len(w.Value())) / 3
			}
		}
		n += int64(len(f.says.Value().message.EN)) / 3
	}
	if m := r.more; m != nil {
		n += 112 + 24*int64(len(m.open)) + 8*int64(len(m.allowed)) + int64(len(m.digest)+len(m.reason.Value()))
	}
	return n
}

// clip bounds a text without cutting a character in two.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

func share(s string) word { return unique.Make(clip(s, mostText)) }

// mostPardons bounds the exceptions that a failure names; one that names more is not let pass by any.
const mostPardons = 400

func pardons(sets [][]int64) *[][]int64 {
	n := 0
	for _, s := range sets {
		n += len(s)
	}
	if n == 0 || n > mostPardons || len(sets) > mostPardons {
		return nil
	}
	out := make([][]int64, len(sets))
	for i, s := range sets {
		out[i] = slices.Clone(s)
	}
	return &out
}

func samePardons(a, b *[][]int64) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.EqualFunc(*a, *b, slices.Equal)
}

func shareAll(list []string) []word {
	if list = list[:min(len(list), mostItems)]; len(list) == 0 {
		return nil
	}
	out := make([]word, len(list))
	for i, s := range list {
		out[i] = share(s)
	}
	return out
}

func values(list []word) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = w.Value()
	}
	return out
}

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

func pack(v *policy.ImageVerdict, from Origin) *record {
	r := &record{serial: v.Serial, resolved: seconds(v.Resolved), scanned: seconds(v.Scanned), matched: seconds(v.Matched), asked: seconds(from.Asked),
		epoch: int32(from.Epoch), space: share(from.Image.Namespace), secrets: share(strings.Join(from.Image.PullSecrets, ","))} //nolint:gosec // changes of policies
	if sum, ok := strings.CutPrefix(v.Digest, "sha256:"); ok && len(sum) == 64 {
		_, err := hex.Decode(r.digest[:], []byte(sum))
		r.hasSum = err == nil
	}
	state := slices.Index(states[:], v.State)
	if r.state = uint8(state); state < 0 { //nolint:gosec // one of four
		r.state = uint8(len(states))
	}
	if !r.hasSum && v.Digest != "" || state < 0 || v.Reason != "" || len(v.Open) > 0 || len(v.Allowed) > 0 {
		r.more = &more{state: clip(string(v.State), mostText), reason: share(v.Reason), allowed: slices.Clone(v.Allowed[:min(len(v.Allowed), mostFailures)])}
		if !r.hasSum {
			r.more.digest = strings.Clone(clip(v.Digest, mostText))
		}
		for _, o := range v.Open[:min(len(v.Open), mostFailures)] {
			r.more.open = append(r.more.open, open{o.Policy, int32(o.Check), share(o.Reason)}) //nolint:gosec // places in a list of 100
		}
	}
	failed := v.Failed[:min(len(v.Failed), mostFailures)]
	if len(failed) > 0 {
		r.failed = make([]failure, len(failed))
	}
	for i := range failed {
		f := &failed[i]
		s := says{f.Kind, f.Worst, f.Message, f.Fix}
		s.clip()
		to := &r.failed[i]
		*to = failure{policy: f.Policy, check: int32(f.Check), count: int32(f.Count), says: unique.Make(s)} //nolint:gosec // places in a list of 100, and counts
		to.items, to.zh, to.pardon = shareAll(f.Items), shareAll(f.ItemsZH), pardons(f.Pardons)
	}
	return r
}

// digestText is the digest as references have it.
func (r *record) digestText() string {
	switch {
	case r.hasSum:
		var b [71]byte
		copy(b[:], "sha256:")
		hex.Encode(b[7:], r.digest[:])
		return string(b[:])
	case r.more != nil:
		return r.more.digest
	}
	return ""
}

func (r *record) origin(name string) Origin {
	return Origin{Epoch: int64(r.epoch), Image: r.image(name), Asked: moment(r.asked)}
}

// image is how the image was asked for.
func (r *record) image(name string) protocol.Image {
	i := protocol.Image{Reference: name, Namespace: r.space.Value()}
	if s := r.secrets.Value(); s != "" {
		i.PullSecrets = strings.Split(s, ",")
	}
	return i
}

// verdict unpacks.
func (r *record) verdict(name string) policy.ImageVerdict {
	v := policy.ImageVerdict{Reference: name, Digest: r.digestText(), Resolved: moment(r.resolved), Scanned: moment(r.scanned), Matched: moment(r.matched), Serial: r.serial}
	if int(r.state) < len(states) {
		v.State = states[r.state]
	}
	if m := r.more; m != nil {
		v.Reason, v.Allowed = m.reason.Value(), slices.Clone(m.allowed)
		if v.State == "" {
			v.State = policy.ImageState(m.state)
		}
		for _, o := range m.open {
			v.Open = append(v.Open, policy.OpenCheck{Policy: o.policy, Check: int(o.check), Reason: o.reason.Value()})
		}
	}
	if len(r.failed) > 0 {
		v.Failed = make([]policy.Failure, len(r.failed))
	}
	for i := range r.failed {
		f := &r.failed[i]
		s := f.says.Value()
		v.Failed[i] = policy.Failure{Policy: f.policy, Check: int(f.check), Kind: s.kind, Count: int(f.count), Worst: s.worst, Message: s.message, Fix: s.fix}
		v.Failed[i].Items, v.Failed[i].ItemsZH = values(f.items), values(f.zh)
		if f.pardon != nil {
			v.Failed[i].Pardons = *f.pardon
		}
	}
	return v
}

// same reports whether two records say the same, whenever they were asked for and the tag was resolved.
func (r *record) same(o *record) bool {
	return r.digest == o.digest && r.scanned == o.scanned && r.matched == o.matched && r.serial == o.serial && r.epoch == o.epoch && r.state == o.state &&
		slices.EqualFunc(r.failed, o.failed, func(a, b failure) bool {
			return a.policy == b.policy && a.check == b.check && a.count == b.count && a.says == b.says && slices.Equal(a.items, b.items) && slices.Equal(a.zh, b.zh) && samePardons(a.pardon, b.pardon)
		}) && r.more.same(o.more)
}

func (m *more) same(o *more) bool {
	if m == nil || o == nil {
		return m == o
	}
	return m.digest == o.digest && m.state == o.state && m.reason == o.reason && slices.Equal(m.open, o.open) && slices.Equal(m.allowed, o.allowed)
}
