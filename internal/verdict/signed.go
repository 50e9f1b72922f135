package verdict

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/signature"
	"stockade.dev/stockade/internal/store"
)

// signedRow is a row of verdict_signatures.
type signedRow struct {
	bun.BaseModel `bun:"table:verdict_signatures"`

	Digest    string     `bun:"digest,pk"`
	KeyID     string     `bun:"key_id,pk"`
	Good      bool       `bun:"good"`
	Reason    string     `bun:"reason"`
	CheckedAt store.Time `bun:"checked_at"`
	Tries     int        `bun:"tries"`
}

// How soon it is looked again for a signature that was not there: images are signed just after they are pushed.
const (
	signSoon = 15 * time.Second
	signLate = 24 * time.Hour
)

// again is when an image without a signature is looked at again.
func (r *signedRow) again() time.Time { return r.CheckedAt.Add(pause(signSoon, r.Tries-1, signLate)) }

// wantsKeys are the keys that policies ask about for an image.
func (l *lens) wantsKeys(ref policy.Reference) []*signature.Key {
	if len(l.list) == 0 {
		return nil
	}
	var out []*signature.Key
	seen := map[string]bool{}
	for _, p := range l.policies {
		if !covers(p, ref) {
			continue
		}
		for _, k := range Keys(p) {
			if key := l.keys[k.PEM]; key != nil && !seen[key.ID] {
				seen[key.ID] = true
				out = append(out, key)
			}
		}
	}
	return out
}

// signatures says which keys have signed an image, and when that is to be looked at again. What is not known is looked for, as long
// as wait lasts.
func (s *Service) signatures(ctx, wait context.Context, l *lens, a *asked) (map[string]Signed, time.Time, error) {
	keys := l.wantsKeys(a.ref)
	if len(keys) == 0 || a.digest == "" {
		return l.bySigner(nil), time.Time{}, nil
	}
	rows, err := s.signedBy(ctx, a.digest)
	if err != nil {
		return nil, time.Time{}, err
	}
	now := s.o.Now()
	var missing []*signature.Key
	for _, k := range keys {
		if r := rows[k.ID]; r == nil || !r.Good && !now.Before(r.again()) {
			missing = append(missing, k)
		}
	}
	why := ""
	if len(missing) > 0 {
		if err := s.verify(ctx, wait, l.bundle.Target, a, missing, rows); err != nil {
			why = clip(because(err), maxText)
		}
	}
	var again time.Time
	known := map[string]Signed{}
	for _, k := range keys {
		r := rows[k.ID]
		next := time.Time{}
		switch {
		case r == nil:
			known[k.ID], next = Signed{Unknown: true, Reason: why}, now.Add(signSoon)
		case r.Good:
			known[k.ID] = Signed{Good: true}
		default:
			known[k.ID], next = Signed{Reason: r.Reason}, r.again()
		}
		if why != "" && !next.IsZero() && !next.After(now) {
			next = now.Add(signSoon) // the registry is away
		}
		if !next.IsZero() && (again.IsZero() || next.Before(again)) {
			again = next
		}
	}
	return l.bySigner(known), again, nil
}

// bySigner lists what is known of keys by their PEM; those that cannot be read have signed nothing.
func (l *lens) bySigner(known map[string]Signed) map[string]Signed {
	if len(l.keys) == 0 {
		return nil
	}
	out := map[string]Signed{}
	for pem, k := range l.keys {
		if k == nil {
			out[pem] = Signed{Reason: "the key of the policy cannot be read"}
		} else if x, ok := known[k.ID]; ok {
			out[pem] = x
		}
	}
	return out
}

func (s *Service) signedBy(ctx context.Context, digest string) (map[string]*signedRow, error) {
	var rows []*signedRow
	if err := s.db.R.NewSelect().Model(&rows).Where("digest = ?", digest).Limit(1000).Scan(ctx); err != nil {
		return nil, err
	}
	out := make(map[string]*signedRow, len(rows))
	for _, r := range rows {
		out[r.KeyID] = r
	}
	return out, nil
}

// verify looks for signatures at the registry and keeps what it finds. When that takes longer than wait, what it finds is there the
// next time.
func (s *Service) verify(ctx, wait context.Context, target int64, a *asked, keys []*signature.Key, rows map[string]*signedRow) error {
	s.mu.Lock()
	if s.retry[a.digest] {
		s.mu.Unlock()
		return errSlow
	}
	s.retry[a.digest] = true
	s.mu.Unlock()
	type found struct {
		rows []*signedRow
		err  error
	}
	done := make(chan found, 1)
	before := map[string]int{}
	for id, r := range rows {
		before[id] = r.Tries
	}
	ref, image, digest := a.ref, a.image, a.digest
	ctx = context.WithoutCancel(ctx)
	go func() {
		var f found
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("panic while signatures were verified", "digest", digest, "panic", p)
				f.err = errSlow
			}
			s.mu.Lock()
			delete(s.retry, digest)
			s.mu.Unlock()
			done <- f
		}()
		f.rows, f.err = s.lookForSignatures(ctx, target, ref, image.Namespace, image.PullSecrets, digest, keys, before)
	}()
	select {
	case f := <-done:
		for _, r := range f.rows {
			rows[r.KeyID] = r
		}
		return f.err
	case <-wait.Done():
		return errSlow
	}
}

func (s *Service) lookForSignatures(ctx context.Context, target int64, ref policy.Reference, namespace string, secrets []string, digest string, keys []*signature.Key, tries map[string]int) ([]*signedRow, error) {
	s.resolve <- struct{}{}
	defer func() { <-s.resolve }()
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	from, ok := s.o.Tasks.Reader(target).(Registries)
	if !ok {
		return nil, errSaved
	}
	use := useOf(ref, imageOf(ref, namespace, secrets))
	use.Digest = digest
	var results []signature.Result
	err := from.Visit(ctx, use, func(ctx context.Context, r *registry.Repository) (err error) {
		results, err = signature.Verify(ctx, r, digest, keys)
		return err
	})
	if err != nil {
		return nil, err
	}
	var rows []*signedRow
	for i, r := range results {
		row := &signedRow{Digest: digest, KeyID: keys[i].ID, Good: r.Good, Reason: clip(r.Reason, maxText), CheckedAt: store.At(s.o.Now())}
		if !r.Good {
			row.Tries = tries[keys[i].ID] + 1
		}
		rows = append(rows, row)
	}
	return rows, s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&rows).On("CONFLICT (digest, key_id) DO UPDATE").
			Set("good = EXCLUDED.good, reason = EXCLUDED.reason, checked_at = EXCLUDED.checked_at, tries = EXCLUDED.tries").Exec(ctx)
		return err
	})
}
