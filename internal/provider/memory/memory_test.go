package memory

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func name(i int) string {
	return fmt.Sprintf("registry.example.com/team%d/app%d:%d.0.1", i%300, i%5000, i)
}

func ref(t testing.TB, s string) policy.Reference {
	t.Helper()
	r, err := policy.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func verdict(i int) *policy.ImageVerdict {
	v := &policy.ImageVerdict{Reference: name(i), Digest: fmt.Sprintf("sha256:%064x", i), Resolved: noon, State: policy.Known, Scanned: noon.Add(-time.Hour), Matched: noon.Add(-time.Minute), Serial: int64(i)}
	for k := range i % 3 {
		f := policy.Failure{Policy: int64(k + 1), Check: k, Kind: policy.Vulnerabilities, Count: i%40 + 1, Worst: "critical",
			Message: finding.Text{EN: fmt.Sprintf("%d vulnerabilities of severity high or above, needed: none", i%40+1), ZH: fmt.Sprintf("存在 %d 个高危及以上漏洞", i%40+1)},
			Fix:     finding.Text{EN: "Update the packages or the base image.", ZH: "升级软件包或基础镜像。"}}
		for n := range 5 {
			c := (i*7 + n*13) % 30_000 // of so many vulnerabilities of packages
			f.Items = append(f.Items, fmt.Sprintf("CVE-2024-%05d package-%d 1.%d (fixed in 1.%d)", c, c%900, c%50, c%50+1))
		}
		v.Failed = append(v.Failed, f)
	}
	if i%10 == 0 {
		v.Allowed = []int64{4}
		v.Open = []policy.OpenCheck{{Policy: 5, Check: 1, Reason: "no advisory data"}}
	}
	return v
}

func from(epoch int64) Origin {
	return Origin{Epoch: epoch, Asked: noon, Image: protocol.Image{Namespace: "shop", PullSecrets: []string{"a", "b"}}}
}

func TestGetPut(t *testing.T) {
	m := New(Options{})
	for i := range 50 {
		if !m.Put(name(i), verdict(i), from(3)) {
			t.Errorf("%d: nothing new", i)
		}
	}
	for i := range 50 {
		a, ok := m.Get(ref(t, name(i)))
		if want := verdict(i); !ok || !reflect.DeepEqual(&a.Verdict, want) || a.Epoch != 3 || !a.Asked.Equal(noon) || a.Image.Namespace != "shop" || len(a.Image.PullSecrets) != 2 || a.Content {
			t.Errorf("%d: %+v, want %+v", i, a, want)
		}
	}
	if m.Put(name(7), verdict(7), from(3)) {
		t.Error("the same verdict is news")
	}
	if !m.Put(name(7), verdict(8), from(3)) {
		t.Error("another verdict is no news")
	}
	if _, ok := m.Get(ref(t, "registry.example.com/other:1")); ok {
		t.Error("an image that nobody put")
	}
}

// TestByDigest: the same content under another tag, or without one, of the same repository only.
func TestByDigest(t *testing.T) {
	m := New(Options{})
	v := verdict(1)
	v.Failed = append(v.Failed, policy.Failure{Policy: 1, Kind: policy.Tag})
	m.Put("registry.example.com/a:1", v, from(1))
	for s, want := range map[string]bool{"registry.example.com/a@": true, "registry.example.com/a:2@": true, "registry.example.com/b@": false, "registry.example.com/a/b@": false} {
		a, ok := m.Get(ref(t, s+v.Digest))
		if ok != want {
			t.Errorf("%s: %v", s, ok)
		}
		if ok && (!a.Content || len(a.Verdict.Failed) != 1 || a.Verdict.Reference != s+v.Digest) {
			t.Errorf("%s: %+v", s, a)
		}
	}
	m.Put("registry.example.com/a:1", verdict(2), from(1)) // the tag moved
	if _, ok := m.Get(ref(t, "registry.example.com/a@"+v.Digest)); ok {
		t.Error("the old digest is still known by the tag")
	}
}

// TestBounds: number and bytes; what is used stays.
func TestBounds(t *testing.T) {
	m := New(Options{Most: 100})
	for i := range 1000 {
		m.Put(name(i), verdict(i), from(1))
		m.Get(ref(t, name(3)))
	}
	if m.Len() != 100 || len(m.digests) != 100 {
		t.Errorf("%d verdicts, %d digests", m.Len(), len(m.digests))
	}
	if _, ok := m.Get(ref(t, name(3))); !ok {
		t.Error("what is used all the time was dropped")
	}
	m = New(Options{Bytes: 50_000})
	for i := range 1000 {
		m.Put(name(i), verdict(i), from(1))
	}
	if m.Bytes() > 50_000 || m.Len() < 20 || m.Len() > 500 {
		t.Errorf("%d verdicts in %d bytes", m.Len(), m.Bytes())
	}
	huge := verdict(1)
	for range 1000 {
		f := huge.Failed[0]
		f.Message.EN = strings.Repeat("界", 10_000)
		f.Items = make([]string, 1000)
		huge.Failed = append(huge.Failed, f)
	}
	m.Put("registry.example.com/huge:1", huge, from(1))
	a, _ := m.Get(ref(t, "registry.example.com/huge:1"))
	if len(a.Verdict.Failed) > mostFailures || len(a.Verdict.Failed[1].Items) > mostItems || len(a.Verdict.Failed[1].Message.EN) > mostText {
		t.Error("a huge verdict is kept whole")
	}
	// Everything leaves in any order, and the list stays sound.
	m = New(Options{Most: 3})
	for i := range 20 {
		m.Put(name(i%7), verdict(i), from(1))
		n := 0
		for at := m.head; at != 0; at = m.slots[at].next {
			n++
		}
		if n != len(m.names) || n > 3 {
			t.Fatalf("list of %d, map of %d", n, len(m.names))
		}
	}
	m = New(Options{Most: 1})
	for i := range 5 {
		m.Put(name(i), verdict(i), from(1))
		m.Get(ref(t, name(i)))
	}
	if m.Len() != 1 {
		t.Error(m.Len())
	}
}

// TestWords: a text is held once, as long as a verdict has it, however verdicts come, change and go.
func TestWords(t *testing.T) {
	m := New(Options{Most: 40})
	rare := &policy.ImageVerdict{Digest: "sha512:abc", State: "odd", Reason: "because", Allowed: []int64{1, 1 << 40},
		Open:   []policy.OpenCheck{{Policy: 7, Check: 2, Reason: "no data"}},
		Failed: []policy.Failure{{Policy: -1, Check: 3, Kind: policy.Signature, ItemsZH: []string{"未签名"}, Pardons: [][]int64{{1, 2}, {3}}}}}
	for i := range 1000 {
		v := verdict(i * 7)
		if i%5 == 0 {
			v = rare
		}
		m.Put(name(i%90), v, from(int64(i)))
		if i%11 == 0 {
			m.Get(ref(t, name(i%90)))
		}
	}
	used := map[string]int{}
	count := func(list ...string) {
		for _, s := range list {
			if s != "" {
				used[s]++
			}
		}
	}
	var bytes int64
	for at := m.head; at != 0; at = m.slots[at].next {
		v, from := m.slots[at].record.read(&m.words, "")
		bytes += int64(cost + len(m.slots[at].record))
		count(from.Image.Namespace, v.Reason)
		count(from.Image.PullSecrets...)
		if v.State == "odd" {
			count("odd", v.Digest)
			want := *rare
			want.Reference = v.Reference
			if !reflect.DeepEqual(v, want) {
				t.Errorf("%+v, want %+v", v, want)
			}
		}
		for _, o := range v.Open {
			count(o.Reason)
		}
		for _, f := range v.Failed {
			count(string(f.Kind), f.Worst, f.Message.EN, f.Message.ZH, f.Fix.EN, f.Fix.ZH)
			count(f.Items...)
			count(f.ItemsZH...)
		}
	}
	for s, n := range used {
		if at := m.words.numbers[s]; at == 0 || m.words.list[at] != (word{s, uint32(n)}) { //nolint:gosec // a few hundred
			t.Errorf("%q is used %d times, and held as %+v", s, n, m.words.list[at])
		}
		bytes += int64(len(s)) + wordCost
	}
	if len(m.words.numbers) != len(used) || len(m.words.list) != 1+len(used)+len(m.words.free) {
		t.Errorf("%d texts are used, %d held", len(used), len(m.words.numbers))
	}
	if m.Bytes() != bytes {
		t.Errorf("%d bytes by its own count, %d counted", m.Bytes(), bytes)
	}
}

func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data", "verdicts")
	o := Options{File: file, Now: func() time.Time { return noon }}
	m := New(o)
	for i := range 3000 {
		m.Put(name(i), verdict(i), from(int64(i%5)))
	}
	m.SetSerial(77)
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range 10 { // appended
		m.Put(name(i), verdict(i+10_000), from(9))
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	m.SetSerial(78)
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	again := New(o)
	if again.Len() != 3000 || again.Serial() != 78 || len(again.Problems()) != 0 {
		t.Fatalf("%d verdicts, serial %d, %q", again.Len(), again.Serial(), again.Problems())
	}
	for i := range 3000 {
		want, epoch := verdict(i), int64(i%5)
		if i < 10 {
			want, epoch = verdict(i+10_000), 9
		}
		want.Reference = name(i)
		if a, ok := again.Get(ref(t, name(i))); !ok || !reflect.DeepEqual(&a.Verdict, want) || a.Epoch != epoch || a.Image.Namespace != "shop" {
			t.Fatalf("%d: %+v", i, a)
		}
	}
	// Rewritten when most of it is old.
	before, _ := os.Stat(file)
	for i := range 9000 {
		again.Put(name(i%3000), verdict(i), from(int64(i)))
		if i%1000 == 0 {
			if err := again.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		if err := again.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	after, _ := os.Stat(file)
	if after.Size() > 3*before.Size() {
		t.Errorf("%d bytes, before %d", after.Size(), before.Size())
	}
	again.Forget()
	if err := again.Flush(); err != nil {
		t.Fatal(err)
	}
	if m := New(o); m.Len() != 0 {
		t.Errorf("%d verdicts after Forget", m.Len())
	}
}

// TestDamagedFile: every byte of a file may be wrong, and it may end anywhere: what is read is right, and the rest is said to be lost.
func TestDamagedFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "verdicts")
	o := Options{File: file, Now: func() time.Time { return noon }}
	m := New(o)
	for part := range 5 {
		for i := range 4 {
			m.Put(name(part*10+i), verdict(part*10+i), from(1))
		}
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, data []byte, atLeast int) {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		m := New(o)
		if m.Len() < atLeast || m.Len() < 20 && len(m.Problems()) == 0 && len(data) == len(whole) { // cut off between two parts nobody sees
			t.Errorf("%s: %d verdicts, %q", what, m.Len(), m.Problems())
		}
		for at := m.head; at != 0; at = m.slots[at].next {
			var n int
			name := m.slots[at].record.name()
			if _, err := fmt.Sscanf(name[strings.LastIndexByte(name, ':')+1:], "%d.", &n); err != nil {
				t.Fatal(err)
			}
			if a, _ := m.Get(ref(t, name)); !reflect.DeepEqual(&a.Verdict, verdict(n)) {
				t.Errorf("%s: %+v", what, a.Verdict)
			}
		}
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
		if again := New(o); again.Len() != m.Len() || len(again.Problems()) != 0 {
			t.Errorf("%s: not mended: %d of %d, %q", what, again.Len(), m.Len(), again.Problems())
		}
	}
	for at := 0; at < len(whole); at += 31 {
		data := bytes.Clone(whole)
		data[at] ^= 0xa5
		least := 12 // of five parts at most one is lost, and one that looks longer than it is takes the next
		if at < len(fileHead) {
			least = 0
		} else if bytes.Contains(whole[max(0, at-12):min(len(whole), at+12)], []byte(partMark)) {
			least = 0 // a length
		}
		check(fmt.Sprintf("byte %d", at), data, least)
		check(fmt.Sprintf("%d bytes", at), whole[:at], 0)
	}
	check("nothing", nil, 0)
	check("noise", bytes.Repeat([]byte(partMark), 1000), 0)
}

// TestFileIsNoFile: the memory works, and says what is wrong.
func TestFileIsNoFile(t *testing.T) {
	dir := t.TempDir()
	m := New(Options{File: dir})
	m.Put(name(1), verdict(1), from(1))
	if m.Flush() == nil || len(m.Problems()) == 0 || m.Len() != 1 {
		t.Errorf("%q", m.Problems())
	}
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, 2000), 0o600); err != nil {
		t.Fatal(err)
	}
	if m := New(Options{File: big, Disk: 1000}); len(m.Problems()) == 0 {
		t.Error("a file that is too large was read")
	}
}

func TestOutdated(t *testing.T) {
	m := New(Options{})
	for i := range 100 {
		m.Put(name(i), verdict(i), from(int64(i%2)))
	}
	m.Get(ref(t, name(4)))
	list := m.Outdated(1, 10)
	if len(list) != 10 || list[0].Reference != name(4) || list[0].Namespace != "shop" {
		t.Errorf("%+v", list)
	}
	if list := m.Outdated(1, 1000); len(list) != 50 {
		t.Errorf("%d", len(list))
	}
	if list := m.Outdated(0, 10); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// TestMemoryOfAHundredThousandVerdicts: two thirds of them with failures. The whole provider has 128 MiB.
func TestMemoryOfAHundredThousandVerdicts(t *testing.T) {
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := heap()
	m := New(Options{})
	for i := range 100_000 {
		m.Put(name(i), verdict(i), from(1))
	}
	took := int64(heap() - before)
	t.Logf("%d verdicts: %.1f MiB of heap, %.1f MiB by its own count", m.Len(), float64(took)/(1<<20), float64(m.Bytes())/(1<<20))
	if m.Len() < 90_000 || took > 40<<20 {
		t.Errorf("%d verdicts in %d bytes", m.Len(), took)
	}
	runtime.KeepAlive(m)
}

func FuzzFile(f *testing.F) {
	file := filepath.Join(f.TempDir(), "verdicts")
	m := New(Options{File: file})
	m.Put(name(1), verdict(1), from(1))
	m.Put(name(2), verdict(2), from(1))
	if err := m.Flush(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(fileHead))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "verdicts")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		m := New(Options{File: file})
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
	})
}
