// Command stockade scans Kubernetes clusters, manifests and Dockerfiles for what is dangerous in them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"stockade.dev/stockade/internal/fault"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// streams are the standard streams, handed in so that the command line can be tested in process.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// terminal reports whether w is a terminal, and its width.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	return width, err == nil
}

// run is the whole program: it returns the exit code of fault.ExitCode.
func run(ctx context.Context, args []string, s streams) int {
	root := rootCommand(s)
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var fe *fault.Error
	if !errors.As(err, &fe) { // cobra's own: unknown command, wrong flag
		err = &fault.Error{Kind: fault.Usage, Err: err, Hint: "See stockade --help."}
	}
	if !errors.As(err, &fe) || fe.Kind != fault.Findings && fe.Kind != fault.Partial {
		fmt.Fprintln(s.err, "stockade:", err)
	} else if fe.Err != nil {
		fmt.Fprintln(s.err, fe.Err)
	}
	return fault.ExitCode(err)
}

func rootCommand(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "stockade",
		Short: "Find and fix what is dangerous in Kubernetes clusters, manifests and Dockerfiles",
		Long: `Stockade scans live clusters, saved snapshots, Kubernetes manifests, Helm charts, kustomizations and
Dockerfiles with one rule library, and says what is dangerous, where it stands and how to fix it.

Results go to standard output, everything else to standard error.
Exit codes: 0 done; 1 findings at or above --fail-on; 2 wrong usage or unreadable input (nothing was scanned);
3 done, but something asked for could not be scanned; 4 internal error.`,
		Example: `  stockade scan cluster
  stockade scan iac deploy/ Dockerfile --fail-on high
  stockade scan iac . -o sarif=stockade.sarif -o table
  stockade rule show workload/may-run-as-root`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(serverCommand(s), loginCommand(s), logoutCommand(s), clusterCommand(s), nodeCommand(s), connectorCommand(s), agentCommand(s), providerCommand(s), protectCommand(s), exceptionCommand(s), taskCommand(s), findingCommand(s), emergencyCommand(s))
	root.AddCommand(scanCommand(s), dbCommand(s), sbomCommand(s), ruleCommand(s), policyCommand(s), snapshotCommand(s), reportCommand(s), versionCommand(s))
	return root
}

// usage marks an error as the user's.
func usage(format string, args ...any) error { return fault.New(fault.Usage, format, args...) }
