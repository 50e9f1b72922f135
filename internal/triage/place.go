package triage

import (
	"crypto/sha256"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/ledger"
)

// assetKey names an asset in its target, as the table does.
type assetKey struct {
	kind                             ledger.AssetKind
	groupKind, namespace, name, hash string // hash is the digest of an image
}

// print is the key in a few bytes. Workloads and other objects are one family: a kind that is found to run pods stays the same
// thing.
func (k assetKey) print() (p [16]byte) {
	kind := k.kind
	switch kind {
	case ledger.AssetWorkload:
		kind = ledger.AssetObject
	case ledger.AssetCluster: // there is one, whatever its name is now
		k.name = ""
	}
	h := sha256.New()
	h.Write([]byte{byte(kind)})
	for _, s := range []string{k.groupKind, k.namespace, k.name, k.hash} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	copy(p[:], h.Sum(nil))
	return p
}

// cleaned is the key as the table can hold it.
func (k assetKey) cleaned() assetKey {
	k.groupKind, k.namespace, k.name, k.hash = clean(k.groupKind), clean(k.namespace), clean(k.name), clean(k.hash)
	return k
}

// rootKey is the asset that stands for the target itself: the cluster with everything in it. Targets of other kinds have none,
// what has no place in them stands under the target's name.
func rootKey(t *ledger.Target) assetKey {
	switch t.Kind {
	case "cluster":
		return assetKey{kind: ledger.AssetCluster, name: t.Name}
	case "node":
		return assetKey{kind: ledger.AssetNode, name: t.Name}
	}
	return assetKey{kind: ledger.AssetFile, name: t.Name}
}

func namespaceKey(name string) assetKey {
	return assetKey{kind: ledger.AssetNamespace, namespace: name, name: name}
}

// keyOfRef is the asset of an object.
func keyOfRef(r inventory.Ref) assetKey {
	switch gk := r.GroupKind(); {
	case gk == "Namespace":
		return namespaceKey(r.Name)
	case gk == "Node" || gk == "NodeFacts.stockade.dev":
		return assetKey{kind: ledger.AssetNode, name: r.Name}
	case inventory.CarriesPod(gk):
		return assetKey{kind: ledger.AssetWorkload, groupKind: gk, namespace: r.Namespace, name: r.Name}
	default:
		return assetKey{kind: ledger.AssetObject, groupKind: gk, namespace: r.Namespace, name: r.Name}
	}
}

// keyOf is the asset that a finding is about.
func keyOf(f *finding.Finding, t *ledger.Target) assetKey {
	r := &f.Resource
	switch {
	case r.Kind == "" && r.Image != "":
		return assetKey{kind: ledger.AssetImage, name: r.Image, hash: r.Digest}
	case (r.Kind == "" || r.Kind == "Process") && r.Node != "": // a component's process on it
		return assetKey{kind: ledger.AssetNode, name: r.Node}
	case r.Node != "" && r.Kind != "" && r.Name != "": // a file is one on the node
		return keyOfRef(inventory.Ref{APIVersion: r.APIVersion, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name})
	case r.File != "":
		return assetKey{kind: ledger.AssetFile, name: r.File}
	case r.Kind != "" && r.Name != "":
		return keyOfRef(inventory.Ref{APIVersion: r.APIVersion, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name})
	case r.Node != "":
		return assetKey{kind: ledger.AssetNode, name: r.Node}
	}
	return rootKey(t)
}

// keyOfAsset is the key of what a scan says that it looked at; ok is false for what is no asset: rules and whole kinds.
func keyOfAsset(a *finding.Asset, t *ledger.Target) (key assetKey, ok bool) {
	switch a.Kind {
	case "cluster":
		return rootKey(t), true
	case "namespace":
		return namespaceKey(a.Name), true
	case "workload":
		return assetKey{kind: ledger.AssetWorkload, groupKind: a.GroupKind, namespace: a.Namespace, name: a.Name}, true
	case "image":
		return assetKey{kind: ledger.AssetImage, name: a.Name, hash: a.Digest}, true
	case "node":
		return assetKey{kind: ledger.AssetNode, name: a.Name}, true
	case "object":
		return assetKey{kind: ledger.AssetObject, groupKind: a.GroupKind, namespace: a.Namespace, name: a.Name}, a.Name != ""
	case "file":
		return assetKey{kind: ledger.AssetFile, name: a.Name}, true
	}
	return assetKey{}, false
}

// namespaceOf is the namespace that a finding counts for: that of its object, or the namespace that it is about.
func namespaceOf(f *finding.Finding, k assetKey) string {
	if k.namespace == "*" || f.Resource.Namespace == "*" { // stands for all in counts, and is no name
		return ""
	}
	switch k.kind {
	case ledger.AssetNamespace, ledger.AssetWorkload, ledger.AssetObject:
		return k.namespace
	case ledger.AssetFile:
		return clean(f.Resource.Namespace)
	}
	return ""
}

// resourceOf is the name that lists show.
func resourceOf(f *finding.Finding, k assetKey) string {
	r := &f.Resource
	switch {
	case r.Kind != "" && r.Name != "":
		return clean(r.Name)
	case r.File != "" && k.kind == ledger.AssetFile:
		return clean(r.File)
	case k.kind == ledger.AssetImage:
		return clean(r.Name)
	}
	return k.name
}

// unrated is the priority of findings that have none, by severity: as match weighs a vulnerability of which only that is known.
var unrated = map[finding.Severity]int{finding.Critical: 48, finding.High: 40, finding.Medium: 28, finding.Low: 13, finding.Info: 3}

func priorityOf(f *finding.Finding) int {
	if f.Priority != nil {
		return min(max(f.Priority.Score, 0), 100)
	}
	return unrated[f.Severity]
}
