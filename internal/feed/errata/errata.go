// Package errata reads advisories that vendors publish in JSON of their own: Rocky's Apollo pages, AlmaLinux's
// errata.full.json, Fedora's Bodhi updates, CTyunOS's security notices and Red Hat's CVE pages (hydra).
package errata

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
)

// Readers reads one vendor's form each.
var Readers = []feed.Reader{
	{Name: "rocky-apollo", Knows: has(`"advisories"`, `"affected_products"`), Read: readRocky},
	{Name: "almalinux-errata", Knows: has(`"schema_version"`, `"issued_date"`, `"ALBA-|"ALSA-|"ALEA-`), Read: readAlma},
	{Name: "fedora-bodhi", Knows: has(`"alias"`, `"FEDORA-`, `"release"|"notes"|"autokarma"`), Read: readFedora},
	{Name: "ctyunos-notice", Knows: has(`"security_notice_no"`), Read: readCTyunOS},
	{Name: "redhat-hydra", Knows: has(`"threat_severity"`, `"bugzilla"|"public_date"`), Read: readHydra},
}

// has returns a Knows that wants each mark, or one of its alternatives, in the head of a JSON document.
func has(marks ...string) func(string, []byte) bool {
	return func(path string, head []byte) bool {
		head = bytes.TrimLeft(head, " \t\r\n\ufeff")
		if len(head) == 0 || head[0] != '{' && head[0] != '[' {
			return false
		}
		for _, m := range marks {
			if !slices.ContainsFunc(strings.Split(m, "|"), func(alternative string) bool { return bytes.Contains(head, []byte(alternative)) }) {
				return false
			}
		}
		return true
	}
}

// shape reports whether an error is about one entry's form only, so that the rest can be read.
func shape(err error) bool {
	return errors.As(err, new(*json.UnmarshalTypeError))
}

// pack is one package of an erratum.
type pack struct {
	name, evr, arch, module string
	source                  bool
}

// erratum is what the forms have in common.
type erratum struct {
	feed, stream, id, severity, published string
	cves                                  []string
	cvss                                  map[string][]advisory.CVSS
	packs                                 []pack
	noEpochs                              bool // versions are written without their epochs
}

// rows writes an erratum. Where source packages are listed they stand for the binaries of their version, or for all when
// there is one of its module.
func (e *erratum) rows(s feed.Sink) error {
	ids := e.cves
	if len(ids) == 0 {
		ids = []string{e.id}
	}
	e.cves = notation.Distinct(e.cves)
	sources := map[string]map[string]bool{} // module to versions
	for _, p := range e.packs {
		if p.source {
			if sources[p.module] == nil {
				sources[p.module] = map[string]bool{}
			}
			sources[p.module][p.evr] = true
		}
	}
	type key struct {
		name, evr, module string
		source            bool
	}
	rows := map[key]*advisory.Row{}
	var order []key
	for _, p := range e.packs {
		if notation.Debug(p.name) {
			continue
		}
		if from := sources[p.module]; !p.source && (len(from) == 1 || from[p.evr]) {
			continue
		}
		k := key{p.name, p.evr, p.module, p.source}
		row := rows[k]
		if row == nil {
			row = &advisory.Row{
				Feed: e.feed, Stream: e.stream, Package: p.name, Binary: !p.source, IDs: ids, Advisory: e.id, Published: e.published,
				Severity: e.severity, State: advisory.Fixed, Scheme: advisory.RPM, NoEpochs: e.noEpochs, Ranges: []advisory.Range{{Fixed: p.evr}}, Module: p.module,
			}
			if len(ids) == 1 {
				row.CVSS = e.cvss[ids[0]]
			}
			if !p.source && p.arch != "" && p.arch != "noarch" {
				row.Arches = []string{p.arch}
			}
			rows[k] = row
			order = append(order, k)
			continue
		}
		if len(row.Arches) > 0 {
			if p.arch == "noarch" || p.arch == "" {
				row.Arches = nil
			} else {
				row.Arches = notation.Add(row.Arches, p.arch)
			}
		}
	}
	for _, k := range order {
		slices.Sort(rows[k].Arches)
		if err := s.Row(*rows[k]); err != nil {
			return err
		}
	}
	return nil
}

// modular reports whether a version was built in a module, so that its stream must be known.
func modular(evr string) bool {
	return strings.Contains(evr, ".module+") || strings.Contains(evr, ".module_")
}
