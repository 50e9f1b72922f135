package compliance

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"stockade.dev/stockade/frameworks"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/rule"
)

// over makes a rule for clause 1 of framework f, in the scope.
func over(name, scope string, components ...string) *rule.Rule {
	return &rule.Rule{Name: name, ID: "ID-" + name, Compliance: map[string][]string{"f": {"1"}, "other": {"2"}},
		Match: rule.Match{Components: components}, Validate: &rule.Validate{Over: scope}}
}

func seen(names ...string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}

func TestJudge(t *testing.T) {
	pod := over("pod", "pod")
	flag := over("flag", "component", "kube-apiserver", "etcd")
	file := over("file", "node")
	graph := &rule.Rule{Name: "graph", ID: "ID-graph", Compliance: map[string][]string{"f": {"1"}}, Analyzer: "a"}
	byHand := finding.Text{EN: "ask a person", ZH: "人工核查"}
	cases := map[string]struct {
		clause   Clause
		rules    []*rule.Rule
		facts    Facts
		want     finding.ClauseStatus
		reason   string
		findings []string
	}{
		"passes": {rules: []*rule.Rule{pod, graph}, facts: Facts{Seen: seen("object")}, want: finding.Pass},
		"fails, with every finding of every rule in order": {
			rules: []*rule.Rule{pod, graph}, facts: Facts{Open: map[string][]string{"ID-graph": {"c", "a"}, "ID-pod": {"b"}, "ID-unmapped": {"x"}}},
			want: finding.Fail, findings: []string{"a", "b", "c"}},
		"findings of rules that are not mapped do not count": {
			rules: []*rule.Rule{pod}, facts: Facts{Open: map[string][]string{"ID-unmapped": {"x"}}}, want: finding.Pass},
		"no rule decides it":  {want: finding.Manual, reason: "no selected rule"},
		"a person decides it": {clause: Clause{Manual: byHand}, want: finding.Manual, reason: "ask a person"},
		"a person decides what the rules leave open": {
			clause: Clause{Manual: byHand}, rules: []*rule.Rule{pod}, want: finding.Manual, reason: "ask a person"},
		"a rule can fail what else a person decides": {
			clause: Clause{Manual: byHand}, rules: []*rule.Rule{pod}, facts: Facts{Open: map[string][]string{"ID-pod": {"a"}}},
			want: finding.Fail, findings: []string{"a"}},
		"control plane of a provider": {
			clause: Clause{ControlPlane: true}, rules: []*rule.Rule{flag}, facts: Facts{Managed: true},
			want: finding.NotApplicable, reason: "managed"},
		"control plane of a provider, manual": {
			clause: Clause{ControlPlane: true, Manual: byHand}, facts: Facts{Managed: true}, want: finding.NotApplicable, reason: "managed"},
		"control plane of a provider, and yet a finding": {
			clause: Clause{ControlPlane: true}, rules: []*rule.Rule{flag}, facts: Facts{Managed: true, Open: map[string][]string{"ID-flag": {"a"}}},
			want: finding.Fail, findings: []string{"a"}},
		"other clauses apply with a provider too": {
			rules: []*rule.Rule{pod}, facts: Facts{Managed: true}, want: finding.Pass},
		"own control plane": {
			clause: Clause{ControlPlane: true}, rules: []*rule.Rule{flag}, facts: Facts{Seen: seen("kube-apiserver", "etcd")}, want: finding.Pass},
		"a rule could not judge some object": {
			rules: []*rule.Rule{graph, pod}, facts: Facts{Undecided: map[string]bool{"pod": true}}, want: finding.Manual, reason: "rule pod"},
		"a finding outweighs a rule that could not judge": {
			rules: []*rule.Rule{graph, pod}, facts: Facts{Undecided: map[string]bool{"pod": true}, Open: map[string][]string{"ID-graph": {"a"}}},
			want: finding.Fail, findings: []string{"a"}},
		"undecided rules of other clauses do not count": {
			rules: []*rule.Rule{pod}, facts: Facts{Undecided: map[string]bool{"unmapped": true}}, want: finding.Pass},
		"one of the components was not seen": {
			rules: []*rule.Rule{pod, flag}, facts: Facts{Seen: seen("object", "kube-apiserver")}, want: finding.Manual, reason: "no etcd facts"},
		"nodes were not seen": {
			rules: []*rule.Rule{file}, facts: Facts{Seen: seen("object")}, want: finding.Manual, reason: "no node facts"},
		"nodes were seen": {
			rules: []*rule.Rule{file}, facts: Facts{Seen: seen("node")}, want: finding.Pass},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.clause.ID, c.clause.Title = "1", finding.Text{EN: "one", ZH: "一"}
			f := &Framework{ID: "f", Clauses: []Clause{c.clause}}
			got := f.Judge(c.rules, c.facts)
			if len(got) != 1 {
				t.Fatalf("%d verdicts for one clause", len(got))
			}
			v := got[0]
			if v.Status != c.want || !strings.Contains(v.Reason.EN, c.reason) || !slices.Equal(v.Findings, c.findings) {
				t.Errorf("got %s (%s) %v, want %s (%s) %v", v.Status, v.Reason.EN, v.Findings, c.want, c.reason, c.findings)
			}
			if v.Framework != "f" || v.Clause != "1" || v.Title != c.clause.Title {
				t.Errorf("the verdict is about %s %s %v", v.Framework, v.Clause, v.Title)
			}
			if (v.Reason.EN == "") != (v.Reason.ZH == "") {
				t.Errorf("the reason is in one language only: %+v", v.Reason)
			}
			if decided := v.Status == finding.Pass || v.Status == finding.Fail; decided == (v.Reason.EN != "") {
				t.Errorf("%s with reason %q", v.Status, v.Reason.EN)
			}
		})
	}
}

// TestJudgeKeepsOrder also holds that the rules' own findings are not put in order in place: others read them.
func TestJudgeKeepsOrder(t *testing.T) {
	f := &Framework{ID: "other", Clauses: []Clause{{ID: "10"}, {ID: "2"}, {ID: "1"}}}
	open := map[string][]string{"ID-pod": {"b", "a"}}
	var got []string
	for _, v := range f.Judge([]*rule.Rule{over("pod", "pod")}, Facts{Open: open}) {
		got = append(got, v.Clause+" "+string(v.Status))
	}
	if want := []string{"10 manual", "2 fail", "1 manual"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !slices.Equal(open["ID-pod"], []string{"b", "a"}) {
		t.Errorf("the findings of the scan were sorted: %v", open)
	}
}

func TestLoad(t *testing.T) {
	file := func(name, text string) fstest.MapFS { return fstest.MapFS{name: {Data: []byte(text)}} }
	bad := map[string]struct {
		fs   fstest.MapFS
		want []string
	}{
		"another id":    {file("a.yaml", "id: b\n"), []string{"a.yaml", `"b"`}},
		"no id":         {file("a.yaml", "title: {en: x}\n"), []string{"a.yaml"}},
		"unknown field": {file("a.yaml", "id: a\nclauses:\n- clause: x\n  titel: {en: x}\n"), []string{"a.yaml", "titel"}},
		"no YAML":       {file("a.yaml", "id: [\n"), []string{"a.yaml"}},
		"wrong type":    {file("a.yaml", "id: a\nclauses: 3\n"), []string{"a.yaml", "clauses"}},
		"empty":         {file("a.yaml", ""), []string{"a.yaml"}},
		"one of two":    {fstest.MapFS{"a.yaml": {Data: []byte("id: a\n")}, "b.yaml": {Data: []byte("id: a\n")}}, []string{"b.yaml"}},
		"a folder":      {file("a.yaml/b", ""), []string{"a.yaml"}},
	}
	for name, c := range bad {
		t.Run(name, func(t *testing.T) {
			got, err := Load(c.fs)
			if err == nil {
				t.Fatalf("loaded %+v", got)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not name %s", err, w)
				}
			}
		})
	}
	got, err := Load(fstest.MapFS{"b.yaml": {Data: []byte("id: b\n")}, "a-1.2.yaml": {Data: []byte(
		"id: a-1.2\ntitle: {en: A, zh: 甲}\nsource: https://example.com/\nnote: {en: note, zh: 注}\nclauses:\n" +
			"- clause: \"1.10\"\n  section: {en: part, zh: 节}\n  title: {en: what, zh: 题}\n  manual: {en: why, zh: 人}\n  controlPlane: true\n")}, "readme.txt": {}})
	if err != nil || len(got) != 2 || got[0].ID != "a-1.2" || got[1].ID != "b" {
		t.Fatalf("%v, %v", got, err)
	}
	want := Clause{"1.10", finding.Text{EN: "part", ZH: "节"}, finding.Text{EN: "what", ZH: "题"}, finding.Text{EN: "why", ZH: "人"}, true}
	if got[0].Title.ZH != "甲" || got[0].Source == "" || got[0].Note.EN != "note" || !slices.Equal(got[0].Clauses, []Clause{want}) {
		t.Errorf("%+v", got[0])
	}
}

func TestSelect(t *testing.T) {
	all := []*Framework{{ID: "a"}, {ID: "b"}, {ID: "c"}}
	names := func(list []*Framework) (out []string) {
		for _, f := range list {
			out = append(out, f.ID)
		}
		return out
	}
	for _, c := range []struct{ ids, want []string }{
		{nil, nil}, {[]string{"c", "a"}, []string{"c", "a"}}, {[]string{"all"}, []string{"a", "b", "c"}}, {[]string{"b", "all"}, []string{"a", "b", "c"}},
	} {
		got, err := Select(all, c.ids)
		if err != nil || !slices.Equal(names(got), c.want) {
			t.Errorf("%v: %v, %v", c.ids, names(got), err)
		}
	}
	if got, err := Select(all, []string{"a", "cis"}); err == nil || !strings.Contains(err.Error(), `"cis"`) || !strings.Contains(err.Error(), "[a b c]") {
		t.Errorf("got %v, %v", names(got), err)
	}
}

// TestFrameworks holds the shipped frameworks to what reports need of them.
func TestFrameworks(t *testing.T) {
	all, err := Load(frameworks.FS)
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int{"cis-1.8": 130, "cis-1.9": 130, "cis-1.10": 130, "cis-1.11": 133, "cis-1.12": 131, // those of the benchmarks
		"pss-baseline": 12, "pss-restricted": 16, "nsa": 0, "mlps-2.0": 0} // 0: nobody numbers them for us
	both := func(t finding.Text) bool { return t.EN != "" && t.ZH != "" }
	for _, f := range all {
		bad := func(format string, args ...any) { t.Helper(); t.Errorf(f.ID+": "+format, args...) }
		if want := sizes[f.ID]; want > 0 && len(f.Clauses) != want || len(f.Clauses) == 0 {
			bad("%d clauses, want %d", len(f.Clauses), want)
		}
		delete(sizes, f.ID)
		if !both(f.Title) || !both(f.Note) || !strings.HasPrefix(f.Source, "https://") {
			bad("title, note or source is missing")
		}
		seen := map[string]bool{}
		for _, c := range f.Clauses {
			if seen[c.ID] || c.ID == "" || !both(c.Title) || !both(c.Section) {
				bad("clause %q stands twice or lacks a text", c.ID)
			}
			seen[c.ID] = true
			if (c.Manual.EN == "") != (c.Manual.ZH == "") {
				bad("clause %s: the reason needs both languages", c.ID)
			}
			section := c.ID[:1]
			if strings.HasPrefix(f.ID, "cis-") && c.ControlPlane != (section == "1" || section == "2" || strings.HasPrefix(c.ID, "3.2")) {
				bad("clause %s: controlPlane is %v", c.ID, c.ControlPlane)
			}
		}
	}
	for id := range sizes {
		t.Errorf("%s is not there", id)
	}
}
