package ctyunos

import "testing"

func TestStream(t *testing.T) {
	for name, want := range map[string]string{
		"ctyunos-23.01": "ctyunos 23.01", "CTyunOS 2.0.1": "ctyunos 2.0.1", "CTyunOS": "",
	} {
		got, ok := Stream(name)
		if got != want || ok != (want != "") {
			t.Errorf("Stream(%q) = %q, %v", name, got, ok)
		}
	}
}
