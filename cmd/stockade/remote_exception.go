package main

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/fault"
)

// exceptionRow is what the commands show of an exception.
type exceptionRow struct {
	ID        string            `json:"id"`
	Status    string            `json:"status"`
	TargetID  string            `json:"targetId"`
	Scope     map[string]string `json:"scope"`
	Reason    string            `json:"reason"`
	Category  string            `json:"category"`
	Requester string            `json:"requester"`
	Approver  string            `json:"approver"`
	Note      string            `json:"note"`
	AskedAt   time.Time         `json:"askedAt"`
	Expires   string            `json:"expires"`
	UntilFix  bool              `json:"untilFix"`
	Findings  int               `json:"findings"`
	Unused    bool              `json:"unused"`
	Revision  int               `json:"revision"`
}

// scopeNames are the parts of a scope, in the order in which they are shown.
var scopeNames = []string{"fingerprint", "rule", "cve", "package", "version", "purl", "image", "digest", "namespace", "kind", "name", "container", "file", "node", "labels"}

func (e exceptionRow) scope() string {
	text := ""
	if e.TargetID != "" {
		text = "target=" + e.TargetID
	}
	for _, n := range scopeNames {
		if v := e.Scope[n]; v != "" {
			if text != "" {
				text += " "
			}
			text += n + "=" + v
		}
	}
	return text
}

func (e exceptionRow) end() string {
	switch {
	case e.UntilFix && e.Expires != "":
		return e.Expires + " or a fix"
	case e.UntilFix:
		return "a fix"
	}
	return e.Expires
}

func exceptionCommand(s streams) *cobra.Command {
	r := &remote{s: s}
	return r.group("exception", "Accepted findings on a server: ask, approve, deny, export", r.exceptionList(), r.exceptionShow(), r.exceptionCreate(),
		r.exceptionDecide("approve", "Approve an exception: its findings are accepted"), r.exceptionDecide("deny", "Deny an exception"),
		r.exceptionDecide("cancel", "Take a request back, or end an exception: its findings reopen"), r.exceptionFile())
}

func (r *remote) exceptionList() *cobra.Command {
	var status []string
	var query string
	var unused bool
	cmd := &cobra.Command{Use: "list", Short: "List exceptions", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			for _, v := range status {
				q.Add("status", v)
			}
			set(q, "q", query)
			if unused {
				q.Set("unused", "true")
			}
			return list(cmd.Context(), r, "/exceptions", q, []string{"ID", "STATUS", "ACCEPTS", "SCOPE", "UNTIL", "REQUESTER", "REASON"}, func(e exceptionRow) []string {
				return []string{e.ID, e.Status, strconv.Itoa(e.Findings), e.scope(), e.end(), e.Requester, e.Reason}
			})
		}}
	cmd.Flags().StringSliceVar(&status, "status", nil, "pending, approved, denied, canceled, expired, ended-by-fix; repeatable")
	cmd.Flags().StringVar(&query, "search", "", "part of the reason, the scope or the requester's name")
	cmd.Flags().BoolVar(&unused, "unused", false, "only approved ones with nothing to accept")
	r.limited(cmd)
	return cmd
}

func (r *remote) showException(e exceptionRow) {
	r.pairs("id", e.ID, "status", e.Status, "scope", e.scope(), "accepts", strconv.Itoa(e.Findings), "reason", e.Reason, "category", e.Category, "until", e.end(),
		"asked", ago(e.AskedAt), "requester", e.Requester, "approver", e.Approver, "note", e.Note)
}

func (r *remote) exceptionShow() *cobra.Command {
	return &cobra.Command{Use: "show ID", Short: "Show an exception", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return call(cmd.Context(), r, http.MethodGet, "/exceptions/"+url.PathEscape(args[0]), nil, r.showException)
		}}
}

func (r *remote) exceptionCreate() *cobra.Command {
	scope := map[string]*string{}
	var cluster, findingID, reason, category, expires string
	var untilFix bool
	cmd := &cobra.Command{Use: "create", Short: "Ask for an exception", Args: cobra.NoArgs,
		Example: `  stockade exception create --cve CVE-2021-44228 --image registry.example.com/shop/till --until-fix --reason "the vendor ships a fix in May"
  stockade exception create --finding 1234 --reason "test system" --expires 2027-03-31`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body := map[string]any{"reason": reason, "category": category}
			parts := map[string]string{}
			for name, v := range scope {
				if *v != "" {
					parts[name] = *v
				}
			}
			switch {
			case findingID != "":
				body["findingId"] = findingID
			case len(parts) == 0 && cluster == "":
				return usage("say what to accept: --finding ID, or a scope such as --rule, --cve, --image, --namespace")
			}
			body["scope"] = parts
			c, err := r.open()
			if err != nil {
				return err
			}
			if cluster != "" {
				if body["targetId"], err = named(cmd.Context(), c, "/clusters", cluster); err != nil {
					return err
				}
			}
			if untilFix {
				body["untilFix"] = true
			}
			if expires != "" {
				body["expires"] = expires
			}
			return call(cmd.Context(), r, http.MethodPost, "/exceptions", body, r.showException)
		}}
	fl := cmd.Flags()
	for _, n := range scopeNames {
		scope[n] = fl.String(n, "", "part of the scope")
	}
	fl.StringVar(&findingID, "finding", "", "id of one finding")
	fl.StringVar(&cluster, "cluster", "", "only in this cluster: name or id")
	fl.StringVar(&reason, "reason", "", "why (needed)")
	fl.StringVar(&category, "category", "risk-accepted", "risk-accepted, false-positive, mitigated, not-relevant or other")
	fl.StringVar(&expires, "expires", "", "last day (2027-03-31) or time")
	fl.BoolVar(&untilFix, "until-fix", false, "until a fixed version is known")
	_ = cmd.MarkFlagRequired("reason") // the flag is there
	return cmd
}

// exceptionDecide makes a command that reads the exception first and decides on what it read.
func (r *remote) exceptionDecide(verb, short string) *cobra.Command {
	var note string
	cmd := &cobra.Command{Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/exceptions/" + url.PathEscape(args[0])
			quiet := *r
			quiet.form = ""
			var seen exceptionRow
			if err := call(cmd.Context(), &quiet, http.MethodGet, path, nil, func(e exceptionRow) { seen = e }); err != nil {
				return err
			}
			body := map[string]any{"revision": seen.Revision}
			if note != "" {
				body["note"] = note
			}
			return call(cmd.Context(), r, http.MethodPost, path+"/"+verb, body, r.showException)
		}}
	cmd.Flags().StringVar(&note, "note", "", "why")
	return cmd
}

func (r *remote) exceptionFile() *cobra.Command {
	var cluster string
	cmd := &cobra.Command{Use: "file", Short: "Print the approved exceptions as a file for stockade scan --exceptions", Args: cobra.NoArgs,
		Example: "  stockade exception file --cluster shop > exceptions.yaml && stockade scan iac . --exceptions exceptions.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			q := url.Values{}
			set(q, "cluster", cluster)
			path := "/exceptions/file"
			if len(q) > 0 {
				path += "?" + q.Encode()
			}
			return fault.Wrap(fault.Input, "", answered(c.Download(cmd.Context(), path, "application/yaml", r.s.out)))
		}}
	cmd.Flags().StringVar(&cluster, "cluster", "", "what holds in this cluster or project: name or id (default: what holds everywhere)")
	return cmd
}

// limited adds the flag that bounds a list.
func (r *remote) limited(cmd *cobra.Command) {
	cmd.Flags().IntVar(&r.limit, "limit", 200, "most rows; 0 for all")
}
