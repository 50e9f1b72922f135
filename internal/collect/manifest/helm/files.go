package helm

import (
	"encoding/base64"
	"path"
	"strings"

	"github.com/gobwas/glob"
	"helm.sh/helm/v4/pkg/chart/common"
)

// files is the .Files of templates: those of the chart that are no templates. Its methods are Helm's.
type files map[string][]byte

func newFiles(from []*common.File) files {
	out := make(files, len(from))
	for _, f := range from {
		out[f.Name] = f.Data
	}
	return out
}

// GetBytes returns the content of a file; nothing when it does not exist.
func (f files) GetBytes(name string) []byte {
	if data, ok := f[name]; ok {
		return data
	}
	return []byte{}
}

// Get returns the content of a file as text.
func (f files) Get(name string) string { return string(f.GetBytes(name)) }

// Glob returns the files whose paths match; a pattern that is none matches all.
func (f files) Glob(pattern string) files {
	g, err := glob.Compile(pattern, '/')
	out := files{}
	for name, data := range f {
		if err != nil || g.Match(name) {
			out[name] = data
		}
	}
	return out
}

// AsConfig returns the files as YAML for the data of a ConfigMap.
func (f files) AsConfig() string {
	m := make(map[string]string, len(f))
	for name, data := range f {
		m[path.Base(name)] = string(data)
	}
	return f.yaml(m)
}

// AsSecrets returns the files as YAML for the data of a Secret.
func (f files) AsSecrets() string {
	m := make(map[string]string, len(f))
	for name, data := range f {
		m[path.Base(name)] = base64.StdEncoding.EncodeToString(data)
	}
	return f.yaml(m)
}

func (f files) yaml(m map[string]string) string {
	if f == nil {
		return ""
	}
	s, _ := toYAML(m)
	return s
}

// Lines returns the lines of a file.
func (f files) Lines(name string) []string {
	data := f[name]
	if len(data) == 0 {
		return []string{}
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}
