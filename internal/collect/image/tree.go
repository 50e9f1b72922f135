package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"stockade.dev/stockade/internal/collect/image/source"
	"stockade.dev/stockade/internal/inventory"
)

// tree walks a directory with several workers. Folders are opened one name at a time below the root (os.Root): no symlink,
// however it is swapped in, leads outside, and nothing but regular files is opened.
type tree struct {
	root    *os.Root
	overlay bool     // an upper directory of overlayfs: a layer
	skip    []string // directories
	device  uint64   // of the root; 0: any
	most    int64

	mu      sync.Mutex
	wake    *sync.Cond
	todo    []string // directories
	working int
	err     error
}

// walkRoot reads a root file system.
func walkRoot(ctx context.Context, dir string, o Options) (*result, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	t := &tree{root: root, skip: append([]string{"proc", "sys", "dev"}, o.SkipDirs...), most: o.Limits.Files}
	if o.OneFileSystem {
		info, err := root.Stat(".")
		if err != nil {
			return nil, err
		}
		t.device, _ = deviceOf(info)
	}
	return t.run(ctx, &o, new(budget), new(large))
}

// walkDiff reads an unpacked layer.
func walkDiff(ctx context.Context, l *source.Layer, o *Options, spent *budget, big *large) (*result, error) {
	root, err := os.OpenRoot(l.Dir)
	if err != nil {
		return &result{passing: true, Gaps: []inventory.Gap{{What: layerName(l), Code: "broken", Reason: err.Error()}}}, nil
	}
	defer root.Close()
	t := &tree{root: root, overlay: true, most: o.Limits.Files}
	return t.run(ctx, o, spent, big)
}

func (t *tree) run(ctx context.Context, o *Options, spent *budget, big *large) (*result, error) {
	t.wake = sync.NewCond(&t.mu)
	t.todo = []string{""}
	walkers := make([]*walker, o.Parallel)
	var wg sync.WaitGroup
	for i := range walkers {
		w := newWalker(ctx, o, spent, big)
		walkers[i] = w
		wg.Go(func() { t.work(ctx, w) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r := walkers[0].finish()
	for _, w := range walkers[1:] {
		r.join(w.finish())
	}
	if t.err != nil {
		r.Gaps = append(r.Gaps, inventory.Gap{What: "file system", Code: "limit", Reason: t.err.Error()})
	}
	return r, nil
}

// join adds what another worker found of the same tree.
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
	o := owning{names: append(slices.Clip(r.Owned.Names), other.Owned.Names...)}
	for i, h := range r.Owned.Hash {
		o.pairs = append(o.pairs, ownedPair{h, r.Owned.Name[i]})
	}
	for i, h := range other.Owned.Hash {
		o.pairs = append(o.pairs, ownedPair{h, other.Owned.Name[i] + uint32(len(r.Owned.Names))})
	}
	r.Owned = o.set()
}

// work takes directories until there are none left and nobody can add one.
func (t *tree) work(ctx context.Context, w *walker) {
	for {
		t.mu.Lock()
		for len(t.todo) == 0 && t.working > 0 && t.err == nil {
			t.wake.Wait()
		}
		if len(t.todo) == 0 || t.err != nil || ctx.Err() != nil {
			t.wake.Broadcast()
			t.mu.Unlock()
			return
		}
		dir := t.todo[len(t.todo)-1] // depth first keeps the list short
		t.todo = t.todo[:len(t.todo)-1]
		t.working++
		t.mu.Unlock()
		below, err := t.folder(ctx, w, dir)
		t.mu.Lock()
		t.working--
		t.todo = append(t.todo, below...)
		if err != nil && t.err == nil {
			t.err = err
		}
		t.wake.Broadcast()
		t.mu.Unlock()
	}
}

// folder reads one directory and returns those below it. The error is a limit.
func (t *tree) folder(ctx context.Context, w *walker, dir string) (below []string, err error) {
	root := t.root
	if dir != "" {
		if root, err = t.root.OpenRoot(dir); err != nil {
			w.unreadable(dir, err)
			return nil, nil
		}
		defer root.Close()
	}
	d, err := root.Open(".")
	if err != nil {
		w.unreadable(dir, err)
		return nil, nil
	}
	defer d.Close()
	if t.overlay && isOpaque(d) {
		w.res.Opaque = append(w.res.Opaque, pathHash(dir))
	}
	if t.device != 0 {
		if info, err := d.Stat(); err == nil {
			if dev, ok := deviceOf(info); ok && dev != t.device {
				return nil, nil
			}
		}
	}
	for {
		entries, err := d.ReadDir(1024)
		for _, e := range entries {
			p := e.Name()
			if dir != "" {
				p = dir + "/" + p
			}
			if err := w.count(0); err != nil {
				return nil, err
			}
			if e.IsDir() {
				w.dir(p)
				if !slices.Contains(t.skip, p) && len(p) <= maxPath {
					below = append(below, p)
				}
				continue
			}
			t.entry(w, root, e, p)
		}
		if err == io.EOF || ctx.Err() != nil {
			return below, nil
		}
		if err != nil {
			w.unreadable(dir, err)
			return below, nil
		}
	}
}

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

func (t *tree) entry(w *walker, root *os.Root, e fs.DirEntry, p string) {
	switch typ := e.Type(); {
	case typ.IsRegular():
		info, err := root.Lstat(e.Name())
		if err != nil {
			w.unreadable(p, err)
			return
		}
		w.res.Bytes += info.Size()
		f := file{path: p, base: e.Name(), mode: info.Mode(), size: info.Size()}
		f.uid, f.gid = ownerOf(info)
		content := &lazy{root: root, name: e.Name()}
		w.file(&f, content)
		if err := content.close(); err != nil {
			w.unreadable(p, err)
		}
	case typ&fs.ModeSymlink != 0:
		target := ""
		if strings.Count(p, "/") <= 1 || isRelease(p) {
			target, _ = root.Readlink(e.Name())
		}
		if target == "" {
			w.written(p)
			return
		}
		w.symlink(p, target)
	case typ&fs.ModeDevice != 0:
		info, err := root.Lstat(e.Name())
		if err != nil {
			w.unreadable(p, err)
			return
		}
		major, minor := numbersOf(info)
		if t.overlay && major == 0 && minor == 0 && typ&fs.ModeCharDevice != 0 {
			w.res.Whiteouts = append(w.res.Whiteouts, pathHash(p))
			return
		}
		w.device(p, typ&fs.ModeCharDevice == 0, major, minor)
	default:
		w.written(p)
	}
}

// lazy opens a file when somebody reads it.
type lazy struct {
	root *os.Root
	name string
	f    *os.File
	err  error
}

func (l *lazy) Read(b []byte) (int, error) {
	if l.f == nil && l.err == nil {
		// O_NONBLOCK: should the file have become a pipe since, opening it does not wait.
		l.f, l.err = l.root.OpenFile(l.name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if l.err == nil {
			if info, err := l.f.Stat(); err != nil || !info.Mode().IsRegular() {
				l.err = errors.Join(fmt.Errorf("%s is no regular file any more", l.name), err, l.f.Close())
				l.f = nil
			}
		}
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.f.Read(b)
}

func (l *lazy) close() error {
	if l.f != nil {
		return l.f.Close()
	}
	return l.err
}
