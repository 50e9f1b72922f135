package version

import (
	"archive/tar"
	"bufio"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/advisory"
)

// tables reads testdata/version-order.tar.zst: member name to lines.
func tables(t testing.TB) map[string][]string {
	t.Helper()
	f, err := os.Open("testdata/version-order.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	out := map[string][]string{}
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		for s := bufio.NewScanner(tr); s.Scan(); {
			line := strings.TrimSpace(s.Text())
			if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "//") {
				out[h.Name] = append(out[h.Name], line)
			}
		}
	}
}

var wanted = map[string]int{"<": -1, "=": 0, "==": 0, ">": 1}

// schemes says which order a table tests, and how many lines it has: a table that is cut short must not pass.
var schemes = []struct {
	table  string
	scheme advisory.Scheme
	lines  int
}{
	{"redhat-versions.txt", advisory.RPM, 165},
	{"rpmvercmp", advisory.RPM, 113},
	{"compare", advisory.RPM, 12},
	{"debian-versions.txt", advisory.Deb, 30},
	{"debian-versions-generated.txt", advisory.Deb, 14442},
	{"alpine-versions.txt", advisory.APK, 778},
	{"alpine-versions-generated.txt", advisory.APK, 13979},
	{"semver-versions.txt", advisory.SemVer, 86},
	{"semver-versions.txt", advisory.GoModule, 86},
	{"maven-versions.txt", advisory.Maven, 102},
	{"maven-versions-generated.txt", advisory.Maven, 14752},
	{"pypi-versions.txt", advisory.PEP440, 37},
	{"pypi-versions-generated.txt", advisory.PEP440, 12375},
	{"rubygems-versions.txt", advisory.Gem, 25},
	{"rubygems-versions-generated.txt", advisory.Gem, 4098},
	{"nuget-versions.txt", advisory.NuGet, 35},
	{"packagist-versions.txt", advisory.Composer, 95},
	{"packagist-versions-generated.txt", advisory.Composer, 10630},
}

// disagreements lists the lines that we decide otherwise, with the reason.
var disagreements = map[string]map[string]string{
	"redhat-versions.txt": {
		"1 < 1-1": noRelease, "1 < 1-0": noRelease, "1 < 1-": noRelease,
	},
	"compare": {
		"fonts-filesystem-0:2.0.5-12.fc39.noarch == fonts-filesystem-2.0.5-12.fc39.noarch": notEVR,
		"a-1-1       > 1-1": notEVR,
	},
	"alpine-versions.txt": {
		"1 > 1-ruff":              malformed,
		"1-r0-1 = 1-r-2":          malformed,
		"1-r0-1 = 1-r0-2":         malformed,
		"1-ruff2 = 1-ruff1":       malformed,
		"1-ruff2 = 1--ruff1":      malformed,
		"1-r0-ruff2 = 1-r0-ruff1": malformed,
	},
}

// The reasons.
const (
	noRelease = "the library orders a missing release before any; rpm's dependencies, and advisories that name a version alone, mean every release of it"
	notEVR    = "the line has package names and architectures, which are no part of a version here"
	malformed = "no apk version: both orders are arbitrary, ours is the text's"
)

func TestTables(t *testing.T) {
	all := tables(t)
	for _, c := range schemes {
		lines := all[c.table]
		if len(lines) != c.lines {
			t.Errorf("%s has %d lines, want %d", c.table, len(lines), c.lines)
		}
		known, seen := disagreements[c.table], map[string]bool{}
		for _, line := range lines {
			f := strings.Fields(line)
			want, ok := wanted[f[1]]
			if len(f) != 3 || !ok {
				t.Fatalf("%s: %q", c.table, line)
			}
			got, err := Compare(c.scheme, f[0], f[2])
			back, err2 := Compare(c.scheme, f[2], f[0])
			agree := err == nil && err2 == nil && sign(got) == want && sign(back) == -want
			if _, is := known[line]; is {
				if agree {
					t.Errorf("%s: %q is said to be a disagreement but is none", c.table, line)
				}
				seen[line] = true
			} else if !agree {
				t.Errorf("%s: %q: got %d and %d, %v", c.table, line, got, back, err)
			}
		}
		for _, line := range slices.Sorted(maps.Keys(known)) {
			if !seen[line] {
				t.Errorf("%s has no line %q", c.table, line)
			}
		}
	}
}
