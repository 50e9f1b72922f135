package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/image/malware"
	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/match"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/vex"
)

// imageFlags say how images are read and matched.
type imageFlags struct {
	db          string
	trustedKeys []string
	vex         string
	inventories []string
	platform    string
	scanners    []string
	workers     int
	mirrors     []string
	insecure    []string
	ca          string
	rate        float64
	changelog   bool
	hashes      []string
	clamd       string
	cache       string
	noCache     bool
	inferred    bool
	owned       bool
	checks      []string // classes of checks for emergencies
	urgent      *examine.Urgent
	asked       bool // --scanners was given: images are looked into even without a database

	published func(id string) string // date of a vulnerability, while the database is open
	conclude  func() any             // what a policy says of the images, when they have been read; nil: nobody asks
	known     *malware.Set           // hashes of malicious files, when a reader was made
}

var scannerNames = []string{"packages", "secrets", "malware"}

func (f *imageFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.db, "db", "", "folder of the advisory database (default: $STOCKADE_DB, then the user's data folder; see stockade db)")
	trustFlag(cmd, &f.trustedKeys)
	fl.StringVar(&f.vex, "vex", "", "VEX document, or folder of them (OpenVEX, CSAF, CycloneDX): what they deny is suppressed, with their reason")
	fl.StringArrayVar(&f.inventories, "inventory", nil, "saved inventory, or folder of them: images in them are not read again; repeatable")
	fl.StringVar(&f.platform, "platform", "", "platform of multi-platform images, such as linux/arm64 (default: linux, this machine's)")
	fl.StringSliceVar(&f.scanners, "scanners", scannerNames, "what to look for in images: "+strings.Join(scannerNames, ", "))
	fl.IntVar(&f.workers, "image-workers", 0, "images read at once (default 4)")
	fl.StringArrayVar(&f.mirrors, "registry-mirror", nil, "HOST=MIRROR: ask MIRROR for images of HOST first; repeatable")
	fl.StringSliceVar(&f.insecure, "insecure-registry", nil, "host that may be asked without TLS or with an unknown certificate; repeatable")
	fl.StringVar(&f.ca, "registry-ca", "", "file of certificates (PEM) trusted for registries beside the system's")
	fl.Float64Var(&f.rate, "registry-rate", 0, "most requests a second to one registry (default 20)")
	fl.BoolVar(&f.changelog, "rpm-changelog", false, "take fixes from the changelogs of rpm packages, for systems without advisory data")
	fl.BoolVar(&f.inferred, "infer", false, "for systems without advisory data, compare upstream versions with a related system's (low confidence)")
	fl.BoolVar(&f.owned, "owned", false, "also report upstream advisories on files of system packages on which the system's vendor is silent")
	fl.StringSliceVar(&f.hashes, "malware-hashes", nil, "file of hashes of malicious files; repeatable")
	fl.StringVar(&f.clamd, "clamd", "", "ClamAV daemon to ask about programs, scripts and archives: a socket path or HOST:PORT")
	fl.StringSliceVar(&f.checks, "emergency-checks", []string{"read", "process"}, "what verifying emergency vulnerabilities may do: read (files), process (/proc), request (one harmless request to a local port), or none")
	cmd.PreRun = func(cmd *cobra.Command, _ []string) { f.asked = cmd.Flags().Changed("scanners") }
	fl.StringVar(&f.cache, "cache-dir", "", "folder for what is known of layers (default: the user's cache folder)")
	fl.BoolVar(&f.noCache, "no-cache", false, "read every layer, keep nothing")
}

// mostKept bounds the cache of layer results.
const mostKept = 1 << 30

// reader makes what reads images as the flags say.
func (f *imageFlags) reader(offline bool) (*examine.Reader, error) {
	debug.SetGCPercent(50) // layers are read in buffers that are used again: little garbage, and less memory beside it
	r := examine.NewReader(image.Options{})
	r.Offline = offline
	o := &r.Options
	o.Platform, o.RPMChangelog = f.platform, f.changelog
	o.Registry = registry.Options{Insecure: f.insecure, Rate: f.rate, UserAgent: "stockade/" + release, Clients: registry.NewClients(), Mirrors: map[string][]string{}}
	for _, s := range f.scanners {
		if !slices.Contains(scannerNames, s) {
			return nil, usage("--scanners %q: want some of %s", s, strings.Join(scannerNames, ", "))
		}
	}
	has := func(s string) bool { return slices.Contains(f.scanners, s) }
	o.Scanners = image.Scanners{NoPackages: !has("packages"), NoSecrets: !has("secrets"), NoMalware: !has("malware")}
	for _, m := range f.mirrors {
		host, mirror, ok := strings.Cut(m, "=")
		if !ok || host == "" || mirror == "" {
			return nil, usage("--registry-mirror %q: want HOST=MIRROR", m)
		}
		o.Registry.Mirrors[host] = append(o.Registry.Mirrors[host], mirror)
	}
	if f.ca != "" {
		data, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fault.Wrap(fault.Input, "--registry-ca", err)
		}
		o.Registry.CA = data
	}
	if err := f.watch(o); err != nil {
		return nil, err
	}
	if !f.noCache {
		dir := f.cacheDir()
		kept, err := image.NewDirectory(dir, mostKept)
		if err == nil {
			o.Store, err = image.NewStore(kept)
		}
		if err != nil {
			return nil, &fault.Error{Kind: fault.Input, Op: "opening the cache " + dir, Err: err, Hint: "Use --cache-dir or --no-cache."}
		}
	}
	var err error
	r.Saved, err = readInventories(f.inventories)
	return r, err
}

// cacheDir is where what is known of layers and files is kept.
func (f *imageFlags) cacheDir() string {
	if f.cache != "" {
		return f.cache
	}
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "stockade", "layers")
}

// watch sets up the search for malicious files: hash lists, and a daemon where one is named.
func (f *imageFlags) watch(o *image.Options) error {
	if o.Scanners.NoMalware {
		return nil
	}
	set := malware.NewSet()
	if err := set.Load(f.hashes...); err != nil {
		return fault.Wrap(fault.Input, "--malware-hashes", err)
	}
	o.Malware, f.known = set, set
	if f.clamd != "" {
		o.Clamd = &malware.Clamd{Address: f.clamd}
		version, err := o.Clamd.Version(context.Background())
		if err != nil {
			return &fault.Error{Kind: fault.Input, Op: "--clamd " + f.clamd, Err: err, Hint: "Start the daemon, or leave the flag out."}
		}
		o.DataVersion = version
	}
	o.DataVersion += " " + set.Digest()
	return nil
}

// software makes the part of a scan that looks into images.
func (f *imageFlags) software(r *examine.Reader, asked []scan.Use, cfg *scan.Config) (close func() error, err error) {
	close = func() error { return nil }
	s := &scan.Software{Load: r.Load, Asked: asked, Workers: f.workers}
	cfg.Software = s
	if f.vex != "" {
		if cfg.Filter.VEX, err = vex.Load(f.vex); err != nil {
			return close, fault.Wrap(fault.Input, "--vex", err)
		}
	}
	db, err := f.database()
	if err != nil {
		return close, err
	}
	notes, err := f.setUrgent(db)
	if err != nil {
		if db != nil {
			db.Close()
		}
		return close, err
	}
	s.Notes = notes
	if !slices.Contains(f.scanners, "packages") {
		f.urgent.List = nil // nothing was read that could be judged
	}
	r.Options.Probes = probes(f.urgent.List)
	s.Urgent = f.urgent.Findings(context.Background())
	if db == nil {
		s.NoDatabase = noDatabase
		return close, nil
	}
	cfg.Header.Tool.Database = &finding.Database{Digest: db.Digest(), BuiltAt: db.Info().BuiltAt}
	options := match.Options{Now: time.Now(), Owned: f.owned}
	s.Match = examine.Match(match.Over(db), options, f.inferred)
	f.published = func(id string) string {
		if v, ok := db.Vulnerability(id); ok {
			return v.Published
		}
		return ""
	}
	return db.Close, nil
}

// noDatabase is told where there is none.
const noDatabase = `there is no advisory database: make one with "stockade db build", or bring one with "stockade db pull" or "stockade db import"`

// database opens the advisory database; nil when none was named and there is none at the usual place.
func (f *imageFlags) database() (*database.DB, error) {
	keys, err := trustedKeys(f.trustedKeys)
	if err != nil {
		return nil, err
	}
	if f.db == "" {
		dir, err := databaseDir("")
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	}
	return openDatabase(f.db, database.Options{TrustedKeys: keys})
}
