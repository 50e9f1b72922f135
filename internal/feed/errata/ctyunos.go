package errata

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/ctyunos"
	"stockade.dev/stockade/internal/feed/notation"
)

// notice is one answer of https://ctyunos.ctyun.cn/ctadmin/official/support/security-notice/.
type notice struct {
	Number  string `json:"security_notice_no"`
	URL     string `json:"notice_url"`
	Summary string `json:"summary"`
	Subject string `json:"subject"` // says the rating in words: "a security impact of high"
	Product string `json:"affected_product"`
	Date    string `json:"announcement_time"`
	Text    string `json:"description"`
	CVEs    []struct {
		ID string `json:"cve_id"`
	} `json:"cve_list"`
	Files []struct {
		Arch string `json:"arch"`
		List []struct {
			Name    string `json:"file_name"`
			Version string `json:"version"`
		} `json:"list"`
	} `json:"files"`
}

const ctyunosFeed = "ctyunos-errata"

var impact = regexp.MustCompile(`security impact of (\w+)`)

func readCTyunOS(_ context.Context, d feed.Document, s feed.Sink) error {
	var n notice
	if err := notation.JSON(d.Body, &n); err != nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	s.Record(ctyunosFeed)
	published := notation.Time(n.Date)
	if published != "" {
		s.Modified(ctyunosFeed, published)
	}
	e := erratum{feed: ctyunosFeed, id: n.Number, published: published, noEpochs: true} // a system made of openEuler, which leaves them out
	if m := impact.FindStringSubmatch(n.Subject); m != nil {
		e.severity = notation.Severity(m[1])
	}
	for _, c := range n.CVEs {
		for _, id := range notation.CVEs(c.ID) {
			e.cves = append(e.cves, id)
		}
	}
	stream, ok := ctyunos.Stream(n.Product)
	switch {
	case n.Number == "":
		s.Refused(ctyunosFeed, n.Summary, "no id")
		return nil
	case !ok:
		s.Refused(ctyunosFeed, n.Number+" "+n.Product, "product not covered")
		return nil
	}
	e.stream = stream
	for _, id := range e.cves {
		v := advisory.Vulnerability{ID: id, Feed: ctyunosFeed}
		v.References = notation.Add(nil, n.URL)
		if len(e.cves) == 1 {
			v.Title, v.Severity, v.Published = n.Summary, e.severity, published
			v.Description = strings.NewReplacer(`\r\n`, "\n", `\n`, "\n").Replace(n.Text)
		}
		if err := s.Vulnerability(v); err != nil {
			return err
		}
	}
	for _, f := range n.Files {
		for _, file := range f.List {
			name := strings.TrimSpace(file.Name)
			if name == "" || file.Version == "" {
				s.Refused(ctyunosFeed, n.Number, "package without name or version")
				continue
			}
			e.packs = append(e.packs, pack{name: name, evr: notation.Canonical(file.Version), arch: f.Arch, source: f.Arch == "src"})
		}
	}
	if len(e.packs) == 0 {
		s.Refused(ctyunosFeed, n.Number, "no packages")
	}
	return e.rows(s)
}
