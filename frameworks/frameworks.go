// Package frameworks embeds the compliance frameworks: their clauses as data. Which rule decides which clause stands in the
// rules.
package frameworks

import "embed"

// FS holds one YAML file a framework.
//
//go:embed *.yaml
var FS embed.FS
