package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"stockade.dev/stockade/internal/collect/image/source"
	"stockade.dev/stockade/internal/inventory"
)

// found is a container with what is needed to look into it.
type found struct {
	inventory.ContainerFact
	pid         int    // of its first process, as the runtime says; 0: not known
	start       string // when that process started, where the runtime says it too
	mayBeOver   bool   // the runtime's word is old: without processes it does not run
	podUID      string
	sandbox     string // id of the pod's own container
	snapshotter string
	virtual     bool // runs in a machine of its own: the node does not see its processes
	upper       string
	lower       []string                   // topmost first
	layers      func(root string) []string // for lower, when they cost something to find
	open        func(ctx context.Context) (*source.Image, error)

	init       *process
	processes  []*process
	rootDevice string
}

// sandbox is a pod's own container, which only holds its namespaces.
type sandbox struct {
	id    string
	pid   int
	start string
}

// answer is what one runtime says.
type answer struct {
	list      []*found
	sandboxes []sandbox
	skips     []inventory.SkipFact
	silent    bool // no runtime answered
	failed    bool // one that is there did not
}

func (r *answer) skip(needs, reason, code string) { r.lacks("", needs, reason, code) }

// lacks is skip for want of something that the reader has to be given.
func (r *answer) lacks(lack inventory.Lack, needs, reason, code string) {
	r.skips = append(r.skips, inventory.SkipFact{Check: "containers", Needs: needs, Reason: clean(reason), Code: code, Lacks: lack})
}

// silence tells that no runtime answered. Where there is none and no container runs, nothing is lacking.
func (r *answer) silence() {
	if !r.silent {
		return
	}
	lack := inventory.Lack("")
	if r.failed || len(r.list) > 0 {
		lack = inventory.LacksRuntime
	}
	r.lacks(lack, "the socket of the container runtime", "no runtime answered: images, names and changed files of containers are known as far as the kernel and folders tell them", "unreachable")
}

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(s string) int {
	n, _ := strconv.Atoi(s) // 0: none
	return n
}

// Read reads the running containers of a node. What could not be read is listed with its reason.
func Read(ctx context.Context, o Options) ([]inventory.ContainerFact, []inventory.SkipFact) {
	o = o.withDefaults()
	r := read(ctx, &o)
	out := make([]inventory.ContainerFact, 0, len(r.list))
	for _, f := range r.list {
		out = append(out, f.ContainerFact)
	}
	slices.SortFunc(out, func(a, b inventory.ContainerFact) int {
		return slices.Compare([]string{a.Namespace, a.Pod, a.Container, a.ID}, []string{b.Namespace, b.Pod, b.Container, b.ID})
	})
	slices.SortFunc(r.skips, func(a, b inventory.SkipFact) int {
		return slices.Compare([]string{a.Check, a.Needs, a.Reason}, []string{b.Check, b.Needs, b.Reason})
	})
	return out, slices.Compact(r.skips)
}

// read asks all runtimes and looks at all processes.
func read(ctx context.Context, o *Options) answer {
	r := ask(ctx, o)
	t, err := readTable(ctx, o.Proc)
	if err != nil {
		if ctx.Err() != nil {
			r.skip("time", ctx.Err().Error(), "limit")
		} else {
			r.lacks(inventory.LacksProc, "the node's "+o.Proc, err.Error(), "unreachable")
		}
		r.silence()
		r.list = slices.DeleteFunc(r.list, func(f *found) bool { return f.mayBeOver })
		return r // what the runtimes say is all there is
	}
	t.stand(r.list)
	if t.host.mnt == "" {
		r.lacks(inventory.LacksProc, "CAP_SYS_PTRACE", "namespaces of the node may not be read: what containers share with it is not known", "forbidden")
	}
	r.list = slices.DeleteFunc(r.list, func(f *found) bool {
		f.init = t.firstOf(f)
		return f.init == nil && f.mayBeOver
	})
	boxes := t.boxes(r.sandboxes)
	if n := t.refusedOf(r.list); n > 0 {
		r.lacks(inventory.LacksProc, "CAP_SYS_PTRACE", fmt.Sprintf("%d containers may not be looked into: their processes are told by cgroups only", n), "forbidden")
	}
	own := newOwners(t, append(slices.Clone(r.list), boxes...))
	rest := own.sort()
	r.unknown(ctx, o, t, rest)
	r.silence()
	look(ctx, o, t, &r)
	return r
}

// firstOf finds a container's first process.
func (t *table) firstOf(f *found) *process {
	if f.start != "" {
		if p := t.all[f.pid]; p != nil && strconv.FormatUint(p.start, 10) == f.start {
			return p
		}
		return t.first(0, f.ID)
	}
	if f.mayBeOver {
		if p := t.all[f.pid]; p == nil || !p.claims(f.ID) {
			return t.first(0, f.ID)
		}
	}
	return t.first(f.pid, f.ID)
}

// boxes are the pods' own containers, so that their processes are nobody else's.
func (t *table) boxes(all []sandbox) (out []*found) {
	for _, s := range all {
		f := &found{pid: s.pid, start: s.start}
		f.ID = s.id
		if f.init = t.firstOf(f); f.init != nil {
			out = append(out, f)
		}
	}
	return out
}

// asking is one runtime at one place.
type asking struct {
	runtime, place string
	ask            func(ctx context.Context) (answer, error)
}

// places lists whom to ask. Sockets that are not there are no runtimes; a place that was named has to be there.
func places(o *Options) (out []asking, named bool) {
	add := func(runtime string, given, usual []string, ask func(ctx context.Context, place string, o *Options) (answer, error)) {
		list := given
		if given == nil {
			for _, p := range usual {
				at, err := onNode(o.Root, p)
				if err != nil {
					continue
				}
				info, err := os.Stat(at)
				if err != nil || slices.ContainsFunc(out, func(a asking) bool { other, err := os.Stat(a.place); return err == nil && os.SameFile(info, other) }) {
					continue
				}
				if runtime == "cri-o" {
					at = p
				}
				list = append(list, at)
			}
		}
		named = named || len(given) > 0
		for _, place := range list {
			out = append(out, asking{runtime: runtime, place: place, ask: func(ctx context.Context) (answer, error) { return ask(ctx, place, o) }})
		}
	}
	add("docker", o.Sockets.Docker, dockerSockets, readDocker)
	add("containerd", o.Sockets.Containerd, containerdSockets, readContainerd)
	add("cri-o", o.Sockets.Storage, storageFolders, readStorage)
	return out, named
}

// ask asks the runtimes, all at the same time and none longer than Wait.
func ask(ctx context.Context, o *Options) (all answer) {
	list, named := places(o)
	answers, errs := make([]answer, len(list)), make([]error, len(list))
	var wg sync.WaitGroup
	for i, a := range list {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, o.Wait)
			defer cancel()
			answers[i], errs[i] = a.ask(ctx)
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	answered, failed := 0, false
	for i, a := range list {
		if err := errs[i]; err != nil {
			if errors.Is(err, fs.ErrNotExist) && !named {
				continue
			}
			failed = true
			all.lacks(inventory.LacksRuntime, "the "+a.runtime+" at "+a.place, err.Error(), codeOf(err))
		} else {
			answered++
		}
		all.skips = append(all.skips, answers[i].skips...)
		all.sandboxes = append(all.sandboxes, answers[i].sandboxes...)
		for _, f := range answers[i].list {
			if !seen[f.ID] && len(all.list) < o.Limits.Containers {
				seen[f.ID] = true
				all.list = append(all.list, f)
			}
		}
	}
	all.silent, all.failed = answered == 0, failed
	return all
}

// codeOf is the code of a runtime that failed.
func codeOf(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission), status.Code(err) == codes.PermissionDenied:
		return "forbidden"
	case errors.Is(err, errGarbage), status.Code(err) == codes.Internal, status.Code(err) == codes.Unimplemented:
		return "broken"
	}
	return "unreachable"
}

// unknown makes containers of the processes that no runtime claims: runtimes that did not answer, and containers that somebody
// started beside them. Their id is what the first process's cgroup says.
func (r *answer) unknown(ctx context.Context, o *Options, t *table, rest []*process) {
	groups := map[string]*found{} // by mount namespace
	for _, p := range rest {
		id, pod, runtime := p.claimed()
		if id == "" || p.mounts != "" && p.mounts == t.host.mnt {
			continue
		}
		key := p.mounts
		if key == "" {
			key = id // namespaces may not be read
		}
		f := groups[key]
		if f == nil {
			f = &found{snapshotter: "an unknown driver"}
			groups[key] = f
		}
		f.processes = append(f.processes, p)
		if f.init == nil || older(p, f.init) {
			f.init, f.ID, f.podUID, f.Runtime = p, id, pod, runtime
		}
	}
	if len(groups) == 0 || ctx.Err() != nil {
		return
	}
	names := newNaming(o.Root)
	fresh := slices.Collect(maps.Values(groups))
	// Who says to be the container that another one is comes second: the process that the shim wrote down first, then the older one.
	slices.SortFunc(fresh, func(a, b *found) int {
		if a.ID != b.ID {
			return strings.Compare(a.ID, b.ID)
		}
		pid := names.bundlePID(a.ID)
		if (a.init.pid == pid) != (b.init.pid == pid) {
			if a.init.pid == pid {
				return -1
			}
			return 1
		}
		if older(a.init, b.init) {
			return -1
		}
		return 1
	})
	taken := map[string]bool{}
	for _, f := range r.list {
		taken[f.ID] = true
	}
	var kept []*found
	for _, f := range fresh {
		if taken[f.ID] {
			r.skip("a cgroup of its own for every container", "processes with a file system of their own are in the cgroup of the container "+f.ID+": they are shown under the name of their first process", "broken")
			f.Container, f.ID, f.podUID, f.Runtime = clean(f.init.name), f.ID+"/"+f.init.mounts, "", ""
			kept = append(kept, f)
			continue
		}
		taken[f.ID] = true
		if !names.name(f) && !pause(t, f) {
			kept = append(kept, f)
		}
	}
	if room := o.Limits.Containers - len(r.list); len(kept) > room {
		r.skip("no more than "+itoa(o.Limits.Containers)+" running containers", fmt.Sprintf("%d were not read", len(kept)-room), "limit")
		kept = kept[:room]
	}
	r.list = append(r.list, kept...)
}

func older(a, b *process) bool {
	return a.start < b.start || a.start == b.start && a.pid < b.pid
}

// pause reports whether all that a container does is to hold a pod's namespaces.
func pause(t *table, f *found) bool {
	if len(f.processes) != 1 || f.Pod != "" {
		return false
	}
	exe, err := t.link(f.init.pid, "exe")
	return err == nil && (exe == "/pause" || exe == "/usr/bin/pod")
}

// look reads namespaces, processes, mounts and drift of every container.
func look(ctx context.Context, o *Options, t *table, r *answer) {
	var node *nodeMounts
	hostMounts, err := t.mountsOf(t.at)
	if err != nil {
		r.skip("the node's mounts", err.Error(), codeOf(err))
	} else {
		node = newNodeMounts(hostMounts)
	}
	d := &drifting{ctx: ctx, o: o, t: t}
	slices.SortFunc(r.list, func(a, b *found) int { return strings.Compare(a.ID, b.ID) })
	for _, f := range r.list {
		if ctx.Err() != nil {
			r.skip("time", "containers were not looked into: "+ctx.Err().Error(), "limit")
			break
		}
		if f.virtual {
			r.skip("a container on the node's kernel", Name(&f.ContainerFact)+" runs in a machine or kernel of its own ("+f.Handler+"): its processes and files are not seen from the node", "unsupported")
			continue
		}
		if f.init == nil {
			r.skip("the processes of "+Name(&f.ContainerFact), "the process that the runtime names is not in "+o.Proc, "unreachable")
			continue
		}
		s := t.spaces(f.init.pid)
		same := func(a, b string) bool { return a != "" && a == b }
		f.HostPID, f.HostNet, f.HostIPC = same(s.pid, t.host.pid), same(s.net, t.host.net), same(s.ipc, t.host.ipc)
		f.UserNS = s.user != "" && t.host.user != "" && s.user != t.host.user
		r.skips = append(r.skips, t.describeAll(f, o.Limits.Processes)...)
		mounts, err := t.mountsOf(f.init.pid)
		if err != nil {
			if t.same(f.init) {
				r.skip("the mounts of "+Name(&f.ContainerFact), err.Error(), codeOf(err))
			}
			continue
		}
		if node != nil {
			if left := node.hostMounts(f, mounts); left > 0 {
				r.skip("no more than "+itoa(mostFactMounts)+" mounts of the node in "+Name(&f.ContainerFact), fmt.Sprintf("%d were left out", left), "limit")
			}
			node.layersOf(f)
		}
		if f.layers != nil && f.lower == nil {
			f.lower = f.layers(o.Root)
		}
		d.look(f, mounts)
	}
	r.skips = append(r.skips, d.skips...)
}

// layersOf finds the folders of a container's overlay where the runtime does not tell them: the runtime mounted it on the node too,
// and that mount's options are the node's own word. (What a container mounts over its root says nothing.)
func (n *nodeMounts) layersOf(f *found) {
	if f.upper != "" && (len(f.lower) > 0 || f.layers != nil) {
		return
	}
	for _, m := range n.byDevice[f.rootDevice] {
		if upper, lower := m.overlay(); upper != "" {
			f.upper, f.lower = upper, lower
			return
		}
	}
}
