package rule

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Repair says how an object is changed so that the rule accepts it. Where `want` is a value no rule needs one: see Repairs.
type Repair struct {
	ByHand bool          `yaml:"byHand"` // what is right cannot be told from the object, though want is a value
	Edits  []Edit        `yaml:"edits"`  // made in this order
	Note   *finding.Text `yaml:"note"`   // what to check before the change is applied
}

// Edit changes an object. Paths begin with what the expression sees: container, pod, object or item; "[]" is every element of a
// list. What is to be removed or dropped and is not there is no error.
type Edit struct {
	Set    map[string]any    `yaml:"set"`
	Copy   map[string]string `yaml:"copy"`   // to -> from
	Remove []string          `yaml:"remove"` // a volume goes with its mounts
	Add    map[string]any    `yaml:"add"`    // to a list, unless it has the value
	Drop   map[string]any    `yaml:"drop"`   // from a list
	When   map[string]any    `yaml:"when"`   // only where all of these have the value
}

// enumWord is the form of constants of the Kubernetes API: RuntimeDefault.
var enumWord = regexp.MustCompile(`^[A-Z][A-Za-z]+$`)

// Repairs are the edits that end a finding of the rule: those that it names, or the one that its want and path tell. None means
// that a person must decide.
func (r *Rule) Repairs() []Edit {
	v := r.Validate
	if v == nil {
		return nil
	}
	if r.Repair != nil {
		if r.Repair.ByHand {
			return nil
		}
		return r.Repair.Edits
	}
	if !r.changeable() {
		return nil
	}
	switch {
	case v.Each == "spec.volumes" && v.Path == "hostPath.path",
		strings.HasSuffix(v.Each, "capabilities.add") && v.Path == "":
		return []Edit{{Remove: []string{"item"}}}
	case v.Path == "" || v.Found != "":
		return nil
	}
	switch want := v.Want.(type) {
	case nil:
		return nil
	case string:
		if !enumWord.MatchString(want) {
			return nil
		}
	}
	scope := v.Over
	if v.Each != "" {
		scope = "item"
	}
	return []Edit{{Set: map[string]any{inventory.JoinPath(scope, v.Path): v.Want}}}
}

// changeable reports whether the rule judges one Kubernetes object, so that the object can be changed for it.
func (r *Rule) changeable() bool {
	v := r.Validate
	ours := func(kind string) bool { return kind == "Dockerfile" || strings.HasSuffix(kind, ".stockade.dev") }
	return v != nil && (v.Over == "container" || v.Over == "pod" || v.Over == "object") && !slices.ContainsFunc(r.Match.Kinds, ours)
}

// checkRepair refuses edits that could never be made.
func (r *Rule) checkRepair(bad func(format string, args ...any)) {
	p := r.Repair
	if p == nil {
		return
	}
	if p.ByHand == (len(p.Edits) > 0) {
		bad("repair: exactly one of byHand and edits is needed")
	}
	if p.Note != nil && (strings.TrimSpace(p.Note.EN) == "" || strings.TrimSpace(p.Note.ZH) == "") {
		bad("repair.note needs en and zh")
	}
	if len(p.Edits) > 0 && !r.changeable() {
		bad("repair: only rules that judge one Kubernetes object have edits")
	}
	for i, e := range p.Edits {
		paths := slices.Concat(slices.Collect(maps.Keys(e.Set)), slices.Collect(maps.Keys(e.Copy)), slices.Collect(maps.Values(e.Copy)), e.Remove,
			slices.Collect(maps.Keys(e.Add)), slices.Collect(maps.Keys(e.Drop)), slices.Collect(maps.Keys(e.When)))
		for _, s := range paths {
			if err := r.sees(s); err != nil {
				bad("repair.edits[%d]: %w", i, err)
			}
		}
	}
}

// sees reports a path that does not begin with a variable of the rule's scope.
func (r *Rule) sees(s string) error {
	steps := inventory.ParsePath(s)
	scopes := []string{"object"}
	if v := r.Validate; v != nil {
		switch v.Over {
		case "container":
			scopes = append(scopes, "container", "pod")
		case "pod":
			scopes = append(scopes, "pod")
		}
		if v.Each != "" {
			scopes = append(scopes, "item")
		}
	}
	if len(steps) == 0 || !slices.Contains(scopes, steps[0].Key) {
		return fmt.Errorf("the path %q does not begin with one of %v", s, scopes)
	}
	return nil
}

// settle turns what the YAML decoder gave into JSON values.
func (p *Repair) settle() {
	for i := range p.Edits {
		for _, m := range []map[string]any{p.Edits[i].Set, p.Edits[i].Add, p.Edits[i].Drop, p.Edits[i].When} {
			for k := range m {
				m[k] = normalize(m[k])
			}
		}
	}
}

// Says reports whether every word of a search stands in the rule's name, id, titles or another tool's id.
func (r *Rule) Says(search string) bool {
	text := strings.ToLower(strings.Join(append([]string{r.Name, r.ID, r.Title.EN, r.Title.ZH, path.Base(r.Name)}, r.aliases...), "\n"))
	for word := range strings.FieldsSeq(strings.ToLower(search)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}
