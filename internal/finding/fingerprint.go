package finding

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Identity is what makes two findings the same finding. It holds names, never positions, texts, pod names or versions,
// so that a re-deploy, a moved line or a reworded rule changes nothing.
type Identity struct {
	RuleID    string
	Cluster   string // "" for files
	Kind      string // of the owning workload or object
	Group     string // API group: versions of one group are one thing
	Namespace string
	Name      string
	Container string
	Node      string
	File      string // for IaC: two variants of an object in two files are two findings
	Ordinal   int    // which of several objects of the same name in one file
	Item      string // the element at fault in a list: its name, its value, or its path without indices
}

// Fingerprint returns 32 hex digits that stand for id.
func (id Identity) Fingerprint() string {
	h := sha256.New()
	for _, s := range []string{id.RuleID, id.Cluster, id.Kind, id.Group, id.Namespace, id.Name, id.Container, id.Node,
		id.File, strings.Repeat("+", id.Ordinal), id.Item} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
