package main

import (
	"bufio"
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
	"stockade.dev/stockade/internal/protect"
)

func protectCommand(s streams) *cobra.Command {
	r := &remote{s: s}
	cmd := r.group("protect", "Protection of clusters: what may enter them", r.protectEnable(), r.protectDisable(), r.protectStatus(), r.protectTest(), protectBundle(s))
	cmd.Long = `Keeps dangerous images and resources out of clusters. Enabling brings Gatekeeper and the provider into a cluster, or adopts the
Gatekeeper that is there; policies say what is refused.`
	cmd.Example = `  stockade protect enable shop
  stockade protect status shop
  stockade protect disable shop
  stockade protect bundle -o protect.tar --image gatekeeper.tar --image stockade.tar`
	return cmd
}

// protection is what the commands show of a cluster's protection.
type protection = protect.Status

// protectFlags are the settings that enabling takes.
type protectFlags struct {
	yes, adopt, takeover, wait, failClosed bool
	gatekeeperImage, providerImage, mirror string
	pullSecrets, system                    []string
	server, language                       string
	timeout                                time.Duration
}

func (r *remote) protectEnable() *cobra.Command {
	var f protectFlags
	cmd := &cobra.Command{Use: "enable NAME|ID", Short: "Protect a cluster", Args: cobra.ExactArgs(1),
		Long: `Shows what would be created in the cluster, asks for consent, and follows the installation. What stands in the way (permissions,
version, a Gatekeeper that is there already) is said before anything is created.

Exit codes: 0 protected; 2 it cannot be done, or no consent; 3 it was begun and is not done after --timeout.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.cluster(cmd.Context(), args[0], func(id string) error { return r.enable(cmd.Context(), cmd, id, &f) })
		}}
	p := cmd.Flags()
	p.BoolVarP(&f.yes, "yes", "y", false, "consent without being asked")
	p.BoolVar(&f.adopt, "adopt", false, "use the Gatekeeper that is there, as it is")
	p.BoolVar(&f.takeover, "takeover", false, "replace the Gatekeeper that is there by ours")
	p.BoolVar(&f.failClosed, "fail-closed", false, "refuse what Gatekeeper does not answer in time, outside of system namespaces")
	p.StringVar(&f.gatekeeperImage, "gatekeeper-image", "", "image of Gatekeeper (default the release that the server was built with)")
	p.StringVar(&f.providerImage, "provider-image", "", "image of the provider (default the server's own)")
	p.StringVar(&f.mirror, "registry", "", "registry that has both images under their paths: registry.example.com/mirror")
	p.StringSliceVar(&f.pullSecrets, "pull-secret", nil, "Secrets with the registry's credentials, in the plug-ins' namespaces")
	p.StringSliceVar(&f.system, "system-namespace", nil, "namespaces that policies leave alone, beside the usual ones")
	p.StringVar(&f.server, "server-address", "", "https://host:port at which the provider reaches the server (default its public URL)")
	p.StringVar(&f.language, "language", "", "of refusals: en or zh")
	p.BoolVar(&f.wait, "wait", true, "follow the installation to its end")
	p.DurationVar(&f.timeout, "timeout", 10*time.Minute, "how long to follow it")
	cmd.MarkFlagsMutuallyExclusive("adopt", "takeover")
	return cmd
}

// settings are those of the cluster with what the flags change.
func (f *protectFlags) settings(cmd *cobra.Command, set protect.Settings) protect.Settings {
	for flag, change := range map[string]func(){
		"adopt": func() { set.Gatekeeper.Mode = protect.Adopt }, "takeover": func() { set.Gatekeeper.Mode = protect.TakeOver },
		"fail-closed": func() { set.FailClosed = f.failClosed }, "gatekeeper-image": func() { set.Gatekeeper.Image.Image = f.gatekeeperImage },
		"provider-image":   func() { set.Provider.Image.Image = f.providerImage },
		"registry":         func() { set.Gatekeeper.Registry, set.Provider.Registry = f.mirror, f.mirror },
		"pull-secret":      func() { set.Gatekeeper.PullSecrets, set.Provider.PullSecrets = f.pullSecrets, f.pullSecrets },
		"system-namespace": func() { set.SystemNamespaces = f.system }, "server-address": func() { set.Server = f.server }, "language": func() { set.Language = f.language },
	} {
		if cmd.Flags().Changed(flag) {
			change()
		}
	}
	return set
}

func (r *remote) enable(ctx context.Context, cmd *cobra.Command, id string, f *protectFlags) error {
	c, err := r.open()
	if err != nil {
		return err
	}
	var st protection
	if err := c.Call(ctx, http.MethodGet, "/protection/"+id, nil, &st); err != nil {
		return answered(err)
	}
	set := f.settings(cmd, st.Settings)
	var plan protect.Plan
	if err := c.Call(ctx, http.MethodPost, "/protection/"+id+"/plan", map[string]any{"settings": set}, &plan); err != nil {
		return answered(err)
	}
	r.showPlan(&plan)
	if len(plan.Stops) > 0 {
		return &fault.Error{Kind: fault.Input, Op: "protecting " + st.Name, Err: fmt.Errorf("%s", printable(strings.Join(plan.Stops, "; "))), Hint: "Nothing was changed."}
	}
	if !f.yes && !r.consent(fmt.Sprintf("Create these %d objects in cluster %s? [y/N] ", len(plan.Objects), printable(st.Name))) {
		return fault.New(fault.Usage, "no consent: nothing was changed (--yes gives it)")
	}
	if err := c.Call(ctx, http.MethodPost, "/protection/"+id+"/enable", map[string]any{"consent": true, "settings": set}, &st); err != nil {
		return answered(err)
	}
	if !f.wait {
		return r.shown(&st)
	}
	return r.follow(ctx, c, id, f.timeout, protect.Protected, protect.NoPolicy, protect.PolicyFailed)
}

// consent asks, when somebody is there.
func (r *remote) consent(question string) bool {
	fmt.Fprint(r.s.err, question)
	line, err := bufio.NewReader(r.s.in).ReadString('\n')
	if err != nil && line == "" {
		fmt.Fprintln(r.s.err)
		return false
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// showPlan prints what would be created, on standard error with the form json: there the answer is the result alone.
func (r *remote) showPlan(p *protect.Plan) {
	w := r.s.out
	if r.form == "json" {
		w = r.s.err
	}
	if !p.Reachable {
		return
	}
	fmt.Fprintf(w, "Kubernetes %s", printable(p.Version))
	for _, a := range p.Architectures {
		fmt.Fprintf(w, ", %d nodes %s", a.Count, printable(a.Name))
	}
	fmt.Fprintln(w)
	if g := p.Gatekeeper; g != nil {
		fmt.Fprintf(w, "There is a Gatekeeper %s in namespace %s already.\n", printable(g.Version), printable(g.Namespace))
		var rows [][]string
		for _, d := range g.Differences {
			rows = append(rows, []string{d.Setting, d.Found, d.Wanted, d.Effect})
		}
		if len(rows) > 0 {
			_ = printTable(w, []string{"SETTING", "FOUND", "OURS", "EFFECT"}, rows) // to a terminal
		}
	}
	var lacking [][]string
	for _, x := range p.Permissions {
		if !x.Allowed && !x.Optional {
			lacking = append(lacking, []string{x.Verb, x.Resource, x.Group, x.Namespace, x.For})
		}
	}
	if len(lacking) > 0 {
		fmt.Fprintln(w, "\nThe credentials may not:")
		_ = printTable(w, []string{"VERB", "RESOURCE", "GROUP", "NAMESPACE", "NEEDED FOR"}, lacking)
		fmt.Fprintf(w, "\nThis grants it:\n%s\n", p.Grant)
	}
	rows := make([][]string, len(p.Objects))
	for i, o := range p.Objects {
		rows[i] = []string{o.Kind, o.Namespace, o.Name, o.Why}
	}
	fmt.Fprintln(w, "\nWhat would be created:")
	_ = printTable(w, []string{"KIND", "NAMESPACE", "NAME", "WHY"}, rows)
	fmt.Fprintf(w, "\nImages: %s\n", printable(strings.Join(p.Images, ", ")))
	for _, x := range p.Warnings {
		fmt.Fprintln(w, "Warning:", printable(x))
	}
}

func (r *remote) protectDisable() *cobra.Command {
	var keep, foreign, giveUp, yes, waits bool
	var timeout time.Duration
	cmd := &cobra.Command{Use: "disable NAME|ID", Short: "End the protection of a cluster, and take everything out of it", Args: cobra.ExactArgs(1),
		Long: `Webhooks go first, then policies, the provider, and Gatekeeper when it was installed by us. What is left behind is nothing, and
that is checked. An adopted Gatekeeper stays as it was.

Exit codes: 0 done; 2 it cannot be done; 3 it was begun and is not done after --timeout.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.cluster(cmd.Context(), args[0], func(id string) error {
				if !yes && !r.consent("Nothing will keep dangerous images and resources out of "+printable(args[0])+" then. Go on? [y/N] ") {
					return fault.New(fault.Usage, "no consent: nothing was changed (--yes gives it)")
				}
				c, err := r.open()
				if err != nil {
					return err
				}
				var st protection
				body := map[string]any{"keepPlugins": keep, "foreignToo": foreign, "giveUp": giveUp}
				if err := c.Call(cmd.Context(), http.MethodPost, "/protection/"+id+"/disable", body, &st); err != nil {
					return answered(err)
				}
				if !waits || giveUp {
					return r.shown(&st)
				}
				return r.follow(cmd.Context(), c, id, timeout, protect.Unprotected)
			})
		}}
	p := cmd.Flags()
	p.BoolVar(&keep, "keep-plugins", false, "Gatekeeper stays, without our policies")
	p.BoolVar(&foreign, "foreign-too", false, "templates and constraints of others in our Gatekeeper go too")
	p.BoolVar(&giveUp, "give-up", false, "the cluster is gone for good: forget its protection")
	p.BoolVarP(&yes, "yes", "y", false, "consent without being asked")
	p.BoolVar(&waits, "wait", true, "follow the removal to its end")
	p.DurationVar(&timeout, "timeout", 10*time.Minute, "how long to follow it")
	return cmd
}

// follow prints steps as they are done, until one of the states is reached.
func (r *remote) follow(ctx context.Context, c *client.Client, id string, timeout time.Duration, until ...protect.State) error {
	told := map[string]protect.Progress{}
	last := ""
	for end := time.Now().Add(timeout); ; {
		var st protection
		if err := c.Call(ctx, http.MethodGet, "/protection/"+id, nil, &st); err != nil {
			return answered(err)
		}
		for _, x := range st.Steps {
			if told[x.Name] == x.State || x.State == protect.Waits {
				continue
			}
			told[x.Name] = x.State
			fmt.Fprintf(r.s.err, "%-8s %s\n", x.State, printable(x.Title.EN))
		}
		if st.Reason != "" && st.Reason != last {
			last = st.Reason
			fmt.Fprintf(r.s.err, "         %s\n", printable(last))
		}
		switch {
		case slices.Contains(until, st.State):
			return r.shown(&st)
		case st.State == protect.Failed, st.State == protect.RemoveFailed:
			_ = r.shown(&st) // the error says it too
			return fault.New(fault.Partial, "%s: %s (it is tried again by itself)", st.State, printable(st.Reason))
		case time.Now().After(end):
			_ = r.shown(&st)
			return fault.New(fault.Partial, "not done after %s: %s; stockade protect status %s shows how it goes on", timeout, printable(st.Reason), printable(st.Name))
		}
		select {
		case <-ctx.Done():
			return fault.Wrap(fault.Partial, "following", ctx.Err())
		case <-time.After(time.Second):
		}
	}
}

// shown prints how a cluster is protected.
func (r *remote) shown(st *protection) error {
	if r.form == "json" {
		return r.json(st)
	}
	gatekeeper := ""
	if g := st.Gatekeeper; g != nil {
		gatekeeper = g.Version + " in " + g.Namespace
		if !g.Ours {
			gatekeeper += ", adopted"
		}
	}
	r.pairs("cluster", st.Name, "state", string(st.State), "reason", st.Reason, "gatekeeper", gatekeeper, "policies", strconv.Itoa(st.Policies), "constraints", strconv.Itoa(st.Constraints),
		"providers", fmt.Sprintf("%d of %d", st.Alive, st.WantedAlive), "in force", st.Generation)
	for _, p := range st.Problems {
		fmt.Fprintln(r.s.out, "problem:", printable(p.Reason))
	}
	if st.State.On() {
		var rows [][]string
		for _, x := range st.Certificates {
			rows = append(rows, []string{x.Name, x.Ends.UTC().Format("2006-01-02"), x.Renewed.UTC().Format("2006-01-02"), x.By})
		}
		if len(rows) > 0 {
			fmt.Fprintln(r.s.out)
			return printTable(r.s.out, []string{"CERTIFICATE", "ENDS", "RENEWED FROM", "BY"}, rows)
		}
	}
	return nil
}

func (r *remote) protectStatus() *cobra.Command {
	return &cobra.Command{Use: "status [NAME|ID]", Short: "How clusters are protected, or one of them", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return list(cmd.Context(), r, "/protection", url.Values{}, []string{"ID", "CLUSTER", "STATE", "POLICIES", "PROVIDERS", "GATEKEEPER", "DRIFT", "REASON"}, func(p protect.Summary) []string {
					return []string{strconv.FormatInt(p.TargetID, 10), p.Name, string(p.State), strconv.Itoa(p.Policies), fmt.Sprintf("%d/%d", p.Alive, p.WantedAlive), p.GatekeeperVersion, strconv.Itoa(p.Drifted), p.Reason}
				})
			}
			return r.cluster(cmd.Context(), args[0], func(id string) error {
				c, err := r.open()
				if err != nil {
					return err
				}
				var raw json.RawMessage
				if err := c.Call(cmd.Context(), http.MethodGet, "/protection/"+id, nil, &raw); err != nil {
					return answered(err)
				}
				if r.form == "json" {
					return r.json(raw)
				}
				var st protection
				if err := json.Unmarshal(raw, &st); err != nil {
					return fault.Wrap(fault.Internal, "reading the server's answer", err)
				}
				return r.shown(&st)
			})
		}}
}

func (r *remote) protectTest() *cobra.Command {
	var namespace string
	cmd := &cobra.Command{Use: "test NAME|ID", Short: "Send a bad pod as a dry run, and show who refuses it", Args: cobra.ExactArgs(1),
		Long: "The pod is never created. Exit codes: 0 it was refused by protection; 3 it was not; 2 it could not be tried.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.cluster(cmd.Context(), args[0], func(id string) error {
				refused := false
				err := call(cmd.Context(), r, http.MethodPost, "/protection/"+id+"/self-test", map[string]string{"namespace": namespace}, func(t protect.SelfTest) {
					refused = t.Refused
					for _, line := range t.Lines {
						fmt.Fprintln(r.s.out, printable(line))
					}
					for _, line := range t.Warnings {
						fmt.Fprintln(r.s.out, "Warning:", printable(line))
					}
					fmt.Fprintf(r.s.out, "%s (%.0f ms)\n", printable(t.Meaning), t.Millis)
				})
				if err == nil && !refused && r.form != "json" {
					return fault.New(fault.Partial, "nothing refused the pod")
				}
				return err
			})
		}}
	cmd.Flags().StringVar(&namespace, "namespace", "", "in which the pod would be (default: default)")
	return cmd
}

// protectBundle writes what an installation without a registry needs. It asks no server.
func protectBundle(s streams) *cobra.Command {
	var out string
	var images []string
	cmd := &cobra.Command{Use: "bundle -o FILE.tar", Short: "Write all that protecting clusters without internet needs into one file", Args: cobra.NoArgs,
		Long: `The file holds Gatekeeper's manifests and licence, the images that --image names (OCI layouts or docker save archives) with their
digests, and what to do with them.`,
		Example: "  stockade protect bundle -o protect.tar --image gatekeeper.tar --image stockade.tar",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usage("give -o FILE.tar")
			}
			if _, err := os.Stat(out); err == nil {
				return usage("%s is there already: it is not overwritten", out)
			}
			index, err := protect.WriteBundle(cmd.Context(), out, release, images)
			if err != nil {
				return fault.Wrap(fault.Input, "writing "+out, err)
			}
			rows := make([][]string, len(index.Images))
			for i, x := range index.Images {
				rows[i] = []string{x.Reference, x.Digest, x.File}
			}
			fmt.Fprintf(s.out, "Gatekeeper %s; needed images:\n", index.Gatekeeper)
			return printTable(s.out, []string{"IMAGE", "DIGEST", "FILE"}, rows)
		}}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write")
	cmd.Flags().StringArrayVar(&images, "image", nil, "image archive to put in: an OCI layout as tar, or what docker save writes")
	return cmd
}
