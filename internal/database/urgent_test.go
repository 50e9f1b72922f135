package database

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"
)

// TestEmergencies carries the list of emergencies under the database's signature, does without one, and sweeps the old one away.
func TestEmergencies(t *testing.T) {
	dir := t.TempDir()
	public, key, _ := ed25519.GenerateKey(nil)
	open := func() *DB {
		db, err := Open(dir, Options{TrustedKeys: []ed25519.PublicKey{public}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	build(t, dir, small(), BuildOptions{}, Output{Key: key, BuiltAt: "2026-01-01T00:00:00Z"})
	if list, err := open().Emergencies(); list != nil || err != nil {
		t.Errorf("a database without a list: %q, %v", list, err)
	}
	first := bytes.Repeat([]byte(`{"id":"CVE-2024-21626"}`), 1000) // several pages
	build(t, dir, small(), BuildOptions{}, Output{Key: key, BuiltAt: "2026-01-02T00:00:00Z", Emergencies: first})
	one := open()
	if list, err := one.Emergencies(); !bytes.Equal(list, first) || err != nil {
		t.Errorf("%d bytes of %d, %v", len(list), len(first), err)
	}
	build(t, dir, small(), BuildOptions{}, Output{Key: key, BuiltAt: "2026-01-03T00:00:00Z", Emergencies: []byte("[]")})
	build(t, dir, small(), BuildOptions{}, Output{Key: key, BuiltAt: "2026-01-04T00:00:00Z", Emergencies: []byte("[ ]")})
	if list, err := open().Emergencies(); string(list) != "[ ]" || err != nil {
		t.Errorf("%q, %v", list, err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "emergencies-*")); len(files) != 2 { // its own and the one before
		t.Errorf("lists in the folder: %v", files)
	}
	m := one.Info()
	if err := os.WriteFile(filepath.Join(dir, emergenciesName(open().Info().Emergencies)), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	db := open() // the rest works
	if _, err := db.Emergencies(); err == nil || db.Verify(nil) == nil {
		t.Error("a foreign list was not noticed")
	}
	if m.FileOf("text-other.db") != nil || m.FileOf(matchName) == nil {
		t.Error("FileOf")
	}
	if _, err := tryBuild(t, t.TempDir(), small(), BuildOptions{}, Output{Emergencies: make([]byte, maxEmergencies+1)}); err == nil {
		t.Error("an endless list was taken")
	}
}
