package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/api/client"
	"stockade.dev/stockade/internal/fault"
)

// remote is what all commands that talk to a server have.
type remote struct {
	s      streams
	server string // name in the settings
	form   string // table or json
	limit  int
}

func (r *remote) register(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&r.server, "server", "", "server by its name in your settings (default: the last login; $STOCKADE_URL and $STOCKADE_TOKEN win)")
	cmd.PersistentFlags().StringVarP(&r.form, "output", "o", "table", "table or json")
}

// group makes a command that only has commands.
func (r *remote) group(name, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	r.register(cmd)
	cmd.AddCommand(commands...)
	return cmd
}

// open makes the client of the chosen server.
func (r *remote) open() (*client.Client, error) {
	if r.form != "" && r.form != "table" && r.form != "json" {
		return nil, usage("-o %s: want table or json", r.form)
	}
	if u := os.Getenv("STOCKADE_URL"); u != "" && r.server == "" {
		return (&access{URL: u, Token: os.Getenv("STOCKADE_TOKEN"), Pin: os.Getenv("STOCKADE_CA_PIN")}).open(false)
	}
	all, err := readContexts()
	if err != nil {
		return nil, err
	}
	name := r.server
	if name == "" {
		name = all.Current
	}
	a := all.Servers[name]
	if a == nil {
		return nil, &fault.Error{Kind: fault.Usage, Err: fmt.Errorf("you are not signed in to a server %q", name), Hint: "stockade login URL, or set STOCKADE_URL and STOCKADE_TOKEN."}
	}
	return a.open(false)
}

// printable keeps what comes from a server on its line and free of control characters.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 {
			return ' '
		}
		return c
	}, text)
}

// printTable prints rows under a header.
func printTable(w io.Writer, header []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, row := range rows {
		for i := range row {
			if row[i] = printable(row[i]); row[i] == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// list prints a list of the server: as a table, or as an array of what the server says.
func list[T any](ctx context.Context, r *remote, path string, q url.Values, header []string, row func(T) []string) error {
	c, err := r.open()
	if err != nil {
		return err
	}
	all := url.Values{"limit": {"500"}}
	if r.limit > 0 && r.limit < 500 {
		all.Set("limit", strconv.Itoa(r.limit+1)) // one more tells whether there are more
	}
	for k, v := range q {
		all[k] = v
	}
	var raw []json.RawMessage
	more := false
	for item, err := range client.All[json.RawMessage](ctx, c, path, all) {
		if err != nil {
			return answered(err)
		}
		if more = r.limit > 0 && len(raw) == r.limit; more {
			break
		}
		raw = append(raw, item)
	}
	if r.form == "json" {
		return r.json(slices.Concat([]json.RawMessage{}, raw))
	}
	var rows [][]string
	for _, item := range raw {
		var v T
		if err := json.Unmarshal(item, &v); err != nil {
			return fault.Wrap(fault.Internal, "reading the server's answer", err)
		}
		rows = append(rows, row(v))
	}
	if err := printTable(r.s.out, header, rows); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(r.s.err, "There are more: --limit is %d.\n", r.limit)
	}
	return nil
}

// json prints a value with indentation.
func (r *remote) json(v any) error {
	e := json.NewEncoder(r.s.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// call sends a change and prints the answer: with json as it is, else by show.
func call[T any](ctx context.Context, r *remote, method, path string, in any, show func(T)) error {
	c, err := r.open()
	if err != nil {
		return err
	}
	var raw json.RawMessage
	var out any = &raw
	if show == nil {
		out = nil
	}
	if err := c.Call(ctx, method, path, in, out); err != nil {
		return answered(err)
	}
	if show == nil {
		return nil
	}
	if r.form == "json" {
		return r.json(raw)
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return fault.Wrap(fault.Internal, "reading the server's answer", err)
	}
	show(v)
	return nil
}

// pairs prints one thing as lines of name and value; empty values are left out.
func (r *remote) pairs(values ...string) {
	t := tabwriter.NewWriter(r.s.out, 2, 0, 2, ' ', 0)
	for i := 0; i+1 < len(values); i += 2 {
		if values[i+1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", values[i], printable(values[i+1]))
		}
	}
	_ = t.Flush() // to standard output
}

// ago says when something was, shortly.
func ago(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.UTC().Format("2006-01-02 15:04")
}

// named finds the id of a thing by its name or id in a list.
func named(ctx context.Context, c *client.Client, path, name string) (string, error) {
	if name != "" && strings.Trim(name, "0123456789") == "" {
		return name, nil
	}
	for item, err := range client.All[struct{ ID, Name string }](ctx, c, path, url.Values{"search": {name}}) {
		if err != nil {
			return "", answered(err)
		}
		if item.Name == name {
			return item.ID, nil
		}
	}
	return "", fault.New(fault.Input, "there is no %q, or you may not see it", name)
}
