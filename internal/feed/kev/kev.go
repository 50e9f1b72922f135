// Package kev reads CISA's catalogue of known exploited vulnerabilities, JSON and CSV
// (cisa.gov/known-exploited-vulnerabilities-catalog).
package kev

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
)

// Reader reads the catalogue.
var Reader = feed.Reader{Name: "kev", Knows: knows, Read: read}

const name = "cisa-kev"

func knows(_ string, head []byte) bool {
	if keys, list := feed.Keys(head); keys != nil {
		return !list && feed.Has(keys, "catalogVersion") && bytes.Contains(head, []byte(`"vulnerabilities"`))
	}
	line, _, _ := bytes.Cut(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), []byte("\n"))
	return bytes.Contains(line, []byte("cveID")) && bytes.Contains(line, []byte("dateAdded")) && bytes.Contains(line, []byte(","))
}

type catalogue struct {
	Released string  `json:"dateReleased"`
	Entries  []entry `json:"vulnerabilities"`
}

type entry struct {
	ID          string   `json:"cveID"`
	Title       string   `json:"vulnerabilityName"`
	Added       string   `json:"dateAdded"`
	Description string   `json:"shortDescription"`
	Action      string   `json:"requiredAction"`
	Due         string   `json:"dueDate"`
	Ransomware  string   `json:"knownRansomwareCampaignUse"`
	CWEs        []string `json:"cwes"`
}

func read(_ context.Context, d feed.Document, s feed.Sink) error {
	if feed.Ext(d.Path) == ".csv" {
		return table(d, s)
	}
	var c catalogue
	if err := notation.JSON(d.Body, &c); err != nil {
		return fmt.Errorf("kev: %w", err)
	}
	for i := range c.Entries {
		if err := c.Entries[i].put(s); err != nil {
			return err
		}
	}
	if m := notation.Time(c.Released); m != "" {
		s.Modified(name, m)
	}
	return nil
}

func (e *entry) put(s feed.Sink) error {
	s.Record(name)
	if !notation.IsCVE(e.ID) {
		s.Refused(name, e.ID, "no CVE id")
		return nil
	}
	return s.Vulnerability(advisory.Vulnerability{
		ID: e.ID, Feed: name, Title: e.Title, Description: e.Description, CWEs: e.CWEs,
		KEV: &advisory.KEV{Added: e.Added, Due: e.Due, Ransomware: strings.EqualFold(e.Ransomware, "known"), Action: e.Action},
	})
}

func table(d feed.Document, s feed.Sink) error {
	r := csv.NewReader(notation.Bounded(d.Body, notation.MaxDocument))
	r.ReuseRecord = true
	head, err := r.Read()
	if err != nil {
		return fmt.Errorf("kev: %w", err)
	}
	column := map[string]int{}
	for i, h := range head {
		column[strings.TrimPrefix(h, "\ufeff")] = i
	}
	if _, ok := column["cveID"]; !ok {
		return errors.New("kev: the first line has no column cveID")
	}
	newest := ""
	for {
		line, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("kev: %w", err)
		}
		get := func(name string) string {
			if i, ok := column[name]; ok && i < len(line) {
				return line[i]
			}
			return ""
		}
		e := entry{ID: get("cveID"), Title: get("vulnerabilityName"), Added: get("dateAdded"), Description: get("shortDescription"),
			Action: get("requiredAction"), Due: get("dueDate"), Ransomware: get("knownRansomwareCampaignUse")}
		for c := range strings.SplitSeq(get("cwes"), ",") {
			e.CWEs = notation.Add(e.CWEs, strings.TrimSpace(c))
		}
		newest = notation.Newest(newest, notation.Time(e.Added))
		if err := e.put(s); err != nil {
			return err
		}
	}
	if newest != "" {
		s.Modified(name, newest)
	}
	return nil
}
