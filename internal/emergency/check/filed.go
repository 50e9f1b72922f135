package check

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Seen is what a check of files saw in one file. Checks of files look at one after the other, so that those of an image can be looked
// at while its layers pass by, and what was seen is kept in place of the files.
type Seen struct {
	State Holds        // yes, no and unknown as in an Answer, absent or nowhere
	Said  finding.Text // what was seen, and where; of unknown what could not be read
}

// What a file may say beside yes and no.
const (
	Absent  Holds = "absent"  // it does not set the value: the argument missing decides
	Nowhere Holds = "nowhere" // what would have the value is not in it
)

// filed is a check that looks at files one by one.
type filed struct {
	look func(ctx context.Context, p string, f File, a Args) Seen
	none func(a Args) Answer // of none of the files
	// own says that the archive which the target lies in is looked at beside paths.
	own bool
}

// filedChecks are they. Whatever they say must be fit to be kept with an inventory: no value but those that the list names.
var filedChecks = map[string]filed{
	"file-contains": {look: containsIn, none: func(a Args) Answer {
		return unknown("none of these files is there: %s", "以下文件均不存在：%s", strings.Join(a.texts("paths"), " "))
	}},
	"file-exists": {look: func(_ context.Context, p string, _ File, _ Args) Seen {
		return Seen{Yes, say("%s is there", "%s 存在", p)}
	}, none: func(a Args) Answer {
		return no("none of these files is there: %s", "以下文件均不存在：%s", strings.Join(a.texts("paths"), " "))
	}},
	"config-value":  {look: configIn, none: noFiles},
	"servlet-param": {look: servletIn, none: noFiles},
	"spring-setting": {look: springIn, own: true, none: func(a Args) Answer {
		return unknown("no configuration of the application was found; it may come from outside", "未找到应用配置，配置可能来自外部")
	}},
}

func noFiles(a Args) Answer {
	return missing(a, "none of these files is there: %s", "以下文件均不存在：%s", strings.Join(a.texts("paths"), " "))
}

// run looks at the files of the subject, or at what was kept of them.
func (c filed) run(ctx context.Context, name string, s *Subject, t *Target, a Args) Answer {
	if s.Files == nil {
		return c.kept(name, s, t, a)
	}
	var list []string
	var why finding.Text
	if !c.own || len(a.texts("paths")) > 0 {
		list, why = paths(s, t, a)
	}
	if own := c.archive(t); why.EN == "" && own != "" && !slices.Contains(list, own) {
		list = append([]string{own}, list...)
	}
	if why.EN != "" {
		return Answer{Unknown, why}
	}
	var seen []Seen
	_, err := each(s, list, func(p string, f File) (bool, error) {
		one := c.look(ctx, p, f, a)
		seen = append(seen, one)
		return one.State == Yes, nil
	})
	if err != nil {
		seen = append(seen, Seen{Unknown, say("%v", "无法读取：%v", err)})
	}
	return c.together(seen, a)
}

// archive is the archive that the target lies in, where the check looks into it.
func (c filed) archive(t *Target) string {
	if !c.own || t.Container != "" || !strings.Contains(t.Path, "!/") {
		return ""
	}
	return t.own()
}

// rank orders what files say: one that says yes is enough, and one that could not be read leaves the question open.
var rank = []Holds{Yes, Unknown, No, Absent, Nowhere}

// together makes one answer of what files say.
func (c filed) together(seen []Seen, a Args) Answer {
	if len(seen) == 0 {
		return c.none(a)
	}
	slices.SortStableFunc(seen, func(a, b Seen) int { return slices.Index(rank, a.State) - slices.Index(rank, b.State) })
	var said []finding.Text
	for _, one := range seen {
		if one.State == seen[0].State && len(said) < 3 && !slices.Contains(said, one.Said) {
			said = append(said, one.Said)
		}
	}
	all := joined(said, "; ", "；")
	switch seen[0].State {
	case Yes:
		return Answer{Yes, seen[0].Said}
	case No, Nowhere:
		return no("%s", "%s", all)
	case Absent:
		return missing(a, "%s", "%s", all)
	}
	return Answer{Unknown, seen[0].Said}
}

// HitKind is the kind of what inventories keep of files that were looked at.
const HitKind = "check"

// Key names a check with its arguments in inventories.
func Key(name string, a Args) string {
	data, err := json.Marshal(map[string]any(a)) // the keys of maps are sorted
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(append([]byte(name+"\x00"), data...))
	return hex.EncodeToString(sum[:8])
}

// Filed reports whether a check with these arguments looks at files that are known before the target is, so that it can be done
// while an image is read. archives says that it looks into Java archives wherever they are.
func Filed(name string, a Args) (patterns []string, archives, ok bool) {
	c, ok := filedChecks[name]
	if patterns = a.texts("paths"); !ok || len(patterns) == 0 && !c.own {
		return nil, false, false
	}
	return patterns, c.own, true
}

// Look looks at one file for a check.
func Look(ctx context.Context, name string, a Args, p string, f File) (s Seen) {
	defer func() {
		if v := recover(); v != nil {
			s = Seen{Unknown, say("the check %s failed on %s", "检查 %s 处理 %s 时失败", name, p)}
		}
	}()
	return filedChecks[name].look(ctx, p, f, a)
}

// kept answers by what was seen when the image was read.
func (c filed) kept(name string, s *Subject, t *Target, a Args) Answer {
	switch {
	case s.Software == nil:
		return unknown("the file system is not at hand, only what was read of it", "没有文件系统，只有此前读取的内容")
	case s.Software.Kind == "sbom":
		return unknown("a bill of materials has no files: scan the image itself", "SBOM 中没有文件，请扫描镜像本身")
	case t.Container != "":
		return unknown("the file lies in the container %s", "文件位于容器 %s 中", t.Container)
	case len(a.texts("paths")) == 0 && !c.own:
		return unknown("the file %s is not at hand: unpack the image and scan it as rootfs:DIR", "没有文件 %s：请解包镜像并以 rootfs:DIR 方式扫描", t.own())
	case !slices.Contains(s.Software.Asked, Key(name, a)):
		return unknown("scan the image again: what is asked here was not known when it was read", "请重新扫描镜像：读取镜像时尚不知道此项检查")
	}
	key := Key(name, a)
	own := strings.TrimPrefix(c.archive(t), "/")
	var seen []Seen
	for i := range s.Software.Hits {
		h := &s.Software.Hits[i]
		if h.Kind != HitKind || h.Rule != key || h.Deleted {
			continue
		}
		if c.own && isArchive(h.Path) && strings.TrimPrefix(h.Path, "/") != own {
			continue // another application of the same image
		}
		seen = append(seen, Seen{Holds(h.Detail["state"]), finding.Text{EN: h.Detail["said"], ZH: h.Detail["zh"]}})
	}
	for _, g := range s.Software.Gaps {
		if strings.HasPrefix(g.What, "layer") {
			seen = append(seen, Seen{Unknown, say("%s was not read: %s", "%s 未读取：%s", g.What, g.Reason)})
			break
		}
	}
	return c.together(seen, a)
}

// Hit keeps what was seen.
func (s Seen) Hit(key, p string) inventory.Hit {
	return inventory.Hit{Kind: HitKind, Rule: key, Path: p, Detail: map[string]string{"state": string(s.State), "said": s.Said.EN, "zh": s.Said.ZH}}
}
