package proc

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/collect/node/host"
)

func TestCgroup(t *testing.T) {
	id, outer := strings.Repeat("0123456789abcdef", 4), strings.Repeat("f", 64)
	for _, c := range []struct{ text, container, unit string }{
		{"0::/system.slice/kubelet.service\n", "", "kubelet.service"},
		{"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-" + id + ".scope\n", id, ""},
		{"12:pids:/kubepods/besteffort/pod12/" + id + "\n1:name=systemd:/kubepods/besteffort/pod12/" + id + "\n", id, ""},
		{"0::/system.slice/docker-" + id + ".scope\n", id, ""},
		{"0::/machine.slice/libpod-" + id + ".scope/container\n", id, ""},
		{"0::/kubepods.slice/crio-conmon-" + id + ".scope\n", "", ""},
		{"0::/docker/" + outer + "/kubelet.slice/kubepods.slice/pod1/cri-containerd-" + id + ".scope\n", id, ""},
		{"0::/system.slice/containerd.service\n", "", "containerd.service"},
		{"0::/user.slice/user-0.slice/user@0.service/app.slice/a.service\n", "", "a.service"},
		{"garbage\n::::\n\n0::\n", "", ""},
	} {
		container, unit := Cgroup(c.text)
		if container != c.container || unit != c.unit {
			t.Errorf("%q: %q %q, want %q %q", c.text, container, unit, c.container, c.unit)
		}
	}
}

func TestSockets(t *testing.T) {
	// Recorded from /proc/net/tcp and tcp6 of a little-endian machine; the third line is an established connection.
	table := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2788 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 33441 1 0000000000000000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21012 1 0000000000000000 100 0 0 10 0
   2: 0100007F:2788 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 33442 1 0000000000000000 20 4 30 10 -1
   3: 00000000000000000000000000000000:280A 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 33443 1 0 100 0 0 10 0
   4: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 33444 1 0 100 0 0 10 0
   5: ZZ:1F90 0:0 0A 0 0 0 0 0 1
   6: 0100007F:FFFFF 0:0 0A 0 0 0 0 0 1
`
	if bigEndian {
		t.Log("addresses of the recording are little-endian")
		return
	}
	var got []string
	for _, s := range Sockets(table, nil) {
		got = append(got, fmt.Sprintf("%s %d %d", s.Address, s.Port, s.Inode))
	}
	want := []string{"127.0.0.1 10120 33441", "0.0.0.0 22 21012", ":: 10250 33443", "::ffff:127.0.0.1 8080 33444"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if a := netip.MustParseAddr("::ffff:127.0.0.1"); !a.Is4In6() {
		t.Error("mapped addresses are told apart")
	}
}

func TestMounts(t *testing.T) {
	text := `36 35 98:0 /mnt1 /mnt\0402\011x rw,noatime master:1 - ext3 /dev/root rw,errors=continue
25 30 0:23 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
broken line
1 2 - 
`
	got := Mounts(text)
	if len(got) != 2 || got[0].Path != "/mnt 2\tx" || got[0].Type != "ext3" || !slices.Contains(got[0].Options, "errors=continue") || got[1].Type != "cgroup2" {
		t.Errorf("%+v", got)
	}
}

// TestReal reads the machine that the test runs on: it must find itself.
func TestReal(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Log("this system has no /proc")
		return
	}
	root, err := host.OpenRoot("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	table, err := Read(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	me := table.Process(os.Getpid())
	if me == nil {
		t.Fatal("the test does not see itself")
	}
	exe, _ := os.Executable()
	if me.Name != filepath.Base(exe) || me.UID != int64(os.Geteuid()) || me.NetNS == "" || !slices.Equal(me.Args, os.Args) {
		t.Errorf("%+v", me)
	}
	f, info, err := table.Exe(me)
	if err != nil || info.Size == 0 {
		t.Fatal(info, err)
	}
	_ = f.Close()
	files, err := table.Files(me)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	if _, err := files.Stat(exe); err != nil {
		t.Error(err)
	}
}

// TestListening finds a socket of its own, with its owner.
func TestListening(t *testing.T) {
	table := listen(t)
	found, errs := table.Listening()
	for _, s := range found {
		if s.Owner != nil && s.Owner.PID == os.Getpid() && s.Port == port {
			return
		}
	}
	t.Errorf("port %d of this process is not among %d sockets (%v)", port, len(found), errs)
}

func FuzzSockets(f *testing.F) {
	f.Add("   0: 0100007F:2788 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 33441 1\n")
	f.Fuzz(func(t *testing.T, s string) {
		for _, x := range Sockets(s, nil) {
			if x.Port < 0 || x.Port > 65535 || !x.Address.IsValid() {
				t.Errorf("%+v", x)
			}
		}
		for _, m := range Mounts(s) {
			if m.Type == "" {
				t.Errorf("%+v", m)
			}
		}
		id, unit := Cgroup(s)
		if id != "" && len(id) != 64 || strings.Contains(unit, "/") {
			t.Errorf("%q %q", id, unit)
		}
	})
}
