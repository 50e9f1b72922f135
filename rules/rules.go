// Package rules embeds the rule library. docs/rules.md says what a rule folder holds.
package rules

import "embed"

// FS holds the rule folders.
//
//go:embed */*/rule.yaml
var FS embed.FS

// Cases holds the good and bad cases of the rules: they are the examples that people see.
//
//go:embed */*/cases
var Cases embed.FS
