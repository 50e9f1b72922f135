package report

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	"stockade.dev/stockade/internal/finding"
)

// encoder appends findings as JSON. A scan of a large cluster writes tens of thousands of them, several times as fast this
// way as by reflection; the bytes are those that encoding/json makes of a record, which a test holds it to.
type encoder struct {
	lang, other string
	rules       map[string]*ruleText
}

// ruleText is what the findings of one rule have in common, encoded once. The values it was made of are kept, since saved
// documents may hold other texts for a rule of the same name.
type ruleText struct {
	title, remediation  finding.Text
	aliases, references []string
	compliance          []finding.ClauseRef

	aliasesJSON, referencesJSON, complianceJSON []byte
	own, translated                             ruleWords
}

// ruleWords are the encoded texts of a rule in one language.
type ruleWords struct{ title, remediation []byte }

func newEncoder(lang string) *encoder {
	return &encoder{lang: lang, other: otherLang(lang), rules: map[string]*ruleText{}}
}

// rule returns the encoded common parts of f's rule.
func (e *encoder) rule(f *finding.Finding) *ruleText {
	r := e.rules[f.Rule]
	if r != nil && r.title == f.Title && r.remediation == f.Remediation && slices.Equal(r.aliases, f.Aliases) &&
		slices.Equal(r.references, f.References) && slices.Equal(r.compliance, f.Compliance) {
		return r
	}
	words := func(lang string) ruleWords {
		w := ruleWords{title: appendString(nil, f.Title.In(lang))}
		if s := f.Remediation.In(lang); s != "" {
			w.remediation = appendString([]byte(`,"remediation":`), s)
		}
		return w
	}
	r = &ruleText{title: f.Title, remediation: f.Remediation, aliases: f.Aliases, references: f.References, compliance: f.Compliance,
		own: words(e.lang), translated: words(e.other)}
	r.aliasesJSON = appendList(nil, `,"aliases":`, f.Aliases)
	r.referencesJSON = appendList(nil, `,"references":`, f.References)
	if len(f.Compliance) > 0 {
		b := []byte(`,"compliance":[`)
		for i, c := range f.Compliance {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(append(b, `{"framework":`...), c.Framework)
			b = append(appendString(append(b, `,"clause":`...), c.Clause), '}')
		}
		r.complianceJSON = append(b, ']')
	}
	e.rules[f.Rule] = r
	return r
}

// members appends the members of f's object, without braces.
func (e *encoder) members(b []byte, f *finding.Finding) ([]byte, error) {
	r := e.rule(f)
	b = appendString(append(b, `"fingerprint":`...), f.Fingerprint)
	b = appendString(append(b, `,"kind":`...), string(f.Kind))
	b = appendString(append(b, `,"rule":`...), f.Rule)
	b = appendMember(b, `,"ruleId":`, f.RuleID)
	b = append(b, r.aliasesJSON...)
	b = appendString(append(b, `,"severity":`...), string(f.Severity))
	b = appendMember(b, `,"risk":`, f.Risk)
	b = append(b, r.referencesJSON...)
	b = appendResource(append(b, `,"resource":`...), &f.Resource)
	b, err := appendEvidence(b, f.Evidence)
	if err != nil {
		return nil, err
	}
	if f.Vulnerability != nil {
		v, err := marshal(f.Vulnerability)
		if err != nil {
			return nil, err
		}
		b = append(append(b, `,"vulnerability":`...), v...)
	}
	b = append(b, r.complianceJSON...)
	if p := f.Priority; p != nil {
		b = strconv.AppendInt(append(b, `,"priority":{"score":`...), int64(p.Score), 10)
		b = append(appendList(b, `,"reasons":`, p.Reasons), '}')
	}
	b = appendString(append(b, `,"status":`...), string(f.Status))
	if s := f.Suppression; s != nil {
		b = appendString(append(b, `,"suppression":{"by":`...), s.By)
		b = appendMember(b, `,"reason":`, s.Reason)
		b = append(appendMember(b, `,"expires":`, s.Expires), '}')
	}
	if s := f.Snippet; s != nil {
		b = strconv.AppendInt(append(b, `,"snippet":{"line":`...), int64(s.Line), 10)
		b = append(appendString(append(b, `,"text":`...), s.Text), '}')
	}
	if f.Emergency != nil {
		v, err := marshal(f.Emergency)
		if err != nil {
			return nil, err
		}
		b = append(append(b, `,"emergency":`...), v...)
	}
	b = appendTexts(append(b, ','), f, &r.own, e.lang)
	b = appendString(append(b, `,"translation":{"lang":`...), e.other)
	return append(appendTexts(append(b, ','), f, &r.translated, e.other), '}'), nil
}

func appendTexts(b []byte, f *finding.Finding, w *ruleWords, lang string) []byte {
	b = append(append(b, `"title":`...), w.title...)
	b = appendString(append(b, `,"message":`...), f.Message.In(lang))
	b = append(b, w.remediation...)
	for i, m := range f.Mitigations {
		if i == 0 {
			b = append(b, `,"mitigations":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(b, m.In(lang))
	}
	if len(f.Mitigations) > 0 {
		b = append(b, ']')
	}
	return b
}

func appendResource(b []byte, r *finding.Resource) []byte {
	start := len(b)
	b = appendMember(b, `,"cluster":`, r.Cluster)
	b = appendMember(b, `,"apiVersion":`, r.APIVersion)
	b = appendMember(b, `,"kind":`, r.Kind)
	b = appendMember(b, `,"namespace":`, r.Namespace)
	b = appendMember(b, `,"name":`, r.Name)
	b = appendMember(b, `,"container":`, r.Container)
	b = appendMember(b, `,"node":`, r.Node)
	b = appendMember(b, `,"image":`, r.Image)
	b = appendMember(b, `,"digest":`, r.Digest)
	b = appendMember(b, `,"layer":`, r.Layer)
	b = appendMember(b, `,"file":`, r.File)
	if r.Line != 0 {
		b = strconv.AppendInt(append(b, `,"line":`...), int64(r.Line), 10)
	}
	if r.Column != 0 {
		b = strconv.AppendInt(append(b, `,"column":`...), int64(r.Column), 10)
	}
	if o := r.Owner; o != nil {
		b = appendString(append(b, `,"owner":{"kind":`...), o.Kind)
		b = append(appendString(append(b, `,"name":`...), o.Name), '}')
	}
	for i, w := range r.Workloads {
		if i == 0 {
			b = append(b, `,"workloads":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"kind":`...), w.Kind)
		b = appendMember(b, `,"namespace":`, w.Namespace)
		b = appendString(append(b, `,"name":`...), w.Name)
		b = append(appendMember(b, `,"container":`, w.Container), '}')
	}
	if len(r.Workloads) > 0 {
		b = append(b, ']')
	}
	if len(b) == start {
		return append(b, "{}"...)
	}
	b[start] = '{' // in place of the first comma
	return append(b, '}')
}

func appendEvidence(b []byte, list []finding.Evidence) ([]byte, error) {
	if len(list) == 0 {
		return b, nil
	}
	b = append(b, `,"evidence":`...)
	var err error
	for i, v := range list {
		if i == 0 {
			b = append(b, '[')
		} else {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"path":`...), v.Path)
		if b, err = appendValue(append(b, `,"found":`...), v.Found); err != nil {
			return nil, err
		}
		if v.Want != nil {
			if b, err = appendValue(append(b, `,"want":`...), v.Want); err != nil {
				return nil, err
			}
		}
		b = append(b, '}')
	}
	return append(b, ']'), nil
}

func appendMember(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(append(b, key...), value)
}

func appendList(b []byte, key string, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(b, key...)
	for i, s := range list {
		if i == 0 {
			b = append(b, '[')
		} else {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendValue appends any JSON value; what most evidence is goes without reflection.
func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendString(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	}
	w := bytesBuffer(b)
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return w[:len(w)-1], nil
}

// bytesBuffer appends what is written to it.
type bytesBuffer []byte

func (b *bytesBuffer) Write(p []byte) (int, error) { *b = append(*b, p...); return len(p), nil }

// marshal is json.Marshal without HTML escapes: < and & stand in many texts.
func marshal(v any) ([]byte, error) { return appendValue(nil, v) }

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string, escaped as encoding/json does without HTML escapes.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[start:i]...)
			b = appendEscape(b, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[start:i]...), `\ufffd`...)
			start = i + size
		case r == '\u2028' || r == '\u2029': // line ends in JavaScript
			b = append(append(b, s[start:i]...), `\u202`...)
			b = append(b, hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	return append(append(b, s[start:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, `\u00`+string([]byte{hexDigits[c>>4], hexDigits[c&0xf]})...)
}
