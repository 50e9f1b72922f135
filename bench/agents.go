package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
)

// agents measures what many agents cost one server on SQLite, and two replicas on PostgreSQL where -postgres names a database.
func (b *bench) agents(o options) error {
	b.say("%d simulated agents: each with a certificate and a connection of its own, beats spread over %s, facts of a node with 30 containers and 400 packages. "+
		"Latencies are those of the agents. Goals: p99 of beats under 250 ms, a full round of facts in under %s.", o.agents, o.interval, protocol.FactsEvery)
	if err := b.agentFleet(o, "One server, SQLite", ""); err != nil || o.postgres == "" {
		return err
	}
	return b.agentFleet(o, "Two replicas, PostgreSQL", o.postgres)
}

// replica is a server process.
type replica struct {
	address string
	cmd     *exec.Cmd
}

// agentFleet runs all steps against one kind of server.
func (b *bench) agentFleet(o options, title, database string) error {
	dir := filepath.Join(b.tmp, strings.ReplaceAll(strings.ToLower(title), " ", "-"))
	in, roots, err := b.prepareAgents(dir, database, o.agents)
	if err != nil {
		return err
	}
	servers := 1
	if database != "" {
		servers = 2
	}
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	var list []*replica
	defer func() {
		cancel()
		for _, r := range list {
			_ = r.cmd.Wait() // it was asked to end
		}
	}()
	for range servers {
		r, err := b.replica(ctx, dir, database, roots)
		if err != nil {
			return err
		}
		list = append(list, r)
	}
	all := make([]*simulated, o.agents)
	for i := range all {
		all[i] = &simulated{name: fmt.Sprintf("node-%05d", i), base: "https://" + list[i%servers].address, roots: roots, seed: i}
	}
	b.say("\n## %s\n\n| step | requests | took | per second | p50 ms | p99 ms | worst ms | failed | server CPU s | server MiB |\n|---|---|---|---|---|---|---|---|---|---|", title)
	beats := func(ctx context.Context, a *simulated) error { return a.beat(ctx) }
	steps := []struct {
		what   string
		spread time.Duration // 0: as fast as the server takes them
		do     func(ctx context.Context, a *simulated) error
	}{
		{"enrol", 0, func(ctx context.Context, a *simulated) error { return a.enrol(ctx, in.Token) }},
		{"first beat", 0, beats},
		{"first facts", 0, func(ctx context.Context, a *simulated) error { return a.report(ctx, protocol.ReadFacts, 0) }},
		{"first packages", 0, func(ctx context.Context, a *simulated) error { return a.report(ctx, protocol.ReadPackages, 0) }},
		{"beats", o.interval, beats},
		{"beats again", o.interval, beats},
		{"facts, unchanged", 0, func(ctx context.Context, a *simulated) error { return a.report(ctx, protocol.ReadFacts, 0) }},
		{"facts, all changed", 0, func(ctx context.Context, a *simulated) error { return a.report(ctx, protocol.ReadFacts, 1) }},
		{"beats while they are judged", o.interval, beats},
	}
	for _, s := range steps {
		b.progress("%s: %s", title, s.what)
		before := cpuOfReplicas(list)
		m := drive(ctx, all, s.spread, s.do)
		if err := ctx.Err(); err != nil {
			return err
		}
		b.say("| %s | %d | %.1f s | %.0f | %.1f | %.1f | %.1f | %d | %.1f | %d |", s.what, m.n, m.took.Seconds(), float64(m.n)/m.took.Seconds(), m.at(50), m.at(99), m.at(100), m.failed, cpuOfReplicas(list)-before, memoryOf(list))
		if m.failed > m.n/10 {
			return fmt.Errorf("%s: %d of %d failed: %w", s.what, m.failed, m.n, m.err)
		}
	}
	return nil
}

// prepareAgents makes a cluster and a token for its agents before the server runs.
func (b *bench) prepareAgents(dir, database string, uses int) (*fleet.AgentInstall, *x509.CertPool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	db, err := store.Open(b.ctx, store.Options{Dir: dir, URL: database})
	if err != nil {
		return nil, nil, err
	}
	keys, err := seal.Load(filepath.Join(dir, "keys"), os.Getenv(seal.Variable))
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	authority, err := enrol.Open(b.ctx, db, keys, nil)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	f := fleet.New(db, keys, fleet.Options{Authority: authority, Server: "localhost:1"})
	c, _, err := f.Add(b.ctx, fleet.Added{Name: "agents-" + time.Now().UTC().Format("150405.000"), Kind: fleet.Connector})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	in, err := f.NewAgentToken(b.ctx, c.TargetID, fleet.AgentTokenRequest{Uses: uses})
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return in, authority.Roots(), db.Close()
}

// replica starts a server and waits until it answers.
func (b *bench) replica(ctx context.Context, dir, database string, roots *x509.CertPool) (*replica, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	args := []string{"server", "--data", dir, "--listen", address, "--debug-listen", ""}
	if database != "" {
		args = append(args, "--database", database)
	}
	cmd := exec.CommandContext(ctx, b.stockade, args...)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 5 * time.Second}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		resp, err := client.Get("https://" + address + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return &replica{address, cmd}, nil
			}
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("the server does not answer: %v", err)
		}
	}
}

// measured is what a step cost.
type measured struct {
	n, failed int
	took      time.Duration
	ms        []float64
	err       error
}

func (m *measured) at(percent int) float64 {
	if len(m.ms) == 0 {
		return 0
	}
	return m.ms[min(len(m.ms)-1, len(m.ms)*percent/100)]
}

// drive has every agent do something once: evenly over a time, or as fast as 64 at once can.
func drive(ctx context.Context, all []*simulated, spread time.Duration, do func(context.Context, *simulated) error) *measured {
	m := &measured{n: len(all)}
	var mu sync.Mutex
	var next atomic.Int64
	var group sync.WaitGroup
	began := time.Now()
	for range min(64, len(all)) {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(all) || ctx.Err() != nil {
					return
				}
				if spread > 0 {
					select {
					case <-time.After(time.Until(began.Add(spread * time.Duration(i) / time.Duration(len(all))))):
					case <-ctx.Done():
						return
					}
				}
				at := time.Now()
				err := do(ctx, all[i])
				took := time.Since(at)
				mu.Lock()
				m.ms = append(m.ms, float64(took.Microseconds())/1000)
				if err != nil {
					m.failed++
					m.err = err
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	m.took = time.Since(began)
	slices.Sort(m.ms)
	return m
}

// simulated is an agent that speaks the protocol and reads nothing.
type simulated struct {
	name, base string
	roots      *x509.CertPool
	seed       int
	client     *http.Client
	facts      string // digests that the server has
	software   string
	reports    int
}

func (a *simulated) send(ctx context.Context, c *http.Client, path string, body []byte, encoding string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s: %s: %.200s", path, resp.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

func (a *simulated) newClient(cert *tls.Certificate) *http.Client {
	c := &tls.Config{RootCAs: a.roots, NextProtos: []string{protocol.Mark, "http/1.1"}, MinVersion: tls.VersionTLS13}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: c, MaxIdleConnsPerHost: 1, IdleConnTimeout: 10 * time.Minute, ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10}}
}

func (a *simulated) enrol(ctx context.Context, token string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	body, err := json.Marshal(protocol.Application{Token: token, Request: csr, Node: a.name, MachineID: "machine-" + a.name, Version: "bench"})
	if err != nil {
		return err
	}
	first := a.newClient(nil)
	defer first.CloseIdleConnections()
	var p protocol.Papers
	if err := a.send(ctx, first, protocol.EnrolPath, body, "", &p); err != nil {
		return err
	}
	block, _ := pem.Decode([]byte(p.Certificate))
	if block == nil {
		return errors.New("no certificate in the papers")
	}
	a.client = a.newClient(&tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key})
	return nil
}

func (a *simulated) beat(ctx context.Context) error {
	body, err := json.Marshal(protocol.Beat{At: time.Now(), Version: "bench", State: protocol.Running, Facts: a.facts, Software: a.software, Memory: 20 << 20})
	if err != nil {
		return err
	}
	return a.send(ctx, a.client, protocol.BeatPath, body, "", new(protocol.BeatAnswer))
}

// report brings facts or packages, whole when they are not what the server has.
func (a *simulated) report(ctx context.Context, kind protocol.WorkKind, round int) error {
	var body any = nodeFacts(a.seed, round)
	have := &a.facts
	if kind == protocol.ReadPackages {
		body, have = nodePackages(a.seed), &a.software
	}
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	a.reports++
	rep := protocol.Report{ID: fmt.Sprint(a.name, "-", a.reports), Kind: kind, At: time.Now(), Digest: hex.EncodeToString(sum[:]), Last: true}
	if rep.Digest != *have {
		rep.Body = data
	}
	text, err := json.Marshal(rep)
	if err != nil {
		return err
	}
	if err := a.send(ctx, a.client, protocol.ReportPath, packer.EncodeAll(text, nil), "zstd", nil); err != nil {
		return err
	}
	*have = rep.Digest
	return nil
}

var packer = func() *zstd.Encoder {
	z, err := zstd.NewWriter(nil)
	if err != nil { // the options are good
		panic(err)
	}
	return z
}()

// nodeFacts are those of a node with 30 containers.
func nodeFacts(seed, round int) *inventory.NodeFacts {
	f := &inventory.NodeFacts{Name: "n", OS: inventory.OSFacts{ID: "debian", VersionID: "12", Name: "Debian GNU/Linux 12", Kernel: fmt.Sprint("6.1.0-", round), Arch: "amd64"},
		Sysctls: map[string]string{"kernel.panic": "10", "vm.overcommit_memory": "1"}, Roles: []string{"worker"},
		Kubelet: &inventory.Settings{Flags: map[string]string{"config": "/var/lib/kubelet/config.yaml"}, Config: map[string]any{"authentication": map[string]any{"anonymous": map[string]any{"enabled": false}}, "readOnlyPort": 0}}}
	for i := range 40 {
		f.Files = append(f.Files, inventory.FileFact{Role: "pki-cert", Path: fmt.Sprintf("/etc/kubernetes/pki/%d.crt", i), Mode: "0600", Owner: "root", Group: "root"})
		f.Processes = append(f.Processes, inventory.ProcessFact{Name: fmt.Sprint("daemon-", i), Args: []string{"/usr/sbin/daemon", "--config", "/etc/daemon.conf"}, User: "root"})
	}
	for i := range 30 {
		id := sha256.Sum256(fmt.Append(nil, seed, "/", i))
		c := inventory.ContainerFact{ID: hex.EncodeToString(id[:]), Namespace: fmt.Sprint("ns-", i%5), Pod: fmt.Sprintf("web-%d-7d4b9c5f6d-x2x7z", i), Container: "web", Runtime: "containerd",
			Image: fmt.Sprintf("registry.example.com/web-%d:1", i), Digest: "sha256:" + hex.EncodeToString(id[:])}
		for j := range 3 {
			c.Processes = append(c.Processes, inventory.ContainerProcess{Name: fmt.Sprint("p", j), Exe: "/app", Args: []string{"/app", "--port", "8080"}, UID: 1000, Seccomp: "filter"})
		}
		f.Containers = append(f.Containers, c)
	}
	return f
}

// nodePackages are 400 packages, the same on most nodes.
func nodePackages(seed int) *inventory.Software {
	sw := &inventory.Software{Schema: inventory.SoftwareSchema, Kind: "node", OS: &inventory.OS{ID: "debian", VersionID: "12"}}
	for i := range 400 {
		sw.Packages = append(sw.Packages, inventory.Package{Type: inventory.Deb, Name: fmt.Sprint("package-", i), Version: fmt.Sprintf("1.%d-%d", i, seed%10)})
	}
	return sw
}

// cpuOfReplicas is the processor time of servers in seconds, memoryOf their resident sets in MiB.
func cpuOfReplicas(list []*replica) float64 {
	ticks := 0.0
	for _, r := range list {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.cmd.Process.Pid))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		for _, i := range []int{11, 12} {
			var n float64
			if i < len(fields) {
				_, _ = fmt.Sscan(fields[i], &n) // the kernel wrote it
			}
			ticks += n
		}
	}
	return ticks / 100 // USER_HZ
}

func memoryOf(list []*replica) int {
	sum := 0
	for _, r := range list {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			var kb int
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				_, _ = fmt.Sscan(rest, &kb) // the kernel wrote it
				sum += kb
			}
		}
	}
	return sum >> 10
}
