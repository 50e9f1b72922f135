package verdict

import (
	"context"
	"errors"
	"sync"
	"time"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// preview answers by what is known, by any bundle: nothing is pulled, nobody is asked, nothing is kept.
type preview struct {
	s      *Service
	target int64
	lens   *lens
	err    error
	until  time.Time // then images that were read and never matched count as not scanned yet

	mu    sync.Mutex
	known map[string]*policy.ImageVerdict // by reference
}

// For answers for the images of a cluster as a bundle judges them, at once and from what is known: for previews. It is made for one
// preview: what it has said once it says again.
func (s *Service) For(target int64, b *policy.Bundle) policy.Images {
	p := &preview{s: s, target: target, until: time.Now().Add(s.o.Patience), known: map[string]*policy.ImageVerdict{}}
	p.lens, p.err = newLens(b)
	return p
}

// Verdict implements policy.Images.
func (p *preview) Verdict(ctx context.Context, reference, _ string, _ []string) (*policy.ImageVerdict, error) {
	if p.err != nil {
		return nil, p.err
	}
	ref, err := policy.ParseReference(reference)
	if err != nil {
		return &policy.ImageVerdict{Reference: clip(reference, 300), State: policy.Unread, Reason: err.Error()}, nil
	}
	key := ref.String()
	p.mu.Lock()
	v := p.known[key]
	p.mu.Unlock()
	if v != nil {
		return v, nil
	}
	if v, err = p.judge(ctx, ref); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.known[key] = v
	p.mu.Unlock()
	return v, nil
}

func (p *preview) judge(ctx context.Context, ref policy.Reference) (*policy.ImageVerdict, error) {
	s, now := p.s, p.s.o.Now()
	v := &policy.ImageVerdict{Reference: ref.String(), State: policy.Unknown, Digest: ref.Digest}
	r := &row{}
	err := store.NotFound(s.db.R.NewSelect().Model(r).Where("target_id = ? AND reference = ?", p.target, ref.String()).Scan(ctx))
	switch {
	case err == nil:
		before, err := r.verdict()
		if err != nil {
			return nil, err
		}
		v.Serial = r.Serial
		if v.Digest == "" {
			v.Digest, v.Resolved = r.Digest, r.Resolved.Time
		}
		if r.State != policy.Known {
			v.State, v.Reason = r.State, before.Reason
		}
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	if v.Digest == "" {
		found, err := s.running(ctx, p.target, []policy.Reference{ref})
		if err != nil {
			return nil, err
		}
		v.Digest = found[ref.String()]
	}
	img := &Image{Reference: ref, Digest: v.Digest}
	if v.Digest != "" {
		there, err := s.lookUp(ctx, []string{v.Digest})
		if err != nil {
			return nil, err
		}
		if k, ok := there[v.Digest]; ok {
			wait, cancel := context.WithDeadline(ctx, p.until)
			f, _, err := s.facts(wait, k, nil)
			cancel()
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case err != nil && wait.Err() != nil:
				v.State, v.Reason = policy.Scanning, "it was read, and is not held against advisories yet"
			case err != nil:
				return nil, err
			default:
				v.State, v.Reason, v.Scanned, v.Matched, img.Facts = policy.Known, "", f.Scanned, f.Matched, f
				if len(f.Gaps) > 0 {
					v.Reason = f.Gaps[0]
				}
			}
		}
		if img.Signatures, err = p.signatures(ctx, ref, v.Digest); err != nil {
			return nil, err
		}
	}
	p.lens.judge(v, img, now)
	return v, nil
}

// signatures is what was found before.
func (p *preview) signatures(ctx context.Context, ref policy.Reference, digest string) (map[string]Signed, error) {
	keys := p.lens.wantsKeys(ref)
	if len(keys) == 0 {
		return p.lens.bySigner(nil), nil
	}
	rows, err := p.s.signedBy(ctx, digest)
	if err != nil {
		return nil, err
	}
	known := map[string]Signed{}
	for id, r := range rows {
		known[id] = Signed{Good: r.Good, Reason: r.Reason}
	}
	return p.lens.bySigner(known), nil
}

// Look says what the policies of a cluster say of images, by what is known, in the order asked.
func (s *Service) Look(ctx context.Context, target int64, references []string) (*policy.Bundle, []policy.ImageVerdict, error) {
	b, err := s.o.Bundles.Bundle(ctx, target)
	if err != nil {
		return nil, nil, err
	}
	from := s.For(target, b)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out := make([]policy.ImageVerdict, len(references))
	for i, ref := range references {
		v, err := from.Verdict(ctx, ref, "", nil)
		if err != nil {
			return nil, nil, err
		}
		out[i] = *v
	}
	return b, out, nil
}
