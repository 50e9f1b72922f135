package policy

import (
	"strings"
	"testing"
)

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestHostileImageNames: mixed case, default registry and tag forms, IDN, digest with tag, path tricks.
func TestHostileImageNames(t *testing.T) {
	for in, want := range map[string]string{
		"nginx":                                    "docker.io/library/nginx:latest",
		"nginx:1.25":                               "docker.io/library/nginx:1.25",
		"library/nginx":                            "docker.io/library/nginx:latest",
		"shop/till":                                "docker.io/shop/till:latest",
		"docker.io/nginx":                          "docker.io/library/nginx:latest",
		"index.docker.io/library/nginx":            "docker.io/library/nginx:latest",
		"registry-1.docker.io/shop/till":           "docker.io/shop/till:latest",
		"Docker.IO/library/nginx":                  "docker.io/library/nginx:latest",
		"REGISTRY.example.com/shop/till:2":         "registry.example.com/shop/till:2",
		"registry.example.com:5000/shop/till":      "registry.example.com:5000/shop/till:latest",
		"localhost/till":                           "localhost/till:latest",
		"localhost:5000/till":                      "localhost:5000/till:latest",
		"nginx@" + someDigest:                      "docker.io/library/nginx@" + someDigest,
		"nginx:1.25@" + someDigest:                 "docker.io/library/nginx:1.25@" + someDigest,
		"registry.example.com/a/b/c/d:t":           "registry.example.com/a/b/c/d:t",
		"xn--bcher-kva.example/till":               "xn--bcher-kva.example/till:latest",
		"registry.example.com/shop/till.v2__x-y:1": "registry.example.com/shop/till.v2__x-y:1",
	} {
		r, err := ParseReference(in)
		if err != nil || r.String() != want {
			t.Errorf("%q: %q, %v; want %q", in, r.String(), err, want)
		}
	}
	for _, in := range []string{
		"", " nginx", "nginx ", "nginx\n", "Nginx", "shop/Till", "nginx:", "nginx@", "nginx@sha256:12", "nginx@" + strings.ToUpper(someDigest),
		"nginx@" + someDigest + "@" + someDigest, "bücher.example/till", "registry.example.com/../till", "registry.example.com/./till", "registry.example.com//till",
		"registry.example.com/till/", "/till", "../till", "registry.example.com/shop/till:tag/evil", "http://registry.example.com/till", "registry.example.com/till%2f..",
		"registry.example.com/till\x00", "till:tag:tag", "а.example.com/till", "-x.example.com/till", "registry.example.com/" + strings.Repeat("a", 600), "registry.example.com:99:1/till",
		"docker.io/library/nginx\u202e", "till|x", "{{.}}",
	} {
		if r, err := ParseReference(in); err == nil {
			t.Errorf("%q was read as %q", in, r)
		}
	}
}

func TestImagePatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, image string
		want           bool
	}{
		{"nginx", "docker.io/library/nginx:1.25", true},
		{"nginx:1.*", "nginx:1.25", true},
		{"nginx:1.*", "nginx", false},
		{"docker.io/*", "nginx", true},
		{"docker.io/*", "index.docker.io/evil/x", true},
		{"registry.example.com/*", "registry.example.com/a/b:1", true},
		{"registry.example.com/*", "registry.example.com.evil.com/a/b:1", false},
		{"registry.example.com/shop/*", "registry.example.com/shopping/x", false},
		{"*@" + someDigest, "registry.example.com/x@" + someDigest, true},
		{"shop/*", "registry.example.com/shop/till", false},
		{"shop/*", "shop/till", true},
		{"*/till", "registry.example.com/a/till:3", true},
		{"registry.example.com/*", "REGISTRY.EXAMPLE.COM/till", true},
	} {
		r, err := ParseReference(c.image)
		if err != nil {
			t.Fatal(err)
		}
		if got := MatchImage(c.pattern, r); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.image, got)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"nginx", "a.b/c:d@" + someDigest, "[::1]:5000/x", "x/y@z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReference(s)
		if err != nil {
			return
		}
		again, err := ParseReference(r.String())
		if err != nil || again.String() != r.String() {
			t.Fatalf("%q: %q reads as %q, %v", s, r, again, err)
		}
		if strings.Contains(r.String(), "..//") || strings.ContainsAny(r.String(), "\x00 \n") {
			t.Fatalf("%q gave %q", s, r)
		}
	})
}
