package server

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/task"
)

// taskOfAlpha makes a scan of alpha that is ready to run.
func taskOfAlpha(w *world) string {
	w.t.Helper()
	t, err := w.rooms.tasks.Create(w.asSystem(), task.Request{Name: fmt.Sprint("scan of ", markAlpha, w.next()), Origin: task.Manual, Scope: task.Scope{Targets: []int64{w.alpha}}})
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint("id=", t.ID)
}

func scheduleOfAlpha(w *world) string {
	w.t.Helper()
	s, err := w.rooms.tasks.AddSchedule(w.asSystem(), task.Plan{Name: fmt.Sprint("nightly ", markAlpha, w.next()), Cron: "30 2 * * *", Scope: task.Scope{Targets: []int64{w.alpha}}, Enabled: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint("id=", s.ID)
}

// nightly is a schedule for alpha.
func nightly(w *world, _ string) string {
	return fmt.Sprintf(`{"name":"nightly %s %d","cron":"30 2 * * *","clusterIds":["%d"]}`, markAlpha, w.next(), w.alpha)
}

// projectOfAll is a project, which only those see who see everything.
func projectOfAll(w *world) string {
	name := fmt.Sprint("project-", markAlpha, markBeta, w.next())
	id := w.insert("INSERT INTO targets (kind, name, created_at) VALUES ('project', ?, 1)", name)
	err := w.db.Write(w.asSystem(), func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO project_files (target_id, path, type, size, note) VALUES (?, 'a.yaml', 'k8s_yaml', 1, 'large')", id).Exec(ctx)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return "name=" + name
}

// oneFile is an upload of one file.
func oneFile(w *world, _ string) string {
	var b bytes.Buffer
	t := tar.NewWriter(&b)
	file := []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n")
	if err := t.WriteHeader(&tar.Header{Name: "x.yaml", Size: int64(len(file)), Mode: 0o644}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := t.Write(file); err != nil {
		w.t.Fatal(err)
	}
	if err := t.Close(); err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}

var taskNoun = noun{
	fill: func(w *world) {
		w.insert("INSERT INTO targets (kind, name, created_at) VALUES ('project', ?, 1)", "project-"+markAlpha+markBeta)
	},
	rows: map[string]row{
		"list-tasks":             {want: forSignedIn, shows: markAlpha},
		"create-task":            {want: "401 403 201 404 404 403 201 404 201", body: func(w *world, _ string) string { return fmt.Sprintf(`{"clusterIds":["%d"]}`, w.alpha) }},
		"create-task/everywhere": {want: "401 403 403 403 403 403 403 403 201", body: text(`{"allClusters":true}`)},
		"get-task":               {want: readAlpha, shows: markAlpha, path: taskOfAlpha},
		"list-task-items":        {want: readAlpha, path: taskOfAlpha},
		"cancel-task":            {want: "401 403 202 404 404 403 202 404 202", path: taskOfAlpha},
		"retry-task":             {want: "401 403 409 404 404 403 409 404 409", path: taskOfAlpha},
		"list-schedules":         {want: forSignedIn, shows: markAlpha},
		"add-schedule":           {want: "401 403 201 404 404 403 201 404 201", body: nightly},
		"get-schedule":           {want: readAlpha, shows: markAlpha, path: scheduleOfAlpha},
		"replace-schedule":       {want: "401 403 200 404 404 403 200 404 200", path: scheduleOfAlpha, body: nightly},
		"remove-schedule":        {want: "401 403 204 404 404 403 204 404 204", path: scheduleOfAlpha},
		"run-schedule":           {want: "401 403 201 404 404 403 201 404 201", path: scheduleOfAlpha},
		"upload-project":         {want: "401 403 403 403 403 403 403 403 201", path: func(*world) string { return "name=project-" + markAlpha + markBeta }, body: oneFile},
		"list-project-scans":     {want: "401 404 404 404 404 200 404 404 200", path: func(*world) string { return "name=project-" + markAlpha + markBeta }},
		"list-projects":          {want: forSignedIn},
		"get-project":            {want: "401 404 404 404 404 200 404 404 200", path: projectOfAll},
		"list-project-files":     {want: "401 404 404 404 404 200 404 404 200", path: projectOfAll},
		"get-project-file":       {want: "401 404 404 404 404 200 404 404 200", path: projectOfAll, query: "path=a.yaml"},
		"get-project-file/none":  {want: "401 404 404 404 404 404 404 404 404", path: projectOfAll, query: "path=../a.yaml"},
		"remove-project":         {want: "401 403 404 404 404 403 404 404 204", path: projectOfAll},
		"plan-task": {want: "401 403 200 404 404 403 200 404 200", quiet: "it only says what would be",
			body: func(w *world, _ string) string { return fmt.Sprintf(`{"clusterIds":["%d"]}`, w.alpha) }},
		"plan-task/everywhere": {want: "401 403 403 403 403 403 403 403 200", quiet: "it only says what would be", body: text(`{"allClusters":true}`)},
		"preview-schedule":     {want: "401 403 200 200 200 403 200 200 200", query: "cron=@daily"},
	},
}
