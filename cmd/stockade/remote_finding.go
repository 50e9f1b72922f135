package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/fault"
)

// findingRow is what the commands show of a finding.
type findingRow struct {
	ID          string    `json:"id"`
	Severity    string    `json:"severity"`
	Kind        string    `json:"kind"`
	Status      string    `json:"status"`
	Rule        string    `json:"rule"`
	Title       string    `json:"title"`
	Package     string    `json:"package"`
	Version     string    `json:"version"`
	Cluster     string    `json:"target"`
	Namespace   string    `json:"namespace"`
	Resource    string    `json:"resource"`
	Image       string    `json:"image"`
	Priority    int       `json:"priority"`
	FirstSeen   time.Time `json:"firstSeen"`
	LastSeen    time.Time `json:"lastSeen"`
	Message     string    `json:"message"`
	Remediation string    `json:"remediation"`
	Assignee    string    `json:"assignee"`
	History     []struct {
		At     time.Time `json:"at"`
		Action string    `json:"action"`
		Before string    `json:"before"`
		After  string    `json:"after"`
		Cause  string    `json:"cause"`
		Note   string    `json:"note"`
		User   string    `json:"user"`
	} `json:"history"`
}

func findingCommand(s streams) *cobra.Command {
	r := &remote{s: s}
	return r.group("finding", "Findings of a server: list, show, handle, export", r.findingList(), r.findingShow(), r.findingExport(),
		r.findingHandle("ignore", "Ignore findings", true), r.findingHandle("unignore", "Take ignoring back", false),
		r.findingHandle("mark-fixed", "Mark findings as fixed: the next scan that still sees them reopens them", true),
		r.findingHandle("assign", "Assign findings to a user", false), r.findingHandle("comment", "Comment on findings", true),
		r.findingHandle("verify", "Look at findings again, now", false))
}

// findingFilter is what list and export have in common.
type findingFilter struct {
	cluster, namespace, rule, cve, pkg, image, workload, search string
	severity, kind, status                                      []string
	kev, fixable                                                bool
}

func (f *findingFilter) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.cluster, "cluster", "", "name or id of a cluster")
	fl.StringVar(&f.namespace, "namespace", "", "namespace")
	fl.StringSliceVar(&f.severity, "severity", nil, "critical, high, medium, low, info; repeatable")
	fl.StringSliceVar(&f.kind, "kind", nil, "system-vulnerability, application-vulnerability, emergency, configuration, iac, secret, malware, permission; repeatable")
	fl.StringSliceVar(&f.status, "status", nil, "open, reopened, unseen, ignored, accepted, marked-fixed, fixed, gone; repeatable (default the active ones)")
	fl.StringVar(&f.rule, "rule", "", "rule or vulnerability")
	fl.StringVar(&f.cve, "cve", "", "vulnerability, in any case")
	fl.StringVar(&f.pkg, "package", "", "package")
	fl.StringVar(&f.image, "image", "", "reference of an image")
	fl.StringVar(&f.workload, "workload", "", "name of a workload; also what its images have")
	fl.StringVar(&f.search, "search", "", "words in rule, title, package, resource, namespace or image")
	fl.BoolVar(&f.kev, "kev", false, "only what is known to be exploited")
	fl.BoolVar(&f.fixable, "fixable", false, "only what a version fixes")
}

func (f *findingFilter) query(cmd *cobra.Command, r *remote) (url.Values, error) {
	q := url.Values{}
	for name, v := range map[string]string{"namespace": f.namespace, "rule": f.rule, "cve": f.cve, "package": f.pkg, "image": f.image, "workload": f.workload, "q": f.search,
		"severity": strings.Join(f.severity, ","), "kind": strings.Join(f.kind, ","), "status": strings.Join(f.status, ",")} {
		set(q, name, v)
	}
	if f.kev {
		q.Set("kev", "true")
	}
	if f.fixable {
		q.Set("fixable", "true")
	}
	if f.cluster != "" {
		c, err := r.open()
		if err != nil {
			return nil, err
		}
		id, err := named(cmd.Context(), c, "/clusters", f.cluster)
		if err != nil {
			return nil, err
		}
		q.Set("target", id)
	}
	return q, nil
}

func (r *remote) findingList() *cobra.Command {
	var f findingFilter
	var order string
	cmd := &cobra.Command{Use: "list", Short: "List findings, the most urgent first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(cmd, r)
			if err != nil {
				return err
			}
			set(q, "sort", order)
			return list(cmd.Context(), r, "/findings", q, []string{"ID", "SEVERITY", "STATUS", "RULE", "CLUSTER", "NAMESPACE", "RESOURCE", "TITLE"}, func(f findingRow) []string {
				where := f.Resource
				if where == "" {
					where = f.Image
				}
				return []string{f.ID, f.Severity, f.Status, f.Rule, f.Cluster, f.Namespace, where, f.Title}
			})
		}}
	f.register(cmd)
	cmd.Flags().StringVar(&order, "sort", "", "column, with - before it for descending: priority, severity, firstSeen, changedAt, ... (default -priority)")
	r.limited(cmd)
	return cmd
}

func (r *remote) findingShow() *cobra.Command {
	return &cobra.Command{Use: "show ID", Short: "Show a finding: what is wrong, how to fix it, what became of it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return call(cmd.Context(), r, http.MethodGet, "/findings/"+url.PathEscape(args[0]), nil, func(f findingRow) {
				r.pairs("id", f.ID, "title", f.Title, "severity", f.Severity, "status", f.Status, "rule", f.Rule, "package", strings.TrimSpace(f.Package+" "+f.Version),
					"cluster", f.Cluster, "namespace", f.Namespace, "resource", f.Resource, "image", f.Image, "priority", strconv.Itoa(f.Priority),
					"first seen", ago(f.FirstSeen), "last seen", ago(f.LastSeen), "assigned to", f.Assignee, "what", f.Message, "fix", f.Remediation)
				var rows [][]string
				for _, e := range f.History {
					rows = append(rows, []string{ago(e.At), e.Action, e.Before, e.After, e.Cause, e.User, e.Note})
				}
				if len(rows) > 0 {
					fmt.Fprintln(r.s.out)
					_ = printTable(r.s.out, []string{"AT", "ACTION", "BEFORE", "AFTER", "CAUSE", "BY", "NOTE"}, rows) // to standard output
				}
			})
		}}
}

func (r *remote) findingHandle(action, short string, note bool) *cobra.Command {
	var text, assignee string
	var dry bool
	cmd := &cobra.Command{Use: action + " ID...", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if note && text == "" {
				return usage("--note: say why")
			}
			body := map[string]any{"action": action, "ids": args}
			if text != "" {
				body["note"] = text
			}
			if assignee != "" {
				c, err := r.open()
				if err != nil {
					return err
				}
				if body["assigneeId"], err = named(cmd.Context(), c, "/assignees", assignee); err != nil {
					return err
				}
			}
			if dry {
				body["dryRun"] = true
			}
			return call(cmd.Context(), r, http.MethodPost, "/findings/actions", body, func(e struct {
				Selected   int    `json:"selected"`
				NotAllowed int    `json:"notAllowed"`
				Changed    int    `json:"changed"`
				TaskID     string `json:"taskId"`
			}) {
				more := ""
				if e.NotAllowed > 0 {
					more = strconv.Itoa(e.NotAllowed)
				}
				r.pairs("selected", strconv.Itoa(e.Selected), "changed", strconv.Itoa(e.Changed), "not allowed", more, "task", e.TaskID)
			})
		}}
	cmd.Flags().StringVar(&text, "note", "", "why; the text of a comment")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only count what it would change")
	if action == "assign" {
		cmd.Flags().StringVar(&assignee, "to", "", "user, by name or id (default: nobody)")
	}
	return cmd
}

func (r *remote) findingExport() *cobra.Command {
	var f findingFilter
	var form, file, order string
	cmd := &cobra.Command{Use: "export", Short: "Write all findings of a filter as a report", Args: cobra.NoArgs,
		Example: "  stockade finding export --cluster shop --severity critical,high --form sarif > shop.sarif",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			q, err := f.query(cmd, r)
			if err != nil {
				return err
			}
			q.Set("form", form)
			set(q, "sort", order)
			c, err := r.open()
			if err != nil {
				return err
			}
			out := r.s.out
			if file != "" {
				w, err := os.Create(file)
				if err != nil {
					return fault.Wrap(fault.Usage, "--file", err)
				}
				defer func() {
					if e := w.Close(); err == nil {
						err = fault.Wrap(fault.Internal, file, e)
					}
				}()
				out = w
			}
			return answered(c.Download(cmd.Context(), "/findings/export?"+q.Encode(), "", out))
		}}
	f.register(cmd)
	cmd.Flags().StringVar(&form, "form", "csv", "csv, json, jsonl, html, sarif, markdown, junit or openvex")
	cmd.Flags().StringVar(&file, "file", "", "file to write (default: standard output)")
	cmd.Flags().StringVar(&order, "sort", "", "as for list")
	return cmd
}
