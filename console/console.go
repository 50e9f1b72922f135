// Package console carries the built web console into the program. Its source is in src/; `make console` builds it to dist/app.
package console

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files returns the built console: index.html, assets/ with hashed names, and beside each larger file the same in gzip (name.gz).
// It is nil when the console was not built.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist/app")
	if err != nil {
		return nil
	}
	if _, err := fs.Stat(files, "index.html"); err != nil {
		return nil
	}
	return files
}
