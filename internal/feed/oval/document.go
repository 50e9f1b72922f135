package oval

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"stockade.dev/stockade/internal/feed/notation"
)

// The elements of OVAL 5.11 that rows are made of. https://oval-community-guidelines.readthedocs.io/

type definition struct {
	ID       string `xml:"id,attr"`
	Class    string `xml:"class,attr"`
	Metadata struct {
		Title       string   `xml:"title"`
		Platforms   []string `xml:"affected>platform"`
		References  []ref    `xml:"reference"`
		Description string   `xml:"description"`
		Advisory    struct {
			Severity   string `xml:"severity"`
			Issued     date   `xml:"issued"`
			Updated    date   `xml:"updated"`
			Public     string `xml:"public_date"`
			CVEs       []cve  `xml:"cve"`
			Resolution []struct {
				State      string   `xml:"state,attr"`
				Components []string `xml:"component"`
			} `xml:"affected>resolution"`
			CPEs []string `xml:"affected_cpe_list>cpe"`
		} `xml:"advisory"`
		// Azure Linux and Debian write beside the advisory element.
		Severity  string `xml:"severity"`
		Patchable string `xml:"patchable"`
		Date      string `xml:"advisory_date"`
		Number    string `xml:"advisory_id"`
		DSA       string `xml:"debian>dsa"`
	} `xml:"metadata"`
	Criteria *criteria `xml:"criteria"`
}

type date struct {
	Date    string `xml:"date,attr"`
	Element string `xml:"date"` // CTyunOS
}

type ref struct {
	Source string `xml:"source,attr"`
	ID     string `xml:"ref_id,attr"`
	URL    string `xml:"ref_url,attr"`
}

type cve struct {
	CVSS2  string `xml:"cvss2,attr"`
	CVSS3  string `xml:"cvss3,attr"`
	CVSS4  string `xml:"cvss4,attr"`
	Score  string `xml:"cvss_score,attr"`
	Vector string `xml:"cvss_vector,attr"`
	Impact string `xml:"impact,attr"`
	Rating string `xml:"priority,attr"`
	CWE    string `xml:"cwe,attr"`
	Href   string `xml:"href,attr"`
	Test   string `xml:"test_ref,attr"` // Ubuntu by package: the criterion this CVE belongs to
	Text   string `xml:",chardata"`
}

type criteria struct {
	Operator string      `xml:"operator,attr"`
	Negate   bool        `xml:"negate,attr"`
	Criteria []criteria  `xml:"criteria"`
	Leaves   []criterion `xml:"criterion"`
}

type criterion struct {
	Test    string `xml:"test_ref,attr"`
	Comment string `xml:"comment,attr"`
	Negate  bool   `xml:"negate,attr"`
}

type test struct {
	kind      string
	Existence string `xml:"check_existence,attr"`
	Check     string `xml:"check,attr"`
	Object    struct {
		Ref string `xml:"object_ref,attr"`
	} `xml:"object"`
	States []struct {
		Ref string `xml:"state_ref,attr"`
	} `xml:"state"`
}

type object struct {
	Name struct {
		Var  string `xml:"var_ref,attr"`
		Text string `xml:",chardata"`
	} `xml:"name"`
	Pattern struct {
		Var string `xml:"var_ref,attr"`
	} `xml:"pattern"`
}

type state struct {
	EVR   value  `xml:"evr"`
	Arch  value  `xml:"arch"`
	Sub   value  `xml:"subexpression"`
	Key   string `xml:"signature_keyid"`
	Major value  `xml:"version"`
}

type value struct {
	Operation string `xml:"operation,attr"`
	Type      string `xml:"datatype,attr"`
	Text      string `xml:",chardata"`
}

// document is what a file holds. Definitions come first in a file and the tests they name last, so all is held; texts that
// repeat are held once.
type document struct {
	Product     string // generator
	Date        string
	definitions []*definition
	tests       map[string]*test
	objects     map[string]*object
	states      map[string]*state
	variables   map[string][]string
	texts       map[string]string
}

// maxElements bounds definitions, tests, objects and states each.
const maxElements = 8 << 20

// parse reads the stream. What was read before an error is returned with it.
func parse(r io.Reader) (*document, error) {
	d := &document{tests: map[string]*test{}, objects: map[string]*object{}, states: map[string]*state{}, variables: map[string][]string{}, texts: map[string]string{}}
	dec := xml.NewDecoder(notation.XML(r, 4*notation.MaxDocument))
	inside := false
	for n := 0; ; {
		t, err := dec.Token()
		if err == io.EOF {
			if !inside {
				return d, fmt.Errorf("no oval_definitions element")
			}
			return d, nil
		}
		if err != nil {
			return d, err
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		name := start.Name.Local
		if name == "oval_definitions" {
			inside = true
			continue
		}
		if !inside {
			return d, fmt.Errorf("byte %d: expected oval_definitions, found %s", dec.InputOffset(), name)
		}
		if n++; n > maxElements {
			return d, fmt.Errorf("byte %d: more than %d elements", dec.InputOffset(), maxElements)
		}
		if err := d.element(dec, start); err != nil {
			return d, fmt.Errorf("byte %d: %s: %w", dec.InputOffset(), name, err)
		}
	}
}

func attr(s xml.StartElement, name string) string {
	for _, a := range s.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (d *document) element(dec *xml.Decoder, start xml.StartElement) error {
	name := start.Name.Local
	switch {
	case name == "definition":
		def := &definition{}
		if err := dec.DecodeElement(def, &start); err != nil {
			return err
		}
		if !d.shrink(def.Criteria, 0) {
			return fmt.Errorf("definition %s: criteria are nested more than %d deep", def.ID, notation.MaxDepth)
		}
		d.definitions = append(d.definitions, def)
	case strings.HasSuffix(name, "_test"):
		t := &test{kind: name}
		if err := dec.DecodeElement(t, &start); err != nil {
			return err
		}
		for i := range t.States {
			t.States[i].Ref = d.intern(t.States[i].Ref)
		}
		d.tests[d.intern(attr(start, "id"))] = t
	case strings.HasSuffix(name, "_object"):
		o := &object{}
		if err := dec.DecodeElement(o, &start); err != nil {
			return err
		}
		o.Name.Text = d.intern(strings.TrimSpace(o.Name.Text))
		d.objects[d.intern(attr(start, "id"))] = o
	case strings.HasSuffix(name, "_state"):
		s := &state{}
		if err := dec.DecodeElement(s, &start); err != nil {
			return err
		}
		d.states[attr(start, "id")] = s
	case name == "constant_variable":
		var v struct {
			Values []string `xml:"value"`
		}
		if err := dec.DecodeElement(&v, &start); err != nil {
			return err
		}
		d.variables[attr(start, "id")] = v.Values
	case name == "product_name" && d.Product == "":
		return dec.DecodeElement(&d.Product, &start)
	case name == "timestamp" && d.Date == "":
		return dec.DecodeElement(&d.Date, &start)
	}
	return nil // containers: their children come next
}

// shrink holds repeated texts once and reports whether the tree is shallow enough.
func (d *document) shrink(c *criteria, depth int) bool {
	if c == nil {
		return true
	}
	if depth > notation.MaxDepth {
		return false
	}
	for i := range c.Leaves {
		c.Leaves[i].Test = d.intern(c.Leaves[i].Test)
		c.Leaves[i].Comment = d.intern(strings.TrimSpace(c.Leaves[i].Comment))
	}
	for i := range c.Criteria {
		if !d.shrink(&c.Criteria[i], depth+1) {
			return false
		}
	}
	return true
}

func (d *document) intern(s string) string {
	if held, ok := d.texts[s]; ok {
		return held
	}
	s = strings.Clone(s)
	d.texts[s] = s
	return s
}
