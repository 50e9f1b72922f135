package exception

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/vex"
)

func document(statements ...string) []byte {
	return []byte(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","author":"Shop","timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[` + strings.Join(statements, ",") + `]}`)
}

const reach = `"status":"not_affected","justification":"vulnerable_code_not_in_execute_path"`

// TestVEX: the exceptions of a document match what the document itself suppresses.
func TestVEX(t *testing.T) {
	const oci = `pkg:oci/till@sha256%3A9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		s := DefaultSettings
		s.ApproveVEX = true
		h.must(h.book.SetSettings(h.admin(), s))
		for _, product := range []string{
			`{"@id":"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"}`, `{"@id":"pkg:maven/org.apache.logging.log4j/log4j-core"}`, `{"@id":"pkg:maven/org.apache.logging.log4j/log4j-core@2.13.0"}`,
			`{"@id":"` + oci + `?repository_url=registry.example.com/shop/api/till"}`, `{"@id":"` + oci + `?repository_url=registry.example.com/shop/api"}`,
			`{"@id":"` + oci + `?repository_url=registry.example.com/bank/till"}`, `{"@id":"pkg:oci/till"}`, `{"@id":"pkg:oci/tills"}`,
			`{"@id":"registry.example.com/shop/api/till"}`, `{"@id":"registry.example.com/shop/api/till:1.0"}`, `{"@id":"registry.example.com/shop/api/till:2.0"}`, `{"@id":"` + digestA + `"}`,
			`{"@id":"pkg:oci/till","subcomponents":[{"@id":"pkg:npm/ws"}]}`, `{"@id":"pkg:oci/till","subcomponents":[{"@id":"pkg:npm/ws"},{"@id":"pkg:maven/org.apache.logging.log4j/log4j-core"}]}`,
			`{"@id":"registry.example.com/*"}`,
		} {
			doc := document(`{"vulnerability":{"name":"GHSA-jfh8-c2jp-5v3q","aliases":["CVE-2021-44228"]},"products":[` + product + `],` + reach + `}`)
			f := samples()["image"]
			var set vex.Set
			h.must(set.Add(doc))
			want := set.Suppress(f) != nil
			got, err := h.book.ImportVEX(h.admin(), doc, h.eu, "", "")
			h.must(err)
			id, ok := h.book.Match(f, h.eu, h.now)
			if ok != want || len(got.Created) == 0 {
				t.Errorf("%s: matches %v, want %v: %+v", product, ok, want, got)
			}
			if ok && fmt.Sprint(id) != got.Created[len(got.Created)-1] {
				t.Errorf("%s: %d of %v", product, id, got.Created)
			}
			if _, ok := h.book.Match(f, h.us, h.now); ok {
				t.Errorf("%s: holds in another cluster", product)
			}
			again, err := h.book.ImportVEX(h.admin(), doc, h.eu, "", "")
			h.must(err)
			if len(again.Created) != 0 || again.Known != len(got.Created) {
				t.Errorf("%s: again: %+v", product, again)
			}
			for _, text := range got.Created {
				var id int64
				_, _ = fmt.Sscan(text, &id)
				r, err := h.book.Get(context.Background(), identity.Visible{All: true}, id)
				h.must(err)
				if r.Source != "vex" || r.Category != NotRelevant || r.Expires != "2027-11-20" || r.Requester != "Ada" || r.Scope.CVE != "CVE-2021-44228" {
					t.Errorf("%+v", r)
				}
				_, err = h.book.Cancel(h.admin(), id, "", 0)
				h.must(err)
			}
		}
	})
}

// TestVEXRefused: what is no exception, who may not, and what is too large.
func TestVEXRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		got, err := h.book.ImportVEX(h.operator(), document(
			`{"vulnerability":{"name":"CVE-1"},"products":[{"@id":"pkg:oci/till"}],"status":"fixed"}`,
			`{"vulnerability":{"name":"CVE-2"},"products":[{"@id":"https://shop.example.com"}],`+reach+`}`,
			`{"vulnerability":{"name":"CVE-3"},"products":[{"@id":"pkg:oci/till"}],`+strings.Replace(reach, "vulnerable_code_not_in_execute_path", "inline_mitigations_already_exist", 1)+`}`), h.eu, "shop", "2027-01-01")
		h.must(err)
		if len(got.Created) != 1 || len(got.Skipped) != 2 || got.Statements != 3 {
			t.Errorf("%+v", got)
		}
		list, _, err := h.book.List(context.Background(), identity.Visible{All: true}, Filter{Source: "vex"}, "", store.Page{})
		h.must(err)
		if len(list) != 1 || list[0].Status != Pending || list[0].Category != Mitigated || list[0].Scope.Namespace != "shop" || list[0].Expires != "2027-01-01" {
			t.Errorf("%+v", list)
		}
		if m := h.messages("exception.asked"); len(m) != 1 {
			t.Errorf("%v", m)
		}
		ok := document(`{"vulnerability":{"name":"CVE-3"},"products":[{"@id":"pkg:oci/till"}],` + reach + `}`)
		if _, err := h.book.ImportVEX(h.operator(), ok, 0, "", ""); !errors.Is(err, ErrForbidden) {
			t.Error(err)
		}
		if _, err := h.book.ImportVEX(h.operator(), ok, h.us, "", ""); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		many := make([]string, maxStatements+1)
		for i := range many {
			many[i] = fmt.Sprintf(`{"vulnerability":{"name":"CVE-%d"},"products":[{"@id":"pkg:oci/till"}],%s}`, i, reach)
		}
		for _, doc := range [][]byte{[]byte("<x/>"), []byte(`{}`), make([]byte, MaxVEX+1), document(many...)} {
			if _, err := h.book.ImportVEX(h.admin(), doc, 0, "", ""); !errors.Is(err, ErrInvalid) {
				t.Errorf("%.20s: %v", doc, err)
			}
		}
	})
}

// TestExport: accepted findings leave as a document that says the same, and only to those who see them.
func TestExport(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		stored(h)
		h.ask(Request{Draft: Draft{TargetID: h.eu, Scope: Scope{CVE: "CVE-2021-44228"}}, Category: FalsePositive, Reason: "class removed"})
		h.ask(Request{Draft: Draft{TargetID: h.eu, Scope: Scope{CVE: "CVE-2022-0778"}}, Category: RiskAccepted, Reason: "replaced soon"})
		h.ask(Request{Draft: Draft{TargetID: h.us, Scope: Scope{CVE: "CVE-2099-1", Image: "registry.example.com/x", PURL: "pkg:deb/debian/p"}}, Category: NotRelevant, Reason: "never run"})
		write := func(v identity.Visible, target int64, image string) string {
			var b bytes.Buffer
			h.must(h.book.ExportVEX(context.Background(), &b, v, target, image, "Shop"))
			return b.String()
		}
		all := write(identity.Visible{All: true}, 0, "")
		var set vex.Set
		h.must(set.Add([]byte(all)))
		image, fixable := samples()["image"], samples()["fixable"]
		if got := set.Suppress(image); got == nil || !strings.Contains(got.Reason, "class removed") {
			t.Errorf("%+v\n%s", got, all)
		}
		if set.Suppress(fixable) != nil || !strings.Contains(all, "Accepted until 2027-03-31: replaced soon") || !strings.Contains(all, "CVE-2099-1") {
			t.Errorf("a risk that is borne is not absent:\n%s", all)
		}
		if eu := write(identity.Visible{Targets: []int64{h.eu}}, h.eu, "*/till"); !strings.Contains(eu, "CVE-2021-44228") || strings.Contains(eu, "CVE-2022-0778") || strings.Contains(eu, "CVE-2099-1") {
			t.Error(eu)
		}
		if us := write(identity.Visible{Targets: []int64{h.us}}, 0, ""); strings.Contains(us, "CVE-2021-44228") || !strings.Contains(us, "CVE-2099-1") {
			t.Error(us)
		}
	})
}

// TestFileOf: the file of a cluster accepts the same findings on the command line.
func TestFileOf(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h := newHouse(t, db)
		h.ask(Request{Draft: Draft{TargetID: h.eu, Scope: Scope{CVE: "CVE-2021-44228", Image: "*/till"}, UntilFix: true}})
		h.ask(Request{Draft: Draft{TargetID: h.us, Scope: Scope{Rule: "workload/*"}}})
		h.ask(Request{Draft: Draft{Scope: Scope{Rule: "node/*"}}, Expires: "2027-01-02T03:04:05Z"})
		_, err := h.book.Ask(h.admin(), Request{Draft: Draft{Scope: Scope{Rule: "*"}}, Reason: "pending", Category: Other, Expires: "2027-01-01"})
		h.must(err)
		file := func(v identity.Visible, target int64) string {
			var b bytes.Buffer
			h.must(h.book.WriteFor(context.Background(), &b, v, target))
			list, err := Read(b.Bytes())
			if err != nil {
				t.Fatalf("%v\n%s", err, b.String())
			}
			set, err := New(list)
			h.must(err)
			var out []string
			for _, name := range []string{"deployment", "file", "image", "node"} {
				if _, ok := set.Match(samples()[name], 0, noon); ok {
					out = append(out, name)
				}
			}
			return strings.Join(out, " ")
		}
		for _, tt := range []struct {
			v      identity.Visible
			target int64
			want   string
		}{{identity.Visible{All: true}, h.eu, "image node"}, {identity.Visible{Targets: []int64{h.us}}, h.us, "deployment file node"}, {identity.Visible{All: true}, 0, "node"},
			{identity.Visible{Targets: []int64{h.us}}, 0, ""}, {identity.Visible{Namespaces: map[int64][]string{h.eu: {"shop"}}}, h.eu, ""}} {
			if got := file(tt.v, tt.target); got != tt.want {
				t.Errorf("%+v of %d: %s, want %s", tt.v, tt.target, got, tt.want)
			}
		}
		if err := h.book.WriteFor(context.Background(), &bytes.Buffer{}, identity.Visible{Targets: []int64{h.us}}, h.eu); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}
