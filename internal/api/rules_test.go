package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/browse/browsetest"
	"stockade.dev/stockade/internal/exhibit"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/repair"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// nowhere is a fleet whose clusters do not answer.
type nowhere struct{}

func (nowhere) Open(context.Context, int64) (fleet.Source, error) {
	return nil, context.DeadlineExceeded
}

// reading calls the routes that read rules and look for things.
func reading(t *testing.T, db *store.DB) func(p *identity.Principal, path string, want int) string {
	t.Helper()
	if err := browsetest.Seed(context.Background(), db, browsetest.Small); err != nil {
		t.Fatal(err)
	}
	cases := os.DirFS("../../rules")
	lib, err := rule.Load(cases)
	if err != nil {
		t.Fatal(err)
	}
	mux, b := http.NewServeMux(), browse.New(db)
	a := api.New(mux, "test")
	book := api.RuleBook{Library: lib, Cases: cases}
	api.Rules(a, b, book)
	api.Search(a, b, nil, book)
	api.Vulnerabilities(a, b, nil)
	api.Evidence(a, b, exhibit.New(nowhere{}, nil, repair.New(lib, analyze.All), nil))
	return func(p *identity.Principal, path string, want int) string {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, "/api/v1"+path, nil).WithContext(identity.With(context.Background(), p))
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, want, w.Body)
		}
		return w.Body.String()
	}
}

func decoded[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

func TestReadingRoutes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		get := reading(t, db)
		all, two := person(identity.Grant{Role: identity.Viewer}), person(identity.Grant{Role: identity.Viewer, Target: 2})
		team := person(identity.Grant{Role: identity.Viewer, Target: 2, Namespace: "team-1"})

		type list struct {
			Items  []api.RuleLine
			Total  int
			Facets map[string]map[string]int
		}
		every := decoded[list](t, get(all, "/rules", 200))
		if every.Total < 500 || every.Facets["family"]["workload"] < 50 {
			t.Errorf("%d rules, %v", every.Total, every.Facets)
		}
		some := decoded[list](t, get(all, "/rules?q=KSV-0017&severity=critical,high&family=workload&lang=zh", 200))
		if some.Total != 1 || some.Items[0].Title != "特权容器" || some.Facets["severity"]["critical"] != 1 {
			t.Errorf("%+v", some)
		}
		if got := decoded[list](t, get(all, "/rules?kind=Service", 200)); got.Total == 0 || slices.ContainsFunc(got.Items, func(l api.RuleLine) bool { return !slices.Contains(l.Kinds, "Service") }) {
			t.Errorf("rules on Services: %+v", got)
		}
		get(all, "/rules?severity=huge", 422)
		one := decoded[api.RuleFull](t, get(all, "/rules/workload/privileged-container", 200))
		if one.Why == "" || one.Good == nil || one.Bad == nil || strings.Contains(one.Bad.Text, "# want") || !one.Repairable || len(one.Compliance) == 0 || one.Expression == "" {
			t.Errorf("%+v", one)
		}
		for _, line := range every.Items { // every rule can be shown
			if full := decoded[api.RuleFull](t, get(all, "/rules/"+line.Rule, 200)); full.Good == nil || full.Bad == nil || full.Fix == "" {
				t.Errorf("%s: %+v", line.Rule, full)
			}
		}
		get(all, "/rules/workload/none", 404)
		get(all, "/rules/STK-W-0001/x", 404)
		get(all, "/rules/..%2f..%2fetc/passwd", 404)

		type answer struct{ Groups []api.SearchGroup }
		kinds := func(p *identity.Principal, q string) map[string][]api.SearchItem {
			out := map[string][]api.SearchItem{}
			for _, g := range decoded[answer](t, get(p, "/search?q="+q, 200)).Groups {
				out[g.Kind] = g.Items
			}
			return out
		}
		if got := kinds(two, "team-1"); len(got["namespace"]) != 1 || got["namespace"][0].TargetID != "2" {
			t.Errorf("namespaces of one cluster: %+v", got)
		}
		if got := kinds(team, "kube-system"); len(got["namespace"]) != 0 {
			t.Errorf("a namespace that may not be seen: %+v", got)
		}
		if got := kinds(all, "privileged"); len(got["rule"]) == 0 || got["rule"][0].ID != "workload/privileged-container" && got["rule"][0].ID == "" {
			t.Errorf("rules: %+v", got)
		}
		if got := kinds(all, "CVE-2020-1002"); len(got["vulnerability"]) != 1 || got["vulnerability"][0].Presence != "present" {
			t.Errorf("a vulnerability that is there: %+v", got)
		}
		if got := kinds(all, "cve-1999-9999"); len(got["vulnerability"]) != 1 || got["vulnerability"][0].Presence != "unknown" {
			t.Errorf("one that nobody knows: %+v", got)
		}
		get(all, "/search", 422)
		get(all, "/vulnerabilities/CVE-1999-9999", 404)
		get(all, "/vulnerabilities/..%2f", 422)
		if got := decoded[api.VulnerabilityFull](t, get(all, "/vulnerabilities/CVE-2020-1002", 200)); got.Known || !got.NoDatabase || !got.Seen || got.Active == 0 {
			t.Errorf("%+v", got)
		}

		var mine, other int64
		for q, to := range map[string]*int64{"target_id = 2 AND namespace = 'team-1' AND kind = 4": &mine, "target_id = 3 AND kind = 4": &other} {
			if err := db.R.QueryRowContext(context.Background(), "SELECT min(id) FROM findings WHERE "+q).Scan(to); err != nil {
				t.Fatal(err)
			}
		}
		for _, end := range []string{"/object", "/fix"} {
			get(team, "/findings/"+number(mine)+end, 200)
			get(team, "/findings/"+number(other)+end, 404)
			get(all, "/findings/999999999"+end, 404)
		}
		if got := decoded[api.ObjectView](t, get(team, "/findings/"+number(mine)+"/object", 200)); got.State != "unavailable" || got.Reason == "" || got.Marks == nil {
			t.Errorf("of a cluster that does not answer: %+v", got)
		}
	})
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
