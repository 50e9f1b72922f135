package webhook

import (
	"encoding/json"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/notify/message"
)

const jira = `{"fields": {"project": {"key": "SEC"}, "issuetype": {"name": "Bug"},
 "summary": "{{cut 200 .title}}",
 "description": "{{.text}}\n{{range .findings}}* {{.severity}} {{.title}} {{.cluster}}/{{.namespace}}/{{.resource}}\n{{end}}{{if .more}}and {{.more}} more{{end}}",
 "labels": ["stockade", {{json .severity}}], "all": {{json .findings}}{{with index .details "state"}}, "state": "{{.}}"{{end}}}}`

// TestTemplate fills a template with hostile names: the body stays JSON, and the names stay inside their strings.
func TestTemplate(t *testing.T) {
	tmpl, err := Parse(jira, "")
	if err != nil {
		t.Fatal(err)
	}
	e := hostile()
	e.Title.EN = `x"}, "priority": {"name": "Lowest"}, "y": {"z": "`
	e.More = 3
	body, contentType, err := tmpl.Form(e, "en")
	if err != nil || contentType != "application/json" {
		t.Fatal(err)
	}
	var v struct {
		Fields map[string]any
	}
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	if v.Fields["summary"] != e.Title.EN || v.Fields["priority"] != nil || !strings.Contains(v.Fields["description"].(string), "and 3 more") {
		t.Errorf("%s", body)
	}
	if len(v.Fields["all"].([]any)) != 1 {
		t.Errorf("%s", body)
	}
}

// TestTemplateErrors are told when a template is saved, in words that name the place.
func TestTemplateErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "empty",
		"{":                             "no JSON",
		`{"a": {{.title}}}`:             "no JSON",
		`{"a": "{{.titel}}"}`:           `line 1:9: at <.titel>: map has no entry for key "titel"`,
		`{"a": "{{.title}"}`:            "line 1:",
		"{{exec `id`}}":                 `function "exec" not defined`,
		`{{call .title}}`:               "call is not offered",
		`{{printf "%999999d" 1}}`:       "printf is not offered",
		`{{html .title}}`:               "html is not offered",
		`{{define "x"}}{{end}}{}`:       "not offered",
		`{{block "x" .}}{{end}}{}`:      "not offered",
		`{{template "template" .}}`:     "not offered",
		`{{range 1000000000}}{{end}}{}`: "too long",
		`{{range 40000}}{{range 40000}}{{end}}{{end}}`:                                     "too long",
		`{{$x := "xx"}}{{range 60}}{{$x = print $x $x}}{{end}}{}`:                          "a value of more than",
		`{{$x := "` + strings.Repeat("0123456789", 100) + `"}}{{range 1000}}{{$x}}{{end}}`: "writes more than",
		`{{cut 0 .title}}`: "cut:",
		strings.Repeat("{{if true}}", 60) + strings.Repeat("{{end}}", 60): "nested deeper",
		strings.Repeat(" ", maxTemplate+1):                                "empty",
		strings.Repeat("x", maxTemplate+1):                                "more than",
	} {
		_, err := Parse(text, "application/json")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
	if _, err := Parse("x", "text/html"); err == nil {
		t.Error("HTML was taken")
	}
	if _, err := Parse(`{{range .findings}}{{.title}} {{join "," $.parts}}{{end}}{{if gt .counts.total 0}}{{default "-" .link}}{{end}}`, "text/plain"); err != nil {
		t.Error(err)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{jira, `{{range $i, $f := .findings}}{{if $i}},{{end}}{{json $f}}{{end}}`, `{{$x := json .}}{{print $x}}`, `"{{default 1 .more | print | upper | cut 3}}"`, "{{range 9}}{{break}}{{end}}1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := Parse(text, "application/json")
		if err != nil {
			return
		}
		d := hostile()
		body, err := tmpl.Execute(d.In("en"))
		if err == nil && (!json.Valid(body) || len(body) > maxBody) {
			t.Errorf("%s", body)
		}
	})
}

// TestEscape writes values into strings however they are reached.
func TestEscape(t *testing.T) {
	tmpl, err := Parse(`{"a": "{{print (json .title)}}", "b": "{{with $x := .title}}{{$x}}{{end}}", "c": "{{.more}}{{.report}}{{.test}}"}`, "")
	if err != nil {
		t.Fatal(err)
	}
	e := &message.Event{}
	e.Title.EN = "a\"\u2028<"
	body, err := tmpl.Execute(e.In("en"))
	var v map[string]string
	if err != nil || json.Unmarshal(body, &v) != nil || v["b"] != e.Title.EN || v["c"] != "0false" {
		t.Errorf("%s %v", body, err)
	}
}
