package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/server"
)

func serverResetPassword(s streams) *cobra.Command {
	var data, database string
	cmd := &cobra.Command{Use: "reset-password USER", Short: "Make a one-time link for a user's new password", Args: cobra.ExactArgs(1),
		Long: `Make a one-time link for a user's new password: the way back in when no administrator can sign in. It holds for a day and ends the
user's sessions. With SQLite stop the server first.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			token, until, err := server.ResetPassword(cmd.Context(), server.Place{Data: data, Database: fromEnv(database, "STOCKADE_DATABASE")}, args[0])
			if err != nil {
				return fault.Wrap(fault.Input, "reset-password", err)
			}
			fmt.Fprintf(s.err, "Open this behind the server's address, until %s, once:\n", until.Format("2006-01-02 15:04 MST"))
			fmt.Fprintf(s.out, "/reset#token=%s\n", token)
			return nil
		}}
	dataFlags(cmd, &data, &database)
	return cmd
}
