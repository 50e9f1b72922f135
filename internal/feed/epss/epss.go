// Package epss reads FIRST's exploit prediction scores: CSV of CVE, probability and percentile, with a comment before the
// header that holds the date (first.org/epss/data_stats). Files of 2021 have no comment, the oldest no percentile.
package epss

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
)

// Reader reads a day's scores.
var Reader = feed.Reader{Name: "epss", Knows: knows, Read: read}

const name = "first-epss"

var header = regexp.MustCompile(`(?m)^cve,epss(?:,|\r?$)`)

func knows(_ string, head []byte) bool {
	return header.Match(head) || bytes.HasPrefix(head, []byte("#model_version:"))
}

var dated = regexp.MustCompile(`score_date:(\d{4}-\d{2}-\d{2})`)
var inName = regexp.MustCompile(`(\d{4}-\d{2}-\d{2})\.csv$`)

func read(_ context.Context, d feed.Document, s feed.Sink) error {
	r := csv.NewReader(notation.Bounded(d.Body, notation.MaxDocument))
	r.ReuseRecord = true
	r.FieldsPerRecord = -1
	first, err := r.Read()
	if err != nil {
		return fmt.Errorf("epss: %w", err)
	}
	date := ""
	if m := inName.FindStringSubmatch(d.Path); m != nil {
		date = m[1]
	}
	if strings.HasPrefix(first[0], "#") {
		if m := dated.FindStringSubmatch(strings.Join(first, ",")); m != nil {
			date = m[1]
		}
		if first, err = r.Read(); err != nil {
			return fmt.Errorf("epss: %w", err)
		}
	}
	if len(first) < 2 || first[0] != "cve" || first[1] != "epss" {
		return errors.New("epss: line of names is not cve,epss,percentile")
	}
	for {
		line, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("epss: %w", err)
		}
		s.Record(name)
		id := strings.Clone(line[0])
		if !notation.IsCVE(id) || len(line) < 2 {
			s.Refused(name, id, "no CVE id")
			continue
		}
		score, ok := share(line[1])
		percentile := 0.0
		if ok && len(line) > 2 {
			percentile, ok = share(line[2])
		}
		if !ok {
			s.Refused(name, id, "score is not between 0 and 1")
			continue
		}
		v := advisory.Vulnerability{ID: id, Feed: name, EPSS: &advisory.EPSS{Score: score, Percentile: percentile, Date: date}}
		if err := s.Vulnerability(v); err != nil {
			return err
		}
	}
	if m := notation.Time(date); m != "" {
		s.Modified(name, m)
	}
	return nil
}

func share(s string) (float64, bool) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return f, err == nil && f >= 0 && f <= 1
}
