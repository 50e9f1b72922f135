package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Source is a saved cluster.
type Source struct {
	Limits Limits // may be changed before Stream

	path    string
	doc     *Document // nil for plain output of kubectl
	archive bool
	ordered bool // an archive that can be read in one go
	info    inventory.ClusterInfo
	signs   collect.Signs // of plain output
}

// Open looks at a snapshot: a folder or a tar.zst (also tar.gz and tar) that Write made, or a folder, archive or file of
// YAML and JSON from kubectl. Errors are fault.Input.
func Open(path string) (*Source, error) {
	s := &Source{path: path, info: inventory.ClusterInfo{Unread: map[string]string{}}}
	st, err := os.Stat(path)
	if err != nil {
		return nil, fault.Wrap(fault.Input, "reading the snapshot", err)
	}
	var data []byte
	if st.IsDir() {
		data, err = documentInFolder(path)
	} else if s.archive, err = isArchive(path); err == nil && s.archive {
		data, s.ordered, err = documentInArchive(path)
	}
	if err != nil {
		return nil, &fault.Error{Kind: fault.Input, Op: "reading the snapshot " + path, Err: err}
	}
	if data == nil {
		s.info.Name = plainName(path)
		return s, nil
	}
	s.doc = &Document{}
	if err := json.Unmarshal(data, s.doc); err != nil {
		return nil, &fault.Error{Kind: fault.Input, Op: "reading " + documentName + " of " + path, Err: err, Hint: "save the snapshot again"}
	}
	if s.doc.Schema != Schema {
		return nil, &fault.Error{Kind: fault.Input, Op: "reading " + documentName + " of " + path,
			Err: fmt.Errorf("its schema is %q, not %q", s.doc.Schema, Schema), Hint: "another version of stockade saved it"}
	}
	s.info.Name, s.info.Version = s.doc.Cluster, s.doc.Version
	s.info.Distribution, s.info.Managed = s.doc.Distribution, s.doc.Managed
	for k, v := range s.doc.Unread {
		s.info.Unread[k] = v
	}
	return s, nil
}

// plainName names a cluster after its folder or file.
func plainName(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	name := filepath.Base(path)
	for _, ext := range [...]string{".tar.zst", ".tzst", ".tar.gz", ".tgz", ".tar", ".yaml", ".yml", ".json", ".jsonl"} {
		if cut, ok := strings.CutSuffix(name, ext); ok && cut != "" {
			return cut
		}
	}
	return name
}

const documentLimit = 64 << 20

func documentInFolder(path string) ([]byte, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	f, err := root.Open(documentName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readDocument(f)
}

func readDocument(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, documentLimit+1))
	if err == nil && len(data) > documentLimit {
		err = fmt.Errorf("%s is larger than %d MiB", documentName, documentLimit>>20)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// Info says what is known of the cluster.
func (s *Source) Info() inventory.ClusterInfo { return s.info }

// Stream emits the saved objects in the order of reading. What could not be read when the snapshot was saved is told
// again, as is everything that is broken in it.
func (s *Source) Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error {
	r := &reading{source: s, ctx: ctx, lim: s.Limits.withDefaults(), emit: emit, notScanned: notScanned, got: map[string]int{}}
	var err error
	switch {
	case s.doc == nil:
		err = r.plain()
	case s.archive && s.ordered:
		err = r.archive()
	case s.archive:
		err = r.unpacked(r.folder)
	default:
		err = r.folder(s.path)
	}
	if errors.Is(err, errTotal) {
		r.tell(s.path, "the rest of the snapshot", fmt.Sprintf("larger than %d GiB", r.lim.Total>>30), finding.Limit)
		err = nil
	}
	if err != nil {
		return err
	}
	if s.doc != nil {
		for _, n := range s.doc.NotScanned {
			notScanned(n)
		}
		r.missing()
		return nil
	}
	s.info.Distribution, s.info.Managed = s.signs.Judge()
	if s.info.Version == "" {
		s.info.Version = s.signs.Version
	}
	if r.objects == 0 {
		return &fault.Error{Kind: fault.Input, Op: "reading " + s.path, Err: errors.New("no Kubernetes objects were found"),
			Hint: "give a snapshot, or files that kubectl get -o yaml or -o json wrote"}
	}
	return nil
}

// errTotal ends the reading of a snapshot above Limits.Total.
var errTotal = errors.New("the snapshot is larger than the limit")

// reading is one Stream.
type reading struct {
	source     *Source
	ctx        context.Context
	lim        Limits
	emit       func(*inventory.Object) error
	notScanned func(finding.NotScanned)
	total      int64
	objects    int
	got        map[string]int // lines by file
}

func (r *reading) tell(place, what, reason string, code finding.Code) {
	r.notScanned(finding.NotScanned{Target: place, What: what, Reason: reason, Code: code})
}

// pass emits one object. Whatever the file says, Secrets lose their values.
func (r *reading) pass(o *inventory.Object) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	r.objects++
	collect.Redact(o)
	return r.emit(o)
}

// missing tells which files hold less than was saved.
func (r *reading) missing() {
	for _, f := range r.source.doc.Files {
		got := r.got[f.Path]
		if got >= f.Objects {
			continue
		}
		reason := fmt.Sprintf("only %d of %d objects are in the snapshot", got, f.Objects)
		r.tell(filepath.Join(r.source.path, f.Path), f.Kind, reason, finding.Broken)
		if r.source.info.Unread[f.Kind] == "" {
			r.source.info.Unread[f.Kind] = reason
		}
	}
}

// folder reads a snapshot folder. Symbolic links that lead out of it are not followed.
func (r *reading) folder(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fault.Wrap(fault.Input, "reading the snapshot", err)
	}
	defer func() { _ = root.Close() }()
	names, err := r.list(root)
	if err != nil {
		return fault.Wrap(fault.Input, "reading the snapshot", err)
	}
	for _, name := range names {
		f, err := root.Open(name)
		if err != nil {
			r.tell(filepath.Join(dir, name), "file", err.Error(), finding.Broken)
			continue
		}
		err = r.file(f, name)
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// list names the files with node facts and objects, in the order of reading.
func (r *reading) list(root *os.Root) ([]string, error) {
	var names []string
	for _, d := range [...]string{nodesDir, objectsDir} {
		entries, err := fs.ReadDir(root.FS(), strings.TrimSuffix(d, "/"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !e.IsDir() {
				names = append(names, d+e.Name())
			}
		}
	}
	if len(names) > r.lim.Files {
		r.tell(r.source.path, "files", fmt.Sprintf("there are %d, only the first %d are read", len(names), r.lim.Files), finding.Limit)
		names = names[:r.lim.Files]
	}
	slices.SortStableFunc(names, func(a, b string) int {
		if d := place(a) - place(b); d != 0 {
			return d
		}
		return rank(a) - rank(b)
	})
	return names, nil
}

// file reads one file of a snapshot by its name.
func (r *reading) file(f io.Reader, name string) error {
	switch {
	case strings.HasPrefix(name, objectsDir) && strings.HasSuffix(name, ".jsonl"):
		return r.lines(f, name)
	case strings.HasPrefix(name, nodesDir) && strings.HasSuffix(name, ".json"):
		return r.node(f, name)
	}
	return nil
}

// isArchive looks at how a file begins.
func isArchive(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return false, err
	}
	head = head[:n]
	return bytes.HasPrefix(head, zstdMagic) || bytes.HasPrefix(head, gzipMagic) || len(head) > 262 && string(head[257:262]) == "ustar", nil
}

var _ collect.Source = (*Source)(nil)
