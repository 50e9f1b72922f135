package sbom

import (
	"bytes"
	"io"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/purl"
)

// The properties of our documents, under a prefix of our own as the format asks.
const (
	propertySystem   = "stockade:os"
	propertyPath     = "stockade:path"
	propertyLayer    = "stockade:layer"
	propertyEvidence = "stockade:evidence"
	propertyOwner    = "stockade:owner"
	propertyGap      = "stockade:notScanned"
)

func writeCycloneDX(w io.Writer, s *inventory.Software, o Options) error {
	list := sorted(s)
	bom := cyclonedx.NewBOM()
	bom.SpecVersion, bom.JSONSchema = cyclonedx.SpecVersion1_6, "http://cyclonedx.org/schema/bom-1.6.schema.json"
	bom.SerialNumber = "urn:uuid:" + identity(s, list)
	subject := cyclonedx.Component{BOMRef: "subject", Type: cyclonedx.ComponentTypeContainer, Name: s.Name}
	if s.Image == nil {
		subject.Type = cyclonedx.ComponentTypeApplication
	} else if s.Image.Digest != "" {
		subject.Version = s.Image.Digest
	}
	bom.Metadata = &cyclonedx.Metadata{Timestamp: o.Created.UTC().Format(time.RFC3339), Component: &subject,
		Tools: &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{Type: cyclonedx.ComponentTypeApplication, Name: "stockade", Version: o.Tool}}}}
	var components []cyclonedx.Component
	if s.OS != nil {
		components = append(components, cyclonedx.Component{BOMRef: "os", Type: cyclonedx.ComponentTypeOS, Name: s.OS.ID, Version: s.OS.VersionID,
			Description: s.OS.Release, Properties: &[]cyclonedx.Property{{Name: propertySystem, Value: systemOf(s)}}})
	}
	depends := []string{}
	for _, p := range list {
		c := component(s, p)
		components = append(components, c)
		depends = append(depends, c.BOMRef)
	}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: "subject", Dependencies: &depends}}
	// What was not read must not look like what is not there.
	aggregate := cyclonedx.CompositionAggregateComplete
	var gaps []cyclonedx.Property
	for _, g := range s.Gaps {
		aggregate = cyclonedx.CompositionAggregateIncomplete
		gaps = append(gaps, cyclonedx.Property{Name: propertyGap, Value: g.What + ": " + g.Reason + " (" + g.Code + ")"})
	}
	if len(gaps) > 0 {
		bom.Properties = &gaps
	}
	bom.Compositions = &[]cyclonedx.Composition{{Aggregate: aggregate, Assemblies: &[]cyclonedx.BOMReference{"subject"}}}
	enc := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON)
	return enc.SetPretty(true).SetEscapeHTML(false).EncodeVersion(bom, cyclonedx.SpecVersion1_6)
}

func component(s *inventory.Software, p *inventory.Package) cyclonedx.Component {
	url := purl.Of(p, s.OS)
	c := cyclonedx.Component{BOMRef: reference(p, url), Type: cyclonedx.ComponentTypeLibrary, Name: p.Name, Version: p.Version, PackageURL: url}
	if p.Type == inventory.Generic || p.Component != "" {
		c.Type = cyclonedx.ComponentTypeApplication
	}
	if group, artifact, ok := strings.Cut(p.Name, ":"); ok && p.Type == inventory.Maven {
		c.Group, c.Name = group, artifact
	}
	if p.SHA1 != "" {
		c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA1, Value: p.SHA1}}
	}
	if p.License != "" {
		c.Licenses = &cyclonedx.Licenses{{License: &cyclonedx.License{Name: p.License}}}
	}
	if len(p.CPEs) > 0 {
		c.CPE = cpe(p.CPEs[0], p.Version)
	}
	var props []cyclonedx.Property
	add := func(name, value string) {
		if value != "" {
			props = append(props, cyclonedx.Property{Name: name, Value: value})
		}
	}
	add(propertyPath, p.Path)
	if p.Layer >= 0 && p.Layer < len(s.Layers) {
		add(propertyLayer, s.Layers[p.Layer].Digest)
	}
	add(propertyEvidence, p.Evidence)
	add(propertyOwner, p.Owner)
	if props != nil {
		c.Properties = &props
	}
	return c
}

// cpe writes a CPE 2.3 name of an application. Versions are quoted as NISTIR 7695 asks.
func cpe(vendorProduct, version string) string {
	quote := func(s string) string {
		var b strings.Builder
		for _, r := range s {
			if r < 0x80 && !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' || r == '-' || r == '.') {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
		return b.String()
	}
	vendor, product, _ := strings.Cut(vendorProduct, ":")
	if version == "" {
		version = "*"
	} else {
		version = quote(version)
	}
	return "cpe:2.3:a:" + quote(vendor) + ":" + quote(product) + ":" + version + ":*:*:*:*:*:*:*"
}

func readCycloneDX(data []byte, s *inventory.Software) error {
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(data), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		return err
	}
	if bom.Metadata != nil && bom.Metadata.Component != nil && bom.Metadata.Component.Name != "" {
		c := bom.Metadata.Component
		s.Name = c.Name
		if c.Type == cyclonedx.ComponentTypeContainer {
			s.Image = &inventory.Image{Reference: c.Name}
			if strings.HasPrefix(c.Version, "sha256:") {
				s.Image.Digest = c.Version
			}
		}
	}
	if bom.Components != nil {
		for i := range *bom.Components {
			takeComponent(s, &(*bom.Components)[i], 0)
		}
	}
	if bom.Properties != nil {
		for _, p := range *bom.Properties {
			if p.Name == propertyGap {
				s.Gaps = append(s.Gaps, inventory.Gap{What: s.Name, Reason: "when the document was made: " + p.Value, Code: "skipped"})
			}
		}
	}
	return nil
}

// takeComponent reads a component and what is nested in it, to a depth that no honest document reaches.
func takeComponent(s *inventory.Software, c *cyclonedx.Component, depth int) {
	const deepest = 32
	path := ""
	if c.Properties != nil {
		for _, p := range *c.Properties {
			switch p.Name {
			case propertySystem:
				systemFrom(s, p.Value)
			case propertyPath, "syft:location:0:path", "aquasecurity:trivy:FilePath":
				path = strings.TrimPrefix(p.Value, "/")
			}
		}
	}
	switch {
	case c.Type == cyclonedx.ComponentTypeOS:
		if s.OS == nil || s.OS.VersionID == "" {
			s.OS = &inventory.OS{ID: strings.ToLower(c.Name), VersionID: c.Version}
		}
	case c.Type == cyclonedx.ComponentTypeFile, c.Type == cyclonedx.ComponentTypeData:
	case c.PackageURL != "":
		add(s, c.PackageURL, c.Name, path)
	default:
		without(s, c.Name, c.Version)
	}
	if c.Components == nil {
		return
	}
	if depth >= deepest {
		s.Gaps = append(s.Gaps, inventory.Gap{What: c.Name, Reason: "components are nested too deep", Code: "limit"})
		return
	}
	for i := range *c.Components {
		takeComponent(s, &(*c.Components)[i], depth+1)
	}
}
