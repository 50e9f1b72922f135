package node

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/collect/node/host"
	"stockade.dev/stockade/internal/collect/node/proc"
)

// Disks says which part of a root file system is the node's own software. Paths have no leading slash.
type Disks struct {
	Follow []string // folders on which local disks are mounted
	Leave  []Left   // folders that are not walked
}

// Left is a folder that is not walked.
type Left struct {
	Path   string
	Reason string
	Silent bool // nothing is installed there on any system: /proc and the like
}

const (
	ofContainers = "what containers hold is looked at by itself"
	passing      = "what lies there goes away by itself"
)

// storages are folders of a node whose contents are no software of the node: images, pods, and what goes away by itself.
var storages = []Left{
	{"var/lib/containerd", ofContainers, false}, {"var/lib/docker", ofContainers, false}, {"var/lib/containers", ofContainers, false},
	{"var/lib/kubelet/pods", ofContainers, false}, {"var/lib/kubelet/plugins", ofContainers, false},
	{"var/lib/rancher/k3s/agent/containerd", ofContainers, false}, {"var/lib/rancher/rke2/agent/containerd", ofContainers, false},
	{"var/lib/k0s/containerd", ofContainers, false}, {"var/lib/k0s/kubelet/pods", ofContainers, false},
	{"var/snap/microk8s/common/var/lib/containerd", ofContainers, false}, {"var/snap/microk8s/common/var/lib/kubelet/pods", ofContainers, false},
	{"run", passing, false}, {"tmp", passing, false}, {"var/tmp", passing, false}, {"var/log", passing, false},
}

// Storage says of a folder anywhere that it is where a container runtime keeps images and containers, by the names that only runtimes
// give; "" of others.
func Storage(dir string) string {
	switch base := path.Base(dir); {
	case strings.HasPrefix(base, "io.containerd.snapshotter."), strings.HasPrefix(base, "io.containerd.content."), base == "overlay2", strings.HasSuffix(dir, "/containers/storage"):
		return ofContainers
	}
	return ""
}

// Kinds of file systems by their types. What is no kind of these is left out with its name.
var (
	pseudo = []string{"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "securityfs", "debugfs", "tracefs", "configfs", "fusectl", "pstore", "efivarfs", "bpf", "mqueue", "hugetlbfs",
		"autofs", "binfmt_misc", "rpc_pipefs", "nsfs", "selinuxfs", "nfsd", "resctrl"}
	// With no block device of their own in the mount's line, but local disks.
	pooled    = []string{"btrfs", "zfs", "bcachefs"}
	removable = []string{"iso9660", "udf"}
	remote    = []string{"nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "virtiofs", "lustre", "glusterfs", "gpfs", "afs", "beegfs", "orangefs", "ocfs2", "gfs2"}
)

// systemFolders are where systems have their software. Systems that lay folders over each other there do so for themselves.
var systemFolders = []string{"usr", "var", "etc", "opt", "lib", "lib64", "bin", "sbin", "boot", "home", "root", "srv"}

func ofSystem(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return slices.Contains(systemFolders, first)
}

// processRoot is a root as the process file system shows it.
var processRoot = regexp.MustCompile(`^(/proc/(?:[0-9]+|self))/root(/.*)?$`)

// ReadDisks finds out by the table of mounts what of the node below a root is walked: local disks, each once; no network, pseudo and
// memory file systems, no storage of container runtimes. Without the table nothing but the root's own file system is.
func ReadDisks(root string) (Disks, error) {
	table := "/proc/self/mountinfo"
	at, err := filepath.Abs(root)
	if err != nil {
		return Disks{}, err
	}
	if m := processRoot.FindStringSubmatch(at); m != nil {
		table, at = m[1]+"/mountinfo", path.Clean("/"+m[2])
	} else if at, err = filepath.EvalSymlinks(at); err != nil {
		return Disks{}, err
	}
	r, err := host.OpenRoot(root)
	if err != nil {
		return Disks{}, err
	}
	defer func() { _ = r.Close() }() // it was only read
	real := func(p string) (string, bool) {
		info, err := r.Stat("/" + p)
		return strings.TrimPrefix(info.Path, "/"), err == nil && info.Mode.IsDir()
	}
	f, err := os.Open(table)
	if err != nil {
		return findDisks(nil, at, real), err
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, 16<<20))
	return findDisks(proc.Mounts(string(text)), at, real), err
}

// mounted is a mount below the root, or the one that the root lies on.
type mounted struct {
	proc.Mount
	at string // below the root
}

// disks is the work of findDisks.
type disks struct {
	Disks
	own   mounted
	below []mounted
}

// findDisks decides. real gives the path of a folder with its symbolic links resolved, and whether it is one.
func findDisks(table []proc.Mount, root string, real func(string) (string, bool)) Disks {
	d := &disks{}
	for _, s := range storages {
		at, ok := real(s.Path)
		if !ok {
			continue
		}
		if at == s.Path || strings.Contains(at, "/") { // not a link that leads to a whole /srv
			d.leave(at, s.Reason, false)
		}
	}
	d.sort(table, root)
	volumes := map[string]bool{} // disks of pods, which nodes have mounted elsewhere too
	for _, m := range table {
		if strings.Contains(m.Path, "/kubernetes.io~") || strings.Contains(m.Path, "/kubernetes.io/csi/") {
			volumes[m.Device+m.Root] = true
		}
	}
	var local []mounted
	for _, m := range d.below {
		if _, ok := real(m.at); !ok { // a file, or hidden by another mount
			continue
		}
		if d.left(m.at) {
			d.storageOn(m)
			continue
		}
		switch why := foreign(m); {
		case slices.Contains(pseudo, m.Type):
			d.leave(m.at, "", true)
		case why != "":
			d.leave(m.at, why, false)
		case volumes[m.Device+m.Root]:
			d.leave(m.at, "it is a volume of a pod", false)
		default:
			local = append(local, m)
		}
	}
	slices.SortStableFunc(local, func(a, b mounted) int { return cmp.Or(len(a.Root)-len(b.Root), strings.Compare(a.at, b.at)) })
	followed := []mounted{d.own}
	for _, m := range local {
		if d.again(m, followed) {
			continue
		}
		followed = append(followed, m)
		d.Follow = append(d.Follow, m.at)
	}
	slices.Sort(d.Follow)
	slices.SortStableFunc(d.Leave, func(a, b Left) int { return strings.Compare(a.Path, b.Path) })
	return d.Disks
}

// sort takes the mounts that matter; of several on one folder the last.
func (d *disks) sort(table []proc.Mount, root string) {
	front := strings.TrimSuffix(root, "/") + "/"
	for _, m := range table {
		switch {
		case m.Path == root || strings.HasPrefix(front, strings.TrimSuffix(m.Path, "/")+"/"):
			if len(m.Path) >= len(d.own.Path) {
				d.own.Mount = m
				d.own.Root = path.Join(m.Root, strings.TrimPrefix(root, strings.TrimSuffix(m.Path, "/")))
			}
		case strings.HasPrefix(m.Path, front):
			one := mounted{m, strings.TrimPrefix(m.Path, front)}
			d.below = slices.DeleteFunc(d.below, func(o mounted) bool { return o.at == one.at })
			d.below = append(d.below, one)
		}
	}
}

func (d *disks) leave(p, why string, silent bool) {
	if !slices.ContainsFunc(d.Leave, func(l Left) bool { return l.Path == p }) {
		d.Leave = append(d.Leave, Left{p, why, silent})
	}
}

// left reports whether a folder, or one above it, is left out.
func (d *disks) left(p string) bool {
	return slices.ContainsFunc(d.Leave, func(l Left) bool { return inside(p, l.Path) })
}

// inside reports whether p is dir or below it.
func inside(p, dir string) bool {
	return p == dir || dir == "" || dir == "/" || strings.HasPrefix(p, dir+"/")
}

// foreign says why a mount is no local disk of the node; "" of one.
func foreign(m mounted) string {
	kind, _, _ := strings.Cut(m.Type, ".")
	switch {
	case slices.Contains(remote, kind):
		return "it is a network file system (" + printable(m.Type) + ")"
	case kind == "fuse" || kind == "fuseblk":
		return "it is a file system that a program serves (" + printable(m.Type) + ")"
	case slices.Contains(removable, kind):
		return "it is a removable medium"
	case kind == "tmpfs" || kind == "ramfs":
		return "it is a file system in memory"
	case kind == "overlay" && ofSystem(m.at):
		return ""
	case kind == "overlay" || kind == "aufs":
		return "it is a layered file system (" + kind + "), as containers have"
	case !strings.HasPrefix(m.Device, "0:") || slices.Contains(pooled, kind):
		return ""
	}
	return fmt.Sprintf("it is no local disk (%s)", printable(m.Type))
}

// again reports whether all of a mount is walked elsewhere; where it is not, another name of the same files may be left out for it.
func (d *disks) again(m mounted, followed []mounted) bool {
	for _, f := range followed {
		if f.Device != m.Device || f.Device == "" {
			continue
		}
		if !inside(m.Root, f.Root) {
			if inside(f.Root, m.Root) && f.at == "" {
				d.leave(m.at, "the root file system is a part of it", false)
				return true
			}
			continue
		}
		other := strings.Trim(path.Join(f.at, strings.TrimPrefix(m.Root, f.Root)), "/")
		if other != "" && ofSystem(m.at) && !ofSystem(other) {
			d.leave(other, "it is /"+printable(m.at)+" too", false)
			return false
		}
		d.leave(m.at, "it is /"+printable(other)+" too", false)
		for _, s := range storages { // the same storage under its other name
			if rest, ok := strings.CutPrefix(s.Path, m.at+"/"); ok {
				d.leave(path.Join(other, rest), s.Reason, false)
			}
		}
		return true
	}
	return false
}

// storageOn leaves out the other name of a storage that is mounted from another place.
func (d *disks) storageOn(m mounted) {
	for _, f := range append([]mounted{d.own}, d.below...) {
		if f.Device != m.Device || f.at == m.at || f.Device == "" || m.Root == f.Root || !inside(m.Root, f.Root) || d.left(f.at) && f.at != "" {
			continue
		}
		d.leave(strings.Trim(path.Join(f.at, strings.TrimPrefix(m.Root, f.Root)), "/"), ofContainers, false)
	}
}
