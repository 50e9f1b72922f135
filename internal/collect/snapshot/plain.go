package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/collect/decode"
	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// heldBytes is how much of plain output is held back to bring it into the order of reading: text of some 10,000 pods.
// What comes beyond is emitted in portions, each in order.
const heldBytes = 64 << 20

var byteOrderMark = []byte("\ufeff")

// held are objects that wait for being sorted.
type held struct {
	objects []*inventory.Object
	bytes   int
}

// plain reads output of kubectl: a folder, an archive of one, or a single file.
func (r *reading) plain() error {
	st, err := os.Stat(r.source.path)
	switch {
	case err != nil:
		return err
	case r.source.archive:
		return r.unpacked(r.plainFolder)
	case st.IsDir():
		return r.plainFolder(r.source.path)
	}
	var h held
	f, err := os.Open(r.source.path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return r.ended(&h, r.plainFile(&h, f, r.source.path))
}

// ended emits what is still held, also when the limit ended the reading.
func (r *reading) ended(h *held, err error) error {
	if err != nil && !errors.Is(err, errTotal) {
		return err
	}
	if flushed := r.flush(h); flushed != nil {
		return flushed
	}
	return err
}

func (r *reading) plainFolder(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	var h held
	files := 0
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		shown := filepath.Join(r.source.path, name)
		switch {
		case err != nil:
			r.tell(shown, "file", err.Error(), finding.Broken)
			return nil
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json", ".jsonl"}, strings.ToLower(filepath.Ext(name))):
			return nil
		}
		if files++; files > r.lim.Files {
			r.tell(r.source.path, "files", fmt.Sprintf("only the first %d are read", r.lim.Files), finding.Limit)
			return fs.SkipAll
		}
		f, err := root.Open(name)
		if err != nil {
			r.tell(shown, "file", err.Error(), finding.Broken)
			return nil
		}
		defer func() { _ = f.Close() }()
		return r.plainFile(&h, f, shown)
	})
	return r.ended(&h, err)
}

// plainFile reads a file whose form its first byte tells.
func (r *reading) plainFile(h *held, f io.ReadSeeker, shown string) error {
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		r.tell(shown, "file", err.Error(), finding.Broken)
		return nil
	}
	begin := int64(0)
	if bytes.HasPrefix(head[:n], byteOrderMark) {
		begin = int64(len(byteOrderMark))
	}
	if _, err := f.Seek(begin, io.SeekStart); err != nil {
		return err
	}
	start := bytes.TrimLeft(head[begin:n], " \t\r\n")
	switch {
	case len(start) == 0:
		return nil
	case start[0] == '{' && !bytes.HasPrefix(start, []byte("{{")):
		return r.json(h, f, begin, shown)
	}
	return r.yaml(h, f, shown)
}

// json reads a list, or objects one after the other. Lists are read item by item, however large they are.
func (r *reading) json(h *held, f io.ReadSeeker, begin int64, shown string) error {
	before := r.total
	l := decode.NewList(r.counted(f), r.lim.Object)
	err := r.items(h, l, shown, true)
	var notList *decode.NotListError
	if errors.As(err, &notList) {
		if _, err := f.Seek(begin, io.SeekStart); err != nil {
			return err
		}
		r.total = before
		err = r.items(h, decode.NewStream(r.counted(f), r.lim.Object), shown, false)
	}
	switch {
	case err == nil:
	case errors.Is(err, errTotal), errors.As(err, new(*stop)):
		return err
	default:
		r.tell(shown, "the rest of the file", err.Error(), finding.Broken)
	}
	return nil
}

// items reads the objects of a list or stream. An error of type *stop is not the file's.
func (r *reading) items(h *held, l *decode.List, shown string, list bool) error {
	d := decode.NewDecoder()
	for {
		content, size, err := l.Object(d)
		var (
			large  *decode.TooLargeError
			broken *decode.BrokenError
		)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &large), errors.As(err, &broken):
			code := finding.Broken
			if large != nil {
				code = finding.Limit
			}
			r.tell(shown, "an object", err.Error(), code)
			continue
		case err != nil:
			return err
		}
		apiVersion, kind := "", ""
		if list {
			apiVersion, kind = l.Kind()
		}
		if err := r.nested(h, content, apiVersion, kind, shown, size); err != nil {
			return err
		}
	}
}

// nested takes an object, or the items of one that is a list itself. Raw lists of the API leave out what their items are.
func (r *reading) nested(h *held, content map[string]any, apiVersion, kind, shown string, size int) error {
	if item, ok := strings.CutSuffix(kind, "List"); ok && item != "" && content["kind"] == nil && content["apiVersion"] == nil {
		content["apiVersion"], content["kind"] = apiVersion, item
	}
	o, ok := inventory.NewObject(content)
	if !ok {
		r.tell(shown, "an object", "it has no apiVersion or no kind", finding.Broken)
		return nil
	}
	if list, isList := content["items"].([]any); isList && strings.HasSuffix(o.Kind, "List") {
		for _, v := range list {
			if m, ok := v.(map[string]any); ok {
				if err := r.nested(h, m, o.APIVersion, o.Kind, shown, size/len(list)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return r.hold(h, o, size)
}

func (r *reading) hold(h *held, o *inventory.Object, size int) error {
	if meta := inventory.Map(o.Content, "metadata"); meta != nil {
		delete(meta, "managedFields")
	}
	if o.Kind == "Node" {
		r.source.signs.Node(o)
		if v := inventory.Str(o.Content, "status", "nodeInfo", "kubeletVersion"); v > r.source.signs.Version {
			r.source.signs.Version = v
		}
	}
	h.objects = append(h.objects, o)
	if h.bytes += size; h.bytes > heldBytes {
		return r.flush(h)
	}
	return nil
}

// flush emits what is held, in the order of reading.
func (r *reading) flush(h *held) error {
	slices.SortStableFunc(h.objects, func(a, b *inventory.Object) int {
		return collect.Rank(a.Ref().GroupKind()) - collect.Rank(b.Ref().GroupKind())
	})
	for i, o := range h.objects {
		h.objects[i] = nil
		if err := r.pass(o); err != nil {
			return &stop{err}
		}
	}
	h.objects, h.bytes = h.objects[:0], 0
	return nil
}

// yaml reads YAML documents, and the items of the lists that kubectl writes, piece by piece.
func (r *reading) yaml(h *held, f io.Reader, shown string) error {
	p := newPieces(r.counted(f), r.lim.Object)
	for {
		text, line, err := p.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errLong):
			r.tell(fmt.Sprintf("%s:%d", shown, line), "an object", fmt.Sprintf("larger than %d MiB", r.lim.Object>>20), finding.Limit)
			continue
		case errors.Is(err, errTotal):
			return err
		case err != nil:
			r.tell(shown, "the rest of the file", err.Error(), finding.Broken)
			return nil
		}
		objects, problems := manifest.Parse(shown, text, manifest.Limits{FileBytes: int64(r.lim.Object) + 1<<20})
		for _, problem := range problems {
			problem.Line += line - 1
			r.notScanned(problem.NotScanned())
		}
		for _, o := range objects {
			o.Origin = inventory.Origin{} // it stands for a live object: nothing in the file is to be changed
			if err := r.hold(h, o, len(text)/max(1, len(objects))); err != nil {
				return err
			}
		}
	}
}
