package api

import (
	"context"
	"fmt"
	"net/http"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// schedulePlan is the body that makes or replaces a schedule.
type schedulePlan struct {
	Name string `json:"name" minLength:"1" maxLength:"200"`
	Cron string `json:"cron" minLength:"1" maxLength:"200" doc:"minute hour day month weekday, such as \"30 2 * * 1-5\", or @daily"`
	Zone string `json:"timeZone,omitempty" maxLength:"100" doc:"such as Europe/Berlin; default UTC"`
	TaskScope
	Enabled *bool `json:"enabled,omitempty" doc:"default true"`
}

func (b *schedulePlan) plan(ctx context.Context) (task.Plan, error) {
	scope, err := b.scope(ctx, identity.ManageSchedules)
	return task.Plan{Name: b.Name, Cron: b.Cron, Zone: b.Zone, Scope: scope, Parts: b.Parts, Budget: b.Budget, Enabled: b.Enabled == nil || *b.Enabled}, err
}

// scheduleFor returns a schedule if the principal may do the action on all of its clusters.
func scheduleFor(ctx context.Context, s *task.Service, id int64, action identity.Action) (*task.Schedule, error) {
	sched, err := s.Schedule(ctx, id)
	if err != nil {
		return nil, err
	}
	p := identity.From(ctx)
	sees, may := p.Visible(identity.Read).All, true
	if sched.All {
		may = p.Can(action, 0, "")
	}
	for _, t := range sched.Targets {
		sees = sees || !sched.All && p.Visible(identity.Read).Whole(t.ID)
		may = may && p.Can(action, t.ID, "")
	}
	switch {
	case !sees:
		return nil, store.ErrNotFound
	case !may:
		return nil, fmt.Errorf("%w: the schedule is for clusters that are not yours", ErrForbidden)
	}
	return sched, nil
}

// Schedules adds the routes of scan schedules.
func Schedules(a *API, s *task.Service) {
	Add(a, Route{Method: http.MethodGet, Path: "/schedules", ID: "list-schedules", Tag: "Schedules", Summary: "List scan schedules", Action: identity.Read},
		func(ctx context.Context, _ *struct{}) (*List[*task.Schedule], error) {
			list, err := s.Schedules(ctx, identity.From(ctx).Visible(identity.Read))
			if err != nil {
				return nil, err
			}
			return Listed(list, ""), nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/schedules", ID: "add-schedule", Tag: "Schedules", Summary: "Add a scan schedule", Action: identity.ManageSchedules, Status: http.StatusCreated},
		func(ctx context.Context, in *struct{ Body schedulePlan }) (*One[*task.Schedule], error) {
			plan, err := in.Body.plan(ctx)
			if err != nil {
				return nil, err
			}
			sched, err := s.AddSchedule(ctx, plan)
			if err != nil {
				return nil, taskError(err)
			}
			return &One[*task.Schedule]{Body: sched}, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/schedules/{id}", ID: "get-schedule", Tag: "Schedules", Summary: "Show a scan schedule", Action: identity.Read},
		func(ctx context.Context, in *ByID) (*One[*task.Schedule], error) {
			list, err := s.Schedules(ctx, identity.From(ctx).Visible(identity.Read))
			if err != nil {
				return nil, err
			}
			for _, sched := range list {
				if sched.ID == in.ID {
					return &One[*task.Schedule]{Body: sched}, nil
				}
			}
			return nil, store.ErrNotFound
		})
	Add(a, Route{Method: http.MethodPut, Path: "/schedules/{id}", ID: "replace-schedule", Tag: "Schedules", Summary: "Change a scan schedule", Action: identity.ManageSchedules},
		func(ctx context.Context, in *struct {
			ByID
			Body schedulePlan
		}) (*One[*task.Schedule], error) {
			if _, err := scheduleFor(ctx, s, in.ID, identity.ManageSchedules); err != nil {
				return nil, err
			}
			plan, err := in.Body.plan(ctx)
			if err != nil {
				return nil, err
			}
			sched, err := s.SetSchedule(ctx, in.ID, plan)
			if err != nil {
				return nil, taskError(err)
			}
			return &One[*task.Schedule]{Body: sched}, nil
		})
	Add(a, Route{Method: http.MethodDelete, Path: "/schedules/{id}", ID: "remove-schedule", Tag: "Schedules", Summary: "Remove a scan schedule", Action: identity.ManageSchedules},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			if _, err := scheduleFor(ctx, s, in.ID, identity.ManageSchedules); err != nil {
				return nil, err
			}
			return nil, s.RemoveSchedule(ctx, in.ID)
		})
	Add(a, Route{Method: http.MethodPost, Path: "/schedules/{id}/run", ID: "run-schedule", Tag: "Schedules", Summary: "Run a schedule now", Action: identity.Scan, Status: http.StatusCreated},
		func(ctx context.Context, in *ByID) (*One[*task.Task], error) {
			if _, err := scheduleFor(ctx, s, in.ID, identity.Scan); err != nil {
				return nil, err
			}
			t, err := s.StartSchedule(ctx, in.ID)
			if err != nil {
				return nil, taskError(err)
			}
			return &One[*task.Task]{Body: t}, nil
		})
}
