package verdict

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/store"
)

// Bounds of the facts that are kept unpacked: vulnerabilities and hits of all of them.
const maxCached = 100_000

// cached are unpacked facts.
type cached struct {
	facts *Facts
	stamp string
	read  time.Time
	size  int
}

// making is facts that are being made.
type making struct {
	done  chan struct{}
	facts *Facts
	err   error
}

// known is what is there of an image, by a digest.
type known struct {
	Name      string
	Digest    string // of the manifest
	ReadAt    store.Time
	Stamp     string     // of the facts; "" when there are none
	FactsRead store.Time // when the inventory that they were made of was read
	MatchedAt store.Time
}

// lookUp finds inventories and facts by digests.
func (s *Service) lookUp(ctx context.Context, digests []string) (map[string]known, error) {
	out := make(map[string]known, len(digests))
	for len(digests) > 0 {
		n := min(len(digests), 500)
		var rows []known
		err := s.db.R.NewRaw(`SELECT n.name, n.digest, v.read_at, coalesce(f.stamp, '') AS stamp, coalesce(f.read_at, 0) AS facts_read, coalesce(f.matched_at, 0) AS matched_at
			FROM inventory_names n JOIN inventories v ON v.digest = n.digest LEFT JOIN verdict_facts f ON f.digest = n.digest WHERE n.name IN (?)`, in(digests[:n])).Scan(ctx, &rows)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			out[r.Name] = r
		}
		digests = digests[n:]
	}
	return out, nil
}

// facts are those of an image that was read: kept ones, or made now. old says that they are of an inventory before the present one,
// since making them takes longer than ctx; without such it is errSlow. They are made all the same.
func (s *Service) facts(ctx context.Context, k known) (f *Facts, old bool, err error) {
	fits := k.FactsRead.Equal(k.ReadAt.Time)
	if k.Stamp != "" && fits {
		f, err := s.kept(context.WithoutCancel(ctx), k)
		if f != nil || err != nil {
			return f, false, err
		}
	}
	if f, err = s.made(ctx, k); err == errSlow && k.Stamp != "" { //nolint:errorlint // our own
		if f, err := s.kept(context.WithoutCancel(ctx), k); f != nil || err != nil {
			return f, true, err
		}
	}
	return f, false, err
}

// kept reads kept facts; nil when they cannot be read.
func (s *Service) kept(ctx context.Context, k known) (*Facts, error) {
	s.mu.Lock()
	c := s.cache[k.Digest]
	s.mu.Unlock()
	if c != nil && c.stamp == k.Stamp && c.read.Equal(k.FactsRead.Time) {
		return c.facts, nil
	}
	var body []byte
	err := store.NotFound(s.db.R.NewRaw("SELECT body FROM verdict_facts WHERE digest = ?", k.Digest).Scan(ctx, &body))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := unpack(body)
	if err != nil {
		s.log.Warn("facts are made anew", "digest", k.Digest, "error", err)
		return nil, nil
	}
	f.Scanned, f.Matched = k.FactsRead.Time, k.MatchedAt.Time
	s.cacheFacts(k, f)
	return f, nil
}

func (s *Service) cacheFacts(k known, f *Facts) {
	size := len(f.Vulnerabilities) + len(f.Hits) + 10
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.cache[k.Digest]; old != nil {
		s.size -= old.size
	}
	s.cache[k.Digest] = &cached{f, k.Stamp, k.FactsRead.Time, size}
	s.size += size
	for d, c := range s.cache { // any order: what is missed is read again
		if s.size <= maxCached || len(s.cache) == 1 {
			break
		}
		if d != k.Digest {
			s.size -= c.size
			delete(s.cache, d)
		}
	}
}

// made makes facts, once for all who want them.
func (s *Service) made(ctx context.Context, k known) (*Facts, error) {
	digest := k.Digest
	s.mu.Lock()
	if c := s.cache[digest]; c != nil && c.read.Equal(k.ReadAt.Time) && c.stamp != k.Stamp { // somebody has just done so
		s.mu.Unlock()
		return c.facts, nil
	}
	m := s.making[digest]
	if m == nil {
		m = &making{done: make(chan struct{})}
		s.making[digest] = m
		go s.make(context.WithoutCancel(ctx), digest, m)
	}
	s.mu.Unlock()
	select {
	case <-m.done:
		return m.facts, m.err
	case <-ctx.Done():
		return nil, errSlow
	}
}

// maxMatching is how long one image may take to be matched and kept.
const maxMatching = 2 * time.Minute

func (s *Service) make(ctx context.Context, digest string, m *making) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic while an image was matched", "digest", digest, "panic", p)
			m.err = fmt.Errorf("internal error: %v", p)
		}
		s.mu.Lock()
		delete(s.making, digest)
		s.mu.Unlock()
		close(m.done)
	}()
	s.match <- struct{}{}
	defer func() { <-s.match }()
	ctx, cancel := context.WithTimeout(ctx, maxMatching)
	defer cancel()
	m.facts, _, m.err = s.gather(ctx, digest)
}

// gather makes facts of a kept inventory and keeps them. changed says whether they say anything new.
func (s *Service) gather(ctx context.Context, digest string) (f *Facts, changed bool, err error) {
	f = &Facts{Matched: store.At(s.o.Now()).Time}
	looked, err := s.o.Tasks.Findings(ctx, digest, func(x *finding.Finding, item, published string) { f.Gather(x, item, published) })
	if err != nil {
		return nil, false, err
	}
	f.Digest, f.Index, f.Reference, f.Scanned, f.NoAdvisories = looked.Digest, looked.Index, clip(looked.Reference, 1000), store.At(looked.Read).Time, clip(looked.NoDatabase, maxText)
	for _, g := range looked.Gaps[:min(len(looked.Gaps), maxGaps)] {
		f.Gaps = append(f.Gaps, clip(g.What+": "+g.Reason, maxText))
	}
	body := f.pack()
	var before []byte
	err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		before = nil
		err := store.NotFound(tx.NewRaw("SELECT body FROM verdict_facts WHERE digest = ?", f.Digest).Scan(ctx, &before))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		_, err = tx.NewRaw(`INSERT INTO verdict_facts (digest, stamp, read_at, matched_at, body) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (digest) DO UPDATE SET stamp = EXCLUDED.stamp, read_at = EXCLUDED.read_at, matched_at = EXCLUDED.matched_at, body = EXCLUDED.body`,
			f.Digest, looked.Stamp, store.At(looked.Read), store.At(f.Matched), body).Exec(ctx)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	s.cacheFacts(known{Digest: f.Digest, Stamp: looked.Stamp, FactsRead: store.At(looked.Read)}, f)
	return f, string(before) != string(body), nil
}
