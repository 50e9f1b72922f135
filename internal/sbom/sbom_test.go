package sbom_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/sbom"
)

func till() *inventory.Software {
	return &inventory.Software{Schema: inventory.SoftwareSchema, Kind: "image", Name: "registry.example.com/shop/till:1.0",
		Image: &inventory.Image{Reference: "registry.example.com/shop/till:1.0", Digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
		OS:    &inventory.OS{ID: "debian", VersionID: "12", Release: "Debian 12", Streams: []string{"debian 12"}},
		Packages: []inventory.Package{
			{Type: inventory.Deb, Name: "libssl3", Version: "3.0.13-1~deb12u1", Arch: "amd64", Source: "openssl", Path: "var/lib/dpkg/status", Evidence: "database", License: "Apache-2.0"},
			{Type: inventory.Maven, Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1", Path: "app/till.war!/WEB-INF/lib/log4j-core-2.14.1.jar", SHA1: "9141212b8507ab50a45525b545b39d224614528b", Layer: 1},
			{Type: inventory.Generic, Name: "nginx", Version: "1.25.3", CPEs: []string{"f5:nginx"}, Path: "usr/sbin/nginx"},
			{Type: inventory.Golang, Name: "stdlib", Version: "go1.21.3", Path: "usr/bin/<a&b>"},
			{Type: inventory.NPM, Name: "@babel/core", Version: "7.0.0"},
		},
		Layers: []inventory.Layer{{Digest: "sha256:aa"}, {Digest: "sha256:bb"}},
		Gaps:   []inventory.Gap{{What: "layer sha256:cc", Reason: "truncated", Code: "broken"}},
	}
}

var options = sbom.Options{Tool: "1.2.3", Created: time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)}

func written(t *testing.T, form string, s *inventory.Software) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := sbom.Write(&b, form, s, options); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// schema compiles the schema of a form, with its neighbours in the same folder.
func schema(t *testing.T, form string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	file := "testdata/spdx-2.3.schema.json"
	if form == "cyclonedx" {
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
		for _, name := range []string{"spdx.schema.json", "jsf-0.82.schemax.json"} {
			f, err := os.Open(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			doc, err := jsonschema.UnmarshalJSON(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.AddResource("http://cyclonedx.org/schema/"+strings.Replace(name, "schemax", "schema", 1), doc); err != nil {
				t.Fatal(err)
			}
		}
		file = filepath.Join(dir, "bom-1.6.schema.json")
	}
	s, err := c.Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchemas(t *testing.T) {
	empty := &inventory.Software{Name: "rootfs:empty", Kind: "rootfs"}
	for _, form := range sbom.Forms {
		valid := schema(t, form)
		for _, s := range []*inventory.Software{till(), empty} {
			data := written(t, form, s)
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if err := valid.Validate(doc); err != nil {
				t.Errorf("%s of %s: %v", form, s.Name, err)
			}
			m := doc.(map[string]any)
			delete(m, map[string]string{"cyclonedx": "bomFormat", "spdx": "creationInfo"}[form])
			if valid.Validate(m) == nil {
				t.Errorf("%s: the schema lets a document without a required member pass", form)
			}
		}
		if !bytes.Equal(written(t, form, till()), written(t, form, till())) {
			t.Errorf("%s: the same inventory gives two documents", form)
		}
	}
}

// TestRoundTrip reads back what was written: packages and system are what matching needs.
func TestRoundTrip(t *testing.T) {
	for _, form := range sbom.Forms {
		got, err := sbom.Read(written(t, form, till()), "till.json")
		if err != nil {
			t.Fatal(err)
		}
		want := till()
		if got.OS == nil || got.OS.Release != "Debian 12" || !slices.Equal(got.OS.Streams, want.OS.Streams) {
			t.Errorf("%s: system %+v", form, got.OS)
		}
		if got.Image == nil || got.Image.Digest != want.Image.Digest || got.Name != want.Name {
			t.Errorf("%s: image %+v, name %s", form, got.Image, got.Name)
		}
		have := map[string]inventory.Package{}
		for _, p := range got.Packages {
			have[p.Name] = p
		}
		for _, p := range want.Packages {
			g := have[p.Name]
			if version := strings.TrimPrefix(p.Version, "go"); g.Type != p.Type || g.Version != version || g.Source != p.Source || g.Path != p.Path {
				t.Errorf("%s: %s:\n got %+v\nwant %+v", form, p.Name, g, p)
			}
		}
	}
}

func TestRead(t *testing.T) {
	for _, tt := range []struct{ name, doc, want string }{
		{"XML", `<bom xmlns="http://cyclonedx.org/schema/bom/1.4"/>`, "only JSON"},
		{"tag-value", "SPDXVersion: SPDX-2.3\n", "only JSON"},
		{"cut", `{"bomFormat":"CycloneDX","comp`, "not a JSON document"},
		{"SPDX 3", `{"spdxVersion":"SPDX-3.0"}`, "not supported"},
		{"other", `{"a":1}`, "neither"},
		{"wrong type", `{"bomFormat":"CycloneDX","components":7}`, "cannot unmarshal"},
	} {
		if _, err := sbom.Read([]byte(tt.doc), "x.json"); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "x.json") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	s, err := sbom.Read([]byte(`{"bomFormat":"CycloneDX","specVersion":"1.4","version":1,"components":[
		{"type":"operating-system","name":"alpine","version":"3.18.3"},
		{"type":"library","name":"mystery","version":"1"},
		{"type":"library","name":"broken","purl":"pkg:"},
		{"type":"library","name":"outer","purl":"pkg:npm/outer@1","components":[{"type":"library","name":"inner","purl":"pkg:npm/inner@2"}]},
		{"type":"library","name":"musl","purl":"pkg:apk/alpine/musl@1.2.4-r1?distro=alpine-3.18.3"}]}`), "alpine.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Packages) != 3 || len(s.Gaps) != 2 || s.OS == nil || s.OS.VersionID != "3.18.3" {
		data, _ := json.Marshal(s)
		t.Errorf("%s", data)
	}
}

func FuzzRead(f *testing.F) {
	for _, form := range sbom.Forms {
		var b bytes.Buffer
		if err := sbom.Write(&b, form, till(), options); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte(`{"bomFormat":"CycloneDX","components":[{"type":"library","purl":"pkg:a/b"}]}`))
	f.Add([]byte(`{"spdxVersion":"SPDX-2.3","packages":[null,{"externalRefs":[null]}]}`))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = sbom.Read(data, "fuzz") })
}
