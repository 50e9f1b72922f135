package vex

import (
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	openvex "github.com/openvex/go-vex/pkg/vex"

	"stockade.dev/stockade/internal/finding"
)

// cycloneDX reads the analyses of a document. Those that name no component hold for the document's own subject.
func (s *Set) cycloneDX(data []byte) error {
	var bom cyclonedx.BOM
	if err := json.Unmarshal(data, &bom); err != nil {
		return err
	}
	product, urls := "", map[string]string{}
	if bom.Metadata != nil && bom.Metadata.Component != nil {
		c := bom.Metadata.Component
		product = c.PackageURL
		if product == "" {
			product = c.Name
		}
		urls[c.BOMRef] = product
	}
	if bom.Components != nil {
		for _, c := range *bom.Components {
			urls[c.BOMRef] = c.PackageURL
		}
	}
	if bom.Vulnerabilities == nil {
		return nil
	}
	for _, v := range *bom.Vulnerabilities {
		a := v.Analysis
		if a == nil || !slices.Contains([]cyclonedx.ImpactAnalysisState{cyclonedx.IASNotAffected, cyclonedx.IASFalsePositive, cyclonedx.IASResolved,
			cyclonedx.IASResolvedWithPedigree}, a.State) {
			continue
		}
		why := strings.Join(nonEmpty(string(a.State), string(a.Justification), a.Detail), ": ")
		what := said{string(a.State), string(a.Justification)}
		if v.Affects == nil || len(*v.Affects) == 0 {
			if product != "" {
				s.put([]string{v.ID}, statement{product, nil, why, what})
			}
			continue
		}
		for _, affected := range *v.Affects {
			ref := affected.Ref
			if _, inner, ok := strings.Cut(ref, "#"); ok && strings.HasPrefix(ref, "urn:cdx:") {
				ref = inner
			}
			url := urls[ref]
			if url == "" && strings.HasPrefix(ref, "pkg:") {
				url = ref
			}
			switch {
			case url != "" && url == product:
				s.put([]string{v.ID}, statement{product, nil, why, what})
			case url != "":
				s.put([]string{v.ID}, statement{product, []string{url}, why, what})
			}
		}
	}
	return nil
}

// csafDocument is what VEX needs of CSAF 2.0.
type csafDocument struct {
	Document struct {
		Publisher struct {
			Name string `json:"name"`
		} `json:"publisher"`
	} `json:"document"`
	Tree struct {
		Branches      []csafBranch  `json:"branches"`
		Products      []csafProduct `json:"full_product_names"`
		Relationships []struct {
			Product csafProduct `json:"full_product_name"`
			Part    string      `json:"product_reference"`
			Whole   string      `json:"relates_to_product_reference"`
		} `json:"relationships"`
	} `json:"product_tree"`
	Vulnerabilities []struct {
		CVE string `json:"cve"`
		IDs []struct {
			Text string `json:"text"`
		} `json:"ids"`
		Status struct {
			NotAffected []string `json:"known_not_affected"`
			Fixed       []string `json:"fixed"`
		} `json:"product_status"`
		Flags []struct {
			Label    string   `json:"label"`
			Products []string `json:"product_ids"`
		} `json:"flags"`
		Threats []struct {
			Category string   `json:"category"`
			Details  string   `json:"details"`
			Products []string `json:"product_ids"`
		} `json:"threats"`
	} `json:"vulnerabilities"`
}

type csafBranch struct {
	Product  *csafProduct `json:"product"`
	Branches []csafBranch `json:"branches"`
}

type csafProduct struct {
	ID     string `json:"product_id"`
	Name   string `json:"name"`
	Helper struct {
		PURL string `json:"purl"`
	} `json:"product_identification_helper"`
}

func (s *Set) csaf(data []byte) error {
	var doc csafDocument
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	urls, whole := map[string]string{}, map[string]string{}
	var walk func(list []csafBranch)
	walk = func(list []csafBranch) { // encoding/json bounds the depth
		for _, b := range list {
			if b.Product != nil {
				urls[b.Product.ID] = b.Product.Helper.PURL
			}
			walk(b.Branches)
		}
	}
	walk(doc.Tree.Branches)
	for _, p := range doc.Tree.Products {
		urls[p.ID] = p.Helper.PURL
	}
	for _, r := range doc.Tree.Relationships {
		urls[r.Product.ID], whole[r.Product.ID] = urls[r.Part], urls[r.Whole]
	}
	for _, v := range doc.Vulnerabilities {
		ids := []string{v.CVE}
		for _, id := range v.IDs {
			ids = append(ids, id.Text)
		}
		for _, list := range []struct {
			status   string
			products []string
		}{{"not_affected", v.Status.NotAffected}, {"fixed", v.Status.Fixed}} {
			for _, id := range list.products {
				why, what := []string{list.status}, said{status: list.status}
				for _, f := range v.Flags {
					if slices.Contains(f.Products, id) {
						why = append(why, f.Label)
						what.justification = f.Label
					}
				}
				for _, t := range v.Threats {
					if t.Category == "impact" && slices.Contains(t.Products, id) {
						why = append(why, t.Details)
					}
				}
				if urls[id] == "" {
					continue // a product by name alone fits nothing that was found
				}
				st := statement{urls[id], nil, reason(doc.Document.Publisher.Name, strings.Join(why, ": ")), what}
				if w := whole[id]; w != "" {
					st.product, st.parts = w, []string{urls[id]}
				}
				s.put(ids, st)
			}
		}
	}
	return nil
}

// Write writes what is known of the vulnerabilities in findings as an OpenVEX document: suppressed ones as not affected,
// open ones as affected with what to do, and those that the publisher still looks into as under investigation.
func Write(w io.Writer, author string, at time.Time, findings []*finding.Finding) error {
	doc := openvex.New()
	doc.Author, doc.Tooling = author, "stockade"
	at = at.UTC()
	doc.Timestamp = &at
	for _, f := range findings {
		v := f.Vulnerability
		if v == nil {
			continue
		}
		st := openvex.Statement{Vulnerability: openvex.Vulnerability{Name: openvex.VulnerabilityID(v.ID)}, Status: openvex.StatusAffected,
			ActionStatement: f.Remediation.EN}
		for _, a := range v.Aliases {
			st.Vulnerability.Aliases = append(st.Vulnerability.Aliases, openvex.VulnerabilityID(a))
		}
		switch {
		case f.Suppression != nil:
			st.Status, st.ActionStatement = openvex.StatusNotAffected, ""
			st.ImpactStatement = strings.TrimSuffix(f.Suppression.By+": "+f.Suppression.Reason, ": ")
		case v.State == "under-investigation":
			st.Status, st.ActionStatement = openvex.StatusUnderInvestigation, ""
		case st.ActionStatement == "":
			st.ActionStatement = "No fix is known."
		}
		st.Products = productsOf(f)
		doc.Statements = append(doc.Statements, st)
	}
	id, err := doc.GenerateCanonicalID()
	if err != nil {
		return err
	}
	doc.ID = id
	return doc.ToJSON(w)
}

// productsOf names the image with the package in it; one of the two alone where the other is not known.
func productsOf(f *finding.Finding) []openvex.Product {
	p, purl := openvex.Product{Component: openvex.Component{ID: productOf(f)}}, f.Vulnerability.PURL
	switch {
	case p.ID == "" && purl == "": // a program of a node that no package is known of
		p.ID = "pkg:generic/" + url.PathEscape(f.Vulnerability.Package) + "@" + url.PathEscape(f.Vulnerability.Version)
	case p.ID == "":
		p.ID = purl
	case purl != "":
		p.Subcomponents = []openvex.Subcomponent{{Component: openvex.Component{ID: purl}}}
	}
	return []openvex.Product{p}
}

// productOf names the image as a package URL where its digest is known.
func productOf(f *finding.Finding) string {
	repository, _, _ := strings.Cut(f.Resource.Image, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository = repository[:i]
	}
	if f.Resource.Digest == "" {
		return f.Resource.Image
	}
	name := repository[strings.LastIndexByte(repository, '/')+1:]
	return "pkg:oci/" + strings.ToLower(name) + "@" + f.Resource.Digest + "?repository_url=" + repository
}
