package anolis

import "testing"

func TestStream(t *testing.T) {
	for name, want := range map[string]string{
		"Anolis OS 23": "anolis 23", "Anolis OS 8.8": "anolis 8", "anolis 8": "anolis 8", "Anolis": "",
	} {
		got, ok := Stream(name)
		if got != want || ok != (want != "") {
			t.Errorf("Stream(%q) = %q, %v", name, got, ok)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, c := range [][3]string{
		{"bind-chroot", "32:chroot-9.18.34-1.an23", "32:9.18.34-1.an23"},
		{"bind-dnssec-utils", "32:dnssec-utils-9.18.34-1.an23", "32:9.18.34-1.an23"},
		{"bind", "32:9.18.34-1.an23", "32:9.18.34-1.an23"},
		{"libs", "libs-1-1", "1-1"},
		{"python3-pip", "21.3-1.an8", "21.3-1.an8"},
	} {
		if got := Version(c[0], c[1]); got != c[2] {
			t.Errorf("%v: %q", c, got)
		}
	}
}
