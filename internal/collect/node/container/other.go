//go:build !linux

package container

import (
	"context"

	"stockade.dev/stockade/internal/inventory"
)

var elsewhere = []inventory.SkipFact{{Check: "containers", Needs: "Linux", Reason: "containers are read on Linux only", Code: "unsupported"}}

// Read reads the running containers.
func Read(context.Context, Options) ([]inventory.ContainerFact, []inventory.SkipFact) {
	return nil, elsewhere
}

// Images reads what local images hold.
func Images(context.Context, Options, []string, func(*inventory.Software) error) ([]inventory.SkipFact, error) {
	return elsewhere, nil
}

// Malware looks for malicious files.
func Malware(context.Context, Options, Engines, string, func(Infected) error) (*Sweep, error) {
	return &Sweep{Skipped: elsewhere}, nil
}
