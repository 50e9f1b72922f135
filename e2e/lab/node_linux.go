package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"stockade.dev/stockade/e2e/lab/wire"
)

// Addresses of a node. They mean something only inside its network.
const (
	NodeName     = "lab"
	NodeAddress  = "10.240.0.10" // of the node itself; pods reach what listens here
	RegistryHost = NodeAddress + ":5000"

	podRange, nodePods = "10.244.0.0/16", "10.244.0.0/24"
	serviceRange       = "10.96.0.0/16"
	apiService         = "10.96.0.1"
	dnsService         = "10.96.0.10"
	nodeURL            = "https://127.0.0.1:6443"
)

// NodeConfig says what node to start. The zero value is Kubernetes [NodeVersion]
// with one node and CoreDNS.
type NodeConfig struct {
	Flags []string // more kube-apiserver flags, "--name=value"
}

// Node is a whole Kubernetes cluster of one machine, in namespaces of its own.
// Its methods are safe for use by several goroutines.
type Node struct {
	*API

	config     NodeConfig
	parts      nodeParts
	folder     *folder
	unlock     func() // of the machine
	ca         *authority
	supervisor *process
	input      io.WriteCloser // of the supervisor: at its end the node ends
	netns      *os.File
	registry   *registry
	kubeconfig string

	mu        sync.Mutex
	processes []*process // for their logs
	steps     []string   // what was ready when
	began     time.Time
	closed    bool
}

// busy: two nodes at a time are too much for a machine, and a test that waits for
// its own first one would wait for ever.
var busy atomic.Bool

// NodePossible is nil where a [Node] can run: root's rights, namespaces, and the
// programs that `make deps` installs. Elsewhere tests take the light form, and
// log this error as the reason.
func NodePossible() error {
	if os.Geteuid() != 0 {
		return errors.New("a node needs root")
	}
	for _, program := range []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc", "ip", "nft", "iptables"} {
		if _, err := lookPath(program); err != nil {
			return fmt.Errorf("a node needs %s (make deps installs it): %w", program, err)
		}
	}
	if _, err := pluginFolder(); err != nil {
		return err
	}
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("a node needs namespaces: %w", err)
	}
	return nil
}

// nodePath is where the node's programs are looked for, also when the caller is
// in a shell without the administrator's folders.
const nodePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func lookPath(program string) (string, error) {
	for dir := range strings.SplitSeq(nodePath, ":") {
		path := filepath.Join(dir, program)
		if filepath.IsAbs(program) {
			path = program
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not in %s", program, nodePath)
}

func pluginFolder() (string, error) {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		if exists(filepath.Join(dir, "bridge")) {
			return dir, nil
		}
	}
	return "", errors.New("a node needs the CNI plug-ins (make deps installs them)")
}

// NodeForTest starts a node and ends it with the test. If the test fails it shows
// the ends of the logs.
func NodeForTest(tb testing.TB, c NodeConfig) *Node {
	tb.Helper()
	ctx, stop := testContext(tb)
	defer stop()
	n, err := StartNode(ctx, c)
	if err != nil {
		tb.Fatalf("start the node: %v", err)
	}
	tb.Logf("node with Kubernetes %s: %s", NodeVersion, n.Timing())
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("ends of the node's logs:\n%s", n.Logs())
		}
		if err := n.Close(); err != nil {
			tb.Errorf("close the node: %v", err)
		}
	})
	return n
}

// StartNode builds what is missing and returns when pods run and names resolve.
// It waits while another process has a node on this machine. The caller must
// Close it.
func StartNode(ctx context.Context, c NodeConfig) (*Node, error) {
	if err := NodePossible(); err != nil {
		return nil, err
	}
	parts, err := partsOfNode(ctx)
	if err != nil {
		return nil, err
	}
	if !busy.CompareAndSwap(false, true) {
		return nil, errors.New("this process has a node already, and one machine carries one at a time")
	}
	n := &Node{config: c, parts: parts}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	if err := n.up(ctx); err != nil {
		return nil, errors.Join(err, fmt.Errorf("the node so far: %s\n%s", n.Timing(), n.Logs()), n.Close())
	}
	return n, nil
}

// open makes the namespaces.
func (n *Node) open(ctx context.Context) error {
	root, err := cacheRoot()
	if err != nil {
		return err
	}
	if n.unlock, err = lockFile(ctx, filepath.Join(root, "node.lock"), "wait for the node of another process"); err != nil {
		return err
	}
	n.began = time.Now()
	if n.folder, err = newFolder(); err != nil {
		return fmt.Errorf("make the node's folder: %w", err)
	}
	for _, path := range []string{n.Dir(), root} {
		for _, hidden := range []string{"/run/", "/var/lib/", "/var/log/"} {
			if strings.HasPrefix(path, hidden) {
				return fmt.Errorf("%s is not seen inside a node, which has a %s of its own: set TMPDIR and STOCKADE_LAB_CACHE", path, hidden)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(n.Dir(), "address"), []byte(NodeAddress), 0o644); err != nil {
		return err
	}
	if err := n.supervise(); err != nil {
		return err
	}
	err = until(ctx, n.supervisor, func() error {
		c, err := n.ask(wire.Request{Op: wire.Netns})
		if err != nil {
			return err
		}
		defer c.Close()
		n.netns, err = c.Receive(&wire.Answer{})
		return err
	})
	n.step("namespaces")
	return err
}

// supervise starts the process that outlives this one for the moment it takes to
// clean up: it is not killed with the test but reads the end of its input.
func (n *Node) supervise() error {
	log := filepath.Join(n.Dir(), "node.log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(n.parts.helper, "watch", n.Dir())
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt from the keyboard is for the test
	if n.input, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{name: "the node", id: cmd.Process.Pid, log: log, done: make(chan struct{}),
		end: func() { _ = cmd.Process.Signal(syscall.SIGTERM) }}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	n.supervisor = p
	return nil
}

// Dir is a folder of the node that Close removes; logs are in it, and it is the
// same inside.
func (n *Node) Dir() string { return n.folder.path }

// Kubeconfig is the path of the administrator's kubeconfig, for programs that
// [Node.Run] or [Node.Start] runs.
func (n *Node) Kubeconfig() string { return n.kubeconfig }

// KubeconfigFor is like [ControlPlane.KubeconfigFor].
func (n *Node) KubeconfigFor(user string, groups ...string) (string, error) {
	return n.ca.writeKubeconfig(n.Dir(), nodeURL, identity{user: user, groups: groups})
}

// Timing says what was ready when.
func (n *Node) Timing() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.steps, ", ")
}

func (n *Node) step(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.steps = append(n.steps, fmt.Sprintf("%s %.1f s", what, time.Since(n.began).Seconds()))
}

// Logs are the ends of all logs.
func (n *Node) Logs() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var text strings.Builder
	for _, p := range append([]*process{n.supervisor}, n.processes...) {
		if p == nil {
			continue
		}
		state := "runs"
		if p.gone() {
			state = fmt.Sprintf("ended: %v", p.err)
		}
		fmt.Fprintf(&text, "--- %s (%s)\n%s\n", p.name, state, lastLines(tail(p.log), 15))
	}
	return text.String()
}

// Log is the path of the log of one of the node's programs, such as "kubelet".
func (n *Node) Log(program string) string { return filepath.Join(n.Dir(), program+".log") }

// Kill ends one of the node's programs, such as "kube-apiserver" or "kubelet".
func (n *Node) Kill(program string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.processes {
		if p.name == program && !p.gone() {
			p.kill()
		}
	}
}

// Close ends everything in the node and removes every trace. Closing twice is
// fine.
func (n *Node) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	n.mu.Unlock()
	defer busy.Store(false)
	var err error
	if n.supervisor != nil {
		_, _ = n.input.Write([]byte{1}) // an orderly end: the folder is removed here
		_ = n.input.Close()
		select {
		case <-n.supervisor.done:
		case <-time.After(time.Minute):
			err = errors.New("the node does not end within a minute")
			n.supervisor.kill()
		}
		if err == nil && n.supervisor.err != nil {
			err = n.supervisor.died()
		}
	}
	if n.registry != nil {
		n.registry.close()
	}
	if n.netns != nil {
		_ = n.netns.Close()
	}
	if n.folder != nil {
		err = errors.Join(err, n.folder.remove())
	}
	if n.unlock != nil {
		n.unlock()
	}
	return err
}

// ask sends a request to the node's first process.
func (n *Node) ask(r wire.Request) (*wire.Conn, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(n.Dir(), wire.Socket), Net: "unix"})
	if err != nil {
		return nil, err
	}
	c := &wire.Conn{UnixConn: conn}
	if err := c.Send(r, nil); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// socket asks for a socket of the node's network, which stays one in this process.
func (n *Node) socket(ctx context.Context, r wire.Request) (*os.File, error) {
	c, err := n.ask(r)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	var answer wire.Answer
	f, err := c.Receive(&answer)
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err == nil && answer.Error != "":
		err = errors.New(answer.Error)
	case err == nil && f == nil:
		err = errors.New("no socket came along")
	}
	if err != nil && f != nil {
		f.Close()
	}
	return f, err
}

// Dial connects to an address inside the node's network: Services, pods, what
// listens on loopback there.
func (n *Node) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	f, err := n.socket(ctx, wire.Request{Op: wire.Dial, Network: network, Address: address})
	if err != nil {
		return nil, fmt.Errorf("dial %s inside the node: %w", address, err)
	}
	defer f.Close()
	return net.FileConn(f)
}

// Listen listens inside the node's network, such as at [NodeAddress]:0, where
// pods reach it.
func (n *Node) Listen(address string) (net.Listener, error) {
	f, err := n.socket(context.Background(), wire.Request{Op: wire.Listen, Network: "tcp", Address: address})
	if err != nil {
		return nil, fmt.Errorf("listen at %s inside the node: %w", address, err)
	}
	defer f.Close()
	return net.FileListener(f)
}

// Client is an HTTP client inside the node's network. Tests set its TLS settings
// as they need.
func (n *Node) Client() *http.Client {
	return &http.Client{Transport: n.transport()}
}

func (n *Node) transport() *http.Transport {
	return &http.Transport{DialContext: n.Dial, ForceAttemptHTTP2: true}
}

// Expose forwards a port of this machine's loopback to an address inside, for a
// browser, until the test ends. It returns "127.0.0.1:PORT".
func (n *Node) Expose(tb testing.TB, address string) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			outer, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer outer.Close()
				inner, err := n.Dial(context.Background(), "tcp", address)
				if err != nil {
					return
				}
				defer inner.Close()
				go func() {
					_, _ = io.Copy(inner, outer)
					if half, ok := inner.(*net.TCPConn); ok {
						_ = half.CloseWrite()
					}
				}()
				_, _ = io.Copy(outer, inner)
			}()
		}
	}()
	return l.Addr().String()
}

// restConfig is for this process: it dials through the node.
func (n *Node) restConfig(pair keyPair) *rest.Config {
	return &rest.Config{Host: nodeURL, Dial: n.Dial,
		TLSClientConfig: rest.TLSClientConfig{CAData: n.ca.pem, CertData: pair.cert, KeyData: pair.key}}
}
