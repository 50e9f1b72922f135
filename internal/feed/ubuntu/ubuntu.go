// Package ubuntu knows Ubuntu's releases and for whom its fixes are.
package ubuntu

import (
	"regexp"
	"strings"
)

// codenames are the releases by the first word of their name (wiki.ubuntu.com/Releases).
var codenames = map[string]string{
	"warty": "4.10", "hoary": "5.04", "breezy": "5.10", "dapper": "6.06", "edgy": "6.10", "feisty": "7.04", "gutsy": "7.10",
	"hardy": "8.04", "intrepid": "8.10", "jaunty": "9.04", "karmic": "9.10", "lucid": "10.04", "maverick": "10.10",
	"natty": "11.04", "oneiric": "11.10", "precise": "12.04", "quantal": "12.10", "raring": "13.04", "saucy": "13.10",
	"trusty": "14.04", "utopic": "14.10", "vivid": "15.04", "wily": "15.10", "xenial": "16.04", "yakkety": "16.10",
	"zesty": "17.04", "artful": "17.10", "bionic": "18.04", "cosmic": "18.10", "disco": "19.04", "eoan": "19.10",
	"focal": "20.04", "groovy": "20.10", "hirsute": "21.04", "impish": "21.10", "jammy": "22.04", "kinetic": "22.10",
	"lunar": "23.04", "mantic": "23.10", "noble": "24.04", "oracular": "24.10", "plucky": "25.04", "questing": "25.10",
}

// Codename maps "jammy" to its stream. Releases before 10.04 have none.
func Codename(name string) (string, bool) {
	r, ok := codenames[name]
	return "ubuntu " + r, ok && len(r) == 5
}

// Place says where the rows of an ecosystem stand.
type Place struct {
	Stream       string
	Subscription string // "ESM" or "Pro" when the fixes are for subscribers
	Flavor       string // "fips": builds that compare only with their own
}

var release = regexp.MustCompile(`(?:^|:)(\d\d\.\d\d)(?::|$)`)

// Ecosystem maps what follows "Ubuntu:" in OSV: "22.04:LTS", "Pro:18.04:LTS", "Pro:FIPS-updates:20.04:LTS",
// "Pro:22.04:LTS:Realtime:Kernel", "22.04:LTS:for:NVIDIA:BlueField". The last two hold source packages of their own, which
// is difference enough.
func Ecosystem(name string) (Place, bool) {
	m := release.FindStringSubmatch(name)
	if m == nil {
		return Place{}, false
	}
	p := Place{Stream: "ubuntu " + m[1]}
	lower := strings.ToLower(name)
	switch pro := strings.HasPrefix(lower, "pro:"); {
	case strings.Contains(lower, "fips"):
		p.Subscription, p.Flavor = "Pro", "fips"
	case pro && strings.Contains(lower, "realtime"):
		p.Subscription = "Pro"
	case pro:
		p.Subscription = "ESM"
	}
	return p, true
}

var esm = regexp.MustCompile(`[+~]esm\d`)

// ESM reports whether a version is one of Expanded Security Maintenance: "1.12.0-1~ubuntu16.04.3+esm1".
func ESM(version string) bool { return esm.MatchString(version) }
