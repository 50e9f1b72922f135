package check

import (
	"context"
	"slices"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// containerWords are what a condition on running containers may say. All words of a condition must fit one container; any of the
// conditions is enough.
var containerWords = []string{"root", "hostNetwork", "hostPid", "userNamespace", "cap", "seccomp", "unconfined", "handler", "mount", "writableMount"}

// containers asks for running containers that fit, by what the kernel shows of them.
func containers(_ context.Context, s *Subject, _ *Target, a Args) Answer {
	if s.Facts == nil {
		return noFacts
	}
	if why := skipped(s.Facts, "containers"); why.EN != "" && len(s.Facts.Containers) == 0 {
		return Answer{Unknown, why}
	}
	conditions := a.maps("any")
	for i := range s.Facts.Containers {
		c := &s.Facts.Containers[i]
		for _, m := range conditions {
			if fitsContainer(c, m) {
				return yes("the container %s/%s/%s %s", "容器 %s/%s/%s：%s", c.Namespace, c.Pod, c.Container, words(m))
			}
		}
	}
	if len(s.Facts.Containers) == 0 {
		return unknown("no running containers are among the facts", "采集信息中没有运行中的容器")
	}
	if why := skipped(s.Facts, "containers"); why.EN != "" {
		return Answer{Unknown, why}
	}
	var said []finding.Text
	for _, m := range conditions {
		said = append(said, words(m))
	}
	return no("none of %d running containers %s", "%d 个运行中的容器中没有一个%s", len(s.Facts.Containers), joined(said, ", nor ", "，或"))
}

// said are the words of conditions as evidence puts them.
var said = map[string]finding.Text{
	"root":          {EN: "runs as root", ZH: "以 root 运行"},
	"hostNetwork":   {EN: "shares the host's network", ZH: "共享主机网络"},
	"hostPid":       {EN: "sees the host's processes", ZH: "可见主机进程"},
	"userNamespace": {EN: "has a user namespace of its own", ZH: "有独立的用户命名空间"},
	"cap":           {EN: "has the capability", ZH: "拥有能力"},
	"seccomp":       {EN: "has seccomp", ZH: "seccomp 为"},
	"unconfined":    {EN: "is unconfined by AppArmor and SELinux", ZH: "不受 AppArmor 与 SELinux 限制"},
	"handler":       {EN: "runs by", ZH: "运行时为"},
	"mount":         {EN: "mounts", ZH: "挂载了"},
	"writableMount": {EN: "mounts with write access", ZH: "以可写方式挂载了"},
	"gitRepo":       {EN: "has a gitRepo volume", ZH: "使用 gitRepo 卷"},
	"subPath":       {EN: "mounts a subPath", ZH: "使用 subPath 挂载"},
	"privileged":    {EN: "is privileged", ZH: "是特权容器"},
	"hostUsers":     {EN: "shares the host's users", ZH: "共享主机用户"},
	"namespace":     {EN: "is in the namespace", ZH: "位于命名空间"},
	"image":         {EN: "runs the image", ZH: "运行镜像"},
}

// saidNot are the words of conditions that are denied.
var saidNot = map[string]finding.Text{
	"root":          {EN: "does not run as root", ZH: "不以 root 运行"},
	"hostNetwork":   {EN: "has a network of its own", ZH: "使用独立网络"},
	"hostPid":       {EN: "sees its own processes only", ZH: "仅可见自身进程"},
	"userNamespace": {EN: "has no user namespace of its own", ZH: "没有独立的用户命名空间"},
	"unconfined":    {EN: "is confined by AppArmor or SELinux", ZH: "受 AppArmor 或 SELinux 限制"},
	"gitRepo":       {EN: "has no gitRepo volume", ZH: "未使用 gitRepo 卷"},
	"subPath":       {EN: "mounts no subPath", ZH: "未使用 subPath 挂载"},
	"privileged":    {EN: "is not privileged", ZH: "不是特权容器"},
	"hostUsers":     {EN: "has users of its own", ZH: "使用独立的用户"},
}

func words(m map[string]string) finding.Text {
	var out []finding.Text
	for _, k := range slices.Sorted(keys(m)) {
		v := m[k]
		switch v {
		case "true":
			out = append(out, said[k])
		case "false":
			out = append(out, saidNot[k])
		default:
			out = append(out, say("%s %s", "%s %s", said[k], v))
		}
	}
	return joined(out, " and ", "，且")
}

func keys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func fitsContainer(c *inventory.ContainerFact, m map[string]string) bool {
	anyProcess := func(f func(p *inventory.ContainerProcess) bool) bool {
		for i := range c.Processes {
			if f(&c.Processes[i]) {
				return true
			}
		}
		return false
	}
	anyMount := func(source string, writable bool) bool {
		return slices.ContainsFunc(c.Mounts, func(x inventory.ContainerMount) bool { return x.Source == source && !(writable && x.ReadOnly) })
	}
	for k, v := range m {
		ok, want := false, v == "true"
		switch k {
		case "root":
			ok = anyProcess(func(p *inventory.ContainerProcess) bool { return p.UID == 0 }) == want
		case "hostNetwork":
			ok = c.HostNet == want
		case "hostPid":
			ok = c.HostPID == want
		case "userNamespace":
			ok = c.UserNS == want
		case "cap":
			ok = anyProcess(func(p *inventory.ContainerProcess) bool {
				return slices.Contains(p.Caps, v) || slices.Contains(p.Caps, "ALL")
			})
		case "seccomp":
			ok = anyProcess(func(p *inventory.ContainerProcess) bool { return p.Seccomp == v })
		case "unconfined":
			ok = anyProcess(func(p *inventory.ContainerProcess) bool { return p.LSM == "" || p.LSM == "unconfined" }) == want
		case "handler":
			ok = c.Handler == v
		case "mount":
			ok = anyMount(v, false)
		case "writableMount":
			ok = anyMount(v, true)
		}
		if !ok {
			return false
		}
	}
	return true
}
