package exhibit

import (
	"regexp"
	"strings"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/credential"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/repair"
)

// ConcealObject takes what is secret out of an object, in place, for those who keep objects and do not show them.
func ConcealObject(o *inventory.Object) { conceal(o) }

// conceal takes what is secret out of an object, in place: values of Secrets, what looks like a credential anywhere, and what repeats
// the object, such as the annotation of kubectl apply.
func conceal(o *inventory.Object) {
	if meta := inventory.Map(o.Content, "metadata"); meta != nil {
		delete(meta, "managedFields")
		if a := inventory.Map(meta, "annotations"); a != nil {
			delete(a, "kubectl.kubernetes.io/last-applied-configuration")
		}
	}
	if o.Kind == "Secret" && o.Ref().Group() == "" {
		for _, field := range []string{"data", "stringData"} {
			m, ok := o.Content[field].(map[string]any)
			if !ok {
				delete(o.Content, field)
			}
			for k := range m {
				m[k] = repair.Redacted
			}
		}
	}
	if m := inventory.Map(o.Content, "binaryData"); m != nil {
		for k := range m {
			m[k] = repair.Redacted
		}
	}
	concealMap(o.Content, 0)
}

// deepest bounds the walk; deeper values are not shown either.
const deepest = 200

func concealMap(m map[string]any, depth int) {
	if depth > deepest {
		clear(m)
		return
	}
	name, _ := m["name"].(string)
	for k, v := range m {
		switch v := v.(type) {
		case string:
			by := k
			if k == "value" && name != "" { // of env, of parameters
				by = name
			}
			m[k] = Conceal(by, v)
		case map[string]any:
			concealMap(v, depth+1)
		case []any:
			concealList(k, v, depth+1)
		}
	}
}

func concealList(name string, list []any, depth int) {
	if depth > deepest {
		clear(list)
		return
	}
	before := ""
	for i, v := range list {
		switch v := v.(type) {
		case string:
			list[i] = concealArgument(name, before, v)
			before = v
		case map[string]any:
			concealMap(v, depth+1)
		case []any:
			concealList(name, v, depth+1)
		}
	}
}

var flagValue = regexp.MustCompile(`^(-{0,2}[A-Za-z0-9_.-]{1,100}[=:])(.+)$`)

// concealArgument looks at an element of a command: --password=x, PASSWORD=x, and x behind --password.
func concealArgument(list, before, v string) string {
	if m := flagValue.FindStringSubmatch(v); m != nil {
		if _, found := credential.Find(strings.Trim(m[1], "-=: "), m[2]); found {
			return m[1] + repair.Redacted
		}
	}
	if strings.HasPrefix(before, "-") && !strings.HasPrefix(v, "-") {
		if _, found := credential.Find(strings.TrimLeft(before, "-"), v); found {
			return repair.Redacted
		}
	}
	return Conceal(list, v)
}

// Conceal returns a value as it may be shown. Of texts of several lines only the lines with credentials change.
func Conceal(name, value string) string {
	if !strings.Contains(strings.TrimSuffix(value, "\n"), "\n") {
		if _, found := credential.Find(name, value); found {
			return repair.Redacted
		}
		return value
	}
	return concealText(value)
}

// concealFile takes credentials out of the text of a manifest: line by line, and those that only the objects in it tell, such as of
// env in one line.
func concealFile(name, text string) string {
	objects, _ := manifest.Parse(name, []byte(text), manifest.Limits{})
	var secrets []string
	for _, o := range objects {
		if repair.Size(o.Content) > repair.MostObject {
			return repair.Redacted
		}
		open := *o
		open.Content = repair.Clone(o.Content)
		conceal(o)
		secrets = hidden(open.Content, o.Content, secrets)
	}
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, repair.Redacted)
	}
	return concealText(text)
}

// hidden are the values of one line that were taken out.
func hidden(before, after any, out []string) []string {
	switch b := before.(type) {
	case map[string]any:
		a, _ := after.(map[string]any)
		for k, v := range b {
			if w, ok := a[k]; ok {
				out = hidden(v, w, out)
			}
		}
	case []any:
		a, _ := after.([]any)
		for i := range min(len(a), len(b)) {
			out = hidden(b[i], a[i], out)
		}
	case string:
		if a, _ := after.(string); a != b && strings.HasSuffix(a, repair.Redacted) && !strings.Contains(b, "\n") {
			if s := strings.TrimPrefix(b, strings.TrimSuffix(a, repair.Redacted)); len(s) > 3 {
				out = append(out, s)
			}
		}
	}
	return out
}

// rounds bounds how often one text is looked through: each finds twenty credentials.
const rounds = 200

func concealText(text string) string {
	lines := strings.Split(text, "\n")
	for range rounds {
		spots := credential.Each([]byte(strings.Join(lines, "\n")), true)
		if len(spots) == 0 {
			return strings.Join(lines, "\n")
		}
		for _, s := range spots {
			concealLine(lines, s.Line-1)
		}
	}
	return repair.Redacted
}

// concealLine takes the value out of a line, and of a private key all lines.
func concealLine(lines []string, i int) {
	if i < 0 || i >= len(lines) {
		return
	}
	line := lines[i]
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	if strings.Contains(line, "PRIVATE KEY") {
		for j := i; j < len(lines); j++ {
			end := strings.Contains(lines[j], "-----END")
			lines[j] = indent + repair.Redacted
			if end {
				return
			}
		}
		return
	}
	if at := strings.IndexAny(line, "=:"); at > 0 {
		lines[i] = line[:at+1] + " " + repair.Redacted
		if line[at] == '=' {
			lines[i] = line[:at+1] + repair.Redacted
		}
		if credentialFree(lines[i]) {
			return
		}
	}
	lines[i] = indent + repair.Redacted
}

// credentialFree reports whether a line holds no credential any more.
func credentialFree(line string) bool { return len(credential.Each([]byte(line), true)) == 0 }
