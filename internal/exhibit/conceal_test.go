package exhibit

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/repair"
)

func TestConceal(t *testing.T) {
	key := "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAlongenoughtobekey0\nsecondline/ofthekey+0123456789abcd\n-----END RSA PRIVATE KEY-----\n"
	o := object(t, m{"apiVersion": "v1", "kind": "ConfigMap", "metadata": m{"name": "c", "namespace": "shop"}, "binaryData": m{"blob": "c2VjcmV0"},
		"data": m{"app.properties": "mode=fast\ndb.password=Sw0rdf1sh-77\nurl=postgres://u:Sw0rdf1sh-77@db/x\n", "key.pem": "# mine\n" + key, "password": "Sw0rdf1sh-77", "url": "https://u:Sw0rdf1sh-77@x.example.com/", "plain": "a\nb\n"},
		"spec": m{"deep": []any{[]any{m{"name": "API_TOKEN", "value": "abcdEFGH1234ijklMNOP"}}}, "token": "ghp_abcdefghijklmnopqrstuvwxyz0123456789"}})
	conceal(o)
	text := repair.Render(o.Content, nil).YAML
	for _, secret := range []string{"Sw0rdf1sh", "MIIEow", "secondline", "c2VjcmV0", "abcdEFGH", "ghp_abc"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is shown:\n%s", secret, text)
		}
	}
	for _, shown := range []string{"mode=fast", "# mine", "plain", "API_TOKEN"} {
		if !strings.Contains(text, shown) {
			t.Errorf("%s is not shown:\n%s", shown, text)
		}
	}
	s := object(t, m{"apiVersion": "v1", "kind": "Secret", "metadata": m{"name": "s"}, "data": m{"a": "c2VjcmV0"}, "stringData": "odd"})
	conceal(s)
	if text := repair.Render(s.Content, nil).YAML; strings.Contains(text, "c2VjcmV0") || strings.Contains(text, "odd") || !strings.Contains(text, "  a: <redacted>") && !strings.Contains(text, `  a: "<redacted>"`) {
		t.Errorf("a Secret:\n%s", text)
	}
	var many strings.Builder
	for i := range 500 {
		fmt.Fprintf(&many, "password%d=Sw0rdf1sh-%d\n", i, i)
	}
	if got := Conceal("x", many.String()); strings.Contains(got, "Sw0rdf1sh") {
		t.Error("of many credentials in one text some are left")
	}
}

// TestHostile reads what an attacker would put into a cluster.
func TestHostile(t *testing.T) {
	var deep any = "end"
	for range 5000 {
		deep = m{"a": deep}
	}
	list := make([]any, 200_000)
	for i := range list {
		list[i] = m{"name": "x", "image": "y"}
	}
	f := privileged(t)
	for name, o := range map[string]*inventory.Object{
		"10 MiB":        deployment(t, m{"name": "web", "image": strings.Repeat("x", 10<<20), "securityContext": m{"privileged": true}}),
		"deep":          deployment(t, m{"name": "web", "securityContext": m{"privileged": true}, "x": deep}),
		"many":          deployment(t, append([]any{container("web", true)}, list...)...),
		"odd types":     object(t, m{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": m{"name": "till", "namespace": "shop"}, "spec": m{"template": []any{"x"}}}),
		"no containers": object(t, m{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": m{"name": "till", "namespace": "shop"}, "spec": "x"}),
		"odd container": deployment(t, "x", nil, []any{}, m{"name": "web", "securityContext": "privileged"}, m{"name": 7}),
		"control characters": object(t, m{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": m{"name": "till", "namespace": "shop", "labels": m{"a\x00\x1b[2J\u202e": "\x00"}},
			"spec": m{"template": m{"spec": m{"containers": []any{container("web", true)}}}}}),
	} {
		r := room(t, &stage{objects: []*inventory.Object{o}}, nil)
		got, err := r.Show(context.Background(), ask(f, "shop"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got.YAML) > repair.MostText+1<<20 || strings.ContainsAny(got.YAML, "\x00\x1b") || strings.Contains(got.YAML, "\u202e") {
			t.Errorf("%s: %d bytes, or characters that should not be shown", name, len(got.YAML))
		}
		if (name == "10 MiB" || name == "deep") && got.State != Unavailable {
			t.Errorf("%s: %s", name, got.State)
		}
		if _, err := r.Fix(context.Background(), ask(f, "shop")); err != nil {
			t.Errorf("%s: fix: %v", name, err)
		}
	}
}
