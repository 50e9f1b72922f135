package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/gatekeeper"
)

// KnownTemplate is what is known of a user's template.
type KnownTemplate struct {
	Name    string
	Kind    string
	Engines []string
	Params  []Param
	title   string
	read    *gatekeeper.Template
}

// ReadTemplate reads a template without compiling it.
func ReadTemplate(t Template) (*KnownTemplate, error) {
	g, err := gatekeeper.ReadTemplate(t.YAML)
	if err != nil {
		return nil, fmt.Errorf("yaml: %w", err)
	}
	k := &KnownTemplate{Name: g.Name, Kind: g.Kind, Engines: g.Engines, title: g.Title, read: g}
	for _, p := range g.Params {
		k.Params = append(k.Params, Param{Name: p.Name, Type: p.Type, Items: p.Items, Default: p.Default, Description: p.Description})
	}
	return k, nil
}

// TestTemplate reads a template and compiles it as Gatekeeper does. Errors name the line.
func TestTemplate(ctx context.Context, t Template) (*KnownTemplate, error) {
	k, err := ReadTemplate(t)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := k.read.Test(ctx); err != nil {
		return nil, fmt.Errorf("yaml: %w", err)
	}
	return k, nil
}

// KindsOf are the kinds that a template's constraint looks at: its own, else the policy's, else pods and what makes them.
func (u *TemplateUse) KindsOf(p *Policy) []string {
	switch {
	case len(u.Kinds) > 0:
		return u.Kinds
	case len(p.Scope.Kinds) > 0:
		return p.Scope.Kinds
	}
	return PodKinds()
}

// templates are the users' templates of all policies.
type templates struct {
	set  *gatekeeper.Set
	uses []templateUse
	of   []bool // by policy: it has some
}

type templateUse struct {
	use
	name  string
	title finding.Text
}

func newTemplates(ctx context.Context, b *Bundle, policies []*compiled, notes *[]Undecided) (*templates, error) {
	t := &templates{of: make([]bool, len(policies))}
	read := map[string]*KnownTemplate{}
	titles := map[string]finding.Text{}
	var list []gatekeeper.Use
	for _, x := range b.Templates {
		if k, err := ReadTemplate(x); err == nil {
			read[x.Name], titles[x.Name] = k, x.Title
		}
	}
	for i, c := range policies {
		for k := range c.policy.Templates {
			u := &c.policy.Templates[k]
			known := read[u.Template]
			if known == nil {
				*notes = append(*notes, Undecided{Policy: c.policy.ID, Rule: "template/" + u.Template, Action: Audit, Reason: "there is no such template, or it cannot be read"})
				continue
			}
			title := titles[u.Template]
			if title.EN == "" {
				title = finding.Text{EN: known.title, ZH: known.title}
			}
			if title.EN == "" {
				title = finding.Text{EN: known.Kind, ZH: known.Kind}
			}
			t.uses = append(t.uses, templateUse{use{i, c.policy.actionOf(u.Action)}, u.Template, title})
			t.of[i] = true
			list = append(list, gatekeeper.Use{Template: known.read, Params: u.Params, Kinds: u.KindsOf(c.policy)})
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	set, errs, err := gatekeeper.NewSet(ctx, list)
	if err != nil {
		return nil, err
	}
	for i, err := range errs {
		if err != nil {
			u := t.uses[i]
			*notes = append(*notes, Undecided{Policy: policies[u.policy].policy.ID, Rule: "template/" + u.name, Action: Audit, Reason: err.Error()})
		}
	}
	t.set = set
	return t, nil
}

// TryTemplates makes the constraints of a policy's templates as Gatekeeper would, and says which it refuses: parameters that the schema
// does not have, templates that do not compile. It is for policies that Validate has taken.
func TryTemplates(ctx context.Context, p *Policy, templates []Template) error {
	if len(p.Templates) == 0 {
		return nil
	}
	var list []gatekeeper.Use
	for i := range p.Templates {
		u := &p.Templates[i]
		k := slices.IndexFunc(templates, func(t Template) bool { return t.Name == u.Template })
		if k < 0 {
			return fmt.Errorf("templates[%d].template: there is no template %q", i, u.Template)
		}
		known, err := ReadTemplate(templates[k])
		if err != nil {
			return fmt.Errorf("templates[%d].template: %w", i, err)
		}
		list = append(list, gatekeeper.Use{Template: known.read, Params: u.Params, Kinds: u.KindsOf(p)})
	}
	_, faults, err := gatekeeper.NewSet(ctx, list)
	if err != nil {
		return err
	}
	var errs []error
	for i, err := range faults {
		if err != nil {
			errs = append(errs, fmt.Errorf("templates[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// slowest is how long users' templates may take over one object.
const slowest = 2 * time.Second

func (w *work) templates(ctx context.Context) {
	s := w.session
	t := s.judge.templates
	if t == nil {
		return
	}
	asked := false
	for i, has := range t.of {
		asked = asked || has && s.applies(i)
	}
	if !asked {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, slowest)
	defer cancel()
	r := w.request
	results, err := t.set.Review(ctx, gatekeeper.Review{Object: r.Object, Old: r.Old, Operation: r.Operation, SubResource: r.SubResource, User: r.User, Groups: r.Groups,
		Namespace: w.about.space})
	if err != nil {
		for i := range t.uses {
			if u := &t.uses[i]; s.applies(u.policy) {
				w.undecided(Undecided{Policy: s.judge.policies[u.policy].policy.ID, Rule: "template/" + u.name, Action: Audit, Reason: err.Error()})
			}
		}
		return
	}
	for _, x := range results {
		u := &t.uses[x.Use]
		if !s.applies(u.policy) {
			continue
		}
		p := s.judge.policies[u.policy].policy
		message := finding.Text{EN: x.Message, ZH: x.Message}
		w.add(Violation{Policy: p.ID, Version: p.Version, Name: p.Name, Rule: "template/" + u.name, Action: p.Rollout.At(u.action, w.at()), Severity: finding.High,
			Title: u.title, Message: message, Fix: finding.Text{EN: "Change the object so that it meets the template " + u.name + ".", ZH: "修改对象，使其满足模板 " + u.name + "。"}}, s.judge.policies[u.policy], nil, nil)
	}
}
