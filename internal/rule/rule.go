// Package rule is the rule library's engine: it loads rule folders, evaluates CEL rules over objects, and runs their
// cases. It never runs a rule through an admission framework; parity with those is held by tests.
package rule

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"stockade.dev/stockade/internal/finding"
)

// Rule is one folder of the library. docs/rules.md describes every field.
type Rule struct {
	Name       string              `yaml:"-"` // folder below the library's root: workload/privileged-container
	ID         string              `yaml:"id"`
	Title      finding.Text        `yaml:"title"`
	Why        finding.Text        `yaml:"why"`
	Fix        finding.Text        `yaml:"fix"`
	Severity   finding.Severity    `yaml:"severity"`
	Risk       string              `yaml:"risk"`
	Kind       finding.Kind        `yaml:"kind"`
	References []string            `yaml:"references"`
	Aliases    map[string][]string `yaml:"aliases"`
	Compliance map[string][]string `yaml:"compliance"` // framework id -> clauses
	Match      Match               `yaml:"match"`
	Missing    string              `yaml:"missing"` // pass or fail
	Params     map[string]any      `yaml:"params"`
	Validate   *Validate           `yaml:"validate"`
	Repair     *Repair             `yaml:"repair"` // of what a person would have to guess else
	Analyzer   string              `yaml:"analyzer"`
	Targets    []string            `yaml:"targets"` // cluster, iac, node, image; empty for CEL rules means everywhere

	program program
	aliases []string // AliasList and Clauses, made once: every finding of the rule has them
	clauses []finding.ClauseRef
}

// Match says what a rule looks at.
type Match struct {
	Kinds      []string `yaml:"kinds"`
	Components []string `yaml:"components"`
}

// Validate is the CEL part of a rule. Expression says what is good.
type Validate struct {
	Over       string        `yaml:"over"`
	Types      []string      `yaml:"types"`
	Each       string        `yaml:"each"`
	Expression string        `yaml:"expression"`
	Path       string        `yaml:"path"`
	Found      string        `yaml:"found"`
	Want       any           `yaml:"want"`
	Message    *finding.Text `yaml:"message"`

	each []segment
}

// segment is one list of `each`: the keys that lead to it from the previous element.
type segment []string

// Risks are the risk types, in the order in which reports show them.
var Risks = []string{"control-plane", "access-control", "key-management", "network", "workload", "node-escape", "image", "supply-chain"}

// Overs are the scopes of CEL rules.
var Overs = []string{"container", "pod", "object", "component", "node", "instruction"}

// AliasTools are the tools whose ids `aliases` may name.
var AliasTools = []string{"checkov", "trivy", "kubescape", "kube-linter", "polaris", "kube-score", "kube-bench", "kubesec", "hadolint"}

// Library is a set of rules.
type Library struct {
	Rules  []*Rule // by name
	Digest string  // sha256 over the rule texts, hex

	byKey map[string]*Rule
}

// Load reads every rule folder of fsys: a folder is a rule when it holds rule.yaml. All folders are read; the error
// names each file that is wrong.
func Load(fsys fs.FS) (*Library, error) {
	var files []string
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "cases" {
			return fs.SkipDir
		}
		if err == nil && !d.IsDir() && path.Base(p) == "rule.yaml" {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	sort.Strings(files)
	rules, errs, datas := make([]*Rule, len(files)), make([]error, len(files)), make([][]byte, len(files))
	var wg sync.WaitGroup
	next := make(chan int)
	for range 4 { // the library is read at every start: YAML is its cost, and it parallelises
		wg.Go(func() {
			for i := range next {
				datas[i], errs[i] = fs.ReadFile(fsys, files[i])
				if errs[i] == nil {
					rules[i], errs[i] = parse(files[i], datas[i])
				}
			}
		})
	}
	for i := range files {
		next <- i
	}
	close(next)
	wg.Wait()
	h := sha256.New()
	for i, data := range datas {
		fmt.Fprintf(h, "%s %d\n", files[i], len(data))
		h.Write(data)
	}
	lib := &Library{Digest: "sha256:" + hex.EncodeToString(h.Sum(nil))}
	for _, r := range rules {
		if r != nil {
			lib.Rules = append(lib.Rules, r)
		}
	}
	return lib, errors.Join(append(errs, lib.index())...)
}

func parse(file string, data []byte) (*Rule, error) {
	r := &Rule{Name: path.Dir(file)}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	r.Params, _ = normalize(r.Params).(map[string]any)
	if r.Kind == "" {
		r.Kind = finding.Configuration
	}
	if v := r.Validate; v != nil {
		v.Want = normalize(v.Want)
		v.each = parseEach(v.Each)
		if len(r.Match.Kinds) == 0 && (v.Over == "container" || v.Over == "pod") {
			r.Match.Kinds = []string{"Workload"}
		}
		if v.Over == "instruction" {
			r.Match.Kinds = []string{"Dockerfile"}
		}
	}
	if r.Repair != nil {
		r.Repair.settle()
	}
	r.flatten()
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

func parseEach(each string) []segment {
	if each == "" {
		return nil
	}
	var out []segment
	for part := range strings.SplitSeq(each, "[]") {
		out = append(out, strings.Split(strings.TrimPrefix(part, "."), "."))
	}
	return out
}

// normalize turns what the YAML decoder gives into JSON values as inventory.Object has them.
func normalize(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = normalize(v[k])
		}
	case []any:
		for i := range v {
			v[i] = normalize(v[i])
		}
	case int:
		return int64(v)
	}
	return v
}

// check refuses a rule that is not complete. Cases are checked by the library's own test.
func (r *Rule) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if r.ID == "" {
		bad("id is missing")
	}
	for name, t := range map[string]finding.Text{"title": r.Title, "why": r.Why, "fix": r.Fix} {
		if strings.TrimSpace(t.EN) == "" || strings.TrimSpace(t.ZH) == "" {
			bad("%s needs en and zh", name)
		}
	}
	if r.Severity.Rank() < 0 {
		bad("severity %q is not one of %v", r.Severity, finding.Severities)
	}
	if !slices.Contains(Risks, r.Risk) {
		bad("risk %q is not one of %v", r.Risk, Risks)
	}
	for tool := range r.Aliases {
		if !slices.Contains(AliasTools, tool) {
			bad("aliases: %q is not one of %v", tool, AliasTools)
		}
	}
	if (r.Validate == nil) == (r.Analyzer == "") {
		bad("exactly one of validate and analyzer is needed")
	}
	if v := r.Validate; v != nil {
		if !slices.Contains(Overs, v.Over) {
			bad("validate.over %q is not one of %v", v.Over, Overs)
		}
		if v.Expression == "" {
			bad("validate.expression is missing")
		}
		if r.Missing != "pass" && r.Missing != "fail" {
			bad("missing: say whether a missing field counts as pass or fail")
		}
		if v.Over == "component" && len(r.Match.Components) == 0 {
			bad("over: component needs match.components")
		}
		if v.Over == "object" && len(r.Match.Kinds) == 0 {
			bad("over: object needs match.kinds")
		}
	}
	r.checkRepair(bad)
	return errors.Join(errs...)
}

func (l *Library) index() error {
	l.byKey = make(map[string]*Rule, 4*len(l.Rules))
	var errs []error
	for _, r := range l.Rules {
		if old := l.byKey[r.ID]; old != nil {
			errs = append(errs, fmt.Errorf("id %s stands in both %s and %s", r.ID, old.Name, r.Name))
		}
		l.byKey[r.ID], l.byKey[r.Name] = r, r
	}
	return errors.Join(errs...)
}

// Find returns the rule of a name or id; nil when there is none.
func (l *Library) Find(key string) *Rule { return l.byKey[key] }

// Named reports whether key names r: by name, id, family ("workload"), last part of the name, or another tool's id.
func (r *Rule) Named(key string) bool {
	if key == r.Name || strings.EqualFold(key, r.ID) || key == path.Base(r.Name) || key == path.Dir(r.Name) || key == r.Risk {
		return true
	}
	for _, ids := range r.Aliases {
		for _, id := range ids {
			if strings.EqualFold(key, id) {
				return true
			}
		}
	}
	return false
}

// Select keeps the rules that only names (all when empty) and skip does not. An entry that names no rule is an error, so
// that a typing mistake does not silently switch a check off or everything on.
func (l *Library) Select(only, skip []string) (*Library, error) {
	for _, key := range append(slices.Clone(only), skip...) {
		if !slices.ContainsFunc(l.Rules, func(r *Rule) bool { return r.Named(key) }) {
			return nil, fmt.Errorf("no rule is named %q (see: stockade rule list)", key)
		}
	}
	out := &Library{Digest: l.Digest}
	for _, r := range l.Rules {
		if len(only) > 0 && !slices.ContainsFunc(only, r.Named) || slices.ContainsFunc(skip, r.Named) {
			continue
		}
		out.Rules = append(out.Rules, r)
	}
	return out, out.index()
}

// For returns the rules that run on a kind of target: cluster, iac, node or image.
func (l *Library) For(target string) *Library {
	out := &Library{Digest: l.Digest, byKey: l.byKey}
	for _, r := range l.Rules {
		if r.RunsOn(target) {
			out.Rules = append(out.Rules, r)
		}
	}
	return out
}

// Merge adds the rules of other; a rule of the same id is replaced by other's.
func (l *Library) Merge(other *Library) (*Library, error) {
	h := sha256.Sum256([]byte(l.Digest + other.Digest))
	out := &Library{Digest: "sha256:" + hex.EncodeToString(h[:])}
	for _, r := range l.Rules {
		if other.Find(r.ID) == nil {
			out.Rules = append(out.Rules, r)
		}
	}
	out.Rules = append(out.Rules, other.Rules...)
	sort.SliceStable(out.Rules, func(i, j int) bool { return out.Rules[i].Name < out.Rules[j].Name })
	return out, out.index()
}

// AliasList returns the ids of other tools, "tool:id", sorted. The caller must not change it.
func (r *Rule) AliasList() []string { return r.aliases }

// Clauses lists what the rule maps to, in order. The caller must not change it.
func (r *Rule) Clauses() []finding.ClauseRef { return r.clauses }

// flatten makes the lists of AliasList and Clauses.
func (r *Rule) flatten() {
	for _, tool := range slices.Sorted(maps.Keys(r.Aliases)) {
		for _, id := range r.Aliases[tool] {
			r.aliases = append(r.aliases, tool+":"+id)
		}
	}
	sort.Strings(r.aliases)
	for _, framework := range slices.Sorted(maps.Keys(r.Compliance)) {
		for _, c := range slices.Sorted(slices.Values(r.Compliance[framework])) {
			r.clauses = append(r.clauses, finding.ClauseRef{Framework: framework, Clause: c})
		}
	}
}

// SingleObject reports whether the rule judges one Kubernetes object alone, so that admission engines can run it.
func (r *Rule) SingleObject() bool {
	v := r.Validate
	ours := func(kind string) bool { return kind == "Dockerfile" || strings.HasSuffix(kind, ".stockade.dev") } // no API server has these
	return v != nil && r.RunsOn("cluster") && (v.Over == "container" || v.Over == "pod" || v.Over == "object") && !slices.ContainsFunc(r.Match.Kinds, ours)
}

// ReadParams overrides parameters from a YAML file {rule name or id: {parameter: value}}. A file that is not there
// changes nothing; an unknown rule or parameter is an error.
func (l *Library) ReadParams(file string) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var doc map[string]map[string]any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for key, params := range doc {
		r := l.Find(key)
		if r == nil {
			return fmt.Errorf("%s: no rule is named %q", file, key)
		}
		for name, v := range params {
			if _, ok := r.Params[name]; !ok {
				return fmt.Errorf("%s: rule %s has no parameter %q", file, key, name)
			}
			r.Params[name] = normalize(v)
		}
	}
	return nil
}
