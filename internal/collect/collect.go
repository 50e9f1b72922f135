// Package collect names what brings a cluster's objects: a live API server (package cluster), a snapshot (package
// snapshot), and the kinds that they bring.
package collect

import (
	"context"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Source brings the objects of one cluster.
type Source interface {
	// Stream emits every object that can be read, Namespaces first and owners before what they own, from one goroutine.
	// emit may keep the object; its error ends the stream. What cannot be read is told to notScanned and the rest goes
	// on. Stream returns a fault.Input error when nothing could be read.
	Stream(ctx context.Context, emit func(*inventory.Object) error, notScanned func(finding.NotScanned)) error
	// Info says what is known of the cluster; after Stream it is complete.
	Info() inventory.ClusterInfo
}

// lastApplied is the annotation in which kubectl apply keeps the whole object as it was given.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Redact removes the values of a Secret, in place, wherever the object repeats them. Keys stay. Other kinds are left
// alone.
func Redact(o *inventory.Object) {
	if o.Kind != "Secret" || o.Ref().Group() != "" {
		return
	}
	for _, field := range [...]string{"data", "stringData"} {
		switch v := o.Content[field].(type) {
		case nil:
		case map[string]any:
			for k := range v {
				v[k] = ""
			}
		default:
			delete(o.Content, field) // no keys to keep
		}
	}
	if a := inventory.Map(o.Content, "metadata", "annotations"); a[lastApplied] != nil {
		a[lastApplied] = ""
	}
}
