package parity

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/constraint"
	"stockade.dev/stockade/internal/policy"
)

// spelling is a name of an image, and what it is written out; "" is none.
type spelling struct{ Name, Is string }

func spellings(t testing.TB) []spelling {
	t.Helper()
	data, err := os.ReadFile("../../internal/policy/testdata/references.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []spelling
	if err := json.Unmarshal(data, &list); err != nil || len(list) < 80 {
		t.Fatal(len(list), err)
	}
	return list
}

// glob is the pattern of one name.
func glob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// names are policies by patterns of images, judged by CEL (a rule) and by Rego (a check): which of them judge an image tells how it was read.
type names struct {
	gate   *gate
	judge  *policy.Judge
	bundle *policy.Bundle
}

func namesOf(t testing.TB, patterns []string) *names {
	t.Helper()
	lib := library(t)
	var list []policy.Policy
	for _, p := range patterns {
		x := onlyPrivileged(policy.Scope{ExcludedImages: []string{p}})
		x.Checks = []policy.ImageCheck{{Check: policy.Registry, Allow: []string{"nowhere.example.com/x"}}}
		x.Name = ""
		list = append(list, x)
	}
	n := &names{bundle: bundleOf(list...)}
	n.gate = newGate(t, lib, n.bundle, constraint.Options{}, func(k policy.ImageKey) ([]string, error) {
		return []string{fmt.Sprintf("[image/registry] asked for %d", k.Policy)}, nil
	})
	n.judge = judgeOf(t, lib, n.bundle)
	return n
}

// read lists the policies that judge an image, in CEL, in Rego and in Go: "cel 3", "rego 3", ...
func (n *names) read(t testing.TB, image string) (constraints, engine []string) {
	t.Helper()
	a := &ask{operation: "CREATE", object: pod("shop", "web", container("web", image, privileged))}
	said, err := reviewBy(n.gate.client, a)
	if err != nil {
		t.Fatalf("%q: %v", image, err)
	}
	for _, s := range said {
		for i := range n.bundle.Policies {
			p := &n.bundle.Policies[i]
			switch {
			case strings.HasPrefix(s, "deny [STK-W-0001]") && strings.Contains(s, `Policy "`+p.Name+`"`):
				constraints = append(constraints, fmt.Sprintf("cel %d", p.ID))
			case strings.HasPrefix(s, "deny [image/registry]") && strings.HasSuffix(s, fmt.Sprintf("asked for %d", p.ID)):
				constraints = append(constraints, fmt.Sprintf("rego %d", p.ID))
			}
		}
	}
	out := n.judge.Judge(context.Background(), a.request())
	for _, v := range out.Violations {
		by := "cel"
		if v.Rule == policy.Registry.Rule() {
			by = "rego"
		}
		engine = append(engine, fmt.Sprintf("%s %d", by, v.Policy))
	}
	slices.Sort(constraints)
	slices.Sort(engine)
	return slices.Compact(constraints), slices.Compact(engine)
}

// TestNames: constraints read every name of the table as policy.ParseReference does: what it stands for is left out by the policy that
// excludes just that, in CEL and in Rego, and what is none is left out by no pattern at all.
func TestNames(t *testing.T) {
	list := spellings(t)
	const lot = 20
	for part := range slices.Chunk(list, lot) {
		patterns := []string{"*"}
		for _, s := range part {
			is := s.Is
			if is == "" {
				is = s.Name // it is not even left out by its own name
			}
			if _, err := policy.ParseReference(is); err != nil {
				is = "nothing.example.com/x"
			}
			patterns = append(patterns, glob(is))
		}
		n := namesOf(t, patterns)
		for i, s := range part {
			if s.Name == "" {
				continue // a container without an image has none to judge
			}
			said, judged := n.read(t, s.Name)
			if !slices.Equal(said, judged) {
				t.Errorf("%q: constraints judge it by %v, the engine by %v", s.Name, said, judged)
			}
			for _, by := range []string{"cel", "rego"} {
				any, own := slices.Contains(said, by+" 1"), slices.Contains(said, fmt.Sprintf("%s %d", by, i+2))
				if any != (s.Is == "") || own != (s.Is == "") {
					t.Errorf("%q in %s: judged in spite of * %v, in spite of %q %v", s.Name, by, any, s.Is, own)
				}
			}
		}
	}
}

// namePatterns tell names apart by what is read in them.
var namePatterns = []string{"*", "docker.io/*", "docker.io/library/*", "library/*", "*/library/*", "localhost/*", "[a-z]*", "*:latest", "*@sha256:*", "*:*@*", "v1/*", "*.example.com/*", "*:5000/*",
	"?", "\\[*", "*_*"}

// FuzzNames: constraints read names of images as policy.ParseReference does.
func FuzzNames(f *testing.F) {
	for _, s := range spellings(f) {
		f.Add(s.Name)
	}
	n := namesOf(f, namePatterns)
	f.Fuzz(func(t *testing.T, image string) {
		if image == "" || strings.ToValidUTF8(image, "") != image || len(image) > 1000 {
			return // JSON has no other texts
		}
		if said, judged := n.read(t, image); !slices.Equal(said, judged) {
			t.Errorf("%q: constraints judge it by %v, the engine by %v", image, said, judged)
		}
	})
}
