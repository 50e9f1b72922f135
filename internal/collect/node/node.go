// Package node reads a node, running or as a mounted disk, into inventory.NodeFacts: settings of kubelet, kube-proxy and the container
// runtime, files whose modes matter, processes, services, sockets, certificates, kernel, binaries. It only reads, below a root and a
// process file system that are treated as hostile (packages host and proc), and executes nothing of what it finds. Two readings of a
// node that did not change are equal but for ReadAt and counts of days.
package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"stockade.dev/stockade/internal/collect/node/container"
	"stockade.dev/stockade/internal/collect/node/host"
	"stockade.dev/stockade/internal/collect/node/proc"
	"stockade.dev/stockade/internal/inventory"
)

// Options say where the node is. The zero value reads the machine that the program runs on.
type Options struct {
	Name string // of the node; "" takes its host name
	Root string // where the node's root file system is seen; "" is "/"
	Proc string // the node's process file system; "" is Root's own, where that is mounted
	Sys  string // the node's /sys; "" is Root's

	NoContainers  bool
	Containers    container.Options // Root and Proc are set here
	NoBinaries    bool              // binaries are neither searched nor hashed
	NoListening   bool
	MaxBinaryRead int64             // bytes read of all binaries together; 0 is 8 GiB
	Cache         *Cache            // what is known of binaries from former readings; may be nil
	Now           func() time.Time  // the clock
	Progress      func(step string) // called with what is read now; may be nil
}

// Limits of single files.
const (
	maxConfig = 4 << 20 // a configuration
	maxSmall  = 64 << 10
	maxFacts  = 5000 // entries of one list of facts
)

// reader is one reading.
type reader struct {
	o     Options
	ctx   context.Context
	now   time.Time
	root  *host.Root
	sys   *host.Root  // may be nil
	procs *proc.Table // nil: the node does not run
	facts *inventory.NodeFacts

	users, groups map[int64]string
	roots         []*host.Root // opened for processes
	views         map[int]view
	files         map[string]bool
	certs         map[string]bool
	skipped       map[inventory.SkipFact]bool
	units         []unit
	names         map[string]string // container id -> "namespace/pod/container"
	manifests     []manifest
}

// Read reads a node. An error means that nothing could be read; what is missing else stands in Skipped.
func Read(ctx context.Context, o Options) (*inventory.NodeFacts, error) {
	r := &reader{o: o, ctx: ctx, files: map[string]bool{}, certs: map[string]bool{}, skipped: map[inventory.SkipFact]bool{}, names: map[string]string{},
		views: map[int]view{}}
	if r.o.Root == "" {
		r.o.Root = "/"
	}
	r.now = time.Now()
	if o.Now != nil {
		r.now = o.Now()
	}
	r.now = r.now.UTC()
	var err error
	if r.root, err = host.OpenRoot(r.o.Root); err != nil {
		return nil, err
	}
	defer func() {
		for _, root := range append(r.roots, r.root, r.sys) {
			if root != nil {
				_ = root.Close()
			}
		}
	}()
	r.facts = &inventory.NodeFacts{APIVersion: "stockade.dev/v1", Kind: "NodeFacts", ReadAt: r.now.Format(time.RFC3339)}
	proced, err := r.openProc()
	if err != nil {
		return nil, err
	}
	if proced != nil {
		defer proced.Close()
	}
	r.openSys()
	if err := r.read(); err != nil {
		return nil, err
	}
	r.roles()
	r.finish()
	return r.facts, ctx.Err()
}

// read takes the parts in the order in which they build on each other.
func (r *reader) read() error {
	for _, step := range []struct {
		name string
		read func() error
	}{
		{"system", plain(r.accounts, r.system, r.kernel, r.mounts)},
		{"containers", r.containers},
		{"settings", plain(r.processes, r.readUnits, r.staticPods, r.kubelet, r.kubeProxy)},
		{"files", plain(r.wellKnown, r.controlPlane, r.runtime, r.certificates)},
		{"sockets", plain(r.services, r.listening)},
		{"programs", r.binaries},
	} {
		if r.o.Progress != nil {
			r.o.Progress(step.name)
		}
		if err := step.read(); err != nil {
			return err
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func plain(parts ...func()) func() error {
	return func() error {
		for _, part := range parts {
			part()
		}
		return nil
	}
}

// skip notes a check that could not run. Checks are named after the facts they would have given: "processes", "files/kubelet-config".
// What may not be read is lacked by the reader: of files, unless it is told otherwise by lacks.
func (r *reader) skip(check, needs string, err error) {
	lack := inventory.Lack("")
	if errors.Is(err, fs.ErrPermission) {
		lack = inventory.LacksFiles
	}
	r.lacks(lack, check, needs, err)
}

// ofProc is skip for what is read of processes.
func (r *reader) ofProc(check, needs string, err error) {
	lack := inventory.Lack("")
	if errors.Is(err, fs.ErrPermission) {
		lack = inventory.LacksProc
	}
	r.lacks(lack, check, needs, err)
}

// lacks notes a check that could not run for want of something that the reader has to be given.
func (r *reader) lacks(lack inventory.Lack, check, needs string, err error) {
	code := "broken"
	switch {
	case errors.Is(err, fs.ErrPermission):
		code = "forbidden"
	case errors.Is(err, host.ErrTooLarge), errors.Is(err, errMany):
		code = "limit"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errAbsent):
		code = "skipped"
	case errors.Is(err, errors.ErrUnsupported):
		code = "unsupported"
	}
	reason := err.Error()
	var at *fs.PathError
	if errors.As(err, &at) {
		reason = at.Err.Error()
	}
	r.skipped[inventory.SkipFact{Check: check, Needs: needs, Reason: printable(reason), Code: code, Lacks: lack}] = true
}

var (
	errMany   = errors.New("there are more than are looked at")
	errAbsent = errors.New("it is not there")
)

// openProc opens the process file system and reads the processes.
func (r *reader) openProc() (*host.Root, error) {
	dir := r.o.Proc
	if dir == "" {
		dir = path.Join(r.o.Root, "proc")
	}
	p, err := host.OpenRoot(dir)
	if err != nil {
		if r.o.Proc != "" {
			return nil, err
		}
		r.skip("processes", "/proc of the node", err)
		return nil, nil
	}
	if _, err := p.Stat("/1"); err != nil && r.o.Proc == "" { // a folder for mounts only: a disk, or a container's file system
		if _, err := p.Stat("/version"); err != nil {
			r.skip("processes", "/proc of the node", fmt.Errorf("the node does not run: %w", errAbsent))
			return p, nil
		}
	}
	t, err := proc.Read(r.ctx, p)
	if err != nil {
		if r.ctx.Err() != nil {
			return p, r.ctx.Err()
		}
		r.lacks(inventory.LacksProc, "processes", "/proc of the node", err)
		return p, nil
	}
	for _, s := range t.Skipped {
		r.skipped[s] = true
	}
	r.procs = t
	if r.o.Proc != "" && p.IsProc() {
		r.firstProcess()
	}
	return p, nil
}

// firstProcess tells when the processes that are seen are not those of the node.
func (r *reader) firstProcess() {
	first := r.procs.Process(1)
	if first == nil {
		r.lacks(inventory.LacksProc, "processes", "CAP_SYS_PTRACE", errorf("the node's first process is hidden", fs.ErrPermission))
		return
	}
	// Whose files of the node are mounted elsewhere is in a container; what shares its mounts is not the node's first process.
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err == nil && own == first.MountNS && path.Clean(r.o.Root) != "/" {
		r.lacks(inventory.LacksProc, "processes", "the process namespace of the node (hostPID)", errorf("the first process that is seen is one of the agent's own container", fs.ErrPermission))
	}
}

// openSys opens /sys, which is missing on disks and may be in containers.
func (r *reader) openSys() {
	dir := r.o.Sys
	if dir == "" {
		dir = path.Join(r.o.Root, "sys")
	}
	if s, err := host.OpenRoot(dir); err == nil {
		r.sys = s
	}
}

// containers reads what runs.
func (r *reader) containers() error {
	if r.o.NoContainers || r.procs == nil || !r.procs.Root.IsProc() {
		k := inventory.SkipFact{Check: "containers", Needs: "/proc of the node and the socket of the container runtime", Reason: "left out", Code: "skipped"}
		if !r.o.NoContainers {
			k.Reason = "the node does not run"
			if r.o.Proc != "" && (r.procs == nil || len(r.procs.Processes) == 0) { // it was said to be there
				k.Reason, k.Lacks = "there is no process file system", inventory.LacksProc
			}
		}
		r.skipped[k] = true
		return nil
	}
	o := r.o.Containers
	o.Root, o.Proc = r.o.Root, r.procs.Root.Name()
	list, skipped := container.Read(r.ctx, o)
	r.facts.Containers = list
	for _, s := range skipped {
		r.skipped[s] = true
	}
	for i := range list {
		r.names[list[i].ID] = container.Name(&list[i])
	}
	return r.ctx.Err()
}

// in names the container of a process as facts do; "" on the host.
func (r *reader) in(p *proc.Process) string {
	if p == nil || p.Container == "" {
		return ""
	}
	if name := r.names[p.Container]; name != "" {
		return name
	}
	return "container/" + p.Container[:12]
}

// process returns the first process of a program on the host, else the first one in a container.
func (r *reader) process(name string) *proc.Process {
	if r.procs == nil {
		return nil
	}
	var inside *proc.Process
	for _, p := range r.procs.Processes {
		if programOf(p) != name {
			continue
		}
		if p.Container == "" {
			return p
		}
		if inside == nil && r.genuinePod(p) {
			inside = p
		}
	}
	return inside
}

// genuinePod reports whether a process in a container may speak for the node: one of kube-system, or of a container whose name is not
// known. Anybody can call a program kubelet.
func (r *reader) genuinePod(p *proc.Process) bool {
	name := r.names[p.Container]
	return name == "" || strings.HasPrefix(name, "kube-system/")
}

// finish sorts everything and keeps the limits.
func (r *reader) finish() {
	f := r.facts
	for s := range r.skipped {
		f.Skipped = append(f.Skipped, s)
	}
	byText(f.Skipped, func(s inventory.SkipFact) string { return s.Check + "\x00" + s.Needs + "\x00" + s.Reason })
	byText(f.Files, func(x inventory.FileFact) string { return x.Role + "\x00" + x.Path })
	byText(f.Processes, func(x inventory.ProcessFact) string {
		return x.Container + "\x00" + x.Name + "\x00" + strings.Join(x.Args, "\x00")
	})
	byText(f.Services, func(x inventory.ServiceFact) string { return x.Name })
	byText(f.Certs, func(x inventory.CertFact) string { return x.Path + "\x00" + x.Subject + "\x00" + x.NotAfter })
	byText(f.Listening, func(x inventory.ListenFact) string {
		return fmt.Sprintf("%s\x00%05d\x00%s\x00%s", x.Container, x.Port, x.Address, x.Process)
	})
	f.Listening = slices.Compact(f.Listening)
	byText(f.Tools, func(x inventory.ToolFact) string { return x.Name + "\x00" + x.Path })
	byText(f.Binaries, func(x inventory.BinaryFact) string { return x.Container + "\x00" + x.Path + "\x00" + x.Component })
	byText(f.Mounts, func(x inventory.MountFact) string { return x.Path + "\x00" + x.Type })
	f.Mounts = slices.CompactFunc(f.Mounts, func(a, b inventory.MountFact) bool { return a.Path == b.Path && a.Type == b.Type })
	bound(f, &f.Files, "files")
	bound(f, &f.Processes, "processes")
	bound(f, &f.Certs, "certificates")
	bound(f, &f.Listening, "listening")
}

func byText[T any](list []T, key func(T) string) {
	sort.SliceStable(list, func(i, j int) bool { return key(list[i]) < key(list[j]) })
}

func bound[T any](f *inventory.NodeFacts, list *[]T, check string) {
	if n := len(*list); n > maxFacts {
		*list = (*list)[:maxFacts]
		f.Skipped = append(f.Skipped, inventory.SkipFact{Check: check, Needs: "fewer of them", Code: "limit",
			Reason: fmt.Sprintf("%d were found, %d are kept", n, maxFacts)})
	}
}

// printable makes a text of the node fit for reports.
func printable(s string) string {
	if len(s) > 4096 {
		s = s[:4096]
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if host.Clean(s) {
		return s
	}
	return strings.Map(func(c rune) rune {
		if host.Clean(string(c)) {
			return c
		}
		return '\uFFFD'
	}, s)
}

// hostname is what a node calls itself.
func (r *reader) hostname() string {
	if r.procs != nil {
		if data, err := r.procs.Root.ReadFile("/sys/kernel/hostname", maxSmall); err == nil && strings.TrimSpace(string(data)) != "" {
			return strings.TrimSpace(string(data))
		}
	}
	if data, err := r.root.ReadFile("/etc/hostname", maxSmall); err == nil && strings.TrimSpace(string(data)) != "" {
		return strings.TrimSpace(string(data))
	}
	if r.o.Root == "/" {
		if name, err := os.Hostname(); err == nil {
			return name
		}
	}
	return path.Base(r.o.Root)
}
