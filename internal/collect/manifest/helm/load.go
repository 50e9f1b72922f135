package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	"helm.sh/helm/v4/pkg/ignore"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/finding"
)

// limitError is a chart beyond a limit.
type limitError struct{ text string }

func (e *limitError) Error() string { return e.text }

func limited(format string, args ...any) error { return &limitError{fmt.Sprintf(format, args...)} }

// maxParts bounds the folders of a path, and maxNested the archives in archives.
const (
	maxParts  = 30
	maxNested = 5
)

// unpacking is the files of a chart and what they may still take.
type unpacking struct {
	lim   manifest.Limits
	bytes int64
	files []*archive.BufferedFile
}

// files reads the files of the chart, unpacking the archives of dependencies as well: with one budget for all of them.
func (r *render) files(packed []byte) ([]*archive.BufferedFile, error) {
	u := &unpacking{lim: r.lim, bytes: r.lim.UnpackedBytes}
	var err error
	if packed != nil {
		err = u.archive("", packed, 0)
	} else {
		err = u.folder(r)
	}
	if err != nil {
		return nil, err
	}
	return u.files, nil
}

// add notes a file; a packed dependency is replaced by its files.
func (u *unpacking) add(name string, data []byte, depth int) error {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if strings.HasSuffix(name, ".tgz") && path.Base(path.Dir(name)) == "charts" {
		if depth >= maxNested {
			return limited("charts are packed in each other more than %d deep, at %s", maxNested, name)
		}
		return u.archive(strings.TrimSuffix(name, ".tgz")+"-packed/", data, depth+1)
	}
	if len(u.files) >= u.lim.UnpackedFiles {
		return limited("more than %d files", u.lim.UnpackedFiles)
	}
	u.files = append(u.files, &archive.BufferedFile{Name: name, Data: data})
	return nil
}

// take reads a file's content against the budget.
func (u *unpacking) take(name string, in io.Reader) ([]byte, error) {
	most := min(u.bytes, u.lim.FileBytes)
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(data)) > most {
		if most == u.bytes {
			return nil, limited("more than %d bytes unpacked", u.lim.UnpackedBytes)
		}
		return nil, limited("%s: larger than %d bytes", name, u.lim.FileBytes)
	}
	u.bytes -= int64(len(data))
	return data, nil
}

// archive unpacks a chart archive below prefix.
func (u *unpacking) archive(prefix string, packed []byte, depth int) error {
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return errors.New("it is no gzip archive")
	}
	defer zip.Close()
	// Small archives may be well packed; the ratio matters when it is about real memory.
	most := max(int64(len(packed))*u.lim.Ratio, 1<<20)
	counted := &io.LimitedReader{R: zip, N: most + 1}
	in := tar.NewReader(counted)
	entries := 0
	for {
		h, err := in.Next()
		if counted.N <= 0 {
			return limited("it unpacks to more than %d times its size", u.lim.Ratio)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("broken archive: %w", err)
		}
		if entries++; entries > u.lim.UnpackedFiles {
			return limited("more than %d files", u.lim.UnpackedFiles)
		}
		name, err := entryName(h)
		if err != nil {
			return err
		}
		if name == "" {
			continue
		}
		data, err := u.take(name, in)
		if counted.N <= 0 {
			return limited("it unpacks to more than %d times its size", u.lim.Ratio)
		}
		if err != nil {
			return err
		}
		if err := u.add(prefix+name, data, depth); err != nil {
			return err
		}
	}
	if entries == 0 {
		return errors.New("the archive is empty")
	}
	return nil
}

// entryName checks an entry of an archive and returns its path inside the chart; "" for entries that are no files.
func entryName(h *tar.Header) (string, error) {
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeDir, tar.TypeXGlobalHeader, tar.TypeXHeader:
		return "", nil
	default:
		return "", fmt.Errorf("entry %q is a link or a device; charts may hold files only", h.Name)
	}
	name := strings.ReplaceAll(h.Name, `\`, "/")
	if path.IsAbs(name) || len(name) > 1 && name[1] == ':' {
		return "", fmt.Errorf("entry %q has an absolute path", h.Name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("entry %q leads out of the chart", h.Name)
		}
	}
	_, below, ok := strings.Cut(strings.TrimPrefix(path.Clean(name), "./"), "/")
	switch {
	case !ok && below == "" && path.Base(name) == "Chart.yaml":
		return "", errors.New("Chart.yaml must be in a folder of the archive, not at its top")
	case !ok:
		return "", nil
	case strings.Count(below, "/") >= maxParts:
		return "", limited("a path of more than %d folders", maxParts)
	}
	return below, nil
}

// folder reads a chart folder. os.Root keeps links inside it.
func (u *unpacking) folder(r *render) error {
	root, err := os.OpenRoot(r.path)
	if err != nil {
		return plain(err)
	}
	defer root.Close()
	rules := ignore.Empty()
	if data, err := root.ReadFile(ignore.HelmIgnore); err == nil {
		if rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return fmt.Errorf("%s: %w", ignore.HelmIgnore, err)
		}
	}
	rules.AddDefaults()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return plain(err)
		case name == ".":
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return plain(err)
		}
		if strings.Count(name, "/") >= maxParts {
			return limited("a path of more than %d folders", maxParts)
		}
		if rules.Ignore(name, info) || d.IsDir() && (name == ".git" || d.Name() == "node_modules") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		return u.entry(r, root, name, d)
	})
}

// maxExtra is the size up to which files that are neither templates nor settings are loaded: templates can read them
// through .Files, but a chart at the top of a repository has all of it as such files.
const maxExtra = 1 << 20

func extra(name string) bool {
	top, _, below := strings.Cut(name, "/")
	switch top {
	case "templates", "charts", "crds":
		return false
	}
	return below || path.Ext(name) != ".yaml"
}

// entry reads one file of a chart folder.
func (u *unpacking) entry(r *render, root *os.Root, name string, d fs.DirEntry) error {
	if d.IsDir() {
		return nil
	}
	skip := func(reason string) error {
		r.problem(path.Join(r.path, name), 0, "file of the chart", reason, finding.Skipped)
		return nil
	}
	info, err := root.Stat(name)
	switch {
	case err != nil && d.Type()&fs.ModeSymlink != 0:
		return skip("a symbolic link that leads out of the chart or nowhere")
	case err != nil:
		return plain(err)
	case info.IsDir():
		return skip("a symbolic link to a folder is not followed")
	case !info.Mode().IsRegular():
		return skip("it is no regular file")
	case info.Size() > maxExtra && extra(name):
		return nil
	}
	in, err := root.Open(name)
	if err != nil {
		return plain(err)
	}
	defer in.Close()
	data, err := u.take(name, in)
	if err != nil {
		return err
	}
	return u.add(name, data, 0)
}

// plain is an error of the file system without the path of the machine, but with the kind.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", path.Base(pe.Path), pe.Err)
	}
	return err
}
