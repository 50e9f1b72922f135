package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/collect/image/account"
	"stockade.dev/stockade/internal/collect/image/apk"
	"stockade.dev/stockade/internal/collect/image/cargo"
	"stockade.dev/stockade/internal/collect/image/composer"
	"stockade.dev/stockade/internal/collect/image/dpkg"
	"stockade.dev/stockade/internal/collect/image/gem"
	"stockade.dev/stockade/internal/collect/image/jar"
	"stockade.dev/stockade/internal/collect/image/npm"
	"stockade.dev/stockade/internal/collect/image/nuget"
	"stockade.dev/stockade/internal/collect/image/pypi"
	"stockade.dev/stockade/internal/collect/image/rpm"
	"stockade.dev/stockade/internal/collect/image/secret"
	"stockade.dev/stockade/internal/inventory"
)

// group is what Scanners switches.
type group int

const (
	packages group = iota
	secrets
)

// reader reads files that are held whole in memory. Adding one is adding a line to readers; programs and malicious files are
// found in the stream instead (walker.sinks).
type reader struct {
	name  string
	group group
	wants func(f *file) bool // cheap: it is asked for every regular file
	// read adds what the file gives to out. data is only lent. An error becomes a Gap.
	read func(w *walker, f *file, data []byte, out *fileResult) error
	max  int64 // bytes; larger files are a Gap. 0 is Limits.Whole
	// at does the same for a file that lies open, without holding it; may be nil.
	at func(w *walker, f *file, r io.ReaderAt, out *fileResult) error
	// keeps says that what is read goes elsewhere than to out too: it cannot be remembered with it.
	keeps bool
}

const small = 32 << 20 // more than any text file of a package manager that is not a database

// readers lists all of them, most frequent refusals first.
var readers = []reader{
	{name: "release", group: packages, wants: wantsRelease, read: keepRaw, max: 64 << 10, keeps: true},
	{name: "dpkg", group: packages, wants: wantsDpkg, read: readDpkg},
	{name: "dpkg files", group: packages, wants: wantsDpkgFiles, read: readDpkgFiles, max: small, keeps: true},
	{name: "apk", group: packages, wants: func(f *file) bool { return f.path == "lib/apk/db/installed" || f.path == "usr/lib/apk/db/installed" }, read: readAPK, keeps: true},
	{name: "rpm", group: packages, wants: wantsRPM, read: readRPM, max: 512 << 20, keeps: true},
	{name: "jar", group: packages, wants: func(f *file) bool { return jar.Wants(f.path) }, read: readJar, at: jarAt},
	{name: "jdk", group: packages, wants: func(f *file) bool { return f.base == "release" }, max: 1 << 20,
		read: func(_ *walker, f *file, data []byte, out *fileResult) error {
			if p, ok := jar.Release(f.path, data); ok {
				out.Packages = append(out.Packages, p)
			}
			return nil
		}},
	{name: "mark", group: packages, wants: wantsMark, read: readMark, max: mostMarked},
	language("npm", npm.Wants, npm.Read),
	language("pypi", pypi.Wants, pypi.Read),
	language("gem", gem.Wants, gem.Read),
	language("nuget", nuget.Wants, nuget.Read),
	language("composer", composer.Wants, composer.Read),
	language("cargo", cargo.Wants, cargo.Read),
	{name: "account", group: secrets, wants: func(f *file) bool { return account.Wants(f.path) }, max: small,
		read: func(_ *walker, f *file, data []byte, out *fileResult) error {
			out.Hits = append(out.Hits, account.Read(f.path, data)...)
			return nil
		}},
	{name: "secret", group: secrets, wants: func(f *file) bool { return secret.Wants(f.path, f.mode, f.size) }, max: small,
		read: func(_ *walker, f *file, data []byte, out *fileResult) error {
			out.Hits = append(out.Hits, secret.Read(f.path, data)...)
			return nil
		}},
}

// language makes a reader of one of the language ecosystems.
func language(name string, wants func(string) bool, read func(string, []byte) ([]inventory.Package, error)) reader {
	return reader{name: name, group: packages, max: small, wants: func(f *file) bool { return wants(f.path) },
		read: func(_ *walker, f *file, data []byte, out *fileResult) error {
			found, err := read(f.path, data)
			out.Packages = append(out.Packages, found...)
			return err
		}}
}

// wantsRelease keeps the files that tell an operating system's release, and others in the same places that are called alike: a
// symlink may lead to them.
func wantsRelease(f *file) bool {
	if len(f.path) > 64 || f.size > 64<<10 {
		return false
	}
	if isRelease(f.path) {
		return true
	}
	return (strings.HasPrefix(f.path, "etc/") || strings.HasPrefix(f.path, "usr/lib/os")) && strings.Contains(f.base, "release") && strings.Count(f.path, "/") <= 3
}

func keepRaw(w *walker, f *file, data []byte, _ *fileResult) error {
	if len(w.res.Raw) < 1000 {
		w.res.Raw[f.path] = bytes.Clone(data)
	}
	return nil
}

func wantsDpkg(f *file) bool {
	rest, ok := strings.CutPrefix(f.path, "var/lib/dpkg/status")
	return ok && (rest == "" || strings.HasPrefix(rest, ".d/") && !strings.HasSuffix(rest, ".md5sums")) || f.path == "usr/lib/opkg/status" || f.path == "var/lib/opkg/status"
}

func readDpkg(_ *walker, f *file, data []byte, out *fileResult) error {
	found, err := dpkg.Read(data)
	out.Packages, out.Database = append(out.Packages, found...), true
	return err
}

func wantsDpkgFiles(f *file) bool {
	rest, ok := strings.CutPrefix(f.path, "var/lib/dpkg/")
	return ok && (strings.HasPrefix(rest, "info/") && strings.HasSuffix(rest, ".list") || strings.HasPrefix(rest, "status.d/") && strings.HasSuffix(rest, ".md5sums"))
}

func readDpkgFiles(w *walker, f *file, data []byte, _ *fileResult) error {
	owner := f.base[:strings.LastIndexByte(f.base, '.')]
	owner, _, _ = strings.Cut(owner, ":") // "libc6:amd64.list"
	name := w.owning.name(owner)
	dpkg.Paths(data, func(path string) { w.owning.add(path, name) })
	return nil
}

func readAPK(w *walker, f *file, data []byte, out *fileResult) error {
	owned := w.ownedBy(out)
	defer owned.done()
	found, err := apk.Read(data, owned.add)
	out.Packages, out.Database = append(out.Packages, found...), true
	return err
}

// wantsRPM knows where the systems keep the database: var/lib/rpm, moved to usr/lib/sysimage/rpm by Fedora and SUSE, to
// usr/share/rpm by ostree, and var/lib/rpmmanifest is another matter.
func wantsRPM(f *file) bool {
	if len(f.base) < 8 || f.base[0] != 'P' && f.base[0] != 'r' || !strings.Contains(f.path, "/rpm/") {
		return false
	}
	switch f.base {
	case "Packages", "Packages.db", "rpmdb.sqlite", "rpmdb.sqlite-wal":
		dir := f.path[:len(f.path)-len(f.base)]
		return dir == "var/lib/rpm/" || dir == "usr/lib/sysimage/rpm/" || dir == "usr/share/rpm/"
	}
	return false
}

// readRPM reads a database at once, but keeps SQLite's until the end of the layer: its write-ahead log comes behind it.
func readRPM(w *walker, f *file, data []byte, out *fileResult) error {
	dir := f.path[:len(f.path)-len(f.base)]
	switch f.base {
	case "rpmdb.sqlite":
		w.pending(dir).data = w.own(data)
		return nil
	case "rpmdb.sqlite-wal":
		w.pending(dir).wal = w.own(data)
		return nil
	}
	return w.rpm(rpm.Files{Name: f.base, Data: data}, out)
}

func (w *walker) rpm(files rpm.Files, out *fileResult) error {
	owned := w.ownedBy(out)
	defer owned.done()
	found, err := rpm.Read(files, rpm.Options{Owned: owned.add, Changelog: w.o.RPMChangelog, MaxPackages: w.o.Limits.Packages})
	for i := range found {
		found[i].Path = out.Path
	}
	out.Packages, out.Database = append(out.Packages, found...), true
	return err
}

// sqlite is an rpm database and its log.
type sqlite struct{ data, wal []byte }

func (w *walker) pending(dir string) *sqlite {
	if w.sqlite[dir] == nil {
		w.sqlite[dir] = new(sqlite)
	}
	return w.sqlite[dir]
}

// finishRPM reads the SQLite databases of the layer.
func (w *walker) finishRPM() {
	for dir, s := range w.sqlite {
		f := &file{path: dir + "rpmdb.sqlite", base: "rpmdb.sqlite"}
		if s.data == nil {
			if len(s.wal) > 0 {
				w.gap(dir+"rpmdb.sqlite-wal", "unsupported", errors.New("a write-ahead log without its database in the same layer: its changes are not seen"))
			}
			continue
		}
		out := &fileResult{Path: f.path}
		w.guard(f, out, "rpm", func() error { return w.rpm(rpm.Files{Name: f.base, Data: s.data, WAL: s.wal}, out) })
		w.keep(out)
	}
	w.sqlite = map[string]*sqlite{}
}

func readJar(w *walker, f *file, data []byte, out *fileResult) error {
	return readJarOf(w, f, bytes.NewReader(data), int64(len(data)), out)
}

func jarAt(w *walker, f *file, r io.ReaderAt, out *fileResult) error {
	return readJarOf(w, f, r, f.size, out)
}

func readJarOf(w *walker, f *file, r io.ReaderAt, size int64, out *fileResult) error {
	found, gaps, err := jar.Read(r, size, f.path, jar.Options{Known: w.o.KnownJar, MaxDepth: w.o.Limits.Depth,
		MaxBytes: 2 * w.o.Limits.FileBytes, MaxEntries: w.o.Limits.Files})
	out.Packages, out.Gaps = append(out.Packages, found...), append(out.Gaps, gaps...)
	return err
}

// byPackage gathers the paths of a database whose readers name packages by index, before the packages are there.
type byPackage struct {
	w     *walker
	out   *fileResult
	names int // of the walker before
	pairs int
}

func (w *walker) ownedBy(out *fileResult) *byPackage {
	return &byPackage{w, out, len(w.owning.names), len(w.owning.pairs)}
}

func (b *byPackage) add(path string, pkg int) {
	if pkg >= 0 && pkg < maxOwned {
		b.w.owning.add(path, uint32(b.names+pkg))
	}
}

// done names the packages. Paths of packages that were not given are dropped.
func (b *byPackage) done() {
	o := &b.w.owning
	for i := range b.out.Packages {
		o.name(b.out.Packages[i].Name)
	}
	kept := slices.DeleteFunc(o.pairs[b.pairs:], func(p ownedPair) bool { return int(p.name) >= len(o.names) })
	o.pairs = o.pairs[:b.pairs+len(kept)]
}

// tooLarge is the reason for a file that is over a reader's limit.
func tooLarge(size, max int64) error {
	return fmt.Errorf("%w: %d bytes, at most %d are read", errLimit, size, max)
}
