package container

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClaimed(t *testing.T) {
	a := id("a")
	for _, c := range []struct{ path, id, pod, runtime string }{
		{"/kubepods/burstable/pod11111111-2222-3333-4444-555555555555/" + a, a, "11111111-2222-3333-4444-555555555555", ""},
		{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod11111111_2222_3333_4444_555555555555.slice/cri-containerd-" + a + ".scope", a, "11111111-2222-3333-4444-555555555555", "containerd"},
		{"/machine.slice/libpod-" + a + ".scope/container", a, "", ""},
		{"/docker/" + a, a, "", ""},
		{"/system.slice/docker-" + a + ".scope", a, "", "docker"},
		{"/kubepods.slice/crio-conmon-" + a + ".scope", "", "", ""},
		{"/docker/" + a + "/kubepods/pod1/" + id("b"), id("b"), "", ""},
		{"/system.slice/sshd.service", "", "", ""},
		{"/docker/" + strings.ToUpper(a), "", "", ""},
	} {
		p := &process{cgroups: []string{c.path}}
		if id, pod, runtime := p.claimed(); id != c.id || pod != c.pod || runtime != c.runtime {
			t.Errorf("%s: %q %q %q", c.path, id, pod, runtime)
		}
	}
}

func TestLogName(t *testing.T) {
	if pod, ns, c, i, ok := logName("till-5d_shop_my-app-" + id("a") + ".log"); !ok || pod != "till-5d" || ns != "shop" || c != "my-app" || i != id("a") {
		t.Error(pod, ns, c, i, ok)
	}
	for _, bad := range []string{"", "a_b_c.log", "a_b_c-1.log", "a_b_c_d-" + id("a") + ".log"} {
		if _, _, _, _, ok := logName(bad); ok {
			t.Error(bad)
		}
	}
}

func TestOverlay(t *testing.T) {
	m := parseMounts(`40 30 0:50 / /run/x\040y rw,relatime shared:5 master:6 - overlay overlay rw,lowerdir=/a\:b:/c,upperdir=/u,workdir=/w` + "\n")
	if len(m) != 1 || m[0].path != "/run/x y" || m[0].shared != "5" || m[0].device != "0:50" {
		t.Fatalf("%+v", m)
	}
	if upper, lower := m[0].overlay(); upper != "/u" || !slices.Equal(lower, []string{"/a:b", "/c"}) {
		t.Error(upper, lower)
	}
}

func TestCaps(t *testing.T) {
	for _, c := range []struct {
		effective, bound uint64
		want             string
	}{{0xa80425fb, 1<<41 - 1, ""}, {1<<41 - 1, 1<<41 - 1, "ALL"}, {1<<41 - 1, 0x1fffeffffff, "ALL"}, {1 << 21, 1<<41 - 1, "CAP_SYS_ADMIN"}, {1<<62 | 1<<12, 0, "CAP_NET_ADMIN CAP_62"}, {0, 0, ""}} {
		if got := strings.Join(caps(c.effective, c.bound), " "); got != c.want {
			t.Errorf("%x: %s, want %s", c.effective, got, c.want)
		}
	}
}

func TestCoarse(t *testing.T) {
	for in, want := range map[int64]int64{0: 0, 31: 31, 33: 32, 1000: 992, 1 << 40: 1 << 40} {
		if got := coarse(in); got != want {
			t.Errorf("%d: %d, want %d", in, got, want)
		}
	}
}

func TestRole(t *testing.T) {
	empty := &table{proc: t.TempDir()}
	for _, c := range []struct{ name, exe, args, want string }{
		{"sshd", "/usr/sbin/sshd", "sshd: root@pts/0", "sshd"},
		{"sh", "/bin/busybox", "sh", "shell"},
		{"busybox", "/bin/busybox", "busybox ash", "shell"},
		{"bash", "/usr/bin/bash", "-bash", "shell"},
		{"dnf", "/usr/bin/python3.9", "/usr/bin/python3 /usr/bin/dnf install x", "package-manager"},
		{"xmrig", "/tmp/.x", "./x -o stratum+tcp://pool.example:3333", "miner"},
		{"nginx", "/usr/sbin/nginx", "nginx: master process", ""},
		{"bash", "/usr/sbin/nginx", "nginx", ""}, // a name is no proof
		{"xmrig", "/tmp/kworker (deleted)", "kworker", "miner"},
		{"gdb", "/usr/bin/gdb", "gdb -p 1", "debugger"},
	} {
		if got := empty.role(&process{pid: 1, name: c.name, terminal: true}, c.exe, strings.Split(c.args, " ")); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.exe, c.args, got, c.want)
		}
	}
	if got := empty.role(&process{pid: 1, name: "sh"}, "/bin/sh", []string{"sh", "-c", "x"}); got != "" {
		t.Errorf("a script is %q", got)
	}
}

func FuzzProc(f *testing.F) {
	f.Add([]byte("1 (a) b) S 0 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 7 1 1"))
	f.Add([]byte(hostMounts))
	f.Add([]byte(plainStatus))
	f.Add([]byte("0::/kubepods/pod11111111-2222-3333-4444-555555555555/" + id("a") + "\n4:memory:/x\n"))
	f.Add([]byte("a\x00\xff\n\x1b[2J\u202e"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, ok := parseStat(data); ok && p.pid == 0 && p.start == 0 && p.name == "" && len(data) < 20 {
			t.Errorf("%q is no process", data)
		}
		for _, m := range parseMounts(string(data)) {
			m.overlay()
			newNodeMounts([]mount{m}).place(&m, &found{})
		}
		parseStatus(data)
		p := &process{cgroups: parseCgroups(data)}
		if id, _, _ := p.claimed(); id != "" && !hexID(id) {
			t.Errorf("%q", id)
		}
		named(p.cgroups)
		logName(string(data))
		for _, a := range arguments(data) {
			c := clean(a)
			if !utf8.ValidString(c) || strings.ContainsFunc(c, func(r rune) bool { return !unicode.IsPrint(r) }) || len(c) > 4*longest+3 {
				t.Errorf("%q became %q", a, c)
			}
		}
	})
}
