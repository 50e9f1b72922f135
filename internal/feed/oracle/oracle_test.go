package oracle

import "testing"

func TestStream(t *testing.T) {
	for name, want := range map[string]string{
		"Oracle Linux 8": "oracle 8", " Oracle Linux 10 ": "oracle 10", "Oracle VM Server 3.4": "",
	} {
		got, ok := Stream(name)
		if got != want || ok != (want != "") {
			t.Errorf("Stream(%q) = %q, %v", name, got, ok)
		}
	}
}

func TestFlavor(t *testing.T) {
	for evr, want := range map[string]string{"2:1.1.1g-15.ksplice1.el8_3": "ksplice", "2:2.17-326.0.1.ksplice1.el7_9.3": "ksplice", "10:1.1.1k-6.el8_5_fips": "fips", "1.1.1k-6_fips.el8": "fips", "1.1.1k-6.el8": ""} {
		if got := Flavor(evr); got != want {
			t.Errorf("%s: %q", evr, got)
		}
	}
}
