package task

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Severities count findings that are active.
type Severities struct {
	Critical int `bun:"critical" json:"critical"`
	High     int `bun:"high" json:"high"`
	Medium   int `bun:"medium" json:"medium"`
	Low      int `bun:"low" json:"low"`
	Info     int `bun:"info" json:"info"`
}

// Project is a set of files that is scanned by uploads.
type Project struct {
	ID         int64      `bun:"id" json:"id,string"`
	Name       string     `bun:"name" json:"name"`
	CreatedAt  store.Time `bun:"created_at" json:"createdAt" format:"date-time"`
	UploadedAt store.Time `bun:"uploaded_at" json:"uploadedAt,omitzero" format:"date-time" doc:"end of the last upload that was scanned; absent when there was none yet"`
	Files      int        `bun:"files" json:"files" doc:"files of that upload that were judged"`
	Bytes      int64      `bun:"bytes" json:"bytes" doc:"of their texts that are kept"`
	Unlisted   int        `bun:"unlisted" json:"unlisted,omitempty" doc:"files that were judged beyond those that are listed"`
	Risky      int        `bun:"risky" json:"riskyFiles" doc:"files with active findings"`
	Findings   Severities `bun:"-" json:"findings"`
	Gaps       int        `bun:"gaps" json:"notScanned" doc:"things that could not be looked at"`
	LastTask   *Task      `bun:"-" json:"lastTask,omitempty" doc:"the last upload, scanned or not"`
}

// Projects lists the projects that v sees as a whole, by name. search is a part of the name, in any case.
func (s *Service) Projects(ctx context.Context, v identity.Visible, search string, page store.Page) ([]*Project, string, error) {
	var where []string
	var args []any
	if !v.All {
		where, args = append(where, "t.id IN (?)"), append(args, in(wholly(v)))
	}
	if search != "" {
		escaped := store.Like(strings.ToLower(search))
		where, args = append(where, `lower(t.name) LIKE ? ESCAPE '\'`), append(args, "%"+escaped+"%")
	}
	if page.After != "" {
		var name string
		if err := store.ReadCursor(page.After, &name); err != nil {
			return nil, "", err
		}
		where, args = append(where, "t.name > ?"), append(args, name)
	}
	out, err := s.projects(ctx, v, where, args, page.Size()+1)
	next := ""
	if len(out) > page.Size() {
		out = out[:page.Size()]
		next = store.Cursor(out[len(out)-1].Name)
	}
	return out, next, err
}

// ProjectOf reads one project that v sees as a whole.
func (s *Service) ProjectOf(ctx context.Context, v identity.Visible, name string) (*Project, error) {
	list, err := s.projects(ctx, v, []string{"t.name = ?"}, []any{name}, 1)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || !v.Whole(list[0].ID) {
		return nil, store.ErrNotFound
	}
	return list[0], nil
}

func (s *Service) projects(ctx context.Context, v identity.Visible, where []string, args []any, limit int) ([]*Project, error) {
	out := []*Project{}
	stmt := `SELECT t.id, t.name, t.created_at, coalesce(p.uploaded_at, t.looked_at) AS uploaded_at, coalesce(p.files, 0) AS files, coalesce(p.bytes, 0) AS bytes,
		coalesce(p.unlisted, 0) AS unlisted,
		(SELECT count(*) FROM assets a WHERE a.target_id = t.id AND a.kind = ? AND a.gone_at = 0 AND a.score > 0) AS risky,
		(SELECT count(*) FROM gaps g WHERE g.target_id = t.id) AS gaps
		FROM targets t LEFT JOIN projects p ON p.target_id = t.id WHERE t.kind = 'project' AND t.removed_at = 0`
	for _, w := range where {
		stmt += " AND " + w
	}
	args = append(append([]any{ledger.AssetFile}, args...), limit)
	if err := s.db.R.NewRaw(stmt+" ORDER BY t.name LIMIT ?", args...).Scan(ctx, &out); err != nil || len(out) == 0 {
		return out, err
	}
	ids, by := make([]int64, len(out)), map[int64]*Project{}
	for i, p := range out {
		ids[i], by[p.ID] = p.ID, p
	}
	var counts []struct {
		TargetID int64
		Severity ledger.Severity
		N        int
	}
	err := s.db.R.NewRaw("SELECT target_id, severity, sum(n) AS n FROM counts WHERE target_id IN (?) AND namespace = '*' AND status IN (?) GROUP BY target_id, severity",
		in(ids), in(ledger.Active)).Scan(ctx, &counts)
	if err != nil {
		return nil, err
	}
	for _, c := range counts {
		f := &by[c.TargetID].Findings
		*[]*int{&f.Info, &f.Low, &f.Medium, &f.High, &f.Critical}[min(max(int(c.Severity), 0), 4)] += c.N
	}
	return out, s.lastTasks(ctx, v, ids, by)
}

// lastTasks fills in the newest task of each project.
func (s *Service) lastTasks(ctx context.Context, v identity.Visible, ids []int64, by map[int64]*Project) error {
	var last []struct{ TargetID, TaskID int64 }
	if err := s.db.R.NewRaw("SELECT target_id, max(task_id) AS task_id FROM task_targets WHERE target_id IN (?) GROUP BY target_id", in(ids)).Scan(ctx, &last); err != nil || len(last) == 0 {
		return err
	}
	var tasks []*Task
	of := map[int64]int64{}
	for _, l := range last {
		of[l.TaskID] = l.TargetID
	}
	want := make([]int64, 0, len(of))
	for id := range of {
		want = append(want, id)
	}
	if err := s.db.R.NewSelect().Model(&tasks).Where("t.id IN (?)", in(want)).Scan(ctx); err != nil {
		return err
	}
	for _, t := range tasks {
		by[of[t.ID]].LastTask = t
	}
	return s.complete(ctx, v, tasks)
}

// ProjectFile is a file of the last upload of a project that was scanned.
type ProjectFile struct {
	Path     string     `bun:"path" json:"path"`
	Type     string     `bun:"type" json:"type" enum:"dockerfile,k8s_yaml,helm,kustomize,other"`
	Size     int64      `bun:"size" json:"size"`
	Note     string     `bun:"note" json:"note,omitempty" enum:"large,full,binary,packed" doc:"why its text is not kept: the file is too large, the project is, it is no text, or it is in a packed chart"`
	Findings Severities `json:"findings"`
}

// Files lists the files of a project by path: at most maxKeptFiles.
func (s *Service) Files(ctx context.Context, target int64) ([]ProjectFile, error) {
	var rows []struct {
		Path string
		Type string
		Size int64
		Note string
		Severities
	}
	err := s.db.R.NewRaw(`SELECT f.path, f.type, f.size, f.note, coalesce(a.critical, 0) AS critical, coalesce(a.high, 0) AS high, coalesce(a.medium, 0) AS medium,
		coalesce(a.low, 0) AS low, coalesce(a.info, 0) AS info FROM project_files f LEFT JOIN assets a ON a.target_id = f.target_id AND a.kind = ?
		AND a.group_kind = '' AND a.namespace = '' AND a.name = f.path AND a.digest = '' WHERE f.target_id = ? ORDER BY f.path`, ledger.AssetFile, target).Scan(ctx, &rows)
	out := make([]ProjectFile, len(rows))
	for i, r := range rows {
		out[i] = ProjectFile{r.Path, r.Type, r.Size, r.Note, r.Severities}
	}
	return out, err
}

// FileText is a file with its text, in which credentials are masked.
type FileText struct {
	Path  string
	Type  string
	Size  int64
	Note  string
	Text  string
	Asset int64 // that findings of it are about; 0 when there was none
}

// File reads one file of a project.
func (s *Service) File(ctx context.Context, target int64, name string) (*FileText, error) {
	f := new(keptFile)
	if err := s.db.R.NewSelect().Model(f).Where("target_id = ? AND path = ?", target, name).Scan(ctx); err != nil {
		return nil, store.NotFound(err)
	}
	out := &FileText{Path: f.Path, Type: f.Type, Size: f.Size, Note: f.Note}
	err := s.db.R.NewRaw("SELECT id FROM assets WHERE target_id = ? AND kind = ? AND group_kind = '' AND namespace = '' AND name = ? AND digest = ''",
		target, ledger.AssetFile, name).Scan(ctx, &out.Asset)
	if err = store.NotFound(err); err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if f.Note != "" {
		return out, nil
	}
	z, err := zstd.NewReader(bytes.NewReader(f.Body), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	// What was masked may be a little longer than the file was.
	text, err := io.ReadAll(io.LimitReader(z, 4*maxKeptFile))
	out.Text = string(text)
	return out, err
}

// Remover takes targets out of the lists: see triage.Triage.Remove.
type Remover interface {
	Remove(ctx context.Context, tx bun.Tx, target int64, at time.Time) error
}

// RemoveProject removes a project with its files. What was found stays in the history, and counts no more.
func (s *Service) RemoveProject(ctx context.Context, target int64, findings Remover) error {
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		row := new(ledger.Target)
		if err := tx.NewSelect().Model(row).Where("id = ? AND kind = 'project' AND removed_at = 0", target).Scan(ctx); err != nil {
			return store.NotFound(err)
		}
		var open []int64
		if err := tx.NewRaw("SELECT task_id FROM task_items WHERE target_id = ? AND kind = 'upload' AND status IN ('ready', 'running') LIMIT 1", target).Scan(ctx, &open); err != nil {
			return err
		}
		if len(open) > 0 {
			return fmt.Errorf("%w: task %d scans the project: wait for it, or cancel it", ErrConflict, open[0])
		}
		for _, q := range []string{"DELETE FROM project_files WHERE target_id = ?", "DELETE FROM projects WHERE target_id = ?",
			"DELETE FROM upload_parts WHERE item_id IN (SELECT id FROM task_items WHERE target_id = ? AND kind = 'upload')"} {
			if _, err := tx.NewRaw(q, target).Exec(ctx); err != nil {
				return err
			}
		}
		if err := findings.Remove(ctx, tx, target, s.now()); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "project.remove", fmt.Sprintf("project %d (%s)", target, row.Name), target, row, nil)
	})
}

// runsOf reads what tasks changed in targets, of those that have ended.
func (s *Service) runsOf(ctx context.Context, tasks []int64) ([]*ledger.Run, error) {
	var runs []*ledger.Run
	if len(tasks) == 0 {
		return nil, nil
	}
	err := s.db.R.NewSelect().Model(&runs).Where("task_id IN (?) AND task_id <> 0 AND finished_at > 0", in(tasks)).Order("id").Scan(ctx)
	slices.Reverse(runs) // the newest first: of a target that was tried again
	return runs, err
}
