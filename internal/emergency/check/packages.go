package check

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/collect/image/binary"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/version"
)

// mostChangelog bounds what of a changelog is read, unpacked. The newest entries come first.
const mostChangelog = 8 << 20

// owner is the system package that the target is, or that owns its file.
func owner(s *Subject, t *Target) *inventory.Package {
	if t.Package != nil && t.Package.Type.System() {
		return t.Package
	}
	if s.Software == nil || t.Container != "" {
		return nil
	}
	name := ""
	switch {
	case t.Package != nil:
		name = t.Package.Owner
	case t.Binary != nil && t.Binary.Package != "":
		name, _, _ = strings.Cut(t.Binary.Package, " ")
	case t.own() != "":
		p := strings.TrimPrefix(t.own(), "/")
		for i := range s.Software.Packages {
			if o := &s.Software.Packages[i]; o.Owner != "" && strings.TrimPrefix(o.Path, "/") == p {
				name = o.Owner
				break
			}
		}
	}
	return system(s, name)
}

// Owner is the system package that a target is, or that owns its file; nil when it is none's or nobody knows.
func Owner(s *Subject, t *Target) *inventory.Package { return owner(s, t) }

// system finds a system package by its name.
func system(s *Subject, name string) *inventory.Package {
	if name == "" || s.Software == nil {
		return nil
	}
	for i := range s.Software.Packages {
		if p := &s.Software.Packages[i]; p.Type.System() && p.Name == name {
			return p
		}
	}
	return nil
}

// changelog looks for the vulnerability's number in the changelog of the system package: what rpm databases keep, or Debian's file.
func changelog(_ context.Context, s *Subject, t *Target, a Args) Answer {
	ids := append(a.texts("ids"), t.Emergency)
	p := owner(s, t)
	if name := a.text("package"); name != "" {
		p = system(s, name)
	}
	if p == nil {
		return unknown("the system package of %s is not known", "不清楚 %s 属于哪个系统软件包", t.Component)
	}
	for _, id := range p.Fixed {
		if slices.Contains(ids, id) {
			return yes("the changelog of %s %s names %s", "%s %s 的变更日志提到 %s", p.Name, p.Version, id)
		}
	}
	if p.Type != inventory.Deb {
		if p.Type == inventory.RPM && len(p.Fixed) > 0 {
			return no("the changelog of %s %s does not name %s", "%s %s 的变更日志未提到 %s", p.Name, p.Version, strings.Join(ids, ", "))
		}
		return unknown("the changelog of %s is not at hand", "没有 %s 的变更日志", p.Name)
	}
	if s.Files == nil {
		return unknown("the changelog of %s is not at hand", "没有 %s 的变更日志", p.Name)
	}
	list := []string{"/usr/share/doc/" + p.Name + "/changelog.Debian.gz", "/usr/share/doc/" + p.Name + "/changelog.gz"}
	found, at := "", ""
	looked, err := each(s, list, func(file string, f File) (bool, error) {
		text, err := unpacked(f)
		if err != nil {
			return false, err
		}
		for _, id := range ids {
			if mentions(text, id) {
				found, at = id, file
				return true, nil
			}
		}
		return false, nil
	})
	switch {
	case found != "":
		return yes("%s of %s %s names %s", "%[2]s %[3]s 的 %[1]s 提到 %[4]s", at, p.Name, p.Version, found)
	case err != nil:
		return unknown("%v", "无法读取：%v", err)
	case looked == 0:
		return unknown("%s is not there: the system leaves documentation out", "%s 不存在：该系统未安装文档", list[0])
	}
	return no("the changelog of %s %s does not name %s", "%s %s 的变更日志未提到 %s", p.Name, p.Version, strings.Join(ids, ", "))
}

// mentions reports whether a text has an id that is not the beginning of a longer one.
func mentions(text []byte, id string) bool {
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(id))
		if i < 0 || id == "" {
			return false
		}
		at += i + len(id)
		if at == len(text) || text[at] < '0' || text[at] > '9' {
			return true
		}
	}
}

func unpacked(f File) ([]byte, error) {
	z, err := gzip.NewReader(io.NewSectionReader(f, 0, mostConfig))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return io.ReadAll(io.LimitReader(z, mostChangelog))
}

// modules lists what Go's build information says of the target: from the inventory where it has read the file, else from the file.
func modules(ctx context.Context, s *Subject, t *Target) ([]inventory.Package, finding.Text) {
	if s.Software != nil && t.Container == "" {
		p := strings.TrimPrefix(t.own(), "/")
		var out []inventory.Package
		for i := range s.Software.Packages {
			if one := &s.Software.Packages[i]; one.Type == inventory.Golang && strings.TrimPrefix(one.Path, "/") == p {
				out = append(out, *one)
			}
		}
		if len(out) > 1 {
			return out, finding.Text{}
		}
	}
	list, why := paths(s, t, Args{})
	if why.EN != "" {
		return nil, why
	}
	var out []inventory.Package
	looked, err := each(s, list, func(p string, f File) (bool, error) {
		if f.Size() > mostSearched {
			return false, errTooLarge
		}
		scan := binary.New(strings.TrimPrefix(p, "/"), f.Size())
		if _, err := io.Copy(scan, &halting{ctx, io.NewSectionReader(f, 0, f.Size())}); err != nil {
			return false, err
		}
		found, _ := scan.Packages()
		for _, one := range found {
			if one.Type == inventory.Golang {
				out = append(out, one)
			}
		}
		return false, nil
	})
	switch {
	case err != nil:
		return nil, say("%v", "无法读取：%v", err)
	case looked == 0:
		return nil, say("%s is not there", "%s 不存在", t.own())
	case len(out) == 0:
		return nil, say("%s has no Go build information", "%s 中没有 Go 构建信息", t.own())
	}
	return out, finding.Text{}
}

// halting ends a read when the context does.
type halting struct {
	ctx context.Context
	r   io.Reader
}

func (h *halting) Read(p []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	return h.r.Read(p)
}

func goModule(ctx context.Context, s *Subject, t *Target, a Args) Answer {
	list, why := modules(ctx, s, t)
	if why.EN != "" {
		return Answer{Unknown, why}
	}
	name, least := a.text("module"), a.text("least")
	for _, p := range list {
		if p.Name != name {
			continue
		}
		c, err := version.Compare(advisory.GoModule, p.Version, least)
		switch {
		case err != nil:
			return unknown("%s has %s %s: %v", "%s 含有 %s %s：%v", t.own(), name, p.Version, err)
		case c >= 0:
			return yes("%s has %s %s, at least %s", "%s 含有 %s %s，不低于 %s", t.own(), name, p.Version, least)
		}
		return no("%s has %s %s, older than %s", "%s 含有 %s %s，低于 %s", t.own(), name, p.Version, least)
	}
	return no("%s does not have the module %s", "%s 不含模块 %s", t.own(), name)
}

// librarySetting asks for what the inventory's readers note of a library: classes in a jar, and what they do.
func librarySetting(_ context.Context, _ *Subject, t *Target, a Args) Answer {
	if t.Package == nil {
		return unknown("%s is no library of an inventory", "%s 不是清单中的库", t.Component)
	}
	name := a.text("setting")
	v, ok := t.Package.Settings[name]
	if !ok {
		return missing(a, "%s was not seen in %s", "%[2]s 中未发现 %[1]s", name, t.Package.Path)
	}
	if slices.Contains(a.texts("is"), v) {
		return yes("%s in %s: %s", "%[2]s 中的 %[1]s：%[3]s", name, t.Package.Path, v)
	}
	return no("%s in %s: %s", "%[2]s 中的 %[1]s：%[3]s", name, t.Package.Path, v)
}

func libraryPath(_ context.Context, _ *Subject, t *Target, a Args) Answer {
	if t.Path == "" {
		return unknown("the file of %s is not known", "不清楚 %s 的文件位置", t.Component)
	}
	for _, part := range a.texts("contains") {
		if strings.Contains(t.Path, part) {
			return yes("%s lies in %s", "%s 位于 %s", path.Base(t.Path), t.Path)
		}
	}
	return no("%s is not in any of %s", "%s 不在以下位置：%s", t.Path, strings.Join(a.texts("contains"), ", "))
}

// schemes are the orders of versions by package type, as far as checks compare them.
var schemes = map[inventory.PackageType]advisory.Scheme{inventory.Deb: advisory.Deb, inventory.RPM: advisory.RPM, inventory.APK: advisory.APK,
	inventory.Maven: advisory.Maven, inventory.Golang: advisory.GoModule}

func packagePresent(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Software == nil {
		return unknown("no list of packages is at hand", "没有软件包列表")
	}
	least, below := a.text("least"), a.text("below")
	near := ""
	for i := range s.Software.Packages {
		p := &s.Software.Packages[i]
		if !slices.ContainsFunc(a.texts("names"), func(n string) bool { ok, _ := path.Match(n, p.Name); return ok || n == p.Component && n != "" }) {
			continue
		}
		if least == "" && below == "" {
			return yes("%s %s is there (%s)", "存在 %s %s（%s）", p.Name, p.Version, where(p))
		}
		scheme, ok := schemes[p.Type]
		if !ok {
			scheme = advisory.Loose
		}
		v := version.Upstream(scheme, p.Version)
		if p.Type.System() {
			scheme = advisory.Loose
		}
		low, err1 := version.Compare(scheme, v, least)
		high, err2 := version.Compare(scheme, v, below)
		if (least == "" || err1 == nil && low >= 0) && (below == "" || err2 == nil && high < 0) {
			return yes("%s %s is there (%s)", "存在 %s %s（%s）", p.Name, p.Version, where(p))
		}
		near = p.Name + " " + p.Version
	}
	if near != "" {
		return no("%s is there, not of the versions that matter", "存在 %s，但不属于相关版本", near)
	}
	if a.text("missing") == string(Unknown) {
		return unknown("none of %s is there; others may do the same", "未发现 %s，但其他组件可能有同样作用", strings.Join(a.texts("names"), ", "))
	}
	return no("none of %s is there", "未发现 %s", strings.Join(a.texts("names"), ", "))
}

func where(p *inventory.Package) finding.Text {
	if p.Path != "" {
		return finding.Text{EN: p.Path, ZH: p.Path}
	}
	return say("%s database", "%s 数据库", p.Type)
}

// imageConfig looks at the configuration of an image: its working folder, user, volumes and labels.
func imageConfig(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Software == nil || s.Software.Image == nil {
		return unknown("the configuration of the image is not at hand", "没有镜像配置")
	}
	img := s.Software.Image
	var values []string
	switch a.text("field") {
	case "workdir":
		values = []string{img.WorkDir}
	case "user":
		user, _, _ := strings.Cut(img.User, ":")
		values = []string{user}
	case "volumes":
		values = img.Volumes
	case "labels":
		for k := range img.Labels {
			values = append(values, k)
		}
		slices.Sort(values)
	default:
		return unknown("no such field: %s", "没有该字段：%s", a.text("field"))
	}
	if above := a.text("above"); above != "" {
		limit, err := strconv.ParseInt(above, 10, 64)
		if err != nil {
			return unknown("above %s is no number", "above 的值 %s 不是数字", above)
		}
		for _, v := range values {
			if n, err := strconv.ParseUint(v, 10, 64); err == nil && n > uint64(limit) {
				return yes("the image's %s is %s", "镜像的 %s 为 %s", a.text("field"), v)
			}
		}
		return no("the image's %s is %s", "镜像的 %s 为 %s", a.text("field"), strings.Join(values, ", "))
	}
	re, err := regexp.Compile(a.text("matches"))
	if err != nil {
		return unknown("%v", "无法读取：%v", err)
	}
	for _, v := range values {
		if v != "" && re.MatchString(v) {
			return yes("the image's %s is %s", "镜像的 %s 为 %s", a.text("field"), v)
		}
	}
	return no("the image's %s: %s", "镜像的 %s：%s", a.text("field"), strings.Join(values, ", "))
}
