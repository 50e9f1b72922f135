package api

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/sbom"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// imageDocument is the input of the bill of materials of an image.
type imageDocument struct {
	Digest string `path:"digest" pattern:"^sha256:[0-9a-f]{64}$" patternDescription:"sha256:..."`
	Form   string `query:"form" enum:"cyclonedx,spdx" default:"cyclonedx"`
}

// document is a file.
type document struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

// Images adds the routes of images.
func Images(a *API, s *task.Service, version string) {
	Add(a, Route{Method: http.MethodGet, Path: "/images/{digest}/sbom", ID: "get-image-sbom", Tag: "Images", Summary: "Write what an image holds as a bill of materials", Action: identity.Read,
		Description: "CycloneDX 1.6 or SPDX 2.3 as JSON, of the image as the last scan read it."},
		func(ctx context.Context, in *imageDocument) (*document, error) {
			sees, err := s.RunsImage(ctx, identity.From(ctx).Visible(identity.Read), in.Digest)
			if err != nil {
				return nil, err
			}
			if !sees {
				return nil, store.ErrNotFound
			}
			sw, err := s.Inventory(ctx, in.Digest)
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
			return &document{ContentType: kind, Disposition: `attachment; filename="` + in.Digest[7:19] + end + `"`, Body: b.Bytes()}, nil
		})
}
