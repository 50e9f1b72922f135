package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// FileVersion is the apiVersion of policies in files.
const FileVersion = "stockade.dev/v1"

// Bounds of a file.
const (
	MaxFile      = 8 << 20
	maxDocuments = 2000
)

// File is what a file of policies holds.
type File struct {
	Policies  []FilePolicy
	Templates []Template
}

// FilePolicy is a policy of a file. Its scope has no clusters: files name them.
type FilePolicy struct {
	Policy   Policy
	Clusters []string // names or ids
	Line     int
}

// ReadFile reads policies and ConstraintTemplates from YAML documents. Errors name the line.
func ReadFile(data []byte) (*File, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("larger than %d MiB", MaxFile>>20)
	}
	out := &File{}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var errs []error
	for n := 0; ; n++ {
		var node yaml.Node
		err := dec.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil { // the decoder cannot go on
			errs = append(errs, err)
			break
		}
		if n >= maxDocuments {
			return nil, fmt.Errorf("more than %d documents", maxDocuments)
		}
		if err := out.add(&node); err != nil {
			errs = append(errs, err)
		}
	}
	if len(out.Policies)+len(out.Templates) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("no policy: want documents with apiVersion: %s and kind: Policy", FileVersion))
	}
	return out, errors.Join(errs...)
}

func (f *File) add(node *yaml.Node) error {
	root := node
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		root = root.Content[0]
	}
	if root.Kind == 0 || root.Tag == "!!null" {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: want a policy, this is a list or a word", root.Line)
	}
	var m map[string]any
	if err := root.Decode(&m); err != nil {
		return fmt.Errorf("line %d: %w", root.Line, err)
	}
	kind, _ := m["kind"].(string)
	version, _ := m["apiVersion"].(string)
	switch {
	case kind == "ConstraintTemplate" && strings.HasPrefix(version, "templates.gatekeeper.sh/"):
		text, err := yaml.Marshal(root)
		if err != nil {
			return fmt.Errorf("line %d: %w", root.Line, err)
		}
		t := Template{YAML: string(text)}
		known, err := ReadTemplate(t)
		if err != nil {
			return fmt.Errorf("line %d: ConstraintTemplate: %w", root.Line, err)
		}
		t.Name = known.Name
		f.Templates = append(f.Templates, t)
		return nil
	case kind != "Policy" || version != FileVersion:
		return fmt.Errorf("line %d: kind %q of %q: want kind: Policy with apiVersion: %s, or a ConstraintTemplate", root.Line, kind, version, FileVersion)
	}
	delete(m, "kind")
	delete(m, "apiVersion")
	p := FilePolicy{Line: root.Line}
	if scope, ok := m["scope"].(map[string]any); ok {
		list, _ := scope["clusters"].([]any)
		for _, c := range list {
			p.Clusters = append(p.Clusters, fmt.Sprint(c))
		}
		delete(scope, "clusters")
	}
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("line %d: keys must be words", root.Line)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p.Policy); err != nil {
		return fmt.Errorf("line %d: %s", lineOf(root, err), strings.TrimPrefix(err.Error(), "json: "))
	}
	p.Policy.ID, p.Policy.Version = 0, 0
	p.Policy.Settle()
	f.Policies = append(f.Policies, p)
	return nil
}

var quotedField = regexp.MustCompile(`unknown field "([^"]+)"`)

// lineOf is the line that an error of the decoder is about, as far as it tells.
func lineOf(root *yaml.Node, err error) int {
	field := ""
	var wrong *json.UnmarshalTypeError
	if m := quotedField.FindStringSubmatch(err.Error()); m != nil {
		field = m[1]
	} else if errors.As(err, &wrong) {
		field = wrong.Field[strings.LastIndexByte(wrong.Field, '.')+1:]
	}
	if n := find(root, field); n != nil {
		return n.Line
	}
	return root.Line
}

func find(n *yaml.Node, key string) *yaml.Node {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if c.Value == key && key != "" {
				return c
			}
			continue
		}
		if found := find(c, key); found != nil {
			return found
		}
	}
	return nil
}

// WriteFile writes policies and templates as the documents that ReadFile reads. clusters names the clusters of scopes; those that it
// does not name are written as their ids.
func WriteFile(w io.Writer, policies []Policy, templates []Template, clusters map[int64]string) error {
	first := true
	for i := range templates {
		if err := document(w, &first, strings.TrimRight(templates[i].YAML, "\n")+"\n"); err != nil {
			return err
		}
	}
	for i := range policies {
		p := policies[i]
		ids := p.Scope.Clusters
		p.ID, p.Version, p.Scope.Clusters = 0, 0, nil
		data, err := json.Marshal(p)
		if err != nil {
			return err
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		body, err := ordered(dec)
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			setClusters(body, ids, clusters)
		}
		head := []*yaml.Node{word("apiVersion"), word(FileVersion), word("kind"), word("Policy")}
		body.Content = append(head, body.Content...)
		var text bytes.Buffer
		enc := yaml.NewEncoder(&text)
		enc.SetIndent(2)
		if err := enc.Encode(body); err != nil {
			return err
		}
		if err := document(w, &first, text.String()); err != nil {
			return err
		}
	}
	return nil
}

func document(w io.Writer, first *bool, text string) error {
	if !*first {
		text = "---\n" + strings.TrimPrefix(text, "---\n")
	}
	*first = false
	_, err := io.WriteString(w, text)
	return err
}

func word(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

func setClusters(body *yaml.Node, ids []int64, names map[int64]string) {
	list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, id := range ids {
		name := names[id]
		if name == "" {
			name = strconv.FormatInt(id, 10)
		}
		list.Content = append(list.Content, word(name))
	}
	for i := 0; i+1 < len(body.Content); i += 2 {
		if body.Content[i].Value == "scope" {
			body.Content[i+1].Content = append([]*yaml.Node{word("clusters"), list}, body.Content[i+1].Content...)
			return
		}
	}
	body.Content = append(body.Content, word("scope"), &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{word("clusters"), list}})
}

// ordered makes YAML of JSON with its fields in their order.
func ordered(dec *json.Decoder) (*yaml.Node, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch v := t.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		if v == '{' {
			n.Kind = yaml.MappingNode
		}
		for dec.More() {
			child, err := ordered(dec)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		_, err := dec.Token()
		return n, err
	case string:
		n := word(v)
		if strings.Contains(v, "\n") {
			n.Style = yaml.LiteralStyle
		}
		return n, nil
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatBool(v)}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}
