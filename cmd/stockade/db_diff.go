package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/fault"
)

// streamDiff is what changed in one stream: packages' ids.
type streamDiff struct {
	Stream  string `json:"stream"`
	Before  int    `json:"rowsBefore"`
	After   int    `json:"rowsAfter"`
	Added   int    `json:"added"`
	Removed int    `json:"removed"`
	Changed int    `json:"changed"`
}

// idDiff is one id of one package.
type idDiff struct {
	Change  string `json:"change"` // added, removed or changed
	Stream  string `json:"stream"`
	Package string `json:"package"`
	ID      string `json:"id"`
}

func dbDiff(s streams) *cobra.Command {
	var form string
	var list bool
	cmd := &cobra.Command{Use: "diff A B", Short: "Show what changed between two databases", Args: cobra.ExactArgs(2),
		Long: `Compare two databases (folders or match.db files): rows by stream, and the ids of packages that were added, removed or
changed. The exit code is 0 whether they differ or not.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if form != "table" && form != "json" {
				return usage("output form %q: want table or json", form)
			}
			a, err := openDatabase(args[0], database.Options{NoText: true})
			if err != nil {
				return err
			}
			defer a.Close()
			b, err := openDatabase(args[1], database.Options{NoText: true})
			if err != nil {
				return err
			}
			defer b.Close()
			return showDiff(s, a, b, form, list)
		}}
	cmd.Flags().StringVarP(&form, "output", "o", "table", "table or json")
	cmd.Flags().BoolVar(&list, "list", false, "list every id that was added (+), removed (-) or changed (~)")
	return cmd
}

func showDiff(s streams, a, b *database.DB, form string, list bool) error {
	streams := map[string]*streamDiff{}
	of := func(name string) *streamDiff {
		if streams[name] == nil {
			streams[name] = &streamDiff{Stream: name}
		}
		return streams[name]
	}
	for _, st := range a.Info().Streams {
		of(st.Name()).Before = st.Rows
	}
	for _, st := range b.Info().Streams {
		of(st.Name()).After = st.Rows
	}
	ids := []idDiff{}
	err := database.Diff(a, b, func(c database.Change) error {
		d := of(c.Stream)
		what := ""
		switch c.Kind {
		case '+':
			d.Added++
			what = "added"
		case '-':
			d.Removed++
			what = "removed"
		default:
			d.Changed++
			what = "changed"
		}
		switch {
		case form == "json":
			ids = append(ids, idDiff{what, c.Stream, c.Package, c.ID})
		case list:
			fmt.Fprintf(s.out, "%c %s  %s  %s\n", c.Kind, c.Stream, c.Package, c.ID)
		}
		return nil
	})
	if err != nil {
		return fault.Wrap(fault.Input, "comparing", err)
	}
	changed := []*streamDiff{}
	for _, name := range slices.Sorted(maps.Keys(streams)) {
		if d := streams[name]; d.Before != d.After || d.Added+d.Removed+d.Changed > 0 {
			changed = append(changed, d)
		}
	}
	if form == "json" {
		return writeJSON(s, struct {
			Streams []*streamDiff `json:"streams"`
			IDs     []idDiff      `json:"ids"`
		}{changed, ids})
	}
	if len(changed) == 0 {
		fmt.Fprintln(s.out, "no row differs")
		return nil
	}
	t := newTable(s)
	t.AppendHeader(table.Row{"System", "Rows before", "after", "Ids added", "removed", "changed"})
	for _, d := range changed {
		t.AppendRow(table.Row{d.Stream, d.Before, d.After, d.Added, d.Removed, d.Changed})
	}
	t.Render()
	return nil
}
