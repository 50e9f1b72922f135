package protect

import (
	"bytes"
	"crypto/x509"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/internal/policy"
)

var update = flag.Bool("update", false, "write deploy/rbac/protect anew from the table of permissions")

// chartRole is the role as the connector's chart has it.
func chartRole() string {
	text := strings.Replace(Role(), "name: stockade\n    namespace: stockade\n", "name: stockade-connector\n    namespace: {{ .Release.Namespace }}\n", 1)
	text = strings.ReplaceAll(text, "name: stockade-protect\n", "name: stockade-connector-protect\n")
	return "{{- if .Values.protection }}\n" + text + "{{- end }}\n"
}

// TestChartRole holds the role of the connector's chart to it too. The copy in deploy/connector is the fleet's to keep.
func TestChartRole(t *testing.T) {
	file := filepath.Join("..", "fleet", "chart", "templates", "protection.yaml")
	if *update {
		if err := os.WriteFile(file, []byte(chartRole()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != chartRole() {
		t.Errorf("%s is not the table's: %v", file, err)
	}
}

// TestRole holds the shipped role to the table of permissions.
func TestRole(t *testing.T) {
	file := filepath.Join("..", "..", "deploy", "rbac", "protect", "clusterrole.yaml")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(Role()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != Role() {
		t.Fatalf("%s is not the table's: %v", file, err)
	}
	var role rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict([]byte(strings.Split(Role(), "\n---\n")[0]), &role); err != nil {
		t.Fatal(err)
	}
	for _, p := range permissions(true) {
		if !granted(&role, p) {
			t.Errorf("not granted: %+v", p)
		}
	}
}

func granted(role *rbacv1.ClusterRole, p Permission) bool {
	has := func(list []string, x string) bool {
		for _, y := range list {
			if x == y {
				return true
			}
		}
		return false
	}
	for _, r := range role.Rules {
		if has(r.APIGroups, p.Group) && has(r.Resources, p.Resource) && has(r.Verbs, p.Verb) && (p.Name == "" && len(r.ResourceNames) == 0 || has(r.ResourceNames, p.Name)) {
			return true
		}
	}
	return false
}

// TestRelease: what make copied is a release that can be installed, as we want it.
func TestRelease(t *testing.T) {
	rel := builtIn()
	if rel == nil {
		t.Fatal("plugin/gatekeeper.yaml is missing or cannot be read: run make")
	}
	if older(rel.version, oldestAdopted) || len(rel.objects) < 30 {
		t.Fatalf("%s with %d objects", rel.version, len(rel.objects))
	}
	o := &Options{Version: "1.2.3", Server: "https://stockade.example.com:8443"}
	set := Settings{Gatekeeper: GatekeeperSettings{Image: Image{Registry: "registry.example.com/mirror", PullSecrets: []string{"pull"}}}}.filled(o)
	ns, defs, rest := rel.ours(&set, 34)
	if ns.GetName() != gatekeeperNS || len(defs) < 10 {
		t.Errorf("%v, %d definitions", ns.GetName(), len(defs))
	}
	deployments := 0
	for _, x := range rest {
		if x.GetKind() == "Secret" || hook(refOf(x)) {
			t.Errorf("%s is applied too early, or wipes what Gatekeeper wrote", refOf(x).words())
		}
		if x.GetLabels()[managedLabel] != managedBy {
			t.Errorf("%s: no label", refOf(x).words())
		}
		if x.GetKind() != "Deployment" {
			continue
		}
		deployments++
		c := containers(x)[0]
		args := words(c["args"])
		if ttl := flagOf(args, "external-data-provider-response-cache-ttl"); ttl != "0s" || c["image"] != "registry.example.com/mirror/openpolicyagent/gatekeeper:"+rel.version || c["imagePullPolicy"] != "IfNotPresent" {
			t.Errorf("%s: %v", x.GetName(), c)
		}
	}
	if deployments != 2 {
		t.Errorf("%d Deployments", deployments)
	}
}

// TestHooks: no webhook of ours can keep a cluster from starting its own pods, whatever the settings and policies say.
func TestHooks(t *testing.T) {
	rel := builtIn()
	if rel == nil {
		t.Fatal("run make")
	}
	for _, system := range []bool{false, true} {
		set := Settings{FailClosed: true, SystemNamespaces: []string{"net"}}.filled(&Options{})
		b := &policy.Bundle{Policies: []policy.Policy{{ID: 1, Scope: policy.Scope{SystemNamespaces: system}}}}
		hooks := rel.hooks(&set, b, workloads, true, []byte("ca"))
		if len(hooks) != 2 {
			t.Fatalf("%d configurations", len(hooks))
		}
		for _, h := range hooks {
			list, _ := h.Object["webhooks"].([]any)
			if want := map[bool]int{false: 1, true: 2}[system && h.GetKind() == "ValidatingWebhookConfiguration"]; len(list) != want {
				t.Errorf("%s: %d webhooks, want %d", h.GetName(), len(list), want)
			}
			for _, x := range list {
				w := webhookOf(h.GetName(), false, x.(map[string]any))
				if w.FailurePolicy != "Fail" {
					continue
				}
				for _, ns := range append(policy.SystemNamespaces, "net") {
					if !bytes.Contains([]byte(strings.Join(w.Skipped, " ")), []byte(ns)) {
						t.Errorf("%s refuses in %s when Gatekeeper does not answer", w.Name, ns)
					}
				}
				if len(w.SkipLabels) > 0 {
					t.Errorf("a label takes namespaces out of the sight of %s: %v", w.Name, w.SkipLabels)
				}
			}
		}
	}
}

// TestWholeScopeFailClosed: nodes can join while Gatekeeper does not answer, or it could never come back.
func TestWholeScopeFailClosed(t *testing.T) {
	rel := builtIn()
	if rel == nil {
		t.Fatal("run make")
	}
	set := Settings{FailClosed: true, WholeScope: true}.filled(&Options{})
	named := []hookRule{{Groups: []string{"rbac.authorization.k8s.io"}, Versions: []string{"*"}, Resources: []string{"clusterroles"}, Operations: []string{"CREATE"}, Scope: "*"}}
	all := map[string]bool{}
	for _, h := range rel.hooks(&set, &policy.Bundle{}, named, false, []byte("ca")) {
		list, _ := h.Object["webhooks"].([]any)
		for _, x := range list {
			rules, _ := x.(m)["rules"].([]any)
			for _, r := range rules {
				scope, _ := r.(m)["scope"].(string)
				wide := strings.Contains(jsonText(r.(m)["resources"]), `"*"`)
				if refuses := x.(m)["failurePolicy"] == "Fail"; wide && refuses && scope != "Namespaced" {
					t.Errorf("%s refuses what lies outside of namespaces: %s", x.(m)["name"], jsonText(r))
				} else if wide && h.GetKind() == "ValidatingWebhookConfiguration" {
					all[scope] = true
				} else if refuses {
					all["named"] = true
				}
			}
		}
	}
	if !all["Cluster"] || !all["Namespaced"] || !all["named"] {
		t.Errorf("asked about %v", all)
	}
}

// TestSettings: what cannot be taken is refused with a reason.
func TestSettings(t *testing.T) {
	for _, bad := range []Settings{
		{Server: "http://stockade.example.com"}, {Server: "stockade.example.com"}, {Console: "javascript:alert(1)"}, {Console: "https://u:p@x.example.com"},
		{Language: "de"}, {Timeout: 11}, {SystemNamespaces: []string{"Kube"}}, {SystemNamespaces: []string{"*"}}, {ExceptGroups: []string{"system:authenticated"}},
		{ExceptUsers: []string{"a\nb"}}, {Gatekeeper: GatekeeperSettings{Mode: "replace"}}, {Provider: ProviderSettings{Image: Image{Image: "a b"}}},
		{Provider: ProviderSettings{Image: Image{Digest: "sha256:1"}}}, {Provider: ProviderSettings{Image: Image{Registry: "../x"}}}, {Provider: ProviderSettings{Image: Image{PullSecrets: []string{"A_B"}}}},
	} {
		if err := bad.check(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	good := Settings{Server: "https://10.0.0.1:8443", Console: "http://console.example.com/x", Language: "zh", ExceptUsers: []string{"system:serviceaccount:a:b"},
		Gatekeeper: GatekeeperSettings{Mode: Adopt}}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	digest := "sha256:" + strings.Repeat("a", 64)
	for _, c := range []struct {
		image Image
		want  string
	}{
		{Image{}, "stockade/stockade:1"}, {Image{Registry: "r.example.com/m"}, "r.example.com/m/stockade/stockade:1"},
		{Image{Image: "ghcr.example.com/a/b:2", Registry: "r.example.com"}, "r.example.com/a/b:2"}, {Image{Digest: digest}, "stockade/stockade:1@" + digest},
		{Image{Image: "a/b@" + digest}, "a/b@" + digest},
	} {
		if got := c.image.reference("stockade/stockade:1"); got != c.want {
			t.Errorf("%+v: %s, want %s", c.image, got, c.want)
		}
	}
}

// TestOldClusters: without labels of names, system namespaces cannot be left out of a webhook that refuses what is not answered.
func TestOldClusters(t *testing.T) {
	for minor, fits := range map[int]bool{0: true, 20: false, 21: true, 34: true} {
		if err := (&Settings{FailClosed: true}).fits(minor); (err == nil) != fits {
			t.Errorf("1.%d: %v", minor, err)
		}
		if err := (&Settings{}).fits(minor); err != nil {
			t.Errorf("1.%d: %v", minor, err)
		}
	}
}

// TestDiffers: what the API server adds is no difference, what somebody changed is.
func TestDiffers(t *testing.T) {
	want := m{"spec": m{"replicas": int64(2), "list": l{m{"a": "b"}}, "empty": m{}, "off": false}, "metadata": m{"annotations": m{bundleMark: "1"}}}
	same := m{"spec": m{"replicas": float64(2), "list": l{m{"a": "b", "default": "x"}}, "more": 1}, "metadata": m{"annotations": m{bundleMark: "2"}, "uid": "x"}}
	if d := differs(want, same, ""); d != "" {
		t.Error(d)
	}
	for _, c := range []m{
		{"spec": m{"replicas": float64(3), "list": l{m{"a": "b"}}}}, {"spec": m{"replicas": float64(2), "list": l{}}}, {"spec": m{"replicas": float64(2), "list": l{m{"a": "c"}}}},
		{"spec": "x"}, {},
	} {
		c["metadata"] = m{"annotations": m{}}
		if differs(want, c, "") == "" {
			t.Errorf("%v is no difference", c)
		}
	}
}

// TestGatekeeperCertificates: as its own rotation reads them: PKCS #1, the authority's name among its alternative names.
func TestGatekeeperCertificates(t *testing.T) {
	ca, leaf, err := gatekeeperPairs(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := ca.keyPEM()
	if err != nil || !bytes.HasPrefix(key, []byte("-----BEGIN RSA PRIVATE KEY-----")) || ca.cert.Subject.CommonName != ca.cert.DNSNames[0] {
		t.Errorf("%.40s %v %v", key, ca.cert.DNSNames, err)
	}
	if err := leaf.cert.CheckSignatureFrom(ca.cert); err != nil {
		t.Error(err)
	}
	// Gatekeeper is a server to the API server, and a client to the provider; by an authority that says nothing of either, which would
	// hold for the certificates below it too.
	if len(ca.cert.ExtKeyUsage)+len(ca.cert.UnknownExtKeyUsage) > 0 || !ca.cert.IsCA || ca.cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		t.Errorf("the authority is for %v, key usage %b", ca.cert.ExtKeyUsage, ca.cert.KeyUsage)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := leaf.cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "gatekeeper-webhook-service.gatekeeper-system.svc", KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
			t.Errorf("use %d: %v", use, err)
		}
	}
	// The provider shows its own to both, and is nobody's client by it.
	by, err := newAuthority(1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	shown, err := serving(by, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(by.cert)
	o := x509.VerifyOptions{Roots: roots, DNSName: "stockade-provider.stockade-protect.svc", KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if _, err := shown.cert.Verify(o); err != nil {
		t.Error(err)
	}
	o.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := shown.cert.Verify(o); err == nil {
		t.Error("the provider's certificate is one of a client")
	}
	if got := union(time.Now(), parsePEM(ca.certPEM()), parsePEM(append(ca.certPEM(), leaf.certPEM()...))); len(parsePEM(got)) != 2 {
		t.Errorf("%d certificates", len(parsePEM(got)))
	}
	if got := union(time.Now().Add(20*365*24*time.Hour), parsePEM(ca.certPEM())); len(got) != 0 {
		t.Error("one that has ended is trusted")
	}
}

// FuzzPEM: what a Secret holds is foreign.
func FuzzPEM(f *testing.F) {
	ca, _, err := gatekeeperPairs(time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ca.certPEM())
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n := len(parsePEM(union(time.Now(), parsePEM(data)))); n > maxPEM {
			t.Error(n)
		}
	})
}

// FuzzWebhook: webhook configurations of others are foreign too.
func FuzzWebhook(f *testing.F) {
	f.Add([]byte(`{"name":"x","rules":[{"apiGroups":["*"],"resources":["pods"],"operations":["CREATE"]}],"namespaceSelector":{"matchExpressions":[{"key":"a","operator":"DoesNotExist"}]},"timeoutSeconds":3}`))
	f.Add([]byte(`{"rules":{},"namespaceSelector":[1],"timeoutSeconds":"x","clientConfig":{"caBundle":7}}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		var hook map[string]any
		if yaml.Unmarshal(data, &hook) == nil {
			_ = webhookOf("c", false, hook)
			o := &object{Object: hook}
			_, _, _ = troubles(o), trouble(o), differs(hook, hook["rules"], "")
		}
	})
}
