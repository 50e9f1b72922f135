package protection

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/protect"
)

// hooksInError: while the protection is in error, for a permission was taken away, webhooks that somebody changes are put back all the
// same; with the permission everything is well again.
func (h *house) hooksInError() {
	h.t.Helper()
	const role, hook = "/apis/rbac.authorization.k8s.io/v1/clusterroles/stockade-protect", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/"
	var whole map[string]any
	h.api("GET", role, "", "", &whole)
	grant := func(but string) {
		h.t.Helper()
		rules := slices.DeleteFunc(slices.Clone(whole["rules"].([]any)), func(r any) bool {
			groups, _ := r.(map[string]any)["apiGroups"].([]any)
			return slices.Contains(groups, any(but))
		})
		text, err := json.Marshal([]any{map[string]any{"op": "replace", "path": "/rules", "value": rules}})
		if err != nil {
			h.t.Fatal(err)
		}
		if code := h.api("PATCH", role, "application/json-patch+json", string(text), nil); code != 200 {
			h.t.Fatalf("the role: %d", code)
		}
	}
	becomes := func(state protect.State) {
		h.t.Helper()
		var st *protect.Status
		for range 50 {
			if err := h.s.Pass(context.Background(), h.target); err != nil {
				h.t.Fatal(err)
			}
			var err error
			if st, err = h.s.Status(h.ctx(), h.target); err != nil {
				h.t.Fatal(err)
			}
			if st.State == state {
				return
			}
			time.Sleep(100 * time.Millisecond) // RBAC takes a moment
		}
		h.t.Fatalf("%s: %s, want %s", st.State, st.Reason, state)
	}
	grant("policy")
	becomes(protect.Failed)
	for _, c := range []struct{ what, method, path, body string }{
		{"a webhook that matches nothing", "PATCH", hook + "gatekeeper-validating-webhook-configuration?fieldManager=mallory", `[{"op":"replace","path":"/webhooks/0/rules","value":[{"apiGroups":["none.example.com"],"apiVersions":["v1"],"operations":["CREATE"],"resources":["nothing"]}]}]`},
		{"a deleted webhook", "DELETE", hook + "stockade-recorder", ""},
	} {
		st, err := h.s.Status(h.ctx(), h.target)
		if err != nil {
			h.t.Fatal(err)
		}
		had := len(st.Drift)
		if code := h.api(c.method, c.path, "application/json-patch+json", c.body, nil); code != 200 {
			h.t.Fatalf("%s: %d", c.what, code)
		}
		becomes(protect.Failed)
		if st, err = h.s.Status(h.ctx(), h.target); err != nil || len(st.Drift) != had+1 || !st.Drift[0].Repaired {
			h.t.Errorf("%s while the protection is in error: %+v, %v", c.what, st.Drift, err)
		}
		var live struct {
			Webhooks []struct {
				Rules []struct{ Resources []string }
			}
		}
		path, _, _ := strings.Cut(c.path, "?")
		if code := h.api("GET", path, "", "", &live); code != 200 || !slices.ContainsFunc(live.Webhooks[0].Rules, func(r struct{ Resources []string }) bool { return slices.Contains(r.Resources, "pods") }) {
			h.t.Errorf("%s while the protection is in error is not put back: %d %+v", c.what, code, live)
		}
	}
	grant("none.example.com")
	becomes(protect.Protected)
}
