package osv

import (
	"encoding/json"
	"regexp"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed/almalinux"
	"stockade.dev/stockade/internal/feed/alpine"
	"stockade.dev/stockade/internal/feed/bitnami"
	"stockade.dev/stockade/internal/feed/debian"
	"stockade.dev/stockade/internal/feed/golang"
	"stockade.dev/stockade/internal/feed/kubernetes"
	"stockade.dev/stockade/internal/feed/openeuler"
	"stockade.dev/stockade/internal/feed/photon"
	"stockade.dev/stockade/internal/feed/redhat"
	"stockade.dev/stockade/internal/feed/suse"
	"stockade.dev/stockade/internal/feed/ubuntu"
)

// place is where the rows of one ecosystem with release stand.
type place struct {
	streams      []string
	subscription string
	flavor       string
	cpe          string
}

// ecosystem is all that the reader knows of the publisher behind a name of an ecosystem.
type ecosystem struct {
	feed      string // publisher part of the feed's name; "" when the id of the record tells it
	scheme    advisory.Scheme
	binary    bool                                                                  // names are those of binary packages
	system    bool                                                                  // of an operating system: related ids are what is fixed, lists of versions lie within the ranges
	release   func(string) (place, bool)                                            // what follows the colon
	name      func(string) string                                                   // of a package
	skip      func(id string) bool                                                  // advisories that are no vulnerability unless they name a CVE
	noEpochs  bool                                                                  // versions of RPM packages are written without their epochs
	specifics func(a *affected, row *advisory.Row)                                  // ecosystem_specific
	custom    func(raw json.RawMessage) (symbols []advisory.Symbols, ranges []byte) // ranges over the entry's own
}

// ecosystems by name in small letters. The schema's own list is longer; what is not here is refused by name.
var ecosystems = map[string]*ecosystem{
	"almalinux":   {feed: "almalinux", scheme: advisory.RPM, binary: true, system: true, release: plain(almalinux.Stream), skip: almalinux.BugFix},
	"rocky linux": {feed: "rocky", scheme: advisory.RPM, system: true, release: pattern("rocky ", `^\d{1,2}$`)},
	"oracle linux": {feed: "oracle", scheme: advisory.RPM, system: true,
		release: pattern("oracle ", `^\d{1,2}$`)},
	"red hat":     {feed: "redhat", scheme: advisory.RPM, binary: true, system: true, release: redHat},
	"suse":        {feed: "suse", scheme: advisory.RPM, system: true, release: product("SUSE ")},
	"opensuse":    {feed: "suse", scheme: advisory.RPM, system: true, release: product("openSUSE ")},
	"openeuler":   {feed: "openeuler", scheme: advisory.RPM, system: true, noEpochs: true, release: plain(func(r string) (string, bool) { return openeuler.Stream("openEuler:" + r) }), specifics: packages},
	"photon os":   {feed: "photon", scheme: advisory.RPM, system: true, release: plain(photon.Stream)},
	"azure linux": {feed: "azurelinux", scheme: advisory.RPM, system: true, release: azure},
	"debian":      {feed: "debian", scheme: advisory.Deb, system: true, release: plain(debian.Stream), specifics: urgency},
	"ubuntu":      {feed: "ubuntu", scheme: advisory.Deb, system: true, release: canonical, specifics: pro},
	"alpine":      {feed: "alpine", scheme: advisory.APK, system: true, release: plain(alpine.Stream)},
	"wolfi":       {feed: "wolfi", scheme: advisory.APK, system: true, release: fixed("wolfi")},
	"chainguard":  {feed: "chainguard", scheme: advisory.APK, system: true, release: fixed("chainguard")},
	"minimos":     {feed: "minimos", scheme: advisory.APK, system: true, release: fixed("minimos")},

	"bitnami":    {feed: "bitnami", scheme: advisory.SemVer, release: fixed(advisory.StreamBitnami), name: bitnami.Component},
	"kubernetes": {feed: "kubernetes", scheme: advisory.SemVer, release: fixed(advisory.StreamKubernetes), name: kubernetes.Component},
	"maven":      {scheme: advisory.Maven, release: fixed(advisory.StreamMaven)},
	"npm":        {scheme: advisory.SemVer, release: fixed(advisory.StreamNPM)},
	"pypi":       {scheme: advisory.PEP440, release: fixed(advisory.StreamPyPI), name: pep503},
	"go":         {scheme: advisory.GoModule, release: fixed(advisory.StreamGo), custom: func(raw json.RawMessage) ([]advisory.Symbols, []byte) { return golang.Specific(raw) }},
	"rubygems":   {scheme: advisory.Gem, release: fixed(advisory.StreamGem)},
	"crates.io":  {scheme: advisory.SemVer, release: fixed(advisory.StreamCargo)},
	"nuget":      {scheme: advisory.NuGet, release: fixed(advisory.StreamNuGet)},
	"packagist":  {scheme: advisory.Composer, release: fixed(advisory.StreamComposer)},
}

// unmatched are ecosystems of the schema for which there is no inventory.
var unmatched = map[string]bool{
	"github actions": true, "hex": true, "pub": true, "swifturl": true, "hackage": true, "cran": true, "bioconductor": true,
	"conancenter": true, "oss-fuzz": true, "linux": true, "android": true, "ghc": true, "git": true, "mageia": true,
	"alpaquita": true, "bellsoft hardened containers": true, "echo": true, "julia": true, "opam": true, "vscode": true,
	"cleanstart": true, "docker hardened images": true, "root": true, "tuxcare": true, "wordpress": true,
}

// locate splits an ecosystem's name and finds its place. reason says why there is none.
func locate(name string) (e *ecosystem, p place, reason string) {
	head, release, _ := strings.Cut(name, ":")
	lower := strings.ToLower(strings.TrimSpace(head))
	e = ecosystems[lower]
	switch {
	case e == nil && unmatched[lower]:
		return nil, place{}, "nothing is matched for the ecosystem " + head
	case e == nil && lower == "":
		return nil, place{}, "no ecosystem"
	case e == nil:
		return nil, place{}, "ecosystem is not known"
	}
	p, ok := e.release(release)
	if !ok {
		return e, p, "release or product without a stream"
	}
	for _, s := range p.streams {
		if !advisory.KnownStream(s) {
			return e, p, "release or product without a stream"
		}
	}
	return e, p, ""
}

func plain(stream func(string) (string, bool)) func(string) (place, bool) {
	return func(release string) (place, bool) {
		s, ok := stream(release)
		return place{streams: []string{s}}, ok
	}
}

func fixed(stream string) func(string) (place, bool) {
	return func(string) (place, bool) { return place{streams: []string{stream}}, true }
}

func pattern(prefix, form string) func(string) (place, bool) {
	re := regexp.MustCompile(form)
	return func(release string) (place, bool) {
		return place{streams: []string{prefix + release}}, re.MatchString(release)
	}
}

func product(prefix string) func(string) (place, bool) {
	return func(release string) (place, bool) {
		streams, subscription, ok := suse.Product(prefix + release)
		return place{streams: streams, subscription: subscription}, ok && len(streams) > 0
	}
}

// redHat reads "enterprise_linux:8::baseos", a CPE without its beginning, which says whether the product is the system.
func redHat(release string) (place, bool) {
	part := "a"
	if strings.HasSuffix(release, "::baseos") || strings.Count(release, ":") == 1 {
		part = "o"
	}
	cpe := "cpe:/" + part + ":redhat:" + release
	stream, subscription, ok := redhat.Product(cpe)
	return place{streams: []string{stream}, subscription: subscription, cpe: cpe}, ok
}

// azure reads "3" and "3.0"; 1 and 2 were called Mariner.
func azure(release string) (place, bool) {
	major, _, _ := strings.Cut(release, ".")
	switch major {
	case "1", "2":
		return place{streams: []string{"mariner " + major + ".0"}}, true
	case "3", "4":
		return place{streams: []string{"azurelinux " + major + ".0"}}, true
	}
	return place{}, false
}

func canonical(release string) (place, bool) {
	p, ok := ubuntu.Ecosystem(release)
	return place{streams: []string{p.Stream}, subscription: p.Subscription, flavor: p.Flavor}, ok
}

// pro marks fixes that are named as the subscribers' in a record for all.
func pro(_ *affected, row *advisory.Row) {
	for _, g := range row.Ranges {
		if row.Subscription == "" && ubuntu.ESM(g.Fixed) {
			row.Subscription = "ESM"
		}
	}
}

var separators = regexp.MustCompile(`[-_.]+`)

// pep503 is the normal form of names in Python's index (PEP 503).
func pep503(name string) string { return strings.ToLower(separators.ReplaceAllString(name, "-")) }

// urgency takes Debian's state of entries without a fix.
func urgency(a *affected, row *advisory.Row) {
	u := freely(a.Ecosystem).Urgency
	if row.State == advisory.Affected && u != "" {
		if row.State = debian.Unfixed(u, "", ""); row.State != advisory.Affected {
			row.Reason = u
		}
	}
	if row.Severity == "" {
		row.Severity = debian.Severity(u)
	}
}
