package oval

import (
	"regexp"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed/anolis"
	"stockade.dev/stockade/internal/feed/azurelinux"
	"stockade.dev/stockade/internal/feed/ctyunos"
	"stockade.dev/stockade/internal/feed/openeuler"
	"stockade.dev/stockade/internal/feed/oracle"
	"stockade.dev/stockade/internal/feed/suse"
)

// vendor is what differs between publishers of OVAL.
type vendor struct {
	name    string
	mark    string // in the ids of its definitions
	scheme  advisory.Scheme
	refused string                                                                   // why its definitions are not taken
	source  bool                                                                     // packages are source packages
	release func(name string) (streams []string, subscription string, ok bool)       // of "X is installed" and of platforms
	clean   func(name, evr string) string                                            // repairs a version
	flavor  func(evr string) string                                                  // of a build, by its version
	own     func(d *definition, path string) (streams []string, sub string, ok bool) // of a definition whose platform says nothing
}

func one(f func(string) (string, bool)) func(string) ([]string, string, bool) {
	return func(name string) ([]string, string, bool) {
		s, ok := f(name)
		return []string{s}, "", ok
	}
}

var (
	redhatName = regexp.MustCompile(`^Red Hat Enterprise Linux(?: (?:Server|Client|Workstation|ComputeNode|CoreOS))? (\d+)(?:\.\d+)?$`)
	almaName   = regexp.MustCompile(`^AlmaLinux (\d+)$`)
	debianName = regexp.MustCompile(`^Debian(?: GNU/Linux)? (\d+)$`)
	ubuntuName = regexp.MustCompile(`^Ubuntu (\d\d\.\d\d)(?: LTS)?$`)
	photonName = regexp.MustCompile(`^Photon(?: OS)? (\d)(?:\.0)?$`)
)

func numbered(pattern *regexp.Regexp, prefix, suffix string) func(string) ([]string, string, bool) {
	return func(name string) ([]string, string, bool) {
		m := pattern.FindStringSubmatch(name)
		if m == nil {
			return nil, "", false
		}
		return []string{prefix + m[1] + suffix}, "", true
	}
}

var vendors = []vendor{
	{name: "oracle", mark: "com.oracle.elsa", release: one(oracle.Stream), flavor: oracle.Flavor},
	{name: "redhat", mark: "com.redhat.", release: numbered(redhatName, "redhat ", "")},
	{name: "suse", mark: "org.opensuse.security", release: suse.Product},
	{name: "ubuntu", mark: "com.ubuntu.", scheme: advisory.Deb, release: numbered(ubuntuName, "ubuntu ", "")},
	{name: "debian", mark: "org.debian", scheme: advisory.Deb, source: true, release: numbered(debianName, "debian ", "")},
	{name: "azurelinux", mark: "com.microsoft.", source: true, release: one(azurelinux.Stream), own: azure},
	{name: "photon", mark: "com.vmware.phsa", release: numbered(photonName, "photon ", ".0")},
	{name: "photon", mark: "com.broadcom.phsa", release: numbered(photonName, "photon ", ".0")},
	{name: "anolis", mark: "cn.openanolis", release: one(anolis.Stream), clean: anolis.Version},
	{name: "almalinux", mark: "org.almalinux", release: numbered(almaName, "almalinux ", "")},
	{name: "ctyunos", mark: "ctyun", release: one(ctyunos.Stream)},
	// Files that a tool of the community makes from openEuler's CSAF cut package names at the first hyphen and give fixes of
	// one service pack to another.
	{name: "openeuler", mark: "openeuler", release: one(openeuler.Stream), refused: "packages and releases mixed up"},
}

// vendorOf finds the publisher by the id of a definition, "oval:com.oracle.elsa:def:20070057".
func vendorOf(id string) *vendor {
	id = strings.ToLower(id)
	for i := range vendors {
		if strings.Contains(id, vendors[i].mark) {
			return &vendors[i]
		}
	}
	return nil
}

// azure finds the release in the file's name: the platform is "Azure Linux" or "CBL-Mariner" whatever the release.
func azure(_ *definition, path string) ([]string, string, bool) {
	s, ok := azurelinux.File(path)
	return []string{s}, "", ok
}

// ubuntuProduct tells the streams of Ubuntu's definitions apart by the name in their ids: "oval:com.ubuntu.jammy:def:1",
// "oval:com.ubuntu.esm-infra_xenial:def:1", "oval:com.ubuntu.fips-updates_jammy:def:1".
func ubuntuProduct(id string) (subscription string, ok bool) {
	_, rest, _ := strings.Cut(id, "com.ubuntu.")
	name, _, _ := strings.Cut(rest, ":")
	product, _, cut := strings.Cut(name, "_")
	if !cut {
		product, _, cut = strings.Cut(name, "/") // "esm-infra/xenial"
	}
	switch {
	case !cut:
		return "", true
	case strings.HasPrefix(product, "esm"), strings.HasPrefix(product, "ros-esm"):
		return "ESM", true
	}
	return "", false // FIPS builds, real-time kernels, blueprints
}
