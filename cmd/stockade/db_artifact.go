package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/database/artifact"
	"stockade.dev/stockade/internal/fault"
)

// registryFlags are those of commands that talk to registries.
func registryFlags(cmd *cobra.Command, o *artifact.Options) {
	fl := cmd.Flags()
	fl.BoolVar(&o.PlainHTTP, "plain-http", false, "talk to the registry without TLS")
	fl.BoolVar(&o.Insecure, "insecure", false, "do not check the registry's certificate")
	fl.StringVar(&o.CA, "ca", "", "file with certificate authorities (PEM) to trust beside the system's")
}

func dbPush(s streams) *cobra.Command {
	var o artifact.Options
	var dir, key string
	cmd := &cobra.Command{Use: "push REF", Short: "Push the database to a registry, or write it as an OCI layout", Args: cobra.ExactArgs(1),
		Long: `Push the database as one OCI artifact. REF is a reference in a registry, "oci:DIR[:TAG]" for an OCI layout in a folder, or
"oci-archive:FILE[:TAG]" for one in a tar file, which "stockade db import" reads where there is no registry. Credentials are those of
docker login.`,
		Example: `  stockade db push registry.example.com/security/stockade-db:latest --key publisher.pem
  stockade db push oci-archive:stockade-db.tar`,
		RunE: func(cmd *cobra.Command, args []string) error {
			folder, err := databaseDir(dir)
			if err != nil {
				return err
			}
			if key != "" {
				if err := signDatabase(folder, key); err != nil {
					return err
				}
			}
			db, err := openDatabase(folder, database.Options{NoText: true})
			if err != nil {
				return err
			}
			sig, _ := db.Signature()
			db.Close()
			if sig == nil {
				fmt.Fprintln(s.err, "The database is not signed: whoever pulls it cannot tell who made it (--key).")
			}
			bar := newMeter(s)
			o.Progress = func(done, total int64) { bar.show("pushing: %d of %d MB", done>>20, total>>20) }
			digest, err := artifact.Push(cmd.Context(), folder, args[0], o)
			bar.done()
			if err != nil {
				return fault.Wrap(fault.Input, "", err)
			}
			fmt.Fprintf(s.out, "%s\n", digest)
			return nil
		}}
	registryFlags(cmd, &o)
	cmd.Flags().StringVar(&dir, "db", "", "folder of the database")
	cmd.Flags().StringVar(&key, "key", "", "sign the database with this private key (PEM, PKCS #8, Ed25519) before")
	return cmd
}

func signDatabase(folder, file string) error {
	key, err := database.ReadPrivateKey(file)
	if err != nil {
		return fault.Wrap(fault.Usage, "--key", err)
	}
	return fault.Wrap(fault.Input, "signing the database", database.Resign(folder, key))
}

func dbPull(s streams) *cobra.Command {
	var o artifact.Options
	var dir string
	var trusted []string
	cmd := &cobra.Command{Use: "pull REF", Short: "Pull the database from a registry", Args: cobra.ExactArgs(1),
		Long: `Pull the database from a registry (or from "oci:DIR[:TAG]" or "oci-archive:FILE[:TAG]") and put it in the place of the old one.
Until the last step the old one stays in use; a pull that was cut goes on where it ended. With --trusted-key only a database with
a valid signature is taken. A database that is older than the one in place is refused without --force.`,
		Example: `  stockade db pull registry.example.com/security/stockade-db:latest --trusted-key publisher.pub`,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, m := range o.Mirrors {
				if from, to, ok := strings.Cut(m, "="); !ok || from == "" || to == "" {
					return usage("--mirror %q: want PREFIX=PREFIX", m)
				}
			}
			bar := newMeter(s)
			o.Progress = func(done, total int64) { bar.show("pulling: %d of %d MB", done>>20, total>>20) }
			return bring(s, dir, trusted, &o, func(folder string) (*artifact.Result, error) {
				defer bar.done()
				return artifact.Pull(cmd.Context(), args[0], folder, o)
			})
		}}
	registryFlags(cmd, &o)
	bringFlags(cmd, &o, &dir, &trusted)
	cmd.Flags().StringArrayVar(&o.Mirrors, "mirror", nil, "PREFIX=PREFIX: ask first for references that begin with the first under the second; repeatable")
	return cmd
}

func dbImport(s streams) *cobra.Command {
	var o artifact.Options
	var dir string
	var trusted []string
	cmd := &cobra.Command{Use: "import FILE|DIR", Short: "Import the database from a file or folder", Args: cobra.ExactArgs(1),
		Long: `Import the database from an OCI layout (folder or tar file, as "stockade db push oci-archive:FILE" writes it), from another
database folder, or from a match.db. It is checked and put in place as by "stockade db pull".`,
		Example: `  stockade db import /media/usb/stockade-db.tar --trusted-key publisher.pub`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return bring(s, dir, trusted, &o, func(folder string) (*artifact.Result, error) {
				return artifact.Import(cmd.Context(), args[0], folder, o)
			})
		}}
	bringFlags(cmd, &o, &dir, &trusted)
	return cmd
}

func bringFlags(cmd *cobra.Command, o *artifact.Options, dir *string, trusted *[]string) {
	cmd.Flags().StringVarP(dir, "output", "o", "", "folder of the database")
	cmd.Flags().BoolVar(&o.Force, "force", false, "take a database that is older than the one in place")
	trustFlag(cmd, trusted)
}

// bring runs a pull or an import and says what came.
func bring(s streams, dir string, trusted []string, o *artifact.Options, run func(folder string) (*artifact.Result, error)) error {
	folder, err := databaseDir(dir)
	if err != nil {
		return err
	}
	if o.TrustedKeys, err = trustedKeys(trusted); err != nil {
		return err
	}
	res, err := run(folder)
	switch {
	case errors.Is(err, database.ErrOlder):
		return &fault.Error{Kind: fault.Input, Err: err, Hint: "Nothing was changed. --force takes it all the same."}
	case errors.Is(err, context.Canceled):
		return &fault.Error{Kind: fault.Input, Err: err, Hint: "The old database is in place. The next pull goes on where this one ended."}
	case errors.Is(err, fs.ErrNotExist):
		return fault.Wrap(fault.Input, "", err)
	case err != nil:
		return &fault.Error{Kind: fault.Input, Err: err, Hint: "The database in place was not changed."}
	}
	if res.Same {
		fmt.Fprintf(s.out, "%s: already in place, built %s\n", folder, res.Manifest.BuiltAt)
		return nil
	}
	fmt.Fprintf(s.out, "%s: %d rows, %d vulnerabilities, built %s\n", folder, res.Manifest.Rows, res.Manifest.Vulnerabilities, res.Manifest.BuiltAt)
	if len(o.TrustedKeys) == 0 {
		fmt.Fprintln(s.err, "The signature was not checked: no --trusted-key was given.")
	}
	return nil
}
