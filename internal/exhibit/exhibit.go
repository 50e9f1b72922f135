// Package exhibit shows the object that a finding is about, as it is now, with the faulty lines.
package exhibit

import (
	"time"

	"stockade.dev/stockade/internal/finding"
)

// The states of an object.
const (
	Live        = "live"        // read from the cluster
	Snapshot    = "snapshot"    // read from a saved cluster
	File        = "file"        // of the uploaded files
	Unavailable = "unavailable" // see Reason
)

// Object is what a finding is about.
type Object struct {
	State     string
	Reason    finding.Text // why it is unavailable, or what to know of it
	ReadAt    time.Time
	Name      string
	YAML      string
	FirstLine int
	Marks     []Mark
}

// Mark is some lines that are at fault.
type Mark struct {
	Line, EndLine int // as FirstLine counts
	Path          string
	Found, Want   any
	Message       finding.Text
}
