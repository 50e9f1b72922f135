package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by the linker (Makefile): the release and the commit it was built from.
var (
	release = "dev"
	commit  = ""
	built   = ""
)

// version says what was built, from what and with what.
func version() string {
	s := "stockade " + release
	if commit != "" {
		s += " (" + commit
		if built != "" {
			s += ", " + built
		}
		s += ")"
	}
	s += fmt.Sprintf(" %s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return s
}

func versionCommand(s streams) *cobra.Command {
	var deps bool
	cmd := &cobra.Command{Use: "version", Short: "Print version and build information", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintln(s.out, version())
			if info, ok := debug.ReadBuildInfo(); ok && deps {
				for _, d := range info.Deps {
					fmt.Fprintln(s.out, " ", d.Path, d.Version)
				}
			}
			return nil
		}}
	cmd.Flags().BoolVar(&deps, "modules", false, "list the modules built in")
	return cmd
}
