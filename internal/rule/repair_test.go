package rule

import (
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

const head = `
id: T-1
title: {en: a, zh: b}
why: {en: a, zh: b}
fix: {en: a, zh: b}
severity: low
risk: workload
missing: pass
`

func parsed(t *testing.T, text string) (*Rule, error) {
	t.Helper()
	lib, err := Load(fstest.MapFS{"workload/x/rule.yaml": {Data: []byte(head + text)}})
	if len(lib.Rules) != 1 {
		return nil, err
	}
	return lib.Rules[0], err
}

func TestRepairs(t *testing.T) {
	for text, want := range map[string][]Edit{
		"validate: {over: container, expression: 'true', path: a.b, want: false}":                                     {{Set: map[string]any{"container.a.b": false}}},
		"validate: {over: pod, expression: 'true', path: spec.x, want: RuntimeDefault}":                               {{Set: map[string]any{"pod.spec.x": "RuntimeDefault"}}},
		"validate: {over: container, each: volumeMounts, expression: 'true', path: readOnly, want: true}":             {{Set: map[string]any{"item.readOnly": true}}},
		"validate: {over: container, expression: 'true', path: a, want: a limit}":                                     nil,
		"validate: {over: container, expression: 'true', path: a, want: 3, found: '1'}":                               nil,
		"validate: {over: pod, each: spec.volumes, expression: 'true', path: hostPath.path, want: nothing}":           {{Remove: []string{"item"}}},
		"validate: {over: container, each: securityContext.capabilities.add, expression: 'true', path: ''}":           {{Remove: []string{"item"}}},
		"validate: {over: component, expression: 'true', path: flags.a, want: false}\nmatch: {components: [kubelet]}": nil,
		"validate: {over: container, expression: 'true', path: a, want: false}\nrepair: {byHand: true}":               nil,
		"validate: {over: container, expression: 'true', path: a, want: 5}\nrepair: {edits: [{set: {container.n: 7}, when: {pod.spec.x: 1}}]}": {
			{Set: map[string]any{"container.n": int64(7)}, When: map[string]any{"pod.spec.x": int64(1)}}},
	} {
		r, err := parsed(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := r.Repairs(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestRepairsAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"validate: {over: container, expression: 'true'}\nrepair: {}":                                                         "exactly one of",
		"validate: {over: container, expression: 'true'}\nrepair: {byHand: true, edits: [{remove: [container.a]}]}":           "exactly one of",
		"validate: {over: container, expression: 'true'}\nrepair: {edits: [{remove: [item]}]}":                                "does not begin with",
		"validate: {over: pod, expression: 'true'}\nrepair: {edits: [{set: {container.a: 1}}]}":                               "does not begin with",
		"validate: {over: container, expression: 'true'}\nrepair: {edits: [{set: {a.b: 1}}]}":                                 "does not begin with",
		"validate: {over: container, expression: 'true'}\nrepair: {edits: [{remove: [pod]}], note: {en: a}}":                  "en and zh",
		"validate: {over: node, expression: 'true'}\nrepair: {edits: [{remove: [object.a]}]}":                                 "one Kubernetes object",
		"validate: {over: container, expression: 'true'}\nrepair: {edits: [{drop: {'': 1}}]}":                                 "does not begin with",
		"validate: {over: object, expression: 'true'}\nmatch: {kinds: [Dockerfile]}\nrepair: {edits: [{remove: [object.a]}]}": "one Kubernetes object",
		"validate: {over: container, expression: 'true'}\nrepair: {edits: [{unknown: 1}]}":                                    "unknown",
	} {
		if _, err := parsed(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestSays(t *testing.T) {
	r, err := parsed(t, "validate: {over: container, expression: 'true'}\naliases: {trivy: [KSV-0017]}")
	if err != nil {
		t.Fatal(err)
	}
	for search, want := range map[string]bool{"": true, "workload/x": true, "ksv-0017": true, "T-1 a": true, "nothing": false, "b": true, "x nothing": false} {
		if r.Says(search) != want {
			t.Errorf("%q: %v", search, !want)
		}
	}
}
