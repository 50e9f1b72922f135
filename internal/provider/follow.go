package provider

import (
	"context"
	"errors"
	"math/rand/v2"
	gometrics "runtime/metrics"
	"sync"
	"time"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/link"
	"stockade.dev/stockade/internal/provider/memory"
	"stockade.dev/stockade/internal/provider/protocol"
)

// Times of what runs beside the answers.
const (
	beatEvery  = 10 * time.Second
	goneEvery  = time.Minute // when protection was ended
	tendEvery  = time.Second
	staleBatch = 200 // verdicts that are asked for anew at a time after policies changed
	mostSends  = 20  // batches of admissions in a row
	mostBehind = 3   // beats of a server that counts behind, until that is believed: its replicas may differ for a moment
)

func jitter(n int64) int64 {
	if n <= 0 {
		return 0
	}
	return rand.Int64N(n) //nolint:gosec // spreads load; it protects nothing
}

// followBundle keeps the policies those of the server.
func (p *Provider) followBundle(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		if p.gone.Load() && p.force.Load() != nil {
			if !sleep(ctx, beatEvery) {
				return
			}
			continue
		}
		have := ""
		if f := p.force.Load(); f != nil {
			have = f.bundle.Generation
		}
		began := time.Now()
		b, err := p.link.Bundle(p.bundles.begin(ctx), have)
		if err == nil && b != nil {
			if err = p.enforce(ctx, b, nil); err != nil {
				p.problem("policies", "new policies cannot be put into force, those from before stay: "+err.Error())
			} else {
				p.problem("policies", "")
			}
		}
		switch {
		case err != nil:
			failures++
			if !sleep(ctx, backoff(failures-1)) {
				return
			}
			continue
		case b == nil && time.Since(began) < time.Second: // a server that does not wait
			if !sleep(ctx, time.Second) {
				return
			}
		}
		failures = 0
	}
}

// poll is a question that waits for news: a newer one ends it, so that a connection that died unnoticed holds up nothing.
type poll struct {
	mu  sync.Mutex
	end context.CancelFunc
}

// begin is the context of the next question.
func (l *poll) begin(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		l.end()
	}
	l.end = cancel
	return ctx
}

// again ends the question that waits.
func (l *poll) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		l.end()
	}
}

// followChanges takes in verdicts that changed.
func (p *Provider) followChanges(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		if p.force.Load() == nil || p.gone.Load() || p.memory.Serial() == 0 && !p.anchored(ctx) {
			if !sleep(ctx, tendEvery) {
				return
			}
			continue
		}
		epoch := p.epoch() // the server may have made them before it knew of younger policies
		began := time.Now()
		c, err := p.link.Changes(p.changes.begin(ctx), p.memory.Serial())
		switch {
		case err != nil:
			failures++
			if !sleep(ctx, backoff(failures-1)) {
				return
			}
			continue
		case c != nil:
			p.takeChanges(c, epoch)
		case time.Since(began) < time.Second:
			if !sleep(ctx, time.Second) {
				return
			}
		}
		failures = 0
	}
}

// anchored asks the server where its changes are now, when nothing was kept: what is asked for from then on is newer.
func (p *Provider) anchored(ctx context.Context) bool {
	a, err := p.link.Beat(ctx, p.Beat())
	if err != nil {
		return false
	}
	if a.Serial == 0 { // nothing changed yet, so everything after nothing is new
		return true
	}
	p.memory.SetSerial(a.Serial)
	return true
}

func (p *Provider) takeChanges(c *protocol.Changes, epoch int64) {
	if c.Reset {
		p.startAnew()
	}
	now := p.o.Now()
	changed := false
	for i := range c.Verdicts {
		v := &c.Verdicts[i]
		ref, err := policy.ParseReference(v.Reference)
		if err != nil {
			continue
		}
		from := memory.Origin{Image: protocol.Image{Reference: ref.String()}, Epoch: epoch, Asked: now}
		if a, ok := p.memory.Get(ref); ok && !a.Content {
			from.Image = a.Image
		}
		if p.memory.Put(ref.String(), v, from) {
			changed = true
		}
	}
	if changed {
		p.memo.changed()
	}
	if c.Serial > p.memory.Serial() {
		p.memory.SetSerial(c.Serial)
	}
}

// deliver sends what was recorded, the oldest first.
func (p *Provider) deliver(ctx context.Context) {
	failures := 0
	for {
		sent, err := p.send(ctx, mostSends)
		wait := tendEvery
		if err != nil {
			failures++
			wait = backoff(failures)
		} else {
			failures = 0
			if sent == mostSends {
				wait = 0
			}
		}
		if wait > 0 && err == nil {
			select {
			case <-p.spool.Filled():
			case <-ctx.Done():
			case <-time.After(wait):
			}
		} else if !sleep(ctx, wait) {
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
}

func (p *Provider) send(ctx context.Context, most int) (sent int, err error) {
	for sent < most && ctx.Err() == nil {
		body, done := p.spool.Oldest()
		if body == nil {
			return sent, nil
		}
		err := p.link.Send(ctx, body)
		switch {
		case err == nil:
			done(false)
		case errors.Is(err, link.ErrRefused):
			p.o.Log.Error("a batch of admissions was refused and is dropped", "err", err)
			done(true)
		default:
			return sent, err
		}
		sent++
	}
	return sent, nil
}

// lastDelivery tries to leave nothing behind.
func (p *Provider) lastDelivery(ctx context.Context) {
	if p.link.Away() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_, _ = p.send(ctx, 1000) // the rest is on disk
}

// beats tell the server how this replica is.
func (p *Provider) beats(ctx context.Context) {
	var s standing
	for {
		every := beatEvery
		if a, err := p.link.Beat(ctx, p.Beat()); err == nil {
			p.heed(a, &s)
			if a.Gone {
				every = goneEvery
			}
		}
		if !sleep(ctx, every) {
			return
		}
	}
}

// standing is how the changes that are known here stand to the server's, over several beats.
type standing struct {
	ahead  int   // beats in which the server counted behind
	serial int64 // of the last beat in which it counted before, and nothing came since
}

// heed does what the answer to a beat asks for.
func (p *Provider) heed(a *protocol.BeatAnswer, s *standing) {
	p.gone.Store(a.Gone)
	if f := p.force.Load(); !a.Gone && a.Bundle != "" && (f == nil || f.bundle.Generation != a.Bundle) {
		p.bundles.again()
	}
	have := p.memory.Serial()
	switch {
	case a.Serial < have: // it was restored from a backup and counts from there: what it tells is not after what is known here
		s.serial = 0
		if s.ahead++; s.ahead >= mostBehind {
			p.startAnew()
			p.memory.SetSerial(a.Serial)
			s.ahead = 0
		}
	case a.Serial > have && have > 0 && !a.Gone:
		if s.ahead = 0; s.serial == have { // a beat ago, too: the question about changes waits for a connection that is no more
			p.changes.again()
			s.serial = 0
			return
		}
		s.serial = have
	default:
		*s = standing{}
	}
}

// tend does what is to be done every second: closes batches, writes verdicts, asks anew for verdicts that are older than policies.
func (p *Provider) tend(ctx context.Context) {
	n := 0
	for sleep(ctx, tendEvery) {
		n++
		p.spool.Close(false)
		p.memo.tend()
		if n%5 == 0 && (len(p.memory.Problems()) == 0 || n%60 == 0) {
			_ = p.memory.Flush() // it says so in Problems
		}
		if f := p.force.Load(); f != nil {
			p.catchUp(f)
			if n%60 == 0 && p.has("disk") {
				p.keep(f)
			}
		}
	}
}

// catchUp asks for verdicts that say nothing of the policies of today, before anybody waits for them.
func (p *Provider) catchUp(f *force) {
	must := f.epochs.must()
	if must == 0 || p.gone.Load() || p.link.Away() || p.ask.waiting() > staleBatch {
		return
	}
	images := p.memory.Outdated(must, staleBatch)
	for _, image := range images {
		if _, err := p.ask.want(image, true); err != nil {
			break
		}
	}
	if len(images) > 0 {
		p.ask.kick()
	}
}

// Beat is how this replica is.
func (p *Provider) Beat() protocol.Beat {
	b := protocol.Beat{Replica: p.o.Replica, Version: p.o.Version, Started: p.started.UTC(), Images: p.memory.Len(), Memory: memoryInUse(), Provider: p.answered.service(),
		Recorder: p.recorded.service()}
	if f := p.force.Load(); f != nil {
		b.Bundle = f.bundle.Generation
		b.Problems = append(b.Problems, f.notes...)
	}
	problems, ends := p.certs.problems()
	b.Problems = append(append(b.Problems, problems...), p.problems()...)
	b.Certificates = ends
	if at := p.link.Expiry(); !at.IsZero() {
		if b.Certificates == nil {
			b.Certificates = map[string]time.Time{}
		}
		b.Certificates["link"] = at.UTC()
		if p.o.Now().After(at) {
			b.Problems = append(b.Problems, "the certificate of the link to the server has ended")
		}
	}
	return b
}

func (p *Provider) has(about string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble[about] != ""
}

// problems are what is wrong now, but for certificates.
func (p *Provider) problems() []string {
	out := p.memory.Problems()
	if s := p.spool.State(); s.Problem != "" {
		out = append(out, s.Problem)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dropped != "" && p.o.Now().Sub(p.started) < noteTime {
		out = append(out, p.dropped)
	}
	for _, about := range []string{"policies", "disk"} {
		if t := p.trouble[about]; t != "" {
			out = append(out, t)
		}
	}
	return out
}

// memoryInUse is what the program has of the system, without the pages of its own file.
func memoryInUse() int64 {
	s := []gometrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	gometrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64()) //nolint:gosec // bytes of memory
}
