package book

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// TemplateRecord is a user's template as it is kept.
type TemplateRecord struct {
	policy.Template
	Kind      string           `json:"kind" doc:"of its constraints"`
	Engines   []string         `json:"engines" doc:"Rego, K8sNativeValidation: what it is written in"`
	Params    []policy.Param   `json:"params" doc:"what can be set, by the template's schema"`
	Policies  []TemplatePolicy `json:"policies" doc:"that use it, of those that you see"`
	CreatedAt store.Time       `json:"createdAt" format:"date-time"`
	CreatedBy string           `json:"createdBy"`
	UpdatedAt store.Time       `json:"updatedAt" format:"date-time"`
	UpdatedBy string           `json:"updatedBy"`
}

// TemplatePolicy is a policy that uses a template.
type TemplatePolicy struct {
	ID   int64  `json:"id,string"`
	Name string `json:"name"`
}

type templateRow struct {
	bun.BaseModel `bun:"table:policy_templates,alias:t"`

	Name      string     `bun:"name,pk"`
	Kind      string     `bun:"kind"`
	Body      string     `bun:"body"`
	Engines   string     `bun:"engines"`
	CreatedAt store.Time `bun:"created_at"`
	CreatedBy string     `bun:"created_by"`
	UpdatedAt store.Time `bun:"updated_at"`
	UpdatedBy string     `bun:"updated_by"`
}

func (r *templateRow) template() (policy.Template, error) {
	var t policy.Template
	if err := json.Unmarshal([]byte(r.Body), &t); err != nil {
		return t, fmt.Errorf("template %s as it is kept: %w", r.Name, err)
	}
	t.Name = r.Name
	return t, nil
}

func (r *templateRow) record() (*TemplateRecord, error) {
	t, err := r.template()
	if err != nil {
		return nil, err
	}
	out := &TemplateRecord{Template: t, Kind: r.Kind, Engines: strings.Fields(r.Engines), Policies: []TemplatePolicy{}, Params: []policy.Param{},
		CreatedAt: r.CreatedAt, CreatedBy: r.CreatedBy, UpdatedAt: r.UpdatedAt, UpdatedBy: r.UpdatedBy}
	if known, err := policy.ReadTemplate(t); err == nil {
		out.Params = append(out.Params, known.Params...)
	}
	return out, nil
}

// TemplatesOf gives the kept templates that policies use, by name. What is not kept is left out: Validate tells of it.
func (b *Book) TemplatesOf(ctx context.Context, list []policy.Policy) ([]policy.Template, error) {
	var names []string
	for i := range list {
		for _, u := range list[i].Templates {
			if !slices.Contains(names, u.Template) {
				names = append(names, u.Template)
			}
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	var rows []templateRow
	if err := b.o.DB.R.NewSelect().Model(&rows).Where("name IN (?)", bun.List(names)).OrderExpr("name").Scan(ctx); err != nil {
		return nil, err
	}
	out := make([]policy.Template, 0, len(rows))
	for i := range rows {
		t, err := rows[i].template()
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// Templates lists the kept templates by name.
func (b *Book) Templates(ctx context.Context, v identity.Visible) ([]TemplateRecord, error) {
	var rows []templateRow
	if err := b.o.DB.R.NewSelect().Model(&rows).OrderExpr("name").Scan(ctx); err != nil {
		return nil, err
	}
	users, err := b.users(ctx, v)
	if err != nil {
		return nil, err
	}
	out := make([]TemplateRecord, 0, len(rows))
	for i := range rows {
		t, err := rows[i].record()
		if err != nil {
			return nil, err
		}
		t.Policies = append(t.Policies, users[t.Name]...)
		out = append(out, *t)
	}
	return out, nil
}

// Template gives one.
func (b *Book) Template(ctx context.Context, v identity.Visible, name string) (*TemplateRecord, error) {
	r := &templateRow{}
	if err := b.o.DB.R.NewSelect().Model(r).Where("name = ?", name).Scan(ctx); err != nil {
		return nil, store.NotFound(err)
	}
	t, err := r.record()
	if err != nil {
		return nil, err
	}
	users, err := b.users(ctx, v)
	if err != nil {
		return nil, err
	}
	t.Policies = append(t.Policies, users[name]...)
	return t, nil
}

// users are the policies that use each template.
func (b *Book) users(ctx context.Context, v identity.Visible) (map[string][]TemplatePolicy, error) {
	list, err := b.List(ctx, v, Filter{})
	if err != nil {
		return nil, err
	}
	out := map[string][]TemplatePolicy{}
	for i := range list {
		for _, u := range list[i].Templates {
			out[u.Template] = append(out[u.Template], TemplatePolicy{list[i].ID, list[i].Name})
		}
	}
	return out, nil
}

// SaveTemplate keeps a template that the engine takes. With fresh there must not be one of its name yet, else there must be.
func (b *Book) SaveTemplate(ctx context.Context, t policy.Template, fresh bool) (*TemplateRecord, error) {
	if !identity.From(ctx).Can(identity.Protect, 0, "") {
		return nil, fmt.Errorf("%w: templates are of the whole server", ErrForbidden)
	}
	known, err := policy.TestTemplate(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if t.Name != "" && t.Name != known.Name {
		return nil, invalid("name: it is %q, but metadata.name of the template is %q", t.Name, known.Name)
	}
	t.Name = known.Name
	now := store.At(b.o.Now())
	var out *TemplateRecord
	err = b.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		r := &templateRow{}
		err := store.NotFound(tx.NewSelect().Model(r).Where("name = ?", t.Name).Scan(ctx))
		there := err == nil
		switch {
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return err
		case there && fresh:
			return fmt.Errorf("%w: there is a template with the name %q already", ErrConflict, t.Name)
		case !there && !fresh:
			return store.ErrNotFound
		}
		var before any
		action := "policy-template.add"
		if there {
			old, err := r.template()
			if err != nil {
				return err
			}
			if r.Kind != known.Kind {
				return invalid("spec.crd.spec.names.kind: it was %s and cannot change: constraints of the old kind are in clusters", r.Kind)
			}
			before, action = old, "policy-template.change"
		} else {
			if err := b.roomFor(ctx, tx, known.Kind); err != nil {
				return err
			}
			r = &templateRow{Name: t.Name, CreatedAt: now, CreatedBy: who(ctx)}
		}
		keep := t
		data, err := json.Marshal(keep)
		if err != nil {
			return err
		}
		r.Kind, r.Body, r.Engines, r.UpdatedAt, r.UpdatedBy = known.Kind, string(data), strings.Join(known.Engines, " "), now, who(ctx)
		if there {
			_, err = tx.NewUpdate().Model(r).WherePK().Exec(ctx)
		} else {
			_, err = tx.NewInsert().Model(r).Exec(ctx)
		}
		if err != nil {
			return err
		}
		if out, err = r.record(); err != nil {
			return err
		}
		return audit.Record(ctx, tx, action, "policy template "+t.Name, 0, before, t)
	})
	if err != nil {
		return nil, err
	}
	b.tell(ctx, 0, nil)
	return out, nil
}

// roomFor asks whether another template of a kind can be kept.
func (b *Book) roomFor(ctx context.Context, tx bun.Tx, kind string) error {
	n, err := tx.NewSelect().Model((*templateRow)(nil)).Count(ctx)
	if err != nil {
		return err
	}
	if n >= maxTemplates {
		return invalid("there are %d templates already", n)
	}
	same, err := tx.NewSelect().Model((*templateRow)(nil)).Where("kind = ?", kind).Count(ctx)
	if err != nil {
		return err
	}
	if same > 0 {
		return fmt.Errorf("%w: another template makes the kind %s", ErrConflict, kind)
	}
	return nil
}

// DeleteTemplate forgets a template that no policy uses.
func (b *Book) DeleteTemplate(ctx context.Context, name string) error {
	if !identity.From(ctx).Can(identity.Protect, 0, "") {
		return fmt.Errorf("%w: templates are of the whole server", ErrForbidden)
	}
	err := b.o.DB.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		r := &templateRow{}
		if err := tx.NewSelect().Model(r).Where("name = ?", name).Scan(ctx); err != nil {
			return store.NotFound(err)
		}
		rows, err := b.rows(ctx, tx, 0)
		if err != nil {
			return err
		}
		for _, row := range rows {
			p, err := row.policy()
			if err != nil {
				return err
			}
			if p.Uses("template/" + name) {
				return fmt.Errorf("%w: policy %q uses the template", ErrConflict, p.Name)
			}
		}
		old, err := r.template()
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(r).WherePK().Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "policy-template.delete", "policy template "+name, 0, old, nil)
	})
	if err == nil {
		b.tell(ctx, 0, nil)
	}
	return err
}
