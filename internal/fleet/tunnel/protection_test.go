package tunnel

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// TestGateProtection: a connector lets exactly the objects of protection be written, and only when it was started so.
func TestGateProtection(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write([]byte("{}"))
	}))
	defer api.Close()
	gate, err := NewGate(&rest.Config{Host: api.URL}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const apply = "PATCH "
	good := []string{
		apply + "/api/v1/namespaces/stockade-protect", "DELETE /api/v1/namespaces/gatekeeper-system", apply + "/api/v1/namespaces/stockade-protect/secrets/stockade-provider-tls",
		apply + "/apis/apps/v1/namespaces/gatekeeper-system/deployments/gatekeeper-audit", "DELETE /apis/policy/v1/namespaces/stockade-protect/poddisruptionbudgets/x",
		apply + "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/configs.config.gatekeeper.sh", "DELETE /apis/apiextensions.k8s.io/v1/customresourcedefinitions/stockadex.constraints.gatekeeper.sh",
		apply + "/apis/templates.gatekeeper.sh/v1/constrainttemplates/x", "DELETE /apis/constraints.gatekeeper.sh/v1beta1/stockadex/p1-block", apply + "/apis/externaldata.gatekeeper.sh/v1beta1/providers/stockade",
		"PUT /apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/stockade-recorder", apply + "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/stockade-p1",
		apply + "/apis/rbac.authorization.k8s.io/v1/clusterroles/gatekeeper-manager-role", apply + "/apis/rbac.authorization.k8s.io/v1/namespaces/gatekeeper-system/roles/gatekeeper-manager-role",
		"POST /api/v1/namespaces/default/pods?dryRun=All",
	}
	bad := []string{
		apply + "/api/v1/namespaces/default", "DELETE /api/v1/namespaces/kube-system", "DELETE /api/v1/namespaces", "DELETE /api/v1/namespaces/stockade-protect/secrets",
		apply + "/api/v1/namespaces/default/secrets/x", apply + "/api/v1/namespaces/stockade-protect/pods/x", "POST /api/v1/namespaces/stockade-protect/secrets", "POST /api/v1/namespaces/default/pods",
		"POST /api/v1/namespaces/default/pods?dryRun=", "POST /api/v1/namespaces/default/pods?dryRun=All&dryRun=", "POST /api/v1/namespaces/default/pods/x/exec?dryRun=All",
		"POST /api/v1/namespaces/default/pods/x/eviction?dryRun=All", apply + "/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin",
		apply + "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/gatekeeper-manager-role", apply + "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/other",
		apply + "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/stockade-recorder", apply + "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x.example.com",
		apply + "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x.gatekeeper.sh/status", apply + "/apis/apps/v1/namespaces/gatekeeper-system/deployments/x/scale",
		apply + "/apis/apps/v1/namespaces/stockade-protect/../default/deployments/x", apply + "/apis/apps/v1/namespaces/stockade-protect/daemonsets/x",
		apply + "/apis/apps/v1/namespaces/shop/deployments/namespaces/stockade-protect/secrets/x", "PUT /api/v1/nodes/x/status", "CONNECT /api/v1/namespaces/stockade-protect",
		apply + "/apis/config.gatekeeper.sh/v1alpha1/namespaces/gatekeeper-system/configs/config", apply + "/api/v1/namespaces/stockade-protect/serviceaccounts/x/token",
	}
	send := func(line string) int {
		method, target, _ := strings.Cut(line, " ")
		r := httptest.NewRequest(method, target, strings.NewReader("{}"))
		w := httptest.NewRecorder()
		gate.ServeHTTP(w, r)
		return w.Code
	}
	for _, line := range append(good, bad...) {
		if code := send(line); code != http.StatusForbidden {
			t.Errorf("a connector without --allow-protection lets %s through: %d", line, code)
		}
	}
	gate.Protection = true
	for _, line := range good {
		if code := send(line); code != http.StatusOK {
			t.Errorf("%s: %d", line, code)
		}
	}
	for _, line := range bad {
		if code := send(line); code != http.StatusForbidden {
			t.Errorf("%s: %d", line, code)
		}
	}
}
