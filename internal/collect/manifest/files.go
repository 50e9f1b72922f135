package manifest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Files calls emit with the path below dir, with slashes, of every regular file that a walk would not pass over: what somebody who
// scans dir elsewhere needs, values and templates of charts too. Links are left out.
func Files(ctx context.Context, dir string, opt WalkOptions, emit func(rel string) error) error {
	root, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	f := &folder{w: &walk{ctx: ctx, opt: opt}, name: dir, root: root, repo: repository(root)}
	var lists []*ignoreList
	if len(opt.Exclude) > 0 {
		lists = append(lists, &ignoreList{patterns: parseIgnoreFile(strings.Join(opt.Exclude, "\n"))})
	}
	if !opt.NoIgnoreFiles {
		lists = append(f.above(), lists...)
	}
	return f.files("", lists, 0, emit)
}

func (f *folder) files(rel string, lists []*ignoreList, depth int, emit func(rel string) error) error {
	if err := f.w.ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("%s: nested deeper than %d folders", f.display(rel), maxDepth)
	}
	abs := filepath.Join(f.root, filepath.FromSlash(rel))
	entries, err := os.ReadDir(abs)
	if err != nil {
		return err
	}
	if !f.w.opt.NoIgnoreFiles {
		if l := f.ignoreList(abs); l != nil {
			l.dir = rel
			lists = append(lists[:len(lists):len(lists)], l)
		}
	}
	var errs []error
	for _, e := range entries {
		name := path.Join(rel, e.Name())
		switch {
		case ignored(lists, name, e.IsDir()):
		case e.IsDir() && (!excluded[e.Name()] || f.w.opt.NoExcludes):
			errs = append(errs, f.files(name, lists, depth+1, emit))
		case e.Type().IsRegular():
			if err := emit(name); err != nil {
				return err
			}
		}
	}
	return errors.Join(errs...)
}
