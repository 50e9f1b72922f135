package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Variable is the environment variable that may hold the keys: "ID:BASE64" separated by commas, oldest first. It wins over a file.
const Variable = "STOCKADE_KEYS"

// keyBytes is the length of a key: AES-256.
const keyBytes = 32

// Load takes the keys from env, the value of Variable, or else from the file, which is made with one key when it is missing. A file
// that others than its owner can read is refused.
func Load(file, env string) (*Keys, error) {
	if env != "" {
		list, err := parse(strings.ReplaceAll(env, ",", "\n"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", Variable, err)
		}
		return &Keys{list: list}, nil
	}
	k := &Keys{file: file}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		first, err := generate()
		if err != nil {
			return nil, err
		}
		if err := create(file, []key{first}); err != nil {
			return nil, err
		}
	}
	return k, k.refresh()
}

// generate makes a key. The id is random too, and says nothing of the key.
func generate() (key, error) {
	id, secret := make([]byte, 4), make([]byte, keyBytes)
	_, _ = rand.Read(id) // never fails
	_, _ = rand.Read(secret)
	return newKey(hex.EncodeToString(id), secret)
}

func parse(text string) ([]key, error) {
	var list []key
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, value, ok := strings.Cut(line, ":")
		secret, err := base64.StdEncoding.DecodeString(value)
		if !ok || err != nil || len(secret) != keyBytes || id == "" || len(id) > 64 {
			return nil, fmt.Errorf("key %d: want ID:BASE64 of %d bytes", n+1, keyBytes) // the line is not quoted: it may be a key
		}
		if slices.ContainsFunc(list, func(k key) bool { return k.id == id }) {
			return nil, fmt.Errorf("key %d: the id %q is there twice", n+1, id)
		}
		k, err := newKey(id, secret)
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	if len(list) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return list, nil
}

func encode(list []key) []byte {
	var b bytes.Buffer
	b.WriteString("# Keys that seal credentials in stockade's database; the last one seals. Without them those are lost:\n# keep a copy, apart from the backups of the database.\n")
	for _, k := range list {
		fmt.Fprintf(&b, "%s:%s\n", k.id, base64.StdEncoding.EncodeToString(k.secret))
	}
	return b.Bytes()
}

// create writes a new file and leaves one alone that another process made first.
func create(file string, list []key) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	temp, err := temporary(file, list)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp) }()
	if err := os.Link(temp, file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// temporary writes the keys to a file beside, on the disk for good.
func temporary(file string, list []key) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".keys-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(encode(list))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// refresh reads the file when it has changed. The caller holds the lock, or nobody else knows k.
func (k *Keys) refresh() error {
	if k.file == "" {
		return nil
	}
	st, err := os.Stat(k.file)
	if err != nil {
		return fmt.Errorf("the keys of sealed values: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s: others can read the keys (mode %04o): chmod 600 it, and if somebody may have read them, rotate", k.file, st.Mode().Perm())
	}
	seen := fmt.Sprint(st.Size(), st.ModTime().UnixNano())
	if seen == k.seen {
		return nil
	}
	text, err := os.ReadFile(k.file)
	if err != nil {
		return fmt.Errorf("the keys of sealed values: %w", err)
	}
	list, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", k.file, err)
	}
	k.list, k.seen = list, seen
	return nil
}

// change writes a changed list of keys.
func (k *Keys) change(f func([]key) ([]key, error)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return err
	}
	list, err := f(slices.Clone(k.list))
	if err != nil {
		return err
	}
	temp, err := temporary(k.file, list)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, k.file); err != nil {
		return err
	}
	return k.refresh()
}

func (k *Keys) add() error {
	return k.change(func(list []key) ([]key, error) {
		fresh, err := generate()
		return append(list, fresh), err
	})
}

func (k *Keys) forget(keep int) error {
	return k.change(func(list []key) ([]key, error) { return list[max(0, len(list)-keep):], nil })
}
