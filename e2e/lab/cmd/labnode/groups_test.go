//go:build linux

package main

import "testing"

func TestOwnGroup(t *testing.T) {
	const one = "12:cpu,cpuacct:/user/7\n9:name=systemd:/\n4:memory:/limited/42\n0::/unified/x\n"
	for _, c := range []struct {
		h    hierarchy
		want string
	}{
		{hierarchy{point: "/sys/fs/cgroup/cpu,cpuacct", root: "/", options: "cpu,cpuacct"}, "/sys/fs/cgroup/cpu,cpuacct/user/7"},
		{hierarchy{point: "/sys/fs/cgroup/memory", root: "/limited", options: "memory"}, "/sys/fs/cgroup/memory/42"},
		{hierarchy{point: "/sys/fs/cgroup/systemd", root: "/", options: "name=systemd"}, "/sys/fs/cgroup/systemd"},
		{hierarchy{point: "/sys/fs/cgroup", root: "/", v2: true}, "/sys/fs/cgroup/unified/x"},
	} {
		if got, err := c.h.of(one); err != nil || got != c.want {
			t.Errorf("%+v: %s, %v, want %s", c.h, got, err, c.want)
		}
	}
	if _, err := (hierarchy{point: "/p", root: "/", options: "pids"}).of(one); err == nil {
		t.Error("a hierarchy that the process is not in")
	}
}
