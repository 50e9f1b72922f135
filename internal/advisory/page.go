package advisory

import "strings"

// Page returns the address of the public page that explains an id, by the form of the id; "" for ids without one.
func Page(id string) string {
	prefix, _, _ := strings.Cut(id, "-")
	switch prefix {
	case "CVE":
		return "https://nvd.nist.gov/vuln/detail/" + id
	case "GHSA":
		return "https://github.com/advisories/" + id
	case "GO":
		return "https://pkg.go.dev/vuln/" + id
	}
	return ""
}
