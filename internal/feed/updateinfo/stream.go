package updateinfo

import (
	"regexp"
	"strings"

	"stockade.dev/stockade/internal/feed/amazon"
	"stockade.dev/stockade/internal/feed/anolis"
	"stockade.dev/stockade/internal/feed/bottlerocket"
	"stockade.dev/stockade/internal/feed/ctyunos"
	"stockade.dev/stockade/internal/feed/fedora"
	"stockade.dev/stockade/internal/feed/openeuler"
	"stockade.dev/stockade/internal/feed/oracle"
	"stockade.dev/stockade/internal/feed/rocky"
	"stockade.dev/stockade/internal/feed/tencentos"
)

// publisher names who an update is from, by its id.
func publisher(id string) string {
	for _, p := range []struct{ prefix, name string }{
		{"ALAS", "amazon"}, {"RLSA-", "rocky"}, {"RLBA-", "rocky"}, {"RLEA-", "rocky"}, {"RXSA-", "rocky"}, {"RXBA-", "rocky"},
		{"ALSA-", "almalinux"}, {"ALBA-", "almalinux"}, {"ALEA-", "almalinux"}, {"FEDORA-EPEL", "epel"}, {"FEDORA-", "fedora"},
		{"RHSA-", "redhat"}, {"RHBA-", "redhat"}, {"RHEA-", "redhat"}, {"ELSA-", "oracle"}, {"ELBA-", "oracle"}, {"ELEA-", "oracle"},
		{"OESA-", "openeuler"}, {"openEuler-", "openeuler"}, {"EulerOS-", "euleros"}, {"HCE", "hce"}, {"KYSA-", "kylin"}, {"UTSA-", "uos"},
		{"CTyunOS-", "ctyunos"}, {"ANSA-", "anolis"}, {"ANBA-", "anolis"}, {"TSSA-", "tencentos"}, {"TLSA-", "tencentos"}, {"TS-SA", "tencentos"},
		{"OCSA-", "opencloudos"},
	} {
		if strings.HasPrefix(id, p.prefix) {
			return p.name
		}
	}
	return ""
}

var (
	almaCollection   = regexp.MustCompile(`^almalinux-(\d+)-`)
	rhelCollection   = regexp.MustCompile(`^(?:rhel|rhui)-(\d+)-(?:for|server|client|workstation)-`)
	oracleCollection = regexp.MustCompile(`^ol(\d+)_`)
	elTag            = regexp.MustCompile(`\.el(\d+)(?:_\d+)?(?:[._]|$)`)

	// What package releases end with, when vendors number releases there: ".eulerosv2r9", ".oe2203sp3", ".hce2".
	eulerTag     = regexp.MustCompile(`\.eulerosv2r(\d+)`)
	openTag      = regexp.MustCompile(`\.oe(\d\d)(\d\d)(?:sp(\d))?(?:\D|$)`)
	hceTag       = regexp.MustCompile(`\.(?:r\d+_?\d*\.)?hce(\d)(?:\D|$)`)
	openInTitle  = regexp.MustCompile(`openEuler-\d\d\.\d\d(?:-LTS(?:-SP\d)?)?`)
	hceInPath    = regexp.MustCompile(`(?i)(?:^|/)hce/(\d\.\d)(?:/|$)`)
	eulerInPath  = regexp.MustCompile(`(?i)(?:^|/)euler(?:os)?/2\.(\d+)(?:\.\d+)?(?:/|$)`)
	kylinInPath  = regexp.MustCompile(`(?i)^V10(?:[-_]?SP(\d)(?:\.\d)?)?(?:-\d+)?$`)
	uosEdition   = regexp.MustCompile(`(?i)(?:^|[/_.-])(fuyu|kongzi|uelc20|uel20)(?:[/_.-]|$)`)
	uosMinor     = regexp.MustCompile(`(?:^|[/_.-])(10\d\d[a-z0-9]{0,2})(?:[/_.-]|$)`)
	ctyunosInAny = regexp.MustCompile(`(?i)ctyunos[- /]\d+(?:\.\d+){0,2}`)
)

// streamOf finds the release an update is for: by its id and what it says itself, then by its packages' versions, then by the
// path of the document, which an operator's mirror keeps as the vendor has it.
func streamOf(who, path string, u *update) (string, bool) {
	names := []string{u.Release}
	for i := range u.Collections {
		names = append(names, u.Collections[i].Short, u.Collections[i].Name)
	}
	switch who {
	case "amazon":
		return amazon.Stream(u.ID)
	case "rocky":
		return first(names, rocky.Stream)
	case "fedora":
		return first(names, fedora.Stream)
	case "anolis":
		return first(append(names, u.Title, "anolis "+tag(u, regexp.MustCompile(`\.an(\d+)`))), anolis.Stream)
	case "almalinux":
		return numbered("almalinux ", names, almaCollection, u)
	case "redhat":
		return numbered("redhat ", names, rhelCollection, u)
	case "oracle":
		if s, ok := first(names, oracle.Stream); ok {
			return s, true
		}
		return numbered("oracle ", names, oracleCollection, u)
	case "openeuler":
		for _, text := range []string{u.Release, u.Title, u.Description, path} {
			if s, ok := openeuler.Stream(openInTitle.FindString(text)); ok {
				return s, true
			}
		}
		return openRelease(u)
	case "tencentos", "opencloudos":
		return first(append(names, u.Title, path), tencentos.Stream)
	case "ctyunos":
		return first([]string{ctyunosInAny.FindString(u.Release), ctyunosInAny.FindString(u.Title), ctyunosInAny.FindString(u.Description), strings.Replace(ctyunosInAny.FindString(path), "/", "-", 1)}, ctyunos.Stream)
	}
	return mirrored(who, path, u)
}

// mirrored finds releases of vendors whose documents do not name them.
func mirrored(who, path string, u *update) (string, bool) {
	switch who {
	case "hce":
		if m := hceInPath.FindStringSubmatch(path); m != nil {
			return "hce " + m[1], true
		}
		if n := tag(u, hceTag); n != "" {
			return "hce " + n + ".0", true
		}
	case "euleros":
		if n := tag(u, eulerTag); n != "" {
			return "euleros 2.0-SP" + n, true
		}
		if m := eulerInPath.FindStringSubmatch(path); m != nil {
			return "euleros 2.0-SP" + m[1], true
		}
	case "kylin":
		// ".../NS/V10/V10SP2/os/...": the last folder that says V10 names the service pack.
		found := false
		for part := range strings.SplitSeq(path, "/") {
			if m := kylinInPath.FindStringSubmatch(part); m != nil {
				if found = true; m[1] != "" {
					return "kylin V10-SP" + m[1], true
				}
			}
		}
		return "kylin V10", found
	case "uos":
		edition := uosEdition.FindStringSubmatch(path)
		if edition == nil {
			return "", false
		}
		letter := map[string]string{"fuyu": "e", "uel20": "e", "kongzi": "a", "uelc20": "a"}[strings.ToLower(edition[1])]
		if m := uosMinor.FindStringSubmatch(path); m != nil {
			return "uos 20" + letter + "-" + m[1], true
		}
		return "uos 20" + letter, true
	}
	return "", false
}

// guess finds who an update is from when its id does not say: by its collection, or by the folder's name.
func guess(path, folder string, u *update) string {
	for i := range u.Collections {
		if c := &u.Collections[i]; bottlerocket.Is(c.Short) || bottlerocket.Is(c.Name) {
			return "bottlerocket"
		}
	}
	for _, text := range []string{strings.ToLower(folder), strings.ToLower(u.Release + " " + u.From), strings.ToLower(path)} {
		for _, who := range []string{"openeuler", "euleros", "hce", "kylin", "uos", "ctyunos", "tencentos", "opencloudos", "anolis", "oracle", "rocky", "almalinux", "amazon"} {
			if strings.Contains(text, who) {
				return who
			}
		}
		if strings.Contains(text, "tlinux") {
			return "tencentos"
		}
	}
	return ""
}

func first(names []string, f func(string) (string, bool)) (string, bool) {
	for _, n := range names {
		if s, ok := f(n); ok {
			return s, true
		}
	}
	return "", false
}

func numbered(prefix string, names []string, collection *regexp.Regexp, u *update) (string, bool) {
	for _, n := range names {
		if m := collection.FindStringSubmatch(n); m != nil {
			return prefix + m[1], true
		}
	}
	if n := tag(u, elTag); n != "" {
		return prefix + n, true
	}
	return "", false
}

// tag returns what a pattern finds in the packages' releases, when all that have it agree.
func tag(u *update, pattern *regexp.Regexp) string {
	found := ""
	for i := range u.Collections {
		for j := range u.Collections[i].Packages {
			m := pattern.FindStringSubmatch(u.Collections[i].Packages[j].Release)
			if m == nil {
				continue
			}
			if found != "" && found != m[1] {
				return ""
			}
			found = m[1]
		}
	}
	return found
}

// openRelease reads openEuler's tags: oe1 is 20.03-LTS, oe2203sp3 is 22.03-LTS-SP3. March releases of even years are LTS.
func openRelease(u *update) (string, bool) {
	for i := range u.Collections {
		for j := range u.Collections[i].Packages {
			release := u.Collections[i].Packages[j].Release
			if strings.HasSuffix(release, ".oe1") {
				return "openeuler 20.03-LTS", true
			}
			m := openTag.FindStringSubmatch(release)
			if m == nil {
				continue
			}
			name := "openEuler-" + m[1] + "." + m[2]
			if m[2] == "03" && (m[1][1]-'0')%2 == 0 {
				name += "-LTS"
			}
			if m[3] != "" {
				name += "-SP" + m[3]
			}
			return openeuler.Stream(name)
		}
	}
	return "", false
}
