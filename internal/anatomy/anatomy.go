// Package anatomy takes images apart for people: layers and what came in with each, the base against the image's own layers,
// packages, findings by place and the upgrades that clear most of them; and the core components of clusters. It changes nothing.
package anatomy

import (
	"context"
	"sync"
	"time"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/store"
)

// Inventories reads what images hold: see task.Service.
type Inventories interface {
	// Inventory reads by the digest of the image, or of the index that led to it; store.ErrNotFound when it was never read.
	Inventory(ctx context.Context, name string) (*inventory.Software, error)
}

// Service answers questions about images.
type Service struct {
	db     *store.DB
	browse *browse.Browser
	from   Inventories
	now    func() time.Time

	mu   sync.Mutex
	open map[string]*opened  // by digest
	seen map[int64]*findings // by asset
}

// New makes a Service. now nil is time.Now.
func New(db *store.DB, b *browse.Browser, from Inventories, now func() time.Time) *Service {
	if now == nil {
		now = time.Now
	}
	return &Service{db: db, browse: b, from: from, now: now, open: map[string]*opened{}, seen: map[int64]*findings{}}
}

// What is kept opened for the next request of the same person: pages of one image follow each other.
const (
	keepFor      = 2 * time.Minute
	keepBodies   = 12
	keepPackages = 300_000 // of all kept bodies together
	keepFindings = 12      // images
)

// opened is an inventory that was read, or is being read.
type opened struct {
	once   sync.Once
	at     time.Time
	readAt store.Time
	body   *body
	err    error
}

// bodyOf opens the inventory of a digest that inventories has, once for all who ask at the same time.
func (s *Service) bodyOf(ctx context.Context, known read) (*body, error) {
	s.mu.Lock()
	o := s.open[known.Digest]
	if o == nil || !o.readAt.Equal(known.ReadAt.Time) {
		o = &opened{readAt: known.ReadAt}
		s.open[known.Digest] = o
	}
	o.at = s.now()
	s.mu.Unlock()
	o.once.Do(func() {
		sw, err := s.from.Inventory(context.WithoutCancel(ctx), known.Digest)
		if err != nil {
			o.err = err
			return
		}
		o.body = dissect(sw)
	})
	if o.err != nil {
		s.mu.Lock()
		if s.open[known.Digest] == o {
			delete(s.open, known.Digest)
		}
		s.mu.Unlock()
		return nil, o.err
	}
	s.trim()
	return o.body, nil
}

// trim forgets what is old, and the oldest where that is too much.
func (s *Service) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for {
		total, oldest := 0, ""
		for d, o := range s.open {
			if now.Sub(o.at) > keepFor {
				delete(s.open, d)
				continue
			}
			if o.body != nil {
				total += len(o.body.packages)
			}
			if oldest == "" || o.at.Before(s.open[oldest].at) {
				oldest = d
			}
		}
		if len(s.open) <= 1 || len(s.open) <= keepBodies && total <= keepPackages {
			break
		}
		delete(s.open, oldest)
	}
	for len(s.seen) > keepFindings {
		var oldest int64
		for id, f := range s.seen {
			if oldest == 0 || f.at.Before(s.seen[oldest].at) {
				oldest = id
			}
		}
		delete(s.seen, oldest)
	}
}
