// Package sbom writes inventories as bills of materials, CycloneDX 1.6 and SPDX 2.3 in JSON, and reads both back. What a
// document of another tool says is taken by its package URLs; what carries none is told as a gap.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/purl"
)

// Options say what an inventory does not know.
type Options struct {
	Tool    string    // version of the program
	Created time.Time // written into the document
}

// Forms are the names that Write takes.
var Forms = []string{"cyclonedx", "spdx"}

// Write writes s in one of Forms. The same inventory and options give the same bytes.
func Write(w io.Writer, form string, s *inventory.Software, o Options) error {
	switch form {
	case "cyclonedx":
		return writeCycloneDX(w, s, o)
	case "spdx":
		return writeSPDX(w, s, o)
	}
	return fmt.Errorf("unknown form %q: want one of %s", form, strings.Join(Forms, ", "))
}

// Read reads a CycloneDX or SPDX document in JSON. Name is what the document is called in messages.
func Read(data []byte, name string) (*inventory.Software, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var head struct {
		BOMFormat   string `json:"bomFormat"`
		SPDXVersion string `json:"spdxVersion"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		if bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) || bytes.Contains(data[:min(len(data), 256)], []byte("SPDXVersion:")) {
			return nil, fmt.Errorf("%s: only JSON documents are read, not XML, RDF or tag-value", name)
		}
		return nil, fmt.Errorf("%s: not a JSON document: %w", name, err)
	}
	s := &inventory.Software{Schema: inventory.SoftwareSchema, Engine: "sbom", Kind: "sbom", Name: name}
	var err error
	switch {
	case head.BOMFormat == "CycloneDX":
		err = readCycloneDX(data, s)
	case strings.HasPrefix(head.SPDXVersion, "SPDX-2."):
		err = readSPDX(data, s)
	case head.SPDXVersion != "":
		err = fmt.Errorf("%s is not supported: want SPDX-2.2 or SPDX-2.3", head.SPDXVersion)
	default:
		err = errors.New("neither CycloneDX (bomFormat) nor SPDX (spdxVersion)")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// add keeps what a package URL says, with what the document says beside it.
func add(s *inventory.Software, url, name, path string) {
	p, distro, err := purl.Parse(url)
	if err != nil {
		s.Gaps = append(s.Gaps, inventory.Gap{What: name, Reason: err.Error(), Code: "broken"})
		return
	}
	p.Path, p.Evidence = path, "SBOM"
	s.Packages = append(s.Packages, p)
	if s.OS == nil && p.Type.System() && distro != "" {
		id, version, _ := strings.Cut(distro, "-")
		s.OS = &inventory.OS{ID: id, VersionID: version}
	}
}

// without notes a component that cannot be matched.
func without(s *inventory.Software, name, version string) {
	s.Gaps = append(s.Gaps, inventory.Gap{What: strings.TrimSpace(name + " " + version), Code: "unsupported",
		Reason: "the document gives it no package URL, so no advisory can be found for it"})
}

// systemOf is what our own documents say of the system, which is more than a component can.
func systemOf(s *inventory.Software) string {
	if s.OS == nil {
		return ""
	}
	data, err := json.Marshal(s.OS)
	if err != nil {
		return ""
	}
	return string(data)
}

func systemFrom(s *inventory.Software, text string) {
	var os inventory.OS
	if json.Unmarshal([]byte(text), &os) == nil && os.ID != "" {
		s.OS = &os
	}
}

// sorted returns the packages in an order of their own, each once.
func sorted(s *inventory.Software) []*inventory.Package {
	list := make([]*inventory.Package, len(s.Packages))
	for i := range s.Packages {
		list[i] = &s.Packages[i]
	}
	key := func(p *inventory.Package) string {
		return strings.Join([]string{string(p.Type), p.Name, p.Version, p.Arch, p.Path}, "\x00")
	}
	slices.SortStableFunc(list, func(a, b *inventory.Package) int { return strings.Compare(key(a), key(b)) })
	return slices.CompactFunc(list, func(a, b *inventory.Package) bool { return key(a) == key(b) })
}

// reference is a name for p within a document that stays the same from build to build.
func reference(p *inventory.Package, url string) string {
	sum := sha256.Sum256([]byte(url + "\x00" + p.Path + "\x00" + p.Name + "\x00" + p.Version))
	return fmt.Sprintf("%x", sum[:8])
}

// identity is a UUID (version 8, by hash) of the inventory's content.
func identity(s *inventory.Software, list []*inventory.Package) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00", s.Name)
	if s.Image != nil {
		fmt.Fprintf(h, "%s\x00", s.Image.Digest)
	}
	for _, p := range list {
		fmt.Fprintf(h, "%s\x00%s\x00%s\x00", p.Name, p.Version, p.Path)
	}
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
