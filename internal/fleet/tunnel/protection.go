package tunnel

import (
	"net/http"
	"slices"
	"strings"
)

// maxWrite bounds an object that is written: Gatekeeper's largest definition has some 100 KiB, templates of users a megabyte.
const maxWrite = 4 << 20

// Names of what protection writes outside of its namespaces.
var (
	protectionSpaces = []string{"stockade-protect", "gatekeeper-system"}
	protectionNames  = map[string][]string{
		"/api/v1/namespaces":                                                       protectionSpaces,
		"/apis/rbac.authorization.k8s.io/v1/clusterroles":                          {"gatekeeper-manager-role"},
		"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings":                   {"gatekeeper-manager-rolebinding"},
		"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations":    {"gatekeeper-validating-webhook-configuration", "stockade-recorder"},
		"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations":      {"gatekeeper-mutating-webhook-configuration"},
		"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/":       {"stockade-"}, // a slash at the end: prefixes
		"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/": {"stockade-"},
	}
	// protectionKinds are what it writes in its namespaces.
	protectionKinds = []string{"/api/v1/secrets", "/api/v1/services", "/api/v1/serviceaccounts", "/api/v1/resourcequotas", "/apis/apps/v1/deployments",
		"/apis/policy/v1/poddisruptionbudgets", "/apis/policy/v1beta1/poddisruptionbudgets", "/apis/networking.k8s.io/v1/networkpolicies",
		"/apis/rbac.authorization.k8s.io/v1/roles", "/apis/rbac.authorization.k8s.io/v1/rolebindings"}
	// protectionGroups are Gatekeeper's: whatever is in them is about admission.
	protectionGroups = []string{"templates.gatekeeper.sh", "constraints.gatekeeper.sh", "mutations.gatekeeper.sh", "externaldata.gatekeeper.sh"}
)

// definitions is where kinds are defined: those of Gatekeeper's groups may be written.
const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"

// writes reports whether a request writes exactly one object of protection, by its name, or tries a pod as a dry run.
func writes(r *http.Request) bool {
	path := r.URL.Path
	if r.URL.IsAbs() || r.URL.Opaque != "" || r.URL.User != nil || !strings.HasPrefix(path, "/") || r.Header.Get("Upgrade") != "" ||
		strings.Contains(path, "//") || strings.Contains(path, "/.") || strings.HasSuffix(path, "/") || r.URL.RawPath != "" && r.URL.RawPath != path {
		return false
	}
	switch r.Method {
	case http.MethodPost:
		return dryRunPod(r)
	case http.MethodPatch, http.MethodPut, http.MethodDelete:
	default:
		return false
	}
	collection, name := path[:strings.LastIndex(path, "/")], path[strings.LastIndex(path, "/")+1:]
	if slices.Contains(protectionNames[collection], name) || slices.ContainsFunc(protectionNames[collection+"/"], func(p string) bool { return strings.HasPrefix(name, p) }) {
		return true
	}
	if rest, ok := strings.CutPrefix(path, definitions); ok {
		return !strings.Contains(rest, "/") && strings.HasSuffix(rest, ".gatekeeper.sh")
	}
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(parts) == 5 && parts[0] == "apis" && slices.Contains(protectionGroups, parts[1]) { // group, version, kind, name: none of them has namespaces
		return parts[3] != "namespaces"
	}
	// api/v1/namespaces/NS/secrets/NAME, apis/GROUP/VERSION/namespaces/NS/KIND/NAME
	for _, ns := range protectionSpaces {
		before, after, ok := strings.Cut(path, "/namespaces/"+ns+"/")
		if kind, name, one := strings.Cut(after, "/"); ok && one && !strings.Contains(name, "/") && slices.Contains(protectionKinds, before+"/"+kind) {
			return true
		}
	}
	return false
}

// dryRunPod reports whether a pod is tried: nothing else is created without a name of its own.
func dryRunPod(r *http.Request) bool {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	values := r.URL.Query()["dryRun"]
	return len(parts) == 5 && parts[0] == "api" && parts[1] == "v1" && parts[2] == "namespaces" && parts[4] == "pods" && len(values) == 1 && values[0] == "All"
}
