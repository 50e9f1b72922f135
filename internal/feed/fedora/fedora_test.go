package fedora

import "testing"

func TestStream(t *testing.T) {
	for name, want := range map[string]string{
		"Fedora 38": "fedora 38", "Fedora 38 Modular": "fedora 38", "F42": "fedora 42", "Fedora EPEL 6": "", "EPEL-9": "", "Fedora 38 Flatpaks": "",
	} {
		got, ok := Stream(name)
		if got != want || ok != (want != "") {
			t.Errorf("Stream(%q) = %q, %v", name, got, ok)
		}
	}
}
