package verdict

import (
	"context"
	"errors"
	"sync"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Idle is an image that was read and that no cluster runs: it was scanned by itself, for admission, or ran once. Findings that live
// belong to clusters, so that it has none; what is wrong with it is counted here.
type Idle struct {
	Digest    string           `json:"digest"`
	Reference string           `json:"reference" doc:"under which it was asked for or read"`
	ReadAt    store.Time       `json:"readAt" format:"date-time"`
	Packages  int              `json:"packages"`
	Size      int64            `json:"size,omitempty"`
	OS        string           `json:"os,omitempty"`
	Matched   bool             `json:"matched" doc:"it was held against advisories and rules; else its counters say nothing yet"`
	MatchedAt time.Time        `json:"matchedAt,omitzero" format:"date-time"`
	Counts    map[string]int   `json:"counts" doc:"vulnerabilities, secrets, malicious files and unsafe settings by severity"`
	Worst     finding.Severity `json:"worst,omitempty"`
}

// Idle lists images that run nowhere, those read last first. Counters that take long to make are made until the next time.
func (s *Service) Idle(ctx context.Context, page store.Page) (list []Idle, next string, err error) {
	before, digest := int64(1)<<62, ""
	if page.After != "" {
		if err := store.ReadCursor(page.After, &before, &digest); err != nil {
			return nil, "", err
		}
	}
	var rows []struct {
		Digest    string
		Reference string
		ReadAt    store.Time
		Packages  int
		Size      int64
		OS        string `bun:"os"`
	}
	err = s.db.R.NewRaw(`SELECT v.digest, coalesce((SELECT min(x.reference) FROM verdicts x WHERE x.manifest = v.digest AND x.manifest <> ''), v.reference) AS reference, v.read_at, v.packages,
		coalesce(f.size, 0) AS size, coalesce(f.os, '') AS os FROM inventories v LEFT JOIN image_facts f ON f.digest = v.digest
		WHERE (v.read_at < ? OR v.read_at = ? AND v.digest < ?) AND NOT EXISTS (SELECT 1 FROM inventory_names n JOIN assets a ON a.digest = n.name
			WHERE n.digest = v.digest AND a.digest <> '' AND a.kind = ? AND a.gone_at = 0) ORDER BY v.read_at DESC, v.digest DESC LIMIT ?`,
		before, before, digest, ledger.AssetImage, page.Size()+1).Scan(ctx, &rows)
	if err != nil {
		return nil, "", err
	}
	if len(rows) > page.Size() {
		rows = rows[:page.Size()]
		last := rows[len(rows)-1]
		next = store.Cursor(last.ReadAt.UnixMilli(), last.Digest)
	}
	list = make([]Idle, len(rows))
	wait, cancel := context.WithTimeout(ctx, s.o.Patience)
	defer cancel()
	var group sync.WaitGroup
	errs := make([]error, len(rows))
	for i, r := range rows {
		list[i] = Idle{Digest: r.Digest, Reference: clip(r.Reference, 1000), ReadAt: r.ReadAt, Packages: r.Packages, Size: r.Size, OS: r.OS, Counts: map[string]int{}}
		group.Go(func() {
			var f *Facts
			if f, errs[i] = s.Facts(wait, r.Digest); errs[i] == nil {
				list[i].count(f)
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, errSlow) && !gone(err) && wait.Err() == nil {
			s.log.Warn("counting what is wrong with an image", "error", err)
		}
	}
	return list, next, ctx.Err()
}

func (i *Idle) count(f *Facts) {
	i.Matched, i.MatchedAt = true, f.Matched
	add := func(sev finding.Severity) {
		i.Counts[string(sev)]++
		if i.Worst == "" || sev.Rank() > i.Worst.Rank() {
			i.Worst = sev
		}
	}
	for k := range f.Vulnerabilities {
		add(f.Vulnerabilities[k].Severity)
	}
	for k := range f.Hits {
		add(f.Hits[k].Severity)
	}
}

// Facts are what is known of the image of a digest, of a manifest or an index: kept, or made now. store.ErrNotFound when it was
// never read.
func (s *Service) Facts(ctx context.Context, digest string) (*Facts, error) {
	there, err := s.lookUp(ctx, []string{digest})
	if err != nil {
		return nil, err
	}
	k, ok := there[digest]
	if !ok {
		return nil, store.ErrNotFound
	}
	f, _, err := s.facts(ctx, k, nil)
	return f, err
}
