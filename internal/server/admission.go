package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"k8s.io/client-go/rest"

	"stockade.dev/stockade/internal/admission"
	"stockade.dev/stockade/internal/api"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/policy/book"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
)

// wireAdmissions makes the room of what was seen at the door of clusters. What it stands on is made after it.
func (s *Server) wireAdmissions() {
	r := &s.rooms
	o := admission.Options{DB: s.db, Hub: r.hub, Clusters: reached{r}, Protection: protected{r}, Policies: amended{r}, Exceptions: r.book, Log: s.log, Now: s.o.Now}
	o.Judger = &admission.Engine{Library: s.o.Tasks.Library, Now: s.o.Now,
		Bundle: func(ctx context.Context, target int64) (*policy.Bundle, error) { return r.protect.Bundle(ctx, target) },
		Images: func(target int64, b *policy.Bundle) policy.Images { return r.verdicts.For(target, b) },
		Open:   func(ctx context.Context, target int64) (admission.Source, error) { return r.fleet.Open(ctx, target) }}
	o.Seek = func(ctx context.Context, target int64, images []protocol.Image) error {
		_, err := r.verdicts.Images(ctx, target, protocol.ImagesRequest{Images: images})
		return err
	}
	r.admission = admission.New(o)
	for _, c := range r.admission.Metrics() {
		s.metrics.registry.MustRegister(c)
	}
}

// reached is how clusters are read.
type reached struct{ r *rooms }

// REST implements admission.Clusters.
func (c reached) REST(ctx context.Context, target int64) (*rest.Config, error) {
	return c.r.fleet.REST(ctx, target)
}

// protected is what the room of admissions asks about protection.
type protected struct{ r *rooms }

// Protected implements admission.Protection.
func (p protected) Protected(ctx context.Context) (list []int64, err error) {
	err = p.r.db.R.NewRaw(`SELECT p.target_id FROM protections p JOIN targets t ON t.id = p.target_id
		WHERE t.removed_at = 0 AND p.state IN ('protected', 'no-policy', 'policy-failed') ORDER BY 1`).Scan(ctx, &list)
	return list, err
}

// recorder is the webhook that records.
const recorder = "stockade-recorder"

// Coverage implements admission.Protection.
func (p protected) Coverage(ctx context.Context, target int64) (*admission.Coverage, error) {
	var row struct {
		Epoch store.Time `bun:"enabled_at"`
		Since store.Time `bun:"applied_at"`
	}
	err := p.r.db.R.NewRaw(`SELECT p.enabled_at, coalesce((SELECT min(o.applied_at) FROM protection_objects o WHERE o.target_id = p.target_id AND o.ref = ?), 0) AS applied_at
		FROM protections p WHERE p.target_id = ?`, "admissionregistration.k8s.io/v1|ValidatingWebhookConfiguration||"+recorder, target).Scan(ctx, &row)
	if err != nil {
		return nil, store.NotFound(err)
	}
	c := &admission.Coverage{Epoch: row.Epoch.Time, Since: row.Since.Time, Webhook: recorder}
	b, err := p.Bundle(ctx, target)
	if err != nil {
		return nil, err
	}
	for i := range b.Policies {
		c.Kinds = append(c.Kinds, b.Policies[i].Scope.Kinds...)
		for _, t := range b.Policies[i].Templates {
			c.Kinds = append(c.Kinds, t.Kinds...)
		}
	}
	return c, nil
}

// Limits implements admission.Protection.
func (p protected) Limits(ctx context.Context, target int64) (days int, bytes int64, err error) {
	var text string
	err = p.r.db.R.NewSelect().Table("protections").Column("settings").Where("target_id = ?", target).Scan(ctx, &text)
	if err = store.NotFound(err); errors.Is(err, store.ErrNotFound) {
		return 0, 0, nil
	} else if err != nil {
		return 0, 0, err
	}
	var set struct {
		Days  int   `json:"admissionDays"`
		Bytes int64 `json:"admissionBytes"`
	}
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		return 0, 0, fmt.Errorf("the settings of cluster %d: %w", target, err)
	}
	return set.Days, set.Bytes, nil
}

// Bundle implements admission.Protection.
func (p protected) Bundle(ctx context.Context, target int64) (*policy.Bundle, error) {
	return p.r.protect.Bundle(ctx, target)
}

// amended changes policies for people who handle events.
type amended struct{ r *rooms }

// Policy implements admission.Policies.
func (a amended) Policy(ctx context.Context, id int64) (*policy.Policy, error) {
	rec, err := a.r.policies.Get(ctx, identity.Visible{All: true}, id)
	if err != nil {
		return nil, err
	}
	return &rec.Policy, nil
}

// Change implements admission.Policies.
func (a amended) Change(ctx context.Context, p policy.Policy, note string) error {
	_, err := a.r.policies.Save(ctx, p, note)
	for from, to := range map[error]error{book.ErrInvalid: api.ErrInvalid, book.ErrForbidden: api.ErrForbidden, book.ErrConflict: api.ErrConflict} {
		if errors.Is(err, from) {
			return fmt.Errorf("%w: policy %q: %s", to, p.Name, strings.TrimPrefix(err.Error(), from.Error()+": "))
		}
	}
	return err
}

// taker is the room of admissions for providers.
type taker struct{ *admission.Service }

// Take implements admissions.
func (t taker) Take(ctx context.Context, target int64, b protocol.Batch) error {
	err := t.Service.Take(ctx, target, b)
	if errors.Is(err, admission.ErrInvalid) {
		return fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	return err
}
