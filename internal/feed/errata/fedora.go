package errata

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/fedora"
	"stockade.dev/stockade/internal/feed/notation"
)

// bodhi is one update of https://bodhi.fedoraproject.org/updates/.
type bodhi struct {
	Alias    string `json:"alias"`
	Title    string `json:"title"`
	Display  string `json:"display_name"`
	Notes    string `json:"notes"`
	Type     string `json:"type"`
	Status   string `json:"status"`
	Severity string `json:"severity"`
	Stable   string `json:"date_stable"`
	Pushed   string `json:"date_pushed"`
	URL      string `json:"url"`
	Release  struct {
		Name string `json:"name"`
	} `json:"release"`
	Bugs []struct {
		Title string `json:"title"`
	} `json:"bugs"`
	Builds []struct {
		NVR   string          `json:"nvr"`
		Type  string          `json:"type"`
		Epoch json.RawMessage `json:"epoch"`
	} `json:"builds"`
}

const fedoraFeed = "fedora-errata"

// readFedora reads one update, a list of them, or a page of the API with them in "updates".
func readFedora(ctx context.Context, d feed.Document, s feed.Sink) error {
	body := bufio.NewReader(notation.Bounded(d.Body, notation.MaxDocument))
	head, _ := body.Peek(512)
	dec := json.NewDecoder(body)
	list := func() error {
		return notation.Elements(dec, func() error {
			var u bodhi
			err := dec.Decode(&u)
			if err != nil && !shape(err) {
				return err
			}
			s.Record(fedoraFeed)
			if err != nil {
				s.Refused(fedoraFeed, u.Alias, "entry of another shape")
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			return u.rows(s)
		})
	}
	var err error
	if head = bytes.TrimLeft(head, " \t\r\n"); len(head) > 0 && head[0] == '[' {
		err = list()
	} else {
		var u struct {
			bodhi
			Updates []bodhi `json:"updates"`
		}
		if err = dec.Decode(&u); err == nil {
			if u.Alias != "" {
				u.Updates = append(u.Updates, u.bodhi)
			}
			for i := range u.Updates {
				s.Record(fedoraFeed)
				if err = u.Updates[i].rows(s); err != nil {
					break
				}
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%s: byte %d: %w", d.Path, dec.InputOffset(), err)
	}
	return nil
}

func (u *bodhi) rows(s feed.Sink) error {
	published := notation.Time(u.Pushed)
	if published == "" {
		published = notation.Time(u.Stable)
	}
	if published != "" {
		s.Modified(fedoraFeed, published)
	}
	texts := []string{u.Title, u.Display}
	for _, b := range u.Bugs {
		texts = append(texts, b.Title)
	}
	e := erratum{feed: fedoraFeed, id: u.Alias, severity: notation.Severity(u.Severity), published: published, cves: notation.CVEs(append(texts, u.Notes)...)}
	stream, ok := fedora.Stream(u.Release.Name)
	switch {
	case u.Type != "security":
		s.Refused(fedoraFeed, u.Alias, "no security update")
		return nil
	case u.Status != "stable":
		s.Refused(fedoraFeed, u.Alias, "not released")
		return nil
	case u.Alias == "":
		s.Refused(fedoraFeed, u.Title, "no id")
		return nil
	case !ok:
		s.Refused(fedoraFeed, u.Alias, "product not covered")
		return nil
	}
	e.stream = stream
	for _, id := range e.cves {
		v := advisory.Vulnerability{ID: id, Feed: fedoraFeed}
		v.References = notation.Add(nil, u.URL)
		if err := s.Vulnerability(v); err != nil {
			return err
		}
	}
	for _, b := range u.Builds {
		name, evr, _, ok := notation.NEVRA(b.NVR)
		if b.Type != "rpm" || !ok {
			s.Refused(fedoraFeed, u.Alias+" "+b.NVR, "build is no package")
			continue
		}
		if n, err := strconv.Atoi(string(b.Epoch)); err == nil && n > 0 {
			evr = notation.EVR(strconv.Itoa(n), evr, "")
		}
		e.packs = append(e.packs, pack{name: name, evr: evr, arch: "src", source: true})
	}
	return e.rows(s)
}
