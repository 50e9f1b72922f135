// Package demo is the bundled cluster that the server can be tried with: a small shop with many faults, and what its images hold.
package demo

import "embed"

// Name is what the demo cluster is called where it is added.
const Name = "shop"

// FS holds the cluster as a snapshot (shop) and the inventories of its images (inventories).
//
//go:embed shop inventories
var FS embed.FS
