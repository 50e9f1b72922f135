package stories

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// dockerRegistry starts Debian's docker-registry over a folder and returns its address.
func dockerRegistry(t *testing.T, dir string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", dir, addr)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	cmd := exec.Command("docker-registry", "serve", config)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatalf("docker-registry (make deps installs it): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 100 {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			_ = resp.Body.Close()
			return addr
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("docker-registry does not answer:\n%s", output.String())
	return ""
}

// keyPair writes a signing key and its public half.
func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	private = write("publisher.pem", "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(pub)
	return private, write("publisher.pub", "PUBLIC KEY", der, err)
}

// TestDatabase: a publisher signs and pushes the database to a real registry, an operator pulls it; then an attacker changes a
// blob in the registry's storage, and the operator keeps the database that works.
func TestDatabase(t *testing.T) {
	storage := t.TempDir()
	ref := dockerRegistry(t, storage) + "/security/stockade-db:1"
	private, public := keyPair(t)
	_, stranger := keyPair(t)
	built, installed := buildDatabase(t), filepath.Join(t.TempDir(), "db")
	must := func(want int, mention string, args ...string) {
		t.Helper()
		out := run(t, "/nonexistent", args...)
		if out.code != want || !strings.Contains(out.stdout+out.stderr, mention) {
			t.Errorf("stockade %s: code %d, want %d and %q\n%s\n%s", strings.Join(args, " "), out.code, want, mention, out.stdout, out.stderr)
		}
	}
	must(0, "", "db", "push", ref, "--db", built, "--key", private, "--plain-http")
	must(2, "", "db", "pull", ref, "-o", installed, "--plain-http", "--trusted-key", stranger)
	if _, err := os.Stat(filepath.Join(installed, "match.db")); err == nil {
		t.Error("a database that a stranger signed was installed")
	}
	must(0, "", "db", "pull", ref, "-o", installed, "--plain-http", "--trusted-key", public)
	must(0, "log4j-core", "db", "where", "CVE-2021-44228", "--db", installed, "--trusted-key", public, "-o", "json")
	must(0, "", "db", "verify", installed)

	// A newer one is pushed, and the attacker was faster: every blob of the registry that is no JSON gets another byte in the middle.
	time.Sleep(1100 * time.Millisecond) // the time of a build has whole seconds
	must(0, "", "db", "push", ref, "--db", buildDatabase(t), "--key", private, "--plain-http")
	changed := 0
	err := filepath.WalkDir(storage, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "data" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) < 100 || data[0] == '{' {
			return err
		}
		data[len(data)/2] ^= 0xff
		changed++
		return os.WriteFile(path, data, 0o600)
	})
	if err != nil || changed == 0 {
		t.Fatalf("%d blobs changed: %v", changed, err)
	}
	fresh := filepath.Join(t.TempDir(), "db")
	must(2, "", "db", "pull", ref, "-o", fresh, "--plain-http", "--trusted-key", public)
	if _, err := os.Stat(filepath.Join(fresh, "match.db")); err == nil {
		t.Error("a tampered database was installed")
	}
	must(2, "", "db", "pull", ref, "-o", installed, "--plain-http", "--trusted-key", public)
	must(0, "log4j-core", "db", "where", "CVE-2021-44228", "--db", installed, "--trusted-key", public, "-o", "json")
}
