package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/registries"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
	"stockade.dev/stockade/internal/verdict"
)

// ImageVerdict is what the policies of a cluster say of an image now.
type ImageVerdict struct {
	Reference  string            `json:"reference" doc:"written out: registry/repository[:tag][@digest]"`
	Digest     string            `json:"digest,omitempty" doc:"that the reference stood for when it was last looked up"`
	ResolvedAt time.Time         `json:"resolvedAt,omitzero" format:"date-time"`
	State      policy.ImageState `json:"state" enum:"scanned,scanning,failed,unknown"`
	ScannedAt  time.Time         `json:"scannedAt,omitzero" format:"date-time" doc:"when the content was read"`
	MatchedAt  time.Time         `json:"matchedAt,omitzero" format:"date-time" doc:"when it was last held against advisories"`
	Reason     string            `json:"reason,omitempty" doc:"why it is not known, or what of it is not"`
	Cause      policy.Cause      `json:"cause,omitempty" enum:"forbidden,not-found,unreachable,slow,certificate,throttled,too-large,unsupported,broken,skipped" doc:"the reason in one word, where it has one"`
	Action     policy.Action     `json:"action" enum:"audit,warn,block," doc:"what a cluster that uses it now sees, as far as the image decides it: empty is let in"`
	Failed     []FailedCheck     `json:"failed" doc:"checks that do not hold"`
	Open       []UnsettledCheck  `json:"open" doc:"checks without a verdict: what the policy does then is its action"`
	Allowed    []NamedPolicy     `json:"allowed" doc:"policies that let the image in without a look"`
}

// NamedPolicy names a policy.
type NamedPolicy struct {
	ID   int64  `json:"id,string"`
	Name string `json:"name"`
}

// FailedCheck is a check of a policy that an image fails.
type FailedCheck struct {
	Policy  NamedPolicy   `json:"policy"`
	Check   int           `json:"check" doc:"place among the checks of the policy"`
	Kind    policy.Check  `json:"kind" enum:"vulnerability,malware,baseline,secret,unscanned,registry,signature,tag"`
	Action  policy.Action `json:"action" enum:"audit,warn,block"`
	Count   int           `json:"count,omitempty" doc:"of what was found"`
	Worst   string        `json:"worst,omitempty" doc:"severity"`
	Items   []string      `json:"items" doc:"the first few"`
	Message string        `json:"message"`
	Fix     string        `json:"fix,omitempty"`
}

// UnsettledCheck is a check of a policy without a verdict.
type UnsettledCheck struct {
	Policy NamedPolicy   `json:"policy"`
	Check  int           `json:"check"`
	Kind   policy.Check  `json:"kind" enum:"vulnerability,malware,baseline,secret,unscanned,registry,signature,tag"`
	Action policy.Action `json:"action" enum:"audit,warn,block"`
	Reason string        `json:"reason"`
	Cause  policy.Cause  `json:"cause,omitempty" enum:"forbidden,not-found,unreachable,slow,certificate,throttled,too-large,unsupported,broken,skipped" doc:"the reason in one word, where it has one"`
}

// imagesAsked is the body of a question about many images.
type imagesAsked struct {
	Target     int64    `json:"target,string" minimum:"1" doc:"id of the cluster whose policies are asked"`
	References []string `json:"references" minItems:"1" maxItems:"1000"`
}

// imagesToScan is the body of a scan of images.
type imagesToScan struct {
	Name       string      `json:"name,omitempty" maxLength:"200"`
	Target     int64       `json:"target,string,omitempty" doc:"id of a cluster: the images are scanned as its own. Absent: they belong to none"`
	Registry   int64       `json:"registry,string,omitempty" doc:"id of a registry that references without a host are in"`
	References []string    `json:"references" minItems:"1" maxItems:"1000"`
	Budget     task.Budget `json:"budget,omitzero"`
}

// VerdictParts are what the routes of verdicts stand on.
type VerdictParts struct {
	Verdicts   *verdict.Service
	Tasks      *task.Service
	Registries *registries.Book
	Now        func() time.Time
}

// verdictError gives what verdicts refuse its status.
func verdictError(err error) error {
	if errors.Is(err, policy.ErrReference) {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return taskError(err)
}

// Verdicts adds the routes of verdicts on images and of scans of images.
func Verdicts(a *API, p VerdictParts) {
	const tag = "Image verdicts"
	type one struct {
		InLang
		Target    int64  `query:"target" minimum:"1" required:"true" doc:"id of the cluster whose policies are asked"`
		Reference string `query:"reference" maxLength:"1000" required:"true"`
	}
	type many struct {
		InLang
		Body imagesAsked
	}
	ask := func(ctx context.Context, lang string, target int64, references []string) ([]ImageVerdict, error) {
		if !identity.From(ctx).Visible(identity.Read).Whole(target) {
			return nil, store.ErrNotFound
		}
		b, list, err := p.Verdicts.Look(ctx, target, references)
		if err != nil {
			return nil, verdictError(err)
		}
		out := make([]ImageVerdict, len(list))
		for i := range list {
			out[i] = verdictOf(b, &list[i], lang, p.Now())
		}
		return out, nil
	}
	Add(a, Route{Method: http.MethodGet, Path: "/image-verdicts", ID: "get-image-verdict", Tag: tag, Action: identity.Read, Summary: "What the policies of a cluster say of an image",
		Description: "From what is known: nothing is pulled and no registry is asked. POST /image-scans has images scanned."},
		func(ctx context.Context, in *one) (*One[ImageVerdict], error) {
			lang, _ := in.in(ctx)
			list, err := ask(ctx, lang, in.Target, []string{in.Reference})
			if err != nil {
				return nil, err
			}
			return &One[ImageVerdict]{Body: list[0]}, nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/image-verdicts", ID: "list-image-verdicts", Tag: tag, Action: identity.Read, Summary: "What the policies of a cluster say of many images",
		Description: "As GET /image-verdicts, one answer for each reference in the order asked."},
		func(ctx context.Context, in *many) (*List[ImageVerdict], error) {
			lang, _ := in.in(ctx)
			list, err := ask(ctx, lang, in.Body.Target, in.Body.References)
			if err != nil {
				return nil, err
			}
			return Listed(list, ""), nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/image-scans", ID: "scan-images", Tag: tag, Action: identity.Scan, Status: http.StatusCreated, Summary: "Scan images that need not run anywhere",
		Description: "Each is read once whatever asks for it; GET /tasks/{id}/items?kind=image has what became of each, GET /images/{digest} what is in it."},
		func(ctx context.Context, in *struct{ Body imagesToScan }) (*One[*task.Task], error) {
			r, err := p.request(ctx, &in.Body)
			if err != nil {
				return nil, err
			}
			t, err := p.Tasks.Create(ctx, r)
			if err != nil {
				return nil, verdictError(err)
			}
			return &One[*task.Task]{Body: t}, nil
		})
	idleImages(a, p)
}

// ImageFacts is what is wrong with an image, whoever runs it.
type ImageFacts struct {
	Digest          string               `json:"digest"`
	Index           string               `json:"index,omitempty" doc:"digest of the multi-platform index that led to it"`
	Reference       string               `json:"reference" doc:"under which it was read first"`
	ScannedAt       time.Time            `json:"scannedAt" format:"date-time"`
	MatchedAt       time.Time            `json:"matchedAt" format:"date-time"`
	NoAdvisories    string               `json:"noAdvisories,omitempty" doc:"why vulnerabilities are not known"`
	Gaps            []string             `json:"gaps" doc:"what was not looked at"`
	Vulnerabilities []ImageVulnerability `json:"vulnerabilities" doc:"the worst first, at most 1,000"`
	Hits            []ImageHit           `json:"hits" doc:"malicious files, secrets, unsafe settings; the worst first, at most 1,000"`
	Counts          map[string]int       `json:"counts" doc:"of all, by severity"`
}

// ImageVulnerability is a vulnerability of a package of an image.
type ImageVulnerability struct {
	ID        string           `json:"id"`
	Package   string           `json:"package"`
	Version   string           `json:"version"`
	Fixed     string           `json:"fixedVersion,omitempty"`
	Severity  finding.Severity `json:"severity"`
	EPSS      float64          `json:"epss,omitempty"`
	KEV       bool             `json:"kev,omitempty"`
	Published time.Time        `json:"published,omitzero" format:"date-time"`
	Path      string           `json:"path,omitempty"`
}

// ImageHit is something that a rule found in an image.
type ImageHit struct {
	Kind     finding.Kind     `json:"kind"`
	Rule     string           `json:"rule"`
	RuleID   string           `json:"ruleId"`
	Severity finding.Severity `json:"severity"`
	Title    string           `json:"title"`
	Path     string           `json:"path,omitempty"`
	Line     int              `json:"line,omitempty"`
	Found    string           `json:"found,omitempty"`
}

// idleImages adds the routes of images that run nowhere. They are of no cluster: who sees everything sees them.
func idleImages(a *API, p VerdictParts) {
	const tag = "Image verdicts"
	Add(a, Route{Method: http.MethodGet, Path: "/idle-images", ID: "list-idle-images", Tag: tag, Action: identity.Read, Summary: "Images that were scanned and run nowhere",
		Description: "Scanned by themselves, for admission, or when they still ran. They have no findings that live; GET /image-facts/{digest} tells what is wrong with one, GET /images/{digest} what is in it. For those who see everything; empty for others."},
		func(ctx context.Context, in *Paging) (*List[verdict.Idle], error) {
			if !identity.From(ctx).Visible(identity.Read).All {
				return Listed([]verdict.Idle{}, ""), nil
			}
			list, next, err := p.Verdicts.Idle(ctx, in.Page())
			if err != nil {
				return nil, err
			}
			return Listed(list, next), nil
		})
	type factsInput struct {
		InLang
		Digest string `path:"digest" pattern:"^sha256:[0-9a-f]{64}$" patternDescription:"sha256:..." doc:"of the image, or of the index that led to it"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/image-facts/{digest}", ID: "get-image-facts", Tag: tag, Action: identity.Read, Summary: "What is wrong with an image, whoever runs it",
		Description: "Held against the advisory database and the rules as scans do, without exceptions. For those who see everything: others see an image by its findings."},
		func(ctx context.Context, in *factsInput) (*One[ImageFacts], error) {
			if !identity.From(ctx).Visible(identity.Read).All {
				return nil, store.ErrNotFound
			}
			f, err := p.Verdicts.Facts(ctx, in.Digest)
			if err != nil {
				return nil, err
			}
			lang, _ := in.in(ctx)
			return &One[ImageFacts]{Body: factsOf(f, lang)}, nil
		})
}

// factsOf is facts as people read them.
func factsOf(f *verdict.Facts, lang string) ImageFacts {
	const most = 1000
	out := ImageFacts{Digest: f.Digest, Index: f.Index, Reference: f.Reference, ScannedAt: f.Scanned, MatchedAt: f.Matched, NoAdvisories: f.NoAdvisories, Gaps: f.Gaps,
		Vulnerabilities: []ImageVulnerability{}, Hits: []ImageHit{}, Counts: map[string]int{}}
	if out.Gaps == nil {
		out.Gaps = []string{}
	}
	for i := range f.Vulnerabilities {
		v := &f.Vulnerabilities[i]
		out.Counts[string(v.Severity)]++
		out.Vulnerabilities = append(out.Vulnerabilities, ImageVulnerability{ID: v.ID, Package: v.Package, Version: v.Version, Fixed: v.Fixed, Severity: v.Severity, EPSS: v.EPSS, KEV: v.KEV,
			Published: v.Published, Path: v.File})
	}
	for i := range f.Hits {
		h := &f.Hits[i]
		out.Counts[string(h.Severity)]++
		out.Hits = append(out.Hits, ImageHit{Kind: h.Kind, Rule: h.Rule, RuleID: h.RuleID, Severity: h.Severity, Title: h.Title.In(lang), Path: h.File, Line: h.Line, Found: h.Found})
	}
	slices.SortStableFunc(out.Vulnerabilities, func(x, y ImageVulnerability) int { return y.Severity.Rank() - x.Severity.Rank() })
	slices.SortStableFunc(out.Hits, func(x, y ImageHit) int { return y.Severity.Rank() - x.Severity.Rank() })
	out.Vulnerabilities, out.Hits = out.Vulnerabilities[:min(len(out.Vulnerabilities), most)], out.Hits[:min(len(out.Hits), most)]
	return out
}

// request makes the task of a scan of images, when who asks may have it.
func (p VerdictParts) request(ctx context.Context, in *imagesToScan) (task.Request, error) {
	r := task.Request{Name: in.Name, Origin: task.Manual, Budget: in.Budget}
	who := identity.From(ctx)
	if in.Target != 0 {
		if err := reaches(ctx, identity.Scan, []int64{in.Target}); err != nil {
			return r, err
		}
	} else if !who.Can(identity.Scan, 0, "") {
		return r, fmt.Errorf("%w: images of no cluster are for those who may scan everything: name a cluster", ErrForbidden)
	}
	host := ""
	if in.Registry != 0 {
		if !who.Can(identity.Scan, 0, "") {
			return r, store.ErrNotFound
		}
		reg, err := p.Registries.Get(ctx, in.Registry)
		if err != nil {
			return r, err
		}
		host = reg.Address + "/"
	}
	for _, ref := range in.References {
		r.Scope.Images = append(r.Scope.Images, task.Image{Target: in.Target, Reference: host + ref})
	}
	return r, nil
}

// verdictOf is a verdict as people read it.
func verdictOf(b *policy.Bundle, v *policy.ImageVerdict, lang string, now time.Time) ImageVerdict {
	out := ImageVerdict{Reference: v.Reference, Digest: v.Digest, ResolvedAt: v.Resolved, State: v.State, ScannedAt: v.Scanned, MatchedAt: v.Matched, Reason: policy.ReasonIn(lang, v.Reason), Cause: policy.CauseOf(v.Reason),
		Action: verdict.Action(b, v, now), Failed: []FailedCheck{}, Open: []UnsettledCheck{}, Allowed: []NamedPolicy{}}
	at := map[int64]*policy.Policy{}
	for i := range b.Policies {
		at[b.Policies[i].ID] = &b.Policies[i]
	}
	for i := range v.Failed {
		f := &v.Failed[i]
		if x := at[f.Policy]; x != nil {
			items := f.ItemsIn(lang)
			if items == nil {
				items = []string{}
			}
			out.Failed = append(out.Failed, FailedCheck{Policy: NamedPolicy{x.ID, x.Name}, Check: f.Check, Kind: f.Kind, Action: verdict.ActionOf(x, f.Check, now), Count: f.Count,
				Worst: f.Worst, Items: items, Message: f.Says(lang), Fix: f.Fix.In(lang)})
		}
	}
	for _, o := range v.Open {
		if x := at[o.Policy]; x != nil && o.Check < len(x.Checks) {
			out.Open = append(out.Open, UnsettledCheck{Policy: NamedPolicy{x.ID, x.Name}, Check: o.Check, Kind: x.Checks[o.Check].Check, Action: verdict.Unanswered(x, now), Reason: policy.ReasonIn(lang, o.Reason), Cause: policy.CauseOf(o.Reason)})
		}
	}
	for _, id := range v.Allowed {
		if x := at[id]; x != nil {
			out.Allowed = append(out.Allowed, NamedPolicy{x.ID, x.Name})
		}
	}
	return out
}
