package credential

import (
	"slices"
	"strings"
	"sync"
	"testing"
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
		l, found := Find(tt.name, tt.value)
		if found != (tt.want != "") || l.Kind != tt.want {
			t.Errorf("%s=%s: %q, want %q", tt.name, tt.value, l.Kind, tt.want)
		}
		if found && l.Kind != "private key" && len(tt.value) > 4 && strings.Contains(l.Redacted, tt.value[len(tt.value)-4:]) {
			t.Errorf("%s: %q shows the end of the value", tt.name, l.Redacted)
		}
	}
}

// TestFindConcurrently: Object analyzers run from several goroutines.
func TestFindConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if _, found := Find("GH", "ghp_"+"a8Zk3Lq9Wm2Xc7Vb5Nt1Rf4Yp6Hs0Jd8Ke3U"); !found {
					t.Error("not found")
				}
			}
		})
	}
	wg.Wait()
}

// TestEach finds credentials in files, and only where they are.
func TestEach(t *testing.T) {
	key := "-----BEGIN RSA " + "PRIVATE KEY-----\n" + strings.Repeat("MIIEpAIBAAKCAQEA75QmkS1vzn2Bn6v0bW9w5lOQ\n", 3) + "-----END RSA " + "PRIVATE KEY-----\n"
	github := "ghp_" + "a8Zk3Lq9Wm2Xc7Vb5Nt1Rf4Yp6Hs0Jd8Ke3U"
	for _, tt := range []struct {
		name, text string
		settings   bool
		want       []int // lines
	}{
		{"properties", "db.host=x\ndb.password=hunter2\n# db.password=old\n", true, []int{2}},
		{"a program speaks of passwords", "password = ask_user()\nif password == stored: pass\n", false, nil},
		{"a token in a program", "import x\n\nGH = '" + github + "'\n", false, []int{3}},
		{"a key in a file", "a\n" + key + "b\n", false, []int{2}},
		{"a program that looks for keys", "if strings.Contains(s, \"-----BEGIN " + "PRIVATE KEY-----\") {\n\treturn\n}\n", false, nil},
		{"a URL", "url: postgres://till:s3cr3tpw@db/till\n", true, []int{1}},
		{"nothing", "hello\nworld\n", true, nil},
	} {
		var got []int
		for _, s := range Each([]byte(tt.text), tt.settings) {
			got = append(got, s.Line)
			if strings.Contains(s.Redacted, "hunter2") || strings.Contains(s.Redacted, "s3cr3tpw") || strings.Contains(s.Redacted, github) {
				t.Errorf("%s: the secret is in %q", tt.name, s.Redacted)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: lines %v, want %v", tt.name, got, tt.want)
		}
	}
	if n := len(Each([]byte(strings.Repeat("password=hunter2\n", 1000)), true)); n != mostSpots {
		t.Errorf("%d spots", n)
	}
}

func FuzzEach(f *testing.F) {
	f.Add([]byte("password: x\n-----BEGIN PRIVATE KEY-----\nAAAA"), true)
	f.Add([]byte("a://b:c@d ghp_"), false)
	f.Fuzz(func(_ *testing.T, text []byte, settings bool) { Each(text, settings) })
}

// BenchmarkEach reads a configuration without secrets.
func BenchmarkEach(b *testing.B) {
	text := []byte(strings.Repeat("server.address = 0.0.0.0\n# a comment that speaks of tokens\nlog.level: info\n", 2000))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Each(text, true)
	}
}
