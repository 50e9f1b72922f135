package main

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider"
)

// providerMemory is how much memory the garbage collector lets a provider have before it works harder, when $GOMEMLIMIT does not say.
const providerMemory = 112 << 20

func providerCommand(s streams) *cobra.Command {
	var o provider.Options
	var form, level string
	cmd := &cobra.Command{
		Use:   "provider --tls DIR --link DIR --data DIR",
		Short: "Answer Gatekeeper about images and record admission requests, in a protected cluster",
		Long: `Runs in a protected cluster, in two replicas or more, and needs no permission there. "stockade protect enable" installs it.

Gatekeeper asks it about the images of pods (external data, POST /validate and /mutate, with Gatekeeper's client certificate); the API
server shows it what is created and changed (POST /record), which is always let in and recorded. Policies and verdicts come from the
server. While the server is away, what was known last counts; what was never known is up to each policy.

  --tls   tls.crt and tls.key to serve with, client-ca.crt of Gatekeeper's client certificate
  --link  tls.crt and tls.key of this cluster, ca.crt of the server, server (https://HOST:PORT), target (the cluster's id)
  --data  a folder that is kept when the container starts anew; nothing is written elsewhere

The files of --tls and --link are read again when they change. On --health-listen, without TLS: /healthz, /readyz and /metrics. Every flag
can be given in the environment: STOCKADE_PROVIDER_LISTEN, ..._HEALTH_LISTEN, ..._TLS, ..._LINK, ..._DATA, ..._DEADLINE, ..._LOG_FORMAT.`,
		Example: `  stockade provider --tls /etc/stockade/tls --link /etc/stockade/link --data /var/lib/stockade`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := providerEnvironment(cmd); err != nil {
				return err
			}
			if o.TLS == "" || o.Link == "" || o.Data == "" {
				return usage("give --tls, --link and --data: folders, which \"stockade provider --help\" describes")
			}
			if o.Deadline <= 0 || o.Deadline > 2*time.Second {
				return usage("--deadline %s: want more than 0 and at most 2s, which is what Gatekeeper waits", o.Deadline)
			}
			log, err := providerLog(s, form, level)
			if err != nil {
				return err
			}
			if os.Getenv("GOMEMLIMIT") == "" {
				debug.SetMemoryLimit(providerMemory)
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(40)
			}
			lib, err := library("", nil, nil)
			if err != nil {
				return err
			}
			o.Judge = func(ctx context.Context, b *policy.Bundle, images policy.Images) (provider.Judge, []policy.Undecided, error) {
				return policy.NewJudge(ctx, lib, b, images)
			}
			if o.Replica = fromEnv(o.Replica, "POD_NAME"); o.Replica == "" {
				o.Replica, _ = os.Hostname() // "" is told too
			}
			o.Version, o.Log = release, log
			p, err := provider.New(cmd.Context(), o)
			if err != nil {
				return fault.Wrap(fault.Input, "starting", err)
			}
			return fault.Wrap(fault.Input, "", p.Run(cmd.Context()))
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&o.Listen, "listen", ":8443", "address for Gatekeeper and the API server (HTTPS)")
	fl.StringVar(&o.Health, "health-listen", ":8081", "address for health and metrics (plain HTTP, no secrets)")
	fl.StringVar(&o.TLS, "tls", "", "folder of the certificates to serve with")
	fl.StringVar(&o.Link, "link", "", "folder of the link to the server")
	fl.StringVar(&o.Data, "data", "", "folder for policies, verdicts and admissions that were not sent yet")
	fl.DurationVar(&o.Deadline, "deadline", 1500*time.Millisecond, "after which an answer goes out without what is not known")
	fl.DurationVar(&o.TagAge, "tag-age", time.Minute, "after which it is asked anew what a tag names")
	fl.DurationVar(&o.Drain, "drain", 5*time.Second, "how long to serve on after the signal to stop")
	fl.IntVar(&o.Images, "images", 100_000, "verdicts on images that are kept")
	fl.StringVar(&o.Replica, "replica", "", "name of this replica (default: $POD_NAME, or the host's)")
	fl.StringVar(&form, "log-format", "", "json or text (default: text on a terminal)")
	fl.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return cmd
}

// providerEnvironment takes flags that were not given from the environment.
func providerEnvironment(cmd *cobra.Command) error {
	for flag, name := range map[string]string{"listen": "LISTEN", "health-listen": "HEALTH_LISTEN", "tls": "TLS", "link": "LINK", "data": "DATA", "deadline": "DEADLINE",
		"log-format": "LOG_FORMAT"} {
		value := os.Getenv("STOCKADE_PROVIDER_" + name)
		if value == "" || cmd.Flags().Changed(flag) {
			continue
		}
		if err := cmd.Flags().Set(flag, value); err != nil {
			return usage("$STOCKADE_PROVIDER_%s: %v", name, err)
		}
	}
	return nil
}

func providerLog(s streams, form, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usage("--log-level %q: want debug, info, warn or error", level)
	}
	if form == "" {
		form = "json"
		if _, ok := terminal(s.err); ok {
			form = "text"
		}
	}
	switch form {
	case "json":
		return slog.New(slog.NewJSONHandler(s.err, &slog.HandlerOptions{Level: l})), nil
	case "text":
		return slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: l})), nil
	}
	return nil, usage("--log-format %q: want json or text", form)
}
