package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Private is a PostgreSQL server of one test, which may stop and start it.
type Private struct {
	URL string // of its database

	bin, dir string
	port     int
	attr     *syscall.SysProcAttr
}

// NewPrivate makes and starts a server that ends with the test.
func NewPrivate(t testing.TB) *Private {
	t.Helper()
	bin, err := Binaries()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "stockade-pg")
	if err != nil {
		t.Fatal(err)
	}
	p := &Private{bin: bin, dir: dir, attr: &syscall.SysProcAttr{Setpgid: true}}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		p.attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	p.run(t, "initdb", "-D", p.data(), "-U", "stockade", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	if p.port, err = freePort(); err != nil {
		t.Fatal(err)
	}
	p.URL = fmt.Sprintf("postgres://stockade@127.0.0.1:%d/postgres", p.port)
	p.Start(t)
	t.Cleanup(func() { p.stop() })
	return p
}

func (p *Private) data() string { return filepath.Join(p.dir, "data") }

func (p *Private) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.SysProcAttr, cmd.Dir = p.attr, p.dir
	return cmd
}

func (p *Private) run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := p.command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

// Start starts the server again and waits until it answers.
func (p *Private) Start(t testing.TB) {
	t.Helper()
	// The shell ends the server when the process of the test is gone.
	script := fmt.Sprintf(`%s/postgres -D %s -p %d -h 127.0.0.1 -k %s -c fsync=off -c max_connections=200 >>%s/log 2>&1 &
pg=$!; while [ -d /proc/%d ] && kill -0 $pg 2>/dev/null; do sleep 0.3; done; kill -QUIT $pg 2>/dev/null`, p.bin, p.data(), p.port, p.dir, p.dir, os.Getpid())
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr, cmd.Dir = p.attr, p.dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		db, err := sql.Open("pgx", p.URL)
		if err == nil {
			err = db.PingContext(context.Background())
			_ = db.Close()
		}
		if err == nil {
			return
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			t.Fatalf("PostgreSQL does not answer: %v: %s", err, log)
		}
	}
}

// Stop breaks all connections and ends the server, as a crash does.
func (p *Private) Stop(t testing.TB) {
	t.Helper()
	if out, err := p.stop(); err != nil {
		t.Fatalf("stopping PostgreSQL: %v: %s", err, out)
	}
}

func (p *Private) stop() ([]byte, error) {
	return p.command("pg_ctl", "stop", "-D", p.data(), "-m", "immediate", "-w").CombinedOutput()
}
