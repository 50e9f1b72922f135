package kustomize

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/finding"
)

// harmless are the fields of a kustomization, in lower case, whose texts are values and never places to read from.
var harmless = map[string]bool{
	"apiversion": true, "kind": true, "metadata": true, "nameprefix": true, "namesuffix": true, "namespace": true,
	"commonlabels": true, "labels": true, "commonannotations": true, "images": true, "imagetags": true, "replicas": true,
	"vars": true, "sortoptions": true, "generatoroptions": true, "buildmetadata": true,
	// inside others
	"literals": true, "patch": true, "options": true, "target": true, "source": true, "targets": true, "name": true,
	"type": true, "behavior": true,
}

// charts are the fields that run helm.
var charts = map[string]bool{"helmcharts": true, "helmchartinflationgenerator": true, "helmglobals": true}

// plugins are the fields that name configurations of plugins: files that may name further files.
var plugins = map[string]bool{"generators": true, "transformers": true, "validators": true}

// tame returns a kustomization file without what refers to something remote, and with the request to note where
// resources come from. Fields are matched in any case, as kustomize does.
func (d *disk) tame(name string, data []byte) ([]byte, error) {
	var k map[string]any
	if err := yaml.Unmarshal(data, &k); err != nil {
		d.broken = fmt.Sprintf("%s: %v", d.short(name), err)
		return nil, errors.New(d.broken)
	}
	if k == nil {
		return data, nil
	}
	if kind, _ := k["kind"].(string); kind == "Component" && filepath.Dir(name) == d.dir {
		d.component = true
	}
	t := &taming{disk: d, file: name}
	for key, v := range k {
		field := strings.ToLower(key)
		switch {
		case charts[field]:
			if field != "helmglobals" {
				t.leave(key, "", "Helm charts inside kustomizations are not rendered")
			}
			delete(k, key)
		case plugins[field]:
			k[key] = t.plugins(key, v)
		case harmless[field]:
		default:
			if field == "patches" || field == "patchesstrategicmerge" || field == "patchesjson6902" {
				t.patches(v)
			}
			if v, keep := t.value(key, v); keep {
				k[key] = v
			} else {
				delete(k, key)
			}
		}
	}
	var list []any
	for key, v := range k {
		if strings.EqualFold(key, "buildMetadata") {
			list, _ = v.([]any)
			delete(k, key)
		}
	}
	k["buildMetadata"] = append(list, "originAnnotations")
	return yaml.Marshal(k)
}

// taming is the work on one kustomization file.
type taming struct {
	disk *disk
	file string
}

// leave reports something that is left out, once.
func (t *taming) leave(field, what, reason string) {
	d := t.disk
	d.left++
	key := t.file + "\x00" + field + "\x00" + what
	if d.told[key] {
		return
	}
	d.told[key] = true
	p := manifest.Problem{File: t.file, What: field, Reason: reason, Code: finding.Skipped}
	if what != "" {
		p.What += " " + clip(what)
		for i, l := range d.split(t.file) {
			if at := strings.Index(string(l), what); at >= 0 {
				p.Line, p.Column = i+1, at+1
				break
			}
		}
	}
	d.problems = append(d.problems, p)
}

func clip(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if r := []rune(s); len(r) > 100 {
		return string(r[:100]) + "..."
	}
	return s
}

// value takes the remote references out of a value; keep is false when nothing is left of it.
func (t *taming) value(field string, v any) (out any, keep bool) {
	switch v := v.(type) {
	case string:
		place := v
		if _, file, ok := strings.Cut(v, "="); ok { // key=file of generators
			place = file
		}
		// Patches may be given as text: a path has no line break.
		if !strings.Contains(v, "\n") && (remote(v) || remote(place)) {
			t.leave(field, v, "remote base or file; nothing is fetched")
			return nil, false
		}
	case []any:
		kept := []any{}
		for _, e := range v {
			if e, ok := t.value(field, e); ok {
				kept = append(kept, e)
			}
		}
		return kept, true
	case map[string]any:
		for key, e := range v {
			if harmless[strings.ToLower(key)] {
				continue
			}
			if e, ok := t.value(field, e); ok {
				v[key] = e
			} else {
				return nil, false // a patch or a generator without its file means nothing
			}
		}
	}
	return v, true
}

// plugins keeps the plug-in configurations that name nothing remote: files, or the configuration itself as text.
func (t *taming) plugins(field string, v any) any {
	list, _ := v.([]any)
	kept := []any{}
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			continue
		}
		text := s
		if !strings.Contains(s, "\n") {
			name := filepath.Join(filepath.Dir(t.file), s)
			if remote(s) {
				t.leave(field, s, "remote base or file; nothing is fetched")
				continue
			}
			if t.disk.IsDir(name) {
				t.leave(field, s, "folders of plug-in configurations are not followed")
				continue
			}
			data, err := t.disk.content(name)
			if err != nil {
				kept = append(kept, s) // kustomize says what is wrong with it
				continue
			}
			text = string(data)
		}
		if strings.Contains(text, "://") || strings.Contains(text, "github.com") || strings.Contains(text, "Helm") {
			t.leave(field, s, "it names something remote or a chart; nothing is fetched")
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// patches notes the files that are patches: they look like objects and are none.
func (t *taming) patches(v any) {
	list, _ := v.([]any)
	for _, e := range list {
		name, _ := e.(string)
		if m, ok := e.(map[string]any); ok {
			name, _ = m["path"].(string)
		}
		if name == "" || strings.Contains(name, "\n") || remote(name) {
			continue
		}
		if real, err := t.disk.inside(filepath.Join(filepath.Dir(t.file), name)); err == nil {
			t.disk.patches = append(t.disk.patches, real)
		}
	}
}
