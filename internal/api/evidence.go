package api

import (
	"context"
	"net/http"
	"time"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/exhibit"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/repair"
)

// ObjectView is the object that a finding is about, with the faulty lines.
type ObjectView struct {
	State     string      `json:"state" enum:"live,snapshot,file,recorded,unavailable"`
	Reason    string      `json:"reason,omitempty" doc:"why it is unavailable, or what to know of it"`
	ReadAt    time.Time   `json:"readAt" format:"date-time"`
	Name      string      `json:"name" doc:"Deployment shop/till; of a file its path"`
	YAML      string      `json:"yaml" doc:"without managed fields; values of Secrets and what looks like a credential are replaced"`
	FirstLine int         `json:"firstLine" doc:"number of the first line of yaml"`
	Marks     []ObjectBit `json:"marks"`
}

// ObjectBit is some lines of an object that are at fault.
type ObjectBit struct {
	Line    int    `json:"line" doc:"counted from firstLine on; 0: it is in no line, such as a value of another object"`
	EndLine int    `json:"endLine"`
	Path    string `json:"path"`
	Found   any    `json:"found,omitempty"`
	Want    any    `json:"want,omitempty"`
	Message string `json:"message"`
}

// FixView is what to do about a finding.
type FixView struct {
	Available bool       `json:"available" doc:"there is a change to apply"`
	Reason    string     `json:"reason,omitempty" doc:"why there is none"`
	Verified  bool       `json:"verified" doc:"the rules judged the changed object: the finding is gone and no other came"`
	Steps     []string   `json:"steps"`
	Diff      string     `json:"diff,omitempty" doc:"unified"`
	Patch     *FixChange `json:"patch,omitempty"`
}

// FixChange is a change in a form to apply.
type FixChange struct {
	Kind     string `json:"kind" enum:"strategic,merge,json,update" doc:"of a Kubernetes patch; update: lines of a Dockerfile or of a package manager"`
	Body     string `json:"body"`
	Filename string `json:"filename"`
	Command  string `json:"command,omitempty"`
}

// Evidence adds the routes that show what a finding is about, and how to mend it.
func Evidence(a *API, b *browse.Browser, room *exhibit.Room) {
	type input struct {
		ByID
		InLang
	}
	ask := func(ctx context.Context, id int64) (exhibit.Question, error) {
		v := identity.From(ctx).Visible(identity.Read)
		s, err := b.Finding(ctx, v, id)
		if err != nil {
			return exhibit.Question{}, err
		}
		q := exhibit.Question{Target: s.TargetID, Project: s.TargetKind == "project", Finding: s.Finding,
			Sees: func(namespace string) bool { return identity.From(ctx).Can(identity.Read, s.TargetID, namespace) }}
		return q, nil
	}
	Add(a, Route{Method: http.MethodGet, Path: "/findings/{id}/object", ID: "get-finding-object", Tag: "Findings", Summary: "The object that a finding is about, as it is now", Action: identity.Read,
		Description: "Read from the cluster for this answer, with the faulty lines. A cluster that does not answer is no error: the state is unavailable."},
		func(ctx context.Context, in *input) (*One[ObjectView], error) {
			q, err := ask(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			lang, _ := in.in(ctx)
			o, err := room.Show(ctx, q)
			if err != nil {
				return nil, err
			}
			return &One[ObjectView]{Body: objectView(o, lang)}, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/findings/{id}/fix", ID: "get-finding-fix", Tag: "Findings", Summary: "How to mend a finding", Action: identity.Read,
		Description: "A change is offered only when the rules, run on the changed object, do not find the problem any more and no other one instead. Everything else is steps."},
		func(ctx context.Context, in *input) (*One[FixView], error) {
			q, err := ask(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			lang, _ := in.in(ctx)
			f, err := room.Fix(ctx, q)
			if err != nil {
				return nil, err
			}
			return &One[FixView]{Body: fixView(f, lang)}, nil
		})
}

func objectView(o *exhibit.Object, lang string) ObjectView {
	v := ObjectView{State: o.State, Reason: o.Reason.In(lang), ReadAt: o.ReadAt.UTC(), Name: o.Name, YAML: o.YAML, FirstLine: o.FirstLine, Marks: []ObjectBit{}}
	for _, m := range o.Marks {
		v.Marks = append(v.Marks, ObjectBit{Line: m.Line, EndLine: m.EndLine, Path: m.Path, Found: m.Found, Want: m.Want, Message: m.Message.In(lang)})
	}
	return v
}

func fixView(f repair.Fix, lang string) FixView {
	v := FixView{Available: f.Available, Reason: f.Reason.In(lang), Verified: f.Verified, Steps: inLang(f.Steps, lang), Diff: f.Diff}
	if p := f.Patch; p != nil {
		v.Patch = &FixChange{Kind: p.Kind, Body: p.Body, Filename: p.Filename, Command: p.Command}
	}
	return v
}

// inLang is texts in one language, never null.
func inLang(list []finding.Text, lang string) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = t.In(lang)
	}
	return out
}
