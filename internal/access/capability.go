package access

import (
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// Capability is a right that matters to an attacker, whatever verb and resource express it.
type Capability uint8

// The capabilities. Those marked "cluster" concern objects without a namespace, so a RoleBinding cannot give them.
const (
	ReadSecrets          Capability = iota // get, list or watch secrets
	CreateSecrets                          // create secrets, and so service-account token secrets
	RunPods                                // create pods, or create or change what creates them
	ExecPods                               // exec or attach to pods, or add ephemeral containers
	PortForward                            // reach the ports of pods
	DeletePods                             // delete or evict pods
	EscalateClusterRoles                   // escalate on clusterroles (cluster)
	EscalateRoles                          // escalate on roles
	ChangeClusterRoles                     // update or patch clusterroles (cluster)
	ChangeRoles                            // update or patch roles
	BindClusterRoles                       // bind on clusterroles
	BindRoles                              // bind on roles
	WriteClusterBindings                   // create or change clusterrolebindings (cluster)
	WriteBindings                          // create or change rolebindings
	ImpersonateUsers                       // (cluster)
	ImpersonateGroups                      // (cluster)
	ImpersonateAccounts                    // service accounts
	MintTokens                             // create serviceaccounts/token
	MutateRequests                         // create or change mutating webhooks or policies (cluster)
	ChangeWebhooks                         // create, change or delete any admission webhook or policy (cluster)
	ApproveRequests                        // update certificatesigningrequests/approval (cluster)
	ApproveSigner                          // approve on signers (cluster)
	CreateRequests                         // create certificatesigningrequests (cluster)
	NodesProxy                             // reach the kubelet through nodes/proxy (cluster)
	LabelNamespaces                        // update or patch namespaces
	CreateVolumes                          // create persistentvolumes (cluster)
	ChangeNodes                            // update or patch nodes, taints and labels among them (cluster)
	ChangeConfigMaps                       // update or patch configmaps
	Admin                                  // every verb on every resource of every group
	capabilities                           // their number
)

// word is one way to spell a capability. A verb of a top-level create takes no resourceNames.
type word struct {
	cap      Capability
	group    string
	resource string
	verbs    string // blank-separated
}

const rbacGroup = "rbac.authorization.k8s.io"

// spelling is every way to spell every capability but Admin.
var spelling = []word{
	{ReadSecrets, "", "secrets", "get list watch"},
	{CreateSecrets, "", "secrets", "create"},
	{RunPods, "", "pods", "create"},
	{RunPods, "", "replicationcontrollers", "create update patch"},
	{RunPods, "apps", "deployments", "create update patch"},
	{RunPods, "apps", "daemonsets", "create update patch"},
	{RunPods, "apps", "statefulsets", "create update patch"},
	{RunPods, "apps", "replicasets", "create update patch"},
	{RunPods, "batch", "jobs", "create"}, // the template of a Job cannot be changed
	{RunPods, "batch", "cronjobs", "create update patch"},
	{ExecPods, "", "pods/exec", "create"},
	{ExecPods, "", "pods/attach", "create"},
	{ExecPods, "", "pods/ephemeralcontainers", "update patch"},
	{PortForward, "", "pods/portforward", "create"},
	{DeletePods, "", "pods", "delete deletecollection"},
	{DeletePods, "", "pods/eviction", "create"},
	{EscalateClusterRoles, rbacGroup, "clusterroles", "escalate"},
	{EscalateRoles, rbacGroup, "roles", "escalate"},
	{ChangeClusterRoles, rbacGroup, "clusterroles", "update patch"},
	{ChangeRoles, rbacGroup, "roles", "update patch"},
	{BindClusterRoles, rbacGroup, "clusterroles", "bind"},
	{BindRoles, rbacGroup, "roles", "bind"},
	{WriteClusterBindings, rbacGroup, "clusterrolebindings", "create update patch"},
	{WriteBindings, rbacGroup, "rolebindings", "create update patch"},
	{ImpersonateUsers, "", "users", "impersonate"},
	{ImpersonateGroups, "", "groups", "impersonate"},
	{ImpersonateAccounts, "", "serviceaccounts", "impersonate"},
	{MintTokens, "", "serviceaccounts/token", "create"},
	{MutateRequests, "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "create update patch"},
	{MutateRequests, "admissionregistration.k8s.io", "mutatingadmissionpolicies", "create update patch"},
	{ChangeWebhooks, "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "create update patch delete deletecollection"},
	{ChangeWebhooks, "admissionregistration.k8s.io", "validatingwebhookconfigurations", "create update patch delete deletecollection"},
	{ChangeWebhooks, "admissionregistration.k8s.io", "mutatingadmissionpolicies", "create update patch delete deletecollection"},
	{ChangeWebhooks, "admissionregistration.k8s.io", "validatingadmissionpolicies", "create update patch delete deletecollection"},
	{ChangeWebhooks, "admissionregistration.k8s.io", "validatingadmissionpolicybindings", "create update patch delete deletecollection"},
	{ApproveRequests, "certificates.k8s.io", "certificatesigningrequests/approval", "update patch"},
	{ApproveSigner, "certificates.k8s.io", "signers", "approve"},
	{CreateRequests, "certificates.k8s.io", "certificatesigningrequests", "create"},
	{NodesProxy, "", "nodes/proxy", "get create update patch delete"},
	{LabelNamespaces, "", "namespaces", "update patch"},
	{CreateVolumes, "", "persistentvolumes", "create"},
	{ChangeNodes, "", "nodes", "update patch"},
	{ChangeConfigMaps, "", "configmaps", "update patch"},
}

// websocketWords are the further spellings up to Kubernetes 1.34: exec and its kin could be asked for with GET. Later
// API servers ask for create as well (feature AuthorizePodWebsocketUpgradeCreatePermission).
var websocketWords = []word{
	{ExecPods, "", "pods/exec", "get"},
	{ExecPods, "", "pods/attach", "get"},
	{PortForward, "", "pods/portforward", "get"},
}

// clusterOnly are the capabilities over objects that have no namespace.
const clusterOnly = 1<<EscalateClusterRoles | 1<<ChangeClusterRoles | 1<<WriteClusterBindings | 1<<ImpersonateUsers |
	1<<ImpersonateGroups | 1<<MutateRequests | 1<<ChangeWebhooks | 1<<ApproveRequests | 1<<ApproveSigner |
	1<<CreateRequests | 1<<NodesProxy | 1<<CreateVolumes | 1<<ChangeNodes

// namedCreates are the subresources whose create names an existing object, so that resourceNames apply to it.
var namedCreates = map[string]bool{"pods/exec": true, "pods/attach": true, "pods/portforward": true,
	"pods/eviction": true, "serviceaccounts/token": true, "nodes/proxy": true}

// vocabulary finds the words a rule may be spelling by the resources it lists.
type vocabulary struct {
	byResource map[string][]word
	bySub      map[string][]word // "*/exec"
	all        []word
}

func newVocabulary(version string) *vocabulary {
	v := &vocabulary{byResource: map[string][]word{}, bySub: map[string][]word{}, all: spelling}
	if minor, known := minorVersion(version); !known || minor < 35 {
		v.all = append(append([]word(nil), spelling...), websocketWords...)
	}
	for _, w := range v.all {
		v.byResource[w.resource] = append(v.byResource[w.resource], w)
		if _, sub, nested := strings.Cut(w.resource, "/"); nested {
			v.bySub["*/"+sub] = append(v.bySub["*/"+sub], w)
		}
	}
	return v
}

// minorVersion reads 34 from "v1.34.4" and "v1.34.4-eks-1a2b".
func minorVersion(version string) (minor int, known bool) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(version, "v"), "1.")
	for _, c := range rest {
		if c < '0' || c > '9' || minor > 1000 {
			break
		}
		minor, known = minor*10+int(c-'0'), ok
	}
	return minor, known
}

// bits is a set of capabilities.
type bits uint64

func (b bits) has(c Capability) bool { return b&(1<<c) != 0 }

const allBits = bits(1<<capabilities - 1)

// grants returns the capabilities that a rule gives, and whether they are limited to the rule's resourceNames.
func (v *vocabulary) grants(p *inventory.PolicyRule) (b bits, limited bool) {
	if holds(p.Verbs, "*") && holds(p.APIGroups, "*") && holds(p.Resources, "*") && len(p.ResourceNames) == 0 {
		return allBits, false
	}
	limited = len(p.ResourceNames) > 0
	for _, res := range p.Resources {
		words := v.byResource[res]
		switch {
		case res == "*":
			words = v.all
		case strings.HasPrefix(res, "*/"):
			words = v.bySub[res]
		}
		for _, w := range words {
			if !b.has(w.cap) && holds(p.APIGroups, w.group) && spells(p.Verbs, w, limited) {
				b |= 1 << w.cap
			}
		}
	}
	return b, limited
}

// spells reports whether a rule's verbs hold one of the word's.
func spells(verbs []string, w word, limited bool) bool {
	for v := range strings.SplitSeq(w.verbs, " ") {
		if limited && (v == "create" && !namedCreates[w.resource] || v == "deletecollection") {
			continue // such requests carry no name
		}
		if holds(verbs, v) {
			return true
		}
	}
	return false
}
