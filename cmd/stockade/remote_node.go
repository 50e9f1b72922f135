package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// nodeRow is what the commands show of a node.
type nodeRow struct {
	ID         string    `json:"id"`
	Cluster    string    `json:"cluster"`
	Name       string    `json:"name"`
	State      string    `json:"state"`
	Reason     string    `json:"reason"`
	SeenAt     time.Time `json:"seenAt"`
	Version    string    `json:"version"`
	FactsAt    time.Time `json:"factsAt"`
	OS         string    `json:"os"`
	Kernel     string    `json:"kernel"`
	Kubelet    string    `json:"kubelet"`
	Runtime    string    `json:"runtime"`
	Roles      []string  `json:"roles"`
	Containers int       `json:"containers"`
	Drifted    int       `json:"drifted"`
	Claim      *struct {
		From   string `json:"from"`
		Reason string `json:"reason"`
	} `json:"claim"`
	Needs []struct {
		Check  string `json:"check"`
		Needs  string `json:"needs"`
		Reason string `json:"reason"`
	} `json:"needs"`
}

func nodeCommand(s streams) *cobra.Command {
	r := &remote{s: s}
	return r.group("node", "Nodes of a server's clusters, and their agents", r.nodeList(), r.nodeShow(), r.nodeEnrol(), r.nodeConfirm(), r.nodeForget())
}

func (r *remote) nodeList() *cobra.Command {
	var search, state, cluster string
	cmd := &cobra.Command{Use: "list", Short: "List nodes, with their agents or without", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			set(q, "q", search)
			set(q, "state", state)
			show := func(ctx context.Context) error {
				return list(ctx, r, "/nodes", q, []string{"ID", "CLUSTER", "NAME", "STATE", "OS", "KUBELET", "CONTAINERS", "LAST CONTACT"}, func(n nodeRow) []string {
					return []string{n.ID, n.Cluster, n.Name, n.State, n.OS, n.Kubelet, strconv.Itoa(n.Containers), ago(n.SeenAt)}
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
	cmd.Flags().StringVar(&search, "search", "", "part of the name")
	cmd.Flags().StringVar(&state, "state", "", "protected, paused, degraded, away, never or unsupported")
	cmd.Flags().StringVar(&cluster, "cluster", "", "name or id of a cluster")
	return cmd
}

func (r *remote) nodeShow() *cobra.Command {
	return &cobra.Command{Use: "show ID", Short: "Show a node and its agent", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := strconv.ParseInt(args[0], 10, 64); err != nil {
				return usage("give the id of the node: stockade node list has it")
			}
			return call(cmd.Context(), r, http.MethodGet, "/nodes/"+args[0], nil, r.showNode)
		}}
}

func (r *remote) showNode(n nodeRow) {
	claim := ""
	if n.Claim != nil {
		claim = "from " + n.Claim.From + ": " + n.Claim.Reason
	}
	r.pairs("id", n.ID, "cluster", n.Cluster, "name", n.Name, "state", n.State, "reason", n.Reason, "agent", n.Version, "last contact", ago(n.SeenAt), "facts", ago(n.FactsAt),
		"system", n.OS, "kernel", n.Kernel, "kubelet", n.Kubelet, "runtime", n.Runtime, "roles", strings.Join(n.Roles, ", "), "containers", strconv.Itoa(n.Containers),
		"with drift", strconv.Itoa(n.Drifted), "refused", claim)
	var rows [][]string
	for _, k := range n.Needs {
		rows = append(rows, []string{k.Check, k.Needs, k.Reason})
	}
	if len(rows) > 0 {
		_ = printTable(r.s.out, []string{"CHECK", "NEEDS", "REASON"}, rows) // to standard output
	}
}

// madeToken is a new token, and what to do with it.
type madeToken struct {
	Objects []struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
		Why  string `json:"why"`
	} `json:"objects"`
	Manifest string `json:"manifest"`
	Values   string `json:"values"`
	Command  string `json:"command"`
	About    struct {
		Uses      int       `json:"uses"`
		ExpiresAt time.Time `json:"expiresAt"`
	} `json:"about"`
}

func (r *remote) nodeEnrol() *cobra.Command {
	var uses, hours int
	var note, form string
	cmd := &cobra.Command{Use: "enrol CLUSTER", Short: "Make a token for agents, and print the manifest with it", Args: cobra.ExactArgs(1),
		Long: `Make a token with which agents of a cluster's nodes enrol, and print what brings them there: a manifest for kubectl apply, values of the
Helm chart in deploy/agent, or the command for a node outside of pods. The token is shown now and never again.`,
		Example: "  stockade node enrol shop | kubectl apply -f -\n  stockade node enrol shop --print command --uses 1",
		RunE: func(cmd *cobra.Command, args []string) error {
			show := map[string]func(madeToken) string{"manifest": func(t madeToken) string { return t.Manifest }, "values": func(t madeToken) string { return t.Values },
				"command": func(t madeToken) string { return t.Command + "\n" }}[form]
			if show == nil {
				return usage("--print %s: want manifest, values or command", form)
			}
			body := map[string]any{"note": note}
			if uses > 0 {
				body["uses"] = uses
			}
			if hours > 0 {
				body["hours"] = hours
			}
			return r.cluster(cmd.Context(), args[0], func(id string) error {
				return call(cmd.Context(), r, http.MethodPost, "/clusters/"+id+"/agents/tokens", body, func(t madeToken) {
					if form != "command" {
						for _, o := range t.Objects {
							fmt.Fprintf(r.s.err, "creates %s %s: %s\n", o.Kind, printable(o.Name), printable(o.Why))
						}
					}
					fmt.Fprintf(r.s.err, "the token is good for %d nodes until %s\n", t.About.Uses, t.About.ExpiresAt.Format(time.RFC3339))
					_, _ = io.WriteString(r.s.out, show(t)) // to standard output
				})
			})
		}}
	cmd.Flags().IntVar(&uses, "uses", 0, "for how many nodes the token is good (default 1000)")
	cmd.Flags().IntVar(&hours, "hours", 0, "how long it is good (default 168)")
	cmd.Flags().StringVar(&note, "note", "", "what it is for")
	cmd.Flags().StringVar(&form, "print", "manifest", "manifest, values or command")
	return cmd
}

func (r *remote) nodeConfirm() *cobra.Command {
	return &cobra.Command{Use: "confirm ID", Short: "Let a machine that was refused be the node from now on", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.ofNode(cmd.Context(), http.MethodPost, args[0], "/confirm", "its next try is let in")
		}}
}

func (r *remote) nodeForget() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{Use: "forget ID", Short: "Forget a node's agent: its certificate is good for nothing from then on", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return usage("the node will not be looked at any more until an agent enrols anew: say --yes")
			}
			return r.ofNode(cmd.Context(), http.MethodDelete, args[0], "", "forgotten")
		}}
	cmd.Flags().BoolVar(&yes, "yes", false, "forget it")
	return cmd
}

// ofNode does something to a node by its id.
func (r *remote) ofNode(ctx context.Context, method, id, path, done string) error {
	if _, err := strconv.ParseInt(id, 10, 64); err != nil {
		return usage("give the id of the node: stockade node list has it")
	}
	err := call[struct{}](ctx, r, method, "/nodes/"+id+path, nil, nil)
	if err == nil {
		fmt.Fprintln(r.s.out, done)
	}
	return err
}
