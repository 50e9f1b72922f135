package feed

import (
	"maps"
	"path"
	"slices"
)

// Tally adds up results by folder for the report of a build.
type Tally struct {
	Documents map[string]int // by reader
	Bytes     map[string]int64
	Notes     int
	Unknown   map[string]*Example // by folder
	Broken    []Result            // the first 1,000
	Failures  int                 // all broken documents
}

// Example is a count with one instance.
type Example struct {
	Count  int
	Path   string
	Reason string
}

// Add counts one result.
func (t *Tally) Add(r Result) {
	if t.Documents == nil {
		t.Documents, t.Bytes, t.Unknown = map[string]int{}, map[string]int64{}, map[string]*Example{}
	}
	switch r.Outcome {
	case Note:
		t.Notes++
	case Unknown:
		dir := path.Dir(r.Path)
		if t.Unknown[dir] == nil {
			t.Unknown[dir] = &Example{Path: r.Path, Reason: r.Reason}
		}
		t.Unknown[dir].Count++
	case Broken:
		if t.Failures++; len(t.Broken) < 1000 {
			t.Broken = append(t.Broken, r)
		}
	}
	if r.Reader != "" {
		t.Documents[r.Reader]++
		t.Bytes[r.Reader] += r.Bytes
	}
}

// Folders returns the folders with unknown documents, sorted.
func (t *Tally) Folders() []string { return slices.Sorted(maps.Keys(t.Unknown)) }
