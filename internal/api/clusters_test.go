package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/fleet/tunnel"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

// TestClusters sends what administrators and others send, and looks at what comes back.
func TestClusters(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		keys, err := seal.Load(filepath.Join(t.TempDir(), "keys"), "")
		if err != nil {
			t.Fatal(err)
		}
		authority, err := enrol.Open(context.Background(), db, keys, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := fleet.New(db, keys, fleet.Options{Authority: authority, Tunnels: tunnel.NewServer(tunnel.Options{DB: db, Authority: authority}), Server: "stockade.example.com:8443"})
		mux := http.NewServeMux()
		api.Clusters(api.New(mux, "test"), f)
		who := &identity.Principal{}
		send := func(method, path, body string) (int, string) {
			r := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r.WithContext(identity.With(r.Context(), who)))
			return w.Code, w.Body.String()
		}
		grants := func(g ...identity.Grant) { who = &identity.Principal{UserID: 1, Name: "x", Grants: g} }
		grants(identity.Grant{Role: identity.Administrator})
		ids := map[string]string{}
		for _, name := range []string{"shop", "bank"} {
			code, text := send("POST", "/clusters", fmt.Sprintf(`{"name":%q,"kind":"connector"}`, name))
			var c struct{ ID, Name, State string }
			if err := json.Unmarshal([]byte(text), &c); err != nil || code != 201 || c.Name != name || c.State != "waiting" {
				t.Fatal(code, text, err)
			}
			ids[name] = c.ID
		}
		for _, tt := range []struct {
			method, path, body string
			code               int
			want               string
		}{
			{"POST", "/clusters", `{"name":"shop","kind":"connector"}`, 422, "choose another"},
			{"POST", "/clusters", `{"name":"x","kind":"snapshot"}`, 422, ""},
			{"POST", "/clusters", `{"name":"x","kind":"kubeconfig","kubeconfig":"apiVersion: v1\nusers: [{name: u, user: {exec: {command: x}}}]\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nclusters: [{name: k, cluster: {server: 'https://x'}}]"}`, 422, "runs no programs"},
			{"POST", "/clusters/check", `{"kind":"in-cluster"}`, 422, "does not run in a pod"},
			{"GET", "/clusters?limit=1", "", 200, `"next"`},
			{"GET", "/clusters/" + ids["shop"], "", 200, `"permissions":[]`},
			{"GET", "/clusters/999", "", 404, ""},
			{"GET", "/clusters/" + ids["shop"] + "/connector", "", 200, "MAKE-A-TOKEN-FIRST"},
			{"POST", "/clusters/" + ids["shop"] + "/connector", "", 201, `"token":"sce_`},
			{"POST", "/clusters/" + ids["shop"] + "/connector", `{"hours":1}`, 201, `"token":"sce_`},
			{"PATCH", "/clusters/" + ids["shop"], `{"name":"store"}`, 200, `"name":"store"`},
			{"PATCH", "/clusters/" + ids["shop"], `{"kubeconfig":"x"}`, 422, "no kubeconfig to change"},
			{"POST", "/clusters/" + ids["shop"] + "/check", "", 200, `"state":"waiting"`},
			{"DELETE", "/clusters/" + ids["shop"] + "/connector", "", 204, ""},
		} {
			if code, text := send(tt.method, tt.path, tt.body); code != tt.code || !strings.Contains(text, tt.want) {
				t.Errorf("%s %s %s: %d %s", tt.method, tt.path, tt.body, code, text)
			}
		}
		var bank int64
		_, _ = fmt.Sscan(ids["bank"], &bank)
		for name, step := range map[string]struct {
			grant identity.Grant
			own   map[string]int // of the cluster bank; shop answers 404, or 403 where the role may do it nowhere
		}{
			"administrator of bank": {identity.Grant{Role: identity.Administrator, Target: bank}, map[string]int{"GET": 200, "PATCH": 200, "POST check": 200, "GET connector": 200, "POST connector": 201}},
			"operator of bank":      {identity.Grant{Role: identity.Operator, Target: bank}, map[string]int{"GET": 200, "PATCH": 403, "POST check": 200, "GET connector": 403, "POST connector": 403}},
			"operator of bank/a":    {identity.Grant{Role: identity.Operator, Target: bank, Namespace: "a"}, map[string]int{"GET": 200, "PATCH": 403, "POST check": 403, "GET connector": 403, "POST connector": 403}},
			"nobody":                {identity.Grant{Role: identity.Viewer, Target: 999}, map[string]int{"GET": 404, "PATCH": 403, "POST check": 403, "GET connector": 403, "POST connector": 403}},
		} {
			grants(step.grant)
			for what, want := range step.own {
				method, rest, _ := strings.Cut(what, " ")
				path := "/clusters/" + ids["bank"]
				if rest != "" {
					path += "/" + rest
				}
				if code, text := send(method, path, "{}"); code != want {
					t.Errorf("%s: %s: %d %s", name, what, code, text)
				}
				if code, text := send(method, strings.Replace(path, ids["bank"], ids["shop"], 1), "{}"); code != 404 && (code != 403 || who.May(identity.ManageClusters)) || strings.Contains(text, "store") {
					t.Errorf("%s: %s of another cluster: %d %s", name, what, code, text)
				}
			}
			if _, text := send("GET", "/clusters", ""); strings.Contains(text, "store") {
				t.Errorf("%s lists %s", name, text)
			}
			if code, _ := send("POST", "/clusters", `{"name":"mine","kind":"connector"}`); code != 403 {
				t.Errorf("%s adds clusters: %d", name, code)
			}
		}
		grants(identity.Grant{Role: identity.Administrator})
		if code, _ := send("DELETE", "/clusters/"+ids["shop"], ""); code != 204 {
			t.Error(code)
		}
		if code, _ := send("GET", "/clusters/"+ids["shop"], ""); code != 404 {
			t.Error("a removed cluster is shown")
		}
	})
}
