package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/emergency"
)

// TestVerifyAgain: a verification that somebody asks for reads the packages as they are now, not as the last look has kept them.
func TestVerifyAgain(t *testing.T) {
	root, ctx := t.TempDir(), t.Context()
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	status := func(version string) {
		put("var/lib/dpkg/status", "Package: liblzma5\nStatus: install ok installed\nArchitecture: amd64\nSource: xz-utils\nVersion: "+version+"\n\n")
	}
	put("etc/os-release", "ID=debian\nVERSION_ID=13\n")
	status("5.6.1-1")
	r := &nodeReader{f: &agentFlags{root: root, memory: 96}, classes: []emergency.Class{emergency.Reads}}
	r.f.o.State = t.TempDir()
	const xz = "CVE-2024-3094"
	verdict := func() emergency.Verdict {
		t.Helper()
		list, _, err := r.Verify(ctx, []string{xz})
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		return list[0].Verdict
	}
	if got := verdict(); !emergency.Worse(got, emergency.Backported) {
		t.Errorf("before the fix: %s", got)
	}
	status("5.6.1+really5.4.5-1")
	if got := verdict(); got != emergency.Fixed {
		t.Errorf("after it: %s", got)
	}
	if _, _, err := r.Verify(ctx, []string{"CVE-2999-1"}); err == nil || !strings.Contains(err.Error(), "CVE-2999-1") {
		t.Errorf("what is on no list: %v", err)
	}
}
