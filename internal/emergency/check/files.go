package check

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// How much is read.
const (
	mostSearched = 512 << 20 // of a file that is searched
	mostConfig   = 4 << 20   // of a configuration file
	mostListed   = 4096      // entries of a folder
	mostPaths    = 256       // files that a pattern may mean
	piece        = 256 << 10
)

// own returns the path of the target where its file system is the subject's, below the outermost archive.
func (t *Target) own() string {
	p, _, _ := strings.Cut(t.Path, "!/")
	if p != "" && !path.IsAbs(p) {
		p = "/" + p
	}
	return p
}

// paths returns the files that the argument means, the target's own when there is none. why says why there is none at all.
func paths(s *Subject, t *Target, a Args) (list []string, why finding.Text) {
	if s.Files == nil {
		return nil, say("the files are not at hand, only what was read of them: scan the unpacked image as rootfs:DIR", "没有文件，只有此前读取的内容：请以 rootfs:DIR 方式扫描解包后的镜像")
	}
	patterns := a.texts("paths")
	if len(patterns) == 0 {
		if t.Container != "" {
			return nil, say("the file lies in the container %s", "文件位于容器 %s 中", t.Container)
		}
		if t.own() == "" {
			return nil, say("the file of %s is not known", "不清楚 %s 的文件位置", t.Component)
		}
		return []string{t.own()}, why
	}
	for _, p := range patterns {
		found, err := expand(s.Files, p)
		if err != nil {
			return nil, say("listing %s: %v", "无法列出 %s：%v", p, err)
		}
		list = append(list, found...)
	}
	return list[:min(len(list), mostPaths)], why
}

// expand resolves stars, each for a part of a name.
func expand(files Files, pattern string) ([]string, error) {
	before, _, ok := strings.Cut(pattern, "*")
	if !ok {
		return []string{pattern}, nil
	}
	dir := before[:strings.LastIndexByte(before, '/')]
	name, rest, _ := strings.Cut(pattern[len(dir)+1:], "/")
	entries, err := files.List(orRoot(dir), mostListed)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(entries)
	var out []string
	for _, e := range entries {
		if fits, _ := path.Match(name, e); !fits {
			continue
		}
		p := dir + "/" + e
		if rest == "" {
			out = append(out, p)
			continue
		}
		more, err := expand(files, p+"/"+rest)
		if err != nil && !isNotFolder(err) {
			return nil, err
		}
		if out = append(out, more...); len(out) > mostPaths {
			return out, nil
		}
	}
	return out, nil
}

func orRoot(dir string) string {
	if dir == "" {
		return "/"
	}
	return dir
}

// isNotFolder reports whether an error of List says that there is a file of the name.
func isNotFolder(err error) bool { return strings.Contains(err.Error(), "not a directory") }

// each opens the files of a list, one after the other, until f says stop. missing are those that are not there; broken is the first
// error of another kind.
func each(s *Subject, list []string, f func(p string, file File) (stop bool, err error)) (looked int, broken error) {
	for _, p := range list {
		file, err := s.Files.Open(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			looked++
			var stop bool
			stop, err = f(p, file)
			file.Close()
			if stop {
				return looked, nil
			}
		}
		if err != nil && broken == nil {
			broken = err
		}
	}
	return looked, broken
}

// contains searches a file in pieces.
func contains(ctx context.Context, f File, want []byte) (bool, error) {
	if f.Size() > mostSearched {
		return false, errTooLarge
	}
	buf := make([]byte, piece+len(want))
	kept := 0
	for off := int64(0); off < mostSearched; {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		n, err := f.ReadAt(buf[kept:kept+piece], off)
		off += int64(n)
		if bytes.Contains(buf[:kept+n], want) {
			return true, nil
		}
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		tail := min(kept+n, len(want)-1)
		copy(buf, buf[kept+n-tail:kept+n])
		kept = tail
	}
	return false, errTooLarge
}

// whole reads a small file.
func whole(f File, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, most+1))
	if err == nil && int64(len(data)) > most {
		err = errTooLarge
	}
	return data, err
}

// containsIn looks for a text or bytes in one file.
func containsIn(ctx context.Context, p string, f File, a Args) Seen {
	want, what := []byte(a.text("text")), say(`the text "%s"`, `文本“%s”`, a.text("text"))
	if h := a.text("hex"); h != "" {
		want, _ = hex.DecodeString(h)
		what = say("the bytes %s", "字节序列 %s", h)
	}
	if a.flag("elf") {
		head := make([]byte, 4)
		if n, _ := f.ReadAt(head, 0); n < 4 || string(head) != "\x7fELF" {
			return Seen{Unknown, say("%s is no ELF file", "%s 不是 ELF 文件", p)}
		}
	}
	has, err := contains(ctx, f, want)
	switch {
	case err != nil:
		return Seen{Unknown, say("%s: %v", "%s 无法读取：%v", p, err)}
	case has:
		return Seen{Yes, say("%s has %s", "%s 含有%s", p, what)}
	}
	return Seen{No, say("%s has not %s", "%s 不含%s", p, what)}
}

func fileContains(ctx context.Context, s *Subject, t *Target, a Args) Answer {
	return filedChecks["file-contains"].run(ctx, "file-contains", s, t, a)
}

func fileExists(ctx context.Context, s *Subject, t *Target, a Args) Answer {
	return filedChecks["file-exists"].run(ctx, "file-exists", s, t, a)
}

// fileSetuid looks for setuid programs: in files where they are at hand, else in what was read of an image or a node.
func fileSetuid(_ context.Context, s *Subject, t *Target, a Args) Answer {
	patterns := a.texts("paths")
	if s.Files != nil && len(patterns) > 0 {
		list, why := paths(s, t, a)
		if why.EN != "" {
			return Answer{Unknown, why}
		}
		found, plain := "", []string(nil)
		_, err := each(s, list, func(p string, f File) (bool, error) {
			if f.Mode()&fs.ModeSetuid == 0 {
				plain = append(plain, p)
				return false, nil
			}
			found = p
			return true, nil
		})
		switch {
		case found != "":
			return yes("%s runs as its owner (setuid)", "%s 以属主身份运行（setuid）", found)
		case err != nil:
			return unknown("%v", "无法读取：%v", err)
		case len(plain) > 0:
			return no("%s is not setuid", "%s 未设置 setuid", strings.Join(plain, ", "))
		}
		return no("none of these files is there: %s", "以下文件均不存在：%s", strings.Join(patterns, " "))
	}
	if s.Facts != nil {
		for _, b := range s.Facts.Binaries {
			if b.Container == "" && len(b.Mode) == 4 && b.Mode[0]&4 != 0 && fitsAny(patterns, b.Path) {
				return yes("%s has mode %s", "%s 的权限为 %s", b.Path, b.Mode)
			}
		}
	}
	if s.Software == nil {
		return unknown("no list of setuid programs is at hand", "没有 setuid 程序列表")
	}
	for _, h := range s.Software.Hits {
		if h.Kind == "setuid" && h.Rule == "setuid" && !h.Deleted && fitsAny(patterns, "/"+strings.TrimPrefix(h.Path, "/")) {
			return yes("/%s runs as its owner (setuid)", "/%s 以属主身份运行（setuid）", strings.TrimPrefix(h.Path, "/"))
		}
	}
	if !looksAtPrograms(s.Software) {
		return unknown("the inventory does not say which programs are setuid", "清单未记录哪些程序设置了 setuid")
	}
	return no("no setuid program of these: %s", "以下程序均未设置 setuid：%s", strings.Join(patterns, " "))
}

// looksAtPrograms reports whether an inventory was made by readers that list setuid programs and marks; bills of materials were not.
func looksAtPrograms(sw *inventory.Software) bool {
	return strings.HasPrefix(sw.Engine, "stockade-inventory/")
}

func fitsAny(patterns []string, p string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(pattern string) bool { ok, _ := path.Match(pattern, p); return ok })
}

// imageMark asks for what the inventory's readers note of a file's bytes, so that images are judged without being read again.
func imageMark(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Software == nil {
		return unknown("no inventory is at hand", "没有清单")
	}
	for _, h := range s.Software.Hits {
		if h.Kind == "mark" && h.Rule == a.text("name") && !h.Deleted {
			return yes("%s has the mark %s", "%s 带有特征 %s", h.Path, h.Rule)
		}
	}
	if !looksAtPrograms(s.Software) || s.Software.Engine == "stockade-inventory/1" {
		return unknown("the inventory was made by readers that do not look for the mark %s", "生成该清单的版本不识别特征 %s", a.text("name"))
	}
	return no("no file has the mark %s", "没有文件带有特征 %s", a.text("name"))
}
