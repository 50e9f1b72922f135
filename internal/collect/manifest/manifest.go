// Package manifest turns paths into objects: Kubernetes YAML and JSON with positions, and the walk over files and folders
// that finds them, Dockerfiles, Helm charts and kustomizations. Rendering of charts and kustomizations is in the packages
// below it, because their libraries are heavy; Walk is handed them as functions.
//
// Input is hostile: every step has a limit, what is broken becomes a Problem that names file and place, and the rest is
// still read.
package manifest

import (
	"fmt"

	"stockade.dev/stockade/internal/finding"
)

// Limits bound what one input may cost. The zero value of a field means its default.
type Limits struct {
	FileBytes int64 // size of one file; default 10 MiB
	Nodes     int   // values in one document after aliases are expanded; default 1,000,000
	Depth     int   // nesting of one document; default 200

	UnpackedBytes int64 // sum of the unpacked files of one chart; default 100 MiB
	UnpackedFiles int   // files of one chart; default 10,000
	Ratio         int64 // unpacked to packed size of an archive; default 200
	RenderedBytes int64 // output of one chart or kustomization; default 50 MiB
}

// WithDefaults fills fields that are zero.
func (l Limits) WithDefaults() Limits {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	defInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.FileBytes, 10<<20)
	defInt(&l.Nodes, 1_000_000)
	defInt(&l.Depth, 200)
	def(&l.UnpackedBytes, 100<<20)
	defInt(&l.UnpackedFiles, 10_000)
	def(&l.Ratio, 200)
	def(&l.RenderedBytes, 50<<20)
	return l
}

func (l Limits) tooMany() string {
	return fmt.Sprintf("it has more than %d values, each use of an alias counted", l.Nodes)
}

func (l Limits) tooDeep() string { return fmt.Sprintf("it is nested deeper than %d levels", l.Depth) }

// Problem is something that was not read, or not as written, and why.
type Problem struct {
	File   string
	Line   int // from 1; 0 when the whole file is meant
	Column int // from 1, in characters; 0 when unknown
	What   string
	Reason string
	Code   finding.Code
}

// Place returns "file:line:column" as far as it is known.
func (p Problem) Place() string {
	switch {
	case p.Line <= 0:
		return p.File
	case p.Column <= 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

func (p Problem) String() string { return p.Place() + ": " + p.What + ": " + p.Reason }

// NotScanned is the entry of the findings document.
func (p Problem) NotScanned() finding.NotScanned {
	return finding.NotScanned{Target: p.Place(), What: p.What, Reason: p.Reason, Code: p.Code}
}
