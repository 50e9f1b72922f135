package images

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/match"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/release"
	"stockade.dev/stockade/internal/rule"
	looking "stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/verdict"
	"stockade.dev/stockade/rules"
)

// demoImage reads an inventory of the demo.
func demoImage(t *testing.T, name string) *inventory.Software {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../demo/inventories", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	sw := &inventory.Software{}
	if err := json.Unmarshal(data, sw); err != nil {
		t.Fatal(err)
	}
	if sw.OS != nil {
		sw.OS.Release, sw.OS.Streams = release.Streams(sw.OS)
	}
	return sw
}

// found keeps the fingerprints of a scan's findings.
type found struct{ prints map[string]bool }

func (f *found) Begin(finding.Header) error                         { return nil }
func (f *found) Finding(x *finding.Finding) error                   { f.prints[x.Fingerprint] = true; return nil }
func (f *found) Clause(finding.Clause) error                        { return nil }
func (f *found) NotScanned(finding.NotScanned) error                { return nil }
func (f *found) End(time.Time, finding.Target, finding.Stats) error { return nil }

// nothing brings no objects.
type nothing struct{}

func (nothing) Stream(context.Context, func(*inventory.Object) error, func(finding.NotScanned)) error {
	return nil
}

// TestVerdicts: facts of images of the demo, against real advisories, hold exactly what a scan of the image finds, and policies judge
// them as their makers would by hand.
func TestVerdicts(t *testing.T) {
	db, err := advisories()
	if err != nil {
		t.Fatal(err)
	}
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return day }
	looker := looking.NewLooker(lib, nil, now)
	matching := examine.Match(match.Over(db), match.Options{Now: day}, false)
	gathered := map[string]*verdict.Facts{}
	for _, name := range []string{"checkout", "web", "cart", "php", "redis", "gateway"} {
		sw := demoImage(t, name)
		use := looking.Use{Reference: sw.Image.Reference}
		f := &verdict.Facts{Scanned: day, Matched: day}
		prints := map[string]bool{}
		looker.Look(sw, use, matching, func(x *finding.Finding, item string) {
			published := ""
			if v := x.Vulnerability; v != nil {
				item = match.Item(inventory.PackageType(strings.Split(strings.TrimPrefix(v.PURL, "pkg:"), "/")[0]), v.Package, v.Path)
				if about, ok := db.Vulnerability(v.ID); ok {
					published = about.Published
				}
				// What an exception names by fingerprint is found again.
				if again := (finding.Identity{RuleID: v.ID, Kind: "Image", Name: strings.Split(sw.Image.Reference, ":")[0], Item: item}).Fingerprint(); again != x.Fingerprint {
					t.Errorf("%s: %s in %s: its fingerprint is not that of the scan (%s)", name, v.ID, v.Package, item)
				}
			}
			prints[x.Fingerprint] = true
			f.Gather(x, item, published)
		})
		seen := &found{prints: map[string]bool{}}
		cfg := looking.Config{Library: lib, Now: now, Header: finding.Header{Target: finding.Target{Kind: "image", Name: name}, StartedAt: day},
			Software: &looking.Software{Asked: []looking.Use{use}, Match: matching, Load: func(context.Context, looking.Use) (*inventory.Software, error) { return sw, nil }}}
		if _, err := looking.Run(t.Context(), cfg, nothing{}, seen); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(prints, seen.prints) || len(prints) == 0 {
			t.Errorf("%s: %d findings, a scan finds %d", name, len(prints), len(seen.prints))
		}
		gathered[name] = f
	}
	for name, c := range map[string]struct {
		image string
		check policy.ImageCheck
		has   []string // ids among the first items
		not   []string
	}{
		"exploited":                     {"php", policy.ImageCheck{Check: policy.Vulnerabilities, Exploited: true, Severity: finding.Critical}, []string{"CVE-2021-40438 apache 2.4.25 (fixed in 2.4.49)", "CVE-2024-4577 php 5.6.40 (fixed in 8.1.29)", "CVE-2024-38475 "}, []string{"CVE-2024-38474"}},
		"listed":                        {"php", policy.ImageCheck{Check: policy.Vulnerabilities, CVEs: []string{"CVE-2024-9026", "CVE-1999-0001"}}, []string{"CVE-2024-9026 php"}, nil},
		"published not long ago":        {"php", policy.ImageCheck{Check: policy.Vulnerabilities, CVEs: nil, OlderThan: 30 * 365}, nil, nil},
		"runs as root":                  {"php", policy.ImageCheck{Check: policy.Baseline, Rules: []string{"image/image-user-root"}}, []string{"Image runs as root"}, nil},
		"no malware":                    {"php", policy.ImageCheck{Check: policy.Malware}, nil, nil},
		"what the system's maker fixed": {"redis", policy.ImageCheck{Check: policy.Vulnerabilities, Fixable: true, CVEs: []string{"CVE-2016-10228"}}, []string{"(fixed in "}, nil},
	} {
		f := gathered[c.image]
		j := verdict.Judge([]policy.ImageCheck{c.check}, nil, &verdict.Image{Facts: f}, day)
		if len(j.Open) > 0 || (len(j.Failed) == 0) != (c.has == nil) {
			t.Errorf("%s: %+v", name, j)
			continue
		}
		if len(j.Failed) == 0 {
			continue
		}
		items := strings.Join(j.Failed[0].Items, "; ")
		for _, want := range c.has {
			if !strings.Contains(items, want) {
				t.Errorf("%s: %q is not among %q (%d)", name, want, items, j.Failed[0].Count)
			}
		}
		for _, no := range c.not {
			if strings.Contains(items, no) {
				t.Errorf("%s: %q is among %q", name, no, items)
			}
		}
	}
}
