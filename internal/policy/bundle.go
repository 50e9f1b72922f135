package policy

import (
	"stockade.dev/stockade/internal/exception"
)

// Bundle is all that holds in one cluster. The server makes it; the provider, the preview and the replay judge by it, and the
// constraints in the cluster are compiled from it.
type Bundle struct {
	Generation string `json:"generation"` // digest of the rest: it changes when anything does
	Target     int64  `json:"target,string"`
	Cluster    string `json:"cluster"`
	Lang       string `json:"lang"` // of refusals: en or zh
	// Console is the address under which users find the full story of a refusal; may be empty.
	Console    string                `json:"console,omitempty"`
	Policies   []Policy              `json:"policies"`
	Templates  []Template            `json:"templates,omitempty"` // those that the policies use
	Exceptions []exception.Exception `json:"exceptions,omitempty"`
	// System are the namespaces that policies leave alone: SystemNamespaces and what the cluster's settings add.
	System []string `json:"system"`
	// Users and Groups are let in by every policy: the cluster's own, as its settings name them.
	Users  []string `json:"users,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// Namespaces are the labels of namespaces, when a policy selects by them: admission requests do not say them, and the provider
	// may ask the cluster nothing. A namespace that is not in it is taken to have none but its name.
	Namespaces map[string]map[string]string `json:"namespaces,omitempty"`
}
