package csaf

import (
	"encoding/json"
	"strings"

	"stockade.dev/stockade/internal/feed/notation"
)

// document holds the members of CSAF 2.0 that rows are made of. https://docs.oasis-open.org/csaf/csaf/v2.0/csaf-v2.0.html
type document struct {
	Document struct {
		Category  string `json:"category"`
		Title     string `json:"title"`
		Publisher struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"publisher"`
		Severity struct {
			Text string `json:"text"`
		} `json:"aggregate_severity"`
		Tracking struct {
			ID      string `json:"id"`
			Current string `json:"current_release_date"`
			Initial string `json:"initial_release_date"`
		} `json:"tracking"`
	} `json:"document"`
	Tree            tree            `json:"product_tree"`
	Vulnerabilities []vulnerability `json:"vulnerabilities"`
}

type tree struct {
	Branches      []branch       `json:"branches"`
	Names         []product      `json:"full_product_names"`
	Relationships []relationship `json:"relationships"`
}

type branch struct {
	Category string   `json:"category"`
	Name     string   `json:"name"`
	Branches []branch `json:"branches"`
	Product  *product `json:"product"`
}

type product struct {
	ID     string `json:"product_id"`
	Name   string `json:"name"`
	Helper struct {
		CPE  string `json:"cpe"`
		PURL string `json:"purl"`
	} `json:"product_identification_helper"`
	category string // of the branch it hangs on
}

type relationship struct {
	Product   product `json:"full_product_name"`
	Component string  `json:"product_reference"`
	Platform  string  `json:"relates_to_product_reference"`
}

type vulnerability struct {
	CVE   string `json:"cve"`
	Title string `json:"title"`
	CWE   struct {
		ID string `json:"id"`
	} `json:"cwe"`
	IDs []struct {
		Text string `json:"text"`
	} `json:"ids"`
	Notes []struct {
		Category string `json:"category"`
		Text     string `json:"text"`
	} `json:"notes"`
	References []struct {
		URL string `json:"url"`
	} `json:"references"`
	Released   string `json:"release_date"`
	Discovered string `json:"discovery_date"`
	Flags      []struct {
		Label    string   `json:"label"`
		Products []string `json:"product_ids"`
	} `json:"flags"`
	Status struct {
		Fixed         []string `json:"fixed"`
		FirstFixed    []string `json:"first_fixed"`
		Recommended   []string `json:"recommended"`
		Affected      []string `json:"known_affected"`
		NotAffected   []string `json:"known_not_affected"`
		Investigating []string `json:"under_investigation"`
	} `json:"product_status"`
	Remediations []remediation `json:"remediations"`
	Scores       []struct {
		V2       *score   `json:"cvss_v2"`
		V3       *score   `json:"cvss_v3"`
		V4       *score   `json:"cvss_v4"`
		Products []string `json:"products"`
	} `json:"scores"`
	Threats []struct {
		Category string   `json:"category"`
		Details  string   `json:"details"`
		Products []string `json:"product_ids"`
	} `json:"threats"`
}

type remediation struct {
	Category string   `json:"category"`
	Details  string   `json:"details"`
	URL      string   `json:"url"`
	Products []string `json:"product_ids"`
}

type score struct {
	Vector string  `json:"vectorString"`
	Base   float64 `json:"baseScore"`
}

// UnmarshalJSON takes scores whose number is written as a text too.
func (s *score) UnmarshalJSON(data []byte) error {
	var raw struct {
		Vector string      `json:"vectorString"`
		Base   json.Number `json:"baseScore"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	s.Vector = raw.Vector
	s.Base, _ = raw.Base.Float64()
	return nil
}

// products are the tree's entries by id.
type products struct {
	byID    map[string]*product
	parts   map[string]*relationship
	tooDeep bool
}

func (t *tree) index() *products {
	p := &products{byID: map[string]*product{}, parts: map[string]*relationship{}}
	for i := range t.Branches {
		p.walk(&t.Branches[i], 0)
	}
	for i := range t.Names {
		p.byID[t.Names[i].ID] = &t.Names[i]
	}
	for i := range t.Relationships {
		p.parts[t.Relationships[i].Product.ID] = &t.Relationships[i]
	}
	return p
}

func (p *products) walk(b *branch, depth int) {
	if depth > notation.MaxDepth {
		p.tooDeep = true
		return
	}
	if b.Product != nil && b.Product.ID != "" {
		b.Product.category = b.Category
		p.byID[b.Product.ID] = b.Product
	}
	for i := range b.Branches {
		p.walk(&b.Branches[i], depth+1)
	}
}

// resolve takes the id of a component of a product apart: the outermost product and the components on the way to it, the
// package first. A modular package is a component of a module that is a component of the product.
func (p *products) resolve(id string) (platform *product, components []*product) {
	for range 4 {
		r := p.parts[id]
		if r == nil {
			return p.byID[id], components
		}
		c := p.byID[r.Component]
		if c == nil {
			c = &product{ID: r.Component, Name: r.Component}
		}
		components = append(components, c)
		id = r.Platform
	}
	return nil, components
}

// advisoryID returns the last part of an address such as https://access.redhat.com/errata/RHSA-2023:7625, when it is an
// advisory's number.
func advisoryID(url string) string {
	i := strings.LastIndexAny(url, "/=")
	id := url[i+1:]
	if strings.Contains(id, "-") && strings.ContainsAny(id, "0123456789") && len(id) < 40 && !strings.ContainsAny(id, "?#.") {
		return id
	}
	return ""
}
