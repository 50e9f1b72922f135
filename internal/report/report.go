// Package report writes findings: one file per form. Every form is a finding.Handler, and every form can be made again from a
// saved json or jsonl document (Read).
package report

import (
	"fmt"
	"io"
	"sort"
	"strings"

	"stockade.dev/stockade/internal/finding"
)

// Options are what a form may use.
type Options struct {
	Lang  string // "en" or "zh"
	Color bool   // table only
	Width int    // columns of the terminal; 0 is 100
	Dir   string // sarif and junit name files relative to it; "" is the working directory
	// Policy gives what a policy says of what was scanned, when everything has been found; nil: nobody asked. json has it as "policy".
	Policy func() any
}

// Form makes a handler that writes to w.
type Form struct {
	Name string
	Make func(w io.Writer, o Options) finding.Handler
}

// Forms lists every form of output.
var Forms = []Form{
	{"table", newTable},
	{"json", newJSON},
	{"jsonl", newJSONL},
	{"sarif", newSARIF},
	{"junit", newJUnit},
	{"html", newHTML},
	{"csv", newCSV},
	{"markdown", newMarkdown},
	{"cyclonedx", newCycloneDX},
	{"openvex", newOpenVEX},
}

// New returns the handler of a form.
func New(form string, w io.Writer, o Options) (finding.Handler, error) {
	var names []string
	for _, f := range Forms {
		if f.Name == form {
			return f.Make(w, o), nil
		}
		names = append(names, f.Name)
	}
	sort.Strings(names)
	return nil, fmt.Errorf("output form %q: want one of %s", form, strings.Join(names, ", "))
}

// Names lists the forms, in the order of Forms.
func Names() []string {
	out := make([]string, len(Forms))
	for i, f := range Forms {
		out[i] = f.Name
	}
	return out
}
