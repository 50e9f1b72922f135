package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/collect/manifest/helm"
	"stockade.dev/stockade/internal/collect/manifest/kustomize"
	"stockade.dev/stockade/internal/collect/snapshot"
	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/preview"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
)

func policyCommand(s streams) *cobra.Command {
	r := &remote{s: s}
	return r.group("policy", "Policies: what may enter clusters. Preview, test, and keep them on a server", r.policyPreview(), policyTest(s), r.policyList(), r.policyShow(), r.policyApply(),
		r.policyExport(), r.policyDelete())
}

// policyFile is a file of policies, read and checked.
type policyFile struct {
	path     string
	text     []byte
	policies []policy.Policy
	bundle   *policy.Bundle
	library  *rule.Library
}

// local are the flags of commands that judge by a file.
type local struct {
	file, rules, exceptions, lang string
}

func (l *local) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&l.file, "file", "f", "", "YAML file of policies, with the ConstraintTemplates that they use; - is standard input (needed)")
	fl.StringVar(&l.rules, "rules", "", "folder of more rules")
	fl.StringVar(&l.exceptions, "exceptions", "", "YAML file of accepted findings, each with a reason and an end date")
	fl.StringVar(&l.lang, "lang", defaultLang(), "language of texts: en or zh")
	_ = cmd.MarkFlagRequired("file") // the flag is there
}

// readPolicyText reads a file, or standard input, with its bound.
func readPolicyText(s streams, file string) ([]byte, error) {
	in := s.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fault.Wrap(fault.Input, "", err)
		}
		defer func() { _ = f.Close() }() // only read
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, policy.MaxFile+1))
	return data, fault.Wrap(fault.Input, "reading "+file, err)
}

// open reads the file. Every mistake in it is told.
func (l *local) open(ctx context.Context, s streams) (*policyFile, error) {
	if l.lang != "en" && l.lang != "zh" {
		return nil, usage("--lang %q: want en or zh", l.lang)
	}
	out := &policyFile{path: l.file}
	var err error
	if out.library, err = library(l.rules, nil, nil); err != nil {
		return nil, err
	}
	if out.text, err = readPolicyText(s, l.file); err != nil {
		return nil, err
	}
	f, err := policy.ReadFile(out.text)
	if err != nil {
		return nil, fault.Wrap(fault.Input, l.file, err)
	}
	var errs []error
	for i := range f.Templates {
		if _, err := policy.TestTemplate(ctx, f.Templates[i]); err != nil {
			errs = append(errs, fmt.Errorf("template %s: %w", f.Templates[i].Name, err))
		}
	}
	for i := range f.Policies {
		p := f.Policies[i].Policy
		err := policy.Validate(&p, out.library, f.Templates)
		if err == nil {
			err = policy.TryTemplates(ctx, &p, f.Templates)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: policy %q:\n  %s", f.Policies[i].Line, p.Name, strings.ReplaceAll(err.Error(), "\n", "\n  ")))
			continue
		}
		p.ID, p.Disabled, p.Rollout = int64(i+1), false, policy.Rollout{} // what it does in the end
		out.policies = append(out.policies, p)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fault.Wrap(fault.Input, l.file, err)
	}
	out.bundle = &policy.Bundle{Lang: l.lang, Policies: out.policies, Templates: f.Templates, System: policy.SystemNamespaces}
	if l.exceptions != "" {
		if out.bundle.Exceptions, err = exception.ReadFile(l.exceptions); err != nil {
			return nil, fault.Wrap(fault.Input, "", err)
		}
	}
	return out, nil
}

func (r *remote) policyPreview() *cobra.Command {
	var l local
	var clusters, values []string
	var saved string
	var failOnBlock bool
	var replay, owners int
	cmd := &cobra.Command{Use: "preview -f POLICY.yaml (PATH... | --snapshot DIR | --cluster NAME)", Short: "Show what policies would block, before they do",
		Long: `Judge manifests, a saved cluster, or with --cluster what is in clusters of a server now, by policies that are in force
nowhere. Nothing is changed. The verdicts are those of "stockade scan" and of admission: one engine makes all three.

Dates of a roll-out are taken as past: it shows what a policy will do in the end. Without a server nobody knows what images
hold: of image checks only registry and tag are decided then, and the rest is told as undecided. "stockade scan image --policy"
looks into images.

Exit codes: 1 when something would be blocked and --fail-on-block is given; 3 when something could not be judged or read.`,
		Example: `  stockade policy preview -f policies.yaml deploy/ --fail-on-block
  stockade policy preview -f policies.yaml --snapshot shop.tar.zst
  stockade policy preview -f policies.yaml --cluster production --replay-days 7`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ways := 0
			for _, on := range []bool{len(args) > 0, saved != "", len(clusters) > 0} {
				if on {
					ways++
				}
			}
			if ways != 1 {
				return usage("say what to look at: files and folders, or --snapshot, or --cluster")
			}
			if r.form != "table" && r.form != "json" {
				return usage("-o %s: want table or json", r.form)
			}
			f, err := l.open(cmd.Context(), r.s)
			if err != nil {
				return err
			}
			var out *preview.Result
			if len(clusters) > 0 {
				out, err = r.previewThere(cmd.Context(), f, clusters, replay, owners)
			} else {
				var live *preview.Live
				live, err = previewHere(cmd.Context(), r.s, f, args, saved, values, owners)
				out = &preview.Result{Live: live}
			}
			if err != nil {
				return err
			}
			if r.form == "json" {
				err = r.json(out)
			} else {
				showPreview(r.s.out, out, l.lang)
			}
			if err != nil {
				return err
			}
			return previewed(out, failOnBlock)
		}}
	l.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&saved, "snapshot", "", "look at this snapshot (folder or file)")
	fl.StringSliceVar(&clusters, "cluster", nil, "look at this cluster of the server, by name or id; repeatable")
	fl.IntVar(&replay, "replay-days", 0, "with --cluster: judge the recorded admissions of so many days, too")
	fl.IntVar(&owners, "owners", 10, "workloads that are shown of each rule")
	fl.StringArrayVar(&values, "values", nil, "values file for Helm charts; repeatable")
	fl.BoolVar(&failOnBlock, "fail-on-block", false, "exit with 1 when something would be blocked")
	return cmd
}

// filesOf is a source of manifests below paths.
func filesOf(s streams, paths, values []string) (preview.Source, error) {
	for _, p := range paths {
		if _, err := os.Stat(p); p != "-" && err != nil {
			return nil, fault.Wrap(fault.Input, "", err)
		}
	}
	return &scan.Files{Paths: paths, Options: manifest.WalkOptions{Stdin: s.in, IsDockerfile: func(string) bool { return false }, BuildKustomization: kustomize.Build,
		RenderChart: func(ctx context.Context, path string, archive []byte, lim manifest.Limits) ([]*inventory.Object, []manifest.Problem) {
			return helm.Render(ctx, path, archive, values, lim)
		}}}, nil
}

func previewHere(ctx context.Context, s streams, f *policyFile, paths []string, saved string, values []string, owners int) (*preview.Live, error) {
	var src preview.Source
	var err error
	name := strings.Join(paths, " ")
	if saved != "" {
		var snap *snapshot.Source
		if snap, err = snapshot.Open(saved); err == nil {
			src, name = snap, snap.Info().Name
			f.bundle.Cluster = name
		}
	} else {
		src, err = filesOf(s, paths, values)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Input, "", err)
	}
	live, err := preview.Files(ctx, f.library, src, preview.Local{Bundle: f.bundle, Name: name, Owners: owners, At: time.Now()})
	return live, fault.Wrap(fault.Input, "", err)
}

// previewThere asks the server, a policy at a time, and joins what it says.
func (r *remote) previewThere(ctx context.Context, f *policyFile, clusters []string, days, owners int) (*preview.Result, error) {
	if len(f.policies) != 1 {
		return nil, usage("--cluster previews one policy at a time, and %s has %d", f.path, len(f.policies))
	}
	c, err := r.open()
	if err != nil {
		return nil, err
	}
	var ids []json.Number
	for _, name := range clusters {
		id, err := named(ctx, c, "/clusters", name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, json.Number(id))
	}
	p := f.policies[0]
	p.ID = 0
	out := &preview.Result{}
	err = c.Call(ctx, "POST", "/policies/preview", map[string]any{"policy": p, "templates": f.bundle.Templates, "targets": ids, "replayDays": days, "limit": owners}, out)
	return out, answered(err)
}

// previewed is the exit code's error.
func previewed(r *preview.Result, failOnBlock bool) error {
	blocked, partial := 0, 0
	if l := r.Live; l != nil {
		blocked += l.ByAction["block"]
		partial += len(l.Undecided)
		for _, c := range l.Clusters {
			partial += len(c.Partial)
			if c.Error != "" {
				partial++
			}
		}
	}
	if p := r.Replay; p != nil {
		blocked += p.Blocked
		partial += len(p.Undecided) + len(p.Partial)
	}
	switch {
	case failOnBlock && blocked > 0:
		return fault.New(fault.Findings, "stockade: %d would be blocked", blocked)
	case partial > 0:
		return fault.New(fault.Partial, "stockade: %d things could not be judged or read (see the result)", partial)
	}
	return nil
}

func policyTest(s streams) *cobra.Command {
	var l local
	var quiet bool
	cmd := &cobra.Command{Use: "test -f POLICY.yaml CASES...", Short: "Run policies over case files that say what should be refused", Args: cobra.MinimumNArgs(1),
		Long: `Judge case files by the policies of a file, as requests to create what is in them, and compare with the marks in the files: a
line that should be found carries a comment with a part of what is said of it. Lines without a mark must pass.

    privileged: true   # want "block" "container web"

What is compared is the action, the rule, its id and the message.`,
		Example: "  stockade policy test -f policies.yaml cases/",
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := l.open(cmd.Context(), s)
			if err != nil {
				return err
			}
			judge, notes, err := policy.NewJudge(cmd.Context(), f.library, f.bundle, nil)
			if err != nil {
				return fault.Wrap(fault.Input, l.file, err)
			}
			for _, n := range notes {
				return fault.New(fault.Input, "%s: %s: %s", l.file, n.Rule, n.Reason)
			}
			files, err := caseFiles(args)
			if err != nil {
				return err
			}
			failed := 0
			for _, file := range files {
				problems, err := runPolicyCase(cmd.Context(), judge, f.bundle, file)
				if err != nil {
					return err
				}
				for _, p := range problems {
					fmt.Fprintf(s.out, "FAIL %s: %s\n", file, p)
				}
				if len(problems) > 0 {
					failed++
				} else if !quiet {
					fmt.Fprintf(s.out, "ok   %s\n", file)
				}
			}
			fmt.Fprintf(s.out, "%d policies, %d cases: %d passed, %d failed\n", len(f.policies), len(files), len(files)-failed, failed)
			if failed > 0 {
				return &fault.Error{Kind: fault.Findings}
			}
			return nil
		}}
	l.register(cmd)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print failures only")
	return cmd
}

// caseFiles are the YAML and JSON files that are named or lie below a named folder.
func caseFiles(args []string) ([]string, error) {
	var out []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, fault.Wrap(fault.Input, "", err)
		}
		if !info.IsDir() {
			out = append(out, arg)
			continue
		}
		err = filepath.WalkDir(arg, func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(p)) {
				out = append(out, p)
			}
			return err
		})
		if err != nil {
			return nil, fault.Wrap(fault.Input, "", err)
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Input, "no case below %s: want YAML or JSON files", strings.Join(args, ", "))
	}
	return out, nil
}

func runPolicyCase(ctx context.Context, judge *policy.Judge, b *policy.Bundle, file string) ([]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Wrap(fault.Input, "", err)
	}
	objects, problems := scan.ParseCase(file, data)
	wants := scan.ParseWants(data)
	spaces := map[string]map[string]string{}
	for _, o := range objects {
		if o.Ref().GroupKind() == "Namespace" {
			spaces[o.Name] = o.Labels()
		}
	}
	for _, o := range objects {
		inventory.DropNulls(o.Content)
		if inventory.Map(o.Content, "metadata") == nil {
			o.Content["metadata"] = map[string]any{}
		}
		out := judge.Judge(ctx, &policy.Request{Operation: "CREATE", Object: o, NamespaceLabels: spaces[o.Namespace], At: time.Now()})
		for i := range out.Violations {
			v := &out.Violations[i]
			if v.Exception != 0 {
				continue
			}
			line := o.Origin.Line
			if o.Origin.Locate != nil {
				line, _ = o.Origin.Locate(v.Path)
			}
			text := fmt.Sprintf("%s %s %s %s", v.Action, v.Rule, v.RuleID, v.Message.In(b.Lang))
			if !wants.Take(line, text) {
				problems = append(problems, fmt.Sprintf("line %d: unexpected: %s", line, text))
			}
			for wants.Take(line, text) { // other parts of the same
			}
		}
		for _, u := range out.Undecided {
			problems = append(problems, fmt.Sprintf("line %d: undecided: %s %s: %s", o.Origin.Line, u.Rule, u.Image, u.Reason))
		}
	}
	return append(problems, wants.Left()...), nil
}

// showPreview prints a preview for people.
func showPreview(w io.Writer, r *preview.Result, lang string) {
	var b bytes.Buffer
	if l := r.Live; l != nil {
		for _, c := range l.Clusters {
			if c.Error != "" {
				fmt.Fprintf(&b, "%s: %s\n", c.Name, c.Error)
			}
			for _, p := range c.Partial {
				fmt.Fprintf(&b, "%s: not read: %s\n", c.Name, p)
			}
		}
		showGroups(&b, l.Groups, l.Undecided, lang)
		fmt.Fprintf(&b, "%d objects: %d would be blocked, %d warned about, %d recorded; %d pass by exceptions\n", l.Objects, l.ByAction["block"], l.ByAction["warn"], l.ByAction["audit"], l.Excepted)
	}
	if p := r.Replay; p != nil {
		if r.Live != nil {
			b.WriteByte('\n')
		}
		for _, x := range p.Partial {
			fmt.Fprintf(&b, "not read: %s\n", x)
		}
		showGroups(&b, p.Groups, p.Undecided, lang)
		fmt.Fprintf(&b, "%d admissions since %s: %d would have been blocked, %d warned about, %d recorded\n", p.Admissions, p.From.Format(time.DateOnly), p.Blocked, p.Warned, p.Audited)
	}
	_, _ = w.Write(b.Bytes()) // to standard output
}

func showGroups(b *bytes.Buffer, groups []preview.Group, undecided []preview.Undecided, lang string) {
	for _, g := range groups {
		if g.Count == 0 {
			continue
		}
		fmt.Fprintf(b, "%-5s  %s  %s", strings.ToUpper(string(g.Action)), g.Rule, printable(g.Title.In(lang)))
		if g.Excepted > 0 {
			fmt.Fprintf(b, " (%d more pass by exceptions)", g.Excepted)
		}
		b.WriteByte('\n')
		for _, o := range g.Owners {
			name := o.Name
			if o.Namespace != "" {
				name = o.Namespace + "/" + o.Name
			}
			fmt.Fprintf(b, "       %s %s", o.Kind, printable(name))
			if o.Count > 1 {
				fmt.Fprintf(b, " (%d objects)", o.Count)
			}
			if o.File != "" {
				fmt.Fprintf(b, " %s:%d", o.File, o.Line)
			}
			fmt.Fprintf(b, "\n         %s\n", printable(o.Message.In(lang)))
		}
		if g.More > 0 {
			fmt.Fprintf(b, "       and %d more\n", g.More)
		}
	}
	for _, u := range undecided {
		fmt.Fprintf(b, "UNDECIDED  %s %s: %s (%d objects, the first %s)\n", u.Rule, printable(u.Image), printable(u.Reason), u.Count, printable(u.First))
	}
}
