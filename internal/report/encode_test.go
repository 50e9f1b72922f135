package report

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/finding"
)

// newRecord is the record of f: what encoder's bytes are held to.
func newRecord(f *finding.Finding, lang string) record {
	other := otherLang(lang)
	r := record{Finding: f, Title: f.Title.In(lang), Message: f.Message.In(lang), Remediation: f.Remediation.In(lang),
		Translation: &translation{Lang: other, Title: f.Title.In(other), Message: f.Message.In(other), Remediation: f.Remediation.In(other)}}
	for _, m := range f.Mitigations {
		r.Mitigations = append(r.Mitigations, m.In(lang))
		r.Translation.Mitigations = append(r.Translation.Mitigations, m.In(other))
	}
	return r
}

// reflected is v as encoding/json writes it, without HTML escapes.
func reflected(t testing.TB, v any) string {
	t.Helper()
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func compareEncoding(t *testing.T, e *encoder, f *finding.Finding) {
	t.Helper()
	b, err := e.members([]byte("{"), f)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b)+"}", reflected(t, newRecord(f, e.lang)); got != want {
		t.Fatalf("the encoder and encoding/json differ:\n got %s\nwant %s", got, want)
	}
}

// TestEncoderCoversEveryField fills every field of a finding by reflection, so that a field that is new to the nouns and
// unknown to the encoder fails here; then with a part of the fields empty, in all kinds of mixtures.
func TestEncoderCoversEveryField(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, lang := range []string{"en", "zh"} {
		e := newEncoder(lang)
		for i := range 3000 {
			f := &finding.Finding{}
			empty := 0.4 // share of fields left empty
			if i == 0 {
				empty = -1
			}
			fill(rnd, reflect.ValueOf(f).Elem(), empty)
			if i%2 == 1 {
				f.Rule = fmt.Sprint("rule", i%5) // several texts under one name
			}
			compareEncoding(t, e, f)
		}
		for _, f := range many(300) {
			compareEncoding(t, e, f)
		}
	}
}

var oddTexts = []string{"plain", "quote \" and \\ back", "<&>", "line\nend\ttab\r\b\f\x00\x1f\x7f", "中文，标点", "\u2028\u2029", "\xff broken \xc3", "\u202eevil", "😀"}

var oddValues = []any{"text", true, false, 1, int64(-7), 1.5, 1e21, []any{"<a>", nil, 2}, map[string]any{"b": 1, "a": []string{"\u2028"}}, json.Number("12345678901234567890"), uint8(3)}

// fill sets the fields of v to values that are not zero, leaving a share of them empty.
func fill(rnd *rand.Rand, v reflect.Value, empty float64) {
	if rnd.Float64() < empty {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(rnd, v.Field(i), empty)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(rnd, v.Elem(), empty)
	case reflect.Slice:
		n := 1 + rnd.IntN(3)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(rnd, v.Index(i), empty)
		}
	case reflect.Map: // labels, which are no part of the document
		v.Set(reflect.ValueOf(map[string]string{"a": "b"}))
	case reflect.String:
		v.SetString(oddTexts[rnd.IntN(len(oddTexts))])
	case reflect.Int, reflect.Int64:
		v.SetInt(rnd.Int64N(2000) - 1000)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(0.25)
	case reflect.Interface:
		v.Set(reflect.ValueOf(oddValues[rnd.IntN(len(oddValues))]))
	default:
		panic("fill: no value for " + v.Type().String())
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range oddTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := string(appendString(nil, s)), reflected(t, s); got != want {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	})
}

// BenchmarkRecord compares the encoder with encoding/json on the same findings.
func BenchmarkRecord(b *testing.B) {
	findings := many(2000)
	b.Run("encoder", func(b *testing.B) {
		b.ReportAllocs()
		e, buf, i := newEncoder("en"), []byte(nil), 0
		for b.Loop() {
			var err error
			if buf, err = e.members(buf[:0], findings[i%len(findings)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
	b.Run("reflection", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, err := marshal(newRecord(findings[i%len(findings)], "en")); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}
