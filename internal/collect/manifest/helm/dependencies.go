package helm

import (
	"encoding/json"
	"strings"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
)

// processDependencies prepares the charts that c depends on: those that values switch off go, aliases come under their
// names, and values that a chart imports from its dependencies are merged below its own. Helm does the same in a package
// that also writes charts to disk; this is the part that reads.
func processDependencies(c *v2.Chart, vals map[string]any) error {
	if err := enable(c, vals, ""); err != nil {
		return err
	}
	return importValues(c)
}

// enable keeps the dependencies of c that are switched on. path leads to the values of c, with a dot at its end.
func enable(c *v2.Chart, vals map[string]any, path string) error {
	wanted := c.Metadata.Dependencies
	if wanted == nil {
		return nil
	}
	var charts []*v2.Chart
	for _, have := range c.Dependencies() {
		if !named(have, wanted) { // put into charts/ without being declared
			charts = append(charts, have)
		}
	}
	for _, dep := range wanted {
		if dep == nil {
			continue
		}
		if found := instance(c.Dependencies(), dep); found != nil {
			charts = append(charts, found)
		}
		if dep.Alias != "" {
			dep.Name = dep.Alias
		}
		dep.Enabled = true
	}
	c.SetDependencies(charts...)
	all, err := util.CoalesceValues(c, vals)
	if err != nil {
		return err
	}
	off := map[string]bool{}
	var left []*v2.Dependency
	for _, dep := range wanted {
		if dep == nil {
			continue
		}
		byTags(dep, all)
		byCondition(dep, all, path)
		if dep.Enabled {
			left = append(left, dep)
		} else {
			off[dep.Name] = true
		}
	}
	var kept []*v2.Chart
	for _, d := range c.Dependencies() {
		if off[d.Name()] {
			continue
		}
		if err := enable(d, all, path+d.Name()+"."); err != nil {
			return err
		}
		kept = append(kept, d)
	}
	c.Metadata.Dependencies = left
	c.SetDependencies(kept...)
	return nil
}

func named(c *v2.Chart, wanted []*v2.Dependency) bool {
	for _, dep := range wanted {
		if dep != nil && dep.Name == c.Name() && inRange(dep.Version, c.Metadata.Version) {
			return true
		}
	}
	return false
}

// inRange reports whether a version satisfies a constraint; what cannot be read does not.
func inRange(constraint, version string) bool {
	v, err := semver.NewVersion(version)
	if err != nil {
		return false
	}
	r, err := semver.NewConstraint(constraint)
	return err == nil && r.Check(v)
}

// instance returns a copy of the chart that dep means, under its alias: one chart may be used several times.
func instance(charts []*v2.Chart, dep *v2.Dependency) *v2.Chart {
	for _, c := range charts {
		if c.Name() != dep.Name || !inRange(dep.Version, c.Metadata.Version) {
			continue
		}
		out, meta := *c, *c.Metadata
		meta.Dependencies = nil
		for _, d := range c.Metadata.Dependencies {
			if d != nil {
				d := *d
				meta.Dependencies = append(meta.Dependencies, &d)
			}
		}
		out.Metadata = &meta
		out.SetDependencies()
		for _, d := range c.Dependencies() {
			d := *d
			out.AddDependency(&d)
		}
		if dep.Alias != "" {
			meta.Name = dep.Alias
		}
		return &out
	}
	return nil
}

// byTags switches dep off when the values switch tags of it off and none on.
func byTags(dep *v2.Dependency, vals common.Values) {
	tags, err := vals.Table("tags")
	if err != nil {
		return
	}
	var on, off bool
	for _, tag := range dep.Tags {
		if v, ok := tags[tag].(bool); ok {
			on, off = on || v, off || !v
		}
	}
	dep.Enabled = on || !off
}

// byCondition switches dep as the first of its conditions that the values answer says; it wins over tags.
func byCondition(dep *v2.Dependency, vals common.Values, path string) {
	for cond := range strings.SplitSeq(strings.TrimSpace(dep.Condition), ",") {
		if cond == "" {
			continue
		}
		if v, err := vals.PathValue(path + cond); err == nil {
			if on, ok := v.(bool); ok {
				dep.Enabled = on
				return
			}
		}
	}
}

// importValues merges what c imports from its dependencies below its own values, from the leaves up.
func importValues(c *v2.Chart) error {
	for _, d := range c.Dependencies() {
		if err := importValues(d); err != nil {
			return err
		}
	}
	imported := map[string]any{}
	if c.Metadata.Dependencies == nil {
		return nil
	}
	vals, err := util.MergeValues(c, nil)
	if err != nil {
		return err
	}
	for _, dep := range c.Metadata.Dependencies {
		for _, spec := range dep.ImportValues {
			child, parent := importPaths(spec)
			if table, err := vals.Table(dep.Name + "." + child); child != "" && err == nil {
				imported = util.MergeTables(imported, nest(parent, copyTable(table)))
			}
		}
	}
	c.Values = util.MergeTables(copyTable(vals), imported)
	return nil
}

// importPaths reads an entry of import-values: the name of an export, or a child path with its place in the parent.
func importPaths(spec any) (child, parent string) {
	switch s := spec.(type) {
	case string:
		return "exports." + s, "."
	case map[string]any:
		child, _ = s["child"].(string)
		parent, _ = s["parent"].(string)
	}
	return child, parent
}

// nest puts a table at a path of dots.
func nest(path string, table map[string]any) map[string]any {
	if path == "." || path == "" {
		return table
	}
	parts := strings.Split(path, ".")
	for i := len(parts) - 1; i >= 0; i-- {
		table = map[string]any{parts[i]: table}
	}
	return table
}

// copyTable copies values, so that merging does not change what they were taken from.
func copyTable(table map[string]any) map[string]any {
	data, err := json.Marshal(table)
	if err != nil {
		return table
	}
	var out map[string]any
	if json.Unmarshal(data, &out) != nil {
		return table
	}
	return out
}
