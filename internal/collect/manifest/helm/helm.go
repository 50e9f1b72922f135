// Package helm renders Helm charts offline into objects that point at their templates.
//
// Charts are loaded, and their values and dependencies worked out, by Helm's own libraries. The templates are executed
// here and not by Helm's engine, which a chart can make eat all memory or time, which stops at the first template that
// fails, and which does not know what line of a template made what line of output. Functions and their meaning are those
// of Helm; tests hold both engines against each other.
package helm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	chart "helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// What a chart is rendered for: a recent Kubernetes, the release name that says it is none.
const (
	kubernetes  = "v1.36.0"
	releaseName = "release"
	namespace   = "default"
)

// maxTime is what rendering one chart may take.
const maxTime = 30 * time.Second

// maxLimits is how many templates of a chart may hit a limit before the others are left.
const maxLimits = 3

// Render renders a chart with its default values and the given values files, the later ones winning. chartPath is the
// folder of the chart, or the name of the archive when archive is not nil. Nothing outside the chart and the values files
// is read, and there is no network, environment or cluster: lookup finds nothing. Random and time-dependent functions
// give fixed results, so that two runs agree.
//
// A template that fails is one Problem, the others are still rendered. Objects and problems carry the file
// CHART/templates/x.yaml and the line there.
func Render(ctx context.Context, chartPath string, archive []byte, values []string, lim manifest.Limits) ([]*inventory.Object, []manifest.Problem) {
	r := newRender(chartPath, lim)
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	r.run(ctx, archive, values)
	return r.objs, r.problems
}

// render is the state of one Render.
type render struct {
	path     string
	lim      manifest.Limits
	steps    int              // of each template
	origin   map[*byte]string // the first byte of a file's content to its path in the chart
	objs     []*inventory.Object
	problems []manifest.Problem
}

func newRender(chartPath string, lim manifest.Limits) *render {
	return &render{path: chartPath, lim: lim.WithDefaults(), steps: maxSteps, origin: map[*byte]string{}}
}

func (r *render) problem(file string, line int, what, reason string, code finding.Code) {
	r.problems = append(r.problems, manifest.Problem{File: file, Line: line, What: what, Reason: reason, Code: code})
}

func (r *render) run(ctx context.Context, packed []byte, values []string) {
	defer func() {
		if p := recover(); p != nil { // the libraries below are not written for hostile input
			r.problem(r.path, 0, "chart", fmt.Sprintf("it cannot be read: %v", p), finding.Broken)
		}
	}()
	files, err := r.files(packed)
	if err != nil {
		code := finding.Broken
		var le *limitError
		switch {
		case errors.As(err, &le):
			code = finding.Limit
		case errors.Is(err, os.ErrPermission):
			code = finding.Forbidden
		}
		r.problem(r.path, 0, "chart", err.Error(), code)
		return
	}
	for _, f := range files {
		if len(f.Data) > 0 {
			r.origin[&f.Data[0]] = f.Name
		}
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		r.problem(r.path, 0, "chart", err.Error(), finding.Broken)
		return
	}
	vals, ok := r.values(values)
	if !ok {
		return
	}
	r.missingDependencies(c)
	top, err := topValues(c, vals)
	if err != nil {
		r.problem(r.path, 0, "chart", err.Error(), finding.Broken)
		return
	}
	r.crds(c)
	r.templates(ctx, c, top)
}

// values reads the values files.
func (r *render) values(names []string) (vals map[string]any, ok bool) {
	vals = map[string]any{}
	for _, name := range names {
		v, err := readValues(name, r.lim)
		if err != nil {
			r.problem(name, 0, "values file", err.Error(), finding.Broken)
			return nil, false
		}
		vals = loader.MergeMaps(vals, v)
	}
	return vals, true
}

func readValues(name string, lim manifest.Limits) (map[string]any, error) {
	in, err := os.Open(name)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, err
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil {
		return nil, err
	} else if info.Size() > lim.FileBytes {
		return nil, fmt.Errorf("larger than %d bytes", lim.FileBytes)
	}
	return loader.LoadValues(in)
}

// topValues composes what templates see as the dot.
func topValues(c *v2.Chart, vals map[string]any) (common.Values, error) {
	if err := processDependencies(c, vals); err != nil {
		return nil, err
	}
	caps := common.DefaultCapabilities.Copy()
	version, err := common.ParseKubeVersion(kubernetes)
	if err != nil {
		return nil, err
	}
	caps.KubeVersion = *version
	// Without the chart's schema: it may want to load others from the network.
	return util.ToRenderValuesWithSchemaValidation(c, vals,
		common.ReleaseOptions{Name: releaseName, Namespace: namespace, Revision: 1, IsInstall: true}, caps, true)
}

// missingDependencies tells of charts that are named but not packed with this one.
func (r *render) missingDependencies(c *v2.Chart) {
	have := map[string]bool{}
	for _, d := range c.Dependencies() {
		have[d.Name()] = true
	}
	for _, d := range c.Metadata.Dependencies {
		if d != nil && !have[d.Name] {
			r.problem(path.Join(r.path, "Chart.yaml"), 0, "dependency "+d.Name,
				"it is not in the folder charts/; run helm dependency build first", finding.Skipped)
		}
	}
}

// file returns where a file of the chart is, as the user would name it.
func (r *render) file(c *v2.Chart, f *common.File) string {
	if len(f.Data) > 0 {
		if name, ok := r.origin[&f.Data[0]]; ok {
			return path.Join(r.path, name)
		}
	}
	_, below, _ := strings.Cut(path.Join(c.ChartFullPath(), f.Name), "/")
	return path.Join(r.path, below)
}

// crds reads the files of crds/, which are no templates.
func (r *render) crds(c *v2.Chart) {
	for _, f := range c.Files {
		switch path.Ext(f.Name) {
		case ".yaml", ".yml", ".json":
			if strings.HasPrefix(f.Name, "crds/") {
				objs, problems := manifest.Parse(r.file(c, f), f.Data, r.lim)
				r.objs, r.problems = append(r.objs, objs...), append(r.problems, problems...)
			}
		}
	}
	for _, d := range c.Dependencies() {
		r.crds(d)
	}
}

// templates renders the chart and its dependencies.
func (r *render) templates(ctx context.Context, c *v2.Chart, top common.Values) {
	e := newEngine(ctx, r.lim, r.steps)
	r.collect(e, c, top)
	for _, f := range e.parse() {
		r.problem(f.file, f.line, "template", f.reason, f.code)
	}
	limits := 0
	for _, t := range e.order {
		if t.broken || !t.produces() {
			continue
		}
		out, fail := e.render(t)
		if fail != nil {
			r.problem(fail.file, fail.line, "template", fail.reason, fail.code)
			if fail.code == finding.Limit {
				if limits++; limits == maxLimits || ctx.Err() != nil {
					break
				}
			}
			continue
		}
		objs, problems := manifest.ParseRendered(manifest.Rendered{File: t.file, Data: out.text, Template: t.text, Position: out.position}, r.lim)
		r.objs, r.problems = append(r.objs, objs...), append(r.problems, problems...)
	}
	slices.SortStableFunc(r.objs, func(a, b *inventory.Object) int { return strings.Compare(a.Origin.File, b.Origin.File) })
	slices.SortStableFunc(r.problems, func(a, b manifest.Problem) int { return strings.Compare(a.File, b.File) })
}

// collect adds the templates of c and its dependencies to the engine, each with the values of its scope, and returns the
// scope of c.
func (r *render) collect(e *engine, c *v2.Chart, parent common.Values) map[string]any {
	acc, err := chart.NewAccessor(c)
	if err != nil {
		return nil
	}
	meta := acc.MetadataAsMap()
	meta["IsRoot"] = acc.IsRoot()
	subcharts := map[string]any{}
	scope := map[string]any{
		"Chart": meta, "Files": newFiles(c.Files), "Release": parent["Release"], "Capabilities": parent["Capabilities"],
		"Values": common.Values{}, "Subcharts": subcharts,
	}
	if acc.IsRoot() {
		scope["Values"] = parent["Values"]
	} else if v, err := parent.Table("Values." + acc.Name()); err == nil {
		scope["Values"] = v
	}
	for _, d := range c.Dependencies() {
		subcharts[d.Name()] = r.collect(e, d, scope)
	}
	full := c.ChartFullPath()
	for _, t := range c.Templates {
		if acc.IsLibraryChart() && !strings.HasPrefix(path.Base(t.Name), "_") {
			continue
		}
		e.add(&source{name: path.Join(full, t.Name), base: path.Join(full, "templates"), file: r.file(c, t), text: string(t.Data), scope: scope})
	}
	return scope
}
