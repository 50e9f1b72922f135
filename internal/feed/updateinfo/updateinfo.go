// Package updateinfo reads the updateinfo.xml of RPM repositories: Amazon (with the extras), Rocky, AlmaLinux, Fedora,
// Bottlerocket, Oracle, Red Hat, openEuler, and what vendors without another feed ship in theirs: HCE, EulerOS, Kylin, UOS,
// CTyunOS, TencentOS, Anolis.
package updateinfo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/amazon"
	"stockade.dev/stockade/internal/feed/bottlerocket"
	"stockade.dev/stockade/internal/feed/notation"
	"stockade.dev/stockade/internal/feed/openeuler"
	"stockade.dev/stockade/internal/feed/oracle"
)

// Reader reads one updateinfo.xml.
var Reader = feed.Reader{
	Name: "updateinfo",
	Knows: func(path string, head []byte) bool {
		return bytes.Contains(head, []byte("<updates")) && !bytes.Contains(head, []byte("<html"))
	},
	Read: read,
}

type update struct {
	From        string `xml:"from,attr"`
	Status      string `xml:"status,attr"`
	Type        string `xml:"type,attr"`
	ID          string `xml:"id"`
	Title       string `xml:"title"`
	Issued      when   `xml:"issued"`
	Updated     when   `xml:"updated"`
	Release     string `xml:"release"`
	Severity    string `xml:"severity"`
	Summary     string `xml:"summary"`
	Description string `xml:"description"`
	References  []struct {
		Href  string `xml:"href,attr"`
		ID    string `xml:"id,attr"`
		Type  string `xml:"type,attr"`
		Title string `xml:"title,attr"`
	} `xml:"references>reference"`
	Collections []collection `xml:"pkglist>collection"`
	HotPatches  []collection `xml:"pkglist>hot_patch_collection"`
}

type when struct {
	Date string `xml:"date,attr"`
	Text string `xml:",chardata"`
}

type collection struct {
	Short  string `xml:"short,attr"`
	Name   string `xml:"name"`
	Module *struct {
		Name   string `xml:"name,attr"`
		Stream string `xml:"stream,attr"`
	} `xml:"module"`
	Packages []pkg `xml:"package"`
}

type pkg struct {
	Name    string `xml:"name,attr"`
	Epoch   string `xml:"epoch,attr"`
	Version string `xml:"version,attr"`
	Release string `xml:"release,attr"`
	Arch    string `xml:"arch,attr"`
	Source  string `xml:"src,attr"`
	Type    string `xml:"type,attr"`
}

func read(ctx context.Context, d feed.Document, s feed.Sink) error {
	dec := xml.NewDecoder(notation.XML(d.Body, 4*notation.MaxDocument))
	root := false
	for {
		t, err := dec.Token()
		if err == io.EOF && root {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: byte %d: %w", d.Path, dec.InputOffset(), err)
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		switch {
		case start.Name.Local == "updates":
			root = true
		case !root:
			return fmt.Errorf("%s: byte %d: expected updates, found %s", d.Path, dec.InputOffset(), start.Name.Local)
		case start.Name.Local == "update":
			var u update
			if err := dec.DecodeElement(&u, &start); err != nil {
				return fmt.Errorf("%s: byte %d: %w", d.Path, dec.InputOffset(), err)
			}
			if err := one(&d, &u, s); err != nil {
				return fmt.Errorf("%s: %s: %w", d.Path, u.ID, err)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// maxReferences bounds what is kept of a list of links.
const maxReferences = 20

func one(d *feed.Document, u *update, s feed.Sink) error {
	u.ID = strings.TrimSpace(u.ID)
	u.Release = strings.TrimSpace(u.Release)
	who := publisher(u.ID)
	if who == "" {
		who = guess(d.Path, d.Publisher, u)
	}
	name := cmp.Or(who, d.Publisher, "unknown") + "-updateinfo"
	s.Record(name)
	published := notation.Time(cmp.Or(u.Issued.Date, u.Issued.Text))
	modified := cmp.Or(notation.Time(cmp.Or(u.Updated.Date, u.Updated.Text)), published)
	if modified != "" {
		s.Modified(name, modified)
	}
	ids := u.cves()
	stream, ok := "", false
	if who == "bottlerocket" {
		stream, ok = bottlerocket.Stream, true
	} else {
		stream, ok = streamOf(who, d.Path, u)
	}
	switch {
	case u.ID == "":
		s.Refused(name, u.Title, "no id")
		return nil
	case u.Type != "security" && len(ids) == 0:
		s.Refused(name, u.ID, "no security update")
		return nil
	case u.Status == "retracted" || u.Status == "obsolete" || u.Status == "unpushed":
		s.Refused(name, u.ID, "retracted")
		return nil
	case who == "" || who == "epel":
		s.Refused(name, u.ID, "publisher not covered")
		return nil
	case !ok || !advisory.KnownStream(stream):
		s.Refused(name, u.ID, "release not found")
		return nil
	}
	if len(ids) == 0 {
		ids = []string{u.ID}
	}
	for _, id := range ids {
		v := advisory.Vulnerability{ID: id, Feed: name}
		if len(ids) == 1 {
			v.Title, v.Description = strings.TrimSpace(u.Title), strings.TrimSpace(cmp.Or(u.Description, u.Summary))
			v.Severity, v.Published, v.Modified = notation.Severity(u.Severity), published, modified
		}
		for i := range u.References {
			if r := &u.References[i]; len(v.References) < maxReferences && (len(ids) == 1 || strings.Contains(r.Href, id)) {
				v.References = notation.Add(v.References, strings.TrimSpace(r.Href))
			}
		}
		if err := s.Vulnerability(v); err != nil {
			return err
		}
	}
	base := advisory.Row{Feed: name, Stream: stream, IDs: ids, Advisory: u.ID, Published: published, Severity: u.rating(), State: advisory.Fixed, Scheme: advisory.RPM}
	return u.rows(who, base, s)
}

// rating is the severity, which Fedora and Rocky may leave to the title: "Important: kernel security update".
func (u *update) rating() string {
	if r := notation.Severity(u.Severity); r != "" {
		return r
	}
	word, _, _ := strings.Cut(strings.TrimSpace(u.Title), ":")
	return notation.Severity(word)
}

// cves are the CVEs of the references; failing these, those named in references' titles and in the text.
func (u *update) cves() []string {
	var ids []string
	for i := range u.References {
		if r := &u.References[i]; strings.EqualFold(r.Type, "cve") || notation.IsCVE(r.ID) {
			ids = append(ids, notation.CVEs(r.ID, r.Href)...)
		}
	}
	if len(ids) > 0 {
		return notation.Distinct(ids)
	}
	for i := range u.References {
		ids = append(ids, notation.CVEs(u.References[i].Title)...)
	}
	if len(ids) > 0 {
		return notation.Distinct(ids)
	}
	return notation.CVEs(u.Title, u.Description)
}

// rows writes a row for each package and version. Where the update names the source package, one row for it stands for
// every binary package of the same version.
func (u *update) rows(who string, base advisory.Row, s feed.Sink) error {
	rows := map[string]*advisory.Row{}
	var order []string
	refused := map[string]bool{}
	refuse := func(reason string) {
		if !refused[reason] {
			refused[reason] = true
			s.Refused(base.Feed, u.ID, reason)
		}
	}
	if len(u.HotPatches) > 0 {
		refuse("hot patch")
	}
	for i := range u.Collections {
		c := &u.Collections[i]
		module := ""
		if c.Module != nil && c.Module.Name != "" {
			module = c.Module.Name + ":" + c.Module.Stream
		}
		for j := range c.Packages {
			p := &c.Packages[j]
			p.Name = strings.TrimSpace(p.Name)
			switch {
			case p.Name == "" || p.Version == "":
				refuse("package without name or version")
				continue
			case p.Type == "hotpatch" || who == "openeuler" && openeuler.HotPatch(p.Name):
				refuse("hot patch")
				continue
			case p.Arch == "src" || p.Arch == "nosrc" || notation.Debug(p.Name):
				continue
			case module == "" && (strings.Contains(p.Release, ".module+") || strings.Contains(p.Release, ".module_")):
				// A row without the stream would hold for every stream: nodejs 10 is not older than 20.
				refuse("module stream not named")
				continue
			}
			row, key := u.row(who, base, p, module)
			if held := rows[key]; held != nil {
				if len(held.Arches) > 0 {
					held.Arches = add(held.Arches, p.Arch)
				}
				continue
			}
			if !row.Binary {
				row.Arches = nil
			} else if p.Arch != "" && p.Arch != "noarch" {
				row.Arches = []string{p.Arch}
			}
			rows[key] = &row
			order = append(order, key)
		}
	}
	if len(order) == 0 && len(refused) == 0 {
		refuse("no packages")
	}
	for _, key := range order {
		slices.Sort(rows[key].Arches)
		if err := s.Row(*rows[key]); err != nil {
			return err
		}
	}
	return nil
}

func add(arches []string, arch string) []string {
	if arch == "" || arch == "noarch" {
		return nil
	}
	return notation.Add(arches, arch)
}

// row makes the row of one package, and what tells it from others of the update.
func (u *update) row(who string, base advisory.Row, p *pkg, module string) (advisory.Row, string) {
	evr := notation.EVR(p.Epoch, p.Version, p.Release)
	row := base
	row.Package, row.Binary, row.Module = p.Name, true, module
	r := advisory.Range{Fixed: evr}
	if name, version, _, ok := notation.NEVRA(p.Source); ok && p.Source != "" && version == p.Version+"-"+p.Release {
		row.Package, row.Binary = name, false // the epoch is the binary's: file names have none
	}
	switch who {
	case "amazon":
		r.Introduced = amazon.Introduced(u.ID, p.Epoch, p.Version)
	case "oracle":
		row.Flavor = oracle.Flavor(evr)
	case "bottlerocket":
		// The packages' versions are those of the system; what stands for the release is a commit, which has no order.
		row.Binary, r.Fixed = false, notation.EVR(p.Epoch, p.Version, "")
	}
	row.Ranges = []advisory.Range{r}
	return row, strings.Join([]string{row.Package, fmt.Sprint(row.Binary), evr, module}, "\x00")
}
