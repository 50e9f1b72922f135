package credential

import (
	"slices"
	"strings"
	"testing"
)

func TestArgs(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"kubelet|--config=/var/lib/kubelet/config.yaml|--v=2", "kubelet|--config=/var/lib/kubelet/config.yaml|--v=2"},
		{"app|--db-password=hunter2|--port=80", "app|--db-password=****|--port=80"},
		{"app|--password|hunter2|--port=80", "app|--password|****|--port=80"},
		{"app|--password|--port=80", "app|--password|--port=80"},
		{"app|--token-file=/run/token|--tls-private-key-file|/etc/key.pem", "app|--token-file=/run/token|--tls-private-key-file|/etc/key.pem"},
		{"mysql|-uroot|-phunter2|shop", "mysql|-uroot|-p****|shop"},
		{"/usr/bin/sshpass|-p|hunter2|ssh|host", "/usr/bin/sshpass|-p|****|ssh|host"},
		{"curl|-u|till:hunter2|https://shop.example", "curl|-u|****|https://shop.example"},
		{"curl|-H|Authorization: Bearer abcdefgh", "curl|-H|Authorization: Bearer ****"},
		{"sh|-c|export TOKEN=abcdef; run --fast", "sh|-c|export TOKEN=****; run --fast"},
		{"app|postgres://till:hunter2@db/shop", "app|postgres://till:****@db/shop"},
		{"redis-cli|-a|hunter2", "redis-cli|-a|****"},
	} {
		in := strings.Split(c.in, "|")
		if got := strings.Join(Args(in), "|"); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.in, got, c.want)
		}
		if !slices.Equal(in, strings.Split(c.in, "|")) {
			t.Errorf("%s: the arguments were changed", c.in)
		}
	}
}
