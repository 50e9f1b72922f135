package inventory

import (
	"testing"
	"time"
)

func TestNodeDigest(t *testing.T) {
	day := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	facts := func(at time.Time) *NodeFacts {
		n := &NodeFacts{Name: "n", ReadAt: at.Format(time.RFC3339), Certs: []CertFact{{Path: "/a", NotAfter: "2026-12-01T00:00:00Z"}},
			Encryption: &EncryptionFact{Path: "/e", Modified: "2026-11-01T00:00:00Z"}}
		n.Age(at)
		return n
	}
	a, b := facts(day), facts(day.AddDate(0, 0, 12))
	if a.Digest() != b.Digest() || a.Digest() == "" {
		t.Error("facts that only grew old have another digest")
	}
	if a.Certs[0].DaysLeft != 9 || b.Certs[0].DaysLeft != -3 || a.Encryption.ModifiedDays != 20 || b.Encryption.ModifiedDays != 32 {
		t.Errorf("%d %d %d %d", a.Certs[0].DaysLeft, b.Certs[0].DaysLeft, a.Encryption.ModifiedDays, b.Encryption.ModifiedDays)
	}
	if a.ReadAt == "" || a.Encryption.ModifiedDays == 0 {
		t.Error("the digest changed what it was made of")
	}
	b.Name = "m"
	if a.Digest() == b.Digest() {
		t.Error("other facts have the same digest")
	}
}

func TestProgram(t *testing.T) {
	for _, c := range []struct {
		line []string
		name string
		flag string
	}{
		{[]string{"/usr/bin/kubelet", "--config=/x"}, Kubelet, "/x"},
		{[]string{"/hyperkube", "kubelet", "--config", "/x"}, Kubelet, "/x"},
		{[]string{"/bin/sh", "-c", "exec kubelet --config=/x 2>&1"}, Kubelet, "/x"},
		{[]string{"/usr/sbin/sshd", "-D"}, "", ""},
		{nil, "", ""},
	} {
		name, args := Program(c.line)
		if name != c.name || Flags(args)["config"] != c.flag {
			t.Errorf("%q: %q %q", c.line, name, args)
		}
	}
}
