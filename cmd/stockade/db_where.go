package main

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/match"
)

// exposure is one package that has a vulnerability, as `db where -o json` shows it.
type exposure struct {
	Inventory string `json:"inventory"`
	Package   string `json:"package"`
	Version   string `json:"version"`
	Fixed     string `json:"fixedVersion,omitempty"`
	State     string `json:"state"`
	Path      string `json:"path,omitempty"`
	Open      bool   `json:"open"`
}

func dbWhere(s streams) *cobra.Command {
	var inventories, trusted []string
	var dir, form string
	cmd := &cobra.Command{Use: "where ID", Short: "Show which packages, and which saved inventories, have a vulnerability", Args: cobra.ExactArgs(1),
		Long: `Show the packages that the database has a statement on for an id (CVE, GHSA, ...). With --inventory, show which of the saved
inventories ("stockade sbom IMAGE -o inventory=FILE") have it, without reading any image again.`,
		Example: `  stockade db where CVE-2021-44228
  stockade db where CVE-2021-44228 --inventory inventories/ -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if form != "table" && form != "json" {
				return usage("-o %q: want table or json", form)
			}
			keys, err := trustedKeys(trusted)
			if err != nil {
				return err
			}
			db, err := openDatabase(dir, database.Options{TrustedKeys: keys})
			if err != nil {
				return err
			}
			defer db.Close()
			if _, known := db.Vulnerability(args[0]); !known && len(db.Keys(args[0])) == 0 {
				return fault.New(fault.Input, "%s is not in the database (built %s)", args[0], db.Info().BuiltAt)
			}
			if len(inventories) == 0 {
				return whereRows(s, db, args[0], form)
			}
			return whereInventories(s, db, args[0], inventories, form)
		}}
	cmd.Flags().StringVar(&dir, "db", "", "folder of the database (default: $STOCKADE_DB, then the user's data folder)")
	cmd.Flags().StringArrayVar(&inventories, "inventory", nil, "saved inventory, or folder of them; repeatable")
	cmd.Flags().StringVarP(&form, "output", "o", "table", "table or json")
	trustFlag(cmd, &trusted)
	return cmd
}

// whereRows lists the packages of the database.
func whereRows(s streams, db *database.DB, id, form string) error {
	keys := db.Keys(id)
	if err := db.Err(); err != nil {
		return fault.Wrap(fault.Input, "reading the database", err)
	}
	if form == "json" {
		list := []map[string]string{}
		for _, k := range keys {
			list = append(list, map[string]string{"stream": k.Stream, "package": k.Package})
		}
		return writeJSON(s, list)
	}
	t := newTable(s)
	t.AppendHeader(table.Row{"Stream", "Package"})
	for _, k := range keys {
		t.AppendRow(table.Row{k.Stream, k.Package})
	}
	t.Render()
	return nil
}

// errStop ends a walk that nobody follows any more.
var errStop = errors.New("stop")

func whereInventories(s streams, db *database.DB, id string, paths []string, form string) error {
	var failed error
	var all iter.Seq[*inventory.Software] = func(yield func(*inventory.Software) bool) {
		failed = eachInventory(paths, func(_ string, sw *inventory.Software) error {
			if !yield(sw) {
				return errStop
			}
			return nil
		})
	}
	list := []exposure{}
	for sw, found := range match.Where(match.Over(db), match.Options{Now: time.Now()}, id, all) {
		for _, v := range found {
			list = append(list, exposure{sw.Name, v.Package.Name, v.Package.Version, v.Fixed, v.State.String(), v.Package.Path, v.Open})
		}
	}
	if failed != nil {
		return failed
	}
	if form == "json" {
		return writeJSON(s, list)
	}
	if len(list) == 0 {
		fmt.Fprintf(s.out, "None of the inventories has %s.\n", id)
		return nil
	}
	t := newTable(s)
	t.AppendHeader(table.Row{"Inventory", "Package", "Installed", "Fixed in", "Path"})
	for _, e := range list {
		fixed := e.Fixed
		if fixed == "" {
			fixed = e.State
		}
		t.AppendRow(table.Row{e.Inventory, e.Package, e.Version, fixed, e.Path})
	}
	t.Render()
	return nil
}
