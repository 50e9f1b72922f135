package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/match"
	"stockade.dev/stockade/internal/scan"
	"stockade.dev/stockade/internal/store"
)

// Looked is what a look at a kept inventory gave beside findings.
type Looked struct {
	Digest     string    // of the manifest
	Index      string    // of the multi-platform index that led to it
	Reference  string    // under which it was read first
	Read       time.Time // when its content was read
	Stamp      string    // see Service.Stamp
	NoDatabase string    // why vulnerabilities are not known; "" when they are
	Gaps       []inventory.Gap
}

// Found takes a finding with what its fingerprint is made of beside the rule and the image, and the date of a vulnerability.
type Found func(f *finding.Finding, item, published string)

// lookers judge kept inventories: made at the first look.
type lookers struct {
	once sync.Once
	l    *scan.Looker
}

// Findings holds the kept inventory of an image against the rules and the advisory database, as scans do, and reads nothing again. It
// may be called by several at a time. An image that was not read is store.ErrNotFound.
func (s *Service) Findings(ctx context.Context, digest string, found Found) (Looked, error) {
	var row inventoryRow
	err := s.db.R.NewRaw("SELECT v.digest, v.reference, v.read_at, v.body FROM inventory_names n JOIN inventories v ON v.digest = n.digest WHERE n.name = ?", digest).Scan(ctx, &row)
	if err != nil {
		return Looked{}, store.NotFound(err)
	}
	sw, err := unpackInventory(row.Body)
	if err != nil {
		return Looked{}, fmt.Errorf("the inventory of %s: %w", digest, err)
	}
	db, err := s.advisories.use()
	if err != nil {
		return Looked{}, err
	}
	out := Looked{Digest: row.Digest, Reference: row.Reference, Read: row.ReadAt.Time, Stamp: s.stamp(db)}
	if sw.Image != nil {
		out.Index = sw.Image.Index
	}
	use := scan.Use{Reference: row.Reference, Digest: row.Digest}
	s.lookers.once.Do(func() { s.lookers.l = scan.NewLooker(s.o.Library, s.o.VEX, s.now) })
	var bad []string
	if db == nil {
		out.NoDatabase = noDatabase
		out.Gaps, bad = s.lookers.l.Look(sw, use, nil, func(f *finding.Finding, item string) { found(f, item, "") })
	} else {
		defer db.release()
		out.Gaps, bad = s.lookers.l.Look(sw, use, db.match, func(f *finding.Finding, item string) {
			published := ""
			if v := f.Vulnerability; v != nil {
				if about, ok := db.db.Vulnerability(v.ID); ok {
					published = about.Published
				}
				item = match.Item(inventory.PackageType(purlType(v.PURL)), v.Package, v.Path)
			}
			found(f, item, published)
		})
		for _, g := range out.Gaps {
			if g.Code == string(finding.NoAdvisoryData) && out.NoDatabase == "" && len(sw.Packages) > 0 && !slices.ContainsFunc(sw.Packages, func(p inventory.Package) bool { return !p.Type.System() }) {
				out.NoDatabase = g.Reason // nothing of it could be matched
			}
		}
	}
	if len(bad) > 0 { // neither pass nor fail
		s.log.Warn("rules that could not be decided", "image", row.Reference, "digest", digest, "rules", bad)
		out.Gaps = append(out.Gaps, inventory.Gap{What: "rules", Reason: strings.Join(bad[:min(len(bad), 3)], "; "), Code: string(finding.Broken)})
	}
	return out, nil
}

// purlType is the type in a package URL.
func purlType(p string) string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(p, "pkg:"), "/")
	return kind
}

// Stamp names what images are held against now: the advisory database, the rules, what producers deny. What was found under another
// stamp is out of date.
func (s *Service) Stamp() (string, error) {
	db, err := s.advisories.use()
	if err != nil {
		return "", err
	}
	if db != nil {
		defer db.release()
	}
	return s.stamp(db), nil
}

func (s *Service) stamp(db *advisoryDB) string {
	digest := "none"
	if db != nil {
		digest = db.digest
	}
	rules := ""
	if s.o.Library != nil {
		rules = s.o.Library.Digest
	}
	return digest + " " + rules + " " + s.o.Release
}

// InUse notes that inventories are in use, so that they are not cleared away.
func (s *Service) InUse(ctx context.Context, digests []string) error { return s.touch(ctx, digests) }

// Reader reads the images of a cluster, with its pull secrets; of target 0 without any.
func (s *Service) Reader(target int64) ImageReader { return s.sources.of(target) }

// Reading is what became of the last attempt to read an image.
type Reading struct {
	Open bool   // it waits, or is being read
	Code string // of a failure; "" when there was none
	Why  string
	At   time.Time
}

// Readings tells what became of the images of digests or references as tasks name them. Those that no task has are left out.
func (s *Service) Readings(ctx context.Context, keys []string) (map[string]Reading, error) {
	out := make(map[string]Reading, len(keys))
	for part := range slices.Chunk(keys, 500) {
		var rows []struct {
			Key, Code, Error string
			Status           Status
			FinishedAt       store.Time
		}
		err := s.db.R.NewRaw(`SELECT key, status, code, error, finished_at FROM task_items WHERE id IN (SELECT max(id) FROM task_items WHERE kind = 'image' AND key IN (?) GROUP BY key)`, in(part)).Scan(ctx, &rows)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			x := Reading{Open: r.Status == Ready || r.Status == Running, At: r.FinishedAt.Time}
			if r.Status == Failed {
				x.Code, x.Why = r.Code, r.Error
			}
			out[r.Key] = x
		}
	}
	return out, nil
}

// Busy reports whether an error of Create says that other tasks do already what was asked for.
func Busy(err error) bool { return errors.Is(err, ErrConflict) }
