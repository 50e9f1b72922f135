package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"stockade.dev/stockade/console"
	"stockade.dev/stockade/demo"
	"stockade.dev/stockade/frameworks"
	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/image/malware"
	"stockade.dev/stockade/internal/collect/snapshot"
	"stockade.dev/stockade/internal/compliance"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/server"
	"stockade.dev/stockade/internal/task"
	"stockade.dev/stockade/internal/vex"
	"stockade.dev/stockade/rules"
)

func serverCommand(s streams) *cobra.Command {
	var o server.Options
	var images imageFlags
	var kubeconfig, folder string
	var proxies []string
	var level string
	cmd := &cobra.Command{Use: "server", Short: "Run the server: clusters, scan tasks, findings that live on, people, API", Args: cobra.NoArgs,
		Long: `Run the server. Everything is kept in one folder (SQLite), or in PostgreSQL, where any number of servers may share the work.
TLS is always on: the server makes its own CA and prints its fingerprint, unless it is given a certificate. The first start
prints a link that makes the first administrator, once; there is no default password.

The keys that encrypt credentials are in DATA/keys, or in $STOCKADE_KEYS. Keep a copy apart from the database's backups.`,
		Example: `  stockade server
  stockade server --data /var/lib/stockade --public-url https://stockade.example.com:8443
  stockade server --database postgres://stockade@db.example.com/stockade --role api,scheduler`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var l slog.Level
			if err := l.UnmarshalText([]byte(level)); err != nil {
				return usage("--log-level %q: want debug, info, warn or error", level)
			}
			for _, p := range proxies {
				prefix, err := netip.ParsePrefix(p)
				if err != nil {
					return usage("--trusted-proxy %q: want addresses as 10.0.0.0/8", p)
				}
				o.TrustedProxies = append(o.TrustedProxies, prefix)
			}
			if os.Getenv("GOGC") == "" { // an idle server is small; the limit lets it grow when there is much to do
				debug.SetGCPercent(50)
			}
			o.Database = fromEnv(o.Database, "STOCKADE_DATABASE")
			o.MetricsToken = fromEnv(o.MetricsToken, "STOCKADE_METRICS_TOKEN")
			o.Version, o.Out = release, s.err
			o.Demo = server.Demo{Name: demo.Name, FS: demo.FS}
			o.Log = server.NewLog(s.err, l)
			if err := register(&o.Register, kubeconfig); err != nil {
				return err
			}
			var err error
			if o.Tasks, err = images.tasks(o.Data); err != nil {
				return err
			}
			if o.Signatures, o.Unsent, err = images.forAgents(); err != nil {
				return fault.Wrap(fault.Internal, "", err)
			}
			if o.Emergencies, err = builtin(); err != nil {
				return err
			}
			o.RuleCases = rules.Cases
			o.Console = console.Files()
			if folder != "" {
				o.Console = os.DirFS(folder)
			}
			return fault.Wrap(fault.Input, "", server.Run(cmd.Context(), o))
		}}
	fl := cmd.Flags()
	dataFlags(cmd, &o.Data, &o.Database)
	images.register(cmd)
	fl.StringVar(&folder, "console", "", "serve the console from this folder in place of the built-in one (for working on it)")
	fl.StringVar(&o.Listen, "listen", server.DefaultListen, "address for clients")
	fl.StringVar(&o.PublicURL, "public-url", "", "what browsers and connectors call this server (default: https://, this host's name and the port)")
	fl.StringSliceVar(&o.Roles, "role", nil, "what this process does: api, worker, scheduler (default all; fewer only with PostgreSQL)")
	fl.StringSliceVar(&o.TLSNames, "tls-name", nil, "further name or address for the server's own certificate; repeatable")
	fl.StringVar(&o.TLSCert, "tls-cert", "", "certificate file (PEM) in place of an own one; read again when it changes")
	fl.StringVar(&o.TLSKey, "tls-key", "", "its key")
	fl.BoolVar(&o.PlainHTTP, "plain-http", false, "no TLS; refused unless --listen is a loopback address")
	fl.StringSliceVar(&proxies, "trusted-proxy", nil, "addresses whose X-Forwarded-For is believed, as 10.0.0.0/8; repeatable")
	fl.StringVar(&o.DebugListen, "debug-listen", server.DefaultDebug, "loopback address of metrics and profiles; empty for none")
	fl.StringVar(&o.MetricsToken, "metrics-token", "", "serve /metrics on the main address to who sends this token (or $STOCKADE_METRICS_TOKEN)")
	fl.StringSliceVar(&o.AllowDestinations, "allow-destination", nil, "private host, address or network that notifications may be sent to; repeatable")
	fl.BoolVar(&o.AllowLocalClusters, "allow-local-clusters", false, "clusters may have their API server on this machine (127.0.0.1)")
	fl.StringVar(&kubeconfig, "register-kubeconfig", "", "add the cluster of this kubeconfig when it is not there, and scan it")
	fl.StringVar(&o.Register.Snapshot, "register-snapshot", "", "add the cluster of this snapshot when it is not there, and scan it")
	fl.StringVar(&o.Register.Name, "register-name", "", "name of the registered cluster (default: its own)")
	fl.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	cmd.MarkFlagsMutuallyExclusive("register-kubeconfig", "register-snapshot")
	cmd.AddCommand(serverBackup(s), serverRestore(s), serverRotateKey(s), serverResetPassword(s))
	return cmd
}

// register reads what --register-kubeconfig and --register-snapshot name. Files that the kubeconfig names are taken into it.
func register(r *server.Register, kubeconfig string) error {
	var own string
	switch {
	case kubeconfig != "":
		raw, err := clientcmd.LoadFromFile(kubeconfig)
		if err != nil {
			return fault.Wrap(fault.Input, "--register-kubeconfig", err)
		}
		if err := errors.Join(clientcmdapi.MinifyConfig(raw), clientcmd.ResolveLocalPaths(raw)); err != nil {
			return fault.Wrap(fault.Input, "--register-kubeconfig", err)
		}
		if err := clientcmdapi.FlattenConfig(raw); err != nil {
			return fault.Wrap(fault.Input, "--register-kubeconfig", err)
		}
		if r.Kubeconfig, err = clientcmd.Write(*raw); err != nil {
			return fault.Wrap(fault.Input, "--register-kubeconfig", err)
		}
		own = raw.CurrentContext
	case r.Snapshot != "":
		src, err := snapshot.Open(r.Snapshot)
		if err != nil {
			return fault.Wrap(fault.Input, "--register-snapshot", err)
		}
		if own = src.Info().Name; own == "" {
			own = filepath.Base(filepath.Clean(r.Snapshot))
		}
		if r.Snapshot, err = filepath.Abs(r.Snapshot); err != nil {
			return fault.Wrap(fault.Input, "--register-snapshot", err)
		}
	}
	if r.Name == "" {
		r.Name = own
	}
	return nil
}

// ruleHash tells changed rules from changed objects: a hash of a rule's definition, 0 for rules that are not built in.
func ruleHash() func(rule string) int64 {
	var known sync.Map
	return func(rule string) int64 {
		if v, ok := known.Load(rule); ok {
			return v.(int64)
		}
		text, err := fs.ReadFile(rules.FS, rule+"/rule.yaml")
		if err != nil { // a vulnerability
			return 0
		}
		h := fnv.New64a()
		_, _ = h.Write(text) // never fails
		n := int64(h.Sum64() >> 1)
		known.Store(rule, n)
		return n
	}
}

// tasks says how a server scans, with the flags for images of the command line.
func (f *imageFlags) tasks(data string) (task.Options, error) {
	var o task.Options
	if f.cache == "" {
		f.cache = filepath.Join(data, "layers")
	}
	r, err := f.reader(false)
	if err != nil {
		return o, err
	}
	r.Remote, r.Forget = true, 10*time.Minute
	// What the built-in emergencies ask of files is asked while images are read. Lists that come later with the advisory database do
	// not have every image read again: what they ask anew is told as not looked at.
	list, err := builtin()
	if err != nil {
		return o, err
	}
	r.Options.Probes = probes(list)
	sum := sha256.Sum256(fmt.Appendf(nil, "%v|%v|%v|%v|%s|%v", image.Engine, r.Options.Platform, r.Options.Scanners, r.Options.RPMChangelog, r.Options.DataVersion, emergency.NewProbes(list).Asked()))
	o.Scanner = hex.EncodeToString(sum[:8])
	o.Reader = func(pull examine.PullSecret) task.ImageReader { return r.For(pull) }
	o.Registries = func(places examine.Places) { r.Places = places }
	if o.Bundled, err = bundledImages(); err != nil {
		return o, err
	}
	if o.Library, err = library("", nil, nil); err != nil {
		return o, err
	}
	o.RuleHash = ruleHash()
	if o.Frameworks, err = compliance.Load(frameworks.FS); err != nil {
		return o, fault.Wrap(fault.Internal, "", err)
	}
	if f.vex != "" {
		if o.VEX, err = vex.Load(f.vex); err != nil {
			return o, fault.Wrap(fault.Input, "--vex", err)
		}
	}
	if o.TrustedKeys, err = trustedKeys(f.trustedKeys); err != nil {
		return o, err
	}
	if o.Database = filepath.Join(data, "db"); f.db != "" || os.Getenv("STOCKADE_DB") != "" {
		if o.Database, err = databaseDir(f.db); err != nil {
			return o, err
		}
		o.Given = true
	}
	o.Release, o.Infer, o.Owned, o.ImageWorkers = release, f.inferred, f.owned, f.workers
	return o, nil
}

// mostSignatures bounds the list of hashes that agents get: they have little memory.
const mostSignatures = 8 << 20

// forAgents is the list of hashes by which images are searched, as agents take it: lines within JSON. left are those that are left out.
func (f *imageFlags) forAgents() (list func(context.Context) (string, []byte, error), left int, err error) {
	set := f.known
	if set == nil {
		set = malware.NewSet()
	}
	lines, left := set.List(mostSignatures)
	body, err := json.Marshal(lines)
	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:])
	return func(context.Context) (string, []byte, error) { return digest, body, nil }, left, err
}

func dataFlags(cmd *cobra.Command, data, database *string) {
	cmd.Flags().StringVar(data, "data", "stockade-data", "folder of the SQLite database, the keys and the CA")
	cmd.Flags().StringVar(database, "database", "", "PostgreSQL: postgres://USER@HOST/NAME (or $STOCKADE_DATABASE, which keeps a password out of the process list)")
}

// fromEnv is the value, or that of an environment variable, which keeps it out of the process list.
func fromEnv(value, name string) string {
	if value != "" {
		return value
	}
	return os.Getenv(name)
}

func serverBackup(s streams) *cobra.Command {
	var data, database, out string
	cmd := &cobra.Command{Use: "backup", Short: "Write everything that the server keeps to a file, while it runs", Args: cobra.NoArgs,
		Long: `Write everything that the server keeps to a file. The server may run: the backup holds one moment. It can be restored on either
database. The keys of sealed credentials are not in it (DATA/keys or $STOCKADE_KEYS): keep a copy of them somewhere else.`,
		Example: "  stockade server backup -o stockade.tar.zst\n  stockade server backup --database postgres://stockade@db.example.com/stockade -o stockade.tar.zst",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usage("-o FILE: name the file to write")
			}
			m, err := server.Backup(cmd.Context(), server.Place{Data: data, Database: fromEnv(database, "STOCKADE_DATABASE")}, out, release)
			if err != nil {
				return fault.Wrap(fault.Input, "backup", err)
			}
			fmt.Fprintf(s.err, "%s: %d rows of %d tables\nThe keys of sealed credentials are not in it: keep a copy of %s/keys somewhere else.\n", out, m.Rows(), len(m.Tables), strings.TrimSuffix(data, "/"))
			return nil
		}}
	dataFlags(cmd, &data, &database)
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write (tar.zst)")
	return cmd
}

func serverRestore(s streams) *cobra.Command {
	var data, database string
	cmd := &cobra.Command{Use: "restore FILE", Short: "Fill an empty database from a backup", Args: cobra.ExactArgs(1),
		Long: `Fill an empty database from a backup. The file is checked whole before anything is written; a database that has rows is refused.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := server.Restore(cmd.Context(), server.Place{Data: data, Database: fromEnv(database, "STOCKADE_DATABASE")}, args[0])
			if err != nil {
				return fault.Wrap(fault.Input, "restore", err)
			}
			fmt.Fprintf(s.err, "%d rows of %d tables, as of %s\n", m.Rows(), len(m.Tables), m.At.Format("2006-01-02 15:04:05 MST"))
			return nil
		}}
	dataFlags(cmd, &data, &database)
	return cmd
}

func serverRotateKey(s streams) *cobra.Command {
	var data, database string
	cmd := &cobra.Command{Use: "rotate-key", Short: "Encrypt credentials with a new key", Args: cobra.NoArgs,
		Long: `Make a new key and encrypt every credential in the database with it. The key before it stays until the next rotation, for
servers that run. With keys from $STOCKADE_KEYS add the new one there first.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			id, err := server.RotateKey(cmd.Context(), server.Place{Data: data, Database: fromEnv(database, "STOCKADE_DATABASE")})
			if err != nil {
				return fault.Wrap(fault.Input, "rotate-key", err)
			}
			fmt.Fprintf(s.err, "Credentials are encrypted with key %s now.\n", id)
			return nil
		}}
	dataFlags(cmd, &data, &database)
	return cmd
}
