package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stockade.dev/stockade/e2e/images"
	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/image/malware"
)

// softwareSteps are the steps of the part, for -only.
var softwareSteps = []string{"cold", "unpacked", "warm", "build", "matching", "compare", "damage"}

// software measures images, the advisory database and matching.
func (b *bench) software(o options) error {
	for _, k := range b.kinds() {
		if strings.Contains(k.name, o.kinds) {
			b.list = append(b.list, k)
		}
	}
	steps := map[string]func() error{"cold": b.cold, "unpacked": b.unpacked, "warm": b.warm, "build": b.build, "matching": b.matching, "compare": b.compare, "damage": b.damage}
	names := softwareSteps
	if o.only != "" {
		names = strings.Split(o.only, ",")
	}
	for _, name := range names {
		step, ok := steps[name]
		if !ok {
			return fmt.Errorf("-only %s: want some of %s", name, strings.Join(softwareSteps, ", "))
		}
		if name == "matching" && b.database == "" {
			if err := b.build(); err != nil {
				return err
			}
		}
		if err := step(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// rounds runs commands in turn, n times, and returns for each the run of median CPU: what else the machine does falls on all.
// Where times is over one, this program's own children do their work as often and the figures are those of one time.
func (b *bench) rounds(n, times int, commands ...[]string) ([]usage, error) {
	all := make([][]usage, len(commands))
	for range n {
		for i, c := range commands {
			u, err := b.measure(1, []string{fmt.Sprintf("%s=%d", repeatEnv, times)}, c...)
			if err != nil {
				return nil, err
			}
			if c[0] == b.self {
				u.CPU, u.Wall = u.CPU/time.Duration(times), u.Wall/time.Duration(times)
			}
			all[i] = append(all[i], u)
		}
	}
	out := make([]usage, len(commands))
	for i, us := range all {
		slices.SortFunc(us, func(a, b usage) int { return cmp.Compare(a.CPU, b.CPU) })
		out[i] = us[len(us)/2]
	}
	return out, nil
}

// times makes up for small images.
func times(packed int64) int {
	if packed < 20e6 {
		return 10
	}
	return 1
}

func ratio(a, b usage) float64 { return a.CPU.Seconds() / max(b.CPU.Seconds(), 0.001) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// cold measures images that were never seen against their floor.
func (b *bench) cold() error {
	b.say("## Images: cold\n")
	b.say("floor: the same layers unpacked with klauspost/compress and walked as tar, contents not looked at. engine: packages, secrets, accounts and")
	b.say("malware of the same image in a process that does nothing else. command: `stockade sbom --no-cache`, all of the process.\n")
	b.say("| image | layers | packed -> files MB | packages | floor CPU s | engine CPU s | engine / floor | command CPU s | command / floor | command peak MiB |\n|---|---|---|---|---|---|---|---|---|---|")
	for _, k := range b.list {
		for _, p := range []images.Packing{images.Gzip, images.Zstd} {
			b.progress("cold: %s, %s", k.name, p)
			ref, err := k.ref(p)
			if err != nil {
				b.say("| %s | %s | not built: %v | | | | | | | |", k.name, p, err)
				continue
			}
			packed, unpacked, packages, err := blobs(ref)
			if err != nil {
				return err
			}
			u, err := b.rounds(b.runs, times(packed), []string{b.self, "floor", ref}, []string{b.self, "engine", ref},
				[]string{b.stockade, "sbom", ref, "--no-cache", "--offline", "-o", "inventory"})
			if err != nil {
				return err
			}
			b.say("| %s | %s | %d -> %d | %d | %.2f | %.2f | **%.2f** | %.2f | %.2f | %d |", k.name, p, packed/1e6, unpacked/1e6, packages,
				u[0].CPU.Seconds(), u[1].CPU.Seconds(), ratio(u[1], u[0]), u[2].CPU.Seconds(), ratio(u[2], u[0]), u[2].Peak>>20)
		}
	}
	start, err := b.rounds(max(5, b.runs), 1, []string{b.stockade, "version"})
	if err != nil {
		return err
	}
	b.say("\nImages under 20 MB are read ten times in one process by floor and engine. `stockade version` alone: %.2f CPU s, %d MiB, most of it pages of the", start[0].CPU.Seconds(), start[0].Peak>>20)
	b.say("program file that the kernel maps ahead.")
	b.say("\nGoals: gzip at most 1.5 times the floor, zstd at most 2.5 times, peak at most 100 MiB.\n")
	return nil
}

// unpacked measures root file systems against the packed image of the same files.
func (b *bench) unpacked() error {
	b.say("## Images: unpacked root file system\n")
	b.say("| files | packed (gzip) CPU s | unpacked CPU s | unpacked wall s | unpacked / packed | peak MiB |\n|---|---|---|---|---|---|")
	for _, k := range b.list {
		if k.root == nil {
			continue
		}
		b.progress("unpacked: %s", k.name)
		ref, err := k.ref(images.Gzip)
		if err != nil {
			continue // told by cold
		}
		root, err := k.root()
		if err != nil {
			b.say("| %s | not built: %v | | | | |", k.name, err)
			continue
		}
		packed, _, _, err := blobs(ref)
		if err != nil {
			return err
		}
		u, err := b.rounds(b.runs, times(packed), []string{b.self, "engine", ref}, []string{b.self, "engine", "rootfs:" + root})
		if err != nil {
			return err
		}
		b.say("| %s | %.2f | %.2f | %.2f | **%.2f** | %d |", k.name, u[0].CPU.Seconds(), u[1].CPU.Seconds(), u[1].Wall.Seconds(), ratio(u[1], u[0]), u[1].Peak>>20)
	}
	b.say("\nImages under 20 MB packed are read ten times in one process: their peak is that of ten readings.\n\nGoal: at most 0.20.\n")
	return nil
}

// warm measures images whose layers are known, with the cache in a directory and a new store for each run.
func (b *bench) warm() error {
	b.say("## Images: the same layers again\n")
	b.say("Open and Analyze in one process, results of layers in a directory, a new store each time.\n")
	b.say("| image | layers | kept KB | wall ms (median of 9) | CPU ms |\n|---|---|---|---|---|")
	for _, k := range b.list {
		b.progress("warm: %s", k.name)
		ref, err := k.ref(images.Gzip)
		if err != nil {
			continue
		}
		dir := filepath.Join(b.tmp, "cache-"+k.name)
		again := func() (int, int, error) {
			d, err := image.NewDirectory(dir, 1<<30)
			if err != nil {
				return 0, 0, err
			}
			store, err := image.NewStore(d)
			if err != nil {
				return 0, 0, err
			}
			s, err := analyze(ref, image.Options{Store: store})
			if err != nil {
				return 0, 0, err
			}
			return s.Stats.Cached, len(s.Layers), nil
		}
		if _, _, err := again(); err != nil {
			return err
		}
		var us []usage
		layers := 0
		for range 9 {
			u, err := timed(func() error {
				known, n, err := again()
				if layers = n; err == nil && known != n {
					err = fmt.Errorf("%s: %d of %d layers were known", k.name, known, n)
				}
				return err
			})
			if err != nil {
				return err
			}
			us = append(us, u)
		}
		slices.SortFunc(us, func(a, b usage) int { return cmp.Compare(a.Wall, b.Wall) })
		b.say("| %s | %d | %d | **%.1f** | %.1f |", k.name, layers, folderSize(dir)>>10, milliseconds(us[4].Wall), milliseconds(us[4].CPU))
	}
	b.say("\nGoal: under 50 ms.\n")
	return b.once()
}

func folderSize(dir string) (n int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

// once counts how often the layers of images that share bases are opened when all are read at the same time.
func (b *bench) once() error {
	store, err := image.NewStore(image.NewMemory(1 << 30))
	if err != nil {
		return err
	}
	var opened, asked atomic.Int64
	distinct := map[string]bool{}
	var wg sync.WaitGroup
	var failure atomic.Pointer[error]
	for _, k := range b.list {
		ref, err := k.ref(images.Gzip)
		if err != nil {
			continue
		}
		for range 4 {
			o := image.Options{Store: store, Malware: malware.NewSet()}
			img, err := image.Open(b.ctx, ref, o)
			if err != nil {
				return err
			}
			for i := range img.Layers {
				l := &img.Layers[i]
				distinct[l.Digest] = true
				asked.Add(1)
				open := l.Open
				l.Open = func(ctx context.Context) (io.ReadCloser, error) {
					opened.Add(1)
					return open(ctx)
				}
			}
			wg.Go(func() {
				defer img.Close()
				if _, err := image.Analyze(b.ctx, img, o); err != nil {
					failure.Store(&err)
				}
			})
		}
	}
	wg.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	b.say("All images above, four times each at the same time over one store: %d layers asked for, %d distinct, **%d read**.\n", asked.Load(), len(distinct), opened.Load())
	return nil
}
