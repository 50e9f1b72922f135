package exception

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// house is a server with two clusters, and a clock.
type house struct {
	t       *testing.T
	db      *store.DB
	book    *Book
	now     time.Time
	eu, us  int64
	mu      sync.Mutex
	handled []Handling
	fail    error // of the handler, after failAfter calls
	left    int
}

// handle does to rows what triage does, without its counts.
func (h *house) handle(ctx context.Context, tx bun.Tx, x Handling) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		if h.left--; h.left < 0 {
			return 0, h.fail
		}
	}
	h.handled = append(h.handled, x)
	var rows []ledger.Row
	if err := tx.NewSelect().Model(&rows).Where("f.id IN (?)", bun.List(x.IDs)).Scan(ctx); err != nil {
		return 0, err
	}
	by := map[ledger.State][]int64{}
	for i := range rows {
		by[rows[i].State] = append(by[rows[i].State], rows[i].ID)
	}
	handling, exception := ledger.Accepted, x.Exception
	if x.Action == ledger.Unaccept {
		handling, exception = ledger.Unhandled, 0
	} else if x.Action != ledger.Accept {
		return 0, fmt.Errorf("action %s", x.Action)
	}
	for state, ids := range by {
		if _, err := tx.NewRaw("UPDATE findings SET handling = ?, exception_id = ?, cause = ?, status = ? WHERE id IN (?)", handling, exception, x.Cause,
			ledger.StatusOf(state, handling), bun.List(ids)).Exec(ctx); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

func newHouse(t *testing.T, db *store.DB) *house {
	t.Helper()
	h := &house{t: t, db: db, now: noon}
	h.must(db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		for _, target := range []struct {
			name string
			id   *int64
		}{{"prod-eu", &h.eu}, {"prod-us", &h.us}} {
			row, err := ledger.AddTarget(ctx, tx, "cluster", target.name, h.now)
			if err != nil {
				return err
			}
			*target.id = row.ID
		}
		return nil
	}))
	h.open()
	return h
}

// open opens the book, as a server that starts does.
func (h *house) open() {
	h.t.Helper()
	book, err := Open(context.Background(), h.db, h.handle, nil)
	h.must(err)
	book.Now = func() time.Time { return h.now }
	book.haste, book.patience = time.Hour, time.Hour // machines may be slow
	h.book = book
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// as is the context of somebody.
func as(name string, id int64, grants ...identity.Grant) context.Context {
	return identity.With(context.Background(), &identity.Principal{UserID: id, Name: name, Grants: grants, Via: "session"})
}

func (h *house) admin() context.Context {
	return as("Ada", 1, identity.Grant{Role: identity.Administrator})
}

func (h *house) approver() context.Context {
	return as("Bob", 2, identity.Grant{Role: identity.Approver})
}

func (h *house) operator() context.Context {
	return as("Cem", 3, identity.Grant{Role: identity.Operator, Target: h.eu})
}

// add keeps a finding as triage does, and returns the id of its row. Rows of one image share its asset.
func (h *house) add(target int64, f *finding.Finding) int64 {
	h.t.Helper()
	var id int64
	h.must(h.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) (err error) {
		id, err = h.insert(ctx, tx, target, f)
		return err
	}))
	return id
}

func (h *house) insert(ctx context.Context, tx bun.Tx, target int64, f *finding.Finding) (int64, error) {
	kind := ledger.KindOf(f)
	one := func(into *int64, query string, args ...any) error { return tx.NewRaw(query, args...).Scan(ctx, into) }
	var risk, asset, advice int64
	if err := one(&risk, `INSERT INTO risks (kind, rule, rule_id, severity, title, first_seen) VALUES (?, ?, ?, 3, 't', 1)
		ON CONFLICT (kind, rule) DO UPDATE SET rule_id = excluded.rule_id RETURNING id`, kind, f.Rule, f.RuleID); err != nil {
		return 0, err
	}
	r := &f.Resource
	if r.Image != "" {
		for i, w := range append([]finding.WorkloadRef{{}}, r.Workloads...) {
			var labels map[string]string
			if i > 0 {
				labels = r.Labels[i-1]
			}
			id, err := h.asset(ctx, tx, target, i == 0, w.Kind, w.Namespace, w.Name, r.Image, r.Digest, labels)
			if err != nil {
				return 0, err
			}
			if i == 0 {
				asset = id
				continue
			}
			if _, err := tx.NewRaw("INSERT INTO asset_uses (target_id, image_id, workload_id, namespace) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", target, asset, id, w.Namespace).Exec(ctx); err != nil {
				return 0, err
			}
		}
	} else {
		var labels map[string]string
		if len(r.Labels) > 0 {
			labels = r.Labels[0]
		}
		var err error
		if asset, err = h.asset(ctx, tx, target, false, r.Kind, r.Namespace, r.Name, "", "", labels); err != nil {
			return 0, err
		}
	}
	text := ledger.JSON(ledger.Advice{RuleID: f.RuleID, Aliases: f.Aliases})
	hash := int64(len(text))*1000003 + int64(len(f.Rule)) + risk<<32
	if err := one(&advice, "INSERT INTO advice (hash, body) VALUES (?, ?) ON CONFLICT (hash) DO UPDATE SET body = excluded.body RETURNING id", hash, text); err != nil {
		return 0, err
	}
	print, err := hex.DecodeString(f.Fingerprint)
	if err != nil {
		return 0, err
	}
	row := &ledger.Row{TargetID: target, Fingerprint: print, RiskID: risk, AssetID: asset, Kind: kind, Severity: ledger.SeverityOf(f.Severity), State: ledger.Open,
		Status: ledger.StatusOpen, Rule: f.Rule, Namespace: r.Namespace, Resource: r.Name, Image: r.Image, Digest: r.Digest, FirstSeen: store.At(h.now), ChangedAt: store.At(h.now)}
	if v := f.Vulnerability; v != nil {
		row.Package, row.Version, row.Fixable = v.Package, v.Version, v.FixedVersion != ""
	}
	if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
		return 0, err
	}
	body, err := json.Marshal(ledger.Detail{Kind: f.Kind, Resource: f.Resource, Vulnerability: f.Vulnerability})
	if err != nil {
		return 0, err
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		return 0, err
	}
	_, err = tx.NewRaw("INSERT INTO details (finding_id, advice_id, body) VALUES (?, ?, ?)", row.ID, advice, z.EncodeAll(body, nil)).Exec(ctx)
	return row.ID, err
}

func (h *house) asset(ctx context.Context, tx bun.Tx, target int64, image bool, kind, namespace, name, ref, digest string, labels map[string]string) (id int64, err error) {
	k, group := ledger.AssetWorkload, kind+".apps"
	if image {
		k, group, name, namespace = ledger.AssetImage, "", ref, ""
	} else {
		digest = ""
	}
	err = tx.NewRaw(`INSERT INTO assets (target_id, kind, group_kind, namespace, name, digest, first_seen, labels) VALUES (?, ?, ?, ?, ?, ?, 1, ?)
		ON CONFLICT (target_id, kind, group_kind, namespace, name, digest) DO UPDATE SET labels = excluded.labels RETURNING id`,
		target, k, group, namespace, name, digest, ledger.JSON(labels)).Scan(ctx, &id)
	return id, err
}

// row reads a row back.
func (h *house) row(id int64) *ledger.Row {
	h.t.Helper()
	r := &ledger.Row{}
	h.must(h.db.R.NewSelect().Model(r).Where("f.id = ?", id).Scan(context.Background()))
	return r
}

// by is the exception that accepts a finding, 0 when it is active.
func (h *house) by(id int64) int64 {
	h.t.Helper()
	r := h.row(id)
	if (r.Status == ledger.StatusAccepted) != (r.ExceptionID != 0) {
		h.t.Fatalf("finding %d is %s with exception %d", id, r.Status, r.ExceptionID)
	}
	return r.ExceptionID
}

// ask asks for an exception and has it approved.
func (h *house) ask(q Request) *Record {
	h.t.Helper()
	if q.Reason == "" {
		q.Reason = "why"
	}
	if q.Category == "" {
		q.Category = RiskAccepted
	}
	if q.Expires == "" && !q.UntilFix {
		q.Expires = "2027-03-31"
	}
	r, err := h.book.Ask(h.admin(), q)
	h.must(err)
	r, err = h.book.Decide(h.approver(), r.ID, true, "", 0)
	h.must(err)
	return r
}

func (h *house) sweep() {
	h.t.Helper()
	h.must(h.book.Sweep(context.Background(), h.now))
}

func (h *house) status(id int64) Status {
	h.t.Helper()
	r, err := h.book.Get(context.Background(), identity.Visible{All: true}, id)
	h.must(err)
	return r.Status
}

// messages are the bodies of a topic.
func (h *house) messages(topic string) []string {
	h.t.Helper()
	var out []string
	h.must(h.db.R.NewSelect().Table("outbox").Column("body").Where("topic = ?", topic).OrderExpr("id").Scan(context.Background(), &out))
	return out
}
