package inventory

import (
	"slices"
	"strings"
	"time"
)

// ImageFacts is what rules see of an image: an object of kind ImageFacts.stockade.dev, which rules match with
// `over: object` and `match: {kinds: [ImageFacts.stockade.dev]}`. Its content:
//
//	apiVersion: stockade.dev/v1
//	kind: ImageFacts
//	metadata: {name: registry.example.com/shop/till}  # the reference without tag and digest
//	image:    {reference, tag, digest, platform, user, workdir, healthcheck, created, ageDays (-1 unknown),
//	           env: [NAME=value], cmd: [], entrypoint: [], ports: ["22/tcp"], volumes: [], labels: {}}
//	history:  [{createdBy, empty, layer}]
//	os:       {id, release, versionId, eol (bool), eolDate}   # {} when none was found
//	packages: {NAME: version}                                # of the system's package manager
//	hits:     [{kind, name, path, line, redacted, layer, deleted, detail: {}}]
//
// Absent values are "", 0, false or empty, never missing, so that expressions need no has().
func (s *Software) ImageFacts(now time.Time, eolDate string) *Object {
	img := s.Image
	if img == nil {
		img = &Image{Reference: s.Name}
	}
	name, tag := SplitReference(img.Reference)
	age := int64(-1)
	if !img.Created.IsZero() && img.Created.Year() > 2000 { // reproducible builds write 1970 or 1980
		age = int64(now.Sub(img.Created).Hours() / 24)
	}
	created := ""
	if age >= 0 {
		created = img.Created.UTC().Format(time.RFC3339)
	}
	labels := map[string]any{}
	for k, v := range img.Labels {
		labels[k] = v
	}
	history := []any{}
	for _, h := range img.History {
		history = append(history, map[string]any{"createdBy": h.CreatedBy, "empty": h.Empty, "layer": int64(h.Layer)})
	}
	system := map[string]any{}
	for i := range s.Packages {
		if p := &s.Packages[i]; p.Type.System() {
			system[p.Name] = p.Version
		}
	}
	hits := []any{}
	for _, h := range s.Hits {
		detail := map[string]any{}
		for k, v := range h.Detail {
			detail[k] = v
		}
		hits = append(hits, map[string]any{"kind": h.Kind, "name": h.Rule, "path": h.Path, "line": int64(h.Line), "redacted": h.Redacted,
			"hash": h.Hash, "layer": int64(h.Layer), "deleted": h.Deleted, "detail": detail})
	}
	os := map[string]any{}
	if s.OS != nil {
		eol := eolDate != "" && eolDate < now.UTC().Format(time.DateOnly)
		os = map[string]any{"id": s.OS.ID, "release": s.OS.Release, "versionId": s.OS.VersionID, "eol": eol, "eolDate": eolDate}
	}
	return &Object{APIVersion: "stockade.dev/v1", Kind: "ImageFacts", Name: name, Content: map[string]any{
		"apiVersion": "stockade.dev/v1", "kind": "ImageFacts", "metadata": map[string]any{"name": name},
		"image": map[string]any{"reference": img.Reference, "tag": tag, "digest": img.Digest, "platform": img.Platform, "user": img.User,
			"workdir": img.WorkDir, "healthcheck": img.Health, "created": created, "ageDays": age, "env": list(img.Env), "cmd": list(img.Cmd),
			"entrypoint": list(img.Entry), "ports": list(img.Ports), "volumes": list(img.Volumes), "labels": labels},
		"history": history, "os": os, "packages": system, "hits": hits}}
}

func list(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

// SplitReference parts an image reference into its repository and its tag; a digest belongs to neither. Forms that name a
// file ("oci:shop.tar") are their own repository.
func SplitReference(ref string) (repository, tag string) {
	if scheme, _, ok := strings.Cut(ref, ":"); ok && slices.Contains([]string{"oci", "docker-archive", "rootfs"}, scheme) {
		return ref, ""
	}
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i], ref[i+1:]
	}
	return ref, ""
}
