package container

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// process is a process as the kernel shows it: what decides where it belongs.
type process struct {
	pid, parent int
	start       uint64 // ticks since the machine started: with pid it names the process
	name        string
	terminal    bool
	mounts      string // "mnt:[4026531832]"
	pids        string
	cgroups     []string
	named       []string // by them
}

// spaces are the namespaces of a process; "" where they cannot be read.
type spaces struct{ mnt, pid, net, ipc, user string }

// table holds the processes of the node.
type table struct {
	proc   string
	host   spaces // of the node itself
	at     int    // the process that shows them
	bound  uint64 // capabilities that there are
	all    map[int]*process
	claims map[string][]*process
}

// mostProcesses bounds the processes that are looked at: the kernel's own bound on most machines.
const mostProcesses = 1 << 22

var errNoProc = errors.New("no procfs of a running node")

// readTable lists the node's processes. Those that end meanwhile are no fault.
func readTable(ctx context.Context, proc string) (*table, error) {
	t := &table{proc: proc, all: map[int]*process{}, claims: map[string][]*process{}}
	if _, err := os.Stat(filepath.Join(proc, "1", "stat")); err != nil {
		return nil, errors.Join(errNoProc, err)
	}
	t.host, t.at = t.spaces(1), 1
	if data, err := t.file(1, "status", 64<<10); err == nil {
		t.bound = parseStatus(data).bound
	}
	dir, err := os.Open(proc)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil && pid > 0 && len(t.all) < mostProcesses {
				if p := t.read(pid); p != nil {
					t.all[pid] = p
					for _, id := range p.named {
						t.claims[id] = append(t.claims[id], p)
					}
				}
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// stand finds another process that shows the node's namespaces when its first one may not be looked at (it has rights that this
// program lacks): the parent of a container's first process, which is the runtime's; else this program, if it sees itself.
func (t *table) stand(all []*found) {
	if t.host.mnt != "" {
		return
	}
	for _, f := range all {
		if p := t.all[f.pid]; p != nil && p.claims(f.ID) {
			if parent := t.all[p.parent]; parent != nil && parent.mounts != "" && parent.mounts != p.mounts {
				t.host, t.at = t.spaces(parent.pid), parent.pid
				return
			}
		}
	}
	if self := os.Getpid(); t.all[self] != nil && filepath.Clean(t.proc) == "/proc" {
		t.host, t.at = t.spaces(self), self
	}
}

// refusedOf counts the containers whose namespaces may not be read.
func (t *table) refusedOf(all []*found) (n int) {
	for _, f := range all {
		if f.init != nil && f.init.mounts == "" {
			n++
		}
	}
	return n
}

// file reads a bounded file of a process.
func (t *table) file(pid int, name string, most int64) ([]byte, error) {
	f, err := os.Open(filepath.Join(t.proc, strconv.Itoa(pid), name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// link reads a symlink of a process.
func (t *table) link(pid int, name string) (string, error) {
	return os.Readlink(filepath.Join(t.proc, strconv.Itoa(pid), name))
}

func (t *table) spaces(pid int) (s spaces) {
	for name, to := range map[string]*string{"mnt": &s.mnt, "pid": &s.pid, "net": &s.net, "ipc": &s.ipc, "user": &s.user} {
		*to, _ = t.link(pid, "ns/"+name) // "": not known
	}
	return s
}

// kernelThread is the flag of threads of the kernel (PF_KTHREAD).
const kernelThread = 0x00200000

// read reads one process; nil when it is gone, a zombie or a thread of the kernel.
func (t *table) read(pid int) *process {
	data, err := t.file(pid, "stat", 4096)
	if err != nil {
		return nil
	}
	p, ok := parseStat(data)
	if !ok || p.pid != pid {
		return nil
	}
	p.mounts, _ = t.link(pid, "ns/mnt") // "": may not be read
	p.pids, _ = t.link(pid, "ns/pid")
	data, err = t.file(pid, "cgroup", 64<<10)
	if err != nil {
		return nil
	}
	p.cgroups = parseCgroups(data)
	p.named = named(p.cgroups)
	return p
}

// parseStat reads /proc/PID/stat. The name stands in parentheses and may hold any byte, so the last one counts.
func parseStat(data []byte) (*process, bool) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return nil, false
	}
	rest := strings.Fields(string(data[end+1:]))
	if len(rest) < 20 || rest[0] == "Z" || rest[0] == "X" {
		return nil, false
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(string(data[:open])))
	parent, err2 := strconv.Atoi(rest[1])
	terminal, err3 := strconv.Atoi(rest[4])
	flags, err4 := strconv.ParseUint(rest[6], 10, 64)
	start, err5 := strconv.ParseUint(rest[19], 10, 64)
	if errors.Join(err1, err2, err3, err4, err5) != nil || flags&kernelThread != 0 {
		return nil, false
	}
	return &process{pid: pid, parent: parent, start: start, name: string(data[open+1 : end]), terminal: terminal != 0}, true
}

// parseCgroups returns the different paths of /proc/PID/cgroup.
func parseCgroups(data []byte) []string {
	var out []string
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) == 3 && parts[2] != "/" && parts[2] != "" && !slices.Contains(out, parts[2]) {
			out = append(out, parts[2])
		}
	}
	return out
}

// same reports whether a process is still the one that was read: process ids are used again.
func (t *table) same(p *process) bool {
	data, err := t.file(p.pid, "stat", 4096)
	if err != nil {
		return false
	}
	now, ok := parseStat(data)
	return ok && now.start == p.start
}

// named returns what the segments of cgroup paths may name as a container: ".../<id>", ".../cri-containerd-<id>.scope".
func named(cgroups []string) []string {
	var out []string
	add := func(id string) {
		if id != "" && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	for _, path := range cgroups {
		for segment := range strings.SplitSeq(path, "/") {
			s := strings.TrimSuffix(segment, ".scope")
			if i := strings.LastIndexByte(s, '-'); i >= 0 && hexID(s[i+1:]) {
				if !strings.Contains(s[:i], "conmon") { // CRI-O's monitors are beside their containers
					add(s[i+1:])
				}
				continue
			}
			add(s)
		}
	}
	return out
}

// claims reports whether a process's cgroup names a container id. It is a claim: a process that may write cgroups can take any path.
func (p *process) claims(id string) bool { return slices.Contains(p.named, id) }

// claimed returns the container id, 64 hexadecimal digits, that the deepest segment of a process's cgroups names, with the uid of
// a pod above it.
func (p *process) claimed() (id, pod, runtime string) {
	for _, path := range p.cgroups {
		for segment := range strings.SplitSeq(path, "/") {
			s := strings.TrimSuffix(segment, ".scope")
			if uid := podUID(strings.TrimSuffix(segment, ".slice")); uid != "" {
				pod = uid
			}
			prefix, last := "", s
			if i := strings.LastIndexByte(s, '-'); i >= 0 {
				prefix, last = s[:i], s[i+1:]
			}
			if hexID(last) && !strings.Contains(prefix, "conmon") { // CRI-O's monitors are beside their containers
				id, runtime = last, map[string]string{"cri-containerd": "containerd", "crio": "cri-o", "docker": "docker"}[prefix]
			}
		}
		if id != "" {
			return id, pod, runtime
		}
	}
	return "", "", ""
}

func hexID(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// podUID reads "pod<uid>" and "kubepods-burstable-pod<uid>", whose dashes systemd's names turn into underscores.
func podUID(segment string) string {
	i := strings.LastIndex(segment, "pod")
	if i < 0 || i > 0 && segment[i-1] != '-' {
		return ""
	}
	uid := strings.ReplaceAll(segment[i+3:], "_", "-")
	if len(uid) == 36 && uid[8] == '-' || len(uid) == 32 { // static pods have 32 hexadecimal digits
		return uid
	}
	return ""
}

// first finds the first process of a container: the one that the runtime names, when it can be that; else the oldest one whose
// cgroup names the container and that is not in the node's own mounts.
func (t *table) first(pid int, id string) *process {
	said := t.all[pid]
	if said != nil && said.claims(id) {
		return said
	}
	var oldest *process
	for _, p := range t.claims[id] {
		if (p.mounts == "" || p.mounts != t.host.mnt) && (oldest == nil || older(p, oldest)) {
			oldest = p
		}
	}
	if oldest == nil && said != nil && said.mounts != "" && said.mounts != t.host.mnt {
		return said // it left the cgroup that the runtime had made
	}
	return oldest
}

// owners tells which container each process is in. Mount namespaces decide, then process namespaces that one container alone has,
// then ancestors; a cgroup path decides last, because processes with rights can choose theirs.
type owners struct {
	t      *table
	mounts map[string]*found
	pids   map[string]*found // nil: of several
	known  map[int]*found
	ids    map[string]*found
}

func newOwners(t *table, all []*found) *owners {
	o := &owners{t: t, mounts: map[string]*found{}, pids: map[string]*found{}, known: map[int]*found{}, ids: map[string]*found{}}
	for _, c := range all {
		if c.init == nil {
			continue
		}
		o.ids[c.ID] = c
		if m := c.init.mounts; m != "" && m != t.host.mnt {
			o.mounts[m] = c
		}
		if p := c.init.pids; p != "" && p != t.host.pid {
			if _, taken := o.pids[p]; taken {
				o.pids[p] = nil
			} else {
				o.pids[p] = c
			}
		}
		o.known[c.init.pid] = c
	}
	return o
}

// of returns the container of a process, or nil. within bounds the way up to ancestors.
func (o *owners) of(p *process, within int) *found {
	if c, known := o.known[p.pid]; known {
		return c
	}
	c := o.mounts[p.mounts]
	if c == nil {
		c = o.pids[p.pids]
	}
	if parent := o.t.all[p.parent]; c == nil && parent != nil && within > 0 {
		c = o.of(parent, within-1)
	}
	for _, id := range p.named {
		if c == nil {
			c = o.ids[id]
		}
	}
	o.known[p.pid] = c
	return c
}

// sort puts the processes to their containers and returns those that belong to none, in order.
func (o *owners) sort() (rest []*process) {
	for _, pid := range sortedPIDs(o.t.all) {
		p := o.t.all[pid]
		if c := o.of(p, 1000); c != nil {
			c.processes = append(c.processes, p)
		} else {
			rest = append(rest, p)
		}
	}
	return rest
}

func sortedPIDs(all map[int]*process) []int {
	out := make([]int, 0, len(all))
	for pid := range all {
		out = append(out, pid)
	}
	slices.Sort(out)
	return out
}
