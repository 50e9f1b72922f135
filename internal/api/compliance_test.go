package api_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/frameworks"
	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/attest"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/triage"
	"stockade.dev/stockade/rules"
)

const privileged = "/compliance/pss-baseline/clauses/privileged-containers"

// judgedBench is two clusters that were judged, and the routes of compliance.
type judgedBench struct {
	t           *testing.T
	db          *store.DB
	mux         *http.ServeMux
	tr          *triage.Triage
	now         time.Time
	alpha, beta int64
}

func newJudgedBench(t *testing.T, db *store.DB) *judgedBench {
	t.Helper()
	x := &judgedBench{t: t, db: db, mux: http.NewServeMux(), now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return x.now }
	all, err := compliance.Load(frameworks.FS)
	if err != nil {
		t.Fatal(err)
	}
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	b := browse.New(db)
	b.SetClock(clock)
	b.SetCatalog(compliance.NewCatalog(all, lib))
	x.tr = triage.New(db, nil, nil)
	x.tr.SetClock(clock)
	a := api.New(x.mux, "test")
	api.Findings(a, db, b, x.tr, nil)
	api.Gaps(a, b)
	api.Compliance(a, b, attest.New(db, clock), "1.2.3")
	for name, id := range map[string]*int64{"alpha": &x.alpha, "beta": &x.beta} {
		row, err := ledger.AddTarget(t.Context(), db.R, "cluster", name, x.now)
		if err != nil {
			t.Fatal(err)
		}
		*id = row.ID
	}
	x.look(x.alpha, "alpha", 2)
	x.look(x.beta, "beta", 0)
	return x
}

// look is a full scan that finds n privileged workloads.
func (x *judgedBench) look(target int64, cluster string, n int) {
	x.t.Helper()
	must := func(err error) {
		if err != nil {
			x.t.Fatal(err)
		}
	}
	in, err := x.tr.Ingest(x.t.Context(), triage.Run{Target: target, Kind: triage.Full})
	must(err)
	defer in.Abort("broke off")
	about := finding.Target{Kind: "cluster", Name: cluster}
	must(in.Begin(finding.Header{Tool: finding.Tool{Name: "stockade", Rules: "sha256:rules"}, Target: about}))
	status, prints := finding.Pass, []string{}
	for i := range n {
		f := &finding.Finding{Fingerprint: fmt.Sprintf("%032x", 1000*target+int64(i)), Kind: finding.Configuration, Rule: "workload/privileged-container", RuleID: "STK-W-0001", Severity: finding.High,
			Status: finding.Open, Title: finding.Text{EN: "Privileged", ZH: "特权"}, Message: finding.Text{EN: "is privileged", ZH: "是特权容器"},
			Resource: finding.Resource{Cluster: cluster, Kind: "Deployment", Namespace: "shop", Name: fmt.Sprintf("=till-%d", i), Container: "web"},
			Evidence: []finding.Evidence{{Path: "spec.privileged", Found: true, Want: false}}}
		must(in.Asset(finding.Asset{Kind: "workload", GroupKind: "Deployment", Namespace: "shop", Name: f.Resource.Name}))
		must(in.Finding(f))
		status, prints = finding.Fail, append(prints, f.Fingerprint)
	}
	clause := func(id string, s finding.ClauseStatus, reason string, found []string) {
		must(in.Clause(finding.Clause{Framework: "pss-baseline", Clause: id, Status: s, Findings: found, Title: finding.Text{EN: "as judged", ZH: "当时"}, Reason: finding.Text{EN: reason, ZH: reason}}))
	}
	clause("host-process", finding.Manual, "look yourself", nil)
	clause("host-namespaces", finding.Pass, "", nil)
	clause("privileged-containers", status, "", prints)
	must(in.NotScanned(finding.NotScanned{Target: cluster, What: "node files", Reason: "no facts", Code: finding.Skipped}))
	must(in.End(x.now, about, finding.Stats{Objects: 42}))
}

func (x *judgedBench) call(p *identity.Principal, method, path, body string, want int, into any) string {
	x.t.Helper()
	r := httptest.NewRequest(method, "https://stockade.example.com/api/v1"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	x.mux.ServeHTTP(w, r.WithContext(identity.With(r.Context(), p)))
	if w.Code != want {
		x.t.Errorf("%s %s %s: %d, want %d: %s", method, path, body, w.Code, want, w.Body)
	}
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			x.t.Errorf("%s %s: %v: %s", method, path, err, w.Body)
		}
	}
	return w.Body.String()
}

func (x *judgedBench) handle(action ledger.Action, n int64) {
	x.t.Helper()
	err := x.db.Write(x.t.Context(), func(ctx context.Context, tx bun.Tx) error {
		var ids []int64
		if err := tx.NewSelect().Table("findings").Column("id").Where("status = 1").OrderExpr("id").Limit(n).Scan(ctx, &ids); err != nil {
			return err
		}
		_, err := x.tr.Handle(ctx, tx, triage.Handling{IDs: ids, Action: action, Exception: 7})
		return err
	})
	if err != nil {
		x.t.Fatal(err)
	}
}

type frameworkAnswer struct {
	Items []struct {
		Target, Title                                          string
		Pass, Fail, Manual, Score, Accepted, Attested, Clauses int
		JudgedAt                                               time.Time
	}
}

type clauseAnswer struct {
	Items []struct {
		Target, Clause, Title, Section, Status, Outcome, Reason string
		Open, Accepted, Aside, Findings                         int
		Attestation                                             *struct{ ID, Verdict, By string }
	}
}

// TestCompliance holds every answer on frameworks to what was judged, through what people accept and attest.
func TestCompliance(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		x := newJudgedBench(t, db)
		root := person(identity.Grant{Role: identity.Administrator})
		auditor := person(identity.Grant{Role: identity.Auditor})
		spaced := person(identity.Grant{Role: identity.Operator, Target: x.alpha, Namespace: "shop"})
		onBeta := person(identity.Grant{Role: identity.Operator, Target: x.beta})

		var list frameworkAnswer
		x.call(root, "GET", "/compliance?lang=zh", "", 200, &list)
		if len(list.Items) != 2 || list.Items[0].Target != "alpha" || list.Items[0].Fail != 1 || list.Items[0].Pass != 1 || list.Items[0].Score != 50 || list.Items[1].Score != 100 ||
			list.Items[0].Title != "Pod 安全标准：基线" || list.Items[0].Clauses != 12 || !list.Items[0].JudgedAt.Equal(x.now) {
			t.Errorf("%+v", list)
		}
		x.call(spaced, "GET", "/compliance", "", 200, &list)
		if len(list.Items) != 0 {
			t.Errorf("who sees a namespace sees the verdicts of the cluster: %+v", list)
		}
		var clauses clauseAnswer
		x.call(root, "GET", "/compliance/pss-baseline?limit=500", "", 200, &clauses)
		if len(clauses.Items) != 6 || clauses.Items[0].Clause != "host-process" || clauses.Items[4].Clause != "privileged-containers" || clauses.Items[4].Title != "No privileged containers" ||
			clauses.Items[4].Section != "Baseline" || clauses.Items[4].Outcome != "fail" || clauses.Items[4].Open != 2 || clauses.Items[4].Findings != 2 || clauses.Items[0].Reason != "look yourself" {
			t.Errorf("%+v", clauses)
		}
		first := x.call(root, "GET", "/compliance/pss-baseline?limit=4", "", 200, nil)
		var page struct{ Next string }
		_ = json.Unmarshal([]byte(first), &page)
		x.call(root, "GET", "/compliance/pss-baseline?limit=4&after="+page.Next, "", 200, &clauses)
		if len(clauses.Items) != 2 || clauses.Items[0].Clause != "privileged-containers" {
			t.Errorf("the second page: %+v", clauses)
		}

		x.acceptance(root, onBeta)
		x.comparison(root)
		x.attestations(root, auditor, spaced, onBeta)
		x.trend(root)
		x.exports(root, onBeta)
		for _, path := range []string{"/compliance/none/trend", "/compliance/none/compare", "/compliance/none/export", "/compliance/none/clauses/x", "/compliance/nsa/clauses/none"} {
			x.call(root, "GET", path, "", 404, nil)
		}
	})
}

// acceptance: what is accepted fails still, and is told.
func (x *judgedBench) acceptance(root, onBeta *identity.Principal) {
	t := x.t
	var found struct{ Total int }
	count := func(status string, want int) {
		t.Helper()
		x.call(root, "GET", "/findings?framework=pss-baseline&clause=privileged-containers"+status, "", 200, &found)
		if found.Total != want {
			t.Errorf("%d findings of the clause%s, want %d", found.Total, status, want)
		}
	}
	count("", 2)
	x.call(root, "GET", "/findings?framework=pss-baseline&clause=host-process", "", 200, &found)
	if found.Total != 0 {
		t.Errorf("%d findings of another clause", found.Total)
	}
	var one struct {
		Title, Section string
		Rules          []struct{ Rule, Title string }
		Verdicts       []struct {
			Target, Status, Outcome string
			Open, Accepted, Objects int
		}
		Totals   struct{ Open, Accepted int }
		Evidence []struct {
			ID, Status, AcceptedBy string
			Object                 struct{ Name string }
			Evidence               []struct{ Path string }
		}
	}
	x.handle(ledger.Accept, 1)
	x.call(root, "GET", privileged, "", 200, &one)
	if one.Title != "No privileged containers" || len(one.Verdicts) != 2 || one.Verdicts[0].Outcome != "fail" || one.Verdicts[0].Open != 1 || one.Verdicts[0].Accepted != 1 || one.Verdicts[0].Objects != 42 ||
		one.Verdicts[1].Outcome != "pass" || len(one.Evidence) != 2 || one.Evidence[0].Status != "open" || one.Evidence[1].AcceptedBy == "" || one.Evidence[0].Evidence[0].Path != "spec.privileged" || len(one.Rules) == 0 || one.Rules[0].Title == "" {
		t.Errorf("%+v", one)
	}
	x.handle(ledger.Accept, 1)
	x.call(root, "GET", privileged, "", 200, &one)
	if v := one.Verdicts[0]; v.Status != "fail" || v.Outcome != "fail-accepted" || v.Open != 0 || v.Accepted != 2 {
		t.Errorf("with both accepted: %+v", v)
	}
	count("", 0)
	count("&status=accepted", 2)
	var list frameworkAnswer
	x.call(root, "GET", "/compliance", "", 200, &list)
	if f := list.Items[0]; f.Accepted != 1 || f.Fail != 1 || f.Score != 50 {
		t.Errorf("what is accepted passes: %+v", f)
	}
	x.call(onBeta, "GET", privileged, "", 200, &one)
	if len(one.Verdicts) != 1 || one.Verdicts[0].Target != "beta" || len(one.Evidence) != 0 {
		t.Errorf("an operator of beta sees %+v", one)
	}
}

func (x *judgedBench) comparison(root *identity.Principal) {
	t := x.t
	var c struct {
		Targets []struct{ Target string }
		Total   int
		Next    string
		Items   []struct {
			Clause, Title                    string
			Pass, Fail, FailAccepted, Manual int
			Cells                            []struct{ TargetID, Outcome string }
		}
	}
	x.call(root, "GET", "/compliance/pss-baseline/compare?limit=2", "", 200, &c)
	if len(c.Targets) != 2 || c.Total != 12 || len(c.Items) != 2 || c.Next == "" {
		t.Errorf("%+v", c)
	}
	seen := len(c.Items)
	for c.Next != "" {
		after := c.Next
		c.Next = ""
		x.call(root, "GET", "/compliance/pss-baseline/compare?limit=5&after="+after, "", 200, &c)
		seen += len(c.Items)
	}
	if seen != 12 {
		t.Errorf("%d clauses in all pages", seen)
	}
	x.call(root, "GET", "/compliance/pss-baseline/compare?outcome=fail-accepted&q=PRIVILEGED", "", 200, &c)
	if len(c.Items) != 1 || c.Items[0].Fail != 1 || c.Items[0].FailAccepted != 1 || c.Items[0].Pass != 1 || c.Items[0].Cells[0].Outcome != "fail-accepted" {
		t.Errorf("%+v", c)
	}
	x.call(root, "GET", fmt.Sprint("/compliance/pss-baseline/compare?outcome=fail-accepted&target=", x.beta), "", 200, &c)
	if len(c.Items) != 0 || len(c.Targets) != 1 {
		t.Errorf("beta alone: %+v", c)
	}
}

func (x *judgedBench) attestations(root, auditor, spaced, onBeta *identity.Principal) {
	t := x.t
	const path = "/compliance/pss-baseline/clauses/host-process/attestations"
	body := func(verdict string, more string) string {
		return fmt.Sprintf(`{"targetId":"%d","verdict":%q,"note":"read the spec with the team"%s}`, x.alpha, verdict, more)
	}
	x.call(auditor, "POST", path, body("pass", ""), 403, nil)
	x.call(spaced, "POST", path, body("pass", ""), 404, nil)
	x.call(onBeta, "POST", path, body("pass", ""), 404, nil)
	x.call(root, "POST", path, body("perhaps", ""), 422, nil)
	x.call(root, "POST", path, body("pass", `,"expiresAt":"2026-01-01T00:00:00Z"`), 422, nil)
	x.call(root, "POST", path, body("pass", `,"expiresAt":"2036-01-01T00:00:00Z"`), 422, nil)
	x.call(root, "POST", privileged+"/attestations", body("pass", ""), 409, nil)
	x.call(root, "POST", "/compliance/nsa/clauses/etcd/attestations", body("pass", ""), 404, nil)
	x.call(root, "POST", path, body("fail", ""), 201, nil)
	var a struct{ ID, By, Verdict string }
	x.call(root, "POST", path, body("pass", `,"expiresAt":"2026-04-01T00:00:00Z","evidence":"ticket 7"`), 201, &a)
	var list frameworkAnswer
	var clauses clauseAnswer
	state := func(attested int, verdict string) {
		t.Helper()
		x.call(root, "GET", "/compliance", "", 200, &list)
		clauses = clauseAnswer{}
		x.call(root, "GET", fmt.Sprint("/compliance/pss-baseline?status=manual&target=", x.alpha), "", 200, &clauses)
		got := ""
		if c := clauses.Items[0]; c.Attestation != nil {
			got = c.Attestation.Verdict + " by " + c.Attestation.By
		}
		if f := list.Items[0]; f.Attested != attested || f.Manual != 1 || f.Score != 50 || got != verdict || clauses.Items[0].Status != "manual" || clauses.Items[0].Outcome != "manual" {
			t.Errorf("attested %q: %+v %+v", got, f, clauses)
		}
	}
	state(1, "pass by Ada")
	if n := x.number("SELECT count(*) FROM audit WHERE action = 'attestation.add' AND target_id = ?", x.alpha); n != 2 {
		t.Errorf("%d entries in the audit log", n)
	}
	x.now = x.now.AddDate(0, 2, 0)
	state(0, "")
	x.now = x.now.AddDate(0, -2, 0)
	x.call(auditor, "DELETE", "/attestations/"+a.ID, "", 403, nil)
	x.call(onBeta, "DELETE", "/attestations/"+a.ID, "", 404, nil)
	x.call(root, "DELETE", "/attestations/"+a.ID, "", 204, nil)
	x.call(root, "DELETE", "/attestations/"+a.ID, "", 422, nil)
	state(0, "")
	x.call(root, "POST", path, body("not-applicable", ""), 201, nil)
	state(1, "not-applicable by Ada")
	var one struct{ Attestations []struct{ Verdict string } }
	x.call(root, "GET", "/compliance/pss-baseline/clauses/host-process", "", 200, &one)
	if len(one.Attestations) != 3 || one.Attestations[0].Verdict != "not-applicable" {
		t.Errorf("%+v", one)
	}
}

// trend: days without a change are as the one before, days before the first look say that nothing is known.
func (x *judgedBench) trend(root *identity.Principal) {
	t := x.t
	x.now = x.now.AddDate(0, 0, 3)
	x.look(x.alpha, "alpha", 0)
	x.now = x.now.AddDate(0, 0, 1)
	var days struct {
		Items []struct {
			Day                        string
			Pass, Fail, Score, Targets int
		}
	}
	x.call(root, "GET", "/compliance/pss-baseline/trend?days=7", "", 200, &days)
	got := ""
	for _, d := range days.Items {
		got += fmt.Sprintf("%s %d %d %d %d\n", d.Day, d.Targets, d.Pass, d.Fail, d.Score)
	}
	want := "2026-02-28 0 0 0 -1\n2026-03-01 0 0 0 -1\n2026-03-02 2 3 1 75\n2026-03-03 2 3 1 75\n2026-03-04 2 3 1 75\n2026-03-05 2 4 0 100\n2026-03-06 2 4 0 100\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	x.call(root, "GET", "/compliance/pss-baseline/trend?days=2", "", 200, &days)
	if len(days.Items) != 2 || days.Items[0].Pass != 4 || days.Items[0].Targets != 2 {
		t.Errorf("what was before the first day is lost: %+v", days)
	}
	x.look(x.alpha, "alpha", 2)
}

func (x *judgedBench) exports(root, onBeta *identity.Principal) {
	t := x.t
	html := x.call(root, "GET", "/compliance/pss-baseline/export?lang=zh", "", 200, nil)
	for _, w := range []string{`<html lang="zh-CN">`, "合规评估报告", "Pod 安全标准：基线", "sha256:rules", "未检查的内容", "node files", "人工认定", "read the spec with the team", "workload/privileged-container", "Deployment shop/=till-0 (web)", "spec.privileged", "</html>"} {
		if !strings.Contains(html, w) {
			t.Errorf("the page lacks %q", w)
		}
	}
	if strings.Contains(html, "<script") || strings.Contains(html, "http://") {
		t.Error("the page runs or loads something")
	}
	text := x.call(root, "GET", "/compliance/pss-baseline/export?form=csv", "", 200, nil)
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, r := range rows {
		kinds[r[0]]++
	}
	if kinds["clause"] != 6 || kinds["finding"] != 2 || kinds["notLookedAt"] != 2 {
		t.Errorf("%v", kinds)
	}
	var doc struct {
		Head    struct{ Document, Framework, By, Version string }
		Targets []struct {
			Target, RulesDigest string
			Score               int
			Clauses             []struct {
				Clause, Verdict, Outcome string
				Active, Accepted         int
				Evidence                 []struct{ ID string }
			}
		}
		NotLookedAt []struct{ What string }
	}
	x.call(root, "GET", "/compliance/pss-baseline/export?form=json", "", 200, &doc)
	if doc.Head.Document != "stockade.assessment/v1" || doc.Head.By != "Ada" || doc.Head.Version != "1.2.3" || len(doc.Targets) != 2 || doc.Targets[0].RulesDigest != "sha256:rules" ||
		len(doc.Targets[0].Clauses) != 3 || len(doc.NotLookedAt) != 2 || doc.Targets[0].Clauses[2].Outcome != "fail-accepted" || len(doc.Targets[0].Clauses[2].Evidence) != 2 {
		t.Errorf("%+v", doc)
	}
	x.call(onBeta, "GET", "/compliance/pss-baseline/export?form=json", "", 200, &doc)
	if len(doc.Targets) != 1 || doc.Targets[0].Target != "beta" || len(doc.NotLookedAt) != 1 {
		t.Errorf("an operator of beta gets %+v", doc)
	}
	nobody := person(identity.Grant{Role: identity.Viewer, Target: 404})
	if empty := x.call(nobody, "GET", "/compliance/pss-baseline/export?lang=en", "", 200, nil); !strings.Contains(empty, "nothing can be said") {
		t.Error("an empty page does not say so")
	}
	x.call(nobody, "GET", "/compliance/pss-baseline/export?form=json", "", 200, &doc)
	if len(doc.Targets) != 0 {
		t.Errorf("%+v", doc)
	}
}

func (x *judgedBench) number(query string, args ...any) int {
	x.t.Helper()
	var n int
	if err := x.db.R.NewRaw(query, args...).Scan(x.t.Context(), &n); err != nil {
		x.t.Fatalf("%s: %v", query, err)
	}
	return n
}
