package policy

import (
	"context"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
)

// images judges the images of the object by the checks of each policy.
func (w *work) images(ctx context.Context) {
	s := w.session
	var uses []Use
	var old map[string]bool
	asked := &answers{images: s.judge.images, namespace: w.about.namespace}
	for i, c := range s.judge.policies {
		if !c.checks || !s.applies(i) {
			continue
		}
		if uses == nil {
			if uses = ImagesOf(w.request.Object); len(uses) == 0 {
				return
			}
			asked.secrets = PullSecrets(w.request.Object)
			if w.request.Operation == "UPDATE" && w.request.Old != nil {
				old = map[string]bool{}
				for _, u := range ImagesOf(w.request.Old) {
					old[u.Image] = true
				}
			}
		}
		for _, u := range uses {
			if old[u.Image] || !c.scope.judges(u.Image) {
				continue
			}
			var x answer
			if c.asks {
				x = asked.of(ctx, u.Image)
			}
			w.image(c, u, c.image(x.verdict, x.err, u.Image, w.at()))
		}
	}
}

// answers are what was said of the images of one request: fifty containers of one image are one question.
type answers struct {
	images    Images
	namespace string
	secrets   []string
	known     map[string]answer
}

type answer struct {
	verdict *ImageVerdict
	err     error
}

func (a *answers) of(ctx context.Context, image string) answer {
	if x, ok := a.known[image]; ok || a.images == nil {
		return x
	}
	var x answer
	x.verdict, x.err = a.images.Verdict(ctx, image, a.namespace, a.secrets)
	if a.known == nil {
		a.known = map[string]answer{}
	}
	a.known[image] = x
	return x
}

// image adds what a policy says of an image that a container names.
func (w *work) image(c *compiled, u Use, r imageResult) {
	for _, v := range c.violations(u.Image, r, w.at()) {
		v.says()
		v.Container, v.Path = u.Container, u.Path
		w.add(v, c, nil, nil)
	}
	if r.undecided != "" {
		w.undecided(c.doubt(u.Image, r, w.at()))
	}
}

// says writes the message of a violation of an image check.
func (v *Violation) says() {
	f := Failure{Kind: Check(strings.TrimPrefix(v.Rule, "image/")), Count: v.count, Items: v.Items, ItemsZH: v.itemsZH, Message: v.lead}
	text := f.Text()
	v.Message = finding.Text{EN: v.Title.EN + ": " + short(v.Image) + ": " + text.EN, ZH: v.Title.ZH + "：" + short(v.Image) + "：" + text.ZH}
}

// violations are the failures of an image as violations of the policy, without their messages.
func (c *compiled) violations(image string, r imageResult, at time.Time) []Violation {
	p := c.policy
	out := make([]Violation, 0, len(r.failures))
	for i := range r.failures {
		f := &r.failures[i]
		t := TextsOf(f.Kind)
		v := Violation{Policy: p.ID, Version: p.Version, Name: p.Name, Rule: f.Kind.Rule(), Action: p.Rollout.At(p.actionOf(p.Checks[f.Check].Action), at),
			Severity: t.Severity, Title: t.Title, Fix: t.Fix, Image: image, Digest: r.digest, Items: f.Items, itemsZH: f.ItemsZH, lead: f.Message, count: f.Count, Unless: f.Pardons}
		if sev := finding.Severity(f.Worst); sev.Rank() >= 0 && f.Worst != "" {
			v.Severity = sev
		}
		if f.Fix.EN != "" {
			v.Fix = f.Fix
		}
		out = append(out, v)
	}
	return out
}

func (c *compiled) doubt(image string, r imageResult, at time.Time) Undecided {
	return Undecided{Policy: c.policy.ID, Rule: "image", Image: image, Action: c.policy.Rollout.At(c.policy.unanswered(), at), Reason: r.undecided}
}

// Image decides on one image by one policy's checks of one action, as Gatekeeper asks the provider. Exceptions are not asked: they
// are about workloads, which the question does not name; Violation.Unless says who may ask them. Violations have no Message: the answer is
// what Bundle.ImageRefusal says. Undecided comes with the action that the policy has for it, whatever action is asked about.
func (j *Judge) Image(ctx context.Context, k ImageKey, at time.Time) ([]Violation, []Undecided) {
	var out []Violation
	for _, c := range j.policies {
		if c.policy.ID != k.Policy || !c.checks {
			continue
		}
		if !c.scope.judges(k.Image) {
			return nil, nil
		}
		var v *ImageVerdict
		var err error
		if c.asks && j.images != nil {
			v, err = j.images.Verdict(ctx, k.Image, k.Namespace, k.PullSecrets)
		}
		r := c.image(v, err, k.Image, at)
		for _, x := range c.violations(k.Image, r, at) {
			if x.Action == k.Action {
				out = append(out, x)
			}
		}
		if r.undecided != "" {
			return out, []Undecided{c.doubt(k.Image, r, at)}
		}
		return out, nil
	}
	return nil, nil
}
