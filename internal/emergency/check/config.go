package check

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"
)

// configValue looks for a value in configuration files. Forms: yaml, json and toml (key "a.b.c"), ini ("section.name", or "name"),
// words ("Name value" lines, as sshd and nginx have), xml (key "Element/attribute"; where: attributes that the element must have).
// Of several values, one that fits is enough.
func configValue(ctx context.Context, s *Subject, t *Target, a Args) Answer {
	return filedChecks["config-value"].run(ctx, "config-value", s, t, a)
}

// configIn looks for a value in one file. Where any value counts, none is shown: it may be a password.
func configIn(_ context.Context, p string, f File, a Args) Seen {
	form, key := a.text("form"), a.text("key")
	where := map[string]string{}
	for _, m := range a.maps("where") {
		for k, v := range m {
			where[k] = v
		}
	}
	data, err := whole(f, mostConfig)
	if err != nil {
		return Seen{Unknown, say("%s: %v", "%s 无法读取：%v", p, err)}
	}
	values, matched, err := lookUp(data, form, key, where)
	if err != nil {
		return Seen{Unknown, say("%s: %v", "%s 无法读取：%v", p, err)}
	}
	any := len(a.texts("is")) == 0 && len(a.texts("contains")) == 0
	for _, v := range values {
		switch {
		case any:
			return Seen{Yes, say("%s sets %s", "%s 设置了 %s", p, key)}
		case fitsValue(a, v):
			return Seen{Yes, say("%s: %s is %s", "%s：%s 为 %s", p, key, v)}
		}
	}
	switch {
	case len(values) > 0:
		return Seen{No, say("%s: %s is %s", "%s：%s 为 %s", p, key, values[len(values)-1])}
	case matched:
		return Seen{Absent, say("%s does not set %s", "%s 未设置 %s", p, key)}
	}
	return Seen{Nowhere, say("%s is nowhere in %s", "%[2]s 中没有 %[1]s", key, p)}
}

func fitsValue(a Args, v string) bool {
	if is := a.texts("is"); slices.ContainsFunc(is, func(w string) bool { return strings.EqualFold(w, v) }) {
		return true
	}
	if parts := a.texts("contains"); slices.ContainsFunc(parts, func(w string) bool { return strings.Contains(v, w) }) {
		return true
	}
	return len(a.texts("is")) == 0 && len(a.texts("contains")) == 0
}

// lookUp returns the values of a key; matched says that the place where the key would stand is there.
func lookUp(data []byte, form, key string, where map[string]string) (values []string, matched bool, err error) {
	defer func() { // parsers of foreign bytes
		if p := recover(); p != nil {
			err = errParse
		}
	}()
	switch form {
	case "json":
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			return nil, false, err
		}
		return walk(v, strings.Split(key, ".")), true, nil
	case "yaml":
		var v any
		if err := yaml.Unmarshal(data, &v); err != nil {
			return nil, false, err
		}
		return walk(v, strings.Split(key, ".")), true, nil
	case "toml":
		var v map[string]any
		if err := toml.Unmarshal(data, &v); err != nil {
			return nil, false, err
		}
		return walk(v, strings.Split(key, ".")), true, nil
	case "xml":
		return elements(data, key, where)
	case "ini":
		return ini(data, key), true, nil
	case "words":
		return wordLines(data, key), true, nil
	}
	return nil, false, fmt.Errorf("form %q is not known", form)
}

// walk follows a path through maps; lists are followed in each element.
func walk(v any, path []string) []string {
	switch v := v.(type) {
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, walk(e, path)...)
		}
		return out
	case []map[string]any:
		var out []string
		for _, e := range v {
			out = append(out, walk(e, path)...)
		}
		return out
	case map[string]any:
		if len(path) == 0 {
			return nil
		}
		if e, ok := v[path[0]]; ok {
			return walk(e, path[1:])
		}
		if joined := strings.Join(path, "."); len(path) > 1 { // a key with dots in it
			if e, ok := v[joined]; ok {
				return walk(e, nil)
			}
		}
		return nil
	case nil:
		return nil
	}
	if len(path) > 0 {
		return nil
	}
	return []string{written(v)}
}

// elements returns an attribute of the XML elements of a name that have the attributes in where.
func elements(data []byte, key string, where map[string]string) (values []string, matched bool, err error) {
	name, attribute, _ := strings.Cut(key, "/")
	d := xml.NewDecoder(bytes.NewReader(data))
	d.Strict = false
	for n := 0; n < 200_000; n++ {
		token, err := d.Token()
		if err == io.EOF {
			return values, matched, nil
		}
		if err != nil {
			return nil, false, err
		}
		e, ok := token.(xml.StartElement)
		if !ok || e.Name.Local != name {
			continue
		}
		has := map[string]string{}
		for _, at := range e.Attr {
			has[at.Name.Local] = at.Value
		}
		fits := true
		for k, v := range where {
			fits = fits && strings.Contains(has[k], v)
		}
		if !fits {
			continue
		}
		matched = true
		if v, ok := has[attribute]; ok {
			values = append(values, v)
		}
	}
	return nil, false, errTooLarge
}

func ini(data []byte, key string) []string {
	section := ""
	var out []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			section = strings.Trim(line, "[]") + "."
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); ok && (section+name == key || name == key) {
			out = append(out, strings.Trim(strings.TrimSpace(value), `"'`))
		}
	}
	return out
}

// wordLines reads "Name value" lines. Of repeated names the first counts for sshd, any for others: all are returned.
func wordLines(data []byte, key string) []string {
	var out []string
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.FieldsFunc(strings.TrimSuffix(line, ";"), func(r rune) bool { return r == ' ' || r == '\t' || r == '=' })
		if len(fields) > 1 && strings.EqualFold(fields[0], key) {
			out = append(out, strings.Join(fields[1:], " "))
		}
	}
	return out
}
