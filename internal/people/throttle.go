package people

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"golang.org/x/time/rate"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
)

// Failed sign-ins within window until further ones are refused for the time of blocked. The pair comes first, so that a stranger
// who fails on purpose keeps out himself and not the person whose name he uses; the other two are for many addresses or names.
const (
	window     = 15 * time.Minute
	blocked    = 15 * time.Minute
	maxPair    = 5
	maxName    = 50
	maxAddress = 50
)

// Requests about credentials of one address, before the database is asked.
const (
	bucketRate = rate.Limit(1)
	bucketSize = 20
	bucketMany = 10_000
)

// throttle holds a bucket an address.
type throttle struct {
	mu      *sync.Mutex
	buckets map[netip.Prefix]*rate.Limiter
}

func newThrottle() throttle {
	return throttle{mu: new(sync.Mutex), buckets: map[netip.Prefix]*rate.Limiter{}}
}

// allow takes a drop from the bucket of an address.
func (t throttle) allow(from netip.Prefix, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buckets[from]
	if b == nil {
		if len(t.buckets) >= bucketMany {
			for k, old := range t.buckets {
				if old.TokensAt(now) >= bucketSize {
					delete(t.buckets, k)
				}
			}
			if len(t.buckets) >= bucketMany { // the counters in the database still hold
				clear(t.buckets)
			}
		}
		b = rate.NewLimiter(bucketRate, bucketSize)
		t.buckets[from] = b
	}
	if !b.AllowN(now, 1) {
		return &Throttled{Wait: time.Second}
	}
	return nil
}

// network is what counts as one address: a host of IPv4, a /64 of IPv6, which anybody has whole.
func network(remote string) netip.Prefix {
	a, err := netip.ParseAddr(remote)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits)
	return p
}

// limit is a counter of failed sign-ins.
type limit struct {
	key string
	max int
}

func limits(name, remote string) []limit {
	from := network(remote).String()
	list := []limit{{digest("pair\x00" + name + "\x00" + from), maxPair}, {digest("name\x00" + name), maxName}, {digest("address\x00" + from), maxAddress}}
	slices.SortFunc(list, func(a, b limit) int { // in one order, so that no two wait for each other
		if a.key < b.key {
			return -1
		}
		return 1
	})
	return list
}

// charge counts an attempt before it is made, so that many at once do not pass together. It refuses with Throttled; what it counted
// is taken back with refund when the attempt succeeds.
func (s *Service) charge(ctx context.Context, name, remote string) error {
	if err := s.throttle.allow(network(remote), s.now()); err != nil {
		return err
	}
	var wait time.Duration
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var err error
		wait, err = s.count(ctx, tx, name, remote)
		return err
	})
	if err == nil && wait > 0 {
		return &Throttled{Wait: wait}
	}
	return err
}

func (s *Service) count(ctx context.Context, tx bun.Tx, name, remote string) (time.Duration, error) {
	list, now := limits(name, remote), s.now()
	for _, l := range list {
		var until store.Time
		err := tx.NewSelect().Table("attempts").Column("blocked_until").Where("key = ?", l.key).Scan(ctx, &until)
		if err = store.NotFound(err); err != nil && err != store.ErrNotFound {
			return 0, err
		}
		if wait := until.Sub(now); err == nil && !until.IsZero() && wait > 0 {
			return min(wait, blocked), nil // a clock that jumped back does not lock out for longer
		}
	}
	for _, l := range list {
		var failures int
		err := tx.NewRaw(`INSERT INTO attempts (key, failures, since) VALUES (?, 1, ?) ON CONFLICT (key) DO UPDATE SET
			failures = CASE WHEN attempts.since <= ? THEN 1 ELSE attempts.failures + 1 END,
			since = CASE WHEN attempts.since <= ? THEN excluded.since ELSE attempts.since END
			RETURNING failures`, l.key, store.At(now), store.At(now.Add(-window)), store.At(now.Add(-window))).Scan(ctx, &failures)
		if err != nil {
			return 0, err
		}
		if failures <= l.max {
			continue
		}
		if _, err := tx.ExecContext(ctx, "UPDATE attempts SET failures = 0, blocked_until = ? WHERE key = ?", store.At(now.Add(blocked)), l.key); err != nil {
			return 0, err
		}
		return blocked, s.recordBlock(ctx, tx, name)
	}
	return 0, nil
}

// recordBlock writes who is kept out. A name that nobody has is not written: it may be a password in the wrong field.
func (s *Service) recordBlock(ctx context.Context, tx bun.Tx, name string) error {
	object := "an unknown user"
	if u, err := byName(ctx, tx, name); err == nil {
		object = u.object()
	} else if err != store.ErrNotFound {
		return err
	}
	ctx = identity.With(ctx, nil)
	return audit.Record(ctx, tx, "session.block", object, 0, nil, map[string]any{"minutes": blocked.Minutes()})
}

// refund takes back what charge counted.
func (s *Service) refund(ctx context.Context, tx bun.Tx, name, remote string) error {
	for _, l := range limits(name, remote) {
		q := "UPDATE attempts SET failures = failures - 1 WHERE key = ? AND failures > 0"
		if l.max == maxPair {
			q = "DELETE FROM attempts WHERE key = ?"
		}
		if _, err := tx.ExecContext(ctx, q, l.key); err != nil {
			return err
		}
	}
	return nil
}

func byName(ctx context.Context, db bun.IDB, name string) (*User, error) {
	u := new(User)
	if err := db.NewSelect().Model(u).Where("name = ? AND removed_at = 0", name).Scan(ctx); err != nil {
		return nil, store.NotFound(err)
	}
	return u, fill(ctx, db, u)
}
