package task

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/credential"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/store"
)

// Limits of what is kept of a project: bytes of a file's text and of all of them, files that are listed.
const (
	maxKeptFile    = 1 << 20
	maxKeptProject = 64 << 20
	maxKeptFiles   = 5000
)

// The types of files of a project.
const (
	typeDockerfile = "dockerfile"
	typeManifest   = "k8s_yaml"
	typeHelm       = "helm"
	typeKustomize  = "kustomize"
	typeOther      = "other"
)

// Why the text of a file is not kept.
const (
	noteLarge  = "large"  // larger than maxKeptFile
	noteFull   = "full"   // the project has more than maxKeptProject
	noteBinary = "binary" // no text
	notePacked = "packed" // in a packed chart
)

// judged gathers which files of an upload were judged and where credentials stand in them, so that their texts can be kept without.
type judged struct {
	mu     sync.Mutex           // of read: findings leave while objects still come
	all    map[string]bool      // files of the upload
	read   map[string]*judgedOf // those that objects or problems came from
	charts map[string]bool      // folders
	builds map[string]bool      // folders with a kustomization
}

// judgedOf is what is known of one file.
type judgedOf struct {
	kind    string
	known   map[int]int           // line -> column of a credential
	snippet func(line int) string // of Dockerfiles: a line with credentials masked
}

func newJudged() *judged {
	return &judged{all: map[string]bool{}, read: map[string]*judgedOf{}, charts: map[string]bool{}, builds: map[string]bool{}}
}

var kustomizations = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// extracted notes a file of the upload.
func (j *judged) extracted(name string) {
	name = path.Clean(name)
	j.all[name] = true
	switch base := path.Base(name); {
	case base == "Chart.yaml":
		j.charts[path.Dir(name)] = true
	case slices.Contains(kustomizations, base):
		j.builds[path.Dir(name)] = true
	}
}

func (j *judged) of(name string) *judgedOf {
	f := j.read[name]
	if f == nil {
		f = &judgedOf{known: map[int]int{}}
		j.read[name] = f
	}
	return f
}

// object notes where an object came from, and the credentials in it.
func (j *judged) object(o *inventory.Object) {
	if o.Origin.File == "" {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	f := j.of(o.Origin.File)
	if o.Kind == "Dockerfile" && o.APIVersion == "stockade.dev/v1" {
		f.kind, f.snippet = typeDockerfile, o.Origin.Snippet
		return
	}
	if o.Origin.Rendered {
		f.kind = typeKustomize
	} else if f.kind == "" {
		f.kind = typeManifest
	}
	if o.Origin.Locate == nil {
		return
	}
	credentials(o, func(at string) {
		line, col := o.Origin.Locate(at)
		f.credential(line, col)
	})
}

func (f *judgedOf) credential(line, col int) {
	if line < 1 {
		return
	}
	if was, ok := f.known[line]; !ok || col > 0 && col < was {
		f.known[line] = col
	}
}

// problem notes a file that could not be read: it was looked at, too.
func (j *judged) problem(target string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for name := target; name != ""; {
		if j.all[name] {
			j.of(name)
			return
		}
		i := strings.LastIndexByte(name, ':')
		if i < 0 {
			return
		}
		name = name[:i]
	}
}

// finding notes where a finding says that there is a credential.
func (j *judged) finding(v *finding.Finding) {
	if r := &v.Resource; v.Kind == finding.Secret && r.File != "" {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.of(r.File).credential(r.Line, r.Column)
	}
}

// credentials calls found with the path of every value of an object that is, or may be, a credential.
func credentials(o *inventory.Object, found func(path string)) {
	secret := o.Kind == "Secret" && o.APIVersion == "v1"
	var walk func(v any, at, key string)
	walk = func(v any, at, key string) {
		switch v := v.(type) {
		case map[string]any:
			name, _ := v["name"].(string)
			if value, ok := v["value"].(string); ok && name != "" {
				if _, leak := credential.Find(name, value); leak {
					found(inventory.JoinKey(at, "value"))
				}
			}
			for k, e := range v {
				walk(e, inventory.JoinKey(at, k), k)
			}
		case []any:
			for i, e := range v {
				item := inventory.JoinIndex(at, i)
				if word, ok := e.(string); ok && i > 0 { // --password VALUE
					if flag, ok := v[i-1].(string); ok && strings.HasPrefix(flag, "-") {
						if _, leak := credential.Find(strings.TrimLeft(flag, "-"), word); leak {
							found(item)
							continue
						}
					}
				}
				walk(e, item, key)
			}
		case string:
			if _, _, leak := credential.InText(key, v); leak {
				found(at)
			}
		}
	}
	for k, v := range o.Content {
		if values, ok := v.(map[string]any); ok && secret && (k == "data" || k == "stringData") {
			for name := range values {
				found(inventory.JoinKey(k, name))
			}
			continue
		}
		walk(v, k, k)
	}
}

// kindOf says what kind of file it is; ok is false for one that no scan looks at.
func (j *judged) kindOf(name string) (kind string, ok bool) {
	f, read := j.read[name]
	if read && f.kind == typeDockerfile {
		return f.kind, true
	}
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if j.charts[dir] && (read || ofChart(name)) {
			return typeHelm, true
		}
		if dir == "." || dir == "/" {
			break
		}
	}
	data := slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name))
	switch {
	case slices.Contains(kustomizations, path.Base(name)), j.builds[path.Dir(name)] && (read || data), read && f.kind == typeKustomize:
		return typeKustomize, true
	case read && (f.kind != "" || data):
		return typeManifest, true
	}
	return typeOther, read
}

// ofChart reports whether a file of a chart's folder has a say in what it renders.
func ofChart(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json", ".tpl", ".txt"}, path.Ext(name))
}

// ignored reports whether a file lies where no scan looks.
func ignored(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".git" || part == "node_modules" || part == "vendor" {
			return true
		}
	}
	return false
}

// names are the files to keep, in their order.
func (j *judged) names() []string {
	want := map[string]bool{}
	for name := range j.read {
		want[name] = true
	}
	for name := range j.all {
		if _, ok := j.kindOf(name); ok && !ignored(name) {
			want[name] = true
		}
	}
	return slices.Sorted(maps.Keys(want))
}

// keptFile is a row of project_files.
type keptFile struct {
	bun.BaseModel `bun:"table:project_files,alias:pf"`

	TargetID int64  `bun:"target_id,pk"`
	Path     string `bun:"path,pk"`
	Type     string `bun:"type"`
	Size     int64  `bun:"size"`
	Note     string `bun:"note"`
	Body     []byte `bun:"body"`
}

// keep reads the judged files below root and returns what writes them in place of those that were kept before.
func (j *judged) keep(root *os.Root, target, task int64, now store.Time) (func(ctx context.Context, tx bun.Tx) error, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, err
	}
	defer func() { _ = z.Close() }() // nothing is open
	var rows []*keptFile
	var total int64
	names := j.names()
	for _, name := range names[:min(len(names), maxKeptFiles)] {
		f := &keptFile{TargetID: target, Path: name}
		f.Type, _ = j.kindOf(name)
		rows = append(rows, f)
		if !j.all[name] {
			f.Note = notePacked
			continue
		}
		info, err := root.Stat(name)
		if err != nil {
			return nil, err
		}
		f.Size = info.Size()
		switch {
		case f.Size > maxKeptFile:
			f.Note = noteLarge
			continue
		case total+f.Size > maxKeptProject:
			f.Note = noteFull
			continue
		}
		data, err := root.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
			f.Note = noteBinary
			continue
		}
		total += f.Size
		f.Body = z.EncodeAll([]byte(j.read[name].masked(string(data))), nil)
	}
	return func(ctx context.Context, tx bun.Tx) error {
		var gone bool
		if err := tx.NewRaw("SELECT removed_at > 0 FROM targets WHERE id = ?", target).Scan(ctx, &gone); err != nil || gone {
			return err
		}
		if _, err := tx.NewRaw("DELETE FROM project_files WHERE target_id = ?", target).Exec(ctx); err != nil {
			return err
		}
		for part := range slices.Chunk(rows, 200) {
			if _, err := tx.NewInsert().Model(&part).Exec(ctx); err != nil {
				return err
			}
		}
		_, err := tx.NewRaw(`INSERT INTO projects (target_id, task_id, uploaded_at, files, bytes, unlisted) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (target_id) DO UPDATE SET task_id = EXCLUDED.task_id, uploaded_at = EXCLUDED.uploaded_at, files = EXCLUDED.files,
			bytes = EXCLUDED.bytes, unlisted = EXCLUDED.unlisted`, target, task, now, len(rows), total, len(names)-len(rows)).Exec(ctx)
		return err
	}, nil
}

// masked is the text of the file without the credentials in it.
func (f *judgedOf) masked(text string) string {
	if f == nil {
		return credential.Masked(text, nil)
	}
	known := map[int]int{}
	var lines []string
	if f.snippet != nil {
		lines = strings.SplitAfter(text, "\n")
	}
	for line, col := range f.known {
		if f.snippet != nil && line <= len(lines) {
			if whole := strings.TrimRight(lines[line-1], "\r\n"); f.snippet(line) != whole {
				continue // masked where it stands
			}
			col = 0
		}
		known[line] = col
	}
	for i, line := range lines {
		body := strings.TrimRight(line, "\r\n")
		if _, ok := known[i+1]; !ok {
			lines[i] = f.snippet(i+1) + line[len(body):]
		}
	}
	if lines != nil {
		text = strings.Join(lines, "")
	}
	return credential.Masked(text, known)
}
