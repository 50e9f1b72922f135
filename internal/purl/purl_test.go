package purl_test

import (
	"testing"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/purl"
)

var debian = &inventory.OS{ID: "debian", VersionID: "12"}

func TestOf(t *testing.T) {
	rocky := &inventory.OS{ID: "rocky", VersionID: "8.6"}
	for _, tt := range []struct {
		p    inventory.Package
		os   *inventory.OS
		want string
	}{
		{inventory.Package{Type: inventory.Deb, Name: "libssl3", Version: "3.0.13-1~deb12u1", Arch: "amd64", Source: "openssl"}, debian,
			"pkg:deb/debian/libssl3@3.0.13-1~deb12u1?arch=amd64&distro=debian-12&upstream=openssl"},
		{inventory.Package{Type: inventory.RPM, Name: "nodejs", Version: "1:12.22.12-1.module_el8", Arch: "x86_64", Module: "nodejs:12:8060:ad008a3a"}, rocky,
			"pkg:rpm/rocky/nodejs@12.22.12-1.module_el8?arch=x86_64&distro=rocky-8.6&epoch=1&rpmmod=nodejs:12:8060:ad008a3a"},
		{inventory.Package{Type: inventory.Maven, Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1"}, debian,
			"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"},
		{inventory.Package{Type: inventory.NPM, Name: "@babel/core", Version: "7.0.0"}, nil, "pkg:npm/%40babel/core@7.0.0"},
		{inventory.Package{Type: inventory.Golang, Name: "github.com/opencontainers/runc", Version: "v1.1.4"}, nil,
			"pkg:golang/github.com/opencontainers/runc@v1.1.4"},
		{inventory.Package{Type: inventory.Golang, Name: "stdlib", Version: "go1.21.3"}, nil, "pkg:golang/stdlib@1.21.3"},
		{inventory.Package{Type: inventory.Generic, Name: "nginx", Version: "1.25.3"}, nil, "pkg:generic/nginx@1.25.3"},
		{inventory.Package{Type: inventory.Deb}, debian, ""},
	} {
		if got := purl.Of(&tt.p, tt.os); got != tt.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tt.p.Type, tt.p.Name, got, tt.want)
		}
	}
}

// TestParse reads back what Of writes, and what other tools write.
func TestParse(t *testing.T) {
	for text, want := range map[string]inventory.Package{
		"pkg:deb/debian/libssl3@3.0.13-1~deb12u1?arch=amd64&distro=debian-12&upstream=openssl": {Type: inventory.Deb, Name: "libssl3",
			Version: "3.0.13-1~deb12u1", Arch: "amd64", Source: "openssl"},
		"pkg:rpm/rhel/openssl-libs@3.0.7-24.el9?arch=x86_64&epoch=1&upstream=openssl-3.0.7-24.el9.src.rpm&distro=rhel-9.3": {Type: inventory.RPM,
			Name: "openssl-libs", Version: "1:3.0.7-24.el9", Arch: "x86_64", Source: "openssl", SourceVersion: "3.0.7-24.el9"},
		"pkg:maven/org.apache.struts/struts2-core@2.5.10": {Type: inventory.Maven, Name: "org.apache.struts:struts2-core", Version: "2.5.10"},
		"pkg:npm/%40babel/core@7.0.0":                     {Type: inventory.NPM, Name: "@babel/core", Version: "7.0.0"},
		"pkg:swift/example.com/x/y@1.0":                   {Type: inventory.Generic, Name: "y", Version: "1.0"},
	} {
		got, _, err := purl.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got.Type != want.Type || got.Name != want.Name || got.Version != want.Version || got.Arch != want.Arch ||
			got.Source != want.Source || got.SourceVersion != want.SourceVersion {
			t.Errorf("%s:\n got %+v\nwant %+v", text, got, want)
		}
	}
	if _, _, err := purl.Parse("openssl@3"); err == nil {
		t.Error("a name without a scheme was taken for a package URL")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("pkg:deb/debian/libssl3@3.0.13?upstream=openssl")
	f.Add("pkg:rpm/x/y@1?upstream=-.src.rpm&epoch=%")
	f.Fuzz(func(_ *testing.T, s string) { _, _, _ = purl.Parse(s) })
}
