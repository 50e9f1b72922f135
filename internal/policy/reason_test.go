package policy_test

import (
	"testing"

	"stockade.dev/stockade/internal/policy"
)

// TestReasons: reasons are in the reader's language as far as they are ours, keep what was said elsewhere, and name their cause.
func TestReasons(t *testing.T) {
	for _, c := range []struct {
		reason, zh string
		cause      policy.Cause
	}{
		{"", "", ""},
		{"panic: x", "panic: x", ""},
		{policy.Because(policy.CauseNotFound, "registry.example.com: no such image"), "镜像仓库中没有该镜像：registry.example.com: no such image", policy.CauseNotFound},
		{"the image could not be scanned: " + policy.Because(policy.CauseForbidden, "r: access denied (HTTP 403)"), "镜像无法扫描：镜像仓库拒绝访问该镜像：r: access denied (HTTP 403)", policy.CauseForbidden},
		{"the image could not be scanned: of another kind", "镜像无法扫描：of another kind", ""},
		{"its registry does not answer in time", "镜像仓库未在时限内响应", policy.CauseSlow},
		{"it has no signatures", "it has no signatures", ""},
		{policy.Because("none", "x"), "x", ""},
	} {
		if got := policy.ReasonIn("zh", c.reason); got != c.zh {
			t.Errorf("%q is %q in Chinese, not %q", c.reason, got, c.zh)
		}
		if got := policy.ReasonIn("en", c.reason); got != c.reason {
			t.Errorf("%q is %q in English", c.reason, got)
		}
		if got := policy.CauseOf(c.reason); got != c.cause {
			t.Errorf("%q has the cause %q, not %q", c.reason, got, c.cause)
		}
	}
}
