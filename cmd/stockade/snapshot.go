package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/collect/cluster"
	"stockade.dev/stockade/internal/collect/snapshot"
	"stockade.dev/stockade/internal/fault"
)

func snapshotCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{Use: "snapshot", Short: "Save what a scan needs of a cluster", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(snapshotCluster(s))
	return cmd
}

func snapshotCluster(s streams) *cobra.Command {
	var live cluster.Config
	var dst string
	cmd := &cobra.Command{Use: "cluster -o DIR|FILE.tar.zst", Short: "Save a cluster to a folder or file", Args: cobra.NoArgs,
		Long: `Save the objects that a scan reads, to scan them later or elsewhere with "stockade scan cluster --snapshot". Values of
Secrets are never saved; what could not be read is recorded with its reason.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dst == "" {
				return usage("-o is needed: a folder or a file such as cluster.tar.zst")
			}
			live.UserAgent = "stockade/" + release
			src, err := cluster.Open(live)
			if err != nil {
				return fault.Wrap(fault.Input, "", err)
			}
			sum, err := snapshot.Write(cmd.Context(), dst, src, time.Now())
			if err != nil {
				return fault.Wrap(fault.Input, "saving the snapshot", err)
			}
			fmt.Fprintf(s.err, "%d objects of cluster %s saved to %s\n", sum.Objects, src.Info().Name, dst)
			for _, n := range sum.NotScanned {
				fmt.Fprintf(s.err, "not saved: %s: %s\n", n.What, n.Reason)
			}
			return nil
		}}
	cmd.Flags().StringVarP(&dst, "output", "o", "", "folder or file to write")
	kubeFlags(cmd, &live)
	return cmd
}
