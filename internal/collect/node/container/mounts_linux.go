package container

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// mount is a line of /proc/PID/mountinfo.
type mount struct {
	device   string // "254:0"
	root     string // of the mount within the file system
	path     string
	options  []string
	shared   string // peer group
	fs       string
	source   string
	superOpt string
}

// mostMounts bounds the lines that are read of one process: 16 MiB of them.
const mostMounts = 16 << 20

// mountsOf reads the mounts of a process.
func (t *table) mountsOf(pid int) ([]mount, error) {
	data, err := t.file(pid, "mountinfo", mostMounts)
	if err != nil {
		return nil, err
	}
	return parseMounts(string(data)), nil
}

func parseMounts(text string) []mount {
	var out []mount
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		dash := slices.Index(f, "-")
		if dash < 6 || len(f) < dash+4 {
			continue
		}
		m := mount{device: f[2], root: unescape(f[3]), path: unescape(f[4]), options: strings.Split(f[5], ","), fs: f[dash+1], source: unescape(f[dash+2]), superOpt: f[dash+3]}
		for _, o := range f[6:dash] {
			if group, ok := strings.CutPrefix(o, "shared:"); ok {
				m.shared = group
			}
		}
		out = append(out, m)
	}
	return out
}

// unescape turns the kernel's \040 into what it stands for.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1]) && octal(s[i+2]) && octal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(c byte) bool { return c >= '0' && c <= '7' }

// overlay returns the folders of an overlay mount: the upper one, and the lower ones, topmost first.
func (m *mount) overlay() (upper string, lower []string) {
	if m.fs != "overlay" {
		return "", nil
	}
	return overlayFolders(splitEscaped(m.superOpt, ','))
}

// overlayFolders reads the options of an overlay mount.
func overlayFolders(options []string) (upper string, lower []string) {
	for _, o := range options {
		if v, ok := strings.CutPrefix(o, "upperdir="); ok {
			upper = plainPath(v)
		} else if v, ok := strings.CutPrefix(o, "lowerdir="); ok {
			for _, l := range splitEscaped(v, ':') {
				lower = append(lower, plainPath(l))
			}
		} else if v, ok := strings.CutPrefix(o, "lowerdir+="); ok {
			lower = append(lower, plainPath(v))
		}
	}
	return upper, lower
}

// splitEscaped splits at a character that no backslash stands before.
func splitEscaped(s string, at byte) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case at:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

func plainPath(s string) string {
	s = unescape(s)
	if strings.Contains(s, `\`) {
		s = strings.NewReplacer(`\:`, ":", `\,`, ",", `\\`, `\`).Replace(s)
	}
	return s
}

// nodeMounts are the mounts of the node's own namespace, to tell which mounts of a container are of the node.
type nodeMounts struct {
	byDevice map[string][]mount
	groups   map[string]bool
}

func newNodeMounts(all []mount) *nodeMounts {
	n := &nodeMounts{byDevice: map[string][]mount{}, groups: map[string]bool{}}
	for _, m := range all {
		n.byDevice[m.device] = append(n.byDevice[m.device], m)
		if m.shared != "" {
			n.groups[m.shared] = true
		}
	}
	return n
}

// place is where on the node a mount of a container comes from; "" when its file system is not mounted there, or when the place is
// the container's own.
func (n *nodeMounts) place(m *mount, c *found) string {
	best := -1
	var at string
	for _, h := range n.byDevice[m.device] {
		rest, ok := below(m.root, h.root)
		if !ok || len(h.root) < best {
			continue
		}
		p := path.Join(h.path, rest)
		if ofPod(p, c) {
			return ""
		}
		if len(h.root) > best || len(p) < len(at) {
			best, at = len(h.root), p
		}
	}
	return at
}

// below returns what of a path comes after a folder.
func below(p, dir string) (string, bool) {
	if dir == "/" {
		return strings.TrimPrefix(p, "/"), strings.HasPrefix(p, "/")
	}
	rest, ok := strings.CutPrefix(p, dir)
	return strings.TrimPrefix(rest, "/"), ok && (rest == "" || rest[0] == '/')
}

// kernelFiles are file systems that every container sees at places of their own: that they are the node's says nothing there.
var kernelFiles = map[string]string{"sysfs": "/sys", "cgroup": "/sys/fs/cgroup", "cgroup2": "/sys/fs/cgroup", "mqueue": "/dev/mqueue", "devpts": "/dev/pts", "devtmpfs": "/dev", "proc": "/proc"}

// ofPod reports whether a place on the node is the container's own: volumes of its pod below the kubelet's folder, and the files
// that runtimes write for each container.
func ofPod(place string, c *found) bool {
	if i := strings.Index(place, "/kubelet/pods/"); i >= 0 {
		uid, _, _ := strings.Cut(place[i+len("/kubelet/pods/"):], "/")
		return uid == c.podUID || c.podUID == ""
	}
	for _, s := range []string{"/io.containerd.grpc.v1.cri/sandboxes/", "/io.containerd.cri.v1/sandboxes/", "/docker/containers/", "/containers/storage/overlay-containers/"} {
		if i := strings.Index(place, s); i >= 0 {
			id, _, _ := strings.Cut(place[i+len(s):], "/")
			return id == c.ID || id == c.sandbox
		}
	}
	return false
}

// mostFactMounts bounds the mounts of one container in facts.
const mostFactMounts = 200

// hostMounts fills in the mounts of the node that a container sees, and whether its own root can be written. It returns how many
// were left out.
func (n *nodeMounts) hostMounts(c *found, mounts []mount) int {
	for i := range mounts {
		m := &mounts[i]
		readOnly := slices.Contains(m.options, "ro")
		if m.path == "/" {
			c.ReadOnly = c.ReadOnly || readOnly
			c.rootDevice = m.device
			continue
		}
		if m.device == c.rootDevice && m.fs == "overlay" {
			continue
		}
		if at := kernelFiles[m.fs]; at != "" && (m.path == at || strings.HasPrefix(m.path, at+"/")) {
			continue
		}
		place := n.place(m, c)
		if place == "" {
			continue
		}
		f := inventory.ContainerMount{Source: clean(place), Path: clean(m.path), ReadOnly: readOnly || slices.Contains(strings.Split(m.superOpt, ","), "ro")}
		if m.shared != "" && n.groups[m.shared] {
			f.Propagation = "shared"
		}
		c.Mounts = append(c.Mounts, f)
	}
	slices.SortFunc(c.Mounts, func(a, b inventory.ContainerMount) int {
		if a.ReadOnly != b.ReadOnly {
			if a.ReadOnly {
				return 1
			}
			return -1
		}
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Source, b.Source))
	})
	c.Mounts = slices.Compact(c.Mounts)
	left := max(len(c.Mounts)-mostFactMounts, 0)
	c.Mounts = c.Mounts[:len(c.Mounts)-left]
	return left
}
