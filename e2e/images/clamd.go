package images

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Clamd starts a ClamAV daemon with signatures of its own, by file name in its folder ("local.ndb"), on a socket, and ends it
// with the test. It returns the socket's path.
func Clamd(t testing.TB, signatures map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "clamd-*") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	database, socket := filepath.Join(dir, "db"), filepath.Join(dir, "clamd.sock")
	if err := os.Mkdir(database, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range signatures {
		if err := os.WriteFile(filepath.Join(database, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "clamd.conf")
	text := fmt.Sprintf("Foreground yes\nDatabaseDirectory %s\nLocalSocket %s\nTemporaryDirectory %s\nPidFile %s\nStreamMaxLength 50M\nMaxThreads 2\n",
		database, socket, dir, filepath.Join(dir, "pid"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command("clamd", "--config-file="+config)
	if _, err := exec.LookPath("clamd"); err != nil {
		cmd.Path = "/usr/sbin/clamd" // not in every user's path
		cmd.Err = nil
	}
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("clamd: %v", err)
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
	})
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
			return socket
		}
		select {
		case err := <-gone:
			gone <- err
			t.Fatalf("clamd ended: %v\n%s", err, said.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("clamd does not listen: %v", err)
		}
	}
}

// EICAR is the harmless file that every scanner of malware finds, put together here so that none finds this program.
func EICAR() []byte {
	return []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-` + `ANTIVIRUS-TEST-FILE!$H+H*`)
}
