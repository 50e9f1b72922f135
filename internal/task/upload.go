package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/collect/dockerfile"
	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/collect/manifest/helm"
	"stockade.dev/stockade/internal/collect/manifest/kustomize"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/triage"
	"stockade.dev/stockade/internal/unpack"
)

// projectName is what a project may be called: it stands in URLs and in findings.
var projectName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Pieces gives the files of an upload one by one to file, and tells what was left out.
type Pieces func(ctx context.Context, file func(name string, data []byte) error) ([]unpack.Note, error)

// Archived reads an upload that is one archive.
func (s *Service) Archived(r io.Reader) Pieces {
	return func(ctx context.Context, file func(string, []byte) error) ([]unpack.Note, error) {
		l := s.o.Uploads
		l.TempDir = s.o.TempDir
		return unpack.Archive(ctx, r, l, file)
	}
}

// uploadSpec is Item.Spec of an upload.
type uploadSpec struct {
	Notes []unpack.Note `json:"notes,omitempty"`
}

// pieceSize is the size of the pieces that uploads are kept in.
const pieceSize = 1 << 20

// Project finds a project by its name. Zero: there is none yet.
func (s *Service) Project(ctx context.Context, name string) (int64, error) {
	var id int64
	err := s.db.R.NewRaw("SELECT id FROM targets WHERE kind = 'project' AND name = ? AND removed_at = 0", name).Scan(ctx, &id)
	if err = store.NotFound(err); errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return id, err
}

// Upload takes files for a project, which is made when it is new, and has them scanned. The files are kept in the database until
// then, so that any worker can, and a restart loses nothing.
func (s *Service) Upload(ctx context.Context, project string, pieces Pieces) (*Task, error) {
	if !projectName.MatchString(project) {
		return nil, fmt.Errorf("%w: a project's name has letters, digits, dots, dashes and underscores, at most 100", ErrInvalid)
	}
	// Everything is taken in before the transaction begins: senders may be slow.
	spool, err := os.CreateTemp(s.o.TempDir, "upload-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = spool.Close()
		_ = os.Remove(spool.Name())
	}()
	packer, err := unpack.NewPacker(spool)
	if err != nil {
		return nil, err
	}
	notes, err := pieces(ctx, packer.Add)
	if err = errors.Join(err, packer.Close()); err != nil {
		if errors.Is(err, unpack.ErrRefused) {
			err = fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return nil, err
	}
	var t *Task
	err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, err := spool.Seek(0, io.SeekStart); err != nil {
			return err
		}
		target, err := s.project(ctx, tx, project)
		if err != nil {
			return err
		}
		if t, err = s.insert(ctx, tx, Request{Name: project, Origin: Upload}, Parts, []Target{{target.ID, target.Name, target.Kind}}); err != nil {
			return err
		}
		it := &Item{TaskID: t.ID, TargetID: target.ID, Kind: kindUpload, Name: project, Status: Ready, Spec: ledger.JSON(uploadSpec{notes}), CreatedAt: t.CreatedAt}
		if _, err := tx.NewInsert().Model(it).Exec(ctx); err != nil {
			return err
		}
		buf := make([]byte, pieceSize)
		for n := 0; ; n++ {
			size, err := io.ReadFull(spool, buf)
			if size > 0 {
				if _, err := tx.NewRaw("INSERT INTO upload_parts (item_id, n, body) VALUES (?, ?, ?)", it.ID, n, buf[:size]).Exec(ctx); err != nil {
					return err
				}
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return t, s.begin(ctx, t)
}

func (s *Service) project(ctx context.Context, tx bun.Tx, name string) (*ledger.Target, error) {
	target := new(ledger.Target)
	err := tx.NewSelect().Model(target).Where("kind = 'project' AND name = ? AND removed_at = 0", name).Scan(ctx)
	if err = store.NotFound(err); !errors.Is(err, store.ErrNotFound) {
		return target, err
	}
	if target, err = ledger.AddTarget(ctx, tx, "project", name, s.now()); err != nil {
		return nil, err
	}
	return target, audit.Record(ctx, tx, "project.add", fmt.Sprintf("project %d (%s)", target.ID, name), target.ID, nil, target)
}

// parts reads the pieces of an upload one after the other.
type parts struct {
	ctx  context.Context
	s    *Service
	item int64
	n    int
	rest []byte
}

func (p *parts) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		err := p.s.db.R.NewRaw("SELECT body FROM upload_parts WHERE item_id = ? AND n = ?", p.item, p.n).Scan(p.ctx, &p.rest)
		if err = store.NotFound(err); errors.Is(err, store.ErrNotFound) {
			return 0, io.EOF
		}
		if err != nil {
			return 0, stored(err)
		}
		p.n++
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// upload scans the files of an upload.
func (s *Service) upload(ctx context.Context, r *running) outcome {
	t, err := s.row(ctx, r.item.TaskID)
	if err != nil {
		return failed(finding.Broken, stored(err))
	}
	spec, err := decode[uploadSpec](r.item.Spec)
	if err != nil {
		return failed(finding.Broken, err)
	}
	dir, err := os.MkdirTemp(s.o.TempDir, "upload-*")
	if err != nil {
		return failed(finding.Broken, err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return failed(finding.Broken, err)
	}
	defer func() { _ = root.Close() }()
	seen := newJudged()
	_, err = unpack.Archive(ctx, &parts{ctx: ctx, s: s, item: r.item.ID}, s.o.Uploads, func(name string, data []byte) error {
		seen.extracted(name)
		return unpack.Extract(root, name, data)
	})
	if err != nil {
		return failed(finding.Broken, err)
	}
	r.update(func(p *Progress) { p.Phase = "objects" })
	cfg, release, err := s.config(t, finding.Target{Kind: "iac", Name: r.item.Name})
	if err != nil {
		return failed(finding.Broken, err)
	}
	defer release()
	cfg.Software, cfg.Frameworks = nil, nil
	cfg.Progress = func(n int) { r.update(func(p *Progress) { p.Objects = n }) }
	in, err := s.o.Ingest(ctx, triage.Run{Target: r.item.TargetID, Task: t.ID, Kind: triage.Upload, At: cfg.Header.StartedAt, Rules: s.o.RuleHash})
	if err != nil {
		return failed(finding.Broken, stored(err))
	}
	summary, err := scan.Run(ctx, cfg, &files{dir: dir, notes: spec.Notes, seen: seen}, &narrowed{Ingest: &telling{in, seen}, r: r, parts: Parts})
	if err != nil {
		in.Abort(err.Error())
		var f *fault.Error
		code := finding.Broken
		if !errors.As(err, &f) || f.Kind != fault.Input {
			err = stored(err)
		}
		return failed(code, err)
	}
	keep, err := seen.keep(root, r.item.TargetID, t.ID, store.At(s.now()))
	if err != nil {
		return failed(finding.Broken, err)
	}
	out := outcome{status: Done, save: func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewRaw("DELETE FROM upload_parts WHERE item_id = ?", r.item.ID).Exec(ctx); err != nil {
			return err
		}
		return keep(ctx, tx)
	}}
	if summary.Partial > 0 {
		out.status, out.err = Partial, fmt.Errorf("%d things could not be scanned: see what was not scanned", summary.Partial)
	}
	return out
}

// telling tells which lines hold credentials, on the way to those who take the findings in.
type telling struct {
	Ingest
	seen *judged
}

// Finding implements finding.Handler.
func (t *telling) Finding(f *finding.Finding) error {
	t.seen.finding(f)
	return t.Ingest.Finding(f)
}

// files brings the objects of a folder under names relative to it, and tells what of the upload was left out.
type files struct {
	dir   string
	notes []unpack.Note
	seen  *judged
}

func (f *files) Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	short := func(s string) string {
		if s == f.dir {
			return "."
		}
		return strings.ReplaceAll(s, f.dir+"/", "")
	}
	for _, n := range f.notes {
		code := finding.Skipped
		if n.Large {
			code = finding.Limit
		}
		notScanned(finding.NotScanned{Target: n.Name, What: "file", Reason: n.Reason, Code: code})
	}
	src := &scan.Files{Paths: []string{f.dir}, Options: manifest.WalkOptions{
		IsDockerfile: dockerfile.IsDockerfile,
		RenderChart: func(ctx context.Context, path string, archive []byte, lim manifest.Limits) ([]*inventory.Object, []manifest.Problem) {
			return helm.Render(ctx, path, archive, nil, lim)
		},
		BuildKustomization: kustomize.Build,
	}}
	err := src.Stream(ctx, func(o *inventory.Object) error {
		o.Origin.File = short(o.Origin.File)
		f.seen.object(o)
		return emit(o)
	}, func(n finding.NotScanned) {
		n.Target, n.Reason = short(n.Target), strings.ReplaceAll(short(n.Reason), f.dir, ".")
		f.seen.problem(n.Target)
		notScanned(n)
	})
	var fe *fault.Error
	if errors.As(err, &fe) && fe.Err != nil { // it names files of a folder that nobody knows
		fe.Err = errors.New(strings.ReplaceAll(short(fe.Err.Error()), f.dir, "."))
	}
	return err
}

// Uploads lists the uploads of a project, the newest first.
func (s *Service) Uploads(ctx context.Context, target int64, page store.Page) (items []*Item, next string, err error) {
	q := s.db.R.NewSelect().Model(&items).Where("i.target_id = ? AND i.kind = 'upload'", target).Order("i.id DESC").Limit(int64(page.Size() + 1))
	if page.After != "" {
		var id int64
		if err := store.ReadCursor(page.After, &id); err != nil {
			return nil, "", err
		}
		q = q.Where("i.id < ?", id)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", err
	}
	if len(items) > page.Size() {
		items = items[:page.Size()]
		next = store.Cursor(items[len(items)-1].ID)
	}
	return items, next, s.changes(ctx, items)
}
