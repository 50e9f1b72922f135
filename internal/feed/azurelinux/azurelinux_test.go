package azurelinux

import "testing"

func TestStream(t *testing.T) {
	for name, want := range map[string]string{
		"Azure Linux 3.0": "azurelinux 3.0", "CBL Mariner 2.0": "mariner 2.0", "CBL-Mariner 1.0": "mariner 1.0", "Azure Linux": "",
	} {
		got, ok := Stream(name)
		if got != want || ok != (want != "") {
			t.Errorf("Stream(%q) = %q, %v", name, got, ok)
		}
	}
}

func TestFile(t *testing.T) {
	for name, want := range map[string]string{"a/azurelinux-3.0-oval.xml": "azurelinux 3.0", "cbl-mariner-2.0-preview-oval.xml": "mariner 2.0", "mariner-truncated-2.0-oval.xml": "mariner 2.0", "azure-linux-truncated-3.0-oval.xml": "azurelinux 3.0", "oval.xml": ""} {
		if got, ok := File(name); got != want || ok != (want != "") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
