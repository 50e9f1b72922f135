package secret_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/collect/image/secret"
	"stockade.dev/stockade/internal/inventory"
)

var token = "ghp_" + "a8Zk3Lq9Wm2Xc7Vb5Nt1Rf4Yp6Hs0Jd8Ke3U"

func TestWants(t *testing.T) {
	for name, want := range map[string]bool{
		"app/.env": true, "app/.env.production": true, "root/.ssh/id_rsa": true, "srv/app/settings.py": true, "root/.aws/credentials": true,
		"etc/kubernetes/admin.conf": true, "home/till/.bash_history": true, "opt/app/config/application.YML": true,
		"usr/share/doc/x/example.conf": false, "usr/lib/python3/dist-packages/a.py": false, "app/node_modules/a/test/key.pem": false,
		"app/server": false, "etc/ssl/certs/ca.pem": false, "etc/nsswitch.conf": false, "app/logo.png": false,
	} {
		if got := secret.Wants(name, 0o644, 100); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if secret.Wants("app/.env", fs.ModeSymlink, 100) || secret.Wants("app/.env", 0o644, 2<<20) {
		t.Error("links and large files are not read")
	}
}

func TestRead(t *testing.T) {
	hits := secret.Read("app/.env", []byte("DB_HOST=db\nDB_PASSWORD=hunter2\nGH="+token+"\n"))
	if len(hits) != 2 || hits[0].Line != 2 || hits[0].Detail["name"] != "DB_PASSWORD" || hits[1].Rule != "github-pat" {
		t.Errorf("%+v", hits)
	}
	if text := fmt.Sprintf("%+v", hits); strings.Contains(text, "hunter2") || strings.Contains(text, token) {
		t.Errorf("the secret itself is in %s", text)
	}
	if hits := secret.Read("app/settings.py", []byte("password = os.environ['PASSWORD']\n")); hits != nil {
		t.Errorf("a program: %+v", hits)
	}
	if hits := secret.Read("app/x.conf", []byte("\x00\x01password=hunter2")); hits != nil {
		t.Errorf("no text: %+v", hits)
	}
}

func TestConfig(t *testing.T) {
	img := &inventory.Image{Env: []string{"PATH=/usr/bin", "DB_PASSWORD=hunter2"}, Labels: map[string]string{"maintainer": "shop"},
		History: []inventory.History{{CreatedBy: "/bin/sh -c #(nop) CMD [\"till\"]", Layer: -1}, {CreatedBy: "RUN |1 GH_TOKEN=" + token + " /bin/sh -c make", Layer: 2}}}
	hits := secret.Config(img)
	if len(hits) != 2 || hits[0].Path != "config/env/DB_PASSWORD" || hits[1].Path != "config/history/1" || hits[1].Layer != 2 {
		t.Errorf("%+v", hits)
	}
	if env := secret.Redact(img.Env); env[0] != "PATH=/usr/bin" || strings.Contains(env[1], "hunter2") {
		t.Errorf("%q", env)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("app/.env", []byte("A_PASSWORD=x1\n"))
	f.Add("a.pem", []byte("-----BEGIN PRIVATE KEY-----\nMIIE"))
	f.Fuzz(func(_ *testing.T, name string, data []byte) {
		secret.Wants(name, 0, int64(len(data)))
		secret.Read(name, data)
	})
}
