// Package photon knows Photon OS's releases and reads its own CVE metadata, cve_data_photon5.0.json.
package photon

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
)

var release = regexp.MustCompile(`^\d\.\d$`)

// Stream maps "5.0" to its stream.
func Stream(r string) (string, bool) { return "photon " + r, release.MatchString(r) }

const name = "photon-cve"

// Reader reads cve_data_photon<release>.json: a list of CVEs with package, score and fixed version. The release stands in the
// file's name only.
var Reader = feed.Reader{
	Name: name,
	Knows: func(path string, head []byte) bool {
		keys, list := feed.Keys(head)
		return list && feed.Has(keys, "cve_id", "pkg", "res_ver")
	},
	Read: read,
}

var inName = regexp.MustCompile(`photon[-_ ]?(\d\.\d)`)

type entry struct {
	ID       string          `json:"cve_id"`
	Package  string          `json:"pkg"`
	Score    json.RawMessage `json:"cve_score"`
	Affected string          `json:"aff_ver"`
	Fixed    string          `json:"res_ver"`
}

func read(_ context.Context, d feed.Document, s feed.Sink) error {
	file := d.Path[strings.LastIndexByte(d.Path, '/')+1:]
	m := inName.FindStringSubmatch(file)
	if m == nil {
		return fmt.Errorf("photon: the file's name %.60q does not hold the release", file)
	}
	dec := json.NewDecoder(d.Body)
	err := notation.Elements(dec, func() error {
		var e entry
		if err := dec.Decode(&e); err != nil {
			return err
		}
		s.Record(name)
		return e.row("photon "+m[1], s)
	})
	if err != nil {
		return fmt.Errorf("photon: byte %d: %w", dec.InputOffset(), err)
	}
	return nil
}

func (e *entry) row(stream string, s feed.Sink) error {
	if !notation.IsCVE(e.ID) {
		s.Refused(name, e.ID, "no CVE id")
		return nil
	}
	row := advisory.Row{Feed: name, Stream: stream, Package: e.Package, IDs: []string{e.ID}, Scheme: advisory.RPM}
	if score, err := strconv.ParseFloat(strings.Trim(string(e.Score), `"`), 64); err == nil && score > 0 && score <= 10 {
		row.CVSS = []advisory.CVSS{{Score: score, Source: "photon"}}
	}
	switch fixed := notation.Canonical(e.Fixed); fixed {
	case "", "NA": // no fix yet
		row.State = advisory.Affected
	case "Not Affected", "NOT AFFECTED", "0":
		row.State = advisory.NotAffected
	default:
		row.Ranges = []advisory.Range{{Fixed: fixed}}
	}
	return s.Row(row)
}
