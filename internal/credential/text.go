package credential

import (
	"bytes"
	"strings"
)

// InText looks at a value, and line by line at one that is a file: properties, YAML, JSON, shell.
func InText(key, value string) (name string, l Leak, found bool) {
	if !strings.Contains(value, "\n") {
		l, found = Find(key, value)
		return key, l, found
	}
	if m := privateKey.FindString(value); m != "" {
		return "private key", Leak{"private key", m + "****"}, true
	}
	for line := range strings.SplitSeq(value[:min(len(value), maxText)], "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "//") || strings.HasPrefix(line, ";") || len(line) > 4096 {
			continue
		}
		name, value := assignment(line)
		if l, found = Find(name, value); found {
			return name, l, true
		}
	}
	return "", Leak{}, false
}

// assignment splits a line of a configuration file into name and value; without one the whole line is the value.
func assignment(line string) (name, value string) {
	i := strings.IndexAny(line, "=:")
	if i <= 0 || i > 100 {
		return "", line
	}
	name = strings.Trim(strings.TrimPrefix(strings.TrimSpace(line[:i]), "export "), `"' -`)
	if name == "" || strings.ContainsAny(name, " \t(){}<>/") {
		return "", line
	}
	value = strings.TrimSuffix(strings.TrimSpace(line[i+1:]), ",")
	if j := strings.Index(value, " #"); j > 0 {
		value = strings.TrimSpace(value[:j])
	}
	return name, strings.Trim(value, `"'`)
}

// Spot is a credential in a text.
type Spot struct {
	Leak
	Name string // it stands under; "" for none
	Line int    // from 1
}

// mostSpots bounds what one text is reported for: a file of test keys is one story.
const mostSpots = 20

// Each returns the credentials in a file's text, the first mostSpots. Settings says that the file holds names and values, such
// as properties or YAML; in other texts, such as programs, a name proves nothing and only the form of a value counts.
func Each(text []byte, settings bool) []Spot {
	if !promising(text, settings) {
		return nil
	}
	var out []Spot
	inKey := false
	number, end := 0, 0
	for line := range bytes.Lines(text) {
		number++
		end += len(line)
		if len(out) == mostSpots {
			break
		}
		trimmed := strings.TrimSpace(string(line[:min(len(line), 4096)]))
		switch {
		case trimmed == "":
		case inKey:
			inKey = !strings.Contains(trimmed, "-----END")
		case strings.Contains(trimmed, "PRIVATE KEY"):
			if m := privateKey.FindString(trimmed); m != "" {
				// The header alone, in a program that looks for it, is no key.
				rest := text[end:]
				if body := strings.TrimSpace(trimmed[strings.Index(trimmed, m)+len(m):]); keyBody(body) || keyBody(firstOf(rest)) {
					out = append(out, Spot{Leak{"private key", m + "****"}, "", number})
					inKey = !strings.Contains(trimmed, "-----END")
				}
			}
		case settings && (trimmed[0] == '#' || trimmed[0] == ';' || strings.HasPrefix(trimmed, "//")):
		case settings:
			name, value := assignment(trimmed)
			if l, found := Find(name, value); found {
				out = append(out, Spot{l, name, number})
			}
		default:
			if l, found := Find("", trimmed); found {
				out = append(out, Spot{l, "", number})
			}
		}
	}
	return out
}

func firstOf(rest []byte) string {
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return strings.TrimSpace(string(line[:min(len(line), 256)]))
}

// keyBody reports whether a line is base64 of a key, or the header of an encrypted one.
func keyBody(s string) bool {
	s = strings.TrimPrefix(strings.TrimPrefix(s, `\n`), `"`)
	if strings.HasPrefix(s, "Proc-Type:") || strings.HasPrefix(s, "Version:") || strings.HasPrefix(s, "Comment:") {
		return true
	}
	if len(s) < 16 {
		return false
	}
	for _, c := range []byte(s[:16]) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '=') {
			return false
		}
	}
	return true
}

// promising decides whether a text is read line by line. It looks for a few literals and costs little more than reading.
func promising(text []byte, settings bool) bool {
	if bytes.Contains(text, []byte("PRIVATE KEY")) || bytes.Contains(text, []byte("AKID")) {
		return true
	}
	for _, p := range prefixes {
		if bytes.Contains(text, []byte(p)) {
			return true
		}
	}
	if at := bytes.Index(text, []byte("://")); at >= 0 && bytes.IndexByte(text[at:], '@') >= 0 {
		return true
	}
	if !settings {
		return false
	}
	lower := bytes.ToLower(text)
	for _, list := range [][]string{passwordWords, tokenWords} {
		for _, w := range list {
			if bytes.Contains(lower, []byte(w)) {
				return true
			}
		}
	}
	return false
}
