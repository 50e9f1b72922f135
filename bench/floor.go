package main

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/image/malware"
	"stockade.dev/stockade/internal/inventory"
)

// child runs this program as a yardstick: "floor" and "engine" take an image, "match" a database and an inventory. ok says that it was asked to.
func child(args []string) (ok bool, err error) {
	if len(args) != 2 {
		return false, nil
	}
	switch args[0] {
	case "decode":
		return true, decodeAll(args[1])
	case "floor":
		return true, repeated(func() error { return floor(args[1]) })
	case "match":
		return true, again(args[1])
	case "attack":
		return true, attackOnce(args[1])
	case "engine":
		return true, profiled(func() error {
			_, err := analyze(args[1], image.Options{})
			return err
		})
	}
	return false, nil
}

// repeatEnv says how often a child does its work: the start of a process must not count for small images.
const repeatEnv = "STOCKADE_BENCH_REPEAT"

func repeated(f func() error) error {
	n, _ := strconv.Atoi(os.Getenv(repeatEnv)) // none is one
	for range max(1, n) {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// profiled writes a CPU profile when STOCKADE_BENCH_PROFILE names a file, and one of allocations beside it.
func profiled(f func() error) error {
	name := os.Getenv("STOCKADE_BENCH_PROFILE")
	if name == "" {
		return repeated(f)
	}
	runtime.MemProfileRate = 64 << 10
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer out.Close()
	allocs, err := os.Create(name + ".allocs")
	if err != nil {
		return err
	}
	defer allocs.Close()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	err = repeated(f)
	pprof.StopCPUProfile()
	return errors.Join(err, pprof.Lookup("allocs").WriteTo(allocs, 0))
}

// floor unpacks all layers, one after the other, and walks them as tar without looking at contents: what nobody can do without.
func floor(ref string) error {
	ctx := context.Background()
	img, err := image.Open(ctx, ref, image.Options{})
	if err != nil {
		return err
	}
	defer img.Close()
	for _, l := range img.Layers {
		blob, err := l.Open(ctx)
		if err != nil {
			return err
		}
		err = walk(bufio.NewReaderSize(blob, 256<<10))
		blob.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", l.Digest, err)
		}
	}
	return nil
}

func walk(r *bufio.Reader) error {
	head, err := r.Peek(4)
	if err != nil {
		return err
	}
	var t *tar.Reader
	if head[0] == 0x1f {
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		t = tar.NewReader(z)
	} else {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return err
		}
		defer z.Close()
		t = tar.NewReader(z)
	}
	for {
		if _, err := t.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// analyze reads an image with everything that a scan looks for.
func analyze(ref string, o image.Options) (*inventory.Software, error) {
	ctx := context.Background()
	if o.Malware == nil {
		o.Malware = malware.NewSet()
	}
	img, err := image.Open(ctx, ref, o)
	if err != nil {
		return nil, err
	}
	defer img.Close()
	return image.Analyze(ctx, img, o)
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// timed returns what f took.
func timed(f func() error) (u usage, err error) {
	used, start := cpu(), time.Now()
	err = f()
	return usage{CPU: cpu() - used, Wall: time.Since(start)}, err
}

// blobs is the size of an image's layers, packed, and of its files unpacked.
func blobs(ref string) (packed, unpacked int64, packages int, err error) {
	s, err := analyze(ref, image.Options{Scanners: image.Scanners{NoSecrets: true, NoMalware: true}})
	if err != nil {
		return 0, 0, 0, err
	}
	for _, l := range s.Layers {
		packed += l.Size
	}
	return packed, s.Stats.Bytes, len(s.Packages), nil
}

// save writes an inventory, as "stockade sbom -o inventory" does.
func save(dir, name string, s *inventory.Software) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), data, 0o600)
}

// load is the average load of the machine, over one minute.
func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	var one string
	fmt.Sscan(string(data), &one)
	return one
}
