package database

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// maxEmergencies bounds the list of emergencies, which is read whole.
const maxEmergencies = 16 << 20

// writeEmergencies writes the list of emergencies as a file of pages, like the others: the manifest vouches for its root.
func writeEmergencies(dir string, list []byte) (*File, error) {
	if len(list) > maxEmergencies {
		return nil, fmt.Errorf("the list of emergencies has %d bytes, more than %d", len(list), maxEmergencies)
	}
	f, err := os.Create(filepath.Join(dir, "emergencies"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	w := newPageWriter(f)
	if _, err := w.Write(list); err != nil {
		return nil, err
	}
	root, err := w.close()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(w.seal(nil, nil), f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	out := &File{int64(w.size), hex.EncodeToString(root[:])}
	return out, os.Rename(filepath.Join(dir, "emergencies"), filepath.Join(dir, emergenciesName(out)))
}

// emergenciesName is the name of a list of emergencies in its folder; see textName.
func emergenciesName(f *File) string {
	return "emergencies-" + f.SHA256[:min(16, len(f.SHA256))] + ".db"
}

// readEmergencies reads a list whole and holds it to what the manifest says.
func readEmergencies(path string, want *File) ([]byte, error) {
	p, root, _, _, err := openPages(path)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if hex.EncodeToString(root[:]) != want.SHA256 || p.body != uint64(want.Size) || p.body > maxEmergencies {
		return nil, fmt.Errorf("%s: not the list of emergencies that the manifest names", path)
	}
	out := make([]byte, 0, p.body)
	err = p.guard(func() error {
		const step = 1 << 20
		for off := uint64(0); off < p.body; off += step {
			b, err := p.view(off, min(step, p.body-off))
			if err != nil {
				return err
			}
			out = append(out, b...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Emergencies returns the list of emergencies, as it was given to the builder; nil when the database has none. The error says that
// it is damaged: it is never used then, and the rest of the database is not harmed.
func (db *DB) Emergencies() ([]byte, error) { return db.urgent, db.urgentErr }
