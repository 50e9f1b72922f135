package policy

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/export"
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

// TestReferences: the table of names, which e2e/parity holds the constraints in clusters to as well. The form that constraints have says
// the same but for the length of repositories, which they look at by themselves.
func TestReferences(t *testing.T) {
	data, err := os.ReadFile("testdata/references.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ Name, Is string }
	if err := json.Unmarshal(data, &list); err != nil || len(list) < 80 {
		t.Fatal(len(list), err)
	}
	form := regexp.MustCompile(export.ImageForm)
	for _, c := range list {
		r, err := ParseReference(c.Name)
		if got := r.String(); err == nil && got != c.Is || err != nil && c.Is != "" {
			t.Errorf("%q is read as %q, %v; want %q", c.Name, got, err, c.Is)
		}
		if again, err := ParseReference(c.Is); c.Is != "" && (err != nil || again.String() != c.Is) {
			t.Errorf("%q is written out as %q, which is read as %q, %v", c.Name, c.Is, again, err)
		}
		if valid := len(c.Name) <= MaxReference && form.MatchString(c.Name); valid != (c.Is != "") && !strings.Contains(c.Name, strings.Repeat("a", 247)) {
			t.Errorf("%q: the form of constraints says %v", c.Name, valid)
		}
	}
}

// FuzzReferenceForm: the form that constraints have and ParseReference know the same names.
func FuzzReferenceForm(f *testing.F) {
	for _, s := range []string{"nginx", "V1/app", "my_r:5000/a", "[::1]:5000/x@" + someDigest, "a.b./c", "\u212aube.example.com/x", "_A-/x", "a/b:c"} {
		f.Add(s)
	}
	form := regexp.MustCompile(export.ImageForm)
	f.Fuzz(func(t *testing.T, s string) {
		_, err := ParseReference(s)
		if len(s) <= 200 && form.MatchString(s) != (err == nil) {
			t.Errorf("%q: the form says %v, ParseReference %v", s, form.MatchString(s), err)
		}
	})
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
