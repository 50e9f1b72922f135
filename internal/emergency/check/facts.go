package check

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

var noFacts = unknown("no facts of a node are at hand", "没有节点的采集信息")

// skipped returns why a part of the facts was not read; no text when it was.
func skipped(f *inventory.NodeFacts, names ...string) finding.Text {
	for _, s := range f.Skipped {
		for _, n := range names {
			if s.Check == n || strings.HasPrefix(s.Check, n+"/") {
				return say("%s was not read: %s", "%s 未读取：%s", s.Check, s.Reason)
			}
		}
	}
	return finding.Text{}
}

func systemIs(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	id := ""
	switch {
	case s.Facts != nil && s.Facts.OS.ID != "":
		id = s.Facts.OS.ID
	case s.Software != nil && s.Software.OS != nil:
		id = s.Software.OS.ID
	default:
		return unknown("the operating system is not known", "操作系统未知")
	}
	if slices.Contains(a.texts("ids"), id) {
		return yes("the operating system is %s", "操作系统为 %s", id)
	}
	return no("the operating system is %s", "操作系统为 %s", id)
}

func sysctl(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Facts == nil {
		return noFacts
	}
	name := a.text("name")
	v, ok := s.Facts.Sysctls[name]
	if !ok {
		return missing(a, "%s is not among the facts", "采集信息中没有 %s", name)
	}
	if slices.Contains(a.texts("is"), v) {
		return yes("%s is %s", "%s 为 %s", name, v)
	}
	return no("%s is %s", "%s 为 %s", name, v)
}

// missing is the answer for a value that is not there.
func missing(a Args, en, zh string, args ...any) Answer {
	switch a.holds("missing") {
	case Yes:
		return yes(en, zh, args...)
	case No:
		return no(en, zh, args...)
	}
	return unknown(en, zh, args...)
}

// userNamespaces asks whether somebody without rights may make user namespaces, which many ways into the kernel begin with.
func userNamespaces(_ context.Context, s *Subject, _ *Target, _ Args) Answer {
	if s.Facts == nil {
		return noFacts
	}
	sys := s.Facts.Sysctls
	for name, off := range map[string]string{"user.max_user_namespaces": "0", "kernel.unprivileged_userns_clone": "0"} {
		if sys[name] == off {
			return no("%s is %s", "%s 为 %s", name, off)
		}
	}
	if sys["kernel.apparmor_restrict_unprivileged_userns"] == "1" {
		return no("kernel.apparmor_restrict_unprivileged_userns is 1", "kernel.apparmor_restrict_unprivileged_userns 为 1")
	}
	if v, ok := sys["user.max_user_namespaces"]; ok {
		return yes("user.max_user_namespaces is %s and nothing forbids them", "user.max_user_namespaces 为 %s，且未禁止创建用户命名空间", v)
	}
	return unknown("user.max_user_namespaces is not among the facts", "采集信息中没有 user.max_user_namespaces")
}

func kernelModule(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Facts == nil || s.Facts.Kernel == nil {
		return unknown("facts of the kernel are not at hand", "没有内核的采集信息")
	}
	name := a.text("name")
	k := s.Facts.Kernel
	switch {
	case slices.Contains(k.Modules, name):
		return yes("the module %s is loaded", "模块 %s 已加载", name)
	case slices.Contains(k.Blocked, name):
		return no("the module %s is not loaded and modprobe.d blocks it", "模块 %s 未加载，且已被 modprobe.d 禁用", name)
	}
	return yes("the module %s is not loaded, but nothing keeps it from being loaded on demand", "模块 %s 未加载，但未被禁用，可按需加载", name)
}

func kernelConfig(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Facts == nil || s.Facts.Kernel == nil {
		return unknown("facts of the kernel are not at hand", "没有内核的采集信息")
	}
	v, ok := s.Facts.Kernel.Config[a.text("option")]
	if !ok {
		return unknown("the kernel's option %s is not among the facts", "采集信息中没有内核选项 %s", a.text("option"))
	}
	if slices.Contains(a.texts("is"), v) {
		return yes("the kernel was built with %s=%s", "内核编译选项 %s=%s", a.text("option"), v)
	}
	return no("the kernel was built with %s=%s", "内核编译选项 %s=%s", a.text("option"), v)
}

func cgroupV1(_ context.Context, s *Subject, _ *Target, _ Args) Answer {
	if s.Facts == nil {
		return noFacts
	}
	for _, m := range s.Facts.Mounts {
		if m.Type == "cgroup" {
			return yes("cgroup v1 is mounted at %s", "cgroup v1 挂载于 %s", m.Path)
		}
	}
	k := s.Facts.Kernel
	switch {
	case k != nil && (k.Cgroup == "v1" || k.Cgroup == "hybrid"):
		return yes("cgroups are %s", "cgroup 版本为 %s", k.Cgroup)
	case k != nil && k.Cgroup == "v2":
		return no("cgroups are v2 only", "仅使用 cgroup v2")
	}
	return unknown("the kind of cgroups is not among the facts", "采集信息中没有 cgroup 版本")
}

func mount(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Facts == nil {
		return noFacts
	}
	for _, m := range s.Facts.Mounts {
		if (a.text("path") == "" || m.Path == a.text("path")) && (a.text("type") == "" || m.Type == a.text("type")) {
			return yes("%s (%s) is mounted", "已挂载 %s（%s）", m.Path, m.Type)
		}
	}
	if len(s.Facts.Mounts) == 0 {
		return unknown("mounts are not among the facts", "采集信息中没有挂载点")
	}
	return no("there is no such mount: %s %s", "没有该挂载点：%s %s", a.text("path"), a.text("type"))
}

// flagOf returns the value of a flag: "--name=value", "--name value", "-name" alone is "true".
func flagOf(args []string, name string) (string, bool) {
	for i, arg := range args {
		bare := strings.TrimLeft(arg, "-")
		if bare == arg {
			continue
		}
		key, value, has := strings.Cut(bare, "=")
		if key != name {
			continue
		}
		if !has && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			return args[i+1], true
		}
		if !has {
			return "true", true
		}
		return value, true
	}
	return "", false
}

func processFlag(_ context.Context, s *Subject, t *Target, a Args) Answer {
	if s.Facts == nil {
		return noFacts
	}
	name, flag := a.text("process"), a.text("flag")
	var args []string
	seen := false
	for _, p := range s.Facts.Processes {
		if p.Name == name && (t.Container == "" || p.Container == t.Container) {
			args, seen = p.Args, true
			break
		}
	}
	if !seen {
		for _, c := range s.Facts.Containers {
			for _, p := range c.Processes {
				if p.Name == name && !seen {
					args, seen = p.Args, true
				}
			}
		}
	}
	if !seen {
		if why := skipped(s.Facts, "processes", "containers"); why.EN != "" {
			return Answer{Unknown, why}
		}
		return unknown("no process %s runs", "没有运行中的进程 %s", name)
	}
	v, ok := flagOf(args, flag)
	if !ok {
		return missing(a, "%s runs without --%s", "%s 运行时未带 --%s", name, flag)
	}
	for _, part := range a.texts("contains") {
		if strings.Contains(v, part) {
			return yes("%s runs with --%s=%s", "%s 运行时带有 --%s=%s", name, flag, v)
		}
	}
	if slices.Contains(a.texts("is"), v) {
		return yes("%s runs with --%s=%s", "%s 运行时带有 --%s=%s", name, flag, v)
	}
	return no("%s runs with --%s=%s", "%s 运行时带有 --%s=%s", name, flag, v)
}

func processRunning(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Facts == nil {
		return noFacts
	}
	names := a.texts("names")
	for _, p := range s.Facts.Processes {
		if slices.Contains(names, p.Name) {
			return yes("%s runs%s", "%s 正在运行%s", p.Name, within(p.Container))
		}
	}
	for _, c := range s.Facts.Containers {
		for _, p := range c.Processes {
			if slices.Contains(names, p.Name) {
				return yes("%s runs%s", "%s 正在运行%s", p.Name, within(c.Namespace+"/"+c.Pod+"/"+c.Container))
			}
		}
	}
	for _, b := range s.Facts.Binaries {
		if b.Running && slices.Contains(names, b.Component) {
			return yes("%s runs%s", "%s 正在运行%s", b.Component, within(b.Container))
		}
	}
	if why := skipped(s.Facts, "processes"); why.EN != "" {
		return Answer{Unknown, why}
	}
	return no("none of these runs: %s", "以下进程均未运行：%s", strings.Join(names, ", "))
}

func within(container string) finding.Text {
	if container == "" {
		return finding.Text{}
	}
	return say(" in the container %s", "（容器 %s）", container)
}

func listening(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Facts == nil {
		return noFacts
	}
	ports := a.texts("ports")
	local := ""
	for _, l := range s.Facts.Listening {
		if len(ports) > 0 && !slices.Contains(ports, strconv.Itoa(l.Port)) || a.text("process") != "" && l.Process != a.text("process") {
			continue
		}
		at := net.JoinHostPort(l.Address, strconv.Itoa(l.Port))
		if ip := net.ParseIP(l.Address); a.flag("outside") && (ip != nil && ip.IsLoopback() || l.Address == "localhost") {
			local = at
			continue
		}
		return yes("%s listens on %s%s", "%s 监听 %s%s", orSomething(l.Process), at, within(l.Container))
	}
	if local != "" {
		return no("only local programs reach %s", "%s 仅供本机程序访问", local)
	}
	if why := skipped(s.Facts, "listening", "sockets"); why.EN != "" {
		return Answer{Unknown, why}
	}
	return no("nothing listens on %s", "没有进程监听 %s", strings.Join(append(ports, a.text("process")), " "))
}

func orSomething(s string) finding.Text {
	if s == "" {
		return finding.Text{EN: "a process", ZH: "某进程"}
	}
	return finding.Text{EN: s, ZH: s}
}

// abstractSocket looks for sockets of the host's network namespace that have no file: whoever shares the namespace reaches them.
func abstractSocket(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Files == nil {
		return unknown("/proc/1/net/unix is not at hand", "没有 /proc/1/net/unix")
	}
	f, err := s.Files.Open("/proc/1/net/unix")
	if err != nil {
		return unknown("%v", "无法读取：%v", err)
	}
	defer f.Close()
	data, err := whole(f, mostConfig)
	if err != nil {
		return unknown("/proc/1/net/unix: %v", "/proc/1/net/unix 无法读取：%v", err)
	}
	lines := 0
	for line := range bytes.Lines(data) {
		lines++
		fields := bytes.Fields(line)
		if len(fields) >= 8 && bytes.HasPrefix(fields[7], []byte("@"+a.text("prefix"))) {
			return yes("the abstract socket %s is open in the host's network namespace", "主机网络命名空间中开放着抽象套接字 %s", fields[7])
		}
	}
	if lines == 0 {
		return unknown("/proc/1/net/unix is empty", "/proc/1/net/unix 为空")
	}
	return no("no abstract socket @%s… is open in the host's network namespace", "主机网络命名空间中没有抽象套接字 @%s…", a.text("prefix"))
}
