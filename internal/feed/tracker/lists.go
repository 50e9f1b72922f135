package tracker

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/debian"
	"stockade.dev/stockade/internal/feed/notation"
)

// Lists reads the text lists. Of the list of CVEs only lines for a named release, and those for unstable as stream
// "debian sid", become rows: what the others mean for a release takes the archive's package lists, which the JSON has
// worked in already.
var Lists = feed.Reader{Name: "debian-lists", Knows: knowsList, Read: readList}

var (
	advisoryHead = regexp.MustCompile(`^\[([^\]]+)\] (D(?:S|L|TS)A-\d+(?:-\d+)?) (.*)$`)
	cveHead      = regexp.MustCompile(`^(CVE-\d{4}-(?:\d{4,19}|XXXX))(?:\s+[\[(](.*?)[\])]?)?\s*$`)
	reference    = regexp.MustCompile(`^\{(.*)\}$`)
	statement    = regexp.MustCompile(`^(?:\[([a-z]+)\] )?- ([A-Za-z0-9][A-Za-z0-9+._-]*)(?:\s+(<[^>]+>|[^\s(<]+))?\s*(?:\((.*)\))?\s*$`)
	anyHead      = regexp.MustCompile(`(?m)^(?:\[[^\]\n]+\] D(?:S|L|TS)A-\d+|CVE-\d{4}-(?:\d{4,}|XXXX)(?: |$))`)
)

func knowsList(p string, head []byte) bool { return path.Base(p) == "list" && anyHead.Match(head) }

// item is the entry that the indented lines belong to.
type item struct {
	feed      string
	id        string // CVE or advisory
	published string
	ids       []string
}

func readList(ctx context.Context, d feed.Document, s feed.Sink) error {
	sc := bufio.NewScanner(d.Body)
	sc.Buffer(make([]byte, 64<<10), 1<<20)
	var at *item
	newest := map[string]string{}
	for line := 1; sc.Scan(); line++ {
		if line%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		text := sc.Text()
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if text[0] != ' ' && text[0] != '\t' {
			if at = head(text); at == nil {
				s.Refused("debian-lists", fmt.Sprintf("line %d", line), "line is no entry")
				continue
			}
			s.Record(at.feed)
			newest[at.feed] = notation.Newest(newest[at.feed], at.published)
			continue
		}
		if at == nil {
			continue // said already of the entry
		}
		if err := at.line(strings.TrimSpace(text), line, s); err != nil {
			return err
		}
	}
	for _, f := range slices.Sorted(maps.Keys(newest)) {
		if newest[f] != "" {
			s.Modified(f, newest[f])
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("debian lists: %w", err)
	}
	return nil
}

func head(text string) *item {
	if m := advisoryHead.FindStringSubmatch(text); m != nil {
		kind, _, _ := strings.Cut(m[2], "-")
		return &item{feed: "debian-" + strings.ToLower(kind), id: m[2], published: day(m[1])}
	}
	if m := cveHead.FindStringSubmatch(text); m != nil {
		at := &item{feed: "debian-cve", id: m[1]}
		if notation.IsCVE(at.id) {
			at.ids = []string{at.id}
		}
		return at
	}
	return nil
}

var ordinal = regexp.MustCompile(`(\d)(?:st|nd|rd|th)\b`)

// day reads "01 Apr 2023" and "August 26th, 2005".
func day(s string) string {
	s = ordinal.ReplaceAllString(strings.TrimSpace(s), "$1")
	for _, layout := range []string{"2 Jan 2006", "2 January 2006", "January 2, 2006", "Jan 2, 2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Format(time.RFC3339)
		}
	}
	return ""
}

// line reads one indented line of an entry.
func (at *item) line(text string, n int, s feed.Sink) error {
	if len(text) > 64<<10 {
		s.Refused(at.feed, at.id, "line is too long")
		return nil
	}
	if m := reference.FindStringSubmatch(text); m != nil {
		if at.feed != "debian-cve" { // there it names the advisories
			for _, id := range notation.CVEs(m[1]) {
				at.ids = notation.Add(at.ids, id)
			}
		}
		return nil
	}
	m := statement.FindStringSubmatch(text)
	if m == nil {
		return nil // NOTE, TODO, RESERVED, NOT-FOR-US: words for people
	}
	code, pkg, what, more := m[1], m[2], m[3], m[4]
	if code == "" {
		code = "sid"
	}
	stream, ok := debian.Codename(code)
	if !ok {
		s.Refused(at.feed, at.id, "release without a stream")
		return nil
	}
	row := advisory.Row{Feed: at.feed, Stream: stream, Package: pkg, IDs: at.ids, Published: at.published, Scheme: advisory.Deb}
	if at.feed != "debian-cve" {
		row.Advisory = at.id
		if len(row.IDs) == 0 {
			row.IDs = []string{at.id}
		}
	}
	if len(row.IDs) == 0 {
		s.Refused(at.feed, fmt.Sprintf("line %d", n), "no CVE id yet")
		return nil
	}
	urgency, _, _ := strings.Cut(more, ";")
	row.Severity = debian.Severity(strings.TrimSpace(urgency))
	if !settle(&row, what, more, strings.TrimSpace(urgency)) {
		s.Refused(at.feed, at.id, "package is not in the archive")
		return nil
	}
	return s.Row(row)
}

// settle sets state and version by what stands after the package.
func settle(row *advisory.Row, what, more, urgency string) bool {
	switch what {
	case "<not-affected>":
		row.State, row.Reason = advisory.NotAffected, more
	case "<unfixed>", "":
		row.State = debian.Unfixed(urgency, "", "")
		if row.State != advisory.Affected {
			row.Reason = urgency
		}
	case "<no-dsa>":
		row.State, row.Reason = advisory.Deferred, more
	case "<postponed>":
		row.State, row.Reason = advisory.Deferred, more
	case "<ignored>":
		row.State, row.Reason = advisory.WillNotFix, more
	case "<end-of-life>":
		row.State, row.Reason = advisory.EndOfLife, more
	case "<undetermined>", "<undecided>":
		row.State = advisory.Investigating
	default:
		if strings.HasPrefix(what, "<") { // removed, itp, not-for-us
			return false
		}
		row.Ranges = []advisory.Range{{Fixed: what}}
	}
	return true
}
