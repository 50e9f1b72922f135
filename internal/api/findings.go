package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/triage"
)

// Verifier looks at single findings again, now.
type Verifier interface {
	// Verify starts a task that does, and returns its id.
	Verify(ctx context.Context, findings []ledger.Row) (task int64, err error)
}

// FindingFilter is the part of the inputs that says which findings are meant. In a list one value is enough; all that is given must
// be met.
type FindingFilter struct {
	Target       []int64   `query:"target" maxItems:"1000" doc:"ids of clusters and projects"`
	Namespace    []string  `query:"namespace" maxItems:"1000"`
	WithImages   bool      `query:"withImages" doc:"of the namespaces also what the images have that run there; needs target, of at most 40"`
	Kind         []string  `query:"kind" enum:"system-vulnerability,application-vulnerability,emergency,configuration,iac,secret,malware,permission"`
	Severity     []string  `query:"severity" enum:"critical,high,medium,low,info"`
	Status       []string  `query:"status" enum:"open,reopened,unseen,ignored,accepted,marked-fixed,fixed,gone" doc:"absent: open, reopened and unseen, which count as active"`
	Rule         string    `query:"rule" maxLength:"1000" doc:"workload/privileged-container, CVE-2021-44228"`
	CVE          string    `query:"cve" maxLength:"100"`
	Package      string    `query:"package" maxLength:"1000"`
	Image        string    `query:"image" maxLength:"1000" doc:"reference"`
	Digest       string    `query:"digest" maxLength:"200" doc:"of the image"`
	Asset        int64     `query:"asset" minimum:"1" doc:"id of an asset; of a workload also what its images have"`
	Node         string    `query:"node" maxLength:"300" doc:"name"`
	Workload     string    `query:"workload" maxLength:"300" doc:"name; also what its images have"`
	KEV          string    `query:"kev" enum:"true,false" doc:"known to be exploited"`
	Fixable      string    `query:"fixable" enum:"true,false" doc:"a fixed version is known"`
	Assignee     int64     `query:"assignee" minimum:"1" doc:"id of a user"`
	Exception    int64     `query:"exception" minimum:"1" doc:"id of the exception that accepts it"`
	Framework    string    `query:"framework" maxLength:"200" doc:"with clause: what a clause of a compliance framework fails by"`
	Clause       string    `query:"clause" maxLength:"200"`
	FirstSince   time.Time `query:"firstSince" doc:"first seen at this time and later"`
	FirstUntil   time.Time `query:"firstUntil" doc:"first seen before this time"`
	ChangedSince time.Time `query:"changedSince" doc:"whose status changed at this time and later"`
	Priority     int       `query:"priority" minimum:"0" maximum:"100" doc:"at least"`
	Fingerprint  string    `query:"fingerprint" pattern:"^[0-9a-f]{32}$" doc:"of one finding; needs target"`
	Q            string    `query:"q" maxLength:"1000" doc:"words, each the beginning of a word in the rule, title, package, resource, namespace or image"`
}

func (in FindingFilter) filter() (browse.Filter, error) {
	f := browse.Filter{Targets: in.Target, Namespaces: in.Namespace, WithImages: in.WithImages, Rule: in.Rule, CVE: in.CVE, Package: in.Package, Image: in.Image, Digest: in.Digest,
		Asset: in.Asset, Node: in.Node, Workload: in.Workload, KEV: yesNo(in.KEV), Fixable: yesNo(in.Fixable), Assignee: in.Assignee, Exception: in.Exception,
		Framework: in.Framework, Clause: in.Clause, FirstSince: in.FirstSince, FirstUntil: in.FirstUntil, Changed: in.ChangedSince, Priority: in.Priority, Fingerprint: in.Fingerprint, Q: in.Q}
	return f, errors.Join(parseAll(&f.Kinds, in.Kind), parseAll(&f.Severities, in.Severity), parseAll(&f.Statuses, in.Status))
}

// yesNo reads a choice that may be left out.
func yesNo(s string) *bool {
	if s == "" {
		return nil
	}
	yes := s == "true"
	return &yes
}

// parseAll reads the words of a list.
func parseAll[T any, P interface {
	*T
	UnmarshalText(b []byte) error
}](out *[]T, words []string) error {
	for _, w := range words {
		var v T
		if err := P(&v).UnmarshalText([]byte(w)); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		*out = append(*out, v)
	}
	return nil
}

// browsed gives errors of the rooms browse and triage their status.
func browsed(err error) error {
	if errors.Is(err, browse.ErrFilter) || errors.Is(err, triage.ErrHandling) {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return err
}

// InLang is the part of the inputs that chooses the language of texts.
type InLang struct {
	Lang string `query:"lang" enum:"en,zh,all" doc:"absent: as Accept-Language says; all: the other language too, as translation"`
}

// in is the language of texts, and whether the other one goes along.
func (l InLang) in(ctx context.Context) (lang string, both bool) {
	switch l.Lang {
	case "en", "zh":
		return l.Lang, false
	}
	return Lang(ctx), l.Lang == "all"
}

// Translation is a text in the language that was not asked for.
type Translation struct {
	Lang        string   `json:"lang" enum:"en,zh"`
	Title       string   `json:"title"`
	Message     string   `json:"message,omitempty"`
	Remediation string   `json:"remediation,omitempty"`
	Mitigations []string `json:"mitigations,omitempty"`
}

func otherLang(lang string) string {
	if lang == "zh" {
		return "en"
	}
	return "zh"
}

// FindingLine is a row of a list of findings.
type FindingLine struct {
	browse.Line
	Title       string       `json:"title"`
	Translation *Translation `json:"translation,omitempty"`
}

// FindingFull is one finding with everything that is known of it.
type FindingFull struct {
	FindingLine
	Message     string           `json:"message"`
	Remediation string           `json:"remediation,omitempty"`
	Mitigations []string         `json:"mitigations,omitempty"`
	Document    *finding.Finding `json:"document" doc:"as in the findings document, without its texts"`
	Assignee    string           `json:"assignee,omitempty" doc:"name of the user"`
	History     []browse.Event   `json:"history" doc:"oldest first; the latest 500"`
}

func lineOf(l browse.Line, lang string, both bool) FindingLine {
	title := finding.Text{EN: l.Title.EN, ZH: l.Title.ZH}
	out := FindingLine{Line: l, Title: title.In(lang)}
	if both {
		out.Translation = &Translation{Lang: otherLang(lang), Title: title.In(otherLang(lang))}
	}
	return out
}

func fullOf(s *browse.Story, lang string, both bool) FindingFull {
	f := s.Finding
	out := FindingFull{FindingLine: lineOf(s.Line, lang, both), Message: f.Message.In(lang), Remediation: f.Remediation.In(lang), Document: f,
		Assignee: s.Assignee, History: s.History}
	out.Title = f.Title.In(lang)
	if out.History == nil {
		out.History = []browse.Event{}
	}
	for _, m := range f.Mitigations {
		out.Mitigations = append(out.Mitigations, m.In(lang))
	}
	if t := out.Translation; t != nil {
		t.Title, t.Message, t.Remediation = f.Title.In(t.Lang), f.Message.In(t.Lang), f.Remediation.In(t.Lang)
		for _, m := range f.Mitigations {
			t.Mitigations = append(t.Mitigations, m.In(t.Lang))
		}
	}
	return out
}

// Counted is a list that says how many rows it has in all.
type Counted[T any] struct {
	Body CountedBody[T]
}

// CountedBody is a page of such a list.
type CountedBody[T any] struct {
	Items   []T    `json:"items"`
	Next    string `json:"next,omitempty" doc:"give as after for the page after this one"`
	Total   int    `json:"total" doc:"rows of the whole list"`
	AtLeast bool   `json:"totalIsAtLeast,omitempty" doc:"the list may have more rows than total: they were not all counted"`
	Cut     bool   `json:"searchCut,omitempty" doc:"a word of the search is in too many names: some of them were not looked for"`
}

func counted[T any](items []T, next string, t browse.Total) *Counted[T] {
	if items == nil {
		items = []T{}
	}
	return &Counted[T]{Body: CountedBody[T]{Items: items, Next: next, Total: t.N, AtLeast: t.AtLeast, Cut: t.Cut}}
}

// Findings adds the routes of findings. v may be nil: then nothing can be verified.
func Findings(a *API, db *store.DB, b *browse.Browser, t *triage.Triage, v Verifier) {
	type listInput struct {
		Paging
		FindingFilter
		InLang
		Sort string `query:"sort" default:"-priority" pattern:"^-?[a-zA-Z]+$" doc:"priority, severity, kind, status, rule, package, cluster, namespace, resource, image, firstSeen, lastSeen or changedAt; with - before it for descending"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/findings", ID: "list-findings", Tag: "Findings", Summary: "Findings", Action: identity.Read},
		func(ctx context.Context, in *listInput) (*Counted[FindingLine], error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			l, err := b.Findings(ctx, identity.From(ctx).Visible(identity.Read), f, in.Sort, in.Page())
			if err != nil {
				return nil, browsed(err)
			}
			lang, both := in.in(ctx)
			lines := make([]FindingLine, len(l.Items))
			for i := range l.Items {
				lines[i] = lineOf(l.Items[i], lang, both)
			}
			return counted(lines, l.Next, l.Total), nil
		})
	type oneInput struct {
		ByID
		InLang
	}
	Add(a, Route{Method: http.MethodGet, Path: "/findings/{id}", ID: "get-finding", Tag: "Findings", Summary: "One finding with its history", Action: identity.Read},
		func(ctx context.Context, in *oneInput) (*One[FindingFull], error) {
			s, err := b.Finding(ctx, identity.From(ctx).Visible(identity.Read), in.ID)
			if err != nil {
				return nil, err
			}
			lang, both := in.in(ctx)
			return &One[FindingFull]{Body: fullOf(s, lang, both)}, nil
		})
	findingExport(a, b)
	findingGroups(a, b)
	findingActions(a, &handlingDesk{db: db, browse: b, triage: t, verify: v})
}

// describe says in one line what a filter asks for: "findings (kinds: secret, malware; kev: true), sorted by -priority".
func describe(f browse.Filter, sort string) string {
	if sort == "" {
		sort = browse.DefaultSort
	}
	var fields map[string]any
	data, err := json.Marshal(f)
	if err == nil {
		err = json.Unmarshal(data, &fields)
	}
	if err != nil || len(fields) == 0 {
		return "findings, sorted by " + sort
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		text := fmt.Sprint(fields[name])
		if list, ok := fields[name].([]any); ok {
			words := make([]string, len(list))
			for i, v := range list {
				words[i] = fmt.Sprint(v)
			}
			text = strings.Join(words, ", ")
		}
		parts = append(parts, name+": "+text)
	}
	return fmt.Sprintf("findings (%s), sorted by %s", strings.Join(parts, "; "), sort)
}
