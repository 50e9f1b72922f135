package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"stockade.dev/stockade/internal/attest"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
)

// ClauseLine is the verdict on one clause in one target.
type ClauseLine struct {
	browse.Clause
	Title   string `json:"title,omitempty"`
	Section string `json:"section,omitempty"`
	Reason  string `json:"reason,omitempty" doc:"why it is manual or not applicable"`
}

// FrameworkLine is a framework in one target, with what it is.
type FrameworkLine struct {
	browse.Framework
	Title   string `json:"title"`
	Source  string `json:"source,omitempty" doc:"where the standard is published"`
	Note    string `json:"note,omitempty" doc:"what the mapping covers"`
	Clauses int    `json:"clauses" doc:"that the framework has"`
}

// FrameworkInfo is a framework that scans judge.
type FrameworkInfo struct {
	Framework string `json:"framework"`
	Title     string `json:"title"`
	Source    string `json:"source"`
	Note      string `json:"note"`
	Clauses   int    `json:"clauses"`
}

// ClauseRule is a rule that decides a clause.
type ClauseRule struct {
	Rule     string           `json:"rule"`
	ID       string           `json:"id"`
	Title    string           `json:"title"`
	Severity finding.Severity `json:"severity" enum:"critical,high,medium,low,info"`
}

// ComparedLine is a clause over clusters.
type ComparedLine struct {
	browse.Compared
	Title   string       `json:"title"`
	Section string       `json:"section"`
	Check   string       `json:"check,omitempty" doc:"how to check it by hand"`
	Rules   []ClauseRule `json:"rules" doc:"that decide it"`
}

// ComparisonBody is a page of clauses over clusters.
type ComparisonBody struct {
	FrameworkInfo
	Targets []browse.Column `json:"targets" doc:"in which the framework was judged, by name: the first 200"`
	More    bool            `json:"moreTargets,omitempty" doc:"there are more clusters than are compared: choose some"`
	Items   []ComparedLine  `json:"items"`
	Next    string          `json:"next,omitempty" doc:"give as after for the page after this one"`
	Total   int             `json:"total" doc:"clauses of the whole list"`
}

// ClauseEvidence is a finding behind a verdict.
type ClauseEvidence struct {
	FindingLine
	Message   string             `json:"message"`
	Resource  finding.Resource   `json:"object"`
	Evidence  []finding.Evidence `json:"evidence,omitempty"`
	Accepted  string             `json:"acceptedBy,omitempty" doc:"what accepts it"`
	Rationale string             `json:"acceptedReason,omitempty"`
}

// ClauseVerdict is the verdict on a clause in one target, with the look that it comes from.
type ClauseVerdict struct {
	browse.ClauseVerdict
	Reason string `json:"reason,omitempty" doc:"why it is manual or not applicable"`
}

// ClauseFull is everything that is known of a clause.
type ClauseFull struct {
	Framework      string `json:"framework"`
	FrameworkTitle string `json:"frameworkTitle"`
	browse.ClauseInfo
	Title        string               `json:"title"`
	Section      string               `json:"section"`
	Check        string               `json:"check,omitempty" doc:"how to check it by hand"`
	Rules        []ClauseRule         `json:"rules" doc:"that decide it; none: a person has to look"`
	Verdicts     []ClauseVerdict      `json:"verdicts"`
	More         bool                 `json:"moreTargets,omitempty"`
	Totals       browse.Standing      `json:"totals" doc:"findings of its rules in all of these clusters"`
	Evidence     []ClauseEvidence     `json:"evidence" doc:"the worst 50: active ones first, then accepted ones. All of them are the findings with the filters framework and clause"`
	Attestations []browse.Attestation `json:"attestations" doc:"the latest 20, also those that do not hold any more"`
}

func clauseRules(info browse.ClauseInfo, lang string) []ClauseRule {
	out := make([]ClauseRule, 0, len(info.Rules))
	for _, r := range info.Rules {
		out = append(out, ClauseRule{r.Rule, r.ID, r.Title.In(lang), r.Severity})
	}
	return out
}

// attested gives errors of attestations their status.
func attested(err error) error {
	for from, to := range map[error]error{attest.ErrInvalid: ErrInvalid, attest.ErrForbidden: ErrForbidden, attest.ErrDecided: ErrConflict} {
		if errors.Is(err, from) {
			return fmt.Errorf("%w: %s", to, strings.TrimPrefix(err.Error(), from.Error()+": "))
		}
	}
	return err
}

const complianceTag = "Compliance"

// Compliance adds the routes of frameworks.
func Compliance(a *API, b *browse.Browser, d *attest.Desk, version string) {
	frameworkRoutes(a, b)
	clauseRoutes(a, b)
	assessmentRoute(a, b, version)
	attestationRoutes(a, d)
}

func frameworkInfo(b *browse.Browser, id, lang string) FrameworkInfo {
	f := b.Catalog().Framework(id)
	if f == nil {
		return FrameworkInfo{Framework: id, Title: id}
	}
	return FrameworkInfo{f.ID, f.Title.In(lang), f.Source, f.Note.In(lang), len(f.Clauses)}
}

func frameworkRoutes(a *API, b *browse.Browser) {
	type frameworkInput struct {
		InLang
		Target []int64 `query:"target" maxItems:"1000" doc:"ids of clusters and projects"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/compliance", ID: "list-frameworks", Tag: complianceTag, Action: identity.Read,
		Summary: "Compliance frameworks by cluster: how many clauses have which verdict", Description: "Verdicts are of whole clusters: who sees single namespaces does not see them."},
		func(ctx context.Context, in *frameworkInput) (*List[FrameworkLine], error) {
			list, err := b.Frameworks(ctx, identity.From(ctx).Visible(identity.Read), in.Target)
			if err != nil {
				return nil, browsed(err)
			}
			lang, _ := in.in(ctx)
			lines := make([]FrameworkLine, len(list))
			for i, f := range list {
				info := frameworkInfo(b, f.Framework, lang)
				lines[i] = FrameworkLine{f, info.Title, info.Source, info.Note, info.Clauses}
			}
			return Listed(lines, ""), nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/frameworks", ID: "list-known-frameworks", Tag: complianceTag, Action: identity.Read,
		Summary: "Compliance frameworks that scans judge", Description: "Also those that no cluster was judged by yet."},
		func(ctx context.Context, in *struct{ InLang }) (*List[FrameworkInfo], error) {
			lang, _ := in.in(ctx)
			var list []FrameworkInfo
			for _, f := range b.Catalog().Frameworks() {
				list = append(list, frameworkInfo(b, f.ID, lang))
			}
			return Listed(list, ""), nil
		})
	type trendInput struct {
		Framework string  `path:"framework" maxLength:"200"`
		Target    []int64 `query:"target" maxItems:"1000" doc:"ids of clusters"`
		Days      int     `query:"days" minimum:"1" maximum:"366" default:"30"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/compliance/{framework}/trend", ID: "list-verdict-days", Tag: complianceTag, Action: identity.Read,
		Summary: "Verdicts of a framework by day, summed over clusters", Description: "A day on which no cluster had been judged has targets 0: nothing is known of it."},
		func(ctx context.Context, in *trendInput) (*List[browse.VerdictDay], error) {
			list, err := b.VerdictTrend(ctx, identity.From(ctx).Visible(identity.Read), in.Framework, in.Target, in.Days)
			if err != nil {
				return nil, browsed(err)
			}
			return Listed(list, ""), nil
		})
}

func clauseRoutes(a *API, b *browse.Browser) {
	type clauseInput struct {
		Paging
		InLang
		Framework string  `path:"framework" maxLength:"200"`
		Target    []int64 `query:"target" maxItems:"1000" doc:"ids of clusters and projects"`
		Status    string  `query:"status" enum:"pass,fail,manual,not-applicable"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/compliance/{framework}", ID: "list-clauses", Tag: complianceTag, Action: identity.Read, Summary: "Clauses of a framework with their verdicts",
		Description: "In the order of the framework. What a clause fails by are the findings with the filters framework and clause."},
		func(ctx context.Context, in *clauseInput) (*List[ClauseLine], error) {
			list, next, err := b.Clauses(ctx, identity.From(ctx).Visible(identity.Read), in.Target, in.Framework, in.Status, in.Page())
			if err != nil {
				return nil, browsed(err)
			}
			lang, _ := in.in(ctx)
			lines := make([]ClauseLine, len(list))
			for i, c := range list {
				lines[i] = ClauseLine{Clause: c, Title: c.Title.In(lang), Reason: c.Reason.In(lang)}
				if e := b.Catalog().Entry(c.Framework, c.Clause); e != nil {
					lines[i].Title, lines[i].Section = e.Title.In(lang), e.Section.In(lang)
				}
			}
			return Listed(lines, next), nil
		})
	type compareInput struct {
		Paging
		InLang
		Framework string   `path:"framework" maxLength:"200"`
		Target    []int64  `query:"target" maxItems:"1000" doc:"ids of clusters"`
		Outcome   []string `query:"outcome" enum:"pass,fail,fail-accepted,manual,not-applicable" doc:"that some cluster has"`
		Q         string   `query:"q" maxLength:"200" doc:"parts of the number, the title or the section"`
		Cells     string   `query:"cells" enum:"true,false" default:"true" doc:"false: only the counts, without the verdict in each cluster"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/compliance/{framework}/compare", ID: "compare-clauses", Tag: complianceTag, Action: identity.Read, Summary: "Clauses of a framework over clusters"},
		func(ctx context.Context, in *compareInput) (*One[ComparisonBody], error) {
			f := browse.CompareFilter{Framework: in.Framework, Targets: in.Target, Q: in.Q, NoCells: in.Cells == "false"}
			for _, o := range in.Outcome {
				f.Outcomes = append(f.Outcomes, browse.Outcome(o))
			}
			c, err := b.Compare(ctx, identity.From(ctx).Visible(identity.Read), f, in.Page())
			if err != nil {
				return nil, browsed(err)
			}
			lang, _ := in.in(ctx)
			out := ComparisonBody{FrameworkInfo: frameworkInfo(b, in.Framework, lang), Targets: c.Columns, More: c.More, Next: c.Next, Total: c.Total, Items: []ComparedLine{}}
			for _, x := range c.Items {
				out.Items = append(out.Items, ComparedLine{x, x.Title.In(lang), x.Section.In(lang), x.Check.In(lang), clauseRules(x.ClauseInfo, lang)})
			}
			return &One[ComparisonBody]{out}, nil
		})
	type oneInput struct {
		InLang
		Framework string  `path:"framework" maxLength:"200"`
		Clause    string  `path:"clause" maxLength:"200"`
		Target    []int64 `query:"target" maxItems:"1000" doc:"ids of clusters"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/compliance/{framework}/clauses/{clause}", ID: "get-clause", Tag: complianceTag, Action: identity.Read, Summary: "One clause with its evidence"},
		func(ctx context.Context, in *oneInput) (*One[ClauseFull], error) {
			s, err := b.Clause(ctx, identity.From(ctx).Visible(identity.Read), in.Framework, in.Clause, in.Target)
			if err != nil {
				return nil, browsed(err)
			}
			lang, both := in.in(ctx)
			return &One[ClauseFull]{clauseFull(s, frameworkInfo(b, in.Framework, lang), lang, both)}, nil
		})
}

func clauseFull(s *browse.ClauseStory, f FrameworkInfo, lang string, both bool) ClauseFull {
	out := ClauseFull{Framework: f.Framework, FrameworkTitle: f.Title, ClauseInfo: s.ClauseInfo, Title: s.Title.In(lang), Section: s.Section.In(lang), Check: s.Check.In(lang),
		Rules: clauseRules(s.ClauseInfo, lang), More: s.More, Totals: s.Total, Verdicts: []ClauseVerdict{}, Evidence: []ClauseEvidence{}, Attestations: s.Attestations}
	if out.Attestations == nil {
		out.Attestations = []browse.Attestation{}
	}
	for _, v := range s.Verdicts {
		out.Verdicts = append(out.Verdicts, ClauseVerdict{v, v.Reason.In(lang)})
	}
	for _, e := range s.Evidence {
		line := ClauseEvidence{FindingLine: lineOf(e.Line, lang, both), Message: e.Finding.Message.In(lang), Resource: e.Finding.Resource, Evidence: e.Finding.Evidence}
		if x := e.Finding.Suppression; x != nil {
			line.Accepted, line.Rationale = x.By, x.Reason
		}
		out.Evidence = append(out.Evidence, line)
	}
	return out
}

func attestationRoutes(a *API, d *attest.Desk) {
	type addInput struct {
		Framework string `path:"framework" maxLength:"200"`
		Clause    string `path:"clause" maxLength:"200"`
		Body      attest.Input
	}
	Add(a, Route{Method: http.MethodPost, Path: "/compliance/{framework}/clauses/{clause}/attestations", ID: "attest-clause", Tag: complianceTag, Action: identity.Handle,
		Status: http.StatusCreated, Summary: "Record what was found out by hand of a clause that rules do not decide",
		Description: "It stands beside the verdict, never in its place, and does not count in the score. One that held before ends."},
		func(ctx context.Context, in *addInput) (*One[browse.Attestation], error) {
			x, err := d.Record(ctx, in.Framework, in.Clause, in.Body)
			if err != nil {
				return nil, attested(err)
			}
			return &One[browse.Attestation]{*x}, nil
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/attestations/{id}", ID: "withdraw-attestation", Tag: complianceTag, Action: identity.Handle, Summary: "Withdraw an attestation",
		Description: "It stays in the history."},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			return nil, attested(d.Withdraw(ctx, in.ID))
		})
}
