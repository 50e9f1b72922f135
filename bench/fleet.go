package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"stockade.dev/stockade/e2e/images"
	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/match"
	"stockade.dev/stockade/internal/release"
)

// fleetSize is how many inventories are stored and matched again.
const fleetSize = 10000

// bases are the twenty lower parts of the fleet's images: a real package database under an os-release. Where no database of a
// system is at hand, that of a relative stands for it: what counts is how many packages of how many names are looked up.
var bases = []struct{ packages, id, version string }{
	{"debian", "debian", "12"}, {"debian", "debian", "11"}, {"debian", "ubuntu", "22.04"}, {"middleware", "debian", "12"}, {"middleware", "ubuntu", "24.04"},
	{"centos8-modularitylabel", "almalinux", "8.10"}, {"centos8-modularitylabel", "rocky", "8.10"}, {"centos8-modularitylabel", "rhel", "8.10"},
	{"centos8-modularitylabel", "ol", "8.10"}, {"centos8-modularitylabel", "anolis", "8.8"}, {"centos8-modularitylabel", "openEuler", "20.03"},
	{"centos7-many", "centos", "7"}, {"centos7-plain", "amzn", "2"}, {"centos7-httpd24", "ol", "7.9"}, {"centos7-devtools", "rhel", "7.9"}, {"centos7-python35", "euleros", "2.0"},
	{"fedora35", "fedora", "35"}, {"cbl-mariner-2.0", "mariner", "2.0"}, {"sle15-bci", "sles", "15.3"}, {"cbl-mariner-2.0", "azurelinux", "3.0"},
}

// baseInventories reads the packages of the bases.
func (b *bench) baseInventories() ([]*inventory.Software, error) {
	var out []*inventory.Software
	for _, base := range bases {
		var s *inventory.Software
		var err error
		if base.packages == "debian" || base.packages == "middleware" {
			ref, err := b.kinds()[slices.Index([]string{"debian", "middleware"}, base.packages)].ref(images.Gzip)
			if err != nil {
				return nil, err
			}
			if s, err = analyze(ref, image.Options{Scanners: image.Scanners{NoSecrets: true, NoMalware: true}}); err != nil {
				return nil, err
			}
			s.Packages = slices.DeleteFunc(s.Packages, func(p inventory.Package) bool { return p.Type != inventory.Deb })
			s.OS = &inventory.OS{ID: base.id, VersionID: base.version}
			s.OS.Release, s.OS.Streams = release.Streams(s.OS)
			out = append(out, s)
			continue
		}
		files, err := rpmFiles(base.packages, base.id, base.version)
		if err != nil {
			return nil, err
		}
		dir := filepath.Join(b.tmp, fmt.Sprintf("base-%d", len(out)))
		img, err := images.Image(nil, images.Layer(files, images.Gzip))
		if err != nil {
			return nil, err
		}
		ref, err := images.WriteLayout(dir, img)
		if err != nil {
			return nil, err
		}
		if s, err = analyze(ref, image.Options{}); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// ecosystems are the streams that tails take packages of.
var ecosystems = map[string]inventory.PackageType{advisory.StreamMaven: inventory.Maven, advisory.StreamNPM: inventory.NPM, advisory.StreamPyPI: inventory.PyPI,
	advisory.StreamGo: inventory.Golang, advisory.StreamGem: inventory.Gem}

// pool are libraries of applications: those that the database knows, and three times as many that it does not.
func pool(db *database.DB, r *rand.Rand) (out []inventory.Package, err error) {
	err = db.Each(func(k database.Key, _ func(yield func(*advisory.Row) bool) error) error {
		t, ok := ecosystems[k.Stream]
		if !ok {
			return nil
		}
		for i := range 4 {
			p := inventory.Package{Type: t, Name: k.Package, Version: fmt.Sprintf("%d.%d.%d", r.IntN(6), r.IntN(30), r.IntN(12)), Evidence: "build info", Path: fmt.Sprintf("opt/app/lib/%d", len(out))}
			if i > 0 {
				p.Name += fmt.Sprintf("-%d", i)
			}
			if t == inventory.Golang {
				p.Version = "v" + p.Version
			}
			out = append(out, p)
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		err = errors.New("the database has no packages of languages")
	}
	return out, err
}

// writeFleet writes the inventories of a cluster's images: a base, more or less of it, and a tail of 20 to 250 libraries of which
// few are everywhere.
func (b *bench) writeFleet(db *database.DB, dir string) (packages int, bytes int64, err error) {
	base, err := b.baseInventories()
	if err != nil {
		return 0, 0, err
	}
	r := rand.New(rand.NewPCG(7, 7))
	libraries, err := pool(db, r)
	if err != nil {
		return 0, 0, err
	}
	r.Shuffle(len(libraries), func(i, j int) { libraries[i], libraries[j] = libraries[j], libraries[i] })
	popular := rand.NewZipf(r, 1.1, 20, uint64(len(libraries)-1))
	for i := range fleetSize {
		from := base[i%len(base)]
		s := *from
		s.Name = fmt.Sprintf("registry.example.com/team/app-%05d:1.0", i)
		s.Image = &inventory.Image{Reference: s.Name, Digest: fmt.Sprintf("sha256:%064x", i), Platform: "linux/amd64"}
		s.Packages = slices.Clone(from.Packages[:len(from.Packages)*(70+r.IntN(31))/100])
		for range 20 + r.IntN(231) {
			s.Packages = append(s.Packages, libraries[popular.Uint64()])
		}
		packages += len(s.Packages)
		if err := save(dir, fmt.Sprintf("%05d.json", i), &s); err != nil {
			return 0, 0, err
		}
	}
	return packages, folderSize(dir), nil
}

// matching measures one image of about 500 packages, and the whole fleet.
func (b *bench) matching() error {
	b.say("## Matching\n")
	db, err := database.Open(b.database, database.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	info := db.Info()
	b.say("Database of %d rows, %d vulnerabilities, from %s.\n", info.Rows, info.Vulnerabilities, b.feedsName())
	if err := b.matchOne(); err != nil {
		return err
	}
	dir := filepath.Join(b.tmp, "fleet")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b.progress("writing %d inventories", fleetSize)
	packages, bytes, err := b.writeFleet(db, dir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.progress("matching %d inventories", fleetSize)
	var found, gaps, results atomic.Int64
	run := func(use func(m *match.Matcher, s *inventory.Software)) (usage, error) {
		fresh, err := database.Open(b.database, database.Options{})
		if err != nil {
			return usage{}, err
		}
		defer fresh.Close()
		m := match.NewMatcher(match.Over(fresh), match.Options{})
		return timed(func() error { return eachStored(dir, 2, func(s *inventory.Software) { use(m, s) }) })
	}
	read, err := run(func(*match.Matcher, *inventory.Software) {})
	if err != nil {
		return err
	}
	matched, err := run(func(m *match.Matcher, s *inventory.Software) {
		r := m.Match(s)
		found.Add(int64(len(r.Vulnerabilities)))
		gaps.Add(int64(len(r.Gaps)))
	})
	if err != nil {
		return err
	}
	all, err := run(func(m *match.Matcher, s *inventory.Software) {
		r := m.Match(s)
		results.Add(int64(len(m.Findings(s, &r, match.Place{}))))
	})
	if err != nil {
		return err
	}
	b.say("\n%d stored inventories of %d bases, %d packages, %d MB of JSON; two workers, a matcher that knows nothing yet:\n", fleetSize, len(bases), packages, bytes/1e6)
	b.say("| work | wall s | CPU s | result |\n|---|---|---|---|")
	b.say("| read and decode the files only | %.1f | %.1f | |", read.Wall.Seconds(), read.CPU.Seconds())
	b.say("| read and match | **%.1f** | %.1f | %d vulnerabilities, %d gaps |", matched.Wall.Seconds(), matched.CPU.Seconds(), found.Load(), gaps.Load())
	b.say("| read, match and make findings of it | %.1f | %.1f | %d findings |", all.Wall.Seconds(), all.CPU.Seconds(), results.Load())
	b.say("\nGoal: read and match under 60 s on 2 cores.\n")
	return nil
}

// eachStored calls f for every inventory of a folder, from several goroutines.
func eachStored(dir string, workers int, f func(*inventory.Software)) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(entries)); i = next.Add(1) - 1 {
				data, err := os.ReadFile(filepath.Join(dir, entries[i].Name()))
				var s inventory.Software
				if err == nil {
					err = json.Unmarshal(data, &s)
				}
				if err != nil {
					errs[w] = err
					return
				}
				f(&s)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// matchOne measures single images: each time with a database opened anew and a matcher that knows nothing, then again.
func (b *bench) matchOne() error {
	s, err := b.baseInventories()
	if err != nil {
		return err
	}
	b.say("Median wall ms of %d runs. First: pages of the database are checked against their hashes when they are first read. Findings are made of what was", singles)
	b.say("matched, with the texts of each vulnerability.\n")
	b.say("| one image | packages | vulnerabilities | open | match, first | findings, first | match, nothing remembered | match, remembered | findings again |\n|---|---|---|---|---|---|---|---|---|")
	for _, i := range []int{5, 3, 11} {
		var t [6][]usage
		found := 0
		for range singles {
			if found, err = b.single(s[i], &t); err != nil {
				return err
			}
		}
		b.say("| %s | %d | %d | %.1f | **%.1f** | %.1f | %.1f | %.1f | %.1f |", s[i].OS.Release, len(s[i].Packages), found, middle(t[0]), middle(t[1]), middle(t[2]), middle(t[3]), middle(t[4]), middle(t[5]))
	}
	b.say("\nGoal: matching one image of 500 packages under 50 ms.")
	return nil
}

// singles is how often one image is matched.
const singles = 9

// single times the steps for one image.
func (b *bench) single(s *inventory.Software, t *[6][]usage) (int, error) {
	var db *database.DB
	var m *match.Matcher
	var r match.Result
	var err error
	steps := []func(){
		func() { db, err = database.Open(b.database, database.Options{}) },
		func() { m = match.NewMatcher(match.Over(db), match.Options{}); r = m.Match(s) },
		func() { m.Findings(s, &r, match.Place{}) },
		func() { match.Match(match.Over(db), s, match.Options{}) },
		func() { m.Match(s) },
		func() { m.Findings(s, &r, match.Place{}) },
	}
	for i, step := range steps {
		runtime.GC() // what one step leaves is not the next one's work
		u, _ := timed(func() error { step(); return nil })
		if err != nil {
			return 0, err
		}
		t[i] = append(t[i], u)
	}
	return len(r.Vulnerabilities), db.Close()
}

// again matches one stored inventory against a database, for profiles: "DATABASE|INVENTORY".
func again(arg string) error {
	dir, file, _ := strings.Cut(arg, "|")
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var s inventory.Software
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	return profiled(func() error {
		var t [6][]usage
		_, err := (&bench{database: dir}).single(&s, &t)
		return err
	})
}

// middle is the median wall time in milliseconds.
func middle(us []usage) float64 {
	slices.SortFunc(us, func(a, b usage) int { return cmp.Compare(a.Wall, b.Wall) })
	return milliseconds(us[len(us)/2].Wall)
}
