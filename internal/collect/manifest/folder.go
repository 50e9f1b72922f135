package manifest

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
)

// maxDepth is how deep folders are followed.
const maxDepth = 100

// folder is the walk through one folder that the user named.
type folder struct {
	w     *walk
	name  string // as named
	root  string // absolute, without links
	repo  string
	links []link
	seen  map[string]bool // real folders walked
}

// link is a symbolic link, looked at when all else is known, so that what it leads to is found under its own name first.
type link struct {
	rel   string
	lists []*ignoreList
	chart bool
}

func (w *walk) folder(name, root string) {
	f := &folder{w: w, name: name, root: root, repo: repository(root), seen: map[string]bool{}}
	var lists []*ignoreList
	if len(w.opt.Exclude) > 0 {
		lists = append(lists, &ignoreList{patterns: parseIgnoreFile(strings.Join(w.opt.Exclude, "\n"))})
	}
	if !w.opt.NoIgnoreFiles {
		lists = append(f.above(), lists...)
	}
	before := len(w.found)
	f.walk("", lists, false, 0)
	for i := 0; i < len(f.links); i++ { // following one may find more
		f.follow(f.links[i])
	}
	added := w.found[before:]
	slices.SortStableFunc(added, func(a, b *found) int {
		return strings.Compare(strings.ReplaceAll(a.name, "/", "\x00"), strings.ReplaceAll(b.name, "/", "\x00"))
	})
}

// above reads the ignore files between the root of the repository and the folder.
func (f *folder) above() []*ignoreList {
	var out []*ignoreList
	for dir := f.root; dir != f.repo; {
		dir = filepath.Dir(dir)
		up, err := filepath.Rel(dir, f.root)
		if err != nil {
			break
		}
		if l := f.ignoreList(dir); l != nil {
			l.up = filepath.ToSlash(up) + "/"
			out = append([]*ignoreList{l}, out...)
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return out
}

// ignoreList reads the ignore files of a folder; nil when there are none.
func (f *folder) ignoreList(abs string) *ignoreList {
	var l *ignoreList
	for _, name := range ignoreFiles {
		full := filepath.Join(abs, name)
		info, err := os.Lstat(full)
		if err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
			continue
		}
		text, err := os.ReadFile(full)
		if err != nil {
			continue
		}
		if l == nil {
			l = &ignoreList{}
		}
		l.patterns = append(l.patterns, parseIgnoreFile(string(text))...)
	}
	return l
}

func (f *folder) display(rel string) string { return filepath.ToSlash(filepath.Join(f.name, rel)) }

// walk reads the folder rel. chart says that it lies in a chart, whose templates are rendered and not read as they are.
func (f *folder) walk(rel string, lists []*ignoreList, chart bool, depth int) {
	w := f.w
	abs := filepath.Join(f.root, filepath.FromSlash(rel))
	if w.ctx.Err() != nil || f.seen[abs] {
		return
	}
	f.seen[abs] = true
	if depth > maxDepth {
		w.unread(f.display(rel), "folder", fmt.Sprintf("nested deeper than %d folders", maxDepth), finding.Limit)
		return
	}
	entries, err := os.ReadDir(abs) // sorted by name
	if err != nil {
		w.failed(f.display(rel), "folder", err)
		if len(entries) == 0 {
			return
		}
	}
	if !w.opt.NoIgnoreFiles {
		if l := f.ignoreList(abs); l != nil {
			l.dir = rel
			lists = append(lists[:len(lists):len(lists)], l)
		}
	}
	isChart := false
	for _, e := range entries {
		isChart = isChart || e.Name() == "Chart.yaml" && e.Type().IsRegular()
	}
	if isChart && !chart && w.opt.RenderChart != nil && !ignored(lists, path.Join(rel, "Chart.yaml"), false) {
		w.add(&found{name: f.display(rel), real: abs, kind: Chart})
	}
	for _, e := range entries {
		name := path.Join(rel, e.Name())
		if ignored(lists, name, e.IsDir()) {
			continue
		}
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			f.links = append(f.links, link{name, lists, isChart || chart})
		case e.IsDir():
			if excluded[e.Name()] && !w.opt.NoExcludes || isChart && chartFolder(e.Name()) {
				continue
			}
			f.walk(name, lists, false, depth+1)
		case e.Type().IsRegular():
			f.file(name, filepath.Join(abs, e.Name()))
		case isData(e.Name()):
			w.unread(f.display(name), "file", "it is no regular file (a pipe, socket or device)", finding.Skipped)
		}
	}
}

// chartFolder reports whether a folder of a chart is read by rendering it.
func chartFolder(name string) bool { return name == "templates" || name == "charts" || name == "crds" }

// file notes a file if its name says that it concerns us. real is where it is, rel how it is called.
func (f *folder) file(rel, real string) {
	w, base := f.w, path.Base(rel)
	n := &found{name: f.display(rel), real: real}
	switch {
	case w.opt.IsDockerfile != nil && w.opt.IsDockerfile(base):
		n.kind = Dockerfile
	case w.opt.BuildKustomization != nil && kustomizations[base]:
		n.kind, n.root = Kustomization, f.repo
	case isData(base):
		n.kind = Manifest
	case w.opt.RenderChart != nil && isArchive(base):
		n.kind, n.peek = Chart, true
	default:
		return
	}
	w.add(n)
}

// follow looks at a symbolic link: what it leads to is read when it is inside the folder and was not found yet.
func (f *folder) follow(l link) {
	w := f.w
	if w.ctx.Err() != nil {
		return
	}
	base := path.Base(l.rel)
	concerns := isData(base) || w.opt.IsDockerfile != nil && w.opt.IsDockerfile(base)
	real, err := filepath.EvalSymlinks(filepath.Join(f.root, filepath.FromSlash(l.rel)))
	if err != nil {
		if concerns {
			w.unread(f.display(l.rel), "symbolic link", "it leads nowhere or in a circle", finding.Broken)
		}
		return
	}
	inside, err := filepath.Rel(f.root, real)
	if err != nil || inside == ".." || strings.HasPrefix(inside, ".."+string(filepath.Separator)) {
		if info, err := os.Stat(real); concerns || err == nil && info.IsDir() {
			w.unread(f.display(l.rel), "symbolic link", "it leads out of the folder that is scanned", finding.Skipped)
		}
		return
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		w.failed(f.display(l.rel), "symbolic link", err)
	case info.IsDir():
		if inside != "." && !l.chart {
			f.walk(filepath.ToSlash(inside), l.lists, false, strings.Count(inside, string(filepath.Separator)))
		}
	case info.Mode().IsRegular():
		f.file(l.rel, real)
	}
}

var (
	errNoArchive = errors.New("it is no gzip archive")
	errNoChart   = errors.New("it holds no Helm chart (no Chart.yaml in its top folder)")
	errTooDeep   = errors.New("no Chart.yaml was seen within the limits on unpacked size and number of files")
)

// findChart returns nil when an archive has a Chart.yaml in its top folder. It reads no more than the limits allow.
func findChart(in io.Reader, lim Limits) error {
	zip, err := gzip.NewReader(bufio.NewReader(in))
	if err != nil {
		return errNoArchive
	}
	defer zip.Close()
	limited := &io.LimitedReader{R: zip, N: lim.UnpackedBytes}
	archive := tar.NewReader(limited)
	for range lim.UnpackedFiles {
		h, err := archive.Next()
		switch {
		case limited.N <= 0:
			return errTooDeep
		case err != nil:
			return errNoChart
		}
		if name := path.Clean(strings.ReplaceAll(h.Name, `\`, "/")); path.Base(name) == "Chart.yaml" && strings.Count(name, "/") == 1 {
			return nil
		}
	}
	return errTooDeep
}
