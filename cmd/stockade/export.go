package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/internal/export"
	"stockade.dev/stockade/internal/fault"
)

func ruleExport(s streams) *cobra.Command {
	var form, dir, rulesDir string
	var only, skip []string
	var o export.Options
	cmd := &cobra.Command{Use: "export -o DIR", Short: "Export rules as admission policies", Args: cobra.NoArgs,
		Long: `Export the rules that judge one object as Gatekeeper ConstraintTemplates with constraints, or as
ValidatingAdmissionPolicies with bindings (Kubernetes 1.30+). By default one template per risk type holds its rules, with
the ids in force as a parameter, which costs the API server several times less than one template a rule (--split).
Constraints start as dryrun and bindings as Audit: nothing is blocked until you say so (--action).`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usage("-o DIR is needed: the folder to write to")
			}
			lib, err := library(rulesDir, only, skip)
			if err != nil {
				return err
			}
			var policies []export.Policy
			switch form {
			case "constrainttemplate":
				policies, err = export.ConstraintTemplates(lib.Rules, o)
			case "vap":
				policies, err = export.AdmissionPolicies(lib.Rules, o)
			default:
				return usage("--format %q: want constrainttemplate or vap", form)
			}
			if err != nil {
				return fault.Wrap(fault.Internal, "exporting rules", err)
			}
			rules := 0
			for _, p := range policies {
				rules += len(p.Rules)
				if err := writePolicy(dir, form, p); err != nil {
					return fault.Wrap(fault.Usage, "writing "+dir, err)
				}
			}
			fmt.Fprintf(s.err, "%d rules in %d policies written to %s\n", rules, len(policies), dir)
			return nil
		}}
	cmd.Flags().StringVar(&form, "format", "constrainttemplate", "constrainttemplate or vap")
	cmd.Flags().StringVarP(&dir, "output", "o", "", "folder to write to")
	cmd.Flags().BoolVar(&o.Split, "split", false, "one policy a rule")
	cmd.Flags().StringVar(&o.Lang, "lang", "en", "language of the messages: en or zh")
	cmd.Flags().StringVar(&o.Action, "action", "", "enforcementAction of constraints (default dryrun) or validationAction of bindings (default Audit)")
	ruleFlags(cmd, &rulesDir, &only, &skip)
	return cmd
}

// writePolicy writes DIR/template/NAME.yaml and DIR/constraint/NAME.yaml, or DIR/policy and DIR/binding.
func writePolicy(dir, form string, p export.Policy) error {
	folders := []string{"template", "constraint"}
	if form == "vap" {
		folders = []string{"policy", "binding"}
	}
	for i, o := range p.Objects {
		data, err := yaml.Marshal(o)
		if err != nil {
			return err
		}
		sub := filepath.Join(dir, folders[i])
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(sub, p.Name+".yaml"), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
