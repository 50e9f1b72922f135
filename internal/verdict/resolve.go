package verdict

import (
	"context"
	"errors"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/scan"
)

// How long an answer of a registry is good, and how long we let one take.
const (
	nameFresh  = time.Minute
	errorFresh = 10 * time.Second
	longest    = 10 * time.Second
	maxNames   = 20_000 // that are remembered
)

// nameKey is a name as one cluster may see it: others have other credentials.
type nameKey struct {
	target    int64
	reference string
}

// resolving is a question to a registry, under way or answered.
type resolving struct {
	done   chan struct{}
	digest string
	err    error
	at     time.Time // of the answer
}

// errSlow says that the registry takes longer than a question can wait; the answer is kept for the next.
var errSlow = errors.New("its registry does not answer in time")

// errSaved says that nobody can be asked.
var errSaved = errors.New("the images of this cluster were saved: no registry is asked")

// name asks what a reference stands for now, once for all who ask at the same time, and not again within a minute.
func (s *Service) name(ctx context.Context, target int64, ref policy.Reference, image protocol.Image) (string, time.Time, error) {
	key := nameKey{target, ref.String()}
	now := s.o.Now()
	s.mu.Lock()
	r := s.names[key]
	if r != nil {
		select {
		case <-r.done:
			fresh := nameFresh
			if r.err != nil {
				fresh = errorFresh
			}
			if now.Sub(r.at) >= fresh || now.Before(r.at) {
				r = nil
			}
		default:
		}
	}
	if r == nil {
		if len(s.names) >= maxNames {
			s.forgetNames(now)
		}
		r = &resolving{done: make(chan struct{})}
		s.names[key] = r
		go s.ask(context.WithoutCancel(ctx), target, ref, image, r)
	}
	s.mu.Unlock()
	select {
	case <-r.done:
		return r.digest, r.at, r.err
	case <-ctx.Done():
		return "", time.Time{}, errSlow
	}
}

// forgetNames drops what is old, and everything when that is not enough. The caller holds the lock.
func (s *Service) forgetNames(now time.Time) {
	for k, r := range s.names {
		select {
		case <-r.done:
			if now.Sub(r.at) >= nameFresh {
				delete(s.names, k)
			}
		default:
		}
	}
	if len(s.names) >= maxNames {
		clear(s.names)
	}
}

// ask asks the registry. It goes on when the question does not wait any more.
func (s *Service) ask(ctx context.Context, target int64, ref policy.Reference, image protocol.Image, r *resolving) {
	defer close(r.done)
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic while a name was looked up", "reference", ref.String(), "panic", p)
			r.err = errSlow
		}
		r.at = s.o.Now()
	}()
	s.resolve <- struct{}{}
	defer func() { <-s.resolve }()
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	from, ok := s.o.Tasks.Reader(target).(Registries)
	if !ok {
		r.err = errSaved
		return
	}
	r.digest, r.err = from.Resolve(ctx, useOf(ref, image))
	if r.err != nil && ctx.Err() != nil {
		r.err = errSlow
	}
}

// useOf is a reference as readers of images take it.
func useOf(ref policy.Reference, image protocol.Image) scan.Use {
	u := scan.Use{Reference: ref.String()}
	for _, secret := range image.PullSecrets {
		u.PullSecrets = append(u.PullSecrets, image.Namespace+"/"+secret)
	}
	return u
}

// refused reports whether an error says that the registry answered, and will say the same again: no such image, or not for us.
func refused(err error) bool {
	var coded interface{ Code() string }
	return errors.As(err, &coded) && finding.Code(coded.Code()) != finding.Unreachable && finding.Code(coded.Code()) != finding.Skipped
}

// running finds digests of images as pods of a cluster run them, by the names that they have there.
func (s *Service) running(ctx context.Context, target int64, refs []policy.Reference) (map[string]string, error) {
	var names []string
	of := map[string]string{}
	for _, r := range refs {
		list := spellings(r)
		if r.Tag == "latest" {
			for _, n := range r.Repositories() {
				list = append(list, n)
			}
		}
		for _, n := range list {
			of[n] = r.String()
			names = append(names, n)
		}
	}
	out := map[string]string{}
	for len(names) > 0 {
		n := min(len(names), 500)
		var rows []struct{ Name, Digest string }
		err := s.db.R.NewRaw("SELECT name, digest FROM assets WHERE target_id = ? AND kind = ? AND name IN (?) AND gone_at = 0 AND digest <> '' ORDER BY id", target, ledger.AssetImage, in(names[:n])).Scan(ctx, &rows)
		if err != nil {
			return nil, err
		}
		for _, r := range rows { // of several the one that came last
			out[of[r.Name]] = r.Digest
		}
		names = names[n:]
	}
	return out, nil
}
