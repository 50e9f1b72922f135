package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/fault"
)

// clusterRow is what the commands show of a cluster.
type clusterRow struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	Kind         string    `json:"kind"`
	State        string    `json:"state"`
	Reason       string    `json:"reason"`
	Problem      string    `json:"problem"`
	Hint         string    `json:"hint"`
	Version      string    `json:"version"`
	Distribution string    `json:"distribution"`
	Nodes        int       `json:"nodes"`
	ContactAt    time.Time `json:"contactAt"`
	LookedAt     time.Time `json:"lookedAt"`
	Server       string    `json:"server"`
	Permissions  []struct {
		Group    string `json:"group"`
		Resource string `json:"resource"`
		Verb     string `json:"verb"`
		Allowed  bool   `json:"allowed"`
		Feature  string `json:"feature"`
	} `json:"permissions"`
	Grant string `json:"grant"`
}

func clusterCommand(s streams) *cobra.Command {
	r := &remote{s: s}
	return r.group("cluster", "Clusters of a server", r.clusterList(), r.clusterAdd(), r.clusterShow(), r.clusterCheck(), r.clusterRemove(), r.clusterConnector())
}

func (r *remote) clusterList() *cobra.Command {
	var search, state string
	cmd := &cobra.Command{Use: "list", Short: "List clusters", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			set(q, "search", search)
			set(q, "state", state)
			return list(cmd.Context(), r, "/clusters", q, []string{"ID", "NAME", "STATE", "VERSION", "DISTRIBUTION", "NODES", "LAST CONTACT", "LAST SCAN"}, func(c clusterRow) []string {
				return []string{c.ID, c.Name, c.State, c.Version, c.Distribution, strconv.Itoa(c.Nodes), ago(c.ContactAt), ago(c.LookedAt)}
			})
		}}
	cmd.Flags().StringVar(&search, "search", "", "part of the name")
	cmd.Flags().StringVar(&state, "state", "", "never, connected, unreachable, refused or waiting")
	return cmd
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

func (r *remote) clusterAdd() *cobra.Command {
	var kubeconfig, kubeContext string
	var inCluster, connector, unchecked bool
	cmd := &cobra.Command{Use: "add NAME", Short: "Add a cluster", Args: cobra.ExactArgs(1),
		Long: `Add a cluster by a kubeconfig with everything embedded, by the service account of the server's own pod, or by a connector that
opens a tunnel from inside the cluster. The server checks it first.`,
		Example: `  stockade cluster add shop --kubeconfig shop.yaml
  stockade cluster add shop --connector && stockade cluster connector shop > connector.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"name": args[0], "kind": "kubeconfig"}
			switch {
			case inCluster:
				body["kind"] = "in-cluster"
			case connector:
				body["kind"] = "connector"
			case kubeconfig == "":
				return usage("say how the cluster is reached: --kubeconfig FILE, --in-cluster or --connector")
			default:
				text, err := os.ReadFile(kubeconfig)
				if err != nil {
					return fault.Wrap(fault.Input, "--kubeconfig", err)
				}
				body["kubeconfig"] = string(text)
				if kubeContext != "" {
					body["context"] = kubeContext
				}
			}
			if unchecked {
				body["unchecked"] = true
			}
			return call(cmd.Context(), r, http.MethodPost, "/clusters", body, func(c clusterRow) { r.pairs("id", c.ID, "name", c.Name, "state", c.State, "reason", c.Reason) })
		}}
	fl := cmd.Flags()
	fl.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file with everything embedded")
	fl.StringVar(&kubeContext, "context", "", "context of the kubeconfig")
	fl.BoolVar(&inCluster, "in-cluster", false, "the cluster that the server runs in")
	fl.BoolVar(&connector, "connector", false, "a connector will open a tunnel")
	fl.BoolVar(&unchecked, "unchecked", false, "add it although it does not answer now")
	cmd.MarkFlagsMutuallyExclusive("kubeconfig", "in-cluster", "connector")
	return cmd
}

// cluster runs f with the id of the cluster that is named.
func (r *remote) cluster(ctx context.Context, name string, f func(id string) error) error {
	c, err := r.open()
	if err != nil {
		return err
	}
	id, err := named(ctx, c, "/clusters", name)
	if err != nil {
		return err
	}
	return f(id)
}

func (r *remote) clusterShow() *cobra.Command {
	return &cobra.Command{Use: "show NAME|ID", Short: "Show a cluster: state, version, permissions", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.cluster(cmd.Context(), args[0], func(id string) error {
				return call(cmd.Context(), r, http.MethodGet, "/clusters/"+id, nil, r.showCluster)
			})
		}}
}

func (r *remote) showCluster(c clusterRow) {
	r.pairs("id", c.ID, "name", c.Name, "kind", c.Kind, "state", c.State, "reason", c.Reason, "version", c.Version, "distribution", c.Distribution,
		"nodes", strconv.Itoa(c.Nodes), "server", c.Server, "last contact", ago(c.ContactAt), "last scan", ago(c.LookedAt))
	r.showPermissions(c)
}

func (r *remote) showPermissions(c clusterRow) {
	var rows [][]string
	for _, p := range c.Permissions {
		if !p.Allowed {
			rows = append(rows, []string{p.Verb, p.Resource, p.Group, p.Feature})
		}
	}
	if len(rows) > 0 {
		fmt.Fprintln(r.s.out, "\nThe credentials may not:")
		_ = printTable(r.s.out, []string{"VERB", "RESOURCE", "GROUP", "NEEDED FOR"}, rows) // to standard output
		fmt.Fprintf(r.s.out, "\nThis grants it:\n%s\n", c.Grant)
	}
}

func (r *remote) clusterCheck() *cobra.Command {
	return &cobra.Command{Use: "check NAME|ID", Short: "Ask a cluster now whether it answers, and what the server may read", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.cluster(cmd.Context(), args[0], func(id string) error {
				return call(cmd.Context(), r, http.MethodPost, "/clusters/"+id+"/check", nil, func(c clusterRow) {
					r.pairs("state", c.State, "problem", c.Problem, "hint", c.Hint, "version", c.Version, "distribution", c.Distribution)
					r.showPermissions(c)
				})
			})
		}}
}

func (r *remote) clusterRemove() *cobra.Command {
	return &cobra.Command{Use: "remove NAME|ID", Short: "Remove a cluster: its credentials are forgotten, its findings stay", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.cluster(cmd.Context(), args[0], func(id string) error {
				return call[any](cmd.Context(), r, http.MethodDelete, "/clusters/"+id, nil, nil)
			})
		}}
}

func (r *remote) clusterConnector() *cobra.Command {
	var hours int
	var values, preview bool
	cmd := &cobra.Command{Use: "connector NAME|ID", Short: "Print the manifest of a cluster's connector, with a new one-time token", Args: cobra.ExactArgs(1),
		Example: "  stockade cluster connector shop | kubectl --context shop apply -f -",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.cluster(cmd.Context(), args[0], func(id string) error {
				method, body := http.MethodPost, any(map[string]int{"hours": hours})
				if preview {
					method, body = http.MethodGet, nil
				}
				return call(cmd.Context(), r, method, "/clusters/"+id+"/connector", body, func(i struct {
					Manifest string `json:"manifest"`
					Values   string `json:"values"`
				}) {
					text := i.Manifest
					if values {
						text = i.Values
					}
					fmt.Fprintln(r.s.out, text)
				})
			})
		}}
	cmd.Flags().IntVar(&hours, "hours", 24, "how long the token is good")
	cmd.Flags().BoolVar(&values, "values", false, "print values for the Helm chart in place of the manifest")
	cmd.Flags().BoolVar(&preview, "preview", false, "without a token: to look at what it brings")
	return cmd
}
