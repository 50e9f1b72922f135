package scan

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/collect/dockerfile"
	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/rule"
)

// CaseResult is the outcome of one case file of a rule.
type CaseResult struct {
	Rule     string
	File     string
	Problems []string // empty when the case holds
}

// Objects is a source of objects in hand.
type Objects []*inventory.Object

// Stream emits the objects.
func (s Objects) Stream(_ context.Context, emit func(*inventory.Object) error, _ func(finding.NotScanned)) error {
	for _, o := range s {
		if err := emit(o); err != nil {
			return err
		}
	}
	return nil
}

// RunCases runs the cases of r, which stand in fsys below r.Name. A rule without a good and a bad case does not hold.
func RunCases(ctx context.Context, r *rule.Rule, analyzers []analyze.Analyzer, fsys fs.FS) ([]CaseResult, error) {
	dir := path.Join(r.Name, "cases")
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return []CaseResult{{Rule: r.Name, File: dir, Problems: []string{"no cases: want at least one good-* and one bad-* file"}}}, nil
	}
	lib, err := (&rule.Library{}).Merge(&rule.Library{Rules: []*rule.Rule{r}})
	if err != nil {
		return nil, err
	}
	var out []CaseResult
	good, bad := 0, 0
	for _, e := range entries {
		file := path.Join(dir, e.Name())
		res := CaseResult{Rule: r.Name, File: file}
		isBad := strings.HasPrefix(e.Name(), "bad-")
		switch {
		case isBad:
			bad++
		case strings.HasPrefix(e.Name(), "good-"):
			good++
		default:
			res.Problems = []string{"the name must begin with good- or bad-"}
			out = append(out, res)
			continue
		}
		data, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, fmt.Errorf("reading case: %w", err)
		}
		res.Problems = runCase(ctx, lib, analyzers, file, data, isBad)
		out = append(out, res)
	}
	if good == 0 || bad == 0 {
		out = append(out, CaseResult{Rule: r.Name, File: dir,
			Problems: []string{fmt.Sprintf("%d good and %d bad cases: want at least one of each", good, bad)}})
	}
	return out, nil
}

func runCase(ctx context.Context, lib *rule.Library, analyzers []analyze.Analyzer, file string, data []byte, isBad bool) []string {
	var problems []string
	wants := parseWants(data)
	if isBad && len(wants) == 0 {
		problems = append(problems, "a bad case without a # want line")
	}
	if !isBad && len(wants) > 0 {
		problems = append(problems, "a good case with a # want line")
	}
	objects, unread := ParseCase(file, data)
	problems = append(problems, unread...)
	var got collected
	cfg := Config{Library: lib, Analyzers: analyzers, Workers: 1, Now: time.Now,
		Header: finding.Header{Target: finding.Target{Kind: caseTarget(lib.Rules[0]), Name: file}}}
	if _, err := Run(ctx, cfg, Objects(objects), &got); err != nil {
		return append(problems, err.Error())
	}
	for _, n := range got.notScanned {
		if n.Code.Blocking() {
			problems = append(problems, n.What+": "+n.Reason)
		}
	}
	for _, f := range got.findings {
		if !take(wants, f.Resource.Line, f.Message.EN) {
			problems = append(problems, fmt.Sprintf("line %d: unexpected: %s", f.Resource.Line, f.Message.EN))
		}
	}
	for _, line := range sortedLines(wants) {
		for _, w := range wants[line] {
			problems = append(problems, fmt.Sprintf("line %d: wanted %q, got nothing that says so", line, w))
		}
	}
	return problems
}

// caseTarget is a target the rule runs on: single-object rules run on all.
func caseTarget(r *rule.Rule) string {
	if r.RunsOn("iac") {
		return "iac"
	}
	return r.Targets[0]
}

// ParseCase reads a case file: Kubernetes documents, node facts, or a Dockerfile by its ending.
func ParseCase(file string, data []byte) ([]*inventory.Object, []string) {
	var problems []string
	if strings.HasSuffix(file, ".dockerfile") {
		o, warnings, err := dockerfile.Parse(file, data)
		if err != nil {
			return nil, []string{err.Error()}
		}
		for _, w := range warnings {
			problems = append(problems, fmt.Sprint(w))
		}
		return []*inventory.Object{o}, problems
	}
	objects, unread := manifest.Parse(file, data, manifest.Limits{})
	for _, p := range unread {
		problems = append(problems, p.String())
	}
	return objects, problems
}

var (
	wantLine = regexp.MustCompile(`#\s*want((?:\s+"(?:[^"\\]|\\.)*")+)`)
	quoted   = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
)

// parseWants reads the # want comments: line -> parts of messages. A comment alone on its line speaks of the next line
// that is no comment.
func parseWants(data []byte) map[int][]string {
	wants := map[int][]string{}
	var pending []string
	for i, line := range strings.Split(string(data), "\n") {
		trimmed := strings.TrimSpace(line)
		var here []string
		if m := wantLine.FindStringSubmatch(line); m != nil {
			for _, q := range quoted.FindAllString(m[1], -1) {
				if s, err := strconv.Unquote(q); err == nil {
					here = append(here, s)
				}
			}
		}
		if strings.HasPrefix(trimmed, "#") {
			pending = append(pending, here...)
			continue
		}
		if trimmed == "" {
			continue
		}
		if here = append(here, pending...); len(here) > 0 {
			wants[i+1] = here
		}
		pending = nil
	}
	return wants
}

// take removes the first want of the line that the message contains.
func take(wants map[int][]string, line int, message string) bool {
	for i, w := range wants[line] {
		if strings.Contains(message, w) {
			wants[line] = append(wants[line][:i:i], wants[line][i+1:]...)
			return true
		}
	}
	return false
}

func sortedLines(wants map[int][]string) []int {
	lines := make([]int, 0, len(wants))
	for l := range wants {
		lines = append(lines, l)
	}
	sort.Ints(lines)
	return lines
}

// collected is a handler that keeps everything.
type collected struct {
	findings   []*finding.Finding
	notScanned []finding.NotScanned
}

func (c *collected) Begin(finding.Header) error { return nil }
func (c *collected) Finding(f *finding.Finding) error {
	c.findings = append(c.findings, f)
	return nil
}
func (c *collected) Clause(finding.Clause) error { return nil }
func (c *collected) NotScanned(n finding.NotScanned) error {
	c.notScanned = append(c.notScanned, n)
	return nil
}
func (c *collected) End(time.Time, finding.Target, finding.Stats) error { return nil }
