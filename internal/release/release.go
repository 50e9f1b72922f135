// Package release recognises operating systems and their releases: os-release(5) and the files beside it, the name by which
// people call a release, and the advisory streams that hold for it. A system is a line of the table in systems.go.
package release

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/inventory"
)

// Files are the paths that Recognize wants, without leading slash. One that ends in a slash is a folder whose files it wants.
var Files = []string{
	"etc/os-release", "usr/lib/os-release",
	// one line that names system and release; those of the vendor before those that vendors copy
	"etc/oracle-release", "etc/euleros-release", "etc/openEuler-release", "etc/hce-release", "etc/ctyunos-release",
	"etc/kylin-release", "etc/uos-release", "etc/UnionTech-release", "etc/rocky-release", "etc/almalinux-release",
	"etc/fedora-release", "etc/centos-release", "etc/photon-release", "etc/SuSE-release", "etc/redhat-release", "etc/system-release",
	// what os-release does not tell
	"etc/alpine-release", "etc/debian_version", "etc/lsb-release", "etc/os-version", "etc/issue", "etc/.productinfo",
	// what the image was built from, and which subscriptions it has
	contentManifests, "root/buildinfo/content-sets.json", "usr/share/buildinfo/content-sets.json",
	ubuntuStatus, suseProducts,
}

const (
	contentManifests = "root/buildinfo/content_manifests/"
	ubuntuStatus     = "var/lib/ubuntu-advantage/status.json"
	suseProducts     = "etc/products.d/"

	maxContents = 1000 // content sets kept
)

// Wants reports whether Recognize wants the file.
func Wants(path string) bool {
	for _, f := range Files {
		if path == f || strings.HasSuffix(f, "/") && strings.HasPrefix(path, f) {
			return true
		}
	}
	return false
}

// Recognize finds out the operating system from the files that Files names, by path. It returns nil when there is none, as in
// images from scratch or with nothing but busybox. A system that is not in the table keeps its own name and gets no streams:
// being like another (ID_LIKE) says nothing of its fixes.
func Recognize(files map[string][]byte) *inventory.OS {
	os := fromOSRelease(files)
	if os == nil {
		os = fromBanner(files)
	}
	if os == nil {
		os = fromOther(files)
	}
	if os == nil {
		return nil
	}
	beside(os, files)
	os.Contents = contents(files)
	os.Pro = append(ubuntuServices(files[ubuntuStatus]), suseSubscriptions(files)...)
	os.Release, os.Streams = Streams(os)
	return os
}

// Streams returns how people call the release, and the advisory streams that hold for it, the vendor's own first. Streams are
// nil when the system or its release is not known.
func Streams(os *inventory.OS) (label string, streams []string) {
	if s := lookup(os.ID); s != nil {
		label, streams = s.release(os)
	}
	streams = slices.DeleteFunc(streams, func(s string) bool { return !advisory.KnownStream(s) })
	if len(streams) == 0 {
		streams = nil
	}
	if label == "" {
		label = os.Pretty
	}
	if label == "" {
		label = strings.TrimSpace(os.ID + " " + os.VersionID)
	}
	return label, streams
}

// fromOSRelease reads os-release(5). The file in etc stands before the one in usr/lib.
func fromOSRelease(files map[string][]byte) *inventory.OS {
	for _, f := range []string{"etc/os-release", "usr/lib/os-release"} {
		v := assignments(files[f])
		if v["ID"] == "" && v["NAME"] == "" && v["PRETTY_NAME"] == "" {
			continue
		}
		os := &inventory.OS{
			ID: strings.ToLower(v["ID"]), VersionID: v["VERSION_ID"], Version: v["VERSION"], Pretty: v["PRETTY_NAME"],
			Codename: v["VERSION_CODENAME"], PlatformID: v["PLATFORM_ID"], CPE: v["CPE_NAME"], Variant: v["VARIANT_ID"],
		}
		if like := strings.Fields(strings.ToLower(v["ID_LIKE"])); len(like) > 0 {
			os.Like = like
		}
		if os.ID == "" {
			os.ID = "linux" // the default of the specification
		}
		if os.Pretty == "" {
			os.Pretty = strings.TrimSpace(v["NAME"] + " " + v["VERSION"])
		}
		// Names that tell apart what shares an ID.
		switch {
		case os.ID == "centos" && strings.Contains(v["NAME"], "Stream"):
			os.Variant = "stream"
		case os.ID == "rhcos":
			os.Minor = v["RHEL_VERSION"]
		case os.ID == "kylin" && strings.Contains(v["VERSION_US"], "Desktop"):
			os.Variant = "desktop"
		case os.ID == "uos" && os.Codename == "":
			os.Codename = v["CODENAME"]
		}
		return os
	}
	return nil
}

// banner takes the one line of the release files apart: "CentOS Linux release 7.9.2009 (Core)".
var banner = regexp.MustCompile(`^(.+?) +release +(\S+)(.*)$`)

// banners maps the beginnings of such lines to IDs; the first that fits holds.
var banners = []struct{ begins, id string }{
	{"Red Hat", "rhel"}, {"CentOS", "centos"}, {"Oracle", "ol"}, {"Enterprise Linux Enterprise Linux", "ol"},
	{"Rocky", "rocky"}, {"AlmaLinux", "almalinux"}, {"Fedora", "fedora"}, {"Amazon Linux", "amzn"},
	{"EulerOS", "euleros"}, {"openEuler", "openeuler"}, {"Huawei Cloud EulerOS", "hce"}, {"ctyunos", "ctyunos"},
	{"Kylin Linux Advanced Server", "kylin"}, {"Anolis", "anolis"}, {"TencentOS", "tencentos"}, {"OpenCloudOS", "opencloudos"},
	{"uos", "uos"}, {"UnionTech", "uos"},
}

// fromBanner reads the release files of systems that have no os-release.
func fromBanner(files map[string][]byte) *inventory.OS {
	for _, f := range Files {
		if !strings.HasSuffix(f, "-release") || len(files[f]) == 0 {
			continue
		}
		line := firstLine(files[f])
		m := banner.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		os := &inventory.OS{ID: "linux", VersionID: m[2], Version: strings.TrimSpace(m[2] + m[3]), Pretty: line}
		for _, b := range banners {
			if len(line) >= len(b.begins) && strings.EqualFold(line[:len(b.begins)], b.begins) {
				os.ID = b.id
				break
			}
		}
		if strings.HasPrefix(line, "CentOS Stream") {
			os.Variant = "stream"
		}
		return os
	}
	return nil
}

var (
	suseBanner   = regexp.MustCompile(`^(SUSE Linux Enterprise Server|openSUSE) (\d+(?:\.\d+)?)`)
	susePatch    = regexp.MustCompile(`(?m)^PATCHLEVEL *= *(\d+)`)
	photonBanner = regexp.MustCompile(`Photon(?: OS| Linux)? v?(\d+\.\d+)`)
)

// fromOther reads the files that other old systems have in place of os-release.
func fromOther(files map[string][]byte) *inventory.OS {
	if v := firstLine(files["etc/alpine-release"]); v != "" {
		return &inventory.OS{ID: "alpine", VersionID: v, Pretty: "Alpine Linux " + v}
	}
	if line := firstLine(files["etc/SuSE-release"]); line != "" {
		if m := suseBanner.FindStringSubmatch(line); m != nil {
			os := &inventory.OS{ID: "sles", VersionID: m[2], Pretty: line}
			if m[1] == "openSUSE" {
				os.ID = "opensuse"
			} else if p := susePatch.FindSubmatch(files["etc/SuSE-release"]); p != nil && string(p[1]) != "0" {
				os.VersionID += "." + string(p[1])
			}
			return os
		}
	}
	if line := firstLine(files["etc/photon-release"]); line != "" {
		if m := photonBanner.FindStringSubmatch(line); m != nil {
			return &inventory.OS{ID: "photon", VersionID: m[1], Pretty: line}
		}
	}
	if v := assignments(files["etc/lsb-release"]); v["DISTRIB_ID"] != "" {
		return &inventory.OS{ID: strings.ToLower(v["DISTRIB_ID"]), VersionID: v["DISTRIB_RELEASE"], Codename: v["DISTRIB_CODENAME"], Pretty: v["DISTRIB_DESCRIPTION"]}
	}
	if v := firstLine(files["etc/debian_version"]); v != "" {
		os := &inventory.OS{ID: "debian", Pretty: "Debian GNU/Linux " + v}
		if numbers(v, 1) != "" {
			os.VersionID = v
		}
		return os
	}
	return nil
}

// beside reads what the files beside os-release add for the systems that need them.
func beside(os *inventory.OS, files map[string][]byte) {
	after := func(f string) string {
		if m := banner.FindStringSubmatch(firstLine(files[f])); m != nil {
			return strings.TrimSpace(m[2] + m[3])
		}
		return ""
	}
	switch os.ID {
	case "centos":
		if os.Minor = numbers(after("etc/centos-release"), 2); os.Minor == "" {
			os.Minor = numbers(os.VersionID, 2)
		}
	case "debian":
		os.Minor = firstLine(files["etc/debian_version"])
	case "alpine":
		os.Minor = firstLine(files["etc/alpine-release"])
	case "euleros":
		os.Minor = after("etc/euleros-release")
	case "openeuler":
		os.Minor = after("etc/openEuler-release")
	case "hce":
		os.Minor = after("etc/hce-release")
	case "ctyunos":
		os.Minor = after("etc/ctyunos-release")
	case "kylin":
		besideKylin(os, files)
	case "uos":
		besideUOS(os, files)
	}
	if os.ID == "kylin" || os.ID == "uos" {
		// Desktop and d editions are Debian's kin; not all say so.
		if len(files["etc/debian_version"]) > 0 && !slices.Contains(os.Like, "debian") {
			os.Like = append(os.Like, "debian")
		}
	}
}

// contents returns the Red Hat content sets that the image was built from.
func contents(files map[string][]byte) []string {
	var sets []string
	for path, data := range files {
		if !strings.HasPrefix(path, contentManifests) && !strings.HasSuffix(path, "buildinfo/content-sets.json") {
			continue
		}
		var manifest struct {
			Sets []string `json:"content_sets"`
		}
		if json.Unmarshal(data, &manifest) == nil {
			for _, s := range manifest.Sets[:min(len(manifest.Sets), maxContents)] {
				if s = tidy(s); s != "" {
					sets = append(sets, s)
				}
			}
		}
	}
	slices.Sort(sets)
	sets = slices.Compact(sets)
	return sets[:min(len(sets), maxContents)]
}

// ubuntuServices returns the services of Ubuntu Pro that are on.
func ubuntuServices(data []byte) []string {
	var status struct {
		Attached bool `json:"attached"`
		Services []struct {
			Name   string `json:"name"`
			Status string `json:"status"`
		} `json:"services"`
	}
	if len(data) == 0 || json.Unmarshal(data, &status) != nil || !status.Attached {
		return nil
	}
	var on []string
	for _, s := range status.Services {
		if s.Status == "enabled" && len(on) < 100 {
			on = append(on, tidy(s.Name))
		}
	}
	slices.Sort(on)
	return on
}

// suseSubscriptions reports the long-term service of SLES, which is a product of its own beside the base product.
func suseSubscriptions(files map[string][]byte) []string {
	for path := range files {
		if name, ok := strings.CutPrefix(path, suseProducts); ok && strings.HasSuffix(name, ".prod") && strings.Contains(name, "LTSS") {
			return []string{"LTSS"}
		}
	}
	return nil
}
