package csaf

import (
	"regexp"
	"strings"

	packageurl "github.com/package-url/packageurl-go"

	"stockade.dev/stockade/internal/feed/notation"
	"stockade.dev/stockade/internal/feed/openeuler"
	"stockade.dev/stockade/internal/feed/redhat"
	"stockade.dev/stockade/internal/feed/suse"
)

// vendor is what differs between publishers of CSAF.
type vendor struct {
	name string
	// platform maps a product to streams, with the subscription its fixes need and the CPE its rows are for.
	platform func(p *product) (streams []string, subscription, cpe string, ok bool)
	// component takes a package apart; versioned says that its name ends with a version whatever it looks like.
	component func(p *product, versioned bool) (component, bool)
	// oneSource says that documents hold one source package a product, so that it stands for all its binaries.
	sources bool
}

type component struct {
	name, evr, arch, module string
}

func (c component) source() bool { return c.arch == "src" || c.arch == "nosrc" }

var openCloudOS = regexp.MustCompile(`^OpenCloudOS(?: Stream)?[- ](\d+)(?:\.\d+)?$`)

// azure matches "azl3 python3 3.12.3-5", "<cbl2 kernel 5.15.167.1-1": release, package, version.
var azure = regexp.MustCompile(`^(<=?\s*)?(azl\d|cbl\d|cm\d) (\S+) (\S+)$`)

var azureRelease = regexp.MustCompile(`^(Azure Linux|CBL Mariner) (\d\.0)$`)

// publisher finds the vendor by who signs; nil for publishers whose products have no stream.
func publisher(d *document) *vendor {
	who := strings.ToLower(d.Document.Publisher.Name + " " + d.Document.Publisher.Namespace)
	switch {
	case strings.Contains(who, "redhat") || strings.Contains(who, "red hat"):
		return &vendor{name: "redhat", platform: redhatPlatform, component: fromPURL, sources: true}
	case strings.Contains(who, "suse"):
		return &vendor{name: "suse", platform: susePlatform, component: fromName}
	case strings.Contains(who, "openeuler"):
		return &vendor{name: "openeuler", platform: openeulerPlatform, component: fromName, sources: true}
	case strings.Contains(who, "microsoft"):
		return &vendor{name: "azurelinux", platform: azurePlatform, component: fromAzure, sources: true}
	case strings.Contains(who, "opencloudos"):
		return &vendor{name: "opencloudos", platform: opencloudosPlatform, component: fromName, sources: true}
	}
	return nil
}

func redhatPlatform(p *product) ([]string, string, string, bool) {
	stream, subscription, ok := redhat.Product(p.Helper.CPE)
	return []string{stream}, subscription, p.Helper.CPE, ok
}

func susePlatform(p *product) ([]string, string, string, bool) {
	streams, subscription, ok := suse.Product(p.Name)
	return streams, subscription, "", ok
}

func openeulerPlatform(p *product) ([]string, string, string, bool) {
	stream, ok := openeuler.Stream(p.Name)
	return []string{stream}, "", "", ok
}

func opencloudosPlatform(p *product) ([]string, string, string, bool) {
	m := openCloudOS.FindStringSubmatch(p.Name)
	if m == nil {
		return nil, "", "", false
	}
	return []string{"opencloudos " + m[1]}, "", "", true
}

func azurePlatform(p *product) ([]string, string, string, bool) {
	m := azureRelease.FindStringSubmatch(p.Name)
	if m == nil {
		return nil, "", "", false
	}
	if m[1] == "Azure Linux" {
		return []string{"azurelinux " + m[2]}, "", "", true
	}
	return []string{"mariner " + m[2]}, "", "", true
}

// fromPURL reads Red Hat's components: the package URL says all, "pkg:rpm/redhat/ruby@2.5.9-111?arch=src&rpmmod=ruby:2.5:809:ab".
func fromPURL(p *product, versioned bool) (component, bool) {
	if p.Helper.PURL == "" {
		if strings.Contains(p.ID, "/") || strings.Contains(p.ID, "@") {
			return component{}, false // a container image
		}
		return fromName(p, versioned)
	}
	if !strings.HasPrefix(p.Helper.PURL, "pkg:rpm") {
		return component{}, false
	}
	u, err := packageurl.FromString(p.Helper.PURL)
	if err != nil || u.Name == "" {
		return component{}, false
	}
	q := u.Qualifiers.Map()
	if u.Type == "rpmmod" {
		// The module itself: "pkg:rpmmod/redhat/ruby:2.5" or "pkg:rpmmod/redhat/ruby@2.5:809:ab".
		name := u.Name
		if u.Version != "" {
			name += ":" + u.Version
		}
		return component{module: redhat.ModuleStream(name)}, true
	}
	c := component{name: u.Name, arch: q["arch"], module: redhat.ModuleStream(q["rpmmod"])}
	if u.Version != "" {
		c.evr = notation.Canonical(u.Version)
		if epoch := q["epoch"]; epoch != "" && !strings.Contains(c.evr, ":") {
			c.evr = notation.EVR(epoch, u.Version, "")
		} else if epoch == "" {
			// Older documents leave the epoch out of the package URL and have it in the id only.
			if _, evr, _, ok := notation.NEVRA(cutModule(p.ID)); ok && strings.HasSuffix(evr, ":"+u.Version) {
				c.evr = evr
			}
		}
	}
	if c.arch == "" && strings.HasSuffix(p.ID, ".src") && u.Version == "" {
		c.arch = "src"
	}
	return c, c.name != "" && strings.TrimSpace(c.name) == c.name
}

func cutModule(id string) string {
	if i := strings.Index(id, "::"); i > 0 {
		return id[:i]
	}
	return id
}

// fromName reads components named as files, "bind-9.9.4P2-0.6.1.i586", or by their names only.
func fromName(p *product, versioned bool) (component, bool) {
	id := cutModule(strings.TrimSpace(p.ID))
	if id == "" || strings.ContainsAny(id, "/ @<>") {
		return component{}, false
	}
	name, evr, arch, ok := notation.NEVRA(id)
	if ok && (versioned || arch != "" || notation.Versioned(id)) {
		return component{name: name, evr: evr, arch: arch}, true
	}
	if versioned {
		return component{}, false
	}
	if src, found := strings.CutSuffix(id, ".src"); found {
		return component{name: src, arch: "src"}, true
	}
	return component{name: id}, true
}

// fromAzure reads Microsoft's product names; "<" marks the versions before the fixed one, which its own entry names.
func fromAzure(p *product, _ bool) (component, bool) {
	m := azure.FindStringSubmatch(strings.TrimSpace(p.Name))
	if m == nil {
		return component{}, false
	}
	c := component{name: m[3], evr: notation.Canonical(m[4]), arch: "src"}
	if m[1] != "" {
		c.arch = "before"
	}
	return c, true
}
