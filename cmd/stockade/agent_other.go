//go:build !linux

package main

import (
	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/fault"
)

func agentCommand(streams) *cobra.Command {
	return &cobra.Command{Use: "agent", Short: "Run on a node (Linux only)", RunE: func(*cobra.Command, []string) error {
		return fault.New(fault.Usage, "stockade: the agent runs on Linux nodes only")
	}}
}
