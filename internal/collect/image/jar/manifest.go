package jar

import (
	"bytes"
	"strings"
)

// manifest is the main section of META-INF/MANIFEST.MF: lower-case attribute to value.
type manifest map[string]string

// wanted are the attributes that name an archive. Others, such as lists of packages, may be long and are not kept.
var wanted = map[string]bool{
	"bundle-symbolicname": true, "bundle-version": true, "automatic-module-name": true,
	"implementation-title": true, "implementation-version": true, "implementation-vendor": true, "implementation-vendor-id": true,
	"specification-title": true, "specification-version": true, "specification-vendor": true,
	"extension-name": true, "short-name": true, "group-id": true, "artifact-id": true, "plugin-version": true, // Jenkins plug-ins
	"bundle-vendor": true, "bundle-name": true, "nar-group": true, "nar-id": true, "nar-version": true, // NiFi
}

// parseManifest reads the main section as the JAR File Specification has it: "Name: value" lines, continued by lines that
// begin with a space, up to an empty line. Of an attribute that comes twice the last holds, as in Java.
func parseManifest(data []byte) manifest {
	m := manifest{}
	name := ""
	var value []byte
	keep := func() {
		if name != "" {
			m[name] = strings.TrimSpace(strings.ToValidUTF8(string(value), "\uFFFD"))
		}
		name = ""
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	for len(data) > 0 {
		line := data
		if i := bytes.IndexAny(data, "\r\n"); i >= 0 {
			line = data[:i]
			if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
				i++
			}
			data = data[i+1:]
		} else {
			data = nil
		}
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' {
			if name != "" && len(value) < 4096 {
				value = append(value, line[1:]...)
			}
			continue
		}
		keep()
		key, rest, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(key) > 70 {
			continue
		}
		if k := strings.ToLower(string(key)); wanted[k] {
			name, value = k, append(value[:0], bytes.TrimPrefix(rest, []byte(" "))...)
		}
	}
	keep()
	return m
}

// bundle returns the OSGi name without directives: "org.example.till;singleton:=true".
func (m manifest) bundle() string {
	name, _, _ := strings.Cut(m["bundle-symbolicname"], ";")
	name = strings.TrimSpace(name)
	if name == "system.bundle" {
		return ""
	}
	return name
}

// version returns what the manifest says of the version; "" when it says nothing that looks like one.
func (m manifest) version() string {
	for _, key := range []string{"plugin-version", "implementation-version", "bundle-version", "specification-version"} {
		v, _, _ := strings.Cut(m[key], " ") // "1.2.17 build 2013", "2.3 (private)"
		v = strings.Trim(v, `"'`)
		if strings.HasPrefix(v, "v") {
			v = v[1:]
		}
		if v != "" && isDigit(v[0]) && v != "0.0.0" {
			return v
		}
	}
	return ""
}

// says reports whether one of the names in the manifest contains the word, in any case.
func (m manifest) says(word string) bool {
	for _, key := range []string{"implementation-title", "implementation-vendor", "implementation-vendor-id", "bundle-symbolicname", "bundle-name", "bundle-vendor", "specification-title", "specification-vendor", "automatic-module-name"} {
		if v := m[key]; v != "" && strings.Contains(strings.ToLower(v), word) {
			return true
		}
	}
	return false
}

// names returns what the archive may be called, best first.
func (m manifest) names() []string {
	var names []string
	for _, n := range []string{m["implementation-title"], m.bundle(), m["automatic-module-name"], m["extension-name"], m["specification-title"]} {
		if n != "" && len(n) < 200 && !strings.ContainsAny(n, " \t/") {
			names = append(names, n)
		}
	}
	return names
}

// parseServerInfo returns the version in Tomcat's ServerInfo.properties: "server.info=Apache Tomcat/9.0.70 (Debian)",
// "server.number=9.0.70.0"; "" when an administrator has hidden it.
func parseServerInfo(data []byte) string {
	p := properties(data)
	_, info, _ := strings.Cut(p["server.info"], "/")
	info, _, _ = strings.Cut(info, " ")
	if info != "" && isDigit(info[0]) {
		return info
	}
	number := p["server.number"]
	if number == "" || !isDigit(number[0]) {
		return ""
	}
	if parts := strings.Split(number, "."); len(parts) == 4 {
		number = strings.Join(parts[:3], ".")
	}
	return number
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
