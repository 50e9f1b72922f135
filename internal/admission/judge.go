package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/store"
)

// Limits of judging afterwards.
const (
	judgedAtOnce = 500 // entries of a cluster
	judgeTime    = 4 * time.Minute
	judgeNowTime = 20 * time.Second // while a request waits
	judgeAgain   = 5 * time.Minute  // of those without a verdict
	judgeSoon    = 40 * time.Second // of those, the first times: most wait for the scan of an image
	soonTimes    = 6
)

// Judged is how many unchecked admissions were judged.
type Judged struct {
	Selected   int `json:"selected" doc:"unchecked admissions that were meant and that you see"`
	NotAllowed int `json:"notAllowed,omitempty" doc:"of them those that you may not handle: left alone"`
	Good       int `json:"good"`
	Bad        int `json:"bad"`
	Gone       int `json:"gone"`
	Open       int `json:"open" doc:"there is no verdict yet, or the cluster could not be asked; they are judged in the background"`
}

// JudgeOpen judges what was found unchecked and has no verdict yet: a duty of the leader.
func (s *Service) JudgeOpen(ctx context.Context) error {
	if s.o.Judger == nil || s.o.Clusters == nil {
		return nil
	}
	var targets []int64
	before := s.now().Add(-judgeAgain)
	err := s.db.R.NewRaw(`SELECT DISTINCT u.target_id FROM admission_unchecked u JOIN targets t ON t.id = u.target_id
		WHERE u.state = 1 AND u.reason <> ? AND t.removed_at = 0 AND (u.judged_at < ? OR u.tries < ? AND u.judged_at < ?) ORDER BY 1`,
		int64(Overflow), store.At(before), soonTimes, store.At(before.Add(judgeAgain-judgeSoon))).Scan(ctx, &targets)
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range targets {
		list, err := s.open(ctx, t, before)
		if err != nil {
			return err
		}
		within, cancel := context.WithTimeout(ctx, judgeTime)
		_, err = s.judgeAll(within, t, list)
		cancel()
		if err != nil && ctx.Err() == nil {
			errs = append(errs, fmt.Errorf("cluster %d: %w", t, err))
		}
	}
	return errors.Join(errs...)
}

// open are the entries of a cluster that were judged before a time and wait, or lately and only a few times; those first that waited longest.
func (s *Service) open(ctx context.Context, target int64, before time.Time) ([]Entry, error) {
	var list []Entry
	err := s.db.R.NewSelect().Model(&list).Where("target_id = ? AND state = 1 AND reason <> ?", target, int64(Overflow)).
		Where("judged_at < ? OR tries < ? AND judged_at < ?", store.At(before), soonTimes, store.At(before.Add(judgeAgain-judgeSoon))).
		OrderExpr("judged_at, id").Limit(judgedAtOnce).Scan(ctx)
	return list, err
}

// JudgeNow judges entries for the principal of ctx: those of the ids, or the open ones of a cluster.
func (s *Service) JudgeNow(ctx context.Context, ids []int64, target int64) (*Judged, error) {
	if (len(ids) == 0) == (target == 0) {
		return nil, invalid("give ids or a cluster")
	}
	var list []Entry
	var err error
	if target != 0 {
		if !identity.From(ctx).Visible(identity.Read).Sees(target) {
			return nil, store.ErrNotFound
		}
		list, err = s.open(ctx, target, s.now().Add(time.Hour))
	} else {
		err = s.db.R.NewSelect().Model(&list).Where("id IN (?) AND reason <> ?", bun.List(ids), int64(Overflow)).OrderExpr("target_id, id").Limit(judgedAtOnce).Scan(ctx)
	}
	if err != nil {
		return nil, err
	}
	if s.o.Judger == nil || s.o.Clusters == nil {
		return nil, invalid("this server judges nothing afterwards")
	}
	p := identity.From(ctx)
	list = slices.DeleteFunc(list, func(e Entry) bool { return !p.Can(identity.Read, e.TargetID, e.Namespace) })
	out := &Judged{Selected: len(list)}
	list = slices.DeleteFunc(list, func(e Entry) bool { return !p.Can(identity.Handle, e.TargetID, e.Namespace) })
	out.NotAllowed = out.Selected - len(list)
	within, cancel := context.WithTimeout(ctx, judgeNowTime)
	defer cancel()
	for len(list) > 0 {
		n := slices.IndexFunc(list, func(e Entry) bool { return e.TargetID != list[0].TargetID })
		if n < 0 {
			n = len(list)
		}
		got, err := s.judgeAll(within, list[0].TargetID, list[:n])
		if err != nil && ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			s.log.Warn("judging unchecked admissions", "target", list[0].TargetID, "error", err)
		}
		out.Good, out.Bad, out.Gone, out.Open = out.Good+got.Good, out.Bad+got.Bad, out.Gone+got.Gone, out.Open+got.Open
		list = list[n:]
	}
	return out, s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		return audit.Record(ctx, tx, "unchecked.judge", fmt.Sprintf("%d unchecked admissions", out.Selected-out.NotAllowed), target, nil, out)
	})
}

// judgeAll reads and judges entries of one cluster. What it does not come to is left open.
func (s *Service) judgeAll(ctx context.Context, target int64, list []Entry) (out Judged, err error) {
	out.Open = len(list)
	rc, err := s.rest(ctx, target)
	if err != nil {
		return out, err
	}
	client, err := dynamic.NewForConfig(rc)
	if err != nil {
		return out, err
	}
	var kinds []string
	for i := range list {
		kinds = append(kinds, inventory.Ref{APIVersion: list[i].APIVersion, Kind: list[i].Kind}.GroupKind())
	}
	served, err := s.resources(rc, kinds)
	if len(served) == 0 {
		return out, err
	}
	b := &bench{s: s, target: target, client: client, kinds: map[string]schema.GroupVersionResource{}, labels: map[string]map[string]string{}}
	for _, r := range served {
		b.kinds[strings.TrimSuffix(r.kind+"."+r.gvr.Group, ".")] = r.gvr
	}
	for i := range list {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		state, err := b.one(ctx, &list[i])
		if err != nil {
			return out, err
		}
		if state != Found {
			out.Open--
		}
		switch state {
		case Good:
			out.Good++
		case Bad:
			out.Bad++
		case Gone:
			out.Gone++
		}
	}
	return out, nil
}

// bench judges entries of a cluster.
type bench struct {
	s      *Service
	target int64
	client dynamic.Interface
	kinds  map[string]schema.GroupVersionResource
	labels map[string]map[string]string
	failed int // objects that could not be read
}

// mostFailed is after how many objects that cannot be read the cluster is taken to be away.
const mostFailed = 3

// one judges an entry as its object is now.
func (b *bench) one(ctx context.Context, e *Entry) (Checked, error) {
	gvr, ok := b.kinds[inventory.Ref{APIVersion: e.APIVersion, Kind: e.Kind}.GroupKind()]
	if !ok || e.Name == "" {
		return b.settle(ctx, e, Gone, "the cluster does not serve this kind any more", nil, nil)
	}
	got, err := b.client.Resource(gvr).Namespace(e.Namespace).Get(ctx, e.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return b.settle(ctx, e, Gone, e.Note, nil, nil)
	case apierrors.IsForbidden(err):
		return b.settle(ctx, e, Found, "the cluster's credentials may not read this object", nil, nil)
	case err != nil && ctx.Err() != nil:
		return Found, err
	case err != nil: // others are not to wait for one that cannot be read
		if b.failed++; b.failed > mostFailed {
			return Found, err
		}
		return b.settle(ctx, e, Found, "the object cannot be read: "+err.Error(), nil, nil)
	case e.UID != "" && string(got.GetUID()) != e.UID:
		return b.settle(ctx, e, Gone, e.Note, nil, nil) // another object has the name now
	}
	o, ok := inventory.NewObject(got.Object)
	if !ok {
		return b.settle(ctx, e, Found, "the object cannot be read", nil, nil)
	}
	labels, err := b.namespace(ctx, e.Namespace)
	if err != nil {
		return Found, err
	}
	outcome, err := b.s.o.Judger.Judge(ctx, b.target, o, labels)
	if err != nil {
		return Found, err
	}
	violations := slices.DeleteFunc(slices.Clone(outcome.Violations), func(v policy.Violation) bool { return v.Exception != 0 || v.Action.Rank() == 0 })
	switch {
	case len(violations) > 0:
		return b.settle(ctx, e, Bad, e.Note, got.Object, violations)
	case len(outcome.Undecided) > 0:
		b.seek(ctx, o, outcome.Undecided)
		return b.settle(ctx, e, Found, outcome.Undecided[0].Reason, nil, nil)
	}
	return b.settle(ctx, e, Good, e.Note, nil, nil)
}

// seek has the images of an object scanned that kept it from a verdict.
func (b *bench) seek(ctx context.Context, o *inventory.Object, undecided []policy.Undecided) {
	if b.s.o.Seek == nil {
		return
	}
	var images []protocol.Image
	for _, u := range undecided {
		ref, err := policy.ParseReference(u.Image)
		if err != nil || slices.ContainsFunc(images, func(i protocol.Image) bool { return i.Reference == ref.String() }) {
			continue // what is undecided of a rule names no image
		}
		images = append(images, protocol.Image{Reference: ref.String(), Namespace: o.Namespace, PullSecrets: policy.PullSecrets(o)})
	}
	if len(images) == 0 {
		return
	}
	if err := b.s.o.Seek(ctx, b.target, images[:min(len(images), protocol.MaxImages)]); err != nil && ctx.Err() == nil {
		b.s.log.Warn("images of unchecked admissions are not looked up", "target", b.target, "error", err)
	}
}

func (b *bench) namespace(ctx context.Context, name string) (map[string]string, error) {
	if name == "" {
		return nil, nil
	}
	if l, ok := b.labels[name]; ok {
		return l, nil
	}
	ns, err := b.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Get(ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
		return nil, err
	}
	if err == nil {
		b.labels[name] = ns.GetLabels()
	}
	return b.labels[name], nil
}

// settle writes what came of an entry; of one that violates policies, events.
func (b *bench) settle(ctx context.Context, e *Entry, state Checked, note string, object map[string]any, violations []policy.Violation) (Checked, error) {
	s, now := b.s, b.s.now()
	var groups map[hash]*group
	d := &drafts{}
	if state == Bad {
		a := protocol.Admission{At: now, UID: e.UID, Generation: e.Generation, APIVersion: e.APIVersion, Kind: e.Kind, Namespace: e.Namespace, Name: e.Name, OwnerKind: e.OwnerKind,
			OwnerName: e.OwnerName, Outcome: Allowed.String(), Violations: violations}
		var err error
		if a.Object, err = marshal(object); err != nil {
			return Found, err
		}
		d = s.drafts(&protocol.Batch{Admissions: []protocol.Admission{a}}, now, true)
		groups = map[hash]*group{}
		for _, v := range d.list[0].seen.Violations {
			event := eventOf(b.target, Unchecked, &v, d.list[0].owner)
			if groups[hash(event.Key)] != nil {
				continue
			}
			event.FirstAt, event.LastAt = store.At(now), store.At(now)
			g := &group{event: event, hours: map[int64]int64{}}
			g.happened(&d.list[0])
			groups[hash(event.Key)] = g
		}
	}
	committed := func() {}
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		committed = func() {}
		if err := s.lock(ctx, tx, b.target); err != nil {
			return err
		}
		r, err := tx.NewRaw("UPDATE admission_unchecked SET state = ?, note = ?, judged_at = ?, tries = tries + 1 WHERE id = ? AND state = ? AND judged_at = ?",
			int64(state), clean(note, shortText), store.At(now), e.ID, int64(e.State), e.JudgedAt).Exec(ctx) // once, whoever else judges it
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 || groups == nil {
			return err
		}
		ids, added, done, err := s.keep(ctx, tx, b.target, d.parts, now)
		if err != nil {
			return err
		}
		committed = done
		if err := s.grew(ctx, tx, b.target, 0, 0, added, now); err != nil {
			return err
		}
		return s.happened(ctx, tx, b.target, groups, ids, now)
	})
	if err == nil {
		committed()
		s.news(ctx, b.target)
	}
	return state, err
}
