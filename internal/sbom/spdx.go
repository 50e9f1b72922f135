package sbom

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/purl"
)

// systemComment begins the comment of the package that stands for the operating system.
const systemComment = "stockade:os "

// gapComment begins a line of the document's comment for everything that was not read.
const gapComment = "not scanned: "

func writeSPDX(w io.Writer, s *inventory.Software, o Options) error {
	list := sorted(s)
	doc := &v2_3.Document{SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: s.Name,
		DocumentNamespace: "https://stockade.dev/spdx/" + identity(s, list),
		CreationInfo: &v2_3.CreationInfo{Created: o.Created.UTC().Format(time.RFC3339),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "stockade-" + o.Tool}}}}
	var gaps []string
	for _, g := range s.Gaps {
		gaps = append(gaps, gapComment+g.What+": "+g.Reason+" ("+g.Code+")")
	}
	doc.DocumentComment = strings.Join(gaps, "\n")
	subject := &v2_3.Package{PackageName: s.Name, PackageSPDXIdentifier: "Subject", PackageDownloadLocation: "NOASSERTION", PrimaryPackagePurpose: "CONTAINER"}
	if s.Image == nil {
		subject.PrimaryPackagePurpose = "APPLICATION"
	} else {
		subject.PackageVersion = s.Image.Digest
	}
	put := func(p *v2_3.Package, relation string, from common.ElementID) {
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, &v2_3.Relationship{RefA: common.MakeDocElementID("", string(from)),
			RefB: common.MakeDocElementID("", string(p.PackageSPDXIdentifier)), Relationship: relation})
	}
	put(subject, "DESCRIBES", "DOCUMENT")
	if s.OS != nil {
		put(&v2_3.Package{PackageName: s.OS.ID, PackageSPDXIdentifier: "OperatingSystem", PackageVersion: s.OS.VersionID,
			PackageDownloadLocation: "NOASSERTION", PrimaryPackagePurpose: "OPERATING-SYSTEM", PackageDescription: s.OS.Release,
			PackageComment: systemComment + systemOf(s)}, "CONTAINS", "Subject")
	}
	for _, p := range list {
		put(spdxPackage(s, p), "CONTAINS", "Subject")
	}
	return spdxjson.Write(doc, w, spdxjson.Indent(" "), spdxjson.EscapeHTML(false))
}

func spdxPackage(s *inventory.Software, p *inventory.Package) *v2_3.Package {
	url := purl.Of(p, s.OS)
	out := &v2_3.Package{PackageName: p.Name, PackageVersion: p.Version, PackageSPDXIdentifier: common.ElementID("Package-" + reference(p, url)),
		PackageDownloadLocation: "NOASSERTION", PackageLicenseConcluded: "NOASSERTION", PackageCopyrightText: "NOASSERTION", PrimaryPackagePurpose: "LIBRARY"}
	if p.Type == inventory.Generic || p.Component != "" {
		out.PrimaryPackagePurpose = "APPLICATION"
	}
	if p.Path != "" {
		out.PackageSourceInfo = "found in " + p.Path
	}
	if p.SHA1 != "" {
		out.PackageChecksums = []common.Checksum{{Algorithm: common.SHA1, Value: p.SHA1}}
	}
	if url != "" {
		out.PackageExternalReferences = append(out.PackageExternalReferences,
			&v2_3.PackageExternalReference{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: url})
	}
	for _, c := range p.CPEs {
		out.PackageExternalReferences = append(out.PackageExternalReferences,
			&v2_3.PackageExternalReference{Category: common.CategorySecurity, RefType: common.TypeSecurityCPE23Type, Locator: cpe(c, p.Version)})
	}
	return out
}

// spdxDocument is what we read of a document. The library's own reader panics on a null package.
type spdxDocument struct {
	Name     string `json:"name"`
	Comment  string `json:"comment"`
	Packages []struct {
		ID         string `json:"SPDXID"`
		Name       string `json:"name"`
		Version    string `json:"versionInfo"`
		Purpose    string `json:"primaryPackagePurpose"`
		SourceInfo string `json:"sourceInfo"`
		Comment    string `json:"comment"`
		Refs       []struct {
			Type    string `json:"referenceType"`
			Locator string `json:"referenceLocator"`
		} `json:"externalRefs"`
	} `json:"packages"`
}

func readSPDX(data []byte, s *inventory.Software) error {
	var doc spdxDocument
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	if doc.Name != "" {
		s.Name = doc.Name
	}
	for line := range strings.SplitSeq(doc.Comment, "\n") {
		if gap, ok := strings.CutPrefix(line, gapComment); ok {
			s.Gaps = append(s.Gaps, inventory.Gap{What: s.Name, Reason: "when the document was made: " + gap, Code: "skipped"})
		}
	}
	for _, p := range doc.Packages {
		url := ""
		for _, r := range p.Refs {
			if strings.EqualFold(r.Type, common.TypePackageManagerPURL) {
				url = r.Locator
			}
		}
		switch {
		case p.Purpose == "CONTAINER" || p.ID == "SPDXRef-Subject":
			s.Image = &inventory.Image{Reference: p.Name}
			if strings.HasPrefix(p.Version, "sha256:") {
				s.Image.Digest = p.Version
			}
		case p.Purpose == "OPERATING-SYSTEM":
			if text, ok := strings.CutPrefix(p.Comment, systemComment); ok {
				systemFrom(s, text)
			}
			if s.OS == nil || s.OS.VersionID == "" {
				s.OS = &inventory.OS{ID: strings.ToLower(p.Name), VersionID: p.Version}
			}
		case url != "":
			path, ok := strings.CutPrefix(p.SourceInfo, "found in ")
			if !ok {
				path = ""
			}
			add(s, url, p.Name, path)
		default:
			without(s, p.Name, p.Version)
		}
	}
	return nil
}
