package images

import (
	"fmt"
	"strings"
)

// osRelease writes os-release as vendors do: quoted values, a line each.
func osRelease(id, name, version, versionID, pretty string, more ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "NAME=%q\n", name)
	if version != "" {
		fmt.Fprintf(&b, "VERSION=%q\n", version)
	}
	fmt.Fprintf(&b, "ID=%q\nVERSION_ID=%q\nPRETTY_NAME=%q\n", id, versionID, pretty)
	for _, m := range more {
		b.WriteString(m + "\n")
	}
	return b.String()
}

// CentOS is a release of CentOS Linux: the minor release stands in centos-release only.
func CentOS(release string) Files {
	major, _, _ := strings.Cut(release, ".")
	name := map[string]string{"7": "Core", "8": "Core"}[major]
	return Files{}.Text("etc/os-release", osRelease("centos", "CentOS Linux", major+" ("+name+")", major, "CentOS Linux "+major+" ("+name+")", `ID_LIKE="rhel fedora"`,
		`CPE_NAME="cpe:/o:centos:centos:`+major+`"`)).Text("etc/centos-release", "CentOS Linux release "+release+" ("+name+")\n")
}

// RHELLike is a rebuild, or the original, whose os-release has the minor release.
func RHELLike(id, name, release string, more ...string) Files {
	major, _, _ := strings.Cut(release, ".")
	return Files{}.Text("etc/os-release", osRelease(id, name, release, release, name+" "+release, append(more, `PLATFORM_ID="platform:el`+major+`"`)...))
}

// EulerOS writes VERSION_ID 2.0 for each service pack, and VERSION in two spellings.
func EulerOS(pack string) Files {
	version := "2.0"
	if pack != "" {
		version = "2.0 (" + pack + ")"
	}
	return Files{}.Text("etc/os-release", osRelease("euleros", "EulerOS", version, "2.0", "EulerOS "+version, `ANSI_COLOR="0;31"`)).
		Text("etc/euleros-release", "EulerOS release "+version+"\n")
}

// Kylin writes V10 for all; the release's name tells them apart.
func Kylin(name, productInfo string) Files {
	f := Files{}.Text("etc/os-release", osRelease("kylin", "Kylin Linux Advanced Server", "V10 ("+name+")", "V10", "Kylin Linux Advanced Server V10 ("+name+")", `ANSI_COLOR="0;31"`)).
		Text("etc/kylin-release", "Kylin Linux Advanced Server release V10 ("+name+")\n")
	if productInfo != "" {
		f.Text("etc/.productinfo", "Kylin Linux Advanced Server\nrelease "+productInfo+"\n")
	}
	return f
}

// HCE is Huawei Cloud EulerOS.
func HCE(release string) Files {
	return Files{}.Text("etc/os-release", osRelease("hce", "Huawei Cloud EulerOS", release+" (x86_64)", release, "Huawei Cloud EulerOS "+release+" (x86_64)")).
		Text("etc/hce-release", "Huawei Cloud EulerOS release "+release+" (x86_64)\n")
}

// UOS writes VERSION_ID 20 for all; platform, codename and os-version tell the edition.
func UOS(platform, codename, edition, minor string) Files {
	more := []string{`HOME_URL="https://www.chinauos.com/"`}
	if platform != "" {
		more = append(more, `PLATFORM_ID="`+platform+`"`)
	}
	version := "20"
	if codename != "" {
		version = "20 (" + codename + ")"
		more = append(more, `VERSION_CODENAME="`+codename+`"`)
	}
	f := Files{}.Text("etc/os-release", osRelease("uos", "UnionTech OS Server 20", version, "20", "UnionTech OS Server 20", more...))
	if minor != "" {
		f.Text("etc/os-version", "[Version]\nSystemName=UnionTech OS Server\nSystemName[zh_CN]=统信服务器操作系统\nProductType=Server\nEditionName="+edition+"\nMajorVersion=20\nMinorVersion="+minor+"\nOsBuild=12018.100\n")
	}
	return f
}

// OpenEuler has the service pack in VERSION only, spelled with brackets by most releases.
func OpenEuler(release, version string) Files {
	return Files{}.Text("etc/os-release", osRelease("openEuler", "openEuler", version, release, "openEuler "+version, `ANSI_COLOR="0;31"`)).
		Text("etc/openEuler-release", "openEuler release "+version+"\n")
}

// SLES has the service pack as the minor number.
func SLES(version, id string) Files {
	return Files{}.Text("etc/os-release", osRelease("sles", "SLES", version, id, "SUSE Linux Enterprise Server "+strings.ReplaceAll(version, "-", " "), `ID_LIKE="suse"`,
		`CPE_NAME="cpe:/o:suse:sles:`+strings.ReplaceAll(strings.ToLower(version), "-", ":")+`"`))
}

// Ubuntu is a release of Ubuntu.
func Ubuntu(release, codename string) Files {
	return Files{}.Text("etc/os-release", osRelease("ubuntu", "Ubuntu", release+" LTS", release, "Ubuntu "+release+" LTS", "ID_LIKE=debian", "VERSION_CODENAME="+codename))
}

// DebianRelease is a release of Debian.
func DebianRelease(release, codename string) Files {
	return Files{}.Text("etc/os-release", osRelease("debian", "Debian GNU/Linux", release+" ("+codename+")", release, "Debian GNU/Linux "+release+" ("+codename+")",
		"VERSION_CODENAME="+codename)).Text("etc/debian_version", release+".11\n")
}

// CTyunOS is a release of CTyunOS.
func CTyunOS(release string) Files {
	return Files{}.Text("etc/os-release", osRelease("ctyunos", "ctyunos", release, release, "ctyunos "+release)).Text("etc/ctyunos-release", "ctyunos release "+release+"\n")
}

// Alpine is a release of Alpine.
func Alpine(release string) Files {
	return Files{}.Text("etc/os-release", "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID="+release+"\nPRETTY_NAME=\"Alpine Linux v"+release+"\"\n").Text("etc/alpine-release", release+"\n")
}

// Deb is a package in dpkg's database.
type Deb struct{ Name, Version, Source, SourceVersion string }

// Status writes dpkg's status file. What dpkg would say of it can be asked for with its --admindir.
func Status(packages ...Deb) string {
	var b strings.Builder
	for _, p := range packages {
		b.WriteString(p.stanza(true) + "\n")
	}
	return b.String()
}

func (p Deb) stanza(installed bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Package: %s\n", p.Name)
	if installed {
		b.WriteString("Status: install ok installed\n")
	}
	b.WriteString("Priority: optional\nSection: utils\nMaintainer: Nobody <nobody@example.com>\nArchitecture: amd64\n")
	switch {
	case p.Source != "" && p.SourceVersion != "":
		fmt.Fprintf(&b, "Source: %s (%s)\n", p.Source, p.SourceVersion)
	case p.Source != "":
		fmt.Fprintf(&b, "Source: %s\n", p.Source)
	}
	fmt.Fprintf(&b, "Version: %s\nDescription: made for a test\n of several lines\n", p.Version)
	return b.String()
}

// Distroless adds a package as images without dpkg have it: a file in status.d and its sums beside.
func (f Files) Distroless(p Deb, files ...string) Files {
	sums := ""
	for _, name := range files {
		sums += "d41d8cd98f00b204e9800998ecf8427e  " + name + "\n"
	}
	return f.Text("var/lib/dpkg/status.d/"+p.Name, p.stanza(false)).Text("var/lib/dpkg/status.d/"+p.Name+".md5sums", sums)
}

// APK is a package in apk's database.
type APK struct{ Name, Version, Origin, File string }

// Installed writes lib/apk/db/installed.
func Installed(packages ...APK) string {
	var b strings.Builder
	for _, p := range packages {
		fmt.Fprintf(&b, "C:Q1YWJjZGVmZ2hpamtsbW5vcHFyc3Q=\nP:%s\nV:%s\nA:x86_64\nS:1000\nI:4096\nT:made for a test\nU:https://example.com/\nL:MIT\no:%s\nm:Nobody <nobody@example.com>\nt:1700000000\nc:%040x\n",
			p.Name, p.Version, p.Origin, len(p.Name))
		if i := strings.LastIndexByte(p.File, '/'); i > 0 {
			fmt.Fprintf(&b, "F:%s\nR:%s\na:0:0:755\nZ:Q1YWJjZGVmZ2hpamtsbW5vcHFyc3Q=\n", p.File[:i], p.File[i+1:])
		}
		b.WriteString("\n")
	}
	return b.String()
}
