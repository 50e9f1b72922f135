package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"stockade.dev/stockade/demo"
	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/task"
)

// bundledReader reads the images of the demo cluster from what comes with the program. Inventories without a digest are given that of
// their file: under their names they would answer for the images of other clusters too.
type bundledReader struct {
	reader  *examine.Reader
	digests map[string]string // by name
}

// Read implements task.ImageReader.
func (b bundledReader) Read(ctx context.Context, use scan.Use, known func(string) bool) (*inventory.Software, string, error) {
	sw, digest, err := b.reader.Read(ctx, use, known)
	switch {
	case err != nil && b.reader.Saved[use.Reference] == nil:
		err = examine.Coded(errors.New("the demo brings no inventory of this image, and no registry is asked for it"), finding.Skipped)
	case err == nil && digest == "":
		digest = b.digests[sw.Name]
	}
	return sw, digest, err
}

// bundledImages opens what comes with the program.
func bundledImages() (task.ImageReader, error) {
	b := bundledReader{examine.NewReader(image.Options{}), map[string]string{}}
	b.reader.Offline, b.reader.Remote, b.reader.Saved = true, true, map[string]*inventory.Software{}
	err := fs.WalkDir(demo.FS, "inventories", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(demo.FS, name)
		if err != nil {
			return err
		}
		sw, err := readInventory("-", bytes.NewReader(data))
		if err != nil {
			return err
		}
		keepInventory(b.reader.Saved, sw)
		b.digests[sw.Name] = fmt.Sprintf("sha256:%x", sha256.Sum256(data))
		return nil
	})
	return b, fault.Wrap(fault.Internal, "the demo", err)
}
