package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/image/malware"
	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
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
	asked       bool // --scanners was given: images are looked into even without a database
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
	cmd.PreRun = func(cmd *cobra.Command, _ []string) { f.asked = cmd.Flags().Changed("scanners") }
	fl.StringVar(&f.cache, "cache-dir", "", "folder for what is known of layers (default: the user's cache folder)")
	fl.BoolVar(&f.noCache, "no-cache", false, "read every layer, keep nothing")
}

// reader reads images as the flags say.
type reader struct {
	options image.Options
	offline bool
	saved   map[string]*inventory.Software
	pull    func(ctx context.Context, namespace, name string) ([]byte, error) // of the cluster; nil without one

	mu      sync.Mutex
	secrets map[string]*pulled
	down    map[string]error // registry host -> why it cannot be reached
}

type pulled struct {
	once sync.Once
	data []byte
	err  error
}

// mostKept bounds the cache of layer results.
const mostKept = 1 << 30

func (f *imageFlags) reader(offline bool) (*reader, error) {
	debug.SetGCPercent(50) // layers are read in buffers that are used again: little garbage, and less memory beside it
	r := &reader{offline: offline, secrets: map[string]*pulled{}, down: map[string]error{}}
	o := &r.options
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
		dir := f.cache
		if dir == "" {
			base, err := os.UserCacheDir()
			if err != nil {
				base = os.TempDir()
			}
			dir = filepath.Join(base, "stockade", "layers")
		}
		kept, err := image.NewDirectory(dir, mostKept)
		if err == nil {
			o.Store, err = image.NewStore(kept)
		}
		if err != nil {
			return nil, &fault.Error{Kind: fault.Input, Op: "opening the cache " + dir, Err: err, Hint: "Use --cache-dir or --no-cache."}
		}
	}
	var err error
	r.saved, err = readInventories(f.inventories)
	return r, err
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
	o.Malware = set
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

// codedError carries the code of a not-scanned entry.
type codedError struct {
	error
	code finding.Code
}

func (e codedError) Code() string  { return string(e.code) }
func (e codedError) Unwrap() error { return e.error }

// load reads what use names: from the saved inventories, or from where it is.
func (r *reader) load(ctx context.Context, use scan.Use) (*inventory.Software, error) {
	for _, key := range []string{use.Digest, use.Reference} {
		if sw := r.saved[key]; key != "" && sw != nil {
			return sw, nil
		}
	}
	// What a cluster runs comes from a registry, even the image that is called "docker:24".
	ref, local := use.Pull(), slices.ContainsFunc(image.Prefixes(), func(p string) bool { return strings.HasPrefix(use.Reference, p) })
	if local && len(use.Workloads) > 0 {
		ref, local = "docker.io/library/"+ref, false
	}
	if r.offline && !local {
		return nil, codedError{errors.New("not read because of --offline"), finding.Skipped}
	}
	host := registryHost(ref)
	if !local {
		r.mu.Lock()
		err := r.down[host]
		r.mu.Unlock()
		if err != nil {
			return nil, codedError{err, finding.Unreachable}
		}
	}
	o := r.options
	var denied error
	for _, s := range use.PullSecrets {
		data, err := r.secret(ctx, s)
		if err != nil {
			denied = err
			continue
		}
		o.Registry.PullSecrets = append(o.Registry.PullSecrets, data)
	}
	img, err := image.Open(ctx, ref, o)
	if err != nil {
		return nil, r.refused(ctx, ref, host, err, denied)
	}
	defer img.Close()
	sw, err := image.Analyze(ctx, img, o)
	if err != nil {
		return nil, r.refused(ctx, ref, host, err, nil)
	}
	return sw, nil
}

// refused gives an error its code, and remembers registries that cannot be connected to: the other images of a cluster need not
// wait for the same silence. A registry that answers, were it with an error, is asked for each.
func (r *reader) refused(ctx context.Context, ref, host string, err, denied error) error {
	switch {
	case errors.Is(err, registry.ErrForbidden):
		if denied != nil {
			err = fmt.Errorf("%w; a pull secret could not be used: %w", err, denied)
		}
		return codedError{err, finding.Forbidden}
	case errors.Is(err, registry.ErrNotFound):
		return codedError{err, finding.Unreachable}
	case errors.Is(err, registry.ErrUnreachable):
		var silent *url.Error
		if ctx.Err() == nil && errors.As(err, &silent) {
			r.mu.Lock()
			r.down[host] = errors.New(strings.TrimPrefix(err.Error(), ref+": "))
			r.mu.Unlock()
		}
		return codedError{err, finding.Unreachable}
	}
	return codedError{err, finding.Broken}
}

func (r *reader) secret(ctx context.Context, key string) ([]byte, error) {
	namespace, name, _ := strings.Cut(key, "/")
	if r.pull == nil {
		return nil, fmt.Errorf("pull secret %s is not in the snapshot", key)
	}
	r.mu.Lock()
	p := r.secrets[key]
	if p == nil {
		p = &pulled{}
		r.secrets[key] = p
	}
	r.mu.Unlock()
	p.once.Do(func() { p.data, p.err = r.pull(ctx, namespace, name) })
	return p.data, p.err
}

// registryHost is the first part of a reference when it is a host, else the default registry's place in it.
func registryHost(ref string) string {
	host, _, ok := strings.Cut(ref, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return ""
	}
	return host
}

// software makes the part of a scan that looks into images.
func (f *imageFlags) software(r *reader, asked []scan.Use, cfg *scan.Config) (close func() error, err error) {
	close = func() error { return nil }
	s := &scan.Software{Load: r.load, Asked: asked, Workers: f.workers}
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
	if db == nil {
		s.NoDatabase = noDatabase
		return close, nil
	}
	cfg.Header.Tool.Database = &finding.Database{Digest: db.Digest(), BuiltAt: db.Info().BuiltAt}
	options := match.Options{Now: time.Now(), Owned: f.owned}
	s.Match = matching(match.Over(db), options, f.inferred)
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

// related names the streams of the system that another one was made from, for --infer: the versions of its packages are
// upstream's in both. After the vendors' own words on what their releases are based on.
func related(os *inventory.OS) []string {
	based := func(id, version string) string {
		switch id {
		case "hce":
			return "openeuler 22.03-LTS"
		case "ctyunos":
			return "openeuler 22.03-LTS"
		case "kylin":
			return "openeuler 20.03-LTS"
		case "uos":
			switch {
			case strings.Contains(version, "20a"):
				return "anolis 8"
			case strings.Contains(version, "20e"):
				return "openeuler 20.03-LTS"
			}
			return "debian 10"
		}
		return ""
	}
	version := os.VersionID
	for _, s := range os.Streams {
		if strings.HasPrefix(s, os.ID+" ") {
			version = s
		}
	}
	if s := based(os.ID, version); s != "" {
		return []string{s}
	}
	return nil
}

// matching puts one inventory after another against a database. What two images share is matched once.
func matching(db match.Lookup, o match.Options, inferred bool) func(*inventory.Software, scan.Use, string) ([]*finding.Finding, []inventory.Gap, string) {
	matchers := map[string]*match.Matcher{}
	return func(sw *inventory.Software, use scan.Use, cluster string) ([]*finding.Finding, []inventory.Gap, string) {
		options, key := o, ""
		if inferred && sw.OS != nil {
			options.Inferred = related(sw.OS)
			key = strings.Join(options.Inferred, ",")
		}
		m := matchers[key]
		if m == nil {
			m = match.NewMatcher(db, options)
			matchers[key] = m
		}
		result := m.Match(sw)
		at := match.Place{Cluster: cluster, Workloads: use.Workloads, Exposed: use.Exposed}
		if sw.Kind == "node" {
			at.Node = sw.Name
		}
		if sw.Image != nil {
			user, _, _ := strings.Cut(sw.Image.User, ":")
			at.Root = user == "" || user == "0" || user == "root"
		}
		list := m.Findings(sw, &result, at)
		out := make([]*finding.Finding, len(list))
		for i := range list {
			out[i] = &list[i]
			if use.Variant != "" {
				out[i].Fingerprint = finding.Identity{RuleID: out[i].Fingerprint, Item: use.Variant}.Fingerprint()
			}
		}
		eol := ""
		if result.Lifecycle != nil {
			eol = result.Lifecycle.EOL
		}
		return out, result.Gaps, eol
	}
}
