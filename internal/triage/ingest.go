package triage

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Ingest takes in one run. It is a finding.Handler and a finding.AssetHandler: findings are visible as they come, and what was
// there and did not come is settled in End. Its methods are called from one goroutine.
type Ingest struct {
	t       *Triage
	ctx     context.Context
	r       Run
	target  ledger.Target
	at      store.Time // of all changes of the run
	release func()     // ends the lease; nil when the run has ended

	run      ledger.Run
	database bool   // there was an advisory database
	previous string // digest of the database of the run before

	all     bool // everything that the target has was loaded
	known   []known
	prints  map[[16]byte]int32 // fingerprint -> index in known
	pending []*change
	queued  map[[16]byte]bool // of pending
	flushed time.Time
	hash    hasher
	hints   map[string]int64 // hash of a rule's definition
	change  ledger.Change

	also    map[int64]bool     // findings that the run speaks for beside those on its refs
	seenBy  map[int64][]string // nodes whose agents saw the findings that are being settled
	assets  assets
	clauses []finding.Clause
	gaps    []ledger.Gap
	broken  map[string]bool // subjects of gaps: what was not looked into wholly
}

// known is what is remembered of a finding that the target has. The truth is read again in the transaction that changes it.
type known struct {
	id, hash, asset, exception int64
	state                      ledger.State
	handling                   ledger.Handling
	kind                       ledger.Kind
	seen                       bool
}

// A batch is one transaction. It is written when it is full, or after a while, so that findings are seen while the scan goes on.
const (
	batchSize = 500
	batchAge  = 2 * time.Second
)

func (in *Ingest) reset() {
	in.prints, in.queued, in.hints, in.broken = map[[16]byte]int32{}, map[[16]byte]bool{}, map[string]int64{}, map[string]bool{}
	in.change = ledger.Change{At: in.at, Opened: map[ledger.Severity]int{}, Reopened: map[ledger.Severity]int{}}
	in.assets = newAssets()
}

// Run returns the row of the run; complete after End.
func (in *Ingest) Run() ledger.Run { return in.run }

// Begin records the run and loads what the target has.
func (in *Ingest) Begin(h finding.Header) error {
	switch {
	case in.release == nil:
		return ErrAborted
	case in.run.ID != 0:
		return errors.New("a second header: two results in one run")
	}
	run := ledger.Run{TargetID: in.r.Target, TaskID: in.r.Task, Kind: in.r.Kind, StartedAt: in.at, Rules: clean(h.Tool.Rules)}
	if d := h.Tool.Database; d != nil {
		run.Database, in.database = clean(d.Digest), true
	}
	err := in.t.db.Write(in.ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := in.t.bury(ctx, tx, in.r.Target); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&run).ExcludeColumn("id").Returning("id").Exec(ctx)
		return err
	})
	if err != nil {
		return in.failed("beginning the run", err)
	}
	in.run, in.flushed = run, in.t.now()
	in.change.RunID = run.ID
	err = query(in.ctx, in.t.db.R, func(rows *sql.Rows) error { return rows.Scan(&in.previous) },
		"SELECT database FROM runs WHERE target_id = ? AND finished_at <> 0 AND database <> '' ORDER BY id DESC LIMIT 1", in.r.Target)
	if err == nil {
		err = in.load()
	}
	return in.failed("reading what the target has", err)
}

// failed adds to an error where it happened.
func (in *Ingest) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %s: %w", in.target.Kind, in.target.Name, what, err)
}

const knownColumns = "fingerprint, id, hash, asset_id, exception_id, state, handling, kind"

// load reads what the target has: all of it for a run that speaks for the whole target, what its refs have for others. The rest
// is looked up when it comes.
func (in *Ingest) load() error {
	if err := in.assets.load(in); err != nil {
		return err
	}
	if !in.r.whole() {
		for _, ids := range in.assets.scoped() {
			if err := query(in.ctx, in.t.db.R, in.remember, "SELECT "+knownColumns+" FROM findings WHERE asset_id IN (?)", bun.List(ids)); err != nil {
				return err
			}
		}
		return in.loadAlso()
	}
	in.all = true
	n := 0
	if err := query(in.ctx, in.t.db.R, func(rows *sql.Rows) error { return rows.Scan(&n) },
		"SELECT coalesce(sum(n), 0) FROM counts WHERE target_id = ? AND namespace = '*'", in.r.Target); err != nil {
		return err
	}
	in.known, in.prints = make([]known, 0, n), make(map[[16]byte]int32, n)
	return query(in.ctx, in.t.db.R, in.remember, "SELECT "+knownColumns+" FROM findings WHERE target_id = ?", in.r.Target)
}

// loadAlso reads the findings beside those on the refs that the run speaks for.
func (in *Ingest) loadAlso() error {
	in.also = map[int64]bool{}
	for chunk := range slices.Chunk(in.r.Also, 500) {
		var prints [][]byte
		for _, text := range chunk {
			if p, err := hex.DecodeString(text); err == nil && len(p) == 16 {
				prints = append(prints, p)
			}
		}
		if len(prints) == 0 {
			continue
		}
		before := len(in.known)
		err := query(in.ctx, in.t.db.R, in.remember, "SELECT "+knownColumns+" FROM findings WHERE target_id = ? AND fingerprint IN (?)", in.r.Target, bun.List(prints))
		if err != nil {
			return err
		}
		for _, k := range in.known[before:] {
			in.also[k.id] = true
		}
	}
	return nil
}

// remember keeps a row of knownColumns.
func (in *Ingest) remember(rows *sql.Rows) error {
	var raw sql.RawBytes
	var k known
	var state, handling, kind int64
	if err := rows.Scan(&raw, &k.id, &k.hash, &k.asset, &k.exception, &state, &handling, &kind); err != nil {
		return err
	}
	k.state, k.handling, k.kind = ledger.State(state), ledger.Handling(handling), ledger.Kind(kind)
	var print [16]byte
	copy(print[:], raw)
	if i, ok := in.prints[print]; ok {
		k.seen = in.known[i].seen
		in.known[i] = k
		return nil
	}
	in.prints[print] = int32(len(in.known))
	in.known = append(in.known, k)
	return nil
}

// change is a finding on its way into the database.
type change struct {
	f          *finding.Finding
	print      [16]byte
	row        ledger.Row // as it shall be, where it is new; state and handling are settled in the transaction
	next       ledger.Row // as it became, where it was there
	accepted   bool       // by the scan itself or an exception
	key        assetKey
	advice     int64
	adviceHash uint64
	riskKey    riskKey
	old        int32 // index in known, -1 for a new one
}

// Finding takes in one finding. It must not be changed afterwards.
func (in *Ingest) Finding(f *finding.Finding) error {
	if err := in.open(); err != nil {
		return err
	}
	var print [16]byte
	if n, err := hex.Decode(print[:], []byte(f.Fingerprint[:min(len(f.Fingerprint), 32)])); err != nil || n != 16 || len(f.Fingerprint) != 32 {
		return fmt.Errorf("finding of rule %q: fingerprint %q: want 32 hex digits", f.Rule, f.Fingerprint)
	}
	if in.queued[print] {
		return nil
	}
	rule := in.ruleHash(f.Rule)
	hash := in.hash.content(f, rule)
	accepted, exception := f.Status == finding.Suppressed, int64(0)
	if !accepted && in.t.ex != nil {
		exception, accepted = in.t.ex.Match(f, in.r.Target, in.t.now())
	}
	old := int32(-1)
	if i, ok := in.prints[print]; ok {
		k := &in.known[i]
		if k.seen {
			return nil
		}
		old = i
		if k.hash == hash && in.same(k, accepted, exception) {
			k.seen = true
			in.run.Unchanged++
			in.assets.touch(k.asset)
			return in.tick()
		}
	}
	c := &change{f: f, print: print, accepted: accepted, key: keyOf(f, &in.target).cleaned(), old: old}
	c.row = ledger.Row{Hash: hash, RuleHash: rule, ExceptionID: exception}
	in.queued[print] = true
	in.pending = append(in.pending, c)
	return in.tick()
}

// same reports whether a finding with the same content needs no change: it is open, and accepted by whom it was.
func (in *Ingest) same(k *known, accepted bool, exception int64) bool {
	if k.state != ledger.Open && k.state != ledger.Reopened {
		return false
	}
	switch k.handling {
	case ledger.Unhandled:
		return !accepted
	case ledger.Accepted:
		return accepted && k.exception == exception || in.t.ex == nil && k.exception != 0
	}
	return k.handling == ledger.Ignored // what was marked as fixed is looked at in the transaction
}

func (in *Ingest) ruleHash(rule string) int64 {
	if in.r.Rules == nil {
		return 0
	}
	h, ok := in.hints[rule]
	if !ok {
		h = in.r.Rules(rule)
		in.hints[rule] = h
	}
	return h
}

// open reports whether the run goes on.
func (in *Ingest) open() error {
	if in.release == nil || in.run.ID == 0 {
		return ErrAborted
	}
	return nil
}

// tick writes a batch when it is full or old.
func (in *Ingest) tick() error {
	switch {
	case len(in.pending) >= batchSize, len(in.pending) > 0 && len(in.pending)%16 == 0 && in.t.now().Sub(in.flushed) > batchAge:
		return in.flush()
	}
	return nil
}

// Clause keeps a verdict for End.
func (in *Ingest) Clause(c finding.Clause) error {
	if err := in.open(); err != nil {
		return err
	}
	in.clauses = append(in.clauses, c)
	return nil
}

// maxGaps bounds what is kept of one run: a broken cluster tells the same of every object.
const maxGaps = 10_000

// NotScanned keeps what was not scanned for End. Findings of what it names are not fixed by not being there.
func (in *Ingest) NotScanned(n finding.NotScanned) error {
	if err := in.open(); err != nil {
		return err
	}
	if n.Code.Blocking() || nodeFacts(&n) {
		in.broken[n.Target] = true
	}
	if nodeFacts(&n) {
		in.broken[noNodeFacts] = true
	}
	if n.What == NodeFacts {
		in.broken[noFactsOf+n.Target] = true
	}
	if len(in.gaps) < maxGaps {
		in.gaps = append(in.gaps, ledger.Gap{TargetID: in.r.Target, What: clean(n.What), Subject: clean(n.Target), Reason: clean(n.Reason), Code: clean(string(n.Code)), Since: in.at})
	}
	return nil
}

// Asset takes in what was looked at.
func (in *Ingest) Asset(a finding.Asset) error {
	if err := in.open(); err != nil {
		return err
	}
	return in.failed("writing assets", in.assets.add(in, &a))
}

// Abort ends a run that does not come to its End. What it found stays, since it is true; what it did not find stays as it was.
// After End it does nothing.
func (in *Ingest) Abort(reason string) {
	if in.release == nil {
		return
	}
	if in.run.ID != 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(in.ctx), 30*time.Second)
		defer cancel()
		err := in.t.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
			return in.t.broke(ctx, tx, &in.run, reason)
		})
		if err != nil { // the next run of the target does it
			in.t.log.Warn("a run that broke off could not be marked", "run", in.run.ID, "target", in.r.Target, "error", err)
		}
	}
	in.end()
}

// end lets the next run of the target begin.
func (in *Ingest) end() {
	in.release()
	in.release = nil
	in.known, in.prints, in.pending, in.queued, in.assets, in.clauses = nil, nil, nil, nil, assets{}, nil
}
