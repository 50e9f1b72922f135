// Package vex reads what producers say about vulnerabilities in their products (OpenVEX, CSAF VEX, CycloneDX) and writes what
// a scan knows of them as OpenVEX. A statement never removes a finding: it marks it as suppressed, with its reason.
package vex

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	openvex "github.com/openvex/go-vex/pkg/vex"
	"github.com/package-url/packageurl-go"

	"stockade.dev/stockade/internal/finding"
)

// Set is the statements of one or several documents.
type Set struct {
	byVulnerability map[string][]statement
	all             []Statement
	Documents       int
	Statements      int
}

// statement says of one product that it does not have a vulnerability.
type statement struct {
	product string // package URL of the product; "" holds for any, which only CycloneDX documents of one product have
	parts   []string
	reason  string
	said    said
}

// said is what a statement says, in the words of OpenVEX or of its own form.
type said struct{ status, justification string }

// Statement says that a product does not have a vulnerability, or not any more.
type Statement struct {
	IDs           []string // of the vulnerability
	Product       string   // package URL or name of an image, or package URL of a package
	Parts         []string // package URLs of packages in the product; none: all of it
	Status        string   // not_affected, fixed, false_positive, resolved, resolved_with_pedigree
	Justification string   // as written; "" when none is given
	Reason        string   // text
}

// All gives the statements in no particular order, each once.
func (s *Set) All() []Statement { return slices.Clone(s.all) }

// maxDocument bounds one file.
const maxDocument = 256 << 20

// Load reads a file, or every .json file below a folder. Files of a folder that are no VEX document are an error: a statement
// that is silently not read would look like a vulnerability.
func Load(path string) (*Set, error) {
	s := &Set{byVulnerability: map[string][]statement{}}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return s, s.file(path)
	}
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".json") {
			return err
		}
		return s.file(p)
	})
	if err == nil && s.Documents == 0 {
		err = fmt.Errorf("%s: no .json files below it", path)
	}
	return s, err
}

func (s *Set) file(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > maxDocument {
		return fmt.Errorf("%s: larger than %d MiB", path, maxDocument>>20)
	}
	data, err := os.ReadFile(path)
	if err == nil {
		err = s.Add(data)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Add reads one document.
func (s *Set) Add(data []byte) error {
	if s.byVulnerability == nil {
		s.byVulnerability = map[string][]statement{}
	}
	var head struct {
		Context   string          `json:"@context"`
		BOMFormat string          `json:"bomFormat"`
		Document  json.RawMessage `json:"document"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("not a JSON document: %w", err)
	}
	var err error
	switch {
	case strings.Contains(head.Context, "openvex"):
		err = s.openVEX(data)
	case head.BOMFormat == "CycloneDX":
		err = s.cycloneDX(data)
	case head.Document != nil:
		err = s.csaf(data)
	default:
		err = errors.New("none of OpenVEX (@context), CSAF (document) and CycloneDX (bomFormat)")
	}
	if err == nil {
		s.Documents++
	}
	return err
}

func (s *Set) put(ids []string, st statement) {
	s.Statements++
	s.all = append(s.all, Statement{IDs: nonEmpty(slices.Clone(ids)...), Product: st.product, Parts: st.parts, Status: st.said.status,
		Justification: st.said.justification, Reason: st.reason})
	for _, id := range ids {
		if id != "" {
			s.byVulnerability[id] = append(s.byVulnerability[id], st)
		}
	}
}

// openVEX reads statements of not_affected and fixed. Of several on one product the last in time counts.
func (s *Set) openVEX(data []byte) error {
	doc, err := openvex.Parse(data)
	if err != nil {
		return err
	}
	sorted := slices.Clone(doc.Statements)
	if doc.Timestamp != nil {
		openvex.SortStatements(sorted, *doc.Timestamp)
	}
	type key struct{ id, product, parts string }
	last := map[key]int{}
	products := func(st openvex.Statement, f func(k key, product string, parts []string)) {
		for _, p := range st.Products {
			var parts []string
			for _, c := range p.Subcomponents {
				parts = append(parts, c.ID)
			}
			product := p.ID
			if purl := p.Identifiers[openvex.PURL]; purl != "" {
				product = purl
			}
			f(key{string(st.Vulnerability.Name), product, strings.Join(parts, "\x00")}, product, parts)
		}
	}
	for i, st := range sorted {
		products(st, func(k key, _ string, _ []string) { last[k] = i })
	}
	for i, st := range sorted {
		ids := []string{string(st.Vulnerability.Name)}
		if id := st.Vulnerability.ID; !strings.Contains(id, "/") {
			ids = append(ids, id)
		}
		for _, a := range st.Vulnerability.Aliases {
			ids = append(ids, string(a))
		}
		products(st, func(k key, product string, parts []string) {
			if last[k] != i || st.Status != openvex.StatusNotAffected && st.Status != openvex.StatusFixed {
				return
			}
			why := strings.Join(nonEmpty(string(st.Status), string(st.Justification), st.ImpactStatement, st.StatusNotes), ": ")
			s.put(ids, statement{product, parts, reason(doc.Author, why), said{string(st.Status), string(st.Justification)}})
		})
	}
	return nil
}

func reason(author, why string) string {
	if author == "" {
		return why
	}
	return why + " (" + author + ")"
}

func nonEmpty(list ...string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// Suppress returns the reason why a statement takes f's vulnerability away, nil when none does.
func (s *Set) Suppress(f *finding.Finding) *finding.Suppression {
	v := f.Vulnerability
	if s == nil || v == nil {
		return nil
	}
	for _, id := range append([]string{v.ID}, v.Aliases...) {
		for _, st := range s.byVulnerability[id] {
			if st.holds(f) {
				return &finding.Suppression{By: "vex", Reason: st.reason}
			}
		}
	}
	return nil
}

// holds reports whether the statement is about f: about its image (and, when parts are named, its package), or about its
// package.
func (st *statement) holds(f *finding.Finding) bool {
	part := func(url string) bool { return Covers(url, f.Vulnerability.PURL) }
	if st.product != "" && part(st.product) {
		return true
	}
	if st.product != "" && !image(st.product, f) {
		return false
	}
	if st.product == "" && len(st.parts) == 0 {
		return false
	}
	return len(st.parts) == 0 || slices.ContainsFunc(st.parts, part)
}

// Covers reports whether the package URL of a statement names the package of another: what the statement leaves out holds
// for any.
func Covers(statement, found string) bool {
	a, err := packageurl.FromString(statement)
	if err != nil {
		return false
	}
	b, err := packageurl.FromString(found)
	if err != nil || a.Type != b.Type || a.Namespace != b.Namespace || a.Name != b.Name {
		return false
	}
	if a.Version != "" && a.Version != b.Version {
		return false
	}
	have := b.Qualifiers.Map()
	for _, q := range a.Qualifiers {
		if have[q.Key] != q.Value {
			return false
		}
	}
	return true
}

// image reports whether a product is the image of f: by pkg:oci with its digest or repository, or by its plain name.
func image(product string, f *finding.Finding) bool {
	repository, _, _ := strings.Cut(f.Resource.Image, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository = repository[:i]
	}
	if !strings.HasPrefix(product, "pkg:") {
		return product != "" && (product == f.Resource.Image || product == repository || product == f.Resource.Digest)
	}
	u, err := packageurl.FromString(product)
	if err != nil || u.Type != packageurl.TypeOCI && u.Type != packageurl.TypeDocker {
		return false
	}
	if u.Version != "" && u.Version != f.Resource.Digest {
		return false
	}
	q := u.Qualifiers.Map()
	if url := q["repository_url"]; url != "" {
		return repository == url || repository == strings.TrimSuffix(url, "/")+"/"+u.Name
	}
	return repository == u.Name || strings.HasSuffix(repository, "/"+u.Name)
}
