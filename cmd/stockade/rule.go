package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/analyze"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/rules"
)

func ruleCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{Use: "rule", Short: "List, show, test and export rules", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(ruleList(s), ruleShow(s), ruleTest(s), ruleExport(s))
	return cmd
}

// ruleView is a rule as `rule list -o json` shows it.
type ruleView struct {
	Rule       string              `json:"rule"`
	ID         string              `json:"id"`
	Title      finding.Text        `json:"title"`
	Why        finding.Text        `json:"why"`
	Fix        finding.Text        `json:"fix"`
	Severity   finding.Severity    `json:"severity"`
	Risk       string              `json:"risk"`
	Kind       finding.Kind        `json:"kind"`
	Kinds      []string            `json:"kinds"`
	References []string            `json:"references"`
	Aliases    map[string][]string `json:"aliases"`
	Compliance []finding.ClauseRef `json:"compliance"`
	Missing    string              `json:"missing,omitempty"`
	Params     map[string]any      `json:"params,omitempty"`
	Engine     string              `json:"engine"` // cel or go
}

func view(r *rule.Rule) ruleView {
	v := ruleView{Rule: r.Name, ID: r.ID, Title: r.Title, Why: r.Why, Fix: r.Fix, Severity: r.Severity, Risk: r.Risk, Kind: r.Kind,
		Kinds: append(slices.Clone(r.Match.Kinds), r.Match.Components...), References: r.References, Aliases: r.Aliases,
		Compliance: r.Clauses(), Missing: r.Missing, Params: r.Params, Engine: "cel"}
	if r.Validate == nil {
		v.Engine = "go"
	} else if r.Validate.Over == "node" {
		v.Kinds = append(v.Kinds, "NodeFacts")
	}
	if v.Aliases == nil {
		v.Aliases = map[string][]string{}
	}
	if v.Kinds == nil {
		v.Kinds = []string{}
	}
	if v.Compliance == nil {
		v.Compliance = []finding.ClauseRef{}
	}
	return v
}

func ruleList(s streams) *cobra.Command {
	var form, lang, dir, db string
	var only, skip []string
	urgent := false
	cmd := &cobra.Command{Use: "list", Short: "List the rules, or the emergency vulnerabilities", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if urgent {
				return listEmergencies(s, form, lang, db)
			}
			lib, err := library(dir, only, skip)
			if err != nil {
				return err
			}
			switch form {
			case "json":
				views := make([]ruleView, 0, len(lib.Rules))
				for _, r := range lib.Rules {
					views = append(views, view(r))
				}
				return writeJSON(s, views)
			case "table":
				t := table.NewWriter()
				t.SetOutputMirror(s.out)
				t.SetStyle(table.StyleLight)
				t.AppendHeader(table.Row{"ID", "Rule", "Severity", "Risk", "Title"})
				for _, r := range lib.Rules {
					t.AppendRow(table.Row{r.ID, r.Name, r.Severity, r.Risk, r.Title.In(lang)})
				}
				t.Render()
				fmt.Fprintf(s.out, "%d rules\n", len(lib.Rules))
				return nil
			}
			return usage("output form %q: want table or json", form)
		}}
	cmd.Flags().StringVarP(&form, "output", "o", "table", "table or json")
	cmd.Flags().StringVar(&lang, "lang", "en", "en or zh")
	cmd.Flags().BoolVar(&urgent, "emergency", false, "list emergency vulnerabilities with their sources and checks")
	cmd.Flags().StringVar(&db, "db", "", "with --emergency: folder of the advisory database, whose list counts where it is newer")
	ruleFlags(cmd, &dir, &only, &skip)
	return cmd
}

func ruleShow(s streams) *cobra.Command {
	var lang, dir string
	cmd := &cobra.Command{Use: "show RULE", Short: "Show a rule or an emergency: why it matters, how to fix it, what it maps to", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			lib, err := library(dir, nil, nil)
			if err != nil {
				return err
			}
			found := 0
			for _, r := range lib.Rules {
				if r.Named(args[0]) {
					if found > 0 {
						fmt.Fprintln(s.out)
					}
					showRule(s, r, lang)
					found++
				}
			}
			if found == 0 {
				list, err := emergenciesInUse(s, "")
				if err != nil {
					return err
				}
				for _, e := range list {
					if strings.EqualFold(e.ID, args[0]) || strings.EqualFold(e.Name, args[0]) || slices.Contains(e.Aliases, strings.ToUpper(args[0])) {
						showEmergency(s, e, lang)
						return nil
					}
				}
				return usage("no rule is named %q (see: stockade rule list, and stockade rule list --emergency)", args[0])
			}
			return nil
		}}
	cmd.Flags().StringVar(&lang, "lang", "en", "en or zh")
	cmd.Flags().StringVar(&dir, "rules", "", "folder of more rules")
	return cmd
}

// ruleLabels name the parts of a rule in both languages, padded to one width.
var ruleLabels = map[string][]string{
	"en": {"severity", "risk    ", "why     ", "fix     ", "looks at", "missing ", "good    ", "params  ", "also    ", "clause  ", "see     "},
	"zh": {"级别    ", "风险类型", "原因    ", "修复    ", "检查对象", "字段缺失", "合规条件", "参数    ", "其他编号", "合规条款", "参考    "},
}

func showRule(s streams, r *rule.Rule, lang string) {
	if lang != "zh" {
		lang = "en"
	}
	labels := ruleLabels[lang]
	line := func(label int, format string, args ...any) {
		fmt.Fprintf(s.out, "  "+labels[label]+"  "+format+"\n", args...)
	}
	fmt.Fprintf(s.out, "%s  %s  %s\n", r.ID, r.Name, r.Title.In(lang))
	line(0, "%s", r.Severity)
	line(1, "%s", r.Risk)
	line(2, "%s", r.Why.In(lang))
	line(3, "%s", r.Fix.In(lang))
	if v := r.Validate; v != nil {
		line(4, "%s", strings.Join(append(slices.Clone(r.Match.Kinds), r.Match.Components...), ", "))
		missing := map[string]finding.Text{"pass": {EN: "a missing field passes", ZH: "字段缺失视为合规"},
			"fail": {EN: "a missing field fails", ZH: "字段缺失视为不合规"}}[r.Missing]
		line(5, "%s", missing.In(lang))
		line(6, "%s", strings.ReplaceAll(strings.TrimSpace(v.Expression), "\n", "\n            "))
	}
	if len(r.Params) > 0 {
		if data, err := json.Marshal(r.Params); err == nil {
			line(7, "%s", data)
		}
	}
	for _, a := range r.AliasList() {
		line(8, "%s", a)
	}
	for _, c := range r.Clauses() {
		line(9, "%s %s", c.Framework, c.Clause)
	}
	for _, ref := range r.References {
		line(10, "%s", ref)
	}
}

func ruleTest(s streams) *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{Use: "test DIR...", Short: "Run the good and bad cases of rule folders", Args: cobra.MinimumNArgs(1),
		Long: `Run the good and bad cases of the rule folders below each DIR. DIR is a library (rules/), a family or one rule.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			total, failed, n := 0, 0, 0
			for _, dir := range args {
				root, prefix := libraryRoot(dir)
				fsys := os.DirFS(root)
				sub, err := fs.Sub(fsys, prefix)
				if err != nil {
					return fault.Wrap(fault.Usage, "reading rules", err)
				}
				lib, err := rule.Load(sub)
				if err != nil {
					return fault.Wrap(fault.Input, "reading rules", err)
				}
				for _, r := range lib.Rules {
					r.Name = filepath.ToSlash(filepath.Join(prefix, r.Name))
					results, err := testRule(cmd.Context(), r, fsys)
					if err != nil {
						return fault.Wrap(fault.Input, "testing rules", err)
					}
					n++
					for _, res := range results {
						total++
						if len(res.Problems) > 0 {
							failed++
							for _, p := range res.Problems {
								fmt.Fprintf(s.out, "FAIL %s: %s\n", res.File, p)
							}
						} else if !quiet {
							fmt.Fprintf(s.out, "ok   %s\n", res.File)
						}
					}
				}
			}
			fmt.Fprintf(s.out, "%d rules, %d cases: %d passed, %d failed\n", n, total, total-failed, failed)
			if n == 0 {
				return fault.New(fault.Input, "no rule.yaml below %s", strings.Join(args, ", "))
			}
			if failed > 0 {
				return &fault.Error{Kind: fault.Findings}
			}
			return nil
		}}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print failures only")
	return cmd
}

func testRule(ctx context.Context, r *rule.Rule, fsys fs.FS) ([]scan.CaseResult, error) {
	if err := r.Compile(); err != nil {
		return []scan.CaseResult{{Rule: r.Name, File: r.Name + "/rule.yaml", Problems: []string{err.Error()}}}, nil
	}
	return scan.RunCases(ctx, r, analyze.All, fsys)
}

// libraryRoot splits the path of a rule, family or library folder so that rule names come out as family/rule.
func libraryRoot(dir string) (root, prefix string) {
	dir = filepath.Clean(dir)
	exists := func(p string) bool { m, _ := filepath.Glob(p); return len(m) > 0 }
	switch {
	case exists(filepath.Join(dir, "rule.yaml")):
		up := filepath.Dir(dir)
		return filepath.Dir(up), filepath.Join(filepath.Base(up), filepath.Base(dir))
	case exists(filepath.Join(dir, "*", "rule.yaml")):
		return filepath.Dir(dir), filepath.Base(dir)
	}
	return dir, "."
}

// library loads the built-in rules, those of dir over them, and selects.
func library(dir string, only, skip []string) (*rule.Library, error) {
	lib, err := rule.Load(rules.FS)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "reading the built-in rules", err)
	}
	if dir != "" {
		more, err := rule.Load(os.DirFS(dir))
		if err != nil {
			return nil, fault.Wrap(fault.Input, "--rules "+dir, err)
		}
		for _, r := range more.Rules {
			if err := r.Compile(); err != nil {
				return nil, fault.Wrap(fault.Input, "--rules "+dir, err)
			}
		}
		if lib, err = lib.Merge(more); err != nil {
			return nil, fault.Wrap(fault.Input, "--rules "+dir, err)
		}
		if err := lib.ReadParams(filepath.Join(dir, "params.yaml")); err != nil {
			return nil, fault.Wrap(fault.Input, "--rules "+dir, err)
		}
	}
	if lib, err = lib.Select(only, skip); err != nil {
		return nil, fault.Wrap(fault.Usage, "selecting rules", err)
	}
	return lib, nil
}

func ruleFlags(cmd *cobra.Command, dir *string, only, skip *[]string) {
	cmd.Flags().StringVar(dir, "rules", "", "folder of more rules, of ConstraintTemplates with constraints, and of params.yaml")
	cmd.Flags().StringSliceVar(only, "only", nil, "only these rules: name, id, family, risk type or another tool's id")
	cmd.Flags().StringSliceVar(skip, "skip", nil, "leave these rules out")
}

func writeJSON(s streams, v any) error {
	enc := json.NewEncoder(s.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return fault.Wrap(fault.Internal, "writing JSON", enc.Encode(v))
}
