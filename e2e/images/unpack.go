package images

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// OpenSSH is Debian's OpenSSH server with the libraries that it is linked to, and nothing else: no shell, no tools.
var OpenSSH = []string{"openssh-server", "libc6", "libcrypt1", "libwrap0", "libnsl2", "libtirpc3", "libaudit1", "libcap-ng0", "libpam0g", "libsystemd0", "libcap2",
	"libgcrypt20", "libgpg-error0", "liblz4-1", "liblzma5", "libzstd1", "libselinux1", "libpcre2-8-0", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3", "libkrb5support0",
	"libkeyutils1", "libcom-err2", "libssl3", "zlib1g"}

// Unpacked returns a folder with the files of Debian packages as the archive has them, and the package database that says so. None of
// their scripts has run. The tree is shared: it must not be changed.
func Unpacked(t testing.TB, name string, packages ...string) string {
	t.Helper()
	dir, err := folder("unpacked-"+name, append([]string{Suite}, packages...)...)
	if err == nil {
		err = kept(dir, func(dir string) error { return unpack(dir, packages) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func unpack(dir string, packages []string) error {
	debs, err := os.MkdirTemp(filepath.Dir(dir), "debs-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(debs)
	for _, d := range []string{"var/lib/dpkg/info", "etc"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	// As root: apt's own user may not write there.
	if err := command("sh", append([]string{"-c", `cd "$0" && apt-get download -q -o APT::Sandbox::User=root "$@"`, debs}, packages...)...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	var status strings.Builder
	for _, f := range files {
		if err := command("dpkg-deb", "-x", f, dir); err != nil {
			return err
		}
		fields, err := exec.Command("dpkg-deb", "-f", f).Output()
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		fmt.Fprintf(&status, "%sStatus: install ok installed\n\n", fields)
	}
	if err := os.WriteFile(filepath.Join(dir, "var/lib/dpkg/status"), []byte(status.String()), 0o644); err != nil {
		return err
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "etc/os-release"), release, 0o644)
}
