package task

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/rules"
)

// hiddenWords stand in the files of secretive as credentials.
var hiddenWords = []string{"hunter2secret", "c2VjcmV0LXZhbHVl", "tok3n-of-many-9Letters", "env5ecret-Value", "sh0p-pa55word", "filed-pa55word", "argument5ecret"}

var secretive = []string{
	"deploy/till.yaml", `apiVersion: v1
kind: Pod
metadata:
  name: till
spec:
  containers:
    - name: c
      image: i
      args: ["--password", "argument5ecret"]
      env:
        - name: DB_PASSWORD
          value: "hunter2secret"
        - {name: API_TOKEN, value: "tok3n-of-many-9Letters"}
      securityContext:
        privileged: true
---
apiVersion: v1
kind: Secret
metadata:
  name: shop
data:
  anything: c2VjcmV0LXZhbHVl
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  app.properties: |
    port=80
    db.password=filed-pa55word
  mode: fast
`,
	"Dockerfile", "FROM scratch\nENV SHOP_PASSWORD=env5ecret-Value\nUSER 1\n",
	"chart/Chart.yaml", "apiVersion: v2\nname: shop\nversion: 0.1.0\n",
	"chart/values.yaml", "db:\n  password: sh0p-pa55word\n",
	"chart/templates/pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: c\n    image: i\n    env:\n    - name: DB_PASSWORD\n      value: {{ .Values.db.password }}\n    securityContext: {privileged: true}\n",
	"kustomize/kustomization.yaml", "resources: [pod.yaml]\n",
	"kustomize/pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: kust}\nspec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}\n",
	"broken.yaml", "apiVersion: v1\nkind: [unclosed\n",
	"src/main.go", "package main\n",
	"node_modules/x/kustomization.yaml", "resources: []\n",
	"large.yaml", privileged + "# " + strings.Repeat("x", maxKeptFile),
	"readme.txt", "hello",
}

// TestProjectFiles: what was judged of the last upload is there to be read, without the credentials in it.
func TestProjectFiles(t *testing.T) {
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		r := newRig(t, db, 0, func(o *Options) { o.Library = lib })
		up, err := r.s.Upload(ctx, "web", r.s.Archived(bytes.NewReader(tarOf(secretive...))))
		if err != nil {
			t.Fatal(err)
		}
		r.await(up.ID)
		p, err := r.s.ProjectOf(ctx, allVisible, "web")
		if err != nil {
			t.Fatal(err)
		}
		if p.Files != 9 || p.UploadedAt.IsZero() || p.LastTask == nil || p.LastTask.ID != up.ID {
			t.Errorf("%+v", p)
		}
		files, err := r.s.Files(ctx, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range files {
			got = append(got, f.Path+" "+f.Type+" "+f.Note)
		}
		want := []string{"Dockerfile dockerfile ", "broken.yaml k8s_yaml ", "chart/Chart.yaml helm ", "chart/templates/pod.yaml helm ", "chart/values.yaml helm ",
			"deploy/till.yaml k8s_yaml ", "kustomize/kustomization.yaml kustomize ", "kustomize/pod.yaml kustomize ", "large.yaml k8s_yaml large"}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for _, f := range files {
			text, err := r.s.File(ctx, p.ID, f.Path)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range hiddenWords {
				if strings.Contains(text.Text, w) {
					t.Errorf("%s shows %s:\n%s", f.Path, w, text.Text)
				}
			}
			for i, name := range secretive {
				if i%2 == 0 && name == f.Path && f.Note == "" && strings.Count(text.Text, "\n") != strings.Count(secretive[i+1], "\n") {
					t.Errorf("%s has other lines:\n%s", f.Path, text.Text)
				}
			}
		}
		till, err := r.s.File(ctx, p.ID, "deploy/till.yaml")
		if err != nil || !strings.Contains(till.Text, "privileged: true") || !strings.Contains(till.Text, "- name: DB_PASSWORD\n") || !strings.Contains(till.Text, "mode: fast") {
			t.Errorf("%v\n%s", err, till.Text)
		}
		for _, name := range []string{"src/main.go", "../etc/passwd", "/etc/passwd", "deploy", ""} {
			if _, err := r.s.File(ctx, p.ID, name); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%q: %v", name, err)
			}
		}
		// The next upload takes the place of the one before; one without anything to scan does not.
		for _, archive := range [][]byte{zipOf("other.yaml", privileged), zipOf("a.txt", "hello")} {
			next, err := r.s.Upload(ctx, "web", r.s.Archived(bytes.NewReader(archive)))
			if err != nil {
				t.Fatal(err)
			}
			r.await(next.ID)
			if files, err = r.s.Files(ctx, p.ID); err != nil || len(files) != 1 || files[0].Path != "other.yaml" {
				t.Errorf("%+v %v", files, err)
			}
		}
	})
}

type remover struct{ target int64 }

func (r *remover) Remove(ctx context.Context, tx bun.Tx, target int64, at time.Time) error {
	r.target = target
	_, err := tx.NewRaw("UPDATE targets SET removed_at = ? WHERE id = ?", store.At(at), target).Exec(ctx)
	return err
}

// TestProjects: who sees a project as a whole finds it, until it is removed.
func TestProjects(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		r := newRig(t, db, 0)
		for _, name := range []string{"web", "shop", "shop_2"} {
			up, err := r.s.Upload(ctx, name, r.s.Archived(bytes.NewReader(zipOf("a.yaml", privileged))))
			if err != nil {
				t.Fatal(err)
			}
			r.await(up.ID)
		}
		shop, err := r.s.Project(ctx, "shop")
		if err != nil {
			t.Fatal(err)
		}
		exec := func(query string, args ...any) {
			t.Helper()
			if err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
				_, err := tx.NewRaw(query, args...).Exec(ctx)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		exec("INSERT INTO counts (target_id, namespace, kind, severity, status, n) VALUES (?, '*', 5, 4, 1, 2), (?, '*', 5, 1, 2, 3), (?, '*', 5, 4, 7, 9)", shop, shop, shop)
		exec("INSERT INTO assets (target_id, kind, name, first_seen, critical, low, score) VALUES (?, ?, 'a.yaml', 1, 2, 3, 5)", shop, ledger.AssetFile)
		list, next, err := r.s.Projects(ctx, allVisible, "", store.Page{Limit: 2})
		if err != nil || len(list) != 2 || next == "" || list[0].Name != "shop" || list[0].Findings != (Severities{Critical: 2, Low: 3}) || list[0].Risky != 1 {
			t.Errorf("%+v %q %v", list, next, err)
		}
		if list, next, err = r.s.Projects(ctx, allVisible, "", store.Page{Limit: 2, After: next}); err != nil || len(list) != 1 || next != "" || list[0].Name != "web" {
			t.Errorf("%+v %q %v", list, next, err)
		}
		if list, _, err = r.s.Projects(ctx, allVisible, "P_", store.Page{}); err != nil || len(list) != 1 || list[0].Name != "shop_2" {
			t.Errorf("%+v %v", list, err)
		}
		only := identity.Visible{Targets: []int64{shop}}
		if list, _, err = r.s.Projects(ctx, only, "", store.Page{}); err != nil || len(list) != 1 || list[0].ID != shop {
			t.Errorf("%+v %v", list, err)
		}
		if _, err := r.s.ProjectOf(ctx, only, "web"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		files, err := r.s.Files(ctx, shop)
		if err != nil || len(files) != 1 || files[0].Findings != (Severities{Critical: 2, Low: 3}) {
			t.Errorf("%+v %v", files, err)
		}
		var gone remover
		exec("UPDATE task_items SET status = 'ready' WHERE target_id = ?", shop)
		if err := r.s.RemoveProject(ctx, shop, &gone); !errors.Is(err, ErrConflict) {
			t.Error(err)
		}
		exec("UPDATE task_items SET status = 'done' WHERE target_id = ?", shop)
		if err := r.s.RemoveProject(ctx, shop, &gone); err != nil || gone.target != shop {
			t.Error(err)
		}
		if n := r.count("SELECT count(*) FROM project_files WHERE target_id = ?", shop) + r.count("SELECT count(*) FROM projects WHERE target_id = ?", shop); n != 0 {
			t.Errorf("%d rows stay", n)
		}
		if _, err := r.s.ProjectOf(ctx, allVisible, "shop"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

// TestTotals: a task tells how far it is, what it changed and what is left.
func TestTotals(t *testing.T) {
	began := time.UnixMilli(1_700_000_000_000)
	item := func(id int64, st Status, took int, p *Progress) Item {
		return Item{TaskID: id, Status: st, StartedAt: store.At(began), FinishedAt: store.At(began.Add(time.Duration(took) * time.Second)), Progress: p}
	}
	items := []Item{item(1, Done, 10, nil), item(1, Partial, 20, nil), item(1, Running, 0, &Progress{Remaining: 7000, Objects: 5, Images: 1, ImagesOf: 3, Unread: 1, Findings: 2}),
		item(1, Running, 0, nil), item(1, Ready, 0, nil), item(1, Ready, 0, nil), item(2, Ready, 0, nil), item(3, Running, 0, &Progress{Remaining: 4000}), item(1, Failed, 0, nil)}
	if got := remaining(items, &Task{ID: 1}); got != 7000+15_000 {
		t.Errorf("%d", got)
	}
	if got := remaining(items, &Task{ID: 2}); got != 0 { // nobody knows
		t.Errorf("%d", got)
	}
	if got := remaining(items, &Task{ID: 3}); got != 4000 {
		t.Errorf("%d", got)
	}
	var total Totals
	for i := range items {
		if items[i].TaskID == 1 {
			total.add(&items[i])
		}
	}
	if total != (Totals{Items: 7, Done: 3, Partial: 1, Failed: 1, Objects: 5, Images: 1, ImagesOf: 3, Unread: 1, Findings: 2}) {
		t.Errorf("%+v", total)
	}
}

// TestChanges: what scans changed is told with their items and with the task.
func TestChanges(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		r := newRig(t, db, 1)
		target := r.cluster("shop")
		task := r.create(Request{Scope: Scope{Targets: []int64{target}}})
		r.await(task.ID)
		if err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("INSERT INTO runs (target_id, task_id, kind, started_at, finished_at, added, reopened, fixed, gone) VALUES (?, ?, 'full', 1, 2, 3, 4, 5, 6)", target, task.ID).Exec(ctx)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		got, err := r.s.Task(ctx, allVisible, task.ID)
		if err != nil || got.Total.Added != 7 || got.Total.Closed != 11 {
			t.Errorf("%+v %v", got.Total, err)
		}
		items, _, err := r.s.Items(ctx, allVisible, task.ID, ItemFilter{}, store.Page{})
		if err != nil || len(items) != 1 || items[0].Run == nil || items[0].Run.Fixed != 5 {
			t.Errorf("%+v %v", items, err)
		}
	})
}

// TestProspect: what a task would do is told before.
func TestProspect(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		r := newRig(t, db, 0)
		a, b := r.cluster("a"), r.cluster("b")
		if err := db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.NewRaw("INSERT INTO assets (target_id, kind, name, first_seen, gone_at) VALUES (?, ?, 'x', 1, 0), (?, ?, 'y', 1, 2)", a, ledger.AssetImage, a, ledger.AssetImage).Exec(ctx)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		p, more, err := r.s.Prospect(ctx, Request{Scope: Scope{Targets: []int64{a}, Nodes: []Node{{Target: b, Name: "n1"}}}, Parts: []Part{Configuration}})
		if err != nil || more != 0 || len(p.Targets) != 2 || !p.Targets[0].Whole || p.Targets[1].Whole || p.Targets[0].Images != 1 || len(p.Nodes) != 1 || len(p.Parts) != 1 || p.Data {
			t.Errorf("%+v %d %v", p, more, err)
		}
		if n := r.count("SELECT count(*) FROM tasks"); n != 0 {
			t.Errorf("%d tasks", n)
		}
		if _, _, err := r.s.Prospect(ctx, Request{}); !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
	})
}

// TestTimes: the next runs of a schedule, and what is none.
func TestTimes(t *testing.T) {
	s := New(Options{Now: func() time.Time { return time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC) }})
	got, err := s.Times("30 2 * * *", "Europe/Berlin", 3)
	if err != nil || len(got) != 3 || got[0].UTC().Format(time.DateTime) != "2026-03-29 01:30:00" || got[1].UTC().Format(time.DateTime) != "2026-03-30 00:30:00" {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"", "1 2 3", "61 * * * *"} {
		if _, err := s.Times(bad, "UTC", 3); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := s.Times("@daily", "Nowhere/Land", 3); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

// TestCredentials: every place where an object can hold one.
func TestCredentials(t *testing.T) {
	o, ok := inventory.NewObject(map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "x", "annotations": map[string]any{"a/password": "hunter22"}},
		"data": map[string]any{"k": "dg=="}, "stringData": map[string]any{"s": "v"}, "list": []any{"--token", "abcDEF123456ghi", "plain"}})
	if !ok {
		t.Fatal("no object")
	}
	got := map[string]bool{}
	credentials(o, func(path string) { got[path] = true })
	for _, want := range []string{"data.k", "stringData.s", "list[1]", "metadata.annotations['a/password']"} {
		if !got[want] {
			t.Errorf("%s is not in %v", want, got)
		}
	}
	if len(got) != 4 {
		t.Errorf("%v", got)
	}
	var f judgedOf
	f.known = map[int]int{}
	f.credential(3, 9)
	f.credential(3, 4)
	f.credential(0, 1)
	if len(f.known) != 1 || f.known[3] != 4 {
		t.Errorf("%v", f.known)
	}
	j := newJudged()
	j.extracted("a.yaml")
	j.problem("a.yaml:3:1")
	j.problem("b.yaml:3")
	j.finding(&finding.Finding{Kind: finding.Secret, Resource: finding.Resource{File: "c.yaml", Line: 2}})
	if len(j.read) != 2 || j.read["a.yaml"] == nil || len(j.read["c.yaml"].known) != 1 {
		t.Errorf("%v", j.read)
	}
}
