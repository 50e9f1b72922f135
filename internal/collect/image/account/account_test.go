package account_test

import (
	"strings"
	"testing"

	"stockade.dev/stockade/internal/collect/image/account"
)

func TestRead(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"etc/shadow", "root:*:19000:0:99999:7:::\ndaemon:!:1::::::\ntill:!!:1::::::\n", ""},
		{"etc/shadow", "root::19000:0:99999:7:::\n", "empty-password root"},
		{"etc/shadow", "root:$1$ab$Hxyz:1::::::\nold:rl0x4hXXFzHWo:1::::::\nnew:$6$ab$Hxyz:1::::::\n", "md5-password-hash root, des-password-hash old, password-in-image new"},
		{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nback::0:0::/:/bin/sh\nshort:x:0\n", "empty-password back, second-root back"},
		{"etc/sudoers", "root ALL=(ALL) NOPASSWD: ALL\n# till ALL=(ALL) NOPASSWD: ALL\n%wheel ALL=(ALL) ALL\n", ""},
		{"etc/sudoers.d/till", "till ALL=(ALL) NOPASSWD: ALL\n", "sudo-without-password till"},
		{"opt/tomcat/conf/tomcat-users.xml", `<user username="tomcat" password="tomcat" roles="manager-gui"/>`, "default-credentials Apache Tomcat"},
		{"opt/tomcat/conf/tomcat-users.xml", `<user username="till" password="kX9-long-one" roles="manager-gui"/>`, ""},
		{"etc/redis/redis.conf", "# requirepass foobared\nprotected-mode yes\n", ""},
		{"etc/redis/redis.conf", "requirepass foobared\n", "default-credentials Redis"},
		{"etc/ssh/sshd_config", "#PermitEmptyPasswords yes\n", ""},
		{"etc/ssh/sshd_config", "PermitEmptyPasswords yes\n", "sshd-empty-passwords OpenSSH"},
		{"etc/postgresql/15/main/pg_hba.conf", "host all all 0.0.0.0/0 trust\n", "trust-authentication PostgreSQL"},
		{"etc/postgresql/15/main/pg_hba.conf", "local all all trust\nhost all all 127.0.0.1/32 trust\n", ""},
	} {
		if !account.Wants(tt.name) {
			t.Errorf("%s is not wanted", tt.name)
		}
		var got []string
		for _, h := range account.Read(tt.name, []byte(tt.text)) {
			got = append(got, h.Rule+" "+h.Detail["user"]+h.Detail["product"])
			if h.Kind != "account" || h.Line == 0 || h.Path != tt.name {
				t.Errorf("%+v", h)
			}
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.name, tt.text, s, tt.want)
		}
	}
	if account.Wants("app/redis.conf.md") || account.Wants("etc/hosts") {
		t.Error("too much is wanted")
	}
}

func FuzzRead(f *testing.F) {
	f.Add("etc/shadow", []byte("a::\n"))
	f.Add("etc/redis.conf", []byte("requirepass foobared"))
	f.Fuzz(func(_ *testing.T, name string, data []byte) { account.Read(name, data) })
}
