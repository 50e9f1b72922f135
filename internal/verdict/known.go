package verdict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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

// fits reports whether the facts that are kept are of the inventory that is there.
func (k *known) fits() bool { return k.Stamp != "" && k.FactsRead.Equal(k.ReadAt.Time) }

// maxBodies bounds what bodies reads ahead, in bytes.
const maxBodies = 32 << 20

// bodies reads the packed facts of images that are kept and not at hand, by digest, so that judging many does not ask for each.
func (s *Service) bodies(ctx context.Context, there map[string]known) (map[string][]byte, error) {
	stamps := map[string]string{}
	s.mu.Lock()
	for _, k := range there {
		if c := s.cache[k.Digest]; k.fits() && (c == nil || c.stamp != k.Stamp || !c.read.Equal(k.FactsRead.Time)) {
			stamps[k.Digest] = k.Stamp
		}
	}
	s.mu.Unlock()
	out, size := make(map[string][]byte, len(stamps)), 0
	if len(stamps) < 2 {
		return out, nil
	}
	for part := range slices.Chunk(slices.Collect(maps.Keys(stamps)), 100) {
		rows, err := s.db.R.QueryContext(ctx, "SELECT digest, stamp, body FROM verdict_facts WHERE digest IN (?)", in(part))
		if err != nil {
			return nil, err
		}
		for rows.Next() && size < maxBodies {
			var digest, stamp string
			var body []byte
			if err := rows.Scan(&digest, &stamp, &body); err != nil {
				return nil, errors.Join(err, rows.Close())
			}
			if stamp == stamps[digest] {
				out[digest] = body
				size += len(body)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || size >= maxBodies {
			return out, err
		}
	}
	return out, nil
}

// facts are those of an image that was read: kept ones, or made now; body is what bodies has of it. old says that they are of an inventory before the present one,
// since making them takes longer than ctx; without such it is errSlow. They are made all the same.
func (s *Service) facts(ctx context.Context, k known, body []byte) (f *Facts, old bool, err error) {
	if k.fits() {
		f, err := s.kept(context.WithoutCancel(ctx), k, body)
		if f != nil || err != nil {
			return f, false, err
		}
	}
	if f, err = s.made(ctx, k); err == errSlow && k.Stamp != "" { //nolint:errorlint // our own
		if f, err := s.kept(context.WithoutCancel(ctx), k, nil); f != nil || err != nil {
			return f, true, err
		}
	}
	return f, false, err
}

// kept reads kept facts, from body when that is there; nil when they cannot be read.
func (s *Service) kept(ctx context.Context, k known, body []byte) (*Facts, error) {
	s.mu.Lock()
	c := s.cache[k.Digest]
	s.mu.Unlock()
	if c != nil && c.stamp == k.Stamp && c.read.Equal(k.FactsRead.Time) {
		return c.facts, nil
	}
	if body == nil {
		err := store.NotFound(s.db.R.NewRaw("SELECT body FROM verdict_facts WHERE digest = ?", k.Digest).Scan(ctx, &body))
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
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
	m.facts, m.err = s.gather(ctx, digest)
}

// matched are facts as they were made, on their way into the database.
type matched struct {
	facts *Facts
	stamp string
	read  store.Time
	body  []byte // packed
}

func (m *matched) known() known {
	return known{Digest: m.facts.Digest, Stamp: m.stamp, FactsRead: m.read}
}

// find makes facts of a kept inventory.
func (s *Service) find(ctx context.Context, digest string) (*matched, error) {
	f := &Facts{Matched: store.At(s.o.Now()).Time}
	looked, err := s.o.Tasks.Findings(ctx, digest, func(x *finding.Finding, item, published string) { f.Gather(x, item, published) })
	if err != nil {
		return nil, err
	}
	f.Digest, f.Index, f.Reference, f.Scanned, f.NoAdvisories = looked.Digest, looked.Index, clip(looked.Reference, 1000), store.At(looked.Read).Time, clip(looked.NoDatabase, maxText)
	for _, g := range looked.Gaps[:min(len(looked.Gaps), maxGaps)] {
		f.Gaps = append(f.Gaps, clip(g.What+": "+g.Reason, maxText))
	}
	return &matched{facts: f, stamp: looked.Stamp, read: store.At(looked.Read), body: f.pack()}, nil
}

// keepFound keeps facts, and returns the digests of those that say anything new.
func keepFound(ctx context.Context, tx bun.Tx, list []*matched) (changed []string, err error) {
	for part := range slices.Chunk(list, 100) {
		digests := make([]string, len(part))
		for i, m := range part {
			digests[i] = m.facts.Digest
		}
		var before []struct {
			Digest string
			Body   []byte
		}
		if err := tx.NewRaw("SELECT digest, body FROM verdict_facts WHERE digest IN (?)", in(digests)).Scan(ctx, &before); err != nil {
			return nil, err
		}
		kept := make(map[string][]byte, len(before))
		for _, b := range before {
			kept[b.Digest] = b.Body
		}
		for _, m := range part {
			if !bytes.Equal(kept[m.facts.Digest], m.body) {
				changed = append(changed, m.facts.Digest)
			}
			_, err := tx.NewRaw(`INSERT INTO verdict_facts (digest, stamp, read_at, matched_at, body) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (digest) DO UPDATE SET stamp = EXCLUDED.stamp, read_at = EXCLUDED.read_at, matched_at = EXCLUDED.matched_at, body = EXCLUDED.body`,
				m.facts.Digest, m.stamp, m.read, store.At(m.facts.Matched), m.body).Exec(ctx)
			if err != nil {
				return nil, err
			}
		}
	}
	return changed, nil
}

// gather makes facts of a kept inventory and keeps them.
func (s *Service) gather(ctx context.Context, digest string) (*Facts, error) {
	m, err := s.find(ctx, digest)
	if err != nil {
		return nil, err
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := keepFound(ctx, tx, []*matched{m})
		return err
	})
	if err != nil {
		return nil, err
	}
	s.cacheFacts(m.known(), m.facts)
	return m.facts, nil
}
