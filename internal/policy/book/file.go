package book

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// Imported says what an import did, or would do, with one document.
type Imported struct {
	Kind    string   `json:"kind" enum:"policy,template"`
	Name    string   `json:"name"`
	ID      int64    `json:"id,string,omitempty" doc:"of a policy; absent for one that would be added"`
	Done    string   `json:"done" enum:"added,changed,unchanged"`
	Changes []Change `json:"changes" doc:"of a policy that was there"`
}

// Import adds and changes policies and templates as a file says. With dryRun it only tells. Everything is looked at before anything is
// done; what then fails all the same ends the import, and the error says how far it came.
func (b *Book) Import(ctx context.Context, data []byte, note string, dryRun bool) ([]Imported, error) {
	f, err := policy.ReadFile(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	v := identity.From(ctx).Visible(identity.Read)
	all, err := b.List(ctx, v, Filter{})
	if err != nil {
		return nil, err
	}
	var out []Imported
	var todo []policy.Policy
	var errs []error
	for _, t := range f.Templates {
		one, err := b.importTemplate(ctx, t, true) // nothing is kept before everything is found good
		if err != nil {
			errs = append(errs, fmt.Errorf("template %s: %w", t.Name, err))
			continue
		}
		out = append(out, one)
	}
	seen := map[string]bool{}
	for i := range f.Policies {
		p := &f.Policies[i]
		if seen[p.Policy.Name] {
			errs = append(errs, invalid("line %d: the policy %q stands in the file twice", p.Line, p.Policy.Name))
			continue
		}
		seen[p.Policy.Name] = true
		one, next, err := b.planned(ctx, v, p, all, f.Templates)
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: policy %q: %w", p.Line, p.Policy.Name, err))
			continue
		}
		out, todo = append(out, one), append(todo, next)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if dryRun {
		return out, nil
	}
	for _, t := range f.Templates {
		if _, err := b.importTemplate(ctx, t, false); err != nil {
			return nil, fmt.Errorf("template %s: %w", t.Name, err)
		}
	}
	for i, p := range todo {
		at := len(out) - len(todo) + i
		if out[at].Done == "unchanged" {
			continue
		}
		r, err := b.Save(ctx, p, note)
		if err != nil {
			return nil, fmt.Errorf("policy %q, after %d of %d: %w", p.Name, i, len(todo), err)
		}
		out[at].ID = r.ID
	}
	return out, nil
}

func (b *Book) importTemplate(ctx context.Context, t policy.Template, dryRun bool) (Imported, error) {
	one := Imported{Kind: "template", Name: t.Name, Done: "added", Changes: []Change{}}
	var r templateRow
	err := store.NotFound(b.o.DB.R.NewSelect().Model(&r).Where("name = ?", t.Name).Scan(ctx))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return one, err
	}
	if err == nil {
		old, err := r.template()
		if err != nil {
			return one, err
		}
		if old.YAML == t.YAML {
			one.Done = "unchanged"
			return one, nil
		}
		one.Done = "changed"
		t.Title, t.Description = old.Title, old.Description
	}
	if dryRun {
		if !identity.From(ctx).Can(identity.Protect, 0, "") {
			return one, fmt.Errorf("%w: templates are of the whole server", ErrForbidden)
		}
		_, err := policy.TestTemplate(ctx, t)
		if err != nil {
			return one, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return one, nil
	}
	_, err = b.SaveTemplate(ctx, t, one.Done == "added")
	return one, err
}

// planned is what a policy of a file becomes.
func (b *Book) planned(ctx context.Context, v identity.Visible, f *policy.FilePolicy, all []Record, templates []policy.Template) (Imported, policy.Policy, error) {
	p := f.Policy
	one := Imported{Kind: "policy", Name: p.Name, Done: "added", Changes: []Change{}}
	var err error
	if p.Scope.Clusters, err = b.clusterIDs(ctx, v, f.Clusters); err != nil {
		return one, p, err
	}
	kept, err := b.TemplatesOf(ctx, []policy.Policy{p})
	if err != nil {
		return one, p, err
	}
	known := slices.Concat(templates, kept)
	if err := policy.Validate(&p, b.o.Library, known); err != nil {
		return one, p, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := policy.TryTemplates(ctx, &p, known); err != nil {
		return one, p, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := mayChange(ctx, p.Scope.Clusters); err != nil {
		return one, p, err
	}
	for i := range all {
		if all[i].Name == p.Name {
			p.ID, p.Version, one.ID = all[i].ID, all[i].Version, all[i].ID
			one.Done = "unchanged"
			if one.Changes = Compare(all[i].Policy, p); len(one.Changes) > 0 {
				one.Done = "changed"
			}
		}
	}
	return one, p, nil
}

// clusterIDs finds the clusters that a file names.
func (b *Book) clusterIDs(ctx context.Context, v identity.Visible, names []string) ([]int64, error) {
	if len(names) == 0 {
		return nil, nil
	}
	list, err := b.Clusters(ctx)
	if err != nil {
		return nil, err
	}
	var out []int64
	for _, n := range names {
		id := int64(0)
		for _, t := range list {
			if t.Name == n && v.Sees(t.ID) {
				id = t.ID
			}
		}
		if number, err := strconv.ParseInt(n, 10, 64); err == nil && id == 0 && v.Sees(number) {
			id = number
		}
		if id == 0 && !v.All {
			return nil, store.ErrNotFound // whether there is one of this name is not said
		}
		if id == 0 {
			return nil, invalid("scope.clusters: there is no cluster %q", n)
		}
		out = append(out, id)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Clusters lists the clusters that there are, by name.
func (b *Book) Clusters(ctx context.Context) ([]ledger.Target, error) {
	var list []ledger.Target
	err := b.o.DB.R.NewSelect().Model(&list).Where("kind = 'cluster' AND removed_at = 0").OrderExpr("name, id").Scan(ctx)
	return list, err
}

// Export writes policies that v shows, and the templates that they use, as a file. No ids are all.
func (b *Book) Export(ctx context.Context, v identity.Visible, ids []int64) ([]byte, error) {
	list, err := b.List(ctx, v, Filter{})
	if err != nil {
		return nil, err
	}
	var out []policy.Policy
	for i := range list {
		if len(ids) == 0 || slices.Contains(ids, list[i].ID) {
			out = append(out, list[i].Policy)
		}
	}
	if len(ids) > 0 && len(out) != len(unique(ids)) {
		return nil, store.ErrNotFound
	}
	templates, err := b.TemplatesOf(ctx, out)
	if err != nil {
		return nil, err
	}
	clusters, err := b.Clusters(ctx)
	if err != nil {
		return nil, err
	}
	names := map[int64]string{}
	for _, t := range clusters {
		if v.Sees(t.ID) {
			names[t.ID] = t.Name
		}
	}
	var text bytes.Buffer
	err = policy.WriteFile(&text, out, templates, names)
	return text.Bytes(), err
}

func unique(ids []int64) []int64 {
	out := slices.Clone(ids)
	slices.Sort(out)
	return slices.Compact(out)
}
