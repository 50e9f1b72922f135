package container

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"stockade.dev/stockade/internal/inventory"
)

// drifting looks for executables that images do not have, in all containers of a node.
type drifting struct {
	ctx    context.Context
	o      *Options
	t      *table
	files  int64 // looked at
	hashed int64 // bytes
	runc   map[string]bool
	skips  []inventory.SkipFact
}

// layer is the writable layer of a container with what lies below it.
type layer struct {
	upper *os.Root
	lower []*os.Root // topmost first
}

func (l *layer) close() {
	if l.upper != nil {
		l.upper.Close()
	}
	for _, r := range l.lower {
		r.Close()
	}
}

// openLayer opens the folders of an overlay. partly says that not all lower ones are there.
func openLayer(root string, c *found) (l *layer, partly bool, err error) {
	l = &layer{}
	at, err := onNode(root, c.upper)
	if err != nil {
		return nil, false, err
	}
	if l.upper, err = os.OpenRoot(at); err != nil {
		return nil, false, err
	}
	for _, p := range c.lower {
		if !path.IsAbs(p) {
			partly = true
			continue
		}
		at, err := onNode(root, p)
		if err == nil {
			var r *os.Root
			if r, err = os.OpenRoot(at); err == nil {
				l.lower = append(l.lower, r)
			}
		}
		partly = partly || err != nil
	}
	return l, partly, nil
}

// below opens what the image has at a path; fs.ErrNotExist when it has nothing there.
func (l *layer) below(p string) (*os.File, error) {
	for _, r := range l.lower {
		f, err := openBelow(r, p)
		if err == nil {
			return f, nil
		}
		if errors.Is(err, errNotRegular) { // a whiteout, or something else was there
			return nil, fs.ErrNotExist
		}
	}
	return nil, fs.ErrNotExist
}

func (d *drifting) skip(c *found, needs, reason, code string) {
	k := inventory.SkipFact{Check: "container-drift", Needs: needs, Reason: clean(Name(&c.ContainerFact)) + ": " + clean(reason), Code: code}
	if code == "forbidden" {
		k.Lacks = inventory.LacksFiles
	}
	d.skips = append(d.skips, k)
}

// look fills in the drift of one container.
func (d *drifting) look(c *found, mounts []mount) {
	if c.virtual {
		return
	}
	var l *layer
	if c.upper == "" {
		what := c.snapshotter
		if what == "" {
			what = "an unknown driver"
		}
		d.skip(c, "an overlay file system", "its file system is kept by "+what+": only deleted, memory and temporary executables that run were looked for", "unsupported")
	} else {
		var partly bool
		var err error
		if l, partly, err = openLayer(d.o.Root, c); err != nil {
			l = nil
			code := "broken"
			switch {
			case errors.Is(err, fs.ErrPermission):
				code = "forbidden"
			case errors.Is(err, fs.ErrNotExist):
				code = "unreachable"
			}
			d.skip(c, "the folder "+c.upper+" of the node", err.Error(), code)
		} else {
			defer l.close()
			if partly {
				d.skip(c, "the folders of the image's layers", "some of them cannot be opened: what was changed counts as added", "unreachable")
			}
		}
	}
	seen := map[string]bool{}
	d.running(c, l, mounts, seen)
	if l != nil && !d.o.NoDrift {
		d.walk(c, l, seen)
	}
	slices.SortFunc(c.Drift, func(a, b inventory.DriftFact) int {
		if a.Running != b.Running {
			if a.Running {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Why, b.Why), strings.Compare(a.SHA256, b.SHA256))
	})
	c.Drift = slices.Compact(c.Drift)
}

// running looks at the files that processes run.
func (d *drifting) running(c *found, l *layer, mounts []mount, seen map[string]bool) {
	looked := map[string]bool{}
	for _, p := range c.processes {
		exe, err := d.t.link(p.pid, "exe")
		if err != nil || exe == "" || len(c.Drift) >= d.o.Limits.Drift {
			continue
		}
		link := filepath.Join(d.t.proc, strconv.Itoa(p.pid), "exe")
		info, err := os.Stat(link)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		gone := ok && st.Nlink == 0
		if key := fmt.Sprint(exe, p.mounts, gone, st.Ino, st.Dev); looked[key] {
			continue
		} else {
			looked[key] = true
		}
		f := inventory.DriftFact{Path: clean(strings.TrimSuffix(exe, " (deleted)")), Running: true, Size: info.Size(), Mode: octalMode(info)}
		switch m := mountOf(mounts, exe); {
		case gone && strings.HasPrefix(exe, "/memfd:"):
			f.Why = "memory"
			if f.SHA256, _ = d.hashFile(link); strings.Contains(exe, "runc_cloned:") && d.isRunc(f.SHA256) {
				continue // the runtime itself, on its way into the container
			}
		case gone:
			f.Why = "deleted"
		case p.mounts != c.init.mounts: // of another file system than the container's
			continue
		case m != nil && m.path != "/":
			if m.fs != "tmpfs" || !slices.Contains([]string{"/dev", "/dev/shm", "/run", "/tmp", "/var/tmp", "/var/run"}, m.path) {
				continue // a volume
			}
			f.Why = "added"
		case l != nil:
			file, err := openBelow(l.upper, strings.TrimPrefix(exe, "/"))
			if err != nil {
				continue // of the image
			}
			f.Why, f.SHA256, err = d.compare(l, strings.TrimPrefix(exe, "/"), file, info)
			file.Close()
			if err != nil || f.Why == "" {
				continue
			}
			seen[strings.TrimPrefix(exe, "/")] = true
		default:
			continue
		}
		if f.SHA256 == "" {
			f.SHA256, _ = d.hashFile(link)
		}
		if d.t.same(p) {
			c.Drift = append(c.Drift, f)
		}
	}
}

// mountOf is the mount that a path lies on.
func mountOf(mounts []mount, p string) *mount {
	var best *mount
	for i := range mounts {
		if _, ok := below(p, mounts[i].path); ok && (best == nil || len(mounts[i].path) >= len(best.path)) {
			best = &mounts[i]
		}
	}
	return best
}

// isRunc reports whether a hash is that of a runtime of the node, which makes a copy of itself in memory before it enters a container.
func (d *drifting) isRunc(sum string) bool {
	if d.runc == nil {
		d.runc = map[string]bool{}
		for _, p := range []string{"/usr/bin/runc", "/usr/sbin/runc", "/usr/local/sbin/runc", "/usr/local/bin/runc", "/usr/bin/crun", "/usr/libexec/crio/runc", "/usr/libexec/crio/crun"} {
			if at, err := onNode(d.o.Root, p); err == nil {
				if s, err := d.hashFile(at); err == nil {
					d.runc[s] = true
				}
			}
		}
	}
	return sum != "" && d.runc[sum]
}

// walk looks at every file of a writable layer.
func (d *drifting) walk(c *found, l *layer, seen map[string]bool) {
	var count, size, left int64
	broken := ""
	t := &tree{ctx: d.ctx, count: func() error {
		d.files++
		if count++; count > d.o.Limits.LayerFiles || d.files > d.o.Limits.Files {
			return errLimit
		}
		return nil
	}, fail: func(p string, err error) {
		if broken == "" {
			broken = "/" + p + ": " + err.Error()
		}
	}, visit: func(dir *os.File, p string, e fs.DirEntry) error {
		if !e.Type().IsRegular() {
			return nil // whiteouts are devices: what is gone from the image is no executable
		}
		info, err := e.Info()
		if err != nil {
			return nil // gone meanwhile
		}
		c.WritableFiles++
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			size += st.Blocks * 512 // a sparse file takes no room
		}
		if seen[p] || info.Size() < 2 {
			return nil
		}
		f, err := openRegular(dir, e.Name())
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				broken = "/" + p + ": " + err.Error()
			}
			return nil
		}
		defer f.Close()
		if !executable(f, info) {
			return nil
		}
		if len(c.Drift) >= d.o.Limits.Drift {
			left++
			return nil
		}
		why, sum, err := d.compare(l, p, f, info)
		if err != nil {
			broken = "/" + p + ": " + err.Error()
			return nil
		}
		if why != "" {
			c.Drift = append(c.Drift, inventory.DriftFact{Path: clean("/" + p), Why: why, SHA256: sum, Size: info.Size(), Mode: octalMode(info)})
		}
		return nil
	}}
	err := t.walk(l.upper, "", 0)
	c.WritableBytes, c.WritableFiles = coarse(size), coarse(c.WritableFiles)
	switch {
	case errors.Is(err, errLimit):
		d.skip(c, "a writable layer of no more than "+strconv.FormatInt(d.o.Limits.LayerFiles, 10)+" files", "the rest of its writable layer was not looked at", "limit")
	case err != nil:
		d.skip(c, "time", err.Error(), "limit")
	}
	if left > 0 {
		d.skip(c, "no more than "+strconv.Itoa(d.o.Limits.Drift)+" executables in a writable layer", "it has more that are not in the image", "limit")
	}
	if broken != "" {
		d.skip(c, "the files of its writable layer", broken, "broken")
	}
}

// executable tells programs and scripts by their first bytes; a file that may be executed and is plain text is a script to a shell.
func executable(f *os.File, info fs.FileInfo) bool {
	var head [256]byte
	n, _ := f.ReadAt(head[:], 0)
	h := head[:n]
	if bytes.HasPrefix(h, []byte("\x7fELF")) || bytes.HasPrefix(h, []byte("#!")) {
		return true
	}
	return info.Mode()&0o111 != 0 && n > 0 && !bytes.ContainsFunc(h, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0xfffd })
}

// compare tells in what a file of the writable layer differs from the image: added, changed, or "" for not at all, as after a
// chown, which copies files up.
func (d *drifting) compare(l *layer, p string, f *os.File, info fs.FileInfo) (why, sum string, err error) {
	if metacopy(f) {
		return "", "", nil // its content is the image's
	}
	old, err := l.below(p)
	if errors.Is(err, fs.ErrNotExist) {
		sum, err = d.hash(f)
		return "added", sum, err
	}
	if err != nil {
		return "", "", err
	}
	defer old.Close()
	if sum, err = d.hash(f); err != nil {
		return "", "", err
	}
	before, err := old.Stat()
	if err != nil {
		return "", "", err
	}
	if before.Size() == info.Size() && before.Mode()&0o111 == info.Mode()&0o111 && before.Mode()&(fs.ModeSetuid|fs.ModeSetgid) == info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) {
		if was, err := d.hash(old); err == nil && was == sum && sum != "" {
			return "", "", nil
		}
	}
	return "changed", sum, nil
}

func (d *drifting) hashFile(name string) (string, error) {
	f, err := quietly(os.OpenFile, name, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(errNotRegular, err)
	}
	return d.hash(f)
}

// hash is "" for what is too large, or when enough was read of this node.
func (d *drifting) hash(f *os.File) (string, error) {
	most := min(d.o.Limits.FileBytes, d.o.Limits.HashBytes-d.hashed)
	if info, err := f.Stat(); err != nil || info.Size() > most {
		return "", err
	}
	h := sha256.New()
	n, err := io.Copy(h, io.NewSectionReader(f, 0, most+1))
	d.hashed += n
	if err != nil || n > most {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func octalMode(info fs.FileInfo) string {
	mode := uint32(info.Mode().Perm())
	for bit, m := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if info.Mode()&bit != 0 {
			mode |= m
		}
	}
	return fmt.Sprintf("%04o", mode)
}

// metacopy reports whether overlayfs copied up a file's owner and mode only. Its attribute among those of users says nothing: overlays
// that keep their attributes there copy files whole, and in a container whoever may write a file could set it.
func metacopy(f *os.File) bool {
	_, err := unix.Fgetxattr(int(f.Fd()), "trusted.overlay.metacopy", nil)
	return err == nil
}
