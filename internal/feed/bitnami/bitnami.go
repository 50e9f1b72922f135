// Package bitnami knows how Bitnami's database writes names. Versions have three parts always: PostgreSQL 13.19 is 13.19.0.
package bitnami

import "strings"

// Component returns the name of a component: the feed has it plain, purls in it with their type before.
func Component(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "pkg:bitnami/"), "bitnami/")
}
