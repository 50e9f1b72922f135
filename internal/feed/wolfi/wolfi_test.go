package wolfi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/feed/feedtest"
)

func TestRead(t *testing.T) {
	for file, want := range map[string]string{
		"brotli":    "wolfi | brotli src | CVE-2020-8927 | not-affected  | CGA-9mxg-j38p-8p8r  | reason=vulnerable-code-version-not-used",
		"libgcrypt": "wolfi | libgcrypt src | CVE-2024-2236 | deferred  | CGA-gfvq-j3vc-vxvm  | reason=This vulnerability has no upstream fix for this issue as of 2024-06-17.",
		"lua5.3":    "wolfi | lua5.3 src | CVE-2020-15945 | will-not-fix  | CGA-jf7m-8wx7-62m5  | reason=CVE affects versions lower than 5.4, Lua will not ship any fixes for Lua-5.3.",
	} {
		data, err := os.ReadFile("testdata/" + file + ".advisories.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if !Reader.Knows("x/"+file+".yaml", data) {
			t.Errorf("%s is not known", file)
		}
		s, err := feedtest.Read(Reader, "wolfi/x.yaml", string(data))
		if got := strings.Join(s.Lines(), "\n"); err != nil || got != want || s.Dates["wolfi-advisories"] == "" {
			t.Errorf("%s: %v\n%s\nwant\n%s", file, err, got, want)
		}
	}
}

func TestVerdict(t *testing.T) {
	head := "schema-version: 2.0.2\n\npackage:\n  name: p\n\nadvisories:\n  - id: CGA-1\n    aliases: [CVE-2024-0001, GHSA-aaaa-bbbb-cccc]\n    events:\n"
	event := func(day, kind, data string) string {
		return "      - timestamp: 2024-01-" + day + "T00:00:00Z\n        type: " + kind + "\n        data: {" + data + "}\n"
	}
	for _, test := range []struct{ events, want string }{
		{event("01", "detection", "type: scan/v1"), "under-investigation "},
		{event("02", "fixed", "fixed-version: 1.2-r0") + event("01", "detection", ""), "fixed <1.2-r0"},
		{event("02", "fixed", "fixed-version: 1.2-r0") + event("03", "detection", ""), "fixed <1.2-r0"},
		{event("02", "fixed", "fixed-version: 1.2-r0") + event("03", "pending-upstream-fix", "note: waits"), "deferred "},
		{event("02", "fixed", `fixed-version: "0"`), "not-affected "},
		{event("02", "true-positive-determination", ""), "affected "},
		{event("02", "fix-not-planned", ""), "will-not-fix "},
	} {
		s, err := feedtest.Read(Reader, "wolfi/p.yaml", head+test.events)
		if err != nil || len(s.Rows) != 1 || !strings.Contains(s.Lines()[0], "wolfi | p src | CVE-2024-0001 | "+test.want+" |") {
			t.Errorf("%s%v %v, want %q", test.events, s.Lines(), err, test.want)
		}
	}
	s, _ := feedtest.Read(Reader, "my-chainguard/p.yaml", head+event("02", "fixed", "fixed-version: 1"))
	if len(s.Rows) != 1 || s.Rows[0].Stream != "chainguard" {
		t.Errorf("%v", s.Lines())
	}
}

func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, name := range files {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(string(data))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, _ := feedtest.Read(Reader, "wolfi/x.yaml", text)
		for _, r := range s.Rows {
			if len(r.IDs) == 0 && r.Advisory != "" {
				t.Error("no id")
			}
		}
		Reader.Knows("x.yaml", []byte(text))
	})
}
