// Package cluster reads the objects of a live cluster through its API, gently: with lists from the watch cache, a bounded
// number of requests and of objects in flight, and nothing but get and list.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/inventory"
)

// Config says which cluster to read and how. The zero value is the kubeconfig that kubectl would take, or the pod's own
// service account where there is none.
type Config struct {
	Kubeconfig string // file; "" is $KUBECONFIG, ~/.kube/config, then the service account of the pod
	Context    string // "" is the current one
	Name       string // of the cluster in findings; "" is the context's name
	UserAgent  string // "stockade/VERSION"

	QPS         float32       // requests a second on the long run; default 20
	Burst       int           // requests before that rate holds; default 100, enough for one of each kind
	PageSize    int64         // objects a request where the server pages; default 500
	MaxInFlight int64         // bytes of objects read ahead, as they come over the wire; default 16 MiB
	MaxObject   int           // bytes of one object; a larger one is not scanned; default 16 MiB
	Stall       time.Duration // how long the server may say nothing; default 30 s
	Attempts    int           // requests without any progress before a kind is given up; default 5

	Namespaces   []string // read only these, and no cluster-wide kinds but namespaces; default all
	SecretValues bool     // keep the values of Secrets; by default only the names of keys leave the decoder
}

func (c *Config) withDefaults() {
	if c.UserAgent == "" {
		c.UserAgent = "stockade"
	}
	if c.QPS <= 0 {
		c.QPS = 20
	}
	if c.Burst <= 0 {
		c.Burst = max(100, int(c.QPS))
	}
	if c.PageSize <= 0 {
		c.PageSize = 500
	}
	if c.MaxInFlight <= 0 {
		c.MaxInFlight = 16 << 20
	}
	if c.MaxObject <= 0 {
		c.MaxObject = 16 << 20
	}
	if c.Stall <= 0 {
		c.Stall = 30 * time.Second
	}
	if c.Attempts <= 0 {
		c.Attempts = 5
	}
}

// Source is a live cluster.
type Source struct {
	cfg    Config
	base   *url.URL
	client *http.Client
	limit  *rate.Limiter
	info   inventory.ClusterInfo
	signs  collect.Signs

	// shuffled is a server whose watch cache lists in random order. There lists come in pages from the store, as kubectl
	// reads them: one cluster must give one report.
	shuffled bool
}

// shuffled knows the versions before the watch cache sorted (kubernetes/kubernetes#113730, late 2022: 1.26 or 1.27).
func shuffled(major, minor string) bool {
	n, err := strconv.Atoi(strings.TrimRight(minor, "+"))
	return err == nil && major == "1" && n < 27
}

// Open loads the configuration and asks the server for its version, so that wrong addresses, certificates and credentials
// come to light at once. Errors are fault.Input with a hint.
func Open(cfg Config) (*Source, error) {
	cfg.withDefaults()
	if err := ListsNotStreamed(); err != nil {
		return nil, err
	}
	rc, name, err := load(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Name == "" {
		cfg.Name = name
	}
	return open(context.Background(), cfg, rc)
}

// ListsNotStreamed must be called before the first client of the process is made. Informers of this client-go wait for ever on
// servers before 1.27 that ignore streamed lists; it reads the environment just once.
func ListsNotStreamed() error {
	if os.Getenv("KUBE_FEATURE_WatchListClient") != "" {
		return nil
	}
	return fault.Wrap(fault.Internal, "setting the environment", os.Setenv("KUBE_FEATURE_WatchListClient", "false"))
}

// OpenREST is Open for a client configuration that the caller has made: credentials, dialer and limits are the caller's, and of cfg
// Kubeconfig and Context are not read. Name must be set. Redirects are answers like others: they are not followed.
func OpenREST(ctx context.Context, cfg Config, rc *rest.Config) (*Source, error) {
	cfg.withDefaults()
	return open(ctx, cfg, rest.CopyConfig(rc))
}

func open(ctx context.Context, cfg Config, rc *rest.Config) (*Source, error) {
	name := cfg.Name
	rc.UserAgent = cfg.UserAgent
	rc.Timeout = 0 // a long list is no failure; a silent one is, see stallReader
	client, err := rest.HTTPClientFor(rc)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Input, Op: "reading the credentials of " + name, Err: err,
			Hint: "check certificates, keys and the login command in the kubeconfig"}
	}
	base, _, err := rest.DefaultServerUrlFor(rc)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Input, Op: "reading the address of " + name, Err: err, Hint: "check the server field of the kubeconfig"}
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	s := &Source{cfg: cfg, base: base, client: client, limit: rate.NewLimiter(rate.Limit(cfg.QPS), cfg.Burst),
		info: inventory.ClusterInfo{Name: name, Unread: map[string]string{}}}
	ctx, cancel := context.WithTimeout(ctx, 2*cfg.Stall)
	defer cancel()
	if err := s.version(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// version asks for the server's version. A server that refuses to tell it, as some do to all but admins, is read anyway.
func (s *Source) version(ctx context.Context) error {
	var v struct{ GitVersion, Major, Minor string }
	_, err := s.getOnce(ctx, "/version", "", &v, 1<<20)
	var status *statusError
	if errors.As(err, &status) && (status.code == http.StatusTooManyRequests || status.code >= 500) {
		err = s.getJSON(ctx, "/version", "", &v)
	}
	switch {
	case err == nil:
		s.info.Version = v.GitVersion
	case errors.As(err, &status) && (status.code == http.StatusForbidden || status.code == http.StatusNotFound):
	default:
		return s.explain(err)
	}
	s.signs.Version = s.info.Version
	s.shuffled = shuffled(v.Major, v.Minor)
	s.info.Distribution, s.info.Managed = s.signs.Judge()
	return nil
}

// Info says what is known of the cluster: after Open its name and version, after Stream also what nodes and API groups
// tell of its distribution, and what could not be read.
func (s *Source) Info() inventory.ClusterInfo { return s.info }

// load returns the client configuration and the name of the cluster.
func load(cfg Config) (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if cfg.Kubeconfig != "" {
		rules.ExplicitPath = cfg.Kubeconfig
	}
	rules.WarnIfAllMissing = false
	raw, err := rules.Load()
	if err != nil {
		hint := "give a readable file with --kubeconfig"
		if errors.Is(err, fs.ErrNotExist) {
			hint = "the file does not exist; give another with --kubeconfig"
		}
		return nil, "", &fault.Error{Kind: fault.Input, Op: "reading kubeconfig " + strings.Join(rules.GetLoadingPrecedence(), ", "), Err: err, Hint: hint}
	}
	if len(raw.Contexts) == 0 && len(raw.Clusters) == 0 {
		if cfg.Kubeconfig == "" && cfg.Context == "" {
			if rc, err := rest.InClusterConfig(); err == nil {
				return rc, "in-cluster", nil
			}
		}
		return nil, "", &fault.Error{Kind: fault.Input, Op: "reading kubeconfig",
			Err:  fmt.Errorf("no cluster is configured in %s", strings.Join(rules.GetLoadingPrecedence(), ", ")),
			Hint: "give a file with --kubeconfig or set KUBECONFIG"}
	}
	name := cfg.Context
	if name == "" {
		name = raw.CurrentContext
	}
	if raw.Contexts[name] == nil {
		return nil, "", &fault.Error{Kind: fault.Input, Op: "reading kubeconfig", Err: missingContext(name), Hint: contextList(raw)}
	}
	rc, err := clientcmd.NewNonInteractiveClientConfig(*raw, name, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	if err != nil {
		return nil, "", &fault.Error{Kind: fault.Input, Op: "reading context " + name + " of the kubeconfig", Err: err}
	}
	return rc, name, nil
}

func missingContext(name string) error {
	if name == "" {
		return errors.New("no context is current")
	}
	return fmt.Errorf("there is no context %q", name)
}

func contextList(raw *clientcmdapi.Config) string {
	names := make([]string, 0, len(raw.Contexts))
	for n := range raw.Contexts {
		names = append(names, n)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "it has no contexts"
	}
	const most = 20
	if len(names) > most {
		return fmt.Sprintf("choose with --context: %s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return "choose with --context: " + strings.Join(names, ", ")
}
