package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Config says what control plane to start. The zero value is the newest version
// with the lab's defaults.
type Config struct {
	Version   string   // Kubernetes, such as "v1.36.3"; Newest if empty
	Flags     []string // more kube-apiserver flags, "--name=value"; the last one of a name wins, lists add up
	EtcdFlags []string // more etcd flags

	// Controllers starts a kube-controller-manager too: Deployments make ReplicaSets
	// and Pods, deleted namespaces go, owners take their objects along. The version
	// is then [NodeVersion] unless it is said.
	Controllers bool
}

// ControlPlane is a running etcd and kube-apiserver. Its methods are safe for
// use by several goroutines.
type ControlPlane struct {
	version string
	config  Config
	binary  string // of kube-apiserver
	folder  *folder
	ca      *authority
	client  *http.Client
	port    int // of the API server, kept over restarts
	etcdURL string

	readyAfter time.Duration

	adminConfig, wrongCAConfig string

	mu        sync.Mutex // over starting and ending
	etcd      *process
	apiserver *process
	others    []*process
	proxies   []*Proxy
	closed    bool
}

// ForTest starts a control plane and closes it when the test ends. If the test
// fails it shows the warnings and errors at the end of the API server's log.
func ForTest(tb testing.TB, c Config) *ControlPlane {
	tb.Helper()
	ctx, stop := testContext(tb)
	defer stop()
	cp, err := Start(ctx, c)
	if err != nil {
		tb.Fatalf("start the control plane: %v", err)
	}
	tb.Logf("kube-apiserver %s ready after %s", cp.version, cp.readyAfter.Round(10*time.Millisecond))
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("troubles of kube-apiserver %s:\n%s", cp.version, troubles(cp.Log()))
		}
		if err := cp.Close(); err != nil {
			tb.Errorf("close the control plane: %v", err)
		}
	})
	return cp
}

// troubles are the warnings and errors of a log of klog: all of it would hide what a test says of its failure.
func troubles(log string) string {
	var out []string
	for l := range strings.Lines(log) {
		if l = strings.TrimLeft(l, " "); len(l) > 1 && strings.ContainsRune("WEF", rune(l[0])) && l[1] >= '0' && l[1] <= '9' {
			out = append(out, l)
		}
	}
	return strings.Join(out[max(0, len(out)-10):], "")
}

// testContext ends before the test's own deadline, which would end the whole
// process with a page of goroutines instead of a sentence.
func testContext(tb testing.TB) (context.Context, context.CancelFunc) {
	ctx := tb.Context()
	t, ok := tb.(*testing.T)
	if !ok {
		return context.WithCancel(ctx)
	}
	deadline, ok := t.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadlineCause(ctx, deadline.Add(-15*time.Second),
		errors.New("the test's time is over: build ahead with `go run ./e2e/lab/cmd/labbuild`, or give go test a longer -timeout"))
}

// Start builds what is missing, starts etcd and kube-apiserver and returns when
// the API server is ready. The caller must Close it.
func Start(ctx context.Context, c Config) (*ControlPlane, error) {
	if c.Version == "" {
		c.Version = Newest
		if c.Controllers {
			c.Version = NodeVersion
		}
	}
	apiserver, etcd, err := Binaries(ctx, c.Version)
	if err != nil {
		return nil, err
	}
	controllers := ""
	if c.Controllers {
		if controllers, err = kubernetesBinary(ctx, c.Version, "kube-controller-manager"); err != nil {
			return nil, err
		}
	}
	began := time.Now() // only now: building is another matter
	folder, err := newFolder()
	if err != nil {
		return nil, fmt.Errorf("make the control plane's folder: %w", err)
	}
	p := &ControlPlane{version: c.Version, config: c, binary: apiserver, folder: folder}
	if err := p.start(ctx, etcd); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if c.Controllers {
		if err := p.startControllers(ctx, controllers); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	p.readyAfter = time.Since(began)
	return p, nil
}

func (p *ControlPlane) start(ctx context.Context, etcd string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.ca, err = writePKI(p.Dir()); err != nil {
		return err
	}
	pair, err := p.ca.client(admin)
	if err != nil {
		return err
	}
	if p.client, err = p.ca.httpClient(pair); err != nil {
		return err
	}
	if err := p.startEtcd(ctx, etcd); err != nil {
		return err
	}
	if err := p.startAPIServer(ctx); err != nil {
		return err
	}
	if p.adminConfig, err = saveKubeconfig(p.Dir(), kubeconfig(p.URL(), p.ca.pem, pair)); err != nil {
		return err
	}
	stranger, err := newAuthority("not-the-lab")
	if err != nil {
		return err
	}
	p.wrongCAConfig, err = saveKubeconfig(p.Dir(), kubeconfig(p.URL(), stranger.pem, pair))
	return err
}

// httpClient trusts the authority and shows the certificate.
func (a *authority) httpClient(pair keyPair) (*http.Client, error) {
	cert, err := tls.X509KeyPair(pair.cert, pair.key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}},
		ForceAttemptHTTP2: true,
	}}, nil
}

// Version is the Kubernetes version, such as "v1.36.3".
func (p *ControlPlane) Version() string { return p.version }

// URL is the address of the API server, without a slash at the end.
func (p *ControlPlane) URL() string { return "https://127.0.0.1:" + strconv.Itoa(p.port) }

// Dir is a folder of the control plane that Close removes; logs and kubeconfigs
// are in it.
func (p *ControlPlane) Dir() string { return p.folder.path }

// Client is an HTTP client with the administrator's certificate.
func (p *ControlPlane) Client() *http.Client { return p.client }

// Kubeconfig is the path of the administrator's kubeconfig (system:masters).
func (p *ControlPlane) Kubeconfig() string { return p.adminConfig }

// KubeconfigFor writes a kubeconfig whose client certificate says user and
// groups, and returns its path: RBAC grants it nothing until a test binds it.
func (p *ControlPlane) KubeconfigFor(user string, groups ...string) (string, error) {
	return p.ca.writeKubeconfig(p.Dir(), p.URL(), identity{user: user, groups: groups})
}

// KubeconfigWrongCA is the path of a kubeconfig that trusts another CA: every
// connection with it fails in the TLS handshake.
func (p *ControlPlane) KubeconfigWrongCA() string { return p.wrongCAConfig }

// PIDs are the process ids, 0 for one that does not run.
func (p *ControlPlane) PIDs() (apiserver, etcd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.apiserver.pid(), p.etcd.pid()
}

// Log is the end of the API server's log.
func (p *ControlPlane) Log() string { return tail(p.apiserverLog()) }

func (p *ControlPlane) apiserverLog() string { return filepath.Join(p.Dir(), "kube-apiserver.log") }

// Kill ends the API server with SIGKILL; etcd keeps running. It returns when the
// process is gone.
func (p *ControlPlane) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.apiserver.kill()
}

// Restart starts the API server again (killing it first if it still runs), at the
// same URL with the same objects, and returns when it is ready.
func (p *ControlPlane) Restart(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("restart: the control plane is closed")
	}
	p.apiserver.kill()
	p.client.CloseIdleConnections()
	return p.startAPIServer(ctx)
}

// Close ends both processes and the proxies and removes every file. Closing twice
// is fine.
func (p *ControlPlane) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	for _, proxy := range p.proxies {
		proxy.Close()
	}
	// Nothing is kept, so nothing needs an orderly end.
	for _, other := range p.others {
		other.kill()
	}
	p.apiserver.kill()
	p.etcd.kill()
	if p.client != nil {
		p.client.CloseIdleConnections()
	}
	return p.folder.remove()
}

// answers reports whether a GET is answered with 200, and what was said if not.
func answers(ctx context.Context, client *http.Client, url string) error {
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 2<<10))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return nil
}
