// Package images builds real images for the end-to-end tests and the benchmarks: Debian by debootstrap and apt, package
// databases of other systems, real ones and such as the real rpm makes, under os-release files as their vendors write them, Go
// programs, archives of Java classes. What takes long is kept in the user's cache folder, by a hash of its recipe. Building
// Debian trees needs root, as debootstrap does.
package images

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Suite is the Debian release of the trees.
const Suite = "bookworm"

// Middleware are Debian packages that hold what the product has to recognise: Java libraries, servers, databases.
var Middleware = []string{"libtomcat9-java", "libtomcat10-java", "libspring-core-java", "libspring-web-java", "liblog4j1.2-java", "liblog4j2-java",
	"libslf4j-java", "libcommons-collections3-java", "libcommons-collections4-java", "libcommons-compress-java", "libcommons-fileupload-java",
	"libcommons-io-java", "libcommons-lang3-java", "libcommons-text-java", "libcommons-beanutils-java", "libcommons-configuration2-java", "libshiro-java", "libxstream-java", "libjetty9-java",
	"libhttpclient-java", "libhttpcore-java", "libmaven3-core-java", "junit", "junit4", "libplexus-utils2-java", "libjson-java",
	"libzookeeper-java", "libpostgresql-jdbc-java", "libmariadb-java", "libjackson2-databind-java", "libnetty-java", "libyaml-snake-java", "libguava-java",
	"libactivemq-java", "libh2-java", "libjs-bootstrap", "nginx-light", "memcached", "apache2-bin", "redis-server", "haproxy", "mariadb-server-core",
	"postgresql-15", "nodejs", "php8.2-cli", "gettext-base", "python3-pip", "ruby", "openssl", "sudo"}

// folder is where a tree of this recipe is kept.
func folder(name string, recipe ...string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(strings.Join(recipe, "\n")))
	return filepath.Join(base, "stockade-images", name+"-"+hex.EncodeToString(sum[:6])), nil
}

// kept makes a folder once: other processes wait, and half a tree is thrown away.
func kept(dir string, fill func(dir string) error) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(dir + ".done"); err == nil {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := fill(dir); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return os.WriteFile(dir+".done", nil, 0o600)
}

// Debian returns the folder of a minimal Debian tree. The tree is shared: it must not be changed.
func Debian(t testing.TB) string {
	t.Helper()
	dir, err := folder("debian", Suite, "minbase")
	if err == nil {
		err = kept(dir, debootstrap)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// DebianMiddleware returns a Debian tree in which Middleware is installed.
func DebianMiddleware(t testing.TB) string {
	t.Helper()
	base := Debian(t)
	dir, err := folder("middleware", append([]string{Suite}, Middleware...)...)
	if err == nil {
		err = kept(dir, func(dir string) error { return install(base, dir, Middleware) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// nodePackages are those of a worker node beside Debian's smallest system.
var nodePackages = []string{"systemd", "systemd-sysv", "containerd", "runc", "containernetworking-plugins", "openssh-server", "sudo", "iptables", "nftables", "iproute2", "conntrack", "ipset", "socat",
	"ethtool", "curl", "ca-certificates", "python3", "python3-apt", "unattended-upgrades", "rsyslog", "chrony", "nfs-common", "open-iscsi", "lvm2", "vim-tiny", "perl", "git", "jq", "cloud-init"}

// nodeSnapshots is how many containers' layers lie in the storage of a node's runtime.
const nodeSnapshots = 20

// Node returns the tree of a worker node: Debian with a runtime, Kubernetes' programs in /usr/local/bin (name -> file), and what the
// runtime keeps of containers. The tree is shared: it must not be changed.
func Node(t testing.TB, programs map[string]string) string {
	t.Helper()
	base := Debian(t)
	recipe := append([]string{Suite, fmt.Sprint(nodeSnapshots)}, nodePackages...)
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		recipe = append(recipe, name+"="+filepath.Base(programs[name]))
	}
	dir, err := folder("node", recipe...)
	if err == nil {
		err = kept(dir, func(dir string) error {
			if err := install(base, dir, nodePackages); err != nil {
				return err
			}
			for name, file := range programs {
				if err := command("cp", file, filepath.Join(dir, "usr/local/bin", name)); err != nil {
					return err
				}
			}
			store := filepath.Join(dir, "var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots")
			for i := range nodeSnapshots {
				at := filepath.Join(store, fmt.Sprint(i+1))
				if err := os.MkdirAll(at, 0o700); err != nil {
					return err
				}
				if err := command("cp", "-al", base, filepath.Join(at, "fs")); err != nil { // links: the node's disk need not be large for it
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// mirror is the package source that this machine is set up with.
func mirror() (string, error) {
	out, err := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI) $(SUITE) $(CODENAME)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("asking apt for its sources: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) >= 2 && (f[1] == Suite || f[len(f)-1] == Suite) {
			return f[0], nil
		}
	}
	return "", fmt.Errorf("apt has no source for %s", Suite)
}

func debootstrap(dir string) error {
	url, err := mirror()
	if err != nil {
		return err
	}
	if err := command("debootstrap", "--variant=minbase", Suite, dir, url); err != nil {
		return err
	}
	return clean(dir)
}

// install copies a tree and installs packages in the copy.
func install(base, dir string, packages []string) error {
	if err := command("cp", "-a", base, dir); err != nil {
		return err
	}
	// Services must not be started, and the tree must see the package source as this machine does.
	policy := filepath.Join(dir, "usr/sbin/policy-rc.d")
	if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"/etc/resolv.conf", "/etc/hosts"} {
		if data, err := os.ReadFile(name); err == nil {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				return err
			}
		}
	}
	for _, args := range [][]string{{"apt-get", "update", "-qq"},
		append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends",
			"-o", "Dpkg::Options::=--force-unsafe-io"}, packages...)} {
		// The Java runtime's scripts want proc. A mount name space of its own lets it go with the process.
		enter := []string{"--mount", "sh", "-c", `mount -t proc proc "$0/proc" && exec chroot "$0" "$@"`, dir}
		if err := command("unshare", append(enter, args...)...); err != nil {
			return err
		}
	}
	if err := os.Remove(policy); err != nil {
		return err
	}
	return clean(dir)
}

// clean removes what differs from day to day and is no part of an image.
func clean(dir string) error {
	for _, p := range []string{"var/cache/apt/archives", "var/lib/apt/lists", "var/log"} {
		entries, err := os.ReadDir(filepath.Join(dir, p))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if err := os.RemoveAll(filepath.Join(dir, p, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// command runs a program; its output is part of the error.
func command(name string, args ...string) error {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		text := out.String()
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, text[max(0, len(text)-2000):])
	}
	return nil
}
