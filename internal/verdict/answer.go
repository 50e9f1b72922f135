package verdict

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// ErrTooMany is returned for a question about more images than one may hold.
var ErrTooMany = fmt.Errorf("%w: more than %d images in one question", task.ErrInvalid, protocol.MaxImages)

// Images answers a cluster for images, in the order asked. What is known is said at once; what is not is looked up and scanned, and
// told by Changes.
func (s *Service) Images(ctx context.Context, target int64, req protocol.ImagesRequest) (out *protocol.ImagesAnswer, err error) {
	if len(req.Images) > protocol.MaxImages {
		return nil, ErrTooMany
	}
	err = meanwhile(func() error {
		out, err = s.answer(ctx, target, req)
		return err
	})
	return out, err
}

func (s *Service) answer(ctx context.Context, target int64, req protocol.ImagesRequest) (*protocol.ImagesAnswer, error) {
	l, err := s.lensOf(ctx, target)
	if err != nil {
		return nil, err
	}
	out := &protocol.ImagesAnswer{Verdicts: make([]policy.ImageVerdict, len(req.Images))}
	// Read first: what changes meanwhile is told by Changes, too.
	if out.Serial, err = s.serial(ctx); err != nil {
		return nil, err
	}
	c, err := s.cluster(ctx, l)
	if err != nil {
		return nil, err
	}
	list, at := s.read(req.Images, out.Verdicts)
	if err := s.rows(ctx, target, list); err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, s.o.Patience)
	defer cancel()
	names, enough := context.WithTimeout(wait, s.o.Patience*2/3) // the rest is for images that are to be matched
	s.resolveAll(names, target, list)
	enough()
	if err := s.judge(ctx, wait, l, c, list); err != nil {
		return nil, err
	}
	if err := s.save(ctx, l, c, list); err != nil {
		return nil, err
	}
	if err := s.touch(ctx, list); err != nil {
		s.log.Warn("noting which images are asked about", "error", err)
	}
	for i, a := range at {
		if a != nil {
			out.Verdicts[i] = a.verdict
		}
	}
	return out, nil
}

// read takes the references, each once. What is no name of an image is answered at once.
func (s *Service) read(images []protocol.Image, verdicts []policy.ImageVerdict) (list []*asked, at []*asked) {
	by := map[string]*asked{}
	at = make([]*asked, len(images))
	for i, img := range images {
		ref, err := policy.ParseReference(img.Reference)
		if err != nil {
			verdicts[i] = policy.ImageVerdict{Reference: clip(img.Reference, 300), State: policy.Unread, Reason: err.Error()}
			continue
		}
		a := by[ref.String()]
		if a == nil {
			if len(img.PullSecrets) > 20 {
				img.PullSecrets = img.PullSecrets[:20]
			}
			a = &asked{ref: ref, image: img, facts: true}
			by[ref.String()] = a
			list = append(list, a)
		}
		at[i] = a
	}
	return list, at
}

// rows reads what is kept of images.
func (s *Service) rows(ctx context.Context, target int64, list []*asked) error {
	by := make(map[string]*asked, len(list))
	names := make([]string, len(list))
	for i, a := range list {
		names[i] = a.ref.String()
		by[names[i]] = a
	}
	for part := range slices.Chunk(names, 500) {
		var rows []row
		if err := s.db.R.NewSelect().Model(&rows).Where("target_id = ? AND reference IN (?)", target, in(part)).Scan(ctx); err != nil {
			return err
		}
		for i := range rows {
			a := by[rows[i].Reference]
			a.row, a.tries = &rows[i], rows[i].Tries
		}
	}
	return nil
}

// resolveAll finds the digests of references, many at a time: in the reference itself, as it was lately, at the registry, or where
// that is away as it was before, or as a pod runs it.
func (s *Service) resolveAll(ctx context.Context, target int64, list []*asked) {
	now := s.o.Now()
	var group sync.WaitGroup
	var open []*asked
	for _, a := range list {
		switch {
		case a.ref.Digest != "":
			a.digest = a.ref.Digest
		case a.row != nil && a.row.Digest != "" && now.Sub(a.row.Resolved.Time) < nameFresh && !now.Before(a.row.Resolved.Time):
			a.digest, a.resolved = a.row.Digest, a.row.Resolved.Time
		default:
			open = append(open, a)
			group.Go(func() { a.digest, a.resolved, a.problem = s.name(ctx, target, a.ref, a.image) })
		}
	}
	group.Wait()
	var lost []policy.Reference
	for _, a := range open {
		if a.problem == nil {
			continue
		}
		if a.row != nil && a.row.Digest != "" {
			a.digest, a.resolved = a.row.Digest, a.row.Resolved.Time
			continue
		}
		lost = append(lost, a.ref)
	}
	if len(lost) == 0 {
		return
	}
	found, err := s.running(context.WithoutCancel(ctx), target, lost)
	if err != nil {
		s.log.Warn("looking for running images", "error", err)
		return
	}
	for _, a := range open {
		if a.digest == "" {
			a.digest = found[a.ref.String()]
		}
	}
}

// judge makes the verdicts that are not kept already. wait ends before ctx: what takes longer is done in the background.
func (s *Service) judge(ctx, wait context.Context, l *lens, c *clusterRow, list []*asked) error {
	now := s.o.Now()
	var open []*asked
	var digests []string
	for _, a := range list {
		if a.ready = a.keeps(c, now); a.ready {
			v, err := a.row.verdict()
			if err == nil {
				a.verdict, a.manifest = v, a.row.Manifest
				if !a.resolved.IsZero() {
					a.verdict.Resolved = store.At(a.resolved).Time
				}
				continue
			}
			a.ready = false
		}
		open = append(open, a)
		if a.digest != "" {
			digests = append(digests, a.digest)
		}
	}
	if len(open) == 0 {
		return nil
	}
	there, err := s.lookUp(ctx, digests)
	if err != nil {
		return err
	}
	readings, err := s.readings(ctx, open, there)
	if err != nil {
		return err
	}
	bodies, err := s.bodies(ctx, there)
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	limit := make(chan struct{}, 8)
	errs := make([]error, len(open))
	for i, a := range open {
		limit <- struct{}{}
		group.Go(func() {
			defer func() { <-limit }()
			errs[i] = s.judgeOne(ctx, wait, l, a, looked{there, bodies, readings})
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// keeps reports whether the verdict that is kept is the answer.
func (a *asked) keeps(c *clusterRow, now time.Time) bool {
	r := a.row
	return r != nil && r.State == policy.Known && r.Digest == a.digest && c.current(r) && (r.DueAt.IsZero() || now.Before(r.DueAt.Time))
}

// readings asks what became of attempts to read images that are not known.
func (s *Service) readings(ctx context.Context, open []*asked, there map[string]known) (map[string]task.Reading, error) {
	var keys []string
	for _, a := range open {
		if a.digest != "" && there[a.digest].Digest == "" {
			keys = append(keys, a.digest)
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	return s.o.Tasks.Readings(ctx, keys)
}

// pauses are how long it takes until something that did not work is tried again.
func pause(least time.Duration, tries int, most time.Duration) time.Duration {
	return min(least<<min(tries, 16), most)
}

// looked is what was looked up for many images at once.
type looked struct {
	there    map[string]known // by digest
	bodies   map[string][]byte
	readings map[string]task.Reading
}

func (s *Service) judgeOne(ctx, wait context.Context, l *lens, a *asked, up looked) error {
	now := s.o.Now()
	v := policy.ImageVerdict{Reference: a.ref.String(), Digest: a.digest, Resolved: store.At(a.resolved).Time}
	img := &Image{Reference: a.ref, Digest: a.digest}
	a.due, a.manifest = time.Time{}, ""
	k := up.there[a.digest]
	switch {
	case a.digest == "":
		v.State, v.Reason = policy.Unknown, reason(a.problem)
		if refused(a.problem) {
			v.State = policy.Unread
		}
		a.due = now.Add(pause(5*time.Second, a.tries, time.Hour))
		a.tries++
	case k.Digest == "":
		s.unknown(l, a, &v, up.readings[a.digest], now)
	default:
		f, old, err := s.facts(wait, k, up.bodies[k.Digest])
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			v.State = policy.Scanning // read, and not matched yet
			a.due = now.Add(s.scale.recheck)
			if err != errSlow { //nolint:errorlint // our own
				v.State, v.Reason = policy.Unread, clip(because(err), maxText)
				a.due = now.Add(pause(10*time.Second, a.tries, time.Hour))
				a.tries++
			}
			break
		}
		v.State, v.Scanned, v.Matched, a.manifest, a.tries = policy.Known, f.Scanned, f.Matched, f.Digest, 0
		if len(f.Gaps) > 0 {
			v.Reason = f.Gaps[0]
		}
		if img.Facts = f; old {
			a.due = now.Add(s.scale.recheck)
		}
	}
	signed, again, err := s.signatures(ctx, wait, l, a)
	if err != nil {
		return err
	}
	img.Signatures = signed
	for _, t := range []time.Time{l.judge(&v, img, now), again} {
		if !t.IsZero() && (a.due.IsZero() || t.Before(a.due)) {
			a.due = t
		}
	}
	a.verdict = v
	return nil
}

func reason(err error) string {
	if err == nil {
		return "nobody knows which image it is"
	}
	return clip(because(err), maxText)
}

// unknown says what is known of an image that was not read, and has it read.
func (s *Service) unknown(l *lens, a *asked, v *policy.ImageVerdict, last task.Reading, now time.Time) {
	v.State = policy.Scanning
	if last.Code != "" && !last.Open {
		again := last.At.Add(pause(time.Minute, a.tries, time.Hour))
		if now.Before(again) {
			v.State, v.Reason, a.due = policy.Unread, clip(caused(last.Code, last.Why), maxText), again
			return
		}
		a.tries++
	}
	a.due = now.Add(s.scale.recheck)
	if !last.Open {
		s.want(task.Image{Target: l.bundle.Target, Reference: a.ref.String(), Digest: a.digest, Namespace: a.image.Namespace, PullSecrets: a.image.PullSecrets})
	}
}

// touch notes once a day that images are asked about, and when a name was found to stand for the same as before.
func (s *Service) touch(ctx context.Context, list []*asked) error {
	today := store.At(s.o.Now().Truncate(24 * time.Hour))
	var days, names []int64
	var manifests []string
	var resolved time.Time
	for _, a := range list {
		if a.row == nil {
			continue
		}
		if a.row.AskedAt.Before(today.Time) {
			days = append(days, a.row.ID)
			if a.manifest != "" {
				manifests = append(manifests, a.manifest)
			}
		}
		if a.ready && a.resolved.After(a.row.Resolved.Time) {
			names = append(names, a.row.ID)
			if resolved.IsZero() || a.resolved.Before(resolved) {
				resolved = a.resolved
			}
		}
	}
	if len(days)+len(names) == 0 {
		return nil
	}
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		for part := range slices.Chunk(days, 500) {
			if _, err := tx.NewRaw("UPDATE verdicts SET asked_at = ? WHERE id IN (?)", today, in(part)).Exec(ctx); err != nil {
				return err
			}
		}
		for part := range slices.Chunk(names, 500) {
			if _, err := tx.NewRaw("UPDATE verdicts SET resolved_at = ? WHERE id IN (?)", store.At(resolved), in(part)).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(manifests) == 0 {
		return err
	}
	return s.o.Tasks.InUse(ctx, manifests)
}
