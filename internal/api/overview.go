package api

import (
	"context"
	"net/http"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
)

// OverviewBody is what a person should know first.
type OverviewBody struct {
	Active     int                       `json:"active" doc:"active findings"`
	Kinds      map[string]map[string]int `json:"kinds" doc:"active findings by kind and severity"`
	Severities map[string]int            `json:"severities" doc:"active findings by severity"`
	Statuses   map[string]int            `json:"statuses" doc:"all findings by status"`
	KEV        int                       `json:"kev" doc:"active findings of vulnerabilities that are known to be exploited"`
	Coverage   browse.Coverage           `json:"coverage"`
	Risks      []RiskLine                `json:"risks" doc:"the worst"`
	Clusters   []browse.Asset            `json:"clusters" doc:"the worst"`
	Workloads  []RiskyLine               `json:"workloads" doc:"the worst, with the reasons"`
	Images     []browse.Asset            `json:"images" doc:"the worst"`
	Trend      []browse.Day              `json:"trend" doc:"by day; empty for who sees single namespaces"`
	Exceptions browse.Exceptions         `json:"exceptions"`
	Score      ScoreBody                 `json:"score" doc:"100 is nothing wrong; each deduction grows with its count up to a limit"`
	New        browse.Recent             `json:"new" doc:"what changed in the last 24 hours"`
	Emergency  []RiskLine                `json:"emergency" doc:"emergency vulnerabilities that are present, the worst"`
	Compliance []browse.FrameworkSum     `json:"compliance" doc:"of whole clusters"`
	Advisories browse.Advisories         `json:"advisories" doc:"the vulnerability data that scans go by"`
}

// ScoreBody is the score with the steps that raise it most.
type ScoreBody struct {
	browse.Score
	Steps []StepLine `json:"steps"`
}

// StepLine is something to do that raises the score.
type StepLine struct {
	browse.Step
	Title       string       `json:"title"`
	Translation *Translation `json:"translation,omitempty"`
}

// RiskyLine is a workload with what makes it risky.
type RiskyLine struct {
	browse.Risky
	Worst *WorstLine `json:"worst,omitempty" doc:"its first finding by priority, or that of its images"`
}

// WorstLine is a finding in short.
type WorstLine struct {
	browse.Worst
	Title       string       `json:"title"`
	Translation *Translation `json:"translation,omitempty"`
}

// titled gives a title in a language, and in the other one when both are wanted.
func titled(t finding.Text, lang string, both bool) (string, *Translation) {
	if !both {
		return t.In(lang), nil
	}
	return t.In(lang), &Translation{Lang: otherLang(lang), Title: t.In(otherLang(lang))}
}

func stepLines(list []browse.Step, lang string, both bool) []StepLine {
	out := make([]StepLine, len(list))
	for i, x := range list {
		out[i].Step = x
		out[i].Title, out[i].Translation = titled(x.Title, lang, both)
	}
	return out
}

func riskyLines(list []browse.Risky, lang string, both bool) []RiskyLine {
	out := make([]RiskyLine, len(list))
	for i, x := range list {
		if out[i].Risky = x; x.Worst != nil {
			out[i].Worst = &WorstLine{Worst: *x.Worst}
			out[i].Worst.Title, out[i].Worst.Translation = titled(x.Worst.Title, lang, both)
		}
	}
	return out
}

// Overview adds the route of the overview.
func Overview(a *API, b *browse.Browser) {
	type overviewInput struct {
		InLang
		Target    []int64  `query:"target" maxItems:"1000" doc:"ids of clusters and projects; absent: all"`
		Namespace []string `query:"namespace" maxItems:"100" doc:"of these targets"`
		Days      int      `query:"days" default:"30" minimum:"1" maximum:"366" doc:"of the trend"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/overview", ID: "get-overview", Tag: "Overview", Summary: "How things stand", Action: identity.Read},
		func(ctx context.Context, in *overviewInput) (*One[OverviewBody], error) {
			o, err := b.Overview(ctx, identity.From(ctx).Visible(identity.Read), browse.OverviewFilter{Targets: in.Target, Namespaces: in.Namespace, Days: in.Days})
			if err != nil {
				return nil, browsed(err)
			}
			lang, both := in.in(ctx)
			return &One[OverviewBody]{Body: OverviewBody{Active: o.Active, Kinds: byKind(o.Kinds), Severities: bySeverity(o.Severities), Statuses: words(o.Statuses), KEV: o.KEV,
				Coverage: o.Coverage, Risks: riskLines(o.Risks, lang, both), Clusters: some(o.Assets), Workloads: riskyLines(o.Workloads, lang, both), Images: some(o.Images),
				Trend: some(o.Trend), Exceptions: o.Exceptions, Score: ScoreBody{o.Score, stepLines(o.Steps, lang, both)}, New: o.Recent,
				Emergency: riskLines(o.Emergency, lang, both), Compliance: some(o.Frameworks), Advisories: o.Advisories}}, nil
		})
}

// some is a list that is never null in an answer.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func bySeverity(m map[ledger.Severity]int) map[string]int { return words(m) }

func byKind(m map[ledger.Kind]map[ledger.Severity]int) map[string]map[string]int {
	out := map[string]map[string]int{}
	for k, v := range m {
		out[k.String()] = bySeverity(v)
	}
	return out
}

// words names the keys of counts.
func words[K interface {
	comparable
	String() string
}](m map[K]int) map[string]int {
	out := map[string]int{}
	for k, n := range m {
		out[k.String()] = n
	}
	return out
}
