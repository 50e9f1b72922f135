package rocky

import "testing"

func TestStream(t *testing.T) {
	for name, want := range map[string]string{
		"Rocky Linux 9": "rocky 9", "Rocky Linux 8.4 aarch64": "rocky 8", "Rocky Linux 10 x86_64": "rocky 10", "rocky-linux-9-x86-64-appstream-rpms": "rocky 9", "Rocky Linux SIG Cloud 8": "", "AlmaLinux 9": "",
	} {
		got, ok := Stream(name)
		if got != want || ok != (want != "") {
			t.Errorf("Stream(%q) = %q, %v", name, got, ok)
		}
	}
}
