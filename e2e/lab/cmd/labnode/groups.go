//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hierarchy is a mounted tree of cgroups.
type hierarchy struct {
	point   string // where it is mounted
	root    string // what of the hierarchy is mounted there
	options string // its controllers, as mount takes them; none in version 2
	v2      bool
}

// hierarchies reads the mounts: the version 1 ones, or the one of version 2. Where
// both are mounted the controllers are in version 1, and so do the kubelet and
// runc decide.
func hierarchies() ([]hierarchy, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var one, two []hierarchy
	seen := map[string]bool{} // some are mounted again elsewhere
	for line := range strings.Lines(string(data)) {
		before, after, ok := strings.Cut(line, " - ")
		f, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(kind) < 3 {
			continue
		}
		h := hierarchy{point: f[4], root: f[3]}
		switch kind[0] {
		case "cgroup":
			var options []string
			for option := range strings.SplitSeq(kind[2], ",") {
				if option != "rw" && option != "ro" && option != "xattr" && !strings.HasPrefix(option, "release_agent=") {
					options = append(options, option)
				}
			}
			if h.options = strings.Join(options, ","); !seen[h.options] {
				seen[h.options] = true
				one = append(one, h)
			}
		case "cgroup2":
			h.v2 = true
			two = append(two, h)
		}
	}
	if len(one) > 0 {
		return one, nil
	}
	if len(two) == 0 {
		return nil, errors.New("no cgroups are mounted")
	}
	return two[:1], nil
}

// groups are the node's cgroups, one in every hierarchy, below the ones this
// process came from, whose limits so hold for the node.
type groups struct{ own, node []string }

func makeGroups(name string) (groups, error) {
	all, err := hierarchies()
	if err != nil {
		return groups{}, err
	}
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return groups{}, err
	}
	var g groups
	for _, h := range all {
		own, err := h.of(string(data))
		if err != nil {
			return groups{}, err
		}
		node := filepath.Join(own, name)
		g.own, g.node = append(g.own, own), append(g.node, node)
		if err := os.Mkdir(node, 0o755); err != nil {
			g.remove()
			return groups{}, err
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} { // empty in a new group, which then takes no process
			if value, err := os.ReadFile(filepath.Join(own, file)); err == nil && !h.v2 {
				err = os.WriteFile(filepath.Join(node, file), bytes.TrimSpace(value), 0o644)
				if err != nil {
					g.remove()
					return groups{}, err
				}
			}
		}
	}
	return g, nil
}

// of is the folder of the process whose /proc/PID/cgroup this is.
func (h hierarchy) of(text string) (string, error) {
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		if h.v2 && f[0] == "0" || !h.v2 && f[1] != "" && slices.Contains(strings.Split(h.options, ","), strings.Split(f[1], ",")[0]) {
			return filepath.Join(h.point, strings.TrimPrefix(f[2], strings.TrimSuffix(h.root, "/"))), nil
		}
	}
	return "", fmt.Errorf("this process is in no cgroup of %s", h.point)
}

func (g groups) enter() error { return move(g.node) }
func (g groups) leave() error { return move(g.own) }

func move(to []string) error {
	for _, dir := range to {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// remove takes the groups away, innermost first. The kernel needs a moment after
// the last process.
func (g groups) remove() {
	for range 250 {
		left := false
		for _, dir := range g.node {
			var found []string
			_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					found = append(found, path)
				}
				return nil
			})
			slices.Reverse(found)
			for _, path := range found {
				if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
					left = true
				}
			}
		}
		if !left {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "labnode: cgroups stay behind:", g.node)
}
