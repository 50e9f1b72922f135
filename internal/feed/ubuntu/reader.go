package ubuntu

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
)

// Reader reads the JSON of Ubuntu's own services: pages of CVEs and of notices (ubuntu.com/security/cves.json, notices.json)
// and the database of notices (usn.ubuntu.com/usn-db/database-all.json). Packages are source packages.
var Reader = feed.Reader{Name: "ubuntu-json", Knows: knows, Read: read}

const (
	cveFeed    = "ubuntu-cve"
	noticeFeed = "ubuntu-usn"
)

var numbered = regexp.MustCompile(`^\s*\{\s*"\d+-\d+"\s*:\s*\{`)

func knows(_ string, head []byte) bool {
	keys, list := feed.Keys(head)
	switch {
	case keys == nil || list || len(keys) == 0:
		return false
	case keys[0] == "notices":
		return bytes.Contains(head, []byte(`"cves_ids"`)) || bytes.Contains(head, []byte(`"release_packages"`))
	case keys[0] == "cves":
		return bytes.Contains(head, []byte(`"notices_ids"`)) || bytes.Contains(head, []byte(`"codename"`))
	}
	return numbered.Match(head)
}

func read(_ context.Context, d feed.Document, s feed.Sink) error {
	dec := json.NewDecoder(d.Body)
	err := notation.Members(dec, func(key string) error {
		switch {
		case key == "cves":
			return notation.Elements(dec, func() error {
				var c vulnerability
				if err := dec.Decode(&c); err != nil {
					return err
				}
				return c.put(s)
			})
		case key == "notices":
			return notation.Elements(dec, func() error {
				var n notice
				if err := dec.Decode(&n); err != nil {
					return err
				}
				return n.put(s)
			})
		case key != "" && key[0] >= '0' && key[0] <= '9':
			var u usn
			if err := dec.Decode(&u); err != nil {
				return err
			}
			return u.put("USN-"+key, s)
		}
		return notation.Skip(dec)
	})
	if err != nil {
		return fmt.Errorf("ubuntu: byte %d: %w", dec.InputOffset(), err)
	}
	return nil
}

// vulnerability is an entry of the pages of CVEs.
type vulnerability struct {
	ID          string `json:"id"`
	Description string `json:"description"`
	Priority    string `json:"priority"`
	Published   string `json:"published"`
	Packages    []struct {
		Name     string `json:"name"`
		Statuses []struct {
			Release     string `json:"release_codename"`
			Status      string `json:"status"`
			Description string `json:"description"`
			Pocket      string `json:"pocket"`
		} `json:"statuses"`
	} `json:"packages"`
}

func (c *vulnerability) put(s feed.Sink) error {
	s.Record(cveFeed)
	if !notation.IsCVE(c.ID) {
		s.Refused(cveFeed, c.ID, "no CVE id")
		return nil
	}
	published := notation.Time(c.Published)
	err := s.Vulnerability(advisory.Vulnerability{
		ID: c.ID, Feed: cveFeed, Description: strings.TrimSpace(c.Description), Severity: notation.Severity(c.Priority), Published: published,
	})
	if err != nil {
		return err
	}
	for _, p := range c.Packages {
		for _, st := range p.Statuses {
			if st.Release == "upstream" || st.Status == "DNE" {
				continue // says nothing of a release: it does not have the package
			}
			stream, ok := Codename(st.Release)
			if !ok {
				s.Refused(cveFeed, c.ID, "release without a stream")
				continue
			}
			row := advisory.Row{
				Feed: cveFeed, Stream: stream, Package: p.Name, IDs: []string{c.ID}, Published: published, Severity: notation.Severity(c.Priority),
				Scheme: advisory.Deb, Reason: strings.TrimSpace(st.Description),
			}
			if !settle(&row, st.Status, st.Pocket) {
				s.Refused(cveFeed, c.ID, "status is not known")
				continue
			}
			if err := s.Row(row); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle sets the state; the description is the version when a fix is released, the reason otherwise.
func settle(row *advisory.Row, status, pocket string) bool {
	switch {
	case strings.HasPrefix(pocket, "esm"):
		row.Subscription = "ESM"
	case strings.HasPrefix(pocket, "fips"):
		row.Subscription, row.Flavor = "Pro", "fips"
	case pocket == "realtime":
		row.Subscription = "Pro"
	}
	switch status {
	case "released":
		if row.Reason == "" || strings.ContainsRune(row.Reason, ' ') {
			row.State = advisory.Affected // no version is told
			return true
		}
		row.Ranges, row.Reason = []advisory.Range{{Fixed: row.Reason}}, ""
		if ESM(row.Ranges[0].Fixed) && row.Subscription == "" {
			row.Subscription = "ESM"
		}
	case "needed", "pending", "active":
		row.State = advisory.Affected
	case "needs-triage", "in-triage":
		row.State = advisory.Investigating
	case "deferred":
		row.State = advisory.Deferred
	case "not-affected":
		row.State = advisory.NotAffected
	case "ignored":
		row.State = advisory.WillNotFix
		if lower := strings.ToLower(row.Reason); strings.Contains(lower, "end of life") || strings.Contains(lower, "end of standard support") ||
			strings.Contains(lower, "out of standard support") {
			row.State = advisory.EndOfLife
		}
	default:
		return false
	}
	return true
}

// notice is an entry of the pages of notices.
type notice struct {
	ID        string   `json:"id"`
	CVEs      []string `json:"cves_ids"`
	Published string   `json:"published"`
	Title     string   `json:"title"`
	Packages  map[string][]struct {
		Source  bool   `json:"is_source"`
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"release_packages"`
}

func (n *notice) put(s feed.Sink) error {
	s.Record(noticeFeed)
	sources := 0
	defer func() {
		if sources == 0 {
			s.Refused(noticeFeed, n.ID, "no source package")
		}
	}()
	for _, code := range slices.Sorted(maps.Keys(n.Packages)) {
		for _, p := range n.Packages[code] {
			if !p.Source {
				continue
			}
			sources++
			if err := put(n.ID, code, p.Name, p.Version, notation.Time(n.Published), n.CVEs, false, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// usn is a notice of the database.
type usn struct {
	CVEs     []string `json:"cves"`
	Releases map[string]struct {
		Sources map[string]struct {
			Version string `json:"version"`
		} `json:"sources"`
		Binaries map[string]struct {
			Pocket string `json:"pocket"` // "security", "esm-infra", "esm-apps"
		} `json:"allbinaries"`
	} `json:"releases"`
}

func (u *usn) put(id string, s feed.Sink) error {
	s.Record(noticeFeed)
	for _, code := range slices.Sorted(maps.Keys(u.Releases)) {
		sources := u.Releases[code].Sources
		pro := false // a notice comes from one pocket in each release
		for _, b := range u.Releases[code].Binaries {
			pro = pro || strings.HasPrefix(b.Pocket, "esm")
		}
		for _, name := range slices.Sorted(maps.Keys(sources)) {
			if err := put(id, code, name, sources[name].Version, "", u.CVEs, pro, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// put writes what a notice fixes in one release.
func put(id, code, name, version, published string, cves []string, pro bool, s feed.Sink) error {
	stream, ok := Codename(code)
	switch {
	case !ok:
		s.Refused(noticeFeed, id, "release without a stream")
		return nil
	case version == "":
		s.Refused(noticeFeed, id, "no fixed version")
		return nil
	}
	row := advisory.Row{
		Feed: noticeFeed, Stream: stream, Package: name, IDs: notation.CVEs(cves...), Advisory: id, Published: published, Scheme: advisory.Deb,
		Ranges: []advisory.Range{{Fixed: version}},
	}
	if len(row.IDs) == 0 {
		row.IDs = []string{id}
	}
	if pro || ESM(version) {
		row.Subscription = "ESM"
	}
	return s.Row(row)
}
