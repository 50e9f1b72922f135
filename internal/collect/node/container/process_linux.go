package container

import (
	"bytes"
	"cmp"
	"fmt"
	"math/bits"
	"path"
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/credential"
	"stockade.dev/stockade/internal/inventory"
)

// usualCaps are what runtimes give every container: containerd, CRI-O and Docker agree on them but for a few.
const usualCaps = 1<<0 | 1<<1 | 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<13 | 1<<18 | 1<<27 | 1<<29 | 1<<31

// capNames by number (linux/capability.h).
var capNames = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE",
	"CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
	"CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"}

// caps decodes effective capabilities: those beyond the usual set, or ALL. The machine may lack some itself: bound is what its
// process 1 may ever have.
func caps(effective, bound uint64) []string {
	if bound != 0 && effective&bound == bound && bits.OnesCount64(bound) > 30 {
		return []string{"ALL"}
	}
	var out []string
	for i := range 64 {
		if effective&^usualCaps&(1<<i) == 0 {
			continue
		}
		if i < len(capNames) {
			out = append(out, capNames[i])
		} else {
			out = append(out, fmt.Sprintf("CAP_%d", i))
		}
	}
	return out
}

// state is what is taken of /proc/PID/status.
type state struct {
	uid              int64
	effective, bound uint64
	seccomp          string
	noNew            bool
}

func parseStatus(data []byte) (s state) {
	s.uid = -1
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Uid":
			if f := strings.Fields(value); len(f) > 1 {
				if uid, err := strconv.ParseInt(f[1], 10, 64); err == nil {
					s.uid = uid
				}
			}
		case "CapEff":
			s.effective, _ = strconv.ParseUint(value, 16, 64)
		case "CapBnd":
			s.bound, _ = strconv.ParseUint(value, 16, 64)
		case "Seccomp":
			s.seccomp = map[string]string{"0": "disabled", "1": "strict", "2": "filter"}[value]
		case "NoNewPrivs":
			s.noNew = value == "1"
		}
	}
	return s
}

// Bounds of a command line in facts.
const (
	mostArgs    = 64
	longestArgs = 16 << 10 // bytes read
)

// describe reads what is shown of a process; false when it ended meanwhile.
func (t *table) describe(p *process) (inventory.ContainerProcess, bool) {
	out := inventory.ContainerProcess{Name: clean(p.name)}
	data, err := t.file(p.pid, "status", 64<<10)
	if err != nil {
		return out, false
	}
	s := parseStatus(data)
	out.UID, out.Caps, out.Seccomp, out.NoNew = s.uid, caps(s.effective, t.bound), s.seccomp, s.noNew
	if exe, err := t.link(p.pid, "exe"); err == nil {
		out.Exe = clean(exe)
	}
	var raw []string
	if data, err = t.file(p.pid, "cmdline", longestArgs); err == nil {
		raw = arguments(data)
		for _, a := range credential.Args(raw) {
			out.Args = append(out.Args, clean(a))
		}
	}
	if data, err = t.file(p.pid, "attr/current", 4096); err == nil {
		out.LSM = clean(strings.TrimRight(string(data), "\x00\n"))
	}
	out.Role = t.role(p, out.Exe, raw)
	return out, t.same(p)
}

// arguments splits a command line. A process may have written anything over it.
func arguments(data []byte) []string {
	data = bytes.TrimRight(data, "\x00")
	if len(data) == 0 {
		return nil
	}
	var out []string
	for a := range bytes.SplitSeq(data, []byte{0}) {
		if len(out) == mostArgs {
			return append(out, "…")
		}
		out = append(out, string(a))
	}
	return out
}

// roleNames are programs with a role, by their names.
var roleNames = map[string][]string{
	"sshd":            {"sshd", "sshd-session", "sshd-auth", "dropbear"},
	"shell":           {"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "csh", "tcsh", "fish", "rbash"},
	"package-manager": {"apt", "apt-get", "aptitude", "dpkg", "yum", "dnf", "dnf5", "microdnf", "tdnf", "rpm", "apk", "zypper", "pacman", "opkg", "pip", "pip3"},
	"debugger":        {"gdb", "gdbserver", "lldb", "lldb-server", "strace", "ltrace", "dlv", "perf", "bpftrace"},
	"miner": {"xmrig", "xmr-stak", "xmr-stak-cpu", "minerd", "cpuminer", "cpuminer-multi", "ethminer", "ccminer", "t-rex", "nbminer", "lolminer", "phoenixminer",
		"kinsing", "kdevtmpfsi", "kthreaddi", "sysupdate", "networkservice", "nanominer", "xmrigdaemon", "srbminer-multi"},
}

func roleOf(name string) string {
	for _, role := range []string{"sshd", "shell", "package-manager", "debugger", "miner"} {
		if slices.Contains(roleNames[role], name) {
			return role
		}
	}
	return ""
}

// stratum are the beginnings of the addresses of mining pools.
var stratum = []string{"stratum+tcp://", "stratum+ssl://", "stratum+tls://", "stratum2+tcp://"}

// role tells what a process is for, by the file it runs; by its name only where that cannot be read or holds many programs.
func (t *table) role(p *process, exe string, args []string) string {
	for _, a := range args {
		for _, s := range stratum {
			if strings.Contains(a, s) {
				return "miner"
			}
		}
	}
	base := strings.ToLower(path.Base(strings.TrimSuffix(exe, " (deleted)")))
	called := strings.ToLower(p.name)
	if len(args) > 0 {
		called = strings.ToLower(path.Base(strings.TrimPrefix(args[0], "-")))
	}
	role := roleOf(base)
	if role == "" && (exe == "" || base == "busybox" || base == "toybox" || strings.HasPrefix(exe, "/memfd:")) {
		if base == "busybox" && len(args) > 1 && called == "busybox" {
			called = strings.ToLower(args[1])
		}
		role = roleOf(called)
	}
	if role == "" { // scripts: python3 /usr/bin/dnf
		for _, a := range args[:min(len(args), 3)] {
			if r := roleOf(path.Base(a)); r == "package-manager" && strings.HasPrefix(a, "/") {
				role = r
			}
		}
		if r := roleOf(strings.ToLower(p.name)); role == "" && r == "miner" {
			role = r
		}
	}
	if role == "shell" && !t.interactive(p) {
		return ""
	}
	return role
}

// interactive reports whether somebody sits at a shell: it has a terminal, or a connection for its input.
func (t *table) interactive(p *process) bool {
	if p.terminal {
		return true
	}
	in, err := t.link(p.pid, "fd/0")
	return err == nil && (strings.HasPrefix(in, "socket:") || strings.HasPrefix(in, "/dev/pts/") || strings.HasPrefix(in, "/dev/tty"))
}

// describeAll reads the processes of a container. Those that look alike are one: workers come and go.
func (t *table) describeAll(c *found, most int) (skipped []inventory.SkipFact) {
	for i, p := range c.processes {
		if i == 20*most {
			skipped = append(skipped, tooManyProcesses(c, i))
			break
		}
		d, ok := t.describe(p)
		if !ok || slices.ContainsFunc(c.Processes, func(e inventory.ContainerProcess) bool { return compareProcesses(e, d) == 0 }) {
			continue
		}
		if len(c.Processes) == most {
			skipped = append(skipped, tooManyProcesses(c, i))
			break
		}
		c.Processes = append(c.Processes, d)
	}
	slices.SortFunc(c.Processes, compareProcesses)
	return skipped
}

func tooManyProcesses(c *found, read int) inventory.SkipFact {
	return inventory.SkipFact{Check: "container-processes", Needs: "fewer processes in " + Name(&c.ContainerFact),
		Reason: fmt.Sprintf("%d of %d were read", read, len(c.processes)), Code: "limit"}
}

func compareProcesses(a, b inventory.ContainerProcess) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Exe, b.Exe), slices.Compare(a.Args, b.Args), cmp.Compare(a.UID, b.UID),
		slices.Compare(a.Caps, b.Caps), strings.Compare(a.Seccomp, b.Seccomp), strings.Compare(a.LSM, b.LSM), strings.Compare(a.Role, b.Role),
		strings.Compare(strconv.FormatBool(a.NoNew), strconv.FormatBool(b.NoNew)))
}
