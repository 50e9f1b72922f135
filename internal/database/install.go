package database

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrOlder says that a database would be replaced by an older one.
var ErrOlder = errors.New("the database in place is newer")

// install puts a complete database from one folder in the place of another. The text file goes first under a name of its
// own; the rename of match.db is the moment of the change. Before it the old database works, after it the new one, and
// processes that have the old files open keep them.
func install(from, to string, force bool) error {
	next, err := Open(from, Options{})
	if err != nil {
		return err
	}
	m := next.Info()
	if err := errors.Join(next.Verify(nil), next.Close()); err != nil {
		return err
	}
	keep := map[string]bool{matchName: true}
	for _, p := range m.beside() {
		keep[p] = true
	}
	old, err := Open(to, Options{NoText: true})
	switch {
	case err == nil:
		was := old.Info()
		old.Close()
		for _, p := range was.beside() {
			keep[p] = true // for processes that open it now
		}
		if !force && older(m.BuiltAt, was.BuiltAt) {
			return fmt.Errorf("%w: it was built at %s, the other at %s", ErrOlder, was.BuiltAt, m.BuiltAt)
		}
	case errors.Is(err, fs.ErrNotExist):
	case !force:
		return fmt.Errorf("the database in place cannot be read, so that nobody knows whether it is newer: %w", err)
	}
	for _, p := range m.beside() {
		if err := os.Rename(filepath.Join(from, p), filepath.Join(to, p)); err != nil {
			return err
		}
	}
	if err := syncDir(to); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(from, matchName), filepath.Join(to, matchName)); err != nil {
		return err
	}
	sweep(to, keep)
	return syncDir(to)
}

func older(a, b string) bool {
	x, err := time.Parse(time.RFC3339, a)
	y, err2 := time.Parse(time.RFC3339, b)
	return err == nil && err2 == nil && x.Before(y)
}

// sweep removes text files that nobody opens any more, and what dead processes left a day ago. What cannot be removed stays.
func sweep(dir string, keep map[string]bool) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		name := e.Name()
		if (strings.HasPrefix(name, "text-") || strings.HasPrefix(name, "emergencies-")) && strings.HasSuffix(name, ".db") && !keep[name] {
			os.Remove(filepath.Join(dir, name))
		}
		if info, err := e.Info(); err == nil && strings.HasPrefix(name, tempPrefix) && time.Since(info.ModTime()) > 24*time.Hour {
			os.RemoveAll(filepath.Join(dir, name))
		}
	}
}

// syncDir makes renames last through a loss of power, where the system lets folders be synced.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync() // not all systems can
	return d.Close()
}

// Sized is one file of a database on its way in.
type Sized struct {
	Name string // in the folder
	Path string // where it lies
}

// Files returns the files of the database in a folder: match.db, and those beside it that are there.
func Files(dir string, m Manifest) []Sized {
	list := []Sized{{matchName, filepath.Join(dir, matchName)}}
	for _, name := range m.beside() {
		if p := filepath.Join(dir, name); exists(p) {
			list = append(list, Sized{name, p})
		}
	}
	return list
}

// beside lists the files that stand beside match.db.
func (m *Manifest) beside() (names []string) {
	if m.Text != nil {
		names = append(names, textName(m.Text))
	}
	if m.Emergencies != nil {
		names = append(names, emergenciesName(m.Emergencies))
	}
	return names
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

// Incoming makes a folder inside dir in which a database is laid down before Install. The caller removes it.
func Incoming(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, tempPrefix)
}

// Install checks the database in folder from (made by Incoming, so that it is on the same disk) against trusted keys and
// against its own hashes, and puts it in the place of the one in folder to. Without force an older one is refused: ErrOlder.
func Install(from, to string, o Options, force bool) error {
	db, err := Open(from, o)
	if err != nil {
		return err
	}
	m := db.Info()
	db.Close()
	for _, name := range m.beside() {
		if !exists(filepath.Join(from, name)) {
			return fmt.Errorf("the file %s of the database is missing", name)
		}
	}
	return install(from, to, force)
}

// Admit judges a manifest that offers itself for folder dir before anything large is fetched: signature, schema, and that it
// is not older than the one in place unless forced.
func Admit(manifest, signature []byte, dir string, o Options, force bool) (*Manifest, error) {
	if _, err := Verify(manifest, signature, o.TrustedKeys); err != nil {
		return nil, err
	}
	m, err := parseManifest(manifest)
	if err != nil {
		return nil, err
	}
	old, err := Open(dir, Options{NoText: true})
	if err != nil {
		return m, nil // Install judges what cannot be read
	}
	defer old.Close()
	if was := old.Info().BuiltAt; !force && older(m.BuiltAt, was) {
		return nil, fmt.Errorf("%w: it was built at %s, the other at %s", ErrOlder, was, m.BuiltAt)
	}
	return m, nil
}

// FileNames are the names of the files of a database: match.db and, where it has them, the texts and the list of emergencies.
func (m *Manifest) FileNames() []string { return append([]string{matchName}, m.beside()...) }

// FileOf is what the manifest says of a file; nil for a file that is none of this database.
func (m *Manifest) FileOf(name string) *File {
	switch {
	case name == matchName:
		return &m.Match
	case m.Text != nil && name == textName(m.Text):
		return m.Text
	case m.Emergencies != nil && name == emergenciesName(m.Emergencies):
		return m.Emergencies
	}
	return nil
}

// Resign signs the database in a folder with a key, in place of the signature that it has. Its content stays as it is.
func Resign(dir string, key ed25519.PrivateKey) error {
	db, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Verify(nil); err != nil {
		return err
	}
	raw, _ := db.Raw()
	signature, err := Sign(raw, key)
	if err != nil {
		return err
	}
	in, err := os.Open(filepath.Join(dir, matchName))
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(dir, tempPrefix)
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // gone when all went well
	defer out.Close()
	hashes := db.match.hashes
	if _, err := io.Copy(out, io.LimitReader(in, int64(db.match.body))); err != nil {
		return err
	}
	w := &pageWriter{f: out, size: db.match.body, hashes: hashes}
	if err := errors.Join(w.seal(raw, signature), out.Sync(), out.Chmod(0o644)); err != nil {
		return err
	}
	if err := os.Rename(out.Name(), filepath.Join(dir, matchName)); err != nil {
		return err
	}
	return syncDir(dir)
}
