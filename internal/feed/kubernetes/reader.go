package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
)

// Reader reads the official CVE feed (kubernetes.io/docs/reference/issues-security/official-cve-feed/index.json): ids, titles
// and texts. It has no ranges, so no rows come of it.
var Reader = feed.Reader{
	Name: "kubernetes-json",
	Knows: func(_ string, head []byte) bool {
		keys, list := feed.Keys(head)
		return !list && slices.Contains(keys, "_kubernetes_io")
	},
	Read: read,
}

const name = "kubernetes-json"

type item struct {
	ID        string `json:"id"`
	Summary   string `json:"summary"`
	Content   string `json:"content_text"`
	URL       string `json:"url"`
	External  string `json:"external_url"`
	Published string `json:"date_published"`
}

func read(_ context.Context, d feed.Document, s feed.Sink) error {
	dec := json.NewDecoder(d.Body)
	newest := ""
	err := notation.Members(dec, func(key string) error {
		if key != "items" {
			return notation.Skip(dec)
		}
		return notation.Elements(dec, func() error {
			var i item
			if err := dec.Decode(&i); err != nil {
				return err
			}
			s.Record(name)
			ids := notation.CVEs(i.ID)
			if len(ids) == 0 {
				s.Refused(name, i.ID, "no CVE id")
				return nil
			}
			newest = notation.Newest(newest, notation.Time(i.Published))
			for _, id := range ids {
				v := advisory.Vulnerability{ID: id, Feed: name, Title: i.Summary, Description: i.Content, Published: notation.Time(i.Published)}
				for _, u := range []string{i.URL, i.External} {
					v.References = notation.Add(v.References, u)
				}
				if err := s.Vulnerability(v); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if newest != "" {
		s.Modified(name, newest)
	}
	if err != nil {
		return fmt.Errorf("kubernetes: byte %d: %w", dec.InputOffset(), err)
	}
	return nil
}
