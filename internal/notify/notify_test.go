package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/browse"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/notify/message"
	"stockade.dev/stockade/internal/notify/webhook"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
)

// lab is a Notifier with its surroundings.
type lab struct {
	*Notifier
	t      *testing.T
	owners owners
	found  *selection

	mu    sync.Mutex
	clock time.Time
}

func (l *lab) now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clock
}

func (l *lab) pass(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock = l.clock.Add(d)
}

type owners map[int64]*identity.Principal

func (o owners) Principal(_ context.Context, user int64) (*identity.Principal, error) {
	if p, ok := o[user]; ok {
		return p, nil
	}
	return nil, store.ErrNotFound
}

// selection is a Findings of one finding a target. A filter for the rule "bad" cannot be asked for.
type selection struct {
	targets map[int64]string
	extra   int
}

func (s *selection) Select(ctx context.Context, v identity.Visible, filter browse.Filter, _ string, yield func(*browse.Full) error) error {
	if filter.Rule == "bad" {
		return browse.ErrFilter
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for id, name := range s.targets {
		if !v.Sees(id) {
			continue
		}
		for i := range 1 + s.extra {
			f := &finding.Finding{Fingerprint: fmt.Sprintf("%032d", i), Kind: finding.Configuration, Rule: "workload/privileged-container", Severity: finding.High, Status: finding.Open,
				Title: finding.Text{EN: "Privileged", ZH: "特权"}, Message: finding.Text{EN: "in " + name, ZH: "于 " + name}, Resource: finding.Resource{Cluster: name, Kind: "Deployment", Name: "till"}}
			if err := yield(&browse.Full{Finding: f}); err != nil {
				return err
			}
		}
	}
	return nil
}

func newLab(t *testing.T, db *store.DB) *lab {
	t.Helper()
	keys, err := seal.Load(filepath.Join(t.TempDir(), "keys"), "")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, clock: time.Date(2026, 3, 2, 10, 20, 0, 0, time.UTC), owners: owners{}, found: &selection{targets: map[int64]string{}}}
	l.Notifier, err = New(db, l.found, Options{Keys: keys, Owners: l.owners, Allow: []string{"127.0.0.1"}, PublicURL: "https://stockade.example.com/", Version: "1.2.3", Now: l.now, Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	return l
}

// sibling is another process on the same database.
func (l *lab) sibling() *lab {
	n, err := New(l.db, l.findings, l.o)
	if err != nil {
		l.t.Fatal(err)
	}
	out := &lab{Notifier: n, t: l.t, owners: l.owners, found: l.found, clock: l.now()}
	n.o.Now = l.now
	l.t.Cleanup(func() { n.Close(context.Background()) })
	return out
}

func (l *lab) deliver() {
	l.t.Helper()
	if err := l.Deliver(context.Background()); err != nil {
		l.t.Fatal(err)
	}
	l.wg.Wait()
}

func (l *lab) put(topic string, target int64, body any) {
	l.t.Helper()
	err := l.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error { return outbox.Put(ctx, tx, topic, target, body) })
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) add(in ChannelInput) *Channel {
	l.t.Helper()
	c, err := l.AddChannel(context.Background(), in)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

func (l *lab) log(f DeliveryFilter) []*Delivery {
	l.t.Helper()
	list, _, err := l.Deliveries(context.Background(), f, store.Page{Limit: 500})
	if err != nil {
		l.t.Fatal(err)
	}
	return list
}

// hook is a receiver that answers as told, and then 200.
type hook struct {
	*httptest.Server
	mu      sync.Mutex
	answers []int
	got     []message.Document
	ids     []string
	arrived chan struct{}
}

func newHook(t *testing.T, answers ...int) *hook {
	h := &hook{answers: answers, arrived: make(chan struct{}, 10000)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var d message.Document
		if err := json.Unmarshal(body, &d); err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, d)
		h.ids = append(h.ids, r.Header.Get("X-Stockade-Event"))
		if len(h.answers) > 0 {
			if h.answers[0] == 302 {
				w.Header().Set("Location", "http://169.254.169.254/latest/meta-data/")
			}
			w.WriteHeader(h.answers[0])
			h.answers = h.answers[1:]
		}
		h.arrived <- struct{}{}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) input(name string, f Filter) ChannelInput {
	return ChannelInput{Name: name, Kind: Webhook, Settings: Settings{Webhook: &webhook.Settings{URL: h.URL + "/" + name, PlainHTTP: true}}, Filter: f}
}

func text(s string) *string { return &s }

// seed puts findings into a target: each its severity, kind, status, namespace, times.
type seeded struct {
	severity  ledger.Severity
	kind      ledger.Kind
	status    ledger.Status
	namespace string
	first     time.Time
	changed   time.Time
	kev       bool
	image     bool // run in the namespace "shop"
	resource  string
}

func (l *lab) seed(name string, list ...seeded) int64 {
	l.t.Helper()
	var target int64
	err := l.db.Write(context.Background(), func(ctx context.Context, tx bun.Tx) error {
		t, err := ledger.AddTarget(ctx, tx, "cluster", name, l.now())
		if err != nil {
			return err
		}
		target = t.ID
		insert := func(query string, args ...any) (id int64, err error) {
			return id, tx.NewRaw(query+" RETURNING id", args...).Scan(ctx, &id)
		}
		risk, err := insert("INSERT INTO risks (kind, rule, severity, title, title_zh, first_seen) VALUES (4, ?, 3, 'A <b>title</b>', '标题', 0)", "rule-"+name)
		if err != nil {
			return err
		}
		asset, err := insert("INSERT INTO assets (target_id, kind, name, first_seen) VALUES (?, 3, 'till', 0)", target)
		if err != nil {
			return err
		}
		image, err := insert("INSERT INTO assets (target_id, kind, name, first_seen) VALUES (?, 4, 'registry.example.com/till:1', 0)", target)
		if err != nil {
			return err
		}
		if _, err := tx.NewRaw("INSERT INTO asset_uses (target_id, image_id, workload_id, namespace) VALUES (?, ?, ?, 'shop')", target, image, asset).Exec(ctx); err != nil {
			return err
		}
		for i, s := range list {
			f := &ledger.Row{TargetID: target, Fingerprint: []byte(fmt.Sprintf("%016d", i)), RiskID: risk, AssetID: asset, Kind: s.kind, Severity: s.severity, State: ledger.Open,
				Status: s.status, KEV: s.kev, Rule: "rule-" + name, Namespace: s.namespace, Resource: s.resource, FirstSeen: store.At(s.first), ChangedAt: store.At(s.changed), Priority: i}
			if s.image {
				f.AssetID, f.Digest = image, "sha256:0"
			}
			if _, err := tx.NewInsert().Model(f).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return target
}

func adminContext() context.Context {
	return identity.With(context.Background(), &identity.Principal{UserID: 1, Name: "admin", Via: "session", Grants: []identity.Grant{{Role: identity.Administrator}}})
}

func wantErr(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, ErrInvalid) {
		t.Errorf("%v, want %q", err, want)
	}
}
