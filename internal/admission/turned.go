package admission

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// severityOf reads the worst of what a check found.
func severityOf(word string) finding.Severity {
	if s, err := finding.ParseSeverity(word); err == nil {
		return s
	}
	return finding.Medium
}

// Turned tells of images that were let into a cluster and turned out to fail checks of policies in force: whoever asked for them in the
// last weeks gets an event. Verdicts that fail nothing are left out.
func (s *Service) Turned(ctx context.Context, target int64, verdicts []policy.ImageVerdict) error {
	if s.o.Protection == nil || !slices.ContainsFunc(verdicts, func(v policy.ImageVerdict) bool { return len(v.Failed) > 0 }) {
		return nil
	}
	b, err := s.o.Protection.Bundle(ctx, target)
	if err != nil {
		return err
	}
	now := s.now()
	groups := map[hash]*group{}
	for i := range verdicts {
		v := &verdicts[i]
		if len(v.Failed) == 0 {
			continue
		}
		users, err := s.usersOf(ctx, target, v)
		if err != nil {
			return err
		}
		for _, f := range v.Failed {
			violation, ok := failed(b, v, &f, now)
			if !ok {
				continue
			}
			for _, u := range users {
				e := eventOf(target, Turned, &violation, inventory.Ref{Kind: u.Kind, Namespace: u.Namespace, Name: u.Name})
				e.FirstAt, e.LastAt, e.ObjectID = store.At(now), store.At(now), u.Object
				if groups[hash(e.Key)] == nil {
					groups[hash(e.Key)] = &group{event: e, hits: 1, hours: map[int64]int64{hourOf(now): 1}}
				}
			}
		}
	}
	if len(groups) == 0 {
		return nil
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.lock(ctx, tx, target); err != nil {
			return err
		}
		fresh, err := s.freshTurns(ctx, tx, target, groups)
		if err != nil {
			return err
		}
		if err := s.happened(ctx, tx, target, groups, nil, now); err != nil || len(fresh) == 0 {
			return err
		}
		return outbox.Put(ctx, tx, outbox.ProtectionTurned, target, message(fresh, now))
	})
	s.news(ctx, target)
	return err
}

// TurnedFrom tells of one image that has another verdict now: of the checks that it did not fail before.
func (s *Service) TurnedFrom(ctx context.Context, target int64, was, is *policy.ImageVerdict) error {
	now := *is
	if was != nil {
		now.Failed = slices.DeleteFunc(slices.Clone(is.Failed), func(f policy.Failure) bool {
			return slices.ContainsFunc(was.Failed, func(old policy.Failure) bool { return old.Policy == f.Policy && old.Check == f.Check })
		})
	}
	return s.Turned(ctx, target, []policy.ImageVerdict{now})
}

// failed is a failed check as a violation of its policy.
func failed(b *policy.Bundle, v *policy.ImageVerdict, f *policy.Failure, now time.Time) (policy.Violation, bool) {
	i := slices.IndexFunc(b.Policies, func(p policy.Policy) bool { return p.ID == f.Policy })
	if i < 0 || f.Check < 0 || f.Check >= len(b.Policies[i].Checks) || b.Policies[i].Disabled {
		return policy.Violation{}, false
	}
	p := &b.Policies[i]
	action := p.Checks[f.Check].Action
	if action == policy.Off {
		action = p.Action
	}
	out := policy.Violation{Policy: p.ID, Version: p.Version, Name: p.Name, Rule: "image/" + string(f.Kind), Action: p.Rollout.At(action, now), Severity: severityOf(f.Worst),
		Title: policy.TextsOf(f.Kind).Title, Message: f.Text(), Fix: f.Fix, Image: v.Reference, Digest: v.Digest, Items: f.Items}
	tidyViolation(&out)
	return out, out.Action.Rank() > 0
}

// user is whose pods asked for an image.
type user struct {
	Namespace string `bun:"namespace"`
	Kind      string `bun:"owner_kind"`
	Name      string `bun:"owner_name"`
	Object    int64  `bun:"object_id"`
}

// mostUsers bounds the events of one image.
const mostUsers = 500

// usersOf are the owners that asked for an image under any of its names.
func (s *Service) usersOf(ctx context.Context, target int64, v *policy.ImageVerdict) ([]user, error) {
	names := []string{v.Reference}
	if r, err := policy.ParseReference(v.Reference); err == nil {
		if r.Tag != "" {
			names = append(names, r.Name()+":"+r.Tag)
		}
		for _, d := range []string{r.Digest, v.Digest} {
			if d != "" {
				names = append(names, r.Name()+"@"+d)
				if r.Tag != "" {
					names = append(names, r.Name()+":"+r.Tag+"@"+d)
				}
			}
		}
	}
	var list []user
	err := s.db.R.NewSelect().Table("admission_images").Column("namespace", "owner_kind", "owner_name").ColumnExpr("max(object_id) AS object_id").
		Where("target_id = ? AND reference IN (?)", target, bun.List(names)).GroupExpr("namespace, owner_kind, owner_name").OrderExpr("1, 2, 3").Limit(mostUsers).Scan(ctx, &list)
	return list, err
}

// freshTurns are the events of groups that were not there, or were handled.
func (s *Service) freshTurns(ctx context.Context, tx bun.Tx, target int64, groups map[hash]*group) ([]Event, error) {
	keys := make([][]byte, 0, len(groups))
	for h := range groups {
		keys = append(keys, h[:])
	}
	sortBytes(keys)
	there, err := s.known(ctx, tx, target, keys)
	var out []Event
	for _, k := range keys {
		if old, ok := there[hash(k)]; !ok || old.state == Handled {
			out = append(out, groups[hash(k)].event)
		}
	}
	slices.SortStableFunc(out, func(a, b Event) int { return int(b.Severity) - int(a.Severity) })
	return out, err
}
