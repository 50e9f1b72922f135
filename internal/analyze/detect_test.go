package analyze

import (
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

func TestFind(t *testing.T) {
	aws := "AKIA" + "QYLPMN5HHHFPZAM2" // split so that scanners of this repository do not stop here
	github := "ghp_" + "a8Zk3Lq9Wm2Xc7Vb5Nt1Rf4Yp6Hs0Jd8Ke3U"
	tests := []struct{ name, value, want string }{
		{"DB_PASSWORD", "hunter2", "password by name"},
		{"SPRING_DATASOURCE_PASSWORD", "Passw0rd!", "password by name"},
		{"mysql.root.password", "123456", "password by name"},
		{"REDIS_PWD", "changeme", "password by name"},
		{"API_TOKEN", "8f4b2c9d7e6a1f03", "credential by name"},
		{"clientSecret", "q8Rt2LmZ0vXw", "credential by name"},
		{"AWS_ACCESS_KEY_ID", aws, "aws-access-token"},
		{"note", "key " + aws, "aws-access-token"},
		{"GH", github, "github-pat"},
		{"DATABASE_URL", "postgres://app:s3cr3t@db:5432/x", "credentials in a URL"},
		{"id", "AKID" + "z8krbsJ5yKBZQpn74WFkmLPx3gnPhESA", "tencent-secret-id"},
		{"tls", "-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----", "private key"},

		{"DB_PASSWORD", "", ""},
		{"DB_PASSWORD", "$(DB_PASSWORD)", ""},
		{"DB_PASSWORD", "${DB_PASSWORD}", ""},
		{"DB_PASSWORD", "{{ .Values.password }}", ""},
		{"DB_PASSWORD", "<password>", ""},
		{"DB_PASSWORD", "********", ""},
		{"DB_PASSWORD", "vault:secret/db#password", ""},
		{"DB_PASSWORD_FILE", "/run/secrets/db", ""},
		{"DB_PASSWORD", "/run/secrets/db", ""},
		{"PASSWORD_MIN_LENGTH", "12", ""},
		{"SECRET_NAME", "db-credentials-9f8e7d", ""},
		{"TOKEN_ENDPOINT", "https://id.example.com/oauth2/token", ""},
		{"TOKEN_TTL", "3600s", ""},
		{"ENABLE_TOKEN_AUTH", "true", ""},
		{"SECRET_STORE", "kubernetes", ""},
		{"TOKENIZER", "whitespace-tokenizer", ""},
		{"IMAGE", "registry.example.com/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", ""},
		{"POD_UID", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", ""},
		{"GIT_COMMIT", "da39a3ee5e6b4b0d3255bfef95601890afd80709", ""},
		{"KAFKA_BROKERS", "kafka-0.kafka.svc:9092,kafka-1.kafka.svc:9092", ""},
		{"PROXY", "http://proxy.example.com:3128", ""},
		{"DSN", "postgres://app:$(DB_PASSWORD)@db/x", ""},
		{"GREETING", "hello world", ""},
	}
	for _, tt := range tests {
		l, found := secrets.find(tt.name, tt.value)
		if found != (tt.want != "") || l.kind != tt.want {
			t.Errorf("%s=%s: %q, want %q", tt.name, tt.value, l.kind, tt.want)
		}
		if found && l.kind != "private key" && len(tt.value) > 4 && strings.Contains(l.redacted, tt.value[len(tt.value)-4:]) {
			t.Errorf("%s: %q shows the end of the value", tt.name, l.redacted)
		}
	}
}

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

// TestFindConcurrently: Object analyzers run from several goroutines.
func TestFindConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if _, found := secrets.find("GH", "ghp_"+"a8Zk3Lq9Wm2Xc7Vb5Nt1Rf4Yp6Hs0Jd8Ke3U"); !found {
					t.Error("not found")
				}
			}
		})
	}
	wg.Wait()
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
