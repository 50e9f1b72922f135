package book

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/live"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/rules"
)

var library = sync.OnceValues(func() (*rule.Library, error) { return rule.Load(rules.FS) })

const privileged = "workload/privileged-container"

func open(t *testing.T, db *store.DB) (*Book, *live.Hub) {
	t.Helper()
	lib, err := library()
	if err != nil {
		t.Fatal(err)
	}
	hub := live.New(db, nil)
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	return New(Options{DB: db, Library: lib, Hub: hub, Now: func() time.Time { at = at.Add(time.Minute); return at }}), hub
}

func cluster(t *testing.T, db *store.DB, name string) int64 {
	t.Helper()
	var id int64
	err := db.Write(t.Context(), func(ctx context.Context, tx bun.Tx) error {
		return tx.NewRaw("INSERT INTO targets (kind, name, created_at) VALUES ('cluster', ?, 1) RETURNING id", name).Scan(ctx, &id)
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func as(t *testing.T, name string, grants ...identity.Grant) context.Context {
	return identity.With(t.Context(), &identity.Principal{UserID: 1, Name: name, Grants: grants})
}

func root(t *testing.T) context.Context {
	return as(t, "root", identity.Grant{Role: identity.Administrator})
}

func everything(ctx context.Context) identity.Visible {
	return identity.From(ctx).Visible(identity.Read)
}

func simple(name string, clusters ...int64) policy.Policy {
	return policy.Policy{Name: name, Action: policy.Warn, Rules: []policy.RuleUse{{Rule: privileged}}, Scope: policy.Scope{Clusters: clusters}}
}

func TestVersions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b, hub := open(t, db)
		ctx := root(t)
		listen, stop := context.WithCancel(ctx)
		defer stop()
		news := hub.Subscribe(listen, func(e live.Event) bool { return e.Topic == Topic })
		r, err := b.Save(ctx, simple(" shop "), "first")
		if err != nil || r.ID == 0 || r.Version != 1 || r.Name != "shop" || r.CreatedBy != "root" {
			t.Fatal(r, err)
		}
		if e := <-news; e.ID != r.ID || e.Target != 0 {
			t.Error(e)
		}
		next := r.Policy
		next.Action = policy.Block
		next.Rules = append(next.Rules, policy.RuleUse{Rule: "escape/host-pid", Action: policy.Audit})
		next.Scope.Namespaces = []string{"shop-*"}
		r2, err := b.Save(as(t, "eve", identity.Grant{Role: identity.Operator}), next, "")
		if err != nil || r2.Version != 2 || r2.UpdatedBy != "eve" || r2.CreatedBy != "root" {
			t.Fatal(r2, err)
		}
		if _, err := b.Save(ctx, next, ""); !errors.Is(err, ErrConflict) {
			t.Errorf("a save of version 1: %v", err)
		}
		if same, err := b.Save(ctx, r2.Policy, ""); err != nil || same.Version != 2 {
			t.Error("a save that changes nothing", same, err)
		}
		list, after, err := b.Versions(ctx, everything(ctx), r.ID, store.Page{})
		if err != nil || len(list) != 2 || after != "" || list[1].Note != "first" {
			t.Fatal(list, after, err)
		}
		var got []string
		for _, c := range list[0].Changes {
			got = append(got, fmt.Sprint(c.Path, ": ", c.Before, " -> ", c.After))
		}
		want := "action: warn -> block\nrules[escape/host-pid]: <nil> -> map[action:audit rule:escape/host-pid]\nscope.namespaces[shop-*]: <nil> -> shop-*"
		if strings.Join(got, "\n") != want {
			t.Errorf("changes:\n%s", strings.Join(got, "\n"))
		}
		full, err := b.Version(ctx, everything(ctx), r.ID, 1)
		if err != nil || full.Policy.Action != policy.Warn || full.Policy.ID != r.ID || full.By != "root" {
			t.Error(full, err)
		}
		if _, err := b.Save(ctx, simple("shop"), ""); !errors.Is(err, ErrConflict) {
			t.Errorf("a second of the name: %v", err)
		}
		if err := b.Delete(ctx, r.ID, 1); !errors.Is(err, ErrConflict) {
			t.Errorf("deleting version 1: %v", err)
		}
		if err := b.Delete(ctx, r.ID, 2); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Get(ctx, everything(ctx), r.ID); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if list, _, err := b.Versions(ctx, everything(ctx), r.ID, store.Page{}); err != nil || len(list) != 3 || !list[0].Deleted {
			t.Error("versions of a deleted policy", list, err)
		}
		if again, err := b.Save(ctx, simple("shop"), ""); err != nil || again.ID == r.ID {
			t.Error("the name is free again", again, err)
		}
		audited(t, db, "policy.add", 2)
		audited(t, db, "policy.change", 1)
		audited(t, db, "policy.delete", 1)
		if n, err := db.R.NewSelect().Model((*outbox.Message)(nil)).Where("topic = ?", outbox.PolicyChanged).Count(ctx); err != nil || n != 4 {
			t.Error("messages", n, err)
		}
	})
}

func audited(t *testing.T, db *store.DB, action string, want int64) {
	t.Helper()
	n, err := db.R.NewSelect().Model((*audit.Entry)(nil)).Where("action = ?", action).Count(t.Context())
	if err != nil || n != want {
		t.Errorf("%s: %d entries, %v", action, n, err)
	}
}

// TestSameMoment: of two who change one version at the same moment one is told.
func TestSameMoment(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b, _ := open(t, db)
		ctx := root(t)
		r, err := b.Save(ctx, simple("shop"), "")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				p := r.Policy
				p.Description = fmt.Sprint("by ", i)
				_, errs[i] = b.Save(ctx, p, "")
			})
		}
		wg.Wait()
		good := 0
		for _, err := range errs {
			if err == nil {
				good++
			} else if !errors.Is(err, ErrConflict) {
				t.Error(err)
			}
		}
		if good != 1 {
			t.Errorf("%d were taken", good)
		}
	})
}

func TestRights(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b, _ := open(t, db)
		ctx := root(t)
		alpha, beta := cluster(t, db, "alpha"), cluster(t, db, "beta")
		operator := as(t, "operator", identity.Grant{Role: identity.Operator, Target: alpha})
		shop := as(t, "shop", identity.Grant{Role: identity.Operator, Target: alpha, Namespace: "shop"})
		if _, err := b.Save(operator, simple("everywhere"), ""); !errors.Is(err, ErrForbidden) {
			t.Error("everywhere by the operator of alpha", err)
		}
		mine, err := b.Save(operator, simple("mine", alpha), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Save(operator, simple("theirs", beta), ""); !errors.Is(err, store.ErrNotFound) {
			t.Error("in beta by the operator of alpha", err)
		}
		if _, err := b.Save(shop, simple("part", alpha), ""); !errors.Is(err, ErrForbidden) {
			t.Error("in alpha by the operator of a namespace", err)
		}
		if _, err := b.Save(ctx, simple("nowhere", 99), ""); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "scope.clusters") {
			t.Error("in no cluster", err)
		}
		both, err := b.Save(ctx, simple("both", alpha, beta), "")
		if err != nil {
			t.Fatal(err)
		}
		seen, err := b.Get(operator, everything(operator), both.ID)
		if err != nil || len(seen.Scope.Clusters) != 1 || seen.Scope.Clusters[0] != alpha {
			t.Error("clusters that are not seen", seen, err)
		}
		if _, err := b.Save(operator, seen.Policy, ""); !errors.Is(err, ErrForbidden) {
			t.Error("changing what holds elsewhere too", err)
		}
		if err := b.Delete(operator, both.ID, 0); !errors.Is(err, ErrForbidden) {
			t.Error(err)
		}
		other, err := b.Save(ctx, simple("other", beta), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{b.Delete(operator, other.ID, 0), func() error {
			_, _, err := b.Versions(operator, everything(operator), other.ID, store.Page{})
			return err
		}()} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Error("of another cluster:", err)
			}
		}
		off := simple("off", alpha)
		off.Disabled = true
		if _, err := b.Save(ctx, off, ""); err != nil {
			t.Fatal(err)
		}
		list, _, err := b.ForTarget(ctx, alpha)
		if err != nil || len(list) != 2 || list[0].ID != mine.ID || list[1].ID != both.ID {
			t.Error("in force in alpha", list, err)
		}
		if list, err := b.List(operator, everything(operator), Filter{}); err != nil || len(list) != 3 {
			t.Error("seen by the operator of alpha", len(list), err)
		}
	})
}

const regoTemplate = `apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata:
  name: shoplabels
spec:
  crd:
    spec:
      names: {kind: ShopLabels}
      validation:
        openAPIV3Schema:
          type: object
          properties:
            labels: {type: array, items: {type: string}}
  targets:
  - target: admission.k8s.gatekeeper.sh
    rego: |
      package shoplabels

      violation[{"msg": msg}] {
        some i
        label := input.parameters.labels[i]
        not input.review.object.metadata.labels[label]
        msg := sprintf("label %v is missing", [label])
      }
`

const celTemplate = `apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata:
  name: shopreplicas
spec:
  crd:
    spec:
      names: {kind: ShopReplicas}
  targets:
  - target: admission.k8s.gatekeeper.sh
    code:
    - engine: K8sNativeValidation
      source:
        validations:
        - expression: object.spec.replicas > 1
          message: want two replicas
`

func TestTemplates(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b, _ := open(t, db)
		ctx := root(t)
		r, err := b.SaveTemplate(ctx, policy.Template{YAML: regoTemplate}, true)
		if err != nil || r.Name != "shoplabels" || r.Kind != "ShopLabels" || len(r.Params) != 1 || r.Params[0].Type != "array" {
			t.Fatal(r, err)
		}
		if _, err := b.SaveTemplate(ctx, policy.Template{YAML: regoTemplate}, true); !errors.Is(err, ErrConflict) {
			t.Error(err)
		}
		if _, err := b.SaveTemplate(ctx, policy.Template{YAML: celTemplate}, false); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		p := simple("shop")
		p.Templates = []policy.TemplateUse{{Template: "shoplabels", Params: map[string]any{"labels": []any{"team"}}}}
		if _, err := b.Save(ctx, p, ""); err != nil {
			t.Fatal(err)
		}
		if err := b.DeleteTemplate(ctx, "shoplabels"); !errors.Is(err, ErrConflict) {
			t.Error("a template in use", err)
		}
		_, templates, err := b.ForTarget(ctx, 1)
		if err != nil || len(templates) != 1 || templates[0].YAML != regoTemplate {
			t.Error(templates, err)
		}
		one, err := b.Template(ctx, everything(ctx), "shoplabels")
		if err != nil || len(one.Policies) != 1 || one.Policies[0].Name != "shop" {
			t.Error(one, err)
		}
		if _, err := b.SaveTemplate(as(t, "op", identity.Grant{Role: identity.Operator, Target: 1}), policy.Template{YAML: celTemplate}, true); !errors.Is(err, ErrForbidden) {
			t.Error(err)
		}
	})
}

// TestBadTemplates: what is wrong with a template is told with its line.
func TestBadTemplates(t *testing.T) {
	b := &Book{}
	for name, c := range map[string]struct{ text, want string }{
		"Rego that does not parse": {strings.Replace(regoTemplate, "some i", "some some", 1), "spec.targets[0].rego: line 20: rego_parse_error"},
		"Rego without a name":      {strings.Replace(regoTemplate, "label := input.parameters.labels[i]", "label := nothing[i]", 1), "line 21: rego_unsafe_var_error"},
		"the network":              {strings.Replace(regoTemplate, "some i", `http.send({"method": "get", "url": "http://stockade.example.com"})`, 1), "undefined function http.send"},
		"CEL that does not parse":  {strings.Replace(celTemplate, "object.spec.replicas > 1", "object.spec.replicas >", 1), "line 15: spec.targets[0].code[0].source.validations[0].expression"},
		"CEL of the wrong type":    {strings.Replace(celTemplate, "object.spec.replicas > 1", "'yes'", 1), "validations[0].expression"},
		"another name":             {strings.Replace(celTemplate, "name: shopreplicas", "name: other", 1), "line 4: metadata.name"},
		"another kind of object":   {"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n", "want a ConstraintTemplate"},
		"two":                      {celTemplate + "---\n" + celTemplate, "want one document"},
		"no YAML":                  {"a: [", "want one document"},
	} {
		_, err := b.SaveTemplate(root(t), policy.Template{YAML: c.text}, true)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}

func TestFiles(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b, _ := open(t, db)
		ctx := root(t)
		alpha := cluster(t, db, "alpha")
		text := "apiVersion: stockade.dev/v1\nkind: Policy\nname: shop\naction: warn\nrollout: {blockFrom: 2026-12-01}\nrules:\n- rule: " + privileged +
			"\ntemplates:\n- template: shoplabels\n  params: {labels: [team]}\nscope: {clusters: [alpha]}\n---\n" + regoTemplate
		dry, err := b.Import(ctx, []byte(text), "", true)
		if err != nil || len(dry) != 2 || dry[1].Done != "added" || dry[1].ID != 0 {
			t.Fatal(dry, err)
		}
		if list, err := b.List(ctx, everything(ctx), Filter{}); err != nil || len(list) != 0 {
			t.Fatal("a dry run changed something", list, err)
		}
		done, err := b.Import(ctx, []byte(text), "", false)
		if err != nil || done[1].ID == 0 {
			t.Fatal(done, err)
		}
		r, err := b.Get(ctx, everything(ctx), done[1].ID)
		if err != nil || len(r.Scope.Clusters) != 1 || r.Scope.Clusters[0] != alpha || r.Rollout.Block.Day() != 1 {
			t.Fatal(r, err)
		}
		file, err := b.Export(ctx, everything(ctx), nil)
		if err != nil || !strings.Contains(string(file), "clusters: [alpha]") {
			t.Fatal(string(file), err)
		}
		again, err := b.Import(ctx, file, "", false)
		if err != nil || again[0].Done != "unchanged" && again[0].Done != "changed" || again[1].Done != "unchanged" {
			t.Errorf("%+v, %v\n%s", again, err, file)
		}
		for name, c := range map[string]struct{ text, want string }{
			"unknown field":    {"apiVersion: stockade.dev/v1\nkind: Policy\nname: x\naction: warn\nrulez: []\n", `line 5: unknown field "rulez"`},
			"unknown rule":     {"apiVersion: stockade.dev/v1\nkind: Policy\nname: x\naction: warn\nrules: [{rule: a/host-pid}]\n", `rules[0].rule: there is no rule "a/host-pid"; is "escape/host-pid" meant?`},
			"unknown cluster":  {"apiVersion: stockade.dev/v1\nkind: Policy\nname: x\naction: warn\nrules: [{rule: escape/host-pid}]\nscope: {clusters: [gamma]}\n", `no cluster "gamma"`},
			"twice":            {strings.Repeat("---\napiVersion: stockade.dev/v1\nkind: Policy\nname: x\naction: warn\nrules: [{rule: escape/host-pid}]\n", 2), "stands in the file twice"},
			"no policy":        {"# nothing\n", "no policy"},
			"something else":   {"apiVersion: v1\nkind: Pod\n", `kind "Pod"`},
			"no YAML":          {"a: [", "yaml"},
			"of another type":  {"apiVersion: stockade.dev/v1\nkind: Policy\nname: x\naction: [warn]\nrules: [{rule: escape/host-pid}]\n", "line 4"},
			"aliases of alias": {"a: &a [x]\nb: &b [*a,*a]\napiVersion: stockade.dev/v1\nkind: Policy\nname: {c: *b}\n", "line"},
		} {
			if _, err := b.Import(ctx, []byte(c.text), "", false); !errors.Is(err, ErrInvalid) || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("%s: %v; want %q", name, err, c.want)
			}
		}
	})
}

// TestPresets: every policy to start from could be saved as it is, and says what it is in both languages.
func TestPresets(t *testing.T) {
	lib, err := library()
	if err != nil {
		t.Fatal(err)
	}
	b := New(Options{Library: lib})
	list, err := b.Presets()
	if err != nil || len(list) < 5 {
		t.Fatal(list, err)
	}
	for _, p := range list {
		if err := policy.Validate(&p.Policy, lib, nil); err != nil {
			t.Errorf("%s: %v", p.ID, err)
		}
		if p.Title.ZH == "" || p.Description.ZH == "" || p.Title.EN == "" || p.Description.EN == "" {
			t.Errorf("%s: a text is missing", p.ID)
		}
		t.Log(p.ID, len(p.Policy.Rules), len(p.Policy.Checks))
	}
}
