package tunnel

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"k8s.io/client-go/rest"
)

// Gate passes the server's requests on to the cluster's API server, with the connector's own credentials. It lets reading through
// and nothing else, whatever the credentials allow: no changes, no subresources (exec, proxy, log), no upgrades, no other host. With
// Protection it also lets the objects of protection be written, by their names. The service account's token never leaves the cluster.
type Gate struct {
	// Protection lets the server protect the cluster. Set it before the gate is used.
	Protection bool

	proxy *httputil.ReverseProxy
}

// reviews is what may be posted: the question what the connector's own credentials allow.
const reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

// maxPost bounds the body of such a question.
const maxPost = 64 << 10

// NewGate makes a gate to the API server of rc, whose credentials it uses. A token file is read again as it changes.
func NewGate(rc *rest.Config, log *slog.Logger) (*Gate, error) {
	transport, err := rest.TransportFor(rc)
	if err != nil {
		return nil, err
	}
	base, _, err := rest.DefaultServerUrlFor(rc)
	if err != nil {
		return nil, err
	}
	prefix := strings.TrimSuffix(base.Path, "/")
	return &Gate{proxy: &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1, // watches
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL = &url.URL{Scheme: base.Scheme, Host: base.Host, Path: prefix + p.In.URL.Path, RawQuery: p.In.URL.RawQuery}
			p.Out.Host = base.Host
			p.Out.Header = http.Header{}
			for _, name := range []string{"Accept", "Accept-Encoding", "Content-Type", "User-Agent"} {
				if v := p.In.Header.Values(name); v != nil {
					p.Out.Header[name] = v
				}
			}
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				log.Warn("the API server", "error", oneLine(err.Error()))
			}
			status(w, http.StatusBadGateway, "the connector cannot reach the API server: "+oneLine(err.Error()))
		},
	}}, nil
}

// ServeHTTP implements http.Handler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	most := int64(maxPost)
	if err := allowed(r); err != nil {
		if !writes(r) {
			status(w, http.StatusForbidden, "the connector refuses: "+err.Error())
			return
		}
		if !g.Protection {
			status(w, http.StatusForbidden, "the connector refuses: "+err.Error()+": start it with --allow-protection, and give it the role, to protect this cluster")
			return
		}
		most = maxWrite
	}
	r.Body = http.MaxBytesReader(w, r.Body, most)
	g.proxy.ServeHTTP(w, r)
}

// status writes what clients of Kubernetes read as an error.
func status(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","code":%d,"message":%s}`, code, quoted(message))
}

// allowed says why a request may not pass.
func allowed(r *http.Request) error {
	path := r.URL.Path
	switch {
	case r.URL.IsAbs() || r.URL.Opaque != "" || r.URL.User != nil || !strings.HasPrefix(path, "/"):
		return errors.New("it is for another host than the API server")
	case r.Header.Get("Upgrade") != "":
		return errors.New("connections are not upgraded")
	case strings.Contains(path, "//"), strings.Contains(path, "/."), r.URL.RawPath != "" && r.URL.RawPath != path:
		return errors.New("the path is not plain")
	case r.Method == http.MethodPost && path == reviews:
		return nil
	case r.Method != http.MethodGet:
		return errors.New("it only lets reading through")
	}
	switch path {
	case "/version", "/api", "/apis", "/livez", "/readyz", "/healthz":
		return nil
	}
	parts := strings.Split(strings.TrimSuffix(path[1:], "/"), "/")
	skip := 0
	switch parts[0] {
	case "api":
		skip = 2 // api/v1
	case "apis":
		skip = 3 // apis/apps/v1
	default:
		return errors.New("it is no path of objects")
	}
	if len(parts) <= skip { // what a group has
		return nil
	}
	parts = parts[skip:]
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	if len(parts) > 2 || parts[0] == "proxy" || parts[0] == "watch" {
		return errors.New("parts of objects, such as exec, log and proxy, are out of bounds")
	}
	return nil
}
