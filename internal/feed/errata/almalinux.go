package errata

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
)

// alma is one entry of https://errata.almalinux.org/8/errata.full.json. Unlike AlmaLinux's OSV it names module streams.
type alma struct {
	ID         string  `json:"id"`
	Issued     float64 `json:"issued_date"` // seconds
	Updated    float64 `json:"updated_date"`
	Severity   string  `json:"severity"`
	Title      string  `json:"title"`
	Text       string  `json:"description"`
	Type       string  `json:"type"`
	References []struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		Href string `json:"href"`
	} `json:"references"`
	Packages []struct {
		Name    string `json:"name"`
		Epoch   string `json:"epoch"`
		Version string `json:"version"`
		Release string `json:"release"`
		Arch    string `json:"arch"`
		Source  string `json:"src"`
	} `json:"packages"`
	Modules []struct {
		Name   string `json:"name"`
		Stream string `json:"stream"`
	} `json:"modules"`
}

const almaFeed = "almalinux-errata"

func readAlma(ctx context.Context, d feed.Document, s feed.Sink) error {
	dec := json.NewDecoder(notation.Bounded(d.Body, notation.MaxDocument))
	err := notation.Members(dec, func(name string) error {
		if name != "data" {
			return notation.Skip(dec)
		}
		return notation.Elements(dec, func() error {
			var a alma
			err := dec.Decode(&a)
			s.Record(almaFeed)
			if err != nil && shape(err) {
				s.Refused(almaFeed, a.ID, "entry of another shape")
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

var elTag = regexp.MustCompile(`[._]el(\d+)`)

// seconds turns a time of Unix, as JSON has it, into RFC 3339.
func seconds(f float64) string {
	if !(f > 0 && f < 1<<40) {
		return ""
	}
	return time.Unix(int64(f), 0).UTC().Format(time.RFC3339)
}

func (a *alma) rows(s feed.Sink) error {
	if date := seconds(max(a.Updated, a.Issued)); date != "" {
		s.Modified(almaFeed, date)
	}
	e := erratum{feed: almaFeed, id: a.ID, severity: notation.Severity(a.Severity), published: seconds(a.Issued)}
	for _, r := range a.References {
		if r.Type == "cve" {
			for _, id := range notation.CVEs(r.ID) {
				e.cves = append(e.cves, id)
			}
		}
	}
	switch {
	case a.ID == "":
		s.Refused(almaFeed, a.Title, "no id")
		return nil
	case !strings.HasPrefix(a.ID, "ALSA-") && len(e.cves) == 0:
		s.Refused(almaFeed, a.ID, "no security update")
		return nil
	}
	for _, id := range e.cves {
		v := advisory.Vulnerability{ID: id, Feed: almaFeed, References: []string{"https://errata.almalinux.org/" + strings.ReplaceAll(a.ID, ":", "-")}}
		if len(e.cves) == 1 {
			v.Title, v.Description, v.Severity, v.Published = a.Title, a.Text, e.severity, e.published
		}
		v.References = v.References[:0]
		for _, r := range a.References {
			if r.Type == "self" || strings.Contains(r.Href, id) {
				v.References = notation.Add(v.References, r.Href)
			}
		}
		if err := s.Vulnerability(v); err != nil {
			return err
		}
	}
	module := a.module()
	refused := false
	for i := range a.Packages {
		p := &a.Packages[i]
		m := elTag.FindStringSubmatch("." + p.Release)
		if m == nil || p.Name == "" || p.Version == "" {
			if !refused {
				refused = true
				s.Refused(almaFeed, a.ID, "release not found")
			}
			continue
		}
		if e.stream == "" {
			e.stream = "almalinux " + m[1]
		}
		evr := notation.EVR(p.Epoch, p.Version, p.Release)
		out := pack{name: p.Name, evr: evr, arch: p.Arch}
		if modular(evr) {
			if module == "" {
				if !refused {
					refused = true
					s.Refused(almaFeed, a.ID, "module stream not named")
				}
				continue
			}
			out.module = module
		}
		e.packs = append(e.packs, out)
		if name, version, _, ok := notation.NEVRA(p.Source); ok && version == p.Version+"-"+p.Release {
			e.packs = append(e.packs, pack{name: name, evr: evr, arch: "src", module: out.module, source: true})
		}
	}
	if e.stream == "" {
		return nil
	}
	return e.rows(s)
}

// module is the one stream that an erratum is for; "" when it names none, or several: some list what was rebuilt later.
func (a *alma) module() string {
	var found []string
	for _, m := range a.Modules {
		if name := strings.TrimSuffix(m.Name, "-devel"); name != "" && m.Stream != "" && name+":"+m.Stream != "" {
			if full := name + ":" + m.Stream; !slices.Contains(found, full) {
				found = append(found, full)
			}
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	return ""
}
