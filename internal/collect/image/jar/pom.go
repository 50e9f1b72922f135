package jar

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// coordinates name a Maven artefact.
type coordinates struct{ group, artifact, version string }

// pom is what one pom.properties or pom.xml says.
type pom struct {
	coordinates
	evidence string
}

// ofDirectory returns the group and artefact in "META-INF/maven/<group>/<artifact>".
func ofDirectory(dir string) (group, artifact string) {
	parts := strings.Split(dir, "/")
	if n := len(parts); n >= 4 {
		return parts[n-2], parts[n-1]
	}
	return "", ""
}

// whole returns the value when it is one: Maven leaves "${...}" where it knows no value.
func whole(v string) string {
	v = strings.TrimSpace(v)
	if v == "" || len(v) > 256 || strings.ContainsAny(v, "${}<>\n\r\t ") || strings.HasPrefix(v, "@") {
		return ""
	}
	return v
}

// parseProperties reads a pom.properties; dir fills in for a missing group or artefact.
func parseProperties(data []byte, dir string) (pom, bool) {
	p := properties(data)
	group, artifact := ofDirectory(dir)
	found := pom{coordinates{whole(p["groupId"]), whole(p["artifactId"]), whole(p["version"])}, "pom.properties"}
	if found.group == "" {
		found.group = whole(group)
	}
	if found.artifact == "" {
		found.artifact = whole(artifact)
	}
	return found, found.artifact != "" && (found.version != "" || len(p) > 0)
}

// properties reads Java's properties format: "key=value", "key: value" or "key value" lines, # and ! comments, backslash
// escapes. A line that goes on in the next is joined.
func properties(data []byte) map[string]string {
	m := map[string]string{}
	for len(data) > 0 && len(m) < 1000 {
		var line []byte
		for {
			part := data
			if i := bytes.IndexAny(data, "\r\n"); i >= 0 {
				part, data = data[:i], data[i+1:]
			} else {
				data = nil
			}
			part = bytes.TrimLeft(part, " \t\f")
			if len(line) == 0 && len(part) > 0 && (part[0] == '#' || part[0] == '!') {
				break
			}
			slashes := len(part) - len(bytes.TrimRight(part, `\`))
			if slashes%2 == 1 && len(data) > 0 {
				line = append(line, part[:len(part)-1]...)
				data = bytes.TrimPrefix(data, []byte("\n"))
				continue
			}
			line = append(line, part...)
			break
		}
		if len(line) == 0 {
			continue
		}
		end := 0
		for end < len(line) && !strings.ContainsRune("=: \t\f", rune(line[end])) {
			if line[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(line))
		value := bytes.TrimLeft(line[end:], " \t\f")
		if len(value) > 0 && (value[0] == '=' || value[0] == ':') {
			value = bytes.TrimLeft(value[1:], " \t\f")
		}
		m[unescape(line[:end])] = unescape(value)
	}
	return m
}

// unescape resolves the backslashes of a properties file.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	var out strings.Builder
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			out.WriteByte(b[i])
			continue
		}
		i++
		switch b[i] {
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case 'r':
			out.WriteByte('\r')
		case 'u':
			if i+4 < len(b) {
				if n, err := strconv.ParseUint(string(b[i+1:i+5]), 16, 16); err == nil {
					out.WriteRune(rune(n))
					i += 4
				}
			}
		default:
			out.WriteByte(b[i])
		}
	}
	return strings.ToValidUTF8(out.String(), "\uFFFD")
}

// maxXMLDepth bounds the elements that the XML reader keeps on its stack. A pom is some ten deep.
const maxXMLDepth = 100

// parsePOM reads a pom.xml: its coordinates, what it inherits from its parent, and properties they refer to.
func parsePOM(data []byte, dir string) (pom, error) {
	found := pom{evidence: "pom.xml"}
	if len(data) == 0 {
		return found, nil
	}
	values, err := pomValues(data)
	resolve := func(v string) string {
		for range 5 { // properties may refer to properties
			start := strings.Index(v, "${")
			if start < 0 {
				break
			}
			end := strings.IndexByte(v[start:], '}')
			if end < 0 {
				break
			}
			name := v[start+2 : start+end]
			value, ok := values["properties/"+name]
			for _, prefix := range []string{"project.", "pom.", ""} {
				if rest, has := strings.CutPrefix(name, prefix); has && !ok {
					value, ok = values[strings.ReplaceAll(rest, ".", "/")]
				}
			}
			if !ok || len(value) > 256 {
				break
			}
			v = v[:start] + value + v[start+end+1:]
		}
		return whole(v)
	}
	group, artifact := ofDirectory(dir)
	for _, f := range []struct {
		to   *string
		from []string
	}{
		{&found.group, []string{values["groupId"], values["parent/groupId"], group}},
		{&found.artifact, []string{values["artifactId"], artifact}},
		{&found.version, []string{values["version"], values["parent/version"]}},
	} {
		for _, v := range f.from {
			if *f.to == "" {
				*f.to = resolve(v)
			}
		}
	}
	return found, err
}

// pomValues returns the texts of a pom's elements that matter by their path below project: "groupId", "parent/version",
// "properties/revision".
func pomValues(data []byte) (map[string]string, error) {
	values := map[string]string{}
	if !utf8.Valid(data) { // a developer's name in Latin-1; what is wanted is ASCII
		data = bytes.Map(func(c rune) rune {
			if c == utf8.RuneError {
				return '?'
			}
			return c
		}, data)
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	d.Strict = false
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var at []string
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return values, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if len(at) == maxXMLDepth {
				return values, fmt.Errorf("elements nested more than %d deep", maxXMLDepth)
			}
			if len(at) == 0 && t.Name.Local != "project" {
				return values, fmt.Errorf("the root element is %q, not project", t.Name.Local)
			}
			at = append(at, t.Name.Local)
		case xml.EndElement:
			if len(at) > 0 {
				at = at[:len(at)-1]
			}
		case xml.CharData:
			if n := len(at); n == 2 || n == 3 && (at[1] == "parent" || at[1] == "properties") {
				if text := strings.TrimSpace(string(t)); text != "" && len(text) <= 256 && len(values) < 1000 {
					if key := path.Join(at[1:]...); values[key] == "" {
						values[key] = text
					}
				}
			}
		}
	}
}
