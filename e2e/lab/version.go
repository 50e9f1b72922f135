package lab

import (
	"fmt"
	"strconv"
	"strings"
)

// The versions Stockade is tested against: the two ends of what it supports.
const (
	Newest      = "v1.36.3"
	Oldest      = "v1.19.16"
	EtcdVersion = "v3.6.16" // serves both: they use only the v3 API
)

// What a [Node] runs: the newest Kubernetes whose kubelet works with the
// containerd that distributions of today have.
const (
	NodeVersion       = "v1.34.4"
	CoreDNSVersion    = "v1.14.7"
	GatekeeperVersion = "v3.23.1"
)

// Versions are the API servers that the whole suite runs against.
func Versions() []string { return []string{Oldest, Newest} }

// minor is the second number of a Kubernetes version.
func minor(version string) (int, error) {
	rest, ok := strings.CutPrefix(version, "v1.")
	if ok {
		number, _, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(number); err == nil && strings.Count(rest, ".") == 1 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%q is not a Kubernetes version such as %s", version, Newest)
}

// moved are modules that old Kubernetes asks for by a path that answers no more,
// with the author's present one. This one is only named in kubectl's go.mod; the
// API server links none of it.
//
// Nothing else of an old release is replaced or patched. It compiles with today's
// Go once it has two things that a module requiring it does not inherit:
//
//   - its pinned versions (the replace directives of its go.mod): [goMod.wrapper];
//   - the OpenAPI definitions, which releases before 1.24 do not publish:
//     [builder.generateOpenAPI].
//
// Its golang.org/x libraries of 2020 compile on Linux as they are.
var moved = map[string]string{
	"vbom.ml/util": "github.com/fvbommel/util v0.0.0-20180919145318-efcd4e0f9787", // up to 1.19
}
