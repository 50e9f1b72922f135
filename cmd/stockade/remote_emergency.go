package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// emergencyCounts is how it stands with an emergency on one kind of thing.
type emergencyCounts struct {
	Exposed     int `json:"exposed"`
	Unknown     int `json:"unknown"`
	VersionOnly int `json:"versionOnly"`
	Backported  int `json:"fixedByBackport"`
	Fixed       int `json:"fixed"`
	NotPresent  int `json:"notPresent"`
	Looked      int `json:"looked"`
	NotLooked   int `json:"notLooked"`
}

// emergencyRow is what the commands show of an emergency.
type emergencyRow struct {
	ID        string                     `json:"id"`
	Name      string                     `json:"name"`
	Title     string                     `json:"title"`
	Severity  string                     `json:"severity"`
	Published string                     `json:"published"`
	KEV       bool                       `json:"kev"`
	What      string                     `json:"what"`
	Fix       string                     `json:"fix"`
	Affected  []string                   `json:"affected"`
	Where     []string                   `json:"where"`
	Counts    map[string]emergencyCounts `json:"counts"`
	LastScan  struct {
		At time.Time `json:"at"`
	} `json:"lastScan"`
}

// emergencySeen is where an emergency was seen.
type emergencySeen struct {
	Cluster   string `json:"cluster"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Image     string `json:"image"`
	Verdict   string `json:"verdict"`
	Component string `json:"component"`
	Version   string `json:"version"`
	Path      string `json:"path"`
	NotRead   string `json:"notRead"`
	Workload  *struct {
		Kind      string `json:"kind"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"workload"`
}

func emergencyCommand(s streams) *cobra.Command {
	r := &remote{s: s}
	return r.group("emergency", "Emergency vulnerabilities on a server's clusters", r.emergencyList(), r.emergencyShow(), r.emergencyScan())
}

func (r *remote) emergencyList() *cobra.Command {
	var cluster string
	cmd := &cobra.Command{Use: "list", Short: "List emergencies with how it stands with each", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			show := func(ctx context.Context) error {
				return list(ctx, r, "/emergencies", q, []string{"ID", "NAME", "SEVERITY", "PUBLISHED", "EXPLOITED", "EXPOSED", "UNKNOWN", "VERSION ONLY", "FIXED", "LOOKED AT", "NOT LOOKED AT", "LAST SCAN"}, func(e emergencyRow) []string {
					var sum emergencyCounts
					for _, c := range e.Counts {
						sum.Exposed, sum.Unknown, sum.VersionOnly, sum.Fixed = sum.Exposed+c.Exposed, sum.Unknown+c.Unknown, sum.VersionOnly+c.VersionOnly, sum.Fixed+c.Fixed+c.Backported
						sum.Looked, sum.NotLooked = sum.Looked+c.Looked, sum.NotLooked+c.NotLooked
					}
					kev := ""
					if e.KEV {
						kev = "yes"
					}
					return []string{e.ID, e.Name, e.Severity, e.Published, kev, strconv.Itoa(sum.Exposed), strconv.Itoa(sum.Unknown), strconv.Itoa(sum.VersionOnly), strconv.Itoa(sum.Fixed),
						strconv.Itoa(sum.Looked), strconv.Itoa(sum.NotLooked), ago(e.LastScan.At)}
				})
			}
			if cluster == "" {
				return show(cmd.Context())
			}
			return r.cluster(cmd.Context(), cluster, func(id string) error {
				q.Set("target", id)
				return show(cmd.Context())
			})
		}}
	cmd.Flags().StringVar(&cluster, "cluster", "", "name or id of a cluster")
	return cmd
}

func (r *remote) emergencyShow() *cobra.Command {
	var verdict, kind string
	cmd := &cobra.Command{Use: "show ID", Short: "Show an emergency and where it was seen, the worst first", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/emergencies/" + url.PathEscape(args[0])
			if r.form == "json" && verdict == "" && kind == "" {
				return call(cmd.Context(), r, http.MethodGet, path, nil, func(emergencyRow) {})
			}
			if r.form != "json" {
				if err := call(cmd.Context(), r, http.MethodGet, path, nil, r.showEmergency); err != nil {
					return err
				}
				fmt.Fprintln(r.s.out)
			}
			q := url.Values{}
			set(q, "verdict", verdict)
			set(q, "kind", kind)
			return list(cmd.Context(), r, path+"/results", q, []string{"VERDICT", "CLUSTER", "KIND", "NAME", "COMPONENT", "VERSION", "PATH", "NOT READ"}, func(e emergencySeen) []string {
				name := e.Name
				if e.Image != "" {
					name = e.Image
				}
				if w := e.Workload; w != nil {
					name = w.Kind + " " + w.Namespace + "/" + w.Name + " (" + e.Image + ")"
				}
				return []string{e.Verdict, e.Cluster, e.Kind, name, e.Component, e.Version, e.Path, e.NotRead}
			})
		}}
	cmd.Flags().StringVar(&verdict, "verdict", "", "exposed, unknown, version-only, fixed-by-backport, fixed or not-present (default: all but not-present)")
	cmd.Flags().StringVar(&kind, "kind", "", "node, image, cluster, or workload for what runs the images")
	r.limited(cmd)
	return cmd
}

func (r *remote) showEmergency(e emergencyRow) {
	values := []string{"id", e.ID, "name", e.Name, "title", e.Title, "severity", e.Severity, "published", e.Published, "what", e.What, "fix", e.Fix, "affected", strings.Join(e.Affected, "; "),
		"last scan", ago(e.LastScan.At)}
	for _, kind := range e.Where {
		c := e.Counts[kind]
		values = append(values, kind+"s", fmt.Sprintf("%d exposed, %d unknown, %d by version only, %d fixed, %d without it, %d not looked at", c.Exposed, c.Unknown, c.VersionOnly, c.Fixed+c.Backported, c.NotPresent, c.NotLooked))
	}
	r.pairs(values...)
}

func (r *remote) emergencyScan() *cobra.Command {
	var all, watch bool
	cmd := &cobra.Command{Use: "scan ID [CLUSTER...]", Short: "Look for an emergency now", Args: cobra.MinimumNArgs(1),
		Long: "Look for an emergency now: agents verify it at their next contact, images are judged by what is known of them, and nothing is pulled.\n" +
			"With --watch the exit code is 0 when it finished, 3 when a part could not be looked at, 2 when it failed.",
		Example: "  stockade emergency scan CVE-2024-21626 --all --watch\n  stockade emergency scan CVE-2021-44228 shop",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 1) {
				return usage("name clusters, or give --all")
			}
			c, err := r.open()
			if err != nil {
				return err
			}
			body := map[string]any{}
			if all {
				body["allClusters"] = true
			} else {
				ids := []string{}
				for _, a := range args[1:] {
					id, err := named(cmd.Context(), c, "/clusters", a)
					if err != nil {
						return err
					}
					ids = append(ids, id)
				}
				body["clusterIds"] = ids
			}
			var made taskRow
			if err := call(cmd.Context(), r, http.MethodPost, "/emergencies/"+url.PathEscape(args[0])+"/scan", body, func(t taskRow) { made = t; r.showTask(t) }); err != nil {
				return err
			}
			if watch && r.form != "json" {
				return r.watchTask(cmd.Context(), c, made.ID)
			}
			return nil
		}}
	cmd.Flags().BoolVar(&all, "all", false, "all clusters")
	cmd.Flags().BoolVar(&watch, "watch", false, "wait for the end")
	return cmd
}
