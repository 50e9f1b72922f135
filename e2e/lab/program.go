package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// sources are the folders of the module that the program is made of.
var sources = []string{"cmd", "internal", "rules", "frameworks", "console/dist"}

// Program builds the program under test, with more arguments for go build.
// Packages that do so have a test that calls Sources.
func Program(target string, more ...string) error {
	build := exec.Command("go", append(append([]string{"build", "-o", target}, more...), "stockade.dev/stockade/cmd/stockade")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // it runs in images that have no libraries
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build stockade: %w\n%s", err, out)
	}
	return nil
}

// Sources looks at what the program is made of. The go command notes what tests
// look at, and so keeps no result that an older program had.
func Sources(tb testing.TB) {
	tb.Helper()
	top, err := moduleFolder()
	for _, folder := range sources {
		if err == nil {
			err = filepath.WalkDir(filepath.Join(top, folder), func(string, fs.DirEntry, error) error { return nil })
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// moduleFolder is the folder above this one that has the module's go.mod.
func moduleFolder() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at != filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		at = filepath.Dir(at)
	}
	return "", errors.New("no go.mod above this folder")
}
