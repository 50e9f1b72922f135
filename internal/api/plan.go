package api

import (
	"context"
	"net/http"

	"stockade.dev/stockade/internal/fleet"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/task"
)

// TaskPlan is what a task would do, to consent to.
type TaskPlan struct {
	task.Prospect
	Clusters []ClusterPlan `json:"clusters"`
	More     int           `json:"more,omitempty" doc:"clusters beyond those that are told one by one"`
}

// ClusterPlan is what a task would do with one cluster.
type ClusterPlan struct {
	fleet.Prospect
	Whole   bool           `json:"whole" doc:"false: only single nodes of it"`
	Took    int64          `json:"tookMs,omitempty" doc:"how long its last scan took"`
	Images  int            `json:"images" doc:"images in use there at the last look"`
	TaskID  int64          `json:"taskId,string,omitempty" doc:"another task that scans it now, or waits to: this one waits for it"`
	Creates []fleet.Object `json:"creates" doc:"objects that the scan will create in the cluster"`
}

// scheduleTimes are the next runs of a schedule.
type scheduleTimes struct {
	Runs []store.Time `json:"runs"`
}

// request reads the body that starts a task.
func (b *newTask) request(ctx context.Context) (task.Request, error) {
	scope, err := b.scope(ctx, identity.Scan)
	if err != nil {
		return task.Request{}, err
	}
	for _, n := range b.Nodes {
		if err := reaches(ctx, identity.Scan, []int64{n.Target}); err != nil {
			return task.Request{}, err
		}
	}
	scope.Nodes = b.Nodes
	return task.Request{Name: b.Name, Origin: task.Manual, Scope: scope, Parts: b.Parts, Budget: b.Budget}, nil
}

// TaskPlans adds the routes that say what would be before it is.
func TaskPlans(a *API, s *task.Service, f *fleet.Fleet) {
	Add(a, Route{Method: http.MethodPost, Path: "/tasks/plan", ID: "plan-task", Tag: "Tasks", Summary: "Say what a scan would read and create, without starting it", Action: identity.Scan,
		Description: "The body is that of POST /tasks. Scans through the API server create nothing in a cluster: the list of what is created is empty, and says so."},
		func(ctx context.Context, in *struct{ Body newTask }) (*One[TaskPlan], error) {
			r, err := in.Body.request(ctx)
			if err != nil {
				return nil, err
			}
			p, more, err := s.Prospect(ctx, r)
			if err != nil {
				return nil, taskError(err)
			}
			ids := make([]int64, len(p.Targets))
			for i, t := range p.Targets {
				ids[i] = t.ID
			}
			reach, err := f.Prospects(ctx, ids)
			if err != nil {
				return nil, err
			}
			out := &One[TaskPlan]{Body: TaskPlan{Prospect: *p, Clusters: []ClusterPlan{}, More: more}}
			for _, t := range p.Targets {
				c := ClusterPlan{Whole: t.Whole, Took: t.Took, Images: t.Images, TaskID: t.Task, Creates: []fleet.Object{}}
				if known := reach[t.ID]; known != nil {
					c.Prospect = *known
				} else {
					c.Cluster = fleet.Cluster{TargetID: t.ID, Name: t.Name, State: fleet.Never}
					c.Missing, c.Present = []fleet.Permission{}, []fleet.Object{}
				}
				out.Body.Clusters = append(out.Body.Clusters, c)
			}
			return out, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/schedules/next", ID: "preview-schedule", Tag: "Schedules", Summary: "When a schedule would run", Action: identity.ManageSchedules},
		func(_ context.Context, in *struct {
			Cron string `query:"cron" required:"true" minLength:"1" maxLength:"200" doc:"minute hour day month weekday, or @daily"`
			Zone string `query:"timeZone" maxLength:"100" doc:"default UTC"`
			N    int    `query:"count" minimum:"1" maximum:"20" default:"5"`
		}) (*One[scheduleTimes], error) {
			runs, err := s.Times(in.Cron, in.Zone, in.N)
			if err != nil {
				return nil, taskError(err)
			}
			return &One[scheduleTimes]{Body: scheduleTimes{runs}}, nil
		})
}
