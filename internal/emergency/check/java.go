package check

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// servletIn looks for an init-param of the servlets of a class in a web.xml.
func servletIn(_ context.Context, p string, f File, a Args) Seen {
	data, err := whole(f, mostConfig)
	if err != nil {
		return Seen{Unknown, say("%s: %v", "%s 无法读取：%v", p, err)}
	}
	values, there, err := servletParams(data, a.text("class"), a.text("param"))
	if err != nil {
		return Seen{Unknown, say("%s: %v", "%s 无法读取：%v", p, err)}
	}
	for _, v := range values {
		if fitsValue(a, v) {
			return Seen{Yes, say("%s: %s of %s is %s", "%[1]s：%[3]s 的 %[2]s 为 %[4]s", p, a.text("param"), a.text("class"), v)}
		}
	}
	switch {
	case len(values) > 0:
		return Seen{No, say("%s: %s of %s is %s", "%[1]s：%[3]s 的 %[2]s 为 %[4]s", p, a.text("param"), a.text("class"), values[0])}
	case there:
		return Seen{Absent, say("%s does not set %s of %s", "%[1]s 未设置 %[3]s 的 %[2]s", p, a.text("param"), a.text("class"))}
	}
	return Seen{Nowhere, say("%s has no %s", "%s 中没有 %s", p, a.text("class"))}
}

// servletParams returns the values of an init-param of the servlets whose class ends with a name; there says that there is one.
func servletParams(data []byte, class, param string) (values []string, there bool, err error) {
	type initParam struct {
		Name  string `xml:"param-name"`
		Value string `xml:"param-value"`
	}
	type servlet struct {
		Class  string      `xml:"servlet-class"`
		Params []initParam `xml:"init-param"`
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	d.Strict = false
	for n := 0; n < 200_000; n++ {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return values, there, nil
		}
		if err != nil {
			return nil, false, err
		}
		e, ok := token.(xml.StartElement)
		if !ok || e.Name.Local != "servlet" {
			continue
		}
		var s servlet
		if err := d.DecodeElement(&s, &e); err != nil {
			return nil, false, err
		}
		name := strings.TrimSpace(s.Class)
		if name != class && !strings.HasSuffix(name, "."+class) {
			continue
		}
		there = true
		for _, p := range s.Params {
			if strings.TrimSpace(p.Name) == param {
				values = append(values, strings.TrimSpace(p.Value))
			}
		}
	}
	return nil, false, errTooLarge
}

// Where Spring Boot keeps an application's configuration in its archive, and of what forms.
var (
	springEntry = regexp.MustCompile(`^((BOOT-INF|WEB-INF)/classes/)?(config/)?(application|bootstrap)(-[A-Za-z0-9_.-]+)?\.(properties|ya?ml)$`)
	springFiles = []string{".properties", ".yml", ".yaml"}
)

// mostSpring bounds the configuration files of one application.
const mostSpring = 200

// springIn looks for a setting of Spring Boot: in a configuration file, or in those of an archive.
func springIn(ctx context.Context, p string, f File, a Args) Seen {
	key := a.text("key")
	var values []string
	var err error
	files, application := 0, true
	if isArchive(p) {
		values, files, application, err = springArchive(ctx, f, key)
	} else if slices.Contains(springFiles, path.Ext(p)) {
		var data []byte
		if data, err = whole(f, mostConfig); err == nil {
			files = 1
			values, err = springValues(data, path.Ext(p), key)
		}
	}
	if err != nil {
		return Seen{Unknown, say("%s: %v", "%s 无法读取：%v", p, err)}
	}
	for _, v := range values {
		if slices.ContainsFunc(springItems(v), func(item string) bool { return fitsValue(a, item) }) {
			return Seen{Yes, say("%s: %s is %s", "%s：%s 为 %s", p, key, v)}
		}
	}
	for _, v := range values {
		if strings.Contains(v, "${") {
			return Seen{Unknown, say("%s: %s is %s, which comes from outside", "%s：%s 为 %s，其值来自外部", p, key, v)}
		}
	}
	switch {
	case len(values) > 0:
		return Seen{No, say("%s: %s is %s", "%s：%s 为 %s", p, key, values[0])}
	case !application:
		return Seen{Nowhere, say("%s is no application", "%s 不是应用", p)}
	case files == 0:
		return Seen{Absent, say("%s has no application.properties or application.yml", "%s 中没有 application.properties 或 application.yml", p)}
	}
	return Seen{Absent, say("%s does not set %s", "%s 未设置 %s", p, key)}
}

// springItems are the parts of a value: lists are written with commas.
func springItems(v string) []string {
	var out []string
	for item := range strings.SplitSeq(v, ",") {
		out = append(out, strings.Trim(strings.TrimSpace(item), `"'`))
	}
	return out
}

// springArchive reads the configuration files of an archive. application says that it is more than a library: it has such files, or
// libraries in it.
func springArchive(ctx context.Context, f File, key string) (values []string, files int, application bool, err error) {
	z, err := zip.NewReader(f, f.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, 0, false, err
	}
	if len(z.File) > mostEntries {
		return nil, 0, false, errEntries
	}
	for _, e := range z.File {
		if ctx.Err() != nil {
			return nil, files, application, ctx.Err()
		}
		application = application || strings.HasPrefix(e.Name, "BOOT-INF/") || strings.HasPrefix(e.Name, "WEB-INF/")
		if !springEntry.MatchString(e.Name) {
			continue
		}
		if files++; files > mostSpring {
			return nil, files, true, errSettings
		}
		data, err := entry(e, mostConfig)
		if err != nil {
			return nil, files, true, fmt.Errorf("%s: %w", e.Name, err)
		}
		found, err := springValues(data, path.Ext(e.Name), key)
		if err != nil {
			return nil, files, true, fmt.Errorf("%s: %w", e.Name, err)
		}
		values = append(values, found...)
	}
	return values, files, application || files > 0, nil
}

// entry unpacks a small entry.
func entry(e *zip.File, most int64) ([]byte, error) {
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(data)) > most {
		err = errTooLarge
	}
	return data, err
}

// springValues returns the values of a setting in one file.
func springValues(data []byte, ext, key string) (values []string, err error) {
	defer func() { // parsers of foreign bytes
		if p := recover(); p != nil {
			err = errParse
		}
	}()
	want := relaxed(key)
	if ext == ".properties" {
		return properties(data, want), nil
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	for n := 0; n < 1000; n++ {
		var v any
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return values, nil
		} else if err != nil {
			return nil, err
		}
		flat(v, "", 0, func(name, value string) {
			if relaxed(name) == want {
				values = append(values, value)
			}
		})
	}
	return nil, errTooLarge
}

// relaxed is a name as Spring binds it: without dashes and underlines, in small letters.
func relaxed(name string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
}

// flat names the values of nested maps by their paths; a list is one value.
func flat(v any, at string, depth int, put func(name, value string)) {
	if depth > 50 {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			flat(e, strings.TrimPrefix(at+"."+k, "."), depth+1, put)
		}
	case []any:
		var items []string
		for _, e := range v {
			switch e.(type) {
			case map[string]any, []any, nil:
			default:
				items = append(items, written(e))
			}
		}
		if len(items) > 0 {
			put(at, strings.Join(items, ","))
		}
	case nil:
	default:
		put(at, written(v))
	}
}

// properties returns the values of a key in Java's form: lines that end with a backslash go on, "a[0]=x" is a part of a list.
func properties(data []byte, want string) []string {
	var out []string
	s := bufio.NewScanner(bytes.NewReader(data))
	s.Buffer(nil, mostConfig+1)
	line := ""
	for s.Scan() {
		part := strings.TrimLeft(s.Text(), " \t\f")
		if line == "" && (part == "" || part[0] == '#' || part[0] == '!') {
			continue
		}
		if joined, more := strings.CutSuffix(part, `\`); more {
			line += joined
			continue
		}
		line += part
		i := strings.IndexAny(line, "=:")
		if i < 0 {
			i = len(line)
		}
		name := strings.TrimSpace(line[:i])
		if cut := strings.IndexByte(name, '['); cut > 0 {
			name = name[:cut]
		}
		if relaxed(name) == want && i < len(line) {
			out = append(out, strings.TrimSpace(line[i+1:]))
		}
		line = ""
	}
	return out
}

// springSetting asks the environment of the image first, which outweighs what lies in files.
func springSetting(ctx context.Context, s *Subject, t *Target, a Args) Answer {
	if s.Software != nil && s.Software.Image != nil {
		name := strings.ToUpper(strings.NewReplacer(".", "_", "-", "").Replace(a.text("key")))
		for _, e := range s.Software.Image.Env {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				if slices.ContainsFunc(springItems(v), func(item string) bool { return fitsValue(a, item) }) {
					return yes("the image's environment: %s is %s", "镜像环境变量 %s 为 %s", name, v)
				}
				return no("the image's environment: %s is %s", "镜像环境变量 %s 为 %s", name, v)
			}
		}
	}
	return filedChecks["spring-setting"].run(ctx, "spring-setting", s, t, a)
}

func servletParam(ctx context.Context, s *Subject, t *Target, a Args) Answer {
	return filedChecks["servlet-param"].run(ctx, "servlet-param", s, t, a)
}
