// Package suse knows SUSE's products: which release of the server or of openSUSE a product belongs to, and which
// subscription its fixes need.
package suse

import (
	"regexp"
	"strings"
)

var (
	server = regexp.MustCompile(`^(?:SUSE Linux Enterprise Server|SLES)(?: for SAP Applications| for SAP applications)? (\d+)(?:[ .]?(?:SP)?(\d+))?(?:[- ](.+))?$`)
	// Modules and extensions of the server: their packages are installed on it.
	module = regexp.MustCompile(`^SUSE Linux Enterprise (?:Module for .+?|Software Development Kit|High Availability Extension|Live Patching) (\d+)(?:[ .]?(?:SP)?(\d+))?(?:-.+)?$`)
	hub    = regexp.MustCompile(`^SUSE Package Hub (?:for SUSE Linux Enterprise )?(\d+)(?:[ .]?(?:SP)?(\d+))?$`)
	// "SUSE Linux Enterprise Server LTSS Extended Security 12 SP5", newer.
	extended = regexp.MustCompile(`^SUSE Linux Enterprise Server (LTSS(?: Extended Security)?) (\d+)(?: SP(\d+))?$`)
	leap     = regexp.MustCompile(`^openSUSE(?: Leap)? (\d+\.\d)(?: NonFree| Update| Non-Free.*)?$`)
)

// Product maps the name of a product ("SUSE Linux Enterprise Server 15 SP1-LTSS", "SUSE Linux Enterprise Module for
// Basesystem 15 SP4", "openSUSE Leap 15.2") to streams. Most have one; modules of release 12 without a service pack are for
// every service pack. Subscription is LTSS, ESPOS, BCL, SAP and so on for fixes that only such customers get. Desktop,
// high performance computing, micro, storage and manager products have no stream.
func Product(name string) (streams []string, subscription string, ok bool) {
	name = strings.TrimSpace(name)
	if name == "openSUSE Tumbleweed" {
		return []string{"opensuse tumbleweed"}, "", true
	}
	if m := leap.FindStringSubmatch(name); m != nil {
		return []string{"opensuse " + m[1]}, "", true
	}
	if m := extended.FindStringSubmatch(name); m != nil {
		return release(m[2], m[3]), "LTSS", true
	}
	if m := server.FindStringSubmatch(name); m != nil {
		subscription = support(m[3])
		if subscription == "" && strings.Contains(strings.ToLower(name), " for sap ") {
			subscription = "SAP"
		}
		return release(m[1], m[2]), subscription, true
	}
	m := module.FindStringSubmatch(name)
	if m == nil {
		m = hub.FindStringSubmatch(name)
	}
	if m == nil {
		return nil, "", false
	}
	if m[1] == "12" && m[2] == "" {
		return []string{"sles 12", "sles 12.1", "sles 12.2", "sles 12.3", "sles 12.4", "sles 12.5"}, "", true
	}
	if strings.Contains(name, "-LTSS") {
		subscription = "LTSS"
	}
	return release(m[1], m[2]), subscription, true
}

func release(major, pack string) []string {
	if pack == "" || pack == "0" && major != "16" {
		return []string{"sles " + major}
	}
	if len(pack) > 1 || len(major) > 2 {
		return nil
	}
	return []string{"sles " + major + "." + pack}
}

// support names the subscription in the tail of a product's name: "LTSS", "LTSS-TERADATA", "ESPOS", "BCL".
func support(tail string) string {
	tail = strings.ToUpper(strings.TrimSpace(tail))
	for _, s := range []string{"LTSS", "ESPOS", "BCL", "TERADATA", "CLIENT TOOLS"} {
		if strings.HasPrefix(tail, s) {
			return s
		}
	}
	return ""
}
