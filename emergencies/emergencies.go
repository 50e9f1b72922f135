// Package emergencies embeds the list of emergency vulnerabilities. README.md says what a folder holds and what was left out.
package emergencies

import "embed"

// FS holds the folders.
//
//go:embed */emergency.yaml
var FS embed.FS
