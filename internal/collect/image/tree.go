package image

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/collect/image/source"
	"stockade.dev/stockade/internal/inventory"
)

// tree walks a directory with several workers. Folders are opened below the root without following symbolic links (folder): none,
// however it is swapped in, leads outside, and nothing but regular files is opened.
type tree struct {
	root    *os.Root
	top     *os.File                // the root folder
	overlay bool                    // an upper directory of overlayfs: a layer
	skip    map[string]bool         // directories
	left    func(dir string) string // why a directory is left out; may be nil
	bounded bool                    // other file systems are left out but those of mounts
	mounts  map[string]bool         // directories
	known   *known                  // may be nil

	mu      sync.Mutex
	wake    *sync.Cond
	todo    []place
	later   []place // mounts: the root's own file system goes before them, should there be too many files
	working int
	err     error
}

// place is a directory to be read, and the file system that it has to be on; 0 is any.
type place struct {
	dir    string
	device uint64
}

// walkRoot reads a root file system.
func walkRoot(ctx context.Context, dir string, o Options) (*result, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	t := &tree{root: root, skip: map[string]bool{"proc": true, "sys": true, "dev": true}, left: o.Left, bounded: o.OneFileSystem, mounts: map[string]bool{}}
	for _, s := range o.SkipDirs {
		t.skip[s] = true
	}
	for _, m := range o.Mounts {
		t.mounts[m] = true
	}
	if o.Store != nil && o.Clamd == nil { // what a daemon says may be another thing tomorrow
		t.known = o.Store.files(o.key("rootfs:"+dir), time.Now())
	}
	r, err := t.run(ctx, &o, new(budget), new(large))
	if err == nil && t.known != nil {
		t.known.save()
	}
	return r, err
}

// walkDiff reads an unpacked layer.
func walkDiff(ctx context.Context, l *source.Layer, o *Options, spent *budget, big *large) (*result, error) {
	root, err := os.OpenRoot(l.Dir)
	if err != nil {
		return &result{passing: true, Gaps: []inventory.Gap{{What: layerName(l), Code: "broken", Reason: err.Error()}}}, nil
	}
	defer root.Close()
	t := &tree{root: root, overlay: true}
	return t.run(ctx, o, spent, big)
}

func (t *tree) run(ctx context.Context, o *Options, spent *budget, big *large) (*result, error) {
	top, err := t.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer top.Close()
	t.top = top
	t.wake = sync.NewCond(&t.mu)
	first := place{}
	if t.bounded {
		info, err := top.Stat()
		if err != nil {
			return nil, err
		}
		first.device, _ = deviceOf(info)
	}
	t.todo = []place{first}
	walkers := make([]*walker, o.Parallel)
	var wg sync.WaitGroup
	for i := range walkers {
		w := newWalker(ctx, o, spent, big)
		w.single, w.known = !t.overlay, t.known
		walkers[i] = w
		wg.Go(func() { t.work(ctx, w) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for i, w := range walkers { // owned paths are sorted once, when all are there
		if w.finishRPM(); i > 0 {
			walkers[0].owning.join(&w.owning)
		}
	}
	r := walkers[0].finish()
	for _, w := range walkers[1:] {
		r.join(w.finish())
	}
	for _, w := range walkers {
		t.known.add(w.learnt)
	}
	if t.err != nil {
		r.Gaps = append(r.Gaps, inventory.Gap{What: "file system", Code: "limit", Reason: t.err.Error()})
	}
	slices.SortStableFunc(r.Gaps, func(a, b inventory.Gap) int { return strings.Compare(a.What, b.What) }) // whoever met them
	return r, nil
}

// join adds what another worker found of the same tree, but for owned paths.
func (r *result) join(other *result) {
	r.Files = append(r.Files, other.Files...)
	slices.SortFunc(r.Files, func(a, b fileResult) int { return strings.Compare(a.Path, b.Path) })
	maps.Copy(r.Raw, other.Raw)
	maps.Copy(r.Links, other.Links)
	r.Written, r.Dirs = append(r.Written, other.Written...).sorted(), append(r.Dirs, other.Dirs...).sorted()
	r.Whiteouts, r.Opaque = append(r.Whiteouts, other.Whiteouts...).sorted(), append(r.Opaque, other.Opaque...).sorted()
	r.Gaps = append(r.Gaps, other.Gaps...)
	r.Entries, r.Bytes = r.Entries+other.Entries, r.Bytes+other.Bytes
	r.passing = r.passing || other.passing
}

// work takes directories until there are none left and nobody can add one.
func (t *tree) work(ctx context.Context, w *walker) {
	for {
		t.mu.Lock()
		for len(t.todo) == 0 && t.working > 0 && t.err == nil {
			t.wake.Wait()
		}
		if len(t.todo) == 0 && t.working == 0 {
			t.todo, t.later = t.later, nil
		}
		if len(t.todo) == 0 || t.err != nil || ctx.Err() != nil {
			t.wake.Broadcast()
			t.mu.Unlock()
			return
		}
		at := t.todo[len(t.todo)-1] // depth first keeps the list short
		t.todo = t.todo[:len(t.todo)-1]
		t.working++
		t.mu.Unlock()
		below, mounts, err := t.folder(ctx, w, at)
		t.mu.Lock()
		t.working--
		t.todo, t.later = append(t.todo, below...), append(t.later, mounts...)
		if err != nil && t.err == nil {
			t.err = err
		}
		t.wake.Broadcast()
		t.mu.Unlock()
	}
}

// folder reads one directory and returns those below it. The error is a limit.
func (t *tree) folder(ctx context.Context, w *walker, at place) (below, mounts []place, err error) {
	dir := at.dir
	f, err := t.open(dir)
	if err != nil {
		w.unreadable(dir, err)
		return nil, nil, nil
	}
	defer f.close()
	if t.overlay && isOpaque(f.d) {
		w.res.Opaque = append(w.res.Opaque, pathHash(dir))
	}
	if t.bounded {
		info, err := f.d.Stat()
		if err != nil {
			w.unreadable(dir, err)
			return nil, nil, nil
		}
		switch device, ok := deviceOf(info); {
		case !ok:
		case at.device == 0:
			at.device = device
		case device != at.device:
			w.gap(path.Join("/", dir), "skipped", errElsewhere)
			return nil, nil, nil
		}
	}
	for {
		entries, err := f.d.ReadDir(1024)
		for _, e := range entries {
			p := e.Name()
			if dir != "" {
				p = dir + "/" + p
			}
			if err := w.count(0); err != nil {
				return nil, nil, err
			}
			if !e.IsDir() {
				t.entry(w, f, e, p)
				continue
			}
			w.dir(p)
			switch {
			case t.skip[p] || len(p) > maxPath:
			case t.mounts[p]:
				mounts = append(mounts, place{dir: p})
			default:
				if t.left != nil {
					if why := t.left(p); why != "" {
						w.gap(path.Join("/", p), "skipped", errors.New(why))
						continue
					}
				}
				below = append(below, place{p, at.device})
			}
		}
		if err == io.EOF || ctx.Err() != nil {
			return below, mounts, nil
		}
		if err != nil {
			w.unreadable(dir, err)
			return below, mounts, nil
		}
	}
}

// errElsewhere is the reason for a directory on another file system that is not one of the mounts.
var errElsewhere = errors.New("it is on another file system")

func (w *walker) unreadable(p string, err error) {
	code := "broken"
	switch {
	case errors.Is(err, fs.ErrPermission):
		code = "forbidden"
	case errors.Is(err, fs.ErrNotExist):
		return // gone since its folder was read: a running system
	}
	w.gap(path.Join("/", p), code, err)
}

// status is what is known of a file without reading it.
type status struct {
	mode             fs.FileMode
	size             int64
	uid, gid         int
	major, minor     int64  // of a device
	device, inode    uint64 // 0: not known
	modified, change int64  // nanoseconds
}

func (t *tree) entry(w *walker, in *folder, e fs.DirEntry, p string) {
	switch typ := e.Type(); {
	case typ.IsRegular():
		s, err := in.stat(e.Name())
		if err != nil {
			w.unreadable(p, err)
			return
		}
		w.res.Bytes += s.size
		f := file{path: p, base: e.Name(), mode: s.mode, size: s.size, uid: s.uid, gid: s.gid, status: s}
		content := &lazy{in: in, name: e.Name(), size: s.size}
		w.file(&f, content)
		if err := content.close(); err != nil {
			w.unreadable(p, err)
		}
	case typ&fs.ModeSymlink != 0:
		target := ""
		if strings.Count(p, "/") <= 1 || isRelease(p) {
			target, _ = in.readlink(e.Name())
		}
		if target == "" {
			w.written(p)
			return
		}
		w.symlink(p, target)
	case typ&fs.ModeDevice != 0:
		s, err := in.stat(e.Name())
		if err != nil {
			w.unreadable(p, err)
			return
		}
		if t.overlay && s.major == 0 && s.minor == 0 && typ&fs.ModeCharDevice != 0 {
			w.res.Whiteouts = append(w.res.Whiteouts, pathHash(p))
			return
		}
		w.device(p, typ&fs.ModeCharDevice == 0, s.major, s.minor)
	default:
		w.written(p)
	}
}

// lazy opens a file when somebody reads it.
type lazy struct {
	in   *folder
	name string
	size int64
	f    *os.File
	err  error // of opening
	lost bool  // reading it failed: another try may not
}

func (l *lazy) open() error {
	if l.f == nil && l.err == nil {
		l.f, l.err = l.in.open(l.name)
	}
	return l.err
}

// Read implements io.Reader.
func (l *lazy) Read(b []byte) (int, error) {
	if err := l.open(); err != nil {
		return 0, err
	}
	n, err := l.f.Read(b)
	l.lost = l.lost || err != nil && err != io.EOF
	return n, err
}

// ReadAt implements io.ReaderAt.
func (l *lazy) ReadAt(b []byte, off int64) (int, error) {
	if err := l.open(); err != nil {
		return 0, err
	}
	n, err := l.f.ReadAt(b, off)
	l.lost = l.lost || err != nil && err != io.EOF
	return n, err
}

// skip passes over n bytes.
func (l *lazy) skip(n int64) error {
	if err := l.open(); err != nil {
		return err
	}
	_, err := l.f.Seek(n, io.SeekCurrent)
	return err
}

func (l *lazy) close() error {
	if l.f != nil {
		return l.f.Close()
	}
	return l.err
}
