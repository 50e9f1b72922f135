// Package jar names the Java libraries in an archive: jar, war, ear and their kin, with everything nested or shaded in them.
//
// An archive is read through its central directory alone: classes are skipped by name, stored nested archives are read
// where they lie, and only a few small files and deflated nested archives are inflated, within limits. What names an
// archive, best first: Maven's pom.properties, pom.xml, its SHA-1, the manifest, the file name; names without a group get
// theirs from the table groups.txt.
package jar

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// Options are a Read's limits and what it may look up. The zero value is usable: fields that are 0 take the defaults.
type Options struct {
	// Known finds an artefact by the SHA-1 (lower-case hex) of its file; nil: nothing is known. It is asked for archives
	// that Maven's files do not name.
	Known func(sha1 string) (group, artifact, version string, ok bool)

	MaxDepth   int   // levels of nested archives below the one given; 0: 8
	MaxBytes   int64 // bytes inflated in one Read, all levels together; 0: 1 GiB
	MaxEntries int64 // directory entries looked at in one Read, all levels together; 0: 1,000,000
}

const (
	defaultDepth   = 8
	defaultBytes   = 1 << 30
	defaultEntries = 1_000_000

	maxNested   = 512 << 20 // bytes of one inflated nested archive: they are held in memory
	freeRatio   = 1 << 20   // a nested archive below this size may have any ratio
	maxRatio    = 200       // inflated : deflated of a nested archive
	maxKept     = 20_000    // entries of one archive that are opened; real fat jars have hundreds
	maxArchives = 20_000    // with nested ones: a few kilobytes can hold a tree of millions
	maxPackages = 100_000
	maxGaps     = 1000
	maxProps    = 64 << 10 // pom.properties
	maxManifest = 1 << 20  // main section; signatures of entries follow it and are not read
	maxPOM      = 1 << 20
	maxClass    = 512 << 10 // a class that a mark wants to look into
)

// extensions are the names of Java archives. With false other formats use the name too: what is no zip is then no error.
var extensions = map[string]bool{
	".jar": true, ".war": true, ".ear": true, ".par": true, ".sar": true, ".hpi": true, ".jpi": true, ".lpkg": true, ".kar": true,
	".nar": false, // NiFi; also Node archives
	".rar": false, // resource adapters; also RAR
	".aar": false, // Axis2 services and Android libraries
	".mar": false, // Axis2 modules; also Mozilla archives
	".har": false, // Hibernate; also recordings of HTTP traffic
}

// Wants reports whether the path is that of a Java archive, by its extension.
func Wants(p string) bool {
	_, ok := extension(p)
	return ok
}

// extension returns the archive extension of the path in lower case, and whether it is one.
func extension(p string) (string, bool) {
	if len(p) < 5 {
		return "", false
	}
	dot := len(p) - 4
	if p[dot] != '.' {
		if dot--; p[dot] != '.' {
			return "", false
		}
	}
	if dot == 0 || p[dot-1] == '/' { // a hidden file called ".jar"
		return "", false
	}
	ext := strings.ToLower(p[dot:])
	_, ok := extensions[ext]
	return ext, ok
}

// reader is the state of one Read.
type reader struct {
	options  Options
	packages []inventory.Package
	gaps     []inventory.Gap
	lostGaps int
	entries  int64 // looked at so far
	inflated int64 // bytes so far
	archives int
	stop     bool // a limit of the whole Read is reached: what is open is finished, nothing more is opened
	free     [][]byte
	buffer   *[64 << 10]byte // for hashing
}

// archive is one archive while it is read.
type archive struct {
	source
	path  string // "a.war!/WEB-INF/lib/b.jar"
	ext   string
	depth int
	sum   string // SHA-1, hex

	manifest manifest
	poms     []pom
	marks    marks
	webjars  map[webjar]bool
	catalina string // version in Tomcat's ServerInfo.properties
	classes  bool
	budget   int64 // compressed bytes that may still be opened: entries that do not overlap need no more than the archive has beside its directory
}

// Read names the packages in the archive r of size bytes; path is reported and its last part is evidence. Nested archives
// that are broken or over a limit become gaps with the nested path and the rest goes on. The error says that the archive
// itself is broken; packages and gaps found up to there are returned with it. The archive's reader is used by one
// goroutine only and is not kept.
func Read(r io.ReaderAt, size int64, path string, o Options) ([]inventory.Package, []inventory.Gap, error) {
	if o.MaxDepth <= 0 {
		o.MaxDepth = defaultDepth
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultBytes
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = defaultEntries
	}
	rd := &reader{options: o}
	err := rd.read(&archive{source: source{r: r, size: size}, path: path})
	if rd.buffer != nil {
		hashing.Put(rd.buffer)
	}
	if rd.lostGaps > 0 {
		rd.gaps = append(rd.gaps, inventory.Gap{What: path, Code: "limit", Reason: fmt.Sprintf("%d more gaps in this archive are not listed", rd.lostGaps)})
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return rd.packages, rd.gaps, err
}

// gap notes what was not read.
func (r *reader) gap(what, code, reason string) {
	if len(r.gaps) >= maxGaps {
		r.lostGaps++
		return
	}
	r.gaps = append(r.gaps, inventory.Gap{What: what, Code: code, Reason: reason})
}

// add keeps a package.
func (r *reader) add(a *archive, p inventory.Package) {
	if len(r.packages) >= maxPackages {
		if !r.stop {
			r.stop = true
			r.gap(a.path, "limit", fmt.Sprintf("more than %d packages", maxPackages))
		}
		return
	}
	p.Path, p.SHA1 = a.path, a.sum
	r.packages = append(r.packages, p)
}

// errLimit says that a limit stopped the reading; the gap is noted already.
var errLimit = errors.New("limit")

// read reads one archive and what is nested in it. An error says that this archive's directory cannot be read.
func (r *reader) read(a *archive) error {
	a.ext, _ = extension(a.path)
	if a.size <= 0 {
		return nil // nothing in it, nothing missed
	}
	dir, err := findDirectory(a.source)
	if err != nil {
		if certain, known := extensions[a.ext]; known && !certain && !startsAsZip(a.source) {
			return nil
		}
		return err
	}
	a.budget = a.size - dir.size
	kept, walkErr := r.walk(a, dir)
	if errors.Is(walkErr, errLimit) {
		walkErr = nil
	}
	if a.sum == "" {
		if a.sum, err = r.hash(a.source); err != nil {
			return err
		}
	}
	r.open(a, kept)
	r.identify(a)
	for i := range kept {
		if kept[i].kind == nestedArchive {
			r.nested(a, &kept[i])
		}
	}
	return walkErr
}

// What an entry is for us.
type kind uint8

const (
	nothing kind = iota
	manifestFile
	pomProperties
	pomXML
	serverInfo
	nestedArchive
	markedClass // a class to look into
)

// keptEntry is an entry that will be opened.
type keptEntry struct {
	entry
	kind kind
	path string // the entry's name
	dir  string // of pom.properties and pom.xml: "META-INF/maven/org.example/till"
	mark *mark
}

// walk goes through the directory and returns the entries to open.
func (r *reader) walk(a *archive, dir directory) ([]keptEntry, error) {
	var kept []keptEntry
	err := dir.walk(a.source, func(e *entry) error {
		if r.entries++; r.entries > r.options.MaxEntries {
			r.stop = true
			r.gap(a.path, "limit", fmt.Sprintf("more than %d entries", r.options.MaxEntries))
			return errLimit
		}
		k, mark := r.classify(a, e.name)
		if k == nothing {
			return nil
		}
		if len(kept) >= maxKept {
			r.gap(a.path, "limit", fmt.Sprintf("more than %d entries to open", maxKept))
			return errLimit
		}
		name := strings.ToValidUTF8(string(e.name), "\uFFFD")
		one := keptEntry{entry: *e, kind: k, path: name, mark: mark}
		one.name = nil
		if k == pomProperties || k == pomXML {
			one.dir = path.Dir(name)
		}
		kept = append(kept, one)
		return nil
	})
	return kept, err
}

var (
	classSuffix  = []byte(".class")
	propsSuffix  = []byte("/pom.properties")
	pomSuffix    = []byte("/pom.xml")
	mavenFolder  = []byte("META-INF/maven/")
	manifestName = []byte("META-INF/MANIFEST.MF")
	catalinaFile = []byte("org/apache/catalina/util/ServerInfo.properties")
)

// classify says what the entry is for us, and notes what its name alone tells. It is called for every class of every jar.
func (r *reader) classify(a *archive, name []byte) (kind, *mark) {
	if bytes.HasSuffix(name, classSuffix) {
		a.classes = true
		if m := a.marks.see(name); m != nil && m.look != nil {
			return markedClass, m
		}
		return nothing, nil
	}
	if len(name) < 5 || name[len(name)-1] == '/' {
		return nothing, nil
	}
	switch {
	case bytes.HasSuffix(name, propsSuffix) && bytes.Contains(name, mavenFolder):
		return pomProperties, nil
	case bytes.HasSuffix(name, pomSuffix) && bytes.Contains(name, mavenFolder):
		return pomXML, nil
	case len(name) == len(manifestName) && bytes.EqualFold(name, manifestName):
		return manifestFile, nil
	case bytes.HasSuffix(name, catalinaFile):
		return serverInfo, nil
	}
	if _, ok := extension(string(name[max(0, len(name)-6):])); ok { // so short a string is not allocated
		return nestedArchive, nil
	}
	a.seeWebjar(name)
	return nothing, nil
}

// open reads the small files among the entries. A broken one is a gap.
func (r *reader) open(a *archive, kept []keptEntry) {
	props := map[string]bool{}
	for i := range kept {
		e := &kept[i]
		switch e.kind {
		case manifestFile:
			if data := r.small(a, e, maxManifest, endOfMain); a.manifest == nil {
				a.manifest = parseManifest(data)
			}
		case pomProperties:
			if p, ok := parseProperties(r.small(a, e, maxProps, nil), e.dir); ok {
				props[e.dir] = true
				a.poms = append(a.poms, p)
			}
		case serverInfo:
			if a.catalina == "" {
				a.catalina = parseServerInfo(r.small(a, e, maxProps, nil))
			}
		case markedClass:
			e.mark.look(&a.marks, r.small(a, e, maxClass, nil))
		}
	}
	for i := range kept {
		e := &kept[i]
		if e.kind != pomXML || props[e.dir] {
			continue
		}
		p, err := parsePOM(r.small(a, e, maxPOM, nil), e.dir)
		if err != nil {
			r.gap(a.path+"!/"+e.path, "broken", err.Error())
		}
		if p.artifact != "" {
			a.poms = append(a.poms, p)
		}
	}
}

// nested reads a nested archive.
func (r *reader) nested(a *archive, e *keptEntry) {
	if r.stop {
		return
	}
	child := &archive{path: a.path + "!/" + e.path, depth: a.depth + 1}
	if r.archives++; r.archives > maxArchives {
		r.stop = true
		r.gap(child.path, "limit", fmt.Sprintf("more than %d nested archives", maxArchives))
		return
	}
	if child.depth > r.options.MaxDepth {
		r.gap(child.path, "limit", fmt.Sprintf("archives nested more than %d deep", r.options.MaxDepth))
		return
	}
	data, err := r.locate(a, e)
	if err != nil {
		r.gap(child.path, code(err), err.Error())
		return
	}
	if data.size == 0 {
		return
	}
	switch e.method {
	case stored:
		child.source = data
	case deflated:
		c, sum, ok := r.inflate(child.path, e, data)
		if !ok {
			r.release(c)
			return
		}
		defer r.release(c)
		child.source, child.sum = source{r: c, size: c.size}, sum
	}
	if err := r.read(child); err != nil {
		r.gap(child.path, "broken", err.Error())
	}
}
