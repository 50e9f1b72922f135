package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
)

// How many vulnerabilities the forms for people list of an image: nearly all when a few images were scanned, the worst when
// there are many. The other forms hold all of them.
const (
	fewImages    = 4
	rowsOfFew    = 2000
	rowsOfMany   = 8
	widestColumn = 44
)

// vulnerabilities gathers vulnerable packages by the image (or node, or file) that holds them.
type vulnerabilities struct {
	byName map[string]*imageGroup
	order  []*imageGroup
}

type imageGroup struct {
	name, digest string
	core         string // core component that runs it
	workloads    int
	counts       map[string]map[finding.Severity]int // by type: system, application, binary
	total        int
	rows         []vulnRow
}

type vulnRow struct {
	severity              finding.Severity
	id, pkg, version, fix string
	state, kind           string
	kev                   bool
	score                 int
}

func (v *vulnerabilities) add(f *finding.Finding) {
	name := cmp.Or(f.Resource.Image, f.Resource.Node, f.Resource.File, f.Resource.Name)
	key := name + " " + f.Resource.Digest
	if v.byName == nil {
		v.byName = map[string]*imageGroup{}
	}
	g := v.byName[key]
	if g == nil {
		g = &imageGroup{name: name, digest: f.Resource.Digest, counts: map[string]map[finding.Severity]int{}}
		v.byName[key] = g
		v.order = append(v.order, g)
	}
	d := f.Vulnerability
	if g.counts[d.Type] == nil {
		g.counts[d.Type] = map[finding.Severity]int{}
	}
	g.counts[d.Type][f.Severity]++
	g.total++
	g.workloads = max(g.workloads, len(f.Resource.Workloads))
	row := vulnRow{f.Severity, d.ID, d.Package, d.Version, d.FixedVersion, d.State, d.Type, d.KEV, 0}
	if f.Priority != nil {
		row.score = f.Priority.Score
	}
	g.rows = append(g.rows, row)
	if most := v.most(); len(g.rows) >= 2*most {
		g.cut(most)
	}
}

func (v *vulnerabilities) most() int {
	if len(v.order) <= fewImages {
		return rowsOfFew
	}
	return rowsOfMany
}

// cut keeps the worst rows.
func (g *imageGroup) cut(most int) {
	slices.SortStableFunc(g.rows, func(a, b vulnRow) int {
		kev := func(r vulnRow) int {
			if r.kev {
				return 1
			}
			return 0
		}
		return cmp.Or(b.severity.Rank()-a.severity.Rank(), kev(b)-kev(a), b.score-a.score, cmp.Compare(a.pkg, b.pkg), cmp.Compare(b.id, a.id))
	})
	g.rows = g.rows[:min(len(g.rows), most)]
}

// settle sorts images: core components first, then by their worst.
func (v *vulnerabilities) settle(target finding.Target) {
	for _, c := range target.Components {
		for _, g := range v.order {
			if c.Image != "" && g.name == c.Image {
				g.core = c.Name
			}
		}
	}
	worst := func(g *imageGroup) (n [5]int) {
		for _, by := range g.counts {
			for i, s := range finding.Severities {
				n[i] += by[s]
			}
		}
		return n
	}
	slices.SortStableFunc(v.order, func(a, b *imageGroup) int {
		if (a.core == "") != (b.core == "") {
			if a.core != "" {
				return -1
			}
			return 1
		}
		wa, wb := worst(a), worst(b)
		return slices.Compare(wb[:], wa[:])
	})
	for _, g := range v.order {
		g.cut(v.most())
	}
}

// vulnTypes are the parts of an image's section, in order.
var vulnTypes = []string{"system", "application", "binary"}

// summary is the counts by type in words.
func (g *imageGroup) summary(w words) string { return countsOf(w, g.counts) }

func countsOf(w words, all map[string]map[finding.Severity]int) string {
	var parts []string
	for _, kind := range vulnTypes {
		by := all[kind]
		if len(by) == 0 {
			continue
		}
		var counts []string
		for _, s := range finding.Severities {
			if by[s] > 0 {
				counts = append(counts, fmt.Sprintf("%s %d", w.severity[s], by[s]))
			}
		}
		parts = append(parts, w.vulnTypes[kind]+": "+strings.Join(counts, ", "))
	}
	return strings.Join(parts, "; ")
}

// fix is the version that ends it, or the state.
func (r *vulnRow) fixIn(w words) string {
	if r.fix != "" {
		return r.fix
	}
	return w.states[r.state]
}

func (t *tableReport) vulnerable(target finding.Target) {
	v := &t.packages
	v.settle(target)
	for _, g := range v.order {
		title := plain(g.name)
		if g.core != "" {
			title = t.words.coreComponent + " " + plain(g.core) + ": " + title
		}
		note := ""
		if g.digest != "" && !strings.Contains(g.name, g.digest) {
			note = clip(g.digest, 19)
		}
		if g.workloads > 0 {
			note = strings.TrimSpace(note + " " + fmt.Sprintf(t.words.usedBy, g.workloads))
		}
		t.put(0, span{}, span{title, bold}, span{note, faint})
		t.put(2, span{}, span{text: g.summary(t.words)})
		t.vulnRows(g)
		if n := g.total - len(g.rows); n > 0 {
			t.put(2, span{}, span{text: fmt.Sprintf(t.words.cut, n)})
		}
		t.blank()
	}
}

// vulnRows writes severity, id, package, installed and fixed version in columns, or folded where the terminal is narrow.
func (t *tableReport) vulnRows(g *imageGroup) {
	var widths [4]int
	cells := make([][4]string, len(g.rows))
	for i, r := range g.rows {
		cells[i] = [4]string{plain(r.id), clip(plain(r.pkg), widestColumn), clip(plain(r.version), widestColumn), clip(plain(r.fixIn(t.words)), widestColumn)}
		for c, s := range cells[i] {
			widths[c] = max(widths[c], width(s))
		}
	}
	full := t.words.severityWidth + 4
	for _, w := range widths {
		full += w + 2
	}
	for i, r := range g.rows {
		c := cells[i]
		lead := span{pad(t.words.severity[r.severity], t.words.severityWidth) + "  ", severityColors[r.severity]}
		var text []span
		if full <= t.width {
			text = []span{{text: pad(c[0], widths[0]) + "  " + pad(c[1], widths[1]) + "  " + pad(c[2], widths[2]) + "  " + c[3]}}
			s := "  " + t.paint(lead) + text[0].text
			if r.kev {
				s += "  " + t.paint(span{t.words.exploited, severityColors[finding.Critical]})
			}
			t.w.WriteString(strings.TrimRight(s, " ") + "\n")
			continue
		}
		text = []span{{c[0], bold}, {text: c[1]}, {text: c[2]}, {text: "→ " + c[3]}}
		if r.kev {
			text = append(text, span{t.words.exploited, severityColors[finding.Critical]})
		}
		t.put(2, lead, text...)
	}
}

func (m *markdown) vulnerable(target finding.Target) {
	v := &m.packages
	v.settle(target)
	for i, g := range v.order {
		if m.buf.Len() > markdownFull {
			m.put("- "+m.words.cut+"\n", len(v.order)-i)
			break
		}
		m.put("## %s\n\n%s\n", markdownText(g.name), markdownText(g.summary(m.words)))
		h := m.words.vulnHeader
		m.put("| %s |\n|---|---|---|---|---|", strings.Join(h[:], " | "))
		for j, r := range g.rows {
			if m.buf.Len() > markdownFull || j == rowsOfMany*5 {
				break
			}
			m.put("| %s | %s | %s | %s | %s |", m.words.severity[r.severity], markdownText(r.id), markdownText(r.pkg), markdownText(r.version), markdownText(r.fixIn(m.words)))
		}
		if n := g.total - min(len(g.rows), rowsOfMany*5); n > 0 {
			m.put("\n"+m.words.cut, n)
		}
		m.put("")
	}
}
