// Package bottlerocket knows what is particular to Bottlerocket's updateinfo: its collection and its advisories' ids.
package bottlerocket

// Stream is the only one: releases roll.
const Stream = "bottlerocket"

// Is reports whether a collection of packages is Bottlerocket's.
func Is(collection string) bool { return collection == "bottlerocket" || collection == "Bottlerocket" }
