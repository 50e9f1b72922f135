package triage

import (
	"encoding/binary"
	"encoding/json"
	"math"

	"github.com/cespare/xxhash/v2"

	"stockade.dev/stockade/internal/finding"
)

func hashText(s string) uint64 { return xxhash.Sum64String(s) }

// hasher sums up the content of findings. The order of lists whose order means nothing does not count.
type hasher struct {
	d    xxhash.Digest
	word [8]byte
}

func (h *hasher) number(n uint64) {
	binary.LittleEndian.PutUint64(h.word[:], n)
	_, _ = h.d.Write(h.word[:])
}

func (h *hasher) texts(list ...string) {
	for _, s := range list {
		h.number(uint64(len(s)))
		_, _ = h.d.WriteString(s)
	}
}

// set adds a list by its members only.
func (h *hasher) set(list []string) {
	sum := uint64(len(list))
	for _, s := range list {
		sum += hashText(s) * 0x9E3779B97F4A7C15
	}
	h.number(sum)
}

func (h *hasher) text(t finding.Text) { h.texts(t.EN, t.ZH) }

// value adds a value of evidence.
func (h *hasher) value(v any) {
	switch v := v.(type) {
	case nil:
		h.texts("n")
	case string:
		h.texts("s", v)
	case bool:
		if v {
			h.texts("t")
		} else {
			h.texts("f")
		}
	default: // as JSON, which is what is kept: 1 and 1.0 are one, keys of maps are sorted
		data, err := json.Marshal(v)
		if err != nil {
			data = nil
		}
		h.number(uint64(len(data)))
		_, _ = h.d.Write(data)
	}
}

// hashVersion changes when a hash means something else: then everything is written once again.
const hashVersion = 1

// content is the hash of everything in f that is kept, without who runs an image: that stands in asset_uses.
func (h *hasher) content(f *finding.Finding, ruleHash int64) int64 {
	h.d.Reset()
	h.number(hashVersion)
	h.number(uint64(ruleHash))
	h.texts(string(f.Kind), f.Rule, f.RuleID, string(f.Severity), f.Risk)
	h.text(f.Title)
	h.text(f.Message)
	h.text(f.Remediation)
	h.set(f.Aliases)
	h.set(f.References)
	sum := uint64(len(f.Compliance))
	for _, c := range f.Compliance {
		sum += hashText(c.Framework)*31 + hashText(c.Clause)*0x9E3779B97F4A7C15
	}
	h.number(sum)
	r := &f.Resource
	h.texts(r.APIVersion, r.Kind, r.Namespace, r.Name, r.Container, r.Node, r.Image, r.Digest, r.Layer, r.File)
	h.number(uint64(r.Line)<<32 | uint64(uint32(r.Column)))
	if r.Owner != nil {
		h.texts(r.Owner.Kind, r.Owner.Name)
	}
	h.number(uint64(len(f.Evidence)))
	for i := range f.Evidence {
		e := &f.Evidence[i]
		h.texts(e.Path)
		h.value(e.Found)
		h.value(e.Want)
	}
	h.vulnerable(f.Vulnerability)
	if p := f.Priority; p != nil {
		h.number(uint64(p.Score))
		h.set(p.Reasons)
	}
	if s := f.Suppression; s != nil {
		h.texts(s.By, s.Reason, s.Expires)
	}
	h.number(uint64(len(f.Mitigations)))
	for _, m := range f.Mitigations {
		h.text(m)
	}
	if f.Snippet != nil {
		h.number(uint64(f.Snippet.Line))
		h.texts(f.Snippet.Text)
	}
	return int64(h.d.Sum64())
}

func (h *hasher) vulnerable(v *finding.Vulnerable) {
	if v == nil {
		h.number(0)
		return
	}
	h.texts(v.ID, v.Package, v.Version, v.FixedVersion, v.PURL, v.Type, v.Advisory, v.Source, v.State, v.EvidenceClass, v.Vector,
		v.Path, v.Owner, v.Subscription, v.Symbols)
	h.number(math.Float64bits(v.CVSS))
	h.number(uint64(math.Round(100 * v.EPSS))) // it moves a little every day: whole percents count
	if v.KEV {
		h.number(1)
	}
	h.set(v.Aliases)
	h.set(v.Notes)
}
