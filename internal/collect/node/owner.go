package node

import (
	"errors"
	"io/fs"
	"strings"

	"stockade.dev/stockade/internal/collect/image/apk"
	"stockade.dev/stockade/internal/collect/image/dpkg"
	"stockade.dev/stockade/internal/collect/image/rpm"
	"stockade.dev/stockade/internal/inventory"
)

const (
	maxDatabase = 256 << 20
	maxList     = 8 << 20 // one package's list of files
)

// owners names the system packages that own the programs of the node. A program that no package owns but that is on the node under a
// package's name is as the user put it there.
func (r *reader) owners() {
	wanted := map[string][]int{}
	for i, b := range r.facts.Binaries {
		if b.Container != "" || b.Replaced {
			continue
		}
		p := strings.TrimPrefix(b.Path, "/")
		wanted[p] = append(wanted[p], i)
		if rest, ok := strings.CutPrefix(p, "usr/"); ok { // packages from before /bin became /usr/bin
			wanted[rest] = append(wanted[rest], i)
		}
	}
	if len(wanted) == 0 {
		return
	}
	set := func(p string, pkg *inventory.Package) {
		for _, i := range wanted[p] {
			b := &r.facts.Binaries[i]
			b.Package = printable(pkg.Name + " " + pkg.Version)
			if b.Version == "" && b.Evidence == "" {
				b.Version, b.Evidence = printable(upstreamVersion(pkg.Version)), "package"
			}
			if b.Genuine == "" && !strings.HasPrefix(b.Component, "cni/") || strings.HasPrefix(b.Genuine, "it has no build information") {
				b.Genuine = "yes" // the package says what it is
			}
		}
	}
	r.dpkgOwners(wanted, set)
	r.rpmOwners(wanted, set)
	r.apkOwners(wanted, set)
}

// upstreamVersion is a package's version without epoch and revision.
func upstreamVersion(v string) string {
	if _, rest, ok := strings.Cut(v, ":"); ok {
		v = rest
	}
	v, _, _ = strings.Cut(v, "-")
	v, _, _ = strings.Cut(v, "~ds")
	v, _, _ = strings.Cut(v, "+ds")
	return v
}

func (r *reader) dpkgOwners(wanted map[string][]int, set func(string, *inventory.Package)) {
	data, err := r.root.ReadFile("/var/lib/dpkg/status", maxDatabase)
	if err != nil {
		r.noOwners("/var/lib/dpkg/status", err)
		return
	}
	packages, _ := dpkg.Read(data) // damage is told by the inventory of packages
	byName := make(map[string]*inventory.Package, len(packages))
	for i := range packages {
		byName[packages[i].Name] = &packages[i]
	}
	entries, err := r.root.List("/var/lib/dpkg/info", 200_000)
	if err != nil {
		r.noOwners("/var/lib/dpkg/info", err)
	}
	for _, e := range entries {
		owner, ok := strings.CutSuffix(e.Name, ".list")
		if !ok || !hinted(owner) {
			continue
		}
		name, _, _ := strings.Cut(owner, ":")
		pkg := byName[name]
		if pkg == nil {
			continue
		}
		list, err := r.root.ReadFile("/var/lib/dpkg/info/"+e.Name, maxList)
		if err != nil {
			continue
		}
		dpkg.Paths(list, func(p string) {
			if len(wanted[p]) > 0 {
				set(p, pkg)
			}
		})
	}
}

// hinted leaves out packages whose names say that they hold something else: there are thousands, and their lists are long.
func hinted(name string) bool {
	for _, front := range []string{"lib", "python", "fonts", "linux-", "perl", "ruby", "golang-", "node-", "texlive", "gir1", "manpages", "locales", "tzdata"} {
		if strings.HasPrefix(name, front) {
			return false
		}
	}
	return !strings.HasSuffix(name, "-dev") && !strings.HasSuffix(name, "-doc") && !strings.HasSuffix(name, "-data")
}

func (r *reader) rpmOwners(wanted map[string][]int, set func(string, *inventory.Package)) {
	for _, dir := range []string{"/var/lib/rpm/", "/usr/lib/sysimage/rpm/", "/usr/share/rpm/"} {
		for _, base := range []string{"rpmdb.sqlite", "Packages.db", "Packages"} {
			data, err := r.root.ReadFile(dir+base, maxDatabase)
			if err != nil {
				r.noOwners(dir+base, err)
				continue
			}
			files := rpm.Files{Name: base, Data: data}
			if base == "rpmdb.sqlite" {
				files.WAL, _ = r.root.ReadFile(dir+"rpmdb.sqlite-wal", maxDatabase)
			}
			owned := map[string]int{}
			packages, err := rpm.Read(files, rpm.Options{Owned: func(p string, pkg int) {
				if len(wanted[p]) > 0 {
					owned[p] = pkg
				}
			}})
			if err != nil {
				r.noOwners(dir+base, err)
			}
			for p, i := range owned {
				if i >= 0 && i < len(packages) {
					set(p, &packages[i])
				}
			}
			return
		}
	}
}

func (r *reader) apkOwners(wanted map[string][]int, set func(string, *inventory.Package)) {
	data, err := r.root.ReadFile("/lib/apk/db/installed", maxDatabase)
	if err != nil {
		r.noOwners("/lib/apk/db/installed", err)
		return
	}
	owned := map[string]int{}
	packages, _ := apk.Read(data, func(p string, pkg int) {
		if len(wanted[p]) > 0 {
			owned[p] = pkg
		}
	})
	for p, i := range owned {
		if i >= 0 && i < len(packages) {
			set(p, &packages[i])
		}
	}
}

// noOwners tells of a database that is there and cannot be read.
func (r *reader) noOwners(file string, err error) {
	if !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "not a directory") {
		r.skip("binaries/packages", "the file "+file, err)
	}
}
