// Package purl writes packages as package URLs (ECMA-427) and reads them back.
package purl

import (
	"fmt"
	"strings"

	"github.com/package-url/packageurl-go"

	"stockade.dev/stockade/internal/inventory"
)

// Of returns the package URL of p as found under os, which may be nil. It is "" when the package has no name.
func Of(p *inventory.Package, os *inventory.OS) string {
	if p.Name == "" || p.Name == ":" {
		return ""
	}
	namespace, name := split(p, os)
	version := p.Version
	var q packageurl.Qualifiers
	add := func(key, value string) {
		if value != "" {
			q = append(q, packageurl.Qualifier{Key: key, Value: value})
		}
	}
	if p.Type.System() {
		add("arch", p.Arch)
		if os != nil && os.ID != "" {
			add("distro", strings.TrimSuffix(os.ID+"-"+os.VersionID, "-"))
		}
		if p.Type == inventory.RPM {
			if epoch, rest, ok := strings.Cut(version, ":"); ok {
				add("epoch", epoch)
				version = rest
			}
			add("rpmmod", p.Module)
		}
		if p.Source != "" && p.Source != p.Name {
			add("upstream", p.Source)
		}
	}
	kind := string(p.Type)
	if p.Type == inventory.Golang {
		version = goVersion(p)
	}
	return packageurl.NewPackageURL(kind, namespace, name, version, q, "").ToString()
}

// goVersion writes the standard library's version as the rest of Go writes versions.
func goVersion(p *inventory.Package) string {
	if p.Name == "stdlib" {
		return strings.TrimPrefix(p.Version, "go")
	}
	return p.Version
}

func split(p *inventory.Package, os *inventory.OS) (namespace, name string) {
	switch p.Type {
	case inventory.Maven:
		if group, artifact, ok := strings.Cut(p.Name, ":"); ok {
			return group, artifact
		}
	case inventory.NPM, inventory.Golang, inventory.Composer:
		if i := strings.LastIndexByte(p.Name, '/'); i > 0 {
			return p.Name[:i], p.Name[i+1:]
		}
	case inventory.Deb, inventory.RPM, inventory.APK:
		if os != nil {
			return os.ID, p.Name
		}
	}
	return "", p.Name
}

// Parse reads a package URL. The second result is the distro qualifier ("debian-12"), from which the operating system of an
// SBOM can be told. Types that Stockade does not know keep their name as Generic.
func Parse(text string) (p inventory.Package, distro string, err error) {
	u, err := packageurl.FromString(text)
	if err != nil {
		return p, "", fmt.Errorf("package URL %q: %w", text, err)
	}
	q := u.Qualifiers.Map()
	p = inventory.Package{Type: inventory.PackageType(u.Type), Name: u.Name, Version: u.Version, Arch: q["arch"], Layer: -1}
	switch p.Type {
	case inventory.Maven:
		p.Name = u.Namespace + ":" + u.Name
	case inventory.NPM, inventory.Golang, inventory.Composer:
		if u.Namespace != "" {
			p.Name = u.Namespace + "/" + u.Name
		}
	case inventory.Deb, inventory.APK, inventory.RPM:
		p.Module = q["rpmmod"]
		if e := q["epoch"]; e != "" && e != "0" {
			p.Version = e + ":" + p.Version
		}
		p.Source, p.SourceVersion = upstream(q["upstream"])
	case inventory.PyPI, inventory.Gem, inventory.Cargo, inventory.NuGet:
	default:
		p.Type = inventory.Generic
	}
	return p, q["distro"], nil
}

// upstream reads the qualifier in the forms that are in use: "openssl", "openssl@3.0.11-1" and "openssl-3.0.7-24.el9.src.rpm".
func upstream(s string) (name, version string) {
	if rest, ok := strings.CutSuffix(s, ".src.rpm"); ok {
		parts := strings.Split(rest, "-")
		if len(parts) < 3 {
			return rest, ""
		}
		n := len(parts) - 2
		return strings.Join(parts[:n], "-"), strings.Join(parts[n:], "-")
	}
	name, version, _ = strings.Cut(s, "@")
	return name, version
}
