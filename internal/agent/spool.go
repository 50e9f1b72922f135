//go:build linux

package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// spool is the folder of packed reports that the server has not taken yet: NUMBER-KIND.DIGEST.zst, the oldest first. It is bounded: when
// it is full the oldest reports of the agent's own schedule go, since a newer look says more, and then those that somebody asked for.
type spool struct {
	dir  string
	most int64 // bytes
}

// How names of reports end: of the agent's own schedule, and of those that somebody asked for.
const (
	packed = ".zst"
	asked  = ".asked.zst"
)

// spoolBytes bounds the folder unless the agent is told otherwise.
const spoolBytes = 128 << 20

func newSpool(dir string, most int64) (*spool, error) {
	if most <= 0 {
		most = spoolBytes
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &spool{dir, most}, nil
}

// list names the reports that wait, the oldest first. Half-written ones of an earlier run are removed.
func (s *spool) list() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if strings.HasSuffix(e.Name(), packed) {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return out, nil
}

// clean removes what an earlier run left half written.
func (s *spool) clean() {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return // list tells it
	}
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasPrefix(e.Name(), ".") {
			_ = os.Remove(filepath.Join(s.dir, e.Name())) // it is not read
		}
	}
}

// fit drops reports until the rest is within bounds, but never the newest. It returns how many went.
func (s *spool) fit() (dropped int, err error) {
	names, err := s.list()
	if err != nil {
		return 0, err
	}
	sizes := make(map[string]int64, len(names))
	var sum int64
	for _, name := range names {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil {
			return 0, err
		}
		sizes[name] = info.Size()
		sum += sizes[name]
	}
	if len(names) > 0 {
		names = names[:len(names)-1]
	}
	for _, wanted := range []bool{false, true} {
		for _, name := range names {
			if sum <= s.most {
				return dropped, nil
			}
			if strings.HasSuffix(name, asked) != wanted {
				continue
			}
			if err := s.remove(name); err != nil {
				return dropped, err
			}
			sum -= sizes[name]
			dropped++
		}
	}
	return dropped, nil
}

func (s *spool) remove(name string) error { return os.Remove(filepath.Join(s.dir, name)) }

// send delivers what waits, the oldest first, until the server cannot be reached. refused is told each report that the server does
// not want, with its kind: it is gone, since sending it again would change nothing.
func (s *spool) send(deliver func(file string) error, refused func(kind string, r *refusal)) error {
	names, err := s.list()
	if err != nil {
		return err
	}
	for _, name := range names {
		err := deliver(filepath.Join(s.dir, name))
		var no *refusal
		switch {
		case errors.As(err, &no) && no.status != 401 && no.status != 403:
			refused(kindOf(name), no)
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := s.remove(name); err != nil {
			return err
		}
	}
	return nil
}

func kindOf(name string) string {
	_, rest, _ := strings.Cut(name, "-")
	kind, _, _ := strings.Cut(rest, ".")
	return kind
}
