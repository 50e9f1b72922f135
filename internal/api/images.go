package api

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"stockade.dev/stockade/internal/anatomy"
	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/sbom"
)

// ByImage is the input of routes that name an image.
type ByImage struct {
	Digest string `path:"digest" pattern:"^(sha256:[0-9a-f]{64}|[1-9][0-9]{0,17})$" patternDescription:"sha256:..., or the id of an asset" doc:"digest of the image, or of the index that led to it; the id of an image's asset where no digest is known"`
}

// OfTarget is the part of the input that chooses whose findings are told.
type OfTarget struct {
	Target int64 `query:"target" minimum:"1" doc:"id of the cluster whose findings are told: people handle them for each; absent: where it was looked at last"`
}

// imageDocument is the input of the bill of materials of an image.
type imageDocument struct {
	ByImage
	Form string `query:"form" enum:"cyclonedx,spdx" default:"cyclonedx"`
}

// document is a file.
type document struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

// ImageFinding is a finding on an image with its place in it.
type ImageFinding struct {
	anatomy.Found
	Title       string       `json:"title"`
	Translation *Translation `json:"translation,omitempty"`
}

// Images adds the routes of images.
func Images(a *API, s *anatomy.Service, version string) {
	listImages(a, s)
	oneImage(a, s)
	imageFindings(a, s)
	imagePackages(a, s)
	Add(a, Route{Method: http.MethodGet, Path: "/images/{digest}/sbom", ID: "get-image-sbom", Tag: "Images", Summary: "Write what an image holds as a bill of materials", Action: identity.Read,
		Description: "CycloneDX 1.6 or SPDX 2.3 as JSON, of the image as the last scan read it."},
		func(ctx context.Context, in *imageDocument) (*document, error) {
			sw, digest, err := s.Inventory(ctx, identity.From(ctx).Visible(identity.Read), in.Digest)
			if err != nil {
				return nil, err
			}
			var b bytes.Buffer
			if err := sbom.Write(&b, in.Form, sw, sbom.Options{Tool: version, Created: time.Now()}); err != nil {
				return nil, err
			}
			kind, end := "application/vnd.cyclonedx+json", ".cdx.json"
			if in.Form == "spdx" {
				kind, end = "application/spdx+json", ".spdx.json"
			}
			return &document{ContentType: kind, Disposition: `attachment; filename="` + fileName(digest) + end + `"`, Body: b.Bytes()}, nil
		})
	type componentsInput struct {
		ByID
		InLang
	}
	Add(a, Route{Method: http.MethodGet, Path: "/clusters/{id}/components", ID: "list-cluster-components", Tag: "Clusters", Summary: "Core components of a cluster", Action: identity.Read,
		Description: "Those of the control plane, the nodes, and Harbor and JFrog repositories: found or not, version, and why one cannot be scanned. As the last full scan saw them."},
		func(ctx context.Context, in *componentsInput) (*One[anatomy.Components], error) {
			lang, _ := in.in(ctx)
			c, err := s.Components(ctx, identity.From(ctx).Visible(identity.Read), in.ID, lang)
			if err != nil {
				return nil, err
			}
			return &One[anatomy.Components]{Body: *c}, nil
		})
}

// fileName is a short name of a digest, or of a reference where there is none.
func fileName(digest string) string {
	if len(digest) == 71 {
		return digest[7:19]
	}
	return "image"
}

func listImages(a *API, s *anatomy.Service) {
	type input struct {
		Paging
		Target    []int64  `query:"target" maxItems:"1000" doc:"ids of clusters"`
		Namespace []string `query:"namespace" maxItems:"1000" doc:"of a workload that runs it"`
		Severity  []string `query:"severity" enum:"critical,high,medium,low,info" doc:"with an active finding of one of these"`
		Fixable   string   `query:"fixable" enum:"true,false" doc:"with an active finding that has a fixed version, or without one"`
		Read      string   `query:"read" enum:"true,false" doc:"looked into, or not"`
		Q         string   `query:"q" maxLength:"1000" doc:"words, each the beginning of a word of the reference"`
		Sort      string   `query:"sort" default:"score" enum:"score,name,cluster,-score,-name,-cluster" doc:"score begins with the worst; - before it the other way round"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/images", ID: "list-images", Tag: "Images", Summary: "Images in use, one row for each cluster", Action: identity.Read},
		func(ctx context.Context, in *input) (*Counted[anatomy.ImageRow], error) {
			f := browse.AssetFilter{Targets: in.Target, Namespaces: in.Namespace, Fixable: yesNo(in.Fixable), Read: yesNo(in.Read), Q: in.Q}
			if err := parseAll(&f.Severities, in.Severity); err != nil {
				return nil, err
			}
			list, next, total, err := s.List(ctx, identity.From(ctx).Visible(identity.Read), f, in.Sort, in.Page())
			if err != nil {
				return nil, browsed(err)
			}
			return counted(list, next, total), nil
		})
}

func oneImage(a *API, s *anatomy.Service) {
	type input struct {
		ByImage
		OfTarget
		InLang
	}
	Add(a, Route{Method: http.MethodGet, Path: "/images/{digest}", ID: "get-image", Tag: "Images", Summary: "One image: layers, base, findings by place, what to upgrade, where it runs", Action: identity.Read},
		func(ctx context.Context, in *input) (*One[anatomy.Image], error) {
			lang, _ := in.in(ctx)
			x, err := s.Image(ctx, identity.From(ctx).Visible(identity.Read), in.Digest, in.Target, lang)
			if err != nil {
				return nil, browsed(err)
			}
			return &One[anatomy.Image]{Body: *x}, nil
		})
}

// InLayer is the part of the inputs that says in which layers.
type InLayer struct {
	Layer  int    `query:"layer" minimum:"-2" maximum:"10000" default:"-2" doc:"index; -1: of none, or not known; -2: all"`
	Origin string `query:"origin" enum:"base,own" doc:"layers of the base, or the image's own"`
}

// layer is the layer that is asked for, nil for all.
func (l InLayer) layer() *int {
	if l.Layer < -1 {
		return nil
	}
	return &l.Layer
}

func imageFindings(a *API, s *anatomy.Service) {
	type input struct {
		Paging
		ByImage
		OfTarget
		InLayer
		InLang
		Kind     []string `query:"kind" enum:"system-vulnerability,application-vulnerability,emergency,configuration,iac,secret,malware,permission"`
		Severity []string `query:"severity" enum:"critical,high,medium,low,info"`
		Fixable  string   `query:"fixable" enum:"true,false" doc:"a fixed version is known"`
		KEV      string   `query:"kev" enum:"true,false" doc:"known to be exploited"`
		Package  string   `query:"package" maxLength:"1000"`
		Version  string   `query:"version" maxLength:"1000" doc:"of the package"`
		File     string   `query:"path" maxLength:"4000" doc:"whole"`
		Q        string   `query:"q" maxLength:"1000" doc:"words in the rule, title, package or path"`
		Sort     string   `query:"sort" default:"-priority" enum:"priority,severity,rule,package,layer,epss,cvss,-priority,-severity,-rule,-package,-layer,-epss,-cvss" doc:"- before it for descending"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/images/{digest}/findings", ID: "list-image-findings", Tag: "Images", Summary: "Active findings of an image by their place in it", Action: identity.Read},
		func(ctx context.Context, in *input) (*Counted[ImageFinding], error) {
			f := anatomy.FindingFilter{Layer: in.layer(), Origin: in.Origin, Fixable: yesNo(in.Fixable), KEV: yesNo(in.KEV), Package: in.Package,
				Version: in.Version, Path: in.File, Q: in.Q}
			if err := parseAll(&f.Severities, in.Severity); err != nil {
				return nil, err
			}
			if err := parseAll(&f.Kinds, in.Kind); err != nil {
				return nil, err
			}
			l, err := s.Findings(ctx, identity.From(ctx).Visible(identity.Read), in.Digest, in.Target, f, in.Sort, in.Page())
			if err != nil {
				return nil, browsed(err)
			}
			lang, both := in.in(ctx)
			out := make([]ImageFinding, len(l.Items))
			for i, x := range l.Items {
				title := finding.Text{EN: x.Title.EN, ZH: x.Title.ZH}
				out[i] = ImageFinding{Found: x, Title: title.In(lang)}
				if both {
					out[i].Translation = &Translation{Lang: otherLang(lang), Title: title.In(otherLang(lang))}
				}
			}
			return counted(out, l.Next, browse.Total{N: l.Total, AtLeast: l.Cut}), nil
		})
}

func imagePackages(a *API, s *anatomy.Service) {
	type input struct {
		Paging
		ByImage
		OfTarget
		InLayer
		Type       []string `query:"type" maxItems:"20" doc:"deb, rpm, apk, npm, ..."`
		Vulnerable string   `query:"vulnerable" enum:"true,false" doc:"with an active finding"`
		Q          string   `query:"q" maxLength:"1000" doc:"words in the name, version, path or license"`
		Sort       string   `query:"sort" default:"-worst" enum:"name,type,layer,findings,worst,-name,-type,-layer,-findings,-worst" doc:"- before it for descending"`
	}
	Add(a, Route{Method: http.MethodGet, Path: "/images/{digest}/packages", ID: "list-image-packages", Tag: "Images", Summary: "Packages of an image", Action: identity.Read,
		Description: "404 when the image was not read: GET /images/{digest} says why."},
		func(ctx context.Context, in *input) (*Counted[anatomy.ImagePackage], error) {
			f := anatomy.PackageFilter{Q: in.Q, Types: in.Type, Layer: in.layer(), Origin: in.Origin, Vulnerable: yesNo(in.Vulnerable)}
			list, next, total, err := s.Packages(ctx, identity.From(ctx).Visible(identity.Read), in.Digest, in.Target, f, in.Sort, in.Page())
			if err != nil {
				return nil, browsed(err)
			}
			return counted(list, next, browse.Total{N: total}), nil
		})
}
