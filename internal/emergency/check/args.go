package check

import (
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Args are the arguments of a step, as YAML or JSON gave them.
type Args map[string]any

// text returns a text, "" when it is not given. Numbers and truth values are written out.
func (a Args) text(name string) string { return written(a[name]) }

func written(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// texts returns a list; a single value is a list of one.
func (a Args) texts(name string) []string {
	switch v := a[name].(type) {
	case nil:
		return nil
	case []any:
		out := make([]string, len(v))
		for i, e := range v {
			out[i] = written(e)
		}
		return out
	default:
		return []string{written(v)}
	}
}

func (a Args) flag(name string) bool { return a.text(name) == "true" }

// holds is what a missing value means: yes, no, or unknown when it is not said.
func (a Args) holds(name string) Holds {
	switch h := Holds(a.text(name)); h {
	case Yes, No:
		return h
	}
	return Unknown
}

// maps returns a list of maps of texts.
func (a Args) maps(name string) []map[string]string {
	list, ok := a[name].([]any)
	if !ok {
		if m, isMap := a[name].(map[string]any); isMap {
			list = []any{m}
		}
	}
	var out []map[string]string
	for _, e := range list {
		m, _ := e.(map[string]any)
		one := map[string]string{}
		for k, v := range m {
			one[k] = written(v)
		}
		out = append(out, one)
	}
	return out
}

// validate checks values whose form matters.
func (a Args) validate(check string) error {
	if h := a.text("hex"); h != "" {
		if b, err := hex.DecodeString(h); err != nil || len(b) < 8 {
			return fmt.Errorf("check %s: hex is not the digits of at least eight bytes", check)
		}
	}
	if t := a.text("text"); t != "" && len(t) < 6 {
		return fmt.Errorf("check %s: text is too short to tell anything", check)
	}
	if check == "file-contains" && (a.text("text") == "") == (a.text("hex") == "") {
		return fmt.Errorf("check %s: one of text and hex is needed", check)
	}
	if m := a.text("matches"); m != "" {
		if _, err := regexp.Compile(m); err != nil {
			return fmt.Errorf("check %s: %w", check, err)
		}
	}
	for _, p := range a.texts("paths") {
		if !path.IsAbs(p) || path.Clean(p) != p || strings.Count(p, "*") > 3 {
			return fmt.Errorf("check %s: path %q is not absolute and clean", check, p)
		}
	}
	if m := a.text("missing"); m != "" && m != "yes" && m != "no" && m != "unknown" {
		return fmt.Errorf("check %s: missing is yes, no or unknown", check)
	}
	if port := a.text("port"); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("check %s: port %q", check, port)
		}
	}
	if check == "config-value" && !slices.Contains([]string{"yaml", "json", "toml", "xml", "ini", "words"}, a.text("form")) {
		return fmt.Errorf("check %s: form %q", check, a.text("form"))
	}
	if check == "containers" || check == "pods" {
		known := containerWords
		if check == "pods" {
			known = podWords
		}
		for _, m := range a.maps("any") {
			for k := range m {
				if !slices.Contains(known, k) {
					return fmt.Errorf("check %s: no such word %q", check, k)
				}
			}
			if len(m) == 0 {
				return fmt.Errorf("check %s: an empty condition", check)
			}
		}
		if len(a.maps("any")) == 0 {
			return fmt.Errorf("check %s: no conditions", check)
		}
	}
	return nil
}
