package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/sources"
)

// shrinkLimit is the share that a feed may lose from build to build.
const shrinkLimit = 0.05

// shown is how many lines of one kind the report has.
const shown = 20

type buildFlags struct {
	feeds    []string
	dir      string
	key      string
	previous string
	builtAt  string
	temp     string
	shrink   bool
	force    bool
	noText   bool
	urgent   []string
	all      bool
}

func dbBuild(s streams) *cobra.Command {
	var f buildFlags
	cmd := &cobra.Command{Use: "build --feeds DIR... [-o DIR]", Short: "Build the database from feeds on disk", Args: cobra.ArbitraryArgs,
		Long: `Read everything below the --feeds folders, archives and compressed files included, and write the database. Nothing is
downloaded: "stockade db fetch" does that. Every format is recognised by its content; the first folder below DIR names the
publisher. What could not be read is listed, and the exit code is then 3.

A feed that has lost more than 5 % since the previous build stops the build (--accept-shrink), and so does a newer database in the
place of the output (--force). Until the last step the old database stays in use.`,
		Example: `  stockade db fetch -o feeds && stockade db build --feeds feeds
  stockade db build --feeds feeds --feeds our-advisories -o /srv/stockade/db --key publisher.pem`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.feeds = append(f.feeds, args...)
			return f.run(cmd, s)
		}}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.feeds, "feeds", nil, "folder (or file) of feeds; repeatable")
	fl.StringVarP(&f.dir, "output", "o", "", "folder of the database")
	fl.StringVar(&f.key, "key", "", "private key (PEM, PKCS #8, Ed25519) to sign with")
	fl.StringVar(&f.previous, "previous", "", "database to compare with (default: the one in the output folder)")
	fl.StringVar(&f.builtAt, "built-at", "", "time to write into the database, RFC 3339 (default: now, or $SOURCE_DATE_EPOCH)")
	fl.StringVar(&f.temp, "temp", "", "folder for temporary files")
	fl.BoolVar(&f.shrink, "accept-shrink", false, "build although a feed has shrunk")
	fl.BoolVar(&f.force, "force", false, "replace a newer or unreadable database too")
	fl.BoolVar(&f.all, "all", false, "list everything that was not read, not just the first of it")
	fl.StringArrayVar(&f.urgent, "emergencies", nil, "folder of emergency vulnerabilities (ID/emergency.yaml) beside the built-in ones; repeatable")
	fl.BoolVar(&f.noText, "no-text", false, "leave titles, descriptions and references out")
	return cmd
}

func (f *buildFlags) run(cmd *cobra.Command, s streams) error {
	if len(f.feeds) == 0 {
		return usage("--feeds is needed: a folder of feeds")
	}
	o, err := f.output()
	if err != nil {
		return err
	}
	debug.SetGCPercent(50) // half the memory for a tenth of the time
	b, err := database.NewBuilder(database.BuildOptions{Temp: f.temp, NoText: f.noText})
	if err != nil {
		return fault.Wrap(fault.Internal, "making temporary files", err)
	}
	defer b.Close()
	var tally feed.Tally
	bar := newMeter(s)
	n := 0
	err = feed.Walk(cmd.Context(), f.feeds, sources.All, feed.Limits{Workers: runtime.GOMAXPROCS(0)}, b, func(r feed.Result) {
		tally.Add(r)
		n++
		bar.show("reading feeds: %d documents, %.0f s, %s", n, time.Since(bar.started).Seconds(), filepath.Base(r.Path))
	})
	if err == nil {
		bar.show("writing the database")
		var m *database.Manifest
		m, err = b.Finish(o)
		bar.done()
		if m != nil {
			f.show(s, m, &tally, b.Refusals())
		}
	} else {
		bar.done()
	}
	switch {
	case errors.Is(err, database.ErrOlder):
		return &fault.Error{Kind: fault.Usage, Op: "writing the database", Err: err, Hint: "Nothing was changed. --force replaces it."}
	case errors.Is(err, fs.ErrNotExist):
		return fault.Wrap(fault.Input, "building the database", err)
	case err != nil:
		return fault.Wrap(fault.Internal, "building the database", err)
	}
	if tally.Failures > 0 {
		return fault.New(fault.Partial, "%d documents could not be read; the rest is in the database", tally.Failures)
	}
	return nil
}

// output checks the flags before anything is read.
func (f *buildFlags) output() (o database.Output, err error) {
	if o.Dir, err = databaseDir(f.dir); err != nil {
		return o, err
	}
	if f.key != "" {
		if o.Key, err = database.ReadPrivateKey(f.key); err != nil {
			return o, fault.Wrap(fault.Usage, "--key", err)
		}
	}
	at := time.Now().UTC()
	if f.builtAt != "" {
		if at, err = time.Parse(time.RFC3339, f.builtAt); err != nil {
			return o, usage("--built-at %q: want RFC 3339, such as 2026-01-31T12:00:00Z", f.builtAt)
		}
	} else if e := os.Getenv("SOURCE_DATE_EPOCH"); e != "" {
		var sec int64
		if _, err := fmt.Sscan(e, &sec); err != nil {
			return o, usage("SOURCE_DATE_EPOCH %q is no number", e)
		}
		at = time.Unix(sec, 0).UTC()
	}
	o.BuiltAt, o.Force, o.Generation = at.UTC().Format(time.RFC3339), f.force, 1
	if o.Emergencies, err = packedEmergencies(f.urgent); err != nil {
		return o, err
	}
	if err := f.compare(&o); err != nil {
		return o, err
	}
	return o, nil
}

// compare sets the guard against feeds that have shrunk.
func (f *buildFlags) compare(o *database.Output) error {
	old, err := database.Open(o.Dir, database.Options{NoText: true})
	if err == nil {
		o.Generation = old.Info().Generation + 1
		defer old.Close()
	}
	previous := old
	if f.previous != "" {
		if previous, err = openDatabase(f.previous, database.Options{NoText: true}); err != nil {
			return err
		}
		defer previous.Close()
	}
	if previous == nil || f.shrink {
		return nil
	}
	was := previous.Info()
	o.Check = func(m *database.Manifest) error {
		if list := database.Shrunk(&was, m, shrinkLimit); len(list) > 0 {
			if n := len(list) - shown; n > 0 {
				list = append(list[:shown], fmt.Sprintf("and %d feeds more", n))
			}
			return &fault.Error{Kind: fault.Usage, Err: fmt.Errorf("feeds have shrunk by more than %.0f %%:\n  %s", 100*shrinkLimit, strings.Join(list, "\n  ")),
				Hint: "The database was not changed. --accept-shrink takes it as it is."}
		}
		return nil
	}
	return nil
}

// show prints the report of a build.
func (f *buildFlags) show(s streams, m *database.Manifest, tally *feed.Tally, refusals []database.Refusal) {
	t := newTable(s)
	t.AppendHeader(table.Row{"Feed", "Records", "Rows", "Vulnerabilities", "Refused", "Newest"})
	refused := 0
	for _, from := range m.Feeds {
		t.AppendRow(table.Row{from.Name, from.Records, from.Rows, from.Vulnerabilities, from.Refused, day(from.Date)})
		refused += from.Refused
	}
	t.AppendFooter(table.Row{"", "", m.Rows, m.Vulnerabilities, refused, ""})
	t.Render()
	if refused > 0 {
		fmt.Fprintln(s.out, "Refused:")
		for _, from := range m.Feeds {
			for _, r := range byCount(from.Reasons) {
				fmt.Fprintf(s.out, "  %s: %d %s, such as %s\n", from.Name, from.Reasons[r], r, example(refusals, from.Name, r))
			}
		}
	}
	if folders := tally.Folders(); len(folders) > 0 {
		fmt.Fprintln(s.out, "Not read, because no reader knows it:")
		for i, dir := range folders {
			if i == shown && !f.all {
				fmt.Fprintf(s.out, "  and %d folders more (--all lists them)\n", len(folders)-i)
				break
			}
			u := tally.Unknown[dir]
			fmt.Fprintf(s.out, "  %s: %d, such as %s\n", dir, u.Count, filepath.Base(u.Path))
		}
	}
	if tally.Failures > 0 {
		fmt.Fprintln(s.out, "Broken:")
		for i, r := range tally.Broken {
			if i == shown && !f.all {
				fmt.Fprintf(s.out, "  and %d more (--all lists them)\n", tally.Failures-i)
				break
			}
			fmt.Fprintf(s.out, "  %s: %s\n", r.Path, strings.TrimPrefix(fmt.Sprint(r.Err), r.Path+": "))
		}
	}
	documents, bytes := 0, int64(0)
	for r, n := range tally.Documents {
		documents += n
		bytes += tally.Bytes[r]
	}
	fmt.Fprintf(s.out, "%d documents (%d MB), %d streams, %d rows on %d packages, %d vulnerabilities; %.1f MB, texts %.1f MB\n",
		documents, bytes>>20, len(m.Streams), m.Rows, m.Keys, m.Vulnerabilities, megabytes(&m.Match), megabytes(m.Text))
}

// byCount sorts reasons, the most frequent first.
func byCount(reasons map[string]int) []string {
	return slices.SortedFunc(maps.Keys(reasons), func(a, b string) int {
		return cmp.Or(cmp.Compare(reasons[b], reasons[a]), strings.Compare(a, b))
	})
}

func megabytes(f *database.File) float64 {
	if f == nil {
		return 0
	}
	return float64(f.Size) / 1e6
}

func example(list []database.Refusal, feedName, reason string) string {
	i := slices.IndexFunc(list, func(r database.Refusal) bool { return r.Feed == feedName && r.Reason == reason })
	if i < 0 || list[i].Record == "" {
		return "one without a name"
	}
	return list[i].Record
}
