package examine

import (
	"strings"
	"sync"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/match"
	"stockade.dev/stockade/internal/scan"
)

// Matching is the form of scan.Software.Match.
type Matching = func(sw *inventory.Software, use scan.Use, cluster string) ([]*finding.Finding, []inventory.Gap, string)

// Match puts one inventory after another against a database. What two images share is matched once. inferred also asks related
// systems for those without advisory data. The result may be used by several scans at once.
func Match(db match.Lookup, o match.Options, inferred bool) Matching {
	var mu sync.Mutex
	matchers := map[string]*match.Matcher{}
	return func(sw *inventory.Software, use scan.Use, cluster string) ([]*finding.Finding, []inventory.Gap, string) {
		options, key := o, ""
		if inferred && sw.OS != nil {
			options.Inferred = related(sw.OS)
			key = strings.Join(options.Inferred, ",")
		}
		mu.Lock()
		m := matchers[key]
		if m == nil {
			m = match.NewMatcher(db, options)
			matchers[key] = m
		}
		mu.Unlock()
		result := m.Match(sw)
		at := match.Place{Cluster: cluster, Workloads: use.Workloads, Exposed: use.Exposed}
		if sw.Kind == "node" {
			at.Node = sw.Name
		}
		if sw.Image != nil {
			user, _, _ := strings.Cut(sw.Image.User, ":")
			at.Root = user == "" || user == "0" || user == "root"
		}
		list := m.Findings(sw, &result, at)
		out := make([]*finding.Finding, len(list))
		for i := range list {
			out[i] = &list[i]
			if use.Variant != "" {
				out[i].Fingerprint = finding.Identity{RuleID: out[i].Fingerprint, Item: use.Variant}.Fingerprint()
			}
		}
		eol := ""
		if result.Lifecycle != nil {
			eol = result.Lifecycle.EOL
		}
		return out, result.Gaps, eol
	}
}

// related names the streams of the system that another one was made from: the versions of its packages are upstream's in both.
// After the vendors' own words on what their releases are based on.
func related(os *inventory.OS) []string {
	based := func(id, version string) string {
		switch id {
		case "hce":
			return "openeuler 22.03-LTS"
		case "ctyunos":
			return "openeuler 22.03-LTS"
		case "kylin":
			return "openeuler 20.03-LTS"
		case "uos":
			switch {
			case strings.Contains(version, "20a"):
				return "anolis 8"
			case strings.Contains(version, "20e"):
				return "openeuler 20.03-LTS"
			}
			return "debian 10"
		}
		return ""
	}
	version := os.VersionID
	for _, s := range os.Streams {
		if strings.HasPrefix(s, os.ID+" ") {
			version = s
		}
	}
	if s := based(os.ID, version); s != "" {
		return []string{s}
	}
	return nil
}
