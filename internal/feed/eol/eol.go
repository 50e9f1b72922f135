// Package eol reads the end of life of systems from endoflife.date: its API (all products, one product, the older list of
// cycles), tables cut from it, and the front matter of its product pages.
package eol

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
	"stockade.dev/stockade/internal/feed/openeuler"
)

// Reader reads all of these forms.
var Reader = feed.Reader{Name: "eol", Knows: knows, Read: read}

const name = "endoflife-date"

var (
	table = regexp.MustCompile(`^\s*\{\s*"[a-z0-9-]+"\s*:\s*\[\s*\{\s*"(?:name|eolFrom)"`)
)

func knows(p string, head []byte) bool {
	if bytes.HasPrefix(head, []byte("---\n")) {
		return feed.Ext(p) == ".md" && (bytes.Contains(head, []byte("\npermalink:")) || bytes.Contains(head, []byte("\nreleases:")))
	}
	keys, list := feed.Keys(head)
	switch {
	case keys == nil:
		return false
	case list:
		return slices.Contains(keys, "cycle") && slices.Contains(keys, "eol")
	case slices.Contains(keys, "result"):
		return bytes.Contains(head, []byte(`"releases"`))
	}
	return table.Match(head) && bytes.Contains(head, []byte(`"eolFrom"`))
}

// product is a product of the API.
type product struct {
	Name     string    `json:"name"`
	Releases []release `json:"releases"`
}

// release holds the members of every form; dates may be booleans in the older ones.
type release struct {
	Name     string `json:"name"`
	Cycle    any    `json:"cycle" yaml:"releaseCycle"`
	EOLFrom  any    `json:"eolFrom"`
	EOL      any    `json:"eol" yaml:"eol"`
	EOESFrom any    `json:"eoesFrom"`
	EOES     any    `json:"eoes" yaml:"eoes"`
	Extended any    `json:"extendedSupport"`
	Released any    `json:"releaseDate" yaml:"releaseDate"`
	Latest   any    `json:"latest" yaml:"latest"`
}

func read(_ context.Context, d feed.Document, s feed.Sink) error {
	data, err := io.ReadAll(notation.Bounded(d.Body, notation.MaxDocument))
	if err != nil {
		return fmt.Errorf("eol: %w", err)
	}
	products, err := parse(strings.TrimSuffix(path.Base(d.Path), path.Ext(d.Path)), data)
	if err != nil {
		return fmt.Errorf("eol: %w", err)
	}
	for _, p := range products {
		s.Record(name)
		if streams[p.Name] == nil {
			s.Refused(name, p.Name, "product without a stream")
			continue
		}
		for i := range p.Releases {
			if err := p.Releases[i].put(p.Name, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// parse tells the forms apart; file is the name of the document without its ending.
func parse(file string, data []byte) ([]product, error) {
	if bytes.HasPrefix(data, []byte("---\n")) {
		return front(file, data[4:])
	}
	if keys, list := feed.Keys(data[:min(len(data), 4096)]); list {
		var rs []release
		err := json.Unmarshal(data, &rs)
		return []product{{Name: file, Releases: rs}}, err
	} else if !slices.Contains(keys, "result") {
		var all map[string][]release
		if err := json.Unmarshal(data, &all); err != nil {
			return nil, err
		}
		var ps []product
		for n, rs := range all {
			ps = append(ps, product{n, rs})
		}
		slices.SortFunc(ps, func(a, b product) int { return strings.Compare(a.Name, b.Name) })
		return ps, nil
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(answer.Result), []byte("[")) {
		var ps []product
		return ps, json.Unmarshal(answer.Result, &ps)
	}
	var one product
	err := json.Unmarshal(answer.Result, &one)
	return []product{one}, err
}

// front reads the YAML before a product page's text.
func front(file string, data []byte) ([]product, error) {
	text, _, _ := bytes.Cut(data, []byte("\n---"))
	var page struct {
		Permalink string `yaml:"permalink"`
		Releases  []struct {
			Cycle    string `yaml:"releaseCycle"`
			EOL      string `yaml:"eol"`
			EOES     string `yaml:"eoes"`
			Released string `yaml:"releaseDate"`
			Latest   string `yaml:"latest"`
		} `yaml:"releases"`
	}
	if err := yaml.Unmarshal(text, &page); err != nil {
		return nil, err
	}
	p := product{Name: strings.TrimPrefix(page.Permalink, "/")}
	if p.Name == "" {
		p.Name = file
	}
	for _, r := range page.Releases {
		p.Releases = append(p.Releases, release{Name: r.Cycle, EOL: r.EOL, EOES: r.EOES, Released: r.Released, Latest: r.Latest})
	}
	return []product{p}, nil
}

func (r *release) put(product string, s feed.Sink) error {
	cycle := first(r.Name, r.Cycle)
	stream, ok := streams[product](cycle)
	if !ok || !advisory.KnownStream(stream) {
		s.Refused(name, product+" "+cycle, "release without a stream")
		return nil
	}
	l := advisory.Lifecycle{
		Feed: name, Stream: stream, EOL: day(r.EOLFrom, r.EOL), Extended: day(r.EOESFrom, r.EOES, r.Extended), Released: day(r.Released),
	}
	switch v := r.Latest.(type) {
	case string:
		l.Latest = v
	case map[string]any:
		l.Latest, _ = v["name"].(string)
	}
	return s.Lifecycle(l)
}

func first(values ...any) string {
	for _, v := range values {
		switch v := v.(type) {
		case string:
			if v != "" {
				return v
			}
		case float64:
			return strings.TrimSuffix(fmt.Sprintf("%.2f", v), ".00")
		}
	}
	return ""
}

// day returns the first value that is a date; true, false and null are none.
func day(values ...any) string {
	for _, v := range values {
		if text, ok := v.(string); ok {
			if t := notation.Time(text); t != "" {
				return t[:10]
			}
		}
	}
	return ""
}

// streams maps products and their releases.
var streams = map[string]func(string) (string, bool){
	"ubuntu": with("ubuntu "), "debian": with("debian "), "alpine": with("alpine "), "alpine-linux": with("alpine "),
	"rhel": with("redhat "), "centos-stream": with("centos-stream "), "almalinux": with("almalinux "),
	"rocky-linux": with("rocky "), "oracle-linux": with("oracle "), "fedora": with("fedora "), "photon": with("photon "),
	"amazon-linux": amazon, "sles": with("sles "), "opensuse": with("opensuse "), "azure-linux": with("azurelinux "),
	"cbl-mariner": with("mariner "), "openeuler": func(r string) (string, bool) { return openeuler.Stream("openEuler-" + r) },
}

func with(prefix string) func(string) (string, bool) {
	return func(release string) (string, bool) { return prefix + release, true }
}

// amazon counts the first release by the date of its last image.
func amazon(release string) (string, bool) {
	if strings.HasPrefix(release, "201") {
		release = "1"
	}
	return "amazon " + release, true
}
