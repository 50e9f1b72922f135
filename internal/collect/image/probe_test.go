package image

import (
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

// question asks files of one name for their first word.
type question struct{ asked []string }

func (q *question) Wants(path string, _ int64) bool { return strings.HasSuffix(path, "conf/web.xml") }
func (q *question) Asked() []string                 { return q.asked }
func (q *question) Read(path string, data []byte) []inventory.Hit {
	word, _, _ := strings.Cut(string(data), " ")
	return []inventory.Hit{{Kind: "check", Rule: q.asked[0], Path: path, Detail: map[string]string{"said": word}}}
}

// TestProbes: what a file answers is kept in place of the file; what a later layer changed or removed has no say, and other questions
// are no reason to take the answers that were kept.
func TestProbes(t *testing.T) {
	lower := layerOf(gz(t, tarOf(t, entry{name: "a/conf/web.xml", body: "old password"}, entry{name: "b/conf/web.xml", body: "gone"}, entry{name: "c/conf/web.xml", body: "stays here"})))
	upper := layerOf(gz(t, tarOf(t, entry{name: "a/conf/web.xml", body: "new one"}, entry{name: "b/conf/.wh.web.xml"})))
	store, err := NewStore(NewMemory(1 << 20))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"k1", "k1", "k2"} {
		s := analyze(t, imageOf(lower, upper), Options{Store: store, Probes: &question{[]string{key}}})
		var said []string
		for _, h := range s.Hits {
			if h.Kind == "check" && h.Rule == key && !h.Deleted {
				said = append(said, h.Path+" "+h.Detail["said"])
			}
		}
		same(t, said, []string{"a/conf/web.xml new", "c/conf/web.xml stays"})
		if !slices.Equal(s.Asked, []string{key}) {
			t.Errorf("asked: %q", s.Asked)
		}
		if len(s.Hits) != len(said) {
			t.Errorf("%+v", s.Hits)
		}
	}
	if s := analyze(t, imageOf(lower, upper), Options{Store: store}); len(s.Asked) > 0 || len(s.Hits) > 0 {
		t.Errorf("nothing was asked: %+v", s)
	}
}
