package release

import (
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// system is one operating system. Most need no more than words and numbers; rule is for those that do.
type system struct {
	ids    []string // of os-release, lower case
	name   string   // of the label
	stream string   // first word of the stream
	shown  int      // how many numbers of VERSION_ID the label has; 0 is none
	keyed  int      // how many the stream has; 0 is a stream without a release
	rule   func(os *inventory.OS) (label string, streams []string)
}

// systems is the table. IDs and forms of VERSION_ID are as the vendors' images have them.
var systems = []system{
	{ids: []string{"rhel"}, name: "Red Hat Enterprise Linux", stream: "redhat", shown: 2, keyed: 1},
	{ids: []string{"rhcos"}, rule: coreOS},
	{ids: []string{"centos"}, rule: centOS},
	{ids: []string{"almalinux"}, name: "AlmaLinux", stream: "almalinux", shown: 2, keyed: 1},
	{ids: []string{"rocky"}, name: "Rocky Linux", stream: "rocky", shown: 2, keyed: 1},
	{ids: []string{"ol"}, name: "Oracle Linux", stream: "oracle", shown: 2, keyed: 1},
	{ids: []string{"fedora"}, name: "Fedora", stream: "fedora", shown: 1, keyed: 1},
	{ids: []string{"amzn"}, rule: amazon},
	{ids: []string{"sles", "sles_sap"}, rule: sles},
	{ids: []string{"opensuse-leap", "opensuse"}, rule: leap},
	{ids: []string{"opensuse-tumbleweed", "opensuse-microos"}, rule: tumbleweed},

	{ids: []string{"ubuntu"}, name: "Ubuntu", stream: "ubuntu", shown: 2, keyed: 2},
	{ids: []string{"debian"}, rule: debian},
	{ids: []string{"alpine"}, rule: alpine},
	{ids: []string{"wolfi"}, name: "Wolfi", stream: "wolfi"},
	{ids: []string{"chainguard"}, rule: chainguard},
	{ids: []string{"minimos"}, name: "MinimOS", stream: "minimos"},
	{ids: []string{"bottlerocket"}, name: "Bottlerocket", stream: "bottlerocket", shown: 3},
	{ids: []string{"photon"}, name: "Photon OS", stream: "photon", shown: 2, keyed: 2},
	{ids: []string{"azurelinux"}, name: "Azure Linux", stream: "azurelinux", shown: 2, keyed: 2},
	{ids: []string{"mariner"}, name: "CBL-Mariner", stream: "mariner", shown: 2, keyed: 2},

	{ids: []string{"openeuler"}, rule: openEuler},
	{ids: []string{"euleros"}, rule: eulerOS},
	{ids: []string{"hce"}, name: "HCE", stream: "hce", shown: 2, keyed: 2},
	{ids: []string{"kylin"}, rule: kylin},
	{ids: []string{"uos"}, rule: uos},
	{ids: []string{"ctyunos"}, rule: ctyunOS},
	{ids: []string{"anolis"}, name: "Anolis OS", stream: "anolis", shown: 2, keyed: 1},
	{ids: []string{"tencentos", "tlinux"}, rule: tencentOS},
	{ids: []string{"opencloudos"}, name: "OpenCloudOS", stream: "opencloudos", shown: 2, keyed: 1},
}

// lookup finds the system of an ID; nil when the table has none.
func lookup(id string) *system {
	for i := range systems {
		for _, s := range systems[i].ids {
			if s == id {
				return &systems[i]
			}
		}
	}
	return nil
}

// release applies the line of the table.
func (s *system) release(os *inventory.OS) (string, []string) {
	if s.rule != nil {
		return s.rule(os)
	}
	label := s.name
	if n := numbers(os.VersionID, s.shown); n != "" {
		label += " " + n
	}
	if s.keyed == 0 {
		return label, []string{s.stream}
	}
	n := numbers(os.VersionID, s.keyed)
	if n == "" || strings.Count(n, ".") != s.keyed-1 {
		return os.Pretty, nil // the release is not told
	}
	return label, []string{s.stream + " " + n}
}

// numbers returns at most the first n dotted numbers that s begins with: "7.9" of "7.9.2009 (Core)"; "" when there is none.
func numbers(s string, n int) string {
	end := 0
	for i := 0; n > 0; n-- {
		start := i
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
		if i == start || i-start > 8 {
			break
		}
		end = i
		if i == len(s) || s[i] != '.' {
			break
		}
		i++
	}
	return s[:end]
}
