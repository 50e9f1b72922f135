package database

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/advisory"
)

// everything asks an open database all it can be asked.
func everything(db *DB) (answers string, err error) {
	var e encoder
	err = db.Each(func(k Key, rows func(func(*advisory.Row) bool) error) error {
		e.text(k.Stream + k.Package)
		return rows(func(r *advisory.Row) bool { e.row(r); return true })
	})
	if err != nil {
		return "", err
	}
	for _, k := range []Key{{"maven", "a:b"}, {"almalinux 8", "openssl"}, {"redhat 9", "kernel"}} {
		if err := db.Rows(k.Stream, k.Package, func(r *advisory.Row) bool { e.row(r); return true }); err != nil {
			return "", err
		}
	}
	if err := db.EachID(func(id string, v *advisory.Vulnerability) error { e.text(id); return nil }); err != nil {
		return "", err
	}
	for _, id := range []string{"CVE-2021-44228", "GHSA-jfh8-c2jp-5v3q", "GO-2022-0001", "USN-1-1"} {
		if v, ok := db.Vulnerability(id); ok {
			e.vulnerability(v, true)
		}
		for _, k := range db.Keys(id) {
			e.text(k.Stream + k.Package)
		}
	}
	e.texts(db.Repository("rhel-8-baseos"))
	if db.TextError() != nil {
		return "", db.TextError()
	}
	list, err := db.Emergencies()
	if err != nil {
		return "", err
	}
	e.text(string(list))
	return string(e.b), db.Err()
}

func small() content {
	c := randomContent(5, 60)
	c.vulns = someVulnerabilities()
	c.repos = []advisory.Repository{{Name: "rhel-8-baseos", CPEs: []string{"cpe:/a"}}}
	return c
}

// TestDamage changes every byte of both files in turn, and cuts them everywhere: there is an error, or the answers are right.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	build(t, dir, small(), BuildOptions{}, Output{Emergencies: []byte(`[{"id":"CVE-2024-21626","revision":1}]`)})
	db, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := everything(db)
	if err != nil {
		t.Fatal(err)
	}
	m := db.Info()
	db.Close()
	unnoticed := 0
	try := func(name string, data []byte, where int) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
		db, err := Open(dir, Options{})
		if err != nil {
			return
		}
		defer db.Close()
		got, err := everything(db)
		if err == nil && got != want {
			t.Fatalf("%s, byte %d: wrong answers without an error", name, where)
		}
		if err == nil {
			unnoticed++
		}
	}
	for _, name := range m.FileNames() {
		good, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		unnoticed = 0
		for i := range good {
			bad := append([]byte(nil), good...)
			bad[i] ^= 1 << (i % 8)
			try(name, bad, i)
		}
		if unnoticed > 0 {
			t.Errorf("%s: %d of %d changed bytes went unnoticed", name, unnoticed, len(good))
		}
		for i := 0; i < len(good); i += 7 {
			unnoticed = 0
			if try(name, good[:i], i); unnoticed > 0 {
				t.Errorf("%s cut at %d of %d went unnoticed", name, i, len(good))
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCutWhileOpen shortens the file below an open database: an error, not the end of the process.
func TestCutWhileOpen(t *testing.T) {
	dir := t.TempDir()
	build(t, dir, randomContent(1, 2000), BuildOptions{}, Output{})
	db, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := os.Truncate(filepath.Join(dir, matchName), 5000); err != nil {
		t.Fatal(err)
	}
	if err := db.Verify(nil); err == nil {
		t.Error("no error")
	}
}

// TestReadAt does without a mapping, as on systems that have none.
func TestReadAt(t *testing.T) {
	dir := t.TempDir()
	build(t, dir, small(), BuildOptions{}, Output{})
	db, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	want, err := everything(db)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	f, err := os.Open(filepath.Join(dir, matchName))
	if err != nil {
		t.Fatal(err)
	}
	other.match.src.close()
	other.match.src = &readSource{f}
	if got, err := everything(other); err != nil || got != want {
		t.Errorf("other answers: %v", err)
	}
}

// reseal makes a file whose hashes agree with a foreign body, as somebody without a key can.
func reseal(t testing.TB, path string, body []byte, text *File) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := newPageWriter(f)
	w.Write(body)
	root, err := w.close()
	if err != nil {
		t.Fatal(err)
	}
	m := Manifest{Schema: Schema, BuiltAt: builtAt, Match: File{int64(len(body)), hex.EncodeToString(root[:])}, Text: text}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.seal(data, nil); err != nil {
		t.Fatal(err)
	}
}

// FuzzBody opens databases whose bodies are anything at all, with hashes that agree: errors only, in bounded time and memory.
func FuzzBody(f *testing.F) {
	dir := f.TempDir()
	m := build(f, dir, small(), BuildOptions{}, Output{})
	data, err := os.ReadFile(filepath.Join(dir, matchName))
	if err != nil {
		f.Fatal(err)
	}
	body := data[:m.Match.Size]
	f.Add(body)
	for _, at := range []int{len(body) - 1, len(body) - 60, len(body) - sectionTable + 9, len(body) / 2, len(body) / 3, 20, 200} {
		bad := append([]byte(nil), body...)
		bad[at] ^= 0xff
		f.Add(bad)
	}
	f.Add([]byte{})
	f.Add(make([]byte, sectionTable))
	dir = f.TempDir()
	f.Fuzz(func(t *testing.T, body []byte) {
		path := filepath.Join(dir, matchName)
		reseal(t, path, body, nil)
		db, err := Open(path, Options{})
		if err != nil {
			return
		}
		defer db.Close()
		_, _ = everything(db)
		_ = db.Verify(nil)
	})
}

// FuzzText reads texts out of groups that are anything.
func FuzzText(f *testing.F) {
	dir := f.TempDir()
	m := build(f, dir, small(), BuildOptions{}, Output{})
	data, err := os.ReadFile(filepath.Join(dir, textName(m.Text)))
	if err != nil {
		f.Fatal(err)
	}
	match, err := os.ReadFile(filepath.Join(dir, matchName))
	if err != nil {
		f.Fatal(err)
	}
	match = match[:m.Match.Size]
	f.Add(data[:m.Text.Size])
	f.Add([]byte("stockade.db/v1\n\x00\xff\xff\xff\xff\x0f\x01"))
	f.Fuzz(func(t *testing.T, body []byte) {
		dir := t.TempDir()
		tmp := filepath.Join(dir, "t")
		out, err := os.Create(tmp)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		w := newPageWriter(out)
		w.Write(body)
		root, err := w.close()
		if err != nil {
			t.Fatal(err)
		}
		if err := w.seal(nil, nil); err != nil {
			t.Fatal(err)
		}
		file := &File{int64(len(body)), hex.EncodeToString(root[:])}
		if err := os.Rename(tmp, filepath.Join(dir, textName(file))); err != nil {
			t.Fatal(err)
		}
		reseal(t, filepath.Join(dir, matchName), match, file)
		db, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		_, _ = everything(db)
	})
}

// FuzzManifest reads manifests and signatures.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"schema":"stockade.db/v1","builtAt":"2026-08-22T00:00:00Z","match":{"size":1,"sha256":"`+strings.Repeat("0f", 32)+`"},"text":{"size":1,"sha256":"../../../../etc/passwd"}}`), []byte(`{"key":"x","signature":"AA=="}`))
	key := make([]byte, 32)
	sum := sha256.Sum256(nil)
	copy(key, sum[:])
	f.Fuzz(func(t *testing.T, manifest, signature []byte) {
		if m, err := parseManifest(manifest); err == nil {
			for _, n := range m.FileNames() {
				if n != filepath.Base(n) {
					t.Errorf("name %q leads elsewhere", n)
				}
			}
		}
		if _, err := Verify(manifest, signature, []ed25519.PublicKey{key}); err == nil {
			t.Error("nobody has that key")
		}
	})
}
