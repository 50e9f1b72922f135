package manifest

import (
	"context"
	"io"

	"stockade.dev/stockade/internal/inventory"
)

// FileKind says what Walk found.
type FileKind string

// The kinds of files.
const (
	Manifest      FileKind = "manifest"      // YAML or JSON; Data is set
	Dockerfile    FileKind = "dockerfile"    // Data is set
	Chart         FileKind = "chart"         // a Helm chart; Objects is set
	Kustomization FileKind = "kustomization" // Objects is set
	Unread        FileKind = "unread"        // only Problems
)

// File is one thing that Walk found.
type File struct {
	Path     string // as the user would name it, with slashes; "-" for standard input
	Kind     FileKind
	Data     []byte
	Objects  []*inventory.Object
	Problems []Problem
}

// WalkOptions says what to look for. The zero value reads plain manifests only.
type WalkOptions struct {
	Limits Limits
	Stdin  io.Reader // for the path "-"

	// IsDockerfile reports whether a file of this base name is a Dockerfile; nil means that none is.
	IsDockerfile func(name string) bool
	// RenderChart renders a chart: a folder when archive is nil, otherwise a packed chart. Nil leaves charts out.
	RenderChart func(ctx context.Context, path string, archive []byte, lim Limits) ([]*inventory.Object, []Problem)
	// BuildKustomization builds the kustomization in dir, which may read files below root. consumed are the paths of the
	// files that it used. Nil leaves kustomizations out: their resources are then read as plain manifests.
	BuildKustomization func(ctx context.Context, root, dir string, lim Limits) (objs []*inventory.Object, consumed []string, problems []Problem)

	Exclude       []string // more patterns in .gitignore form, relative to each path given
	NoIgnoreFiles bool     // do not read .gitignore and .stockadeignore
	NoExcludes    bool     // read .git, node_modules and vendor too
}

// Walk finds the files of paths, in the order given and by name below a folder, and hands each to emit. A file that
// cannot be read is emitted as Unread. The error is that of ctx or of emit.
func Walk(ctx context.Context, paths []string, opt WalkOptions, emit func(File) error) error {
	return nil
}
