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

// substitution puts another version of a module, or another module, in the place
// of what Kubernetes' own go.mod asks for.
type substitution struct {
	module string
	with   string // module@version
	minors [2]int // first and last Kubernetes 1.x that needs it
	why    string
}

// substitutions are all that it takes to compile old Kubernetes with today's Go;
// its sources are not touched. What else an old release needs:
//
//   - its pinned versions (the replace directives of its go.mod), which are not
//     inherited by a module that requires it and are copied;
//   - pkg/generated/openapi/zz_generated.openapi.go, which releases before 1.23
//     do not carry: see [builder.generateOpenAPI].
var substitutions = []substitution{
	{
		module: "golang.org/x/sys",
		with:   "golang.org/x/sys@v0.30.0",
		minors: [2]int{0, 23},
		why:    "older ones reach into package syscall, which the linker refuses since Go 1.18 and 1.23",
	},
	{
		module: "vbom.ml/util",
		with:   "github.com/fvbommel/util@v0.0.0-20180919145318-efcd4e0f9787",
		minors: [2]int{0, 19},
		why:    "the domain is gone; the same commit under the author's present name",
	},
}
