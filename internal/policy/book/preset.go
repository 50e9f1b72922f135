package book

import (
	"bytes"
	_ "embed" // presets.yaml
	"encoding/json"
	"fmt"
	"path"
	"slices"

	"go.yaml.in/yaml/v3"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
)

// Preset is a policy to start from.
type Preset struct {
	ID          string        `json:"id"`
	Title       finding.Text  `json:"title"`
	Description finding.Text  `json:"description"`
	Policy      policy.Policy `json:"policy"`
}

//go:embed presets.yaml
var presets []byte

// presetText is a preset as the file has it.
type presetText struct {
	ID          string         `yaml:"id"`
	Title       finding.Text   `yaml:"title"`
	Description finding.Text   `yaml:"description"`
	Frameworks  []string       `yaml:"frameworks"` // rules that map to one of these
	Family      []string       `yaml:"family"`     // rules of these families
	Policy      map[string]any `yaml:"policy"`
}

// Presets lists the policies to start from.
func (b *Book) Presets() ([]Preset, error) {
	var list []presetText
	dec := yaml.NewDecoder(bytes.NewReader(presets))
	dec.KnownFields(true)
	if err := dec.Decode(&list); err != nil {
		return nil, fmt.Errorf("reading the presets: %w", err)
	}
	out := make([]Preset, 0, len(list))
	for _, t := range list {
		p := Preset{ID: t.ID, Title: t.Title, Description: t.Description}
		data, err := json.Marshal(t.Policy)
		if err == nil {
			d := json.NewDecoder(bytes.NewReader(data))
			d.DisallowUnknownFields()
			err = d.Decode(&p.Policy)
		}
		if err != nil {
			return nil, fmt.Errorf("preset %s: %w", t.ID, err)
		}
		for _, r := range policy.Enforceable(b.o.Library) {
			mapped := slices.ContainsFunc(r.Clauses(), func(c finding.ClauseRef) bool { return slices.Contains(t.Frameworks, c.Framework) })
			if mapped || slices.Contains(t.Family, path.Dir(r.Name)) {
				p.Policy.Rules = append(p.Policy.Rules, policy.RuleUse{Rule: r.Name})
			}
		}
		out = append(out, p)
	}
	return out, nil
}
