package release

import (
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// centOS: releases share Red Hat's advisories of the major release; Stream runs ahead of them and is a line of its own.
func centOS(os *inventory.OS) (string, []string) {
	major := numbers(os.VersionID, 1)
	if major == "" {
		return os.Pretty, nil
	}
	if os.Variant == "stream" {
		return "CentOS Stream " + major, []string{"centos-stream " + major}
	}
	if m := numbers(os.Minor, 2); numbers(m, 1) == major {
		return "CentOS " + m, []string{"redhat " + major}
	}
	return "CentOS " + major, []string{"redhat " + major}
}

// coreOS is versioned as OpenShift is; its packages are those of the RHEL that RHEL_VERSION names.
func coreOS(os *inventory.OS) (string, []string) {
	major := numbers(os.Minor, 1)
	if major == "" {
		return os.Pretty, nil
	}
	return "Red Hat Enterprise Linux CoreOS " + os.VersionID + " (RHEL " + numbers(os.Minor, 2) + ")", []string{"redhat " + major}
}

// amazon: the first Amazon Linux counted by the dates of its images, 2010.11 to 2018.03.
func amazon(os *inventory.OS) (string, []string) {
	v := numbers(os.VersionID, 1)
	if len(v) == 4 && v < "2020" {
		v = "1"
	}
	if v == "" {
		return os.Pretty, nil
	}
	return "Amazon Linux " + v, []string{"amazon " + v}
}

// sles: the service pack is the second number up to 15; 16 counts plainly.
func sles(os *inventory.OS) (string, []string) {
	v := numbers(os.VersionID, 2)
	major, pack, _ := strings.Cut(v, ".")
	switch {
	case v == "":
		return os.Pretty, nil
	case len(major) == 2 && major < "16" && (pack == "" || pack == "0"):
		return "SLES " + major, []string{"sles " + major}
	case len(major) == 2 && major < "16":
		return "SLES " + major + " SP" + pack, []string{"sles " + major + "." + pack}
	}
	return "SLES " + v, []string{"sles " + v}
}

func leap(os *inventory.OS) (string, []string) {
	if strings.Contains(os.Pretty, "Tumbleweed") {
		return tumbleweed(os)
	}
	v := numbers(os.VersionID, 2)
	if v == "" {
		return os.Pretty, nil
	}
	if major := numbers(v, 1); major == "15" || major == "16" || major == "42" {
		return "openSUSE Leap " + v, []string{"opensuse " + v}
	}
	return "openSUSE " + v, []string{"opensuse " + v}
}

// tencentOS: statements are for a release (2.4, 3.1) or for a generation.
func tencentOS(os *inventory.OS) (string, []string) {
	v := numbers(os.VersionID, 2)
	if v == "" {
		return os.Pretty, nil
	}
	streams := []string{"tencentos " + v}
	if major := numbers(v, 1); major != v {
		streams = append(streams, "tencentos "+major)
	}
	return "TencentOS Server " + v, streams
}

func tumbleweed(*inventory.OS) (string, []string) {
	return "openSUSE Tumbleweed", []string{"opensuse tumbleweed"}
}

// debian: testing and unstable have no VERSION_ID, and debian_version says "trixie/sid" on both.
func debian(os *inventory.OS) (string, []string) {
	if v := numbers(os.VersionID, 1); v != "" {
		return "Debian " + v, []string{"debian " + v}
	}
	name := os.Codename
	if strings.HasSuffix(os.Minor, "/sid") {
		name = os.Minor
	}
	if name == "" && !strings.Contains(os.Pretty, "sid") {
		return os.Pretty, nil
	}
	return strings.TrimSpace("Debian " + name), []string{"debian sid"}
}

// alpine: edge is numbered as the next release, with _alpha.
func alpine(os *inventory.OS) (string, []string) {
	if os.VersionID == "edge" || strings.Contains(os.VersionID, "_alpha") || strings.HasSuffix(os.Pretty, " edge") {
		return "Alpine edge", []string{"alpine edge"}
	}
	v := numbers(os.VersionID, 2)
	if !strings.Contains(v, ".") {
		return os.Pretty, nil
	}
	return "Alpine " + v, []string{"alpine " + v}
}

// chainguard: its images are made of Wolfi's packages and of its own, in one series of versions.
func chainguard(*inventory.OS) (string, []string) {
	return "Chainguard", []string{"chainguard", "wolfi"}
}

// openEulerRelease takes "22.03 (LTS-SP2)", "22.03 LTS SP1", "22.03-LTS-SP4" and "23.09" apart.
var openEulerRelease = regexp.MustCompile(`(?i)\b(\d\d\.\d\d)(?:[ (-]*(LTS)(?:[ (-]*SP ?(\d))?)?`)

// openEuler: the service pack stands in VERSION, PRETTY_NAME or openEuler-release only, and each is a line of its own.
func openEuler(os *inventory.OS) (string, []string) {
	var best []string
	for _, text := range []string{os.Minor, os.Version, os.Pretty, os.VersionID} {
		m := openEulerRelease.FindStringSubmatch(text)
		if m != nil && (best == nil || best[2] == "" && m[2] != "" && best[1] == m[1]) {
			best = m
		}
	}
	if best == nil {
		return os.Pretty, nil
	}
	label, stream := "openEuler "+best[1], "openeuler "+best[1]
	if best[2] != "" {
		label, stream = label+" LTS", stream+"-LTS"
	}
	if best[3] != "" {
		label, stream = label+" SP"+best[3], stream+"-SP"+best[3]
	}
	return label, []string{stream}
}

// eulerPack takes the service pack out of "2.0 (SP9x86_64)", "2.0 (SP10)", "2.0 SP 5".
var eulerPack = regexp.MustCompile(`(?i)SP ?(\d{1,2})`)

// eulerOS: VERSION_ID is 2.0 for every service pack. euleros-release stands first: there are images whose os-release was not
// moved on. Huawei's own scanner writes the pack as the second number: its 2.9 is 2.0 SP9.
func eulerOS(os *inventory.OS) (string, []string) {
	for _, text := range []string{os.Minor, os.Version, os.Pretty} {
		if m := eulerPack.FindStringSubmatch(text); m != nil {
			return "EulerOS 2.0 SP" + m[1], []string{"euleros 2.0-SP" + m[1]}
		}
	}
	v := numbers(os.VersionID, 2)
	if pack, ok := strings.CutPrefix(v, "2."); ok && pack != "0" {
		return "EulerOS 2.0 SP" + pack, []string{"euleros 2.0-SP" + pack}
	}
	if v != "2.0" {
		return os.Pretty, nil
	}
	return "EulerOS 2.0", []string{"euleros 2.0"}
}

var ctyunRelease = regexp.MustCompile(`\b(\d\d\.\d\d)\b`)

// ctyunGenerations are the releases by generation, which dist tags (.ctl3) and catalogues ("CTyunOS 3-23.01") count.
var ctyunGenerations = [][2]string{{"2", "22.06"}, {"3", "23.01"}}

func ctyunOS(os *inventory.OS) (string, []string) {
	v := ""
	for _, text := range []string{os.VersionID, os.Version, os.Minor, os.Pretty} {
		if m := ctyunRelease.FindString(text); m != "" {
			v = m
			break
		}
	}
	if v == "" {
		v = os.VersionID
	}
	for _, g := range ctyunGenerations {
		if v == g[0] || v == g[1] {
			return "CTyunOS " + g[0] + "-" + g[1], []string{"ctyunos " + g[1]}
		}
	}
	if numbers(v, 1) == "" {
		return os.Pretty, nil
	}
	return "CTyunOS " + v, []string{"ctyunos " + v}
}

var (
	kylinName    = regexp.MustCompile(`\(([A-Za-z]+)[0-9]*\)`)
	kylinPack    = regexp.MustCompile(`(?i)\b(SP\d)(?:[ )-]{1,2}(2\d{3})\b)?`)
	kylinRelease = regexp.MustCompile(`^V\d\d$`)
)

// kylinNames are the names of Kylin Linux Advanced Server V10's releases.
var kylinNames = map[string]string{"Tercel": "SP1", "Sword": "SP2", "Lance": "SP3", "Halberd": "SP3-2403", "Azalea": ""}

// besideKylin reads the release's name and .productinfo: "release V10 (SP2) /(Sword)-x86_64-Build09/20210524".
func besideKylin(os *inventory.OS, files map[string][]byte) {
	info := string(files["etc/.productinfo"][:min(len(files["etc/.productinfo"]), maxFile)])
	if m := kylinPack.FindStringSubmatch(info); m != nil {
		os.Minor = strings.ToUpper(m[1])
		if m[2] != "" {
			os.Minor += "-" + m[2]
		}
	}
	if os.Codename == "" {
		for _, text := range []string{os.Version, os.Pretty, firstLine(files["etc/kylin-release"]), info} {
			if m := kylinName.FindStringSubmatch(text); m != nil && !strings.HasPrefix(m[1], "SP") {
				os.Codename = m[1]
				break
			}
		}
	}
}

// kylin: VERSION_ID is V10 for every service pack; the pack is known by .productinfo or by the release's name. SP3-2403 goes
// on from SP3 and its advisories. The desktop has the same ID, but is made of dpkg packages: no stream holds for it.
func kylin(os *inventory.OS) (string, []string) {
	if os.Variant == "desktop" || slices.Contains(os.Like, "debian") || slices.Contains(os.Like, "ubuntu") {
		v := strings.ToUpper(os.VersionID)
		if m := kylinPack.FindStringSubmatch(os.Version + " " + os.Pretty); m != nil {
			v += " " + strings.ToUpper(m[1])
		}
		return "Kylin Desktop " + v, nil
	}
	v := strings.ToUpper(os.VersionID)
	if !kylinRelease.MatchString(v) {
		return os.Pretty, nil
	}
	pack, known := os.Minor, os.Minor != ""
	if m := kylinPack.FindStringSubmatch(os.Version + " " + os.Pretty); !known && m != nil {
		pack, known = strings.ToUpper(m[1]), true
	}
	if !known && v == "V10" {
		pack, known = kylinNames[os.Codename]
	}
	switch {
	case pack != "":
		streams := []string{"kylin " + v + "-" + pack}
		if base, update, ok := strings.Cut(pack, "-"); ok {
			return "Kylin " + v + " " + base + " " + update, append(streams, "kylin "+v+"-"+base)
		}
		return "Kylin " + v + " " + pack, streams
	case os.Codename == "" || v != "V10":
		return "Kylin " + v, []string{"kylin " + v}
	case known:
		return "Kylin " + v + " (" + os.Codename + ")", []string{"kylin " + v}
	}
	return "Kylin " + v + " (" + os.Codename + ")", nil // a release that this program does not know
}

// uosMinor finds "1060", "1050u2", "1060e" in a text.
var uosMinor = regexp.MustCompile(`\b(1\d{3}(?:u\d{1,2})?)([acde])?\b`)

// besideUOS reads os-version, an ini file with EditionName, ProductType and MinorVersion; without it the release file and
// issue may name the minor release.
func besideUOS(os *inventory.OS, files map[string][]byte) {
	v := assignments(files["etc/os-version"])
	edition := strings.ToLower(v["EditionName"])
	texts := []string{v["MinorVersion"], firstLine(files["etc/uos-release"]), firstLine(files["etc/UnionTech-release"]), firstLine(files["etc/issue"])}
	for _, text := range texts {
		if m := uosMinor.FindStringSubmatch(text); m != nil {
			os.Minor = m[1]
			if len(edition) != 1 {
				edition = m[2]
			}
			break
		}
	}
	if product := v["ProductType"]; product != "" && product != "Server" || product == "" && strings.Contains(os.Pretty, "Desktop") {
		os.Variant = "desktop"
	} else if len(edition) == 1 {
		os.Variant = edition
	}
}

// uos: VERSION_ID is 20 everywhere. The server comes as a (Anolis), c (CentOS), d (Debian) and e (openEuler), told by
// os-version or by PLATFORM_ID and codename; the desktop is Debian's kin too.
func uos(os *inventory.OS) (string, []string) {
	if numbers(os.VersionID, 1) != "20" {
		return os.Pretty, nil
	}
	minor := ""
	if m := uosMinor.FindStringSubmatch(os.Minor); m != nil {
		minor = m[1]
	}
	if os.Variant == "desktop" {
		return strings.TrimSpace("UnionTech OS Desktop V20 " + minor), uosStreams("uos 20", minor)
	}
	edition := os.Variant
	if len(edition) != 1 || !strings.Contains("acde", edition) {
		switch {
		case os.PlatformID == "platform:uel20":
			edition = "e"
		case os.PlatformID == "platform:uelc20":
			edition = "a"
		case slices.Contains(os.Like, "debian") || os.PlatformID == "" && os.Codename == "":
			edition = "d"
		case os.Codename == "fuyu":
			edition = "e"
		case os.Codename == "kongzi" || os.Codename == "kongli":
			edition = "a"
		case os.PlatformID == "":
			edition = "d"
		default:
			return os.Pretty, nil
		}
	}
	if minor == "" && os.Codename == "kongli" {
		minor = "1002"
	}
	if minor == "" {
		return "UnionTech OS V20 server " + strings.ToUpper(edition), []string{"uos 20" + edition}
	}
	return "UnionTech OS V20 " + minor + edition, uosStreams("uos 20"+edition, minor)
}

// uosStreams: statements may be for the minor release or for the edition as a whole.
func uosStreams(edition, minor string) []string {
	if minor == "" {
		return []string{edition}
	}
	return []string{edition + "-" + minor, edition}
}
