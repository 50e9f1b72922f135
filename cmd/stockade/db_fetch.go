package main

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/feed/fetch"
)

func dbFetch(s streams) *cobra.Command {
	o := fetch.Options{Agent: "stockade/" + release}
	var names []string
	var list, all bool
	cmd := &cobra.Command{Use: "fetch -o DIR [--feed NAME...]", Short: "Download the public feeds to a folder", Args: cobra.NoArgs,
		Long: `Download the public feeds of publishers to a folder that "stockade db build --feeds" reads. This is the only command that
contacts them, and it runs only when you call it. --list shows every feed with its URL.

What has not changed since the last time is not downloaded again, and what was cut goes on where it ended. A feed that fails is
told and does not stop the others; its older file stays; the exit code is then 3. Proxies are taken from HTTPS_PROXY and NO_PROXY.`,
		Example: `  stockade db fetch -o feeds
  stockade db fetch -o feeds --feed nvd --feed debian --feed kylin-v10-sp3
  stockade db fetch -o feeds --mirror https://security.access.redhat.com/=https://mirror.example.com/redhat/`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			chosen, unknown := fetch.Select(fetch.Sources, names)
			if len(unknown) > 0 {
				return usage("no feed is named %s (see: stockade db fetch --list)", strings.Join(unknown, ", "))
			}
			if all {
				chosen = fetch.Sources
			}
			if list {
				if len(names) == 0 {
					chosen = fetch.Sources
				}
				showSources(s, chosen)
				return nil
			}
			if o.Dir == "" {
				return usage("-o DIR is needed: the folder to download to")
			}
			for _, m := range o.Mirrors {
				if from, to, ok := strings.Cut(m, "="); !ok || from == "" || to == "" {
					return usage("--mirror %q: want PREFIX=PREFIX", m)
				}
			}
			return fetchFeeds(cmd, s, chosen, o)
		}}
	fl := cmd.Flags()
	fl.StringVarP(&o.Dir, "output", "o", "", "folder to download to")
	fl.StringSliceVar(&names, "feed", nil, "only these feeds, or groups such as nvd (default: all that are not optional)")
	fl.BoolVar(&all, "all", false, "the optional feeds too")
	fl.BoolVar(&list, "list", false, "list the feeds and their URLs, and download nothing")
	fl.StringArrayVar(&o.Mirrors, "mirror", nil, "PREFIX=PREFIX: ask for URLs that begin with the first under the second; repeatable")
	fl.IntVar(&o.Workers, "parallel", 3, "downloads at a time")
	fl.DurationVar(&o.Stall, "timeout", 0, "how long a server may say nothing (default 1m0s)")
	cmd.MarkFlagsMutuallyExclusive("feed", "all")
	return cmd
}

func showSources(s streams, list []fetch.Source) {
	t := newTable(s)
	t.AppendHeader(table.Row{"Feed", "Default", "URL", "Note"})
	for _, src := range list {
		def := "yes"
		if src.Optional {
			def = "no"
		}
		t.AppendRow(table.Row{src.Name, def, src.URL, src.Note})
	}
	t.Render()
}

func fetchFeeds(cmd *cobra.Command, s streams, chosen []fetch.Source, o fetch.Options) error {
	bar := newMeter(s)
	o.Progress = func(name string, done, total int64) {
		if total < 0 {
			bar.show("fetching %s: %d MB", name, done>>20)
			return
		}
		bar.show("fetching %s: %d of %d MB", name, done>>20, total>>20)
	}
	failed, fresh := 0, 0
	err := fetch.Run(cmd.Context(), chosen, o, func(r fetch.Result) {
		bar.done()
		switch {
		case r.Err != nil:
			failed++
			fmt.Fprintf(s.out, "%-24s failed: %v\n", r.Source.Name, r.Err)
		case r.Unchanged:
			fmt.Fprintf(s.out, "%-24s unchanged\n", r.Source.Name)
		default:
			fresh++
			fmt.Fprintf(s.out, "%-24s %s, %.1f MB\n", r.Source.Name, r.Path, float64(r.Bytes)/1e6)
		}
	})
	bar.done()
	if err != nil {
		return fault.Wrap(fault.Input, "fetching feeds", err)
	}
	fmt.Fprintf(s.out, "%d feeds: %d new, %d unchanged, %d failed\n", len(chosen), fresh, len(chosen)-fresh-failed, failed)
	if failed > 0 {
		return fault.New(fault.Partial, "%d of %d feeds could not be fetched; their older files, if any, are as they were", failed, len(chosen))
	}
	return nil
}
