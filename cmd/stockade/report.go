package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/report"
)

func reportCommand(s streams) *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{Use: "report FILE|-", Short: "Make any form of report from a saved json or jsonl result", Args: cobra.ExactArgs(1),
		Example: `  stockade report result.json -o html=result.html
  stockade scan iac . -o jsonl | stockade report - -o markdown`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.lang != "en" && f.lang != "zh" {
				return usage("--lang %q: want en or zh", f.lang)
			}
			in := s.in
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return fault.Wrap(fault.Input, "", err)
				}
				defer file.Close()
				in = io.Reader(file)
			}
			out, err := openOutputs(f.outputs, s, f.options(s.out))
			if err != nil {
				return err
			}
			if err := report.Read(in, out); err != nil {
				out.close()
				return fault.Wrap(fault.Input, "reading "+args[0], err)
			}
			return out.close()
		}}
	f.reportFlags(cmd)
	return cmd
}
