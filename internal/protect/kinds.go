package protect

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// ref names an object of a cluster.
type ref struct{ APIVersion, Kind, Namespace, Name string }

func refOf(o *object) ref {
	return ref{o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName()}
}

func (r ref) String() string {
	return r.APIVersion + "|" + r.Kind + "|" + r.Namespace + "|" + r.Name
}

// readRef reads what String wrote.
func readRef(s string) (ref, bool) {
	p := strings.SplitN(s, "|", 4)
	if len(p) != 4 {
		return ref{}, false
	}
	return ref{p[0], p[1], p[2], p[3]}, true
}

// words are how people call the object: "Deployment stockade-protect/stockade-provider".
func (r ref) words() string {
	if r.Namespace != "" {
		return r.Kind + " " + r.Namespace + "/" + r.Name
	}
	return r.Kind + " " + r.Name
}

func (r ref) group() string {
	group, _, ok := strings.Cut(r.APIVersion, "/")
	if !ok {
		return ""
	}
	return group
}

// Groups of Gatekeeper.
const (
	constraintGroup = "constraints.gatekeeper.sh"
	templateGroup   = "templates.gatekeeper.sh"
	providerGroup   = "externaldata.gatekeeper.sh"
	mutationGroup   = "mutations.gatekeeper.sh"
	definitionGroup = "apiextensions.k8s.io"
	admissionGroup  = "admissionregistration.k8s.io"
	crdCollection   = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	templates       = "/apis/templates.gatekeeper.sh/v1/constrainttemplates"
)

// plurals are the resources of kinds that do not end with a plain s. Gatekeeper's own kinds, and those of constraints, are their
// kind in small letters.
var plurals = map[string]string{
	"NetworkPolicy": "networkpolicies", "ValidatingAdmissionPolicy": "validatingadmissionpolicies", "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
	"ConstraintTemplate": "constrainttemplates", "Provider": "providers", "Config": "configs", "SyncSet": "syncsets",
}

// clusterWide are the kinds without a namespace, beside Gatekeeper's.
var clusterWide = []string{"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
	"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "Node"}

// resource is the name of the kind in paths.
func (r ref) resource() string {
	if p := plurals[r.Kind]; p != "" {
		return p
	}
	lower := strings.ToLower(r.Kind)
	switch r.group() {
	case constraintGroup, mutationGroup, "expansion.gatekeeper.sh":
		return lower
	}
	return lower + "s"
}

// scoped reports whether the object lies in a namespace.
func (r ref) scoped() bool {
	g := r.group()
	if strings.HasSuffix(g, ".gatekeeper.sh") && r.Kind != "Config" && r.Kind != "Connection" && !strings.HasSuffix(r.Kind, "PodStatus") {
		return false
	}
	return !slices.Contains(clusterWide, r.Kind)
}

// collection is the path of the list that the object is in.
func (r ref) collection() string {
	path := "/api/" + r.APIVersion
	if strings.Contains(r.APIVersion, "/") {
		path = "/apis/" + r.APIVersion
	}
	if r.scoped() {
		path += "/namespaces/" + r.Namespace
	}
	return path + "/" + r.resource()
}

func (r ref) path() string { return r.collection() + "/" + r.Name }

// hashOf is the digest of an object as it is applied, but for what changes with every bundle.
func hashOf(o *object) string {
	if o.GetAnnotations()[bundleMark] != "" {
		o = copied(o)
		notes := o.GetAnnotations()
		delete(notes, bundleMark)
		o.SetAnnotations(notes)
	}
	data, err := json.Marshal(o.Object) // maps in the order of their keys
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

func randomName() string { return rand.Text() }

// oneLine makes a text of foreign origin fit for the database and a terminal.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool { return r < ' ' || r == 0x7f }), "; ")
	const most = 1000
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

func encoded(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func join(list []string) string { return strings.Join(list, ",") }

func compare(a, b string) int { return strings.Compare(a, b) }

func jsonText(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(data)
}
