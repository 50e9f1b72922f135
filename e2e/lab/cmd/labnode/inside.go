//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"stockade.dev/stockade/e2e/lab/wire"
)

// inside is process 1 of the node.
func inside(folder string) error {
	if err := mounts(folder); err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	if err := network(folder); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	return serve(filepath.Join(folder, wire.Socket))
}

// tunables are what the kubelet wants of the whole machine. It writes only what
// differs, so it is shown files that say so: nothing outside is changed, and
// nothing has to be put back.
var tunables = map[string]int{
	"vm/overcommit_memory":      1,
	"vm/panic_on_oom":           0,
	"kernel/panic":              10,
	"kernel/panic_on_oops":      1,
	"kernel/keys/root_maxkeys":  1000000,
	"kernel/keys/root_maxbytes": 25000000,
}

func mounts(folder string) error {
	groups, err := hierarchies()
	if err != nil {
		return err
	}
	if err := mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	steps := []func() error{
		func() error { return mount("proc", "/proc", "proc", 0, "") },
		func() error { return mount("sysfs", "/sys", "sysfs", 0, "") }, // shows the new network
		func() error { return mountGroups(groups) },
		func() error { return mount("tmpfs", "/run", "tmpfs", 0, "mode=755,size=512m") },
		func() error { return bind(folder, "var-lib", "/var/lib") },
		func() error { return bind(folder, "var-log", "/var/log") },
		func() error { return hideImages(folder) },
		func() error { return mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, "") },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	for name, value := range tunables {
		file := filepath.Join("/run", strings.ReplaceAll(name, "/", "."))
		if err := os.WriteFile(file, []byte(strconv.Itoa(value)+"\n"), 0o644); err != nil {
			return err
		}
		if err := mount(file, filepath.Join("/proc/sys", name), "", syscall.MS_BIND, ""); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// mountGroups mounts the node's cgroups as if they were the machine's.
func mountGroups(all []hierarchy) error {
	const top = "/sys/fs/cgroup"
	if all[0].v2 {
		if err := mount("cgroup2", top, "cgroup2", 0, ""); err != nil {
			return err
		}
		return delegate(top)
	}
	if err := mount("tmpfs", top, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, h := range all {
		name := filepath.Base(h.point)
		at := filepath.Join(top, name)
		if err := os.Mkdir(at, 0o755); err != nil {
			return err
		}
		if err := mount("cgroup", at, "cgroup", 0, h.options); err != nil {
			return err
		}
		for part := range strings.SplitSeq(name, ",") { // cpu -> cpu,cpuacct
			if part != name {
				_ = os.Symlink(name, filepath.Join(top, part))
			}
		}
	}
	return nil
}

// delegate opens version 2's controllers to the groups below: only one without
// processes may do so.
func delegate(top string) error {
	leaf := filepath.Join(top, "init")
	if err := os.Mkdir(leaf, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("1"), 0o644); err != nil {
		return err
	}
	controllers, err := os.ReadFile(filepath.Join(top, "cgroup.controllers"))
	if err != nil {
		return err
	}
	all := ""
	for _, name := range strings.Fields(string(controllers)) {
		all += " +" + name
	}
	return os.WriteFile(filepath.Join(top, "cgroup.subtree_control"), []byte(strings.TrimSpace(all)), 0o644)
}

// hideImages takes away what other tests keep for the next run: among it are vulnerable programs, which a scan of the node would find.
func hideImages(folder string) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil // then nobody keeps anything
	}
	images := filepath.Join(cache, "stockade-images")
	if err := os.MkdirAll(images, 0o755); err != nil {
		return err
	}
	return bind(folder, "no-images", images)
}

func bind(folder, name, over string) error {
	from := filepath.Join(folder, name)
	if err := os.Mkdir(from, 0o755); err != nil {
		return err
	}
	return mount(from, over, "", syscall.MS_BIND, "")
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := syscall.Mount(source, target, kind, flags, data); err != nil {
		return &os.PathError{Op: "mount", Path: target, Err: err}
	}
	return nil
}

// network gives the node an address. The pair of interfaces leads nowhere, and so
// does the default route: a Service's address is only looked for if there is a
// way to it, though nftables changes the address before the packet goes there.
func network(folder string) error {
	address, err := os.ReadFile(filepath.Join(folder, "address")) // such as 10.240.0.10
	if err != nil {
		return err
	}
	for _, line := range []string{
		"link set lo up",
		"link add node0 type veth peer name node0p",
		"address add " + string(address) + "/24 dev node0",
		"link set node0 up",
		"link set node0p up",
		"route add default dev node0",
	} {
		out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, out)
		}
	}
	for name, value := range map[string]string{
		"net/ipv4/ip_forward":                 "1",
		"net/ipv6/conf/all/disable_ipv6":      "1",
		"net/bridge/bridge-nf-call-iptables":  "1",
		"net/bridge/bridge-nf-call-ip6tables": "1",
	} {
		err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644)
		if err != nil && !os.IsNotExist(err) { // no IPv6, no bridge filter: nothing to set
			return err
		}
	}
	return nil
}
