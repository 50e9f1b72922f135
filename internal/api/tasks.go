package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// TaskScope is the part of a body that says what to scan.
type TaskScope struct {
	All      bool        `json:"allClusters,omitempty" doc:"every cluster that there is when it runs"`
	Clusters []string    `json:"clusterIds,omitempty" maxItems:"10000" doc:"or these"`
	Parts    []task.Part `json:"items,omitempty" maxItems:"8" doc:"what to scan for: system-vulnerabilities, application-vulnerabilities, emergency, configuration, compliance, sensitive-information, permissions, images; none is all"`
	Budget   task.Budget `json:"budget,omitzero"`
}

// newTask is the body that starts a task.
type newTask struct {
	Name string `json:"name,omitempty" maxLength:"200"`
	TaskScope
	Nodes []task.Node `json:"nodes,omitempty" maxItems:"10000" doc:"single nodes; they need the node agent"`
}

// taskList is the input of the list of tasks.
type taskList struct {
	Paging
	Status   []task.Status `query:"status" enum:"ready,running,finished,partial,failed,canceled"`
	Trigger  []string      `query:"trigger" enum:"manual,schedule,verify,upload,database,watch"`
	Target   []int64       `query:"targetId" maxItems:"1000" doc:"tasks about one of these clusters or projects"`
	Schedule int64         `query:"scheduleId" minimum:"1"`
}

// taskItems is the input of the list of a task's items.
type taskItems struct {
	ByID
	Paging
	Kind   string        `query:"kind" enum:"cluster,node,upload,image" doc:"default: all but images"`
	Status []task.Status `query:"status" doc:"ready, running, done, partial, failed, canceled"`
	Target int64         `query:"targetId" minimum:"1"`
}

// taskError gives what tasks refuse its status.
func taskError(err error) error {
	switch {
	case errors.Is(err, task.ErrInvalid):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	case errors.Is(err, task.ErrConflict):
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return err
}

// rows reads ids that a body has as strings.
func rows(ids []string) ([]int64, error) {
	out := make([]int64, len(ids))
	for i, s := range ids {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%w: %q is no id", ErrInvalid, s)
		}
		out[i] = n
	}
	return out, nil
}

// reaches refuses targets on which the principal may not do the action as a whole: as not found where it may not see them either.
func reaches(ctx context.Context, action identity.Action, targets []int64) error {
	p := identity.From(ctx)
	for _, id := range targets {
		switch {
		case p.Can(action, id, ""):
		case p.Visible(identity.Read).Whole(id):
			return fmt.Errorf("%w: %s on this cluster or project is not yours to do", ErrForbidden, action)
		default:
			return store.ErrNotFound
		}
	}
	return nil
}

// scope reads what to scan, and refuses what is not the principal's to scan.
func (b *TaskScope) scope(ctx context.Context, action identity.Action) (task.Scope, error) {
	ids, err := rows(b.Clusters)
	if err != nil {
		return task.Scope{}, err
	}
	s := task.Scope{All: b.All, Targets: ids}
	if b.All && len(ids) > 0 {
		return s, fmt.Errorf("%w: all clusters, or some: not both", ErrInvalid)
	}
	if b.All && !identity.From(ctx).Can(action, 0, "") {
		return s, fmt.Errorf("%w: all clusters are not yours to scan: name those that are", ErrForbidden)
	}
	return s, reaches(ctx, action, ids)
}

// ofTask refuses who may not do the action on everything that a task is about.
func ofTask(ctx context.Context, s *task.Service, id int64, action identity.Action) error {
	if _, err := s.Task(ctx, identity.From(ctx).Visible(identity.Read), id); err != nil {
		return err
	}
	targets, err := s.TargetsOf(ctx, id)
	if err != nil {
		return err
	}
	p := identity.From(ctx)
	for _, target := range targets {
		if !p.Can(action, target, "") {
			return fmt.Errorf("%w: the task is about clusters or projects that are not yours to scan", ErrForbidden)
		}
	}
	return nil
}

// Tasks adds the routes of scan tasks.
func Tasks(a *API, s *task.Service) {
	Add(a, Route{Method: http.MethodGet, Path: "/tasks", ID: "list-tasks", Tag: "Tasks", Summary: "List scan tasks, the newest first", Action: identity.Read,
		Description: "Tasks are shown to those who see one of their clusters or projects as a whole."},
		func(ctx context.Context, in *taskList) (*List[*task.Task], error) {
			list, next, err := s.Tasks(ctx, identity.From(ctx).Visible(identity.Read),
				task.Filter{Status: in.Status, Origin: in.Trigger, Targets: in.Target, Schedule: in.Schedule}, in.Page())
			if err != nil {
				return nil, err
			}
			return Listed(list, next), nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/tasks", ID: "create-task", Tag: "Tasks", Summary: "Start a scan", Action: identity.Scan, Status: http.StatusCreated},
		func(ctx context.Context, in *struct{ Body newTask }) (*One[*task.Task], error) {
			r, err := in.Body.request(ctx)
			if err != nil {
				return nil, err
			}
			t, err := s.Create(ctx, r)
			if err != nil {
				return nil, taskError(err)
			}
			return &One[*task.Task]{Body: t}, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/tasks/{id}", ID: "get-task", Tag: "Tasks", Summary: "Show a task with its progress", Action: identity.Read},
		func(ctx context.Context, in *ByID) (*One[*task.Task], error) {
			t, err := s.Task(ctx, identity.From(ctx).Visible(identity.Read), in.ID)
			if err != nil {
				return nil, err
			}
			return &One[*task.Task]{Body: t}, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/tasks/{id}/items", ID: "list-task-items", Tag: "Tasks", Summary: "List what a task scans, with progress and failures", Action: identity.Read,
		Description: "Clusters, uploads and nodes; with kind=image the images that were read for the task."},
		func(ctx context.Context, in *taskItems) (*List[*task.Item], error) {
			v := identity.From(ctx).Visible(identity.Read)
			if _, err := s.Task(ctx, v, in.ID); err != nil {
				return nil, err
			}
			list, next, err := s.Items(ctx, v, in.ID, task.ItemFilter{Kind: in.Kind, Status: in.Status, Target: in.Target}, in.Page())
			if err != nil {
				return nil, err
			}
			return Listed(list, next), nil
		})
	Add(a, Route{Method: http.MethodPost, Path: "/tasks/{id}/cancel", ID: "cancel-task", Tag: "Tasks", Summary: "Cancel a task", Action: identity.Scan, Status: http.StatusAccepted,
		Description: "What is not begun is not done; what runs ends within moments. What was found so far stays."},
		func(ctx context.Context, in *ByID) (*One[*task.Task], error) {
			if err := ofTask(ctx, s, in.ID, identity.Scan); err != nil {
				return nil, err
			}
			if err := s.Cancel(ctx, in.ID); err != nil {
				return nil, taskError(err)
			}
			t, err := s.Task(ctx, identity.From(ctx).Visible(identity.Read), in.ID)
			return &One[*task.Task]{Body: t}, err
		})
	Add(a, Route{Method: http.MethodPost, Path: "/tasks/{id}/retry", ID: "retry-task", Tag: "Tasks", Summary: "Do again what failed of a task, and nothing else", Action: identity.Scan, Status: http.StatusAccepted},
		func(ctx context.Context, in *ByID) (*One[*task.Task], error) {
			if err := ofTask(ctx, s, in.ID, identity.Scan); err != nil {
				return nil, err
			}
			if _, err := s.Retry(ctx, in.ID); err != nil {
				return nil, taskError(err)
			}
			t, err := s.Task(ctx, identity.From(ctx).Visible(identity.Read), in.ID)
			return &One[*task.Task]{Body: t}, err
		})
}
