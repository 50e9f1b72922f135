// Package operator reads an operator's own advisories from a CSV table: the way in for systems whose publisher has no feed,
// such as EulerOS, Kylin and UOS.
//
// The first line names the columns: id, os, release, src, bin, fixed, cves, severity, date; arch, module and state may be
// added. Lists within a column are separated by blanks or semicolons. Src or bin must be filled: with both, only the binary
// packages bin of the source package src are meant. An empty fixed says that there is no fix yet.
package operator

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/notation"
)

// Reader reads such tables.
var Reader = feed.Reader{Name: "operator-csv", Knows: knows, Read: read}

const name = "operator-csv"

var (
	required = []string{"id", "os", "release", "src", "bin", "fixed", "cves", "severity", "date"}
	optional = []string{"arch", "module", "state"}
)

// maxErrors is how many bad lines are told in words; all are counted.
const maxErrors = 20

// maxField is the most that one field may hold: some 4,000 CVE ids.
const maxField = 64 << 10

func knows(p string, head []byte) bool {
	line, _, _ := bytes.Cut(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), []byte("\n"))
	names := strings.Split(strings.ToLower(strings.ReplaceAll(strings.TrimSpace(string(line)), " ", "")), ",")
	for i := range names {
		names[i] = strings.Trim(names[i], `"`)
	}
	// Enough to tell it from other tables; what is missing is an error that names the column.
	return feed.Ext(p) == ".csv" && feed.Has(names, "id", "os", "release") && (slices.Contains(names, "fixed") || slices.Contains(names, "cves"))
}

func read(_ context.Context, d feed.Document, s feed.Sink) error {
	r := csv.NewReader(notation.Bounded(d.Body, notation.MaxDocument))
	r.FieldsPerRecord = -1
	r.TrimLeadingSpace = true
	head, err := r.Read()
	if err != nil {
		return fmt.Errorf("operator's table: %w", err)
	}
	column, err := columns(head)
	if err != nil {
		return err
	}
	var bad []error
	failures := 0
	newest := ""
	for {
		fields, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return errors.Join(append(bad, fmt.Errorf("operator's table: %w", err))...)
		}
		line, _ := r.FieldPos(0)
		if len(fields) == 1 && fields[0] == "" || strings.HasPrefix(fields[0], "#") {
			continue
		}
		s.Record(name)
		e := entry{fields: fields, column: column}
		rows, err := e.rows()
		if err != nil {
			s.Refused(name, e.get("id"), "broken line")
			if failures++; failures <= maxErrors {
				bad = append(bad, fmt.Errorf("operator's table: line %d, %w", line, err))
			}
			continue
		}
		for _, row := range rows {
			newest = notation.Newest(newest, row.Published)
			if err := s.Row(row); err != nil {
				return err
			}
		}
	}
	if newest != "" {
		s.Modified(name, newest)
	}
	if failures > maxErrors {
		bad = append(bad, fmt.Errorf("operator's table: %d more lines are broken", failures-maxErrors))
	}
	return errors.Join(bad...)
}

// columns finds the columns by name.
func columns(head []string) (map[string]int, error) {
	column := map[string]int{}
	for i, h := range head {
		h = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))
		if !slices.Contains(required, h) && !slices.Contains(optional, h) {
			return nil, fmt.Errorf("operator's table: line 1, column %d: %.40q is not known; there are %s, and as you like %s", i+1, h, strings.Join(required, ", "), strings.Join(optional, ", "))
		}
		if _, twice := column[h]; twice {
			return nil, fmt.Errorf("operator's table: line 1, column %d: %s stands twice", i+1, h)
		}
		column[h] = i
	}
	for _, h := range required {
		if _, ok := column[h]; !ok {
			return nil, fmt.Errorf("operator's table: line 1: the column %s is missing", h)
		}
	}
	return column, nil
}

// entry is one line.
type entry struct {
	fields []string
	column map[string]int
}

func (e *entry) get(name string) string {
	if i, ok := e.column[name]; ok && i < len(e.fields) {
		return strings.TrimSpace(e.fields[i])
	}
	return ""
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ';' || r == ',' || r == '\n' || r == '\r' || r == '\t' })
}

func wrong(column, format string, args ...any) error {
	return fmt.Errorf("column %s: "+format, append([]any{column}, args...)...)
}

func (e *entry) rows() ([]advisory.Row, error) {
	if len(e.fields) > len(e.column) {
		return nil, fmt.Errorf("%d columns instead of %d", len(e.fields), len(e.column))
	}
	for i, f := range e.fields {
		if len(f) > maxField {
			return nil, fmt.Errorf("column %d: longer than %d bytes", i+1, maxField)
		}
	}
	row := advisory.Row{Feed: name, Advisory: e.get("id"), Module: e.get("module"), Arches: list(e.get("arch"))}
	if row.Advisory == "" {
		return nil, wrong("id", "is empty")
	}
	system := strings.ToLower(e.get("os"))
	row.Stream = strings.TrimSpace(system + " " + strings.ReplaceAll(e.get("release"), " ", "-"))
	if !advisory.KnownStream(row.Stream) {
		return nil, wrong("release", "%.60q is no system and release that is known (euleros 2.0-SP9, kylin V10-SP1, uos 20e-1060)", row.Stream)
	}
	row.Scheme = scheme(row.Stream)
	for _, c := range list(e.get("cves")) {
		if c = strings.ToUpper(c); !notation.IsCVE(c) {
			return nil, wrong("cves", "%.40q is no CVE id", c)
		}
		row.IDs = notation.Add(row.IDs, c)
	}
	if row.IDs == nil {
		row.IDs = []string{row.Advisory}
	}
	if w := e.get("severity"); w != "" {
		if row.Severity = notation.Severity(w); row.Severity == "" {
			return nil, wrong("severity", "%.40q is none of critical, high, medium, low", w)
		}
	}
	if w := e.get("date"); w != "" {
		if row.Published = notation.Time(w); row.Published == "" {
			return nil, wrong("date", "%.40q is no date such as 2024-05-31", w)
		}
	}
	if err := e.state(&row); err != nil {
		return nil, err
	}
	return e.packages(row)
}

// state reads the fixed version and the state, which follows from it unless it is given.
func (e *entry) state(row *advisory.Row) error {
	fixed := e.get("fixed")
	if row.Scheme == advisory.RPM {
		fixed = notation.Canonical(fixed)
	}
	if strings.ContainsAny(fixed, " ;,") {
		return wrong("fixed", "%.60q is not one version", fixed)
	}
	row.State = advisory.Affected
	if fixed != "" {
		row.State, row.Ranges = advisory.Fixed, []advisory.Range{{Fixed: fixed}}
	}
	if w := e.get("state"); w != "" {
		given := row.State
		if err := given.UnmarshalText([]byte(w)); err != nil {
			return wrong("state", "%.40q is no state", w)
		}
		if (given == advisory.Fixed) != (fixed != "") {
			return wrong("state", "%s and the column fixed do not go together", w)
		}
		row.State = given
	}
	return nil
}

func (e *entry) packages(row advisory.Row) ([]advisory.Row, error) {
	src, bin := list(e.get("src")), list(e.get("bin"))
	switch {
	case len(src) == 0 && len(bin) == 0:
		return nil, wrong("src", "and bin are empty")
	case len(src) > 1:
		return nil, wrong("src", "%d source packages: one a line", len(src))
	case len(src) == 1:
		row.Package, row.Binaries = src[0], bin
		return []advisory.Row{row}, nil
	}
	var rows []advisory.Row
	for _, b := range bin {
		row.Package, row.Binary = b, true
		rows = append(rows, row)
	}
	return rows, nil
}

// scheme returns the order of versions of a system. Kylin and UOS are both: the desktop editions are made of dpkg packages,
// but only UOS says so in its release.
func scheme(stream string) advisory.Scheme {
	system, release, _ := strings.Cut(stream, " ")
	switch system {
	case "debian", "ubuntu":
		return advisory.Deb
	case "uos":
		if strings.HasPrefix(release, "20d") || release == "20" {
			return advisory.Deb
		}
	case "alpine", "wolfi", "chainguard", "minimos":
		return advisory.APK
	case "maven":
		return advisory.Maven
	case "pypi":
		return advisory.PEP440
	case "gem":
		return advisory.Gem
	case "nuget":
		return advisory.NuGet
	case "composer":
		return advisory.Composer
	case "golang":
		return advisory.GoModule
	case "npm", "cargo", "kubernetes", "bitnami":
		return advisory.SemVer
	case "cpe":
		return advisory.Loose
	}
	return advisory.RPM
}
