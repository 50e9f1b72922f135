package wolfi

import "testing"

func TestStream(t *testing.T) {
	for address, want := range map[string]string{
		"https://packages.wolfi.dev": "wolfi", "https://packages.cgr.dev/chainguard": "chainguard", "https://libraries.cgr.dev": "chainguard",
		"https://packages.mini.dev/advisories": "minimos", "https://dl-cdn.alpinelinux.org/alpine": "", "": "", "cgr.dev.example.com": "",
	} {
		if got, _ := Stream(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}
