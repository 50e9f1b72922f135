package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/api/client"
	"stockade.dev/stockade/internal/fault"
)

// policyRow is what the commands show of a policy.
type policyRow struct {
	ID          string `json:"id"`
	Version     int    `json:"version"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Disabled    bool   `json:"disabled"`
	Action      string `json:"action"`
	Rollout     struct {
		Warn  time.Time `json:"warnFrom"`
		Block time.Time `json:"blockFrom"`
	} `json:"rollout"`
	Rules []struct {
		Rule   string         `json:"rule"`
		Action string         `json:"action"`
		Params map[string]any `json:"params"`
	} `json:"rules"`
	Checks []struct {
		Check  string `json:"check"`
		Action string `json:"action"`
	} `json:"checks"`
	Templates []struct {
		Template string `json:"template"`
		Action   string `json:"action"`
	} `json:"templates"`
	Scope struct {
		Clusters   []int64  `json:"clusters"`
		Namespaces []string `json:"namespaces"`
	} `json:"scope"`
	UpdatedAt time.Time `json:"updatedAt"`
	UpdatedBy string    `json:"updatedBy"`
}

func (p policyRow) state() string {
	if p.Disabled {
		return "off"
	}
	return p.Action
}

func (p policyRow) holds() string {
	where := "all clusters"
	if n := len(p.Scope.Clusters); n > 0 {
		where = strconv.Itoa(n) + " clusters"
	}
	if len(p.Scope.Namespaces) > 0 {
		where += ", " + strings.Join(p.Scope.Namespaces, " ")
	}
	return where
}

func (r *remote) policyList() *cobra.Command {
	var query, cluster string
	cmd := &cobra.Command{Use: "list", Short: "List the policies of a server", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{"limit": nil}
			set(q, "q", query)
			if cluster != "" {
				c, err := r.open()
				if err != nil {
					return err
				}
				id, err := named(cmd.Context(), c, "/clusters", cluster)
				if err != nil {
					return err
				}
				q.Set("target", id)
			}
			return list(cmd.Context(), r, "/policies", q, []string{"ID", "VERSION", "NAME", "ACTION", "RULES", "CHECKS", "HOLDS IN", "CHANGED", "BY"}, func(p policyRow) []string {
				return []string{p.ID, strconv.Itoa(p.Version), p.Name, p.state(), strconv.Itoa(len(p.Rules) + len(p.Templates)), strconv.Itoa(len(p.Checks)), p.holds(), ago(p.UpdatedAt), p.UpdatedBy}
			})
		}}
	cmd.Flags().StringVar(&query, "search", "", "part of the name or the description")
	cmd.Flags().StringVar(&cluster, "cluster", "", "only those that hold in this cluster: name or id")
	return cmd
}

// policyNamed finds a policy by its name or id.
func policyNamed(ctx context.Context, c *client.Client, name string) (string, error) {
	var out struct{ Items []policyRow }
	if err := c.Call(ctx, http.MethodGet, "/policies", nil, &out); err != nil {
		return "", answered(err)
	}
	for _, p := range out.Items {
		if p.Name == name || p.ID == name {
			return p.ID, nil
		}
	}
	return "", fault.New(fault.Input, "there is no policy %q, or you may not see it", name)
}

func (r *remote) policyShow() *cobra.Command {
	return &cobra.Command{Use: "show NAME", Short: "Show a policy of a server, and what changed in it last", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			id, err := policyNamed(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := call(cmd.Context(), r, http.MethodGet, "/policies/"+id, nil, r.showPolicy); err != nil || r.form == "json" {
				return err
			}
			var versions struct {
				Items []struct {
					Version  int
					At       time.Time
					By, Note string
					Changes  []struct {
						Path          string
						Before, After json.RawMessage
					}
				}
			}
			if err := c.Call(cmd.Context(), http.MethodGet, "/policies/"+id+"/versions?limit=5", nil, &versions); err != nil {
				return answered(err)
			}
			for _, v := range versions.Items {
				fmt.Fprintf(r.s.out, "version %d, %s by %s %s\n", v.Version, ago(v.At), printable(v.By), printable(v.Note))
				for _, x := range v.Changes {
					fmt.Fprintf(r.s.out, "  %s: %s -> %s\n", printable(x.Path), word(x.Before), word(x.After))
				}
			}
			return nil
		}}
}

// word is a value of a difference, shortly.
func word(v json.RawMessage) string {
	if len(v) == 0 {
		return "(none)"
	}
	text := []rune(printable(string(v)))
	return string(text[:min(len(text), 200)])
}

func (r *remote) showPolicy(p policyRow) {
	var rules []string
	add := func(name, action string) {
		if action != "" && action != p.Action {
			name += " (" + action + ")"
		}
		rules = append(rules, name)
	}
	for _, u := range p.Rules {
		add(u.Rule, u.Action)
	}
	for _, u := range p.Checks {
		add("image/"+u.Check, u.Action)
	}
	for _, u := range p.Templates {
		add("template/"+u.Template, u.Action)
	}
	from := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return ago(at)
	}
	r.pairs("id", p.ID, "name", p.Name, "version", strconv.Itoa(p.Version), "action", p.state(), "warns from", from(p.Rollout.Warn), "blocks from", from(p.Rollout.Block),
		"holds in", p.holds(), "rules", strings.Join(rules, ", "), "description", p.Description, "changed", ago(p.UpdatedAt)+" by "+p.UpdatedBy)
}

func (r *remote) policyApply() *cobra.Command {
	var file, note string
	var dry bool
	cmd := &cobra.Command{Use: "apply -f POLICY.yaml", Short: "Add and change policies of a server as a file says", Args: cobra.NoArgs,
		Long: `Bring policies, and the ConstraintTemplates that they use, to a server. A policy of the same name is changed, else one is added;
none is deleted. They are in force in protected clusters within seconds: look first, with --dry-run and "stockade policy preview".`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := readPolicyText(r.s, file)
			if err != nil {
				return err
			}
			type done struct {
				Kind, Name, ID, Done string
				Changes              []struct{ Path string }
			}
			return call(cmd.Context(), r, http.MethodPost, "/policies/import", map[string]any{"yaml": string(text), "note": note, "dryRun": dry}, func(out struct{ Items []done }) {
				for _, d := range out.Items {
					fmt.Fprintf(r.s.out, "%s %s %s\n", d.Kind, printable(d.Name), d.Done)
					for _, c := range d.Changes {
						fmt.Fprintf(r.s.out, "  %s\n", printable(c.Path))
					}
				}
			})
		}}
	cmd.Flags().StringVarP(&file, "file", "f", "", "YAML file; - is standard input (needed)")
	cmd.Flags().StringVar(&note, "note", "", "why; kept with the version")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only tell what would change")
	_ = cmd.MarkFlagRequired("file") // the flag is there
	return cmd
}

func (r *remote) policyExport() *cobra.Command {
	var file string
	cmd := &cobra.Command{Use: "export [NAME...]", Short: "Write policies of a server as a file for apply, preview and test",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			var ids []string
			for _, name := range args {
				id, err := policyNamed(cmd.Context(), c, name)
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			path := "/policies/file"
			if slices.Sort(ids); len(ids) > 0 {
				path += "?policy=" + strings.Join(slices.Compact(ids), ",")
			}
			out := r.s.out
			if file != "" {
				f, err := os.Create(file)
				if err != nil {
					return fault.Wrap(fault.Usage, "", err)
				}
				err = answered(c.Download(cmd.Context(), path, "application/yaml", f))
				if closed := f.Close(); err == nil {
					err = closed
				}
				return fault.Wrap(fault.Input, "", err)
			}
			return fault.Wrap(fault.Input, "", answered(c.Download(cmd.Context(), path, "application/yaml", out)))
		}}
	cmd.Flags().StringVar(&file, "file", "", "write to this file")
	return cmd
}

func (r *remote) policyDelete() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{Use: "delete NAME", Short: "Delete a policy of a server: it leaves the clusters within seconds", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			id, err := policyNamed(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if !yes {
				return usage("clusters will not be protected by it any more: say --yes")
			}
			return call[struct{}](cmd.Context(), r, http.MethodDelete, "/policies/"+id, nil, nil)
		}}
	cmd.Flags().BoolVar(&yes, "yes", false, "delete it")
	return cmd
}
