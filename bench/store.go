package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/sources"
)

func (b *bench) feedsName() string {
	return filepath.Base(filepath.Dir(b.feeds)) + "/" + filepath.Base(b.feeds)
}

// build builds the database that matching uses, and measures it.
func (b *bench) build() error {
	b.progress("building a database of %s", b.feeds)
	b.database = filepath.Join(b.tmp, "db")
	var m *database.Manifest
	var tally feed.Tally
	read := usage{}
	u, err := timed(func() error {
		builder, err := database.NewBuilder(database.BuildOptions{Temp: b.tmp})
		if err != nil {
			return err
		}
		defer builder.Close()
		read, err = timed(func() error {
			return feed.Walk(b.ctx, []string{b.feeds}, sources.All, feed.Limits{Workers: runtime.GOMAXPROCS(0)}, builder, tally.Add)
		})
		if err == nil {
			m, err = builder.Finish(database.Output{Dir: b.database, BuiltAt: time.Now().UTC().Format(time.RFC3339), Generation: 1})
		}
		return err
	})
	if err != nil {
		return err
	}
	documents, bytes := 0, int64(0)
	for r, n := range tally.Documents {
		documents, bytes = documents+n, bytes+tally.Bytes[r]
	}
	var opens []usage
	for range 21 {
		o, err := timed(func() error {
			db, err := database.Open(b.database, database.Options{})
			if err != nil {
				return err
			}
			return db.Close()
		})
		if err != nil {
			return err
		}
		opens = append(opens, o)
	}
	million := float64(m.Rows) / 1e6
	text := int64(0)
	if m.Text != nil {
		text = m.Text.Size
	}
	b.say("## Database\n")
	b.say("Built from %s: %d documents, %d MB unpacked, %d rows, %d vulnerabilities.\n", b.feedsName(), documents, bytes/1e6, m.Rows, m.Vulnerabilities)
	b.say("| | CPU s | wall s | per million rows |\n|---|---|---|---|")
	b.say("| read the feeds | %.1f | %.1f | %.1f CPU s |", read.CPU.Seconds(), read.Wall.Seconds(), read.CPU.Seconds()/million)
	b.say("| sort and write | %.1f | %.1f | %.1f CPU s |", (u.CPU - read.CPU).Seconds(), (u.Wall - read.Wall).Seconds(), (u.CPU-read.CPU).Seconds()/million)
	b.say("| match.db | | | %.1f MB -> **%.0f MB** |", float64(m.Match.Size)/1e6, float64(m.Match.Size)/1e6/million)
	b.say("| texts | | | %.1f MB -> %.0f MB |", float64(text)/1e6, float64(text)/1e6/million)
	b.say("\nOpen, with its texts: **%.2f ms** (median of %d).\n", middle(opens), len(opens))
	return nil
}

// compared is a line of the comparison that internal/database makes with the same encoding of rows in three containers.
var (
	comparedRows  = regexp.MustCompile(`: (\d+) rows$`)
	comparedBuild = regexp.MustCompile(`: (\w+) +build ([\w.µ]+)(?: with (\d+) MB of heap)?, ([\d.]+) MB(?:, open ([\w.µ]+))?`)
	comparedLook  = regexp.MustCompile(`: (\w+) +(hit|miss) +(\d+) ns, +(\d+) a second`)
)

// compare runs that comparison.
func (b *bench) compare() error {
	b.progress("looking up in the file, bbolt and SQLite")
	root, err := exec.CommandContext(b.ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("finding the module: %w", err)
	}
	cmd := exec.CommandContext(b.ctx, "go", "test", "-count=1", "-timeout=20m", "-run=^TestCompare$", "-v", "./internal/database", "-args", "-compare", "-scale=11")
	cmd.Dir, cmd.Stderr = strings.TrimSpace(string(root)), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	b.say("## Database: look-ups against bbolt and SQLite\n")
	b.say("The same rows in the same encoding; each look-up decodes what it finds. CPU time, one goroutine. bbolt in one read transaction, SQLite")
	b.say("(modernc.org/sqlite) with a prepared statement.\n")
	rows := ""
	builds := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if f := comparedRows.FindStringSubmatch(line); f != nil {
			rows = f[1]
			b.say("\n%s rows:\n\n| container | build CPU | MB | open | look-up | ns | a second |\n|---|---|---|---|---|---|---|", rows)
		} else if f := comparedBuild.FindStringSubmatch(line); f != nil {
			builds[f[1]] = []string{f[2], f[4], f[5]}
		} else if f := comparedLook.FindStringSubmatch(line); f != nil && len(builds[f[1]]) == 3 {
			x := builds[f[1]]
			b.say("| %s | %s | %s | %s | %s | %s | %s |", f[1], x[0], x[1], x[2], f[2], f[3], f[4])
		}
	}
	if rows == "" {
		return fmt.Errorf("the comparison said nothing that is understood:\n%s", out)
	}
	b.say("")
	return nil
}
