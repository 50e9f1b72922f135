// Package snapshot saves what a scan needs of a cluster, and reads it again: a folder or tar.zst of the form below, or
// plain output of kubectl.
//
//	snapshot.json                               a Document
//	objects/<group>_<version>_<resource>.jsonl  one object a line, "core" for the core group; Secret values removed
//	nodes/<name>.json                           node facts
//	images.json                                 image references with digests as running
//
// What is read is hostile: sizes are bounded, paths never leave the folder, and what is broken is told with its place
// while the rest is read.
package snapshot

import (
	"strings"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Schema is the name and version of the form.
const Schema = "stockade.snapshot/v1"

// Document is snapshot.json.
type Document struct {
	Schema       string               `json:"schema"`
	Cluster      string               `json:"cluster"`
	Version      string               `json:"version,omitempty"`
	Distribution string               `json:"distribution,omitempty"`
	Managed      bool                 `json:"managed,omitempty"`
	Time         string               `json:"time"`                 // RFC 3339, when saving began
	NotScanned   []finding.NotScanned `json:"notScanned,omitempty"` // what could not be read of the cluster
	Unread       map[string]string    `json:"unread,omitempty"`     // "Kind.group" -> why it could not be read
	Files        []File               `json:"files,omitempty"`      // in the order in which they are to be read
}

// File is one file of objects.
type File struct {
	Path    string `json:"path"`
	Kind    string `json:"kind"` // "Kind.group"
	Objects int    `json:"objects"`
}

// Image is an entry of images.json.
type Image struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest,omitempty"` // "sha256:..." of the manifest
}

// Names inside a snapshot.
const (
	documentName = "snapshot.json"
	imagesName   = "images.json"
	objectsDir   = "objects/"
	nodesDir     = "nodes/"
)

// Limits bound what reading a snapshot may cost.
type Limits struct {
	Object int   // bytes of one object; default 16 MiB, far above what an API server stores
	Total  int64 // bytes after decompression; default 16 GiB
	Files  int   // files; default 100,000
}

func (l Limits) withDefaults() Limits {
	if l.Object <= 0 {
		l.Object = 16 << 20
	}
	if l.Total <= 0 {
		l.Total = 16 << 30
	}
	if l.Files <= 0 {
		l.Files = 100_000
	}
	return l
}

// objectsFile names the file of an object's kind.
func objectsFile(o *inventory.Object) string {
	ref := o.Ref()
	group, version := ref.Group(), ref.APIVersion
	if _, v, ok := strings.Cut(version, "/"); ok {
		version = v
	}
	if group == "" {
		group = "core"
	}
	return objectsDir + plain(group) + "_" + plain(version) + "_" + plain(collect.ResourceOf(ref.GroupKind())) + ".jsonl"
}

// plain makes a part of a file name of any text.
func plain(s string) string {
	const most = 80
	s = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '-'
	}, s)
	s = strings.TrimLeft(s, ".")
	if s == "" {
		s = "-"
	}
	return s[:min(len(s), most)]
}

// rank is the place of a file of objects in the order of reading, by its name.
func rank(path string) int {
	name := strings.TrimSuffix(path[strings.LastIndexByte(path, '/')+1:], ".jsonl")
	parts := strings.Split(name, "_")
	if len(parts) != 3 {
		return collect.Rank("")
	}
	if parts[0] == "core" {
		parts[0] = ""
	}
	for i := range collect.Kinds {
		if k := &collect.Kinds[i]; k.Group == parts[0] && k.Resource == parts[2] {
			return i
		}
	}
	return collect.Rank("")
}
