package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// readyWithin is generous: the machine may be building something else.
	readyWithin = 2 * time.Minute

	// portTries is how often a server is started anew because somebody took its
	// port between our choice and its start.
	portTries = 4
)

func (p *ControlPlane) startEtcd(ctx context.Context, binary string) error {
	return onFreePorts(2, func(ports []int) error {
		client, peer := loopback(ports[0]), loopback(ports[1])
		// A folder of its own for each try: a failed one has written its peer's URL.
		data := filepath.Join(p.Dir(), "etcd-"+strconv.Itoa(ports[0]))
		args := []string{
			"--name=lab", "--data-dir=" + data,
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=lab=" + peer,
			"--unsafe-no-fsync", // nothing outlives the test
			"--log-level=error",
		}
		etcd, err := launch(filepath.Join(p.Dir(), "etcd.log"), binary, append(args, p.config.EtcdFlags...)...)
		if err != nil {
			return err
		}
		p.etcd, p.etcdURL = etcd, client
		return until(ctx, etcd, func() error { return answers(ctx, http.DefaultClient, client+"/health") })
	})
}

// startAPIServer starts it at the port it had, or at a free one the first time.
func (p *ControlPlane) startAPIServer(ctx context.Context) error {
	start := func(ports []int) error {
		p.port = ports[0]
		server, err := launch(p.apiserverLog(), p.binary, p.apiserverArgs()...)
		if err != nil {
			return err
		}
		p.apiserver = server
		return until(ctx, server, func() error {
			if err := answers(ctx, p.client, p.URL()+"/readyz"); err != nil {
				return err
			}
			// Made by a loop that readiness does not wait for.
			return answers(ctx, p.client, p.URL()+"/api/v1/namespaces/default")
		})
	}
	if p.port != 0 {
		return start([]int{p.port})
	}
	return onFreePorts(1, start)
}

func (p *ControlPlane) apiserverArgs() []string {
	file := func(name string) string { return filepath.Join(p.Dir(), name) }
	args := []string{
		"--etcd-servers=" + p.etcdURL,
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(p.port),
		// The kubernetes Service gets no endpoint: those may not be on loopback.
		"--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--cert-dir=" + p.Dir(),
		"--tls-cert-file=" + file("apiserver.crt"), "--tls-private-key-file=" + file("apiserver.key"),
		"--client-ca-file=" + file("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--disable-admission-plugins=ServiceAccount", // or pods wait for a controller-manager
		"--allow-privileged=true",                    // the tests' subject
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + file("sa.pub"),
		"--service-account-signing-key-file=" + file("sa.key"),
	}
	if n, _ := minor(p.version); n < 24 {
		args = append(args, "--insecure-port=0") // 1.19 listens on plain 8080 unless told
	}
	return append(args, p.config.Flags...)
}

// until polls check until it is nil, the process ends or the time is over.
func until(ctx context.Context, of *process, check func() error) error {
	ctx, stop := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("not ready after %s", readyWithin))
	defer stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		if of.gone() {
			return of.died()
		}
		if ended := sleep(ctx, 50*time.Millisecond); ended != nil {
			of.kill()
			return fmt.Errorf("%s: %w (last answer: %v); the end of its log:\n%s", of.name, ended, err, tail(of.log))
		}
	}
}

// onFreePorts calls start with n free ports of loopback, with others if it fails
// because somebody was faster.
func onFreePorts(n int, start func(ports []int) error) error {
	var err error
	for range portTries {
		var ports []int
		if ports, err = freePorts(n); err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
		if err = start(ports); err == nil || !strings.Contains(err.Error(), "address already in use") {
			return err
		}
	}
	return err
}

// freePorts holds all of them before it gives any back, so that they differ.
func freePorts(n int) (ports []int, err error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			err = errors.Join(err, l.Close())
		}
	}()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held = append(held, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func loopback(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }
