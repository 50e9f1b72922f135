package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"text/template"
	"time"

	"github.com/uptrace/bun"
	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/fleet/tunnel"
	"stockade.dev/stockade/internal/store"
)

// chart is the connector's Helm chart. The manifest is made from the same templates, so they only use what text/template has and the
// functions of render. deploy/connector is a copy.
//
//go:embed chart
var chart embed.FS

// namespace is where the manifest puts the connector.
const namespace = "stockade"

// Install is what brings a connector into a cluster.
type Install struct {
	Objects   []Object   `json:"objects" doc:"everything that the manifest creates, to consent to"`
	Manifest  string     `json:"manifest" doc:"for kubectl apply -f"`
	Values    string     `json:"values" doc:"for helm install stockade-connector deploy/connector -n stockade --create-namespace -f"`
	Token     string     `json:"token,omitempty" doc:"one-time; shown now and never again"`
	ExpiresAt store.Time `json:"expiresAt" format:"date-time" doc:"of the token"`
	Server    string     `json:"server"`
	Pin       string     `json:"caPin" doc:"SHA-256 of the server's authority"`
	Command   string     `json:"command" doc:"runs a connector outside of a pod, with a kubeconfig"`
}

// Object is one object that the manifest creates.
type Object struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Why  string `json:"why"`
}

var objects = []Object{
	{"Namespace", namespace, "holds what follows; Pod Security level restricted"},
	{"ClusterRole", "stockade-connector", "get, list and watch of exactly the kinds that a scan reads; no changes, no exec, no logs"},
	{"ServiceAccount", "stockade-connector", "whom the connector is in the cluster; its token never leaves the cluster"},
	{"ClusterRoleBinding", "stockade-connector", "gives the service account the ClusterRole"},
	{"Role", "stockade-connector", "get and patch of the one Secret stockade-connector-identity"},
	{"RoleBinding", "stockade-connector", "gives the service account the Role"},
	{"Secret", "stockade-connector", "the one-time token for enrolling; worthless after the first start"},
	{"Secret", "stockade-connector-identity", "empty; the connector keeps its key and certificate in it"},
	{"NetworkPolicy", "stockade-connector", "nobody can connect to the connector"},
	{"Deployment", "stockade-connector", "one pod, not root, read-only, no privileges; it connects to the server and to the cluster's API server, nowhere else"},
}

// Tunnels is the state of a cluster's connector.
type Tunnels struct {
	Certificates []enrol.Certificate `json:"certificates" doc:"newest first"`
	Tunnels      []tunnel.Row        `json:"tunnels" doc:"that are open now"`
}

func (f *Fleet) tunnels(ctx context.Context, target int64) (*Tunnels, error) {
	t := &Tunnels{Certificates: []enrol.Certificate{}, Tunnels: []tunnel.Row{}}
	if f.o.Authority == nil || f.o.Tunnels == nil {
		return t, nil
	}
	certs, err := f.o.Authority.Certificates(ctx, target)
	if err != nil {
		return nil, err
	}
	rows, err := f.o.Tunnels.Rows(ctx, target)
	t.Certificates, t.Tunnels = append(t.Certificates, certs...), append(t.Tunnels, rows...)
	return t, err
}

// connectorRow reads a cluster that is reached through a connector.
func (f *Fleet) connectorRow(ctx context.Context, target int64) (*row, error) {
	r, err := f.row(ctx, target)
	switch {
	case err != nil:
		return nil, err
	case r.Kind != Connector:
		return nil, invalid("cluster %s is of kind %s: it has no connector", r.Name, r.Kind)
	case f.o.Authority == nil || f.o.Tunnels == nil:
		return nil, invalid("this server takes no connectors")
	}
	return r, nil
}

// Install shows what a connector brings into a cluster, without a token.
func (f *Fleet) Install(ctx context.Context, target int64) (*Install, error) {
	if _, err := f.connectorRow(ctx, target); err != nil {
		return nil, err
	}
	return f.install("")
}

// NewToken makes a one-time token for the cluster's connector and the manifest with it. Tokens from before that were not used are void.
// lifetime 0 is a day.
func (f *Fleet) NewToken(ctx context.Context, target int64, lifetime time.Duration) (*Install, error) {
	r, err := f.connectorRow(ctx, target)
	if err != nil {
		return nil, err
	}
	if lifetime < 0 || lifetime > 30*24*time.Hour {
		return nil, invalid("a token lives at most 30 days")
	}
	var token string
	var until time.Time
	err = f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if token, until, err = f.o.Authority.NewToken(ctx, tx, target, lifetime); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "connector.token", object(r), target, nil, map[string]any{"expires": until})
	})
	if err != nil {
		return nil, err
	}
	in, err := f.install(token)
	if err != nil {
		return nil, err
	}
	in.Token, in.ExpiresAt = token, store.At(until)
	return in, nil
}

// Revoke takes the connector's certificates and tokens back and cuts its tunnels at once.
func (f *Fleet) Revoke(ctx context.Context, target int64) error {
	r, err := f.connectorRow(ctx, target)
	if err != nil {
		return err
	}
	err = f.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := f.o.Authority.Revoke(ctx, tx, target, "revoked by hand"); err != nil {
			return err
		}
		if err := f.transition(ctx, tx, target, Waiting, "the connector was revoked: it must enrol again", nil); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "connector.revoke", object(r), target, nil, nil)
	})
	if err != nil {
		return err
	}
	f.o.Tunnels.Cut(ctx, target)
	return nil
}

// placeholder stands where the token goes when none was made.
const placeholder = "MAKE-A-TOKEN-FIRST"

func (f *Fleet) install(token string) (*Install, error) {
	if f.o.Server == "" {
		return nil, errors.New("the server does not know its own address: start it with --public-url https://host:port")
	}
	if token == "" {
		token = placeholder
	}
	in := &Install{Objects: objects, Server: f.o.Server, Pin: f.o.Authority.Pin(),
		Command: fmt.Sprintf("STOCKADE_CONNECTOR_TOKEN=%s stockade connector --server %s --ca-pin %s --state ./connector --kubeconfig FILE", token, f.o.Server, f.o.Authority.Pin())}
	own := map[string]any{"server": f.o.Server, "caPin": in.Pin, "token": token, "image": f.o.Image}
	values, err := yaml.Marshal(own)
	if err != nil {
		return nil, err
	}
	in.Values = string(values)
	in.Manifest, err = render(own)
	return in, err
}

// render makes the manifest of the connector's chart with values over its own.
func render(values map[string]any) (string, error) {
	return renderChart(chart, "chart", namespace, values)
}

// renderChart makes the manifest of a chart in a namespace, with values over its own.
func renderChart(chart embed.FS, dir, namespace string, values map[string]any) (string, error) {
	data, err := chart.ReadFile(path.Join(dir, "values.yaml"))
	if err != nil {
		return "", err
	}
	all := map[string]any{}
	if err := yaml.Unmarshal(data, &all); err != nil {
		return "", err
	}
	for k, v := range values {
		all[k] = v
	}
	files, err := chart.ReadDir(path.Join(dir, "templates"))
	if err != nil {
		return "", err
	}
	names := []string{path.Join(dir, "namespace.yaml")}
	for _, file := range files {
		names = append(names, path.Join(dir, "templates", file.Name()))
	}
	functions := template.FuncMap{
		"quote": func(v any) (string, error) { // a JSON string is a YAML string
			b, err := json.Marshal(fmt.Sprint(v))
			return string(b), err
		},
		"sha256sum": func(s string) string {
			sum := sha256.Sum256([]byte(s))
			return hex.EncodeToString(sum[:])
		},
	}
	var parts []string
	for _, name := range names {
		text, err := chart.ReadFile(name)
		if err != nil {
			return "", err
		}
		t, err := template.New(name).Funcs(functions).Option("missingkey=error").Parse(string(text))
		if err != nil {
			return "", err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, map[string]any{"Values": all, "Release": map[string]string{"Namespace": namespace}}); err != nil {
			return "", err
		}
		if text := strings.TrimSpace(b.String()); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "\n---\n") + "\n", nil
}
