// Package proc reads the process file system of a node: processes with where they run, listening sockets, mounts. Processes end while
// they are read, and what they say of themselves (name, arguments, title) is theirs to choose: both are normal here.
package proc

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/collect/node/host"
	"stockade.dev/stockade/internal/inventory"
)

// Limits.
const (
	MaxProcesses = 50_000
	maxArgs      = 64 << 10 // bytes of a command line
	maxText      = 1 << 20  // bytes of any other file of a process
	maxTexts     = 8 << 20  // bytes that command lines and paths of all processes in containers take
	maxKept      = 256      // bytes of a name, and of a path beyond that
)

// Process is one program that runs.
type Process struct {
	PID       int
	Name      string   // of the executable, or what the process calls itself where that cannot be read
	Title     string   // base name of its first argument: its own choice
	Args      []string // all of them, the first is the program; nil in a container where those of the others take all the room
	UID       int64    // effective, as the node sees it; -1 when it is not known
	Exe       string   // as the process sees it; "" when it cannot be read
	Deleted   bool     // its executable is gone or was replaced since it started
	Container string   // id of the container it runs in; "" on the host
	Unit      string   // systemd service it belongs to
	MountNS   string   // "mnt:[4026531841]"; "" when it cannot be read
	NetNS     string
	refused   bool // NetNS may not be read
}

// Table is what was read of all processes, by process id.
type Table struct {
	Root      *host.Root
	Processes []*Process
	Skipped   []inventory.SkipFact
	byPID     map[int]*Process
	texts     int // bytes that are kept of processes in containers
	cut       int // processes of which they are not
}

// Read reads all processes.
func Read(ctx context.Context, root *host.Root) (*Table, error) {
	entries, err := root.List("/", MaxProcesses+1000)
	if err != nil && len(entries) == 0 {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name); err == nil && pid > 0 && e.Type.IsDir() {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	t := &Table{Root: root, byPID: map[int]*Process{}}
	if len(pids) > MaxProcesses || err != nil {
		pids = pids[:min(len(pids), MaxProcesses)]
		t.Skipped = append(t.Skipped, inventory.SkipFact{Check: "processes", Needs: "/proc", Code: "limit",
			Reason: fmt.Sprintf("more than %d processes: the rest was not looked at", MaxProcesses)})
	}
	denied, lack := 0, inventory.Lack("")
	for _, pid := range pids {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		p, hidden := t.process(pid)
		if p == nil {
			continue
		}
		if hidden {
			denied++
			if pid == 1 { // single programs may be kept from everybody; the first one is open to whoever has the right
				lack = inventory.LacksProc
			}
		}
		t.Processes = append(t.Processes, p)
		t.byPID[pid] = p
	}
	if t.cut > 0 {
		t.Skipped = append(t.Skipped, inventory.SkipFact{Check: "processes", Needs: "shorter command lines", Code: "limit",
			Reason: fmt.Sprintf("of %d processes in containers the arguments were not kept: those of all of them are too long", t.cut)})
	}
	if denied > 0 {
		t.Skipped = append(t.Skipped, inventory.SkipFact{Check: "processes", Needs: "CAP_SYS_PTRACE", Code: "forbidden", Lacks: lack,
			Reason: fmt.Sprintf("the executables of %d processes cannot be seen: they are known by the names they give themselves", denied)})
	}
	return t, nil
}

// Process returns a process; nil when there is none.
func (t *Table) Process(pid int) *Process { return t.byPID[pid] }

// process reads one; nil for kernel threads and for what has ended. hidden says that its executable may not be seen.
func (t *Table) process(pid int) (p *Process, hidden bool) {
	dir := strconv.Itoa(pid)
	status, err := t.Root.ReadFile(dir+"/status", maxText)
	if err != nil {
		return nil, false
	}
	p = &Process{PID: pid, UID: -1}
	zombie := false
	for line := range bytes.Lines(status) {
		key, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		switch string(key) {
		case "Name":
			p.Name = string(bytes.TrimSpace(value))
		case "State":
			zombie = bytes.HasPrefix(bytes.TrimSpace(value), []byte("Z"))
		case "Uid":
			if f := strings.Fields(string(value)); len(f) == 4 {
				if uid, err := strconv.ParseUint(f[1], 10, 32); err == nil {
					p.UID = int64(uid)
				}
			}
		}
	}
	line, _ := t.line(dir)
	exe, err := t.Root.Readlink(dir + "/exe")
	if zombie || len(line) == 0 && (err != nil || exe == "") {
		return nil, false // a kernel thread has neither, and may not be told from a process that just ended
	}
	p.Args = line
	p.Exe, p.Deleted = strings.CutSuffix(exe, " (deleted)")
	if len(p.Args) > 0 {
		p.Title = short(path.Base(p.Args[0]))
	}
	switch {
	case p.Exe != "" && strings.HasPrefix(p.Exe, "/"):
		p.Name = short(path.Base(p.Exe))
	case p.Title != "" && p.Title != "." && p.Title != "/":
		p.Name = p.Title
	}
	if cgroup, err := t.Root.ReadFile(dir+"/cgroup", maxText); err == nil {
		p.Container, p.Unit = Cgroup(string(cgroup))
	}
	if p.Container != "" {
		t.fit(p)
	}
	p.MountNS, _ = t.Root.Readlink(dir + "/ns/mnt")
	var nerr error
	p.NetNS, nerr = t.Root.Readlink(dir + "/ns/net")
	p.refused = nerr != nil && os.IsPermission(nerr)
	return p, err != nil && os.IsPermission(err)
}

// short bounds a name, and lets go of what it is the end of.
func short(name string) string { return strings.Clone(name[:min(len(name), maxKept)]) }

// fit keeps what processes in containers say within bounds: anybody there may start many with long command lines.
func (t *Table) fit(p *Process) {
	const header = 16 // of a string, beside its text
	size := len(p.Exe)
	for _, a := range p.Args {
		size += len(a) + 1 + header
	}
	if size <= maxKept {
		return
	}
	if t.texts += size; t.texts <= maxTexts {
		return
	}
	t.texts -= size
	t.cut++
	if p.Args = nil; len(p.Exe) > maxKept {
		p.Exe = ""
	}
}

// line is the command line.
func (t *Table) line(dir string) ([]string, error) {
	f, _, err := t.Root.Open(dir + "/cmdline")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, maxArgs)
	n := 0
	for n < len(data) {
		k, err := f.Read(data[n:])
		n += k
		if err != nil {
			break
		}
	}
	data = bytes.TrimRight(data[:n], "\x00")
	if len(data) == 0 {
		return nil, nil
	}
	return strings.Split(string(data), "\x00"), nil
}

var (
	containerID = regexp.MustCompile(`[0-9a-f]{64}`)
	service     = regexp.MustCompile(`/([^/]+\.service)(?:/|$)`)
)

// Cgroup tells the container and the system service of a process by its control groups.
func Cgroup(text string) (container, unit string) {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		if ids := containerID.FindAllStringIndex(fields[2], -1); len(ids) > 0 && !strings.Contains(fields[2], "conmon") {
			last := ids[len(ids)-1]
			container = fields[2][last[0]:last[1]]
		}
		if m := service.FindAllStringSubmatch(fields[2], -1); m != nil && unit == "" {
			unit = m[len(m)-1][1]
		}
	}
	return container, unit
}

// Exe opens the executable of a process, also when its file is gone. It is nil where the file system is no real /proc.
func (t *Table) Exe(p *Process) (*os.File, host.Info, error) {
	return t.Root.OpenMagic(strconv.Itoa(p.PID) + "/exe")
}

// Files opens the file system that a process sees.
func (t *Table) Files(p *Process) (*host.Root, error) {
	return t.Root.OpenMagicRoot(strconv.Itoa(p.PID) + "/root")
}

// Dir is the folder that a process works in, as it sees it itself; "" when it is not known.
func (t *Table) Dir(p *Process) string {
	dir, err := t.Root.Readlink(strconv.Itoa(p.PID) + "/cwd")
	if err != nil || !strings.HasPrefix(dir, "/") {
		return ""
	}
	return dir
}

// Environment returns the values that a process was started with of the variables that are named; nothing else of them is kept.
func (t *Table) Environment(p *Process, wanted func(name string) bool) map[string]string {
	data, err := t.Root.ReadFile(strconv.Itoa(p.PID)+"/environ", maxText)
	if err != nil {
		return nil
	}
	var out map[string]string
	for entry := range strings.SplitSeq(string(data), "\x00") {
		if name, value, ok := strings.Cut(entry, "="); ok && wanted(name) {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = value
		}
	}
	return out
}
