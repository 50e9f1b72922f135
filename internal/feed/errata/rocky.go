package errata

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
	"stockade.dev/stockade/internal/feed/rocky"
)

// apollo is one advisory of https://apollo.build.resf.org/api/v3/advisories.
type apollo struct {
	Name      string `json:"name"`
	Synopsis  string `json:"synopsis"`
	Text      string `json:"description"`
	Kind      string `json:"kind"`
	Severity  string `json:"severity"`
	Published string `json:"published_at"`
	Updated   string `json:"updated_at"`
	CVEs      []struct {
		ID     string `json:"cve"`
		Vector string `json:"cvss3_scoring_vector"`
		Base   string `json:"cvss3_base_score"`
		CWE    string `json:"cwe"`
	} `json:"cves"`
	Packages []struct {
		NEVRA   string `json:"nevra"`
		Module  string `json:"module_name"`
		Stream  string `json:"module_stream"`
		Product string `json:"product_name"`
	} `json:"packages"`
}

const rockyFeed = "rocky-errata"

func readRocky(ctx context.Context, d feed.Document, s feed.Sink) error {
	dec := json.NewDecoder(notation.Bounded(d.Body, notation.MaxDocument))
	err := notation.Members(dec, func(name string) error {
		if name != "advisories" {
			return notation.Skip(dec)
		}
		return notation.Elements(dec, func() error {
			var a apollo
			err := dec.Decode(&a)
			s.Record(rockyFeed)
			if err != nil && shape(err) {
				s.Refused(rockyFeed, a.Name, "entry of another shape")
				return nil
			}
			if err == nil {
				err = a.rows(s)
			}
			if err == nil {
				err = ctx.Err()
			}
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("%s: byte %d: %w", d.Path, dec.InputOffset(), err)
	}
	return nil
}

func (a *apollo) rows(s feed.Sink) error {
	if date := notation.Time(a.Updated); date != "" {
		s.Modified(rockyFeed, date)
	}
	if a.Name == "" {
		s.Refused(rockyFeed, a.Synopsis, "no id")
		return nil
	}
	e := erratum{feed: rockyFeed, id: a.Name, severity: notation.Severity(a.Severity), published: notation.Time(a.Published), cvss: map[string][]advisory.CVSS{}}
	for _, c := range a.CVEs {
		if !notation.IsCVE(c.ID) {
			continue
		}
		e.cves = append(e.cves, c.ID)
		v := advisory.Vulnerability{ID: c.ID, Feed: rockyFeed, References: []string{"https://errata.rockylinux.org/" + a.Name}}
		if score, err := strconv.ParseFloat(c.Base, 64); err == nil && score > 0 && score <= 10 {
			v.CVSS = []advisory.CVSS{{Vector: c.Vector, Score: score, Source: "rocky"}}
			e.cvss[c.ID] = v.CVSS
		}
		if strings.HasPrefix(c.CWE, "CWE-") {
			v.CWEs = []string{c.CWE}
		}
		if len(a.CVEs) == 1 {
			v.Title, v.Description, v.Severity, v.Published = a.Synopsis, a.Text, e.severity, e.published
		}
		if err := s.Vulnerability(v); err != nil {
			return err
		}
	}
	if a.Kind != "Security" && len(e.cves) == 0 {
		s.Refused(rockyFeed, a.Name, "no security update")
		return nil
	}
	byStream := map[string][]pack{}
	var streams []string
	for _, p := range a.Packages {
		// "Rocky Linux 8.4 aarch64 (Legacy)" repeats what was for releases that the vault keeps.
		stream, ok := rocky.Stream(strings.TrimSuffix(p.Product, " (Legacy)"))
		if !ok {
			s.Refused(rockyFeed, a.Name+" "+p.Product, "product not covered")
			continue
		}
		name, evr, arch, ok := notation.NEVRA(p.NEVRA)
		if !ok {
			s.Refused(rockyFeed, a.Name+" "+p.NEVRA, "package name not understood")
			continue
		}
		out := pack{name: name, evr: evr, arch: arch, source: arch == "src"}
		if p.Module != "" {
			out.module = p.Module + ":" + p.Stream
		} else if modular(evr) {
			s.Refused(rockyFeed, a.Name+" "+p.NEVRA, "module stream not named")
			continue
		}
		if _, seen := byStream[stream]; !seen {
			streams = append(streams, stream)
		}
		byStream[stream] = append(byStream[stream], out)
	}
	for _, stream := range streams {
		e.stream, e.packs = stream, byStream[stream]
		if err := e.rows(s); err != nil {
			return err
		}
	}
	return nil
}
