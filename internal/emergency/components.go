package emergency

import (
	"path"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/emergency/check"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/version"
)

// found is a place where a component of an emergency was found, with the ranges that are about it.
type found struct {
	check.Target
	running bool
	ranges  []*Range
}

// daemons are components that run for as long as the node does: of these a file that does not run is no danger beside one that does.
// Others, such as runc, are started for a moment.
var daemons = []string{"containerd", "dockerd", "crio", "kubelet", "kube-proxy", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "coredns",
	"buildkitd", "ingress-nginx", "argo-cd", "harbor-core"}

// components finds where the components of an emergency are on a subject.
func components(e *Emergency, s *Subject) []found {
	var out []found
	streams := streamsOf(s)
	var ranges []*Range
	for i := range e.Affected {
		if e.Affected[i].concerns(streams) {
			ranges = append(ranges, &e.Affected[i])
		}
	}
	seen := map[string]int{}
	add := func(f found) {
		key := f.Component + "\x00" + f.Container + "\x00" + clean(f.Path)
		if f.Path == "" && f.Package != nil {
			key += f.Package.Name + f.Package.Version
		}
		if at, ok := seen[key]; ok { // facts and inventory of one file: the facts know what runs, the inventory the package
			if out[at].Package == nil {
				out[at].Package = f.Package
			}
			return
		}
		seen[key] = len(out)
		out = append(out, f)
	}
	if s.Facts != nil {
		for i := range s.Facts.Binaries {
			b := &s.Facts.Binaries[i]
			if b.Genuine != "" && b.Genuine != "yes" {
				continue
			}
			name := nameOf(b)
			if of := slices.DeleteFunc(slices.Clone(ranges), func(r *Range) bool { return r.Component != name }); len(of) > 0 {
				add(found{Target: check.Target{Emergency: e.ID, Component: name, Path: b.Path, Container: b.Container, Version: b.Version, Binary: b}, running: b.Running, ranges: of})
			}
		}
		if release := kernelRelease(s.Facts); release != "" {
			if of := slices.DeleteFunc(slices.Clone(ranges), func(r *Range) bool { return r.Component != "kernel" }); len(of) > 0 {
				add(found{Target: check.Target{Emergency: e.ID, Component: "kernel", Version: release, Package: kernelPackage(s, release)}, running: true, ranges: of})
			}
		}
	}
	if s.Software != nil {
		for i := range s.Software.Packages {
			p := &s.Software.Packages[i]
			if of := slices.DeleteFunc(slices.Clone(ranges), func(r *Range) bool { return !r.isPackage(p) }); len(of) > 0 {
				name := p.Component
				if name == "" || strings.HasPrefix(of[0].Component, packagePrefix) {
					name = p.Name
				}
				add(found{Target: check.Target{Emergency: e.ID, Component: name, Path: fileOf(p), Version: p.Version, Package: p}, ranges: of})
			}
		}
	}
	return counting(owned(s, out))
}

// nameOf is the component that a program of a node is. Network plug-ins are named by their files there.
func nameOf(b *inventory.BinaryFact) string {
	if strings.HasPrefix(b.Component, "cni/") && strings.HasPrefix(b.Module, "github.com/projectcalico/") {
		return "calico-cni"
	}
	return b.Component
}

// owned leaves out system packages whose program was found itself, and gives the others the place where their program usually is.
func owned(s *Subject, list []found) []found {
	owners := map[*inventory.Package]bool{}
	for i := range list {
		if f := &list[i]; f.Path != "" {
			if p := check.Owner(s, &f.Target); p != nil && p != f.Package {
				owners[p] = true
			}
		}
	}
	list = slices.DeleteFunc(list, func(f found) bool { return f.Package != nil && owners[f.Package] })
	for i := range list {
		f := &list[i]
		if f.Path != "" || f.Package == nil || f.Component != f.Package.Name || s.Files == nil {
			continue
		}
		for _, dir := range []string{"/usr/sbin/", "/usr/bin/"} {
			if file, err := s.Files.Open(dir + f.Component); err == nil {
				file.Close()
				f.Path = dir + f.Component
				break
			}
		}
	}
	return list
}

// fileOf is the file of a package; databases of package managers are no file of it.
func fileOf(p *inventory.Package) string {
	if p.Type.System() {
		return ""
	}
	return p.Path
}

func clean(p string) string {
	if p == "" {
		return ""
	}
	return strings.TrimPrefix(path.Clean("/"+p), "/")
}

// counting moves those that decide to the front and marks the others: where a daemon runs, its other files do not count.
func counting(list []found) []found {
	running := map[string]bool{}
	for _, f := range list {
		if f.running {
			running[f.Component] = true
		}
	}
	out := make([]found, 0, len(list))
	var rest []found
	for _, f := range list {
		if !f.running && running[f.Component] && slices.Contains(daemons, f.Component) {
			rest = append(rest, f)
		} else {
			out = append(out, f)
		}
	}
	for i := range rest {
		rest[i].ranges = nil // looked at, does not count
	}
	return append(out, rest...)
}

func streamsOf(s *Subject) []string {
	var out []string
	if s.Software != nil && s.Software.OS != nil {
		out = append(out, s.Software.OS.Streams...)
		out = append(out, s.Software.OS.ID)
	}
	if s.Facts != nil && s.Facts.OS.ID != "" {
		out = append(out, s.Facts.OS.ID, s.Facts.OS.ID+" "+s.Facts.OS.VersionID)
	}
	return out
}

func kernelRelease(f *inventory.NodeFacts) string {
	if f.Kernel != nil && f.Kernel.Release != "" {
		return f.Kernel.Release
	}
	return f.OS.Kernel
}

// kernelPackage is the system package of the running kernel: the one whose name or version has the release.
func kernelPackage(s *Subject, release string) *inventory.Package {
	if s.Software == nil {
		return nil
	}
	var byVersion *inventory.Package
	for i := range s.Software.Packages {
		p := &s.Software.Packages[i]
		if !p.Type.System() {
			continue
		}
		if p.Name == "linux-image-"+release { // Debian, Ubuntu
			return p
		}
		if slices.Contains([]string{"kernel", "kernel-core", "kernel-default", "linux", "linux-esx", "linux-aws"}, p.Name) && strings.HasPrefix(release, p.Version) {
			byVersion = p
		}
	}
	return byVersion
}

// versionFor is the version to compare with a range.
func (f *found) versionFor(r *Range) string {
	if f.Package == nil || !f.Package.Type.System() || f.Component == "kernel" && r.Scheme == "kernel" {
		return f.Version
	}
	switch r.Scheme {
	case "dpkg", "rpm":
		return f.Version
	}
	switch f.Package.Type {
	case inventory.Deb:
		return version.Upstream(advisory.Deb, f.Version)
	case inventory.RPM:
		return version.Upstream(advisory.RPM, f.Version)
	case inventory.APK:
		return version.Upstream(advisory.APK, f.Version)
	}
	return f.Version
}
