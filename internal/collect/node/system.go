package node

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/collect/node/proc"
	"stockade.dev/stockade/internal/credential"
	"stockade.dev/stockade/internal/inventory"
)

// accounts reads the names of users and groups.
func (r *reader) accounts() {
	read := func(file string) map[int64]string {
		out := map[int64]string{0: "root"}
		data, err := r.root.ReadFile(file, maxConfig)
		if err != nil {
			return out
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Split(strings.TrimSpace(line), ":")
			if len(f) < 3 || len(f[0]) > 256 {
				continue
			}
			if id, err := strconv.ParseInt(f[2], 10, 64); err == nil && id != 0 && out[id] == "" {
				out[id] = printable(f[0])
			}
		}
		return out
	}
	r.users, r.groups = read("/etc/passwd"), read("/etc/group")
}

// name is that of a user or group; its number where it has none.
func name(names map[int64]string, id int64) string {
	if id < 0 {
		return ""
	}
	if n := names[id]; n != "" {
		return n
	}
	return strconv.FormatInt(id, 10)
}

// system reads the operating system's release and the node's name.
func (r *reader) system() {
	f := r.facts
	if f.Name = r.o.Name; f.Name == "" {
		f.Name = printable(r.hostname())
	}
	lack := inventory.LacksFiles // every system has one of them, or the root that is seen is not a system's
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		data, err := r.root.ReadFile(file, maxSmall)
		if err != nil {
			continue
		}
		lack = ""
		v := assignments(string(data))
		f.OS.ID, f.OS.VersionID, f.OS.Name = printable(v["ID"]), printable(v["VERSION_ID"]), printable(v["PRETTY_NAME"])
		if f.OS.Name == "" {
			f.OS.Name = printable(strings.TrimSpace(v["NAME"] + " " + v["VERSION"]))
		}
		break
	}
	if f.OS.ID == "" {
		r.lacks(lack, "os", "/etc/os-release", errAbsent)
	}
}

// assignments reads lines such as NAME="a value", as os-release(5) and the environment files of systemd have them.
func assignments(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") || len(out) > 1000 {
			continue
		}
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		out[strings.TrimSpace(strings.TrimPrefix(key, "export "))] = value
	}
	return out
}

// sysctls are those that rules and checks of emergencies ask for.
var sysctls = []string{"fs.protected_fifos", "fs.protected_hardlinks", "fs.protected_regular", "fs.protected_symlinks", "fs.suid_dumpable",
	"kernel.core_pattern", "kernel.dmesg_restrict", "kernel.keys.root_maxbytes", "kernel.keys.root_maxkeys", "kernel.kexec_load_disabled",
	"kernel.kptr_restrict", "kernel.modules_disabled", "kernel.panic", "kernel.panic_on_oops", "kernel.perf_event_paranoid",
	"kernel.randomize_va_space", "kernel.sysrq", "kernel.unprivileged_bpf_disabled", "kernel.unprivileged_userns_clone",
	"kernel.apparmor_restrict_unprivileged_userns", "kernel.yama.ptrace_scope", "net.core.bpf_jit_harden", "net.ipv4.conf.all.accept_redirects",
	"net.ipv4.conf.all.accept_source_route", "net.ipv4.conf.all.route_localnet", "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.all.send_redirects",
	"net.ipv4.conf.default.rp_filter", "net.ipv4.ip_forward", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
	"net.ipv6.conf.all.accept_ra", "net.ipv6.conf.all.accept_redirects", "user.max_user_namespaces", "vm.mmap_min_addr",
	"vm.overcommit_memory", "vm.panic_on_oom", "vm.unprivileged_userfaultfd"}

// kernelOptions are those of the kernel's configuration that checks ask for.
var kernelOptions = []string{"CONFIG_BPF_UNPRIV_DEFAULT_OFF", "CONFIG_CRYPTO_USER_API_AEAD", "CONFIG_IO_URING", "CONFIG_MODULE_SIG", "CONFIG_MODULE_SIG_FORCE", "CONFIG_NF_TABLES",
	"CONFIG_OVERLAY_FS", "CONFIG_SECCOMP", "CONFIG_SECURITY_APPARMOR", "CONFIG_SECURITY_LOCKDOWN_LSM", "CONFIG_SECURITY_SELINUX",
	"CONFIG_STRICT_DEVMEM", "CONFIG_USER_NS", "CONFIG_USERFAULTFD", "CONFIG_CRYPTO_USER_API_HASH", "CONFIG_CRYPTO_USER_API_SKCIPHER", "CONFIG_CIFS", "CONFIG_NET_CLS_U32", "CONFIG_VSOCKETS"}

func (r *reader) kernel() {
	k := &inventory.KernelFacts{}
	r.facts.Kernel = k
	if r.procs != nil {
		text := func(file string) string {
			data, err := r.procs.Root.ReadFile(file, maxSmall)
			if err != nil {
				return ""
			}
			return printable(strings.TrimSpace(string(data)))
		}
		k.Release, k.Version = text("/sys/kernel/osrelease"), text("/sys/kernel/version")
		r.facts.OS.Kernel = k.Release
		if k.Release == "" {
			r.skip("kernel", "/proc/sys/kernel/osrelease", errAbsent)
		}
		k.Cmdline = maskLine(text("/cmdline"))
		r.facts.Sysctls = map[string]string{}
		for _, s := range sysctls {
			if v := text("/sys/" + strings.ReplaceAll(s, ".", "/")); v != "" {
				r.facts.Sysctls[s] = strings.Join(strings.Fields(v), " ")
			}
		}
		if data, err := r.procs.Root.ReadFile("/modules", maxConfig); err == nil {
			for line := range strings.Lines(string(data)) {
				if f := strings.Fields(line); len(f) > 1 && len(k.Modules) < maxFacts {
					k.Modules = append(k.Modules, printable(f[0]))
				}
			}
			slices.Sort(k.Modules)
		}
	} else {
		r.skip("kernel", "/proc of the node", errAbsent)
	}
	r.facts.OS.Arch = r.arch()
	r.lsm(k)
	k.Blocked = r.blocked()
	k.Config = r.kernelConfig(k.Release)
}

// arch is read from a program that every system has, so that it is right for disks of other machines too.
func (r *reader) arch() string {
	for _, file := range []string{"/bin/sh", "/usr/bin/sh", "/usr/bin/kubelet", "/usr/local/bin/k3s", "/sbin/init", "/usr/lib/systemd/systemd", "/bin/busybox"} {
		f, _, err := r.root.Open(file)
		if err != nil {
			continue
		}
		var head [20]byte
		_, err = io.ReadFull(f, head[:])
		_ = f.Close()
		if err != nil || !bytes.HasPrefix(head[:], []byte("\x7fELF")) {
			continue
		}
		machine := int(head[18]) | int(head[19])<<8
		if head[5] == 2 {
			machine = int(head[19]) | int(head[18])<<8
		}
		switch machine {
		case 62:
			return "amd64"
		case 183:
			return "arm64"
		case 243:
			return "riscv64"
		case 258:
			return "loong64"
		case 22:
			return "s390x"
		case 21:
			return "ppc64le"
		case 40:
			return "arm"
		case 3:
			return "386"
		}
	}
	return ""
}

// lsm reads which security modules are at work.
func (r *reader) lsm(k *inventory.KernelFacts) {
	read := func(file string) (string, error) {
		if r.sys == nil || r.procs == nil {
			return "", errAbsent
		}
		data, err := r.sys.ReadFile(file, maxSmall)
		return printable(strings.TrimSpace(string(data))), err
	}
	if list, err := read("/kernel/security/lsm"); err == nil {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" {
				k.LSM = append(k.LSM, name)
			}
		}
	} else if r.procs != nil {
		r.skip("kernel/lsm", "/sys/kernel/security/lsm (securityfs)", err)
	}
	if v, err := read("/module/apparmor/parameters/enabled"); err == nil {
		k.AppArmor = strings.HasPrefix(v, "Y")
	}
	if v, err := read("/kernel/security/lockdown"); err == nil {
		if _, rest, ok := strings.Cut(v, "["); ok {
			k.Lockdown, _, _ = strings.Cut(rest, "]")
		}
	}
	if v, err := read("/fs/selinux/enforce"); err == nil {
		k.SELinux = map[string]string{"1": "enforcing", "0": "permissive"}[v]
	} else if data, err := r.root.ReadFile("/etc/selinux/config", maxSmall); err == nil {
		if k.SELinux = "disabled"; r.procs == nil { // what would hold after a start
			if v := printable(assignments(string(data))["SELINUX"]); v != "" {
				k.SELinux = v
			}
		}
	}
}

// blocked lists modules that modprobe does not load: blacklisted, or installed by a program that does nothing.
func (r *reader) blocked() []string {
	var out []string
	for _, dir := range []string{"/usr/lib/modprobe.d", "/lib/modprobe.d", "/run/modprobe.d", "/etc/modprobe.d"} {
		entries, err := r.root.List(dir, 1000)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name, ".conf") {
				continue
			}
			data, err := r.root.ReadFile(dir+"/"+e.Name, maxConfig)
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(data)) {
				f := strings.Fields(line)
				if len(f) >= 2 && f[0] == "blacklist" || len(f) >= 3 && f[0] == "install" && (path.Base(f[2]) == "true" || path.Base(f[2]) == "false") {
					if len(out) < maxFacts {
						out = append(out, printable(strings.ReplaceAll(f[1], "-", "_")))
					}
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// kernelConfig reads the options from where systems keep them.
func (r *reader) kernelConfig(release string) map[string]string {
	if release == "" || strings.ContainsAny(release, "/\x00") {
		return nil
	}
	var data []byte
	err := errors.New("")
	if r.procs != nil {
		var packed []byte
		if packed, err = r.procs.Root.ReadFile("/config.gz", maxConfig); err == nil {
			var z *gzip.Reader
			if z, err = gzip.NewReader(bytes.NewReader(packed)); err == nil {
				data, err = io.ReadAll(io.LimitReader(z, maxConfig))
			}
		}
	}
	for _, file := range []string{"/boot/config-" + release, "/usr/lib/modules/" + release + "/config", "/lib/modules/" + release + "/config", "/usr/lib/ostree-boot/config-" + release} {
		if err == nil {
			break
		}
		data, err = r.root.ReadFile(file, maxConfig)
	}
	if err != nil {
		r.skip("kernel/config", "/boot/config-"+release+" or /proc/config.gz", errAbsent)
		return nil
	}
	out := map[string]string{}
	scan := bufio.NewScanner(bytes.NewReader(data))
	for scan.Scan() {
		line := scan.Text()
		key, value, ok := strings.Cut(line, "=")
		if rest, off := strings.CutSuffix(line, " is not set"); off {
			key, value, ok = strings.TrimPrefix(rest, "# "), "n", true
		}
		if ok && slices.Contains(kernelOptions, key) {
			out[key] = printable(value)
		}
	}
	return out
}

// mounts keeps those that matter, and says which control groups are in use.
func (r *reader) mounts() {
	if r.procs == nil {
		return
	}
	text, err := r.procs.Root.ReadFile("/1/mountinfo", 16<<20)
	if err != nil && r.o.Root == "/" {
		text, err = r.procs.Root.ReadFile("/self/mountinfo", 16<<20)
	}
	if err != nil {
		r.ofProc("mounts", "/proc/1/mountinfo", err)
		return
	}
	v1, v2 := false, false
	for _, m := range proc.Mounts(string(text)) {
		switch m.Type {
		case "cgroup":
			v1 = true
		case "cgroup2":
			v2 = v2 || m.Path == "/sys/fs/cgroup" || m.Path == "/sys/fs/cgroup/unified"
		}
		if !matters(m) || len(r.facts.Mounts) >= maxFacts {
			continue
		}
		r.facts.Mounts = append(r.facts.Mounts, inventory.MountFact{Path: printable(m.Path), Type: printable(m.Type), Options: options(m.Options)})
	}
	switch {
	case v1 && v2:
		r.facts.Kernel.Cgroup = "hybrid"
	case v1:
		r.facts.Kernel.Cgroup = "v1"
	case v2:
		r.facts.Kernel.Cgroup = "v2"
	}
}

// places are mounts of interest beside all of control groups, proc and sysfs.
var places = []string{"/", "/boot", "/boot/efi", "/dev", "/dev/shm", "/etc", "/home", "/run", "/tmp", "/usr", "/var", "/var/log", "/var/tmp", "/opt", "/data",
	"/etc/kubernetes", "/var/lib", "/var/lib/kubelet", "/var/lib/containerd", "/var/lib/docker", "/var/lib/containers", "/var/lib/etcd", "/var/lib/rancher", "/var/lib/k0s"}

func matters(m proc.Mount) bool {
	switch m.Type {
	case "cgroup", "cgroup2", "securityfs", "selinuxfs", "debugfs", "tracefs", "bpf":
		return !strings.Contains(m.Path, "/rootfs/")
	case "proc", "sysfs":
		return m.Path == "/proc" || m.Path == "/sys"
	}
	return slices.Contains(places, m.Path)
}

// options leaves out sizes and numbers that change by themselves.
func options(list []string) []string {
	var out []string
	for _, o := range list {
		key, _, _ := strings.Cut(o, "=")
		switch key {
		case "size", "nr_inodes", "nr_blocks", "lowerdir", "upperdir", "workdir", "fd", "pgrp", "":
			continue
		}
		out = append(out, printable(o))
	}
	return out
}

// maskLine hides values of a command line that look like secrets.
func maskLine(line string) string {
	words := strings.Fields(line)
	for i, w := range words {
		words[i] = maskWord(w)
	}
	return strings.Join(words, " ")
}

// hidden stands for a value that looks like a secret.
const hidden = "****"

func maskWord(w string) string {
	key, value, ok := strings.Cut(w, "=")
	if !ok {
		key, value = "", w
	}
	if value == "" || strings.HasPrefix(value, "/") || len(value) < 4 {
		return w
	}
	if leak, found := credential.Find(strings.TrimLeft(key, "-"), value); found {
		if ok {
			return key + "=" + hidden
		}
		return leak.Redacted
	}
	return w
}

// maskArgs hides secrets among arguments: "--token=x", "--token x", "user:password@host".
func maskArgs(args []string) []string {
	if len(args) == 0 {
		return nil
	}
	out := make([]string, 0, len(args))
	for i, a := range args {
		a = printable(a)
		switch {
		case i > 0 && strings.HasPrefix(args[i-1], "-") && !strings.Contains(args[i-1], "=") && !strings.HasPrefix(a, "-") &&
			!strings.HasPrefix(a, "/") && credential.Named(strings.TrimLeft(args[i-1], "-")) != "":
			a = hidden
		default:
			a = maskWord(a)
		}
		out = append(out, a)
	}
	return out
}
