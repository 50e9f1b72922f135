package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/store"
)

// Schedule is a row of schedules.
type Schedule struct {
	bun.BaseModel `bun:"table:schedules,alias:s" json:"-"`

	ID        int64      `bun:"id,pk,autoincrement" json:"id,string"`
	Name      string     `bun:"name" json:"name"`
	Cron      string     `bun:"cron" json:"cron"`
	Zone      string     `bun:"zone" json:"timeZone"`
	All       bool       `bun:"every_cluster" json:"allClusters"`
	Scan      string     `bun:"scan" json:"-"`
	Limits    string     `bun:"budget" json:"-"`
	Enabled   bool       `bun:"enabled" json:"enabled"`
	NextAt    store.Time `bun:"next_at" json:"nextRun,omitzero" format:"date-time"`
	LastAt    store.Time `bun:"last_at" json:"lastRun,omitzero" format:"date-time" doc:"when it ran, or was skipped, the last time"`
	LastTask  int64      `bun:"last_task" json:"lastTaskId,string,omitempty"`
	Note      string     `bun:"note" json:"note,omitempty" doc:"what became of the last run, where it did not start"`
	UserID    int64      `bun:"user_id" json:"userId,string,omitempty"`
	Actor     string     `bun:"actor" json:"actor,omitempty"`
	CreatedAt store.Time `bun:"created_at" json:"createdAt" format:"date-time"`

	Targets []Target `bun:"-" json:"clusters"`
	Parts   []Part   `bun:"-" json:"items"`
	Budget  Budget   `bun:"-" json:"budget"`
}

// Plan is what people say of a schedule.
type Plan struct {
	Name    string
	Cron    string
	Zone    string // "" is UTC
	Scope   Scope  // without nodes
	Parts   []Part
	Budget  Budget
	Enabled bool
}

func (p *Plan) check() error {
	p.Name, p.Cron = strings.TrimSpace(p.Name), strings.TrimSpace(p.Cron)
	if p.Zone == "" {
		p.Zone = "UTC"
	}
	if p.Name == "" {
		return fmt.Errorf("%w: the schedule needs a name", ErrInvalid)
	}
	if len(p.Scope.Nodes) > 0 {
		return fmt.Errorf("%w: schedules are for whole clusters", ErrInvalid)
	}
	var err error
	if p.Parts, err = checkParts(p.Parts); err != nil {
		return err
	}
	return checkCron(p.Cron, p.Zone)
}

// AddSchedule makes a schedule.
func (s *Service) AddSchedule(ctx context.Context, p Plan) (*Schedule, error) {
	sched := new(Schedule)
	return sched, s.putSchedule(ctx, sched, p)
}

// SetSchedule changes a schedule.
func (s *Service) SetSchedule(ctx context.Context, id int64, p Plan) (*Schedule, error) {
	sched := &Schedule{ID: id}
	return sched, s.putSchedule(ctx, sched, p)
}

func (s *Service) putSchedule(ctx context.Context, sched *Schedule, p Plan) error {
	if err := p.check(); err != nil {
		return err
	}
	id, now := sched.ID, s.now()
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var before any
		*sched = Schedule{ID: id, CreatedAt: store.At(now)}
		if id != 0 {
			if err := tx.NewSelect().Model(sched).WherePK().Scan(ctx); err != nil {
				return store.NotFound(err)
			}
			if err := s.readSchedules(ctx, tx, []*Schedule{sched}); err != nil {
				return err
			}
			before = *sched
		} else if who := identity.From(ctx); who != nil {
			sched.UserID, sched.Actor = who.UserID, who.Name
		}
		targets, err := s.targets(ctx, tx, p.Scope)
		if err != nil && !(p.Scope.All && errors.Is(err, ErrInvalid)) { // clusters may come later
			return err
		}
		sched.Name, sched.Cron, sched.Zone, sched.All, sched.Enabled = p.Name, p.Cron, p.Zone, p.Scope.All, p.Enabled
		sched.Scan, sched.Limits, sched.Note, sched.NextAt = ledger.JSON(p.Parts), ledger.JSON(p.Budget), "", store.Time{}
		if p.Enabled {
			next, err := nextRun(p.Cron, p.Zone, now)
			if err != nil {
				return err
			}
			sched.NextAt = store.At(next)
		}
		action := "schedule.change"
		if id == 0 {
			action = "schedule.add"
			_, err = tx.NewInsert().Model(sched).Exec(ctx)
		} else {
			_, err = tx.NewUpdate().Model(sched).WherePK().Exec(ctx)
		}
		if err != nil {
			if store.Duplicate(err) {
				return fmt.Errorf("%w: there is a schedule of the name %q", ErrConflict, p.Name)
			}
			return err
		}
		if _, err := tx.NewRaw("DELETE FROM schedule_targets WHERE schedule_id = ?", sched.ID).Exec(ctx); err != nil {
			return err
		}
		for _, t := range targets {
			if !p.Scope.All {
				if _, err := tx.NewRaw("INSERT INTO schedule_targets (schedule_id, target_id) VALUES (?, ?)", sched.ID, t.ID).Exec(ctx); err != nil {
					return err
				}
			}
		}
		if err := s.readSchedules(ctx, tx, []*Schedule{sched}); err != nil {
			return err
		}
		return audit.Record(ctx, tx, action, fmt.Sprintf("schedule %d (%s)", sched.ID, sched.Name), 0, before, sched)
	})
}

// RemoveSchedule removes a schedule; tasks that it made stay.
func (s *Service) RemoveSchedule(ctx context.Context, id int64) error {
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		sched := &Schedule{ID: id}
		if err := tx.NewSelect().Model(sched).WherePK().Scan(ctx); err != nil {
			return store.NotFound(err)
		}
		if _, err := tx.NewDelete().Model(sched).WherePK().Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, "schedule.remove", fmt.Sprintf("schedule %d (%s)", id, sched.Name), 0, sched, nil)
	})
}

// Schedules lists all that v reaches, by name: with every cluster, or at least one that is visible as a whole.
func (s *Service) Schedules(ctx context.Context, v identity.Visible) ([]*Schedule, error) {
	out := []*Schedule{}
	q := s.db.R.NewSelect().Model(&out).Order("s.name")
	if !v.All {
		q = q.Where("NOT s.every_cluster AND EXISTS (SELECT 1 FROM schedule_targets st WHERE st.schedule_id = s.id AND st.target_id IN (?))", in(wholly(v)))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, err
	}
	if err := s.readSchedules(ctx, s.db.R, out); err != nil {
		return nil, err
	}
	for _, sched := range out {
		sched.Targets = slices.DeleteFunc(sched.Targets, func(t Target) bool { return !v.Whole(t.ID) })
	}
	return out, nil
}

// Schedule reads one, with all its clusters.
func (s *Service) Schedule(ctx context.Context, id int64) (*Schedule, error) {
	sched := &Schedule{ID: id}
	if err := s.db.R.NewSelect().Model(sched).WherePK().Scan(ctx); err != nil {
		return nil, store.NotFound(err)
	}
	return sched, s.readSchedules(ctx, s.db.R, []*Schedule{sched})
}

func (s *Service) readSchedules(ctx context.Context, db bun.IDB, list []*Schedule) error {
	for _, sched := range list {
		_ = json.Unmarshal([]byte(sched.Scan), &sched.Parts) // we wrote it
		_ = json.Unmarshal([]byte(sched.Limits), &sched.Budget)
		sched.Targets = []Target{}
		err := db.NewRaw("SELECT t.id, t.name, t.kind FROM schedule_targets st JOIN targets t ON t.id = st.target_id WHERE st.schedule_id = ? AND t.removed_at = 0 ORDER BY t.id", sched.ID).Scan(ctx, &sched.Targets)
		if err != nil {
			return err
		}
	}
	return nil
}

// jump is how far a clock must go back until a run that seems to have been is not believed any more.
const jump = 24 * time.Hour

// RunSchedules makes the tasks that are due. However many runs were missed while no server ran, one is made up for. The leader
// calls it every few seconds.
func (s *Service) RunSchedules(ctx context.Context) error {
	var all []*Schedule
	if err := s.db.R.NewSelect().Model(&all).Where("enabled").Order("id").Scan(ctx); err != nil {
		return err
	}
	var errs []error
	for _, sched := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := s.now()
		next, err := nextRun(sched.Cron, sched.Zone, now)
		if err != nil {
			errs = append(errs, fmt.Errorf("schedule %s: %w", sched.Name, err))
			continue
		}
		switch {
		case sched.NextAt.IsZero() || sched.NextAt.After(next):
			// The clock went back, or the time zone's rules changed: it must not wait for a day that lies years ahead.
			errs = append(errs, s.moveSchedule(ctx, sched.ID, sched.NextAt, next))
		case sched.NextAt.After(now):
		case !sched.LastAt.IsZero() && !sched.NextAt.After(sched.LastAt.Time) && sched.LastAt.Sub(now) < jump:
			// The clock went back a little: this run has been.
			errs = append(errs, s.moveSchedule(ctx, sched.ID, sched.NextAt, next))
		default:
			errs = append(errs, s.runSchedule(ctx, sched.ID, sched.NextAt, store.At(next)))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) moveSchedule(ctx context.Context, id int64, from store.Time, to time.Time) error {
	return s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("UPDATE schedules SET next_at = ? WHERE id = ? AND next_at = ?", store.At(to), id, from).Exec(ctx)
		return err
	})
}

// runSchedule makes the task of a schedule that is due, unless the one before still runs.
func (s *Service) runSchedule(ctx context.Context, id int64, due, next store.Time) error {
	var t *Task
	err := s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		t = nil
		sched := &Schedule{ID: id}
		if err := tx.NewSelect().Model(sched).WherePK().Where("enabled AND next_at = ?", due).Scan(ctx); err != nil {
			if errors.Is(store.NotFound(err), store.ErrNotFound) { // changed meanwhile
				return nil
			}
			return err
		}
		if err := s.readSchedules(ctx, tx, []*Schedule{sched}); err != nil {
			return err
		}
		var err error
		var going int64
		if err = tx.NewRaw("SELECT count(*) FROM tasks WHERE schedule_id = ? AND status IN ('ready', 'running')", id).Scan(ctx, &going); err != nil {
			return err
		}
		sched.LastAt, sched.NextAt, sched.Note = store.At(s.now()), next, ""
		if going > 0 {
			sched.Note = fmt.Sprintf("skipped at %s: the run before is still going", due.Format(time.RFC3339))
		} else if t, err = s.create(identity.With(ctx, identity.System), tx, sched.request()); err != nil {
			if !errors.Is(err, ErrInvalid) {
				return err
			}
			t, sched.Note = nil, fmt.Sprintf("not started at %s: %v", due.Format(time.RFC3339), err)
		} else {
			sched.LastTask = t.ID
		}
		if sched.Note != "" {
			s.log.Warn("schedule", "name", sched.Name, "note", sched.Note)
		}
		_, err = tx.NewUpdate().Model(sched).Column("last_at", "next_at", "note", "last_task").WherePK().Exec(ctx)
		return err
	})
	if err != nil || t == nil {
		return err
	}
	return s.begin(ctx, t)
}

func (s *Schedule) request() Request {
	r := Request{Name: s.Name, Origin: Scheduled, ScheduleID: s.ID, Scope: Scope{All: s.All}, Parts: s.Parts, Budget: s.Budget}
	if !s.All {
		for _, t := range s.Targets {
			r.Scope.Targets = append(r.Scope.Targets, t.ID)
		}
	}
	return r
}

// StartSchedule runs a schedule now, beside its times.
func (s *Service) StartSchedule(ctx context.Context, id int64) (*Task, error) {
	sched, err := s.Schedule(ctx, id)
	if err != nil {
		return nil, err
	}
	r := sched.request()
	r.Origin = Manual
	return s.Create(ctx, r)
}
