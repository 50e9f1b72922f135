package check

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of a search through a Java archive with all that is nested in it.
const (
	mostNesting  = 5
	mostInflated = 512 << 20
	mostInner    = 128 << 20 // of a nested archive
	mostEntries  = 500_000
	mostClass    = 1 << 20
)

// search looks through an archive and those in it for an entry by the end of its name, so that a library that was moved to another
// package is found, and for a text in it.
type search struct {
	ctx      context.Context
	suffix   string
	text     []byte
	inflated int64
	entries  int
	found    string // where the entry with the text is
	present  string // where an entry of the name is
}

func jarEntry(ctx context.Context, s *Subject, t *Target, a Args) Answer {
	list, why := paths(s, t, Args{})
	if why.EN != "" {
		return Answer{Unknown, why}
	}
	look := &search{ctx: ctx, suffix: a.text("entry"), text: []byte(a.text("text"))}
	looked, err := each(s, list, func(p string, f File) (bool, error) {
		err := look.archive(f, f.Size(), p, 0)
		return look.found != "", err
	})
	switch {
	case look.found != "" && len(look.text) > 0:
		return yes("%s has the text %q", "%s 含有文本 %q", look.found, look.text)
	case look.found != "":
		return yes("%s is there", "%s 存在", look.found)
	case err != nil:
		return unknown("%v", "无法读取：%v", err)
	case looked == 0:
		return unknown("%s is not there any more", "%s 已不存在", t.own())
	case look.present != "":
		return no("%s has not the text %q", "%s 不含文本 %q", look.present, look.text)
	}
	return no("%s has no entry …%s", "%s 中没有条目 …%s", t.own(), look.suffix)
}

var archiveSuffixes = []string{".jar", ".war", ".ear", ".par", ".sar", ".hpi", ".jpi"}

// archive looks through one archive. Its errors say that something was not looked at.
func (x *search) archive(r io.ReaderAt, size int64, name string, depth int) error {
	z, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return fmt.Errorf("%s: %w", name, err)
	}
	var first error
	for _, f := range z.File {
		if x.entries++; x.entries > mostEntries {
			return fmt.Errorf("%s: %w", name, errEntries)
		}
		if x.ctx.Err() != nil {
			return x.ctx.Err()
		}
		at := name + "!/" + f.Name
		if strings.HasSuffix(f.Name, x.suffix) {
			x.present = at
			if len(x.text) == 0 {
				x.found = at
				return nil
			}
			data, err := x.inflate(f, mostClass)
			if err == nil && bytes.Contains(data, x.text) {
				x.found = at
				return nil
			}
			if err != nil && first == nil {
				first = fmt.Errorf("%s: %w", at, err)
			}
			continue
		}
		if !isArchive(f.Name) {
			continue
		}
		err := errNested
		if depth < mostNesting {
			var data []byte
			if data, err = x.inflate(f, mostInner); err == nil {
				err = x.archive(bytes.NewReader(data), int64(len(data)), at, depth+1)
			}
		}
		if x.found != "" {
			return nil
		}
		if err != nil && first == nil {
			first = fmt.Errorf("%s: %w", at, err)
		}
	}
	return first
}

// IsArchive reports whether a file is a Java archive by its name.
func IsArchive(name string) bool { return isArchive(name) }

func isArchive(name string) bool {
	for _, s := range archiveSuffixes {
		if len(name) > len(s) && strings.EqualFold(name[len(name)-len(s):], s) {
			return true
		}
	}
	return false
}

func (x *search) inflate(f *zip.File, most int64) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, min(most, mostInflated-x.inflated)+1))
	x.inflated += int64(len(data))
	if err == nil && (int64(len(data)) > most || x.inflated > mostInflated) {
		err = errTooLarge
	}
	return data, err
}
