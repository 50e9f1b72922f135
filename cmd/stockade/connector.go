package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/fleet/tunnel"
)

// tokenVariable holds the connector's token: arguments can be seen by every process of a machine.
const tokenVariable = "STOCKADE_CONNECTOR_TOKEN"

// connectorFlags are the flags of the command.
type connectorFlags struct {
	server, token, pin, state, kubeconfig, apiServer string
	protection                                       bool
}

func connectorCommand(s streams) *cobra.Command {
	var f connectorFlags
	cmd := &cobra.Command{
		Use:   "connector --server HOST:PORT --ca-pin SHA256",
		Short: "Connect this cluster to a stockade server by an outbound tunnel",
		Long: `Opens one TLS connection to the server and answers the server's reading requests with what this cluster's API
server says. Nothing but this API server can be reached through it, nothing can be changed but, with --allow-protection, the objects of
this cluster's protection, and no port is opened here.

The console's page of a cluster has the manifest that runs it. HTTPS_PROXY and NO_PROXY are honoured.`,
		Example: `  STOCKADE_CONNECTOR_TOKEN=sce_... stockade connector --server stockade.example.com:8443 --ca-pin 9f2c... --state ./connector`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd, s) },
	}
	p := cmd.Flags()
	p.StringVar(&f.server, "server", "", "host:port of the server's HTTPS port")
	p.StringVar(&f.token, "token", "", "one-time token, needed for the first start; better in "+tokenVariable)
	p.StringVar(&f.pin, "ca-pin", "", "SHA-256 of the server's authority, which the cluster's page shows")
	p.StringVar(&f.state, "state", "secret:stockade-connector-identity", "where the identity is kept: a folder, or secret:NAME in the pod's namespace")
	p.StringVar(&f.kubeconfig, "kubeconfig", "", "file with the API server and credentials; default the pod's service account")
	p.StringVar(&f.apiServer, "api-server", "", "address of the API server; default the one of the service account or kubeconfig")
	p.BoolVar(&f.protection, "allow-protection", false, "let the server also write the objects of this cluster's protection, by their names, and nothing else")
	return cmd
}

func (f *connectorFlags) run(cmd *cobra.Command, s streams) error {
	if f.server == "" || f.pin == "" {
		return usage("give --server and --ca-pin: the cluster's page in the console has both")
	}
	if f.token == "" {
		f.token = os.Getenv(tokenVariable)
	}
	var handler slog.Handler = slog.NewJSONHandler(s.err, nil)
	if _, ok := terminal(s.err); ok {
		handler = slog.NewTextHandler(s.err, nil)
	}
	log := slog.New(handler)
	rc, err := f.cluster()
	if err != nil {
		return &fault.Error{Kind: fault.Input, Op: "reading the cluster's credentials", Err: err, Hint: "run it in a pod, or give --kubeconfig"}
	}
	keeper, err := f.keeper(rc)
	if err != nil {
		return fault.Wrap(fault.Input, "reading --state", err)
	}
	gate, err := tunnel.NewGate(rc, log)
	if err != nil {
		return fault.Wrap(fault.Input, "reading the cluster's credentials", err)
	}
	gate.Protection = f.protection
	c := &tunnel.Connector{Server: f.server, Token: f.token, Pin: f.pin, Version: release, Keeper: keeper, API: gate, Log: log}
	return fault.Wrap(fault.Input, "connecting", c.Run(cmd.Context()))
}

// cluster is where the connector's API server is and with what it may be asked.
func (f *connectorFlags) cluster() (rc *rest.Config, err error) {
	if f.kubeconfig != "" {
		rc, err = clientcmd.BuildConfigFromFlags("", f.kubeconfig)
	} else {
		rc, err = rest.InClusterConfig()
	}
	if err != nil {
		return nil, err
	}
	if f.apiServer != "" {
		rc.Host = f.apiServer
	}
	rc.UserAgent = "stockade-connector/" + release
	return rc, nil
}

// namespaceFile is where a pod reads its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

func (f *connectorFlags) keeper(rc *rest.Config) (tunnel.Keeper, error) {
	name, ok := strings.CutPrefix(f.state, "secret:")
	if !ok {
		return tunnel.Folder(f.state), nil
	}
	if name == "" {
		return nil, errors.New("secret: needs a name")
	}
	namespace, err := os.ReadFile(namespaceFile)
	if err != nil {
		return nil, fmt.Errorf("%w: outside of a pod give a folder", err)
	}
	return tunnel.NewSecret(rc, strings.TrimSpace(string(namespace)), name)
}
