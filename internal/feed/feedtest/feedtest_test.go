package feedtest

import (
	"testing"

	"stockade.dev/stockade/internal/advisory"
)

func TestProblem(t *testing.T) {
	good := advisory.Row{Feed: "f", Stream: "redhat 8", Package: "curl", IDs: []string{"CVE-1"}, State: advisory.Fixed, Ranges: []advisory.Range{{Fixed: "1"}}}
	if p := problem(&good); p != "" {
		t.Error(p)
	}
	for name, spoil := range map[string]func(*advisory.Row){
		"no feed": func(r *advisory.Row) { r.Feed = "" }, "unknown stream": func(r *advisory.Row) { r.Stream = "redhat eight" },
		"bad package name": func(r *advisory.Row) { r.Package = " curl" }, "no id": func(r *advisory.Row) { r.IDs = nil },
		"fixed without a version": func(r *advisory.Row) { r.Ranges = nil }, "not fixed but with a fixed version": func(r *advisory.Row) { r.State = advisory.Affected },
		"unknown severity": func(r *advisory.Row) { r.Severity = "Important" }, "two ends": func(r *advisory.Row) { r.Ranges[0].LastAffected = "2" },
		"binaries of a binary": func(r *advisory.Row) { r.Binary, r.Binaries = true, []string{"x"} },
	} {
		r := good
		r.Ranges = []advisory.Range{{Fixed: "1"}}
		if spoil(&r); problem(&r) != name {
			t.Errorf("%s: %q", name, problem(&r))
		}
	}
}
