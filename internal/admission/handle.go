package admission

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/exception"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/store"
)

// The actions of people.
const (
	Ignore     = "ignore"
	Reopen     = "reopen"
	Handle     = "handled"
	Except     = "except"
	AllowImage = "allow-image"
	Exclude    = "exclude"
)

// Limits of one request.
const (
	mostHandled    = 100_000
	mostExceptions = 100
	mostPolicies   = 50
	mostFresh      = 2_000
)

// Handling says what to do with events: those of the ids, or those of the filter.
type Handling struct {
	IDs    []int64
	Filter *Filter
	Action string
	Note   string
	Until  string // as exception.ReadUntil reads it
	Policy int64  // of AllowImage and Exclude; 0: that of each event
	DryRun bool
}

// Effect is what was done.
type Effect struct {
	Selected   int               `json:"selected" doc:"events that were meant and that you see"`
	NotAllowed int               `json:"notAllowed,omitempty" doc:"of them those that you may not handle: left alone"`
	Skipped    int               `json:"skipped,omitempty" doc:"of them those that the action cannot be done for: an image without a digest, an object outside of namespaces"`
	Changed    int               `json:"changed" doc:"events that changed; with dryRun that would change"`
	Fresh      []string          `json:"fresh,omitempty" doc:"ids of events that nobody had handled before, which reopening takes back; absent when they are more than 2,000, and with dryRun"`
	Policies   []PolicyEffect    `json:"policies,omitempty" doc:"that get another version"`
	Exceptions []ExceptionEffect `json:"exceptions,omitempty" doc:"that are asked for"`
	At         store.Time        `json:"at" format:"date-time"`
}

// PolicyEffect is what is added to a policy.
type PolicyEffect struct {
	ID    int64    `json:"id,string"`
	Name  string   `json:"name"`
	Added []string `json:"added" doc:"images by digest, or namespaces"`
}

// ExceptionEffect is an exception that is asked for.
type ExceptionEffect struct {
	ID        int64  `json:"id,string,omitempty" doc:"absent with dryRun"`
	TargetID  int64  `json:"targetId,string"`
	Rule      string `json:"rule"`
	Namespace string `json:"namespace,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Name      string `json:"name,omitempty"`
	Image     string `json:"image,omitempty"`
}

// Handle does what people decide about events, in the name of the principal of ctx.
func (s *Service) Handle(ctx context.Context, h Handling) (*Effect, error) {
	list, err := s.selected(ctx, h)
	if err != nil {
		return nil, err
	}
	p := identity.From(ctx)
	out := &Effect{Selected: len(list), At: store.At(s.now())}
	need := identity.Handle
	if h.Action == Except {
		need = identity.Except
	}
	list = slices.DeleteFunc(list, func(e Event) bool { return !p.Can(need, e.TargetID, e.Namespace) })
	out.NotAllowed = out.Selected - len(list)
	switch h.Action {
	case Ignore, Reopen, Handle:
		return out, s.handle(ctx, h, list, out)
	case Except:
		return out, s.except(ctx, h, list, out)
	case AllowImage, Exclude:
		return out, s.amend(ctx, h, list, out)
	}
	return nil, invalid("action %.30q: want ignore, reopen, handled, except, allow-image or exclude", h.Action)
}

// selected are the events that are meant and that the principal of ctx sees, by target.
func (s *Service) selected(ctx context.Context, h Handling) ([]Event, error) {
	v := identity.From(ctx).Visible(identity.Read)
	var w where
	var err error
	switch {
	case (h.Filter == nil) == (len(h.IDs) == 0):
		return nil, invalid("give ids or a filter")
	case len(h.IDs) > mostHandled:
		return nil, invalid("more than %d events", mostHandled)
	case h.Filter != nil:
		w, _, err = s.events(ctx, v, h.Filter)
	default:
		w.scope(v, nil)
		w.add("id IN (?)", bun.List(h.IDs))
	}
	if err != nil || w.none {
		return nil, err
	}
	var list []Event
	err = s.db.R.NewSelect().Model(&list).ExcludeColumn("detail").Where(w.text(), w.args...).OrderExpr("target_id, id").Limit(mostHandled + 1).Scan(ctx)
	if len(list) > mostHandled {
		return nil, invalid("more than %d events: narrow the filter", mostHandled)
	}
	return list, err
}

// errDryRun ends the transaction of a dry run.
var errDryRun = errors.New("only tried")

// stateOf is the state that an action gives.
func stateOf(action string) State {
	switch action {
	case Ignore:
		return Ignored
	case Reopen:
		return Unhandled
	}
	return Handled
}

// handle changes states.
func (s *Service) handle(ctx context.Context, h Handling, list []Event, out *Effect) error {
	if len(list) == 0 {
		return nil
	}
	to := stateOf(h.Action)
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		changed, fresh, err := s.turn(ctx, tx, list, to, h.Note)
		if err != nil {
			return err
		}
		if out.Changed = changed; h.DryRun {
			return errDryRun
		}
		out.Fresh = fresh
		return s.record(ctx, tx, h, list, out)
	})
	if errors.Is(err, errDryRun) {
		return nil
	}
	if err == nil {
		s.spread(ctx, list)
	}
	return err
}

// turn gives events a state in the name of the principal of ctx, as they are now. It returns how many had another, and which of them
// nobody had handled: nil when those are more than mostFresh.
func (s *Service) turn(ctx context.Context, tx bun.Tx, list []Event, to State, note string) (changed int, fresh []string, err error) {
	who := "system"
	if p := identity.From(ctx); p != nil {
		who = p.Name
	}
	if err := s.lock(ctx, tx, targetsOf(list)...); err != nil {
		return 0, nil, err
	}
	ids := make([]int64, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	for chunk := range chunks(ids, 500) {
		var now []Event // they may have changed since they were selected
		if err := tx.NewSelect().Model(&now).ExcludeColumn("detail").Where("id IN (?) AND state <> ?", bun.List(chunk), int64(to)).OrderExpr("id").Scan(ctx); err != nil {
			return 0, nil, err
		}
		changed += len(now)
		for i := range now {
			if now[i].State == Unhandled && len(fresh) <= mostFresh {
				fresh = append(fresh, strconv.FormatInt(now[i].ID, 10))
			}
		}
		if err := s.setState(ctx, tx, now, to, who, note); err != nil {
			return 0, nil, err
		}
	}
	if len(fresh) > mostFresh {
		fresh = nil
	}
	return changed, fresh, nil
}

func targetsOf(list []Event) []int64 {
	seen := map[int64]bool{}
	for i := range list {
		seen[list[i].TargetID] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// setState writes a state of events, which have another, and moves the counters. The caller holds the locks.
func (s *Service) setState(ctx context.Context, tx bun.Tx, list []Event, to State, who, note string) error {
	if len(list) == 0 {
		return nil
	}
	cells, ids := map[cell]tally{}, make([]int64, len(list))
	for i := range list {
		ids[i] = list[i].ID
		from, next := list[i].cell(), list[i].cell()
		next.state = to
		move(cells, from, next, 1, list[i].Hits, list[i].Hits)
	}
	for chunk := range chunks(ids, 500) {
		_, err := tx.NewRaw("UPDATE admission_events SET state = ?, changed_at = ?, handler = ?, note = ? WHERE id IN (?)",
			int64(to), store.At(s.now()), clean(who, nameText), clean(note, messageText), bun.List(chunk)).Exec(ctx)
		if err != nil {
			return err
		}
	}
	return s.count(ctx, tx, cells)
}

func (s *Service) spread(ctx context.Context, list []Event) {
	for _, t := range targetsOf(list) {
		s.news(ctx, t)
	}
}

// record writes what was done into the audit log: one entry, however many events.
func (s *Service) record(ctx context.Context, tx bun.Tx, h Handling, list []Event, out *Effect) error {
	after := map[string]any{"selected": out.Selected, "changed": out.Changed}
	for k, v := range map[string]any{"note": h.Note, "until": h.Until} {
		if v != "" {
			after[k] = v
		}
	}
	if len(out.Exceptions) > 0 {
		after["exceptions"] = out.Exceptions
	}
	if len(out.Policies) > 0 {
		after["policies"] = out.Policies
	}
	object := fmt.Sprintf("%d admission events", len(list))
	switch {
	case h.Filter != nil:
		after["filter"] = h.Filter
	case len(list) == 1:
		object = fmt.Sprintf("admission event %d (%s)", list[0].ID, list[0].Rule)
	default:
		after["ids"] = h.IDs[:min(len(h.IDs), 100)]
	}
	targets, target := targetsOf(list), int64(0)
	if len(targets) == 1 {
		target = targets[0]
	}
	return audit.Record(ctx, tx, "admission."+h.Action, object, target, nil, after)
}

// except asks for exceptions for the owners of events, one for each rule and owner.
func (s *Service) except(ctx context.Context, h Handling, list []Event, out *Effect) error {
	if s.o.Exceptions == nil {
		return invalid("this server keeps no exceptions")
	}
	if strings.TrimSpace(h.Note) == "" {
		return invalid("an exception needs a reason: say it in note")
	}
	if _, err := exception.ReadUntil(h.Until); err != nil {
		return invalid("until: %v", err)
	}
	order, groups := []exception.Draft{}, map[exception.Draft][]Event{}
	for _, e := range list {
		d := exception.Draft{TargetID: e.TargetID, Scope: exception.Scope{Rule: e.Rule, Namespace: e.Namespace, Kind: one(e.OwnerKind), Name: oneOrMade(e.OwnerName)}}
		if imageRule(e.Rule) {
			if d.Scope.Digest = e.Digest; e.Digest == "" {
				d.Scope.Image = one(e.Image)
			}
		}
		if groups[d] == nil {
			order = append(order, d)
		}
		groups[d] = append(groups[d], e)
	}
	if len(order) > mostExceptions {
		return invalid("it takes %d exceptions: at most %d at once", len(order), mostExceptions)
	}
	for _, d := range order {
		x := ExceptionEffect{TargetID: d.TargetID, Rule: d.Scope.Rule, Namespace: d.Scope.Namespace, Kind: d.Scope.Kind, Name: d.Scope.Name, Image: groups[d][0].Image}
		if !h.DryRun {
			r, err := s.o.Exceptions.Ask(ctx, exception.Request{Draft: d, Reason: h.Note, Category: exception.RiskAccepted, Expires: h.Until})
			if err != nil {
				return asked(err)
			}
			x.ID = r.ID
		}
		out.Exceptions = append(out.Exceptions, x)
		out.Changed += len(groups[d])
	}
	if h.DryRun || len(list) == 0 {
		return nil
	}
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, _, err := s.turn(ctx, tx, list, Handled, h.Note); err != nil {
			return err
		}
		for i, d := range order {
			for _, e := range groups[d] {
				if _, err := tx.NewRaw("UPDATE admission_events SET exception_id = ? WHERE id = ?", out.Exceptions[i].ID, e.ID).Exec(ctx); err != nil {
					return err
				}
			}
		}
		return s.record(ctx, tx, h, list, out)
	})
	s.spread(ctx, list)
	return err
}

// one is the pattern of exactly one name: an event has what a request said of its owner and image, and one that says * must not end up
// as an exception for everybody.
func one(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// oneOrMade is the same for the name of an owner; of names that the API server makes up the event has the beginning with a * of ours.
func oneOrMade(name string) string {
	if front, ok := strings.CutSuffix(name, "-*"); ok && front != "" && one(front) == front {
		return name
	}
	return one(name)
}

// asked gives errors of the book of exceptions their kind.
func asked(err error) error {
	switch {
	case errors.Is(err, exception.ErrInvalid):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	case errors.Is(err, exception.ErrForbidden):
		return fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	return err
}

// amendment is what is added to one policy.
type amendment struct {
	policy policy.Policy
	added  []string
	events []Event
}

// amend changes the policies of events: images by their digests, or namespaces out of the scope.
func (s *Service) amend(ctx context.Context, h Handling, list []Event, out *Effect) error {
	if s.o.Policies == nil {
		return invalid("this server keeps no policies")
	}
	until, err := exception.ReadUntil(h.Until)
	if err != nil {
		return invalid("until: %v", err)
	}
	if h.Action == Exclude && h.Until != "" {
		return invalid("until: what is excluded is so until somebody changes the policy")
	}
	changes, order := map[int64]*amendment{}, []int64{}
	for _, e := range list {
		id := e.PolicyID
		if h.Policy != 0 {
			id = h.Policy
		}
		a := changes[id]
		if a == nil {
			if len(order) == mostPolicies {
				return invalid("more than %d policies", mostPolicies)
			}
			p, err := s.o.Policies.Policy(ctx, id)
			if err == nil && !sees(identity.From(ctx).Visible(identity.Read), p) {
				err = store.ErrNotFound
			}
			if errors.Is(err, store.ErrNotFound) {
				out.Skipped++
				continue
			}
			if err != nil {
				return err
			}
			a = &amendment{policy: *p}
			changes[id], order = a, append(order, id)
		}
		ok := false
		if h.Action == AllowImage {
			ok = a.allow(&e, policy.AllowedImage{Digest: e.Digest, Reason: h.Note, Expires: until})
		} else {
			ok = a.exclude(&e)
		}
		if !ok {
			out.Skipped++
			continue
		}
		a.events = append(a.events, e)
	}
	p := identity.From(ctx)
	for _, id := range order {
		if !mayProtect(p, &changes[id].policy) {
			return fmt.Errorf("%w: policy %q holds where you may not change policies", ErrForbidden, changes[id].policy.Name)
		}
	}
	return s.amended(ctx, h, changes, order, out)
}

// sees reports whether a policy matters to a cluster that is seen; others are not there.
func sees(v identity.Visible, x *policy.Policy) bool {
	return len(x.Scope.Clusters) == 0 || slices.ContainsFunc(x.Scope.Clusters, v.Sees)
}

// mayProtect reports whether p may change a policy wherever it holds.
func mayProtect(p *identity.Principal, x *policy.Policy) bool {
	if len(x.Scope.Clusters) == 0 {
		return p.Can(identity.Protect, 0, "")
	}
	return !slices.ContainsFunc(x.Scope.Clusters, func(t int64) bool { return !p.Can(identity.Protect, t, "") })
}

// amended keeps the changed policies and handles their events.
func (s *Service) amended(ctx context.Context, h Handling, changes map[int64]*amendment, order []int64, out *Effect) error {
	var done []Event
	for _, id := range order {
		a := changes[id]
		if len(a.events) == 0 {
			continue
		}
		if len(a.added) > 0 && !h.DryRun {
			note := h.Note
			if note == "" {
				note = "by admission event " + strconv.FormatInt(a.events[0].ID, 10)
			}
			if err := s.o.Policies.Change(ctx, a.policy, clean(note, 2000)); err != nil {
				return err
			}
		}
		if a.added == nil {
			a.added = []string{}
		}
		out.Policies = append(out.Policies, PolicyEffect{ID: id, Name: a.policy.Name, Added: a.added})
		done = append(done, a.events...)
	}
	out.Changed = len(done)
	if h.DryRun || len(done) == 0 {
		return nil
	}
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, _, err := s.turn(ctx, tx, done, Handled, h.Note); err != nil {
			return err
		}
		return s.record(ctx, tx, h, done, out)
	})
	s.spread(ctx, done)
	return err
}

// allow adds an image to those that the policy allows; by its digest only: a tag may name another tomorrow.
func (a *amendment) allow(e *Event, image policy.AllowedImage) bool {
	if e.Digest == "" || !imageRule(e.Rule) {
		return false
	}
	if r, err := policy.ParseReference(e.Image); err == nil {
		image.Repository = r.Name()
	}
	for _, x := range a.policy.Allowed {
		if x.Digest == image.Digest && (x.Repository == "" || x.Repository == image.Repository) && (x.Expires.IsZero() || !image.Expires.IsZero() && x.Expires.After(image.Expires)) {
			return true
		}
	}
	a.policy.Allowed = append(slices.Clone(a.policy.Allowed), image)
	a.added = append(a.added, strings.TrimPrefix(image.Repository+"@"+image.Digest, "@"))
	return true
}

// exclude takes the namespace of an event out of the policy's scope.
func (a *amendment) exclude(e *Event) bool {
	if e.Namespace == "" {
		return false
	}
	if slices.Contains(a.policy.Scope.ExcludedNamespaces, e.Namespace) {
		return true
	}
	a.policy.Scope.ExcludedNamespaces = append(slices.Clone(a.policy.Scope.ExcludedNamespaces), e.Namespace)
	a.added = append(a.added, e.Namespace)
	return true
}
