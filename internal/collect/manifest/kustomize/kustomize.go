// Package kustomize builds kustomizations offline into objects that point at their resource files.
//
// The work is done by kustomize's own library on a file system that reads nothing outside the root and gives it
// kustomization files from which everything is taken that would reach out: remote bases and files, charts, plugins.
package kustomize

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// maxTime is what building one kustomization may take.
const maxTime = 30 * time.Second

// one lets a single build run at a time: the library keeps the schema of a build in a global variable.
var one = make(chan struct{}, 1)

// Build builds the kustomization in the folder dir, reading nothing outside root; both are absolute, without symbolic
// links. Files in objects and problems are absolute as well. consumed are the files that are judged as part of this
// kustomization and need not be read on their own: those that it read, or only its patches when it cannot be built.
//
// What would need the network or another program is left out and reported with the code skipped.
func Build(ctx context.Context, root, dir string, lim manifest.Limits) (objs []*inventory.Object, consumed []string, problems []manifest.Problem) {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	b := &build{dir: dir, lim: lim.WithDefaults(), disk: newDisk(ctx, root, dir, lim.WithDefaults())}
	select {
	case one <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, []manifest.Problem{b.problem("it was stopped before it was built", finding.Limit)}
	}
	done := make(chan struct{})
	go func() { // the library knows no context; a build that hangs ends at its next look at a file
		defer func() { <-one; close(done) }()
		b.run()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return nil, nil, []manifest.Problem{b.problem("it takes too long to build", finding.Limit)}
	}
	if b.built {
		return b.objs, b.disk.consumed(), append(b.disk.problems, b.problems...)
	}
	return nil, b.disk.patches, append(b.disk.problems, b.problems...)
}

// build is the state of one Build.
type build struct {
	dir      string
	lim      manifest.Limits
	disk     *disk
	built    bool
	objs     []*inventory.Object
	problems []manifest.Problem
	bases    map[string][]*inventory.Object // by file
}

func (b *build) problem(reason string, code finding.Code) manifest.Problem {
	return manifest.Problem{File: b.disk.kustomization(b.dir), What: "kustomization", Reason: reason, Code: code}
}

func (b *build) run() {
	defer func() {
		if p := recover(); p != nil { // the library is not written for hostile input
			b.built, b.objs = false, nil
			b.problems = append(b.problems, b.problem(fmt.Sprintf("it cannot be built: %v", p), finding.Broken))
		}
	}()
	opts := krusty.MakeDefaultOptions()                // plugins and charts are off
	opts.LoadRestrictions = types.LoadRestrictionsNone // disk restricts to the root
	m, err := krusty.MakeKustomizer(opts).Run(b.disk, b.dir)
	if err != nil {
		b.problems = append(b.problems, b.failure(err))
		return
	}
	b.bases = map[string][]*inventory.Object{}
	if err := b.objects(m); err != nil {
		b.problems = append(b.problems, b.problem(err.Error(), finding.Limit))
		return
	}
	b.built = true
}

// failure explains why a build failed.
func (b *build) failure(err error) manifest.Problem {
	text := strings.ReplaceAll(err.Error(), b.disk.root+string(filepath.Separator), "")
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), b.disk.root, ".")
	if r := []rune(text); len(r) > 400 {
		text = string(r[:400]) + "..."
	}
	switch {
	case b.disk.limit != "":
		return b.problem(b.disk.limit, finding.Limit)
	case b.disk.broken != "":
		return b.problem(b.disk.broken, finding.Broken)
	case b.disk.component:
		return b.problem("it is a component: it is judged where a kustomization uses it", finding.Skipped)
	case b.disk.left > 0:
		return b.problem("it cannot be built without what was left out: "+text, finding.Skipped)
	}
	return b.problem(text, finding.Broken)
}

// objects turns the result into objects.
func (b *build) objects(m resmap.ResMap) error {
	size := int64(0)
	for _, r := range m.Resources() {
		origin, err := r.GetOrigin()
		if err != nil {
			origin = nil
		}
		if err := r.SetOrigin(nil); err != nil {
			return err
		}
		text, err := r.AsYAML()
		if err != nil {
			return err
		}
		if size += int64(len(text)); size > b.lim.RenderedBytes {
			return fmt.Errorf("it renders to more than %d bytes", b.lim.RenderedBytes)
		}
		objs, problems := manifest.Parse(b.disk.kustomization(b.dir), text, b.lim)
		for _, p := range problems {
			p.Line, p.Column = 0, 0 // of a text that nobody has
			b.problems = append(b.problems, p)
		}
		for _, o := range objs {
			b.place(o, origin)
			b.objs = append(b.objs, o)
		}
	}
	return nil
}

// place gives o the origin of the resource that it was made from, as far as that is known, or else the kustomization.
func (b *build) place(o *inventory.Object, from *resource.Origin) {
	own := o.Origin.Suppressions // by annotation; they cover the whole object
	file := b.disk.kustomization(b.dir)
	if from != nil && from.Repo == "" {
		switch {
		case from.Path != "":
			file = filepath.Join(b.dir, from.Path)
		case from.ConfiguredIn != "":
			file = filepath.Join(b.dir, from.ConfiguredIn)
		}
	}
	if base := b.base(file, o); base != nil {
		o.Origin = base.Origin
		o.Origin.Suppressions = slices.Clone(base.Origin.Suppressions)
	} else {
		line := b.disk.line(file, o.Name)
		o.Origin = inventory.Origin{File: file, Line: line,
			Locate:  func(string) (int, int) { return line, 1 },
			Snippet: func(n int) string { return b.disk.text(file, n) }}
	}
	o.Origin.Rendered = true
	for _, s := range own {
		s.Line = o.Origin.Line
		known := slices.ContainsFunc(o.Origin.Suppressions, func(k inventory.Suppression) bool {
			return k.Rule == s.Rule && k.First <= s.First && k.Last >= s.Last
		})
		if !known {
			o.Origin.Suppressions = append(o.Origin.Suppressions, s)
		}
	}
}

// base finds the object of a resource file that o was made from. The library does not tell how it was called before a
// prefix or suffix was added: it is the one of that kind with the longest name that is part of o's.
func (b *build) base(file string, o *inventory.Object) *inventory.Object {
	objs, ok := b.bases[file]
	if !ok {
		if data, err := b.disk.content(file); err == nil {
			objs, _ = manifest.Parse(file, data, b.lim)
		}
		b.bases[file] = objs
	}
	var best *inventory.Object
	for _, c := range objs {
		switch {
		case c.Kind != o.Kind || c.APIVersion != o.APIVersion || !strings.Contains(o.Name, c.Name):
		case best == nil, len(c.Name) > len(best.Name), len(c.Name) == len(best.Name) && c.Namespace == o.Namespace:
			best = c
		}
	}
	return best
}

// remotePath matches what kustomize would fetch: addresses with a scheme, forced git, GitHub without a scheme, and
// user@host.
var remotePath = regexp.MustCompile(`(?i)^\s*([a-z][a-z0-9+.-]*:|git::|github\.com[/:]|[a-z][a-z0-9-]*@)|://`)

func remote(s string) bool { return remotePath.MatchString(s) }
