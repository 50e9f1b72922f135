package decode

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func items(l *List) (out []string, errs []error) {
	for {
		item, err := l.Next()
		var large *TooLargeError
		switch {
		case err == nil:
			out = append(out, string(item))
		case errors.As(err, &large):
			errs = append(errs, err)
		default:
			return out, append(errs, err)
		}
	}
}

func TestList(t *testing.T) {
	text := ` {"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"tok","remainingItemCount":3},
 "extra":[1,{"a":"]"}],"n":12, "items":[ {"a":"}\\\"{"} ,{"b":{"c":[1,2]}},{}] } trailing`
	for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "bytes": iotest.OneByteReader(strings.NewReader(text)),
		"halves": iotest.HalfReader(strings.NewReader(text))} {
		l := NewList(r, 1<<20)
		got, errs := items(l)
		want := `[{"a":"}\\\"{"} {"b":{"c":[1,2]}} {}]`
		if fmt.Sprint(got) != want || len(errs) != 1 || errs[0] != io.EOF {
			t.Errorf("%s: %v %v", name, got, errs)
		}
		if v, k := l.Kind(); v != "v1" || k != "PodList" || l.Continue() != "tok" || l.ResourceVersion() != "7" {
			t.Errorf("%s: %s %s %s", name, v, k, l.Continue())
		}
	}
}

func TestListItemsFirst(t *testing.T) {
	l := NewList(strings.NewReader(`{"items":[{"a":1}],"metadata":{"continue":"later"}}`), 1<<20)
	if got, errs := items(l); len(got) != 1 || errs[0] != io.EOF || l.Continue() != "later" {
		t.Errorf("%v %v %q", got, errs, l.Continue())
	}
	if got, errs := items(NewList(strings.NewReader(`{"items":null,"kind":"List"}`), 1<<20)); len(got) != 0 || errs[0] != io.EOF {
		t.Errorf("%v %v", got, errs)
	}
}

func TestListLargeItem(t *testing.T) {
	large := `{"name":"` + strings.Repeat(`x\"`, 200_000) + `"}`
	l := NewList(iotest.HalfReader(strings.NewReader(`{"items":[{"a":1},`+large+`,{"b":2}]}`)), 100_000)
	got, errs := items(l)
	var tooLarge *TooLargeError
	if fmt.Sprint(got) != `[{"a":1} {"b":2}]` || len(errs) != 2 || !errors.As(errs[0], &tooLarge) || tooLarge.Index != 1 || errs[1] != io.EOF {
		t.Errorf("%v %v", got, errs)
	}
	if len(l.buf) > 1<<20 {
		t.Errorf("the buffer grew to %d bytes", len(l.buf))
	}
}

func TestListBroken(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"cut in item":    {`{"items":[{"a":1},{"b":`, "unexpected EOF"},
		"cut after item": {`{"items":[{"a":1}`, "unexpected EOF"},
		"cut after list": {`{"items":[{"a":1}]`, "unexpected EOF"},
		"empty":          {"", "the answer is empty"},
		"html":           {"<!DOCTYPE html><html><body>Sign in</body></html>", "the answer is an HTML page"},
		"text":           {"upstream connect error", "the answer is not JSON"},
		"no object item": {`{"items":[{"a":1},2]}`, "not valid JSON after item 1: want an object"},
		"other JSON":     {`{"error":"log in"}`, "the answer is JSON but no list"},
		"no key":         {`{1:2}`, "not valid JSON after item 0: want a key"},
		"status":         {`{"kind":"Status","status":"Failure","reason":"Expired","message":"too old","code":410}`, "too old"},
	}
	for name, tt := range tests {
		_, errs := items(NewList(strings.NewReader(tt.text), 1<<20))
		if err := errs[len(errs)-1]; err.Error() != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	var status *StatusError
	_, errs := items(NewList(strings.NewReader(tests["status"].text), 1<<20))
	if !errors.As(errs[0], &status) || status.Code != 410 || status.Reason != "Expired" {
		t.Errorf("%v", errs)
	}
	boom := errors.New("stalled")
	_, errs = items(NewList(io.MultiReader(strings.NewReader(`{"items":[{"a":1},`), iotest.ErrReader(boom)), 1<<20))
	if !errors.Is(errs[0], boom) {
		t.Errorf("the reader's own error is lost: %v", errs)
	}
}

// TestListObject reads the items decoded: the same whatever pieces the text comes in, broken ones told apart.
func TestListObject(t *testing.T) {
	text := `{"items":[{"a":"x","b":[true,null,1.5]}, {"a":tru} ,{"a":1,},{"c":{}}],"kind":"X"}`
	for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "bytes": iotest.OneByteReader(strings.NewReader(text))} {
		d, l := NewDecoder(), NewList(r, 1<<20)
		var got []string
		for {
			m, size, err := l.Object(d)
			if errors.Is(err, io.EOF) {
				break
			}
			got = append(got, fmt.Sprint(m, size, err))
		}
		want := []string{`map[a:x b:[true <nil> 1.5]] 29 <nil>`,
			`map[] 9 item 1: not valid JSON at byte 5: want a value`, `map[] 8 item 2: not valid JSON at byte 7: want a key`, `map[c:map[]] 8 <nil>`}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestStream(t *testing.T) {
	got, errs := items(NewStream(iotest.OneByteReader(strings.NewReader("{\"a\":1}\n{\"b\":\"}\"} {}\n\n")), 1<<20))
	if fmt.Sprint(got) != `[{"a":1} {"b":"}"} {}]` || len(errs) != 1 || errs[0] != io.EOF {
		t.Errorf("%v %v", got, errs)
	}
	got, errs = items(NewStream(strings.NewReader(`{"a":1}{"b":`), 1<<20))
	if len(got) != 1 || errs[0] != io.ErrUnexpectedEOF {
		t.Errorf("%v %v", got, errs)
	}
	if _, errs = items(NewStream(strings.NewReader(`{}]`), 1<<20)); !errors.Is(errs[0], ErrSyntax) {
		t.Errorf("%v", errs)
	}
}

func FuzzList(f *testing.F) {
	f.Add([]byte(`{"kind":"PodList","items":[{"a":"\\"},{}],"metadata":{}}`), 3)
	f.Add([]byte(`{"items":[{"a":"`), 1)
	d := NewDecoder()
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		l := NewList(iotest.HalfReader(strings.NewReader(string(data))), limit&0xff+1)
		total := 0
		for {
			_, size, err := l.Object(d)
			large, broken := (*TooLargeError)(nil), (*BrokenError)(nil)
			if err != nil && !errors.As(err, &large) && !errors.As(err, &broken) {
				return
			}
			if total += size; total > len(data) {
				t.Fatal("more came out than went in")
			}
		}
	})
}

func BenchmarkList(b *testing.B) {
	pod := string(podJSON(b))
	text := `{"kind":"PodList","items":[` + strings.Repeat(pod+",", 499) + pod + `]}`
	d := NewDecoder()
	before := cpuTime(b)
	for b.Loop() {
		l := NewList(strings.NewReader(text), 16<<20)
		n := 0
		for {
			_, _, err := l.Object(d)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 500 {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(b.N*len(text))/1e6/(cpuTime(b)-before).Seconds(), "MB/cpu-s")
}
