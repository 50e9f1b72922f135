package inventory

import (
	"encoding/json"
	"strings"
)

// SettingPath returns where a setting ("flags.anonymous-auth", "config.authentication.anonymous.enabled") stands in the
// component's source object: the flag's argument, or where it would have to be added.
func (c *Component) SettingPath(setting string) string {
	steps := ParsePath(setting)
	if len(steps) == 2 && steps[0].Key == "flags" {
		if p, ok := c.FlagPaths[steps[1].Key]; ok {
			return p
		}
		return c.Path
	}
	if strings.HasPrefix(setting, "config") && c.Source.Kind == "Process" {
		return JoinPath(c.Path, setting)
	}
	return c.Path
}

// Value returns the facts as JSON values, the form in which rules see them.
func (n *NodeFacts) Value() map[string]any {
	data, err := json.Marshal(n)
	if err != nil {
		return map[string]any{}
	}
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	var v map[string]any
	if dec.Decode(&v) != nil {
		return map[string]any{}
	}
	return integers(v).(map[string]any)
}

// integers turns json.Number into int64 where it is one, float64 otherwise.
func integers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = integers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	}
	return v
}
