package api

import (
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// numeral is the form of ids in JSON: strings, because JavaScript cannot hold all of them as numbers.
const numeral = "^-?[0-9]{1,19}$"

// stringIDs corrects the schemas that a route has brought: the framework takes a field with `json:",string"` for a number, and would
// refuse the very string that encoding/json wants.
func (a *API) stringIDs() {
	all := a.huma.OpenAPI().Components.Schemas
	for name, s := range all.Map() {
		if a.corrected[name] {
			continue
		}
		a.corrected[name] = true
		if t := all.TypeFromRef("#/components/schemas/" + name); t != nil {
			correct(s, t)
		}
	}
}

func correct(s *huma.Schema, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if f.Anonymous && tag == "" {
			correct(s, f.Type)
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		p := s.Properties[name]
		if p == nil || !strings.Contains(","+options+",", ",string,") || p.Type != huma.TypeInteger {
			continue
		}
		p.Type, p.Format, p.Pattern, p.Minimum, p.Maximum = huma.TypeString, "", numeral, nil, nil
		p.PrecomputeMessages()
	}
}

// exported panics where a type of a route embeds a struct whose name begins with a small letter: the framework passes over its fields
// without a word, so that they are refused as unknown or never filled in.
func exported(t reflect.Type, route string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.PkgPath() != "" && !strings.HasPrefix(t.PkgPath(), "stockade.dev/") {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && !f.IsExported() {
			panic("route " + route + ": " + t.String() + " embeds " + f.Name + ", whose fields are not seen: export it")
		}
		if f.Anonymous || f.Name == "Body" {
			exported(f.Type, route)
		}
	}
}
