package analyze

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

// TestNothingLeaks: whatever is reported of random secrets holds at most four characters of them.
func TestNothingLeaks(t *testing.T) {
	rnd := rand.New(rand.NewSource(3))
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	reported := 0
	for range 300 {
		b := make([]byte, 6+rnd.Intn(40))
		for i := range b {
			b[i] = alphabet[rnd.Intn(len(alphabet))]
		}
		secret := string(b)
		o, _ := inventory.NewObject(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "p",
			"annotations": map[string]any{"example.com/password": secret}},
			"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "i",
				"env":  []any{map[string]any{"name": "DB_PASSWORD", "value": secret}, map[string]any{"name": "URL", "value": "https://u:" + secret + "@h/"}},
				"args": []any{"--password=" + secret, "--token", secret}}}}})
		cm, _ := inventory.NewObject(map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "m"},
			"data": map[string]any{"password": secret, "app.conf": "a=b\npassword = " + secret + "\n"}})
		for _, a := range leakAnalyzers {
			for _, obj := range []*inventory.Object{o, cm} {
				if !contains(a.Kinds, obj) {
					continue
				}
				a.Object(nil, obj, func(p Problem) {
					reported++
					text := p.Message.EN + p.Message.ZH + p.Item + fmt.Sprint(p.Evidence)
					for i := 0; i+5 <= len(secret); i++ {
						if strings.Contains(text, secret[i:i+5]) {
							t.Fatalf("%s shows %q of %q: %s", a.Name, secret[i:i+5], secret, text)
						}
					}
				})
			}
		}
	}
	if reported < 1500 {
		t.Errorf("only %d problems", reported)
	}
}

func contains(kinds []string, o *inventory.Object) bool {
	for _, k := range kinds {
		if k == o.Kind || k == "Workload" && o.Kind == "Pod" {
			return true
		}
	}
	return false
}

// ordinaryPod has the kind of environment that pods have.
func ordinaryPod(i int) *inventory.Object {
	o, _ := inventory.NewObject(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": fmt.Sprint("p", i), "namespace": "n",
		"annotations": map[string]any{"prometheus.io/scrape": "true", "checksum/config": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
			"cni.projectcalico.org/containerID": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "i", "args": []any{"--config=/etc/app.yaml", "--v=2", "--leader-elect"},
			"env": []any{map[string]any{"name": "LOG_LEVEL", "value": "info"}, map[string]any{"name": "DB_HOST", "value": "db.shop.svc.cluster.local"},
				map[string]any{"name": "JAVA_OPTS", "value": "-Xmx512m -XX:+UseG1GC -Dfile.encoding=UTF-8"}, map[string]any{"name": "KAFKA", "value": "kafka-0.kafka:9092"},
				map[string]any{"name": "RELEASE", "value": "shop-web-2024-11-02"}}}}}})
	return o
}

// BenchmarkLeaks looks at pods without secrets in them; ns/op is for one pod and all analyzers.
func BenchmarkLeaks(b *testing.B) {
	o := ordinaryPod(1)
	b.ReportAllocs()
	for b.Loop() {
		for _, a := range leakAnalyzers {
			if contains(a.Kinds, o) {
				a.Object(nil, o, func(p Problem) { b.Fatal(p.Message.EN) })
			}
		}
	}
}
