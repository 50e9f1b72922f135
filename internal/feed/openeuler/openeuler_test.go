package openeuler

import "testing"

func TestStream(t *testing.T) {
	for name, want := range map[string]string{
		"openEuler-22.03-LTS-SP3": "openeuler 22.03-LTS-SP3", "openEuler:20.03-LTS": "openeuler 20.03-LTS", "openEuler-22.03 (LTS-SP2)": "openeuler 22.03-LTS-SP2", "openEuler-22.03 LTS SP1": "openeuler 22.03-LTS-SP1",
		"openEuler-25.03": "openeuler 25.03", "openEuler": "", "openEuler-22.03-LTS-SP3-extra": "",
	} {
		got, ok := Stream(name)
		if got != want || ok != (want != "") {
			t.Errorf("Stream(%q) = %q, %v", name, got, ok)
		}
	}
}

func TestHotPatch(t *testing.T) {
	for name, want := range map[string]bool{"patch-kernel-5.10.0-136-ACC": true, "patch-redis6-6.2.7-1-SGL": true, "patch": false, "patch-utils": false, "kernel": false} {
		if HotPatch(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
