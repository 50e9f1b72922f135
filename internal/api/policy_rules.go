package api

import (
	"context"
	"net/http"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/policy/book"
	"stockade.dev/stockade/internal/preview"
)

// PolicyRule is a rule or check that policies may use.
type PolicyRule struct {
	Rule       string              `json:"rule" doc:"workload/privileged-container; of image checks image/vulnerability"`
	ID         string              `json:"id,omitempty" doc:"STK-W-0001"`
	Title      string              `json:"title"`
	Why        string              `json:"why"`
	Fix        string              `json:"fix"`
	Severity   string              `json:"severity" enum:"critical,high,medium,low,info"`
	Risk       string              `json:"risk"`
	Type       string              `json:"type" enum:"security,compliance,image" doc:"image: a check of images; compliance: nothing but a clause of a framework asks for it"`
	Kinds      []string            `json:"kinds" doc:"what it looks at: Pod, Deployment.apps"`
	Params     []policy.Param      `json:"params"`
	Compliance []finding.ClauseRef `json:"compliance"`
	Active     int                 `json:"active" doc:"active findings of the rule that you see: about how many it would hit"`
}

func policyRules(a *API, p PolicyParts) {
	type input struct {
		InLang
		Q string `query:"q" maxLength:"200" doc:"words of the name, the id, the title, or another tool's id"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/policy-rules", ID: "list-policy-rules", Tag: "Policies", Action: identity.Read, Summary: "Rules of the library that can be enforced, and the checks of images",
		Description: "Every rule that judges one object alone."},
		func(ctx context.Context, in *input) (*List[PolicyRule], error) {
			lang, _ := in.in(ctx)
			var names []string
			var list []PolicyRule
			for _, r := range policy.Enforceable(p.Book.Library()) {
				if !r.Says(in.Q) {
					continue
				}
				list = append(list, PolicyRule{Rule: r.Name, ID: r.ID, Title: r.Title.In(lang), Why: r.Why.In(lang), Fix: r.Fix.In(lang), Severity: string(r.Severity), Risk: r.Risk,
					Type: policy.TypeOf(r), Kinds: some(policy.KindsOf(r)), Params: some(policy.ParamsOf(r)), Compliance: some(r.Clauses())})
				names = append(names, r.Name)
			}
			active, err := p.Browse.ActiveOf(ctx, identity.From(ctx).Visible(identity.Read), names)
			if err != nil {
				return nil, err
			}
			for i := range list {
				list[i].Active = active[list[i].Rule]
			}
			for _, c := range policy.Checks {
				t := policy.TextsOf(c)
				if in.Q == "" || t.Says(in.Q) {
					list = append(list, PolicyRule{Rule: c.Rule(), Title: t.Title.In(lang), Why: t.Why.In(lang), Fix: t.Fix.In(lang), Severity: string(t.Severity), Risk: "image", Type: "image",
						Kinds: some(policy.PodKinds()), Params: []policy.Param{}, Compliance: []finding.ClauseRef{}})
				}
			}
			return Listed(list, ""), nil
		})
}

// ByTemplate is the input of routes that name a template.
type ByTemplate struct {
	Name string `path:"name" maxLength:"253" doc:"metadata.name of the template"`
}

// templateInput is a template as it is given.
type templateInput struct{ Body policy.Template }

// templateChange is a change of a template.
type templateChange struct {
	ByTemplate
	Body policy.Template
}

func policyTemplates(a *API, b *book.Book) {
	const tag = "Policies"
	one := func(t *book.TemplateRecord, err error) (*One[book.TemplateRecord], error) {
		if err != nil {
			return nil, judged(err)
		}
		return &One[book.TemplateRecord]{Body: *t}, nil
	}
	Add(a, Route{Method: http.MethodGet, Path: "/policy-templates", ID: "list-policy-templates", Tag: tag, Action: identity.Read, Summary: "Your own ConstraintTemplates"},
		func(ctx context.Context, _ *struct{}) (*List[book.TemplateRecord], error) {
			list, err := b.Templates(ctx, identity.From(ctx).Visible(identity.Read))
			if err != nil {
				return nil, err
			}
			return Listed(list, ""), nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/policy-templates", ID: "add-policy-template", Tag: tag, Action: identity.Protect, Status: http.StatusCreated, Summary: "Add a ConstraintTemplate, in Rego or CEL",
		Description: "It is compiled by Gatekeeper's own engine before it is kept; errors name the line."},
		func(ctx context.Context, in *templateInput) (*One[book.TemplateRecord], error) {
			return one(b.SaveTemplate(ctx, in.Body, true))
		})
	Add(a, Route{Method: http.MethodGet, Path: "/policy-templates/{name}", ID: "get-policy-template", Tag: tag, Action: identity.Read, Summary: "One ConstraintTemplate"},
		func(ctx context.Context, in *ByTemplate) (*One[book.TemplateRecord], error) {
			return one(b.Template(ctx, identity.From(ctx).Visible(identity.Read), in.Name))
		})
	Add(a, Route{Method: http.MethodPut, Path: "/policy-templates/{name}", ID: "change-policy-template", Tag: tag, Action: identity.Protect, Summary: "Change a ConstraintTemplate"},
		func(ctx context.Context, in *templateChange) (*One[book.TemplateRecord], error) {
			in.Body.Name = in.ByTemplate.Name
			return one(b.SaveTemplate(ctx, in.Body, false))
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/policy-templates/{name}", ID: "delete-policy-template", Tag: tag, Action: identity.Protect, Summary: "Delete a ConstraintTemplate that no policy uses"},
		func(ctx context.Context, in *ByTemplate) (*struct{}, error) {
			return nil, judged(b.DeleteTemplate(ctx, in.Name))
		})
}

// PreviewBody is what a preview is asked for.
type PreviewBody struct {
	Policy     policy.Policy     `json:"policy" doc:"as it may become; it need not be kept"`
	Templates  []policy.Template `json:"templates,omitempty" maxItems:"50" doc:"that it uses and that are not kept yet"`
	Base       *PreviewBase      `json:"base,omitempty" doc:"a kept version to compare with"`
	Targets    []int64           `json:"targets,omitempty" maxItems:"50" doc:"ids of clusters; default: those of the policy's scope, else all that you operate"`
	ReplayDays int               `json:"replayDays,omitempty" minimum:"0" maximum:"90" doc:"judge the recorded admissions of so many days too; 0: none"`
	Limit      int               `json:"limit,omitempty" minimum:"0" maximum:"500" doc:"owners that are shown of a group; default 50"`
	Live       *bool             `json:"live,omitempty" doc:"look at what is there now; default true"`
}

// PreviewBase names a version of a policy.
type PreviewBase struct {
	ID      int64 `json:"id,string"`
	Version int   `json:"version,omitempty" minimum:"0" doc:"absent: the present one"`
}

func policyPreview(a *API, p PolicyParts) {
	Add(a, Route{Method: http.MethodPost, Path: "/policies/preview", ID: "preview-policy", Tag: "Policies", Action: identity.Protect, Summary: "What a policy would do, before it does anything",
		Description: "Judges the objects of clusters as they are now, and recorded admissions when it is asked to, with the engine that scans and admission use. Nothing is changed. " +
			"Dates of a roll-out are taken as past: it shows what the policy will do in the end."},
		func(ctx context.Context, in *One[PreviewBody]) (*One[preview.Result], error) {
			v := identity.From(ctx).Visible(identity.Protect)
			ask := preview.Question{Policy: in.Body.Policy, Templates: in.Body.Templates, Targets: in.Body.Targets, ReplayDays: in.Body.ReplayDays, Owners: in.Body.Limit,
				NoLive: in.Body.Live != nil && !*in.Body.Live}
			if in.Body.Base != nil {
				ask.BaseID, ask.BaseVersion = in.Body.Base.ID, in.Body.Base.Version
			}
			r, err := p.Preview.Ask(ctx, v, ask)
			if err != nil {
				return nil, judged(err)
			}
			return &One[preview.Result]{Body: *r}, nil
		})
}
