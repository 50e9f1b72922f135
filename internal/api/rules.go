package api

import (
	"context"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/store"
)

// RuleBook is the rules that the server judges by, and the cases that show what they mean.
type RuleBook struct {
	Library *rule.Library
	Cases   fs.FS // may be nil
}

// RuleLine is a row of the list of rules.
type RuleLine struct {
	Rule     string   `json:"rule" doc:"workload/privileged-container"`
	ID       string   `json:"id" doc:"STK-W-0001"`
	Title    string   `json:"title"`
	Family   string   `json:"family"`
	Severity string   `json:"severity" enum:"critical,high,medium,low,info"`
	Risk     string   `json:"risk"`
	Kind     string   `json:"kind" doc:"of its findings"`
	Kinds    []string `json:"kinds" doc:"what it looks at: Workload, Service, kubelet"`
}

// RuleFull is a rule with everything that people should know of it.
type RuleFull struct {
	RuleLine
	Why        string              `json:"why"`
	Fix        string              `json:"fix"`
	References []string            `json:"references"`
	Aliases    map[string][]string `json:"aliases" doc:"ids of the same check in other tools"`
	Compliance []finding.ClauseRef `json:"compliance"`
	Params     map[string]any      `json:"params" doc:"what can be set, with the values in use"`
	Targets    []string            `json:"targets" doc:"where it runs: cluster, iac, node, image; empty: everywhere"`
	Missing    string              `json:"missing,omitempty" enum:"pass,fail" doc:"what a missing field means"`
	Expression string              `json:"expression,omitempty" doc:"CEL: what is good"`
	Good       *RuleExample        `json:"good,omitempty"`
	Bad        *RuleExample        `json:"bad,omitempty"`
	Active     int                 `json:"active" doc:"active findings that you see"`
	Repairable bool                `json:"repairable" doc:"for most findings of it a tried change is offered"`
}

// RuleExample is a file that a rule accepts or finds something in.
type RuleExample struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// RuleList is the list of rules with how many each choice would leave.
type RuleList struct {
	Body struct {
		Items  []RuleLine                `json:"items"`
		Total  int                       `json:"total"`
		Facets map[string]map[string]int `json:"facets" doc:"family, severity, risk: how many rules of what q leaves"`
	}
}

// Rules adds the routes of the rule library.
func Rules(a *API, b *browse.Browser, book RuleBook) {
	type listInput struct {
		InLang
		Q        string   `query:"q" maxLength:"200" doc:"words of the name, the id, the title, or another tool's id"`
		Family   []string `query:"family" maxItems:"50" doc:"workload, access, ..."`
		Severity []string `query:"severity" enum:"critical,high,medium,low,info"`
		Risk     []string `query:"risk" maxItems:"50"`
		Kind     []string `query:"kind" maxItems:"50" doc:"what it looks at: Workload, Service, kubelet"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/rules", ID: "list-rules", Tag: "Rules", Summary: "The rule library", Action: identity.Read},
		func(ctx context.Context, in *listInput) (*RuleList, error) {
			lang, _ := in.in(ctx)
			out := &RuleList{}
			out.Body.Items, out.Body.Facets = []RuleLine{}, map[string]map[string]int{"family": {}, "severity": {}, "risk": {}}
			for _, r := range book.rules() {
				if !r.Says(in.Q) {
					continue
				}
				l := ruleLine(r, lang)
				out.Body.Facets["family"][l.Family]++
				out.Body.Facets["severity"][l.Severity]++
				out.Body.Facets["risk"][l.Risk]++
				among := func(list []string, v ...string) bool {
					return len(list) == 0 || slices.ContainsFunc(v, func(s string) bool { return slices.Contains(list, s) })
				}
				if among(in.Family, l.Family) && among(in.Severity, l.Severity) && among(in.Risk, l.Risk) && among(in.Kind, append(l.Kinds, l.Kind)...) {
					out.Body.Items = append(out.Body.Items, l)
				}
			}
			out.Body.Total = len(out.Body.Items)
			return out, nil
		})
	type oneInput struct {
		InLang
		Family string `path:"family" maxLength:"100"`
		Rule   string `path:"rule" maxLength:"200"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/rules/{family}/{rule}", ID: "get-rule", Tag: "Rules", Summary: "One rule: why, fix, examples", Action: identity.Read},
		func(ctx context.Context, in *oneInput) (*One[RuleFull], error) {
			r := book.find(in.Family + "/" + in.Rule)
			if r == nil {
				return nil, store.ErrNotFound
			}
			lang, _ := in.in(ctx)
			full := ruleFull(r, lang)
			full.Good, full.Bad = book.examples(r)
			n, err := b.ActiveOf(ctx, identity.From(ctx).Visible(identity.Read), []string{r.Name})
			if err != nil {
				return nil, err
			}
			full.Active = n[r.Name]
			return &One[RuleFull]{Body: full}, nil
		})
}

func (b RuleBook) rules() []*rule.Rule {
	if b.Library == nil {
		return nil
	}
	return b.Library.Rules
}

// find returns the rule of a name, not of an id.
func (b RuleBook) find(name string) *rule.Rule {
	if b.Library == nil {
		return nil
	}
	if r := b.Library.Find(name); r != nil && r.Name == name {
		return r
	}
	return nil
}

func ruleLine(r *rule.Rule, lang string) RuleLine {
	kinds := append(slices.Clone(r.Match.Kinds), r.Match.Components...)
	if r.Validate != nil && r.Validate.Over == "node" {
		kinds = append(kinds, "Node")
	}
	return RuleLine{Rule: r.Name, ID: r.ID, Title: r.Title.In(lang), Family: path.Dir(r.Name), Severity: string(r.Severity), Risk: r.Risk,
		Kind: string(r.Kind), Kinds: some(kinds)}
}

func ruleFull(r *rule.Rule, lang string) RuleFull {
	f := RuleFull{RuleLine: ruleLine(r, lang), Why: r.Why.In(lang), Fix: r.Fix.In(lang), References: some(r.References), Aliases: r.Aliases,
		Compliance: some(r.Clauses()), Params: r.Params, Targets: some(r.Targets), Missing: r.Missing, Repairable: len(r.Repairs()) > 0}
	if f.Aliases == nil {
		f.Aliases = map[string][]string{}
	}
	if f.Params == nil {
		f.Params = map[string]any{}
	}
	if r.Validate != nil {
		f.Expression = strings.TrimSpace(r.Validate.Expression)
	}
	return f
}

// maxExample bounds a case that is shown.
const maxExample = 64 << 10

// wanted is what cases say for the test of the library.
var wanted = regexp.MustCompile(`[ \t]*#\s*want(?:\s+"(?:[^"\\]|\\.)*")+[ \t]*`)

func withoutWants(text string) string {
	var out []string
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		left := wanted.ReplaceAllString(line, "")
		if strings.TrimSpace(left) != "" || strings.TrimSpace(line) == "" {
			out = append(out, left)
		}
	}
	return strings.Join(out, "\n") + "\n"
}

// examples are the shortest good and the shortest bad case.
func (b RuleBook) examples(r *rule.Rule) (good, bad *RuleExample) {
	if b.Cases == nil {
		return nil, nil
	}
	files, err := fs.ReadDir(b.Cases, path.Join(r.Name, "cases"))
	if err != nil { // a rule of the operator's own
		return nil, nil
	}
	for _, f := range files {
		to := &good
		if strings.HasPrefix(f.Name(), "bad-") {
			to = &bad
		}
		data, err := fs.ReadFile(b.Cases, path.Join(r.Name, "cases", f.Name()))
		if err != nil || len(data) > maxExample || *to != nil && len(data) >= len((*to).Text) {
			continue
		}
		*to = &RuleExample{Name: f.Name(), Text: withoutWants(string(data))}
	}
	return good, bad
}
