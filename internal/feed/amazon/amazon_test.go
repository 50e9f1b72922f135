package amazon

import "testing"

func TestStream(t *testing.T) {
	for name, want := range map[string]string{
		"ALAS-2018-939": "amazon 1", "ALAS2-2018-939": "amazon 2", "ALAS2KERNEL-5.15-2022-001": "amazon 2", "ALAS2DOCKER-2021-003": "amazon 2", "ALAS2PHP8.0-2022-001": "amazon 2",
		"ALAS2NITRO-ENCLAVES-2021-001": "amazon 2", "ALAS2022-2021-001": "amazon 2022", "ALAS2023LIVEPATCH-2023-001": "amazon 2023", "RHSA-2020:1": "", "ALAS2": "",
	} {
		got, ok := Stream(name)
		if got != want || ok != (want != "") {
			t.Errorf("Stream(%q) = %q, %v", name, got, ok)
		}
	}
}

func TestIntroduced(t *testing.T) {
	for _, c := range []struct{ advisory, epoch, version, want string }{
		{"ALAS2KERNEL-5.15-2022-001", "0", "5.15.43", "5.15"},
		{"ALAS2KERNEL-5.15-2022-001", "0", "5.150.1", ""},
		{"ALAS2PHP8.0-2022-001", "0", "8.0.20", "8.0"},
		{"ALAS2PHP8.0-2022-001", "0", "3.1", ""},
		{"ALAS2NGINX1-2022-001", "1", "1.20.0", "1:1"},
		{"ALAS2-2018-939", "0", "4.9.76", ""},
		{"ALAS2DOCKER-2021-003", "0", "20.10.7", ""},
	} {
		if got := Introduced(c.advisory, c.epoch, c.version); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
