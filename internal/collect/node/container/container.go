// Package container reads the running containers of a node: what the runtimes say of them (containerd by its API, CRI-O by its
// folders, Docker by its API) and what the kernel shows in truth: namespaces, processes, mounts, and the executables in the
// writable layer that the image does not have.
//
// It only reads. Runtimes are asked by calls that change nothing; nothing of a container is executed; files of containers are
// opened below their layer's folder, never through symlinks, and only after the kernel said that they are regular files. What
// processes in containers can forge (names, arguments, cgroup paths, files) decides about nothing but what is shown of them: a
// process belongs to the container whose namespaces it is in.
package container

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/image/malware"
	"stockade.dev/stockade/internal/inventory"
)

// Options say where the node is. The zero value is the machine it runs on.
type Options struct {
	Root string // where the node's root file system is seen; "" is "/"
	Proc string // the node's procfs, whose process 1 is the node's; "" is "/proc"

	Sockets Sockets
	Wait    time.Duration // for one runtime to answer; 0 is 10 seconds
	NoDrift bool          // writable layers are not walked
	Limits  Limits

	Images image.Options // readers of Images and Malware: limits, kept layer results, temporary folder
}

// Sockets are the places of runtimes, as seen by this process. nil takes the usual ones below Root, an empty list asks none.
type Sockets struct {
	Containerd []string
	Docker     []string
	Storage    []string // folders of containers/storage (CRI-O), on the node
}

// The usual places, on the node.
var (
	containerdSockets = []string{"/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock", "/run/k0s/containerd.sock",
		"/var/snap/microk8s/common/run/containerd.sock", "/run/docker/containerd/containerd.sock"}
	dockerSockets  = []string{"/run/docker.sock", "/var/run/docker.sock"}
	storageFolders = []string{"/var/lib/containers/storage"}
)

// Limits bound what one reading costs. Zero fields take the defaults.
type Limits struct {
	Containers int   // inventory.MaxNodeContainers
	Processes  int   // of one container: inventory.MaxNodeProcesses
	Drift      int   // executables of one container: inventory.MaxDrift
	Files      int64 // looked at in all writable layers: 500,000
	LayerFiles int64 // looked at in one writable layer: 100,000
	HashBytes  int64 // read to hash and compare executables, all in all: 2 GiB
	FileBytes  int64 // of one file: 256 MiB
	Malware    int64 // bytes that one call of Malware reads: 20 GiB
}

func (l Limits) withDefaults() Limits {
	for _, p := range []struct {
		v *int
		d int
	}{{&l.Containers, inventory.MaxNodeContainers}, {&l.Processes, inventory.MaxNodeProcesses}, {&l.Drift, inventory.MaxDrift}} {
		if *p.v <= 0 {
			*p.v = p.d
		}
	}
	for _, p := range []struct {
		v *int64
		d int64
	}{{&l.Files, 500_000}, {&l.LayerFiles, 100_000}, {&l.HashBytes, 2 << 30}, {&l.FileBytes, 256 << 20}, {&l.Malware, 20 << 30}} {
		if *p.v <= 0 {
			*p.v = p.d
		}
	}
	return l
}

func (o Options) withDefaults() Options {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.Wait <= 0 {
		o.Wait = 10 * time.Second
	}
	o.Limits = o.Limits.withDefaults()
	return o
}

// Engines recognise malicious files.
type Engines struct {
	Set   *malware.Set   // nil: the built-in test file only
	Clamd *malware.Clamd // nil: nobody is asked
}

// Infected are malicious files in the writable layer of a container or in a local image.
type Infected struct {
	Container string // "namespace/pod/container"; "" for an image
	ID        string // of the container
	Image     string
	Digest    string
	Hits      []inventory.Hit
}

// Sweep is what one call of Malware looked at.
type Sweep struct {
	Files   int64
	Bytes   int64
	Skipped []inventory.SkipFact
	Next    string // where to go on; "" when all was looked at
}

// Name is how a container is called in facts: "namespace/pod/container", or the runtime's name outside of pods.
func Name(c *inventory.ContainerFact) string {
	if c.Pod == "" {
		return c.Container
	}
	return c.Namespace + "/" + c.Pod + "/" + c.Container
}

// longest bounds a text of a container that goes into facts.
const longest = 1024

// clean makes a text of a container fit for facts: control characters and what is no UTF-8 become visible, what is too long ends
// with a mark.
func clean(s string) string {
	cut := len(s) > longest
	if cut {
		s = s[:longest]
	}
	plain := true
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			plain = false
			break
		}
	}
	if !plain {
		const hex = "0123456789abcdef"
		var b strings.Builder
		for i, w := 0, 0; i < len(s); i += w {
			var r rune
			r, w = utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && w <= 1 || !unicode.IsPrint(r) {
				for _, c := range []byte(s[i : i+w]) {
					b.WriteString(`\x`)
					b.WriteByte(hex[c>>4])
					b.WriteByte(hex[c&15])
				}
				continue
			}
			b.WriteRune(r)
		}
		s = b.String()
	}
	if cut {
		s += "…"
	}
	return s
}

// coarse keeps the first bits of a count: a log that grows must not make new facts of a node at every reading.
func coarse(n int64) int64 {
	shift := 0
	for n>>shift >= 32 {
		shift++
	}
	return n >> shift << shift
}
