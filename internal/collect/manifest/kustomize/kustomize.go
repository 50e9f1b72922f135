// Package kustomize builds kustomizations offline into objects that point at their resource files.
package kustomize

import (
	"context"

	"stockade.dev/stockade/internal/collect/manifest"
	"stockade.dev/stockade/internal/inventory"
)

// Build builds the kustomization in dir, reading nothing outside root. consumed are the files it used.
func Build(ctx context.Context, root, dir string, lim manifest.Limits) (objs []*inventory.Object, consumed []string, problems []manifest.Problem) {
	return nil, nil, nil
}
