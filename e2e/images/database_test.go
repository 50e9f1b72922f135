package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/sources"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/match"
)

// advisories is the database of the real feeds in testdata at the root and the operator's table in testdata here.
var advisories = sync.OnceValues(func() (*database.DB, error) {
	return built([]string{"../../testdata/feeds", "testdata/operator"}, "feeds")
})

// built makes a database from feeds. It is kept as long as neither the feeds nor this program, with all readers in it, change.
func built(dirs []string, name string) (*database.DB, error) {
	sum := sha256.New()
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for _, dir := range append([]string{program}, dirs...) {
		err = errors.Join(err, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			f, err := os.Open(p)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(sum, f)
			return err
		}))
	}
	if err != nil {
		return nil, err
	}
	dir, err := folder("database-" + name)
	if err != nil {
		return nil, err
	}
	key := hex.EncodeToString(sum.Sum(nil))
	if old, err := os.ReadFile(dir + ".key"); err != nil || string(old) != key {
		if err := os.Remove(dir + ".done"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	err = kept(dir, func(dir string) error {
		if err := buildDatabase(dir, dirs); err != nil {
			return err
		}
		return os.WriteFile(dir+".key", []byte(key), 0o600)
	})
	if err != nil {
		return nil, err
	}
	return database.Open(dir, database.Options{})
}

func buildDatabase(dir string, feeds []string) error {
	b, err := database.NewBuilder(database.BuildOptions{})
	if err != nil {
		return err
	}
	defer b.Close()
	if err := feed.Walk(context.Background(), feeds, sources.All, feed.Limits{}, b, nil); err != nil {
		return err
	}
	_, err = b.Finish(database.Output{Dir: dir, BuiltAt: time.Now().UTC().Format(time.RFC3339)})
	return err
}

// day is when the tests take place: ends of life are before or after it.
var day = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// matcher matches against advisories, as of a day.
func matcher(t testing.TB) *match.Matcher {
	t.Helper()
	d, err := advisories()
	if err != nil {
		t.Fatal(err)
	}
	return match.NewMatcher(match.Over(d), match.Options{Now: day})
}

// scan reads an image.
func scan(t testing.TB, ref string, o image.Options) *inventory.Software {
	t.Helper()
	o.TempDir = t.TempDir()
	img, err := image.Open(t.Context(), ref, o)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	s, err := image.Analyze(t.Context(), img, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
