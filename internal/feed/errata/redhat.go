package errata

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
	"stockade.dev/stockade/internal/feed/redhat"
)

// hydra is one page of https://access.redhat.com/hydra/rest/securitydata/cve/<id>.json.
type hydra struct {
	Name     string   `json:"name"`
	Severity string   `json:"threat_severity"`
	Public   string   `json:"public_date"`
	CWE      string   `json:"cwe"`
	Details  []string `json:"details"`
	Bug      struct {
		Text string `json:"description"`
		URL  string `json:"url"`
	} `json:"bugzilla"`
	V2 struct {
		Base   string `json:"cvss_base_score"`
		Vector string `json:"cvss_scoring_vector"`
	} `json:"cvss"`
	V3 struct {
		Base   string `json:"cvss3_base_score"`
		Vector string `json:"cvss3_scoring_vector"`
	} `json:"cvss3"`
	Releases []struct {
		Date     string `json:"release_date"`
		Advisory string `json:"advisory"`
		CPE      string `json:"cpe"`
		Package  string `json:"package"`
	} `json:"affected_release"`
	States []struct {
		State   string `json:"fix_state"`
		Package string `json:"package_name"`
		CPE     string `json:"cpe"`
	} `json:"package_state"`
}

const hydraFeed = "redhat-hydra"

var cwe = regexp.MustCompile(`CWE-\d+`)

func readHydra(_ context.Context, d feed.Document, s feed.Sink) error {
	var h hydra
	if err := notation.JSON(d.Body, &h); err != nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	s.Record(hydraFeed)
	id := strings.ToUpper(h.Name)
	if !notation.IsCVE(id) {
		s.Refused(hydraFeed, h.Name, "no CVE id")
		return nil
	}
	v := advisory.Vulnerability{ID: id, Feed: hydraFeed, Title: strings.TrimSpace(h.Bug.Text), Description: strings.TrimSpace(strings.Join(h.Details, "\n")), Severity: notation.Severity(h.Severity), Published: notation.Time(h.Public)}
	for _, c := range [][2]string{{h.V3.Base, h.V3.Vector}, {h.V2.Base, h.V2.Vector}} {
		if base, err := strconv.ParseFloat(c[0], 64); err == nil && base > 0 && base <= 10 {
			v.CVSS = append(v.CVSS, advisory.CVSS{Vector: c[1], Score: base, Source: "redhat"})
		}
	}
	for _, w := range cwe.FindAllString(h.CWE, 8) {
		v.CWEs = notation.Add(v.CWEs, w)
	}
	v.References = notation.Add(nil, h.Bug.URL)
	if err := s.Vulnerability(v); err != nil {
		return err
	}
	base := advisory.Row{Feed: hydraFeed, IDs: []string{id}, Severity: v.Severity, CVSS: v.CVSS, Scheme: advisory.RPM, Published: v.Published}
	refused := map[string]bool{}
	refuse := func(record, reason string) {
		if !refused[record+reason] {
			refused[record+reason] = true
			s.Refused(hydraFeed, id+" "+record, reason)
		}
	}
	var fixes []*advisory.Row
	for _, r := range h.Releases {
		row := base
		name, evr, _, ok := notation.NEVRA(r.Package)
		if strings.Contains(r.Package, ":") && !ok || modular(r.Package) || strings.Contains(r.Package, "/") || r.Package == "" {
			// "nodejs:12-8020020200326104117.4cda2c84": the module as a whole; its packages are in the advisory only.
			refuse(r.CPE, "module or product without a package")
			continue
		}
		if row.Stream, row.Subscription, ok = redhat.Product(r.CPE); !ok {
			refuse(r.CPE, "product not covered")
			continue
		}
		if name == "" || evr == "" {
			refuse(r.Package, "package name not understood")
			continue
		}
		date := notation.Time(r.Date)
		if date != "" {
			s.Modified(hydraFeed, date)
		}
		row.Package, row.CPE, row.Advisory, row.Published = name, r.CPE, r.Advisory, cmp.Or(date, row.Published)
		row.Ranges = []advisory.Range{{Fixed: evr}}
		fixes = append(fixes, &row)
	}
	redhat.Branches(fixes)
	for _, row := range fixes {
		if err := s.Row(*row); err != nil {
			return err
		}
	}
	for _, p := range h.States {
		row := base
		var ok bool
		if row.Stream, row.Subscription, ok = redhat.Product(p.CPE); !ok {
			refuse(p.CPE, "product not covered")
			continue
		}
		row.Package, row.CPE = strings.TrimSpace(p.Package), p.CPE
		if module, name, cut := strings.Cut(p.Package, "/"); cut {
			row.Module, row.Package = redhat.ModuleStream(module), name // "nodejs:16/nodejs"
			if row.Module == "" {
				refuse(p.Package, "component is no package")
				continue
			}
		}
		if row.Package == "" || strings.Contains(row.Package, ":") {
			refuse(p.Package, "component is no package")
			continue
		}
		if row.State, ok = fixState(p.State); !ok {
			refuse(p.State, "unknown fix state")
			continue
		}
		if row.State != advisory.Affected && row.State != advisory.Investigating && row.State != advisory.NotAffected {
			row.Reason = p.State
		}
		if err := s.Row(row); err != nil {
			return err
		}
	}
	return nil
}

func fixState(s string) (advisory.State, bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "affected", "fix in progress", "new":
		return advisory.Affected, true
	case "will not fix":
		return advisory.WillNotFix, true
	case "fix deferred":
		return advisory.Deferred, true
	case "out of support scope":
		return advisory.EndOfLife, true
	case "under investigation":
		return advisory.Investigating, true
	case "not affected":
		return advisory.NotAffected, true
	}
	return 0, false
}
