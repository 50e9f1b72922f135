// Package image is the inventory engine. It opens images wherever they are kept, streams each layer once through the readers
// that all.go lists, keeps what a layer gave by its digest, and merges layers to what a container would see.
//
// The way of a layer: blob -> checked against size and digest -> unpacked by a second goroutine -> archive/tar -> all.go says
// who wants the entry -> readers. Nothing is unpacked to disk, and an entry nobody wants costs no more than its header. What
// must be held whole (package databases, jars, small text files) is bounded; everything else streams.
//
// Input is hostile: every limit that is met, and every layer or file that is broken, becomes a Gap and the rest goes on.
package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"stockade.dev/stockade/internal/collect/image/archive"
	"stockade.dev/stockade/internal/collect/image/malware"
	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/collect/image/runtime"
	"stockade.dev/stockade/internal/collect/image/source"
	"stockade.dev/stockade/internal/inventory"
)

// Engine is the version of the readers. It is part of the key of kept layer results: raise it whenever a reader gives another
// answer for the same bytes.
const Engine = "stockade-inventory/2"

// Image is an opened image or root file system. Close it after use.
type Image = source.Image

// Options of opening and reading. The zero value is good.
type Options struct {
	Registry registry.Options
	Runtime  runtime.Options
	Platform string // "linux/arm64/v8", for every source; "" is linux with this machine's architecture

	Scanners Scanners
	Limits   Limits
	Store    *Store // kept results of layers and of a root's files, shared by all images of a run; nil: everything is read
	Parallel int    // layers read at once, or workers on a root file system; 0 is 2
	TempDir  string // for archives that have to be unpacked as a whole; "" is the system's

	OneFileSystem bool                    // rootfs: stay on the file system of the root
	Mounts        []string                // rootfs: with OneFileSystem, directories on which another one lies that is read too, after it
	SkipDirs      []string                // rootfs: directories left out, without leading slash ("var/lib/containerd"); proc, sys and dev always are
	Left          func(dir string) string // rootfs: why a directory is left out, which becomes a Gap; "" where it is not; may be nil

	RPMChangelog bool // reads the CVE ids that packages' changelogs say are fixed
	// KnownJar names a jar by the SHA-1 of its bytes, for jars that do not name themselves.
	KnownJar func(sha1 string) (group, artifact, version string, ok bool)
	// Malware is the list of hashes of malicious files; nil: none are compared. A list of its own data is compared with every
	// file, the built-in test file with what may be a program only.
	Malware *malware.Set
	// Clamd is asked about every file that may be a program; nil: nobody is.
	Clamd *malware.Clamd
	// Probes asks files questions while they pass by, and keeps the answers as hits; nil: nothing is asked.
	Probes Probes
	// DataVersion names the data behind KnownJar, Malware and Clamd: other data, other kept results.
	DataVersion string
}

// Probes asks what a file says about something of which only the answer is kept.
type Probes interface {
	Wants(path string, size int64) bool // cheap: it is asked for every regular file; paths begin without a slash
	Read(path string, data []byte) []inventory.Hit
	Asked() []string // keys of all questions
}

// Scanners switches groups of readers off.
type Scanners struct {
	NoPackages bool // no packages and no operating system
	NoSecrets  bool // no secrets, accounts, devices and setuid programs
	NoMalware  bool
}

// Limits bound what one image may cost. Zero fields take the defaults of DefaultLimits.
type Limits struct {
	Compressed int64 // bytes of all blobs
	Unpacked   int64 // bytes of all tars
	Files      int64 // entries of all layers
	FileBytes  int64 // bytes read of one file; what is longer is not read
	Whole      int64 // bytes of a file that has to be held in memory
	Ratio      int64 // unpacked to packed, of one layer, once it is over 64 MiB
	Depth      int   // archives in archives
	Packages   int   // packages of one layer, and of the image
	Hits       int   // hits of one layer, and of the image
}

// DefaultLimits are those of the design: 20 GiB packed, a million files, 512 MiB a file, ratio 200, depth 8.
func DefaultLimits() Limits {
	return Limits{Compressed: 20 << 30, Unpacked: 200 << 30, Files: 1_000_000, FileBytes: 512 << 20, Whole: 256 << 20, Ratio: 200, Depth: 8,
		Packages: 200_000, Hits: 20_000}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	for _, p := range []struct{ v, d *int64 }{{&l.Compressed, &d.Compressed}, {&l.Unpacked, &d.Unpacked}, {&l.Files, &d.Files},
		{&l.FileBytes, &d.FileBytes}, {&l.Whole, &d.Whole}, {&l.Ratio, &d.Ratio}} {
		if *p.v <= 0 {
			*p.v = *p.d
		}
	}
	for _, p := range []struct{ v, d *int }{{&l.Depth, &d.Depth}, {&l.Packages, &d.Packages}, {&l.Hits, &d.Hits}} {
		if *p.v <= 0 {
			*p.v = *p.d
		}
	}
	return l
}

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.withDefaults()
	if o.Parallel <= 0 {
		o.Parallel = 2
	}
	if o.Platform != "" {
		o.Registry.Platform, o.Runtime.Platform = o.Platform, o.Platform
	}
	if o.Runtime.TempDir == "" {
		o.Runtime.TempDir = o.TempDir
	}
	if o.Runtime.MaxBytes == 0 {
		o.Runtime.MaxBytes = o.Limits.Compressed
	}
	return o
}

// ErrReference is wrapped by errors about a reference of a form that is not known.
var ErrReference = errors.New("no such form of reference")

// opener is one form of reference.
type opener struct {
	prefix string
	open   func(ctx context.Context, ref string, o Options) (*Image, error)
}

// openers lists the forms: prefix and how it is opened. What has no prefix is in a registry.
var openers = []opener{
	{"oci:", func(ctx context.Context, ref string, o Options) (*Image, error) {
		return archive.Layout(ctx, ref, o.archive())
	}},
	{"docker-archive:", func(ctx context.Context, ref string, o Options) (*Image, error) {
		return archive.Docker(ctx, ref, o.archive())
	}},
	{"rootfs:", func(_ context.Context, ref string, _ Options) (*Image, error) { return rootfs(ref) }},
	{"containerd:", func(ctx context.Context, ref string, o Options) (*Image, error) {
		return runtime.Containerd(ctx, ref, o.Runtime)
	}},
	{"crio:", func(ctx context.Context, ref string, o Options) (*Image, error) {
		return runtime.CRIO(ctx, ref, o.Runtime)
	}},
	{"docker:", func(ctx context.Context, ref string, o Options) (*Image, error) {
		return runtime.Docker(ctx, ref, o.Runtime)
	}},
}

// Prefixes returns the forms of reference beside the registry's.
func Prefixes() []string {
	var out []string
	for _, o := range openers {
		out = append(out, o.prefix)
	}
	return out
}

func (o Options) archive() archive.Options {
	return archive.Options{Platform: o.Platform, TempDir: o.TempDir, MaxBytes: o.Limits.Compressed}
}

// Open opens REF (in a registry), oci:DIR[:TAG] (or a tar of it), docker-archive:FILE[:REF], rootfs:DIR, containerd:REF,
// crio:REF or docker:REF. Only manifest and configuration are read. Errors wrap registry.ErrForbidden, ErrNotFound or
// ErrUnreachable where they apply.
func Open(ctx context.Context, ref string, o Options) (*Image, error) {
	o = o.withDefaults()
	for _, opener := range openers {
		if rest, ok := strings.CutPrefix(ref, opener.prefix); ok {
			if rest == "" {
				return nil, fmt.Errorf("%q: %w: nothing after %q", ref, ErrReference, opener.prefix)
			}
			return opener.open(ctx, rest, o)
		}
	}
	return registry.Open(ctx, ref, o.Registry)
}

func rootfs(dir string) (*Image, error) {
	s, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !s.IsDir() {
		return nil, fmt.Errorf("%s is no directory", dir)
	}
	return &Image{Kind: source.KindRootFS, Name: "rootfs:" + dir, Root: dir}, nil
}
