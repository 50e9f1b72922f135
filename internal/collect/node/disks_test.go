package node

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/collect/node/proc"
)

// table makes a mountinfo of lines "device root path type source".
func table(lines string) []proc.Mount {
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		f := strings.Fields(line)
		fmt.Fprintf(&b, "%d 1 %s %s %s rw - %s %s rw\n", i+10, f[0], f[1], f[2], f[3], f[4])
	}
	return proc.Mounts(b.String())
}

func TestDisks(t *testing.T) {
	for name, c := range map[string]struct {
		table, root string
		links       map[string]string // folder -> where it really is
		follow      string
		leave       []string // "path: part of the reason"
	}{
		"partitions": {root: "/", table: `
			254:1 / / ext4 /dev/vda1
			0:21 / /proc proc proc
			0:22 / /sys sysfs sysfs
			254:2 / /usr xfs /dev/vda2
			254:3 / /var ext4 /dev/vda3
			8:1 / /boot/efi vfat /dev/sda1
			7:3 / /snap/core20/1 squashfs /dev/loop3
			0:30 / /mnt/share nfs4 host:/share
			0:31 / /mnt/served fuse.sshfs host:
			11:0 / /media/disc iso9660 /dev/sr0
			0:32 / /srv/memory tmpfs tmpfs
			0:33 / /somewhere/merged overlay overlay
			0:34 / /odd newfs odd`,
			follow: "boot/efi snap/core20/1 usr var", leave: []string{"mnt/share: network", "mnt/served: program serves", "media/disc: removable", "srv/memory: memory",
				"somewhere/merged: containers", "odd: no local disk (newfs)", "proc: ", "sys: "}},
		"a host's root in a pod": {root: "/host", table: `
			0:50 / / overlay overlay
			8:1 / /host ext4 /dev/sda1
			0:21 / /host/proc proc proc
			8:2 / /host/var ext4 /dev/sda2
			8:9 / /etc/hosts ext4 /dev/sda1
			8:1 /var/lib/x /data ext4 /dev/sda1`, follow: "var", leave: []string{"proc: "}},
		"a folder of a disk": {root: "/mnt/disk/root", table: `
			8:1 / / ext4 /dev/sda1
			8:2 / /mnt/disk ext4 /dev/sdb1
			8:3 / /mnt/disk/root/usr ext4 /dev/sdb2
			8:4 / /mnt/disk2 ext4 /dev/sdc1
			8:2 /root/opt /mnt/disk/root/usr/local ext4 /dev/sdb1`, follow: "usr", leave: []string{"usr/local: it is /opt too"}},
		"the same disk twice": {root: "/", table: `
			8:1 / / ext4 /dev/sda1
			8:1 /srv/www /mnt/www ext4 /dev/sda1
			8:2 / /data ext4 /dev/sdb1
			8:2 /varlib /var/lib ext4 /dev/sdb1
			8:2 /other /media/other ext4 /dev/sdb1`, follow: "data var/lib", leave: []string{"mnt/www: it is /srv/www too", "data/varlib: it is /var/lib too", "media/other: it is /data/other too"}},
		"ostree": {root: "/", table: `
			8:1 /ostree/deploy/os/deploy/1 / xfs /dev/sda1
			8:1 / /sysroot xfs /dev/sda1
			8:1 /ostree/deploy/os/var /var xfs /dev/sda1
			8:2 / /boot ext4 /dev/sda2`, follow: "boot var", leave: []string{"sysroot: a part of it"}},
		"subvolumes": {root: "/", table: `
			0:25 /@/.snapshots/1/snapshot / btrfs /dev/sda2
			0:25 /@/.snapshots /.snapshots btrfs /dev/sda2
			0:25 /@/home /home btrfs /dev/sda2
			0:25 /@/var /var btrfs /dev/sda2
			0:40 / /tank zfs tank`, follow: "home tank var", leave: []string{".snapshots: a part of it"}},
		"storage": {root: "/", links: map[string]string{"var/lib/docker": "data/docker", "run": "run", "var/log": "srv", "var/lib/kubelet/pods": "var/lib/kubelet/pods", "var/lib/containerd": "var/lib/containerd"}, table: `
			8:1 / / ext4 /dev/sda1
			8:2 / /data ext4 /dev/sdb1
			8:2 /containerd /var/lib/containerd ext4 /dev/sdb1
			0:70 / /var/lib/containerd/x/merged overlay overlay
			8:5 / /mnt/disks/one ext4 /dev/sdd1
			8:5 / /var/lib/kubelet/pods/1/volumes/kubernetes.io~local-volume/pv ext4 /dev/sdd1`,
			follow: "data", leave: []string{"data/docker: containers", "data/containerd: containers", "run: goes away", "var/lib/containerd: containers", "var/lib/kubelet/pods: containers", "mnt/disks/one: volume of a pod"}},
		"layers of a system": {root: "/", table: `
			8:1 / / ext4 /dev/sda1
			0:44 / /usr overlay sysext
			0:45 / /work/merged overlay overlay`, follow: "usr", leave: []string{"work/merged: containers"}},
		"no table": {root: "/", table: "x x x x x", follow: ""},
	} {
		t.Run(name, func(t *testing.T) {
			list := table(c.table)
			real := func(p string) (string, bool) {
				if at, ok := c.links[p]; ok {
					return at, true
				}
				front := strings.TrimSuffix(c.root, "/") + "/" + p
				return p, slices.ContainsFunc(list, func(m proc.Mount) bool { return m.Path == front })
			}
			d := findDisks(list, c.root, real)
			if got := strings.Join(d.Follow, " "); got != c.follow {
				t.Errorf("follow %q, want %q", got, c.follow)
			}
			var got []string
			for _, l := range d.Leave {
				if i := slices.IndexFunc(c.leave, func(w string) bool {
					p, why, _ := strings.Cut(w, ": ")
					return p == l.Path && strings.Contains(l.Reason, why) && (why == "") == l.Silent
				}); i < 0 {
					got = append(got, l.Path+": "+l.Reason)
				}
			}
			if len(got) > 0 || len(d.Leave) != len(c.leave) {
				t.Errorf("left %+v, want %q", d.Leave, c.leave)
			}
		})
	}
}

// TestReadDisks: this machine's own table is understood.
func TestReadDisks(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"var/lib/docker", "data/io.containerd.content.v1.content"} {
		if err := os.MkdirAll(filepath.Join(dir, p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d, err := ReadDisks(dir)
	if err != nil || len(d.Follow) != 0 || len(d.Leave) != 1 || d.Leave[0].Path != "var/lib/docker" {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := ReadDisks(filepath.Join(dir, "none")); err == nil {
		t.Error("there is nothing")
	}
	if d, err := ReadDisks("/proc/self/root"); err != nil || !slices.ContainsFunc(d.Leave, func(l Left) bool { return l.Path == "proc" && l.Silent }) {
		t.Errorf("%+v %v", d, err)
	}
	for p, want := range map[string]bool{"data/io.containerd.snapshotter.v1.overlayfs": true, "home/u/.local/share/containers/storage": true, "srv/docker/overlay2": true, "srv/overlay": false, "usr": false} {
		if (Storage(p) != "") != want {
			t.Error(p, Storage(p))
		}
	}
}
