package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/fault"
)

func dbCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{Use: "db", Short: "Build, fetch, inspect and distribute the advisory database", Args: cobra.NoArgs,
		Long: `The advisory database says which versions of which packages have which vulnerabilities. It is built from the feeds of
publishers, signed, shipped as one artifact, and used without a network.

A database is a folder with match.db and, for titles and descriptions, text-*.db. Where no folder is named it is
$STOCKADE_DB, or else stockade/db in the user's data folder.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(dbBuild(s), dbFetch(s), dbInfo(s), dbWhere(s), dbVerify(s), dbDiff(s), dbPush(s), dbPull(s), dbImport(s))
	return cmd
}

// databaseDir is the folder of the database: dir, $STOCKADE_DB, or the XDG data folder.
func databaseDir(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	if dir = os.Getenv("STOCKADE_DB"); dir != "" {
		return dir, nil
	}
	data := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(data) { // the specification says to ignore others
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fault.Wrap(fault.Usage, "finding the database", errors.New("no home folder; name a folder or set STOCKADE_DB"))
		}
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "stockade", "db"), nil
}

func firstArg(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// trustFlag adds --trusted-key.
func trustFlag(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringArrayVar(files, "trusted-key", nil, "public key (PEM) that must have signed the database; repeatable, any of them is enough")
}

func trustedKeys(files []string) (keys []ed25519.PublicKey, err error) {
	for _, f := range files {
		k, err := database.ReadPublicKey(f)
		if err != nil {
			return nil, fault.Wrap(fault.Usage, "--trusted-key", err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// openDatabase opens a database for reading, with a hint where there is none.
func openDatabase(dir string, o database.Options) (*database.DB, error) {
	dir, err := databaseDir(dir)
	if err != nil {
		return nil, err
	}
	db, err := database.Open(dir, o)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &fault.Error{Kind: fault.Input, Op: "opening the advisory database", Err: err,
			Hint: `Make one with "stockade db build", or bring one with "stockade db pull" or "stockade db import".`}
	case errors.Is(err, database.ErrUnsigned), errors.Is(err, database.ErrUntrusted):
		return nil, &fault.Error{Kind: fault.Input, Op: "opening the advisory database", Err: err,
			Hint: "It was not used. Take it from its publisher again, or check the --trusted-key."}
	}
	return db, fault.Wrap(fault.Input, "opening the advisory database", err)
}

// dbView is a database as `db info -o json` shows it.
type dbView struct {
	Schema    string         `json:"schema"`
	BuiltAt   string         `json:"builtAt"`
	Digest    string         `json:"digest"`
	Signature *signatureView `json:"signature"` // null when not signed
	database.Manifest
}

type signatureView struct {
	Key     string `json:"key"`
	Trusted bool   `json:"trusted"` // checked against --trusted-key
}

func dbInfo(s streams) *cobra.Command {
	var form string
	var trusted []string
	cmd := &cobra.Command{Use: "info [DIR]", Short: "Show what is in the database and how old it is, by feed and system", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if form != "table" && form != "json" {
				return usage("output form %q: want table or json", form)
			}
			keys, err := trustedKeys(trusted)
			if err != nil {
				return err
			}
			db, err := openDatabase(firstArg(args), database.Options{TrustedKeys: keys})
			if err != nil {
				return err
			}
			defer db.Close()
			m := db.Info()
			if form == "json" {
				v := dbView{Schema: m.Schema, BuiltAt: m.BuiltAt, Digest: db.Digest(), Manifest: m}
				if sig, checked := db.Signature(); sig != nil {
					v.Signature = &signatureView{sig.Key, checked}
				}
				return writeJSON(s, v)
			}
			showDatabase(s, db, time.Now())
			return nil
		}}
	cmd.Flags().StringVarP(&form, "output", "o", "table", "table or json")
	trustFlag(cmd, &trusted)
	return cmd
}

func showDatabase(s streams, db *database.DB, now time.Time) {
	m := db.Info()
	fmt.Fprintf(s.out, "built      %s (%s), generation %d\n", m.BuiltAt, age(m.BuiltAt, now), m.Generation)
	fmt.Fprintf(s.out, "digest     sha256:%s\n", db.Digest())
	fmt.Fprintf(s.out, "signature  %s\n", signatureText(db))
	fmt.Fprintf(s.out, "content    %d rows on %d packages, %d vulnerabilities\n", m.Rows, m.Keys, m.Vulnerabilities)
	switch {
	case m.Text == nil:
		fmt.Fprintln(s.out, "texts      none: it was built without")
	case db.TextError() != nil:
		fmt.Fprintln(s.out, "texts      none:", db.TextError())
	}
	t := newTable(s)
	t.AppendHeader(table.Row{"Feed", "Records", "Rows", "Refused", "Newest", "Age"})
	for _, f := range m.Feeds {
		t.AppendRow(table.Row{f.Name, f.Records, f.Rows, f.Refused, day(f.Date), age(f.Date, now)})
	}
	t.Render()
	t = newTable(s)
	t.AppendHeader(table.Row{"System", "Rows", "Newest", "Age", "Feeds", "End of life"})
	bare := 0
	for _, st := range m.Streams {
		eol := ""
		if st.Lifecycle != nil {
			eol = st.Lifecycle.EOL
		}
		if st.Rows == 0 {
			bare++
			continue
		}
		t.AppendRow(table.Row{st.Name(), st.Rows, st.Date, age(st.Date, now), strings.Join(st.Feeds, ", "), eol})
	}
	t.Render()
	if bare > 0 {
		fmt.Fprintf(s.out, "Of %d more systems only the end of life is known: there are no advisories for them.\n", bare)
	}
}

func newTable(s streams) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(s.out)
	t.SetStyle(table.StyleLight)
	return t
}

func signatureText(db *database.DB) string {
	sig, checked := db.Signature()
	switch {
	case sig == nil:
		return "none: the database is not signed"
	case checked:
		return "valid, key " + sig.Key
	}
	return "by key " + sig.Key + ", not checked (--trusted-key)"
}

func day(date string) string { return date[:min(10, len(date))] }

// age says how old a date is, in days.
func age(date string, now time.Time) string {
	at, err := time.Parse(time.DateOnly, day(date))
	if err != nil {
		return ""
	}
	switch days := int(now.Sub(at).Hours() / 24); {
	case days < 0:
		return "in the future"
	case days == 0:
		return "today"
	case days == 1:
		return "1 day"
	default:
		return fmt.Sprintf("%d days", days)
	}
}

func dbVerify(s streams) *cobra.Command {
	var trusted []string
	cmd := &cobra.Command{Use: "verify [DIR]", Short: "Read the whole database and check it", Args: cobra.MaximumNArgs(1),
		Long: `Read every page and every record of the database and check them against the hashes in its manifest, and the manifest
against its signature when --trusted-key is given.`,
		RunE: func(_ *cobra.Command, args []string) error {
			keys, err := trustedKeys(trusted)
			if err != nil {
				return err
			}
			db, err := openDatabase(firstArg(args), database.Options{TrustedKeys: keys})
			if err != nil {
				return err
			}
			defer db.Close()
			bar := newMeter(s)
			err = db.Verify(func(done, total uint64) { bar.show("verifying: %d of %d MB", done>>20, total>>20) })
			bar.done()
			if err != nil {
				return fault.Wrap(fault.Input, "verifying the database", err)
			}
			m := db.Info()
			fmt.Fprintf(s.out, "ok: %d rows, %d vulnerabilities, built %s; signature: %s\n", m.Rows, m.Vulnerabilities, m.BuiltAt, signatureText(db))
			return nil
		}}
	trustFlag(cmd, &trusted)
	return cmd
}

// meter shows progress on a terminal once something takes more than two seconds.
type meter struct {
	s              streams
	on             bool
	started, shown time.Time
}

func newMeter(s streams) *meter {
	_, tty := terminal(s.err)
	return &meter{s: s, on: tty, started: time.Now()}
}

func (m *meter) show(format string, args ...any) {
	now := time.Now()
	if !m.on || now.Sub(m.started) < 2*time.Second || now.Sub(m.shown) < 200*time.Millisecond {
		return
	}
	m.shown = now
	fmt.Fprintf(m.s.err, "\r\x1b[K"+format, args...)
}

func (m *meter) done() {
	if !m.shown.IsZero() {
		fmt.Fprint(m.s.err, "\r\x1b[K")
	}
}
