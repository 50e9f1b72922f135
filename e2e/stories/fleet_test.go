package stories

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/e2e/lab"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/fleet/tunnel"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// fleetServer is the part of a server that connectors and clusters need, behind a real port.
type fleetServer struct {
	*fleet.Fleet
	tunnels *tunnel.Server
	address string
}

func newFleetServer(t *testing.T, db *store.DB) *fleetServer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	keys, err := seal.Load(filepath.Join(t.TempDir(), "keys"), "")
	if err != nil {
		t.Fatal(err)
	}
	authority, err := enrol.Open(ctx, db, keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.Own(enrol.Holder{Kind: enrol.Server, Name: "server"}, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fleetServer{address: listener.Addr().String()}
	f.tunnels = tunnel.NewServer(tunnel.Options{DB: db, Authority: authority, Timing: tunnel.Timing{Beat: 200 * time.Millisecond}})
	f.Fleet = fleet.New(db, keys, fleet.Options{Authority: authority, Tunnels: f.tunnels, Server: f.address, AllowLocal: true, Version: "test", QPS: 200, Burst: 400})
	srv := &http.Server{Handler: http.NotFoundHandler()}
	f.tunnels.Attach(srv, &tls.Config{Certificates: []tls.Certificate{*cert}})
	done := make(chan struct{})
	go func() { _ = srv.ServeTLS(listener, "", "") }()
	go func() { _ = f.tunnels.Run(ctx); close(done) }()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = srv.Close()
	})
	return f
}

// grantReader binds the shipped reader role to a user, without the resources left out.
func grantReader(t *testing.T, cp *lab.ControlPlane, file, user string, leave ...string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	create := creator(t, cp)
	for doc := range strings.SplitSeq(string(data), "\n---\n") {
		var role map[string]any
		if err := yaml.Unmarshal([]byte(doc), &role); err != nil {
			t.Fatal(err)
		}
		if role["kind"] != "ClusterRole" {
			continue
		}
		for _, r := range role["rules"].([]any) {
			rule := r.(map[string]any)
			resources, _ := rule["resources"].([]any)
			var kept []any
			for _, res := range resources {
				if !slices.Contains(leave, res.(string)) {
					kept = append(kept, res)
				}
			}
			if resources != nil {
				rule["resources"] = kept
			}
		}
		create(role)
		name := role["metadata"].(map[string]any)["name"]
		create(map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": name.(string) + "-" + user},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
			"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}}})
	}
}

// eventually waits for what must come.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not so after a minute: %v", what, err)
}

// TestFleetSelfCheck: a cluster is added with credentials that may not read everything; the table says exactly what real RBAC allows.
func TestFleetSelfCheck(t *testing.T) {
	each(t, func(t *testing.T, cp *lab.ControlPlane) {
		ctx := context.Background()
		f := newFleetServer(t, storetest.Open(t, "sqlite"))
		file, err := cp.KubeconfigFor("limited")
		if err != nil {
			t.Fatal(err)
		}
		config, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		grantReader(t, cp, "../../deploy/rbac/clusterrole.yaml", "limited", "secrets", "deployments")
		var check *fleet.Check
		eventually(t, "the binding takes effect", func() error {
			if check, err = f.Try(ctx, fleet.Added{Kind: fleet.Kubeconfig, Kubeconfig: config}); err != nil {
				return err
			}
			if check.State != fleet.Connected || check.Problem != "" {
				return errors.New(check.Problem)
			}
			for _, p := range check.Permissions {
				if p.Resource == "pods" && p.Verb == "list" && !p.Allowed {
					return errors.New("not yet")
				}
			}
			return nil
		})
		if check.Version != cp.Version() || len(check.Permissions) < 60 {
			t.Errorf("%s, %d permissions", check.Version, len(check.Permissions))
		}
		for _, p := range check.Permissions { // the shipped role grants get and list
			want := p.Verb != "watch" && p.Resource != "secrets" && p.Resource != "deployments"
			if p.Allowed != want {
				t.Errorf("%s %s.%s: %v", p.Verb, p.Resource, p.Group, p.Allowed)
			}
		}
		// What the check says to grant is what is missing.
		create := creator(t, cp)
		var role map[string]any
		if err := yaml.Unmarshal([]byte(check.Grant), &role); err != nil {
			t.Fatal(err)
		}
		create(role)
		create(map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": "additions"},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "stockade-reader-additions"},
			"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}}})
		eventually(t, "nothing is missing", func() error {
			if check, err = f.Try(ctx, fleet.Added{Kind: fleet.Kubeconfig, Kubeconfig: config}); err == nil && check.Missing > 0 {
				err = errors.New(check.Grant)
			}
			return err
		})
		c, _, err := f.Add(ctx, fleet.Added{Name: "limited", Kind: fleet.Kubeconfig, Kubeconfig: config})
		if err != nil || c.State != fleet.Connected {
			t.Fatal(c, err)
		}
		if n := objects(t, f, c.TargetID); n < 20 {
			t.Errorf("%d objects", n)
		}
	})
}

// objects counts what a scan would read.
func objects(t *testing.T, f *fleetServer, target int64) int {
	t.Helper()
	s, err := f.Open(context.Background(), target)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = s.Stream(context.Background(), func(*inventory.Object) error { n++; return nil }, func(gap finding.NotScanned) { t.Errorf("not read: %+v", gap) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// startConnector runs the program as a connector until the test ends or stop is called.
func startConnector(t *testing.T, kubeconfig, state string, in *fleet.Install) (stop func(), log *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(stockade, "connector", "--server", in.Server, "--ca-pin", in.Pin, "--state", state, "--kubeconfig", kubeconfig)
	cmd.Env = append(os.Environ(), "STOCKADE_CONNECTOR_TOKEN="+in.Token, "HTTPS_PROXY=")
	log = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("the connector's log:\n%s", log)
		}
	})
	return stop, log
}

// TestFleetConnector: a cluster that cannot be reached is scanned and watched through its connector, which runs as a program with the
// manifest's own rights; it is killed and comes back; it is revoked and does not.
func TestFleetConnector(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			cp := lab.ForTest(t, lab.Config{})
			apply(t, cp, "testdata/shop.yaml")
			ctx := context.Background()
			f := newFleetServer(t, storetest.Open(t, kind))
			c, _, err := f.Add(ctx, fleet.Added{Name: "far away", Kind: fleet.Connector})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Open(ctx, c.TargetID); !errors.Is(err, tunnel.ErrNoConnector) {
				t.Fatalf("before the connector: %v", err)
			}
			in, err := f.NewToken(ctx, c.TargetID, 0)
			if err != nil {
				t.Fatal(err)
			}
			applyManifest(t, cp, in.Manifest)
			user := "system:serviceaccount:stockade:stockade-connector" // whom the manifest binds
			kubeconfig, err := cp.KubeconfigFor(user, "system:serviceaccounts", "system:authenticated")
			if err != nil {
				t.Fatal(err)
			}
			state := t.TempDir()
			stop, log := startConnector(t, kubeconfig, state, in)
			connected := func() error {
				d, err := f.Get(ctx, identity.Visible{All: true}, c.TargetID)
				if err == nil && (d.State != fleet.Connected || len(d.Connector.Tunnels) != 1) {
					err = errors.New(string(d.State))
				}
				return err
			}
			eventually(t, "the connector connects", connected)
			check, err := f.CheckCluster(ctx, c.TargetID)
			if err != nil || check.Missing != 0 || check.Version != cp.Version() || len(check.Permissions) < 60 {
				t.Fatalf("%+v, %v", check, err)
			}
			n := objects(t, f, c.TargetID)
			if n < 20 {
				t.Errorf("%d objects through the tunnel", n)
			}
			watchThrough(t, f, c.TargetID, cp)
			noOpenProxy(t, f, c.TargetID)

			stop()
			eventually(t, "the tunnel is missed", func() error {
				if _, err := f.Open(ctx, c.TargetID); !errors.Is(err, tunnel.ErrNoConnector) {
					return errors.New("it is still there")
				}
				if err := f.Sweep(ctx); err != nil {
					return err
				}
				d, err := f.Get(ctx, identity.Visible{All: true}, c.TargetID) // the tunnel's row goes a moment after the tunnel
				if err == nil && (d.State != fleet.Waiting || !strings.Contains(d.Reason, "kubectl logs")) {
					err = fmt.Errorf("%+v", d)
				}
				return err
			})
			stop, _ = startConnector(t, kubeconfig, state, in) // with the token that is used up: the folder has the identity
			eventually(t, "the connector is back", connected)
			if again := objects(t, f, c.TargetID); again < n {
				t.Errorf("%d objects, before %d", again, n)
			}
			if err := f.Revoke(ctx, c.TargetID); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the tunnel is cut", func() error {
				if _, err := f.Open(ctx, c.TargetID); !errors.Is(err, tunnel.ErrNoConnector) {
					return errors.New("it is still there")
				}
				return nil
			})
			stop()
			if strings.Contains(log.String(), in.Token) || strings.Contains(log.String(), "PRIVATE KEY") {
				t.Error("the connector's log holds a secret")
			}
		})
	}
}

// applyManifest applies what an administrator would.
func applyManifest(t *testing.T, cp *lab.ControlPlane, manifest string) {
	t.Helper()
	create := creator(t, cp)
	for doc := range strings.SplitSeq(manifest, "\n---\n") {
		var o map[string]any
		data, err := yaml.YAMLToJSON([]byte(doc))
		if err == nil {
			err = json.Unmarshal(data, &o)
		}
		if err != nil {
			t.Fatal(err)
		}
		create(o)
	}
}

// watchThrough sees an object appear in a watch that goes through the tunnel.
func watchThrough(t *testing.T, f *fleetServer, target int64, cp *lab.ControlPlane) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	rc, err := f.REST(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(rc)
	if err != nil {
		t.Fatal(err)
	}
	maps := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"})
	list, err := maps.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	creator(t, cp)(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "seen-through-the-tunnel", "namespace": "default"}})
	for {
		select {
		case e, ok := <-w.ResultChan():
			if !ok {
				t.Fatal("the watch ended")
			}
			if o, ok := e.Object.(metav1.Object); ok && o.GetName() == "seen-through-the-tunnel" {
				return
			}
		case <-ctx.Done():
			t.Fatal("the change was not seen")
		}
	}
}

// noOpenProxy: the server cannot reach anything but reading of the API server through the tunnel, though the API server would.
func noOpenProxy(t *testing.T, f *fleetServer, target int64) {
	t.Helper()
	private, err := net.Listen("tcp", "127.0.0.1:0") // something in the connector's network
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = private.Close() }()
	reached := make(chan struct{}, 1)
	go func() {
		if conn, err := private.Accept(); err == nil {
			reached <- struct{}{}
			_ = conn.Close()
		}
	}()
	for _, request := range []string{"CONNECT " + private.Addr().String() + " HTTP/1.1\r\nHost: " + private.Addr().String(), "GET http://" + private.Addr().String() + "/ HTTP/1.1\r\nHost: x",
		"GET /version HTTP/1.1\r\nHost: " + private.Addr().String(), "DELETE /api/v1/namespaces/default HTTP/1.1\r\nHost: x", "GET /api/v1/nodes/x/proxy/ HTTP/1.1\r\nHost: x",
		"GET /metrics HTTP/1.1\r\nHost: x", "POST /api/v1/namespaces HTTP/1.1\r\nHost: x"} {
		conn, err := f.tunnels.Dial(context.Background(), target)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = conn.Write([]byte(request + "\r\nConnection: close\r\n\r\n"))
		answer := make([]byte, 4096)
		got, _ := conn.Read(answer)
		_ = conn.Close()
		if ok := strings.HasPrefix(string(answer[:got]), "HTTP/1.1 200"); ok != strings.HasPrefix(request, "GET /version") {
			t.Errorf("%.60q is answered %.80q", request, answer[:got])
		}
	}
	select {
	case <-reached:
		t.Error("the tunnel is an open proxy")
	default:
	}
}
