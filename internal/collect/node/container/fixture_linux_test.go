package container

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/inventory"
)

// fakeProcess is a process of a procfs that tests write. What is "" has the node's namespaces.
type fakeProcess struct {
	pid, parent, start int
	name               string
	mnt, ns            string // mount namespace; all the others
	cgroup             string
	args               []string
	exe                string // file
	stdin              string
	status             string
	mounts             string
	stat               string // instead of a good one
	without            []string
}

func id(c string) string { return strings.Repeat(c, 64) }

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, name, target string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.Symlink(target, name)); err != nil {
		t.Fatal(err)
	}
}

const hostMounts = "25 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n26 25 254:1 / /mnt/disk rw shared:2 - ext4 /dev/vdb rw\n"

const plainStatus = "Uid:\t0\t0\t0\t0\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\n"

// fakeProc writes a procfs.
func fakeProc(t *testing.T, list ...fakeProcess) string {
	t.Helper()
	dir := t.TempDir()
	list = append(list, fakeProcess{pid: 1, start: 1, name: "systemd", cgroup: "/init.scope", mounts: hostMounts,
		status: "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\nSeccomp:\t0\n"})
	for _, p := range list {
		at := filepath.Join(dir, strconv.Itoa(p.pid))
		if p.stat == "" {
			p.stat = fmt.Sprintf("%d (%s) S %d 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 %d 1 1", p.pid, p.name, p.parent, p.start)
		}
		if p.mnt == "" {
			p.mnt = "1"
		}
		if p.ns == "" {
			p.ns = "1"
		}
		if p.status == "" {
			p.status = plainStatus
		}
		if p.exe == "" {
			p.exe = "/nowhere/" + p.name
		}
		for name, text := range map[string]string{"stat": p.stat, "status": p.status, "cgroup": "0::" + p.cgroup + "\n", "cmdline": strings.Join(p.args, "\x00") + "\x00", "mountinfo": p.mounts, "attr/current": "unconfined\n"} {
			if !slices.Contains(p.without, name) {
				put(t, filepath.Join(at, name), text)
			}
		}
		links := map[string]string{"ns/mnt": "mnt:[" + p.mnt + "]", "exe": p.exe, "fd/0": p.stdin}
		for _, ns := range []string{"pid", "net", "ipc", "user"} {
			n := p.ns
			if ns == "user" {
				n = "1"
			}
			links["ns/"+ns] = ns + ":[" + n + "]"
		}
		for name, target := range links {
			if target != "" && !slices.Contains(p.without, name) {
				link(t, filepath.Join(at, name), target)
			}
		}
	}
	put(t, filepath.Join(dir, "kmsg"), "endless")
	put(t, filepath.Join(dir, "99999999999999999999/stat"), "no process")
	return dir
}

func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sock") // t.TempDir's names are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, path
}

// dockerAt serves answers in the form that the Docker Engine API 1.44 describes: written by hand, no daemon was asked.
func dockerAt(t *testing.T, answers map[string]string) string {
	t.Helper()
	l, path := listen(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s: a request that may change something", r.Method, r.URL)
		}
		text, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			text = `{"message":"No such container"}`
		}
		_, _ = io.WriteString(w, text)
	}))
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return path
}

func dockerContainer1(id string, pid int, pod, container, upper, lower string) string {
	return fmt.Sprintf(`{"Id":%q,"Name":"/k8s_%s","Image":"sha256:%s","State":{"Pid":%d,"Running":true},"HostConfig":{"Runtime":"runc","ReadonlyRootfs":false},
	"Config":{"Image":"registry.example.com/shop/till:1.0","Env":["PASSWORD=hunter2"],"Labels":{"io.kubernetes.pod.name":%q,"io.kubernetes.pod.namespace":"shop","io.kubernetes.container.name":%q,"io.kubernetes.sandbox.id":%q,"io.kubernetes.pod.uid":"11111111-2222-3333-4444-555555555555"}},
	"GraphDriver":{"Name":"overlay2","Data":{"UpperDir":%q,"LowerDir":%q}}}`, id, container, strings.Repeat("9", 64), pid, pod, container, strings.Repeat("e", 64), upper, lower)
}

// TestDocker reads two containers of a Docker daemon and a procfs in which processes lie about where they are.
func TestDocker(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "layers/top/tmp/evil"), "\x7fELF....")
	put(t, filepath.Join(root, "layers/top/usr/kept"), "#!/bin/sh\n")
	put(t, filepath.Join(root, "layers/low/usr/kept"), "#!/bin/sh\n")
	put(t, filepath.Join(root, "layers/top/usr/tool"), "#!/bin/sh\nchanged\n")
	put(t, filepath.Join(root, "layers/low/usr/tool"), "#!/bin/sh\n")
	put(t, filepath.Join(root, "layers/low/etc/os-release"), "ID=debian\nVERSION_ID=12\n")
	put(t, filepath.Join(root, "layers/img/var/lib/dpkg/status"), "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2\n\n")
	put(t, filepath.Join(root, "outside"), "#!/bin/sh\n")
	link(t, filepath.Join(root, "layers/top/leads-out"), "../../outside")
	link(t, filepath.Join(root, "layers/top/folder"), "/")
	evil := filepath.Join(root, "evil")
	put(t, evil, "\x7fELF....")
	a, b := id("a"), id("b")
	image := "sha256:" + strings.Repeat("9", 64)
	socket := dockerAt(t, map[string]string{
		"/containers/json":                 fmt.Sprintf(`[{"Id":%q},{"Id":%q},{"Id":%q},{"Id":%q},{"Id":"../../etc"}]`, a, b, id("c"), id("e")),
		"/containers/" + a + "/json":       dockerContainer1(a, 100, "till", "app", "/layers/top", "/layers/low"),
		"/containers/" + b + "/json":       dockerContainer1(b, 200, "bank", "vault", "/layers/none", "/layers/low"),
		"/containers/" + id("e") + "/json": fmt.Sprintf(`{"Id":%q,"State":{"Pid":50,"Running":true},"Config":{"Labels":{"io.kubernetes.docker.type":"podsandbox"}}}`, id("e")),
		"/images/" + image + "/json":       fmt.Sprintf(`{"Id":%q,"Os":"linux","Architecture":"amd64","RepoDigests":["registry.example.com/shop/till@sha256:%s"],"RootFS":{"Layers":["sha256:1","sha256:2"]},"GraphDriver":{"Name":"overlay2","Data":{"UpperDir":"/layers/img","LowerDir":"/layers/low"}}}`, image, id("7")),
	})
	mounts := "30 29 0:50 / / rw - overlay overlay rw,lowerdir=/forged,upperdir=/forged\n" +
		`31 30 254:1 /data/till /srv/my\040data rw shared:2 - ext4 /dev/vdb rw` + "\n" +
		"32 30 254:0 /etc /host/etc ro - ext4 /dev/vda rw\n" +
		"33 30 254:0 /var/lib/kubelet/pods/11111111-2222-3333-4444-555555555555/etc-hosts /etc/hosts rw - ext4 /dev/vda rw\n" +
		"34 30 254:0 /var/lib/kubelet/pods/99999999-2222-3333-4444-555555555555/volumes/x /stolen rw - ext4 /dev/vda rw\n" +
		"35 30 0:60 / /proc rw - proc proc rw\n"
	proc := fakeProc(t,
		fakeProcess{pid: 50, parent: 1, start: 50, name: "pause", mnt: "50", ns: "10", cgroup: "/kubepods/pod1/" + id("e")},
		fakeProcess{pid: 100, parent: 90, start: 100, name: "app", mnt: "100", ns: "10", cgroup: "/kubepods/pod1/" + a, mounts: mounts, args: []string{"app", "--token", "hunter2"}},
		fakeProcess{pid: 101, parent: 100, start: 101, name: "kubelet", mnt: "100", ns: "10", cgroup: "/kubepods/pod2/" + b, args: []string{"/usr/bin/kubelet", "--anonymous-auth"}, exe: evil},           // says to be in the other pod
		fakeProcess{pid: 102, parent: 100, start: 102, name: "sh", mnt: "1", ns: "10", cgroup: "/kubepods/pod1/" + a, exe: "/usr/bin/dash", stdin: "socket:[77]"},                                         // went out to the node's files
		fakeProcess{pid: 103, parent: 1, start: 103, name: "a) S 1\n(b", mnt: "100", ns: "10", cgroup: "/x"},                                                                                              // left its cgroup, with a name to confuse
		fakeProcess{pid: 104, parent: 100, start: 104, name: "gone", mnt: "100", ns: "10", cgroup: "/kubepods/pod1/" + a, without: []string{"status"}},                                                    // ends while it is read
		fakeProcess{pid: 105, parent: 100, start: 105, mnt: "100", stat: "105 (z) Z 100 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 105 1 1"},                                                                     // a zombie
		fakeProcess{pid: 106, parent: 100, start: 106, mnt: "100", stat: "garbage"},                                                                                                                       // no process at all
		fakeProcess{pid: 200, parent: 90, start: 200, name: "vault", mnt: "200", ns: "1", cgroup: "/kubepods/pod2/" + b, mounts: mounts, status: strings.ReplaceAll(plainStatus, "a80425fb", "a82425fb")}, // CAP_SYS_ADMIN
		fakeProcess{pid: 300, parent: 1, start: 300, name: "conmon", cgroup: "/system.slice/crio-conmon-" + a + ".scope"},                                                                                 // a monitor on the node
		fakeProcess{pid: 400, parent: 1, start: 400, name: "kubelet", cgroup: "/system.slice/kubelet.service"},                                                                                            // the real one
		fakeProcess{pid: 500, parent: 1, start: 500, name: "hidden", mnt: "500", ns: "50", cgroup: "/docker/" + id("d"), mounts: mounts},                                                                  // no runtime knows it
		fakeProcess{pid: 600, parent: 1, start: 600, name: "second", mnt: "600", ns: "60", cgroup: "/docker/" + id("d"), mounts: mounts},                                                                  // says to be the same
		fakeProcess{pid: 2, stat: "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 1 1", cgroup: "/docker/" + id("f")},                                                                       // of the kernel
	)
	o := Options{Root: root, Proc: proc, Sockets: Sockets{Docker: []string{socket}, Containerd: []string{}, Storage: []string{}}}
	list, skips := Read(t.Context(), o)
	var names []string
	for _, c := range list {
		names = append(names, Name(&c))
	}
	if want := []string{id("d"), "second", "shop/bank/vault", "shop/till/app"}; !slices.Equal(names, want) {
		t.Fatalf("%q, want %q", names, want)
	}
	till, bank := list[3], list[2]
	var processes []string
	for _, p := range till.Processes {
		processes = append(processes, p.Name+" "+p.Role+" "+strings.Join(p.Args, " "))
	}
	if want := []string{`a) S 1\x0a(b  `, "app  app --token ****", "kubelet  /usr/bin/kubelet --anonymous-auth", "sh shell "}; !slices.Equal(processes, want) {
		t.Errorf("%q, want %q", processes, want)
	}
	if till.HostPID || till.HostNet || !bank.HostPID || !bank.HostNet || !bank.HostIPC || len(bank.Processes) != 1 || !slices.Equal(bank.Processes[0].Caps, []string{"CAP_SYS_ADMIN"}) {
		t.Errorf("%+v\n%+v", till, bank)
	}
	if till.Digest != "sha256:"+id("7") || till.ImageID != image || till.Local || till.Image != "registry.example.com/shop/till:1.0" || till.Handler != "runc" {
		t.Errorf("%+v", till)
	}
	if want := []inventory.ContainerMount{{Source: "/mnt/disk/data/till", Path: "/srv/my data", Propagation: "shared"},
		{Source: "/var/lib/kubelet/pods/99999999-2222-3333-4444-555555555555/volumes/x", Path: "/stolen"}, {Source: "/etc", Path: "/host/etc", ReadOnly: true}}; !slices.Equal(till.Mounts, want) {
		t.Errorf("%+v", till.Mounts)
	}
	if d := till.Drift; len(d) != 2 || d[0].Path != "/tmp/evil" || d[0].Why != "added" || d[1].Path != "/usr/tool" || d[1].Why != "changed" || d[1].Mode != "0644" || len(d[1].SHA256) != 64 {
		t.Errorf("%+v", d)
	}
	for _, want := range []string{"forbidden|unreachable|/layers/none", "broken|broken|a container has no id", "broken|broken|file system of their own"} {
		f := strings.Split(want, "|")
		if !slices.ContainsFunc(skips, func(s inventory.SkipFact) bool {
			return (s.Code == f[0] || s.Code == f[1]) && strings.Contains(s.Needs+s.Reason, f[2])
		}) {
			t.Errorf("no %s in %+v", want, skips)
		}
	}
	text := fmt.Sprintf("%+v %+v", list, skips)
	if strings.Contains(text, "hunter2") {
		t.Error("a secret is in the facts")
	}
	again, _ := Read(t.Context(), o)
	if fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", list) {
		t.Error("an unchanged node gives other facts")
	}
	var all []*inventory.Software
	if _, err := Images(t.Context(), o, []string{image}, func(s *inventory.Software) error { all = append(all, s); return nil }); err != nil || len(all) != 1 || len(all[0].Packages) != 1 || all[0].OS == nil || all[0].OS.ID != "debian" {
		t.Errorf("%+v %v", all, err)
	}
}

// TestStorage reads a container of CRI-O from its folders, written by hand as CRI-O 1.30 lays them out; /var/lib is a symlink of the node.
func TestStorage(t *testing.T) {
	root := t.TempDir()
	link(t, filepath.Join(root, "var/lib"), "/data/lib")
	dir := filepath.Join(root, "data/lib/containers/storage")
	a, stopped, old, box := id("a"), id("b"), id("c"), id("e")
	put(t, filepath.Join(dir, "overlay-containers/containers.json"), fmt.Sprintf(`[{"id":%q,"names":["k8s_app"],"image":%q,"layer":%q},{"id":%q,"layer":%q},{"id":%q,"layer":%q},{"id":%q},{"id":"../x"}]`, a, id("9"), id("5"), stopped, id("5"), old, id("5"), box))
	state := func(id, text string) {
		put(t, filepath.Join(dir, "overlay-containers", id, "userdata/state.json"), text)
	}
	state(a, fmt.Sprintf(`{"status":"running","pid":7,"initPid":100,"initStartTime":"100","annotations":{"io.kubernetes.cri-o.ContainerType":"container","io.kubernetes.cri-o.SandboxID":%q,"io.kubernetes.cri-o.Image":"registry.example.com/shop/till:1.0","io.kubernetes.pod.name":"till","io.kubernetes.pod.namespace":"shop","io.kubernetes.container.name":"app","io.kubernetes.cri-o.RuntimeHandler":"crun"}}`, box))
	state(stopped, `{"status":"stopped","initPid":100}`)
	state(old, `{"status":"running","initPid":100,"initStartTime":"3"}`) // its process id is another's by now
	state(box, `{"status":"running","initPid":50,"annotations":{"io.kubernetes.cri-o.ContainerType":"sandbox","kubernetes.io/config.source":"file"}}`)
	put(t, filepath.Join(dir, "overlay-images/images.json"), fmt.Sprintf(`[{"id":%q,"digest":"sha256:%s","names":["localhost/till:1.0"],"layer":%q}]`, id("9"), id("8"), id("6")))
	put(t, filepath.Join(dir, "overlay-layers/layers.json"), fmt.Sprintf(`[{"id":%q,"parent":%q,"diff-digest":"sha256:%s"},{"id":%q,"diff-digest":"sha256:%s"}]`, id("5"), id("6"), id("3"), id("6"), id("2")))
	put(t, filepath.Join(dir, "overlay", id("5"), "diff/usr/bin/tool"), "#!/bin/sh\nchanged\n")
	put(t, filepath.Join(dir, "overlay", id("5"), "diff/tmp/dropped"), eicar)
	put(t, filepath.Join(dir, "overlay", id("6"), "diff/usr/bin/tool"), "#!/bin/sh\n")
	proc := fakeProc(t,
		fakeProcess{pid: 50, parent: 1, start: 50, name: "pause", mnt: "50", ns: "10", cgroup: "/kubepods.slice/crio-" + box + ".scope"},
		fakeProcess{pid: 100, parent: 90, start: 100, name: "app", mnt: "100", ns: "10", cgroup: "/kubepods.slice/crio-" + a + ".scope", mounts: "30 29 0:50 / / ro - overlay overlay rw\n"})
	o := Options{Root: root, Proc: proc, Sockets: Sockets{Docker: []string{}, Containerd: []string{}, Storage: []string{"/var/lib/containers/storage"}}}
	list, skips := Read(t.Context(), o)
	if len(list) != 1 {
		t.Fatalf("%+v %+v", list, skips)
	}
	c := list[0]
	if c.Namespace != "shop" || c.Pod != "till" || c.Container != "app" || c.Runtime != "cri-o" || c.Handler != "crun" || !c.Static || !c.Local || !c.ReadOnly || c.Image != "registry.example.com/shop/till:1.0" || c.Digest != "sha256:"+id("8") || c.ImageID != "sha256:"+id("9") {
		t.Errorf("%+v", c)
	}
	if len(c.Drift) != 1 || c.Drift[0].Path != "/usr/bin/tool" || c.Drift[0].Why != "changed" {
		t.Errorf("%+v %+v", c.Drift, skips)
	}
	var hits []string
	s, err := Malware(t.Context(), o, Engines{}, "", func(i Infected) error {
		for _, h := range i.Hits {
			hits = append(hits, i.Container+" "+h.Path+" "+h.Rule)
		}
		return nil
	})
	if err != nil || !slices.Equal(hits, []string{"shop/till/app tmp/dropped EICAR-Test-File"}) || s.Next != "" {
		t.Errorf("%q %+v %v", hits, s, err)
	}
}

// TestSilentRuntimes asks runtimes that hang, answer garbage, or answer for ever.
func TestSilentRuntimes(t *testing.T) {
	serve := func(answer func(c net.Conn)) string {
		l, path := listen(t)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go answer(c)
			}
		}()
		return path
	}
	hang := serve(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	garbage := serve(func(c net.Conn) {
		_, _ = io.WriteString(c, strings.Repeat("\x00\xffgarbage\r\n", 100))
		_ = c.Close()
	})
	endless := serve(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
		for {
			if _, err := io.WriteString(c, strings.Repeat(" ", 4096)); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	web := dockerAt(t, map[string]string{"/containers/json": "<html>log in</html>"})
	proc := fakeProc(t, fakeProcess{pid: 100, parent: 90, start: 100, name: "app", mnt: "100", ns: "10", cgroup: "/kubepods/pod1/" + id("a")})
	for name, s := range map[string]Sockets{
		"containerd hangs": {Containerd: []string{hang}}, "Docker hangs": {Docker: []string{hang}}, "containerd: garbage": {Containerd: []string{garbage}},
		"Docker: garbage": {Docker: []string{garbage}}, "Docker: endless": {Docker: []string{endless}}, "Docker: a web page": {Docker: []string{web}},
		"no socket": {Containerd: []string{hang + ".none"}, Docker: []string{hang + ".none"}}, "no storage": {Storage: []string{"/none"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range []*[]string{&s.Containerd, &s.Docker, &s.Storage} {
				if *p == nil {
					*p = []string{}
				}
			}
			list, skips := Read(t.Context(), Options{Root: t.TempDir(), Proc: proc, Sockets: s, Wait: 300 * time.Millisecond})
			if len(list) != 1 || list[0].ID != id("a") || len(list[0].Processes) != 1 {
				t.Errorf("%+v", list)
			}
			n := 0
			for _, s := range skips {
				if s.Check == "containers" && (s.Code == "unreachable" || s.Code == "broken") && s.Lacks == inventory.LacksRuntime {
					n++
				}
			}
			if n < 2 { // the runtime, and what it means
				t.Errorf("%+v", skips)
			}
		})
	}
}

// TestNoContainers: where there is no runtime and no container, none is lacking.
func TestNoContainers(t *testing.T) {
	none := Sockets{Containerd: []string{}, Docker: []string{}, Storage: []string{}}
	proc := fakeProc(t, fakeProcess{pid: 100, parent: 1, start: 100, name: "etcd", mnt: "1", ns: "1", cgroup: "/system.slice/etcd.service"})
	list, skips := Read(t.Context(), Options{Root: t.TempDir(), Proc: proc, Sockets: none})
	if len(list) > 0 || !slices.ContainsFunc(skips, func(s inventory.SkipFact) bool {
		return s.Needs == "the socket of the container runtime" && s.Lacks == ""
	}) {
		t.Errorf("%+v %+v", list, skips)
	}
}

// TestWithoutRuntime names containers by containerd's bundles and the kubelet's links to logs.
func TestWithoutRuntime(t *testing.T) {
	root := t.TempDir()
	a, b, box := id("a"), id("b"), id("e")
	put(t, filepath.Join(root, "run/containerd/io.containerd.runtime.v2.task/k8s.io", a, "config.json"), fmt.Sprintf(`{"process":{"env":["PASSWORD=hunter2"]},"root":{"readonly":true},"annotations":{"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.sandbox-name":"till","io.kubernetes.cri.sandbox-namespace":"shop","io.kubernetes.cri.container-name":"app","io.kubernetes.cri.image-name":"registry.example.com/shop/till:1.0","io.kubernetes.cri.sandbox-id":%q}}`, box))
	put(t, filepath.Join(root, "run/containerd/io.containerd.runtime.v2.task/k8s.io", a, "init.pid"), "110")
	put(t, filepath.Join(root, "run/containerd/io.containerd.runtime.v2.task/k8s.io", box, "config.json"), `{"annotations":{"io.kubernetes.cri.container-type":"sandbox"}}`)
	put(t, filepath.Join(root, "var/log/containers/bank_shop_vault-"+b+".log"), "")
	put(t, filepath.Join(root, "var/log/containers/not-a-log"), "")
	cgroup := "/kubepods.slice/kubepods-pod11111111_2222_3333_4444_555555555555.slice/cri-containerd-"
	proc := fakeProc(t,
		fakeProcess{pid: 50, parent: 1, start: 50, name: "pause", mnt: "50", ns: "10", cgroup: cgroup + box + ".scope"},
		fakeProcess{pid: 100, parent: 90, start: 100, name: "liar", mnt: "100", ns: "11", cgroup: cgroup + a + ".scope"}, // older than the real one
		fakeProcess{pid: 110, parent: 90, start: 110, name: "app", mnt: "110", ns: "10", cgroup: cgroup + a + ".scope"},
		fakeProcess{pid: 200, parent: 90, start: 200, name: "vault", mnt: "200", ns: "10", cgroup: cgroup + b + ".scope"})
	list, _ := Read(t.Context(), Options{Root: root, Proc: proc})
	var names []string
	for _, c := range list {
		names = append(names, Name(&c)+" "+c.Processes[0].Name)
	}
	if want := []string{"liar liar", "shop/bank/vault vault", "shop/till/app app"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	if c := list[len(list)-1]; c.Image != "registry.example.com/shop/till:1.0" || !c.ReadOnly || c.Runtime != "containerd" {
		t.Errorf("%+v", c)
	}
	list, skips := Read(t.Context(), Options{Root: root, Proc: t.TempDir()})
	if len(list) > 0 || len(skips) == 0 {
		t.Errorf("a dead root: %+v %+v", list, skips)
	}
}

// TestLimits holds a hostile layer to the bounds.
func TestLimits(t *testing.T) {
	root := t.TempDir()
	for i := range 50 {
		put(t, filepath.Join(root, "top", fmt.Sprintf("f%02d", i)), "#!/bin/sh\n")
	}
	deep := "deep"
	for range 60 {
		deep += "/" + strings.Repeat("d", 30)
	}
	put(t, filepath.Join(root, "top", deep, "x"), "#!/bin/sh\n")
	o := (&Options{Root: root, Limits: Limits{Drift: 5, LayerFiles: 40, HashBytes: 25}}).withDefaults()
	f := &found{upper: "/top", init: &process{}}
	d := &drifting{ctx: t.Context(), o: &o, t: &table{}}
	d.look(f, nil)
	hashes := 0
	for _, x := range f.Drift {
		if x.SHA256 != "" {
			hashes++
		}
	}
	if len(f.Drift) != 5 || hashes != 2 || len(d.skips) == 0 || d.skips[0].Code != "limit" {
		t.Errorf("%+v %+v", f.Drift, d.skips)
	}
}
