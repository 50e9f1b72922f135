// Package redhat knows Red Hat's products: which release of the system a product's CPE belongs to and which subscription
// its fixes need; its module names; and its table of content sets.
package redhat

import (
	"strings"
)

// Product maps the CPE of a product (URI binding, "cpe:/a:redhat:enterprise_linux:8::appstream") to the stream of the
// release it is for. Layered products name the release in the edition ("cpe:/a:redhat:openshift:4.12::el8"); products
// without a release have no stream. Subscription is EUS, AUS, E4S, TUS or ELS when fixes are for these customers only.
func Product(cpe string) (stream, subscription string, ok bool) {
	name, version, edition, ok := parts(cpe)
	if !ok {
		return "", "", false
	}
	subscription = support(name)
	if major, found := strings.CutPrefix(edition, "el"); found && number(major) {
		return "redhat " + major, subscription, true
	}
	if !system(name) {
		return "", "", false
	}
	major, _, _ := strings.Cut(version, ".")
	if !number(major) {
		return "", "", false
	}
	return "redhat " + major, subscription, true
}

// parts returns product, version and edition; the update part is of no use: Red Hat leaves it empty.
func parts(cpe string) (name, version, edition string, ok bool) {
	rest, ok := strings.CutPrefix(cpe, "cpe:/")
	if !ok {
		return "", "", "", false
	}
	f := strings.Split(rest, ":")
	if len(f) < 4 || f[1] != "redhat" || f[0] != "o" && f[0] != "a" {
		return "", "", "", false
	}
	if len(f) > 5 {
		edition = f[5]
	}
	return f[2], f[3], edition, true
}

// system reports whether a product's version is the system's release.
func system(name string) bool {
	if strings.HasPrefix(name, "rhel_extras") {
		return true
	}
	switch name {
	case "enterprise_linux", "enterprise_linux_eus", "enterprise_linux_aus", "enterprise_linux_e4s", "enterprise_linux_tus",
		"enterprise_linux_els", "enterprise_linux_eus_long_life",
		"rhel_eus", "rhel_aus", "rhel_e4s", "rhel_tus", "rhel_els", "rhel_eus_long_life", "rhel_mission_critical", "rhel_atomic",
		"rhel_supplementary", "rhel_productivity", "rhel_common", "rhel_optional":
		return true
	}
	return false
}

func support(name string) string {
	i := strings.LastIndexByte(name, '_')
	switch name[i+1:] {
	case "eus", "aus", "e4s", "tus", "els":
		return strings.ToUpper(name[i+1:])
	}
	switch name {
	case "rhel_eus_long_life", "enterprise_linux_eus_long_life":
		return "EUS"
	case "rhel_mission_critical":
		return "AUS"
	}
	return ""
}

func number(s string) bool {
	if s == "" || len(s) > 2 {
		return false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// ModuleStream cuts a module label, "nodejs:18:8090020230627084142:b46abd14", down to "nodejs:18". It returns "" for what is
// no label; some publish a bare release there ("rhel8").
func ModuleStream(label string) string {
	f := strings.Split(label, ":")
	if len(f) < 2 || f[0] == "" || f[1] == "" {
		return ""
	}
	return f[0] + ":" + f[1]
}

// Products cuts a list of CPEs down to what tells products apart: all repositories of the release itself become its one CPE,
// "cpe:/o:redhat:enterprise_linux:8"; products without a stream are left out.
func Products(cpes []string) []string {
	var list []string
	seen := map[string]bool{}
	for _, cpe := range cpes {
		cpe = strings.TrimSpace(cpe)
		stream, _, ok := Product(cpe)
		if !ok {
			continue
		}
		if name, _, _, _ := parts(cpe); name == "enterprise_linux" {
			cpe = "cpe:/o:redhat:enterprise_linux:" + strings.TrimPrefix(stream, "redhat ")
		}
		if !seen[cpe] {
			seen[cpe] = true
			list = append(list, cpe)
		}
	}
	return list
}
