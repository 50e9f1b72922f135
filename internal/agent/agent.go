//go:build linux

// Package agent is the program on every node: it enrols once, tells the server every minute that it lives, does what the server asks,
// and looks at the node by its own schedule. It reads and never changes anything but its own folder. The looking is done by processes
// of its own (Round), so that the agent itself stays small and the work within its share of the processor.
package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/agent/protocol"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/inventory"
)

// Options are what the command line says.
type Options struct {
	Server  string // HOST:PORT
	Token   string // of the cluster, for the first start
	Pin     string // SHA-256 of the server's authority
	State   string // folder of the agent's own, kept between starts
	Node    string // name of the Kubernetes node
	Proc    string // /proc of the host
	Machine string // machine id of the host

	Share  float64 // of one core, for the work
	Memory int64   // bytes of own memory, for the work
	Spool  int64   // bytes of reports that wait
	// Restless: the work goes on also while the node is under pressure.
	Restless bool
	// Patience is how long a look that is due waits for the end of pressure before it is done all the same, slowly; 0: for ever.
	Patience time.Duration
	Classes  []emergency.Class // of checks that this node allows

	// Command makes the process that does a round.
	Command func(ctx context.Context, r *Round) *exec.Cmd
	// Marks are files whose change makes a new look worthwhile.
	Marks   []string
	Version string
	// Rests is called when nothing is to be done until the next beat; may be nil.
	Rests func()
	Log   *slog.Logger
	Now   func() time.Time

	// Every is the time between two looks without being asked; Longest bounds a round; MinWait and MaxWait are between tries.
	Every, Longest, MinWait, MaxWait time.Duration
}

// Agent is one.
type Agent struct {
	o     Options
	spool *spool

	mu       sync.Mutex
	state    protocol.State
	reason   string
	classes  []emergency.Class // of checks that the node and the server allow
	told     bool              // the server has said which it allows, now or before the last start
	queue    []protocol.Work
	known    map[int64]bool // work that was taken, so that it is not taken twice
	progress map[string]string
	needs    map[protocol.WorkKind][]inventory.SkipFact // what the last look of a kind lacked
	have     map[protocol.WorkKind]string               // digests that the server has
	want     map[protocol.WorkKind]bool
	lacks    map[protocol.WorkKind]bool // of what the server refused a report: the next one is whole
	problems map[protocol.WorkKind]string
	failed   map[protocol.WorkKind]time.Time // the last time
	skew     time.Duration                   // how far this node's clock is ahead of the server's
	wake     chan struct{}
}

// New checks the options.
func New(o Options) (*Agent, error) {
	if _, err := serverURL(o.Server); err != nil {
		return nil, err
	}
	if o.Share <= 0 || o.Share > 64 {
		return nil, fmt.Errorf("a processor share of %g: want more than 0, and 1 for one core", o.Share)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		at   *time.Duration
		want time.Duration
	}{{&o.Every, protocol.FactsEvery}, {&o.Longest, 30 * time.Minute}, {&o.MinWait, 2 * time.Second}, {&o.MaxWait, 5 * time.Minute}} {
		if *d.at <= 0 {
			*d.at = d.want
		}
	}
	if err := os.MkdirAll(o.State, 0o700); err != nil {
		return nil, err
	}
	s, err := newSpool(filepath.Join(o.State, "reports"), o.Spool)
	if err != nil {
		return nil, err
	}
	s.clean()
	classes, told := keptClasses(o)
	needs := map[protocol.WorkKind][]inventory.SkipFact{}
	for _, kind := range scheduled {
		needs[kind] = keptNeeds(o.State, kind)
	}
	return &Agent{needs: needs, o: o, spool: s, state: protocol.Running, classes: classes, told: told, known: map[int64]bool{}, progress: map[string]string{},
		have: map[protocol.WorkKind]string{}, want: map[protocol.WorkKind]bool{}, lacks: map[protocol.WorkKind]bool{}, problems: map[protocol.WorkKind]string{}, failed: map[protocol.WorkKind]time.Time{}, wake: make(chan struct{}, 1)}, nil
}

// Run goes on until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	id, err := a.enrolled(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	l, err := newLink(a.o.Server, a.o.Version, id)
	if err != nil {
		return err
	}
	var rounds sync.WaitGroup
	rounds.Go(func() { a.rounds(ctx) })
	err = a.beats(ctx, l, id)
	rounds.Wait()
	return err
}

// enrolled loads the identity, or applies for one until it has it. A token that was not used yet wins over what was kept.
func (a *Agent) enrolled(ctx context.Context) (*identity, error) {
	kept, err := loadIdentity(a.o.State)
	if err != nil {
		return nil, fmt.Errorf("the agent's identity: %w", err)
	}
	if kept != nil && (a.o.Token == "" || kept.Enrolled == tokenMark(a.o.Token)) {
		return kept, nil
	}
	if a.o.Token == "" {
		return nil, errors.New("the agent is not enrolled and has no token: the page of the cluster's nodes in the console makes one")
	}
	if a.o.Pin == "" {
		return nil, errors.New("give --ca-pin: whom the token may be shown to; the page of the cluster's nodes has it")
	}
	for failures := 0; ; failures++ {
		id, err := a.apply(ctx)
		if err == nil {
			a.o.Log.Info("enrolled", "server", a.o.Server, "cluster", id.Papers.Cluster, "node", id.Papers.Node)
			return id, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if kept != nil {
			a.o.Log.Warn("enrolling with the new token failed: the identity from before is used", "error", err)
			return kept, nil
		}
		wait := a.pause(failures)
		a.o.Log.Warn("not enrolled", "server", a.o.Server, "error", err, "next", wait.Round(time.Second))
		if !sleep(ctx, wait) {
			return nil, ctx.Err()
		}
	}
}

func (a *Agent) apply(ctx context.Context) (*identity, error) {
	key, request, err := newKey()
	if err != nil {
		return nil, err
	}
	papers, err := apply(ctx, a.o.Server, a.o.Pin, a.o.Version, a.o.Now(),
		protocol.Application{Token: a.o.Token, Request: request, Node: a.o.Node, MachineID: a.o.Machine, Version: a.o.Version})
	if err != nil {
		return nil, err
	}
	id := &identity{Key: key, Papers: *papers, Enrolled: tokenMark(a.o.Token), Server: a.o.Server}
	if _, _, err := id.parse(); err != nil {
		return nil, err
	}
	return id, id.save(a.o.State)
}

// beats tells the server that the agent lives, and brings it what was read.
func (a *Agent) beats(ctx context.Context, l *link, id *identity) error {
	interval, failures := protocol.Interval, 0
	renewTried := time.Time{}
	for {
		answer, err := a.beat(ctx, l)
		wait := interval
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			wait = a.pause(failures)
			failures++
			a.o.Log.Warn("the server does not answer", "server", a.o.Server, "error", a.explained(err, l.leaf), "next", wait.Round(time.Second))
		default:
			failures = 0
			if answer.Interval >= time.Second && answer.Interval <= time.Hour {
				interval = answer.Interval
			}
			wait = interval
			a.take(ctx, l, answer)
		}
		now := a.o.Now()
		half := l.leaf.NotBefore.Add(l.leaf.NotAfter.Sub(l.leaf.NotBefore) / 2)
		if err == nil && (now.After(half) || answer.Renew) && now.Sub(renewTried).Abs() > a.o.MaxWait {
			renewTried = now
			if fresh, err := a.renew(ctx, l, id); err != nil {
				a.o.Log.Warn("certificate not renewed", "until", l.leaf.NotAfter, "error", err)
			} else {
				l.http.CloseIdleConnections()
				l = fresh
			}
		}
		if !a.rest(ctx, l, jittered(wait)) {
			return nil
		}
	}
}

// rest waits for the next beat, and sends reports that become ready meanwhile.
func (a *Agent) rest(ctx context.Context, l *link, wait time.Duration) bool {
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		if a.o.Rests != nil {
			a.o.Rests()
		}
		select {
		case <-ctx.Done():
			return false
		case <-over.C:
			return true
		case <-a.wake:
			a.deliver(ctx, l)
		}
	}
}

// explained adds to an error what the certificate says about it.
func (a *Agent) explained(err error, leaf *x509.Certificate) error {
	if now := a.o.Now(); now.After(leaf.NotAfter) {
		return fmt.Errorf("%w; the agent's certificate ended on %s by this node's clock: enrol the node anew with a token", err, leaf.NotAfter.Format(time.DateOnly))
	} else if now.Before(leaf.NotBefore) {
		return fmt.Errorf("%w; by this node's clock the agent's certificate is not good before %s: set the clock", err, leaf.NotBefore.Format(time.RFC3339))
	}
	var no *refusal
	if errors.As(err, &no) && (no.status == http.StatusUnauthorized || no.status == http.StatusForbidden) {
		return fmt.Errorf("%w; the server does not know this agent any more: enrol the node anew with a token", err)
	}
	return err
}

func (a *Agent) beat(ctx context.Context, l *link) (*protocol.BeatAnswer, error) {
	b := protocol.Beat{At: a.o.Now().UTC(), Version: a.o.Version, Memory: ownMemory(), CPU: ownTime(), Progress: map[string]string{}}
	if names, err := a.spool.list(); err == nil {
		b.Spool = len(names)
	}
	a.mu.Lock()
	b.State, b.Reason, b.Classes = a.state, a.reason, a.o.Classes
	for _, kind := range scheduled {
		if why := a.problems[kind]; why != "" && b.State == protocol.Running {
			b.State, b.Reason = protocol.Degraded, string(kind)+": "+why
		}
		b.Needs = append(b.Needs, a.needs[kind]...)
	}
	if why := degrading(b.Needs); why != "" && b.State == protocol.Running {
		b.State, b.Reason = protocol.Degraded, why
	}
	b.Facts, b.Software = a.have[protocol.ReadFacts], a.have[protocol.ReadPackages]
	for k, v := range a.progress {
		b.Progress[k] = v
	}
	a.mu.Unlock()
	answer := new(protocol.BeatAnswer)
	some, err := l.call(ctx, http.MethodPost, protocol.BeatPath, nil, b, answer)
	if err == nil && !some {
		err = errors.New("the server's answer is empty")
	}
	return answer, err
}

// take notes what the server wants, and brings what waits.
func (a *Agent) take(ctx context.Context, l *link, answer *protocol.BeatAnswer) {
	skew := a.o.Now().Sub(answer.At)
	if answer.At.IsZero() || skew.Abs() <= protocol.SkewAllowed {
		skew = 0
	} else {
		a.o.Log.Warn("the clock of this node is wrong: the server's times are used", "by", skew.Round(time.Second))
	}
	classes := allowed(a.o.Classes, answer.Classes)
	a.mu.Lock()
	a.skew = skew
	changed := !a.told || !slices.Equal(a.classes, classes)
	a.classes, a.told = classes, true
	for _, w := range answer.Want {
		k := protocol.WorkKind(w)
		a.want[k] = true
		delete(a.have, k)
	}
	a.mu.Unlock()
	if changed {
		if err := keepClasses(a.o.State, classes); err != nil {
			a.o.Log.Warn("the classes of checks that the server allows are not kept", "error", err)
		}
	}
	// Work is done by these lists: who has not got them yet takes it when the server names it again.
	has := map[protocol.WorkKind]bool{
		protocol.Verify:      a.refresh(ctx, l, "emergencies.json", protocol.EmergenciesPath, answer.Emergencies),
		protocol.FindMalware: a.refresh(ctx, l, "signatures.json", protocol.SignaturesPath, answer.Signatures)}
	a.mu.Lock()
	for _, w := range answer.Work {
		if ready, needed := has[w.Kind]; needed && !ready || a.known[w.ID] || len(a.queue) >= maxQueue {
			continue
		}
		a.known[w.ID] = true
		a.queue = append(a.queue, w)
		a.progress[fmt.Sprint(w.ID)] = "waiting"
	}
	a.forget(answer.Work)
	a.mu.Unlock()
	a.deliver(ctx, l)
}

// classesFile keeps what the server last allowed: a start while it is away is no reason to do more.
const classesFile = "classes"

func keepClasses(dir string, classes []emergency.Class) error {
	names := make([]string, len(classes))
	for i, c := range classes {
		names[i] = string(c)
	}
	return writeFile(dir, classesFile, []byte(strings.Join(names, ",")))
}

// keptClasses are the classes that the node and, when it was last asked, the server allow; told is false when it never was.
func keptClasses(o Options) (classes []emergency.Class, told bool) {
	text, err := os.ReadFile(filepath.Join(o.State, classesFile))
	if err != nil {
		return nil, false
	}
	theirs, err := ClassNames(string(text))
	return allowed(o.Classes, theirs), err == nil
}

// maxQueue bounds the work that is taken at once: the server names the rest again.
const maxQueue = 64

// forget drops what the server does not ask for any more. Under lock.
func (a *Agent) forget(asked []protocol.Work) {
	still := map[int64]bool{}
	for _, w := range asked {
		still[w.ID] = true
	}
	for id := range a.known {
		if !still[id] {
			delete(a.known, id)
			delete(a.progress, fmt.Sprint(id))
		}
	}
}

// stir wakes the rounds.
func (a *Agent) stir() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// allowed are the classes that both allow.
func allowed(here, there []emergency.Class) []emergency.Class {
	out := []emergency.Class{}
	for _, c := range here {
		for _, d := range there {
			if c == d {
				out = append(out, c)
			}
		}
	}
	return out
}

// refresh fetches a list when the server's is another. It reports whether the agent has it now.
func (a *Agent) refresh(ctx context.Context, l *link, file, path, digest string) bool {
	mark := filepath.Join(a.o.State, file+".digest")
	have, _ := os.ReadFile(mark) // none is another
	if digest == "" || string(have) == digest {
		return true
	}
	var list jsonText
	some, err := l.call(ctx, http.MethodGet, path, map[string][]string{"have": {string(have)}}, nil, &list)
	if err == nil && some {
		err = writeFile(a.o.State, file, list)
	}
	if err == nil {
		err = writeFile(a.o.State, file+".digest", []byte(digest))
	}
	if err != nil && ctx.Err() == nil {
		a.o.Log.Warn("not fetched", "list", file, "error", err)
	}
	return err == nil
}

// jsonText is JSON as it came.
type jsonText []byte

// UnmarshalJSON keeps the text.
func (j *jsonText) UnmarshalJSON(data []byte) error {
	*j = append((*j)[:0], data...)
	return nil
}

// deliver sends what waits.
func (a *Agent) deliver(ctx context.Context, l *link) {
	if dropped, err := a.spool.fit(); err != nil || dropped > 0 {
		a.o.Log.Warn("reports that waited for the server were dropped: there is no room for more", "dropped", dropped, "error", err)
	}
	err := a.spool.send(func(file string) error {
		err := l.report(ctx, file)
		if err == nil {
			a.mu.Lock()
			if k := protocol.WorkKind(kindOf(filepath.Base(file))); digestOf(file) != "" {
				a.have[k] = digestOf(file)
			}
			a.mu.Unlock()
		}
		return err
	}, func(kind string, no *refusal) {
		if no.status == http.StatusConflict { // the server lacks what was left out: all of it goes next time
			a.mu.Lock()
			delete(a.have, protocol.WorkKind(kind))
			a.lacks[protocol.WorkKind(kind)] = true
			a.mu.Unlock()
			return
		}
		a.o.Log.Warn("the server refused a report", "kind", kind, "error", no)
	})
	if err != nil && ctx.Err() == nil {
		a.o.Log.Warn("reports wait", "error", err)
	}
}

func (a *Agent) renew(ctx context.Context, l *link, id *identity) (*link, error) {
	key, request, err := newKey()
	if err != nil {
		return nil, err
	}
	papers := new(protocol.Papers)
	if _, err := l.call(ctx, http.MethodPost, protocol.RenewPath, nil, protocol.Application{Request: request, Version: a.o.Version}, papers); err != nil {
		return nil, err
	}
	fresh := &identity{Key: key, Papers: *papers, Enrolled: id.Enrolled, Server: id.Server}
	next, err := newLink(a.o.Server, a.o.Version, fresh)
	if err != nil {
		return nil, err
	}
	if err := fresh.save(a.o.State); err != nil {
		return nil, err
	}
	*id = *fresh
	a.o.Log.Info("certificate renewed", "until", next.leaf.NotAfter)
	return next, nil
}

// pause grows with the failures and is never the same for all nodes at once.
func (a *Agent) pause(failures int) time.Duration {
	most := a.o.MaxWait
	if failures < 16 {
		most = min(most, a.o.MinWait<<failures)
	}
	return most/2 + rand.N(most/2+1)
}

// jittered is a time that is up to a tenth shorter.
func jittered(d time.Duration) time.Duration { return d - rand.N(d/10+1) }

// sleep waits, and reports false when ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// ClassNames reads classes from the command line: a list with commas; "all" and "none".
func ClassNames(text string) ([]emergency.Class, error) {
	all := []emergency.Class{emergency.Reads, emergency.Process, emergency.Request, emergency.Private}
	switch text {
	case "all":
		return all, nil
	case "none", "":
		return nil, nil
	}
	var out []emergency.Class
	for _, name := range strings.Split(text, ",") {
		c := emergency.Class(strings.TrimSpace(name))
		ok := false
		for _, k := range all {
			ok = ok || k == c
		}
		if !ok {
			return nil, fmt.Errorf("%q is no class of checks: want read, process, request or private", name)
		}
		out = append(out, c)
	}
	return out, nil
}
