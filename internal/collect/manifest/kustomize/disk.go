package kustomize

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"stockade.dev/stockade/internal/collect/manifest"
)

// fileNames are the names of kustomization files, in the order in which kustomize looks for them.
var fileNames = [...]string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// maxReads bounds how often files are read: bases that are used several times are read several times, and a few
// kustomizations that use each other twice would grow without end.
const maxReads = 10_000

// disk is the file system that kustomize sees: the real one below root, read-only, with limits, and with kustomization
// files that refer to nothing remote.
type disk struct {
	filesys.FileSystem // for what is not changed; reads only
	ctx                context.Context
	root, dir          string
	lim                manifest.Limits
	bytes              int64
	reads              int
	limit              string // the limit that was hit, in words
	broken             string // what is wrong with a kustomization file; kustomize only says that there is none

	read      map[string][]byte // content by real path
	lines     map[string][][]byte
	mu        sync.Mutex
	left      int      // references left out
	component bool     // what is built is a component
	patches   []string // files that are patches
	problems  []manifest.Problem
	told      map[string]bool
}

func newDisk(ctx context.Context, root, dir string, lim manifest.Limits) *disk {
	return &disk{FileSystem: filesys.MakeFsOnDisk(), ctx: ctx, root: filepath.Clean(root), dir: dir, lim: lim, bytes: lim.UnpackedBytes,
		read: map[string][]byte{}, lines: map[string][][]byte{}, told: map[string]bool{}}
}

var errReadOnly = errors.New("the file system is read-only")

// Create refuses: nothing is written.
func (d *disk) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir refuses.
func (d *disk) Mkdir(string) error { return errReadOnly }

// MkdirAll refuses.
func (d *disk) MkdirAll(string) error { return errReadOnly }

// RemoveAll refuses.
func (d *disk) RemoveAll(string) error { return errReadOnly }

// WriteFile refuses.
func (d *disk) WriteFile(string, []byte) error { return errReadOnly }

// Open refuses: kustomize reads whole files.
func (d *disk) Open(string) (filesys.File, error) { return nil, errReadOnly }

// Walk refuses: kustomize walks folders only to copy them.
func (d *disk) Walk(string, filepath.WalkFunc) error { return errReadOnly }

// inside returns the real path of name if it is below the root.
func (d *disk) inside(name string) (string, error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			return "", fmt.Errorf("%s: %w", d.short(name), pe.Err)
		}
		return "", err
	}
	if real, err = filepath.Abs(real); err != nil {
		return "", err
	}
	if real != d.root && !strings.HasPrefix(real, d.root+string(filepath.Separator)) {
		return "", fmt.Errorf("%s is outside the folder that may be read", d.short(name))
	}
	return real, nil
}

// short is a path as seen from the root: nobody needs to know where the root is on this machine.
func (d *disk) short(name string) string {
	if rel, err := filepath.Rel(d.root, name); err == nil {
		return filepath.ToSlash(rel)
	}
	return filepath.Base(name)
}

// Exists reports whether a file below the root exists.
func (d *disk) Exists(name string) bool { _, err := d.inside(name); return err == nil }

// IsDir reports whether name is a folder below the root.
func (d *disk) IsDir(name string) bool {
	real, err := d.inside(name)
	return err == nil && d.FileSystem.IsDir(real)
}

// ReadDir lists a folder below the root.
func (d *disk) ReadDir(name string) ([]string, error) {
	real, err := d.inside(name)
	if err != nil {
		return nil, err
	}
	return d.FileSystem.ReadDir(real)
}

// Glob lists the files below the root that match.
func (d *disk) Glob(pattern string) ([]string, error) {
	list, err := d.FileSystem.Glob(pattern)
	return slices.DeleteFunc(list, func(name string) bool { return !d.Exists(name) }), err
}

// CleanedAbs resolves a path, which must be below the root.
func (d *disk) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	if _, err := d.inside(name); err != nil {
		return "", "", err
	}
	return d.FileSystem.CleanedAbs(name)
}

// ReadFile reads a file below the root. Kustomization files come without their remote parts.
func (d *disk) ReadFile(name string) ([]byte, error) {
	data, err := d.content(name)
	if err != nil {
		return nil, err
	}
	base := filepath.Base(name)
	if slices.Contains(fileNames[:], base) {
		return d.tame(name, data)
	}
	return data, nil
}

// content reads a file under the limits.
func (d *disk) content(name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.ctx.Err(); err != nil {
		return nil, err
	}
	real, err := d.inside(name)
	if err != nil {
		return nil, err
	}
	if d.reads++; d.reads > maxReads {
		return nil, d.over("it reads files more than %d times", maxReads)
	}
	data, known := d.read[real]
	if !known {
		if data, err = d.load(real); err != nil {
			return nil, err
		}
	}
	if d.bytes -= int64(len(data)); d.bytes < 0 {
		return nil, d.over("it reads more than %d bytes", d.lim.UnpackedBytes)
	}
	d.read[real] = data
	return data, nil
}

func (d *disk) load(real string) ([]byte, error) {
	info, err := os.Stat(real)
	if err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file that can be read", d.short(real))
	}
	in, err := os.Open(real)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, fmt.Errorf("%s: %w", d.short(real), err)
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, d.lim.FileBytes+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > d.lim.FileBytes {
		return nil, d.over("%s is larger than %d bytes", d.short(real), d.lim.FileBytes)
	}
	if err := manifest.Bounded(data, d.lim); err != nil { // kustomize expands aliases without a limit
		return nil, d.over("%s: %v", d.short(real), err)
	}
	return data, nil
}

func (d *disk) over(format string, args ...any) error {
	d.limit = fmt.Sprintf(format, args...)
	return errors.New(d.limit)
}

// consumed returns the files that were read, but for those that the kustomization merely looked at.
func (d *disk) consumed() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]string, 0, len(d.read))
	for name := range d.read {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// kustomization returns the kustomization file of a folder.
func (d *disk) kustomization(dir string) string {
	for _, name := range fileNames {
		full := filepath.Join(dir, name)
		if _, err := os.Lstat(full); err == nil {
			return full
		}
	}
	return filepath.Join(dir, fileNames[0])
}

// split returns the lines of a file that was read; nil when it was not.
func (d *disk) split(file string) [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines, ok := d.lines[file]
	if !ok {
		if data, known := d.read[file]; known {
			lines = bytes.Split(data, []byte("\n"))
		}
		d.lines[file] = lines
	}
	return lines
}

// text returns a line of a file.
func (d *disk) text(file string, n int) string {
	if lines := d.split(file); n >= 1 && n <= len(lines) {
		return strings.TrimSuffix(string(lines[n-1]), "\r")
	}
	return ""
}

// line returns the line of a file that gives a generated object its name; 1 when there is none.
func (d *disk) line(file, name string) int {
	best, line := 0, 1
	for i, l := range d.split(file) {
		text := strings.TrimLeft(strings.TrimSpace(string(l)), "- ")
		given, ok := strings.CutPrefix(text, "name:")
		given = strings.Trim(strings.TrimSpace(given), `"'`)
		if ok && len(given) > best && strings.Contains(name, given) {
			best, line = len(given), i+1
		}
	}
	return line
}
